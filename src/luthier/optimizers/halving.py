"""ASHA, Hyperband and BOHB: many short trainings, of which the best at each rung go on to the next.

L. Li, K. Jamieson, A. Rostamizadeh et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020,
arXiv:1810.05934 (ASHA, Algorithm 2); L. Li, K. Jamieson, G. DeSalvo, A. Rostamizadeh, A. Talwalkar, "Hyperband", JMLR 18, 2018;
S. Falkner, A. Klein, F. Hutter, "BOHB", ICML 2018, arXiv:1807.01774.

All of them begin at the fidelity's `low`, as published; what is seen there often says little of the end, so choose `low` with care
(docs/benchmarks.md). A trial at a rung is a completed one below the full fidelity, and going on is a new trial with the old one as
its parent. Where the fidelity `resumes`, the new one starts from the checkpoint of the old one; where it does not, it is trained
again from the start, and that costs as much as it costs. The algorithms are the same. What failed, was stopped or has no
finite loss counts as worst at its rung and does not go on. When no new point is left, the best of each rung still go
on, at least one, until one is trained in full.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import count
from typing import ClassVar

import numpy as np

from luthier.errors import InvalidStudy
from luthier.optimizers.base import Algorithm, Optimizer
from luthier.optimizers.gp import GP
from luthier.optimizers.random import Random
from luthier.optimizers.rungs import (
    Laddered,
    Mixed,
    Rungs,
    begin,
    bracket_of,
    checked_factor,
    laddered,
    on_ladder,
    parents,
    searching,
    sizes,
)
from luthier.optimizers.thaw import fidelity_of
from luthier.optimizers.wrap import at_least, one_objective, usable
from luthier.study import Problem, Proposal, Trial, is_number

HOLDS_ALGORITHM = {"holds": "algorithm"}
"""`field(metadata=HOLDS_ALGORITHM)` for an algorithm in another one: written by name, and made again from that (luthier.plugins)."""


@dataclass(frozen=True, slots=True)
class ASHA:
    """Asynchronous successive halving: whoever is among the best 1 / `factor` of all that ever ended at its rung goes on, and
    nobody waits for anybody. One objective.

    Rungs go from `low` up by `factor`, by default those of the fidelity. `by` proposes new points, by name or as an algorithm:
    "gp" and "auto" learn from what ended at any rung; others take losses at all rungs for comparable. With several `brackets` some trials
    begin at the second rung, the third and so on, as many as in Hyperband; results are compared within a bracket. A trial's way to
    the top takes as many trials as there are rungs: count them in the budget.
    """

    factor: float | None = None
    low: float | None = None
    brackets: int = 1
    by: str | Algorithm = field(default="random", metadata=HOLDS_ALGORITHM)
    pauses: ClassVar[bool] = True

    def __post_init__(self) -> None:
        checked_factor(self.factor)
        at_least(1, brackets=self.brackets)
        object.__setattr__(self, "by", searching(self.by))

    def start(self, problem: Problem) -> Optimizer:
        """An optimiser for a problem of one objective with a fidelity; raises InvalidStudy for others."""
        one_objective(problem, "asha")
        fidelity = laddered(fidelity_of(problem, "asha"), self.low, self.factor)
        if self.brackets > len(fidelity.ladder):
            raise InvalidStudy(
                f"brackets is {self.brackets}, and there are {len(fidelity.ladder)} rungs from {fidelity.low:g} to {fidelity.high:g} "
                f"{fidelity.name}. Use no more brackets than rungs."
            )
        return _ASHA(problem, fidelity, self.brackets, searching(self.by).start(on_ladder(problem, fidelity)))


class _ASHA:
    def __init__(self, problem: Problem, fidelity: Laddered, brackets: int, new: Optimizer) -> None:
        self._problem = problem
        self._fidelity = fidelity
        self._new = new
        ladder = fidelity.ladder
        self._brackets = [Rungs(ladder[i:]) for i in range(brackets)]
        self._shares = [
            sizes(len(ladder) - 1, len(ladder) - 1 - i, fidelity.factor)[0] for i in range(brackets)
        ]
        self._begun = [0] * brackets
        self._gone: set[int] = set()

    def tell(self, finished: Sequence[Trial]) -> None:
        known = usable(finished, self._problem)
        self._new.tell(known)
        self._gone.update(parents(known))
        for trial in known:
            bracket = bracket_of(trial) or 0
            if bracket < len(self._brackets):
                self._brackets[bracket].add(trial, self._problem)
                self._begun[bracket] += trial.parent is None

    def ask(self, pending: Sequence[Trial], rng: np.random.Generator) -> Proposal | None:
        pending = usable(pending, self._problem)
        gone = self._gone.union(parents(pending))
        proposal = _onward(self._brackets, gone, self._fidelity, "asha")
        if proposal is not None:
            return proposal
        proposal = self._new.ask(pending, rng)
        if proposal is not None:
            bracket = self._next(pending)
            return begin(proposal, self._brackets[bracket].amounts[0], bracket)
        return None if pending else _onward(self._brackets, gone, self._fidelity, "asha", least=1)

    def _next(self, pending: Sequence[Trial]) -> int:
        """The bracket that is furthest behind its share of new trials."""
        begun = list(self._begun)
        for trial in pending:
            bracket = bracket_of(trial) or 0
            if trial.parent is None and bracket < len(begun):
                begun[bracket] += 1
        return min(range(len(begun)), key=lambda i: (begun[i] + 1) / self._shares[i])


def _onward(
    brackets: Sequence[Rungs], gone: Collection[int], fidelity: Laddered, by: str, least: int = 0
) -> Proposal | None:
    """The first of the brackets' promotions, if there is one."""
    for bracket, rungs in enumerate(brackets):
        found = rungs.promotion(gone, fidelity.factor, least)
        if found is not None:
            return rungs.promoted(*found, fidelity, by, bracket)
    return None


