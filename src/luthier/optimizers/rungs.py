"""Rungs: the amounts of training at which trials of one bracket are compared, who got there, and who may go on.

What the halving family shares: `optimizers/halving.py` and `optimizers/dehb.py`.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from luthier.errors import InvalidStudy, UnknownName, did_you_mean
from luthier.optimizers.auto import Auto
from luthier.optimizers.base import Algorithm, Optimizer, pauses
from luthier.optimizers.cmaes import CMAES
from luthier.optimizers.de import DE
from luthier.optimizers.evolution import Evolution
from luthier.optimizers.gp import GP
from luthier.optimizers.grid import Grid
from luthier.optimizers.quasirandom import Sobol
from luthier.optimizers.random import Random
from luthier.optimizers.tpe import TPE
from luthier.optimizers.wrap import Merit, merit
from luthier.space import Params, Scalar
from luthier.study import Fidelity, Problem, Proposal, State, Trial

SEARCHES: dict[str, type[Algorithm]] = {
    "auto": GP,
    "random": Random,
    "sobol": Sobol,
    "grid": Grid,
    "gp": GP,
    "tpe": TPE,
    "cmaes": CMAES,
    "evolution": Evolution,
    "de": DE,
}
"""What may propose new points, by name; `luthier.plugins`, which knows all names, is floors above."""
WORST: Merit = (2, 0.0)


@dataclass(frozen=True, slots=True)
class Laddered(Fidelity):
    """A fidelity at each rung of whose ladder trials are compared: what a model has to know to learn from all of them."""

    @property
    def levels(self) -> tuple[float, ...]:
        """The rungs."""
        return self.ladder


def laddered(fidelity: Fidelity, low: float | None, factor: float | None) -> Laddered:
    """The fidelity with rungs from `low` up by `factor`, by default its own; raises InvalidStudy where these are out of its range."""
    if low is not None and not fidelity.low <= low <= fidelity.high:
        raise InvalidStudy(
            f"low is {low!r}, and {fidelity.name} go from {fidelity.low:g} to {fidelity.high:g}. Use a number within, or leave it out."
        )
    low = fidelity.low if low is None else fidelity.near(low)
    factor = fidelity.factor if factor is None else factor
    return Laddered(fidelity.name, low, fidelity.high, log=fidelity.log, factor=factor)


def on_ladder(problem: Problem, fidelity: Laddered) -> Problem:
    """The problem for an algorithm that proposes new points only: how far they are trained is decided elsewhere."""
    return replace(problem, fidelity=fidelity)


def checked_factor(factor: object) -> None:
    """Raise InvalidStudy for a factor that is not above 1; None is the fidelity's own."""
    if factor is not None and (
        isinstance(factor, bool) or not isinstance(factor, int | float) or not 1 < factor < math.inf
    ):
        raise InvalidStudy(f"factor is {factor!r}. Use a number above 1, or leave it out.")


def searching(by: str | Algorithm) -> Algorithm:
    """The algorithm that is to propose new points, which may be given by name; raises UnknownName, and InvalidStudy for one that
    itself decides how far to train.
    """
    if isinstance(by, str):
        if by not in SEARCHES:
            raise UnknownName(f"by is {by!r}.{did_you_mean(by, SEARCHES)}")
        return SEARCHES[by]()
    if not hasattr(by, "start") or isinstance(by, type):
        raise UnknownName(
            f"by is {by!r}, which is no algorithm. Use 'random', 'gp' or an algorithm, as in by=GP()."
        )
    if isinstance(by, Auto):
        return GP()  # its model, which does not decide how far to train
    if pauses(by):
        raise InvalidStudy(
            f"by is {by!r}, which decides itself how far to train. Use it alone, or one that only proposes points: 'random', 'gp'."
        )
    return by


def ranked(trial: Trial, problem: Problem) -> Merit:
    """The merit of a trial at its rung; one that was stopped is among the worst, whatever it is expected to have come to."""
    return merit(trial, problem) if trial.state is State.COMPLETED else WORST


class Ended(NamedTuple):
    """A trial at the rung where it ended; these sort from best to worst, of equals the earlier first."""

    merit: Merit
    number: int
    params: Params

    @property
    def promising(self) -> bool:
        """Whether it has a loss to be judged by: a failure, a NaN or an infinite loss goes nowhere."""
        return self.merit[0] < 2 and self.merit[1] < math.inf


