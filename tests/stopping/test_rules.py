"""Each rule does what the system it is named after does, by numbers worked out by hand; and says so."""

from __future__ import annotations

import math
import timeit

import numpy as np
import pytest
from scipy import stats

from luthier.errors import InvalidStudy
from luthier.stopping import (
    AllOf,
    AnyOf,
    Bandit,
    Curve,
    Halving,
    MedianStopping,
    Patience,
    Percentile,
    Plateau,
    StoppingPolicy,
    Threshold,
    Truncation,
    Wilcoxon,
    after,
    all_of,
    any_of,
)
from luthier.stopping.wilcoxon import p_greater
from luthier.study import Constraint, Fidelity, Problem, Report, State, Trial
from tests.stopping.curves import completed, flat, problem, running, stopped, study

NAN = math.nan


# --- bandit -------------------------------------------------------------------------------------


def test_bandit_ends_what_is_below_the_best_divided_by_one_and_the_slack_where_more_is_better() -> None:
    # Azure's example: best 0.8, slack 0.2, so that 0.8 / 1.2 = 0.667 is the cut.
    history = study(completed(0, [0.1] * 9 + [0.8]), of=problem("max"))
    policy = Bandit(slack_factor=0.2)
    assert policy.judge(running(1, [0.1] * 9 + [0.67]), history) is None
    assert policy.judge(running(1, [0.1] * 9 + [0.66]), history) == (
        "0.66 in 10 reports, 0.00667 behind the cut at 0.6667 (slack 0.2 x the 0.8 of trial 0)"
    )


def test_bandit_takes_the_slack_from_a_loss_and_from_values_below_zero_the_right_way_round() -> None:
    assert Bandit(0.5).judge(running(1, [1.5]), study(*flat(1.0))) is None
    assert Bandit(0.5).judge(running(1, [1.51]), study(*flat(1.0)))
    # A log-likelihood of -2 at best: the cut is at -3, not at -1.33, which would end the best itself.
    history = study(*flat(-2.0), of=problem("max"))
    assert Bandit(0.5).judge(running(1, [-3.0]), history) is None
    assert Bandit(0.5).judge(running(1, [-3.1]), history)


def test_bandit_takes_an_amount_too() -> None:
    history = study(*flat(1.0))
    assert Bandit(slack_amount=0.25).judge(running(1, [1.25]), history) is None
    reason = Bandit(slack_amount=0.25).judge(running(1, [1.5]), history)
    assert reason == "1.5 in 1 reports, 0.25 behind the cut at 1.25 (slack 0.25 from the 1 of trial 0)"


def test_bandit_compares_the_best_so_far_with_the_best_of_all_that_came_as_far_running_ones_too() -> None:
    history = study(completed(0, [5, 5, 1]), running(1, [3, 2, 4]))
    # After two reports the best is the 2 of the running trial; what trial 0 came to later does not count.
    assert Bandit(slack_amount=1.0).judge(running(2, [3.0, 9.0]), history) is None
    assert "the 2 of trial 1" in str(Bandit(slack_amount=0.5).judge(running(2, [3.0, 9.0]), history))


# --- median -------------------------------------------------------------------------------------


def test_the_median_is_that_of_running_averages_and_the_best_so_far_is_compared() -> None:
    # Averages after two reports: 2, 3, 5 and the trial's own 6; the median is 4.
    history = study(completed(0, [2, 2, 0]), completed(1, [4, 2]), running(2, [5, 5]))
    assert MedianStopping().judge(running(3, [8.0, 4.0]), history) is None
    assert MedianStopping().judge(running(3, [7.5, 4.5]), history) == (
        "at best 4.5 in 2 reports, 0.5 behind the median 4 of the running averages of 4 trials"
    )


def test_delay_and_interval_count_reports() -> None:
    history = study(*flat(1.0, 1.0, 1.0))
    curve = [9.0] * 10
    due = [
        n for n in range(1, 11) if MedianStopping(interval=3, delay=4).judge(running(3, curve[:n]), history)
    ]
    assert due == [6, 9]
    # Not steps: these are the first three reports, at steps 100, 200 and 300.
    late = running(3, {100: 9.0, 200: 9.0, 300: 9.0})
    assert MedianStopping(delay=3).judge(late, history)
    assert MedianStopping(delay=4).judge(late, history) is None


