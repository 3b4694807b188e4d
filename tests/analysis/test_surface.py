import numpy as np
import pytest

from luthier.analysis import contour_of, distribution, slice_of, timeline
from luthier.errors import InvalidParams
from luthier.space import Choice, Float, Int, Space
from luthier.study import Completed, History, Objective, Problem, State, Trial
from tests.analysis.test_importance import FOUR, study


def test_a_slice_is_the_average_over_the_others_on_the_parameters_scale() -> None:
    space = Space(lr=Float(1e-4, 1, log=True), depth=Int(1, 3), kind=Choice("p", "q"))
    history = study(space, lambda p: np.log10(p["lr"]) + p["depth"] + (p["kind"] == "q"), 300)  # type: ignore[arg-type, operator, return-value]
    found = slice_of(history, "lr")
    values = np.array(found.values, dtype=float)
    assert 20 <= len(values) <= 48
    assert (np.diff(np.log10(values)) < 0.2).all()
    expected = np.log10(values) + 2.5
    assert np.abs(found.mean - expected).mean() < 0.25
    assert (found.sd >= 0).all()
    assert len(found.observed.numbers) == 300
    depth = slice_of(history, "depth")
    assert depth.values == (1, 2, 3)
    assert np.diff(depth.mean) == pytest.approx([1, 1], abs=0.25)
    kind = slice_of(history, "kind")
    assert kind.values == ("p", "q")
    assert np.diff(kind.mean) == pytest.approx([1], abs=0.2)


def test_trials_outside_the_space_are_on_no_axis() -> None:
    space = Space(x=Float(0, 1), n=Choice(10, 20))
    history = study(space, lambda p: p["x"], 30)  # type: ignore[arg-type, return-value]
    defaults = Trial(30, {"x": 0.5, "n": 100}, State.RUNNING, 1, started=0.0).after(
        Completed({"loss": 0.0}), 1
    )
    history.merge([defaults], 31)
    assert 30 not in slice_of(history, "n").observed.numbers
    assert 30 not in contour_of(history, "x", "n").observed.numbers


def test_a_slice_of_a_conditional_parameter_is_about_where_it_exists() -> None:
    space = Space(k=["u", "v"], x=Float(0, 1, when={"k": "u"}), y=Float(0, 1, when={"k": "v"}))
    history = study(space, lambda p: p["x"] if p["k"] == "u" else 10.0, 200)  # type: ignore[arg-type, return-value]
    found = slice_of(history, "x")
    assert found.mean == pytest.approx(np.array(found.values, dtype=float), abs=0.15)
    assert 0 < len(found.observed.numbers) < 200
    kinds = contour_of(history, "k", "x")
    assert np.isnan(kinds.mean[1]).all()
    assert kinds.mean[0] == pytest.approx(found.mean)
    with pytest.raises(InvalidParams, match="never exist together"):
        contour_of(history, "x", "y")


def test_a_contour_has_the_interaction() -> None:
    space = Space(a=Float(0, 1), b=Int(0, 9), c=Choice("p", "q"))
    history = study(space, lambda p: (p["a"] - 0.5) * (p["b"] - 4.5) * 4, 500)  # type: ignore[operator]
    found = contour_of(history, "a", "b")
    a, b = (np.array(values, dtype=float) for values in found.values)
    assert found.mean.shape == found.sd.shape == (len(a), 10)
    truth = np.outer(a - 0.5, b - 4.5) * 4
    assert np.corrcoef(found.mean.ravel(), truth.ravel())[0, 1] > 0.95
    turned = contour_of(history, "b", "a")
    assert turned.mean == pytest.approx(found.mean.T)
    assert contour_of(history, "c", "a").mean.shape == (2, len(a))
    with pytest.raises(InvalidParams, match="twice"):
        contour_of(history, "a", "a")


def test_a_contour_of_two_parents_knows_what_each_combination_means() -> None:
    space = Space(k=["u", "v"], m=["s", "t"], x=Float(0, 1, when={"k": "u"}), y=Float(0, 1, when={"m": "t"}))
    history = study(space, lambda p: 2.0 * (p["k"] == "v") + (p["m"] == "t"), 200)
    assert contour_of(history, "k", "m").mean == pytest.approx(np.array([[0, 1], [2, 3]]), abs=0.05)
    assert contour_of(history, "m", "k").mean == pytest.approx(np.array([[0, 2], [1, 3]]), abs=0.05)


def test_trials_that_overlap_have_lanes_of_their_own() -> None:
    history = History(Problem(FOUR, (Objective("loss", "min"),)))
    times = [(0, 4), (1, 2), (2, 3), (3, None), (5, 6)]
    trials = []
    for number, (start, end) in enumerate(times):
        state = State.RUNNING if end is None else State.COMPLETED
        trials.append(Trial(number, {}, state, 1, started=float(start), ended=end, metrics={"loss": 1.0}))
    history.merge([*trials, Trial(5, {})], 5)
    spans = timeline(history)
    assert [(span.number, span.lane, span.ended) for span in spans] == [
        (0, 0, 4),
        (1, 1, 2),
        (2, 1, 3),
        (3, 1, None),
        (4, 0, 6),
    ]


def test_the_distribution_goes_from_none_to_all() -> None:
    history = History(Problem(FOUR, (Objective("loss", "min"),)))
    history.merge(
        [
            Trial(i, {}, State.RUNNING, 1).after(Completed({"loss": v}), 1)
            for i, v in enumerate([3.0, 1.0, float("nan"), 2.0])
        ],
        4,
    )
    found = distribution(history)
    assert found.values.tolist() == [1, 2, 3]
    assert found.share == pytest.approx([1 / 3, 2 / 3, 1])
