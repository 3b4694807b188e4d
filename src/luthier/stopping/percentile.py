"""Percentile: gives up a trial whose best is worse than a percentile of the completed trials at the same step."""

from __future__ import annotations

import math
from dataclasses import dataclass

from luthier.stopping.settings import judged, metric_of, number, objective_of, rhythm, whole
from luthier.stopping.tracks import NUMBERLESS, Column, CompletedAt, behind, field_of
from luthier.study import Goal, History, Problem, Trial


@dataclass(frozen=True, slots=True)
class Percentile:
    """Optuna's PercentilePruner; with 50, the default here, its MedianPruner.

    The best that a trial reported so far is compared with the `percentile` (25: the top quarter goes on) of what completed trials reported at exactly
    the same step; nothing is stopped before `startup` trials completed, and where fewer than `minimum` of them have that step. Values
    that are no number do not count among the completed, and a trial that reported nothing else is given up.

    `delay` and `interval` are in steps (Optuna's n_warmup_steps and interval_steps): it looks at the first report at or after each of
    delay, delay + interval, ... All defaults are Optuna's.
    """

    percentile: float = 50.0
    startup: int = 5
    minimum: int = 1
    interval: int = 1
    delay: int = 0
    metric: str | None = None
    goal: Goal | None = None

    def __post_init__(self) -> None:
        number(
            "percentile",
            self.percentile,
            "a number from 0 to 100: 25 lets the top quarter go on",
            low=0,
            high=100,
        )
        whole("startup", self.startup, 0)
        whole("minimum", self.minimum, 1)
        rhythm(self.interval, self.delay)
        judged(self.metric, self.goal)

    def check(self, problem: Problem) -> None:
        """Raise InvalidStudy where it is not clear what to go by."""
        objective_of(problem, self.metric, self.goal)

    def judge(self, trial: Trial, history: History) -> str | None:
        """Why, with the percentile and the distance; None where the trial is not worse."""
        step = first_after(trial, metric_of(history.problem, self.metric), self.interval, self.delay)
        if step is None:
            return None
        field = field_of(history, self.metric, self.goal)
        if not field.completed or field.completed < self.startup:
            return None
        own = field.track(trial)
        best = own.best(len(own))
        if best == math.inf:
            return f"{NUMBERLESS} in {len(own)} reports"
        column = field.column(CompletedAt(step))
        if len(column) < self.minimum:
            return None
        cut = _percentile(column, self.percentile)
        if not best > cut:
            return None
        which = "median" if self.percentile == 50 else f"{self.percentile:g}th percentile"
        return (
            f"at best {field.say(best)} by step {step}, {behind(best, cut)} the {which} {field.say(cut)} "
            f"of {len(column)} completed trials there"
        )


def first_after(trial: Trial, metric: str, interval: int, delay: int) -> int | None:
    """The trial's latest step, if it is the first at or after one of delay, delay + interval, ... and has the metric."""
    if not trial.reports or metric not in trial.reports[-1].metrics:
        return None
    step = trial.reports[-1].step
    if step < delay:
        return None
    due = (step - delay) // interval * interval + delay
    others = (r.step for r in reversed(trial.reports) if r.step != step and metric in r.metrics)
    return step if max(others, default=-1) < due else None


def _percentile(column: Column, percentile: float) -> float:
    """With linear interpolation between neighbours."""
    place = percentile / 100 * (len(column) - 1)
    low = math.floor(place)
    high = min(low + 1, len(column) - 1)
    share = place - low
    less, more = column[low][0], column[high][0]
    # The end that is nearer is started from, so that both ends are met exactly.
    return less + (more - less) * share if share < 0.5 else more - (more - less) * (1 - share)
