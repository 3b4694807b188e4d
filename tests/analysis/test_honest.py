import time
from statistics import fmean

import numpy as np
import pytest
from scipy.stats import norm

from luthier.analysis.honest import WIDER, Honest, honest, honest_of
from luthier.analysis.measures import Sums, measured
from luthier.analysis.select import Rule, best, simplest
from luthier.errors import LuthierError


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(list(seed))


def errors(seed: int, rows: int, rates: np.ndarray) -> np.ndarray:
    """0 and 1 of trials that err at these rates, on much the same rows."""
    draw = rng(seed, rows)
    shared, own = draw.normal(size=(rows, 1)), draw.normal(size=(rows, len(rates)))
    return ((shared + own) / np.sqrt(2) < norm.ppf(rates)).astype(float)


@pytest.mark.parametrize("rows", [50, 200, 1000])
def test_where_all_trials_guess_the_honest_loss_is_that_of_guessing(rows: int) -> None:
    found = [honest(errors(s, rows, np.full(60, 0.5)), rng=rng(s), replicates=100) for s in range(60)]
    values = np.array([one.value for one in found])
    assert abs(values.mean() - 0.5) < 2.6 * values.std() / np.sqrt(len(values))
    assert fmean(one.raw for one in found) < 0.5 - 0.7 / np.sqrt(rows)  # what was chosen by
    assert fmean(one.low <= 0.5 <= one.high for one in found) >= 0.9


def test_with_one_trial_there_is_nothing_to_correct_and_the_interval_is_the_usual_one() -> None:
    losses = rng(1).gamma(2, size=(400, 1))
    found = honest(losses, rng=rng(2), replicates=4000)
    usual = losses.std() / np.sqrt(400)
    assert found.raw == pytest.approx(losses.mean())
    assert found.optimism == pytest.approx(0)
    assert (found.high - found.low) / (2 * 1.96 * usual * WIDER) == pytest.approx(1, abs=0.08)


def test_neither_the_order_of_rows_nor_that_of_trials_matters() -> None:
    losses = errors(3, 300, np.linspace(0.2, 0.4, 20))
    draw = rng(4)
    plain = honest(losses, rng=rng(5), replicates=2000)
    rows, trials = draw.permutation(300), draw.permutation(20)
    moved = honest(losses[rows][:, trials], rng=rng(6), replicates=2000)
    assert moved.value == pytest.approx(plain.value, abs=0.004)
    assert moved.raw == plain.raw
    assert losses[:, trials[moved.chosen]].mean() == losses[:, plain.chosen].mean()


def test_the_same_seed_gives_the_same_answer_however_many_samples_fit_in_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    losses = errors(3, 300, np.linspace(0.2, 0.4, 20))
    plain = honest(losses, rng=rng(1))
    monkeypatch.setattr("luthier.analysis.honest.CELLS", 300 * 7)
    parts = honest(losses, rng=rng(1))
    assert (parts.value, parts.low) == pytest.approx((plain.value, plain.low))


def raced(losses: np.ndarray, folds: int = 10) -> np.ndarray:
    """Without the rows of the folds that a race would not have run: behind by 1.7 standard errors."""
    rows = len(losses)
    fold = np.arange(rows) % folds
    found, leader = losses.copy(), 0
    for trial in range(5, losses.shape[1]):
        complete = [t for t in range(trial) if not np.isnan(found[:, t]).any()]
        leader = complete[int(np.argmin(losses[:, complete].mean(axis=0)))]
        for run in range(1, folds):
            behind = (losses[:, trial] - losses[:, leader])[fold < run]
            if behind.mean() > 1.7 * np.sqrt(0.45 / len(behind) * (1 - run / folds)):
                found[fold >= run, trial] = np.nan
                break
    return found


@pytest.mark.parametrize("null", [True, False])
def test_trials_that_were_stopped_count_for_what_they_might_have_been(null: bool) -> None:
    rows, gone, filled, alone = 300, [], [], []
    for s in range(60):
        rates = np.full(60, 0.5) if null else rng(s, 9).uniform(0.2, 0.4, 60)
        losses = raced(errors(s, rows, rates))
        whole = ~np.isnan(losses).any(axis=0)
        gone.append(np.isnan(losses).mean())
        found = honest(losses, rng=rng(s), replicates=100)
        assert whole[found.chosen]
        truth = rates[found.chosen]
        filled.append(found.value - truth)
        survivors = honest(losses[:, whole], rng=rng(s), replicates=100)
        alone.append(survivors.value - truth)
    assert fmean(gone) > 0.3
    assert abs(fmean(filled)) < 0.015
    assert fmean(alone) < fmean(filled) - 0.003


def test_the_rule_that_chooses_is_the_rule_that_is_judged() -> None:
    losses = errors(5, 200, np.full(40, 0.4))
    plain = honest(losses, rng=rng(1))
    plainest = -losses.mean(axis=0)  # the worse, the simpler
    first = honest(losses, rng=rng(1), rule=simplest(plainest))
    assert first.chosen != plain.chosen
    assert first.raw > plain.raw
    assert first.value > plain.value
    always: Rule = lambda means, _: np.full(len(means), 7)  # noqa: E731
    fixed = honest(losses, rng=rng(1), rule=always)
    assert fixed.chosen == 7
    assert fixed.optimism == pytest.approx(0)


