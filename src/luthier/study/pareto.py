"""Which trials are beaten by none, where there are several objectives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from luthier.study.spec import Objective
from luthier.study.trial import State, Trial


def front(trials: Sequence[Trial], objectives: Sequence[Objective]) -> list[Trial]:
    """The completed trials that no other equals or betters in every objective, by number; NaN is worst."""
    completed = [trial for trial in trials if trial.state is State.COMPLETED]
    losses = np.array(
        [[o.sign * trial.metrics.get(o.metric, np.nan) for o in objectives] for trial in completed], dtype=float
    ).reshape(len(completed), len(objectives))
    return [completed[i] for i in np.flatnonzero(undominated(np.where(np.isnan(losses), np.inf, losses)))]


def undominated(losses: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which rows of `losses`, shape (n, objectives), all to be minimised, no other row dominates."""
    keep = np.ones(len(losses), dtype=bool)
    for i, row in enumerate(losses):
        no_worse = (losses <= row).all(axis=1)
        keep[i] = not (no_worse & (losses < row).any(axis=1)).any()
    return keep
