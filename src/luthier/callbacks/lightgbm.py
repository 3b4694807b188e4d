"""LightGBM: `lgb.train(..., callbacks=[Report(trial)])`, or `LGBMClassifier().fit(..., callbacks=[Report(trial)])`.

What the last evaluation set measures is reported by the name of the metric (binary_logloss), the others as
training-binary_logloss. To go on from a checkpoint:

    left = rounds - (trial.restored_step or 0)
    if left:
        model = lgb.train(params, rows, left, init_model=trial.restored, valid_sets=...,
                          callbacks=[Report(trial, every=20)])
    else:  # the attempt that was lost had come to its end
        model = lgb.Booster(model_file=trial.restored)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from luthier.callbacks.reporting import Reporter, Reporting, by_set


class Report:
    """Reports every boosting round; the step is the number of rounds that the model has."""

    before_iteration = False
    order = 25
    """After LightGBM's own recording and logging, before its early stopping."""

    def __init__(
        self, trial: Reporting, *, every: int | None = None, names: Mapping[str, str] | None = None
    ) -> None:
        self._reporter = Reporter(trial, every, names)

    def __call__(self, env: Any) -> None:
        """Called by LightGBM."""
        measured: dict[str, dict[str, float]] = {}
        for name, metric, value, *_ in env.evaluation_result_list or ():
            measured.setdefault(name, {})[metric] = value
        self._reporter.report(env.iteration + 1, by_set(measured))
        if hasattr(env.model, "save_model"):
            self._reporter.keep(
                "model.txt", env.model.save_model, last=env.iteration + 1 == env.end_iteration
            )
