"""Columns: all trials of a study as arrays, so that a hundred thousand of them are a page's work and not a minute's.

They are a table for `luthier.analysis.filtering` too: own columns, metrics, and parameters, which are read later than the rest and only once.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from luthier.analysis.filtering import Kind, coded
from luthier.space import Params
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
MOST_METRICS = 24
"""So many metrics are kept of every trial: those of the objectives and constraints, and the first others that are seen."""
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
        self._sorted: dict[tuple[Kind, str, bool], Numbers] = {}
        self._metrics: dict[str, Floats] = {}
        self._params: dict[str, Floats] = {name: np.empty(0) for name in self.varying}
        self.known = 0
        """Of so many trials the parameters are here."""
        self.tags: Mapping[str, Collection[int]] = {}
        """The trials that people gave a tag, by tag."""

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
            self._measure(briefs)
            self._order = self._finished = None
            self._sorted.clear()

    def _measure(self, briefs: Sequence[Brief]) -> None:
        numbers = [brief.number for brief in briefs]
        seen = dict.fromkeys(name for brief in briefs for name in brief.metrics)
        for name in [*self._metrics, *(name for name in seen if name not in self._metrics)]:
            if name not in self._metrics:
                if len(self._metrics) == MOST_METRICS:
                    break
                self._metrics[name] = np.full(len(self._rows), np.nan)
            self._metrics[name] = _grown(self._metrics[name], len(self._rows))
            self._metrics[name][numbers] = [brief.metrics.get(name, math.nan) for brief in briefs]

    def learn(self, rows: Sequence[Params]) -> None:
        """Take in the parameters of the next trials whose parameters are not here yet."""
        found = {name: coded(self.problem.space[name], name, rows) for name in self.varying}
        with self.still:
            until = self.known + len(rows)
            for name, values in found.items():
                self._params[name] = _grown(self._params[name], max(until, len(self._rows)))
                self._params[name][self.known : until] = values
            self.known = until
            self._sorted = {key: order for key, order in self._sorted.items() if key[0] != "param"}

    def _make_room(self, size: int) -> None:
        if size > len(self._rows):
            grown = np.zeros(max(size, len(self._rows) * 5 // 4), ROW)
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

    # --- a table of all trials -------------------------------------------------------------------

    @property
    def varying(self) -> list[str]:
        """The parameters that have more than one value."""
        return [name for name, parameter in self.problem.space.items() if parameter.size != 1]

    @property
    def metrics(self) -> list[str]:
        """The metrics that were seen, in that order."""
        return list(self._metrics)

    def own(self, kind: Kind) -> Floats:
        """The score, number, seconds or state of each trial; what runs has no seconds yet."""
        rows = self._rows[: self._size]
        match kind:
            case "number":
                return np.arange(self._size, dtype=np.float64)
            case "seconds":
                return np.asarray(rows["ended"] - rows["started"], np.float64)
            case "state":
                return np.asarray(rows["state"], np.float64)
            case _:
                return self.values

    def param(self, name: str) -> Floats:
        """The values of a parameter, as `coded` has them; NaN where it does not exist, or is not known yet."""
        found = self._params[name][: self._size]
        if len(found) < self._size or self.known < self._size:
            found = np.append(found[: self.known], np.full(self._size - min(self.known, self._size), np.nan))
        return np.asarray(found, np.float64)

    def metric(self, name: str) -> Floats:
        """What was measured at the end of each trial."""
        found = self._metrics.get(name)
        return np.full(self._size, np.nan) if found is None else found[: self._size]

    def tagged(self, word: str) -> NDArray[np.bool_]:
        """Which trials people gave that tag."""
        found = np.zeros(self._size, dtype=np.bool_)
        found[[number for number in self.tags.get(word, ()) if 0 <= number < self._size]] = True
        return found

    def column(self, kind: Kind, name: str) -> Floats:
        """Any of these."""
        return (
            self.param(name) if kind == "param" else self.metric(name) if kind == "metric" else self.own(kind)
        )

    def sorted(self, kind: Kind, name: str, falling: bool) -> Numbers:
        """All trials by a column, those without a value last; of equals the lowest number first."""
        with self.still:
            key = (kind, name, falling)
            if key not in self._sorted:
                values = self.column(kind, name)
                self._sorted[key] = np.argsort(-values if falling else values, kind="stable")
            return self._sorted[key]

    @property
    def times(self) -> tuple[Floats, Floats, NDArray[np.int8]]:
        """When each trial began and ended, in seconds since 1970, and the place of its state among STATES."""
        rows = self._rows[: self._size]
        return rows["started"], rows["ended"], rows["state"]

    # --- answers ---------------------------------------------------------------------------------

    @property
    def values(self) -> Floats:
        """The first objective by trial number; NaN where there is none."""
        return np.asarray(self._rows["value"][: self._size], np.float64)

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


def _grown(values: Floats, size: int) -> Floats:
    """The same with room for more, which is NaN."""
    if len(values) >= size:
        return values
    grown = np.full(size, np.nan)
    grown[: len(values)] = values
    return grown


def _records(losses: Floats) -> Numbers:
    """Where a running minimum begins and falls; NaN takes no part."""
    lowest = np.concatenate([[np.nan], np.fmin.accumulate(losses)]) if len(losses) else np.full(1, np.nan)
    before, now = lowest[:-1], lowest[1:]
    return np.flatnonzero((now < before) | (np.isnan(before) & ~np.isnan(now)))
