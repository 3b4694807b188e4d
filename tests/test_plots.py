"""Every plot of every kind of study can be drawn, in every form; what is in it is right."""

import math
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import luthier as lt
from luthier.errors import InvalidParams, InvalidStudy, LuthierError, MissingExtra, UnknownName
from luthier.plots import KINDS, picture, save
from luthier.plots.files import save as save_file
from luthier.plots.picture import Field, Line, Points
from luthier.plots.scales import View, decades, even, ticks, written
from luthier.plots.web import to_plotly
from luthier.space import Choice, Float, Int, Normal, Params, Space
from luthier.study import Completed, Constraint, Failed, History, Objective, Problem, State, Stopped, Trial

SPACE = Space(
    {
        "lr": Float(1e-4, 1, log=True),
        "model": Choice({"<svm> & $co": {"C": Float(0.1, 10, log=True)}, "tree": {"depth": Int(1, 20)}}),
        "momentum": Float(0, 0.999, log="reverse"),
        "mu": Float(prior=Normal(0, 1)),
        "width": Choice(16, 32, 64, ordered=True),
        "epochs": 10,
    }
)


def loss(p: Params) -> float:
    return (math.log10(p["lr"]) + 2) ** 2 + p.get("C", 4.0) / 10  # type: ignore[arg-type, operator]


