"""Differential evolution: from one of the best, a step along the difference of two others.

R. Storn, K. Price, "Differential Evolution - A Simple and Efficient Heuristic for Global Optimization over Continuous
Spaces", Journal of Global Optimization 11, 1997; the start from one of the best as in J. Zhang, A. C. Sanderson, "JADE",
IEEE Transactions on Evolutionary Computation 13, 2009 (pbest/1/bin); in the unit cube and without
generations as in N. Awad, N. Mallik, F. Hutter, "DEHB", IJCAI 2021, arXiv:2105.09821: every value has its part of the
unit interval, what leaves the interval or does not exist is drawn at random, and each child meets the member whose slot it was
made for as soon as it ends.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from luthier.errors import InvalidStudy
from luthier.optimizers.base import Optimizer
from luthier.optimizers.quasirandom import SobolPoints
from luthier.optimizers.wrap import Merit, at_least, merit, one_objective, propose, unique
from luthier.study import Problem, Proposal, Trial

Floats = NDArray[np.float64]

ELITE = 0.2
"""The share of the population that steps start from."""


@dataclass(frozen=True, slots=True)
class DE:
    """Differential evolution with `population` slots, without trying a point twice. `F` is the length of a step on
    average, as a share of the difference of two members, `CR` how likely each parameter takes part in it. One
    objective; for hundreds of trials and more.
    """

    population: int = 14
    F: float = 0.6
    CR: float = 0.9

    def __post_init__(self) -> None:
        at_least(4, population=self.population)
        for name, value, most in (("F", self.F, 2.0), ("CR", self.CR, 1.0)):
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
                raise InvalidStudy(f"{name} is {value!r}. Use a number above 0 and up to {most:g}.")

    def start(self, problem: Problem) -> Optimizer:
        """An optimiser for a problem of one objective; raises InvalidStudy for more."""
        one_objective(problem, "de")
        return unique(_DE(problem, self), problem)


class _Member(NamedTuple):
    """Who holds a slot; `place` is its point in the unit cube, NaN where a parameter does not exist."""

    merit: Merit
    number: int
    place: Floats


class _DE:
    def __init__(self, problem: Problem, settings: DE) -> None:
        self._problem = problem
        self._settings = settings
        self._names = [name for name, parameter in problem.space.items() if parameter.size != 1]
        self._sobol = SobolPoints(problem)
        self._told = 0
        self._members: list[_Member] = []

    def tell(self, finished: Sequence[Trial]) -> None:
        self._told += len(finished)
        self._sobol.tell(finished)
        for trial in finished:
            self._meet(
                _Member(merit(trial, self._problem), trial.number, self._place(trial)), trial.tag.get("slot")
            )

    def _meet(self, child: _Member, slot: object) -> None:
        """Fill a free slot, or take that of a member that is no better: of the one it was made for, else of the worst."""
        if len(self._members) < self._settings.population:
            self._members.append(child)
            return
        if isinstance(slot, bool) or not isinstance(slot, int) or not 0 <= slot < len(self._members):
            slot = max(range(len(self._members)), key=lambda i: self._members[i][:2])
        if child.merit <= self._members[slot].merit:
            self._members[slot] = child

    def ask(self, pending: Sequence[Trial], rng: np.random.Generator) -> Proposal:
        size = self._settings.population
        if self._told + len(pending) < size or len(self._members) < 4 or not self._names:
            proposal = self._sobol.ask(pending, rng)
            return propose(
                self._problem, proposal.params, **proposal.tag, why=f"the first population of {size}"
            )
        slot = self._slot(pending)
        child, base = self._child(slot, rng)
        units = dict.fromkeys(self._problem.space, 0.5)
        units.update(zip(self._names, child.tolist(), strict=True))
        why = f"a step from trial {base}"
        return propose(self._problem, self._problem.space.at(units), by="de", slot=slot, why=why)

    def _slot(self, pending: Sequence[Trial]) -> int:
        """The next slot in turn, if need be after those that children are on their way to."""
        taken = {trial.tag.get("slot") for trial in pending}
        turn = [(self._told + len(pending) + i) % len(self._members) for i in range(len(self._members))]
        return next((slot for slot in turn if slot not in taken), turn[0])

    def _child(self, slot: int, rng: np.random.Generator) -> tuple[Floats, int]:
        """A point made for the slot, and the number of the trial it starts from."""
        ranked = sorted(self._members, key=lambda member: member[:2])
        base = ranked[int(rng.integers(math.ceil(ELITE * len(ranked))))]
        others = [member for i, member in enumerate(self._members) if i != slot and member is not base]
        plus, minus = (others[i] for i in rng.choice(len(others), size=2, replace=False).tolist())
        # Steps of one length only would make a small population flat before its time.
        length = self._settings.F * float(rng.uniform(0.5, 1.5))
        # No step where one of the two does not have the parameter.
        mutant = base.place + length * np.nan_to_num(plus.place - minus.place)
        fresh = rng.random(len(mutant))
        mutant = np.where((mutant < 0) | (mutant > 1), fresh, mutant)
        crossed = rng.random(len(mutant)) < self._settings.CR
        crossed[int(rng.integers(len(mutant)))] = True
        child = np.where(crossed, mutant, self._members[slot].place)
        return np.where(np.isnan(child), fresh, child), base.number

    def _place(self, trial: Trial) -> Floats:
        space, params = self._problem.space, trial.params
        return np.array(
            [space[name].unit(params[name]) if name in params else math.nan for name in self._names]
        )
