"""Plain PyTorch: a network for the digits, which reports every epoch and goes on where an attempt was lost.

pip install torch scikit-learn
python examples/with_torch.py
"""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits
from torch import nn

import luthier as lt

EPOCHS = 15
SPACE = lt.Space(
    lr=lt.Float(1e-4, 1e-1, log=True),
    width=lt.Int(8, 128, log=True),
    dropout=lt.Float(0.0, 0.5),
)


def train(trial: lt.Context) -> dict[str, float]:
    torch.manual_seed(trial.seed)
    pixels, digits = map(torch.from_numpy, load_digits(return_X_y=True))
    pixels = (pixels / 16).float()
    X, y, X_val, y_val = pixels[:1200], digits[:1200], pixels[1200:], digits[1200:]

    p = trial.params
    model = nn.Sequential(
        nn.Linear(64, p["width"]), nn.ReLU(), nn.Dropout(p["dropout"]), nn.Linear(p["width"], 10)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=p["lr"])
    done = trial.restored_step or 0
    if (
        trial.restored is not None
    ):  # an attempt that was lost, or the trial that this one continues, got so far
        state = torch.load(trial.restored)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])

    for epoch in range(done + 1, EPOCHS + 1):
        model.train()
        for rows in torch.randperm(len(X)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(X[rows]), y[rows]).backward()
            optimizer.step()
        trial.report(epoch, accuracy=accuracy(model, X_val, y_val))  # raises Stop where the trial is to end
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
        torch.save(state, trial.workdir / "state.pt")
        trial.checkpoint(trial.workdir / "state.pt", move=True)
    return {"accuracy": accuracy(model, X_val, y_val)}


def accuracy(model: nn.Module, X: torch.Tensor, y: torch.Tensor) -> float:
    model.eval()
    with torch.no_grad():
        return float((model(X).argmax(1) == y).float().mean())


if __name__ == "__main__":
    study = lt.tune(train, SPACE, maximize="accuracy", trials=20, stopping="median", name="with_torch")
    print(study.best.params, study.best.metrics)
