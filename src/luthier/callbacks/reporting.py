"""What the callbacks of all libraries have in common."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol, SupportsFloat

from luthier.errors import InvalidStudy


class Reporting(Protocol):
    """What of a trial they need: an objective's `trial` has it, and what `study.ask()` returns."""

    @property
    def workdir(self) -> Path: ...
    @property
    def restored(self) -> Path | None: ...
    @property
    def restored_step(self) -> int | None: ...
    def report(self, step: int, metrics: Mapping[str, float] | None = None, /, **more: float) -> None: ...
    def checkpoint(
        self, path: str | os.PathLike[str], *, step: int | None = None, move: bool = False
    ) -> None: ...


class Reporter:
    """Reports to a trial under the names of the study, and hands over a checkpoint after `every` so many steps."""

    def __init__(self, trial: Reporting, every: int | None, names: Mapping[str, str] | None) -> None:
        if every is not None and (isinstance(every, bool) or not isinstance(every, int) or every < 1):
            raise InvalidStudy(f"every is {every!r}. Use a whole number of at least 1, or leave it out.")
        self.trial = trial
        self.every = every
        self.names = names or {}
        self.step = trial.restored_step or 0
        self._kept = self.step
        self._since = 0

    def report(self, step: int, metrics: Mapping[str, SupportsFloat]) -> None:
        """Say how it is going, if anything was measured; raises Stop."""
        self.step = step
        if metrics:
            self.trial.report(step, {self.names.get(n, n): float(value) for n, value in metrics.items()})

    def keep(self, file: str, write: Callable[[str], object], *, last: bool = False) -> None:
        """Have a checkpoint written and hand it over, where one is due; `last` where training ends with this step."""
        if self.every is None or self._kept == self.step:
            return
        self._since += 1
        if self._since < self.every and not last:
            return
        path = self.trial.workdir / file
        write(str(path))
        self.trial.checkpoint(path, step=self.step, move=True)
        self._kept, self._since = self.step, 0


def by_set(measured: Mapping[str, Mapping[str, SupportsFloat]]) -> dict[str, SupportsFloat]:
    """The metrics of evaluation sets as SET-METRIC, and those of the last set by METRIC alone."""
    found = {
        f"{name}-{metric}": value for name, of_set in measured.items() for metric, value in of_set.items()
    }
    return {**found, **(measured[[*measured][-1]] if measured else {})}
