"""Tables to learn from: data sets that ship with scikit-learn, CSV and Parquet files, arrays in memory.

A `Data` knows its fingerprint, a hash of names, types and values, so that a study can say which rows it was about.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from luthier.errors import DataError, MissingExtra, did_you_mean

BUNDLED = ("digits", "iris", "wine", "breast_cancer", "diabetes")
DELIMITERS = (",", ";", "\t")


@dataclass(frozen=True, slots=True)
class Data:
    """Features `X`, an array or a data frame of shape (rows, columns), and the target `y` of shape (rows,).

    `classes` are the labels where the target is one of a few; `dropped` counts rows left out because they had no
    target. `fingerprint` is the SHA-256 of the content, the same in every process, sensitive to the order of rows and
    columns.
    """

    X: Any
    y: Any
    name: str
    rows: int
    columns: int
    classes: tuple[Any, ...] | None
    feature_names: tuple[str, ...] | None
    target: str | None
    fingerprint: str
    dropped: int = 0

    @classmethod
    def of(
        cls,
        X: Any,
        y: Any,
        *,
        name: str = "data",
        feature_names: Sequence[str] | None = None,
        target: str | None = None,
        dropped: int = 0,
    ) -> Data:
        """Data from what is in memory; raises DataError where X and y do not go together."""
        X = plain_frame(X) if is_frame(X) else X if hasattr(X, "tocsr") else _array(X)
        y = _target(y)
        if len(X.shape) != 2:
            raise DataError(
                f"X has shape {X.shape}. Estimators take a table of rows and columns; reshape it to two dimensions."
            )
        rows, columns = X.shape
        if len(y) != rows:
            raise DataError(f"X has {rows} rows and y has {len(y)}. Give one target value per row.")
        if rows == 0 or columns == 0:
            raise DataError(
                f"{name} has {rows} rows and {columns} feature columns; there is nothing to learn from."
            )
        if is_frame(X):
            feature_names = [str(column) for column in X.columns]
        return cls(
            X=X,
            y=y,
            name=name,
            rows=rows,
            columns=columns,
            classes=_classes(y),
            feature_names=None if feature_names is None else tuple(feature_names),
            target=target or (None if getattr(y, "name", None) is None else str(y.name)),
            fingerprint=_fingerprint(X, y),
            dropped=dropped,
        )


def load_data(source: str, target: str | None = None) -> Data:
    """The data set that ships with scikit-learn under that name, or the table in that file.

    A file needs `target`, the column to predict. Text columns are kept; `with_preprocessing` makes numbers of them.
    Rows without a target are left out and counted. Raises DataError, in a sentence, for what cannot be read.
    """
    if source in BUNDLED:
        return _bundled(source, target)
    path = Path(source).expanduser()
    if not path.exists():
        if path.suffix or len(path.parts) > 1:
            raise DataError(f"there is no file {source!r}. Paths are taken from {Path.cwd()}.")
        raise DataError(f"there is no data set or file {source!r}.{did_you_mean(source, BUNDLED)}")
    table = read_table(path)
    columns = [str(column) for column in table.columns]
    if target is None:
        raise DataError(
            f"no target is given for {source!r}. Name the column to predict, one of: {_some(columns)}."
        )
    if target not in columns:
        near = did_you_mean(target, columns) or f" It has: {_some(columns)}."
        raise DataError(f"{source!r} has no column {target!r}.{near}")
    if len(columns) == 1:
        raise DataError(
            f"{source!r} has no column besides the target {target!r}; there is nothing to learn from."
        )
    missing = table[target].isna()
    if missing.all():
        raise DataError(
            f"the target {target!r} is empty in every one of the {len(table)} rows of {source!r}."
        )
    table = table[~missing].reset_index(drop=True)
    return Data.of(
        table.drop(columns=target), table[target], name=path.name, target=target, dropped=int(missing.sum())
    )


def read_table(path: Path) -> Any:
    """The CSV or Parquet file as a pandas data frame; raises DataError, with the line where it can."""
    try:
        import pandas as pd
    except ModuleNotFoundError:
        raise MissingExtra("pandas", "data", f"reading {path.name}") from None
    if path.is_dir():
        raise DataError(f"{str(path)!r} is a folder. Name a CSV or Parquet file in it.")
    if not path.exists():
        raise DataError(f"there is no file {str(path)!r}. Paths are taken from {Path.cwd()}.")
    try:
        with path.open("rb") as file:
            head = file.read(8192)
    except OSError as error:
        raise DataError(f"{str(path)!r} cannot be read: {error.strerror}.") from None
    if head[:4] == b"PAR1":
        table = _read_parquet(path)
    else:
        table = pd.read_csv(path, sep=_check_csv(path, head), encoding="utf-8-sig", skip_blank_lines=True)
    if len(table) == 0:
        raise DataError(f"{str(path)!r} has a header and no rows.")
    return table


def is_frame(X: Any) -> bool:
    """Whether X is a pandas data frame; does not import pandas."""
    return hasattr(X, "iloc") and hasattr(X, "columns")


def take_rows(values: Any, index: Any) -> Any:
    """The rows at these places of a frame, a series, an array or a sparse matrix."""
    return values.iloc[index] if hasattr(values, "iloc") else values[index]


# --- files -------------------------------------------------------------------------------------


def _check_csv(path: Path, head: bytes) -> str:
    """The delimiter, once every line is known to have as many fields as the header."""
    if not head.strip():
        raise DataError(f"{str(path)!r} is empty.")
    if b"\0" in head:
        raise DataError(f"{str(path)!r} is not a CSV: it holds binary data. Give a CSV or Parquet file.")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            delimiter = max(DELIMITERS, key=first.count)
            file.seek(0)
            reader = csv.reader(file, delimiter=delimiter)
            header = next(reader)
            for fields in reader:
                if fields and len(fields) != len(header):
                    raise DataError(
                        f"{str(path)!r} is not a CSV that can be read: line {reader.line_num} has {len(fields)} fields, "
                        f"and the header has {len(header)}. Put quotes around values that hold {delimiter!r}."
                    )
    except UnicodeDecodeError as error:
        raise DataError(f"{str(path)!r} is not a CSV in UTF-8 ({error.reason}). Save it as UTF-8.") from None
    except csv.Error as error:
        raise DataError(f"{str(path)!r} is not a CSV that can be read: {error}.") from None
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise DataError(
            f"{str(path)!r} has several columns named {twice[0]!r}. Give each column a name of its own."
        )
    return delimiter


def _read_parquet(path: Path) -> Any:
    import pandas as pd

    try:
        return pd.read_parquet(path)
    except ImportError:
        raise MissingExtra("pyarrow", "data", f"reading {path.name}") from None
    except Exception as error:  # pyarrow raises many kinds
        raise DataError(f"{str(path)!r} is not a Parquet file that can be read: {error}") from None


def _bundled(name: str, target: str | None) -> Data:
    try:
        from sklearn import datasets
    except ModuleNotFoundError:
        raise MissingExtra("scikit-learn", "sklearn", f"the data set {name!r}") from None
    if target not in (None, "y", "target"):
        raise DataError(
            f"the data set {name!r} brings its own target, so {target!r} is none of it. Leave target out."
        )
    bunch = getattr(datasets, f"load_{name}")()
    return Data.of(
        bunch.data,
        bunch.target,
        name=name,
        feature_names=[str(f) for f in bunch.feature_names],
        target="target",
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")


# --- content -----------------------------------------------------------------------------------


def _array(X: Any) -> np.ndarray[Any, Any]:
    try:
        array = np.asarray(X)
        return array if array.dtype.kind in "iufb" else array.astype(float)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"X is no table of numbers: {error}. Give text in columns of a pandas data frame."
        ) from None


def plain_frame(X: Any) -> Any:
    """The frame in dtypes that every estimator reads: pandas' own for numbers and text that may be missing are not."""
    changed = {}
    for column in X.columns:
        values = X[column]
        if type(values.dtype).__module__.startswith("numpy") and values.dtype.kind != "O":
            continue
        kind = getattr(values.dtype, "kind", "O")
        if type(values.dtype).__name__ == "CategoricalDtype":
            continue
        if kind in "iufb":
            changed[column] = (
                values.to_numpy(dtype=float, na_value=np.nan) if values.isna().any() else values.to_numpy()
            )
        elif kind == "O":
            changed[column] = values.astype(object).where(values.notna(), np.nan)
    if changed:
        X = X.copy()
        for column, values in changed.items():
            X[column] = values
    return X