@dataclass(frozen=True, slots=True)
class Hyperband:
    """Brackets of successive halving, from many short trainings to few in full, over and over. One objective.

    In a bracket the best 1 / `factor` of a rung go on when all of it have ended; workers that are free till then begin the next bracket.
    `by` proposes new points, as in `ASHA`.
    """

    factor: float | None = None
    by: str | Algorithm = field(default="random", metadata=HOLDS_ALGORITHM)
    pauses: ClassVar[bool] = True

    def __post_init__(self) -> None:
        checked_factor(self.factor)
        object.__setattr__(self, "by", searching(self.by))

    def start(self, problem: Problem) -> Optimizer:
        """An optimiser for a problem of one objective with a fidelity; raises InvalidStudy for others."""
        one_objective(problem, "hyperband")
        fidelity = laddered(fidelity_of(problem, "hyperband"), None, self.factor)
        new = searching(self.by).start(on_ladder(problem, fidelity))
        return _Hyperband(problem, fidelity, new, "hyperband")


@dataclass(frozen=True, slots=True)
class BOHB:
    """Hyperband whose points a model proposes, all but a random `share`. One objective.

    The model is this project's Gaussian process, which learns from what ended at any rung, in the place of the kernel densities of the paper,
    which know only the highest rung with enough points. The random third is the paper's: whatever the model believes,
    BOHB is at worst three times slower than Hyperband.
    """

    factor: float | None = None
    share: float = 1 / 3
    pauses: ClassVar[bool] = True

    def __post_init__(self) -> None:
        checked_factor(self.factor)
        if not (is_number(self.share) and 0 <= self.share <= 1):
            raise InvalidStudy(
                f"share is {self.share!r}. Use a number from 0 to 1: how many points are random."
            )

    def start(self, problem: Problem) -> Optimizer:
        """An optimiser for a problem of one objective with a fidelity; raises InvalidStudy for others."""
        one_objective(problem, "bohb")
        fidelity = laddered(fidelity_of(problem, "bohb"), None, self.factor)
        within = on_ladder(problem, fidelity)
        new = Mixed(GP().start(within), Random().start(within), self.share)
        return _Hyperband(problem, fidelity, new, "bohb")


