"""Regularised evolution: the best of a few is changed a little, and the oldest dies.

E. Real, A. Aggarwal, Y. Huang, Q. V. Le, "Regularized Evolution for Image Classifier Architecture Search", AAAI 2019,
arXiv:1802.01548, Algorithm 1. Ageing keeps a lucky noisy value from ruling for ever.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from luthier.errors import InvalidStudy
from luthier.optimizers.base import Optimizer
from luthier.optimizers.wrap import Merit, at_least, merit, one_objective, propose, unique
from luthier.space import Choice, Parameter, Params, Scalar, Space
from luthier.study import Problem, Proposal, Trial

STEP = 0.15
"""Standard deviation of a mutation, in the unit interval."""


@dataclass(frozen=True, slots=True)
class Evolution:
    """Regularised evolution, without trying a point twice: `population` points at random, then children of the best of
    `sample` random members. One objective; for hundreds of trials and more.
    """

    population: int = 50
    sample: int = 10

    def __post_init__(self) -> None:
        at_least(2, population=self.population)
        at_least(1, sample=self.sample)
        if self.sample > self.population:
            raise InvalidStudy(
                f"sample is {self.sample} of a population of {self.population}. Use a sample no larger than that."
            )

    def start(self, problem: Problem) -> Optimizer:
        """An optimiser for a problem of one objective; raises InvalidStudy for more."""
        one_objective(problem, "evolution")
        return unique(_Evolution(problem, self), problem)


class Member(NamedTuple):
    """What is kept of a trial; members sort from best to worst, of equals the earlier first."""

    merit: Merit
    number: int
    params: Params


class _Evolution:
    def __init__(self, problem: Problem, settings: Evolution) -> None:
        self._problem = problem
        self._settings = settings
        self._members: deque[Member] = deque(maxlen=settings.population)
        self._told = 0

    def tell(self, finished: Sequence[Trial]) -> None:
        self._told += len(finished)
        for trial in finished[-self._settings.population :]:
            self._members.append(Member(merit(trial, self._problem), trial.number, trial.params))

    def ask(self, pending: Sequence[Trial], rng: np.random.Generator) -> Proposal:
        space = self._problem.space
        members, sample = self._members, self._settings.sample
        if self._told + len(pending) < self._settings.population or not members:
            return propose(self._problem, space.sample(rng), by="random", why="the first population")
        chosen = rng.choice(len(members), size=min(sample, len(members)), replace=False)
        parent = min((members[i] for i in chosen.tolist()), key=lambda member: member[:2])
        child = mutate(space, parent.params, rng, STEP)
        return propose(self._problem, child, by="evolution", parent=parent.number)


def mutate(space: Space, params: Params, rng: np.random.Generator, step: float) -> dict[str, Scalar]:
    """The point with one of its active parameters changed: a choice for another, anything else by a step with standard
    deviation `step` on its scale. Parameters that come into existence are drawn at random, those that cease to
    exist are dropped, and the others stay exactly as they were.
    """
    active = [name for name in space.active(params) if space[name].size != 1]
    if not active:
        return dict(params)
    name = active[int(rng.integers(len(active)))]
    return space.sample(rng, keep={**params, name: _changed(space[name], params[name], rng, step)})


def _changed(parameter: Parameter, value: Scalar, rng: np.random.Generator, step: float) -> Scalar:
    """Another value of a parameter that has more than one."""
    if isinstance(parameter, Choice) and not parameter.ordered:
        place = parameter.index(value)
        shares = np.array(parameter.weights or [1.0] * parameter.size)
        shares[place] = 0.0
        return parameter.values[int(rng.choice(parameter.size, p=shares / shares.sum()))]
    here = parameter.unit(value)
    for _ in range(20):
        new = parameter.at(_reflected(here + step * float(rng.standard_normal())))
        if new != value:
            return new
        step *= 1.5  # the cells of a coarse range are wider than the step
    return parameter.at(float(rng.random()))


def _reflected(unit: float) -> float:
    unit = abs(unit) % 2.0
    return 2.0 - unit if unit > 1.0 else unit