# --- truncation ---------------------------------------------------------------------------------


def test_truncation_ends_the_worst_fifth_of_all_that_came_as_far() -> None:
    history = study(*flat(1, 2, 3, 4, 5, 6, 7, 8, 9))
    assert Truncation(20).judge(running(9, [7.5, 7.5]), history) is None  # rank 8 of 10
    assert Truncation(20).judge(running(9, [1.0, 8.5]), history) == (
        "rank 9 of 10 at report 2, 8.5 is 0.5 behind the cut at 8 (the worst 20% end)"
    )
    assert Truncation(20).judge(running(4, [9.0]), study(*flat(1, 2, 3))) is None  # 20% of 4 is none


def test_truncation_counts_those_that_it_stopped() -> None:
    history = study(*flat(1, 2), stopped(2, [9.0]), stopped(3, [8.0]))
    assert Truncation(20).judge(running(4, [5.0]), history) is None  # rank 3 of 5


# --- percentile ---------------------------------------------------------------------------------


def test_percentile_compares_the_best_so_far_with_completed_trials_at_the_same_step() -> None:
    history = study(*flat(1, 2, 3, 4, 5), stopped(5, [0.0]), running(6, [0.0]))
    assert Percentile().judge(running(7, [3.0]), history) is None
    assert Percentile().judge(running(7, [3.5]), history) == (
        "at best 3.5 by step 1, 0.5 behind the median 3 of 5 completed trials there"
    )
    assert Percentile(25).judge(running(7, [2.1]), history)  # the top quarter goes on
    assert Percentile(25).judge(running(7, [2.0]), history) is None
    assert Percentile().judge(running(7, [2.0, 9.0]), history) is None
    assert Percentile().judge(running(7, {11: 9.0}), history) is None  # nobody reported at step 11


def test_percentile_waits_for_five_completed_trials() -> None:
    assert Percentile().judge(running(4, [99.0]), study(*flat(1, 2, 3, 4))) is None
    assert Percentile(startup=4).judge(running(4, [99.0]), study(*flat(1, 2, 3, 4)))
    assert Percentile(startup=0).judge(running(4, [99.0]), study()) is None
    assert Percentile(minimum=6).judge(running(5, [99.0]), study(*flat(1, 2, 3, 4, 5))) is None


def test_percentile_counts_delay_and_interval_in_steps_and_catches_up_with_a_missed_one() -> None:
    history = study(*flat(1, 1, 1, 1, 1, steps=20))
    policy = Percentile(delay=2, interval=5)
    due = [n for n in range(1, 14) if policy.judge(running(5, [9.0] * n), history)]
    assert due == [2, 7, 12]
    assert policy.judge(running(5, {1: 9.0, 9: 9.0}), history)
    assert policy.judge(running(5, {1: 9.0, 9: 9.0, 10: 9.0}), history) is None


# --- threshold ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "value", "says"),
    [
        (Threshold(high=2.0), 2.0, None),
        (Threshold(high=2.0), 2.5, "loss is 2.5 at step 3, 0.5 above the threshold 2"),
        (Threshold(low=0.0, high=2.0), -1.0, "loss is -1 at step 3, 1 below the threshold 0"),
        (Threshold(low=0.0), NAN, "loss is NaN at step 3"),
        (Threshold(low=0.0, delay=4), -1.0, None),
        (Threshold(low=0.0, interval=2), -1.0, None),
    ],
)
def test_a_threshold_ends_what_leaves_it(policy: Threshold, value: float, says: str | None) -> None:
    assert policy.judge(running(0, [1.0, 1.0, value]), study()) == says


# --- plateau, patience --------------------------------------------------------------------------


def test_a_plateau_is_no_improvement_over_so_many_reports() -> None:
    policy = Plateau(patience=3)
    assert policy.judge(running(0, [5, 4, 4, 4]), study()) is None
    assert policy.judge(running(0, [5, 4, 4, 4, 4]), study()) == (
        "no improvement over 3 reports: 4 at best, after 4 before"
    )
    assert policy.judge(running(0, [5, 4, 4, 4, 3.9]), study()) is None
    assert Plateau(patience=3, min_delta=0.2).judge(running(0, [5, 4, 4, 4, 3.9]), study()) == (
        "no improvement by more than 0.2 over 3 reports: 3.9 at best, after 4 before"
    )


