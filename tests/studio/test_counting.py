"""How many combinations there are, which of them an estimator takes, how long they take, and drafts of studies that there are."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import luthier as lt
from luthier.errors import DataError, InvalidParams, InvalidStudy, StudyNotFound
from luthier.optimizers import Grid
from luthier.space import Points, Space
from luthier.studio.drafts import counting, estimate
from luthier.studio.drafts.cloning import draft_of
from luthier.studio.drafts.counting import combinations
from luthier.studio.drafts.measuring import measured
from luthier.studio.looking import Shelf
from luthier.studyfile import from_given, keep, space_given, to_toml
from tests.studio.conftest import Book, Served

LOGISTIC = "sklearn.linear_model:LogisticRegression"
TREE = "sklearn.tree:DecisionTreeClassifier"
FOREST = "sklearn.ensemble:RandomForestClassifier"


@pytest.fixture(autouse=True, scope="module")
def _one_process() -> Any:
    yield
    counting.close()


def test_fifteen_are_fifteen() -> None:
    space = lt.Space(max_depth=[5, 7, 9, 11, 13], n_estimators=[50, 200, 400])
    count = combinations(FOREST, {}, space)
    assert (count.total, count.valid, count.invalid, count.checked) == (15, 15, (), True)


def test_combinations_that_the_estimator_refuses_are_named_by_the_fewest_values_and_left_out_of_the_grid() -> (
    None
):
    space = lt.Space(penalty=["l1", "l2", None], solver=["lbfgs", "liblinear", "saga"], C=[0.1, 1.0, 10.0])
    count = combinations(LOGISTIC, {}, space)
    assert (count.total, count.valid, count.checked) == (27, 21, True)
    assert {tuple(sorted(one.params.items(), key=str)): one.n for one in count.invalid} == {
        (("penalty", "l1"), ("solver", "lbfgs")): 3,
        (("penalty", None), ("solver", "liblinear")): 3,
    }
    assert all("lbfgs" in one.why or "liblinear" in one.why for one in count.invalid)
    assert Points(space, skip=count.skip).size == count.valid
    Grid(skip=count.skip)
    three = combinations(LOGISTIC, {}, space, classes=3)
    assert {"solver": "liblinear"} in [dict(one.params) for one in three.invalid], "it knows two classes only"
    assert three.valid == 27 - 9 - 3


def test_a_value_that_is_not_allowed_by_itself_is_said_in_the_library_s_words() -> None:
    count = combinations(
        TREE, {}, lt.Space(max_depth=[3, -1, None], criterion=["gini", "gin"], splitter=["best", "random"])
    )
    assert (count.total, count.valid) == (12, 4)
    first = count.invalid[0]
    assert first.params == {"max_depth": -1}
    assert "max_depth" in first.why
    assert "Got -1" in first.why
    assert first.n == 4
    assert combinations(TREE, {}, lt.Space(max_depth=[-1])).valid == 0


def test_fixed_values_count_and_conditions_too() -> None:
    space = lt.Space(oob_score=[True, False], n_estimators=[10, 20])
    assert combinations(FOREST, {"bootstrap": False}, space).valid == 2
    assert combinations(FOREST, {}, space).valid == 4
    nested = Space(kernel=lt.Choice({"rbf": {}, "poly": {"degree": [2, 3]}}), C=[1, 2])
    assert combinations("sklearn.svm:SVC", {}, nested).total == 6


def test_numbers_of_one_list_are_tried_at_one_of_them_and_left_out_together() -> None:
    space = lt.Space(max_samples=[None, 5, 10, 0.5], bootstrap=[True, False])
    count = combinations(FOREST, {}, space)
    assert (count.total, count.valid) == (8, 5), "max_samples means nothing without bootstrap"
    assert sorted(len(one.params) for one in count.invalid) == [2, 2, 2]


def test_a_continuous_range_has_no_end_unless_it_has_levels() -> None:
    space = lt.Space(C=lt.Float(0.1, 10), penalty=["l1", "l2"])
    count = combinations(LOGISTIC, {}, space)
    assert (count.total, count.valid, count.checked) == (None, None, True)
    assert [dict(one.params) for one in count.invalid] == [{"penalty": "l1"}], (
        "lbfgs is the solver by default"
    )
    assert combinations(LOGISTIC, {}, space, levels=5).valid == 5
    assert combinations(
        "sklearn.linear_model:Ridge", {}, lt.Space(alpha=lt.Float(-2, 10)), "regression"
    ).invalid[0].params == {"alpha": -2}
    assert (
        combinations("sklearn.linear_model:Ridge", {}, lt.Space(alpha=lt.Float(-2, 10)), "regression").valid
        is None
    )


def test_what_cannot_be_tried_out_is_not_said_to_be() -> None:
    many = lt.Space(
        criterion=["gini", "entropy", "log_loss"],
        max_features=["sqrt", "log2", None],
        class_weight=["balanced", "balanced_subsample", None],
        bootstrap=[True, False],
        oob_score=[True, False],
        warm_start=[True, False],
    )
    count = combinations(FOREST, {}, many)
    assert (count.total, count.valid, count.checked) == (216, 216, False)
    assert combinations(TREE, {}, lt.Space(max_dept=[1, 2])).valid == 0
    assert not combinations("sklearn.nowhere:Nothing", {}, lt.Space(a=["x", "y"])).checked
    assert not combinations(TREE, {"max_depth": object()}, lt.Space(criterion=["gini"])).checked
    assert combinations(TREE, {}, lt.Space(criterion=["gini", "x"]), check=False) == counting.Count(2, 2)


def test_estimators_that_only_look_like_those_of_scikit_learn_are_tried_out_too() -> None:
    pytest.importorskip("xgboost")
    pytest.importorskip("catboost")
    space = lt.Space(booster=["gbtree", "gblinear"], max_depth=[2, 5])
    assert combinations("xgboost:XGBClassifier", {}, space) == counting.Count(4, 4, (), True)
    space = lt.Space(bootstrap_type=["Bayesian", "Bernoulli"], iterations=[100, 1000])
    assert combinations("catboost:CatBoostClassifier", {}, space) == counting.Count(4, 4, (), True)
    assert not Path("catboost_info").exists(), "it leaves nothing where the studio was started"


def test_a_process_that_dies_is_replaced_and_answers_are_remembered() -> None:
    space = lt.Space(criterion=["gini", "entropy"], max_features=["sqrt", None])
    assert combinations(TREE, {"random_state": 1}, space).checked
    child = counting._process.child
    assert child is not None
    os.kill(child.pid, signal.SIGKILL)
    child.wait(5)
    assert combinations(TREE, {"random_state": 2}, space).checked
    started = time.perf_counter()
    assert combinations(TREE, {"random_state": 1}, space).checked
    assert time.perf_counter() - started < 0.5  # a process takes longer to begin


def test_an_answer_that_takes_too_long_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    counting.close()
    monkeypatch.setattr(counting, "SECONDS", 0.0)
    monkeypatch.setattr(counting, "GRACE_SECONDS", 0.0)
    assert not combinations(TREE, {"random_state": 3}, lt.Space(criterion=["gini", "entropy"])).checked


# --- how long ----------------------------------------------------------------------------------


def test_one_fit_is_measured_and_makes_a_range(tmp_path: Path) -> None:
    given = {
        "estimator": FOREST, "data": "iris", "maximize": "accuracy", "params": {"n_estimators": 20},
        "space": {"n_estimators": {"choice": [10, 40]}, "max_depth": {"choice": [1, 2]}},
    }  # fmt: skip
    found = estimate.measure(given, tmp_path / "study.toml")
    assert 0.001 < found.fit_seconds < 20
    assert found.folds == 5
    assert found.model_bytes is not None
    assert 1_000 < found.model_bytes < 1_000_000
    space = from_given(given, tmp_path / "x").space
    assert space is not None
    low, high = estimate.spread(FOREST, {"n_estimators": 20}, space)
    assert low == pytest.approx(0.5 * estimate.ROUGH[0])
    assert high == pytest.approx(2 * estimate.ROUGH[1])
    least, most = estimate.estimate(20, found, 1, (low, high))
    assert 20 * low * found.fit_seconds <= least < most
    assert estimate.disk(found, 2) == (2 * found.model_bytes, 2 * found.model_bytes)


def test_what_cannot_be_measured_says_why(tmp_path: Path) -> None:
    given = {"estimator": TREE, "data": "iris", "maximize": "accuracy", "space": {"max_depth": [1, 2]}}
    with pytest.raises(InvalidStudy, match="max_depth"):
        estimate.measure({**given, "params": {"max_depth": -1}}, tmp_path / "study.toml")
    with pytest.raises(InvalidStudy, match="estimators"):
        estimate.measure({"function": "a:b", "minimize": "x", "space": {"x": 1}}, tmp_path / "study.toml")
    with pytest.raises(DataError, match="no file"):
        measured(to_toml({**given, "data": "nothing.csv", "target": "y"}), tmp_path / "study.toml")
    with pytest.raises(InvalidParams, match="max_dept"):
        measured(to_toml({**given, "space": {"max_dept": [1, 2]}}), tmp_path / "study.toml")


def test_a_fit_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(InvalidStudy, match=r"more than 0\.2 s"):
        estimate.measure(
            {"estimator": TREE, "data": "iris", "maximize": "accuracy"}, tmp_path / "x", limit=0.2
        )


def test_what_trials_took_replaces_what_one_fit_did(book: Book, place: Path) -> None:
    name = book.study(about={"folds": 5})
    shelf = Shelf(str(place))
    for _ in range(2):
        book.trial(name, 0.5)
    assert estimate.observed(shelf.study(name)) is None
    book.trial(name, 0.5)
    found = estimate.observed(shelf.study(name))
    assert found is not None
    assert (found.of_trials, found.folds) == (3, 5)
    shelf.close()


# --- drafts of studies -------------------------------------------------------------------------

GIVEN = {
    "estimator": FOREST, "data": "iris", "maximize": "accuracy", "algorithm": "grid", "budget": {"seconds": 60},
    "space": {"loss": {"choice": [1, 2]}, "x": {"float": [0, 1]}, "n": {"int": [1, 100]}, "kind": {"choice": ["a", "b", None]}},
}  # fmt: skip


def test_a_clone_is_the_study_file_with_another_name(book: Book, place: Path) -> None:
    name = book.study("svc-2")
    book.study("svc-3")
    shelf = Shelf(str(place))
    keep(place.parent, name, {**GIVEN, "name": name})
    assert draft_of(shelf, name) == {**GIVEN, "name": "svc-4"}
    with pytest.raises(StudyNotFound):
        draft_of(shelf, "nobody")
    with pytest.raises(StudyNotFound):
        draft_of(shelf, name, 7)
    shelf.close()


def test_a_study_that_was_not_started_from_a_file_tells_what_is_known_of_it(book: Book, place: Path) -> None:
    about = {"estimator": FOREST, "data": "iris", "folds": 3, "cv": "3-fold stratified, shuffled with seed 0"}
    name = book.study("first", about=about, seed=4)
    shelf = Shelf(str(place))
    draft = draft_of(shelf, name)
    spec = shelf.study(name).spec
    assert draft == {
        "name": "first-2", "estimator": FOREST, "data": "iris", "cv": 3, "minimize": ["loss"], "algorithm": "random",
        "seed": 4, "space": space_given(spec.problem.space), "budget": {"trials": 100},
    }  # fmt: skip
    assert from_given(draft, place.parent / "study.toml").space == spec.problem.space
    shelf.close()


def test_a_closer_look_takes_a_third_of_each_range_and_keeps_the_words(book: Book, place: Path) -> None:
    name = book.study("first", about={"estimator": FOREST, "data": "iris"})
    number = book.trial(name, 0.5, x=0.5, n=95, kind="b")
    keep(place.parent, name, {**GIVEN, "params": {"bootstrap": True}})
    shelf = Shelf(str(place))
    draft = draft_of(shelf, name, number)
    assert draft["params"] == {"bootstrap": True, "kind": "b"}
    low, high = draft["space"]["x"]["float"]
    assert (low, high) == (pytest.approx(1 / 3), pytest.approx(2 / 3))
    assert draft["space"]["n"]["int"][1] == 100, "clipped"
    assert 76 <= draft["space"]["n"]["int"][0] <= 80
    assert draft["algorithm"] == "auto"
    assert draft["budget"] == {"trials": 30}
    from_given(draft, place.parent / "study.toml")
    shelf.close()


def test_a_closer_look_at_a_grid_goes_a_step_to_either_side(book: Book, place: Path) -> None:
    from luthier.study import Objective, Problem

    space = lt.Space(
        depth=[5, 7, 9], C=[0.01, 1.0, 100.0], mixed=[None, "sqrt", 0.2, 0.4], same=[3, "x"],
        kernel=lt.Choice({"poly": {"degree": [2, 3, 4]}, "rbf": {}}),
    )  # fmt: skip
    name = book.study(
        "grid",
        problem=Problem(space, (Objective("loss", "min"),)),
        about={"estimator": FOREST, "data": "iris"},
    )
    params = {"depth": 9, "C": 1.0, "mixed": 0.2, "same": 3, "kernel": "poly", "degree": 3}
    (trial,) = book.store.propose(name, [_proposal(params)])
    shelf = Shelf(str(place))
    draft = draft_of(shelf, name, trial.number)
    assert draft["space"] == {
        "depth": {"int": [7, 9]},
        "C": {"float": [0.01, 100.0], "log": True},
        "mixed": {"float": [0.2, 0.4]},
        "degree": {"int": [2, 4]},
    }
    assert draft["params"] == {"same": 3, "kernel": "poly"}
    shelf.close()


def _proposal(params: dict[str, Any]) -> Any:
    from luthier.study import Proposal

    return Proposal(params)


def test_a_study_that_could_not_be_started_is_set_up_again_under_its_name(book: Book, place: Path) -> None:
    keep(place.parent, "lost", {**GIVEN, "name": "lost"})
    shelf = Shelf(str(place))
    assert draft_of(shelf, "lost")["name"] == "lost"
    shelf.close()


def test_a_study_that_runs_says_how_long_it_still_takes(
    book: Book, place: Path, serve: Callable[..., Served]
) -> None:
    name = book.study(about={"folds": 5})
    for _ in range(3):
        book.trial(name, 0.5)
    studio = serve()
    assert estimate.left(studio.opened.studio.shelf.study(name)) is None, "nobody works on it"
    book.store.begin(name, "me/1/2/3")
    book.trial(name, None)
    found = estimate.left(studio.opened.studio.shelf.study(name))
    assert found is not None
    assert 0 <= found[0] <= found[1] < 97
    assert " left" in studio.get(f"/s/{name}").text
