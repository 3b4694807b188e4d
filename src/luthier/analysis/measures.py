"""What predictions are worth on any weighting of the rows: scikit-learn's scores, taken apart.

Nearly every score is a function of sums over rows. So the statistics of each row are computed once for every trial, and the scores of
all trials on hundreds of resamples are a product of matrices. Ranking scores take a sort of each trial and a cumulated sum. A score of
which nothing is known is computed again on the rows of every resample.

Losses are scores with their sign turned: lower is better, -0.9 is an accuracy of 0.9.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from luthier.errors import InvalidStudy

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
Array = NDArray[Any]
Ranking = Callable[[Floats, Floats], tuple[Floats, Floats]]
"""What is won by an order, and what could be."""


class Scored(Protocol):
    """Trials on the rows of one data set."""

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which rows a trial has, shape (rows, trials)."""
        ...

    def losses(self, counts: Floats, trials: Indices) -> Floats:
        """The losses of these trials, shape (samples, trials), where each row counts so often: shape (samples, rows)."""
        ...


@dataclass(frozen=True, slots=True)
class Measure:
    """A score from sums over rows.

    `rows` are a trial's statistics of each row, given the target and the prediction, shape (rows, k); `target` are those
    that the target alone decides, shape (rows, j); `loss` is what their weighted means, shapes (..., k) and (..., j), come to;
    without it, the mean is the loss, and k is 1.
    """

    rows: Callable[[Array, Array], Floats]
    loss: Callable[[Floats, Floats], Floats] | None = None
    target: Callable[[Array, int], Floats] | None = None

    def of(self, y: Array, predictions: Array, folds: Indices | None = None) -> Sums:
        """`predictions` of shape (trials, rows, outputs) for the target `y`, as `measured` has them."""
        known = _known(predictions)
        stats = []
        for prediction, has in zip(predictions, known.T, strict=True):
            if has.all():
                stats.append(self.rows(y, prediction))
            else:  # 0.5 stands for what is not known, and counts for nothing
                found = self.rows(y, np.where(has[:, None], prediction, 0.5))
                stats.append(np.where(has[:, None], found, 0.0))
        target = None if self.target is None else self.target(y, predictions.shape[2])
        return Sums(np.stack(stats, axis=1), known, weights_of(folds), target, self.loss)


@dataclass(frozen=True, slots=True)
class Sums:
    """Row statistics of trials, shape (rows, trials, k), and what their means come to."""

    stats: Floats
    known: NDArray[np.bool_]
    weights: Floats | None = None
    target: Floats | None = None
    loss: Callable[[Floats, Floats], Floats] | None = None

    @classmethod
    def of(cls, losses: Array, folds: Indices | None = None) -> Sums:
        """From the loss of every row, shape (rows, trials); NaN where a trial did not see a row."""
        known = ~np.isnan(losses)
        return cls(np.where(known, losses, 0.0)[:, :, None], known, weights_of(folds))

    def losses(self, counts: Floats, trials: Indices) -> Floats:
        if self.weights is not None:
            counts = counts * self.weights
        total = counts.sum(axis=1)
        total = np.where(total > 0, total, np.nan)[:, None]
        rows, every, k = self.stats.shape
        stats = self.stats if len(trials) == every else self.stats[:, trials]
        means = (counts @ stats.reshape(rows, -1) / total).reshape(len(counts), len(trials), k)
        if self.loss is None:
            return means[:, :, 0]
        target = np.empty((len(counts), 0)) if self.target is None else counts @ self.target / total
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.loss(means, target[:, None])