def test_patience_asks_once_it_is_worse_for_one_report_more_than_its_patience() -> None:
    history = study(*flat(1, 1, 1, 1, 1))
    policy = Patience(Percentile(), patience=1)
    assert policy.judge(running(5, [3, 4]), history) is None
    assert policy.judge(running(5, [3, 4, 3]), history) is None  # level is not worse
    assert policy.judge(running(5, [3, 4, 5]), history) == (
        "at best 3 by step 3, 2 behind the median 1 of 5 completed trials there; "
        "and the last 2 reports are worse than the 3 before"
    )
    assert Patience(Percentile(), patience=1, min_delta=1.0).judge(running(5, [3, 4, 5]), history) is None
    assert policy.judge(running(5, [0.5, 4, 5]), history) is None  # the policy has nothing against it


# --- wilcoxon -----------------------------------------------------------------------------------


def test_wilcoxon_ends_what_is_behind_on_four_folds_of_four() -> None:
    history = study(completed(0, {1: 1, 2: 2, 3: 3, 4: 4, 5: 5}))
    assert Wilcoxon().judge(running(1, {2: 2.5, 1: 1.1, 3: 3.3}), history) is None  # p = 1/8
    assert Wilcoxon().judge(running(1, {2: 2.5, 1: 1.1, 3: 3.3, 5: 5.2}), history) == (
        "after 4 pairs 0.275 behind trial 0 (p = 0.062 by Wilcoxon's test)"
    )
    assert Wilcoxon(startup=5).judge(running(1, {2: 2.5, 1: 1.1, 3: 3.3, 5: 5.2}), history) is None


def test_wilcoxon_does_not_end_what_has_the_better_mean() -> None:
    history = study(completed(0, [1, 2, 3, 4, 500.0]))
    assert Wilcoxon().judge(running(1, [1.1, 2.2, 3.3, 4.4]), history) is None


def test_the_p_value_is_scipys() -> None:
    rng = np.random.default_rng(0)
    for n in range(2, 60):
        apart = rng.normal(0.3, 1, n)
        if n % 3 == 0:
            apart = np.round(apart)  # ties and zeros
        expected = stats.wilcoxon(apart, alternative="greater", zero_method="zsplit").pvalue
        exact = n <= 13 or (n <= 50 and n % 3)  # SciPy takes the normal distribution for ties above 13 pairs
        assert p_greater(apart.tolist()) == pytest.approx(expected, abs=1e-12 if exact else 0.06)


# --- asha ---------------------------------------------------------------------------------------


def test_asha_keeps_the_best_third_of_five_or_more_at_a_rung() -> None:
    policy = Halving(rungs=[3, 9], trend=0)
    history = study(*flat(1, 2, 3, steps=9), stopped(3, [0, 0, 4]), stopped(4, [0, 0]))
    five = running(5, [0.0, 0.0, 2.5])
    assert policy.judge(five, history) == (
        "rank 3 of 5 at step 3, 2.5 is 0.5 behind the cut at 2 (the best 2 go on)"
    )
    assert policy.judge(running(5, [0.0, 0.0, 1.5]), history) is None
    assert policy.judge(running(5, [9.0, 9.0]), history) is None  # no rung
    assert policy.judge(running(5, [9.0, 9.0, 9.0, 9.0]), history) is None  # passed before
    four = study(*flat(1, 2, 3, steps=9))
    assert policy.judge(running(5, [9.0, 9.0, 9.0]), four) is None


