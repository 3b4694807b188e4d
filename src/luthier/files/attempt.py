"""The files of one attempt at a trial: where it works, what it goes on from, what it hands over.

A checkpoint counts once its folder has its name, which it gets by one rename when all of it is there: killed at any moment,
the one before is still the last. What is on its way in or out has a name that begins with a dot.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from luthier.errors import ObjectiveError

CHECKPOINTS, ARTIFACTS = "checkpoints", "artifacts"
_NAME = re.compile(r"attempt(\d+)-(\d+)(?:-step(-?\d+))?")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the files of a trial are; goes to the worker with the job.

    `folder` is the trial's own, `parent` that of the trial it goes on from. With `all` no checkpoint is removed for a newer one;
    with `sync` they are to survive a power cut.
    """

    folder: str
    parent: str | None = None
    all: bool = False
    sync: bool = False


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A complete checkpoint: of attempt `attempt` the `count`th, as of `step` (None: nothing was reported by then)."""

    folder: Path
    attempt: int
    count: int
    step: int | None

    @property
    def path(self) -> Path:
        """The file or folder that was handed over."""
        return next(iter(self.folder.iterdir()))


def checkpoints(trial: Path) -> list[Checkpoint]:
    """The checkpoints in a trial's folder, the last one last.

    Later attempts come after earlier ones: what an attempt that lost its trial still writes is not gone on from.
    """
    try:
        names = os.listdir(trial / CHECKPOINTS)  # noqa: PTH208 - asked at every start
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = [
        Checkpoint(trial / CHECKPOINTS / name, int(n[1]), int(n[2]), None if n[3] is None else int(n[3]))
        for name in names
        if (n := _NAME.fullmatch(name))
    ]
    return sorted(found, key=lambda checkpoint: (checkpoint.attempt, checkpoint.count))


class AttemptFiles:
    """The worker's side. Without a `place` nothing outlasts the attempt; without a `workdir` that is a temporary folder."""

    def __init__(
        self,
        number: int,
        attempt: int,
        place: Place | None = None,
        workdir: str | None = None,
        scratch: str | None = None,
    ) -> None:
        self._number = number
        self._attempt = attempt
        self._place = place
        self._workdir = workdir
        self._scratch = scratch
        self._temporary: list[Path] = []
        self._at_work: Path | None = None
        self._folder: Path | None = None if place is None else Path(place.folder)
        mine = [] if self._folder is None else checkpoints(self._folder)
        self._count = max((found.count for found in mine if found.attempt == attempt), default=0)
        if not mine and place is not None and place.parent is not None:
            mine = checkpoints(Path(place.parent))
        self.restored: Checkpoint | None = mine[-1] if mine else None

    @property
    def workdir(self) -> Path:
        """A folder of the attempt's own, made on first use."""
        if self._at_work is None:
            if self._workdir is None:
                self._at_work = self._make_temporary()
            else:
                self._at_work = Path(self._workdir)
                self._at_work.mkdir(parents=True, exist_ok=True)
        return self._at_work

    def checkpoint(self, path: str | os.PathLike[str], step: int | None, *, move: bool = False) -> None:
        """Take a file or folder over as the checkpoint as of `step`, and remove those before it."""
        what = f"the checkpoint of trial {self._number}"
        source = _given(path, what)
        self._count += 1
        name = f"attempt{self._attempt}-{self._count:05}" + ("" if step is None else f"-step{step}")
        with self._arriving(CHECKPOINTS, what) as (folder, new):
            new.mkdir()
            self._take(source, new / source.name, move)
            new.rename(folder / name)
        if self._place is None or not self._place.all:
            self._forget(before=name)

    def save(self, name: str, path: str | os.PathLike[str], *, move: bool = False) -> None:
        """Take a file or folder over as the artifact `name`, in the place of an older one of that name."""
        if not isinstance(name, str) or not name or name.startswith(".") or os.sep in name:
            raise ObjectiveError(
                f"trial.save was given the name {name!r}. Use one without {os.sep!r} that does not begin with a dot."
            )
        what = f"the artifact {name!r} of trial {self._number}"
        source = _given(path, what)
        with self._arriving(ARTIFACTS, what) as (folder, new):
            self._take(source, new, move)
            target = folder / name
            if target.is_dir() or (new.is_dir() and target.exists()):  # neither can be replaced in one step
                remove(target)
            new.replace(target)

    def end(self) -> None:
        """Remove what was temporary."""
        for folder in self._temporary:
            shutil.rmtree(folder, ignore_errors=True)

    # --- small steps -----------------------------------------------------------------------------

    @contextmanager
    def _arriving(self, part: str, what: str) -> Iterator[tuple[Path, Path]]:
        """The folder for checkpoints or artifacts, and a path in it under which something may be put together."""
        if self._folder is None:
            self._folder = self._make_temporary()
        folder = self._folder / part
        new = folder / f".new-{uuid4().hex}"
        try:
            _make(folder)
            yield folder, new
        except (OSError, shutil.Error) as error:
            remove(new)
            raise ObjectiveError(
                f"{what} cannot be kept: {error}. Free some space, or look at its rights."
            ) from error

    def _take(self, source: Path, target: Path, move: bool) -> None:
        if move:
            shutil.move(source, target)
        elif source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copyfile(source, target)
        if self._place is not None and self._place.sync:
            _sync(target)

    def _forget(self, before: str) -> None:
        """Remove the checkpoints before one of our own; what this attempt began from stays until its end."""
        assert self._folder is not None
        for checkpoint in checkpoints(self._folder):
            if checkpoint.folder.name == before:
                return
            if checkpoint != self.restored:
                remove(checkpoint.folder)

    def _make_temporary(self) -> Path:
        folder = Path(tempfile.mkdtemp(prefix=f"luthier-{self._number}-", dir=self._scratch))
        self._temporary.append(folder)
        return folder


def remove(path: Path) -> None:
    """Remove a file or folder, which is gone at once: there is no moment at which half of it is there under its name."""
    gone = path.with_name(f".old-{uuid4().hex}")
    with suppress(OSError):  # somebody else was faster
        path.rename(gone)
        if gone.is_dir() and not gone.is_symlink():
            shutil.rmtree(gone, ignore_errors=True)
        else:
            gone.unlink()


def leftovers(trial: Path) -> list[Path]:
    """What was on its way in or out of a trial's folder when somebody was killed."""
    parts = (trial / CHECKPOINTS, trial / ARTIFACTS)
    return [path for part in parts if part.is_dir() for path in part.glob(".*")]


def _given(path: Any, what: str) -> Path:
    source = Path(path)
    if not source.exists():
        raise ObjectiveError(
            f"{what} is to be {str(path)!r}, which is not there. Write it first, then hand it over."
        )
    return source.absolute()


def _make(folder: Path) -> None:
    """Make a folder; that of a study in memory, which is among everybody's temporary files, for our eyes only."""
    study = folder.parent.parent
    if not study.exists():
        private = study.parent == Path(tempfile.gettempdir())
        study.parent.mkdir(parents=True, exist_ok=True)
        study.mkdir(mode=0o700 if private else 0o777, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)


def _sync(path: Path) -> None:
    """See to it that a file, or all in a folder, is on the disk before its name is."""
    for found in path.rglob("*") if path.is_dir() else (path,):
        if found.is_file():
            with found.open("rb") as file:
                os.fsync(file.fileno())
