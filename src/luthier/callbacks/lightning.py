"""PyTorch Lightning: `Trainer(callbacks=[Report(trial)])`.

What the module logs for an epoch is reported by its name: `self.log("val_loss", ...)`. To go on from a checkpoint:

    trainer = Trainer(max_epochs=30, callbacks=[Report(trial, every=1)])
    trainer.fit(module, data, ckpt_path=trial.restored)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from luthier.callbacks.reporting import Reporter, Reporting

try:
    from lightning.pytorch import Callback
except ModuleNotFoundError:  # its name before 2.0, under which it is still published
    from pytorch_lightning import Callback


class Report(Callback):  # type: ignore[misc]
    """Reports every epoch, after its validation; checkpoints are Lightning's own, with the state of optimisers and loops."""

    def __init__(
        self, trial: Reporting, *, every: int | None = None, names: Mapping[str, str] | None = None
    ) -> None:
        self._reporter = Reporter(trial, every, names)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Called by Lightning."""
        self._reporter.report(trainer.current_epoch + 1, trainer.callback_metrics)
        self._reporter.keep("model.ckpt", trainer.save_checkpoint)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Called by Lightning."""
        self._reporter.keep("model.ckpt", trainer.save_checkpoint, last=True)
