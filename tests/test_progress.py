from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import luthier as lt
from luthier import progress
from luthier.analysis.table import number
from luthier.engine.engine import Status
from luthier.progress import display, html, view
from luthier.study import Budget, Completed, History, Objective, Problem, Report, State, StudySpec, Trial
from luthier.summary import duration, gain, summarize, to_json

SPEC = StudySpec(
    "first",
    Problem(lt.Space(x=lt.Float(0, 1)), (Objective("loss", "min"),)),
    algorithm=lt.Study(lt.Space(x=lt.Float(0, 1)), minimize="loss").spec.algorithm,
    budget=Budget(trials=10),
)


def history(n: int, *, running: int = 0, failed: int = 0) -> History:
    made = History(SPEC.problem)
    trials = [Trial(i, {"x": 0.5}, State.COMPLETED, metrics={"loss": 1 / (i + 1)}) for i in range(n)]
    trials += [Trial(n + i, {"x": 0.5}, State.FAILED, reason="no") for i in range(failed)]
    trials += [Trial(n + failed + i, {"x": 0.5}, State.RUNNING) for i in range(running)]
    made.merge(trials, 1)
    return made


@pytest.fixture
def study() -> Iterator[lt.Study]:
    made = lt.Study(lt.Space({"x<b>": lt.Float(0, 1)}), minimize="loss", trials=4)
    yield made
    made.close()


def test_the_view_says_what_is_done_what_is_best_and_how_long_it_takes() -> None:
    found = view(SPEC, history(4, running=2, failed=1), Status(10.0, 2, 2), began=(0.0, 0))
    assert found.done == 0.5
    assert str(found) == "5/10 trials, best loss 0.25 (#3), 2 busy, 1 failed, 2.0 s a trial, 10 s left"


def test_what_was_done_before_says_nothing_about_the_rate() -> None:
    found = view(SPEC, history(6, running=1), Status(1010.0, 1, 2), began=(1000.0, 5))
    assert found.left == "40 s left"
    assert found.busy == "1 of 2 busy"


def test_a_time_budget_bounds_what_is_left() -> None:
    spec = replace(SPEC, budget=Budget(trials=1000, seconds=30))
    found = view(spec, history(4), Status(10.0, 2, 2), began=(0.0, 0))
    assert found.left == "20 s left"
    assert found.done == pytest.approx(1 / 3)


def test_after_an_interrupt_it_says_what_is_waited_for() -> None:
    found = view(SPEC, history(4, running=2), Status(10.0, 2, 2, "interrupted"), began=(0.0, 0))
    assert found.ending == (
        "interrupted: waiting up to 10 s for 2 running trials; Ctrl-C again stops at once"
    )


def test_a_watcher_of_ones_own_is_called_as_it_is(study: lt.Study) -> None:
    def watch(history: History, status: Status) -> None: ...

    with display(study, watch) as found:
        assert found is watch
    with display(study, False) as nothing:
        assert nothing is None


