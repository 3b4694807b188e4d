"""What trials reported of one metric, side by side, kept up to date at the cost of what is new.

Policies keep nothing; what they compare a trial with is a function of the history and is cached beside it. A `Track` is one trial's losses
(the metric, or its negative where more is better; NaN is worse than everything). A *reading* takes one number from a track, such as the
mean of its first five losses, and a column holds that number of all trials that ended, in order: adding one costs microseconds in
a study of 10,000. Trials that still run are few, and are looked at each time.

Trials that failed, and those that came out infeasible, are not compared with: nobody would choose them.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Protocol
from weakref import WeakKeyDictionary

from luthier.stopping.settings import objective_of
from luthier.study import Goal, History, Objective, State, Trial
from luthier.study.trial import Report

NUMBERLESS = "no number"


class Track:
    """The losses of a trial by step, steps ascending; `completed` where it came to its end."""

    __slots__ = ("_bests", "_means", "completed", "losses", "number", "steps")

    def __init__(self, trial: Trial, objective: Objective) -> None:
        sign, said = objective.sign, trial.reported(objective.metric)
        steps = list(said)
        if any(after < before for before, after in pairwise(steps)):
            said = dict(sorted(said.items()))
        self.number = trial.number
        self.completed = trial.state is State.COMPLETED
        self.steps = array("q", said)
        self.losses = array("d", [math.inf if math.isnan(v) else sign * v for v in said.values()])
        self._bests: array[float] | None = None
        self._means: array[float] | None = None

    def __len__(self) -> int:
        return len(self.losses)

    def best(self, n: int) -> float:
        """The least of the first `n` losses."""
        if self._bests is None:
            self._bests = array("d", accumulate(self.losses, min))
        return self._bests[n - 1]

    def mean(self, n: int) -> float:
        """The mean of the first `n` losses."""
        if self._means is None:
            sums = accumulate(self.losses)
            self._means = array("d", [total / count for count, total in enumerate(sums, 1)])
        return self._means[n - 1]

    def since(self, step: float) -> int | None:
        """The place of the first loss at that step or a later one."""
        place = bisect_left(self.steps, step)
        return None if place == len(self.steps) else place


class Reading(Hashable, Protocol):
    """One number of a track; None where the trial did not get so far."""

    def __call__(self, track: Track) -> float | None: ...


@dataclass(frozen=True, slots=True)
class Nth:
    """The loss of the n-th report."""

    n: int

    def __call__(self, track: Track) -> float | None:
        return track.losses[self.n - 1] if len(track) >= self.n else None


@dataclass(frozen=True, slots=True)
class BestOf:
    """The best of the first n reports."""

    n: int

    def __call__(self, track: Track) -> float | None:
        return track.best(self.n) if len(track) >= self.n else None


@dataclass(frozen=True, slots=True)
class MeanOf:
    """The running average after n reports."""

    n: int

    def __call__(self, track: Track) -> float | None:
        return track.mean(self.n) if len(track) >= self.n else None


@dataclass(frozen=True, slots=True)
class Since:
    """The loss of the first report at a step or after it, less `trend` times what was gained since half as many steps."""

    step: float
    trend: float = 0.0

    def __call__(self, track: Track) -> float | None:
        place = track.since(self.step)
        if place is None:
            return None
        loss = track.losses[place]
        half = bisect_right(track.steps, track.steps[place] / 2) - 1
        if not self.trend or half < 0:
            return loss
        gain = track.losses[half] - loss
        return loss - self.trend * gain if math.isfinite(gain) else loss


@dataclass(frozen=True, slots=True)
class CompletedAt:
    """The loss at exactly that step, of trials that completed, where it is a number."""

    step: int

    def __call__(self, track: Track) -> float | None:
        place = track.since(self.step) if track.completed else None
        if place is None or track.steps[place] != self.step or track.losses[place] == math.inf:
            return None
        return track.losses[place]


class Column:
    """One reading of many trials, the best first; of equals the lowest number."""

    __slots__ = ("_losses", "_numbers", "seen")

    def __init__(self) -> None:
        self.seen = 0
        self._losses = array("d")
        self._numbers = array("q")

    def __len__(self) -> int:
        return len(self._losses)

    def __getitem__(self, place: int) -> tuple[float, int]:
        return self._losses[place], self._numbers[place]

    def before(self, loss: float, number: int) -> int:
        """How many are better."""
        low = bisect_left(self._losses, loss)
        high = bisect_right(self._losses, loss, lo=low)
        return bisect_left(self._numbers, number, low, high)

    def add(self, loss: float, number: int) -> None:
        """Take one in."""
        place = self.before(loss, number)
        self._losses.insert(place, loss)
        self._numbers.insert(place, number)


class Ranking:
    """A column and a few more."""

    __slots__ = ("_column", "_few")

    def __init__(self, column: Column, few: list[tuple[float, int]]) -> None:
        self._column = column
        self._few = sorted(few)

    def __len__(self) -> int:
        return len(self._column) + len(self._few)

    def __getitem__(self, place: int) -> tuple[float, int]:
        """The loss and the number of the trial at a place; 0 is the best one's."""
        for i, one in enumerate(self._few):
            rank = self._column.before(*one) + i
            if rank == place:
                return one
            if rank > place:
                return self._column[place - i]
        return self._column[place - len(self._few)]

    def rank(self, loss: float, number: int) -> int:
        """From 1, the best one's."""
        return 1 + self._column.before(loss, number) + bisect_left(self._few, (loss, number))

    def median(self) -> float:
        """The middle one, or the mean of the two in the middle."""
        size = len(self)
        return (self[(size - 1) // 2][0] + self[size // 2][0]) / 2


class Field:
    """All trials that one is compared with, by one metric."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self.leader: tuple[float, Track] | None = None
        """The completed trial with the best result, and its loss."""
        self.finalist: tuple[float, Track] | None = None
        """The completed trial with the best last report, and its loss."""
        self.completed = 0
        self.furthest: int | None = None
        """The last step that a completed trial came to."""
        self._seen = 0
        self._tracks: list[Track] = []
        self._columns: dict[Reading, Column] = {}
        self._live: dict[int, tuple[Sequence[Report], Track]] = {}

    def follow(self, history: History) -> None:
        """Take in what changed since the last time."""
        if history.ended != self._seen:
            for trial in history.finished()[self._seen :]:
                self._end(trial, history)
            self._seen = history.ended
        live = {}
        for trial in history.pending():
            if trial.reports:
                known = self._live.get(trial.number)
                if known is None or known[0] is not trial.reports:
                    known = trial.reports, self.track(trial)
                live[trial.number] = known
        self._live = live

    def _end(self, trial: Trial, history: History) -> None:
        completed = trial.state is State.COMPLETED
        if trial.state is State.FAILED or (completed and not history.feasible(trial)):
            return
        track = self.track(trial)
        if not track:
            return
        self._tracks.append(track)
        fidelity = history.problem.fidelity
        if not completed or (
            fidelity is not None and trial.fidelity is not None and trial.fidelity < fidelity.high
        ):
            return
        self.completed += 1
        self.furthest = max(track.steps[-1], self.furthest or 0)
        result = self.objective.sign * trial.metrics.get(self.objective.metric, math.nan)
        last = track.losses[-1]
        if not history.problem.space.allows(trial.params):
            return
        if result < math.inf and (self.leader is None or (result, trial.number) < _key(self.leader)):
            self.leader = result, track
        if last < math.inf and (self.finalist is None or (last, trial.number) < _key(self.finalist)):
            self.finalist = last, track

    def track(self, trial: Trial) -> Track:
        """What that trial reported."""
        return Track(trial, self.objective)

    def column(self, reading: Reading) -> Column:
        """That of the trials that ended."""
        column = self._columns.get(reading)
        if column is None:
            column = self._columns[reading] = Column()
        for track in self._tracks[column.seen :] if column.seen < len(self._tracks) else ():
            loss = reading(track)
            if loss is not None:
                column.add(loss, track.number)
        column.seen = len(self._tracks)
        return column

    def ranking(self, reading: Reading, mine: Track) -> Ranking:
        """All that got so far, running ones and this one among them."""
        few = [
            (loss, number)
            for number, (_, track) in self._live.items()
            if number != mine.number and (loss := reading(track)) is not None
        ]
        own = reading(mine)
        if own is not None:
            few.append((own, mine.number))
        return Ranking(self.column(reading), few)

    def say(self, loss: float) -> str:
        """A loss as the metric that the user knows."""
        return NUMBERLESS if loss == math.inf else f"{self.objective.sign * loss:.4g}"


def _key(of: tuple[float, Track]) -> tuple[float, int]:
    return of[0], of[1].number


_fields: WeakKeyDictionary[History, dict[tuple[str | None, Goal | None], Field]] = WeakKeyDictionary()


def field_of(history: History, metric: str | None, goal: Goal | None) -> Field:
    """The field of a history by that metric, the same for all policies; raises InvalidStudy as `objective_of` does."""
    fields = _fields.get(history)
    if fields is None:
        fields = _fields[history] = {}
    field = fields.get((metric, goal))
    if field is None:
        field = fields[metric, goal] = Field(objective_of(history.problem, metric, goal))
    field.follow(history)
    return field


def nth(trial: Trial, metric: str) -> int:
    """How many reports of the metric the trial made, where the last of its reports is one; else 0."""
    reports = trial.reports
    if not reports or metric not in reports[-1].metrics:
        return 0
    return sum(metric in report.metrics for report in reports)


def behind(loss: float, cut: float) -> str:
    """How far, where that is a number."""
    gap = loss - cut
    return f"{gap:.3g} behind" if math.isfinite(gap) else "behind"
