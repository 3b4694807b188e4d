"""DEHB: Hyperband whose trials are children of differential evolution, with a population at each rung.

N. Awad, N. Mallik, F. Hutter, "DEHB: Evolutionary Hyperband for Scalable, Robust and Efficient Hyperparameter Optimization", IJCAI 2021,
arXiv:2105.09821. rand/1/bin in the unit cube as in `optimizers/de.py`. As published, and in the authors' implementation: the population
of a rung has as many slots as the largest bracket sends trials there, and each trial is made for a slot, in turn, which it takes if it is
no worse than who holds it. While the brackets are gone through for the first time, the best of a population go on to the next rung;
at the first rung of a bracket slots that were never given out take random points. Everything else is a child: its three parents come from
the same population at the first rung of a bracket, at the others from the best of the population below. A rung begins when the one
below has ended; workers that are free till then begin the next bracket.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from luthier.errors import InvalidStudy
from luthier.optimizers.base import Optimizer
from luthier.optimizers.random import Random
from luthier.optimizers.rungs import (
    Laddered,
    Rungs,
    begin,
    bracket_of,
    checked_factor,
    laddered,
    on_ladder,
    parents,
    ranked,
    sizes,
)
from luthier.optimizers.thaw import fidelity_of
from luthier.optimizers.wrap import TRIES, Merit, noisy, one_objective, usable
from luthier.space import Params
from luthier.study import Problem, Proposal, Trial, is_number

Floats = NDArray[np.float64]

PARENTS = 3
"""rand/1: from one, along the difference of two others."""


@dataclass(frozen=True, slots=True)
class DEHB:
    """Differential evolution at every rung of Hyperband's brackets. One objective; for many cheap trials in many parameters.

    `F` is the length of a step as a share of the difference of two members, `CR` how likely each parameter takes part in it. Only at first do trials
    go on; a child is a new point, and is trained from the start.
    """

    factor: float | None = None
    F: float = 0.5
    CR: float = 0.5
    pauses: ClassVar[bool] = True

    def __post_init__(self) -> None:
        checked_factor(self.factor)
        for name, value, most in (("F", self.F, 2.0), ("CR", self.CR, 1.0)):
            if not (is_number(value) and 0 < value <= most):
                raise InvalidStudy(f"{name} is {value!r}. Use a number above 0 and up to {most:g}.")

    def start(self, problem: Problem) -> Optimizer:
        """An optimiser for a problem of one objective with a fidelity; raises InvalidStudy for others."""
        one_objective(problem, "dehb")
        return _DEHB(problem, self, laddered(fidelity_of(problem, "dehb"), None, self.factor))


class _Member(NamedTuple):
    """Who holds a slot; `place` is its point in the unit cube, NaN where a parameter does not exist."""

    merit: Merit
    number: int
    place: Floats


class _Place(NamedTuple):
    """Where the next trial belongs: a bracket, its rung, and the rung of the whole ladder that this is."""

    bracket: int
    rung: int
    level: int


class _DEHB:
    def __init__(self, problem: Problem, settings: DEHB, fidelity: Laddered) -> None:
        self._problem = problem
        self._settings = settings
        self._fidelity = fidelity
        self._names = [name for name, parameter in problem.space.items() if parameter.size != 1]
        self._fresh = Random().start(on_ladder(problem, fidelity))
        ladder = fidelity.ladder
        most = len(ladder) - 1
        self._sizes = [sizes(most, s, fidelity.factor) for s in range(most, -1, -1)]
        self._ladder = Rungs(ladder)
        self._brackets: list[Rungs] = []
        self._over = 0
        slots = (max(self._sizes[b][level - b] for b in range(level + 1)) for level in range(len(ladder)))
        self._members: list[list[_Member | None]] = [[None] * n for n in slots]
        self._given = [0] * len(ladder)
        self._gone: set[int] = set()
        self._tried: set[str] = set()

    # --- learning ----------------------------------------------------------------------------

    def tell(self, finished: Sequence[Trial]) -> None:
        known = usable(finished, self._problem)
        self._fresh.tell(known)
        self._gone.update(parents(known))
        for trial in known:
            self._tried.add(self._problem.space.key(trial.params))
            bracket, level = bracket_of(trial), self._ladder.rung(trial)
            if bracket is None or level is None:
                continue
            self._bracket(bracket).add(trial, self._problem)
            self._ladder.add(trial, self._problem)
            self._given[level] += 1
            self._meet(trial, level)
        while self._over < len(self._brackets) and self._filled(self._over):
            self._over += 1

    def _filled(self, number: int) -> bool:
        """Whether a bracket is over."""
        last = self._sizes[number % len(self._sizes)][-1]
        return len(self._brackets[number].ended[-1]) >= last

    def _meet(self, trial: Trial, level: int) -> None:
        """The slot that the trial was made for is its own if it is free, or held by one that is no better."""
        slot, members = trial.tag.get("slot"), self._members[level]
        if isinstance(slot, bool) or not isinstance(slot, int) or not 0 <= slot < len(members):
            return
        holder = members[slot]
        child = _Member(ranked(trial, self._problem), trial.number, self._located(trial.params))
        if holder is None or child.merit <= holder.merit:
            members[slot] = child

    def _located(self, params: Params) -> Floats:
        space = self._problem.space
        units = [space[name].unit(params[name]) if name in params else math.nan for name in self._names]
        return np.array(units)

    # --- proposing ---------------------------------------------------------------------------

    def ask(self, pending: Sequence[Trial], rng: np.random.Generator) -> Proposal | None:
        pending = usable(pending, self._problem)
        place = self._next(pending)
        sent = self._ladder.sent([trial for trial in pending if bracket_of(trial) is not None])
        given = self._given[place.level] + sent[place.level]
        first = given < len(self._members[place.level])
        slot = given if first else self._slot(place.level, given, pending)
        if place.rung and place.bracket < len(self._sizes):
            proposal = self._promoted(place, slot, pending)
            if proposal is not None:
                return proposal
        child = None if first else self._evolved(place, slot, pending, rng)
        proposal = child or self._fresh.ask(pending, rng)
        if proposal is None:
            return self._last(pending)
        begun = begin(proposal, self._ladder.amounts[place.level], place.bracket)
        return replace(begun, tag={**begun.tag, "slot": slot})

    def _next(self, pending: Sequence[Trial]) -> _Place:
        running: dict[int | None, list[Trial]] = defaultdict(list)
        for trial in pending:
            running[bracket_of(trial)].append(trial)
        for number in count(self._over):
            rung = self._open(number, running[number])
            if rung is not None:
                return _Place(number, rung, number % len(self._sizes) + rung)
        raise AssertionError("a bracket that has not begun takes new points")

    def _open(self, number: int, pending: Sequence[Trial]) -> int | None:
        """The rung of a bracket that takes a trial; None while one has to end first, and when the bracket is over."""
        bracket = self._bracket(number)
        sent = bracket.sent(pending)
        for rung, size in enumerate(self._sizes[number % len(self._sizes)]):
            if len(bracket.ended[rung]) + sent[rung] < size:
                return rung
            if sent[rung]:
                return None
        return None

    def _slot(self, level: int, given: int, pending: Sequence[Trial]) -> int:
        """The next slot in turn, if need be after those that children are on their way to."""
        members = self._members[level]
        taken = {trial.tag.get("slot") for trial in pending if self._ladder.rung(trial) == level}
        turn = [(given + i) % len(members) for i in range(len(members))]
        return next((slot for slot in turn if slot not in taken), turn[0])

    def _promoted(self, place: _Place, slot: int, pending: Sequence[Trial]) -> Proposal | None:
        """The best of the population below that did not go on yet."""
        gone = self._gone.union(parents(pending))
        held = {member.number for member in self._members[place.level - 1] if member is not None}
        for rank, one in enumerate(self._ladder.ended[place.level - 1]):
            if one.promising and one.number in held and one.number not in gone:
                found = self._ladder.promoted(place.level - 1, rank, self._fidelity, "dehb", place.bracket)
                return replace(found, tag={**found.tag, "slot": slot})
        return None

    def _evolved(
        self, place: _Place, slot: int, pending: Sequence[Trial], rng: np.random.Generator
    ) -> Proposal | None:
        """A child for the slot that was not tried before; None where too few members are known, or only tried ones come up."""
        target = self._members[place.level][slot]
        pool = self._pool(place, rng)
        if target is None or len(pool) < PARENTS or not self._names:
            return None
        space = self._problem.space
        known: set[str] = set() if noisy(self._problem) else {space.key(trial.params) for trial in pending}
        for _ in range(TRIES):
            base, plus, minus = (pool[i] for i in rng.choice(len(pool), size=PARENTS, replace=False).tolist())
            params = self._child(target.place, base.place, plus.place, minus.place, rng)
            key = space.key(params)
            if noisy(self._problem) or (key not in known and key not in self._tried):
                return Proposal(params, tag={"by": "dehb", "why": f"a step from trial {base.number}"})
        return None

    def _pool(self, place: _Place, rng: np.random.Generator) -> list[_Member]:
        """Whom steps are made of: the population itself at a bracket's first rung, else as many of the best of the one below as trials are
        sent here. Too few are filled up from all populations.
        """
        below = place.level - (place.rung > 0)
        pool = sorted((m for m in self._members[below] if m is not None), key=_order)
        if place.rung:
            pool = pool[: self._sizes[place.bracket % len(self._sizes)][place.rung]]
        if len(pool) < PARENTS:
            chosen = {member.number for member in pool}
            others = [m for m in chain(*self._members) if m is not None and m.number not in chosen]
            fill = min(PARENTS + 1 - len(pool), len(others))
            pool += [others[i] for i in rng.choice(len(others), size=fill, replace=False).tolist()]
        return pool

    def _child(
        self, target: Floats, base: Floats, plus: Floats, minus: Floats, rng: np.random.Generator
    ) -> Params:
        # No step where one of the two does not have the parameter.
        mutant = base + self._settings.F * np.nan_to_num(plus - minus)
        fresh = rng.random(len(mutant))
        mutant = np.where((mutant < 0) | (mutant > 1), fresh, mutant)
        crossed = rng.random(len(mutant)) < self._settings.CR
        crossed[int(rng.integers(len(mutant)))] = True
        child = np.where(crossed, mutant, target)
        units = dict.fromkeys(self._problem.space, 0.5)
        units.update(zip(self._names, np.where(np.isnan(child), fresh, child).tolist(), strict=True))
        return self._problem.space.at(units)

    def _last(self, pending: Sequence[Trial]) -> Proposal | None:
        """Who goes on when no new point is left: asynchronous halving of all that there is."""
        gone = self._gone.union(parents(pending))
        found = self._ladder.promotion(gone, self._fidelity.factor, least=0 if pending else 1)
        return None if found is None else self._ladder.promoted(*found, self._fidelity, "dehb", 0)

    def _bracket(self, number: int) -> Rungs:
        """Bracket `number` of the study; those that nothing was told of are empty."""
        while len(self._brackets) <= number:
            self._brackets.append(Rungs(self._ladder.amounts[len(self._brackets) % len(self._sizes) :]))
        return self._brackets[number]


def _order(member: _Member) -> tuple[Merit, int]:
    return member[:2]
