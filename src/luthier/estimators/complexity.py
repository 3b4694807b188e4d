"""How complex the estimators of trials are, for those who want the simplest of equally good ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from luthier.errors import InvalidStudy, did_you_mean
from luthier.study import Trial

MORE = ("C", "gamma", "degree", "max_depth", "max_leaf_nodes", "max_leaves", "num_leaves", "depth", "n_components",
        "n_estimators", "iterations", "max_iter", "hidden_layer_sizes", "max_features")  # fmt: skip
"""Parameters that make an estimator more complex the greater they are."""
LESS = ("alpha", "ccp_alpha", "lambda", "reg_alpha", "reg_lambda", "l2_leaf_reg", "l2_regularization", "min_child_samples",
        "min_child_weight", "min_samples_leaf", "min_samples_split", "n_neighbors", "shrinkage", "var_smoothing")  # fmt: skip
"""And those that make it simpler."""
TIMES = ("fit_seconds", "fit_time")


def complexity_of(trials: Sequence[Trial], parameter: str | None = None) -> NDArray[np.float64]:
    """A number for each trial, the greater the more complex: by the `parameter`, with a minus before it the other way round; by
    default the mean of the trials' ranks in the parameters that are known to matter; where there is none, the time of a fit.

    Raises InvalidStudy for a parameter that no trial has as a number.
    """
    if parameter is not None:
        found = _values(trials, parameter.removeprefix("-"))
        if found is None:
            names = sorted({name for trial in trials for name in trial.params})
            raise InvalidStudy(
                f"complexity is {parameter!r}, which no trial has as a number.{did_you_mean(parameter.removeprefix('-'), names)}"
            )
        return -found if parameter.startswith("-") else found
    names = sorted({name for trial in trials for name in trial.params})
    ranks = []
    for name in names:
        last = name.rpartition("__")[2]
        values = _values(trials, name) if last in (*MORE, *LESS) else None
        if values is not None:
            ranks.append(_ranks(values if last in MORE else -values))
    if ranks:
        return np.asarray(np.mean(ranks, axis=0))
    times = [[t.metrics.get(name, np.nan) for name in TIMES] for t in trials]
    return np.array([next((s for s in row if s == s), np.inf) for row in times])


def _values(trials: Sequence[Trial], name: str) -> NDArray[np.float64] | None:
    """The parameter's value in each trial; what is absent or None is the greatest, as an unlimited depth is."""
    found = [trial.params.get(name) for trial in trials]
    numbers = [float(v) for v in found if isinstance(v, int | float) and not isinstance(v, bool)]
    if not numbers or any(isinstance(value, str) for value in found):
        return None
    return np.array(
        [float(v) if isinstance(v, int | float) and not isinstance(v, bool) else np.inf for v in found]
    )


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """From 0 to 1, equal values alike."""
    places = np.unique(values, return_inverse=True)[1]
    return np.asarray(places / max(1, places.max()))