@dataclass(frozen=True, slots=True)
class Ranked:
    """A ranking score: of rows of the same fold only, since models of different folds need not agree on their scale.

    `score` sums over contests: pairs of a trial's column and of the classes that count as positive and as negative, each
    with the weight of its class where `by_support`.
    """

    y: Array
    predictions: Array
    folds: Indices
    known: NDArray[np.bool_]
    score: Ranking
    contests: tuple[tuple[int, tuple[int, ...], tuple[int, ...]], ...]
    by_support: bool = False

    def losses(self, counts: Floats, trials: Indices) -> Floats:
        weights = np.ascontiguousarray(counts.T)
        total, support = np.zeros((len(trials), len(counts))), np.zeros(len(counts))
        for column, positive, negative in self.contests:
            mine = np.isin(self.y, positive)
            taking_part = mine | np.isin(self.y, negative)
            share = mine @ weights if self.by_support else np.ones(len(counts))
            support += share
            parts = [np.flatnonzero(taking_part & (self.folds == fold)) for fold in np.unique(self.folds)]
            for place, trial in enumerate(trials):
                total[place] += share * self._contest(
                    weights, self.predictions[trial, :, column], mine, parts
                )
        return -(total / support).T

    def _contest(
        self, weights: Floats, values: Array, mine: NDArray[np.bool_], parts: list[Indices]
    ) -> Floats:
        """The score of one column, by the rows of each fold, for weights of shape (rows, samples)."""
        won, of = np.zeros((2, weights.shape[1]))
        for rows in parts:
            rows = rows[np.argsort(values[rows], kind="stable")]
            sorted_values, ours, all_weights = values[rows], mine[rows], weights[rows]
            new = np.r_[True, sorted_values[1:] != sorted_values[:-1]][: len(rows)]
            up, down = all_weights * ours[:, None], all_weights * ~ours[:, None]
            if not new.all():
                up, down = (np.add.reduceat(side, np.flatnonzero(new), axis=0) for side in (up, down))
            gained, possible = self.score(up, down)
            won, of = won + gained, of + possible
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(won / of)


@dataclass(frozen=True, slots=True)
class Rescored:
    """Any `score(y, prediction)`, the greater the better, computed again on the rows of every sample."""

    score: Callable[[Array, Array], float]
    y: Array
    predictions: Array
    known: NDArray[np.bool_]

    def losses(self, counts: Floats, trials: Indices) -> Floats:
        found = np.empty((len(counts), len(trials)))
        for sample, often in enumerate(counts):
            rows = np.repeat(np.arange(len(often)), often.astype(np.intp))
            found[sample] = [-self._score(self.y[rows], self.predictions[trial, rows]) for trial in trials]
        return found

    def _score(self, y: Array, prediction: Array) -> float:
        try:
            return float(self.score(y, prediction))
        except ValueError:  # not defined on these rows, as when one class is missing
            return float("nan")


def measured(
    metric: str | Callable[[Array, Array], float],
    y: Array,
    predictions: Array,
    folds: Indices | None = None,
) -> Scored:
    """The trials' `predictions`, shape (trials, rows, outputs), NaN in rows that a trial did not see, by a metric.

    Regression: `y` holds the target, one output for each of its columns. Classification: `y` holds the classes as 0 to
    outputs - 1, and there is an output for each, the greatest being what is predicted: probabilities; of a decision function d of two
    classes -d and d; of labels 0 and 1. `folds`, the fold of each row, gives all folds the same weight, and ranks rows within their fold
    only. A row scored in several repeats is several rows.

    The metric is a name of scikit-learn's scorers, with or without "neg_", or a `score(y, prediction)` that is given rows of all folds
    together, some of them several times; it takes its time on every sample.
    Raises InvalidStudy for a name that is not known (`MEASURES` and `RANKINGS` have those that are).
    """
    if callable(metric):
        return Rescored(metric, y, predictions, _known(predictions))
    name = metric.removeprefix("neg_")
    if name in MEASURES:
        return MEASURES[name].of(y, predictions, folds)
    if name not in RANKINGS:
        raise InvalidStudy(
            f"no row statistics of {metric!r} are known. Hand in a function score(y, prediction) instead."
        )
    score, way, by_support = RANKINGS[name]
    classes = predictions.shape[2]
    contests = tuple(_contests(classes, way))
    one = np.zeros(len(y), dtype=np.intp) if folds is None else np.asarray(folds, dtype=np.intp)
    return Ranked(y, predictions, one, _known(predictions), score, contests, by_support)


def weights_of(folds: Indices | None) -> Floats | None:
    """Of each row, such that every fold counts the same; None where all rows do anyway."""
    if folds is None:
        return None
    _, of, sizes = np.unique(folds, return_inverse=True, return_counts=True)
    return None if (sizes == sizes[0]).all() else np.asarray(sizes.mean() / sizes[of])


def _known(predictions: Array) -> NDArray[np.bool_]:
    return np.asarray(~np.isnan(predictions).any(axis=2)).T


# --- regression: y and prediction have a column for each output -----------------------------------


def _errors(y: Array, prediction: Array) -> Floats:
    return np.asarray(prediction - y.reshape(prediction.shape), dtype=np.float64)


