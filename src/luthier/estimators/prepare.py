"""What has to happen between a table as people have it and an estimator that reads numbers.

Nothing, for a table of numbers without gaps. Otherwise a scikit-learn pipeline is put in front: text and categories
become indicator columns (codes, for trees), missing numbers the median where the estimator cannot read gaps.
It is fitted on the training rows of each fold like the estimator itself, so nothing leaks from the test rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from luthier.errors import DataError
from luthier.estimators.data import is_frame
from luthier.estimators.named import library

MANY = 50
"""Of the categories of a column, so many get an indicator of their own; the rarer ones share one."""

TREES = ("Tree", "Forest", "GradientBoosting", "XGB", "LGBM", "CatBoost")


def with_preprocessing(estimator: Any, X: Any, y: Any = None) -> Any:
    """The estimator as it is where it can read X and y, else behind the steps it needs; not fitted.

    A pipeline that brings a step of its own for columns (a ColumnTransformer, an encoder) is trusted with the table and
    left alone. The steps are named "prepare" and "model". XGBoost, which reads only the classes 0, 1, 2, ..., is
    wrapped so that it takes and gives any labels.
    """
    prepared = _columns(estimator, X)
    if y is not None and _needs_codes(estimator, y):
        from luthier.estimators.labels import Labelled

        prepared = Labelled(prepared)
    return prepared


def text_columns(X: Any) -> list[Any]:
    """The columns of a data frame that hold text or categories; raises DataError for what no estimator reads."""
    text = []
    for column in X.columns if is_frame(X) else ():
        kind = getattr(X[column].dtype, "kind", "O")
        if kind in "mM":
            raise DataError(
                f"column {str(column)!r} holds dates, which no estimator reads. Make numbers of it, or leave it out."
            )
        if kind not in "iufb":
            text.append(column)
    return text


def _columns(estimator: Any, X: Any) -> Any:
    if not is_frame(X):
        return _array(estimator, X)
    text = text_columns(X)
    numbers = [column for column in X.columns if column not in text]
    gaps = bool(numbers) and bool(X[numbers].isna().any().any()) and not _reads_gaps(estimator)
    if _transforms_columns(estimator) or not (text or gaps):
        return estimator
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline

    steps: list[tuple[str, Any, list[Any]]] = []
    if numbers:
        # A column that is empty in one fold stays a column there, so that all folds fit the same table.
        imputer = SimpleImputer(strategy="median", keep_empty_features=True)
        steps.append(("numbers", imputer if gaps else "passthrough", numbers))
    if text:
        steps.append(("text", _encoder(estimator), text))
    return Pipeline([("prepare", ColumnTransformer(steps)), ("model", estimator)])


def _array(estimator: Any, X: Any) -> Any:
    if hasattr(X, "tocsr") or X.dtype.kind != "f" or not np.isnan(X).any() or _reads_gaps(estimator):
        return estimator
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline

    imputer = SimpleImputer(strategy="median", keep_empty_features=True)
    return Pipeline([("prepare", imputer), ("model", estimator)])


def _encoder(estimator: Any) -> Any:
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

    if any(word in type(_last(estimator)).__name__ for word in TREES):
        return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2)
    return OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=MANY, sparse_output=False)


def _transforms_columns(estimator: Any) -> bool:
    """Whether a pipeline has a step that is made for tables: it encodes, fills or picks columns itself."""
    words = ("ColumnTransformer", "Encoder", "TableVectorizer", "FunctionTransformer")
    steps = getattr(estimator, "steps", [])
    return any(word in type(step).__name__ for _, step in steps[:-1] for word in words)


def _reads_gaps(estimator: Any) -> bool:
    """Whether NaN may be passed: an imputer is among the steps, or the estimator says so in its tags."""
    from sklearn.utils import get_tags

    if any("Imputer" in type(step).__name__ for _, step in getattr(estimator, "steps", [])):
        return True
    return bool(get_tags(_last(estimator)).input_tags.allow_nan)


def _last(estimator: Any) -> Any:
    steps = getattr(estimator, "steps", None)
    return steps[-1][1] if steps else estimator


def _needs_codes(estimator: Any, y: Any) -> bool:
    from sklearn.base import is_classifier

    last = _last(estimator)
    if library(last) != "xgboost" or not is_classifier(last):
        return False
    labels = np.unique(np.asarray(y))
    return labels.dtype.kind not in "iu" or not np.array_equal(labels, np.arange(len(labels)))
