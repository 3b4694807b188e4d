"""Encoding: the points of a space as rows of numbers between 0 and 1, and back.

Each parameter that can vary has a column of its own, where its `unit` goes; an unordered Choice has a column per value, 1
for the one chosen and 0 for the others. Where a parameter does not exist its columns are NaN.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from luthier.space.parameters import Choice, Scalar
from luthier.space.space import Params, Space

Floats = NDArray[np.float64]


class Encoding:
    """The columns of `space`: `columns` are their names, `spans` which of them belong to a parameter."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.columns: list[str] = []
        self.spans: dict[str, slice] = {}
        for name, parameter in space.items():
            if parameter.size == 1:
                continue
            start = len(self.columns)
            unordered = isinstance(parameter, Choice) and not parameter.ordered
            self.columns += [f"{name}={v!r}" for v in parameter.values] if unordered else [name]  # type: ignore[union-attr]
            self.spans[name] = slice(start, len(self.columns))

    def encode(self, rows: Sequence[Params]) -> Floats:
        """Points of the space as an array of shape (rows, columns)."""
        array = np.full((len(rows), len(self.columns)), np.nan)
        for name, span in self.spans.items():
            parameter = self.space[name]
            here = [i for i, row in enumerate(rows) if name in row]
            values = [rows[i][name] for i in here]
            if isinstance(parameter, Choice) and not parameter.ordered:
                array[here, span] = 0.0
                array[here, [span.start + parameter.index(value) for value in values]] = 1.0
            else:
                array[here, span.start] = parameter.to_unit(values)
        return array

    def decode(self, units: Floats) -> list[dict[str, Scalar]]:
        """The points next to the rows of `units`, shape (rows, columns): of a choice the value with the largest number.

        Any numbers will do: what lies outside [0, 1] counts as its end, NaN as the middle.
        """
        units = np.clip(np.nan_to_num(np.asarray(units, dtype=np.float64), nan=0.5), 0.0, 1.0)
        return [self._decoded(row) for row in units]

    def _decoded(self, row: Floats) -> dict[str, Scalar]:
        places = dict.fromkeys(self.space, 0.5)
        chosen: dict[str, Scalar] = {}
        for name, span in self.spans.items():
            parameter = self.space[name]
            if isinstance(parameter, Choice) and not parameter.ordered:
                chosen[name] = parameter.values[int(row[span].argmax())]
            else:
                places[name] = float(row[span.start])
        return self.space.at(places, keep=chosen)
