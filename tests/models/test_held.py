"""Rows that a study locked away: what was predicted for them is kept sealed, and a look at it is counted."""

from __future__ import annotations

from pathlib import Path

import pytest
from sklearn.linear_model import LogisticRegression

from luthier import CrossValidation, Float, Space, load, tune
from luthier.errors import InvalidStudy, ModelError, SpecMismatch
from luthier.models import history_of, score_model, show_model
from luthier.models.log import Event
from luthier.models.notes import card_of, note
from luthier.models.told import latest_test, told
from luthier.study import Failed, Proposal, Record
from tests.models.fruit import TRAIN, data, keep

SPACE = Space(C=Float(1e-2, 10, log=True))


def tuned(home: Path, **more: object) -> tuple[CrossValidation, dict[str, object]]:
    objective = CrossValidation(LogisticRegression(), TRAIN, cv=3, **more)
    study = tune(
        objective,
        SPACE,
        trials=2,
        name="fruit",
        store=str(home / "studies.db"),
        algorithm="random",
        progress=False,
    )
    params = dict(study.best.params)
    study.close()
    return objective, params


def test_the_test_score_is_that_of_the_same_parameters_without_the_rows(tmp_path: Path) -> None:
    objective, params = tuned(tmp_path, holdout=0.3)
    look = score_model(tmp_path, "fruit")
    assert look.scores["accuracy"][0] == objective.look(params)["accuracy"]
    assert (look.rows, look.looks) == (27, 1)
    assert score_model(tmp_path, "fruit").looks == 2
    events = history_of(tmp_path, "fruit")
    assert str(latest_test(show_model(tmp_path, "fruit"), events)).endswith(", 2 looks")
    assert told(events[-1]).endswith("on the part of fruit 0 held back (27 rows)")


def test_where_nothing_was_held_back_there_is_nothing_to_look_at(tmp_path: Path) -> None:
    tuned(tmp_path)
    with pytest.raises(ModelError, match="no rows were held back when model 'fruit', version 1"):
        score_model(tmp_path, "fruit")
    assert score_model(tmp_path, "fruit", data(40, 1)).looks == 1


def test_what_was_changed_meanwhile_is_no_test(tmp_path: Path) -> None:
    tuned(tmp_path, holdout=0.3)
    path = show_model(tmp_path, "fruit").path / "held.npz"
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ModelError, match="has changed since it was saved: held"):
        score_model(tmp_path, "fruit")
    assert [event.what for event in history_of(tmp_path, "fruit")] == ["saved", "promoted"]


def test_what_is_said_later_is_on_the_card_and_changes_no_file(tmp_path: Path) -> None:
    model = keep(tmp_path, intended_use="sorting fruit")
    before = {path.name: path.read_bytes() for path in model.path.iterdir()}
    note(tmp_path, "fruit", 1, {"limits": "ripe fruit only", "intended_use": "sorting fruit"})
    assert {path.name: path.read_bytes() for path in model.path.iterdir()} == before
    events = history_of(tmp_path, "fruit")
    assert events[-1] == Event("noted", 1, events[-1].at, {"notes": {"limits": "ripe fruit only"}})
    assert "Known limits: ripe fruit only" in card_of(model, events)
    assert told(events[-1]) == "said on the card: limits"
    note(tmp_path, "fruit", 1, {"limits": "", "intended_use": "a better one"})
    events = history_of(tmp_path, "fruit")
    assert "Known limits: not stated" in card_of(model, events)
    assert "a better one" in card_of(model, events)
    count = len(events)
    note(tmp_path, "fruit", 1, {"intended_use": "a better one"})
    assert len(history_of(tmp_path, "fruit")) == count
    with pytest.raises(ModelError, match="Did you mean 'limits'"):
        note(tmp_path, "fruit", 1, {"limit": "x"})


def test_any_trial_that_completed_is_saved_when_somebody_asks(tmp_path: Path) -> None:
    objective, params = tuned(tmp_path, holdout=0.3)
    study = load("fruit", str(tmp_path / "studies.db"), readonly=False)
    other = next(trial.number for trial in study.trials if dict(trial.params) != params)
    assert str(other) in study.facts["not_kept"]
    assert study.facts["keep"] == {"best": 1, "pareto": False, "all": False, "thresholds": {}, "left_out": 1}
    saved = study.save_model(objective, other)
    assert (saved.version, saved.champion, saved.manifest["trial"]) == (2, False, other)
    assert study.save_model(objective, study.trials[other]).version == 2
    assert {"trial": other, "version": 2} in study.facts["models"]
    assert str(other) not in study.facts["not_kept"]
    (failing,) = study.store.propose("fruit", [Proposal({"C": 1.0})], claim=("me/1/2/3", 60.0))
    study.store.record("fruit", [Record(failing.number, 1, Failed("no"))])
    with pytest.raises(InvalidStudy, match="is failed, and a model is made of a trial that completed"):
        study.save_model(objective, failing.number)
    with pytest.raises(SpecMismatch, match="begun with other data"):
        study.save_model(CrossValidation(LogisticRegression(), data(60, 3), cv=3), other)
    study.close()