def test_asha_ranks_by_where_trials_are_heading_and_lets_the_best_value_go_on() -> None:
    # Three that stand still, and one that came from 3 to 2.4 since step 2: 2.4 - 0.75 * 0.6 = 1.95.
    history = study(*flat(1, 2, 3), completed(3, [3, 3, 3, 2.4]))
    policy = Halving(rungs=[4])
    assert policy.judge(running(4, [9, 3, 3, 2.2]), history) is None  # 2.2 - 0.75 * 0.8 = 1.6, the second
    assert policy.judge(running(4, [9, 3, 3, 2.3]), history) is None  # 1.775
    assert policy.judge(running(4, [9, 2.5, 3, 2.3]), history) == (
        "rank 4 of 5 at step 4, 2.15 with its trend from 2.3 is 0.2 behind the cut at 1.95 (the best 2 go on)"
    )
    assert "rank 3 of 5" in str(Halving(rungs=[4], trend=0).judge(running(4, [9, 3, 3, 2.2]), history))
    # The best one has got worse: by its trend it is the fourth.
    assert policy.judge(running(4, [0.0, 0.0, 0.0, 0.9]), study(*flat(1, 1.1, 1.2, 1.3))) is None


def test_asha_has_rungs_at_a_sixth_and_a_half_of_a_training() -> None:
    others = flat(1, 1, 1, 1, steps=52)
    for policy, history in (
        (Halving(high=52), study(*others)),
        (Halving(), study(*others)),  # 52 is how far completed trials came
        (Halving(), study(*others, of=problem("min", fidelity=Fidelity("epochs", 1, 52)))),
    ):
        due = [n for n in range(1, 52) if policy.judge(running(4, [9.0] * n), history)]
        assert due == [9, 26]
    assert Halving().judge(running(4, [9.0] * 9), study(*(running(i, [1.0] * 30) for i in range(4)))) is None


def test_asha_takes_the_first_report_after_a_rung_and_several_rungs_at_once() -> None:
    history = study(*(completed(i, {10: 1.0, 20: 1.0, 30: 1.0}) for i in range(4)))
    assert "rank 5 of 5 at step 10" in str(Halving(rungs=[5]).judge(running(4, {10: 2.0}), history))
    # Level at the first rung by its lower number, behind at the second, which 12 has not reached.
    assert Halving(rungs=[5, 11]).judge(running(4, {12: 2.0}), history)


def test_of_equal_trials_the_lower_number_is_better() -> None:
    history = study(*flat(*[1.0] * 7, steps=3), running(7, [1.0]), completed(8, [1.0] * 3))
    assert "rank 8 of 9" in str(Halving(rungs=[3]).judge(running(7, [1.0] * 3), history))
    history = study(running(0, [1.0]), *(completed(i, [1.0] * 3) for i in range(1, 8)))
    assert Halving(rungs=[3]).judge(running(0, [1.0] * 3), history) is None


# --- curve --------------------------------------------------------------------------------------


def power(end: float, start: float, alpha: float = 0.5, n: int = 52) -> list[float]:
    return [end + (start - end) * s**-alpha for s in range(1, n + 1)]


def test_a_curve_that_will_hardly_come_to_the_best_ones_end_is_ended_with_the_probability() -> None:
    history = study(completed(0, power(0.1, 1.0)))
    reason = Curve().judge(running(1, power(0.5, 1.0)[:12]), history)
    assert reason is not None
    assert reason.split(" +- ")[0].split("% sure to beat trial ")[1] == "0: 0.5693"
    assert "expected at step 52, against 0.2248" in reason
    assert Curve().judge(running(1, power(0.0, 1.5)[:12]), history) is None  # behind, and will be ahead
    assert Curve().judge(running(1, power(0.5, 1.0)[:4]), history) is None  # too few reports
    assert Curve().judge(running(1, power(0.5, 1.0)), history) is None  # at its end


# --- combined -----------------------------------------------------------------------------------


def test_any_all_and_after() -> None:
    history = study(*flat(1, 1, 1, 1, 1))
    bad = running(5, [3.0, 3.0])
    assert any_of(Threshold(high=9), Percentile()).judge(bad, history) == Percentile().judge(bad, history)
    assert any_of(Threshold(high=9), Percentile(delay=5)).judge(bad, history) is None
    both = all_of(Plateau(1), Percentile()).judge(bad, history)
    assert both == f"{Plateau(1).judge(bad, history)}; and {Percentile().judge(bad, history)}"
    assert all_of(Threshold(high=9), Percentile()).judge(bad, history) is None
    assert after(Percentile(), step=3).judge(bad, history) is None
    assert after(Percentile(), step=2).judge(bad, history)
    assert after(Percentile(), trials=6).judge(bad, history) is None
    assert after(Percentile(), step=2, trials=5).judge(bad, history)
    assert any_of(Percentile(), Plateau()) == AnyOf([Percentile(), Plateau()])
    assert all_of(Percentile()) == AllOf((Percentile(),))


