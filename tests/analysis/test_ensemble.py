import numpy as np
import pytest
from scipy.optimize import minimize

from luthier.analysis.ensemble import Measured, greedy, honest_greedy
from luthier.analysis.measures import Scored, measured
from luthier.errors import LuthierError

ROWS = 400


def task(seed: int, models: int = 15) -> tuple[np.ndarray, np.ndarray]:
    """A target, and the probabilities of models that err independently about a common error."""
    rng = np.random.default_rng(seed)
    y = rng.integers(2, size=ROWS)
    lean = 1.5 * (2 * y - 1) + 1.5 * rng.normal(size=ROWS)
    p = 1 / (1 + np.exp(-lean - rng.uniform(0.8, 2.5, (models, 1)) * rng.normal(size=(models, ROWS))))
    return y, np.stack([1 - p, p], axis=2)


def by(metric: str, y: np.ndarray) -> Measured:
    def measure(predictions: np.ndarray) -> Scored:
        return measured(metric, y, predictions)

    return measure


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def test_one_model_is_an_ensemble_of_itself() -> None:
    y, predictions = task(0, 1)
    found = greedy(by("log_loss", y), predictions, rng=rng())
    assert found.weights == {0: 1.0}


def test_a_copy_of_a_model_changes_nothing() -> None:
    y, predictions = task(0)
    plain = greedy(by("log_loss", y), predictions, rng=rng())
    more = greedy(by("log_loss", y), np.concatenate([predictions, predictions]), rng=rng())
    assert more == plain


@pytest.mark.parametrize("seed", range(3))
def test_it_comes_within_a_hundredth_of_the_best_weights(seed: int) -> None:
    y, predictions = task(seed)
    found = greedy(by("log_loss", y), predictions, rng=rng())
    right = predictions[:, np.arange(ROWS), y]

    def loss(weights: np.ndarray) -> float:
        return float(-np.log(weights @ right).mean())

    start = np.full(len(right), 1 / len(right))
    simplex = {"type": "eq", "fun": lambda weights: weights.sum() - 1}
    truth = minimize(loss, start, bounds=[(0, 1)] * len(right), constraints=simplex, method="SLSQP")
    assert truth.fun <= found.loss <= 1.01 * truth.fun
    weights = np.zeros(len(right))
    weights[list(found.weights)] = list(found.weights.values())
    assert weights.sum() == pytest.approx(1)
    assert found.loss == pytest.approx(loss(weights))


@pytest.mark.parametrize("metric", ["log_loss", "accuracy", "roc_auc"])
def test_it_is_never_worse_than_the_best_model_on_the_rows_it_saw(metric: str) -> None:
    y, predictions = task(5)
    losses = measured(metric, y, predictions).losses(np.ones((1, ROWS)), np.arange(15))[0]
    found = greedy(by(metric, y), predictions, rng=rng())
    assert found.loss <= losses.min()
    assert int(losses.argmin()) in found.weights


def test_trials_that_were_stopped_take_no_part() -> None:
    y, predictions = task(2)
    broken = predictions.copy()
    broken[::2, -1] = np.nan
    found = greedy(by("log_loss", y), broken, rng=rng())
    assert all(trial % 2 for trial in found.weights)
    with pytest.raises(LuthierError, match="nothing to combine"):
        greedy(by("log_loss", y), broken[:1], rng=rng())


def test_an_ensemble_of_different_models_is_honestly_better() -> None:
    y, predictions = task(3)
    ensemble, single = honest_greedy(by("log_loss", y), predictions, rng=rng(), replicates=20)
    assert ensemble.value < single.value - 0.005
    assert ensemble.value > ensemble.raw
    assert ensemble.raw == pytest.approx(greedy(by("log_loss", y), predictions, rng=rng()).loss, rel=0.01)


def test_an_ensemble_of_guesses_is_honestly_no_better() -> None:
    y, noise = task(4)[0], np.random.default_rng(4).random((15, ROWS, 2))
    ensemble, single = honest_greedy(by("accuracy", y), noise, rng=rng(), replicates=20)
    assert ensemble.raw < -0.55
    assert ensemble.value == pytest.approx(-0.5, abs=0.03)
    assert single.value == pytest.approx(-0.5, abs=0.03)