class Turn(Enum):
    """What a bracket has to do, if it is not that a certain trial goes on."""

    NEW = "a new point"
    WAIT = "others of the rung have to end first"
    OVER = "nothing any more"


class _Bracket:
    """Successive halving of so many trials at each rung."""

    def __init__(self, amounts: Sequence[float], sizes: Sequence[int]) -> None:
        self.rungs = Rungs(amounts)
        self._sizes = sizes

    def turn(self, pending: Sequence[Trial], gone: Collection[int]) -> tuple[int, int] | Turn:
        """The rung and the place of the trial to go on, or what else there is to do; pending are trials of this bracket."""
        sent = self.rungs.sent(pending)
        if len(self.rungs.ended[0]) + sent[0] < self._sizes[0]:
            return Turn.NEW
        due = self._sizes[0]
        for rung, following in enumerate(self._sizes[1:]):
            ended = self.rungs.ended[rung]
            if len(ended) < due:
                return Turn.WAIT
            going = [place for place, one in enumerate(ended[:following]) if one.promising]
            for place in going:
                if ended[place].number not in gone:
                    return rung, place
            due = len(going)
        return Turn.WAIT if len(self.rungs.ended[-1]) < due else Turn.OVER


class _Hyperband:
    def __init__(self, problem: Problem, fidelity: Laddered, new: Optimizer, name: str) -> None:
        self._problem = problem
        self._fidelity = fidelity
        self._new = new
        self._name = name
        self._brackets: list[_Bracket] = []
        self._over = 0
        self._gone: set[int] = set()

    def tell(self, finished: Sequence[Trial]) -> None:
        known = usable(finished, self._problem)
        self._new.tell(known)
        self._gone.update(parents(known))
        for trial in known:
            bracket = bracket_of(trial)
            if bracket is not None:
                self._bracket(bracket).rungs.add(trial, self._problem)
        while (
            self._over < len(self._brackets) and self._brackets[self._over].turn((), self._gone) is Turn.OVER
        ):
            self._over += 1

    def ask(self, pending: Sequence[Trial], rng: np.random.Generator) -> Proposal | None:
        pending = usable(pending, self._problem)
        gone = self._gone.union(parents(pending))
        running: dict[int | None, list[Trial]] = defaultdict(list)
        for trial in pending:
            running[bracket_of(trial)].append(trial)
        for number in count(self._over):
            bracket = self._bracket(number)
            turn = bracket.turn(running[number], gone)
            if isinstance(turn, tuple):
                return bracket.rungs.promoted(*turn, self._fidelity, self._name, number)
            if turn is Turn.NEW:
                proposal = self._new.ask(pending, rng)
                if proposal is None:
                    return self._last(gone, wait=bool(pending))
                return begin(proposal, bracket.rungs.amounts[0], number)
        raise AssertionError("a bracket that has not begun takes new points")

    def _last(self, gone: Collection[int], wait: bool) -> Proposal | None:
        """Who goes on when no new point is left, so that brackets will never be full: asynchronous halving of what there is."""
        brackets = [bracket.rungs for bracket in self._brackets]
        return _onward(brackets, gone, self._fidelity, self._name, least=0 if wait else 1)

    def _bracket(self, number: int) -> _Bracket:
        """Bracket `number` of the study; those that nothing was told of are empty."""
        ladder = self._fidelity.ladder
        while len(self._brackets) <= number:
            s = len(ladder) - 1 - len(self._brackets) % len(ladder)
            amounts = ladder[len(ladder) - 1 - s :]
            self._brackets.append(_Bracket(amounts, sizes(len(ladder) - 1, s, self._fidelity.factor)))
        return self._brackets[number]