# --- what all have in common --------------------------------------------------------------------

COMPARING: list[StoppingPolicy] = [
    Bandit(slack_amount=0.0),
    MedianStopping(),
    Truncation(40),
    Percentile(),
    Halving(rungs=[2]),
    Wilcoxon(p=0.3),
    Patience(Percentile(), 0),
]


@pytest.mark.parametrize("policy", COMPARING, ids=repr)
def test_what_is_no_number_is_worse_than_everything(policy: StoppingPolicy) -> None:
    reason = policy.judge(running(5, [9.0, NAN]), study(*flat(1, 2, 3, 4, 5)))
    assert reason is not None
    assert "nan" not in reason
    assert "inf" not in reason
    history = study(*(completed(i, [NAN, NAN]) for i in range(5)))
    assert policy.judge(running(5, [9.0, 9.0]), history) is None


@pytest.mark.parametrize("policy", COMPARING, ids=repr)
def test_it_does_not_matter_which_way_is_better(policy: StoppingPolicy) -> None:
    rng = np.random.default_rng(1)
    stops = 0
    for _ in range(200):
        table = rng.normal(size=(7, 4)).tolist()
        up = study(*(completed(i, [-v for v in row]) for i, row in enumerate(table)), of=problem("max"))
        down = study(*(completed(i, row) for i, row in enumerate(table)))
        mine = rng.normal(0.5, 1, size=int(rng.integers(1, 5))).tolist()
        reason = policy.judge(running(7, mine), down)
        assert (policy.judge(running(7, [-v for v in mine]), up) is None) == (reason is None)
        stops += reason is not None
    assert stops > 10


@pytest.mark.parametrize("policy", COMPARING, ids=repr)
def test_trials_that_failed_or_are_infeasible_are_not_compared_with(policy: StoppingPolicy) -> None:
    constrained = Problem(problem().space, problem().objectives, (Constraint("size", high=1),))
    failed = [Trial(i, {"row": i}, State.FAILED, 1, reports=running(i, [0.0, 0.0]).reports) for i in range(8)]
    assert policy.judge(running(8, [9.0, 10.0]), study(*failed)) is None
    infeasible = [
        Trial(i, t.params, t.state, 1, reports=t.reports, metrics={**t.metrics, "size": 5})
        for i, t in enumerate(flat(*[0.0] * 8))
    ]
    assert policy.judge(running(8, [9.0, 10.0]), study(*infeasible, of=constrained)) is None


