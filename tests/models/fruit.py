"""A small table with text in it, and models of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from luthier.estimators.data import Data
from luthier.models import ModelVersion, save_model
from luthier.objectives.crossval import CrossValidation


def table(rows: int = 90, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    made = pd.DataFrame(
        {
            "size": rng.normal(3, 1, rows),
            "colour": rng.choice(["red", "blue"], rows),
            "weight": rng.normal(100, 9, rows),
        }
    )
    made["sold"] = np.where(made["size"] + rng.normal(0, 0.5, rows) > 3, "yes", "no")
    return made


def data(rows: int = 90, seed: int = 0) -> Data:
    made = table(rows, seed)
    return Data.of(made.drop(columns="sold"), made["sold"], name=f"fruit {seed}", target="sold")


TRAIN = data()
SCORED = {
    "study": "fruit",
    "task": "classification",
    "objective": [{"metric": "accuracy", "goal": "max"}],
    "splits": "the same",
}


def keep(
    home: Path, trial: int = 0, folds: Any = None, *, estimator: Any = None, name: str = "fruit", **meta: Any
) -> ModelVersion:
    """Save a model as the next version, as that of a trial with these accuracies."""
    task = CrossValidation(LogisticRegression() if estimator is None else estimator, TRAIN, cv=2)
    scores = {"accuracy": {"mean": float(np.mean(folds)), "se": None, "folds": list(folds)}} if folds else {}
    made = {**SCORED, "trial": trial, "params": {"trial": trial}, "scores": scores, **meta}
    return save_model(home, name, task.refit({}), meta=made, data=TRAIN)
