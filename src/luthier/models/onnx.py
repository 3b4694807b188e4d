"""A fitted estimator as ONNX, if what comes out says the same as the estimator about every row of a table."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from luthier.errors import DataError, MissingExtra, ModelError
from luthier.estimators import BUNDLED, load_data
from luthier.estimators.data import Data, is_frame
from luthier.models.predict import rows_for
from luthier.models.registry import ModelVersion

TOLERANCE = 1e-4
"""What single precision may cost: of a probability, or of a prediction relative to the largest one."""


def as_onnx(model: ModelVersion, estimator: Any, data: Data | str) -> tuple[bytes, dict[str, Any]]:
    """The model as ONNX, and what the check came to: rows, largest difference. Raises ModelError where it cannot be converted,
    or says something else about any of the rows; there is no model then.
    """
    try:
        import onnxruntime
        import skl2onnx
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "skl2onnx", "onnx", "an export to ONNX") from None
    X = _rows(model, data)
    classifier = model.manifest["output"]["type"] == "class"
    options = {"zipmap": False} if classifier else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = skl2onnx.to_onnx(estimator, initial_types=_types(X), options=options)
        content: bytes = made.SerializeToString()
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        said = session.run(None, _feed(X))
    except Exception as error:  # of many kinds, from three libraries
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(
            f"{model.what} cannot be converted to ONNX: {lines[0][:300].rstrip('.')}. Export it without; predict.py needs no ONNX."
        ) from error
    found = _compared(estimator, X, said, classifier)
    if found["labels_that_differ"] or not found["max_difference"] <= TOLERANCE:
        other = (
            f"{found['labels_that_differ']} of {found['rows']} rows get another label, and "
            if classifier
            else ""
        )
        raise ModelError(
            f"{model.what} says something else as ONNX: on {found['rows']} rows, {other}the largest difference of "
            f"{found['of']} is {found['max_difference']:.3g}, and {TOLERANCE:g} is allowed. Export it without ONNX."
        )
    return content, {**found, "tolerance": TOLERANCE, "inputs": [name for name, _ in _types(X)]}


def _rows(model: ModelVersion, data: Data | str) -> Any:
    if not isinstance(data, Data):
        target = None if data in BUNDLED else model.manifest.get("data", {}).get("target")
        data = load_data(data, target)
    X, _ = rows_for(model, data.X)
    if hasattr(X, "tocsr"):
        raise DataError(
            f"{data.name} is sparse, and ONNX is checked on full tables. Give one with X.toarray()."
        )
    return X


def _types(X: Any) -> list[tuple[str, Any]]:
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    if not is_frame(X):
        return [("X", FloatTensorType([None, X.shape[1]]))]
    return [
        (str(name), (FloatTensorType if _numeric(X[name]) else StringTensorType)([None, 1]))
        for name in X.columns
    ]


def _feed(X: Any) -> dict[str, Any]:
    if not is_frame(X):
        return {"X": np.asarray(X, dtype=np.float32)}
    return {
        str(name): X[name].to_numpy(dtype=np.float32 if _numeric(X[name]) else object).reshape(-1, 1)
        for name in X.columns
    }


def _numeric(column: Any) -> bool:
    return getattr(column.dtype, "kind", "O") in "iufb"


def _compared(estimator: Any, X: Any, said: Any, classifier: bool) -> dict[str, Any]:
    values = np.asarray(estimator.predict(X)).ravel()
    found = {"rows": len(values), "labels_that_differ": 0}
    if not classifier:
        scale = max(float(np.abs(values).max()), 1e-12)
        return {**found, "of": "a prediction", "max_difference": _largest(np.ravel(said[0]), values) / scale}
    wrong = int(np.count_nonzero(np.asarray(said[0]).ravel().astype(values.dtype) != values))
    found["labels_that_differ"] = wrong
    difference = 0.0
    if hasattr(estimator, "predict_proba"):
        difference = _largest(np.asarray(said[1]), estimator.predict_proba(X))
    return {**found, "of": "a probability", "max_difference": difference}


def _largest(a: Any, b: Any) -> float:
    return float(np.abs(np.asarray(a, dtype=float) - np.asarray(b, dtype=float)).max())
