"""Explore, curves, timeline: what is drawn is what the library says, never too much of it, and no study is too odd."""

from __future__ import annotations

import csv
import gzip
import io
import math
import re
from typing import Any
from urllib.parse import quote, urlencode

import numpy as np
import pytest

import luthier as lt
from luthier.analysis.filtering import parse
from luthier.clock import VirtualClock
from luthier.space import Scalar
from luthier.store.url import open_store
from luthier.studio.columns import Columns
from luthier.studio.explore.axes import axis_of, of_parameter, telling
from luthier.studio.explore.models import history_of
from luthier.studio.looking import Shown, filtered
from luthier.study import (
    Budget,
    Completed,
    Constraint,
    Failed,
    History,
    Named,
    Objective,
    Problem,
    Proposal,
    Record,
    Report,
    State,
    Stopped,
    StudySpec,
)
from tests.studio.conftest import Book, Served

SPACE = lt.Space(
    lr=lt.Float(1e-5, 1e-1, log=True),
    kernel=lt.Choice("rbf", "poly", None),
    degree=lt.Int(2, 5, when={"kernel": "poly"}),
    width=lt.Choice(32, 64, 128, ordered=True),
    n=lt.Int(1, 1000),
    epochs=10,
)
VIEWS = ("parallel", "scatter", "slice", "contour", "importance", "curves", "timeline")
ODD = "<img src=x onerror=alert(1)>"
LIMIT = 100_000
"""Bytes of an answer, compressed, whatever the study."""


def fill(book: Book, name: str, trials: int, space: lt.Space = SPACE, chunk: int = 2_000) -> None:
    """A study made directly in the store."""
    rng = np.random.default_rng(0)
    problem = Problem(space, (Objective("loss", "min"),), (Constraint("size", high=90.0),))
    book.study(name, problem=problem, budget=Budget(trials=trials))
    for start in range(0, trials, chunk):
        points = [space.sample(rng) for _ in range(min(chunk, trials - start))]
        made = book.store.propose(name, [Proposal(point) for point in points], claim=("w", 1e9))
        said = [Record(t.number, 1, _outcome(t.number, t.params, rng)) for t in made]
        book.store.record(name, said)


def _outcome(number: int, params: object, rng: np.random.Generator) -> Completed | Failed:
    point = dict(params)  # type: ignore[call-overload]
    if number % 97 == 5:
        return Failed("no")
    loss = (math.log10(point["lr"]) + 3) ** 2 + (point.get("kernel") == "poly") + 0.1 * rng.normal()
    return Completed({"loss": loss, "size": float(rng.uniform(0, 100))})


def chart(served: Served, study: str, view: str, **query: object) -> Any:
    answer = served.get(f"/s/{quote(study)}/explore/{view}.json?{urlencode(query, doseq=True)}")
    assert answer.status == 200, answer.text
    return answer.json


def part(served: Served, study: str, view: str, **query: object) -> str:
    answer = served.get(f"/s/{quote(study)}/explore/part?{urlencode({'view': view, **query}, doseq=True)}")
    assert answer.status == 200
    return answer.text


# --- columns --------------------------------------------------------------------------------------


def test_a_filter_means_the_same_trials_in_columns_as_in_whole_trials() -> None:
    store = open_store("memory", clock=VirtualClock(1e9))
    problem = Problem(SPACE, (Objective("loss", "min"),), (Constraint("size", high=90.0),))
    store.create(StudySpec("s", problem, Named("random"), budget=Budget(trials=9)))
    rng = np.random.default_rng(1)
    shown, history = Shown(store, "s", VirtualClock(1e9)), History(problem)
    for _ in range(3):  # what changed is taken in, too
        made = store.propose("s", [Proposal(SPACE.sample(rng)) for _ in range(40)], claim=("w", 1e9))
        store.record("s", [Record(t.number, 1, _outcome(t.number, t.params, rng)) for t in made[:35]])
        store.remember("s", {"tag 3 keep": True, "tag 50 keep": True})
        found = store.changed("s", history.cursor)
        history.merge(found.trials, found.cursor)
        shown.refresh(found.cursor)
        for text in (
            "",
            "score<1 lr:1e-4..1e-2",
            "kernel:rbf,None -degree:3",
            "degree>2",
            "degree:none",
            "state:completed,-failed width>32",
            "size:..50 number:10..",
            "tag:keep",
            "state:running",
        ):
            wanted = parse(text, problem).pick(list(history), {"keep": [3, 50]})
            assert filtered(shown, text).tolist() == [trial.number for trial in wanted], text


