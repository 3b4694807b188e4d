"""Grid search: every combination, each exactly once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from luthier.errors import InvalidStudy
from luthier.optimizers.base import LATER, Optimizer
from luthier.optimizers.wrap import at_least, propose
from luthier.space import Points, Scalar
from luthier.study import Problem, Proposal, Trial


@dataclass(frozen=True, slots=True)
class Grid:
    """Every combination of values, in order, with `levels` values for a continuous Float, and for an Int that
    has more than twice as many.

    The number of its point is in each trial's tag, and that is how points are told apart: each is proposed exactly
    once, whatever engines work on the study and whatever becomes of the trial; also where the objective is noisy.

    Points that have all the values of a mapping in `skip` are left out: `skip=[{"penalty": "l1", "solver": "lbfgs"}]`.
    """

    levels: int = 5
    skip: Sequence[Mapping[str, Scalar]] = field(default=(), metadata=LATER)

    def __post_init__(self) -> None:
        at_least(1, levels=self.levels)
        if isinstance(self.skip, str | Mapping) or not all(isinstance(point, Mapping) for point in self.skip):
            raise InvalidStudy(
                f"skip is {self.skip!r}. Use a list of values to leave out together, as in [{{'solver': 'lbfgs', 'penalty': 'l1'}}]."
            )
        object.__setattr__(self, "skip", tuple(dict(point) for point in self.skip))

    def start(self, problem: Problem) -> Optimizer:
        """An optimiser for any problem, however many points that makes."""
        return _Grid(problem, Points(problem.space, self.levels, self.skip))


class _Grid:
    def __init__(self, problem: Problem, points: Points) -> None:
        self._problem = problem
        self._points = points
        self._first = 0  # every point before this one was tried
        self._tried: set[int] = set()  # and so were these

    def tell(self, finished: Sequence[Trial]) -> None:
        self._tried.update(_numbers(finished))
        while self._first in self._tried:
            self._tried.remove(self._first)
            self._first += 1

    def ask(self, pending: Sequence[Trial], rng: np.random.Generator) -> Proposal | None:
        waiting = _numbers(pending)
        number = self._first
        while number in self._tried or number in waiting:
            number += 1
        if number >= self._points.size:
            return None
        return propose(self._problem, self._points[number], by="grid", grid=number)


def _numbers(trials: Sequence[Trial]) -> set[int]:
    return {number for trial in trials if isinstance(number := trial.tag.get("grid"), int)}
