"""Which parameters mattered: functional ANOVA (Hutter, Hoos, Leyton-Brown 2014) on a random forest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from luthier.analysis.forest import Cells, Forest, Tree, spread
from luthier.study import History

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Importance:
    """The share of the objective's variance over the space that a parameter explains by itself, with its standard error."""

    parameter: str
    share: float
    error: float


def importance(history: History, *, forest: Forest | None = None) -> list[Importance]:
    """How much each parameter matters to the first objective by itself, the most important first. All shares together are at most 1: what is
    missing are effects that parameters have only together.

    A share is about the whole space as it was given, on the scale of its parameters, and not only about the
    neighbourhood of the best. It is the variance of the marginal of the parameter - the objective it leads to on average
    over all values of the others - as a share of the variance of the objective. A parameter that exists only under a
    condition is averaged over the part of the space where it does, and its variance there counts as often as that is;
    that it exists at all is the effect of its parent. (The effects so defined are orthogonal, whence the sum.)

    Shares come from a random forest on the completed trials; `error` is their standard deviation over its
    trees, each of which saw another bootstrap sample.

    Raises LuthierError where there are too few trials to tell.
    """
    forest = forest or Forest.of(history)
    variances = np.array([_variances(forest.cells, tree) for tree in forest.trees])
    effects, totals = variances[:, :-1], variances[:, -1:]
    shares = effects / np.where(totals > 0, totals, 1.0)
    found = [
        Importance(a.name, float(share), float(error))
        for a, share, error in zip(
            forest.cells.axes, shares.mean(axis=0), shares.std(axis=0, ddof=1), strict=True
        )
    ]
    return sorted(found, key=lambda item: -item.share)


def _variances(cells: Cells, tree: Tree) -> list[float]:
    """The variance that each parameter explains by itself, and last that of all."""
    shares = spread(cells, tree)
    n = len(cells.axes)
    before, after = np.ones_like(shares), np.ones_like(shares)
    np.cumprod(shares[:-1], axis=0, out=before[1:])
    after[:-1] = np.cumprod(shares[:0:-1], axis=0)[::-1]
    whole = before[-1] * shares[-1]
    expected = whole @ tree.heights
    mean = float(cells.chance @ expected)
    total = float(cells.chance @ (whole @ np.square(tree.heights))) - mean**2
    found = []
    for i in range(n):
        exist = cells.chance * cells.active[:, i]
        if cells.parents[i]:
            weights = np.bincount(cells.places[:, i], exist)
            sums = np.bincount(cells.places[:, i], exist * expected)
            marginal = np.divide(sums, weights, out=np.zeros_like(sums), where=weights > 0)
        else:
            weights = cells.weights[i] * exist.sum()
            others = exist @ (before[i] * after[i])
            marginal = (others * tree.heights) @ tree.boxes[:, i] / max(exist.sum(), 1e-300)
        centre = float(weights @ marginal) / max(float(weights.sum()), 1e-300)
        found.append(float(weights @ np.square(marginal - centre)))
    return [*found, total]
