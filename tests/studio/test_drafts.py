"""New studies, from the form to the scores: a real studio, real posts, real processes."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pandas as pd
import pytest

import luthier as lt
from luthier.errors import DataError
from luthier.estimators.domain import Kind, Options, Range
from luthier.studio.drafts import catalogue, values
from luthier.studio.drafts.actions import acted
from luthier.studio.drafts.draft import Draft, recommended_fields
from luthier.studio.drafts.filling import filled
from luthier.studio.drafts.kept import Drawer
from luthier.studio.drafts.scores import scores_for, strategies
from luthier.studio.drafts.tables import Tables, task_of
from luthier.studyfile import from_given, to_python, to_toml

FOREST = {
    "form": "1",
    "data": "iris",
    "estimator": "sklearn.ensemble:RandomForestClassifier",
    "mode.max_depth": "multiple",
    "multiple.max_depth": "5, 7, 9, 11, 13",
    "mode.n_estimators": "multiple",
    "multiple.n_estimators": "50, 200, 400",
    "cv": "share",
    "share": "20",
    "stratified": "on",
    "primary": "accuracy",
}
NUMBER = (Range("int", 1), Options((None,)))
WORDS = (Range("float", 0, 1, "right"), Options(("log2", "sqrt")), Options((None,)))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the studio is started: a folder with tables in it."""
    found = tmp_path / "project"
    (found / "sub").mkdir(parents=True)
    rows = [f"{i % 7},{'abc'[i % 3]},{i % 5},{'yes' if i % 2 else 'no'},{i * 0.5}" for i in range(60)]
    (found / "churn.csv").write_text("\n".join(["age,plan,customer,churn,price", *rows]) + "\n")
    pd.DataFrame({"a": range(30), "b": list("xyz") * 10}).to_parquet(found / "sub" / "small.parquet")
    np.save(found / "sub" / "X.npy", np.arange(40.0).reshape(20, 2))
    np.save(found / "sub" / "y.npy", np.arange(20) % 2)
    np.savez(found / "both.npz", X=np.arange(40.0).reshape(20, 2), y=np.arange(20) % 2)
    (found / "broken.csv").write_text("a,b\n1,2,3,4\n5\n")
    (found / ".secret.csv").write_text("a,b\n1,2\n")
    (tmp_path / "outside.csv").write_text("a,b\n1,2\n")
    (found / "link.csv").symlink_to(tmp_path / "outside.csv")
    monkeypatch.chdir(found)
    return found


@pytest.fixture
def draft(folder: Path) -> Callable[..., Draft]:
    tables = Tables(folder)

    def make(fields: Mapping[str, str] = FOREST, taken: Any = (), **more: str) -> Draft:
        changes = {name.replace("__", "."): text for name, text in more.items()}
        return Draft.of({**fields, **changes}, tables, taken)

    return make


def form(fields: Mapping[str, Any], **more: str) -> str:
    return urlencode({**fields, **more}, doseq=True)


