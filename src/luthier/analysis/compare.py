"""Which of two trials is better, and which could be the best: from the differences of their scores, fold by fold.

All trials of a study are scored on the same splits, so the difficulty of a fold drops out of the difference of two
trials. What is left varies from fold to fold, and by more than it seems: folds share most of their training rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from luthier.analysis.table import number, uncertainty
from luthier.errors import InvalidStudy, LuthierError
from luthier.study import History, Objective, State, Trial

Floats = NDArray[np.float64]

ALPHA = 0.05
"""How often a difference that is none may be taken for one."""
ENOUGH = 10
"""From so many other trials on, their spread says what is usual in a study."""
USUAL = 4
"""What is usual counts as much as so many folds more, but never more than a trial's own folds."""
HOW = (
    "Compare trials that were scored fold by fold: tune a CrossValidation, or, in a function, report every fold's score "
    "(trial.report(fold, {metric}=...)) on the same splits in every trial, and return the mean."
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two trials beside each other, over the folds that both have; as a string, a sentence.

    `difference` is what `a` is better by, whichever the direction of the goal: negative where `b` is better. `error` is its
    standard error; `t` and the two-sided `p` test whether there is any difference; `low` to `high` hold it with a
    probability of 95%. Differences up to `margin` do not matter in practice: `a_better`, `equivalent` and `b_better` are the
    probabilities that `a` is better by more than that, neither is, and `b` is. They add up to 1.
    """

    a: int
    b: int
    metric: str
    folds: int
    difference: float
    error: float
    t: float
    p: float
    low: float
    high: float
    margin: float
    a_better: float
    equivalent: float
    b_better: float

    @property
    def winner(self) -> int | None:
        """The number of the better trial, if it is better by more than noise (p < 0.05)."""
        if not self.apart:
            return None
        return self.a if self.difference > 0 else self.b

    @property
    def apart(self) -> bool:
        """Whether the difference is more than noise."""
        return self.p < ALPHA

    def __str__(self) -> str:
        if self._same:
            return f"trials {self.a} and {self.b} have the same {self.metric} on all {self.folds} folds."
        return self.told(f"trial {self.a}", f"trial {self.b}")

    @property
    def _same(self) -> bool:
        return self.difference == 0 and self.error == 0

    def told(self, a: str, b: str) -> str:
        """The sentence, with the trials called so: those of two studies may have the same number."""
        if self._same:
            return f"{a} and {b} have the same {self.metric} on all {self.folds} folds."
        ahead, behind = (a, b) if self.difference >= 0 else (b, a)
        verdict = "more than noise" if self.apart else "not more than noise: they cannot be told apart"
        amount = number(abs(self.difference), self.error)
        return f"{ahead} is better than {behind} by {amount} in {self.metric}; that is {verdict}."


def compare(
    a: Trial, b: Trial, objective: Objective, *, margin: float | None = None, overlap: float | None = None
) -> Comparison:
    """Compare two trials of one study by the folds that both were scored on.

    The variance of the mean difference is (1/K + `overlap`) times that of the K differences, where `overlap` is the number of
    test rows to that of training rows of a split, 1/(K-1) unless given (Nadeau & Bengio 2003; for repeated splits Bouckaert &
    Frank 2004); t has K-1 degrees of freedom. The probabilities are those of the Bayesian correlated t-test (Corani & Benavoli
    2015), the correlation of folds being the share of the test rows; its posterior is Student's t with the same mean,
    error and degrees of freedom, hence one interval for both views.

    `margin` is in units of the metric; by default a tenth of the standard error of the trials' own scores (the root mean square
    of the two, over the same folds), since a difference far below what either score is known to changes no decision.

    Raises LuthierError for trials without two folds in common, InvalidStudy for a margin below 0.
    """
    if margin is not None and not 0 <= margin < math.inf:
        raise InvalidStudy(f"the margin is {margin!r}. Use a number of at least 0, in units of the metric.")
    scores = _paired(a, b, objective.metric)
    n = scores.shape[1]
    if overlap is None:
        overlap = 1 / (max(len(t.reported(objective.metric)) for t in (a, b)) - 1)
    paired = _without_rounding(objective.sign * (scores[1] - scores[0]), scores)
    if margin is None:
        margin = 0.1 * math.sqrt(float(np.var(scores, axis=1, ddof=1).mean()) / n)
    mean = float(paired.mean())
    error = math.sqrt((1 / n + overlap) * float(paired.var(ddof=1)))
    from scipy.special import stdtr, stdtrit  # slow to import

    df = n - 1
    t = _ratio(mean, error)
    half = float(stdtrit(df, 0.975)) * error
    above = float(stdtr(df, _ratio(mean - margin, error)))
    below = float(stdtr(df, _ratio(-margin - mean, error)))
    if error == 0:  # nothing is uncertain, and a difference of just the margin does not matter
        above, below = float(mean > margin), float(mean < -margin)
    return Comparison(
        a=a.number,
        b=b.number,
        metric=objective.metric,
        folds=n,
        difference=mean,
        error=error,
        t=t,
        p=float(2 * stdtr(df, -abs(t))),
        low=mean - half,
        high=mean + half,
        margin=margin,
        a_better=above,
        equivalent=max(0.0, 1 - above - below),
        b_better=below,
    )


def plausible(history: History, alpha: float = ALPHA, overlap: float | None = None) -> list[Trial]:
    """The trials that could be the best as far as their folds can tell, the best first: with a probability of at least
    1 - `alpha` the one that truly is best is among them. `overlap` is as in `compare`; `inseparable` says how it is decided.

    Chosen among are the `contenders`, which trials that were stopped early are not. Raises LuthierError where there are none.
    """
    if not 0 < alpha < 1:
        raise InvalidStudy(f"alpha is {alpha!r}. Use a number between 0 and 1, such as 0.05.")
    trials = contenders(history)
    objective = history.problem.objective
    if not trials:
        raise LuthierError(
            f"no trial completed with the {objective.metric} of two or more folds, so none can be told from the best. "
            f"{_how(objective.metric)}"
        )
    return closest(trials, objective, overlap, alpha)


def closest(
    trials: Sequence[Trial], objective: Objective, overlap: float | None = None, alpha: float = ALPHA
) -> list[Trial]:
    """Those of the `contenders` that `inseparable` keeps, in their order."""
    metric = objective.metric
    scores = np.array([_in_order(trial, metric) for trial in trials])
    overlap = 1 / (scores.shape[1] - 1) if overlap is None else overlap
    alike = inseparable(objective.sign * scores, overlap, alpha)
    return [trial for trial, kept in zip(trials, alike, strict=True) if kept]


def contenders(history: History) -> list[Trial]:
    """The completed trials in the space that have all folds and are as feasible as the best, the best first."""
    best, objective = history.best(), history.problem.objective
    if best is None:
        return []
    feasible, allows = history.feasible(best), history.problem.space.allows
    scored = [
        trial
        for trial in history
        if uncertainty(trial, objective.metric) is not None
        and math.isfinite(history.value(trial))  # completed, and trained in full
        and history.feasible(trial) == feasible
        and allows(trial.params)
    ]
    steps = [frozenset(trial.reported(objective.metric)) for trial in scored]
    most = max(steps, key=len, default=frozenset())
    whole = [trial for trial, mine in zip(scored, steps, strict=True) if mine == most]
    return sorted(whole, key=lambda trial: (objective.sign * history.value(trial), trial.number))


def inseparable(scores: Floats, overlap: float, alpha: float = ALPHA) -> NDArray[np.bool_]:
    """Which rows cannot be told from the one with the lowest mean. `scores`, of shape (trials, folds), are to be minimised.

    A row is out if the lowest is better by more than t times the corrected standard error of the paired differences, with t the
    one-sided quantile at alpha / (trials - 1). That is the selection of a subset that holds the best (Gupta 1965; Hsu
    1984), with Bonferroni's bound in place of Dunnett's, which needs the same variance for all. The row that is truly best is
    lost only if one of the others seems better than it by so much, and each of them does with a probability of at most
    alpha / (trials - 1), whatever their correlations. Holm's steps would add nothing: it is one hypothesis, that this row is
    best, that must not be rejected.

    With few folds that bound is wide, as their variance is hardly known. From ten other trials on it is therefore moderated
    by the median variance of all (empirical Bayes as in Smyth 2004, as the futility race does), which counts as four
    degrees of freedom, but no more than the folds' own. Rows equal to the best on every fold do not count for the median.
    """
    m, n = scores.shape
    if m == 1:
        return np.ones(1, dtype=np.bool_)
    from scipy.special import stdtrit  # slow to import

    behind = _without_rounding(scores - scores[scores.mean(axis=1).argmin()], scores)
    mean, variance, df = behind.mean(axis=1), behind.var(axis=1, ddof=1), n - 1
    other = behind.any(axis=1)
    if np.count_nonzero(other) >= ENOUGH:
        prior = min(USUAL, n - 1)
        variance = (prior * np.median(variance[other]) + df * variance) / (prior + df)
        df += prior
    bound = -float(stdtrit(df, alpha / (m - 1)))
    return np.asarray(mean <= bound * np.sqrt((1 / n + overlap) * variance))


def _in_order(trial: Trial, metric: str) -> list[float]:
    return [value for _, value in sorted(trial.reported(metric).items())]


def _paired(a: Trial, b: Trial, metric: str) -> Floats:
    """The scores of both on the folds they share: shape (2, folds)."""
    for trial in (a, b):
        # A trial that was stopped has folds too, but no mean to know them by; the other trial tells.
        stopped = trial.state is State.STOPPED and metric not in trial.metrics and trial.reported(metric)
        if uncertainty(trial, metric) is None and not stopped:
            raise LuthierError(
                f"trials {a.number} and {b.number} cannot be compared: trial {trial.number} ({trial.state}) has no {metric} "
                f"of two or more folds with their mean as its result. {_how(metric)}"
            )
    mine, theirs = a.reported(metric), b.reported(metric)
    shared = sorted(mine.keys() & theirs.keys())
    found = np.array([[scores[step] for step in shared] for scores in (mine, theirs)])
    whole = any(uncertainty(trial, metric) is not None for trial in (a, b))
    if len(shared) < 2 or not whole or not np.isfinite(found).all():
        raise LuthierError(
            f"trials {a.number} and {b.number} cannot be compared: they have {len(shared)} folds in common, and it takes two "
            f"with finite scores, of trials of which at least one has all. {_how(metric)}"
        )
    return found


def _how(metric: str) -> str:
    return HOW.format(metric=metric)


def _without_rounding(differences: Floats, scores: Floats) -> Floats:
    """Differences in the last digits of the scores are none."""
    least = 1e-12 * np.abs(scores).max()
    return np.where(np.abs(differences) <= least, 0.0, differences)


def _ratio(value: Any, error: float) -> float:
    """In standard errors; without an error infinitely many, or none."""
    if error > 0:
        return float(value) / error
    return math.copysign(math.inf, value) if value else 0.0
