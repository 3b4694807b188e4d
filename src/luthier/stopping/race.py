"""Race: gives up a trial once the folds it has run say that it will not catch up with the best one.

A trial of a cross-validation and the best trial so far are compared fold by fold, in pairs, on the folds that both have.
The difference of the final means is then known but for the folds to come; the trial ends when even a lucky rest of them, at the
`confidence`, would leave it behind. That is a statement about the mean over these folds, by which trials are compared,
and about nothing else: hence the finite-population factor. One or two differences say little about their own variance,
so it is moderated, that is drawn towards the typical one among completed trials (G. K. Smyth, Statistical Applications in Genetics and
Molecular Biology 3, 2004), and a race can be lost on the first fold.
"""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from weakref import WeakKeyDictionary

from luthier.errors import InvalidStudy
from luthier.study import History, Metrics, State, Trial

Folds = Mapping[int, float]
"""The loss of each fold: its score, or for a score to be maximised its negative."""

MIN_FOLDS = 3
LOOKS = 10
"""Each look has a chance of being wrong; with more folds than this, only so many looks are taken, evenly spread."""


@dataclass(frozen=True, slots=True)
class Race:
    """Moderated-t futility race over the folds of a cross-validation: `tune(..., stopping=Race())`.

    `confidence` is that of one look at a trial that is behind, `prior_df` how many degrees of freedom the typical variance counts
    for (d0 of limma), and the first `startup` trials run all their folds. Each report must be a fold, its step the
    fold's number, and the result the mean over the folds, as in `CrossValidation`; trials of which that is not so are left alone, as are
    those of fewer than three folds and of studies with several objectives. A trial that has no number for two folds is given up.
    """

    confidence: float = 0.95
    prior_df: float = 4.0
    startup: int = 5

    def __post_init__(self) -> None:
        if not 0.5 <= self.confidence < 1:
            raise InvalidStudy(
                f"confidence is {self.confidence!r}. Use a number from 0.5 to below 1: 0.95, or 0.99 to stop less."
            )
        if not 0 < self.prior_df < math.inf:
            raise InvalidStudy(f"prior_df is {self.prior_df!r}. Use a number above 0, as in prior_df=4.")
        if isinstance(self.startup, bool) or not isinstance(self.startup, int) or self.startup < 2:
            raise InvalidStudy(
                f"startup is {self.startup!r}. Use a whole number of at least 2, as in startup=5."
            )

    def judge(self, trial: Trial, history: History) -> str | None:
        """Why `trial` cannot be expected to catch up with the best completed one, in numbers; None while it can."""
        field = _field(history)
        leader = field.leader
        if leader is None or not leader.feasible or field.size < self.startup:
            return None
        folds = len(leader.folds)
        run = _losses(trial, history)
        if not len(run) < folds >= MIN_FOLDS or not run.keys() <= leader.folds.keys():
            return None
        behind = [loss - leader.folds[fold] for fold, loss in run.items() if math.isfinite(loss)]
        if len(run) - len(behind) >= 2:
            return f"{len(run) - len(behind)} of {len(run)} folds have no number as their score"
        looked = len(behind)
        if folds > LOOKS and looked * LOOKS // folds == (looked - 1) * LOOKS // folds:
            return None
        mean = math.fsum(behind) / looked if behind else 0.0
        spread = field.spread
        if mean <= 0 or spread is None:
            return None
        df = self.prior_df + looked - 1
        variance = (self.prior_df * spread + math.fsum((d - mean) ** 2 for d in behind)) / df
        margin = _quantile(self.confidence, df) * math.sqrt(variance / looked * (folds - looked) / folds)
        if mean <= margin:
            return None
        return (
            f"after {looked} of {folds} folds {mean:.3g} behind trial {leader.number}, more than the {margin:.3g} "
            f"that the other folds could make up ({100 * self.confidence:g}%)"
        )

    def expected(self, trial: Trial, history: History) -> Metrics | None:
        """The means of the leader at that time, and by how much the folds that `trial` has differ from its folds.

        None where the trial is not behind: then it was stopped for other reasons, and might have been the best.
        """
        leader = _field(history).leader_at(trial.seq)
        problem = history.problem
        run = _losses(trial, history)
        if leader is None or not run or not run.keys() <= leader.folds.keys():
            return None
        behind = math.fsum(loss - leader.folds[fold] for fold, loss in run.items())
        if not 0 < behind < math.inf:
            return None
        metrics = {}
        for metric in (problem.objective.metric, *(constraint.metric for constraint in problem.constraints)):
            theirs, mine = history[leader.number].reported(metric), trial.reported(metric)
            if not mine or not mine.keys() <= theirs.keys():
                return None
            apart = math.fsum(score - theirs[fold] for fold, score in mine.items()) / len(mine)
            metrics[metric] = history[leader.number].metrics[metric] + apart
        return metrics


