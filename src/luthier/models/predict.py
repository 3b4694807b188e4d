"""Predictions for a table, its columns found by name and checked against those that the model was fitted on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from luthier.errors import DataError, MissingExtra, did_you_mean
from luthier.estimators.data import is_frame, plain_frame, read_table
from luthier.models.answers import Answers, answers
from luthier.models.registry import ModelVersion, show_model


@dataclass(frozen=True, slots=True)
class Predictions:
    """One value per row; `probabilities`, shape (rows, classes), where the model gives them.

    `ignored` are the columns of the table that the model does not read.
    """

    model: str
    version: int
    values: Any
    classes: tuple[Any, ...] | None = None
    probabilities: Any = None
    ignored: tuple[str, ...] = ()

    def table(self) -> tuple[list[str], list[list[Any]]]:
        """Names and rows: the prediction, and the probability of each class where the model knows it."""
        values = self.values.tolist()
        if self.probabilities is None or self.classes is None:
            return ["prediction"], [[value] for value in values]
        columns = ["prediction", *(f"probability_{label}" for label in self.classes)]
        chances = self.probabilities.tolist()
        return columns, [[value, *chance] for value, chance in zip(values, chances, strict=True)]


def predict(
    home: Path | str,
    name: str,
    table: Any,
    version: int | None = None,
    *,
    trust: bool = False,
) -> Predictions:
    """What the model says about each row of `table`: a CSV or Parquet file, a data frame, or an array.

    Columns are found by name, in any order; those of an array by place. Raises DataError for missing columns, for text
    where the model read numbers and for gaps that it cannot read; ModelError where there is no such model.

    Without `version` it is the champion. A model that was not signed on this machine is loaded in a process of its own, with
    limits; `trust=True`, for one whose maker you know, loads it here, and with joblib runs whatever code is in it.
    """
    model = show_model(home, name, version)
    if isinstance(table, str | Path):
        table = read_table(Path(table).expanduser())
    found, ignored = answers_for(model, table, trust=trust)
    return Predictions(name, model.version, found.values, found.classes, found.probabilities, ignored)


def answers_for(model: ModelVersion, table: Any, *, trust: bool = False) -> tuple[Answers, tuple[str, ...]]:
    """What the model says about each row of the table, and the columns that it does not read; raises DataError."""
    X, ignored = rows_for(model, table)
    try:
        return answers(model, X, trust=trust), ignored
    except ValueError as error:
        gaps = _gaps(X, model.manifest)
        if not gaps:
            raise DataError(f"model {model.name!r} cannot read the table: {error}") from error
        raise DataError(
            f"the table has gaps in {gaps}, and model {model.name!r} was fitted on a table without any. Fill them."
        ) from error


def rows_for(model: ModelVersion, table: Any) -> tuple[Any, tuple[str, ...]]:
    """The table as the model was fitted: its columns, in its order, of its types; and the columns left out."""
    manifest = model.manifest
    inputs: Sequence[Mapping[str, str]] = manifest["inputs"]
    names = [column["name"] for column in inputs]
    if not is_frame(table):
        return _array(table, names, manifest["container"]), ()
    have = {str(column): column for column in table.columns}
    missing = [name for name in names if name not in have]
    extra = tuple(
        name for name in have if name not in names and name != manifest.get("data", {}).get("target")
    )
    if missing:
        raise DataError(_say_missing(missing, extra, have))
    X = plain_frame(table[[have[name] for name in names]]).copy()
    X.columns = names
    for column in inputs:
        X[column["name"]] = _typed(X[column["name"]], column)
    return (X if manifest["container"] == "frame" else X.to_numpy(dtype=float)), extra


def _array(table: Any, names: list[str], container: str) -> Any:
    X = table if hasattr(table, "tocsr") else np.asarray(table)
    if X.ndim != 2 or X.shape[1] != len(names):
        raise DataError(
            f"the table has shape {X.shape}, and the model reads {len(names)} columns. Give one row per line."
        )
    if container == "array":
        return X
    try:
        import pandas as pd
    except ModuleNotFoundError:
        raise MissingExtra("pandas", "data", "a model that was fitted on a table with names") from None
    return pd.DataFrame(X, columns=names).infer_objects()


def _typed(column: Any, described: Mapping[str, str]) -> Any:
    import pandas as pd

    if described["type"] == "text":
        return column.astype(str).astype(object).where(column.notna(), np.nan)
    if described["type"] != "number" or getattr(column.dtype, "kind", "O") in "iufb":
        return column
    numbers = pd.to_numeric(column, errors="coerce")
    wrong = np.flatnonzero((numbers.isna() & column.notna()).to_numpy())
    if len(wrong):
        raise DataError(
            f"column {described['name']!r} holds {column.iloc[wrong[0]]!r} in row {wrong[0] + 1}, "
            "and the model was fitted on numbers there."
        )
    return numbers


def _say_missing(missing: Sequence[str], extra: Sequence[str], have: Mapping[str, Any]) -> str:
    text = f"the table lacks {_columns(missing)} that the model reads."
    if extra:
        text += f" It has {_columns(extra)} that the model does not know."
    near = did_you_mean(missing[0], extra)
    return text + (near if "Did you mean" in near else "")


def _columns(names: Sequence[str]) -> str:
    listed = ", ".join(map(repr, names[:10])) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
    return f"column {listed}" if len(names) == 1 else f"columns {listed}"


def _gaps(X: Any, manifest: Mapping[str, Any]) -> str:
    if is_frame(X):
        found = [str(name) for name in X.columns if X[name].isna().any()]
    elif not hasattr(X, "tocsr") and X.dtype.kind == "f":
        found = [manifest["inputs"][i]["name"] for i in np.flatnonzero(np.isnan(X).any(axis=0))]
    else:
        found = []
    return _columns(found) if found else ""
