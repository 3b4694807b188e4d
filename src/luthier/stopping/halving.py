"""Halving: a trial goes on from a rung if it is among the best third of all that got there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from luthier.errors import InvalidStudy
from luthier.stopping.settings import judged, metric_of, number, objective_of, whole
from luthier.stopping.tracks import Field, Since, Track, behind, field_of
from luthier.study import Fidelity, Goal, History, Problem, Trial, is_number

FIRST = 6
"""The first rung is at this part of a full training: earlier ranks say little of the final ones."""


@dataclass(frozen=True, slots=True)
class Halving:
    """Asynchronous successive halving, the variant that stops ("asha"): at a rung all but the best 1 / `factor` are given up.

    A rung is a step, and a trial's value there is that of its first report at or after it. It is compared with all values that any trial
    had at that rung, its own included, whatever became of them: of m it goes on as one of the best ceil(m / factor), of equal ones that
    with the lower number; with fewer than `minimum` all go on. L. Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020.

    What is ranked is the value and `trend` times what was gained since half as many steps, since slow learners are the ones that are lost;
    the one with the best value goes on in any case. `trend=0` is the rule as published.

    Rungs are at low, low * factor, ... below `high`, the last step of a full training: that of the study's fidelity if it is not given, or
    else the furthest that a completed trial came, and until there is one nothing is stopped. `low` is a sixth of it, so by default there
    are two, at R/6 and R/2. Or say where: `rungs` = [9, 27]. They are the interval and the delay of this policy.

    Others begin sooner: Ray (max_t 100, grace_period 1, reduction_factor 4) and Optuna's SuccessiveHalvingPruner (a hundredth of the
    first trial's steps, reduction_factor 4, no minimum). Both lose the best trial of most studies on curves that cross (docs/stopping.md).
    `Halving(low=1, high=100, factor=4, minimum=1, trend=0)` is theirs, but for rounding: of m they keep floor(m / factor), at least 1.
    """

    high: float | None = None
    low: float | None = None
    factor: float = 3.0
    rungs: Sequence[float] | None = None
    minimum: int = 5
    trend: float = 0.75
    metric: str | None = None
    goal: Goal | None = None

    def __post_init__(self) -> None:
        for name in ("high", "low"):
            value = getattr(self, name)
            if value is not None and not (is_number(value) and value > 0):
                raise InvalidStudy(f"{name} is {value!r}. Use a step above 0, or leave it out.")
        if self.high is not None and self.low is not None and self.low >= self.high:
            raise InvalidStudy(
                f"the first rung is at {self.low:g} and a full training ends at {self.high:g}. Use low below high."
            )
        number("factor", self.factor, "a number above 1, as in factor=3", low=math.nextafter(1, 2))
        whole("minimum", self.minimum, 1)
        number("trend", self.trend, "a number of at least 0; 0 goes by the values alone", low=0)
        if self.rungs is not None:
            self._check_rungs(self.rungs)
            object.__setattr__(self, "rungs", tuple(self.rungs))  # JSON knows only lists
        judged(self.metric, self.goal)

    def _check_rungs(self, rungs: Sequence[float]) -> None:
        if self.low is not None or self.high is not None:
            raise InvalidStudy(
                "rungs are given, and low or high, from which they would follow. Give one or the other."
            )
        listed = isinstance(rungs, Sequence) and not isinstance(rungs, str)
        if not (listed and rungs and all(is_number(rung) and rung > 0 for rung in rungs)) or any(
            b <= a for a, b in pairwise(rungs)
        ):
            raise InvalidStudy(f"rungs is {rungs!r}. Use ascending steps above 0, as in rungs=[9, 27].")

    def check(self, problem: Problem) -> None:
        """Raise InvalidStudy where it is not clear what to go by."""
        objective_of(problem, self.metric, self.goal)

    def judge(self, trial: Trial, history: History) -> str | None:
        """Why, with the rank at the rung and the distance; None where the trial is no rung or among the best."""
        metric = metric_of(history.problem, self.metric)
        if not trial.reports or metric not in trial.reports[-1].metrics:
            return None
        step = trial.reports[-1].step
        if trial.fidelity is not None and step >= trial.fidelity:
            return None  # it ends here anyway, and may go on later
        field = field_of(history, self.metric, self.goal)
        begun = _begun(trial, history)
        due = [rung for rung in self._rungs(field, history.problem) if begun < rung <= step]
        if not due:
            return None
        mine = field.track(trial)
        for rung in due:
            place = mine.since(rung)
            if place is None or mine.steps[place] != step:
                continue  # it passed this one before
            reason = self._judge_at(rung, mine, field)
            if reason is not None:
                return reason
        return None

    def _judge_at(self, rung: float, mine: Track, field: Field) -> str | None:
        reading, value = Since(rung, self.trend), Since(rung)
        own, now = reading(mine), value(mine)
        assert own is not None and now is not None  # it is at the rung  # noqa: PT018
        ranking = field.ranking(reading, mine)
        size, rank = len(ranking), ranking.rank(own, mine.number)
        stay = math.ceil(size / self.factor)
        if size < self.minimum or rank <= stay:
            return None
        if self.trend and field.ranking(value, mine).rank(now, mine.number) == 1:
            return None
        cut, _ = ranking[stay - 1]
        trend = f" with its trend from {field.say(now)}" if own != now else ""
        return (
            f"rank {rank} of {size} at step {mine.steps[-1]}, {field.say(own)}{trend} is {behind(own, cut)} "
            f"the cut at {field.say(cut)} (the best {stay} go on)"
        )

    def _rungs(self, field: Field, problem: Problem) -> Sequence[float]:
        if self.rungs is not None:
            return self.rungs
        high = end_of_training(field, problem) if self.high is None else self.high
        if high is None:
            return ()
        rungs = [high / FIRST if self.low is None else self.low]
        while rungs[-1] * self.factor < high:
            rungs.append(rungs[-1] * self.factor)
        return rungs if rungs[0] < high else ()


MILD = 1.5


def mild(fidelity: Fidelity) -> Halving | None:
    """What stops trials by default in a study with a fidelity: the worst third at each of its levels; None where there is only one.

    A model proposes what is close to the best, so a stricter cut loses the best of them, and the study ends behind one without any
    (docs/benchmarks.md).
    """
    rungs = fidelity.levels[:-1]
    return Halving(rungs=rungs, factor=MILD) if rungs else None


def _begun(trial: Trial, history: History) -> float:
    """Where a trial began that goes on from the checkpoint of another: it has passed the rungs up to there."""
    fidelity = history.problem.fidelity
    if trial.parent is None or fidelity is None or not fidelity.resumes:
        return 0.0
    return history[trial.parent].fidelity or 0.0


def end_of_training(field: Field, problem: Problem) -> float | None:
    """The last step of a full training: the fidelity's, or the furthest that a completed trial came."""
    return field.furthest if problem.fidelity is None else problem.fidelity.high
