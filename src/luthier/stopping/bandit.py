"""Bandit: gives up a trial that is further behind the best one than the slack allows."""

from __future__ import annotations

from dataclasses import dataclass

from luthier.errors import InvalidStudy
from luthier.stopping.settings import judged, metric_of, objective_of, rhythm
from luthier.stopping.tracks import BestOf, behind, field_of, nth
from luthier.study import Goal, History, Problem, Trial, is_number


@dataclass(frozen=True, slots=True)
class Bandit:
    """The bandit policy of Azure ML: stop a trial that is worse than the best one at the same report by more than a slack.

    Compared is the best that a trial reported so far, after its n-th report, with the best that any trial had reported after its n-th, whether
    that one still runs or ended. One of two slacks: `slack_factor` is a ratio, and 0.2 stops below best / 1.2 where more is better and above
    best * 1.2 where less is; `slack_amount` is in units of the metric. Of a best value below 0 the factor is taken the other way round,
    so that the cut is never better than the best.

    It looks at every report whose number, from 1, is a multiple of `interval` and at least `delay`. Differs from Azure's SDK in that the interval is 1
    if nothing is said, as in its YAML (the SDK says 0), and from the docstring of its first version, whose formula is another.
    """

    slack_factor: float | None = None
    slack_amount: float | None = None
    interval: int = 1
    delay: int = 0
    metric: str | None = None
    goal: Goal | None = None

    def __post_init__(self) -> None:
        rhythm(self.interval, self.delay)
        judged(self.metric, self.goal)
        given = {
            name: value
            for name in ("slack_factor", "slack_amount")
            if (value := getattr(self, name)) is not None
        }
        if len(given) != 1:
            said = "both slack_factor and slack_amount are given" if given else "no slack is given"
            raise InvalidStudy(
                f"{said}. Give one: slack_factor=0.2 for a fifth of the best value, or slack_amount in units of the metric."
            )
        ((name, value),) = given.items()
        if not is_number(value) or value < 0:
            raise InvalidStudy(f"{name} is {value!r}. Use a number of at least 0, as in {name}=0.2.")

    def check(self, problem: Problem) -> None:
        """Raise InvalidStudy where it is not clear what to go by."""
        objective_of(problem, self.metric, self.goal)

    def judge(self, trial: Trial, history: History) -> str | None:
        """Why, with the best value, the slack and the distance; None within the slack."""
        n = nth(trial, metric_of(history.problem, self.metric))
        if n == 0 or n % self.interval or n < self.delay:
            return None
        field = field_of(history, self.metric, self.goal)
        mine = field.track(trial)
        own = mine.best(n)
        best, number = field.ranking(BestOf(n), mine)[0]
        cut = self._cut(best)
        if not own > cut:
            return None
        slack = f"{self.slack_factor:.4g} x" if self.slack_amount is None else f"{self.slack_amount:.4g} from"
        return (
            f"{field.say(own)} in {n} reports, {behind(own, cut)} the cut at {field.say(cut)} "
            f"(slack {slack} the {field.say(best)} of trial {number})"
        )

    def _cut(self, best: float) -> float:
        """The loss up to which a trial goes on."""
        if self.slack_amount is not None:
            return best + self.slack_amount
        assert self.slack_factor is not None  # __post_init__ saw to it
        # The loss of an accuracy is negative: dividing it is what moves it away from the best.
        return max(best * (1 + self.slack_factor), best / (1 + self.slack_factor))