def study(n: int = 40, *, goal: str = "min", odd: bool = True, space: Space = SPACE) -> History:
    """Trials on two workers, with failures, stops, a NaN, an outlier, an infeasible one, a break and one that runs."""
    history = History(Problem(space, (Objective("loss", goal),), (Constraint("size", high=1.0),)))  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    special: dict[int, Any] = {
        3: Failed("ValueError: no"),
        5: Stopped("too slow"),
        7: Completed({"loss": math.nan, "size": 0.0}),
        9: Completed({"loss": 1e9 if goal == "min" else -1e9, "size": 0.0}),
        11: Completed({"loss": 2.0, "size": 2.0}),
    }
    trials = []
    for i in range(n):
        params = space.sample(rng)
        start = 1e9 + 10 * (i // 2) + (7200 if i > n // 2 else 0)
        running = Trial(i, params, State.RUNNING, 1, started=start, ended=start + 8, worker=f"host/{i % 2}")
        said = Completed({"loss": loss(params) if "lr" in space else 1.0 * i, "size": 0.0})
        trials.append(running.after(special.get(i, said) if odd else said, 1))
    if odd:
        trials.append(Trial(n, space.sample(rng), State.RUNNING, 1, started=1e9 + 9000))
        trials.append(Trial(n + 1, space.sample(rng)))
    history.merge(trials, n)
    return history


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_drawn_in_every_form(kind: str, tmp_path: Path) -> None:
    history = study()
    drawn = picture(history, kind)
    for form in ("svg", "png"):
        save_file(drawn, tmp_path / f"plot.{form}", form)
    ET.parse(tmp_path / "plot.svg")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    figure = to_plotly(drawn)
    assert drawn.title in figure.layout.title.text
    assert len(figure.data) >= 1
    assert figure.to_json()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("goal", ["min", "max"])
def test_a_plain_study_is_drawn_too(kind: str, goal: str, tmp_path: Path) -> None:
    history = study(12, goal=goal, odd=False, space=Space(x=Float(0, 1), k=["a", "b"]))
    save(history, kind, tmp_path / "plot.svg")
    assert to_plotly(picture(history, kind)).data


def test_a_page_needs_no_network(tmp_path: Path) -> None:
    save(study(), "history", tmp_path / "plot.HTML")
    page = (tmp_path / "plot.HTML").read_text(encoding="utf-8")
    assert "Plotly.newPlot" in page
    assert '<script src="http' not in page


def test_the_same_picture_is_the_same_file(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        save(study(), "parallel", tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_history_shows_what_failed_what_was_stopped_and_the_best() -> None:
    (panel,) = picture(study(), "history").panels
    marks = {mark.label: mark for mark in panel.marks if isinstance(mark, Points | Line)}
    assert {"completed", "breaks a constraint", "stopped (1)", "failed (1)", "best so far"} <= set(marks)
    assert list(marks["failed (1)"].x) == [3]
    assert "ValueError: no" in marks["failed (1)"].texts[0]
    best = study().best()
    assert best is not None
    assert any(label is not None and label.endswith(f"(#{best.number})") for label in marks)
    assert "1 trial is far worse" in picture(study(), "history").note
    running = np.asarray(marks["best so far"].y)
    assert (np.diff(running) <= 0).all()


def test_parallel_has_a_place_for_what_does_not_exist() -> None:
    drawn = picture(study(), "parallel")
    words = [word for mark in drawn.panels[0].marks if hasattr(mark, "words") for word in mark.words]
    assert words.count("not active") == 2
    assert "no value" in words
    assert "epochs" not in str(drawn.panels[0].x.ticks)


def test_slices_and_contours_are_of_what_is_named_or_of_what_matters() -> None:
    history = study(80)
    assert [panel.x.title for panel in picture(history, "slice", ["C", "mu"]).panels] == [
        "C (log scale)",
        "mu (by its prior)",
    ]
    assert picture(history, "slice").panels[0].x.title == "lr (log scale)"
    drawn = picture(history, "contour", ["C", "model"])
    (field,) = (mark for mark in drawn.panels[0].marks if isinstance(mark, Field))
    assert np.isnan(field.values[:, 1]).all()
    assert "do not exist together" in drawn.note
    assert "lr" in picture(history, "contour").title


def test_what_cannot_be_drawn_is_said_with_a_remedy(tmp_path: Path) -> None:
    history = study()
    with pytest.raises(UnknownName, match=r"no plot 'histroy'\. Did you mean 'history'"):
        picture(history, "histroy")
    with pytest.raises(
        InvalidParams, match=r"'momentun' is not a parameter of this study\. Did you mean 'momentum'"
    ):
        picture(history, "slice", ["momentun"])
    with pytest.raises(InvalidParams, match="'epochs' is fixed at 10"):
        picture(history, "slice", ["epochs"])
    with pytest.raises(InvalidParams, match="never exist together"):
        picture(history, "contour", ["C", "depth"])
    with pytest.raises(InvalidStudy, match="takes two parameters, not 1"):
        picture(history, "contour", ["C"])
    with pytest.raises(InvalidStudy, match="Leave the names out"):
        picture(history, "history", ["C"])
    with pytest.raises(InvalidStudy, match=r"ends in '\.jpg'; plots are written as \.html, \.svg or \.png"):
        save(history, "history", tmp_path / "plot.jpg")
    with pytest.raises(InvalidStudy, match="cannot write"):
        save(history, "history", tmp_path / "nowhere" / "plot.svg")
    with pytest.raises(LuthierError, match="at least 10"):
        picture(study(8), "importance")
    with pytest.raises(InvalidStudy, match="exist together"):
        picture(study(12, odd=False, space=Space(x=Float(0, 1))), "contour")
    for kind in KINDS:
        with pytest.raises(LuthierError, match=r"no trial has|at least 10"):
            picture(study(0, odd=False), kind)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "plotly.graph_objects", None)
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r"needs plotly.*luthier\[plot\]"):
        save(study(), "history", tmp_path / "plot.html")
    with pytest.raises(MissingExtra, match=r"A plot as PNG needs matplotlib.*luthier\[plot\]"):
        save(study(), "history", tmp_path / "plot.png")


def test_a_study_answers_itself() -> None:
    space = Space(x=Float(0, 1), y=Float(0, 1))
    made = lt.Study(space, minimize="loss", algorithm="random")
    for _ in range(30):
        trial = made.ask()
        made.tell(trial, float(trial.params["x"]))  # type: ignore[arg-type]
    assert made.importance()[0].parameter == "x"
    mean, sd = made.predict({"x": 0.9, "y": 0.5})
    assert mean == pytest.approx(0.9, abs=0.2)
    assert 0 < sd < 0.3
    assert made.slice("x").name == "x"
    assert made.contour("x", "y").names == ("x", "y")
    plots = made.plot
    figures = [plots.history(), plots.parallel(), plots.slice("x"), plots.contour("x", "y"), plots.contour()]
    figures += [plots.importance(), plots.timeline(), plots.distribution()]
    assert [type(figure).__name__ for figure in figures] == ["Figure"] * 8


def test_ticks_are_round_and_where_they_belong() -> None:
    assert ticks(Float(1e-4, 1, log=True)) == tuple(
        (pytest.approx(i / 4), text) for i, text in enumerate(["0.0001", "0.001", "0.01", "0.1", "1"])
    )
    assert [text for _, text in ticks(Float(0, 0.999, log="reverse"))] == ["0", "0.9", "0.99", "0.999"]
    assert [text for _, text in ticks(Int(1, 4))] == ["1", "2", "3", "4"]
    assert [text for _, text in ticks(Int(1, 1000, log=True))] == ["1", "10", "100", "1000"]
    assert [text for _, text in ticks(Choice("a", None, True))] == ["a", "None", "True"]
    assert ticks(Float(0.3, 0.30001))[0][1] == "0.3"
    assert even(0, 1) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert even(3, 3) == [3]
    assert decades(0.1, 1) == [0.1, 0.2, 0.5, 1.0]
    assert decades(1e-12, 1e12) == [1e-12, 1e-8, 1e-4, 1, 1e4, 1e8, 1e12]
    assert written(1e-05) == "1e-5"
    assert len(written("x" * 50)) == 16


def test_an_axis_of_the_objective_always_has_room() -> None:
    flat = History(Problem(SPACE, (Objective("loss", "max"),)))
    flat.merge([Trial(0, {}, State.RUNNING, 1).after(Completed({"loss": 1.0}), 1)], 1)
    view = View(flat.problem.objective, flat.values)
    assert view.low < 1.0 < view.high
    assert picture(flat, "distribution").panels


def test_axes_reach_to_the_ends_of_what_numbers_there_are() -> None:
    assert decades(1e-300, 1e300)[::3] == [1e-300, 1.0, 1e300]
    assert decades(1e300, 1.7e308)[-1] == 1e308
    assert even(-1.7e308, 1.7e308) == [-1e308, 0.0, 1e308]
    for values in ([1e308, -1e308, 1.0, 2.0], [5e-324, 1.0, 1e308, 1e308, 1e300], [1e308], [1e308, 1e308]):
        for goal in ("min", "max"):
            view = View(Objective("loss", goal), np.array(values))
            assert np.isfinite([*view.span, *view.unit(values), *(place for place, _ in view.ticks())]).all()
