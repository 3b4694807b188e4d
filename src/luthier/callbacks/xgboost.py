"""XGBoost: `xgb.train(..., callbacks=[Report(trial)])`, or of an estimator `XGBClassifier(callbacks=[Report(trial)])`.

What the last evaluation set measures is reported by the name of the metric (logloss), the others as train-logloss. To go on from a
checkpoint:

    xgb.train(params, rows, rounds - (trial.restored_step or 0), xgb_model=trial.restored,
              evals=..., callbacks=[Report(trial, every=20)])
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from luthier.callbacks.reporting import Reporter, Reporting, by_set
from luthier.errors import MissingExtra

try:
    from xgboost.callback import TrainingCallback
except ModuleNotFoundError:
    raise MissingExtra("xgboost", "boosting", "luthier.callbacks.xgboost") from None


class Report(TrainingCallback):
    """Reports every boosting round; the step is the number of rounds that the model has."""

    def __init__(
        self, trial: Reporting, *, every: int | None = None, names: Mapping[str, str] | None = None
    ) -> None:
        super().__init__()
        self._reporter = Reporter(trial, every, names)

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """Called by XGBoost; never asks to end, as Stop does that."""
        del epoch  # begins at 0 again where training goes on
        latest = {
            name: {metric: _value(values[-1]) for metric, values in of_set.items()}
            for name, of_set in evals_log.items()
        }
        self._reporter.report(_rounds(model), by_set(latest))
        self._reporter.keep("model.ubj", _booster(model).save_model)
        return False

    def after_training(self, model: Any) -> Any:
        """Called by XGBoost."""
        self._reporter.keep("model.ubj", _booster(model).save_model, last=True)
        return model


def _value(value: Any) -> float:
    return float(value[0] if isinstance(value, tuple) else value)  # cv adds the standard deviation


def _booster(model: Any) -> Any:
    return model.cvfolds[0].bst if hasattr(model, "cvfolds") else model


def _rounds(model: Any) -> int:
    return int(_booster(model).num_boosted_rounds())
