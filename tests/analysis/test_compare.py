import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from luthier.analysis import Comparison, compare, plausible
from luthier.analysis.compare import contenders, inseparable
from luthier.errors import InvalidStudy, LuthierError
from luthier.space import Float, Space
from luthier.study import (
    Completed,
    Constraint,
    Failed,
    Goal,
    History,
    Objective,
    Problem,
    Report,
    State,
    Stopped,
    Trial,
)

LOSS, SCORE = Objective("m", "min"), Objective("m", "max")
A = [0.81, 0.90, 0.74, 0.88, 0.79]
B = [0.80, 0.86, 0.75, 0.83, 0.77]


def running(number: int, folds: Sequence[float], x: float = 0.5) -> Trial:
    reports = tuple(Report(step, {"m": float(value)}) for step, value in enumerate(folds))
    return Trial(number, {"x": x}, State.RUNNING, 1, reports=reports)


def scored(number: int, folds: Sequence[float], x: float = 0.5, **more: float) -> Trial:
    mean = math.fsum(folds) / len(folds)
    return running(number, folds, x).after(Completed({"m": mean, **more}), 1)


def of(trials: Sequence[Trial], goal: Goal = "max", constraints: tuple[Constraint, ...] = ()) -> History:
    history = History(Problem(Space(x=Float(0, 1)), (Objective("m", goal),), constraints))
    history.merge(trials, 1)
    return history


# --- two trials ---------------------------------------------------------------------------------


def test_without_overlap_it_is_the_paired_t_test() -> None:
    found = compare(scored(0, A), scored(1, B), SCORE, overlap=0.0)
    truth = stats.ttest_rel(A, B)
    assert found.t == pytest.approx(truth.statistic)
    assert found.p == pytest.approx(truth.pvalue)
    interval = truth.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.difference == pytest.approx(np.mean(A) - np.mean(B))


def test_folds_that_share_rows_make_a_difference_less_certain() -> None:
    found = compare(scored(0, A), scored(1, B), SCORE)
    spread = np.var(np.subtract(A, B), ddof=1)
    assert found.error == pytest.approx(math.sqrt((1 / 5 + 1 / 4) * spread))
    assert found.t == pytest.approx(stats.ttest_rel(A, B).statistic / math.sqrt(1 + 5 / 4))
    repeated = compare(scored(0, A + A), scored(1, B + B), SCORE, overlap=1 / 4)
    more = np.var(np.subtract(A + A, B + B), ddof=1)
    assert repeated.error == pytest.approx(math.sqrt((1 / 10 + 1 / 4) * more))


@pytest.mark.parametrize("margin", [0.0, 0.005, 0.02, 1.0])
def test_the_probabilities_are_those_of_the_correlated_t_test(margin: float) -> None:
    found = compare(scored(0, A), scored(1, B), SCORE, margin=margin)
    differences = np.subtract(A, B)
    rho = 1 / 5
    # Corani & Benavoli 2015, equation 9: St(mu; n - 1, mean, (1/n + rho / (1 - rho)) variance)
    scale = math.sqrt((1 / 5 + rho / (1 - rho)) * differences.var(ddof=1))
    posterior = stats.t(4, differences.mean(), scale)
    assert found.a_better == pytest.approx(posterior.sf(margin))
    assert found.b_better == pytest.approx(posterior.cdf(-margin))
    assert found.a_better + found.equivalent + found.b_better == pytest.approx(1)
    assert (found.low, found.high) == pytest.approx(posterior.interval(0.95))


def test_the_margin_is_a_tenth_of_what_the_scores_are_uncertain_by() -> None:
    found = compare(scored(0, A), scored(1, B), SCORE)
    assert found.margin == pytest.approx(0.1 * math.sqrt((stats.sem(A) ** 2 + stats.sem(B) ** 2) / 2))


def test_what_is_better_turns_round_with_the_goal_and_with_the_order() -> None:
    more, less = (compare(scored(0, A), scored(1, B), goal) for goal in (SCORE, LOSS))
    back = compare(scored(1, B), scored(0, A), SCORE)
    assert more.difference > 0
    for other in (less, back):
        assert other.difference == pytest.approx(-more.difference)
        assert (other.low, other.high) == pytest.approx((-more.high, -more.low))
        assert (other.a_better, other.b_better) == pytest.approx((more.b_better, more.a_better))
        assert (other.p, other.equivalent, other.error) == pytest.approx(
            (more.p, more.equivalent, more.error)
        )
    assert str(back) == str(more)


