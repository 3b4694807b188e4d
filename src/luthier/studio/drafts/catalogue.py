"""The estimators to choose from: those of scikit-learn that stand alone, the boosting libraries that are installed."""

from __future__ import annotations

import inspect
import threading
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from luthier.errors import LuthierError, UnknownName
from luthier.estimators import Description, describe, estimator_path
from luthier.estimators.params import signature
from luthier.studio.drafts.tables import Task
from luthier.studio.words import say

KNOWN = {
    "RandomForest": 0, "HistGradientBoosting": 1, "LogisticRegression": 2, "Ridge": 2, "RidgeClassifier": 12, "XGB": 3, "LGBM": 4,
    "CatBoost": 5, "SVC": 6, "SVR": 6, "ExtraTrees": 7, "GradientBoosting": 8, "KNeighbors": 9, "MLP": 10, "ElasticNet": 11, "Lasso": 12,
}  # fmt: skip
"""Those that people ask for most come first."""
INNER = ("estimator", "estimators", "base_estimator", "regressor")
ALONE = ("AdaBoost", "Bagging")
"""They take another estimator, and have one of their own."""
OTHER = ("Dummy", "MultiTask", "PLS", "CCA", "Isotonic", "ClassifierChain", "RegressorChain")
"""These are for several targets, for one column, or for comparison only."""
BOOSTING = {
    "xgboost": ("xgboost:XGBClassifier", "xgboost:XGBRegressor"),
    "lightgbm": ("lightgbm:LGBMClassifier", "lightgbm:LGBMRegressor"),
    "catboost": ("catboost:CatBoostClassifier", "catboost:CatBoostRegressor"),
}
PACKAGES = {
    "sklearn": ("scikit-learn",),
    "xgboost": ("xgboost", "xgboost-cpu"),
    "lightgbm": ("lightgbm",),
    "catboost": ("catboost",),
}
"""Of which packages a library may be."""
FRONT = (
    "n_estimators", "iterations", "max_depth", "depth", "learning_rate", "max_iter", "C", "alpha", "kernel", "penalty", "solver",
    "n_neighbors",
)  # fmt: skip
"""What people look for first stands in front, searched by default or not."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An estimator: its path, its name, where it comes from, and what it is for."""

    path: str
    name: str
    library: str
    kind: str
    boosting: bool
    place: int

    def fits(self, task: Task | None) -> bool:
        """Whether it can do this."""
        return task is None or (self.kind == "classifier") == (task.kind == "classification")


def entries() -> tuple[Entry, ...]:
    """Those to choose from, the best known first. The first call imports scikit-learn, which takes a second or two."""
    with _lock:
        return _entries()


def entry(path: str) -> Entry:
    """An estimator by its path, `sklearn.svm:SVC` or `sklearn.svm.SVC`; raises UnknownName for what is not listed."""
    for one in entries():
        if path.replace(":", ".") == one.path.replace(":", "."):
            return one
    raise UnknownName(say("drafts.estimator.missing", path=path))


def described(path: str, task: Task | None) -> Description:
    """The hyperparameters of a listed estimator, with ranges that follow the data where it is known."""
    rows = None if task is None else _numbers(task.X)
    if rows is None:
        return _described(path)
    try:
        return _for_rows(path, _Rows(rows))
    except (LuthierError, ValueError, TypeError):
        return _described(path)


@lru_cache(maxsize=64)
def _described(path: str) -> Description:
    return describe(path)


class _Rows:
    """Rows that are told apart by who they are: the same array means the same description."""

    def __init__(self, rows: Any) -> None:
        self.rows = rows

    def __hash__(self) -> int:
        return id(self.rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Rows) and other.rows is self.rows


@lru_cache(maxsize=32)
def _for_rows(path: str, rows: _Rows) -> Description:
    return describe(path, rows.rows)


def _numbers(X: Any) -> Any:
    """The table where it is all numbers; ranges follow nothing else."""
    return X if getattr(getattr(X, "dtype", None), "kind", "") in "iufb" and X.ndim == 2 else None


_lock = threading.Lock()


@cache
def _entries() -> tuple[Entry, ...]:
    return tuple(sorted(_all(), key=lambda one: (one.place, one.name.lower())))


def _all() -> Iterator[Entry]:
    yield from _sklearn()
    for library, paths in BOOSTING.items():
        if find_spec(library) is None:
            continue
        for path in paths:
            name = path.partition(":")[2]
            kind = "classifier" if name.endswith("Classifier") else "regressor"
            yield Entry(path, name, f"{library} {_installed(library)}".strip(), kind, True, _place(name))


def _installed(library: str) -> str:
    """The version of a library, which need not be imported."""
    for package in PACKAGES[library]:
        with suppress(PackageNotFoundError):
            return version(package)
    return ""


def _sklearn() -> Iterator[Entry]:
    try:
        from sklearn.utils import all_estimators
    except ModuleNotFoundError:
        return
    about = f"scikit-learn {_installed('sklearn')}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {kind: all_estimators(type_filter=kind) for kind in ("classifier", "regressor")}
        for kind, classes in found.items():
            for name, cls in classes:
                if _stands_alone(name, cls):
                    yield Entry(estimator_path(cls), name, about, kind, "Boost" in name, _place(name))


def _stands_alone(name: str, cls: type[Any]) -> bool:
    takes = signature(cls)
    if any(value is inspect.Parameter.empty for value in takes.values()) or name.endswith("CV"):
        return False
    if any(word in name for word in OTHER):
        return False
    return not any(inner in takes for inner in INNER) or name.startswith(ALONE)


def _place(name: str) -> int:
    stem = name.removesuffix("Classifier").removesuffix("Regressor")
    return KNOWN.get(name, KNOWN.get(stem, 50))
