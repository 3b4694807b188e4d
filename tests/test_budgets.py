"""Budgets in the currency of the trials, deadlines, and what more trials are expected to gain."""

from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

import luthier as lt
from luthier.api import as_budget, as_moment
from luthier.engine.plan import Situation, decide
from luthier.enough import forecast
from luthier.errors import InvalidStudy
from luthier.study import Budget, Completed, Objective, State, Trial
from luthier.study.codec import budget_from_text, budget_to_text

SPACE = lt.Space(x=lt.Float(0, 1))
QUIET = Situation(
    budget=Budget(), objective=Objective("loss", "min"), total=0, ended=0, failed=0, waiting=0, running=0, slots=1, seconds=0.0
)  # fmt: skip


def bowl(x: float) -> dict[str, float]:
    return {"loss": (x - 0.3) ** 2, "dollars": 2.0}


def test_a_study_ends_when_its_trials_have_cost_what_they_may() -> None:
    study = lt.tune(bowl, SPACE, minimize="loss", cost={"dollars": 9}, progress=False)
    assert [trial.state for trial in study.trials] == [State.COMPLETED] * 5
    assert study.row.ended == "complete: the budget of 9 dollars is used up, with 10 by 5 trials"


def test_what_running_trials_report_counts_and_they_are_told_to_end() -> None:
    def train(trial: lt.Context) -> float:
        for step in range(100):
            trial.report(step, dollars=step + 1.0, loss=1.0 / (step + 1))
        return 0.0

    study = lt.tune(train, SPACE, minimize="loss", cost={"dollars": 30}, progress=False)
    (trial,) = study.trials
    assert (trial.state, trial.reports[-1].metrics["dollars"]) == (State.STOPPED, 30.0)


def test_trials_without_the_metric_cost_nothing_and_other_limits_hold_too() -> None:
    study = lt.tune(bowl, SPACE, minimize="loss", cost={"euros": 1}, trials=3, progress=False)
    assert len(study.trials) == 3


def test_a_larger_cost_goes_on(tmp_path: object) -> None:
    where = f"{tmp_path}/studies.db"
    for limit, trials in ((4, 2), (8, 4), (8, 4)):
        study = lt.tune(
            bowl, SPACE, minimize="loss", cost={"dollars": limit}, name="c", store=where, progress=False
        )
        assert len(study.trials) == trials
        study.close()


def test_the_seconds_of_workers_are_a_cost() -> None:
    trial = Trial(0, {}, State.RUNNING, 1, started=100.0)
    assert trial.cost("seconds", 103.0) == 3.0
    ended = trial.after(Completed({"loss": 1.0}), 1)
    assert ended.cost("seconds", 999.0) == 0.0, "it is not known when it ended"
    assert Trial(0, {}, State.COMPLETED, 1, started=100.0, ended=107.5).cost("seconds", 999.0) == 7.5
    assert Trial(0, {}, State.COMPLETED, 1, metrics={"dollars": float("nan")}).cost("dollars", 0.0) == 0.0


def test_a_deadline_ends_the_study_when_it_has_come() -> None:
    late = replace(QUIET, budget=Budget(deadline=50.0), now=50.0)
    assert decide(late).end is not None
    assert decide(replace(late, now=49.9)).end is None
    study = lt.tune(bowl, SPACE, minimize="loss", trials=5, deadline=1.0, progress=False)
    assert (len(study.trials), study.row.ended) == (0, "complete: the deadline has come")


def test_a_time_of_the_day_is_the_next_one() -> None:
    noon = datetime(2026, 11, 21, 12, 0).timestamp()
    assert as_moment("18:00", noon) == noon + 6 * 3600
    assert as_moment("11:30", noon) == noon + 23.5 * 3600
    assert as_moment("2026-11-22 12:00", noon) == noon + 24 * 3600
    assert as_moment(datetime(2026, 11, 21, 13, 0), noon) == noon + 3600
    assert as_moment(None, noon) is None
    with pytest.raises(InvalidStudy, match=r"'soon'.*'18:00'"):
        as_moment("soon", noon)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"cost": 5}, "cost is 5.*seconds"),
        ({"cost": {"seconds": -1}}, "-1.*above 0"),
        ({"cost": {"a": 1, "b": 2}}, "Say what it is counted in"),
        ({"until": -0.5}, "-0.5.*'noise'"),
        ({"until": "bored"}, "'bored'"),
    ],
)
def test_wrong_budgets_are_said(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidStudy, match=said):
        as_budget(trials=3, seconds=None, **wrong)  # type: ignore[arg-type]


def test_budgets_are_kept_whole_and_those_from_before_read_as_they_did() -> None:
    for budget in (Budget(trials=3), Budget(cost=2.0, currency="dollars", deadline=9.0), Budget(until=0.01)):
        assert budget_from_text(budget_to_text(budget)) == budget
    assert (
        budget_to_text(Budget(trials=3)) == '{"trials": 3, "seconds": null, "failures": null, "target": null}'
    )
    assert Budget().endless
    assert not Budget(cost=1.0).endless


def test_a_study_ends_once_no_gain_is_left_that_is_worth_it() -> None:
    study = lt.tune(lambda x: (x - 0.3) ** 2, SPACE, minimize="loss", trials=200, until=0.01, progress=False)
    assert 20 <= len(study.trials) < 60
    assert "the gain that was said to be too little, 0.01" in (study.row.ended or "")


def test_a_forecast_is_large_at_first_and_small_where_little_is_left() -> None:
    def rough(x: float, y: float) -> float:
        return float(np.sin(6 * x) + (y - 0.4) ** 2)

    space = lt.Space(x=lt.Float(0, 1), y=lt.Float(0, 1))
    study = lt.tune(rough, space, minimize="loss", trials=30, progress=False)
    late = forecast(study.history, 20)
    early = lt.tune(rough, space, minimize="loss", trials=5, progress=False)
    soon = forecast(early.history, 20)
    assert late is not None
    assert soon is not None
    assert 0.0 <= late.gain < 0.01
    assert soon.gain > 10 * late.gain
    assert forecast(study.history, 0) is None
    assert str(late).count("+-") == 1