def _squares(y: Array, prediction: Array) -> Floats:
    return _errors(y, prediction) ** 2


def _over_outputs(values: Floats) -> Floats:
    return np.asarray(values.mean(axis=1, keepdims=True))


def _absolute(y: Array, prediction: Array) -> Floats:
    return _over_outputs(np.abs(_errors(y, prediction)))


def _percentage(y: Array, prediction: Array) -> Floats:
    size = np.maximum(np.abs(y.reshape(prediction.shape)), np.finfo(np.float64).eps)
    return _over_outputs(np.abs(_errors(y, prediction)) / size)


def _log_squares(y: Array, prediction: Array) -> Floats:
    return _squares(np.log1p(y), np.log1p(np.maximum(prediction, -1 + 1e-15)))


def _poisson(y: Array, prediction: Array) -> Floats:
    y = y.reshape(prediction.shape)
    ratio = np.where(y > 0, y / np.maximum(prediction, 1e-15), 1.0)
    return _over_outputs(2 * (y * np.log(ratio) - y + prediction))


def _gamma(y: Array, prediction: Array) -> Floats:
    ratio = y.reshape(prediction.shape) / np.maximum(prediction, 1e-15)
    return _over_outputs(2 * (ratio - np.log(ratio) - 1))


def _moments(y: Array, outputs: int) -> Floats:
    """The target and its square, about its mean lest digits are lost."""
    y = np.asarray(y, dtype=np.float64).reshape(len(y), outputs)
    y = y - y.mean(axis=0)
    return np.concatenate([y, y**2], axis=1)


def _variance(moments: Floats) -> Floats:
    mean, square = np.split(moments, 2, axis=-1)
    return np.asarray(square - mean**2)


def _r2(means: Floats, moments: Floats) -> Floats:
    return np.asarray((means / _variance(moments)).mean(axis=-1) - 1)


def _explained(means: Floats, moments: Floats) -> Floats:
    return _r2(_variance(means), moments)


def _errors_and_squares(y: Array, prediction: Array) -> Floats:
    return np.concatenate([_errors(y, prediction), _squares(y, prediction)], axis=1)


def _mean(means: Floats, _: Floats) -> Floats:
    return np.asarray(means.mean(axis=-1))


def _root(means: Floats, _: Floats) -> Floats:
    return np.asarray(np.sqrt(means).mean(axis=-1))


# --- classification: a column for each class -------------------------------------------------------


def _hits(y: Array, prediction: Array) -> Floats:
    return np.asarray(-(prediction.argmax(axis=1) == y).astype(np.float64))[:, None]


def _second(y: Array, prediction: Array) -> Floats:
    own = prediction[np.arange(len(y)), y][:, None]
    tied = (prediction == own) & (np.arange(prediction.shape[1]) > y[:, None])  # the later class goes first
    ahead = ((prediction > own) | tied).sum(axis=1, keepdims=True)
    return np.asarray(-(ahead < 2).astype(np.float64))


def _log_loss(y: Array, prediction: Array) -> Floats:
    eps = np.finfo(prediction.dtype).eps
    p = np.clip(prediction, eps, 1 - eps)
    return np.asarray(-np.log(p[np.arange(len(y)), y]), dtype=np.float64)[:, None]


def _brier(y: Array, prediction: Array) -> Floats:
    classes = prediction.shape[1]
    squares = ((prediction - _one_hot(y, classes)) ** 2).sum(axis=1, keepdims=True)
    return np.asarray(squares / (2 if classes == 2 else 1), dtype=np.float64)


def _one_hot(y: Array, classes: int) -> Floats:
    return np.asarray(y[:, None] == np.arange(classes), dtype=np.float64)


def _confusion(y: Array, prediction: Array) -> Floats:
    """Right and all predictions of each class."""
    predicted = _one_hot(prediction.argmax(axis=1), prediction.shape[1])
    return np.concatenate([predicted * _one_hot(y, prediction.shape[1]), predicted], axis=1)


def _balanced(means: Floats, support: Floats) -> Floats:
    right, _ = np.split(means, 2, axis=-1)
    return np.asarray(-_ratio(right, support).sum(axis=-1) / (support > 0).sum(axis=-1))


def _matthews(means: Floats, support: Floats) -> Floats:
    right, predicted = np.split(means, 2, axis=-1)
    both = right.sum(axis=-1) - (predicted * support).sum(axis=-1)
    spread = (1 - (predicted**2).sum(axis=-1)) * (1 - (support**2).sum(axis=-1))
    return -_ratio(both, np.sqrt(np.maximum(spread, 0.0)))