def texts(answer: Any) -> str:
    """What is to be read in parts of the page."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer))


# --- values ------------------------------------------------------------------------------------


def test_values_are_what_they_look_like() -> None:
    given = 'None, true, 5, 0.1, 1e-3, sqrt, "None", "a, b"'
    found = [typed.value for typed in values.several(given, "x", ())]
    assert found == [None, True, 5, 0.1, 1e-3, "sqrt", "None", "a, b"]
    assert [values.kind_of(value) for value in found[:6]] == ["None", "bool", "int", "float", "float", "str"]
    assert values.listed(found) == 'None, True, 5, 0.1, 0.001, sqrt, "None", "a, b"'
    assert [typed.value for typed in values.several(values.listed(found), "x", ())] == found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1..9/2", [1, 3, 5, 7, 9]),
        ("5..8", [5, 6, 7, 8]),
        ("50..400x2", [50, 100, 200, 400]),
        ("0.1..0.5/0.1", [0.1, 0.2, 0.3, 0.4, 0.5]),
        ("0.001..1x10", [0.001, 0.01, 0.1, 1.0]),
        ("5; 7\n5,9", [5, 7, 9]),
        ("1, 1.0, True", [1, 1.0, True]),
    ],
)
def test_lists_are_written_out_and_each_value_is_there_once(text: str, expected: list[object]) -> None:
    found = [typed.value for typed in values.several(text, "x", ())]
    assert [(type(value), value) for value in found] == [(type(value), value) for value in expected]


@pytest.mark.parametrize(
    "text",
    ["9..1", "1..5x1", "0..8x2", "1..9/0", "a..b", "1..1000000", "1..9/-1", "1..inf", "1e999999999..2"],
)
def test_a_span_that_means_nothing_is_refused_in_a_sentence(text: str) -> None:
    (typed,) = values.several(text, "x", ())
    assert typed.problem


@pytest.mark.parametrize(
    ("text", "domain", "problem"),
    [
        ("5", NUMBER, None),
        ("None", NUMBER, None),
        ("0", NUMBER, "max_depth cannot be 0: it takes int >= 1 or None."),
        ("5.5", NUMBER, "max_depth cannot be 5.5: it takes int >= 1 or None."),
        ("True", NUMBER, "max_depth cannot be True: it takes int >= 1 or None."),
        ("sqrt", WORDS, None),
        ("1", WORDS, None),
        ("log10", WORDS, "max_depth cannot be 'log10': it takes float in (0, 1], 'log2', 'sqrt' or None."),
        ("x", (Kind("callable"),), "max_depth cannot be 'x': it takes callable."),
        ("anything", (Kind("any"),), None),
    ],
)
def test_a_value_is_held_against_what_is_allowed(text: str, domain: Any, problem: str | None) -> None:
    assert values.one(text, "max_depth", domain).problem == problem


# --- tables ------------------------------------------------------------------------------------


def test_tables_are_found_below_the_folder_and_nowhere_else(folder: Path) -> None:
    tables = Tables(folder)
    assert tables.files() == [
        "both.npz",
        "broken.csv",
        "churn.csv",
        "sub/small.parquet",
        "sub/X.npy",
        "sub/y.npy",
    ]
    for name in (
        "../outside.csv",
        str(folder / "churn.csv"),
        "link.csv",
        ".secret.csv",
        "sub/../churn.csv",
        "",
    ):
        with pytest.raises(DataError):
            tables.table(name)


def test_a_table_is_known_by_its_head(folder: Path) -> None:
    tables = Tables(folder)
    table = tables.table("churn.csv")
    assert (table.rows, table.width, table.estimated) == (60, 5, False)
    assert table.targets == ("age", "plan", "customer", "churn", "price")
    assert task_of(table, "churn").classes == ("no", "yes")
    assert task_of(table, "price").kind == "regression"
    parquet = tables.table("sub/small.parquet")
    assert (parquet.rows, parquet.targets, task_of(parquet, "b").classes) == (30, ("a", "b"), ("x", "y", "z"))
    arrays = tables.table("sub/X.npy")
    assert arrays.targets == ("-1", "y.npy", "0", "1")
    assert task_of(arrays, "y.npy").binary
    assert task_of(tables.table("both.npz"), "y").binary
    assert task_of(tables.table("digits"), "").classes == tuple(range(10))
    with pytest.raises(DataError, match=r"broken.csv cannot be read"):
        tables.table("broken.csv")


def test_the_rows_of_a_large_csv_are_counted_without_reading_them(folder: Path) -> None:
    with (folder / "large.csv").open("w") as file:
        file.write("a,b,c\n")
        for i in range(300_000):
            file.write(f"{i},{i % 3},x\n")
    started = time.perf_counter()
    table = Tables(folder).table("large.csv")
    assert time.perf_counter() - started < 2
    assert table.rows == 300_000
    assert len(table.head) == 2_000
    assert "first 2,000 rows" in str(_task_text(folder))


def _task_text(folder: Path) -> str:
    from luthier.studio.drafts import views

    draft = Draft.of({"data": "large.csv", "target": "b"}, Tables(folder))
    return str(views.data(draft, Tables(folder))["task"])


# --- the form ----------------------------------------------------------------------------------


def test_fifteen_combinations(draft: Callable[..., Draft]) -> None:
    made = draft()
    assert made.ready, made.problems
    assert made.size == 15
    assert made.given == {
        "name": "iris-RandomForestClassifier",
        "estimator": "sklearn.ensemble:RandomForestClassifier",
        "data": "iris",
        "space": {
            "n_estimators": {"choice": [50, 200, 400], "ordered": True},
            "max_depth": {"choice": [5, 7, 9, 11, 13], "ordered": True},
        },
        "cv": {"share": 0.2},
        "holdout": 0.2,
        "maximize": "accuracy",
        "algorithm": "grid",
    }


def test_a_blank_form_says_what_is_missing_and_shouts_at_nobody(draft: Callable[..., Draft]) -> None:
    made = draft({})
    assert set(made.problems) == {"data", "space"}
    assert all(problem.missing for problem in made.problems.values())
    assert made.entry is not None


@pytest.mark.parametrize(
    ("field", "text", "sentence"),
    [
        ("multiple.max_depth", "5, 0", "max_depth cannot be 0: it takes int >= 1 or None."),
        ("single.criterion", "ginny", "criterion cannot be 'ginny'"),
        ("share", "0", "'0' is no number from 0 to 95."),
        ("holdout", "x", "'x' is no number from 0 to 90."),
        ("trials", "0", "'0' is no whole number from 1 to 1,000,000."),
        ("time", "-1", "'-1' is no number above 0."),
        ("workers", "1.5", "'1.5' is no whole number from 1 to 256."),
        ("threshold.accuracy", "high", "'high' is no number."),
        ("data", "nowhere.csv", "there is no data set 'nowhere.csv'"),
        ("estimator", "os:system", "there is no estimator 'os:system' here."),
        ("name", "a/b", "A name has 1 to 200 characters"),
    ],
)
def test_a_wrong_field_is_refused_in_a_sentence(
    draft: Callable[..., Draft], field: str, text: str, sentence: str
) -> None:
    made = draft({**FOREST, field: text})
    assert made.problems[field].text.startswith(sentence)
    assert not made.problems[field].missing


def test_a_name_that_is_taken_is_refused_with_one_that_is_not(draft: Callable[..., Draft]) -> None:
    made = draft(name="mine", taken=["mine", "mine-2"])
    assert (
        made.problems["name"].text
        == "there is a study called 'mine' already. Take another name, such as 'mine-3'."
    )
    assert draft(taken=["iris-RandomForestClassifier"]).given["name"] == "iris-RandomForestClassifier-2"


def test_a_range_has_no_end_and_a_grid_asks_for_points(draft: Callable[..., Draft]) -> None:
    ends = {"mode.max_features": "range", "low.max_features": "0.1", "high.max_features": "1.0"}
    made = draft({**FOREST, **ends, "strategy": "grid"})
    assert made.size is None
    assert "max_features" in made.problems["strategy"].text
    split = draft(acted(made, "split:max_features"))
    assert split.ready
    assert split.size == 75
    assert split.given["space"]["max_features"]["choice"] == [0.1, 0.325, 0.55, 0.775, 1.0]
    assert draft({**FOREST, **ends}).given["budget"] == {"trials": 60}


def test_a_grid_has_an_end_that_can_be_reached(draft: Callable[..., Draft]) -> None:
    ends = {"mode.max_leaf_nodes": "range", "low.max_leaf_nodes": "2", "high.max_leaf_nodes": "1000000000000"}
    assert draft({**FOREST, **ends}).ready
    assert (
        "a grid has 1,000,000 at most"
        in draft({**FOREST, **ends, "strategy": "grid"}).problems["strategy"].text
    )


def test_modes_keep_the_values_of_the_others(draft: Callable[..., Draft]) -> None:
    made = draft({**FOREST, "mode.max_depth": "single", "single.max_depth": "4"})
    assert made.given["params"] == {"max_depth": 4}
    row = next(row for row in made.rows if row.name == "max_depth")
    assert [typed.value for typed in row.several] == [5, 7, 9, 11, 13]


def test_conditions_of_what_is_recommended_are_kept(draft: Callable[..., Draft]) -> None:
    blank = draft({"form": "1", "data": "wine"})
    made = draft(acted(blank, "recommend"))
    assert made.given["space"]["max_samples"]["when"] == {"bootstrap": [True]}
    assert made.given["budget"] == {"trials": 60}
    assert acted(made, "reset") == {"form": "1", "data": "wine"}


def test_every_estimator_can_be_set_up_and_what_comes_of_it_is_a_study(
    draft: Callable[..., Draft], tmp_path: Path
) -> None:
    searched = 0
    for entry in catalogue.entries():
        data = "iris" if entry.kind == "classifier" else "diabetes"
        made = draft({"form": "1", "data": data, "estimator": entry.path})
        assert not {at for at in made.problems if at != "space"}, entry.path
        for row in made.rows:  # defaults, as they are typed, are themselves
            assert row.single.problem is None or row.about.default is not row.single.value, (
                entry.path,
                row.name,
            )
        made = draft(acted(made, "recommend"))
        if any(recommended_fields(row.about) for row in made.rows):
            assert made.ready, (entry.path, made.problems)
            from_given(made.given, tmp_path / "study.toml").arguments()
            searched += 1
    assert searched > 25


def test_every_strategy_and_every_validation_is_a_study(draft: Callable[..., Draft], folder: Path) -> None:
    table = {
        "form": "1",
        "data": "churn.csv",
        "target": "churn",
        "mode.max_depth": "range",
        "low.max_depth": "2",
        "high.max_depth": "9",
    }
    for strategy in strategies():
        made = draft({**table, "strategy": strategy.name})
        assert made.ready, (strategy, made.problems)
        from_given(made.given, folder / "study.toml").arguments()
    for cv in ("folds", "share", "time", "groups"):
        made = draft({**table, "cv": cv, "folds": "3", "groups": "customer", "holdout": "20"})
        assert made.ready, (cv, made.problems)
        task = from_given(made.given, folder / "study.toml").objective()
        assert isinstance(task, lt.CrossValidation)
        assert task.folds == made.folds
        assert task.locked is not None


def test_the_scores_that_are_offered_are_scores_that_there_are() -> None:
    from luthier.objectives.crossval import _scorers

    for kind, binary in (("classifier", True), ("classifier", False), ("regressor", False)):
        for score in scores_for(kind, binary):
            (_, sign) = _scorers([score.name])[score.name]
            assert (sign < 0) == score.less, score


def test_a_form_filled_from_a_study_says_the_same(draft: Callable[..., Draft], folder: Path) -> None:
    whole = {
        **{name: text for name, text in FOREST.items() if name != "form"},
        "data": "churn.csv", "target": "churn", "holdout": "10", "preprocess": "none", "cv": "groups", "folds": "4", "groups": "customer",
        "shuffle": "on", "stratified": "on", "scores": "f1, log_loss", "threshold.f1": "0.5", "save": "top", "top": "3", "race": "on",
        "trials": "12", "time": "2", "unit": "hours", "noise": "on", "reach": "0.99", "workers": "2", "seed": "7", "trial_seconds": "30",
        "mode.min_samples_leaf": "range", "low.min_samples_leaf": "1", "high.min_samples_leaf": "20", "log.min_samples_leaf": "on",
        "single.class_weight": "balanced", "multiple.max_depth": "5, None", "form": "1",
    }  # fmt: skip
    made = draft(whole)
    assert made.ready, made.problems
    again = draft(filled(made.given, Tables(folder)))
    assert again.given == made.given
    assert json.loads(json.dumps(made.given)) == made.given
    assert "max_depth" in to_toml(made.given) + to_python(made.given)


def test_a_fifth_is_held_back_unless_a_study_that_is_cloned_held_back_another_share(
    draft: Callable[..., Draft], folder: Path
) -> None:
    table = {"data": "iris", "mode.max_depth": "range", "low.max_depth": "2", "high.max_depth": "9"}
    assert draft(table).given["holdout"] == 0.2
    none = draft({**table, "holdout": "0"})
    assert "holdout" not in none.given
    assert draft(filled(none.given, Tables(folder))).given == none.given


def test_a_draft_has_no_other_name_than_its_own(tmp_path: Path) -> None:
    drawer = Drawer(tmp_path / "drafts")
    number = drawer.name()
    assert drawer.write(number, "mine", {"data": "iris", "do": "reset"})
    assert drawer.read(number) == {"data": "iris"}
    assert [one.title for one in drawer.all()] == ["mine"]
    for other in ("../x", "", "a/b", "0" * 11, "../" * 4, number.upper() + "0"):
        assert not drawer.write(other, "", {})
        assert drawer.read(other) is None
        drawer.forget(other)
    (tmp_path / "drafts" / f"{drawer.name()}.json").write_text("[1]")
    assert len(drawer.all()) == 1
    drawer.forget(number)
    assert drawer.all() == []


# --- over HTTP ---------------------------------------------------------------------------------


def test_the_page_counts_as_it_is_filled_in_and_keeps_the_draft(folder: Path, studio: Any) -> None:
    page = studio.get("/new")
    assert page.status == 200
    number = re.search(r'name="draft" value="([0-9a-f]{12})"', page.text)
    assert number is not None
    told = studio.post("/new/count", form(FOREST, draft=number[1])).json
    assert "15 combinations" in texts(told["parts"]["count"])
    assert "15 combinations × 1 fold = 15 fits + 1 refit" in texts(told["parts"]["summary"])
    assert told["problems"] == {}
    assert told["chips"]["max_depth"]["list"][0] == {"text": "5", "kind": "int", "problem": None}
    assert told["kept"]
    assert set(told["parts"]) == {"count", "split", "summary", "code"}
    kept = studio.get(f"/new?draft={number[1]}").text
    assert 'value="5, 7, 9, 11, 13"' in kept
    assert "15 combinations" in texts(kept)
    wrong = studio.post("/new/count", form({**FOREST, "multiple.max_depth": "5, 5.5"})).json
    assert wrong["problems"]["multiple.max_depth"] == "max_depth cannot be 5.5: it takes int >= 1 or None."
    assert wrong["chips"]["max_depth"]["list"][1]["problem"]
    assert studio.post("/new/forget", form({"draft": number[1]})).headers["location"] == "/new"
    assert studio.get(f"/new?draft={number[1]}").status == 303


def test_a_study_begins_and_every_combination_gets_its_score(folder: Path, place: Path, studio: Any) -> None:
    small = {
        **FOREST,
        "data": "churn.csv",
        "target": "churn",
        "multiple.n_estimators": "2, 3, 4",
        "name": "small",
    }
    answer = studio.post("/new/run", form(small))
    assert (answer.status, answer.headers["location"]) == (303, "/s/small/starting")
    assert studio.get("/s/small/starting").status in (200, 303)
    study = _finished(place, "small")
    try:
        assert len(study.trials) == 15
        assert {trial.state.value for trial in study.trials} == {"completed"}
        found = {(trial.params["max_depth"], trial.params["n_estimators"]) for trial in study.trials}
        assert found == {(depth, trees) for depth in (5, 7, 9, 11, 13) for trees in (2, 3, 4)}
    finally:
        study.close()
    again = studio.post("/new/run", form(small))
    assert again.status == 422
    assert "there is a study called &#39;small&#39; already" in again.text
    clone = studio.get("/new?from=small").text
    assert 'value="2, 3, 4"' in clone
    assert "15 combinations" in texts(clone)
    refined = studio.get("/new?from=small&trial=3").text
    assert 'value="range" selected' in refined


def _finished(place: Path, name: str) -> lt.Study:
    until = time.monotonic() + 60
    while True:
        try:
            study = lt.load(name, str(place))
        except lt.LuthierError:
            study = None
        if (
            study is not None
            and study.row is not None
            and len(study.trials) == 15
            and all(t.state.ended for t in study.trials)
        ):
            return study
        if study is not None:
            study.close()
        assert time.monotonic() < until, "the study did not end"
        time.sleep(0.3)


def test_of_a_study_of_a_function_it_is_said_that_it_is_set_up_elsewhere(
    folder: Path, studio: Any, first: str
) -> None:
    assert "That study tunes a function or a program" in studio.get(f"/new?from={first}").text
    assert studio.get("/new?from=nowhere").status == 404


def test_a_study_that_could_not_begin_says_why_and_can_be_mended(folder: Path, studio: Any) -> None:
    fields = {**FOREST, "data": "churn.csv", "target": "churn", "name": "broken"}
    assert studio.post("/new/run", form(fields)).status == 303
    (folder / "churn.csv").unlink()
    until = time.monotonic() + 30
    while "churn.csv" not in (page := studio.get("/s/broken/starting").text):
        assert time.monotonic() < until
        time.sleep(0.2)
    assert 'href="/new?from=broken"' in page
    assert 'value="5, 7, 9, 11, 13"' in studio.get("/new?from=broken").text


def test_what_is_in_the_way_of_a_study_is_said_with_links_to_it(folder: Path, studio: Any) -> None:
    answer = studio.post("/new/run", form({"form": "1", "share": "x", "cv": "share", "trials": "many"}))
    assert answer.status == 422
    for place in ("data", "share", "trials"):
        assert f'href="#{place}"' in answer.text
        assert f'id="{place}"' in answer.text
    assert "&#39;x&#39; is no number from 0 to 95." in answer.text


def test_a_large_study_is_asked_about_once(folder: Path, studio: Any) -> None:
    large = {**FOREST, "multiple.max_depth": "1..400", "strategy": "grid", "name": "large"}
    answer = studio.post("/new/run", form(large))
    assert answer.status == 422
    assert "That is 1,200 fits." in texts(answer.text)
    told = studio.post("/new/count", form(large, do="random:60")).json
    assert "60 trials × 1 fold = up to 60 fits + 1 refit" in texts(told["parts"]["summary"])


def test_combinations_that_the_estimator_refuses_are_left_out(folder: Path, studio: Any) -> None:
    fields = {
        "form": "1",
        "data": "breast_cancer",
        "estimator": "sklearn.svm:LinearSVC",
        "mode.penalty": "multiple",
        "multiple.penalty": ["l1", "l2"],
        "mode.loss": "multiple",
        "multiple.loss": ["hinge", "squared_hinge"],
        "single.dual": "True",
        "mode.C": "multiple",
        "multiple.C": "0.1, 1, 10",
    }
    until = time.monotonic() + 30
    while (told := studio.post("/new/count", form(fields)).json)["pending"]:
        assert time.monotonic() < until
    assert "6 of 12 combinations valid" in texts(told["parts"]["count"])
    assert "6 left out" in texts(told["parts"]["count"])
    assert "skip" in told["parts"]["code"]


def test_buttons_work_without_a_script(folder: Path, studio: Any) -> None:
    number = Drawer.name()
    answer = studio.post(
        "/new/save", form({"form": "1", "data": "wine"}, draft=number, do="recommend:min_samples_leaf")
    )
    assert (answer.status, answer.headers["location"]) == (303, f"/new?draft={number}#hyperparameters")
    page = studio.get(f"/new?draft={number}").text
    assert re.search(r'id="low.min_samples_leaf" value="1"', page.replace('name="low.min_samples_leaf" ', ""))
    assert "20 combinations" in texts(page)


def test_another_table_changes_the_estimator_for_its_sibling(folder: Path, studio: Any) -> None:
    told = studio.post("/new/count", form({**FOREST, "data": "diabetes"}, changed="data")).json
    assert (
        'value="sklearn.ensemble:RandomForestRegressor" id="estimator-sklearn.ensemble.RandomForestRegressor" data-changes="estimator" checked'
        in told["parts"]["estimators"]
    )
    assert 'value="r2"' in told["parts"]["scores"]
    assert "regression" in texts(told["parts"]["data"])


def test_an_address_may_name_an_estimator(folder: Path, studio: Any) -> None:
    assert (
        'id="estimator-sklearn.svm.SVC" data-changes="estimator" checked'
        in studio.get("/new?estimator=sklearn.svm:SVC&data=wine").text
    )
    assert "there is no estimator &#39;os:system&#39; here" in studio.get("/new?estimator=os:system").text


def test_one_fit_is_measured_and_the_whole_is_a_range(folder: Path, studio: Any) -> None:
    small = {**FOREST, "multiple.n_estimators": "2, 4"}
    assert studio.post("/new/measure", form(small), accept="application/json").status == 200
    told = texts(studio.post("/new/count", form(small)).json["parts"]["summary"])
    assert "one fit at the defaults takes" in told
    assert "on disk" in told


def test_who_may_only_look_changes_nothing(folder: Path, studio: Any, place: Path) -> None:
    page = studio.call("/new", token=studio.viewer)
    assert page.status == 200
    assert "Run study" not in page.text
    for path in ("/new/count", "/new/save", "/new/run", "/new/measure", "/new/forget"):
        assert studio.call(path, "POST", form(FOREST, draft=Drawer.name()), token=studio.viewer).status == 403
    assert not (place.parent / "drafts").exists()
    assert not list(place.parent.rglob("drafts"))


NASTY = (
    "<script>alert(1)</script>", "\x00", "=1+1", "🎻" * 200, "None", "NaN", "inf", "9" * 5000, "1..9x", "'", '"', "{}", "%00", "{0.__class__}",
)  # fmt: skip
FIELDS = (
    "data", "target", "estimator", "multiple.max_depth", "single.max_depth", "low.max_depth", "share", "name", "primary",
    "threshold.accuracy", "do", "changed", "draft",
)  # fmt: skip


def _nasty() -> Iterator[dict[str, str]]:
    for i, text in enumerate(NASTY):
        yield dict.fromkeys(FOREST, text) | {"form": "1"}
        for name in FIELDS[i % 3 :: 3]:
            yield FOREST | {"mode.max_depth": "range" if name.startswith("low") else "multiple", name: text}


def test_nothing_that_a_form_may_hold_breaks_the_page(folder: Path, studio: Any) -> None:
    for fields in _nasty():
        answer = studio.post("/new/count", form(fields))
        assert answer.status == 200, fields
        assert "<script>alert" not in "".join(answer.json["parts"].values())
        assert not [
            part for part in answer.json["parts"].values() if 'class="trouble" role="alert"' in part
        ], fields
    assert studio.post("/new/count", "a" * 600_000).status == 413
    assert studio.post("/new/count", "&".join(f"f{i}=" for i in range(5_000))).status == 422
    assert not (folder / "study.toml").exists()
