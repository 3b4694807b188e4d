import json
import math
from dataclasses import replace

import pytest

from luthier.analysis import flat, incumbent, rows, to_pandas, uncertainty
from luthier.study import Completed, Failed, History, Report, State, Trial
from tests.study.strategies import PROBLEM


def ended(number: int, **metrics: float) -> Trial:
    return Trial(number, {"x": 0.5}, State.RUNNING, 1, created=0.0, started=1.0, ended=3.5).after(
        Completed(metrics), 1
    )


def example() -> History:
    history = History(PROBLEM)
    trials = [
        ended(0, loss=3.0, size=9.0),
        ended(2, loss=math.nan, size=1.0),
        ended(1, loss=4.0, size=1.0),
        Trial(3, {"x": 0.1, "mode": "fast"}, State.RUNNING, 1, created=1e9).after(
            Failed("ValueError: no"), 1
        ),
        ended(5, loss=4.0, size=1.0),
        ended(4, loss=2.0, size=1.0),
        ended(6, loss=1.0, size=9.0),
        Trial(7, {"x": 0.9}),
    ]
    history.merge(trials, 9)
    return history


def test_the_incumbent_improves_in_the_order_in_which_trials_ended() -> None:
    assert incumbent(example()) == [(0, 3.0), (1, 4.0), (4, 2.0)]  # 1 is the first feasible one
    assert incumbent(History(PROBLEM)) == []


def test_rows_say_what_a_person_asks_of_a_trial() -> None:
    table = rows(example())
    assert [row["number"] for row in table] == list(range(8))
    assert table[0] == {
        "number": 0,
        "state": "completed",
        "fidelity": None,
        "parent": None,
        "params": {"x": 0.5},
        "metrics": {"loss": 3.0, "size": 9.0},
        "reason": None,
        "created": "1970-01-01T00:00:00+00:00",
        "started": "1970-01-01T00:00:01+00:00",
        "ended": "1970-01-01T00:00:03.500000+00:00",
        "seconds": 2.5,
    }
    assert table[3]["reason"] == "ValueError: no"
    assert json.loads(json.dumps(table[7]))["created"] is None


def test_flat_rows_all_have_the_same_columns() -> None:
    table = flat(rows(example()))
    columns = [
        "number",
        "state",
        "fidelity",
        "parent",
        "params.x",
        "params.mode",
        "metrics.loss",
        "metrics.size",
        "reason",
    ]
    assert all(list(row)[: len(columns)] == columns for row in table)
    assert table[3]["params.mode"] == "fast"
    assert table[0]["params.mode"] is None


def test_a_data_frame_has_times_and_numbers() -> None:
    frame = to_pandas(rows(example()))
    assert len(frame) == 8
    assert str(frame["created"].dtype).startswith("datetime64")
    assert "UTC" in str(frame["created"].dtype)
    assert frame["seconds"].dtype == "float64"
    assert frame.loc[4, "metrics.loss"] == 2.0
    empty = to_pandas([])
    assert len(empty) == 0
    assert "number" in empty.columns


def test_the_uncertainty_is_the_standard_error_over_the_folds() -> None:
    scores = (0.8, 0.9, 1.0)
    folds = tuple(Report(i, {"score": s, "time": 1.0}) for i, s in enumerate(scores))
    trial = replace(ended(0, score=sum(scores) / 3), reports=folds)
    assert uncertainty(trial, "score") == pytest.approx(0.1 / math.sqrt(3))


def test_a_learning_curve_has_no_uncertainty() -> None:
    curve = tuple(Report(i, {"loss": 1 / (i + 1)}) for i in range(5))
    assert uncertainty(replace(ended(0, loss=0.2), reports=curve), "loss") is None
    assert uncertainty(replace(ended(0, loss=1.0), reports=curve[:1]), "loss") is None
    assert uncertainty(replace(ended(0, score=1.0), reports=curve), "loss") is None
    broken = (Report(0, {"loss": math.nan}), Report(1, {"loss": 1.0}))
    assert uncertainty(replace(ended(0, loss=math.nan), reports=broken), "loss") is None
