from __future__ import annotations

import csv
import io
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import Luthier

Study = Callable[..., str]


def test_an_empty_folder_says_what_to_do(luthier: Luthier, folder: Path) -> None:
    said = luthier("list")
    assert said.code == 0
    assert "No studies yet" in said.err
    assert luthier("list", "--json").json == []
    assert luthier("models", "list").code == 0
    assert luthier("models", "list", "--json").json == []
    assert luthier("show", "first").code == 2
    assert list(folder.iterdir()) == []


def test_list_shows_every_study_the_latest_first(luthier: Luthier, study: Study) -> None:
    luthier("run", study(name="first"))
    luthier("run", study(name="second", trials=2))
    lines = luthier("list").out.splitlines()
    assert lines[0].split() == ["name", "state", "trials", "best", "time", "began"]
    assert [line.split()[:3] for line in lines[1:]] == [
        ["second", "complete", "2/2"],
        ["first", "complete", "5/5"],
    ]
    assert [row["name"] for row in luthier("list", "--json").json] == ["second", "first"]


def test_of_a_noisy_study_is_said_what_to_expect(luthier: Luthier, study: Study, folder: Path) -> None:
    body = "import random; return (x - 0.3) ** 2 + random.Random(trial.seed).gauss(0, 0.1)"
    file = folder / study(body, name="noise", trials=15)
    file.write_text(file.read_text().replace("minimize", "noisy = true\nminimize"))
    said = luthier("run", file.name)
    assert said.code == 0
    assert "minimise noisy loss" in said.err
    assert "expected to give; seen once" in said.out
    shown = luthier("show", "noise")
    assert "minimise noisy loss" in shown.out
    assert "expected to give; seen once" in shown.out
    found = luthier("show", "noise", "--json").json
    listed = luthier("list", "--json").json[0]
    assert found["objectives"] == [{"metric": "loss", "goal": "min", "noisy": True}]
    assert found["best"]["number"] == listed["best"]["number"] == found["top"][0]["number"]
    assert found["best_seen"]["number"] == listed["best_seen"]["number"]
    assert found["best"]["expected"]["seen"] == [found["best"]["metrics"]["loss"]]
    assert f"± {found['best']['expected']['sd']:.2g}"[:6] in luthier("list").out
    assert f"show noise {found['best']['number']}" in shown.out


def test_show_a_study_has_the_question_the_best_and_the_next_command(
    luthier: Luthier, estimator: str
) -> None:
    luthier("run", estimator)
    said = luthier("show", "knn")
    assert said.out.startswith("knn   complete: 4 of 4 trials are done\n")
    for part in (
        "KNeighborsClassifier on iris",
        "n_neighbors  Int",
        "4 completed",
        "best ",
        "top ",
        "luthier show knn",
    ):
        assert part in said.out
    found = luthier("show", "knn", "--json").json
    assert found["about"]["data"] == "iris"
    assert found["defaults"]["number"] == 0
    assert found["gain"]["value"] >= 0
    assert len(found["top"]) == 4
    assert set(found["best"]["metrics"]) == {"accuracy", "balanced_accuracy", "fit_seconds"}


def test_show_a_trial_has_its_folds_and_why_it_was_tried(luthier: Luthier, estimator: str) -> None:
    luthier("run", estimator)
    said = luthier("show", "knn", "3")
    assert said.out.startswith("knn #3   completed in ")
    assert "folds 0." in said.out
    assert "n_neighbors " in said.out
    assert "had seen 3 trials" in said.out
    assert "had seen 0 trials" in luthier("show", "knn", "0").out
    found = luthier("show", "knn", "3", "--json").json
    assert found["number"] == 3
    assert [report["step"] for report in found["reports"]] == [0, 1, 2]
    assert found["had_seen"] == 3


def test_two_trials_are_compared_fold_by_fold(luthier: Luthier, estimator: str) -> None:
    ran = luthier("run", estimator)
    assert "cannot be told apart from the best: #" in ran.out
    said = luthier("compare", "knn", "1", "0")
    assert said.code == 0
    assert said.out.startswith("knn   trial")
    for part in ("  #1 ", "  #0 ", "folds 0.", "noise ", "margin ", "no difference that matters"):
        assert part in said.out
    found = luthier("compare", "knn", "1", "0", "--json").json
    assert found["sentence"] in said.out
    assert (found["study"], found["a"], found["b"], found["folds"]) == ("knn", 1, 0, 3)
    assert found["low"] <= found["difference"] <= found["high"]
    assert found["a_better"] + found["equivalent"] + found["b_better"] == pytest.approx(1)
    wide = luthier("compare", "knn", "1", "0", "--margin", "0.9", "--json").json
    assert wide["margin"] == 0.9
    assert wide["equivalent"] > found["equivalent"]
    shown = luthier("show", "knn", "--json").json
    assert shown["plausible"][0] == shown["best"]["number"]