def test_the_default_stays_where_the_others_are_no_better_and_goes_where_one_is() -> None:
    same, better = [], []
    for s in range(40):
        rates = np.full(40, 0.5)
        same.append(honest(errors(s, 300, rates), 0, rng=rng(s), replicates=200).chosen)
        rates[17] = 0.3
        better.append(honest(errors(s, 300, rates), 0, rng=rng(s), replicates=200).chosen)
    assert same.count(0) >= 0.75 * len(same)  # 1 - ALPHA, and luck
    assert better.count(17) >= 39


def test_rows_of_one_group_are_drawn_together() -> None:
    losses = np.repeat(errors(1, 40, np.full(30, 0.5)), 10, axis=0)
    groups = np.repeat(np.arange(40), 10)
    apart = honest(losses, rng=rng(1))
    together = honest(losses, rng=rng(1), groups=groups)
    small = honest(losses[::10], rng=rng(1))
    assert together.value == pytest.approx(small.value, abs=1e-12)
    assert together.optimism > 2 * apart.optimism
    assert together.high - together.low > 2 * (apart.high - apart.low)


def test_folds_of_different_size_count_the_same() -> None:
    losses = errors(2, 100, np.full(3, 0.4))
    folds = np.repeat([0, 1], [80, 20])
    found = honest(losses, rng=rng(1), folds=folds)
    each = [losses[folds == fold].mean(axis=0) for fold in (0, 1)]
    assert found.raw == pytest.approx(np.mean(each, axis=0).min())


@pytest.mark.parametrize("metric", ["roc_auc", "f1", "balanced_accuracy", "r2"])
def test_scores_that_are_no_means_of_rows_are_honest_too(metric: str) -> None:
    values, raws = [], []
    for s in range(25):
        draw = rng(s, 3)
        y = draw.integers(2, size=150) if metric != "r2" else draw.normal(size=150)
        shape = (40, 150, 2) if metric != "r2" else (40, 150, 1)
        predictions = draw.random(shape) if metric != "r2" else 0.3 * draw.normal(size=shape)
        found = honest_of(measured(metric, y, predictions, np.arange(150) % 5), rng=rng(s), replicates=60)
        values.append(found.signed(-1).value)
        raws.append(found.signed(-1).raw)
    truth = -0.09 if metric == "r2" else 0.5
    assert fmean(values) == pytest.approx(truth, abs=0.02)
    assert fmean(raws) > truth + 0.07


def test_in_units_of_a_score_all_signs_are_turned() -> None:
    loss = Honest(-0.80, -0.85, -0.76, 0.05, -0.85, 500, 3)
    score = loss.signed(-1)
    assert score == Honest(0.80, 0.76, 0.85, -0.05, 0.85, 500, 3)
    assert loss.signed(1) is loss


def test_the_trial_is_chosen_by_what_the_study_reported() -> None:
    y = rng(1).normal(size=100)
    predictions = y[None, :, None] + rng(2).normal(size=(5, 100, 1))
    scored = measured("r2", y, predictions)
    plain = honest_of(scored, rng=rng(1))
    reported = np.array([-0.1, -0.2, -0.3, -0.2, -0.1])
    found = honest_of(scored, rng=rng(1), reported=reported)
    assert (found.chosen, found.raw) == (2, -0.3)
    assert found.value == plain.value  # of choosing like this, whichever was lucky
    assert found.optimism == pytest.approx(plain.value + 0.3)


def test_without_a_complete_trial_there_is_nothing_to_say() -> None:
    losses = errors(1, 50, np.full(3, 0.4))
    losses[25:] = np.nan
    with pytest.raises(LuthierError, match="none of 3 trials"):
        honest(losses, rng=rng(1))


def test_a_trial_of_which_nothing_is_known_is_left_out() -> None:
    losses = errors(1, 200, np.full(5, 0.4))
    more = np.column_stack([losses, np.full(200, np.nan)])
    assert honest(more, rng=rng(1)) == honest(losses, rng=rng(1))


def test_it_takes_a_fraction_of_a_second() -> None:
    losses = errors(1, 5000, np.full(200, 0.4))
    start = time.perf_counter()
    honest(losses, 0, rng=rng(1), rule=best)
    assert time.perf_counter() - start < 5  # 0.2 on a machine that does nothing else


def test_a_trial_without_a_result_is_not_chosen_though_it_has_all_rows() -> None:
    rng = np.random.default_rng(3)
    losses = rng.random((100, 3)) + np.array([0.2, 0.0, 0.1])
    reported = losses.mean(axis=0)
    reported[1] = np.nan
    found = honest_of(Sums.of(losses), rng=rng, reported=reported)
    assert found.chosen == 2
    assert found.raw == reported[2]
