"""What trials reported on the way: learning curves as a band with the best on it, or the folds of a cross-validation."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from luthier.analysis.table import number as written
from luthier.analysis.table import uncertainty
from luthier.studio.charts import outline
from luthier.studio.columns import Columns, Floats, Numbers
from luthier.studio.explore.panel import Panel, best_first
from luthier.studio.looking import Shown
from luthier.studio.words import say
from luthier.study import State, Trial

SAMPLE = 1_000
"""The band is that of so many trials at most, evenly from all."""
MOST_REPORTS = 400_000
BEST = 20
MOST_RUNNING = 10
POINTS = 240
GRID = 120
ENDS = 200
"""So many trials that were stopped or failed are marked where they ended."""
FOLDED = 40
MOST_FOLDS = 60
AT_A_TIME = 100
KEPT = 4
"""So many studies are kept in memory."""


@dataclass(frozen=True, slots=True)
class Course:
    """What a trial reported of the objective, by step, as far as it got."""

    number: int
    state: State
    steps: Floats
    values: Floats
    seconds: float
    error: float | None

    @classmethod
    def of(cls, trial: Trial, metric: str, until: float) -> Course:
        """Of a trial; one that runs has run until then."""
        reported = sorted(trial.reported(metric).items())
        took = trial.seconds if trial.state.ended else None
        if took is None:
            took = 0.0 if trial.started is None else max(0.0, until - trial.started)
        return cls(
            trial.number,
            trial.state,
            np.array([step for step, _ in reported], dtype=np.float64),
            np.array([value for _, value in reported], dtype=np.float64),
            took,
            uncertainty(trial, metric),
        )

    def along(self, by: str) -> Floats:
        """Where its reports lie: at their steps, or, taken as evenly spread over its time, at seconds."""
        if by != "seconds" or not len(self.steps):
            return self.steps
        return self.seconds * np.arange(1, len(self.steps) + 1) / len(self.steps)


@dataclass(slots=True)
class Courses:
    """What was read of trials that ended, so that it is read once."""

    _kept: dict[tuple[str, float], dict[int, Course]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, shown: Shown, numbers: Sequence[int], now: float) -> list[Course]:
        """Those of these trials that started, as long as there is room for what they reported."""
        key, metric = (shown.name, shown.row.created), shown.spec.problem.objective.metric
        with self._lock:
            there = self._kept.pop(key, {})
            self._kept[key] = there
            while len(self._kept) > KEPT:
                self._kept.pop(next(iter(self._kept)))
            found, size = [], 0
            for start in range(0, len(numbers), AT_A_TIME):
                some = numbers[start : start + AT_A_TIME]
                for trial in shown.trials([n for n in some if n not in there]):
                    there[trial.number] = Course.of(trial, metric, now)
                for n in some:
                    course = there.get(n)
                    if course is None or course.state is State.WAITING:
                        continue
                    found.append(course)
                    size += len(course.steps)
                if size > MOST_REPORTS:
                    break
            for course in found:
                if not course.state.ended:
                    del there[course.number]
            for n in [n for n in numbers if n in there and there[n].state is State.WAITING]:
                del there[n]
            while sum(len(course.steps) for course in there.values()) > 2 * MOST_REPORTS:
                there.pop(next(iter(there)))
            return found


def curves(
    shown: Shown, courses: Courses, kept: Numbers, selected: Sequence[int], by: str, now: float
) -> Panel:
    """The panel of the reports of some trials: of those of a cross-validation their folds."""
    columns = shown.columns
    best = best_first(columns, kept, BEST)
    best = best[~np.isnan(columns.values[best])]
    marked = [n for n in selected if n < len(columns)]
    running = np.intersect1d(columns.numbers(State.RUNNING), kept)[-MOST_RUNNING:]
    rest = kept if len(kept) <= SAMPLE else kept[np.linspace(0, len(kept) - 1, SAMPLE).astype(np.intp)]
    wanted = list(dict.fromkeys([*best.tolist(), *marked, *running.tolist(), *rest.tolist()]))
    found = [course for course in courses.of(shown, wanted, now) if len(course.steps)]
    metric = columns.problem.objective.metric
    if not found:
        return Panel(say("curves.none"), {"empty": True})
    folded = [course for course in found if course.error is not None]
    if 2 * len(folded) > len(found):
        return _folds(columns, folded, marked, metric)
    named = {*best.tolist(), *marked, *running.tolist()}
    return _curves(found, [c for c in found if c.number in named], marked, metric, by, len(kept), columns)


def _curves(
    found: Sequence[Course],
    named: Sequence[Course],
    marked: Sequence[int],
    metric: str,
    by: str,
    total: int,
    columns: Columns,
) -> Panel:
    grid, band = _band(found, by)
    lines = [
        {
            "number": course.number,
            "state": str(course.state),
            "points": [[_short(x), _short(y)] for x, y in _outlined(course, by)],
        }
        for course in named
    ]
    order = columns.order
    top = next((int(n) for n in order if any(c.number == n for c in named)), None) if len(order) else None
    chart: dict[str, Any] = {
        "kind": "curves",
        "metric": metric,
        "by": by or "step",
        "band": [[_short(v) for v in row] for row in zip(grid, *band, strict=True)],
        "lines": lines,
        "ends": [
            [_short(course.along(by)[-1]), _short(course.values[-1]), course.number, str(course.state)]
            for course in [c for c in found if c.state in (State.STOPPED, State.FAILED)][-ENDS:]
        ],
        "selected": list(marked),
        "best": top,
        "steps": len(found),
    }
    longest = max(len(course.steps) for course in found)
    sentence = say(
        "curves.summary",
        metric=metric,
        n=f"{len(found):,}",
        steps=f"{longest:,}",
        median=written(float(band[1][-1])),
    )
    stopped = sum(course.state is State.STOPPED for course in found)
    notes = [say("curves.stopped", n=f"{stopped:,}")] if stopped else []
    if total > len(found):
        notes.append(say("curves.sample", n=f"{len(found):,}", total=f"{total:,}"))
    if len(named) < len(found):
        notes.append(say("curves.lines", n=len(named)))
    if by == "seconds":
        notes.append(say("curves.seconds"))
    head = [
        say("curves.by.seconds" if by == "seconds" else "curves.by.step"),
        "p10",
        say("curves.median"),
        "p90",
        say("curves.trials"),
    ]
    counts = [sum(1 for course in found if course.along(by)[-1] >= x) for x in grid]
    rows = [
        [f"{x:.6g}", *(written(float(v)) for v in row), n]
        for x, n, *row in zip(grid, counts, *band, strict=True)
    ]
    return Panel(sentence, chart, head, rows, notes)


def _band(found: Sequence[Course], by: str) -> tuple[Floats, Floats]:
    """The tenth, fiftieth and ninetieth of a hundred at each step, over the trials that got so far. Shape (3, steps)."""
    places = [course.along(by) for course in found]
    grid = np.unique(np.concatenate(places))
    if len(grid) > GRID:
        grid = np.linspace(grid[0], grid[-1], GRID)
    held = np.full((len(found), len(grid)), np.nan)
    for row, course, x in zip(held, found, places, strict=True):
        at = np.searchsorted(x, grid * (1 + 1e-12) + 1e-12, side="right") - 1
        there = (at >= 0) & (grid <= x[-1] * (1 + 1e-12) + 1e-12)
        row[there] = course.values[at[there]]
    held[~np.isfinite(held)] = np.nan
    some = ~np.isnan(held).all(axis=0)
    if not some.any():
        return grid[:1], np.full((3, 1), np.nan)
    return grid[some], np.nanpercentile(held[:, some], [10, 50, 90], axis=0)


def _outlined(course: Course, by: str) -> list[tuple[float, float]]:
    x, y = course.along(by), course.values
    kept = [int(i) for i in outline(y, POINTS)]
    return [(float(x[i]), float(y[i])) for i in kept]


def _folds(columns: Columns, folded: Sequence[Course], marked: Sequence[int], metric: str) -> Panel:
    by_number = {course.number: course for course in folded}
    ranked = [int(n) for n in columns.order if int(n) in by_number][:FOLDED]
    shown = [*ranked, *(n for n in marked if n in by_number and n not in ranked)]
    chart = {
        "kind": "folds",
        "metric": metric,
        "trials": [
            {
                "number": n,
                "folds": [_short(v) for v in by_number[n].values[:MOST_FOLDS]],
                "mean": _short(float(np.mean(by_number[n].values))),
            }
            for n in shown
        ],
        "selected": list(marked),
        "steps": len(shown),
    }
    top = by_number[shown[0]] if shown else folded[0]
    spread = float(np.median([np.ptp(course.values) for course in folded]))
    sentence = say(
        "curves.folds",
        n=len(shown),
        folds=len(top.values),
        number=top.number,
        low=written(float(top.values.min())),
        high=written(float(top.values.max())),
        spread=written(spread),
    )
    most = max(len(by_number[n].values) for n in shown) if shown else 0
    head = [
        say("explore.trial"),
        metric,
        "±",
        *(f"{say('trial.fold')} {i}" for i in range(min(most, MOST_FOLDS))),
    ]
    rows = [
        [
            n,
            written(float(np.mean(by_number[n].values))),
            written(by_number[n].error or 0.0),
            *(written(float(v)) for v in by_number[n].values[:MOST_FOLDS]),
        ]
        for n in shown
    ]
    return Panel(sentence, chart, head, rows, [say("curves.folds.how")], shown)


def _short(value: float) -> float | None:
    return float(f"{value:.5g}") if np.isfinite(value) else None
