"""Files of a study opened to be shown: whoever hands over a folder may have put anything in the place of one."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def opened(path: Path, root: Path) -> BinaryIO:
    """A file below `root`, open to read. Raises OSError for what is none: a link, or what is behind one, could be anything of the reader's
    own; a pipe would be waited for.
    """
    if not is_within(path, root):
        raise OSError(errno.ELOOP, "a link leads elsewhere", str(path))
    found = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(found).st_mode):
        os.close(found)
        raise OSError(errno.EINVAL, "is no file", str(path))
    return os.fdopen(found, "rb")


def is_within(path: Path, root: Path) -> bool:
    """Whether it is still below `root` once all links are followed; `root` itself may be one, since people move what is large."""
    return path.resolve().is_relative_to(root.resolve())
