"""PBT: a population that is trained and tuned at the same time, so that what is found is a schedule.

M. Jaderberg et al., "Population based training of neural networks", arXiv:1711.09846, section 4.2: truncation selection, then the
parameters are perturbed or drawn again. A member's next interval of training is a trial whose parent is the one whose checkpoint it
goes on from: its own last one, or that of a better member. Nobody waits for the others: a member is compared with them as they
were when they were as far as it, and where they are not yet that far with their latest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

import numpy as np

from luthier.errors import InvalidStudy
from luthier.optimizers.base import Optimizer
from luthier.optimizers.quasirandom import SobolPoints
from luthier.optimizers.thaw import fidelity_of
from luthier.optimizers.wrap import Merit, at_least, merit, one_objective, usable
from luthier.space import Choice, Float, Int, Params, Scalar, Space, same
from luthier.study import Fidelity, Problem, Proposal, State, Trial, is_number

INTERVALS = 10
"""So many intervals make a full training, where nothing is said."""
BROKEN = 2
"""The first part of the merit of a trial without a value: it failed, was stopped or came to NaN."""


@dataclass(frozen=True, slots=True)
class PBT:
    """Population based training, for trainings that go on from checkpoints; one objective.

    `population` trainings at once, in intervals of `interval` units of the fidelity (by default a tenth of a full training). After each
    a member that is among the worst `quantile` goes on from one of the best `quantile`, with other parameters: each is drawn again
    with probability `resample`, else a number is multiplied by one of the `factors`, an ordered choice moves to a neighbour or
    stays, and an unordered one stays. None of that before `burn_in` units. Of a member that failed a good one takes the place.

    The study is exhausted when every member is trained in full, after `total` trials.
    """

    population: int = 10
    interval: float | None = None
    quantile: float = 0.25
    resample: float = 0.25
    factors: tuple[float, ...] = (0.8, 1.2)
    burn_in: float = 0
    pauses: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check(self.population, self.interval, self.quantile, self.burn_in)
        if not 0 <= self.resample <= 1:
            raise InvalidStudy(
                f"resample is {self.resample!r}. Use a probability from 0 to 1, as in resample=0.25."
            )
        object.__setattr__(self, "factors", tuple(self.factors))
        if not self.factors or not all(is_number(f) and f > 0 for f in self.factors):
            raise InvalidStudy(f"factors is {self.factors!r}. Use numbers above 0, as in factors=(0.8, 1.2).")

    def total(self, problem: Problem) -> int:
        """How many trials it takes to train the population: one for each member and interval."""
        return self.population * len(goals(resuming(problem, "PBT"), self.interval))

    def begin(self, problem: Problem, points: Sequence[Params]) -> list[Proposal]:
        """The first members, at these points."""
        return first_members(points, self.population, goals(resuming(problem, "PBT"), self.interval)[0])

    def start(self, problem: Problem) -> Optimizer:
        """An optimiser for a problem of one objective whose fidelity resumes; raises InvalidStudy for others."""
        levels = goals(resuming(problem, "PBT"), self.interval)
        explorer = _Perturb(problem.space, self.resample, self.factors)
        return Population(problem, "pbt", self.population, levels, self.quantile, self.burn_in, explorer)


def check(population: int, interval: float | None, quantile: float, burn_in: float) -> None:
    """Raise InvalidStudy for settings of a population that mean nothing."""
    at_least(2, population=population)
    if interval is not None and not (is_number(interval) and interval > 0):
        raise InvalidStudy(f"interval is {interval!r}. Use a number of units of the fidelity above 0.")
    if not (is_number(quantile) and 0 < quantile <= 0.5):
        raise InvalidStudy(f"quantile is {quantile!r}. Use a share above 0 and up to 0.5.")
    if not (is_number(burn_in) and burn_in >= 0):
        raise InvalidStudy(f"burn_in is {burn_in!r}. Use a number of units of the fidelity, from 0.")


def resuming(problem: Problem, algorithm: str) -> Fidelity:
    """The problem's fidelity, for an algorithm whose trials go on from checkpoints; raises InvalidStudy where they do not, and
    where there are several objectives.
    """
    one_objective(problem, algorithm)
    fidelity = fidelity_of(problem, algorithm)
    if not fidelity.resumes:
        raise InvalidStudy(
            f"{algorithm} goes on with trainings from checkpoints of others, and the fidelity {fidelity.name!r} does not say that "
            "they can. Leave checkpoints (trial.checkpoint), go on from trial.restored, and say it: "
            f"Fidelity({fidelity.name!r}, {fidelity.low:g}, {fidelity.high:g}, resumes=True)."
        )
    return fidelity


def goals(fidelity: Fidelity, interval: float | None) -> tuple[float, ...]:
    """How far trainings are after each generation, the full amount last; raises InvalidStudy for an interval beyond it."""
    step = fidelity.high / INTERVALS if interval is None else interval
    if step > fidelity.high:
        raise InvalidStudy(
            f"the interval is {step:g} {fidelity.name}, and a full training only {fidelity.high:g}. Use a part of it."
        )
    count = math.ceil(fidelity.high / step - 1e-9)
    return tuple(dict.fromkeys(fidelity.near(step * k) for k in range(1, count + 1)))


def first_members(points: Sequence[Params], population: int, fidelity: float) -> list[Proposal]:
    """Members that begin at these points; raises InvalidStudy for more than there are members."""
    if len(points) > population:
        raise InvalidStudy(
            f"there are {len(points)} points to start from, and the population is {population}. Start from fewer, or enlarge it."
        )
    return [
        Proposal(dict(point), fidelity=fidelity, tag={"by": "start", "member": member, "generation": 0})
        for member, point in enumerate(points)
    ]


class Place(NamedTuple):
    """Which member of the population a trial is, and in which generation, from 0."""

    member: int
    generation: int


Reached = Mapping[Place, Trial]
"""The trials of the population that ended."""


class Explorer(Protocol):
    """How parameters change where a member goes on from another one."""

    def explore(
        self,
        donor: Trial,
        place: Place,
        reached: Reached,
        pending: Sequence[Trial],
        rng: np.random.Generator,
    ) -> dict[str, Scalar]:
        """The parameters for the trial at `place` that goes on from `donor`."""
        ...


def place_of(trial: Trial) -> Place | None:
    """Where a trial stands in the population, by its tag; None of one that does not belong to it."""
    member, generation = trial.tag.get("member"), trial.tag.get("generation")
    if isinstance(member, int) and isinstance(generation, int):
        return Place(member, generation)
    return None


def standing(trial: Trial, problem: Problem) -> Merit:
    """What sorts members from best to worst. Of one that was stopped nobody can go on, whatever it was expected to come to."""
    return merit(trial, problem) if trial.state is State.COMPLETED else (BROKEN, 0.0)


class Population:
    """Members at work; `explorer` is what PBT and PB2 differ in."""

    def __init__(
        self,
        problem: Problem,
        name: str,
        population: int,
        levels: Sequence[float],
        quantile: float,
        burn_in: float,
        explorer: Explorer,
    ) -> None:
        self._problem = problem
        self._name = name
        self._population = population
        self._levels = levels
        self._quantile = quantile
        self._burn_in = burn_in
        self._explorer = explorer
        self._begin = SobolPoints(problem)
        self._reached: dict[Place, Trial] = {}
        self._furthest: dict[int, int] = {}  # member -> generation; who ended last comes last

    def tell(self, finished: Sequence[Trial]) -> None:
        for trial in usable(finished, self._problem):
            place = place_of(trial)
            if place is None or not (
                0 <= place.member < self._population and 0 <= place.generation < len(self._levels)
            ):
                continue
            if place.generation == 0 and trial.parent is None:
                self._begin.tell([trial])
            self._reached[place] = trial
            before = self._furthest.pop(place.member, -1)
            self._furthest[place.member] = max(before, place.generation)

    def ask(self, pending: Sequence[Trial], rng: np.random.Generator) -> Proposal | None:
        pending = usable(pending, self._problem)
        busy = {place.member for trial in pending if (place := place_of(trial)) is not None}
        for member in range(self._population):
            if member not in busy and member not in self._furthest:
                return self._first(member, pending, rng)
        idle = [member for member in self._furthest if member not in busy]
        going = [m for m in idle if self._furthest[m] < len(self._levels) - 1]
        if not going:
            return None
        # Of those that have the furthest to go the one that has waited longest.
        member = min(going, key=lambda member: self._furthest[member])
        return self._next(Place(member, self._furthest[member]), pending, rng)

    def _first(self, member: int, pending: Sequence[Trial], rng: np.random.Generator) -> Proposal:
        begun = [t for t in pending if (place := place_of(t)) is not None and place.generation == 0]
        point = self._begin.ask(begun, rng)
        tag: dict[str, Scalar] = {
            "by": self._name,
            "member": member,
            "generation": 0,
            "scramble": point.tag["scramble"],
            "why": "the first population",
        }
        return Proposal(point.params, fidelity=self._levels[0], tag=tag)

    def _next(self, here: Place, pending: Sequence[Trial], rng: np.random.Generator) -> Proposal:
        """What a member does after the trial with which it got here."""
        trial = self._reached[here]
        order = self._standings(here.generation)
        place = Place(here.member, here.generation + 1)
        said = self._said(trial, here, order)
        if not self._gives_up(trial, here, order):
            return self._going_on(place, trial.params, trial.number, said)
        donors = self._donors(trial, here, order)
        if not donors:
            if self._is_broken(trial):
                params = self._problem.space.sample(rng)
                return self._going_on(place, params, None, f"{said}; nobody to go on from: starts again")
            return self._going_on(place, trial.params, trial.number, said)
        donor = donors[int(rng.integers(len(donors)))]
        params = self._explorer.explore(donor, place, self._reached, pending, rng)
        metric = self._problem.objective.metric
        why = f"{said}; goes on from trial {donor.number} ({metric} {donor.metrics[metric]:.6g}) with {_changes(donor.params, params)}"
        return self._going_on(place, params, donor.number, why, copied=donor.number)

    def _going_on(
        self, place: Place, params: Params, parent: int | None, why: str, **more: Scalar
    ) -> Proposal:
        tag: dict[str, Scalar] = {
            "by": self._name,
            "member": place.member,
            "generation": place.generation,
            **more,
            "why": why,
        }
        return Proposal(params, fidelity=self._levels[place.generation], parent=parent, tag=tag)

    # --- who is better ---------------------------------------------------------------------------

    def _standings(self, generation: int) -> list[tuple[Merit, Place]]:
        """Each member as it was when it was so far, or as it is if it is not yet: the best first."""
        places = (Place(m, min(furthest, generation)) for m, furthest in self._furthest.items())
        return sorted(
            (standing(trial, self._problem), place)
            for place in places
            if (trial := self._reached.get(place)) is not None
        )

    def _cut(self, count: int) -> int:
        """How many of so many are the best, and as many the worst."""
        return min(math.ceil(count * self._quantile - 1e-9), count // 2)

    def _gives_up(self, trial: Trial, here: Place, order: Sequence[tuple[Merit, Place]]) -> bool:
        if self._is_broken(trial):
            return True
        if self._levels[here.generation] < self._burn_in:
            return False
        worst = order[len(order) - self._cut(len(order)) :]
        return any(place == here for _, place in worst)

    def _donors(self, trial: Trial, here: Place, order: Sequence[tuple[Merit, Place]]) -> list[Trial]:
        """The best, as far as they are as far as this one; one that is broken takes whom it can get."""
        best = [pair for pair in order[: max(1, self._cut(len(order)))] if pair[0][0] != BROKEN]
        better = [place for reached, place in best if reached < standing(trial, self._problem)]
        equal = [place for place in better if place.generation == here.generation]
        if not equal and self._is_broken(trial):
            furthest = max((place.generation for place in better), default=-1)
            equal = [place for place in better if place.generation == furthest]
        return [self._reached[place] for place in equal]

    def _is_broken(self, trial: Trial) -> bool:
        return standing(trial, self._problem)[0] == BROKEN

    def _said(self, trial: Trial, here: Place, order: Sequence[tuple[Merit, Place]]) -> str:
        """Where a trial stands, in words."""
        fidelity, metric = self._problem.fidelity, self._problem.objective.metric
        assert fidelity is not None
        at = f"at {self._levels[here.generation]:g} {fidelity.name}"
        if self._is_broken(trial):
            return f"trial {trial.number} came to no {metric} {at}"
        rank = next(i for i, (_, place) in enumerate(order, 1) if place == here)
        return f"rank {rank} of {len(order)} {at}, {metric} {trial.metrics[metric]:.6g}"


# --- the parameters ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Perturb:
    space: Space
    resample: float
    factors: tuple[float, ...]

    def explore(
        self,
        donor: Trial,
        place: Place,
        reached: Reached,
        pending: Sequence[Trial],
        rng: np.random.Generator,
    ) -> dict[str, Scalar]:
        return perturbed(self.space, donor.params, self.resample, self.factors, rng)


def perturbed(
    space: Space, params: Params, resample: float, factors: Sequence[float], rng: np.random.Generator
) -> dict[str, Scalar]:
    """The point with every parameter drawn again with probability `resample`, else a little changed. What comes into existence by
    that is drawn, what ceases to exist is dropped.
    """
    changed: dict[str, Scalar] = {}
    for name in space.active(params):
        parameter, value = space[name], params[name]
        if parameter.size == 1:
            changed[name] = value
        elif rng.random() < resample:
            changed[name] = parameter.at(float(rng.random()))
        elif isinstance(parameter, Float | Int):
            changed[name] = _scaled(parameter, value, factors[int(rng.integers(len(factors)))])
        elif isinstance(parameter, Choice) and parameter.ordered:
            step = 2 * int(rng.integers(2)) - 1
            changed[name] = parameter.nth(min(max(parameter.index(value) + step, 0), parameter.size - 1))
        else:
            changed[name] = value
    return space.sample(rng, keep=changed)


def _scaled(parameter: Float | Int, value: Scalar, factor: float) -> float | int:
    """A number times a factor, within its range, and where it goes in steps at least one of them further; on a reverse scale it is the
    distance to 1 that is multiplied.
    """
    assert isinstance(value, int | float)
    if parameter.log == "reverse":
        return parameter.snap(1.0 - (1.0 - value) * factor)
    wanted = value * factor
    found = parameter.snap(wanted)
    if parameter.step is not None and found == value and factor != 1.0:
        up = wanted > value if value else factor > 1.0
        found = parameter.snap(value + (parameter.step if up else -parameter.step))
    return found


def _changes(before: Params, after: Params) -> str:
    """What is different, in words: lr 0.01 -> 0.012."""
    told = [
        f"{name} {_short(before[name])} -> {_short(value)}" if name in before else f"{name} {_short(value)}"
        for name, value in after.items()
        if name not in before or not same(before[name], value)
    ]
    return ", ".join(told) or "the same parameters"


def _short(value: Scalar) -> str:
    return f"{value:.4g}" if isinstance(value, float) else repr(value)
