"""A copy of a study's file beside its trials, so that whoever sees the study can go on with it.

Its first line is a signature: what is gone on with runs what the file says, and a folder may be anybody's.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from luthier.errors import ModelError
from luthier.files import folder_of, opened
from luthier.models.signing import sign, verified
from luthier.studyfile.writing import to_toml

FILE = "study.toml"
SIGNED = "# signed "


def kept_path(home: Path, name: str) -> Path:
    """Where the copy is, among the files of the study; `home` is the folder beside the store."""
    return folder_of(home, "work", name) / FILE


def kept(home: Path, name: str, *, ours: bool = False) -> dict[str, Any] | None:
    """What the copy says, as `from_given` takes it; None where there is none that can be read, or with `ours` none that was left with
    this machine's key and is as it was.
    """
    path = kept_path(home, name)
    try:
        with opened(path, path.parent) as file:
            content = file.read()
        if ours and not _is_ours(content):
            return None
        return tomllib.loads(content.decode())
    except (OSError, ValueError, ModelError):
        return None


def keep(home: Path, name: str, given: Mapping[str, Any]) -> None:
    """Leave a copy; paths in it should be whole ones (`absolute`). Raises OSError where it cannot be written."""
    path, text = kept_path(home, name), to_toml(given)
    with suppress(ModelError):  # without a key it can be looked at, and cloned
        text = f"{SIGNED}{sign(_signed(text))}\n{text}"
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{FILE}")
    new.unlink(missing_ok=True)  # it might be a link
    new.write_text(text, encoding="utf-8")
    new.replace(path)


def _is_ours(content: bytes) -> bool:
    first, _, rest = content.decode().partition("\n")
    return first.startswith(SIGNED) and verified(_signed(rest), first.removeprefix(SIGNED))


def _signed(text: str) -> bytes:
    """What is signed: with a word before it, so that no signature of a model is one of a study."""
    return b"study file\0" + text.encode()
