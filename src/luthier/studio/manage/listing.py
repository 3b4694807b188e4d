"""The list of studies as plain data for its template: filtered, in an order, a page at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

import numpy as np

from luthier.studio.columns import Columns
from luthier.studio.looking import Shelf, Shown
from luthier.studio.views import line, whole
from luthier.studio.words import say
from luthier.summary import plural

PAGE = 100
POINTS = 30
WIDTH, HEIGHT = 96.0, 20.0
EDGE = 2.0
ORDERS: Mapping[str, Callable[[Shown], Any]] = {
    "newest": lambda shown: -shown.row.created,
    "name": lambda shown: shown.name.casefold(),
    "trials": lambda shown: -shown.ended,
    "change": lambda shown: -(shown.row.active or shown.row.created),
}
"""What studies can be put in order by; the first where nothing is said."""


@dataclass(frozen=True, slots=True)
class Query:
    """Which studies to list: those with `text` in their name, in which order, from which place on, counted from 0."""

    text: str = ""
    by: str = "newest"
    archived: bool = False
    start: int = 0

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Query:
        """From the address of a page; what makes no sense there is left out."""
        by = query.get("by", "")
        return cls(
            query.get("q", "").strip()[:200],
            by if by in ORDERS else "newest",
            query.get("archived") == "1",
            max(0, whole(query.get("from"), 1) - 1),
        )

    @property
    def address(self) -> str:
        """The page that shows it."""
        given = {
            "q": self.text,
            "by": self.by if self.by != "newest" else "",
            "archived": "1" if self.archived else "",
            "from": str(self.start + 1) if self.start else "",
        }
        kept = {name: value for name, value in given.items() if value}
        return f"/?{urlencode(kept)}" if kept else "/"

    def allows(self, shown: Shown) -> bool:
        """Whether a study is among them."""
        return self.text.casefold() in shown.name.casefold()


def listing(shelf: Shelf, query: Query) -> dict[str, Any]:
    """A page of the list."""
    every = shelf.studies()
    there = [shown for shown in every if query.archived or shown.remarks.archived is None]
    found = sorted(filter(query.allows, there), key=ORDERS[query.by])
    start = query.start if query.start < len(found) else max(0, (len(found) - 1) // PAGE * PAGE)
    page = found[start : start + PAGE]
    away = sum(shown.remarks.archived is not None for shown in every)
    return {
        "lines": [_line(shown) for shown in page],
        "any": bool(every),
        "count": _studies(len(found)),
        "more": len(found) > PAGE,
        "first": start + 1,
        "last": start + len(page),
        "total": len(found),
        "previous": replace(query, start=max(0, start - PAGE)).address if start else None,
        "next": replace(query, start=start + PAGE).address if start + PAGE < len(found) else None,
        "text": query.text,
        "by": query.by,
        "archived": query.archived,
        "away": away,
        "toggle": replace(query, archived=not query.archived, start=0).address,
        "orders": {by: replace(query, by=by, start=0).address for by in ORDERS},
    }


def _studies(n: int) -> str:
    return plural(n, "study").replace("studys", "studies")


def _line(shown: Shown) -> dict[str, Any]:
    return line(shown) | {
        "archived": shown.remarks.archived is not None,
        "note": shown.remarks.note,
        "spark": spark(shown.columns),
    }


def spark(columns: Columns) -> dict[str, str] | None:
    """The best so far as a small line: the points of an SVG polyline, and what it shows in words; None for less than two values."""
    with columns.still:
        gains, finished = columns.gains, columns.finished
        values = columns.values[finished[gains]].copy()
        places = gains.copy()
        ended = len(finished)
    fine = np.isfinite(values)
    values, places = values[fine], places[fine]
    if len(values) < 2:
        return None
    at = np.unique(np.linspace(places[0], ended - 1, POINTS).astype(np.intp))
    seen = values[np.searchsorted(places, at, side="right") - 1]
    low, high = float(seen.min()), float(seen.max())
    with np.errstate(over="ignore"):
        share = (seen - low) / (high - low) if 0 < high - low < np.inf else np.full(len(seen), 0.5)
    x = EDGE + (WIDTH - 2 * EDGE) * (at - at[0]) / max(1, at[-1] - at[0])
    y = HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * share
    return {
        "points": _points(x.tolist(), y.tolist()),
        "text": say("list.spark.text", first=f"{values[0]:.4g}", last=f"{values[-1]:.4g}"),
    }


def _points(x: Sequence[float], y: Sequence[float]) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
