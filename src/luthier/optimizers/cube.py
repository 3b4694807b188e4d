"""Cube: the rows of an encoding, and what methods that draw many of them at once need to know of the space.

Drawing happens in the unit cube, where any number will do. `settle` then moves the rows to points of the space, all at
once: numbers to the centre of their cell, and NaN where a parameter does not exist.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from luthier.space import Choice, Const, Encoding, Float, Int, Parameter, Params, Scalar, Space

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MOST_CELLS = 1000
"""A stepped range with more values than this is as good as continuous."""


class Cube:
    """The columns of `space`: `numeric` are those of numbers and ordered choices, `spans` those of the other choices,
    whose `shares` say how likely each value is before anything is known.

    `edges` holds for each column of few values where its cells meet, `centres` where their values lie.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self._encoding = Encoding(space)
        self.width = len(self._encoding.columns)
        self.edges: dict[int, Floats] = {}
        self.centres: dict[int, Floats] = {}
        self.spans: list[slice] = []
        self.shares: list[Floats] = []
        numeric = []
        for name, span in self._encoding.spans.items():
            parameter = space[name]
            if isinstance(parameter, Choice) and not parameter.ordered:
                self.spans.append(span)
                shares = np.array(parameter.weights or [1.0] * parameter.size, dtype=np.float64)
                self.shares.append(shares / shares.sum())
                continue
            numeric.append(span.start)
            if parameter.size is not None and parameter.size <= MOST_CELLS:
                self.edges[span.start], self.centres[span.start] = _cells(parameter)
        self.numeric = np.array(numeric, dtype=np.intp)
        self._tests = [
            (self._encoding.spans[name], self._conditions(name))
            for name in space.order
            if name in self._encoding.spans and space.conditions(name)
        ]

    def row(self, params: Params) -> Floats:
        """The point as a row, NaN where a parameter does not exist. Shape (width,)."""
        return np.asarray(self._encoding.encode([params])[0])

    def params(self, row: Floats) -> dict[str, Scalar]:
        """The point next to a row."""
        return self._encoding.decode(row[None])[0]

    def settle(self, rows: Floats) -> Floats:
        """The rows of the points next to `rows`, shape (rows, width); choices must be 0 and 1 already."""
        rows = rows.copy()
        for column, edges in self.edges.items():
            rows[:, column] = self.centres[column][np.searchsorted(edges, rows[:, column], side="right")]
        for span, tests in self._tests:
            rows[~np.logical_and.reduce([_holds(rows, test) for test in tests]), span] = np.nan
        return rows

    def _conditions(self, name: str) -> list[_Test]:
        return [self._test(condition.parent, condition.values) for condition in self.space.conditions(name)]

    def _test(self, parent: str, values: tuple[Scalar, ...]) -> _Test:
        """The columns to look at, and the ranges one of which one of them must be in."""
        span, parameter = self._encoding.spans.get(parent), self.space[parent]
        if span is None:  # of a single value, which every condition on it names: `Space` checked that
            return []
        if isinstance(parameter, Choice) and not parameter.ordered:
            return [(span.start + parameter.index(value), 0.5, 1.5) for value in values]
        return [(span.start, *_cell(parameter, value)) for value in values]


_Test = list[tuple[int, float, float]]


def _holds(rows: Floats, test: _Test) -> Bools:
    """Where one of the columns is within its range; a parent that does not exist is in none."""
    if not test:
        return np.ones(len(rows), dtype=np.bool_)
    fits = [(rows[:, column] >= low) & (rows[:, column] <= high) for column, low, high in test]
    return np.asarray(np.logical_or.reduce(fits))


def _cells(parameter: Parameter) -> tuple[Floats, Floats]:
    """Where the cells of a range of few values meet, and their centres."""
    values = [parameter.nth(i) for i in range(parameter.size or 0)]
    uppers = [_cell(parameter, value)[1] for value in values]
    return np.array(uppers[:-1]), parameter.to_unit(values)


def _cell(parameter: Parameter, value: Scalar) -> tuple[float, float]:
    """The ends of a value's cell in the unit interval."""
    match parameter:
        case Choice():
            weights = parameter.weights or (1.0,) * parameter.size
            half = weights[parameter.index(value)] / sum(weights) / 2
            return parameter.unit(value) - half, parameter.unit(value) + half
        case Int() | Float():
            half = (parameter.step or 0.0) / 2
            return parameter.unit(value - half), parameter.unit(value + half)  # type: ignore[operator]
        case Const():
            return 0.0, 1.0
