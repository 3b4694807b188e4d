"""CatBoost: `model.fit(..., callbacks=[Report(trial)])`.

What the last evaluation set measures is reported by the name of the metric (Logloss), the others as learn-Logloss. CatBoost shows a
callback no model, so there are no checkpoints on the way. To go on from the last training of a trial:

    model.fit(..., init_model=trial.restored, callbacks=[Report(trial)])
    model.save_model(trial.workdir / "model.cbm")
    trial.checkpoint(trial.workdir / "model.cbm")
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from luthier.callbacks.reporting import Reporter, Reporting, by_set


class Report:
    """Reports every iteration; the step is the number of trees that the model has, those it began with included."""

    def __init__(self, trial: Reporting, *, names: Mapping[str, str] | None = None) -> None:
        self._reporter = Reporter(trial, None, names)
        self._before = self._reporter.step

    def after_iteration(self, info: Any) -> bool:
        """Called by CatBoost; says to go on. Where the trial is told to end, CatBoost wraps Stop in an error of its own."""
        latest = {
            name: {metric: values[-1] for metric, values in of_set.items() if values}
            for name, of_set in (info.metrics or {}).items()
        }
        self._reporter.report(self._before + info.iteration, by_set(latest))
        return True
