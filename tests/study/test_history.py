import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.space import Space
from luthier.study import Completed, History, Objective, Problem, State, Trial
from tests.study.strategies import PROBLEM, feed

seeds = st.integers(0, 2**32)


def told(history: History, changes: list[Trial], cuts: list[int]) -> list[Trial]:
    """Merge the feed in pieces as a store gives it: of each piece only the latest version of a trial, once."""
    finished = []
    edges = sorted({0, len(changes), *(cut % (len(changes) + 1) for cut in cuts)})
    for start, end in pairwise(edges):
        latest: dict[int, Trial] = {}
        for trial in changes[start:end]:
            latest.pop(trial.number, None)
            latest[trial.number] = trial
        finished += history.merge(list(latest.values()), end)
    return finished


@given(st.integers(1, 25), seeds, st.lists(st.integers(0, 100), max_size=8))
def test_a_history_is_the_same_however_it_was_told(trials: int, seed: int, cuts: list[int]) -> None:
    changes = feed(trials, seed)
    singly, pieces = History(PROBLEM), History(PROBLEM)
    one = told(singly, changes, list(range(len(changes))))
    two = told(pieces, changes, cuts)
    assert list(singly) == list(pieces)
    assert one == two == singly.finished() == pieces.finished()
    assert singly.counts == pieces.counts
    assert singly.pending() == pieces.pending()
    assert singly.best() == pieces.best()
    np.testing.assert_array_equal(singly.values, pieces.values)
    assert singly.cursor == pieces.cursor == len(changes)


@given(st.integers(1, 25), seeds)
def test_what_a_history_keeps_is_what_its_trials_say(trials: int, seed: int) -> None:
    history = History(PROBLEM)
    told(history, feed(trials, seed), [])
    assert [trial.number for trial in history] == list(range(len(history)))
    assert history.counts == {**dict.fromkeys(State, 0), **Counter(trial.state for trial in history)}
    assert history.pending() == [trial for trial in history if not trial.state.ended]
    assert history.ended == len(history.values) == sum(trial.state.ended for trial in history)
    assert all(trial in history for trial in history)
    measured = [t for t in history if not math.isnan(history.value(t))]
    ranked = sorted(measured, key=lambda t: (not history.feasible(t), t.metrics["loss"], t.number))
    assert history.best() == (ranked[0] if ranked else None)


@given(st.integers(1, 20), seeds, seeds)
def test_the_order_in_which_trials_end_does_not_change_the_best(trials: int, seed: int, other: int) -> None:
    final = {trial.number: trial for trial in feed(trials, seed)}
    shuffled = [final[i] for i in np.random.default_rng(other).permutation(len(final)).tolist()]
    one, two = History(PROBLEM), History(PROBLEM)
    one.merge(list(final.values()), 1)
    two.merge(shuffled, 1)
    assert one.best() == two.best()
    assert one.counts == two.counts
    assert list(one) == list(two)
    np.testing.assert_array_equal(np.sort(one.values), np.sort(two.values))


def test_nothing_changes_a_trial_that_ended() -> None:
    history = History(PROBLEM)
    running = Trial(0, {"x": 0.5}, State.RUNNING, 1)
    ended = running.after(Completed({"loss": 1.0, "size": 1.0}), 1)
    history.merge([ended], 2)
    assert history.merge([running], 3) == []
    assert history[0] == ended
    assert history.counts[State.COMPLETED] == 1
    assert not history.pending()


def test_the_best_is_the_highest_where_more_is_better() -> None:
    history = History(Problem(Space(x=1), (Objective("accuracy", "max"),)))
    running = [Trial(i, {"x": 1}, State.RUNNING, 1) for i in range(4)]
    scores = (0.5, math.nan, 0.9, 0.9)
    history.merge([t.after(Completed({"accuracy": s}), 1) for t, s in zip(running, scores, strict=True)], 1)
    best = history.best()
    assert best is not None
    assert best.number == 2


def test_an_infeasible_trial_is_best_only_while_there_is_no_feasible_one() -> None:
    history = History(PROBLEM)
    ends = [
        {"loss": 0.0, "size": 9.0},
        {"loss": 1.0, "size": 5.0},
        {"loss": 0.5, "size": 6.0},
        {"loss": -9.0},
    ]
    best = []
    for i, metrics in enumerate(ends):
        history.merge([Trial(i, {"x": 0.5}, State.RUNNING, 1).after(Completed(metrics), 1)], i)
        found = history.best()
        best.append(None if found is None else found.number)
    assert best == [0, 1, 1, 1]


def test_a_history_of_nothing() -> None:
    history = History(PROBLEM)
    assert history.best() is None
    assert len(history) == history.ended == len(history.values) == 0
    assert history.pending() == history.finished() == []
    with pytest.raises(IndexError):
        history[0]
