"""Race: gives up a trial once the folds it has run say that it will not come to more than the best one.

A trial of a cross-validation and the best trial so far are compared fold by fold, in pairs, on the folds that both have.
The difference of the final means is then known but for the folds to come; the trial ends when even a lucky rest of them, at the
`confidence`, would leave it behind, or ahead by less than is worth a fit. That is a statement about the mean over these folds, by which
trials are compared, and about nothing else: hence the finite-population factor. One or two differences say little about
their own variance, so it is moderated, that is drawn towards the typical one (G. K. Smyth, Statistical Applications in Genetics and
Molecular Biology 3, 2004), and a race can be lost on the first fold.

Typical is what completed trials came to that were as far from the best one on these folds: a good optimiser proposes much that is close to
it, and that varies the less the closer it is. Much even predicts the very same, and such a trial ends after two thirds of the folds.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from luthier.errors import InvalidStudy
from luthier.study import History, Metrics, State, Trial

Folds = Mapping[int, float]
"""The loss of each fold: its score, or for a score to be maximised its negative."""
Table = NDArray[np.float64]

MIN_FOLDS = 3
LOOKS = 10
"""Each look has a chance of being wrong; with more folds than this, only so many looks are taken, evenly spread."""
NEAREST = 9
"""The typical variance is the median of so many, or more that are equally near."""
LATEST = 100
"""Of so many completed trials, so that a check does not cost more the longer a study gets."""
EQUAL = 2 / 3
"""What scores the same on so many of the folds is taken to do so on all of them."""
WORTH = 0.05
"""A gain below this share of the standard error of the best trial's mean is none."""


@dataclass(frozen=True, slots=True)
class Race:
    """Moderated-t futility race over the folds of a cross-validation: `tune(..., stopping=Race())`.

    `confidence` is that of one look at a trial that is not ahead, `prior_df` how many degrees of freedom the typical variance counts
    for (d0 of limma), and the first `startup` trials run all their folds. Each report must be a fold, its step the
    fold's number, and the result the mean over the folds, as in `CrossValidation`; trials of which that is not so are left alone, as are
    those of fewer than three folds and of studies with several objectives. A trial that has no number for two folds is given up.
    """

    confidence: float = 0.975
    prior_df: float = 8.0
    startup: int = 3

    def __post_init__(self) -> None:
        if not 0.5 <= self.confidence < 1:
            raise InvalidStudy(
                f"confidence is {self.confidence!r}. Use a number from 0.5 to below 1: 0.95, or 0.99 to stop less."
            )
        if not 0 < self.prior_df < math.inf:
            raise InvalidStudy(f"prior_df is {self.prior_df!r}. Use a number above 0, as in prior_df=8.")
        if isinstance(self.startup, bool) or not isinstance(self.startup, int) or self.startup < 2:
            raise InvalidStudy(
                f"startup is {self.startup!r}. Use a whole number of at least 2, as in startup=3."
            )

    def judge(self, trial: Trial, history: History) -> str | None:
        """Why `trial` cannot be expected to do better than the best completed one, in numbers; None while it can."""
        fidelity, standing = history.problem.fidelity, _field(history).standing
        if fidelity is not None and not fidelity.full(trial.fidelity):
            return None
        if standing is None or not standing.leader.feasible or standing.size < self.startup:
            return None
        leader, folds = standing.leader, len(standing.leader.folds)
        run = _losses(trial, history)
        if not len(run) < folds >= MIN_FOLDS or not run.keys() <= leader.folds.keys():
            return None
        apart = standing.apart(run)
        if len(run) - len(apart) >= 2:
            return f"{len(run) - len(apart)} of {len(run)} folds have no number as their score"
        looked = len(apart)
        if folds > LOOKS and looked * LOOKS // folds == (looked - 1) * LOOKS // folds:
            return None
        behind = math.fsum(apart.values()) / looked if apart else 0.0
        if looked >= EQUAL * folds and all(abs(d) <= standing.rounding for d in apart.values()):
            return f"on {looked} of {folds} folds equal to trial {leader.number}"
        error = self._error(apart, standing) if behind >= -standing.rounding else None
        if error is None:
            return None
        margin = _quantile(self.confidence, self.prior_df + looked - 1) * error
        if behind + WORTH * standing.error <= margin:
            return None
        said = f"after {looked} of {folds} folds {max(behind, 0.0):.3g} behind trial {leader.number}"
        sure = f"({100 * self.confidence:g}%)"
        if behind > margin:
            return f"{said}, more than the {margin:.3g} that the other folds could make up {sure}"
        return (
            f"{said}, and at best {margin - behind:.2g} ahead of it in the end {sure}: less than a twentieth of "
            f"the standard error of its mean, {standing.error:.2g}"
        )

    def _error(self, apart: Folds, standing: _Standing) -> float | None:
        """The standard error of the final mean distance, given these; None where there is nothing to judge it by."""
        looked, folds = len(apart), len(standing.leader.folds)
        spread = standing.spread(apart) if apart else None
        if spread is None:
            return None
        df = self.prior_df + looked - 1
        mean = math.fsum(apart.values()) / looked
        squares = math.fsum((d - mean) ** 2 for d in apart.values())
        return math.sqrt((self.prior_df * spread + squares) / df / looked * (folds - looked) / folds)

    def expected(self, trial: Trial, history: History) -> Metrics | None:
        """The means of the leader at that time, and by how much the folds that `trial` has differ from its folds.

        None where the trial was ahead: then it was stopped for other reasons, and might have been the best.
        """
        standing = _field(history).standing_at(trial.seq)
        problem = history.problem
        run = _losses(trial, history)
        if standing is None or not run or not run.keys() <= standing.leader.folds.keys():
            return None
        leader = standing.leader
        behind = math.fsum(loss - leader.folds[fold] for fold, loss in run.items()) / len(run)
        if not -standing.rounding <= behind < math.inf:
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
    """A completed trial with all its folds, in order."""

    number: int
    seq: int
    feasible: bool
    loss: float
    folds: Folds
    losses: Table

    def leads(self, other: _Runner | None) -> bool:
        if other is None:
            return True
        return (not self.feasible, self.loss, self.number) < (not other.feasible, other.loss, other.number)


