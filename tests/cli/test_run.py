from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Luthier

Study = Callable[..., str]


def test_a_study_of_an_estimator_is_tuned_saved_and_used(
    luthier: Luthier, estimator: str, folder: Path
) -> None:
    said = luthier("run", estimator)
    assert said.code == 0
    assert said.out.startswith("Done: 4 trials in ")
    assert "defaults 0." in said.out
    assert ".luthier/models/knn/1" in said.out
    assert "luthier models predict knn new.csv" in said.out
    assert said.err.startswith(
        "Tuning KNeighborsClassifier on iris (150 rows, 4 columns, 3 classes), 3-fold stratified, maximise accuracy\n"
    )
    assert (folder / ".luthier/models/knn/1/CARD.md").is_file()

    columns = "sepal length (cm),sepal width (cm),petal length (cm),petal width (cm)"
    (folder / "new.csv").write_text(f"{columns}\n5.1,3.5,1.4,0.2\n6.3,3.3,6.0,2.5\n")
    said = luthier("models", "predict", "knn", "new.csv")
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[0] == "prediction,probability_0,probability_1,probability_2"
    assert [line.partition(",")[0] for line in lines[1:]] == ["0", "2"]
    assert luthier("models", "predict", "knn", "new.csv", "--json").json[0]["prediction"] == 0
    said = luthier("models", "predict", "knn", "new.csv", "-o", "out.csv")
    assert (said.code, said.out) == (0, "")
    assert (folder / "out.csv").read_text().splitlines() == lines

    assert (
        luthier("models", "list")
        .out.split("\n")[1]
        .startswith("knn   1 *      sklearn.neighbors:KNeighborsClassifier")
    )
    assert luthier("models", "list", "--json").json[0]["name"] == "knn"
    assert luthier("models", "show", "knn").out.startswith("# knn, version 1")
    assert luthier("models", "show", "knn", "--json").json["manifest"]["study"] == "knn"


def test_run_again_a_study_is_complete_and_a_larger_budget_goes_on(luthier: Luthier, study: Study) -> None:
    file = study()
    assert luthier("run", file).code == 0
    said = luthier("run", file)
    assert said.code == 0
    assert said.out.startswith("first is complete (5 of 5 trials); --trials 10 goes on.\n")
    assert "#" in said.out
    assert said.err == ""
    said = luthier("run", file, "--trials", "8")
    assert said.code == 0
    assert said.out.startswith("Done: 8 trials in ")
    assert len(luthier("trials", "first", "--json").json) == 8
    assert luthier("run", file).out.startswith("first is complete (8 trials); --trials 16 goes on.\n")


def test_json_is_all_there_is_on_stdout(luthier: Luthier, study: Study) -> None:
    said = luthier("run", study(), "--json")
    assert said.code == 0
    found = said.json
    assert found["state"] == "complete"
    assert found["counts"]["completed"] == 5
    assert found["best"]["metrics"]["loss"] == min(
        t["metrics"]["loss"] for t in luthier("trials", "first", "--json").json
    )
    assert found["defaults"] is None


def test_without_progress_there_is_only_the_result(luthier: Luthier, study: Study) -> None:
    said = luthier("run", study(), "--no-progress")
    assert said.err == ""
    assert said.out.startswith("Done: ")


def test_another_name_and_another_store_make_another_study(
    luthier: Luthier, study: Study, folder: Path
) -> None:
    file = study()
    assert luthier("run", file, "--name", "second", "--store", "other/studies.db").code == 0
    assert (folder / "other/studies.db").is_file()
    assert luthier("show", "second", "--store", "other/studies.db").code == 0
    assert not (folder / ".luthier").exists()


def test_another_question_under_the_same_name_is_refused(
    luthier: Luthier, study: Study, folder: Path
) -> None:
    file = study()
    luthier("run", file)
    path = folder / file
    path.write_text(path.read_text().replace("float = [0, 1]", "float = [0, 2]"))
    said = luthier("run", file)
    assert said.code == 2
    assert "luthier: error: " in said.err
    assert "Float(0, 1) there, Float(0, 2) here" in said.err
    assert len(luthier("trials", "first", "--json").json) == 5


def test_an_objective_that_always_fails_is_shown_once_with_its_traceback(
    luthier: Luthier, study: Study
) -> None:
    said = luthier("run", study("raise ValueError('no such luck')", trials=50))
    assert said.code == 1
    assert "luthier: stopped: the first 5 trials failed in the same way" in said.err
    assert "ValueError: no such luck" in said.err
    assert said.err.count("Traceback (most recent call last)") == 1
    assert luthier("list", "--json").json[0]["state"] == "failed"
    said = luthier("show", "first", "0")
    assert said.code == 0
    assert "failed" in said.out
    assert "Traceback" in said.out


def test_a_study_in_which_nothing_has_a_value_ends_with_1(luthier: Luthier, study: Study) -> None:
    said = luthier("run", study("return {'loss': float('nan')}", trials=3))
    assert said.code == 1
    assert "nothing completed with a value" in said.out


def test_infinities_and_nan_are_strings_in_json(luthier: Luthier, study: Study) -> None:
    said = luthier(
        "run",
        study("return {'loss': float('nan') if x < 0.5 else float('inf'), 'more': float('-inf')}"),
        "--json",
    )
    assert said.code == 0
    losses = {trial["metrics"]["loss"] for trial in luthier("trials", "first", "--json").json}
    assert losses == {"NaN", "Infinity"}
    assert said.json["best"]["metrics"]["more"] == "-Infinity"


