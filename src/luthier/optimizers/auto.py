"""Auto: the algorithm that fits the problem and what is known of it so far, saying which and why in the tag.

A small finite space is tried out whole. Else Sobol's points come first; then steps of all lengths from the best few
points, with a random point now and then.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from luthier.optimizers.base import Optimizer
from luthier.optimizers.evolution import Member, mutate
from luthier.optimizers.quasirandom import SobolPoints
from luthier.optimizers.wrap import merit, propose, unique, usable
from luthier.space import Points, size
from luthier.study import Problem, Proposal, Trial

SMALL = 100
"""Up to so many points a space is tried out whole."""
BEST = 5
"""From so many of the best points steps are made."""
EXPLORE = 0.1
"""The share of random points after the first ones."""
STEPS = (0.01, 0.3)
"""The shortest and longest step, as a standard deviation in the unit interval; in between evenly on a log scale."""


@dataclass(frozen=True, slots=True)
class Auto:
    """Chooses by the problem; never tries a point twice. The default."""

    def start(self, problem: Problem) -> Optimizer:
        """An optimiser for any problem; where there are several objectives it spreads points evenly."""
        points = size(problem.space)
        if points is not None and points <= SMALL:
            return _Everything(problem)
        return unique(_Auto(problem), problem)


class _Everything:
    """Every point of a small space, in random order."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._points = {problem.space.key(point): point for point in Points(problem.space)}
        self._why = f"the space has only {len(self._points)} points"
        self._left = list(self._points)

    def tell(self, finished: Sequence[Trial]) -> None:
        tried = {self._problem.space.key(trial.params) for trial in usable(finished, self._problem)}
        self._left = [key for key in self._left if key not in tried]

    def ask(self, pending: Sequence[Trial], rng: np.random.Generator) -> Proposal | None:
        waiting = {self._problem.space.key(trial.params) for trial in usable(pending, self._problem)}
        left = [key for key in self._left if key not in waiting]
        if not left:
            return None
        return propose(
            self._problem, self._points[left[int(rng.integers(len(left)))]], by="grid", why=self._why
        )


class _Auto:
    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._sobol = SobolPoints(problem)
        varying = sum(parameter.size != 1 for parameter in problem.space.values())
        self._first = min(max(10, 2 * varying), 30)
        self._told = 0
        self._best: list[Member] = []

    def tell(self, finished: Sequence[Trial]) -> None:
        self._told += len(finished)
        self._sobol.tell(finished)
        members = [Member(merit(trial, self._problem), trial.number, trial.params) for trial in finished]
        self._best = heapq.nsmallest(BEST, [*self._best, *members], key=lambda member: member[:2])

    def ask(self, pending: Sequence[Trial], rng: np.random.Generator) -> Proposal:
        problem = self._problem
        if len(problem.objectives) > 1:
            return self._spread(pending, rng, "several objectives")
        if self._told + len(pending) < self._first:
            return self._spread(pending, rng, f"the first {self._first} points")
        if not self._best or rng.random() < EXPLORE:
            return propose(problem, problem.space.sample(rng), by="random", why="to explore")
        # The better, the likelier: the first of two draws by rank.
        parent = self._best[int(rng.integers(len(self._best), size=2).min())]
        child = mutate(problem.space, parent.params, rng, step := self._step(rng))
        if rng.random() < 0.5:
            child = mutate(problem.space, child, rng, step)
        return propose(problem, child, by="steps", why="from one of the best", parent=parent.number)

    def _spread(self, pending: Sequence[Trial], rng: np.random.Generator, why: str) -> Proposal:
        proposal = self._sobol.ask(pending, rng)
        return propose(self._problem, proposal.params, **proposal.tag, why=why)

    @staticmethod
    def _step(rng: np.random.Generator) -> float:
        shortest, longest = STEPS
        return math.exp(rng.uniform(math.log(shortest), math.log(longest)))
