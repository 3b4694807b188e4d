"""Curve: gives up a trial whose learning curve, continued, will hardly come to the best one's end."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from luthier.errors import InvalidStudy
from luthier.stopping.halving import end_of_training
from luthier.stopping.percentile import first_after
from luthier.stopping.settings import judged, metric_of, number, objective_of, rhythm, whole
from luthier.stopping.tracks import Track, field_of
from luthier.study import Goal, History, Problem, Trial, is_number

POWERS = np.array([0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0])


@dataclass(frozen=True, slots=True)
class Curve:
    """Stop a trial that beats the best completed one with a probability below `p`, as power laws continue its curve to `high`.

    Losses are taken to go as c + a / step**alpha, for nine alphas that are weighted by how well each fits the reports so far (the pow3 of
    T. Domhan et al., "Speeding up Automatic Hyperparameter Optimization", IJCAI 2015), with normal errors. Extrapolations are too sure of themselves:
    standard deviations are multiplied by `widen`. The best is the best last report of a completed trial. At least `startup` reports with a
    number are needed. `high`, the last step of a full training, is that of the study's fidelity if it is not given, or else the furthest
    that a completed trial came.

    `delay` and `interval` are in steps: it looks at the first report at or after each of delay, delay + interval, ...
    """

    p: float = 0.05
    high: float | None = None
    widen: float = 3.0
    startup: int = 5
    interval: int = 1
    delay: int = 0
    metric: str | None = None
    goal: Goal | None = None

    def __post_init__(self) -> None:
        number("p", self.p, "a probability from 0 to 1, as in p=0.05", low=0, high=1)
        number("widen", self.widen, "a factor of at least 1, as in widen=3", low=1)
        if self.high is not None and not (is_number(self.high) and self.high > 0):
            raise InvalidStudy(f"high is {self.high!r}. Use a step above 0, or leave it out.")
        whole("startup", self.startup, 4)
        rhythm(self.interval, self.delay)
        judged(self.metric, self.goal)

    def check(self, problem: Problem) -> None:
        """Raise InvalidStudy where it is not clear what to go by."""
        objective_of(problem, self.metric, self.goal)

    def judge(self, trial: Trial, history: History) -> str | None:
        """Why, with the probability and what the trial is expected to come to; None while it has a chance."""
        step = first_after(trial, metric_of(history.problem, self.metric), self.interval, self.delay)
        if step is None or len(trial.reports) < self.startup:
            return None
        field = field_of(history, self.metric, self.goal)
        if field.finalist is None:
            return None
        best, leader = field.finalist
        high = end_of_training(field, history.problem) if self.high is None else self.high
        mine = field.track(trial)
        if high is None or step >= high or mine.best(len(mine)) <= best:
            return None
        end = forecast(mine, high)
        if end is None or len(mine) < self.startup:
            return None
        chance = end.below(best, self.widen)
        if not chance < self.p:
            return None
        return (
            f"{100 * chance:.2g}% sure to beat trial {leader.number}: {field.say(end.mean)} +- {self.widen * end.sd:.2g} "
            f"expected at step {high:g}, against {field.say(best)}"
        )


@dataclass(frozen=True, slots=True)
class Forecast:
    """The loss at the end, as several models see it, and how much each is believed."""

    means: NDArray[np.float64]
    sds: NDArray[np.float64]
    weights: NDArray[np.float64]

    @property
    def mean(self) -> float:
        """That of the mixture."""
        return float(self.weights @ self.means)

    @property
    def sd(self) -> float:
        """The standard deviation of the mixture."""
        return math.sqrt(float(self.weights @ (self.sds**2 + (self.means - self.mean) ** 2)))

    def below(self, loss: float, widen: float) -> float:
        """The probability of less, with standard deviations so many times as wide."""
        centre = self.mean
        # The models' disagreement is widened as well as the spread of each.
        means = centre + widen * (self.means - centre)
        z = (loss - means) / (widen * self.sds)
        return math.fsum(
            w * math.erfc(-x / math.sqrt(2)) / 2 for w, x in zip(self.weights, z.tolist(), strict=True)
        )


def forecast(track: Track, high: float) -> Forecast | None:
    """What the loss will be at step `high`; None where there are too few numbers to tell."""
    losses = np.frombuffer(track.losses)
    there = np.isfinite(losses)
    n = int(there.sum())
    if n < 4:
        return None
    y, steps = losses[there], np.frombuffer(track.steps, np.int64)[there]
    # A power law knows no unit of steps, but where they begin: one gap before the first.
    start = steps[0] - (steps[-1] - steps[0]) / (n - 1)
    x = ((steps - start) / (high - start)) ** -POWERS[:, None]
    mx, my = x.mean(axis=1), y.mean()
    dx, dy = x - mx[:, None], y - my
    sxx = np.einsum("ij,ij->i", dx, dx)
    slope = dx @ dy / sxx
    left = dy - slope[:, None] * dx
    floor = (1e-3 * float(np.ptp(y))) ** 2 + 1e-300
    variance = np.einsum("ij,ij->i", left, left) / (n - 2) + floor
    scores = -0.5 * n * np.log(variance)
    weights = np.exp(scores - scores.max())
    # At the end x is 1 for every power.
    spread = variance * (1 + 1 / n + (1 - mx) ** 2 / sxx)
    return Forecast(my + slope * (1 - mx), np.sqrt(spread), weights / weights.sum())
