"""MedianStopping: gives up a trial whose best is worse than the median of the running averages."""

from __future__ import annotations

from dataclasses import dataclass

from luthier.stopping.settings import judged, metric_of, objective_of, rhythm
from luthier.stopping.tracks import MeanOf, behind, field_of, nth
from luthier.study import Goal, History, Problem, Trial


@dataclass(frozen=True, slots=True)
class MedianStopping:
    """The median stopping rule of Azure ML and Google Vizier: stop a trial whose best value is worse than the median of running averages.

    After its n-th report the best that a trial reported so far is compared with the median, over all trials that have n reports, this one
    among them and running ones too, of the mean of their first n. D. Golovin et al., "Google Vizier", KDD 2017, section 3.2.1. (SageMaker's
    "Auto" compares the present value with the same median, Ray's rule leaves this trial out and waits for three others, Vizier's takes only completed trials;
    Optuna's MedianPruner compares single steps, and is `Percentile(50)`.)

    It looks at every report whose number, from 1, is a multiple of `interval` and at least `delay`. Without a delay it loses the best
    trial of two studies in five: set it to a tenth of the reports that a trial makes, or more.
    """

    interval: int = 1
    delay: int = 0
    metric: str | None = None
    goal: Goal | None = None

    def __post_init__(self) -> None:
        rhythm(self.interval, self.delay)
        judged(self.metric, self.goal)

    def check(self, problem: Problem) -> None:
        """Raise InvalidStudy where it is not clear what to go by."""
        objective_of(problem, self.metric, self.goal)

    def judge(self, trial: Trial, history: History) -> str | None:
        """Why, with the median and the distance; None where the trial is not worse."""
        n = nth(trial, metric_of(history.problem, self.metric))
        if n == 0 or n % self.interval or n < self.delay:
            return None
        field = field_of(history, self.metric, self.goal)
        mine = field.track(trial)
        own = mine.best(n)
        ranking = field.ranking(MeanOf(n), mine)
        median = ranking.median()
        if not own > median:
            return None
        return (
            f"at best {field.say(own)} in {n} reports, {behind(own, median)} the median {field.say(median)} "
            f"of the running averages of {len(ranking)} trials"
        )
