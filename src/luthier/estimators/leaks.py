"""Columns that give the target away: it under another name, in other units, or as other labels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from luthier.estimators.data import is_frame, is_sparse

SOME = 200
"""Rows that are looked at first: a column that is not the target is told by them."""
CLASSES = 50
SAME = 1 - 1e-12
"""The squared correlation of two columns of which one is the other in other units."""


def leaks(X: Any, y: Any) -> Iterator[str]:
    """A sentence for each column from which the target follows exactly, one value to one value."""
    if y is None or is_sparse(X) or len(y) < 10:
        return
    target = np.asarray(y)
    classes = target.dtype.kind not in "f" and len(np.unique(target)) <= CLASSES
    for name, column in _columns(X):
        values = np.asarray(column[:SOME])
        if _tells(values, target[:SOME], classes) and _tells(np.asarray(column), target, classes):
            yield (
                f"{name} gives the target away: each of its values belongs to one value of the target. "
                "If it is not known when predictions are made, leave it out, or the scores mean nothing."
            )


def _columns(X: Any) -> Iterator[tuple[str, Any]]:
    if is_frame(X):
        for name in X.columns:
            yield f"column {str(name)!r}", X[name]
    else:
        for i in range(X.shape[1]):
            yield f"column {i}", X[:, i]


def _tells(values: Any, target: Any, classes: bool) -> bool:
    if classes:
        labels = [str(value) for value in values.tolist()]  # any kind, gaps included
        pairs = set(zip(labels, target.tolist(), strict=True))
        return 1 < len(pairs) == len(set(labels)) == len({label for _, label in pairs})
    if values.dtype.kind not in "iuf" or target.dtype.kind not in "iuf":
        return False
    a, b = values - values.mean(dtype=float), target - target.mean(dtype=float)
    spread = float(a @ a) * float(b @ b)
    return spread > 0 and float(a @ b) ** 2 > SAME * spread