@pytest.mark.parametrize("folds", [A, [0.9, 0.9, 0.9], [0.0, 0.0]])
def test_equal_trials_are_equivalent_for_certain(folds: list[float]) -> None:
    digits = [value * (1 + 2e-16) for value in folds]
    for other in (folds, digits):
        found = compare(scored(0, folds), scored(7, other), SCORE)
        assert (found.difference, found.error, found.t, found.p) == (0, 0, 0, 1)
        assert (found.a_better, found.equivalent, found.b_better) == (0, 1, 0)
        assert found.winner is None
        assert str(found) == f"trials 0 and 7 have the same m on all {len(folds)} folds."


def test_a_difference_that_is_the_same_on_every_fold_is_certain() -> None:
    found = compare(scored(0, [0.5, 0.75, 1.0]), scored(1, [0.25, 0.5, 0.75]), LOSS)
    assert (found.difference, found.error, found.t, found.p) == (-0.25, 0, -math.inf, 0)
    assert (found.a_better, found.equivalent, found.b_better) == (0, 0, 1)
    assert found.winner == 1
    assert compare(scored(0, [1.0, 2.0]), scored(1, [1.5, 2.5]), LOSS, margin=0.5).equivalent == 1


def test_a_comparison_is_a_sentence() -> None:
    found = Comparison(12, 3, "auc", 5, -0.004, 0.003, -1.3, 0.25, -0.012, 0.004, 0.001, 0.1, 0.1, 0.8)
    assert str(found) == (
        "trial 3 is better than trial 12 by 0.0040 ± 0.0030 in auc; that is not more than noise: they cannot be "
        "told apart."
    )
    sure = compare(scored(1, [0.9, 0.92, 0.88]), scored(2, [0.5, 0.53, 0.49]), SCORE)
    assert sure.winner == 1
    assert str(sure).endswith("that is more than noise.")


def test_a_stopped_trial_is_compared_on_the_folds_it_has() -> None:
    stopped = running(1, B[:3]).after(Stopped("behind"), 1)
    found = compare(scored(0, A), stopped, SCORE)
    assert found.folds == 3
    spread = np.var(np.subtract(A, B)[:3], ddof=1)
    assert found.error == pytest.approx(math.sqrt((1 / 3 + 1 / 4) * spread))


@pytest.mark.parametrize(
    "other",
    [
        Trial(1, {"x": 0.5}).after(Stopped("asked to"), 1),
        running(1, []).after(Completed({"m": 0.9}), 1),
        running(1, [0.3, 0.6, 0.9, 0.9, 0.9]).after(Completed({"m": 0.9}), 1),  # a learning curve
        running(1, B[:1]).after(Stopped("behind"), 1),
        running(1, B[:2]).after(Failed("no"), 1),
        running(1, [0.8, math.nan, 0.7]).after(Stopped("behind"), 1),
    ],
)
def test_without_folds_in_common_it_says_what_to_do(other: Trial) -> None:
    with pytest.raises(LuthierError, match=r"trial.report\(fold, m=...\)"):
        compare(scored(0, A), other, SCORE)
    with pytest.raises(LuthierError, match="cannot be compared"):
        compare(other, scored(0, A), SCORE)


@pytest.mark.parametrize("margin", [-0.1, math.nan, math.inf])
def test_a_margin_is_a_number_from_nothing_on(margin: float) -> None:
    with pytest.raises(InvalidStudy, match="margin"):
        compare(scored(0, A), scored(1, B), SCORE, margin=margin)


# --- what could be the best ---------------------------------------------------------------------


def drawn(rng: np.random.Generator, means: np.ndarray, k: int, kind: str) -> np.ndarray:
    """Losses whose differences correlate between folds as Nadeau and Bengio assume: by 1/K."""
    m = len(means)
    spread = rng.lognormal(0, 0.7, m) if kind == "unequal" else np.ones(m)
    own = rng.standard_t(3, (m, k)) / math.sqrt(3) if kind == "unequal" else rng.standard_normal((m, k))
    noise = math.sqrt(1 - 1 / k) * own + math.sqrt(1 / k) * rng.standard_normal((m, 1))
    return np.asarray(means[:, None] + spread[:, None] * noise + 2 * rng.standard_normal(k))


