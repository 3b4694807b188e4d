"""Automatic preprocessing beside the bare minimum that lets an estimator read the table, and beside nothing but scaling.

    PYTHONPATH=src python benchmarks/preprocessing.py [--seed 101] [--tables NAME,...]

Mean scores of 5-fold cross-validation, estimators at their defaults. "Bare" fills gaps with the median where the estimator
cannot read them, makes indicators of the 50 commonest categories (codes for trees) and leaves dates out.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn import datasets
from sklearn.base import is_regressor
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder
from sklearn.svm import SVC, SVR

from luthier.estimators import Data, with_preprocessing
from luthier.estimators.prepare import form_of

Table = tuple[Any, Any]


def mixed(
    seed: int,
    rows: int,
    *,
    task: str = "binary",
    categories: int = 3,
    many: int = 0,
    dates: bool = False,
    gaps: float = 0.0,
    gaps_tell: bool = False,
    skewed: bool = False,
    ids: bool = False,
) -> Table:
    """A table whose target depends on six numbers on scales of 1e-3 to 1e4, on categories, and on what is asked for."""
    rng = np.random.default_rng(seed)
    Z = rng.normal(size=(rows, 6))
    signal = Z @ rng.normal(size=6) * 0.6 + 0.8 * Z[:, 0] * Z[:, 1] + 0.7 * np.sin(2 * Z[:, 2])
    columns: dict[str, Any] = {}
    for j in range(6):
        values = np.exp(Z[:, j]) if skewed and j % 2 else Z[:, j]
        values = values * 10.0 ** rng.integers(-3, 5) + rng.normal() * 3
        if gaps and j < 4:
            share = gaps * 2 / (1 + np.exp(-2 * Z[:, j])) if gaps_tell else gaps
            values = np.where(rng.random(rows) < share, np.nan, values)
        columns[f"n{j}"] = values
    for j in range(categories):
        size = int(rng.integers(2, 9))
        code = rng.integers(0, size, rows)
        signal = signal + rng.normal(size=size)[code]
        labels = np.array([f"c{i}" for i in rng.permutation(size)], dtype=object)[code]
        columns[f"c{j}"] = np.where(rng.random(rows) < gaps / 2, np.nan, labels)
    for j in range(many):
        size = rows // 8
        code = rng.choice(size, rows, p=rng.dirichlet(np.full(size, 0.7)))
        signal = signal + 1.2 * rng.normal(size=size)[code]
        columns[f"many{j}"] = np.array([f"m{i}" for i in rng.permutation(size)], dtype=object)[code]
    if dates:
        day = rng.integers(0, 3 * 365, rows)
        signal = signal + 1.3 * np.sin(2 * np.pi * day / 365.25) + 1.0 * (day % 7 >= 5) + day / 700
        columns["when"] = pd.Timestamp("2020-01-06") + pd.to_timedelta(day, unit="D")
    flag = rng.random(rows) < 0.3
    signal = signal + 0.8 * flag
    columns |= {"flag": flag, "same": np.ones(rows)}
    if ids:
        columns["id"] = np.arange(1, rows + 1)
        columns["uuid"] = [f"{value:016x}" for value in rng.integers(0, 2**62, rows)]
        words = ["lorem", "ipsum", "dolor", "amet", "elit"]
        columns["note"] = [" ".join(rng.choice(words, 12)) for _ in range(rows)]
    signal = signal + rng.normal(size=rows)
    y = {
        "regression": signal,
        "binary": (signal > np.median(signal)).astype(int),
        "classes": np.digitize(signal, np.quantile(signal, [0.33, 0.66])),
    }[task]
    return pd.DataFrame(columns), y


def tables(seed: int) -> dict[str, Callable[[], Table]]:
    everything: dict[str, Any] = {"many": 1, "dates": True, "gaps": 0.1, "skewed": True}
    asked: dict[str, dict[str, Any]] = {
        "numbers and categories": {"rows": 700},
        "gaps at random": {"rows": 700, "gaps": 0.15},
        "gaps that tell": {"rows": 700, "gaps": 0.2, "gaps_tell": True},
        "dates": {"rows": 900, "dates": True},
        "many categories": {"rows": 900, "many": 2, "categories": 1},
        "ids and free text": {"rows": 600, "ids": True},
        "skewed, 3 classes": {"rows": 700, "skewed": True, "task": "classes"},
        "everything, 3 classes": {
            "rows": 1000,
            "task": "classes",
            "gaps_tell": True,
            "ids": True,
            **everything,
        },
        "everything, regression": {"rows": 900, "task": "regression", **everything},
    }
    made: dict[str, Callable[[], Table]] = {
        name: lambda options=options, place=place: mixed(seed + place, **options)
        for place, (name, options) in enumerate(asked.items())
    }
    for name in ("digits", "iris", "wine", "breast_cancer", "diabetes"):
        made[name] = partial(getattr(datasets, f"load_{name}"), return_X_y=True)
    return made


def estimators(regression: bool) -> dict[str, Any]:
    if regression:
        return {
            "linear": Ridge(),
            "SVM": SVR(),
            "neighbours": KNeighborsRegressor(),
            "MLP": MLPRegressor(max_iter=150, early_stopping=True, random_state=0),
            "HistGB": HistGradientBoostingRegressor(max_iter=60, random_state=0),
            "forest": RandomForestRegressor(60, random_state=0),
        }
    return {
        "linear": LogisticRegression(max_iter=200),
        "SVM": SVC(),
        "neighbours": KNeighborsClassifier(),
        "MLP": MLPClassifier(max_iter=100, random_state=0),
        "HistGB": HistGradientBoostingClassifier(max_iter=60, random_state=0),
        "forest": RandomForestClassifier(60, random_state=0),
    }


def bare(estimator: Any, X: Any) -> Any:
    if not isinstance(X, pd.DataFrame):
        return estimator
    text = [name for name in X if X[name].dtype.kind not in "iufbM"]
    numbers = [name for name in X if X[name].dtype.kind in "iufb"]
    reads = type(estimator).__name__.startswith(("HistGradientBoosting", "RandomForest"))
    fill = bool(X[numbers].isna().any().any()) and not reads
    imputer = SimpleImputer(strategy="median", keep_empty_features=True) if fill else "passthrough"
    if form_of(estimator) == "trees":
        encoder = OrdinalEncoder(
            handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2
        )
    else:
        encoder = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=50, sparse_output=False)
    columns = ColumnTransformer([("numbers", imputer, numbers), ("text", encoder, text)])
    return Pipeline([("prepare", columns), ("model", estimator)])


def score(model: Any, X: Any, y: Any) -> float:
    folds = (KFold if is_regressor(model) else StratifiedKFold)(5, shuffle=True, random_state=0)
    return float(cross_val_score(model, X, y, cv=folds, error_score="raise").mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=101)
    parser.add_argument("--tables", default=None)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    print("| table | " + " | ".join(estimators(False)) + " |\n|---" * 1 + "|---" * 6 + "|", flush=True)
    for name, make in tables(asked.seed).items():
        if asked.tables and name not in asked.tables.split(","):
            continue
        X, y = make()
        data = Data.of(X, y)
        cells = []
        for estimator in estimators(data.classes is None or name == "diabetes").values():
            before = score(bare(estimator, data.X), data.X, y)
            after = score(with_preprocessing(estimator, data.X, y), data.X, y)
            cells.append(f"{before:.3f} -> {after:.3f}" if before != after else f"{after:.3f}, same")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
