"""Truncation: gives up the worst share of all trials at each look."""

from __future__ import annotations

from dataclasses import dataclass

from luthier.stopping.settings import judged, metric_of, number, objective_of, rhythm
from luthier.stopping.tracks import Nth, behind, field_of, nth
from luthier.study import Goal, History, Problem, Trial


@dataclass(frozen=True, slots=True)
class Truncation:
    """The truncation selection of Azure ML: stop a trial that is among the worst `percentage` of all at the same report.

    Compared is the value of the n-th report itself with that of every trial that made an n-th report: running, completed, and stopped ones, or
    each look would cut the survivors again. Of m trials the worst floor(m * percentage / 100) are given up, so with 20% none before the fifth; of equal ones that
    with the lower number is better.

    It looks at every report whose number, from 1, is a multiple of `interval` and at least `delay`. Each look is a new chance of losing the best trial:
    take an interval of a tenth of the reports, as Azure's example does not.
    """

    percentage: float
    interval: int = 1
    delay: int = 0
    metric: str | None = None
    goal: Goal | None = None

    def __post_init__(self) -> None:
        number("percentage", self.percentage, "a number from 1 to 99, as in percentage=20", low=1, high=99)
        rhythm(self.interval, self.delay)
        judged(self.metric, self.goal)

    def check(self, problem: Problem) -> None:
        """Raise InvalidStudy where it is not clear what to go by."""
        objective_of(problem, self.metric, self.goal)

    def judge(self, trial: Trial, history: History) -> str | None:
        """Why, with the rank and the distance; None where the trial is not among the worst."""
        n = nth(trial, metric_of(history.problem, self.metric))
        if n == 0 or n % self.interval or n < self.delay:
            return None
        field = field_of(history, self.metric, self.goal)
        mine = field.track(trial)
        own = mine.losses[n - 1]
        ranking = field.ranking(Nth(n), mine)
        rank, size = ranking.rank(own, trial.number), len(ranking)
        stay = size - int(size * self.percentage // 100)
        if rank <= stay:
            return None
        cut, _ = ranking[stay - 1]
        return (
            f"rank {rank} of {size} at report {n}, {field.say(own)} is {behind(own, cut)} the cut at {field.say(cut)} "
            f"(the worst {self.percentage:g}% end)"
        )
