"""What an axis is: a parameter, the score, a metric or a time, with every value at a place from 0 to 1.

Parameters lie on their own scale, as the search sees them; values on the axis that `luthier.plots` gives them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from luthier.analysis.filtering import Filter, Kind, range_text, written
from luthier.analysis.filtering import quoted as quoted_value
from luthier.plots.scales import View, ticks, titled
from luthier.plots.scales import written as value_text
from luthier.space import Choice, Const, Int, Parameter
from luthier.space.parameters import number_text
from luthier.studio.columns import Columns, Floats
from luthier.study import Objective

NODES = 257
"""So many values of a scale are mapped exactly, and what lies between in proportion."""
FEW = 24
"""Values of at most so many are told apart, each with a place of its own in a histogram."""
FAR = 1e290
"""Further out values lie at the end: differences between them would have no number."""


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """A column of all trials, and where its values are: `values` and `places` are points of that map, both rising.

    `levels` are the values of a choice, in words, else empty.
    """

    kind: Kind
    name: str
    title: str
    ticks: tuple[tuple[float, str], ...]
    values: Floats
    places: Floats
    levels: tuple[str, ...] = ()
    apart: bool = False
    note: str = ""

    @property
    def key(self) -> str:
        """How addresses name it."""
        return self.name if self.kind != "metric" else f"metrics.{self.name}"

    def at(self, values: Floats) -> Floats:
        """The places of values; NaN stays so, and what is beyond the ends is on them."""
        return np.interp(values, self.values, self.places)

    def value(self, place: float) -> float:
        """The value at a place."""
        return float(np.interp(place, self.places, self.values))

    def text(self, value: float) -> str:
        """A value in words."""
        if math.isnan(value):
            return ""
        return self.levels[int(value)] if self.levels else value_text(value)

    def bins(self, values: Floats, most: int) -> tuple[NDArray[np.intp], int]:
        """In which of how many pieces each value lies, counted from 0; -1 where there is none."""
        n = len(self.values) if self.apart and len(self.values) <= most else most
        places = np.searchsorted(self.values, values) if n != most else np.nan_to_num(self.at(values)) * n
        found = np.clip(places.astype(np.intp), 0, n - 1)
        return np.where(np.isnan(values), -1, found), n

    def spread(self, values: Floats, numbers: NDArray[np.intp]) -> Floats:
        """Places, those at one value of few a little apart: by their number, so always the same way."""
        places = self.at(values)
        if not self.apart:
            return places
        return np.asarray(places + ((numbers * 0.6180339887) % 1 - 0.5) * 0.5 / len(self.values))

    def brush(self, asked: Filter) -> dict[str, Any] | None:
        """What a filter asks of it, where that is a range or some of its values: the places, and the words."""
        terms = asked.on(self.kind, self.name)
        if len(terms) != 1 or terms[0].negated or not terms[0].spans or terms[0].without:
            return None
        spans = terms[0].spans
        if self.levels:
            chosen = sorted({int(span.low) for span in spans if 0 <= span.low < len(self.levels)})
            return {"spans": [self._cell(i) for i in chosen], "chosen": [self.levels[i] for i in chosen]}
        if len(spans) != 1 or math.isnan(spans[0].low):
            return None
        low, high = spans[0].low, spans[0].high
        ends = [float(place) for place in self.at(np.array([low, high]))]
        return {"spans": [ends], "low": _number(low), "high": _number(high)}

    def _cell(self, i: int) -> list[float]:
        half = 0.5 / len(self.levels)
        return [float(self.places[i]) - half, float(self.places[i]) + half]

    def within(self, low: float, high: float) -> str:
        """The term of a filter for what lies between two places; nothing where that is all."""
        if low <= 0.0 and high >= 1.0:
            return ""
        if self.levels:
            chosen = [i for i, place in enumerate(self.places) if low <= place <= high]
            return self.only([self.levels[i] for i in chosen]) if chosen else ""
        ends = [None if end <= 0.0 or end >= 1.0 else self.value(end) for end in (low, high)]
        if self.apart:
            ends = [
                None if end is None else float(self.values[np.abs(self.values - end).argmin()])
                for end in ends
            ]
        return self.between(*(None if end is None else float(f"{end:.4g}") for end in ends))

    def between(self, low: float | None, high: float | None) -> str:
        """The term of a filter for a range of values."""
        return written(self.kind, self.name, range_text(low, high)) if (low, high) != (None, None) else ""

    def only(self, levels: Sequence[str]) -> str:
        """The term of a filter for some values of a choice."""
        return written(self.kind, self.name, ",".join(map(quoted_value, levels))) if levels else ""


def _number(value: float) -> str:
    return number_text(value) if math.isfinite(value) else ""


def axis_of(columns: Columns, key: str) -> Axis | None:
    """The axis of that name; None where there is none such, or nothing varies along it."""
    space, objective = columns.problem.space, columns.problem.objective
    match key:
        case "score":
            return _measured("score", "score", objective, columns.values)
        case "number" | "seconds":
            own: Kind = "number" if key == "number" else "seconds"
            return _measured(own, own, Objective(own, "min"), columns.own(own))
    if key in space and key in columns.varying:
        return of_parameter(key, space[key])
    name = key.removeprefix("metrics.")
    if name in columns.metrics:
        goals = {one.metric: one for one in columns.problem.objectives}
        return _measured("metric", name, goals.get(name, Objective(name, "min")), columns.metric(name))
    return None


def of_parameter(name: str, parameter: Parameter) -> Axis:
    """The axis of a parameter that varies."""
    levels: tuple[str, ...] = ()
    if isinstance(parameter, Choice | Const):
        all_of_it = parameter.values if isinstance(parameter, Choice) else (parameter.value,)
        values = np.arange(len(all_of_it), dtype=np.float64)
        places = parameter.to_unit(all_of_it)
        levels = tuple(map(str, all_of_it))
    else:
        size = parameter.size
        found = (
            [parameter.nth(i) for i in range(size)]
            if size is not None and size <= FEW
            else parameter.from_unit(np.linspace(0, 1, NODES).tolist())
        )
        finite = sorted({float(value) for value in found if math.isfinite(value)})  # type: ignore[arg-type]
        values = np.array(finite)
        places = parameter.to_unit([int(v) for v in finite] if isinstance(parameter, Int) else finite)
    apart = len(values) <= FEW
    return Axis(
        "param", name, titled(name, parameter), _shortened(ticks(parameter)), values, places, levels, apart
    )


def _shortened(found: tuple[tuple[float, str], ...], most: int = 16) -> tuple[tuple[float, str], ...]:
    """Some of the ticks, where there are many."""
    return found[:: math.ceil(len(found) / most)] if len(found) > most else found


def _measured(kind: Kind, name: str, objective: Objective, values: Floats) -> Axis:
    view = View(objective, np.where(np.isfinite(values), np.clip(values, -FAR, FAR), values))
    places = np.linspace(0, 1, NODES)
    between = (
        view.low * (view.high / view.low) ** places
        if view.log
        else view.low + places * (view.high - view.low)
    )
    title = view.title if kind in ("score", "metric") else name
    return Axis(kind, name, title, view.ticks(), np.asarray(between), places, note=view.note)


def keys(columns: Columns) -> list[tuple[str, str]]:
    """Everything that can be an axis: how addresses name it, and its name."""
    objective = columns.problem.objective.metric
    metrics = [(f"metrics.{name}", name) for name in columns.metrics if name != objective]
    own = [("score", f"{objective} (score)"), ("number", "number"), ("seconds", "seconds")]
    return [*own, *((name, name) for name in columns.varying), *metrics]


def telling(columns: Columns) -> list[str]:
    """The parameters that vary, first those along which the score varies most: the share of its variance, in ranks, that lies
    between the pieces of a parameter (eta squared, less what chance alone would give).
    """
    scored = columns.order
    n = len(scored)
    if n < 10:
        return columns.varying
    ranks = np.empty(n)
    ranks[:] = np.arange(n)
    ranks = (ranks - ranks.mean()) / (ranks.std() or 1.0)
    found = []
    for place, name in enumerate(columns.varying):
        codes, k = of_parameter(name, columns.problem.space[name]).bins(columns.param(name)[scored], 24)
        count = np.bincount(codes + 1, minlength=k + 1)
        total = np.bincount(codes + 1, ranks, minlength=k + 1)
        share = float(np.sum(np.square(total) / np.maximum(count, 1))) / n - (np.count_nonzero(count) - 1) / n
        found.append((-share, place, name))
    return [name for *_, name in sorted(found)]
