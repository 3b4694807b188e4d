"""What the studio knows from its columns is what everybody else knows from the history."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import luthier as lt
from luthier.analysis.trace import incumbent
from luthier.clock import VirtualClock
from luthier.store.url import open_store
from luthier.studio.charts import ACROSS, UP, WHOLE, best_so_far
from luthier.studio.columns import Columns
from luthier.studio.looking import Shown
from luthier.study import (
    Budget,
    Completed,
    Constraint,
    Failed,
    Fidelity,
    History,
    Named,
    Objective,
    Outcome,
    Problem,
    Proposal,
    Record,
    State,
    Stopped,
    StudySpec,
)
from luthier.summary import ranked, seen_by, standing

VALUES = st.sampled_from([0.0, 1.0, 2.0, 3.0, -1.0, math.nan, math.inf, -math.inf]) | st.floats(-5, 5)
OUTCOMES: st.SearchStrategy[Outcome] = st.one_of(
    st.builds(
        lambda loss, size: Completed({"loss": loss, "size": size, "dollars": 2.0}), VALUES, st.floats(0, 20)
    ),
    st.just(Failed("no")),
    st.just(Stopped("enough")),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("propose"), st.integers(1, 3), st.sampled_from([None, 1.0, 9.0]), st.floats(0, 2)),
        st.tuples(st.just("end"), st.integers(0, 5), OUTCOMES),
        st.tuples(st.just("wait"), st.floats(0.5, 5)),
    ),
    max_size=30,
)


@settings(max_examples=150)
@given(
    steps=STEPS,
    goal=st.sampled_from(["min", "max"]),
    bound=st.booleans(),
    deep=st.booleans(),
    paid=st.booleans(),
)
def test_columns_say_what_the_history_says(
    steps: list[tuple[object, ...]], goal: str, bound: bool, deep: bool, paid: bool
) -> None:
    clock = VirtualClock(1_700_000_000.0)
    store = open_store("memory", clock=clock)
    problem = Problem(
        lt.Space(x=lt.Float(0, 1)),
        (Objective("loss", "min" if goal == "min" else "max"),),
        (Constraint("size", high=10.0),) if bound else (),
        Fidelity("epochs", 1, 9) if deep else None,
    )
    budget = Budget(trials=20, cost=30.0, currency="dollars" if paid else "seconds")
    store.create(StudySpec("s", problem, Named("random"), budget=budget))
    shown, history = Shown(store, "s", clock), History(problem)
    for step in steps:
        match step:
            case ("propose", int(n), fidelity, float(x)):
                store.propose("s", [Proposal({"x": x}, fidelity=fidelity)] * n, claim=("w", 60.0))  # type: ignore[arg-type]
            case ("end", int(which), outcome):
                running = [t for t in store.changed("s").trials if t.state is State.RUNNING]
                if running:
                    store.record("s", [Record(running[which % len(running)].number, 1, outcome)])  # type: ignore[arg-type]
            case ("wait", float(seconds)):
                clock.sleep(seconds)
        changes = store.changed("s", history.cursor)
        history.merge(changes.trials, changes.cursor)
        shown.refresh(store.cursors()["s"])
        columns = shown.columns
        gains = [(int(n), float(columns.values[n])) for n in columns.finished[columns.gains]]
        assert gains == incumbent(history)
        assert columns.finished.tolist() == [trial.number for trial in history.finished()]
        assert (dict(shown.counts), shown.ended, len(shown)) == (history.counts, history.ended, len(history))
        assert shown.best() == history.best()
        inside = [n for n in columns.order.tolist() if problem.space.allows(history[n].params)]
        assert inside == [trial.number for trial in ranked(history, 100)]
        now = clock.now()
        assert math.isclose(
            shown.cost(budget.currency, now), history.cost(budget.currency, now), abs_tol=1e-5
        )
        assert shown.standing == standing(shown.spec, history, store.study("s"), now)
        for trial in history:
            assert columns.ended_by(trial.seen) <= seen_by(store, "s", trial, len(history))
    store.close()


def test_a_density_has_every_trial_and_the_line_every_corner() -> None:
    clock = VirtualClock(0.0)
    store = open_store("memory", clock=clock)
    problem = Problem(lt.Space(x=lt.Float(0, 1)), (Objective("loss", "min"),))
    store.create(StudySpec("s", problem, Named("random")))
    n = WHOLE + 500
    values = np.random.default_rng(0).normal(size=n)
    values[7] = 1e9
    store.propose("s", [Proposal({"x": 0.5})] * n, claim=("w", 60.0))
    store.record("s", [Record(i, 1, Completed({"loss": float(value)})) for i, value in enumerate(values)])
    columns = Columns(problem)
    columns.merge(store.brief("s"))
    chart = best_so_far(columns)
    assert sum(count for _, _, count in chart["density"]) + chart["off"] == n
    assert all(0 <= x < ACROSS and 0 <= y < UP for x, y, _ in chart["density"])
    assert [number for _, _, number in chart["line"]] == [
        i for i in range(n) if values[i] == values[: i + 1].min() and (i == 0 or values[i] < values[:i].min())
    ]
    assert sorted(number for _, _, number in chart["dots"]) == sorted(np.argsort(values)[:100].tolist())
    assert chart["scale"][1] < 100
    store.close()
