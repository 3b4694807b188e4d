"""The files of all trials of a study: where they are, what they take, and what is thrown away."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from luthier.files.attempt import (
    ARTIFACTS,
    CHECKPOINTS,
    AttemptFiles,
    Checkpoint,
    Place,
    checkpoints,
    leftovers,
    remove,
)
from luthier.files.choose import best_of, needed, worst_first
from luthier.files.settings import Files
from luthier.study import History, Trial


@dataclass(frozen=True, slots=True)
class TrialFiles:
    """What is kept of a trial: its checkpoints, the last one last, its artifacts by name, and how many bytes that takes."""

    number: int
    checkpoints: tuple[Checkpoint, ...]
    artifacts: Mapping[str, Path]
    bytes: int

    @property
    def checkpoint(self) -> Path | None:
        """The last checkpoint, as the file or folder it was."""
        return self.checkpoints[-1].path if self.checkpoints else None


class StudyFiles:
    """`study.files[33].checkpoint`, `study.files[33].artifacts["model"]`, `study.files.used`.

    What lives only as long as this process is not `lasting`. `say` is told once when the quota cannot be kept.
    """

    def __init__(
        self,
        root: Path,
        settings: Files | None = None,
        *,
        lasting: bool = True,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.root = root
        self.settings = settings or Files()
        self._lasting = lasting
        self._say = say
        self._sizes: dict[int, int] = {}  # of trials that ended, by number
        self._full = False

    def __getitem__(self, number: int) -> TrialFiles:
        """What is kept of a trial; nothing of one that there is not."""
        folder = self._of(number)
        artifacts = {path.name: path for path in _within(folder / ARTIFACTS) if path.name[0] != "."}
        return TrialFiles(number, tuple(checkpoints(folder)), artifacts, _bytes(folder))

    def __iter__(self) -> Iterator[TrialFiles]:
        """The trials of which something is kept, by number."""
        numbers = sorted(int(path.name) for path in _within(self.root) if path.name.isdecimal())
        return (found for number in numbers if (found := self[number]).checkpoints or found.artifacts)

    @property
    def used(self) -> int:
        """How many bytes checkpoints and artifacts take."""
        return sum(found.bytes for found in self)

    # --- for those who run trials ------------------------------------------------------------------

    def workdir(self, trial: Trial) -> str | None:
        """The work directory of the attempt at hand; None where it is to be a temporary one."""
        return f"{self.root}{os.sep}{trial.number}{os.sep}{trial.attempt}" if self._lasting else None

    def place(self, trial: Trial) -> Place:
        """Where the worker finds and puts the trial's files."""
        parent = None if trial.parent is None else str(self._of(trial.parent))
        return Place(str(self._of(trial.number)), parent, self.settings.keep == "all", self._lasting)

    def attempt(self, trial: Trial) -> AttemptFiles:
        """The files of the attempt at hand, for people who own their loop."""
        return AttemptFiles(trial.number, trial.attempt, self.place(trial), self.workdir(trial))

    def clear(self) -> None:
        """Remove what another study of this name has left."""
        for path in _within(self.root):
            for part in (CHECKPOINTS, ARTIFACTS):
                remove(path / part)

    # --- throwing away -----------------------------------------------------------------------------

    def tidy(self, history: History, ended: Sequence[Trial]) -> None:
        """Throw away what the settings do not keep of trials that have `ended`, and make room for the others."""
        if not ended or not self.root.is_dir():
            return
        for trial in ended:
            self._trim(trial.number)
        if self._sizes and self.settings.keep == "best":
            self._drop_all_but_best(history)
        if self._sizes and self.settings.quota is not None:
            self._fit(history, self.settings.quota)

    def _trim(self, number: int) -> None:
        folder = self._of(number)
        for path in leftovers(folder):
            remove(path)
        if self.settings.keep != "all":
            for checkpoint in checkpoints(folder)[:-1]:
                remove(checkpoint.folder)
        self._measure(number)

    def _measure(self, number: int) -> int:
        """Look how much a trial takes; answers by how much more that is than before."""
        before, now = self._sizes.pop(number, 0), _bytes(self._of(number))
        if now:
            self._sizes[number] = now
        return now - before

    def _drop_all_but_best(self, history: History) -> None:
        trials = self._trials(history)
        kept = best_of(trials, history, self.settings.best) | needed(history, promotable=True)
        for trial in trials:
            if trial.number not in kept:
                remove(self._of(trial.number) / CHECKPOINTS)
                self._measure(trial.number)

    def _fit(self, history: History, quota: float) -> None:
        """Remove files until what is left fits, if need be."""
        used = sum(self._sizes.values()) + sum(_bytes(self._of(trial.number)) for trial in history.pending())
        for path in self._superfluous(history) if used > quota else ():
            remove(path)
            used += self._measure(int(path.relative_to(self.root).parts[0]))
            if used <= quota:
                break
        if used > quota and not self._full:
            self._say(
                f"checkpoints and artifacts take {meter(used, quota)}, and what is left belongs to running trials and the best "
                f"{self.settings.best}. Nothing of these is removed; raise the quota, or keep less."
            )
        self._full = used > quota

    def _superfluous(self, history: History) -> Iterator[Path]:
        """What may go, what is missed least first."""
        trials = self._trials(history)
        untouchable = best_of(trials, history, self.settings.best) | needed(history, promotable=False)
        order = worst_first([trial for trial in trials if trial.number not in untouchable], history)
        for trial in sorted(order, key=lambda trial: trial.number):
            yield from (checkpoint.folder for checkpoint in checkpoints(self._of(trial.number))[:-1])
        later = needed(history, promotable=True)
        for promotable in (False, True):
            for trial in order:
                if (trial.number in later) == promotable:
                    yield self._of(trial.number) / CHECKPOINTS
        for trial in order:
            yield self._of(trial.number) / ARTIFACTS

    def _trials(self, history: History) -> list[Trial]:
        """The trials that ended and have files."""
        return [history[number] for number in self._sizes]

    def _of(self, number: int) -> Path:
        return self.root / str(number)


def size(count: float) -> str:
    """Bytes for people: 1.2 GB."""
    for unit, bytes_ in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= bytes_:
            return f"{count / bytes_:.3g} {unit}"
    return f"{count:g} bytes"


def meter(used: float, quota: float | None) -> str:
    """What is taken of what may be: 1.2 of 10 GB."""
    if quota is None:
        return size(used)
    short, whole = size(used), size(quota)
    same = short.partition(" ")[2] == whole.partition(" ")[2]
    return f"{short.partition(' ')[0] if same else short} of {whole}"


def _within(folder: Path) -> Collection[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return ()


def _bytes(trial: Path) -> int:
    """What the checkpoints and artifacts of a trial take."""
    return _sum(os.path.join(trial, CHECKPOINTS)) + _sum(os.path.join(trial, ARTIFACTS))  # noqa: PTH118 - often asked


def _sum(folder: str) -> int:
    total = 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    total += _sum(entry.path)
                else:
                    total += entry.stat(follow_symlinks=False).st_size
    except (FileNotFoundError, NotADirectoryError):  # nothing was kept, or it has just been removed
        pass
    return total