def _target(y: Any) -> Any:
    y = y if hasattr(y, "iloc") else np.asarray(y)
    if len(y.shape) != 1 and not (len(y.shape) == 2 and y.shape[1] == 1):
        raise DataError(f"y has shape {y.shape}. Give one target value per row.")
    if len(y.shape) == 2:
        y = np.asarray(y)[:, 0]
    missing = y.isna() if hasattr(y, "isna") else np.array([v is None or v != v for v in y.tolist()])
    if missing.any():
        raise DataError(f"y is missing in {int(missing.sum())} of {len(y)} rows. Leave those rows out.")
    # pandas keeps text, and numbers that may be missing, in types of its own, which not every estimator reads.
    if not hasattr(y, "iloc"):
        return y
    import pandas as pd

    kind = y.dtype.kind
    values = (
        y.to_numpy(dtype={"b": bool, "i": np.int64, "f": float}.get(kind))
        if kind in "iufb"
        else y.astype(object)
    )
    return pd.Series(
        np.asarray(values), index=y.index, name=y.name, dtype=object if kind not in "iufb" else None
    )


def _classes(y: Any) -> tuple[Any, ...] | None:
    """The labels, where the target is text, a boolean, or a whole number that takes at most 50 values."""
    values = np.asarray(y)
    labels = sorted(set(values.tolist()), key=lambda label: (str(type(label)), label))
    numeric = values.dtype.kind in "iuf"
    if numeric and (len(labels) > 50 or any(label != int(label) for label in labels)):
        return None
    return tuple(labels)


def _fingerprint(X: Any, y: Any) -> str:
    digest = hashlib.sha256()
    for part in _parts(X):
        digest.update(part)
    digest.update(b"target")
    for part in _values(np.asarray(y)):
        digest.update(part)
    return digest.hexdigest()


def _parts(X: Any) -> Iterator[bytes]:
    if hasattr(X, "tocsr"):
        matrix = X.tocsr()
        yield json.dumps(["sparse", list(matrix.shape)]).encode()
        for values in (matrix.indptr, matrix.indices, matrix.data):
            yield from _values(np.asarray(values))
    elif is_frame(X):
        for column in X.columns:
            yield json.dumps(["column", str(column)]).encode()
            yield from _values(X[column].to_numpy())
    else:
        yield json.dumps(["array", list(X.shape)]).encode()
        yield from _values(X)


def _values(values: np.ndarray[Any, Any]) -> Iterator[bytes]:
    """The same bytes for the same numbers, whatever machine and width they came in."""
    kind = values.dtype.kind
    if kind in "iub":
        yield b"int" + np.ascontiguousarray(values, dtype="<i8").tobytes()
    elif kind == "f":
        yield b"float" + np.ascontiguousarray(values, dtype="<f8").tobytes()
    else:
        missing = (
            None if value is None or value != value else str(value) for value in values.ravel().tolist()
        )
        yield json.dumps(list(missing), ensure_ascii=False).encode()
