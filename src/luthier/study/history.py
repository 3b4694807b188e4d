"""History: all trials of a study as of a cursor, with what is asked of them most kept up to date.

It only grows by `merge`, which costs what the change costs, however long the study: running counts, the
trials that are pending, the best so far and the objective's values are kept, not computed again.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from luthier.study.spec import Problem
from luthier.study.trial import State, Trial


class History(Collection[Trial]):
    """Trials by number."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.cursor = 0
        self.counts: dict[State, int] = dict.fromkeys(State, 0)
        self._trials: list[Trial] = []
        self._pending: dict[int, Trial] = {}
        self._finished: list[int] = []
        self._values = np.empty(64)
        self._best: int | None = None

    def merge(self, changed: Sequence[Trial], cursor: int) -> list[Trial]:
        """Take in what changed since the last cursor, and return the trials that ended with it, in the order given."""
        # The feed is ordered by last change, so number 7 may come before number 2; together they leave no gap.
        known = len(self._trials)
        new = sorted((trial for trial in changed if trial.number >= known), key=lambda trial: trial.number)
        self._trials.extend(new)
        finished = []
        for trial in changed:
            if trial.number < known:
                old = self._trials[trial.number]
                if old.state.ended:
                    continue  # nothing changes a trial that ended
                self.counts[old.state] -= 1
                self._trials[trial.number] = trial
            self.counts[trial.state] += 1
            if trial.state.ended:
                self._pending.pop(trial.number, None)
                finished.append(trial)
                self._finish(trial)
            else:
                self._pending[trial.number] = trial
        self.cursor = cursor
        return finished

    def _finish(self, trial: Trial) -> None:
        self._finished.append(trial.number)
        if len(self._finished) > len(self._values):
            self._values = np.concatenate([self._values, np.empty(len(self._values))])
        self._values[len(self._finished) - 1] = self.value(trial)
        if trial.state is State.COMPLETED and self._better(trial, self._best):
            self._best = trial.number

    def _better(self, trial: Trial, than: int | None) -> bool:
        value = self.problem.objective.sign * self.value(trial)
        if math.isnan(value):
            return False
        if than is None:
            return self.problem.space.allows(trial.params)
        other = self._trials[than]
        mine, theirs = self.feasible(trial), self.feasible(other)
        if mine == theirs:
            mine = (value, trial.number) < (self.problem.objective.sign * self.value(other), than)
        return mine and self.problem.space.allows(trial.params)

    def __len__(self) -> int:
        return len(self._trials)

    def __getitem__(self, number: int) -> Trial:
        return self._trials[number]

    def __contains__(self, trial: object) -> bool:
        return isinstance(trial, Trial) and trial.number < len(self) and self._trials[trial.number] == trial

    def __iter__(self) -> Iterator[Trial]:
        return iter(self._trials)

    def pending(self) -> list[Trial]:
        """Trials that wait or run, by number."""
        return sorted(self._pending.values(), key=lambda trial: trial.number)

    def finished(self) -> list[Trial]:
        """Trials that ended, in the order in which they did."""
        return [self._trials[number] for number in self._finished]

    @property
    def latest(self) -> Trial | None:
        """The trial that ended last."""
        return self._trials[self._finished[-1]] if self._finished else None

    @property
    def ended(self) -> int:
        """How many trials ended."""
        return len(self._finished)

    @property
    def values(self) -> NDArray[np.float64]:
        """The first objective of the trials that ended, in that order; NaN where there is none. Shape (ended,)."""
        return self._values[: len(self._finished)]

    def cost(self, currency: str, now: float) -> float:
        """What all trials cost so far (`Trial.cost`)."""
        return math.fsum(trial.cost(currency, now) for trial in self._trials)

    def value(self, trial: Trial) -> float:
        """The trial's value of the first objective; NaN if it did not complete, or is not trained in full."""
        fidelity = self.problem.fidelity
        if trial.state is not State.COMPLETED or not (fidelity is None or fidelity.full(trial.fidelity)):
            return math.nan
        return trial.metrics.get(self.problem.objective.metric, math.nan)

    def feasible(self, trial: Trial) -> bool:
        """Whether the trial meets every constraint."""
        return self.problem.feasible(trial.metrics)

    def best(self) -> Trial | None:
        """The completed trial with the best first objective, feasible before infeasible; of equals the lowest number.

        It lies in the space: the defaults of an estimator, say, are tried where they do not, but not chosen.
        """
        return None if self._best is None else self._trials[self._best]