def test_the_result_says_which_score_to_expect(luthier: Luthier, estimator: str) -> None:
    ran = luthier("run", estimator)
    assert " on new data, between " in ran.out
    said = luthier("result", "knn")
    assert said.out.startswith("knn   Trial ")
    assert "is to be expected on new data" in said.out
    found = luthier("result", "knn", "--select", "posterior", "--no-guard", "--json").json
    assert found["low"] <= found["honest"] <= found["high"]
    assert found["select"] == "posterior"
    shown = luthier("show", "knn", "--json").json
    assert shown["expected_on_new_data"]["low"] <= shown["expected_on_new_data"]["mean"]


def test_what_cannot_be_compared_is_said_so(luthier: Luthier, estimator: str, study: Study) -> None:
    luthier("run", study())
    said = luthier("compare", "first", "0", "1")
    assert said.code == 2
    assert "report every fold's score (trial.report(fold, loss=...))" in said.err
    assert luthier("show", "first", "--json").json["plausible"] is None
    assert "told apart" not in luthier("show", "first").out
    said = luthier("compare", "first", "0", "5")
    assert said.code == 2
    assert "has no trial 5. It has trials 0 to 4." in said.err
    luthier("run", estimator)
    said = luthier("compare", "knn", "0", "1", "--margin", "-1")
    assert said.code == 2
    assert "the margin is -1.0" in said.err


def test_a_trial_that_is_not_there_is_said_so(luthier: Luthier, study: Study) -> None:
    luthier("run", study())
    for number in ("5", "99"):
        said = luthier("show", "first", number)
        assert said.code == 2
        assert f"has no trial {number}. It has trials 0 to 4." in said.err


def test_a_study_that_is_not_there_is_said_so_with_the_near_one(luthier: Luthier, study: Study) -> None:
    luthier("run", study())
    for command in ("show", "trials", "stop"):
        said = luthier(command, "frist")
        assert said.code == 2
        assert "'frist'" in said.err
        assert "first" in said.err


def test_trials_come_as_a_table_as_csv_and_as_json(luthier: Luthier, study: Study) -> None:
    luthier("run", study("return {'loss': x, 'size': 2}"))
    found = luthier("trials", "first", "--json").json
    assert [trial["number"] for trial in found] == [0, 1, 2, 3, 4]
    assert {
        "number",
        "state",
        "params",
        "metrics",
        "reason",
        "created",
        "started",
        "ended",
        "seconds",
    } <= set(found[0])
    rows = list(csv.DictReader(io.StringIO(luthier("trials", "first", "--csv").out)))
    assert [float(row["metrics.loss"]) for row in rows] == [trial["metrics"]["loss"] for trial in found]
    assert rows[0]["metrics.size"] == "2.0"
    lines = luthier("trials", "first").out.splitlines()
    assert lines[0].split() == ["#", "state", "loss", "time", "x", "reason"]
    assert len(lines) == 6
    said = luthier("trials", "first", "--csv", "--json")
    assert said.code == 2


def test_stop_says_that_there_is_nothing_to_stop(luthier: Luthier, study: Study) -> None:
    luthier("run", study())
    said = luthier("stop", "first")
    assert said.code == 0
    assert "Nobody is working on study 'first' (complete)" in said.err
    assert "has completed already" in luthier("stop", "first", "2").err
    assert luthier("stop", "first", "77").code == 2


def test_delete_asks_first(luthier: Luthier, estimator: str, folder: Path) -> None:
    luthier("run", estimator)
    said = luthier("delete", "knn", typed="y\n")  # nobody is at a terminal here
    assert said.code == 2
    assert "--yes" in said.err
    assert luthier("show", "knn").code == 0
    said = luthier("delete", "knn", "--yes")
    assert said.code == 0
    assert (
        "Deleted study 'knn' and its 4 trials. Its model stays in .luthier/models/knn (1 version)."
        in said.err
    )
    assert luthier("show", "knn").code == 2
    assert (folder / ".luthier/models/knn/1").is_dir()
    luthier("run", estimator)
    assert luthier("delete", "knn", "--yes", "--models").code == 0
    assert luthier("models", "list", "--json").json == []
    assert luthier("delete", "knn", "--yes").code == 2


def test_an_estimator_is_described(luthier: Luthier) -> None:
    found = luthier("describe", "sklearn.svm:SVC", "--json").json
    by_name = {p["name"]: p for p in found["parameters"]}
    assert found["estimator"] == "sklearn.svm:SVC"
    assert by_name["C"]["default"] == 1.0
    assert by_name["C"]["recommended"] == {"kind": "float", "low": 0.001, "high": 1000.0, "log": True}
    assert (by_name["gamma"]["rank"], by_name["gamma"]["scale"]) == (1, "log")
    said = luthier("describe", "sklearn.svm:SVC")
    title, head, *rows = said.out.splitlines()
    assert title.startswith("sklearn.svm:SVC (sklearn ")
    assert head.split()[:3] == ["rank", "name", "default"]
    assert len(rows) == len(by_name)
    assert rows[1].endswith("Regularization parameter.")
    said = luthier("describe", "sklearn.svm:SVCC")
    assert said.code == 2
    assert "Did you mean 'SVC'" in said.err


