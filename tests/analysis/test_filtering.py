"""One line says which trials are meant, the same everywhere."""

from __future__ import annotations

import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

import luthier as lt
from luthier.analysis.filtering import coded, parse, range_text, written
from luthier.errors import InvalidFilter
from luthier.study import Completed, Constraint, Fidelity, Objective, Problem, State, Stopped, Trial

SPACE = lt.Space(
    {
        "lr": lt.Float(1e-5, 1, log=True),
        "depth": lt.Choice(3, 5, 9, None),
        "kernel": lt.Choice("rbf", "poly", "a b"),
        "degree": lt.Int(2, 5, when={"kernel": "poly"}),
        "state": lt.Choice("on", "off"),
        "my name": lt.Float(-1, 1),
        "epochs": 10,
    }
)
PROBLEM = Problem(SPACE, (Objective("f1", "max"),), (Constraint("size", high=10.0),))


def a_trial(number: int = 0, f1: float | None = 0.9, **params: object) -> Trial:
    point = {"lr": 1e-3, "depth": 5, "kernel": "rbf", "state": "on", "my name": 0.5, "epochs": 10, **params}
    trial = Trial(number, point, State.RUNNING, 1, started=100.0, ended=110.0)  # type: ignore[arg-type]
    return trial.after(Stopped("enough") if f1 is None else Completed({"f1": f1, "size": 3.0}), 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "score>0.8",
        "score >= 0.9  f1:0.9",
        "metrics.f1:0.5..1 size<4",
        "lr:1e-4..1e-2",
        "lr:..1e-3 lr:1e-3..",
        "lr=0.001",
        "depth:3,5",
        "depth>4 depth:1..5",
        "kernel:rbf,poly",
        "kernel:-poly",
        "-kernel:poly",
        "kernel!=poly",
        'kernel:"a b",rbf',
        "degree:none",
        "state:completed,-failed",
        "params.state:on",
        '"my name">0 "my name":-1..0.5',
        "number:7 seconds:10",
        "number:0..100 -number:8",
        "tag:keep -tag:bad tag:keep,other",
        "kernel:RBF",
    ],
)
def test_a_filter_that_fits(text: str) -> None:
    assert parse(text, PROBLEM).allows(a_trial(7), ["keep"])


@pytest.mark.parametrize(
    "text",
    [
        "score>0.9",
        "score<0.9",
        "lr:1e-2..1",
        "lr:none",
        "depth:none",
        "depth>5",
        "depth:6..8",
        "kernel:poly",
        "-kernel:rbf",
        "kernel!=rbf",
        "degree>1",
        "state:failed",
        "params.state:off",
        "number:8",
        "tag:bad",
        "-tag:keep",
        "tag:-keep",
        "score>0.8 score<0.85",
    ],
)
def test_a_filter_that_does_not(text: str) -> None:
    assert not parse(text, PROBLEM).allows(a_trial(7), ["keep"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("scroe>1", "'scroe' is no parameter or metric of this study. Did you mean 'score'?"),
        ("state:complete", "Did you mean 'completed'"),
        ("kernel:rfb", "'kernel' is never 'rfb'. Did you mean 'rbf'?"),
        ("lr:fast", "'fast' is no number"),
        ("lr>fast", "compares with no number"),
        ("lr:5..1", "Write lr:1..5"),
        ("lr:..", "no range"),
        ("kernel>1", "one of: rbf, poly, a b"),
        ("epochs:10", "fixed at 10"),
        ("good ones", "'good ones' is no condition"),
        ("lr:", "no condition"),
        ("tag>keep", "a tag is there or not"),
        ('kernel:"', "no condition"),
    ],
)
def test_what_cannot_be_read_is_said(text: str, said: str) -> None:
    with pytest.raises(InvalidFilter, match=said.replace("?", r"\?").replace(".", r"\.")):
        parse(text, PROBLEM)


def test_metrics_that_were_seen_can_be_asked_for_and_others_not() -> None:
    assert parse("recall>0.5", PROBLEM, ["recall"]).terms[0].kind == "metric"
    with pytest.raises(InvalidFilter):
        parse("recall>0.5", PROBLEM)


def test_the_score_is_of_trials_that_were_trained_in_full() -> None:
    deep = Problem(SPACE, PROBLEM.objectives, fidelity=Fidelity("steps", 1, 9))
    trial = Trial(0, a_trial().params, State.RUNNING, 1, fidelity=3.0).after(Completed({"f1": 0.9}), 1)
    assert parse("score:none f1>0.8", deep).allows(trial)


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused_with_a_sentence(text: str) -> None:
    with suppress(InvalidFilter):
        parse(text, PROBLEM).allows(a_trial())


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_what_is_written_is_read_back(a: float, b: float) -> None:
    low, high = sorted((a, b))
    (term,) = parse(written("param", "my name", range_text(low, high)), PROBLEM).terms
    assert (term.name, term.spans[0].low, term.spans[0].high) == ("my name", low, high)


def test_a_term_about_a_column_can_be_replaced() -> None:
    asked = parse("lr:1e-4..1e-2 score>0.8 params.state:on", PROBLEM)
    assert asked.but("param", "lr", "lr:1..") == "score>0.8 params.state:on lr:1.."
    assert asked.but("param", "state") == "lr:1e-4..1e-2 score>0.8"
    assert written("param", "state", "on") == "params.state:on"


def test_values_that_are_none_of_their_parameter_are_missing() -> None:
    rows: list[dict[str, lt.space.Scalar]] = [
        {"lr": 0.5},
        {},
        {"lr": None},
        {"lr": "fast"},
        {"lr": True},
        {"lr": 10**400},
    ]
    assert [math.isnan(v) for v in coded(SPACE["lr"], "lr", rows)] == [False, True, True, True, True, True]
    assert coded(SPACE["depth"], "depth", [{"depth": None}, {"depth": 3.0}, {"depth": 9}]).tolist()[::2] == [
        3.0,
        2.0,
    ]