class Rungs:
    """The trials of one bracket that ended at each of its rungs, the best first."""

    def __init__(self, amounts: Sequence[float]) -> None:
        self.amounts = tuple(amounts)
        self.ended: list[list[Ended]] = [[] for _ in amounts]

    def add(self, trial: Trial, problem: Problem) -> None:
        """Take in a trial that ended; one that was trained to none of the amounts is left out."""
        rung = self.rung(trial)
        if rung is not None:
            one = Ended(ranked(trial, problem), trial.number, trial.params)
            insort(self.ended[rung], one, key=_order)

    def rung(self, trial: Trial) -> int | None:
        """The number of the rung that a trial was sent to."""
        amount = self.amounts[-1] if trial.fidelity is None else trial.fidelity
        return self.amounts.index(amount) if amount in self.amounts else None

    def sent(self, pending: Sequence[Trial]) -> list[int]:
        """How many of these trials are on their way to each rung."""
        counts = [0] * len(self.amounts)
        for trial in pending:
            rung = self.rung(trial)
            if rung is not None:
                counts[rung] += 1
        return counts

    def promotion(self, gone: Collection[int], factor: float, least: int = 0) -> tuple[int, int] | None:
        """The rung and the place of the trial to go on: at the highest rung where one of the best 1 / `factor` of all that ever ended there
        has not `gone` on, the best such. At least so many of each rung may go on. None if none may.
        """
        for rung in range(len(self.amounts) - 2, -1, -1):
            ended = self.ended[rung]
            count = max(least, math.floor(len(ended) / factor + 1e-9))
            for place, one in enumerate(ended[:count]):
                if not one.promising:
                    break
                if one.number not in gone:
                    return rung, place
        return None

    def promoted(self, rung: int, place: int, fidelity: Fidelity, by: str, bracket: int) -> Proposal:
        """The proposal by which the trial at that place of a rung goes on to the next one."""
        one, ended = self.ended[rung][place], self.ended[rung]
        why = f"place {place + 1} of {len(ended)} at {self.amounts[rung]:g} {fidelity.name}"
        tag: dict[str, Scalar] = {"by": by, "bracket": bracket, "why": why}
        return Proposal(one.params, fidelity=self.amounts[rung + 1], parent=one.number, tag=tag)


def begin(proposal: Proposal, amount: float, bracket: int) -> Proposal:
    """A new point, trained as far as the first rung of its bracket."""
    return replace(proposal, fidelity=amount, tag={**proposal.tag, "bracket": bracket})


def bracket_of(trial: Trial) -> int | None:
    """The bracket in the trial's tag; None for one that belongs to none, as a starting point."""
    bracket = trial.tag.get("bracket")
    return bracket if isinstance(bracket, int) and not isinstance(bracket, bool) and bracket >= 0 else None


def parents(trials: Sequence[Trial]) -> Iterator[int]:
    """The numbers of the trials that these go on from."""
    return (trial.parent for trial in trials if trial.parent is not None)


def sizes(most: int, bracket: int, factor: float) -> tuple[int, ...]:
    """How many trials Hyperband trains to each rung in its bracket `bracket` = s of 0..`most`, from the lowest: n_s eta^-i.

    L. Li et al., "Hyperband", JMLR 18, 2018, Algorithm 1.
    """
    begun = math.ceil((most + 1) / (bracket + 1) * factor**bracket - 1e-9)
    return tuple(max(1, math.floor(begun / factor**i + 1e-9)) for i in range(bracket + 1))


class Mixed:
    """Random points with the probability `share`, else those of another optimiser."""

    def __init__(self, optimizer: Optimizer, chance: Optimizer, share: float) -> None:
        self._optimizer, self._chance, self._share = optimizer, chance, share

    def tell(self, finished: Sequence[Trial]) -> None:
        self._optimizer.tell(finished)
        self._chance.tell(finished)

    def ask(self, pending: Sequence[Trial], rng: np.random.Generator) -> Proposal | None:
        drawn = rng.random() < self._share
        return (self._chance if drawn else self._optimizer).ask(pending, rng)


def _order(one: Ended) -> tuple[Merit, int]:
    return one[:2]
