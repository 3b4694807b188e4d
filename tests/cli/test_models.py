from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from sklearn.datasets import load_iris

from tests.cli.conftest import Luthier

POLICY = """
[models]
best = 2
intended_use = "telling flowers apart"
licence = "CC0-1.0"
[models.thresholds]
balanced_accuracy = 0.5
"""


@pytest.fixture
def kept(luthier: Luthier, estimator: str, folder: Path) -> Luthier:
    """Two versions of a model, and rows to test them on that neither has seen."""
    path = folder / estimator
    path.write_text(path.read_text() + POLICY)
    assert luthier("run", estimator).code == 0
    X, y = load_iris(return_X_y=True, as_frame=True)
    table = (X + 0.05).assign(target=y)
    table[::3].to_csv(folder / "test.csv", index=False)
    return luthier


def test_the_policy_of_a_study_file_is_kept_to(kept: Luthier) -> None:
    listed = kept("models", "list", "--json").json
    assert [(model["version"], model["champion"], model["signed"]) for model in listed] == [
        (1, True, True),
        (2, False, True),
    ]
    assert listed[0]["manifest"]["licence"] == "CC0-1.0"
    lines = kept("models", "list").out.splitlines()
    assert lines[1].startswith("knn   1 *")
    assert lines[2].startswith("knn   2  ")
    shown = kept("models", "show", "knn").out
    assert "telling flowers apart" in shown
    assert "- In use: yes" in shown


def test_models_that_no_policy_knows_are_said_with_the_file_and_the_key(
    luthier: Luthier, estimator: str, folder: Path
) -> None:
    path = folder / estimator
    text = path.read_text()
    for more, said in [
        ("[models]\nbets = 2\n", "unknown key 'models.bets'. Did you mean 'best'?"),
        ('[models]\nbest = "all"\n', 'models.best is "all". Use a whole number'),
        ("[models.thresholds]\nacuracy = 0.5\n", "Did you mean 'accuracy'?"),
    ]:
        path.write_text(text + more)
        found = luthier("run", estimator)
        assert found.code == 2
        assert said in found.err


def test_a_test_is_counted_and_shown(kept: Luthier) -> None:
    said = kept("models", "test", "knn", "test.csv")
    assert said.code == 0
    assert [line.split()[0] for line in said.out.splitlines()] == ["score", "accuracy", "balanced_accuracy"]
    assert said.err == "knn, version 1, on the 50 rows of test.csv: the first look at these rows.\n"
    found = kept(
        "models", "test", "knn", "test.csv", "--version", "2", "--scoring", "log_loss", "--json"
    ).json
    assert found["looks"] == 2
    assert found["scores"]["log_loss"]["low"] <= found["scores"]["log_loss"]["value"]
    assert "2 looks" in kept("models", "list").out
    assert "on test.csv (50 rows)" in kept("models", "show", "knn").out
    said = kept("models", "test", "knn", "iris")
    assert (said.code, said.out) == (2, "")
    assert "a score on them says nothing" in said.err


def test_promotion_rollback_and_deletion(kept: Luthier) -> None:
    said = kept("models", "promote", "knn")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("Version 2 is not promoted, and version 1 stays in use: ")
    found = kept("models", "promote", "knn", "--data", "test.csv", "--json")
    assert (found.code, found.json["promoted"], found.json["champion"]) == (1, False, 1)
    assert kept("models", "promote", "knn", "--version", "2", "--force").code == 0
    assert kept("models", "show", "knn", "--json").json["version"] == 2
    said = kept("models", "delete", "knn", "--version", "2", "--yes")
    assert said.code == 2
    assert "is its champion" in said.err
    assert kept("models", "rollback", "knn", "--json").json == {
        "model": "knn",
        "champion": 1,
        "rolled_back": 2,
    }
    assert "there is none to go back to" in kept("models", "rollback", "knn").err
    assert "nobody to ask" in kept("models", "delete", "knn", "--version", "2").err
    assert "say which version" in kept("models", "delete", "knn").err
    said = kept("models", "delete", "knn", "--version", "2", "--yes")
    assert said.err == "Deleted 1 version of model 'knn'. Version 1 is in use.\n"
    assert "It was deleted. There is: 1." in kept("models", "show", "knn", "--version", "2").err
    assert kept("models", "delete", "knn", "--all", "--yes", "--json").json == {
        "model": "knn",
        "deleted": [1],
        "champion": None,
    }
    assert kept("models", "list", "--json").json == []


def test_an_export_is_written_once(kept: Luthier, folder: Path) -> None:
    said = kept("models", "export", "knn", "out.zip", "--version", "2")
    assert (said.code, said.out, said.err) == (0, "", "Exported knn, version 2, to out.zip.\n")
    assert (folder / "out.zip").is_file()
    said = kept("models", "export", "knn", "out.zip")
    assert (said.code, "exists already" in said.err) == (2, True)
    assert kept("models", "export", "knn", "out", "--json").json == {
        "model": "knn",
        "version": 1,
        "path": "out",
    }
    assert pd.read_json(folder / "out" / "input_example.json").shape == (1, 4)