def test_trials_are_in_the_order_of_a_column_with_those_without_a_value_last() -> None:
    columns = Columns(Problem(SPACE, (Objective("loss", "min"),)))
    store = open_store("memory")
    store.create(StudySpec("s", columns.problem, Named("random"), budget=Budget(trials=9)))
    rng = np.random.default_rng(2)
    points = [SPACE.sample(rng) for _ in range(50)]
    store.propose("s", [Proposal(point) for point in points])
    columns.merge(store.brief("s"))
    assert np.isnan(columns.param("lr")).all()  # not known yet
    columns.learn(store.params("s", 0, 20))
    columns.learn(store.params("s", 20))
    for name, falling in (("lr", False), ("lr", True), ("degree", True)):
        order = columns.sorted("param", name, falling).tolist()
        there = [n for n in order if name in points[n]]
        assert order[: len(there)] == there
        values = [points[n][name] for n in there]
        assert values == sorted(values, reverse=falling)


@pytest.mark.parametrize("name", [name for name in SPACE if SPACE[name].size != 1])
def test_a_value_is_where_its_parameter_has_it(name: str) -> None:
    axis, parameter = of_parameter(name, SPACE[name]), SPACE[name]
    values = parameter.from_unit(np.linspace(0, 1, 41).tolist())
    codes = [parameter.index(v) if isinstance(parameter, lt.Choice) else v for v in values]
    assert axis.at(np.array(codes, float)) == pytest.approx(parameter.to_unit(values), abs=2e-4)
    pieces, n = axis.bins(np.array([*codes, math.nan], float), 24)
    assert pieces[-1] == -1
    assert set(pieces[:-1].tolist()) == set(range(n))
    assert sorted(pieces[:-1].tolist()) == pieces[:-1].tolist()


def test_the_history_of_columns_gives_the_same_importance(book: Book, studio: Served) -> None:
    fill(book, "same", 150)
    study = lt.load("same", str(studio.opened.studio.shelf.url))
    wanted = study.importance()
    shown = studio.opened.studio.shelf.study("same")
    shown.learn()
    columns = shown.columns
    kept = np.flatnonzero(~np.isnan(columns.values))
    assert [t.params for t in history_of(columns, kept)] == [
        dict(t.params) for t in study.trials if t.state is State.COMPLETED
    ]
    found = chart(studio, "same", "importance")
    assert found["names"] == [item.parameter for item in wanted]
    assert found["shares"] == [round(item.share, 4) for item in wanted]
    told = study.contour("lr", "n")
    drawn = chart(studio, "same", "contour", x="lr", y="n")
    assert np.array(drawn["shades"]).shape == told.mean.shape
    best = np.unravel_index(np.argmin(told.mean), told.mean.shape)
    assert drawn["shades"][best[0]][best[1]] == 20
    assert telling(columns)[0] == "lr" == wanted[0].parameter
    study.close()


# --- pages ----------------------------------------------------------------------------------------


def test_no_answer_is_large_however_many_trials_there_are(book: Book, studio: Served) -> None:
    fill(book, "large", 20_000)
    for view in VIEWS:
        for path in (f"explore/{view}.json", f"explore/part?view={view}"):
            answer = studio.get(f"/s/large/{path}", accept_encoding="gzip")
            assert answer.status == 200
            assert len(answer.body) < LIMIT, path
            if answer.headers.get("content-encoding") == "gzip":
                assert len(gzip.decompress(answer.body)) < 8 * LIMIT, path
    many = chart(studio, "large", "parallel")
    assert len(many["numbers"]) == 300
    assert all(sum(cell[2] for cell in pair) == 20_000 for pair in many["bands"]["pairs"])
    assert "300 of 20,000" in part(studio, "large", "parallel")
    assert "sample of 10,000" in part(studio, "large", "importance")
    few = chart(studio, "large", "parallel", f="kernel:rbf lr:1e-3..2e-3")
    assert "bands" not in few
    dense = chart(studio, "large", "scatter", x="lr", y="score", color="width")
    assert sum(cell[2] for cell in dense["density"]) == len(filtered(_shown(studio, "large"), "-score:none"))
    rows = studio.get("/s/large/trials?by=-lr&from=19000&f=kernel:rbf").text
    assert 'aria-sort="descending"' in rows


