from collections.abc import Callable

import numpy as np
import pytest
from sklearn import metrics

from luthier.analysis.measures import MEASURES, RANKINGS, measured
from luthier.errors import InvalidStudy

ROWS = 400
RNG = np.random.default_rng(3)


def classes(count: int) -> tuple[np.ndarray, np.ndarray]:
    """A target, and the probabilities of two trials, with ties."""
    y = RNG.integers(count, size=ROWS)
    raw = np.round(RNG.random((2, ROWS, count)) + 0.7 * (y[:, None] == np.arange(count)), 1) + 0.05
    return y, raw / raw.sum(axis=2, keepdims=True)


def by_scorer(name: str, y: np.ndarray, prediction: np.ndarray) -> float:
    """What scikit-learn's scorer gives for these predictions."""
    known = metrics.get_scorer_names()
    scorer = metrics.get_scorer(name if name in known else f"neg_{name}")
    if scorer._response_method == "predict":
        given = prediction[:, 0] if name in REGRESSION else prediction.argmax(axis=1)
    else:
        given = prediction[:, 1] if prediction.shape[1] == 2 else prediction
    return scorer._sign * scorer._score_func(y, given, **scorer._kwargs)


REGRESSION = {name for name in MEASURES if "error" in name or "deviance" in name} | {
    "r2",
    "explained_variance",
}
BINARY = {"f1", "precision", "recall", "jaccard", "average_precision", "roc_auc"}


def cases() -> list[tuple[str, int]]:
    found = []
    for name in (*MEASURES, *RANKINGS):
        if name in REGRESSION:
            found.append((name, 1))
            continue
        if name != "top_k_accuracy":
            found.append((name, 2))
        if name not in BINARY:
            found.append((name, 4))
    return found


@pytest.mark.parametrize(("name", "outputs"), cases())
def test_the_loss_of_predictions_is_the_negative_of_scikit_learns_score(name: str, outputs: int) -> None:
    if outputs == 1:
        y = RNG.gamma(2, size=ROWS)
        predictions = y[:, None] * RNG.uniform(0.5, 1.7, (2, ROWS, 1))
    else:
        y, predictions = classes(outputs)
    scored = measured(name, y, predictions)
    found = scored.losses(np.ones((1, ROWS)), np.array([0, 1]))[0]
    assert found == pytest.approx([-by_scorer(name, y, prediction) for prediction in predictions])


@pytest.mark.parametrize(("name", "outputs"), cases())
def test_a_row_that_counts_twice_is_two_rows(name: str, outputs: int) -> None:
    y, predictions = (
        (RNG.gamma(2, size=ROWS), RNG.gamma(2, size=(2, ROWS, 1))) if outputs == 1 else classes(outputs)
    )
    counts = RNG.integers(0, 3, ROWS)
    rows = np.repeat(np.arange(ROWS), counts)
    trials = np.array([1, 0])
    weighted = measured(name, y, predictions).losses(counts[None].astype(float), trials)
    repeated = measured(name, y[rows], predictions[:, rows]).losses(np.ones((1, len(rows))), trials)
    assert weighted == pytest.approx(repeated)


def test_rows_are_ranked_within_their_fold() -> None:
    y, predictions = classes(2)
    folds = np.arange(ROWS) % 4
    shifted = predictions.copy()
    shifted[:, :, 1] += folds  # as if the models of the folds did not agree on the scale
    plain = measured("roc_auc", y, predictions, folds).losses(np.ones((1, ROWS)), np.array([0, 1]))
    moved = measured("roc_auc", y, shifted, folds).losses(np.ones((1, ROWS)), np.array([0, 1]))
    assert moved == pytest.approx(plain)
    each = [metrics.roc_auc_score(y[folds == fold], predictions[0, folds == fold, 1]) for fold in range(4)]
    assert -plain[0, 0] == pytest.approx(np.mean(each), abs=0.003)


def test_the_mean_of_unequal_folds_gives_each_the_same_weight() -> None:
    y, predictions = classes(3)
    folds = np.repeat([0, 1, 2], [50, 100, 250])
    found = measured("accuracy", y, predictions, folds).losses(np.ones((1, ROWS)), np.array([0]))
    right = predictions[0].argmax(axis=1) == y
    assert -found[0, 0] == pytest.approx(np.mean([right[folds == fold].mean() for fold in range(3)]))


def test_a_score_of_ones_own_is_computed_on_the_rows() -> None:
    y, predictions = classes(2)
    median: Callable[..., float] = lambda y, p: float(np.median(p[np.arange(len(y)), y]))  # noqa: E731
    counts = RNG.integers(0, 3, (2, ROWS))
    found = measured(median, y, predictions).losses(counts.astype(float), np.array([1]))
    for often, loss in zip(counts, found[:, 0], strict=True):
        rows = np.repeat(np.arange(ROWS), often)
        assert -loss == median(y[rows], predictions[1, rows])


def test_a_name_without_row_statistics_says_what_to_do() -> None:
    y, predictions = classes(2)
    with pytest.raises(InvalidStudy, match="Hand in a function"):
        measured("max_error", y, predictions)
