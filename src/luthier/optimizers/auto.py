"""Auto: the algorithm that fits the problem and what is known of it so far, saying which and why in the tag.

A small finite space is tried out whole, after which a study of a noisy objective goes on. Several objectives are met with
points spread evenly; where trainings need not go all the way, freeze-thaw decides how far. Everything else is for the Gaussian process, and from a thousand trials on for differential evolution,
which then finds more (docs/benchmarks.md). The choice goes by the problem and by what was found, never by how long anything
took, so that it is the same in a replay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from luthier.optimizers.base import Optimizer
from luthier.optimizers.de import DE
from luthier.optimizers.gp import GP
from luthier.optimizers.quasirandom import SobolPoints
from luthier.optimizers.thaw import FreezeThaw
from luthier.optimizers.wrap import noisy, propose, unique, usable
from luthier.space import Points, size
from luthier.study import Problem, Proposal, Trial

SMALL = 100
"""Up to so many points a space is tried out whole."""
MANY = 1000
"""From so many trials on a population takes over: the model has seen what it can, and trials are likely to be cheap."""


@dataclass(frozen=True, slots=True)
class Auto:
    """Chooses by the problem; tries a point twice only where the objective is noisy. The default."""

    def start(self, problem: Problem) -> Optimizer:
        """An optimiser for any problem; where there are several objectives it spreads points evenly."""
        if problem.fidelity is not None and len(problem.objectives) == 1:
            return FreezeThaw(through=True).start(problem)
        points = size(problem.space)
        if points is not None and points <= SMALL:
            return _Everything(problem, _searched(problem) if noisy(problem) else None)
        return _searched(problem)


def _searched(problem: Problem) -> Optimizer:
    """A search, for what cannot be settled by trying everything once."""
    return unique(_Spread(problem), problem) if len(problem.objectives) > 1 else _Auto(problem)


class _Everything:
    """Every point of a small space, in random order; then what `after` proposes."""

    def __init__(self, problem: Problem, after: Optimizer | None) -> None:
        self._problem = problem
        self._after = after
        self._points = {problem.space.key(point): point for point in Points(problem.space)}
        self._why = f"the space has only {len(self._points)} points"
        self._left = list(self._points)

    def tell(self, finished: Sequence[Trial]) -> None:
        tried = {self._problem.space.key(trial.params) for trial in usable(finished, self._problem)}
        self._left = [key for key in self._left if key not in tried]
        if self._after is not None:
            self._after.tell(finished)

    def ask(self, pending: Sequence[Trial], rng: np.random.Generator) -> Proposal | None:
        waiting = {self._problem.space.key(trial.params) for trial in usable(pending, self._problem)}
        left = [key for key in self._left if key not in waiting]
        if not left:
            return None if self._after is None else self._after.ask(pending, rng)
        return propose(
            self._problem, self._points[left[int(rng.integers(len(left)))]], by="grid", why=self._why
        )


class _Spread:
    """Points that fill the space evenly: all that is known to do for several objectives yet."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._sobol = SobolPoints(problem)

    def tell(self, finished: Sequence[Trial]) -> None:
        self._sobol.tell(finished)

    def ask(self, pending: Sequence[Trial], rng: np.random.Generator) -> Proposal:
        proposal = self._sobol.ask(pending, rng)
        return propose(self._problem, proposal.params, **proposal.tag, why="several objectives")


class _Auto:
    """The model that finds most with few trials, until there are so many that it finds no more."""

    def __init__(self, problem: Problem) -> None:
        self._few = GP().start(problem)
        self._many = DE().start(problem)
        self._told = 0

    def tell(self, finished: Sequence[Trial]) -> None:
        self._told += len(finished)
        self._few.tell(finished)
        self._many.tell(finished)

    def ask(self, pending: Sequence[Trial], rng: np.random.Generator) -> Proposal | None:
        return (self._few if self._told < MANY else self._many).ask(pending, rng)
