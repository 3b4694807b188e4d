"""Keras on PyTorch, Lightning, and plain PyTorch, as they are, where they are installed."""

from __future__ import annotations

import os
import runpy
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import luthier as lt
from luthier.study import History, State, Trial

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")  # of these libraries about each other

EPOCHS = 5
SPACE = lt.Space(lr=lt.Float(1e-3, 1e-1, log=True))


@dataclass(frozen=True)
class AfterTwo:
    """Stops every trial but the first after its second report."""

    def judge(self, trial: Trial, history: History) -> str | None:
        return "two are enough" if trial.number and len(trial.reports) >= 2 else None


def rows() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(64, 3)).astype(np.float32)
    return X, (X @ np.array([1.0, -2.0, 0.5], np.float32))[:, None]


def kill(trial: lt.Context, epoch: int) -> None:
    if epoch == 4 and trial.number == 0 and trial.attempt == 1 and "KILL" in os.environ:
        os.kill(os.getpid(), signal.SIGKILL)


def with_keras(trial: lt.Context) -> Any:
    import keras

    from luthier.callbacks.keras import Report

    X, y = rows()
    if trial.restored is None:
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
        model.compile(keras.optimizers.Adam(trial.params["lr"]), loss="mse")
    else:
        model = keras.saving.load_model(trial.restored)
    model.fit(
        X,
        y,
        validation_data=(X, y),
        shuffle=False,
        verbose=0,
        initial_epoch=trial.restored_step or 0,
        epochs=EPOCHS,
        callbacks=[
            Report(trial, every=1),
            keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: kill(trial, epoch + 1)),
        ],
    )
    return {"val_loss": model.evaluate(X, y, verbose=0)}


def with_lightning(trial: lt.Context) -> Any:
    import lightning.pytorch as pl

    from luthier.callbacks.lightning import Report

    X, y = map(torch.from_numpy, rows())

    class Module(pl.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.line = torch.nn.Linear(3, 1)

        def training_step(self, batch: Any, index: int) -> Any:
            kill(trial, self.current_epoch + 1)
            return torch.nn.functional.mse_loss(self.line(batch[0]), batch[1])

        def validation_step(self, batch: Any, index: int) -> None:
            self.log("val_loss", torch.nn.functional.mse_loss(self.line(batch[0]), batch[1]))

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), lr=float(trial.params["lr"] or 0))

    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X, y), batch_size=32)
    module = Module()
    pl.Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Report(trial, every=1)],
    ).fit(module, loader, loader, ckpt_path=trial.restored)
    return {"val_loss": float(torch.nn.functional.mse_loss(module.line(X), y))}


LIBRARIES: dict[str, Callable[[lt.Context], Any]] = {"keras": with_keras, "lightning": with_lightning}


@pytest.fixture
def there(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    pytest.importorskip(library, reason=f"{library} is not installed")


@pytest.mark.usefixtures("there")
@pytest.mark.parametrize("library", LIBRARIES)
def test_every_epoch_is_reported_and_a_stop_ends_the_training(library: str) -> None:
    study = lt.tune(
        LIBRARIES[library], SPACE, minimize="val_loss", trials=2, stopping=AfterTwo(), progress=False
    )
    whole, stopped = study.trials
    assert whole.state is State.COMPLETED, whole.traceback
    losses = whole.reported("val_loss")
    assert list(losses) == list(range(1, EPOCHS + 1))
    assert losses[EPOCHS] < losses[1]
    assert losses[EPOCHS] == pytest.approx(whole.metrics["val_loss"], rel=1e-4)
    assert (stopped.state, stopped.reason) == (State.STOPPED, "two are enough"), stopped.traceback
    assert len(stopped.reports) == 2


@pytest.mark.usefixtures("there")
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_killed_training_comes_to_the_same_as_a_whole_one(
    library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KILL", "1")
    study = lt.tune(
        LIBRARIES[library],
        SPACE,
        minimize="val_loss",
        trials=2,
        start=[{"lr": 0.01}, {"lr": 0.01}],
        executor=lt.Processes(1),
        name="a",
        store=str(tmp_path / "s.db"),
        progress=False,
    )
    killed, whole = study.trials
    assert (killed.attempt, whole.attempt) == (2, 1), killed.traceback
    assert killed.metrics["val_loss"] == pytest.approx(whole.metrics["val_loss"], rel=1e-4)
    assert list(killed.reported("val_loss")) == list(range(1, EPOCHS + 1))
    assert [checkpoint.step for checkpoint in study.files[0].checkpoints] == [EPOCHS]


def test_the_example_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    example = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "with_torch.py"))
    study = lt.tune(example["train"], example["SPACE"], maximize="accuracy", trials=1, progress=False)
    (trial,) = study.trials
    assert trial.state is State.COMPLETED, trial.traceback
    assert trial.metrics["accuracy"] > 0.5
    assert len(trial.reports) == example["EPOCHS"]
    assert [checkpoint.step for checkpoint in study.files[0].checkpoints] == [example["EPOCHS"]]