def _ratio(a: Floats, b: Floats) -> Floats:
    """0 where there is nothing to divide by."""
    a, b = np.broadcast_arrays(a, b)
    return np.divide(a, b, out=np.zeros(a.shape), where=b > 0)


_SHARES: dict[str, Callable[[Floats, Floats, Floats], Floats]] = {
    "f1": lambda right, predicted, support: _ratio(2 * right, predicted + support),
    "precision": lambda right, predicted, support: _ratio(right, predicted),
    "recall": lambda right, predicted, support: _ratio(right, support),
    "jaccard": lambda right, predicted, support: _ratio(right, predicted + support - right),
}


def _averaged(share: Callable[[Floats, Floats, Floats], Floats], average: str) -> Measure:
    """Of the second class, or of all."""

    def loss(means: Floats, support: Floats) -> Floats:
        right, predicted = np.split(means, 2, axis=-1)
        if average == "micro":
            return -share(right.sum(axis=-1), predicted.sum(axis=-1), support.sum(axis=-1))
        each = share(right, predicted, support)
        if average == "binary":
            return -each[..., 1]
        weight = support if average == "weighted" else (support + predicted > 0).astype(np.float64)
        return -_ratio((each * weight).sum(axis=-1), weight.sum(axis=-1))

    return Measure(_confusion, loss, _one_hot)


MEASURES: dict[str, Measure] = {
    "r2": Measure(_squares, _r2, _moments),
    "explained_variance": Measure(_errors_and_squares, _explained, _moments),
    "mean_squared_error": Measure(_squares, _mean),
    "root_mean_squared_error": Measure(_squares, _root),
    "mean_absolute_error": Measure(_absolute),
    "mean_absolute_percentage_error": Measure(_percentage),
    "mean_squared_log_error": Measure(_log_squares, _mean),
    "root_mean_squared_log_error": Measure(_log_squares, _root),
    "mean_poisson_deviance": Measure(_poisson),
    "mean_gamma_deviance": Measure(_gamma),
    "accuracy": Measure(_hits),
    "top_k_accuracy": Measure(_second),
    "log_loss": Measure(_log_loss),
    "brier_score": Measure(_brier),
    "balanced_accuracy": Measure(_confusion, _balanced, _one_hot),
    "matthews_corrcoef": Measure(_confusion, _matthews, _one_hot),
    **{
        name if average == "binary" else f"{name}_{average}": _averaged(share, average)
        for name, share in _SHARES.items()
        for average in ("binary", "micro", "macro", "weighted")
    },
}
"""By the name of scikit-learn's scorer, without "neg_"."""


# --- ranking: weights of positives and negatives at rising scores, shape (scores, samples) ----------


def _auc(up: Floats, down: Floats) -> tuple[Floats, Floats]:
    """The pairs that are in the right order, ties counting half, and all pairs."""
    below = np.cumsum(down, axis=0) - down / 2
    return np.einsum("ij,ij->j", up, below), up.sum(axis=0) * down.sum(axis=0)


def _average_precision(up: Floats, down: Floats) -> tuple[Floats, Floats]:
    """The positives, each by the precision down to its score, and all positives."""
    right, all_above = (np.cumsum(side[::-1], axis=0) for side in (up, up + down))
    return np.einsum("ij,ij->j", up[::-1], _ratio(right, all_above)), up.sum(axis=0)


def _contests(classes: int, way: str) -> Iterator[tuple[int, tuple[int, ...], tuple[int, ...]]]:
    """Column, positive classes, negative classes."""
    if way == "binary" or (classes == 2 and way == "ovr"):
        yield classes - 1, (1,), (0,)
        return
    for c in range(classes):
        others = tuple(other for other in range(classes) if other != c)
        yield from ((c, (c,), (other,)) for other in others) if way == "ovo" else [(c, (c,), others)]


RANKINGS: dict[str, tuple[Ranking, str, bool]] = {
    "roc_auc": (_auc, "ovr", False),
    "roc_auc_ovr": (_auc, "ovr", False),
    "roc_auc_ovo": (_auc, "ovo", False),
    "roc_auc_ovr_weighted": (_auc, "ovr", True),
    "average_precision": (_average_precision, "ovr", False),
}
