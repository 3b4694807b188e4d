"""What charts draw, reduced on the server: some kilobytes, whatever the number of trials, and a sentence that says what was left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from luthier.analysis.table import uncertainty
from luthier.studio.columns import Columns, Floats, Numbers
from luthier.study import State, Trial

WHOLE = 3_000
"""Up to so many trials each is a dot."""
ACROSS, UP = 120, 60
TOP = 100
MOST_FAILURES = 200
MOST_STEPS = 400
CUT = 0.05
"""This share of the worst values may lie off the scale."""
FAR = 1e300
"""Further out nothing is drawn: differences would have no number."""


def best_so_far(columns: Columns) -> dict[str, Any]:
    """The best value after each trial that ended, and the trials themselves: dots, or for many a density and the best hundred.

    `line` holds the corners of the line: place, value, trial. A place counts the trials that had ended.
    """
    with columns.still:
        return _best_so_far(columns)


def _best_so_far(columns: Columns) -> dict[str, Any]:
    finished = columns.finished
    values = columns.values[finished]
    gains = columns.gains
    failed = np.flatnonzero(np.isin(finished, columns.numbers(State.FAILED)))
    low, high = _scale(values, values[gains], columns.problem.objective.goal == "max")
    objective = columns.problem.objective
    found: dict[str, Any] = {
        "metric": objective.metric,
        "goal": objective.goal,
        "ended": len(finished),
        "scale": [_short(low), _short(high)],
        "line": [[int(i) + 1, _short(values[i]), int(finished[i])] for i in gains],
        "failed": [[int(i) + 1, int(finished[i])] for i in _some(failed, MOST_FAILURES)],
        "failures": len(failed),
    }
    if len(finished) <= WHOLE:
        shown = np.flatnonzero(np.isfinite(values))
        off = int(np.count_nonzero((values[shown] < low) | (values[shown] > high)))
        return found | {"dots": _dots(shown, values, finished), "off": off}
    places = np.empty(len(columns), np.intp)
    places[finished] = np.arange(len(finished))
    top = np.sort(places[columns.order[:TOP]])
    cells, off = _density(values, low, high)
    return found | {"dots": _dots(top, values, finished), "density": cells, "cells": [ACROSS, UP], "off": off}


def _dots(places: Numbers, values: Floats, finished: Numbers) -> list[list[Any]]:
    return [[int(i) + 1, _short(values[i]), int(finished[i])] for i in places]


def _scale(values: Floats, best: Floats, upwards: bool) -> tuple[float, float]:
    """What to show of the axis: everything but the worst few, which would squeeze all others together."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return 0.0, 1.0
    low, high = max(float(finite.min()), -FAR), min(float(finite.max()), FAR)
    if len(finite) >= 20:
        inner = float(np.quantile(finite, CUT if upwards else 1 - CUT))
        reach = 1.5 * abs((high if upwards else low) - inner)  # as far again by half, or all that there is
        if upwards:
            low = max(low, high - reach)
        else:
            high = min(high, low + reach)
    line = best[np.isfinite(best)]
    if len(line) and len(finite) < 20:
        low, high = min(low, float(line.min())), max(high, float(line.max()))
    room = 0.05 * abs(low) or 0.5
    return (low, high) if high > low else (low - room, high + room)


def _density(values: Floats, low: float, high: float) -> tuple[list[list[int]], int]:
    """How many trials fall into each cell, as [column, row, n]; and how many into none since they are off the scale."""
    finite = np.flatnonzero(np.isfinite(values))
    inside = finite[(values[finite] >= low) & (values[finite] <= high)]
    x = np.minimum(inside * ACROSS // max(1, len(values)), ACROSS - 1)
    y = np.minimum(((values[inside] - low) / (high - low) * UP).astype(np.intp), UP - 1)
    counts = np.bincount(x * UP + y, minlength=ACROSS * UP)
    some = np.flatnonzero(counts)
    return [[int(i // UP), int(i % UP), int(counts[i])] for i in some], len(finite) - len(inside)


def _some(found: Numbers, most: int) -> Numbers:
    """At most so many of them, evenly."""
    if len(found) <= most:
        return found
    return found[np.linspace(0, len(found) - 1, most).astype(np.intp)]


def curve(trial: Trial, metric: str) -> dict[str, Any]:
    """What a trial reported of a metric, step by step; of a long curve the lowest and highest of each stretch.

    `kind` is "folds" where the reports are scores of folds, else "curve".
    """
    steps = np.array([step for step, _ in sorted(trial.reported(metric).items())], float)
    values = np.array([value for _, value in sorted(trial.reported(metric).items())], float)
    kept = outline(values, MOST_STEPS)
    kind = "folds" if trial.reports and uncertainty(trial, metric) is not None else "curve"
    return {
        "metric": metric,
        "kind": kind,
        "steps": len(steps),
        "points": [[int(steps[i]), _short(values[i])] for i in kept],
        "mean": _short(trial.metrics[metric]) if kind == "folds" else None,
    }


def outline(values: Floats, most: int) -> Sequence[int] | Numbers:
    """Places that keep a curve's shape: of each stretch the lowest and the highest, and both ends."""
    if len(values) <= most:
        return range(len(values))
    kept = {0, len(values) - 1}
    for part in np.array_split(np.arange(len(values)), most // 2):
        inner = np.where(np.isfinite(values[part]), values[part], np.nan)
        if not np.isnan(inner).all():
            kept |= {int(part[np.nanargmin(inner)]), int(part[np.nanargmax(inner)])}
    return np.array(sorted(kept))


def _short(value: float) -> float | None:
    """Six digits, which is more than a screen has; None for what is no number that can be drawn."""
    return float(f"{value:.6g}") if np.isfinite(value) else None
