"""Until noise: a study ends once more trials could gain less than the noise they are compared through."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import luthier as lt
from luthier.engine.plan import End, Situation, decide
from luthier.enough import enough, least
from luthier.errors import InvalidStudy, StudyEnded
from luthier.study import Budget, History, Objective, Problem, Report, State, Trial
from luthier.study.codec import budget_from_text, budget_to_text

PLANE = lt.Space(x=lt.Float(-5, 5), y=lt.Float(-5, 5))
HARDNESS = np.array([-0.5, 0.1, 0.4, -0.2, 0.2])
"""By so much each of five folds is harder than the mean: the standard error is 0.24."""


def bowl(x: float, y: float) -> float:
    return (x - 1) ** 2 + (y + 2) ** 2


def folded(trial: lt.Context) -> float:
    scores = bowl(float(trial.params["x"]), float(trial.params["y"])) + HARDNESS
    for fold, score in enumerate(scores.tolist()):
        trial.report(fold, loss=score)
    return float(scores.mean())


def tuned(objective: Any = folded, space: lt.Space = PLANE, **given: Any) -> lt.Study:
    asked = {"minimize": "loss", "progress": False, "seconds": "auto"} | given
    return lt.tune(objective, space, **asked)


def told(
    losses: Callable[[int, dict[str, float]], Any], count: int, space: lt.Space = PLANE, **given: Any
) -> History:
    """A history of random points: of each its loss, or the losses of its folds."""
    objective = Objective(**({"metric": "loss", "goal": "min"} | given))
    history = History(Problem(space, (objective,)))
    rng = np.random.default_rng(count)
    for number in range(count):
        params = space.sample(rng)
        found = np.atleast_1d(losses(number, params)).tolist()
        trial = Trial(
            number, params, State.COMPLETED, metrics={"loss": float(np.mean(found))}, seq=number + 1
        )
        if len(found) > 1:
            reports = tuple(Report(fold, {"loss": loss}) for fold, loss in enumerate(found))
            trial = replace(trial, reports=reports)
        history.merge([trial], number + 1)
    return history


# --- the oracles -------------------------------------------------------------------------------


def test_a_smooth_objective_without_noise_is_done_when_the_model_sees_nothing_more() -> None:
    study = tuned(bowl)
    assert 20 <= len(study.trials) < 60
    assert study.best.metrics["loss"] < 0.01
    assert study.row.ended is not None
    assert study.row.ended.startswith("complete: the best possible gain, ")
    assert "a hundredth of what lies between the median trial and the best" in study.row.ended
    assert study.complete


def test_a_cross_validation_is_done_when_the_gain_is_below_its_noise() -> None:
    study = tuned()
    assert 20 <= len(study.trials) < 40
    assert study.best.metrics["loss"] < 0.24
    assert study.row.ended is not None
    # sqrt(1/5 + 1/4) times the standard deviation with ddof=1
    assert (
        "below the noise of the cross-validation, 0.24 (one standard error), for 3 looks" in study.row.ended
    )


def test_of_pure_noise_it_is_enough_as_soon_as_it_may_be() -> None:
    ends = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        history = told(lambda *_, rng=rng: rng.normal(0, 1, 5), 40)
        ends.append(next(n for n in (20, 25, 30, 35, 40, 99) if n > 40 or enough(first(history, n))))
    assert np.median(ends) == 20
    assert max(ends) <= 40


@pytest.mark.parametrize("seed", range(3))
def test_it_is_never_enough_before(seed: int) -> None:
    rng = np.random.default_rng(seed)
    wide = lt.Space({f"x{i}": lt.Float(0, 1) for i in range(14)})
    assert enough(told(lambda *_: rng.normal(0, 1, 5), 19)) is None
    assert enough(told(lambda *_: rng.normal(0, 1, 5), 29, wide)) is None
    many = told(lambda _, params: bowl(**params) + 50 * HARDNESS, 40)
    assert enough(first(many, 39), budget=Budget(trials=200)) is None
    assert enough(many, budget=Budget(trials=200)) is not None


def test_it_goes_on_while_there_is_much_to_gain() -> None:
    rough = told(lambda _, params: 100 * bowl(**params) + HARDNESS, 40)
    assert enough(rough) is None


def test_units_and_direction_do_not_matter() -> None:
    losses = [told(lambda _, p: bowl(**p) + 8 * HARDNESS, n) for n in (20, 30, 40)]
    scores = [told(lambda _, p: 7 - 3 * (bowl(**p) + 8 * HARDNESS), n, goal="max") for n in (20, 30, 40)]
    ends = [enough(history) is not None for history in losses]
    assert ends == [enough(history) is not None for history in scores]
    assert any(ends)


def test_what_ended_meanwhile_changes_nothing() -> None:
    def loss(number: int, params: dict[str, float]) -> Any:
        return bowl(**params) + 30 * HARDNESS if number < 30 else -1e6 * number + HARDNESS

    short, long = told(loss, 100), History(Problem(PLANE, (Objective("loss", "min"),)))
    count = next(n for n in range(20, 31) if enough(first(short, n)) is not None)
    long.merge(list(short), 100)
    assert enough(long) == enough(first(short, count)) is not None


def first(history: History, count: int) -> History:
    found = History(history.problem)
    found.merge(list(history)[:count], count)
    return found


def test_splits_that_overlap_more_are_noisier() -> None:
    history = told(lambda _, params: bowl(**params) + 50 * HARDNESS, 25)
    assert "12 (one standard error)" in str(enough(history))
    assert "18 (one standard error)" in str(enough(history, overlap=0.8))


# --- without a model ---------------------------------------------------------------------------


def test_without_a_model_it_ends_after_trials_in_vain() -> None:
    def flat(number: int, _: Any) -> float:
        return 0.5

    assert enough(told(flat, 30)) is None
    assert (
        enough(told(flat, 35))
        == "no gain in the last 30 of 35 trials; a larger budget in trials or seconds goes on"
    )


def test_several_objectives_end_when_the_front_stands_still() -> None:
    def front(x: float, y: float) -> dict[str, float]:
        return {"a": round(abs(x)), "b": round(abs(y))}

    study = tuned(front, minimize=["a", "b"])
    assert 30 < len(study.trials) < 200
    assert "no gain by more than" in str(study.row.ended)


def test_a_study_of_nothing_but_failures_comes_to_an_end() -> None:
    def fails(x: float, y: float) -> float:
        raise ValueError(x)

    history = History(Problem(PLANE, (Objective("loss", "min"),)))
    history.merge([Trial(n, {"x": 0.1 * n, "y": 0.0}, State.FAILED) for n in range(40)], 40)
    assert "none of 35 trials has a value" in str(enough(history))


def test_points_that_fail_are_no_hope() -> None:
    def loss(x: float, y: float) -> float:
        if x < -2:
            raise ValueError("there is nothing")
        return (x + 2) ** 2 + y**2

    study = tuned(loss)
    assert len(study.trials) < 100
    assert study.history.counts[State.FAILED] > 0


def test_a_noisy_objective_without_folds_is_measured_against_its_noise() -> None:
    def loss(trial: lt.Context) -> float:
        noise = np.random.default_rng(trial.seed).normal()
        return bowl(**trial.params) + float(noise)

    study = tuned(loss, noisy=True)
    assert len(study.trials) < 100
    assert "is below the noise of a measurement" in str(study.row.ended)


# --- in a study --------------------------------------------------------------------------------


def test_a_study_taken_up_again_comes_to_the_same_end(tmp_path: Path) -> None:
    kept: dict[str, Any] = {"name": "again", "store": str(tmp_path / "studies.db")}
    whole = tuned()
    for trials in (7, 13, 18):
        tuned(trials=trials, seconds=None, **kept)
    parts = tuned(**kept)
    assert [t.params for t in parts.trials] == [t.params for t in whole.trials]
    assert parts.row.ended == whole.row.ended
    assert len(tuned(**kept).trials) == len(whole.trials)  # complete: nothing is left to do


def test_it_goes_on_with_a_budget_in_numbers(tmp_path: Path) -> None:
    kept: dict[str, Any] = {"name": "on", "store": str(tmp_path / "studies.db")}
    first = tuned(**kept)
    n = len(first.trials)
    assert "a larger budget in trials or seconds goes on" in str(first.row.ended)
    assert len(tuned(seconds=None, trials=2 * n, **kept).trials) == 2 * n
    larger = tuned(seconds=None, trials=15 * n, until="noise", **kept)  # a fifth of that is to be used
    assert len(larger.trials) == 3 * n
    assert larger.complete


def test_two_engines_agree(tmp_path: Path) -> None:
    kept: dict[str, Any] = {"name": "two", "store": str(tmp_path / "studies.db")}
    ends: list[str] = []

    def work() -> None:
        ends.append(str(tuned(**kept).row.ended))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with closing(lt.load(**kept)) as study:
        assert study.complete
        said = enough(study.history)
        assert said is not None
        assert ends == [f"complete: {said}"] * 2
        last = re.search(r"the last at (\d+) trials", said)
        assert last is not None
        assert len(study.trials) <= int(last[1]) + 2


def test_a_deterministic_study_is_the_same_whatever_the_timing() -> None:
    studies = [tuned(deterministic=4), tuned(deterministic=4)]
    assert len({len(study.trials) for study in studies}) == 1
    assert len(studies[0].trials) % 4 == 0
    assert studies[0].row.ended == studies[1].row.ended


def test_people_who_own_their_loop_are_told_so() -> None:
    study = lt.Study(PLANE, minimize="loss", budget=Budget(until="noise"))
    for _ in range(60):
        if not study.complete:
            with study.trial() as trial:
                trial.result = bowl(**trial.params)
    with pytest.raises(StudyEnded, match="the best possible gain"):
        study.ask()


def test_an_estimator_on_real_data_with_a_race() -> None:
    sklearn = pytest.importorskip("sklearn.datasets")
    from sklearn.svm import SVC

    objective = lt.CrossValidation(SVC(), *sklearn.load_wine(return_X_y=True))
    study = lt.tune(objective, seconds="auto", stopping="race", progress=False)
    assert 20 <= len(study.trials) <= 100
    assert study.complete
    assert study.row.ended is not None
    assert " gain" in study.row.ended


# --- what is decided, kept and read ------------------------------------------------------------

SITUATION = Situation(
    budget=Budget(seconds=100, until="noise"),
    objective=Objective("loss", "min"),
    total=30,
    ended=30,
    failed=0,
    waiting=0,
    running=0,
    slots=1,
    seconds=20.0,
    enough="no gain",
)


def test_a_fifth_of_the_time_is_usedfirst() -> None:
    assert decide(SITUATION).end == End("complete", "no gain")
    assert decide(replace(SITUATION, seconds=19.9)).end is None


def test_other_reasons_comefirst() -> None:
    end = decide(replace(SITUATION, budget=Budget(trials=30, until="noise"))).end
    assert end == End("complete", "30 of 30 trials are done")


def test_a_budget_says_so_only_where_it_does() -> None:
    assert (
        budget_to_text(Budget(trials=3)) == '{"trials": 3, "seconds": null, "failures": null, "target": null}'
    )
    for budget in (Budget(trials=3), Budget(until="noise")):
        assert budget_from_text(budget_to_text(budget)) == budget
    assert not Budget(until="noise").endless


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            {"until": "dawn", "seconds": None},
            "until is 'dawn'. Use 'noise', a gain above 0 that is too little, or leave it out.",
        ),
        ({"seconds": "long"}, "seconds is 'long'. Use a number above 0, or 'auto'."),
    ],
)
def test_what_it_cannot_mean_is_refused(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidStudy, match=sentence):
        tuned(**given)


def test_the_least_is_a_look() -> None:
    problem = Problem(PLANE, (Objective("loss", "min"),))
    assert [least(problem, Budget(trials=n)) for n in (10, 100, 101, 200)] == [20, 20, 25, 40]


def test_a_study_that_has_gone_on_for_long_ends_where_it_would_have(tmp_path: Path) -> None:
    kept: dict[str, Any] = {"name": "late", "store": str(tmp_path / "studies.db")}
    whole = tuned()
    assert len(tuned(trials=50, seconds=None, **kept).trials) == 50
    late = tuned(**kept)
    assert (len(late.trials), late.row.ended) == (50, whole.row.ended)
