"""Drafts: forms that are kept until their studies begin, each a file of its fields beside the store."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ID = re.compile(r"[0-9a-f]{12}")
MOST = 30
"""So many drafts are kept; beyond that the oldest goes."""
MOST_BYTES = 1 << 20
PASSING = frozenset({"do", "changed", "keep", "draft", "sure", "find"})
"""Fields that say what to do with a form, and are no part of it."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A draft: its title, when it was changed last, and whether it is `listed`: its study has not begun."""

    id: str
    title: str
    saved: float
    listed: bool


class Drawer:
    """The drafts in a folder. Their names are made here; a name that comes from elsewhere is looked at first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @staticmethod
    def name() -> str:
        """A new draft's."""
        return secrets.token_hex(6)

    def _path(self, id: str) -> Path | None:  # noqa: A002
        return self._folder / f"{id}.json" if ID.fullmatch(id) else None

    def read(self, id: str) -> dict[str, str] | None:  # noqa: A002
        """The fields of a draft; None where there is none."""
        found = self._load(self._path(id))
        return None if found is None else found[2]

    def write(self, id: str, title: str, fields: Mapping[str, str], *, listed: bool = True) -> bool:  # noqa: A002
        """Keep the fields; whether that was possible."""
        path = self._path(id)
        if path is None:
            return False
        kept = {name: text for name, text in fields.items() if name not in PASSING}
        beside = path.with_suffix(f".{secrets.token_hex(4)}.part")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            beside.write_text(
                json.dumps({"title": title, "listed": listed, "fields": kept}), encoding="utf-8"
            )
            beside.replace(path)
        except (OSError, UnicodeEncodeError):
            with suppress(OSError):
                beside.unlink(missing_ok=True)
            return False
        for old in self.all()[MOST:]:
            self.forget(old.id)
        return True

    def forget(self, id: str) -> None:  # noqa: A002
        """Let go of a draft."""
        path = self._path(id)
        if path is not None:
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def all(self) -> list[Kept]:
        """Every draft, the latest first."""
        found = []
        with suppress(OSError):
            for path in self._folder.glob("*.json"):
                read = self._load(path) if ID.fullmatch(path.stem) else None
                if read is not None:
                    with suppress(OSError):
                        found.append(Kept(path.stem, read[0], path.stat().st_mtime, read[1]))
        return sorted(found, key=lambda one: -one.saved)

    @staticmethod
    def _load(path: Path | None) -> tuple[str, bool, dict[str, str]] | None:
        try:
            if path is None or path.stat().st_size > MOST_BYTES:
                return None
            read = json.loads(path.read_text(encoding="utf-8"))
            fields = {str(name): str(text) for name, text in read["fields"].items()}
            return str(read["title"]), bool(read["listed"]), fields
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