def _shown(served: Served, name: str) -> Shown:
    return served.opened.studio.shelf.study(name)


def test_a_filter_holds_for_every_panel_and_for_the_leaderboard(book: Book, studio: Served) -> None:
    fill(book, "s", 120)
    kept = filtered(_shown(studio, "s"), "kernel:poly score<3").tolist()
    assert 5 < len(kept) < 60
    for view in ("parallel", "scatter", "slice"):
        assert sorted(chart(studio, "s", view, f="kernel:poly score<3")["numbers"]) == kept
    board = studio.get("/s/s/trials?f=kernel:poly+score<3&by=lr").text
    listed = [int(n) for n in re.findall(r'id="trial-(\d+)"', board)]
    assert sorted(listed) == kept[: len(listed)] if len(kept) <= 50 else len(listed) == 50
    lrs = _shown(studio, "s").columns.param("lr")[listed]
    assert (np.diff(lrs) >= 0).all()
    assert f"{len(kept)} of 120 trials fit" in part(studio, "s", "parallel", f="kernel:poly score<3")


def test_a_filter_that_cannot_be_read_is_said_at_its_field(book: Book, studio: Served) -> None:
    fill(book, "s", 12)
    for path in ("explore", "curves", "timeline", "trials"):
        page = studio.get(f"/s/s/{path}?f=kernal:rbf").text
        assert "Did you mean &#39;kernel&#39;?" in page
        assert 'aria-invalid="true"' in page
        assert 'value="kernal:rbf"' in page


def test_limits_become_the_filter_in_the_address(book: Book, studio: Served) -> None:
    fill(book, "s", 30)

    def after(**query: object) -> str:
        answer = studio.get(f"/s/s/explore?{urlencode(query, doseq=True)}")
        assert answer.status == 303
        return answer.headers["location"]

    low = after(**{"f": "score<9", "low.lr": "1e-4", "high.lr": "", "only.kernel": ["rbf", "None"]})
    assert low == "/s/s/explore?f=score%3C9+lr%3A0.0001..+kernel%3Arbf%2CNone"
    assert (
        after(f="lr:1e-4.. kernel:rbf", **{"low.lr": "", "high.lr": "", "only.kernel": ""}) == "/s/s/explore"
    )
    same = after(f="lr:1e-4.. kernel:rbf", **{"low.lr": "0.0001", "high.lr": "", "only.kernel": "rbf"})
    assert same == "/s/s/explore?f=lr%3A1e-4..+kernel%3Arbf"  # what is as it was is not written anew
    assert after(**{"place.lr": "0.5..1"}) == "/s/s/explore?f=lr%3A0.001.."
    assert after(f="lr:1e-4..", **{"place.lr": "0..1"}) == "/s/s/explore"
    assert after(**{"place.kernel": "0..0.4"}) == "/s/s/explore?f=kernel%3Arbf"
    assert after(right="lr", axes=["lr", "n"]) == "/s/s/explore?axes=n&axes=lr"
    assert after(**{"pick.trial": ["3", "7"]}) == "/s/s/explore?sel=3%2C7"
    assert after(pick="none") == "/s/s/explore?axes="
    assert len(chart(studio, "s", "parallel", axes="")["axes"]) == 1


def test_selected_trials_are_drawn_even_where_a_filter_leaves_them_out(book: Book, studio: Served) -> None:
    fill(book, "s", 40)
    found = chart(studio, "s", "parallel", f="number:0..10", sel="30,99999")
    assert found["selected"] == [30]
    assert 30 in found["numbers"]
    page = studio.get("/s/s/explore?sel=30,31").text
    assert "/compare?t=s%3A30&amp;t=s%3A31" in page or "/compare?t=s:30&amp;t=s:31" in page