def test_without_a_terminal_lines_are_few_and_the_last_one_is_whole(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lt.tune(
        lambda x: x, lt.Space(x=lt.Float(0, 1)), minimize="loss", trials=2000, algorithm="random", name=None
    )
    said = capsys.readouterr()
    assert said.out == ""
    lines = [line for line in said.err.splitlines() if "trials" in line]
    assert lines[-1].startswith("study: 2000/2000 trials, best loss ")
    assert len(lines) <= 10


def test_nothing_is_said_where_nothing_was_done(study: lt.Study, capsys: pytest.CaptureFixture[str]) -> None:
    with display(study, True) as watch:
        assert watch is not None
        watch(history(4), Status(1.0, 0, 1, "4 of 4 trials are done"))
    assert capsys.readouterr().err == ""


def test_watching_costs_next_to_nothing_when_nothing_is_drawn(study: lt.Study) -> None:
    from timeit import timeit

    now, status = history(4, running=1), Status(1.0, 1, 1)
    with progress._plain(study, io.StringIO()) as watch:
        watched = timeit(lambda: watch(now, status), number=20_000)
    drawn = timeit(lambda: str(view(SPEC, now, status, (0.0, 0))), number=2_000) * 10
    assert watched < drawn / 3


class Handle:
    """What IPython's display gives back, as far as it is used."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def update(self, shown: str) -> None:
        self.shown.append(shown)


def test_a_notebook_is_updated_in_place(monkeypatch: pytest.MonkeyPatch, study: lt.Study) -> None:
    handle = Handle()
    ipython, module = ModuleType("IPython"), ModuleType("IPython.display")
    ipython.__dict__["get_ipython"] = lambda: SimpleNamespace(kernel=object())
    module.__dict__.update(HTML=lambda text: text, display=lambda shown, display_id: handle)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    with display(study, True) as watch:
        assert watch is not None
        for _ in range(1000):
            watch(history(3, running=1), Status(1.0, 1, 1))
    assert 2 <= len(handle.shown) <= 4
    assert "3/4 trials" in handle.shown[0]
    assert handle.shown[-1] == html(study)


class Balanced(HTMLParser):
    """Every tag that is opened is closed, and none is a script."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.add(tag)
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_study_in_a_notebook_is_plain_escaped_html(study: lt.Study) -> None:
    for loss in (0.5, 0.3, 0.4, 0.1):
        study.tell(study.ask(), loss)
    text = study._repr_html_()
    found = Balanced()
    found.feed(text)
    assert found.open == []
    assert found.seen >= {"svg", "polyline", "table"}
    assert not found.seen & {"b", "script"}
    assert "x&lt;b&gt;" in text
    assert "best loss 0.1 (#3)" in text


def test_an_empty_study_has_html_too(study: lt.Study) -> None:
    assert "0 trials" in html(study)


# --- the words ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.028, "28 ms"),
        (0.42, "0.4 s"),
        (9.9, "9.9 s"),
        (49, "49 s"),
        (200, "3 min 20 s"),
        (3900, "1 h 05 min"),
    ],
)
def test_durations_have_about_two_digits(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("value", "error", "said"),
    [
        (0.978312, 0.00312, "0.9783 ± 0.0031"),
        (123.456, 12.0, "123 ± 12"),
        (0.5, None, "0.5"),
        (0.5, 0.0, "0.5 ± 0"),
        (float("nan"), 0.1, "nan"),
    ],
)
def test_numbers_have_the_digits_that_their_error_warrants(
    value: float, error: float | None, said: str
) -> None:
    assert number(value, error) == said


def scored(number: int, folds: list[float]) -> Trial:
    reports = tuple(Report(i, {"acc": value}) for i, value in enumerate(folds))
    trial = Trial(number, {}, State.RUNNING, reports=reports)
    return trial.after(Completed({"acc": sum(folds) / len(folds)}), 1)


def test_a_gain_is_real_where_the_folds_agree_on_it() -> None:
    goal = Objective("acc", "max")
    start = scored(0, [0.80, 0.90, 0.70])
    sure = gain(scored(1, [0.82, 0.921, 0.719]), start, goal)
    assert sure.real is True
    assert sure.value == pytest.approx(0.02)
    assert gain(scored(2, [0.90, 0.85, 0.72]), start, goal).real is False
    assert gain(scored(3, [0.79, 0.889, 0.69]), start, goal).value == pytest.approx(-0.0103, abs=1e-3)
    assert gain(Trial(4, {}, State.COMPLETED, metrics={"acc": 0.9}), start, goal).real is None


def test_a_summary_names_five_of_those_that_are_alike_and_counts_the_rest() -> None:
    study = lt.Study(lt.Space(x=lt.Float(0, 1)), minimize="loss", trials=20)

    def scored(folds: list[float]) -> None:
        with study.trial() as trial:
            for fold, loss in enumerate(folds):
                trial.report(fold, loss=loss)
            trial.result = sum(folds) / len(folds)

    scored([0.5, 0.25, 0.75])
    assert "alike" not in str(summarize(study))
    for _ in range(3):
        scored([5.5, 5.25, 5.75])
    assert "none of the other 3: #0 is better by more than noise" in str(summarize(study))
    study.tell(study.ask(), error="no")
    scored([0.5, 0.25, 0.75])
    assert "2 of 5 with all folds cannot be told apart from the best: #0 #5\n" in str(summarize(study))
    for _ in range(5):
        scored([0.5, 0.25, 0.75])
    said = str(summarize(study))
    assert "7 of 10 with all folds cannot be told apart from the best: #0 #5 #6 #7 #8 and 2 more" in said
    assert to_json(study)["plausible"] == [0, 5, 6, 7, 8, 9, 10]
