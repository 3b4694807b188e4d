"""What the objective is expected to be, by the Gaussian process of the default algorithm, whatever algorithm made the trials;
and so which of the points that were tried is best where a lucky measurement should not decide.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from luthier.errors import LuthierError
from luthier.optimizers.gp import GP
from luthier.optimizers.gp.optimizer import Process
from luthier.optimizers.wrap import usable
from luthier.space import Params
from luthier.study import History, State, Trial

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Expected:
    """A point that was tried: its first trial, `mean` and standard deviation of what one more would measure there, and
    the values that were measured.
    """

    trial: Trial
    mean: float
    sd: float
    seen: tuple[float, ...]


def predict(history: History, rows: Sequence[Params]) -> tuple[Floats, Floats]:
    """What the objective is expected to be at points of the space, and its standard deviation, noise included; both of
    shape (rows,). Raises InvalidParams for a point that is not one, LuthierError where no two trials have different values.
    """
    for row in rows:
        history.problem.space.check(row)
    mean, sd = _models.told(history).process.predict(rows)
    if np.isnan(mean).any():
        n = np.count_nonzero(np.isfinite(history.values))
        found = "all have the same value" if n > 1 else f"{n} of {len(history)} trials completed with a value"
        raise LuthierError(f"{found}; to say what to expect takes two that differ. Run more trials first.")
    return mean, sd


def best_of(history: History) -> Trial | None:
    """The trial to go by: where the objective is noisy, the first one of the feasible point with the best expectation,
    else (and until there is a model) the one with the best value.
    """
    points = ranking(history)
    return points[0].trial if points else history.best()


def ranking(history: History) -> list[Expected]:
    """The feasible points tried so far, that with the best expectation first. Empty where the objective is not noisy, which
    costs nothing, and until there is a model.
    """
    return _models.told(history).ranked(history) if history.problem.objective.noisy else []


class _Model:
    """A process, as of the first so many finished trials of a history."""

    def __init__(self, history: History) -> None:
        self.process = Process(history.problem, GP())
        self.told = 0
        self._ranked: list[Expected] | None = None

    def tell(self, history: History) -> None:
        new = history.finished()[self.told :]
        if new:
            self.process.tell(usable(new, history.problem))
            self.told += len(new)
            self._ranked = None

    def ranked(self, history: History) -> list[Expected]:
        if self._ranked is None:
            self._ranked = _ranked(history, self.process)
        return self._ranked


class _Models:
    """The model of each history that is looked at, kept while the history is: what is new is told, not everything again."""

    def __init__(self) -> None:
        self._of: WeakKeyDictionary[History, _Model] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def told(self, history: History) -> _Model:
        with self._lock:
            if history not in self._of:
                self._of[history] = _Model(history)
            model = self._of[history]
            model.tell(history)
            return model


_models = _Models()


def _ranked(history: History, process: Process) -> list[Expected]:
    space, objective = history.problem.space, history.problem.objective
    points: dict[str, list[Trial]] = {}
    for trial in history:
        valued = trial.state is State.COMPLETED and math.isfinite(history.value(trial))
        if valued and history.feasible(trial) and space.allows(trial.params):
            points.setdefault(space.key(trial.params), []).append(trial)
    tried = list(points.values())
    means, sds = process.predict([trials[0].params for trials in tried])
    found = [
        Expected(trials[0], mean, sd, tuple(history.value(trial) for trial in trials))
        for trials, mean, sd in zip(tried, means.tolist(), sds.tolist(), strict=True)
        if not math.isnan(mean)
    ]
    return sorted(found, key=lambda point: (objective.sign * point.mean, point.trial.number))