def test_few_trials_are_said_to_be_few(book: Book, studio: Served) -> None:
    fill(book, "s", 7)
    for view in ("importance", "contour"):
        assert chart(studio, "s", view)["empty"] is True
        assert "Needs 10 finished trials; there are 6" in part(studio, "s", view)
    assert "Needs 10 finished trials" in part(studio, "s", "slice")
    fill(book, "t", 20)
    assert "Low confidence" in part(studio, "t", "importance")


def test_the_numbers_of_a_chart_are_a_table_and_csv(book: Book, studio: Served) -> None:
    space = lt.Space({"=SUM(A1)": lt.Choice("=1+1", "b"), "x": lt.Float(0, 1)})
    fill_odd(book, space, 20)
    answer = studio.get("/s/odd/explore/parallel.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.reader(io.StringIO(answer.text)))
    assert len(rows) == 21
    assert "'=SUM(A1)" in rows[0]
    assert not any(cell.startswith("=") for row in rows for cell in row)
    for view in VIEWS:
        assert studio.get(f"/s/odd/explore/{view}.csv").status == 200


def fill_odd(book: Book, space: lt.Space, trials: int) -> None:
    rng = np.random.default_rng(0)
    book.study("odd", problem=Problem(space, (Objective("loss", "min"),)))
    for _ in range(trials):
        params: dict[str, Scalar] = dict(space.sample(rng))
        (trial,) = book.store.propose("odd", [Proposal(params)], claim=("w", 60.0))
        book.store.record("odd", [Record(trial.number, 1, Completed({"loss": float(rng.normal())}))])


def test_a_nasty_study_has_every_panel(book: Book, studio: Served) -> None:
    long = "x" * 300
    space = lt.Space(
        {ODD: lt.Float(0, 1), long: lt.Int(1, 10**9, log=True), "state": lt.Choice("=1+1", "🎻", None, True, 1, 1.0, ""), 'a b,c"d': lt.Float(-1, 1)}
    )  # fmt: skip
    rng = np.random.default_rng(0)
    book.study("nasty", problem=Problem(space, (Objective("loss", "min"),)))
    for i, value in enumerate(
        [math.inf, -math.inf, math.nan, 1e308, -1e308, 0.0, None, *rng.normal(size=12)]
    ):
        odd: dict[int, dict[str, Scalar]] = {8: {ODD: None}, 9: {long: 10**400}, 10: {"state": "else"}}
        params = {**space.sample(rng), **odd.get(i, {})}
        (trial,) = book.store.propose("nasty", [Proposal(params)], claim=("w", 60.0))
        steps = [Record(i, 1, Report(s, {"loss": v})) for s, v in enumerate([math.nan, math.inf, 1.0])]
        end = (
            Failed("no") if value is None else Completed({"loss": float(value), "<b>": 1.0, "=cmd": float(i)})
        )
        book.store.record("nasty", [*steps, Record(trial.number, 1, end)])
    for name, outcome in (("none", None), ("one", 1.0), ("failed", Failed("no"))):
        book.study(name)
        if outcome is not None:
            book.trial(name, outcome)
    filters = ("", "score:none", '"a b,c""d":0.. params.state:1', '"metrics.=cmd">1')
    for study in ("nasty", "none", "one", "failed"):
        for view in VIEWS:
            for f in filters if study == "nasty" else ("",):
                chart(studio, study, view, f=f, sel="0,1,2,8,9", x=ODD, y="score", color="seconds")
                text = part(studio, study, view, f=f, sel="0,1,2,8,9")
                assert ODD not in text
                assert 'class="trouble"' not in text, (study, view, f, text)
            page = studio.get(
                f"/s/{study}/{view if view in ('curves', 'timeline') else f'explore?view={view}'}"
            )
            assert page.status == 200
            assert ODD not in page.text
    assert studio.get("/s/nasty/explore/trial-9.json").status == 200
    assert studio.get("/s/nasty/explore/trial-99.json").status == 404
    assert studio.get("/s/nasty/explore/else.json").status == 404


# --- curves and timeline --------------------------------------------------------------------------


def test_curves_are_a_band_the_best_and_where_others_were_stopped(book: Book, studio: Served) -> None:
    name = book.study()
    for i in range(30):
        height = 0.1 * i
        values = [height + 1 / (step + 1) for step in range(20)]
        if i % 3 == 1:
            book.trial(name, Stopped("enough"), *values[:7])
        else:
            book.trial(name, None if i == 29 else values[-1], *values)
    found = chart(studio, name, "curves")
    assert found["kind"] == "curves"
    band = found["band"]
    assert [row[0] for row in band] == list(range(20))
    first = np.quantile([0.1 * i + 1 for i in range(30)], [0.1, 0.5, 0.9])
    assert band[0][1:] == pytest.approx(first, rel=1e-4)
    last = np.quantile([0.1 * i + 0.05 for i in range(30) if i % 3 != 1], [0.1, 0.5, 0.9])
    assert band[-1][1:] == pytest.approx(last, rel=1e-4)
    assert len(found["lines"]) == 20
    assert len(found["ends"]) == 10
    assert {line["state"] for line in found["lines"]} == {"completed", "running"}
    assert "10 of them were stopped early" in part(studio, name, "curves")
    by_time = chart(studio, name, "curves", by="seconds", f="number:1..5", sel="4")
    assert by_time["by"] == "seconds"
    assert 4 in [line["number"] for line in by_time["lines"]]


def test_long_curves_are_outlined(book: Book, studio: Served) -> None:
    name = book.study()
    for i in range(25):
        book.trial(name, 0.5, *(math.sin(step / 9 + i) for step in range(3_000)))
    answer = studio.get(f"/s/{name}/explore/curves.json", accept_encoding="gzip")
    assert len(answer.body) < LIMIT
    found = chart(studio, name, "curves")
    assert all(len(line["points"]) <= 242 for line in found["lines"])
    assert len(found["band"]) <= 120


def test_folds_are_shown_by_trial(book: Book, studio: Served) -> None:
    name = book.study()
    for i in range(6):
        book.trial(name, 0.1 * i + 0.02, 0.1 * i, 0.1 * i + 0.02, 0.1 * i + 0.04)
    found = chart(studio, name, "curves")
    assert found["kind"] == "folds"
    assert [one["number"] for one in found["trials"]] == [0, 1, 2, 3, 4, 5]
    assert "0.04 apart" in part(studio, name, "curves")


def test_a_timeline_has_a_lane_for_each_trial_that_runs_at_once(place: object, serve: object) -> None:
    clock = VirtualClock(1.7e9)
    store = open_store(str(place), clock=clock)
    store.create(
        StudySpec("s", Problem(SPACE, (Objective("loss", "min"),)), Named("random"), budget=Budget(trials=9))
    )
    rng = np.random.default_rng(0)
    for i in range(6):
        pair = store.propose("s", [Proposal(SPACE.sample(rng)) for _ in range(2)], claim=("w", 1e9))
        clock.sleep(10.0)
        store.record("s", [Record(pair[0].number, 1, Failed("no") if i == 2 else Completed({"loss": 1.0}))])
        clock.sleep(5.0)
        store.record("s", [Record(pair[1].number, 1, Completed({"loss": 2.0}))])
    store.close()
    served: Served = serve()  # type: ignore[operator]
    found = chart(served, "s", "timeline")
    assert found["lanes"] == 2
    assert len(found["bars"]) == 12
    assert found["whole"] == pytest.approx(90.0, abs=0.1)
    text = part(served, "s", "timeline")
    assert "12 trials" in text
    assert "busy 83% of the time" in text
    zoomed = chart(served, "s", "timeline", **{"from": 31, "to": 44})
    assert [bar[4] for bar in zoomed["bars"]] == [4, 5]


def test_the_page_of_a_study_has_its_panels(book: Book, studio: Served) -> None:
    fill(book, "s", 20)
    page = studio.get("/s/s").text
    assert 'data-src="/s/s/explore/parallel.json"' in page
    assert 'data-src="/s/s/explore/importance.json"' in page
    small = part(studio, "s", "parallel", small=1)
    assert "Explore these trials" in small
    assert ".csv" not in small


def test_axes_of_anything_that_can_be_measured(book: Book, studio: Served) -> None:
    fill(book, "s", 20)
    columns = _shown(studio, "s").columns
    assert axis_of(columns, "nothing") is None
    assert axis_of(columns, "epochs") is None
    for key in ("score", "number", "seconds", "metrics.size", "size", "lr"):
        axis = axis_of(columns, key)
        assert axis is not None
        assert (np.diff(axis.places) > 0).all()
