"""Which trials are beaten by none, where there are several objectives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from luthier.study.spec import Objective
from luthier.study.trial import State, Trial


def front(trials: Sequence[Trial], objectives: Sequence[Objective]) -> list[Trial]:
    """The completed trials that no other dominates - is as good in every objective and better in one -
    in the order given. NaN is worst.
    """
    completed = [trial for trial in trials if trial.state is State.COMPLETED]
    losses = np.array(
        [[o.sign * trial.metrics.get(o.metric, np.nan) for o in objectives] for trial in completed],
        dtype=float,
    ).reshape(len(completed), len(objectives))
    return [completed[i] for i in np.flatnonzero(undominated(np.where(np.isnan(losses), np.inf, losses)))]


def undominated(losses: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which rows of `losses`, shape (n, objectives), all to be minimised, no other row dominates."""
    keep = np.zeros(len(losses), dtype=bool)
    # In lexicographic order nothing is dominated by what comes after it, so each first row is on the front
    # and what it dominates can be dropped at once.
    left = np.lexsort(losses.T[::-1]) if losses.size else np.arange(0)
    while len(left):
        first, rows = losses[left[0]], losses[left]
        equal = (rows == first).all(axis=1)
        keep[left[equal]] = True
        left = left[~equal & (rows < first).any(axis=1)]
    return keep