def test_a_study_stopped_from_elsewhere_ends_with_3_and_goes_on(luthier: Luthier, study: Study) -> None:
    body = "import luthier; t = luthier.load('first', readonly=False); t.stop(reason='enough'); t.close(); return 1.0"
    file = study(body)
    said = luthier("run", file)
    assert said.code == 3
    assert said.out.startswith("Stopped after 1 of 5 trials")
    assert "enough" in said.out
    assert "goes on where it stopped" in said.out


BAD = {
    "a target that is not there": ("target = 'kind'", "no column 'kind'", None),
    "no target": ("", "no target is given", None),
    "a file that is no CSV": ("target = 'y'", "is not a CSV", b"\x00\x01\x02PNG\x00"),
    "a ragged file": ("target = 'y'", "line 3 has 3 fields", b"a,y\n1,2\n1,2,3\n"),
    "an empty file": ("target = 'y'", "is empty", b""),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_data_is_a_sentence_and_exit_code_2(luthier: Luthier, folder: Path, case: str) -> None:
    target, sentence, content = BAD[case]
    (folder / "t.csv").write_bytes(b"a,y\n1,2\n2,3\n" if content is None else content)
    (folder / "s.toml").write_text(
        f'estimator = "sklearn.svm:SVC"\ndata = "t.csv"\n{target}\n[budget]\ntrials = 3\n'
    )
    said = luthier("run", "s.toml")
    assert said.code == 2
    assert said.err.startswith("luthier: error: ")
    assert sentence in said.err
    assert "Traceback" not in said.err
    assert not (folder / ".luthier").exists()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            'estimator = "sklearn.svm:SVC"\nmaximise = "accuracy"',
            "unknown key 'maximise'. Did you mean 'maximize'?",
        ),
        (
            'estimator = "sklearn.svm:SVC"\ndata = "iris"\n[space.gammma]\nfloat = [0, 1]\n[budget]\ntrials = 2',
            "Did you mean 'gamma'",
        ),
        (
            'estimator = "sklearn.svm:SVC"\ndata = "iris"\nalgorithm = "randon"\n[budget]\ntrials = 2',
            "Did you mean 'random'",
        ),
        ('estimator = "sklearn.svm:SVC"\ndata = "iris"\n', "the study would never end"),
        (
            'function = "nowhere_at_all:train"\nminimize = "loss"\nspace = { x = [1, 2] }',
            "no module 'nowhere_at_all'",
        ),
    ],
)
def test_a_bad_study_file_is_a_sentence_and_exit_code_2(
    luthier: Luthier, folder: Path, text: str, sentence: str
) -> None:
    (folder / "s.toml").write_text(text)
    said = luthier("run", "s.toml")
    assert said.code == 2
    assert sentence in said.err
    assert "Traceback" not in said.err


def test_a_function_that_returns_something_else_is_told_what_to_return(
    luthier: Luthier, study: Study
) -> None:
    said = luthier("run", study("return {'los': 1.0}", trials=9))
    assert said.code == 1
    assert "'los' but not 'loss'" in said.err


def test_a_store_that_is_none_is_refused_and_left_alone(luthier: Luthier, study: Study, folder: Path) -> None:
    (folder / "notes.txt").write_text("not a database, but somebody's notes\n" * 50)
    before = (folder / "notes.txt").read_bytes()
    for args in (("run", study()), ("list",), ("show", "first"), ("delete", "first", "--yes")):
        said = luthier(*args, "--store", "notes.txt")
        assert said.code == 2, args
        assert said.err.startswith("luthier: error: "), args
    assert (folder / "notes.txt").read_bytes() == before


def test_a_race_is_asked_for_in_the_file_and_show_says_who_lost_it_and_why(
    luthier: Luthier, folder: Path
) -> None:
    (folder / "raced.toml").write_text("""
name = "raced"
estimator = "sklearn.tree:DecisionTreeClassifier"
data = "wine"
cv = 10
stopping = "race"
algorithm = "random"
space.max_depth.int = [1, 8]
space.min_samples_leaf.int = [1, 80]
budget.trials = 25
""")
    assert luthier("run", "raced.toml").code == 0
    stopped = [trial for trial in luthier("trials", "raced", "--json").json if trial["state"] == "stopped"]
    assert stopped
    said = " ".join(luthier("show", "raced", str(stopped[0]["number"])).out.split())
    assert "stopped" in said
    assert "of 10 folds" in said
    assert "behind trial" in said or "equal to trial" in said
    assert f"{len(stopped)} stopped" in luthier("show", "raced").out


def test_a_study_may_run_until_gains_are_noise(luthier: Luthier, estimator: str) -> None:
    file = Path(estimator)
    text = file.read_text()
    file.write_text(re.sub(r"trials = \d+", 'seconds = "auto"', text).replace("[1, 20]", "[1, 60]"))
    said = luthier("run", estimator)
    assert said.code == 0
    assert "until gains are below the noise" in said.err
    assert re.match(r"Done: \d+ trials in .* The end: (the best possible|no) gain", said.out)
    done = len(luthier("trials", "knn", "--json").json)
    again = luthier("run", estimator)
    assert again.out.startswith(f"knn is complete ({done} of {done} trials); --trials {2 * done} goes on.")
    assert len(luthier("trials", "knn", "--json").json) == done
    assert luthier("list", "--json").json[0]["state"] == "complete"
    more = luthier("run", estimator, "--trials", str(done + 2))
    assert more.out.startswith(f"Done: {done + 2} trials in ")
    assert luthier("run", estimator, "--seconds", "soon").code == 2
