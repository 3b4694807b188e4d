"""Codes: points of a space as rows of numbers that a kernel understands, thousands at a time.

A row has one number per parameter that varies: its place in the unit interval, or the number of the value of an
unordered Choice. A row has a number for every parameter, whether it exists there or not, so that a change of a parent
finds its children at hand; `features` hides those that do not exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from luthier.space import Choice, Int, Parameter, Params, Scalar, Space, When, same

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

TABLE = 16384
"""So many levels are told apart; above that (and on a log scale that is where cells are tiny) a range is continuous."""
SWEEP = 16
"""A range with up to so many levels is not climbed but swept."""


@dataclass(frozen=True, slots=True)
class Axes:
    """What the columns of features are: `groups` says of which parameter, `numbers` which are numbers on a scale, and `steady`
    which of these, by their place among them, exist everywhere.
    """

    groups: Ints
    numbers: Ints
    steady: Ints


class Codes:
    """The rows of `space`: `names` says which parameter a column belongs to.

    `axes` says what the columns of the features are, `categories` the number of values of each unordered Choice (0 for
    all others), `climbs` which parameters a gradient step may move. With `levels` the features have one column more, which says how far
    a training went: 1 is in full.
    """

    def __init__(self, space: Space, levels: bool = False) -> None:
        self.space = space
        self._deep = int(levels)
        self.names = [name for name, parameter in space.items() if parameter.size != 1]
        parameters = [space[name] for name in self.names]
        count = len(parameters)
        self.categories = np.array([_categories(p) for p in parameters], dtype=np.int64)
        self.levels: list[Floats | None] = []
        self._edges: list[Floats] = []
        for parameter in parameters:
            centres, edges = _table(parameter)
            self.levels.append(centres)
            self._edges.append(edges)
        self.numeric = np.flatnonzero(self.categories == 0)
        self.unordered = np.flatnonzero(self.categories)
        self.snapped = [i for i in self.numeric.tolist() if self.levels[i] is not None]
        swept = [i for i in self.snapped if self.size(i) <= SWEEP]
        self.climbs = np.array([i for i in self.numeric.tolist() if i not in swept], dtype=np.int64)
        self.swept = sorted([*swept, *self.unordered.tolist()])
        self.stepped = [i for i in self.snapped if i not in swept]
        place = {name: i for i, name in enumerate(self.names)}
        self._rules = [(place[name], self._rule(name, place)) for name in space.order if name in place]
        self._rules = [(i, rules) for i, rules in self._rules if rules]
        self.conditional = np.zeros(count, dtype=bool)
        self.conditional[[i for i, _ in self._rules]] = True
        widths = np.where(self.categories > 0, self.categories + self.conditional, 1)
        self.columns = np.concatenate([[0], np.cumsum(widths)[:-1]]).astype(np.int64)[:count]
        width = int(widths.sum())
        self.axes = Axes(
            np.append(np.repeat(np.arange(count), widths), [count] * self._deep).astype(np.int64),
            np.append(self.columns[self.numeric], [width] * self._deep).astype(np.int64),
            np.flatnonzero(~self.conditional[self.numeric]),
        )
        self._multipliers = np.random.default_rng(20261121).integers(
            1, 2**63, size=count, dtype=np.uint64
        ) * np.uint64(2) + np.uint64(1)

    def size(self, i: int) -> int:
        """How many levels parameter number `i` has; 0 where it is continuous."""
        levels = self.levels[i]
        return int(self.categories[i]) or (0 if levels is None else len(levels))

    # --- from and to points ------------------------------------------------------------------

    def encode(self, params: Params) -> Floats:
        """The row of a point; NaN for parameters that do not exist there."""
        row = np.full(len(self.names), np.nan)
        for i, name in enumerate(self.names):
            if name in params:
                parameter = self.space[name]
                if self.categories[i] and isinstance(parameter, Choice):
                    row[i] = parameter.index(params[name])
                else:
                    row[i] = parameter.unit(params[name])
        return row

    def encoded(self, points: Sequence[Params]) -> Floats:
        """The rows of points, shape (points, parameters)."""
        return np.array([self.encode(params) for params in points]).reshape(len(points), len(self.names))

    def decode(self, row: Floats) -> dict[str, Scalar]:
        """The point of a row."""
        units = dict.fromkeys(self.space, 0.5)
        keep: dict[str, Scalar] = {}
        for i, name in enumerate(self.names):
            parameter = self.space[name]
            if self.categories[i] and isinstance(parameter, Choice):
                keep[name] = parameter.values[int(row[i])]
                continue
            units[name] = float(row[i])
            level = -1 if self.levels[i] is None else int(np.searchsorted(self._edges[i], row[i]))
            if 0 <= level < self.size(i) and isinstance(parameter, Int | Choice):
                keep[name] = parameter.nth(level)
        return self.space.at(units, keep=keep)

    # --- many rows at once -------------------------------------------------------------------

    def random(self, count: int, rng: np.random.Generator) -> Floats:
        """Rows of random points, drawn from the scales, priors and weights of the space; shape (count, parameters)."""
        return self.placed(rng.random((count, len(self.names))))

    def placed(self, units: Floats) -> Floats:
        """The rows at places of the unit cube."""
        rows = units.copy()
        for i in self.unordered:
            rows[:, i] = np.searchsorted(self._edges[i], units[:, i], side="right")
        return self.snap(rows)

    def snap(self, rows: Floats) -> Floats:
        """The rows with every stepped value at the centre of its cell."""
        for i in self.snapped:
            levels, edges = self.levels[i], self._edges[i]
            assert levels is not None
            level = np.searchsorted(edges, rows[:, i])
            inside = level < len(levels)
            rows[:, i] = np.where(inside, levels[np.minimum(level, len(levels) - 1)], rows[:, i])
        return rows

    def level(self, rows: Floats, i: int) -> Ints:
        """The number of the value that parameter number `i` has in each row."""
        if self.categories[i]:
            return rows[:, i].astype(np.int64)
        return np.searchsorted(self._edges[i], rows[:, i])

    def active(self, rows: Floats) -> Bools:
        """Which parameters exist in each row, which is decided by the values of their parents."""
        active = np.ones(rows.shape, dtype=bool)
        for i, rules in self._rules:
            for parent, allowed in rules:
                if parent < 0:
                    active[:, i] &= allowed[0]
                    continue
                level = np.minimum(self.level(rows, parent), len(allowed) - 1)
                active[:, i] &= active[:, parent] & allowed[level]
        return active

    def features(self, rows: Floats, active: Bools | None = None, levels: Floats | None = None) -> Floats:
        """What the kernel sees, shape (rows, features): two values of an unordered Choice lie at distance 1 of each other, a
        number that does not exist is in the middle, a choice that does not exist has a value of its own. Trainings went to `levels`,
        those of none are in full.
        """
        if active is None:
            active = self.active(rows)
        found = np.zeros((len(rows), len(self.axes.groups)))
        if self._deep:
            found[:, -1] = 1.0 if levels is None else levels
        found[:, self.columns[self.numeric]] = np.where(active[:, self.numeric], rows[:, self.numeric], 0.5)
        here = np.arange(len(rows))
        for i in self.unordered:
            value = np.where(active[:, i], rows[:, i], self.categories[i]).astype(np.int64)
            found[here, self.columns[i] + value] = np.sqrt(0.5)
        return found

    def keys(self, rows: Floats, active: Bools | None = None) -> NDArray[np.uint64]:
        """A hash of what exists in each row: equal for equal points. Numbers count to nine digits."""
        if active is None:
            active = self.active(rows)
        codes = np.where(active, np.rint(rows * 1e9), -1e9).astype(np.int64).view(np.uint64)
        mixed = codes * self._multipliers
        mixed ^= mixed >> np.uint64(29)
        mixed *= np.uint64(0xBF58476D1CE4E5B9)
        return np.asarray((mixed ^ (mixed >> np.uint64(32))).sum(axis=1, dtype=np.uint64))

    # --- how it is put together --------------------------------------------------------------

    def _rule(self, name: str, place: dict[str, int]) -> list[tuple[int, Bools]]:
        return [self._allowed(condition, place) for condition in self.space.conditions(name)]

    def _allowed(self, condition: When, place: dict[str, int]) -> tuple[int, Bools]:
        """The parent's number and for each of its levels whether the condition holds; -1 for a parent of one value."""
        parent: Parameter = self.space[condition.parent]
        if condition.parent not in place:
            only = parent.nth(0)
            return -1, np.array([any(same(only, value) for value in condition.values)])
        assert isinstance(parent, Int | Choice)
        count = min(parent.size, TABLE)
        allowed = np.zeros(count + 1, dtype=bool)  # one more for the levels that have no place in the table
        for value in condition.values:
            if isinstance(parent, Choice):
                allowed[parent.index(value)] = True
            elif isinstance(value, int):
                allowed[min((value - parent.low) // parent.step, count)] = True
        return place[condition.parent], allowed


def _categories(parameter: Parameter) -> int:
    return parameter.size if isinstance(parameter, Choice) and not parameter.ordered else 0


def _table(parameter: Parameter) -> tuple[Floats | None, Floats]:
    """The centres of the cells of a stepped parameter in the unit interval, and the edges between them."""
    if parameter.size is None:
        return None, np.empty(0)
    if isinstance(parameter, Choice):
        shares = np.array(parameter.weights or [1.0] * parameter.size)
        return parameter.to_unit(parameter.values), np.cumsum(shares / shares.sum())[:-1]
    count = min(parameter.size, TABLE)
    values = [parameter.nth(i) for i in range(count)]
    middle = 0.5 * float(getattr(parameter, "step", None) or 0.0)
    last = count if count < parameter.size else count - 1
    edges = [float(value or 0.0) + middle for value in values[:last]]
    return parameter.to_unit(values), parameter.to_unit(edges)
