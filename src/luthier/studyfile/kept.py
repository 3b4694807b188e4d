"""A copy of a study's file beside its trials, so that whoever sees the study can go on with it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from luthier.files import folder_of, opened
from luthier.studyfile.writing import to_toml

FILE = "study.toml"


def kept_path(home: Path, name: str) -> Path:
    """Where the copy is, among the files of the study; `home` is the folder beside the store."""
    return folder_of(home, "work", name) / FILE


def kept(home: Path, name: str) -> dict[str, Any] | None:
    """What the copy says, as `from_given` takes it; None where there is none that can be read."""
    try:
        path = kept_path(home, name)
        with opened(path, path.parent) as file:
            return tomllib.load(file)
    except (OSError, ValueError):
        return None


def keep(home: Path, name: str, given: Mapping[str, Any]) -> None:
    """Leave a copy; paths in it should be whole ones (`absolute`). Raises OSError where it cannot be written."""
    path, text = kept_path(home, name), to_toml(given)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{FILE}")
    new.unlink(missing_ok=True)  # it might be a link
    new.write_text(text, encoding="utf-8")
    new.replace(path)
