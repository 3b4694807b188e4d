import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import accuracy_score, log_loss
from sklearn.svm import SVC

from luthier.errors import DataError, ModelError
from luthier.estimators.data import Data
from luthier.models import history_of, load_model, log, looks, save_model, score_model, show_model
from luthier.models.log import Event
from tests.models.fruit import TRAIN, data, keep, table


@pytest.fixture(autouse=True)
def fewer(monkeypatch):
    """Samples of the rows, to be quick."""
    monkeypatch.setattr(looks, "RESAMPLES", 60)


def test_a_score_is_that_of_scikit_learn_with_an_interval_around_it(tmp_path):
    keep(tmp_path)
    new = data(80, 1)
    look = score_model(tmp_path, "fruit", new, scoring=["accuracy", "log_loss", "roc_auc"])
    model = load_model(tmp_path, "fruit")
    assert look.scores["accuracy"][0] == accuracy_score(new.y, model.predict(new.X))
    assert look.scores["log_loss"][0] == pytest.approx(log_loss(new.y, model.predict_proba(new.X)))
    for value, low, high in look.scores.values():
        assert low < value < high
    assert (look.rows, look.looks) == (80, 1)


def test_the_interval_holds_the_score_of_many_rows_about_as_often_as_it_says(tmp_path):
    keep(tmp_path)
    many = data(4000, 99)
    truth = accuracy_score(many.y, load_model(tmp_path, "fruit").predict(many.X))
    found = [score_model(tmp_path, "fruit", data(100, seed), scoring=["accuracy"]) for seed in range(1, 11)]
    assert sum(low <= truth <= high for _, low, high in (look.scores["accuracy"] for look in found)) >= 8


def test_scores_are_those_of_the_study_unless_others_are_named(tmp_path):
    keep(tmp_path, 0, [0.7, 0.8])
    assert list(score_model(tmp_path, "fruit", data(40, 1)).scores) == ["accuracy"]
    keep(tmp_path, 1, name="other", scores={"fit_seconds": {"mean": 1.0}, "mine": {"mean": 1.0}})
    assert list(score_model(tmp_path, "other", data(40, 1)).scores) == ["accuracy"]
    with pytest.raises(DataError, match="Did you mean 'accuracy'"):
        score_model(tmp_path, "fruit", data(40, 1), scoring=["acuracy"])


def test_a_model_without_probabilities_and_one_of_numbers_are_tested_too(tmp_path):
    keep(tmp_path, estimator=SVC())
    assert score_model(tmp_path, "fruit", data(40, 1), scoring=["roc_auc"]).scores["roc_auc"][0] > 0.7
    with pytest.raises(DataError, match="log_loss cannot be computed"):
        score_model(tmp_path, "fruit", data(40, 1), scoring=["log_loss"])
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 2))
    save_model(
        tmp_path, "line", Ridge().fit(X, X[:, 0]), meta={"task": "regression"}, data=Data.of(X, X[:, 0])
    )
    new = rng.normal(size=(30, 2))
    assert score_model(tmp_path, "line", Data.of(new, new[:, 0])).scores["r2"][0] > 0.9
    found = score_model(tmp_path, "line", Data.of(new, new[:, 0]), scoring=["mean_absolute_error"])
    assert 0 < found.scores["mean_absolute_error"][0] < 0.1


def test_looks_at_the_same_rows_are_counted_over_all_versions(tmp_path):
    keep(tmp_path, 0)
    keep(tmp_path, 1, estimator=SVC())
    assert score_model(tmp_path, "fruit", data(40, 1)).looks == 1
    assert score_model(tmp_path, "fruit", data(40, 1), version=2).looks == 2
    assert score_model(tmp_path, "fruit", data(40, 2)).looks == 1
    assert score_model(tmp_path, "fruit", data(40, 1)).looks == 3


def test_a_file_is_tested_by_the_target_that_the_model_knows(tmp_path):
    keep(tmp_path)
    table(40, 1).to_csv(tmp_path / "new.csv", index=False)
    assert score_model(tmp_path, "fruit", str(tmp_path / "new.csv")).rows == 40
    made = table(40, 1)
    made["colour"], made["other"] = made["sold"], made["colour"]
    made.to_csv(tmp_path / "wrong.csv", index=False)
    with pytest.raises(
        DataError, match=r"the labels 'blue', 'red', and model 'fruit', version 1, knows 'no', 'yes'"
    ):
        score_model(tmp_path, "fruit", str(tmp_path / "wrong.csv"), "other")


def test_the_rows_it_was_fitted_on_are_refused(tmp_path):
    keep(tmp_path)
    with pytest.raises(DataError, match="a score on them says nothing"):
        score_model(tmp_path, "fruit", TRAIN)
    assert [event.what for event in history_of(tmp_path, "fruit")] == ["saved", "promoted"]


def test_a_look_that_cannot_be_counted_shows_nothing(tmp_path, monkeypatch):
    keep(tmp_path)

    def full(fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ModelError, match="so no score is shown"):
        score_model(tmp_path, "fruit", data(40, 1))


# --- the log -----------------------------------------------------------------------------------


def test_what_a_crash_left_half_written_does_not_count_and_is_cut_off(tmp_path):
    keep(tmp_path)
    folder = show_model(tmp_path, "fruit").path.parent
    whole = (folder / "log.jsonl").read_bytes()
    (folder / "log.jsonl").write_bytes(whole + b'{"at": "2026-01-01T00:00:00+00:00", "what": "dele')
    assert [event.what for event in log.read(folder)] == ["saved", "promoted"]
    with log.locked(folder):
        log.append(folder, Event("looked", 1))
    assert [event.what for event in log.read(folder)] == ["saved", "promoted", "looked"]
    assert (folder / "log.jsonl").read_bytes().startswith(whole)


def test_a_line_that_is_none_is_named(tmp_path):
    keep(tmp_path)
    path = show_model(tmp_path, "fruit").path.parent / "log.jsonl"
    path.write_bytes(path.read_bytes() + b"nonsense\n")
    with pytest.raises(ModelError, match=r"line 3 of .* is damaged"):
        show_model(tmp_path, "fruit")


WRITER = """
import sys
from pathlib import Path
from luthier.models import log
folder = Path(sys.argv[1])
print("ready", flush=True)
for i in range(10**6):
    with log.locked(folder):
        log.append(folder, log.Event("looked", 1, about={"of": sys.argv[2], "i": i, "long": "x" * 4000}))
"""


def test_processes_that_are_killed_while_they_write_lose_no_line_of_others(tmp_path):
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), str(n)], stdout=subprocess.PIPE)
        for n in range(2)
    ]
    for writer in writers:
        assert writer.stdout is not None
        writer.stdout.readline()
    while len(log.read(tmp_path)) < 20:
        pass
    for writer in writers:
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
    events = log.read(tmp_path)
    with log.locked(tmp_path):  # the lock of the dead is free
        log.append(tmp_path, Event("looked", 2))
    assert len(log.read(tmp_path)) == len(events) + 1
    for n in "01":
        mine = [event.about["i"] for event in events if event.about["of"] == n]
        assert mine == list(range(len(mine)))
    for line in (tmp_path / "log.jsonl").read_text().splitlines():
        json.loads(line)