class _Standing:
    """The leader, and how far from it the others are."""

    def __init__(self, leader: _Runner, runners: Sequence[_Runner]) -> None:
        folds = leader.folds
        others = [r for r in runners if r.folds.keys() == folds.keys() and r is not leader]
        self.leader = leader
        self.size = len(others) + 1
        """How many runners have the leader's folds, itself among them."""
        self.error = math.sqrt(_variance(folds.values()) / len(folds)) if len(folds) > 1 else 0.0
        """The standard error of the leader's mean."""
        self.rounding = 1e-9 * self.error
        """So far apart are those that are equal."""
        self._place = {fold: i for i, fold in enumerate(folds)}
        apart = np.array([r.losses for r in others[-LATEST:]]).reshape(-1, len(folds)) - leader.losses
        spreads = apart.var(axis=1, ddof=1) if len(folds) > 1 else np.zeros(len(apart))
        # One that predicts the very same says nothing of how those vary that do not.
        order = np.argsort(spreads, kind="stable")[np.count_nonzero(spreads <= self.rounding**2) :]
        self._spreads = spreads[order]
        """The variances over the folds of the others' distances to the leader, the least first."""
        self._squares = np.square(apart[order].T)
        """Their squared distances, a row for each fold."""

    def apart(self, run: Folds) -> Folds:
        """By how much the folds are behind the leader's, where they have a number."""
        theirs = self.leader.folds
        return {fold: loss - theirs[fold] for fold, loss in run.items() if math.isfinite(loss)}

    def spread(self, apart: Folds) -> float | None:
        """The typical variance of those that are as far from the leader on these folds; None if there are no others."""
        spreads = self._spreads
        if not len(spreads):
            return None
        if len(spreads) > NEAREST:
            theirs = np.sqrt(self._squares[[self._place[fold] for fold in apart]].sum(axis=0))
            away = np.abs(theirs - math.sqrt(math.fsum(d * d for d in apart.values())))
            spreads = spreads[away <= np.partition(away, NEAREST - 1)[NEAREST - 1] + self.rounding]
        middle = len(spreads) // 2
        return float(spreads[middle] if len(spreads) % 2 else (spreads[middle - 1] + spreads[middle]) / 2)


class _Field:
    """The runners of a history, kept up to date at the cost of what is new."""

    def __init__(self) -> None:
        self._seen = 0
        self._runners: list[_Runner] = []
        self._leaders: list[_Runner] = []
        self._standing: _Standing | None = None

    @property
    def standing(self) -> _Standing | None:
        """As of now; None while nobody leads."""
        if self._standing is None and self._leaders:
            self._standing = _Standing(self._leaders[-1], self._runners)
        return self._standing

    def standing_at(self, seq: int) -> _Standing | None:
        """When the study was at that cursor."""
        runners = bisect_right(self._runners, seq, key=lambda runner: runner.seq)
        if runners == len(self._runners):
            return self.standing
        leaders = bisect_right(self._leaders, seq, key=lambda runner: runner.seq)
        return _Standing(self._leaders[leaders - 1], self._runners[:runners]) if leaders else None

    def follow(self, history: History) -> None:
        """Take in the trials that ended since the last time."""
        if history.ended == self._seen:
            return
        for trial in history.finished()[self._seen :]:
            runner = _runner(trial, history)
            if runner is None:
                continue
            self._runners.append(runner)
            self._standing = None
            if runner.leads(self._leaders[-1] if self._leaders else None) and history.problem.space.allows(
                trial.params
            ):
                self._leaders.append(runner)
        self._seen = history.ended


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
    folds = dict(sorted(_losses(trial, history).items()))
    if not folds or not all(map(math.isfinite, folds.values())):
        return None
    size = max(map(abs, folds.values()))
    if not abs(math.fsum(folds.values()) / len(folds) - loss) <= 1e-6 * size:
        return None
    losses = np.fromiter(folds.values(), float)
    return _Runner(trial.number, trial.seq, history.feasible(trial), loss, folds, losses)


def _losses(trial: Trial, history: History) -> dict[int, float]:
    objective = history.problem.objective
    return {fold: objective.sign * score for fold, score in trial.reported(objective.metric).items()}


def _variance(values: Collection[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


@lru_cache(maxsize=256)
def _quantile(confidence: float, df: float) -> float:
    """Of Student's t distribution."""
    from scipy.special import stdtrit

    return float(stdtrit(df, confidence))
