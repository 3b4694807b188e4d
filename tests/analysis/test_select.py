import numpy as np
import pytest

from luthier.analysis.select import best, guarded, noise, paired_errors, shrunken, simplest
from luthier.errors import InvalidStudy


def test_the_best_is_the_first_of_equal_ones() -> None:
    losses = np.array([[0.3, 0.1 + 1e-17, 0.1, 0.2], [0.3, 0.3, 0.4, np.inf]])
    assert best(losses, np.zeros((4, 4))).tolist() == [1, 0]


def test_paired_errors_are_those_of_the_differences() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(50, 1)) + 0.1 * rng.normal(size=(50, 3))
    errors = paired_errors(rows)
    assert errors[0, 2] == pytest.approx(np.std(rows[:, 0] - rows[:, 2], ddof=1) / np.sqrt(50))
    assert np.allclose(np.diag(errors), 0)
    wider = paired_errors(rows[:5], overlap=1 / 4)
    assert wider[0, 1] == pytest.approx(paired_errors(rows[:5])[0, 1] * np.sqrt((1 / 5 + 1 / 4) * 5))


def test_the_variance_of_few_folds_leans_on_that_of_all_pairs() -> None:
    folds = np.random.default_rng(0).normal(size=(5, 20))
    folds[:, 1] = folds[:, 0]  # the same predictions
    plain, moderated = paired_errors(folds), paired_errors(folds, usual=4)
    assert plain[0, 1] == moderated[0, 1] == 0
    assert np.std(moderated[2, 3:]) < 0.7 * np.std(plain[2, 3:])
    middle = np.median(plain[plain > 0] ** 2)
    assert moderated[2, 3] ** 2 == pytest.approx((middle + plain[2, 3] ** 2) / 2)


def test_the_simplest_within_one_standard_error_of_the_difference_is_taken() -> None:
    losses = np.array([[0.30, 0.31, 0.33, 0.36]])
    errors = np.full((4, 4), 0.02)
    assert simplest([9, 5, 3, 1])(losses, errors).tolist() == [1]
    assert simplest([9, 5, 3, 1])(losses, 2 * errors).tolist() == [2]
    assert simplest([1, 5, 3, 9])(losses, errors).tolist() == [0]
    assert simplest([9, 5, 5, 1])(losses, 2 * errors).tolist() == [1]  # of equally simple ones the better


def test_what_all_trials_share_does_not_make_a_simple_one_good_enough() -> None:
    rng = np.random.default_rng(1)
    shared = rng.normal(0, 10, (200, 1))
    rows = np.hstack([shared, shared + 0.5]) + 0.01 * rng.normal(size=(200, 2))
    rule = simplest([2, 1])
    assert rule(rows.mean(axis=0)[None], paired_errors(rows)).tolist() == [0]


def test_a_noisy_trial_is_drawn_to_what_is_expected_of_it() -> None:
    losses = np.array([[0.10, 0.20, 0.30]])
    expected, sd = [0.30, 0.20, 0.30], [0.05, 0.05, 0.05]
    assert shrunken(expected, sd)(losses, np.zeros((3, 3))).tolist() == [0]
    noisy = np.where(np.eye(3), 0, 1.0)
    assert shrunken(expected, sd)(losses, noisy).tolist() == [1]
    assert noise(noisy) == pytest.approx(0.5)


def test_the_default_stays_unless_it_is_beaten_by_more_than_noise() -> None:
    losses = np.array([[0.30, 0.26, 0.28], [0.30, 0.20, 0.28], [0.30, 0.30, 0.30]])
    errors = np.where(np.eye(3), 0, 0.02)
    assert guarded(best, 0, 2.5)(losses, errors).tolist() == [0, 1, 0]
    assert guarded(best, 0, 0.0)(losses, errors).tolist() == [1, 1, 0]


def test_complexity_must_be_known_of_every_trial() -> None:
    with pytest.raises(InvalidStudy, match="complexity"):
        simplest([1, float("nan")])
    with pytest.raises(InvalidStudy, match="finite"):
        shrunken([1, 2], [1, float("inf")])
