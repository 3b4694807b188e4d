"""What is written about a model, in its model.json: what it reads and gives, what it was made of and with."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import math
import platform
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from luthier.estimators.data import Data, is_frame
from luthier.space.codec import scalar_to_json

FORMAT = 1
LIBRARIES = {
    "sklearn": "scikit-learn",
    "xgboost": "xgboost",
    "lightgbm": "lightgbm",
    "catboost": "catboost",
    "skops": "skops",
    "numpy": "numpy",
    "scipy": "scipy",
    "joblib": "joblib",
    "pandas": "pandas",
}
ALWAYS = ("sklearn", "skops", "numpy", "scipy", "joblib")
LEVELS = 50
"""Of a column with at most so many different values these are listed: of more they may be names of people."""
DIGITS = 12
"""So many significant digits of a median are written. Ends of a range are exact: no row of the data is outside."""
MAKING = ("study", "trial", "params", "estimator", "fixed", "splits", "seed")


def describe(
    name: str, estimator: Any, meta: Mapping[str, Any], data: Any, serializer: str, created: str
) -> dict[str, Any]:
    """The manifest of a fitted estimator, as plain JSON; its version and the hashes of its files are still to come."""
    X = data.X if isinstance(data, Data) else data
    written: dict[str, Any] = plain(
        {
            "format": FORMAT,
            "name": name,
            "version": 0,
            "created": created,
            **meta,
            "origin": origin(meta, data),
            "serializer": serializer,
            "data": _data(data),
            "container": "frame" if is_frame(X) else "array",
            "inputs": _inputs(data, X),
            "output": _output(estimator, meta.get("task")),
            "libraries": _libraries(estimator, frame=is_frame(X)),
            "python": platform.python_version(),
            "luthier": installed("luthier"),
        }
    )
    return written


def origin(meta: Mapping[str, Any], data: Any) -> str | None:
    """A hash of the trial that the model was fitted from, and of its data: equal for models made twice. None without a trial."""
    if meta.get("trial") is None:
        return None
    fingerprint = data.fingerprint if isinstance(data, Data) else None
    made = plain({**{key: meta.get(key) for key in MAKING}, "fingerprint": fingerprint})
    return hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()


def installed(distribution: str) -> str | None:
    """The version that is installed here."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return installed("xgboost-cpu") if distribution == "xgboost" else None


def plain(value: Any) -> Any:
    """As JSON has it: no NumPy types, no infinities, no tuples."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(inner) for inner in value]
    if value is None or isinstance(value, bool | int | float | str):
        return scalar_to_json(value)
    return str(value)


def _data(data: Any) -> dict[str, Any]:
    if not isinstance(data, Data):
        return {"columns": int(data.shape[1])}
    return {
        "name": data.name,
        "rows": data.rows,
        "columns": data.columns,
        "target": data.target,
        "dropped": data.dropped,
        "fingerprint": data.fingerprint,
    }


def _inputs(data: Any, X: Any) -> list[dict[str, Any]]:
    """The columns: name, type, and what to expect in them - numbers' range and median, the categories by frequency."""
    if is_frame(X):
        return [{"name": str(column), **_column(X[column])} for column in X.columns]
    names = (data.feature_names if isinstance(data, Data) else None) or [None] * X.shape[1]
    columns = X.tocsc() if hasattr(X, "tocsr") else np.asarray(X)
    return [
        {"name": f"x{i}" if name is None else name, "type": "number", **_range(_dense(columns[:, [i]]))}
        for i, name in enumerate(names)
    ]


def _column(column: Any) -> dict[str, Any]:
    if getattr(column.dtype, "kind", "O") in "iufb":
        return {"type": "number", **_range(column.to_numpy(dtype=float))}
    missing = bool(column.isna().any())
    if column.dtype.kind in "mM":
        return {"type": "time", "missing": missing}
    counts = column.dropna().value_counts()
    text = all(isinstance(value, str) for value in counts.index)
    levels = [value for value, count in counts.items() if count]
    few = {"levels": levels} if len(levels) <= LEVELS else {}
    return {"type": "text" if text else "category", **few, "missing": missing}


def _range(values: Any) -> dict[str, Any]:
    known = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if not known.size:
        return {"missing": True}
    low, middle, high = (float(f(known)) for f in (np.min, np.median, np.max))
    missing = bool(np.isnan(values).any()) if values.dtype.kind == "f" else False
    return {"range": [low, high], "median": _short(middle), "missing": missing}


def _short(value: float) -> float:
    """As somebody would write it: 1.865, where the mean of two numbers is 1.8650000000000002."""
    return float(f"{value:.{DIGITS}g}")


def _dense(column: Any) -> Any:
    return column.toarray().ravel() if hasattr(column, "toarray") else column.ravel()


def typical_row(inputs: Any) -> dict[str, Any]:
    """A row as the model reads it that is nobody's: medians and most frequent categories."""
    return {column["name"]: _typical(column) for column in inputs}


def _typical(column: Mapping[str, Any]) -> Any:
    if "median" in column:
        value = column["median"]
        if not isinstance(value, float) or not math.isfinite(value):
            return value
        return int(value) if value == int(value) else _short(value)  # those of older models are long
    return next(iter(column.get("levels", ())), None)


def _output(estimator: Any, task: Any) -> dict[str, Any]:
    classes = getattr(estimator, "classes_", None)
    if task == "regression" or classes is None:
        return {"type": "number"}
    return {"type": "class", "classes": np.asarray(classes).tolist()}


def _libraries(estimator: Any, *, frame: bool) -> dict[str, str]:
    used = {*ALWAYS, *(module.partition(".")[0] for module in _modules(estimator))}
    if frame:
        used.add("pandas")
    versions = {LIBRARIES[name]: installed(LIBRARIES[name]) for name in LIBRARIES if name in used}
    return {name: version for name, version in versions.items() if version}


def _modules(estimator: Any) -> Iterator[str]:
    yield type(estimator).__module__
    for value in estimator.get_params(deep=True).values():
        if hasattr(value, "get_params"):
            yield type(value).__module__
