"""Threshold: gives up a trial whose metric leaves the bounds."""

from __future__ import annotations

import math
from dataclasses import dataclass

from luthier.errors import InvalidStudy
from luthier.stopping.percentile import first_after
from luthier.stopping.settings import judged, metric_of, rhythm
from luthier.study import History, Problem, Trial, is_number


@dataclass(frozen=True, slots=True)
class Threshold:
    """Optuna's ThresholdPruner: stop a trial that reports less than `low`, more than `high`, or what is no number.

    At least one of the two. They are values of the metric, so it does not matter which way it is better, and any metric will do.

    `delay` and `interval` are in steps: it looks at the first report at or after each of delay, delay + interval, ...
    """

    low: float | None = None
    high: float | None = None
    interval: int = 1
    delay: int = 0
    metric: str | None = None

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            value = getattr(self, name)
            if value is not None and not is_number(value):
                raise InvalidStudy(f"{name} is {value!r}. Use a number, or leave it out.")
        if self.low is None and self.high is None:
            raise InvalidStudy(
                "a threshold has neither low nor high. Give one or both, as in Threshold(high=10)."
            )
        if self.low is not None and self.high is not None and self.low > self.high:
            raise InvalidStudy(
                f"the threshold is from {self.low} to {self.high}, which nothing meets. Use low <= high."
            )
        rhythm(self.interval, self.delay)
        judged(self.metric, None)

    def check(self, problem: Problem) -> None:
        """Raise InvalidStudy where it is not clear what to go by."""
        metric_of(problem, self.metric)

    def judge(self, trial: Trial, history: History) -> str | None:
        """Why, with the value and the bound; None within the bounds."""
        metric = metric_of(history.problem, self.metric)
        step = first_after(trial, metric, self.interval, self.delay)
        if step is None:
            return None
        value = trial.reports[-1].metrics[metric]
        if math.isnan(value):
            return f"{metric} is NaN at step {step}"
        if self.low is not None and value < self.low:
            return f"{metric} is {value:.4g} at step {step}, {self.low - value:.3g} below the threshold {self.low:g}"
        if self.high is not None and value > self.high:
            return f"{metric} is {value:.4g} at step {step}, {value - self.high:.3g} above the threshold {self.high:g}"
        return None