@dataclass(frozen=True, slots=True)
class _Runner:
    """A completed trial with all its folds."""

    number: int
    seq: int
    feasible: bool
    loss: float
    folds: Folds

    def leads(self, other: _Runner | None) -> bool:
        if other is None:
            return True
        return (not self.feasible, self.loss, self.number) < (not other.feasible, other.loss, other.number)


class _Field:
    """The runners of a history, kept up to date at the cost of what is new."""

    def __init__(self) -> None:
        self._seen = 0
        self._runners: list[_Runner] = []
        self._leaders: list[_Runner] = []
        self._spreads: list[float] = []
        self.size = 0
        """How many runners have the leader's folds, itself among them."""

    @property
    def leader(self) -> _Runner | None:
        return self._leaders[-1] if self._leaders else None

    def leader_at(self, seq: int) -> _Runner | None:
        """The one that led when the study was at that cursor."""
        place = bisect_right(self._leaders, seq, key=lambda runner: runner.seq)
        return self._leaders[place - 1] if place else None

    @property
    def spread(self) -> float | None:
        """The typical variance over the folds of another runner's distance to the leader; None if there is no other."""
        spreads, middle = self._spreads, len(self._spreads) // 2
        if not spreads:
            return None
        return spreads[middle] if len(spreads) % 2 else (spreads[middle - 1] + spreads[middle]) / 2

    def follow(self, history: History) -> None:
        """Take in the trials that ended since the last time."""
        if history.ended == self._seen:
            return
        for trial in history.finished()[self._seen :]:
            runner = _runner(trial, history)
            if runner is None:
                continue
            self._runners.append(runner)
            if runner.leads(self.leader) and history.problem.space.allows(trial.params):
                self._leaders.append(runner)
                self._spreads, self.size = [], 0
                for other in self._runners:
                    self._compare(other)
            else:
                self._compare(runner)
        self._seen = history.ended

    def _compare(self, runner: _Runner) -> None:
        leader = self.leader
        if leader is None or runner.folds.keys() != leader.folds.keys():
            return
        self.size += 1
        apart = [loss - leader.folds[fold] for fold, loss in runner.folds.items()]
        # One that predicts the very same says nothing of how those vary that do not; the leader itself is such a one.
        if len(apart) > 1 and any(apart):
            insort(self._spreads, _variance(apart))


_fields: WeakKeyDictionary[History, _Field] = WeakKeyDictionary()


def _field(history: History) -> _Field:
    """What there is to know of the completed trials, which is the same for all races."""
    field = _fields.get(history)
    if field is None:
        field = _fields[history] = _Field()
    field.follow(history)
    return field


def _runner(trial: Trial, history: History) -> _Runner | None:
    """A completed trial whose reports are its folds: their mean is its result."""
    problem = history.problem
    if trial.state is not State.COMPLETED or len(problem.objectives) > 1:
        return None
    loss = problem.objective.sign * history.value(trial)
    folds = _losses(trial, history)
    if not folds or not all(map(math.isfinite, folds.values())):
        return None
    size = max(map(abs, folds.values()))
    if not abs(math.fsum(folds.values()) / len(folds) - loss) <= 1e-6 * size:
        return None
    return _Runner(trial.number, trial.seq, history.feasible(trial), loss, folds)


def _losses(trial: Trial, history: History) -> dict[int, float]:
    objective = history.problem.objective
    return {fold: objective.sign * score for fold, score in trial.reported(objective.metric).items()}


def _variance(values: Sequence[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


@lru_cache(maxsize=256)
def _quantile(confidence: float, df: float) -> float:
    """Of Student's t distribution."""
    from scipy.special import stdtrit

    return float(stdtrit(df, confidence))