def test_a_policy_names_its_metric_in_a_study_of_several_objectives() -> None:
    two = problem("min", "max")
    table = [
        Trial(
            i,
            {"row": i},
            State.COMPLETED,
            1,
            reports=(Report(1, {"loss": float(i), "loss1": float(i), "grads": float(i)}),),
            metrics={"loss": float(i), "loss1": float(i)},
        )
        for i in range(5)
    ]
    history = study(*table, of=two)
    trial = running(5, [4.0], "loss1")
    assert Percentile(metric="loss1").judge(trial, history) is None  # it is to be maximised
    assert Percentile(metric="loss").judge(running(5, [4.0]), history)
    assert Percentile(metric="loss").judge(trial, history) is None  # it did not report that one
    assert Percentile(metric="grads", goal="min").judge(running(5, [4.0], "grads"), history)
    with pytest.raises(InvalidStudy, match=r"several objectives, loss, loss1, .* metric='loss'"):
        Percentile().check(two)
    with pytest.raises(InvalidStudy, match="several objectives"):
        any_of(Percentile(metric="loss"), after(Threshold(high=1), step=3)).check(two)
    with pytest.raises(InvalidStudy, match="'los', which is no objective of the study"):
        Bandit(0.1, metric="los").check(two)
    with pytest.raises(InvalidStudy, match="says goal='min' for 'loss1', and the study says 'max'"):
        Patience(Plateau(metric="loss"), 3, metric="loss1", goal="min").check(two)
    Threshold(high=3, metric="anything").check(two)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (Bandit, "no slack is given. Give one"),
        (lambda: Bandit(0.1, 0.1), "both slack_factor and slack_amount are given"),
        (lambda: Bandit(-0.1), "slack_factor is -0.1"),
        (lambda: Bandit(slack_amount=NAN), "slack_amount is nan"),
        (lambda: Truncation(0), "percentage is 0. Use a number from 1 to 99"),
        (lambda: Truncation(100), "percentage is 100"),
        (lambda: MedianStopping(interval=0), "interval is 0. Use a whole number of at least 1"),
        (lambda: MedianStopping(delay=-1), "delay is -1"),
        (lambda: MedianStopping(delay=1.5), "delay is 1.5"),  # type: ignore[arg-type]
        (lambda: Percentile(101), "percentile is 101"),
        (lambda: Percentile(startup=-1), "startup is -1"),
        (Threshold, "neither low nor high"),
        (lambda: Threshold(2, 1), "from 2 to 1, which nothing meets"),
        (lambda: Threshold(high=math.inf), "high is inf"),
        (lambda: Plateau(0), "patience is 0"),
        (lambda: Plateau(min_delta=-1), "min_delta is -1"),
        (lambda: Patience(MedianStopping, 1), "Write MedianStopping()"),  # type: ignore[arg-type]
        (lambda: Wilcoxon(p=1.5), "p is 1.5"),
        (lambda: Halving(factor=1), "factor is 1"),
        (lambda: Halving(trend=-1), "trend is -1"),
        (lambda: Halving(rungs=[3, 2]), "Use ascending steps above 0"),
        (lambda: Halving(rungs=[]), "Use ascending steps above 0"),
        (lambda: Halving(high=9, rungs=[3]), "rungs are given, and low or high"),
        (lambda: Halving(high=3, low=5), "the first rung is at 5 and a full training ends at 3"),
        (lambda: Halving(high="x"), "high is 'x'"),  # type: ignore[arg-type]
        (lambda: Curve(widen=0.5), "widen is 0.5"),
        (lambda: Curve(startup=2), "startup is 2"),
        (lambda: Curve(high=0), "high is 0"),
        (any_of, "any is made of ()"),
        (lambda: all_of("median"), "all is made of 'median', which is no stopping policy"),  # type: ignore[arg-type]
        (lambda: after(MedianStopping()), "after what is not said"),
        (lambda: after(MedianStopping(), trials=0), "trials is 0"),
        (lambda: MedianStopping(metric=""), "metric is ''"),
        (lambda: MedianStopping(metric="loss", goal="down"), "goal is 'down'"),  # type: ignore[arg-type]
        (lambda: MedianStopping(goal="min"), "no metric is named"),
    ],
)
def test_settings_that_mean_nothing_are_refused(make: object, says: str) -> None:
    with pytest.raises(InvalidStudy) as found:
        make()  # type: ignore[operator]
    assert says in str(found.value)


def test_policies_of_one_history_do_not_mix_up_what_they_read() -> None:
    table = np.random.default_rng(3).normal(size=(20, 4)).tolist()
    policies = [*COMPARING, Halving(rungs=[1, 3]), Percentile(25)]
    trials = [completed(i, row) for i, row in enumerate(table)]
    shared = study(*trials)
    for n in (1, 2, 3, 4):
        for value in (-1.0, 0.0, 1.0):
            trial = running(20, [value - 0.1 * i for i in range(n)])
            assert [p.judge(trial, shared) for p in policies] == [
                p.judge(trial, study(*trials)) for p in policies
            ]


@pytest.mark.parametrize("policy", [*COMPARING, Curve(delay=1), Plateau(9)], ids=repr)
def test_a_check_is_quick_in_a_study_of_ten_thousand_trials(policy: StoppingPolicy) -> None:
    rng = np.random.default_rng(2)
    trials = [completed(i, row) for i, row in enumerate(rng.normal(size=(10_000, 52)).tolist())]
    live = [running(10_000 + i, row) for i, row in enumerate(rng.normal(size=(16, 30)).tolist())]
    history = study(*trials, *live)
    trial = running(10_000, [5.0] * 30)
    policy.judge(trial, history)
    assert min(timeit.repeat(lambda: policy.judge(trial, history), number=20, repeat=5)) / 20 < 300e-6
