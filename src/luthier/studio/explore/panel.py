"""A panel: what a chart draws, a sentence that says it, and the same numbers as a table and as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from luthier.analysis.table import csv_rows
from luthier.studio.columns import Columns, Floats, Numbers

SHADES = 5
"""From the worst to the best, so many shades."""
MOST_ROWS = 100


@dataclass(frozen=True, slots=True)
class Panel:
    """`rows` are all that the chart was made of; a page shows the first of them. `trials` are the trials of the rows, where they are
    of one each.
    """

    sentence: str
    chart: dict[str, Any]
    head: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = ()
    notes: Sequence[str] = ()
    trials: Sequence[int] = field(default=())
    state: str = "fine"
    """"fine", or "few" where there is too little to say anything."""

    @property
    def csv(self) -> str:
        """The numbers as CSV."""
        return csv_rows([self.head, *self.rows])


def shades(columns: Columns) -> tuple[Floats, Numbers]:
    """How good each trial is among all that have a value, from 0 (worst) to 1, NaN without one; and the same as one of few shades, -1
    without a value.
    """
    order = columns.order
    goodness = np.full(len(columns), np.nan)
    if len(order):
        goodness[order] = 1 - np.arange(len(order)) / max(1, len(order) - 1)
    shade = np.where(np.isnan(goodness), -1, np.minimum(np.nan_to_num(goodness) * SHADES, SHADES - 1))
    return goodness, shade.astype(np.intp)


def thousandths(places: Floats) -> list[int]:
    """Places from 0 to 1 as whole thousandths, -1 where there is none: what a screen can show, and few bytes."""
    return [int(n) for n in np.where(np.isnan(places), -1, np.round(np.nan_to_num(places) * 1000))]


def best_first(columns: Columns, kept: Numbers, most: int) -> Numbers:
    """The best of some trials, the best first, and after those with a value the others."""
    inside = np.zeros(len(columns), dtype=np.bool_)
    inside[kept] = True
    ranked = columns.order[inside[columns.order]][:most]
    if len(ranked) == most:
        return ranked
    inside[ranked] = False
    return np.concatenate([ranked, np.flatnonzero(inside)[: most - len(ranked)]])


def axis_json(axis: Any, asked: Any = None) -> dict[str, Any]:
    """An axis, as charts draw it."""
    return {
        "key": axis.key,
        "title": axis.title,
        "ticks": [[round(place, 4), text] for place, text in axis.ticks],
        "levels": len(axis.levels),
        "brush": None if asked is None else (axis.brush(asked) or {}).get("spans"),
    }
