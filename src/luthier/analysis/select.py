"""Which trial to take, given what all of them scored and how well their differences are known.

A rule looks at losses of shape (samples, trials), lower is better, and at the standard errors of the differences between
trials, shape (trials, trials); it answers with the index of a trial for each sample. The data as they are make one sample.
Resampled data make several hundred, and that is how it is found out what a rule makes of chance (`luthier.analysis.honest`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from luthier.errors import InvalidStudy

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
Rule = Callable[[Floats, Floats], Indices]

BY_FOLDS = 1.5
"""The `z` of `guarded` where there are folds and no rows: with `paired_errors(folds, overlap=1/(K-1), usual=4)` the choice is then
worse than the default in 3% of studies (docs/benchmarks.md)."""


def best(losses: Floats, errors: Floats) -> Indices:
    """The lowest loss; of equal ones the first."""
    least = losses.min(axis=1) + _rounding(losses)
    return np.asarray((losses <= least[:, None]).argmax(axis=1))


def simplest(complexity: ArrayLike) -> Rule:
    """The rule of one standard error: of the trials that are not behind the best by more than the standard error of their
    *difference*, the one of least `complexity`, a number for each trial; of equally simple ones the best.

    The standard error of a score, which the rule was stated with (Breiman et al. 1984), holds what is common to all
    trials, and says nothing of which is better (Chen & Yang 2021).
    """
    simple = np.asarray(complexity, dtype=np.float64)
    if simple.ndim != 1 or np.isnan(simple).any():
        raise InvalidStudy("complexity must be one number for each trial; some are missing or not a number.")

    def rule(losses: Floats, errors: Floats) -> Indices:
        leader = best(losses, errors)
        behind = losses - losses.min(axis=1, keepdims=True)
        close = behind <= errors[leader] + _rounding(losses)[:, None]
        plain = np.where(close, simple, np.inf)
        return best(np.where(plain == plain.min(axis=1, keepdims=True), losses, np.inf), errors)

    return rule


def shrunken(mean: ArrayLike, sd: ArrayLike) -> Rule:
    """The lowest of each trial's loss drawn towards what a model of all trials expects of it: its `mean`, to be
    trusted by its standard deviation `sd`, both of shape (trials,).

    A trial's own loss counts by sd^2 / (sd^2 + noise^2), with noise what it does not share with the others: half the median
    squared error of its differences. The model is taken as it is for every sample.
    """
    expected, variance = np.asarray(mean, dtype=np.float64), np.asarray(sd, dtype=np.float64) ** 2
    if expected.shape != variance.shape or not (np.isfinite(expected) & np.isfinite(variance)).all():
        raise InvalidStudy("mean and sd must be one finite number for each trial.")

    def rule(losses: Floats, errors: Floats) -> Indices:
        total = variance + noise(errors)
        own = np.divide(variance, total, out=np.ones_like(total), where=total > 0)
        return best(own * losses + (1 - own) * expected, errors)

    return rule


def guarded(rule: Rule, default: int, z: float) -> Rule:
    """`rule`, but the trial `default` stays chosen unless what the rule chooses is better by more than `z` standard errors."""

    def guard(losses: Floats, errors: Floats) -> Indices:
        chosen = rule(losses, errors)
        gain = losses[:, default] - np.take_along_axis(losses, chosen[:, None], axis=1)[:, 0]
        enough = gain > z * errors[default, chosen] + _rounding(losses)
        return np.where(enough, chosen, default)

    return guard


def paired_errors(losses: Floats, overlap: float = 0.0, usual: int = 0) -> Floats:
    """Standard errors of the differences of mean losses, from `losses` of shape (n, trials): rows, or folds.

    The variance of a mean of n differences is (1/n + `overlap`) times theirs; for K folds that share training rows overlap is
    1/(K-1) (Nadeau & Bengio 2003). Few folds hardly know that variance: the median of all pairs counts as `usual` more (4
    for five folds, as in `compare.inseparable`).
    """
    n, trials = losses.shape
    variances = apart(np.cov(losses, rowvar=False, ddof=1).reshape(trials, trials)) ** 2
    other = variances > 0
    if usual and other.any():
        moderated = (usual * np.median(variances[other]) + (n - 1) * variances) / (usual + n - 1)
        variances = np.where(other, moderated, 0.0)
    return np.asarray(np.sqrt((1 / n + overlap) * variances))


def apart(covariance: Floats) -> Floats:
    """Standard deviations of the differences, shape (trials, trials), from the covariance of the losses."""
    own = np.diag(covariance)
    return np.asarray(np.sqrt(np.maximum(own[:, None] + own - 2 * covariance, 0.0)))


def noise(errors: Floats) -> Floats:
    """The variance of each trial's loss that it does not share with the others."""
    if len(errors) < 2:
        return np.zeros(len(errors))
    others = errors[~np.eye(len(errors), dtype=np.bool_)].reshape(len(errors), -1)
    return np.asarray(np.nanmedian(others**2, axis=1) / 2)


def _rounding(losses: Floats) -> Floats:
    """Differences in the last digits are none."""
    return np.asarray(1e-12 * np.abs(losses).max(axis=1, initial=0.0, where=np.isfinite(losses)))
