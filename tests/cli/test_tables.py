"""Tables as people have them, from the file to the model: what is read, said, kept, and refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from luthier import CrossValidation, Space, tune
from luthier.errors import DataError, SpecMismatch
from tests.cli.conftest import Luthier

STUDY = """
name = "sales"
estimator = "sklearn.linear_model:LogisticRegression"
cv = 3

[data]
source = "sales.csv"
target = "sold"
drop = ["shop"]

[space.C]
float = [0.1, 10]

[budget]
trials = 2
"""
ROWS = 90


def sales(seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    size = rng.normal(300, 40, ROWS)
    return pd.DataFrame(
        {
            "customer_id": np.arange(1000, 1000 + ROWS),
            "shop": "one",
            "size": np.where(rng.random(ROWS) < 0.1, np.nan, size),
            "colour": rng.choice(["red", "blue"], ROWS),
            "day": [f"2024-{1 + i % 12:02}-15" for i in range(ROWS)],
            "sold": np.where(size + rng.normal(0, 20, ROWS) > 300, "yes", "no"),
        }
    )


@pytest.fixture
def file(folder: Path) -> str:
    sales().to_csv("sales.csv", index=False)
    Path("sales.toml").write_text(STUDY)
    return "sales.toml"


def test_a_mixed_table_is_tuned_and_it_is_said_what_was_done_to_it(luthier: Luthier, file: str) -> None:
    said = luthier("run", file)
    assert said.code == 0
    for words in (
        "customer_id: left out (a running number)",
        "size: standardised, gaps filled with the median, and marked (numbers;",
        "colour: an indicator for each",
        "day: days since 2000, and the place in the year",
    ):
        assert words in said.err
    assert "shop" not in said.err
    shown = luthier("show", "sales").out
    assert "customer_id: left out" in shown
    assert luthier("show", "sales", "--json").json["prepared"][0]["columns"] == ["customer_id"]
    sales(1).drop(columns="sold").to_csv("new.csv", index=False)
    assert luthier("models", "predict", "sales", "new.csv").out.count("\n") == ROWS + 1


def test_another_table_under_the_same_name_is_refused_and_the_difference_said(
    luthier: Luthier, file: str
) -> None:
    assert luthier("run", file).code == 0
    table = sales()
    changes = {
        "other values in column 'colour'": table.assign(colour="red"),
        "column 'size' there only and column 'length' here only": table.rename(columns={"size": "length"}),
        "90 rows there, 80 here": table[:80],
        "90 rows there, 180 here, of which the first are the same": pd.concat([table, sales(1)]),
        "other values in the target": table.assign(sold=table["sold"][::-1].to_numpy()),
    }
    for says, other in changes.items():
        other.to_csv("sales.csv", index=False)
        said = luthier("run", file)
        assert said.code != 0
        assert f"study 'sales' was begun with other data: {says}" in said.err
        assert "Use another name, or `luthier delete sales` to start over" in said.err
    table.to_csv("sales.csv", index=False)
    assert luthier("run", file).code == 0


def test_the_same_table_prepared_otherwise_is_another_question(folder: Path) -> None:
    X, y = np.random.default_rng(0).normal(size=(60, 3)), np.arange(60) % 2
    frame = pd.DataFrame(X * [1, 100, 1], columns=list("abc"))

    def study(estimator: str) -> None:
        space = Space(random_state=[0, 1])
        tune(CrossValidation(estimator, frame, y, cv=3), space, trials=1, name="same", progress=False)

    study("sklearn.svm:SVC")
    with pytest.raises(SpecMismatch, match="the data prepared otherwise"):
        study("sklearn.tree:DecisionTreeClassifier")


def test_a_column_that_gives_the_target_away_is_pointed_out(
    luthier: Luthier, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table = sales()
    table.assign(paid=table["sold"].map({"yes": 1, "no": 0})).to_csv("sales.csv", index=False)
    said = luthier("run", file)
    assert said.code == 0
    assert "column 'paid' gives the target away" in said.err + capsys.readouterr().err


def test_bad_tables_are_refused_in_a_sentence(luthier: Luthier, file: str) -> None:
    table = sales()
    table.assign(size=[np.inf, *range(ROWS - 1)]).to_csv("sales.csv", index=False)
    said = luthier("run", file)
    assert said.code != 0
    assert "column 'size' holds infinity" in said.err
    X = table.assign(size=[*["big"] * 2, *range(88)])[["size", "colour"]]
    with pytest.raises(DataError, match="column 'size' mixes text and numbers"):
        tune(CrossValidation("sklearn.svm:SVC", X, table["sold"]), trials=1, progress=False)
