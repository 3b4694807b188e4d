"""What an address of these pages asks for: which trials, which of them stand out, along which axes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from luthier.analysis.filtering import Filter, parse
from luthier.errors import InvalidFilter
from luthier.studio.columns import Columns
from luthier.studio.explore.axes import Axis, axis_of, keys, telling
from luthier.studio.looking import Shown

VIEWS = ("parallel", "scatter", "slice", "contour", "importance")
AXES = 8
"""So many parameters are shown side by side, unless more are asked for."""
MOST_AXES = 40
SLICES = 6
MOST_SELECTED = 50
LONGEST = 4_000
"""A filter of more letters is no filter."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A view of trials. What makes no sense in an address is left out; only a filter that cannot be read is said."""

    view: str = VIEWS[0]
    f: str = ""
    sel: tuple[int, ...] = ()
    axes: tuple[str, ...] | None = None
    x: str = ""
    y: str = ""
    color: str = ""
    by: str = ""
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, query: QueryParams) -> Self:
        """From an address."""
        view = query.get("view", "")
        return cls(
            view if view in VIEWS else VIEWS[0],
            query.get("f", "").strip()[:LONGEST],
            selected(query.get("sel", "")),
            tuple(dict.fromkeys(query.getlist("axes")))[:MOST_AXES] if "axes" in query else None,
            query.get("x", ""),
            query.get("y", ""),
            query.get("color", ""),
            "seconds" if query.get("by") == "seconds" else "",
            number(query.get("from")),
            number(query.get("to")),
        )

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """What stands in the address."""
        axes = [] if self.axes is None else [("axes", key) for key in self.axes or ("",)]
        given = [
            ("view", self.view if self.view != VIEWS[0] else ""),
            ("f", self.f),
            ("sel", ",".join(map(str, self.sel))),
            ("x", self.x),
            ("y", self.y),
            ("color", self.color),
            ("by", self.by),
            ("from", "" if self.low is None else f"{self.low:.12g}"),
            ("to", "" if self.high is None else f"{self.high:.12g}"),
        ]
        return [*((name, value) for name, value in given if value), *axes]

    @property
    def query(self) -> str:
        """The end of an address."""
        return f"?{urlencode(self.pairs)}" if self.pairs else ""

    def see(self, view: str) -> Self:
        """Another view of the same trials."""
        return replace(self, view=view)

    def only(self, *names: str) -> str:
        """The end of an address that keeps only these."""
        kept = [(name, value) for name, value in self.pairs if name in names]
        return f"?{urlencode(kept)}" if kept else ""

    def axes_in(self, columns: Columns, most: int = AXES) -> list[Axis]:
        """The parameters that are asked for, else those that tell most."""
        wanted: Iterable[str] = telling(columns)[:most] if self.axes is None else self.axes
        found = (axis_of(columns, key) for key in wanted if key != "score")
        return [axis for axis in found if axis is not None]

    def changed(self, shown: Shown, query: QueryParams) -> Self:
        """With what the buttons and fields of the page ask for: an axis brushed, moved, put there, taken away; trials chosen."""
        columns, found = shown.columns, self
        match query.get("pick"):
            case "all":
                found = replace(found, axes=tuple(columns.varying[:MOST_AXES]))
            case "top":
                found = replace(found, axes=None)
            case "none":
                found = replace(found, axes=())
        for step, side in (("left", -1), ("right", 1)):
            if query.get(step):
                found = replace(
                    found, axes=_moved([axis.key for axis in self.axes_in(columns)], query[step], side)
                )
        if "pick.trial" in query:
            chosen = [
                int(text) for text in query.getlist("pick.trial") if text.isdecimal() and len(text) < 10
            ]
            found = replace(found, sel=tuple(dict.fromkeys(chosen))[:MOST_SELECTED])
        return replace(found, f=self._brushed(shown, query))

    def _brushed(self, shown: Shown, query: QueryParams) -> str:
        text = self.f
        touched = {
            name.partition(".")[2]
            for name in query
            if name.partition(".")[0] in ("low", "high", "only", "place")
        }
        for key in [key for key, _ in keys(shown.columns) if key in touched]:
            axis = axis_of(shown.columns, key)
            there = self.read(shown, text)
            if axis is not None and there is not None:
                term = _term(axis, query, key)
                before = axis.brush(there)
                if term != (before and _again(axis, before)) and not (term == "" and before is None):
                    text = there.but(axis.kind, axis.name, term)
        return text

    def read(self, shown: Shown, text: str) -> Filter | None:
        """The filter; None where it cannot be read."""
        try:
            return parse(text, shown.spec.problem, shown.columns.metrics)
        except InvalidFilter:
            return None


CHANGES = ("pick", "left", "right", "pick.trial")


def changes(query: QueryParams) -> bool:
    """Whether an address asks for a change of the view, and should become the address of what is then to be seen."""
    return any(name in CHANGES or name.split(".")[0] in ("low", "high", "only", "place") for name in query)


def _term(axis: Axis, query: QueryParams, key: str) -> str:
    ends = query.get(f"place.{key}", "").split("..")
    if len(ends) == 2:
        low, high = number(ends[0]), number(ends[1])
        return axis.within(0.0 if low is None else low, 1.0 if high is None else high)
    if axis.levels:
        return axis.only([level for level in query.getlist(f"only.{key}") if level in axis.levels])
    low, high = number(query.get(f"low.{key}")), number(query.get(f"high.{key}"))
    if low is not None and high is not None and low > high:
        low, high = high, low
    return axis.between(low, high)


def _again(axis: Axis, brush: dict[str, object]) -> str:
    """The term that a brush stands for."""
    if axis.levels:
        return axis.only(brush["chosen"])  # type: ignore[arg-type]
    return axis.between(number(str(brush["low"])), number(str(brush["high"])))


def _moved(order: Sequence[str], key: str, side: int) -> tuple[str, ...]:
    found = list(order)
    if key in found:
        place = found.index(key)
        other = min(max(place + side, 0), len(found) - 1)
        found[place], found[other] = found[other], found[place]
    return tuple(found)


def selected(text: str) -> tuple[int, ...]:
    """Trials that somebody names: 7, 12."""
    words = text.replace("#", " ").replace(",", " ").split()
    return tuple(dict.fromkeys(int(word) for word in words if word.isdecimal() and len(word) < 10))[
        :MOST_SELECTED
    ]


def number(text: str | None) -> float | None:
    """A finite number that somebody typed."""
    try:
        found = float((text or "").replace(",", "."))
    except ValueError:
        return None
    return found if abs(found) < 1e308 else None
