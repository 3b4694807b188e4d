"""Plateau: gives up a trial that does not improve any more."""

from __future__ import annotations

from dataclasses import dataclass

from luthier.stopping.settings import judged, metric_of, number, objective_of, rhythm, whole
from luthier.stopping.tracks import field_of, nth
from luthier.study import Goal, History, Problem, Trial


@dataclass(frozen=True, slots=True)
class Plateau:
    """Stop a trial whose last `patience` reports were no better than those before; no other trial matters.

    As Keras' EarlyStopping(patience, min_delta): better means by more than `min_delta`. (Ray's TrialPlateauStopper asks instead that the
    last 4 values vary by less than 0.01.) What is no number is no improvement. It looks at every report whose number, from 1, is a
    multiple of `interval` and at least `delay`.

    As every trial that was stopped, one that came to a plateau has no result, and a plateau may be a good one: use it where to go on is
    a waste for certain, in `all_of` with a rule that compares, or end the training within the objective, which then returns what it came to.
    """

    patience: int = 10
    min_delta: float = 0.0
    interval: int = 1
    delay: int = 0
    metric: str | None = None
    goal: Goal | None = None

    def __post_init__(self) -> None:
        whole("patience", self.patience, 1)
        number("min_delta", self.min_delta, "a number of at least 0, in units of the metric", low=0)
        rhythm(self.interval, self.delay)
        judged(self.metric, self.goal)

    def check(self, problem: Problem) -> None:
        """Raise InvalidStudy where it is not clear what to go by."""
        objective_of(problem, self.metric, self.goal)

    def judge(self, trial: Trial, history: History) -> str | None:
        """Why, with the values compared; None while the trial improves."""
        n = nth(trial, metric_of(history.problem, self.metric))
        if n <= self.patience or n % self.interval or n < self.delay:
            return None
        field = field_of(history, self.metric, self.goal)
        losses = field.track(trial).losses
        before, last = min(losses[: -self.patience]), min(losses[-self.patience :])
        if last < before - self.min_delta:
            return None
        more = f" by more than {self.min_delta:g}" if self.min_delta else ""
        return (
            f"no improvement{more} over {self.patience} reports: {field.say(last)} at best, "
            f"after {field.say(before)} before"
        )
