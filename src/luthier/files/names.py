"""The folder of a study, whatever its name is."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path

LONGEST = 255
"""Bytes that file systems allow a name."""


def folder_of(home: Path, part: str, name: str) -> Path:
    """The folder below `home` where a part of a study's files is: "work", "predictions". Never another one's, and never elsewhere.

    It goes by the study's name, or where that cannot be the name of a folder, by the beginning of it and a checksum.
    """
    if _is_plain(name):
        return home / part / name
    sum_ = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    begin = "".join(c if (c.isalnum() and c.isascii()) or c in "-_" else "_" for c in name[:40])
    return home / part / f"{begin or '_'}~{sum_}"


def _is_plain(name: str) -> bool:
    try:
        written = name.encode()
    except UnicodeEncodeError:
        return False
    safe = not name.startswith(".") and not {"/", "\\", "\0"} & set(name)
    return safe and bool(name.strip()) and len(written) <= LONGEST
