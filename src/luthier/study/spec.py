"""StudySpec: the question a study asks, as data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from hashlib import blake2b
from typing import Any, Literal

import numpy as np

from luthier.errors import InvalidStudy
from luthier.space import Space
from luthier.study.trial import Proposal

Json = Any
Goal = Literal["min", "max"]


@dataclass(frozen=True, slots=True)
class Objective:
    """A metric and the direction in which it is better; `noisy` where the same point measured again gives another value."""

    metric: str
    goal: Goal
    noisy: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.metric, str) or not self.metric.strip():
            raise InvalidStudy(f"the metric to optimise is {self.metric!r}. Name it: minimize='loss'.")
        if self.goal not in ("min", "max"):
            raise InvalidStudy(f"the goal for {self.metric!r} is {self.goal!r}. Use 'min' or 'max'.")
        if not isinstance(self.noisy, bool):
            raise InvalidStudy(f"noisy is {self.noisy!r} for {self.metric!r}. Use True or False.")

    @property
    def sign(self) -> int:
        """1 where less is better, -1 where more is: `sign * value` is always to be minimised."""
        return 1 if self.goal == "min" else -1

    def reached(self, value: float, target: float) -> bool:
        """Whether `value` is at least as good as `target`."""
        return self.sign * value <= self.sign * target


@dataclass(frozen=True, slots=True)
class Constraint:
    """A metric that has to stay within bounds."""

    metric: str
    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise InvalidStudy(
                f"the constraint on {self.metric!r} is [{self.low}, {self.high}], which nothing meets. "
                "Give low, high or both, with low <= high."
            )

    def met(self, metrics: Mapping[str, float]) -> bool:
        """Whether the metric is there and within the bounds."""
        return self.low <= metrics.get(self.metric, math.nan) <= self.high


@dataclass(frozen=True, slots=True)
class Fidelity:
    """The part of a full training that a trial gets: epochs, rows, trees, from `low` to `high`, whole numbers where both are.

    What it does goes by its logarithm where `log` is true. From one level to the next it grows by `factor`. `resumes` says that a trial can go on from the checkpoint that an earlier one
    left (`trial.checkpoint`, `trial.restored`): then trials pause, and only promising ones are trained in full. Without it
    they are trained in one go, and report at steps of this unit, so that a policy can stop them.
    """

    name: str
    low: float
    high: float
    log: bool = True
    factor: float = 3
    resumes: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise InvalidStudy(f"the fidelity's name is {self.name!r}. Name what is counted: 'epochs'.")
        if not (is_number(self.low) and is_number(self.high) and 0 < self.low <= self.high):
            raise InvalidStudy(
                f"the fidelity {self.name!r} goes from {self.low} to {self.high}. Use 0 < low <= high."
            )
        if not (is_number(self.factor) and self.factor > 1):
            raise InvalidStudy(
                f"the fidelity {self.name!r} grows by the factor {self.factor!r}. Use a number above 1, as in factor=3."
            )

    def near(self, amount: float) -> float:
        """The amount within the range that is nearest to this one; where both ends are whole, the next whole one."""
        whole = float(self.low).is_integer() and float(self.high).is_integer()
        within = min(max(amount, self.low), self.high)
        return math.ceil(within - 1e-9) if whole else float(within)

    @property
    def levels(self) -> tuple[float, ...]:
        """The amounts at which trials are compared by default, the full one last: a half of it, and the `factor`-th part of that.

        What is seen below a sixth of a training says little of its end, and to stop by it loses the best trials (measured on
        learning curves of LCBench, docs/benchmarks.md).
        """
        shares = (0.5 / self.factor, 0.5, 1.0)
        return tuple(dict.fromkeys(self.near(share * self.high) for share in shares))

    @property
    def ladder(self) -> tuple[float, ...]:
        """From `low` up by the `factor` to the full amount: the rungs of successive halving as it was published."""
        steps = math.floor(math.log(self.high / self.low) / math.log(self.factor) + 1e-9)
        return tuple(dict.fromkeys(self.near(self.high / self.factor**k) for k in range(steps, -1, -1)))

    def share(self, amount: float) -> float:
        """How far up the range an amount is, from 0 at its low end to 1."""
        if self.low == self.high:
            return 1.0
        if self.log:
            return 1.0 - math.log(self.high / amount) / math.log(self.high / self.low)
        return (amount - self.low) / (self.high - self.low)

    def full(self, amount: float | None) -> bool:
        """Whether that is a training in full."""
        return amount is None or amount >= self.high


@dataclass(frozen=True, slots=True)
class Budget:
    """What the whole study may cost; it ends when the first of these is used up. All of them optional.

    `trials` counts trials that ended, whatever way; `seconds` the time in which an engine worked on
    the study; `failures` trials that failed; `target` ends it when the best value is as good as that; `until="noise"` when
    the most that more trials could gain is less than the noise they are compared through, `until=0.001` when it is less than that in
    units of the objective, and a fifth of the trials and seconds, where they are limited, is used. `cost` is what all trials
    together may cost, in `currency`: a metric that they return or report, or "seconds" of workers. `deadline` is a time, in
    seconds since 1970.
    """

    trials: int | None = None
    seconds: float | None = None
    failures: int | None = None
    target: float | None = None
    until: Literal["noise"] | float | None = None
    cost: float | None = None
    currency: str = "seconds"
    deadline: float | None = None

    def __post_init__(self) -> None:
        if self.until not in (None, "noise") and not (is_number(self.until) and float(self.until) > 0):
            raise InvalidStudy(
                f"until is {self.until!r}. Use 'noise', a gain above 0 that is too little, or leave it out."
            )
        if self.cost is not None and not (is_number(self.cost) and self.cost > 0):
            raise InvalidStudy(
                f"the cost is {self.cost!r}. Use a number above 0, as in cost={{'seconds': 3600}}."
            )
        if not isinstance(self.currency, str) or not self.currency.strip():
            raise InvalidStudy(
                f"the cost is counted in {self.currency!r}. Name a metric that trials return, or 'seconds'."
            )
        if self.deadline is not None and not is_number(self.deadline):
            raise InvalidStudy(f"the deadline is {self.deadline!r}. Use seconds since 1970.")
        for name in ("trials", "failures"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise InvalidStudy(f"{name} is {value!r}. Use a whole number of at least 1, or leave it out.")
        if self.seconds is not None and not self.seconds > 0:
            raise InvalidStudy(f"seconds is {self.seconds!r}. Use a number above 0, or leave it out.")
        if self.target is not None and math.isnan(self.target):
            raise InvalidStudy("target is NaN, which nothing can reach. Use a number, or leave it out.")

    @property
    def endless(self) -> bool:
        """Whether nothing but an exhausted space or a person ends the study."""
        return all(getattr(self, f.name) is None for f in fields(self) if f.name != "currency")


@dataclass(frozen=True, slots=True)
class Problem:
    """All that an optimiser may know before the first trial."""

    space: Space
    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...] = ()
    fidelity: Fidelity | None = None

    def __post_init__(self) -> None:
        if not self.objectives:
            raise InvalidStudy("no objective is given. Say minimize='loss' or maximize='accuracy'.")
        metrics = [objective.metric for objective in self.objectives]
        if len(set(metrics)) < len(metrics):
            raise InvalidStudy(f"the objectives {metrics} name a metric twice. Name each once.")
        if self.fidelity is not None and self.fidelity.name in self.space:
            raise InvalidStudy(
                f"{self.fidelity.name!r} is the fidelity, and a parameter of the space as well. Take it out of the space."
            )

    def amount(self, asked: float | None) -> float | None:
        """How much of a training to give a trial for which so much is asked; all of it, where nothing is said."""
        if self.fidelity is None:
            return asked
        return self.fidelity.near(self.fidelity.high if asked is None else asked)

    @property
    def objective(self) -> Objective:
        """The first, which is the only one in most studies."""
        return self.objectives[0]

    def feasible(self, metrics: Mapping[str, float]) -> bool:
        """Whether a trial with these metrics meets every constraint."""
        return all(constraint.met(metrics) for constraint in self.constraints)


@dataclass(frozen=True, slots=True)
class Named:
    """Settings as data: the name of an algorithm or policy, and its options."""

    name: str
    options: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StudySpec:
    """A study as data: what makes it the same study tomorrow.

    `about` describes what is being trained (function, estimator, data fingerprint, splits) for people
    and to refuse another question under the same name. `start` are points to evaluate first.
    `batch` makes the study independent of worker timing: proposals are made that many at a time, and
    only when all trials of the batch before have ended.
    """

    name: str
    problem: Problem
    algorithm: Named
    stopping: Named | None = None
    budget: Budget = Budget()
    seed: int = 0
    batch: int | None = None
    start: tuple[Proposal, ...] = ()
    about: Mapping[str, Json] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (
            not isinstance(self.name, str)
            or not self.name.strip()
            or "/" in self.name
            or self.name.startswith(".")
        ):
            raise InvalidStudy(
                f"the study's name is {self.name!r}. Use a name without '/' that does not begin with '.'."
            )
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise InvalidStudy(f"seed is {self.seed!r}. Use a whole number of at least 0.")
        if self.batch is not None and (
            isinstance(self.batch, bool) or not isinstance(self.batch, int) or self.batch < 1
        ):
            raise InvalidStudy(f"the batch is {self.batch!r}. Use a whole number of at least 1.")

    def rng(self, number: int) -> np.random.Generator:
        """The source of chance for proposing trial `number`: the same whoever asks, and when."""
        return np.random.default_rng([self.seed, number])

    def trial_seed(self, number: int) -> int:
        """A seed for the objective of trial `number`, apart from the one its proposal was drawn with."""
        return int.from_bytes(blake2b(f"{self.seed}/{number}".encode(), digest_size=4).digest()) >> 1


def is_number(value: object) -> bool:
    """Whether it is a finite number, and no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
