"""Columns: all trials of a study as arrays, so that a hundred thousand of them are a page's work and not a minute's."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from luthier.store.base import Brief
from luthier.study import Problem, State

STATES = tuple(State)
CODES = {state: code for code, state in enumerate(STATES)}
ROW = np.dtype(
    [
        ("seq", "i8"),
        ("state", "i1"),
        ("value", "f8"),
        ("feasible", "?"),
        ("started", "f8"),
        ("ended", "f8"),
        ("cost", "f8"),
    ]
)
Numbers = NDArray[np.intp]
Floats = NDArray[np.float64]


class Columns:
    """What is asked of all trials at once, by number; it grows by `merge`, at the cost of what changed.

    Any thread may ask; who asks twice and wants both answers of the same moment holds `still`. What is derived - the order of the leaderboard, the order in which trials ended - is worked out at most once after a change.
    """

    def __init__(self, problem: Problem, currency: str = "seconds") -> None:
        self.problem = problem
        self.cursor = 0
        self.still = threading.RLock()
        self._currency = currency
        self._rows = np.zeros(64, ROW)
        self._size = 0
        self._order: Numbers | None = None
        self._finished: Numbers | None = None

    def __len__(self) -> int:
        return self._size

    def merge(self, briefs: Sequence[Brief]) -> None:
        """Take in trials as they are now."""
        if not briefs:
            return
        with self.still:
            self._make_room(1 + max(brief.number for brief in briefs))
            rows = self._rows
            for brief in briefs:
                rows[brief.number] = self._row(brief)
            self._order = self._finished = None

    def _make_room(self, size: int) -> None:
        if size > len(self._rows):
            grown = np.zeros(max(size, 2 * len(self._rows)), ROW)
            grown[: self._size] = self._rows[: self._size]
            self._rows = grown
        self._size = max(self._size, size)

    def _row(self, brief: Brief) -> tuple[int, int, float, bool, float, float, float]:
        return (
            brief.seq,
            CODES[brief.state],
            self._value(brief),
            self.problem.feasible(brief.metrics),
            math.nan if brief.started is None else brief.started,
            math.nan if brief.ended is None else brief.ended,
            brief.metrics.get(self._currency, 0.0),
        )

    def _value(self, brief: Brief) -> float:
        """The first objective, as in `History.value`."""
        fidelity = self.problem.fidelity
        if brief.state is not State.COMPLETED or not (fidelity is None or fidelity.full(brief.fidelity)):
            return math.nan
        return brief.metrics.get(self.problem.objective.metric, math.nan)

    # --- answers ---------------------------------------------------------------------------------

    @property
    def values(self) -> Floats:
        """The first objective by trial number; NaN where there is none."""
        return self._rows["value"][: self._size]

    @property
    def feasible(self) -> NDArray[np.bool_]:
        """Whether each trial meets every constraint."""
        return self._rows["feasible"][: self._size]

    @property
    def counts(self) -> dict[State, int]:
        """Trials by state."""
        found = np.bincount(self._rows["state"][: self._size], minlength=len(STATES))
        return {state: int(n) for state, n in zip(STATES, found, strict=True)}

    def numbers(self, state: State) -> Numbers:
        """The trials in a state, by number."""
        return np.flatnonzero(self._rows["state"][: self._size] == CODES[state])

    @property
    def order(self) -> Numbers:
        """The trials that have a value, the best first; feasible before infeasible, of equals the lowest number."""
        with self.still:
            if self._order is None:
                loss = self.problem.objective.sign * self.values
                numbers = np.flatnonzero(~np.isnan(loss))
                self._order = numbers[np.lexsort((loss[numbers], ~self.feasible[numbers]))]
            return self._order

    def listed(self, by: str, state: State | None) -> Numbers:
        """The trials in a state, or all of them: by "score", which only some have, or the "newest" first."""
        with self.still:
            found = self.order if by == "score" else np.arange(self._size - 1, -1, -1)
            return found if state is None else found[self._rows["state"][found] == CODES[state]]

    @property
    def finished(self) -> Numbers:
        """The trials that ended, in the order in which they did."""
        with self.still:
            if self._finished is None:
                ended = np.flatnonzero(self._rows["state"][: self._size] >= CODES[State.COMPLETED])
                self._finished = ended[np.argsort(self._rows["seq"][ended], kind="stable")]
            return self._finished

    @property
    def gains(self) -> Numbers:
        """Where in `finished` the best so far got better."""
        with self.still:
            finished = self.finished
            loss = self.problem.objective.sign * self.values[finished]
            fine = self.feasible[finished] & ~np.isnan(loss)
        first = int(np.argmax(fine)) if fine.any() else len(finished)
        return np.concatenate(
            [_records(loss[:first]), first + _records(np.where(fine, loss, np.nan)[first:])]
        )

    def ended_by(self, cursor: int) -> int:
        """How many trials had ended at a cursor, and have not changed since."""
        rows = self._rows[: self._size]
        return int(np.count_nonzero((rows["seq"] <= cursor) & (rows["state"] >= CODES[State.COMPLETED])))

    def cost(self, now: float) -> float:
        """What all trials cost so far, in the currency of the budget; as `History.cost` but for running trials' reports."""
        rows = self._rows[: self._size]
        if self._currency != "seconds":
            return float(np.nansum(rows["cost"]))
        until = np.where(rows["state"] == CODES[State.RUNNING], now, rows["ended"])
        return float(np.nansum(np.maximum(until - rows["started"], 0.0)))


def _records(losses: Floats) -> Numbers:
    """Where a running minimum begins and falls; NaN takes no part."""
    lowest = np.concatenate([[np.nan], np.fmin.accumulate(losses)]) if len(losses) else np.full(1, np.nan)
    before, now = lowest[:-1], lowest[1:]
    return np.flatnonzero((now < before) | (np.isnan(before) & ~np.isnan(now)))