def test_an_estimator_is_described_where_nothing_is_recommended(luthier: Luthier) -> None:
    said = luthier("describe", "sklearn.decomposition:PCA")
    assert said.code == 0
    assert "n_components" in said.out
    assert "there is no recommended space for sklearn.decomposition:PCA" in said.out
    assert "(required)" in luthier("describe", "sklearn.pipeline:Pipeline").out


def test_doctor_says_what_a_study_means(luthier: Luthier, estimator: str, folder: Path) -> None:
    said = luthier("doctor", estimator)
    assert said.code == 0
    assert said.out.startswith("Ready: luthier run knn.toml\n")
    assert "iris: 150 rows, 4 columns, 3 classes" in said.out
    assert "4 trials x 3 folds = 12 fits on 1 worker: about" in said.out
    assert not (folder / ".luthier").exists()
    findings = luthier("doctor", estimator, "--json").json
    assert {finding["level"] for finding in findings} <= {"ok", "note"}


def test_doctor_tries_a_function_if_asked_to(luthier: Luthier, study: Study) -> None:
    said = luthier("doctor", study("trial.report(0, loss=1.0); return {'loss': 0.5}"), "--try")
    assert said.code == 0
    assert "called once, it returned loss 0.5" in said.out
    said = luthier("doctor", study("return {'los': 0.5}"), "--try")
    assert said.code == 2
    assert "'los' but not 'loss'" in said.out
    assert luthier("doctor", study("return {'los': 0.5}")).code == 0


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("n_neighbors", "n_neighbours", "Did you mean 'n_neighbors'"),
        ("iris", "irsi", "Did you mean 'iris'"),
        ('"accuracy"', '"acuracy"', "accuracy"),
    ],
)
def test_doctor_finds_what_is_wrong(
    luthier: Luthier, estimator: str, folder: Path, old: str, new: str, sentence: str
) -> None:
    path = folder / estimator
    path.write_text(path.read_text().replace(old, new))
    said = luthier("doctor", estimator)
    assert said.code == 2
    assert sentence in said.out + said.err


def test_every_command_has_help_with_an_example(luthier: Luthier) -> None:
    said = luthier("--help")
    assert said.code == 0
    for command in (
        "run",
        "doctor",
        "list",
        "show",
        "trials",
        "compare",
        "stop",
        "delete",
        "models",
        "describe",
    ):
        assert f"  {command} " in said.out
        help_ = luthier(command, "--help")
        assert help_.code == 0
        assert "Example" in help_.out
    for command in ("list", "show", "predict"):
        assert "Example" in luthier("models", command, "--help").out


def test_a_misspelt_command_is_told_the_near_one(luthier: Luthier) -> None:
    said = luthier("rnu")
    assert said.code == 2
    assert "Did you mean 'run'?" in said.err


def test_the_version_is_said(luthier: Luthier) -> None:
    from luthier import __version__

    assert luthier("--version").out == f"luthier {__version__}\n"


def test_replay_makes_the_decision_again(luthier: Luthier, study: Study) -> None:
    luthier("run", study(name="first", trials=14))
    for trial in ("0", "13"):
        said = luthier("replay", "first", trial)
        assert said.code == 0
        assert "the same proposal" in said.out
    assert luthier("replay", "first", "13", "--json").json["same"] is True
    assert luthier("replay", "first", "14").code == 2


def test_a_store_of_a_newer_version_is_left_alone(luthier: Luthier, study: Study, folder: Path) -> None:
    luthier("run", study(name="first"))
    with closing(sqlite3.connect(folder / ".luthier/studies.db")) as database:
        database.execute("UPDATE schema_version SET version = 99")
        database.commit()
    for command in (["list"], ["show", "first"], ["run", "first.toml"], ["delete", "first", "--yes"]):
        said = luthier(*command)
        assert said.code == 2
        assert said.err.startswith("luthier: error: ")
        assert "99" in said.err


def test_a_store_that_somebody_else_holds_is_said_to_be_locked_and_loses_nothing(
    luthier: Luthier, study: Study, folder: Path
) -> None:
    luthier("run", study(name="first"))
    with closing(sqlite3.connect(folder / ".luthier/studies.db", isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        said = luthier(
            "run", "first.toml", "--trials", "9", "--store", "sqlite:///.luthier/studies.db?timeout=0.1"
        )
        assert said.code == 2
        assert "locked by another program" in said.err
    assert luthier("run", "first.toml", "--trials", "9").code == 0
    assert len(luthier("trials", "first", "--json").json) == 9
