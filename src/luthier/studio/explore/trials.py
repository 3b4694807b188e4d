"""The charts of trials themselves: parallel coordinates and scatter. Few trials are drawn each, of many how many are where, and the best."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from luthier.analysis.filtering import Filter
from luthier.analysis.table import number as written
from luthier.studio.columns import Columns, Floats, Numbers
from luthier.studio.explore.axes import Axis, axis_of
from luthier.studio.explore.panel import SHADES, Panel, axis_json, best_first, shades, thousandths
from luthier.studio.words import say
from luthier.summary import plural

LINES = 2_000
"""Up to so many trials each is a line."""
BEST_LINES = 300
BINS = 24
POINTS = 3_000
BEST_POINTS = 200
ACROSS, UP = 60, 40


def about(columns: Columns, kept: Numbers, found: Filter) -> str:
    """How many trials fit a filter, and how good they are beside all."""
    total = len(columns)
    n = f"{len(kept):,}"
    start = say("explore.kept", n=n, total=f"{total:,}") if found.terms else f"{plural(len(kept), 'trial')}."
    values = columns.values[kept]
    scored = values[~np.isnan(values)]
    if not len(scored):
        return f"{start} {say('explore.unscored')}"
    best = best_first(columns, kept, 1)[0]
    every = columns.values[~np.isnan(columns.values)]
    told = say(
        "explore.scores",
        metric=columns.problem.objective.metric,
        best=written(float(columns.values[best])),
        number=int(best),
        median=written(float(np.median(scored))),
    )
    beside = say("explore.beside", median=written(float(np.median(every)))) if found.terms else ""
    return " ".join(part for part in (start, told, beside) if part)


def parallel(
    columns: Columns, axes: Sequence[Axis], kept: Numbers, found: Filter, selected: Sequence[int]
) -> Panel:
    """Every trial as a line through its parameters to its score; of many trials how many go from where to where on neighbouring axes, and
    the best as lines.
    """
    score = axis_of(columns, "score")
    assert score is not None
    every = [*axes, score]
    goodness, shade = shades(columns)
    numbers = np.arange(len(columns))
    values = [columns.column(axis.kind, axis.name) for axis in every]
    places = [axis.spread(column, numbers) for axis, column in zip(every, values, strict=True)]
    many = len(kept) > LINES
    drawn = best_first(columns, kept, BEST_LINES if many else LINES)
    marked = np.array([n for n in selected if n < len(columns)], dtype=np.intp)
    extra = marked[~np.isin(marked, drawn)]
    lines = np.concatenate([drawn, extra])[::-1]  # the best on top
    chart: dict[str, Any] = {
        "axes": [axis_json(axis, found) for axis in every],
        "numbers": lines.tolist(),
        "shades": shade[lines].tolist(),
        "lines": [thousandths(place[lines]) for place in places],
        "selected": [int(n) for n in marked],
        "best": int(drawn[0]) if len(drawn) and shade[drawn[0]] >= 0 else None,
        "empty": not len(lines),
        "ended": len(lines),
    }
    notes = [note for axis in every if (note := axis.note)]
    if many:
        chart["bands"] = _bands(every, [column[kept] for column in values], goodness[kept])
        notes.insert(0, say("explore.bands", shown=f"{len(drawn):,}", n=f"{len(kept):,}"))
    elif len(kept) < len(columns) and len(columns) <= LINES:
        others = np.setdiff1d(numbers, lines)
        chart["others"] = [thousandths(place[others]) for place in places]
    rows = [
        [int(n), *(axis.text(column[n]) for axis, column in zip(every, values, strict=True))]
        for n in lines[::-1]
    ]
    head = [say("explore.trial"), *(axis.key for axis in axes), columns.problem.objective.metric]
    return Panel(about(columns, kept, found), chart, head, rows, notes, [int(n) for n in lines[::-1]])


def _bands(axes: Sequence[Axis], values: Sequence[Floats], goodness: Floats) -> dict[str, Any]:
    """For each two neighbouring axes how many trials go from which piece of the one to which of the other, and how good they are on
    average, as one of the shades: rows of [from, to, n, shade]. -1 is where a parameter does not exist.
    """
    pieces = [axis.bins(column, BINS) for axis, column in zip(axes, values, strict=True)]
    found = []
    for (left, a), (right, b) in pairwise(pieces):
        cell = (left + 1) * (b + 1) + right + 1
        count = np.bincount(cell, minlength=(a + 1) * (b + 1))
        scored = ~np.isnan(goodness)
        total = np.bincount(cell[scored], goodness[scored], minlength=len(count))
        valued = np.bincount(cell[scored], minlength=len(count))
        mean = np.where(valued > 0, total / np.maximum(valued, 1), -1.0)
        shade = np.where(mean < 0, -1, np.minimum(mean * SHADES, SHADES - 1)).astype(int)
        found.append(
            [
                [int(i // (b + 1)) - 1, int(i % (b + 1)) - 1, int(count[i]), int(shade[i])]
                for i in np.flatnonzero(count)
            ]
        )
    return {"pieces": [n for _, n in pieces], "pairs": found}


def scatter(
    columns: Columns,
    x: Axis,
    y: Axis,
    color: Axis,
    kept: Numbers,
    found: Filter,
    selected: Sequence[int],
) -> Panel:
    """Trials as dots over two axes, coloured by a third; of many how many are where, and the best two hundred as dots."""
    goodness, shade = shades(columns)
    if color.kind == "score":
        tint = goodness
    else:
        tint = color.at(columns.column(color.kind, color.name))
        shade = np.where(np.isnan(tint), -1, np.minimum(np.nan_to_num(tint) * SHADES, SHADES - 1)).astype(
            np.intp
        )
    values = [columns.column(axis.kind, axis.name) for axis in (x, y, color)]
    numbers = np.arange(len(columns))
    places = [x.spread(values[0], numbers), y.spread(values[1], numbers * 7 + 3)]
    here = kept[~np.isnan(values[0][kept]) & ~np.isnan(values[1][kept])]
    many = len(here) > POINTS
    marked = np.array([n for n in selected if n < len(columns)], dtype=np.intp)
    marked = marked[~np.isnan(places[0][marked]) & ~np.isnan(places[1][marked])]
    drawn = best_first(columns, here, BEST_POINTS) if many else here
    dots = np.unique(np.concatenate([drawn, marked]))
    chart: dict[str, Any] = {
        "x": axis_json(x),
        "y": axis_json(y),
        "numbers": dots.tolist(),
        "shades": shade[dots].tolist(),
        "places": [thousandths(place[dots]) for place in places],
        "selected": marked.tolist(),
        "color": color.title,
        "ended": len(dots),
        "empty": not len(dots),
    }
    notes = [note for axis in (x, y) if (note := axis.note)]
    if many:
        chart["density"] = density(x.at(values[0][here]), y.at(values[1][here]), tint[here], ACROSS, UP)
        chart["cells"] = [ACROSS, UP]
        notes.insert(0, say("explore.density", shown=BEST_POINTS, n=f"{len(here):,}"))
    if len(here) < len(kept):
        notes.append(say("explore.without", n=f"{len(kept) - len(here):,}", x=x.key, y=y.key))
    order = best_first(columns, dots, len(dots))
    axes = list(dict.fromkeys((x, y, color)))
    columns_of = dict(zip((x, y, color), values, strict=True))
    rows = [[int(n), *(axis.text(columns_of[axis][n]) for axis in axes)] for n in order]
    return Panel(
        about(columns, kept, found),
        chart,
        [say("explore.trial"), *(axis.key for axis in axes)],
        rows,
        notes,
        [int(n) for n in order],
    )


def density(x: Floats, y: Floats, tint: Floats, across: int, up: int) -> list[list[int]]:
    """How many points fall into each cell, as [column, row, n, shade]; the shade is that of their mean, -1 without one."""
    column = np.minimum((x * across).astype(np.intp), across - 1)
    row = np.minimum((y * up).astype(np.intp), up - 1)
    cell = column * up + row
    count = np.bincount(cell, minlength=across * up)
    known = ~np.isnan(tint)
    total = np.bincount(cell[known], tint[known], minlength=across * up)
    valued = np.bincount(cell[known], minlength=across * up)
    mean = np.where(valued > 0, total / np.maximum(valued, 1), -1.0)
    shade = np.where(mean < 0, -1, np.minimum(mean * SHADES, SHADES - 1)).astype(int)
    return [[int(i // up), int(i % up), int(count[i]), int(shade[i])] for i in np.flatnonzero(count)]
