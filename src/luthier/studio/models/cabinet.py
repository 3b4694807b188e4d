"""The kept models as the studio sees them: read again when a file changed, never loaded."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luthier.errors import ModelError
from luthier.models.files import FILES
from luthier.models.log import LOG, Event
from luthier.models.registry import ModelVersion, checked, history_of, numbers_of, show_model, versions_of

SEEN_BYTES = 64_000_000
"""The content of larger files is held against its hash when a model is used, and not each time it is shown."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A version, what happened to all versions of its name, and `problem`, why it cannot be used."""

    model: ModelVersion
    events: tuple[Event, ...]
    bytes: int
    problem: str | None

    @property
    def about(self) -> Mapping[str, Any]:
        """Its model.json."""
        return self.model.manifest

    @property
    def own(self) -> list[Event]:
        """What happened to this version, oldest first."""
        return [event for event in self.events if event.version == self.model.version]


class Cabinet:
    """Every version of every model below a folder. Any thread may ask."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._lock = threading.Lock()
        self._read: dict[str, tuple[Any, list[Shown]]] = {}

    def all(self) -> list[Shown]:
        """All of them, the newest first. A model whose log is damaged is one line that says so."""
        found = [shown for name in self._names() for shown in self._versions(name)]
        return sorted(
            found,
            key=lambda one: (str(one.about.get("created", "")), one.model.name, one.model.version),
            reverse=True,
        )

    def versions(self, name: str) -> list[Shown]:
        """The versions of one model, by number; raises ModelError for what is no name, or where there is none."""
        found = self._versions(name) if name in self._names() else []
        if not found:
            show_model(self.home, name)  # which says so, and what there is
            raise ModelError(f"model {name!r} was deleted this moment.")
        return found

    def _versions(self, name: str) -> list[Shown]:
        stamp = tuple(_stamps(self._folder(name)))
        with self._lock:
            known = self._read.get(name)
        if known is not None and known[0] == stamp:
            return known[1]
        found = self._look(name)
        with self._lock:
            self._read[name] = (stamp, found)
        return found

    def one(self, name: str, version: int) -> Shown:
        """One version; raises ModelError where there is none."""
        for shown in self.versions(name):
            if shown.model.version == version:
                return shown
        show_model(self.home, name, version)
        raise ModelError(f"model {name!r} has no version {version}.")

    def glance(self) -> str:
        """Another text whenever a model was saved, deleted, promoted, looked at: cheap, asked four times a second."""
        parts = hashlib.sha256()
        for name in self._names():
            parts.update(f"{name} {_stamp(self._folder(name))} {_stamp(self._folder(name) / LOG)}\n".encode())
        return parts.hexdigest()[:16]

    def _look(self, name: str) -> list[Shown]:
        try:
            events = tuple(history_of(self.home, name))
            if not numbers_of(self._folder(name), events):
                return []  # all were deleted; the log remembers them
            models = versions_of(self.home, name)
        except ModelError as error:
            return [_damaged(self._folder(name), str(error))] if self._folder(name).is_dir() else []
        return [_shown(model, events) for model in models]

    def _folder(self, name: str) -> Path:
        return self.home / "models" / name

    def _names(self) -> list[str]:
        root = self.home / "models"
        try:
            return sorted(path.name for path in root.iterdir() if path.is_dir() and path.name[0] not in "._")
        except OSError:
            return []


def _shown(model: ModelVersion, events: tuple[Event, ...]) -> Shown:
    sizes = [path.stat().st_size for path in model.path.iterdir() if path.is_file()]
    problem = model.problem
    file = FILES.get(str(model.manifest.get("serializer")))
    if problem is None and file is not None and sum(sizes) <= SEEN_BYTES:
        try:
            checked(model, file)
        except ModelError as error:
            problem = str(error)
    return Shown(model, events, sum(sizes), problem)


def _damaged(folder: Path, problem: str) -> Shown:
    return Shown(ModelVersion(folder.name, 0, folder, problem=problem), (), 0, problem)


def _stamps(folder: Path) -> Iterator[Any]:
    """Of the log and of every file of every version."""
    yield _stamp(folder / LOG)
    for path in sorted(folder.glob("[1-9]*/*")):
        yield path.as_posix(), _stamp(path)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        known = path.stat()
    except OSError:
        return 0, 0
    return known.st_mtime_ns, known.st_size
