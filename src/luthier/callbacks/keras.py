"""Keras 3: `model.fit(..., callbacks=[Report(trial)])`.

Metrics are reported as Keras names them: loss, val_loss, accuracy. To go on from a checkpoint:

    model = build() if trial.restored is None else keras.saving.load_model(trial.restored)
    model.fit(..., initial_epoch=trial.restored_step or 0, epochs=30, callbacks=[Report(trial, every=1)])
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras.callbacks import Callback

from luthier.callbacks.reporting import Reporter, Reporting


class Report(Callback):  # type: ignore[misc]
    """Reports every epoch; checkpoints are .keras files, with the state of the optimiser."""

    def __init__(
        self, trial: Reporting, *, every: int | None = None, names: Mapping[str, str] | None = None
    ) -> None:
        super().__init__()
        self._reporter = Reporter(trial, every, names)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Called by Keras."""
        self._reporter.report(epoch + 1, logs or {})
        self._reporter.keep("model.keras", self.model.save)

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Called by Keras."""
        self._reporter.keep("model.keras", self.model.save, last=True)