@pytest.mark.parametrize("kind", ["null", "near", "unequal"])
@pytest.mark.parametrize(("m", "k"), [(2, 5), (6, 3), (12, 3), (60, 5), (40, 10)])
def test_the_truly_best_is_among_the_plausible(kind: str, m: int, k: int) -> None:
    rng = np.random.default_rng(m + k)
    repeats, kept = 600, 0
    for _ in range(repeats):
        means = np.sort(rng.exponential(0.5, m)) if kind == "near" else np.zeros(m)
        kept += inseparable(drawn(rng, means, k, kind), 1 / (k - 1))[0]
    # Unequal and heavy-tailed noise is more than the t-test allows for: over many repeats 0.93 to 0.97.
    assert kept / repeats >= (0.91 if kind == "unequal" else 0.95 - 2 * math.sqrt(0.05 * 0.95 / repeats))


def test_what_is_clearly_worse_is_not_plausible() -> None:
    rng = np.random.default_rng(1)
    means = np.concatenate([np.zeros(4), np.full(56, 12.0)])
    for _ in range(50):
        assert inseparable(drawn(rng, means, 5, "null"), 0.25)[4:].sum() <= 1


def test_the_rule_neither_knows_the_scale_nor_the_order() -> None:
    rng = np.random.default_rng(2)
    scores = drawn(rng, np.linspace(0, 6, 30), 5, "null")
    kept = inseparable(scores, 0.25)
    order = rng.permutation(30)
    assert 1 < kept.sum() < 30
    assert (inseparable(1e6 * scores - 3e4, 0.25) == kept).all()
    assert (inseparable(scores[order], 0.25) == kept[order]).all()


def test_more_certainty_keeps_more() -> None:
    scores = drawn(np.random.default_rng(3), np.linspace(0, 6, 30), 5, "null")
    sizes = [int(inseparable(scores, 0.25, alpha).sum()) for alpha in (0.5, 0.05, 0.005)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2]


def test_plausible_trials_come_best_first_for_either_goal() -> None:
    rng = np.random.default_rng(4)
    losses = drawn(rng, np.linspace(0, 9, 20), 5, "null")
    shuffled = rng.permutation(losses)
    low = plausible(of([scored(i, row) for i, row in enumerate(shuffled)], "min"))
    high = plausible(of([scored(i, row) for i, row in enumerate(-shuffled)]))
    assert [trial.number for trial in low] == [trial.number for trial in high]
    assert [trial.metrics["m"] for trial in low] == sorted(trial.metrics["m"] for trial in low)
    assert 1 <= len(low) < 20
    assert low[0] == of([scored(i, row) for i, row in enumerate(shuffled)], "min").best()


def test_equals_of_the_best_are_plausible_and_divide_nothing_by_zero() -> None:
    assert [t.number for t in plausible(of([scored(i, A) for i in range(30)]))] == list(range(30))
    ties = [scored(i, A) for i in range(15)] + [
        scored(15 + i, np.subtract(A, 0.1).tolist()) for i in range(15)
    ]
    assert [t.number for t in plausible(of(ties))] == list(range(15))


def test_only_whole_trials_that_may_be_chosen_are_among_them() -> None:
    trials = [
        scored(0, A, size=1),
        scored(1, A, x=3.0, size=1),  # the defaults, outside the space
        scored(2, A, size=9),  # infeasible
        scored(3, A[:3], size=1),
        running(4, A[:3]).after(Stopped("behind"), 1),
        running(5, [0.1, 0.5, 0.9]).after(Completed({"m": 0.9, "size": 9}), 1),
        scored(6, B, size=1),
        running(7, A),
    ]
    history = of(trials, constraints=(Constraint("size", high=5),))
    assert [trial.number for trial in contenders(history)] == [0, 6]
    assert [trial.number for trial in plausible(history)] == [0, 6]


def test_where_there_are_no_folds_it_says_what_to_do() -> None:
    for trials in ([], [running(0, []).after(Completed({"m": 0.9}), 1)]):
        with pytest.raises(LuthierError, match="tune a CrossValidation"):
            plausible(of(trials))
    for alpha in (0, 1, math.nan, 5):
        with pytest.raises(InvalidStudy, match="alpha"):
            plausible(of([scored(0, A)]), alpha)
