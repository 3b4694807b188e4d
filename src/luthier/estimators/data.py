"""Tables to learn from: data sets that ship with scikit-learn, files, and what is in memory - arrays, sparse matrices, frames.

A `Data` knows its fingerprint, a hash of names, types and values, so that a study can say which rows it was about.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Number
from pathlib import Path
from typing import Any

import numpy as np

from luthier.errors import DataError, MissingExtra, did_you_mean
from luthier.estimators.frompolars import as_pandas, is_polars

BUNDLED = ("digits", "iris", "wine", "breast_cancer", "diabetes")
DELIMITERS = (",", ";", "\t")


@dataclass(frozen=True, slots=True)
class Data:
    """Features `X`, an array, a sparse matrix or a pandas frame of shape (rows, columns), and the target `y` of shape (rows,).

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
        """Data from what is in memory; raises DataError where X and y do not go together.

        Arrays and sparse matrices are taken as they are, not copied; polars frames become those of pandas, numbers without
        a copy.
        """
        X, y = _features(X), _target(y)
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


def load_data(source: str, target: str | None = None, *, drop: Sequence[str] = ()) -> Data:
    """The data set that ships with scikit-learn under that name, or the table in that file: CSV, Parquet, .npy, .npz.

    `target` is the column to predict: a name, of a .npy its number (-1 is the last), of a .npz the name of an array beside
    X, by default y; for a file of features alone it is a file of its own, y.npy. `drop` names columns to leave out. Text
    columns are kept; `with_preprocessing` makes numbers of them. Rows without a target are left out and counted. Raises
    DataError, in a sentence, for what cannot be read.
    """
    if source in BUNDLED:
        if drop:
            raise DataError(f"the data set {source!r} has no columns to drop. Leave drop out.")
        return _bundled(source, target)
    path = Path(source).expanduser()
    if not path.exists():
        if path.suffix or len(path.parts) > 1:
            raise DataError(f"there is no file {source!r}. Paths are taken from {Path.cwd()}.")
        raise DataError(f"there is no data set or file {source!r}.{did_you_mean(source, BUNDLED)}")
    if path.suffix in (".npy", ".npz"):
        table, y = read_arrays(path, target)
        if drop and not is_frame(table):
            raise DataError(f"{source!r} has no names of columns, so {drop[0]!r} cannot be dropped.")
    else:
        table, y = read_table(path), None
    if is_frame(table):
        table, y = _without(table, source, target, drop, y)
    gaps = y.isna().to_numpy() if hasattr(y, "isna") else _no_value(y)
    if gaps.all():
        raise DataError(f"the target {target!r} is empty in every one of the {len(y)} rows of {source!r}.")
    if gaps.any():
        kept = np.flatnonzero(~gaps)
        table, y = take_rows(table, kept), take_rows(y, kept)
        if is_frame(table):
            table, y = table.reset_index(drop=True), y.reset_index(drop=True)
    return Data.of(table, y, name=path.name, target=target or "y", dropped=int(gaps.sum()))


def _without(table: Any, source: str, target: str | None, drop: Sequence[str], y: Any) -> tuple[Any, Any]:
    """The features of a frame and its target, which is one of the columns where it is not given apart."""
    columns = [str(column) for column in table.columns]
    if y is None and target is None:
        raise DataError(
            f"no target is given for {source!r}. Name the column to predict, one of: {_some(columns)}."
        )
    for name in [*([target] if y is None and target is not None else []), *drop]:
        if name not in columns:
            near = did_you_mean(name, columns) or f" It has: {_some(columns)}."
            raise DataError(f"{source!r} has no column {name!r}.{near}")
    if y is None:
        if target in drop:
            raise DataError(f"{target!r} is the target, so it cannot be dropped.")
        y, table = table[target], table.drop(columns=target)
    table = table.drop(columns=list(drop))
    if not len(table.columns):
        raise DataError(
            f"{source!r} has no column besides the target {target!r}; there is nothing to learn from."
        )
    return table, y


def read_arrays(path: Path, target: str | None = None) -> tuple[Any, Any]:
    """Features and target of a .npy or .npz file, as `load_data` describes; a structured array is a frame, its target None."""
    X, y = _arrays_in(path, target)
    if X.dtype.names:
        return _from_records(X), y
    if y is not None:
        return X, y
    if target is None:
        raise DataError(
            f"no target is given for {str(path)!r}. Name a file of its own, such as y.npy, or a column by its number: -1."
        )
    beside = Path(target).expanduser()
    if beside.suffix == ".npy":
        return X, _load_npy(beside)
    if is_sparse(X) or X.ndim != 2:
        raise DataError(f"{target!r} is no target for {str(path)!r}. Name a file of its own, such as y.npy.")
    try:
        column = range(X.shape[1])[int(target)]
    except (ValueError, IndexError):
        raise DataError(
            f"{str(path)!r} has no column {target!r}: its {X.shape[1]} columns go by number, from 0, or -1 for the last."
        ) from None
    y = X[:, column]
    # At either end the features are a view; in the middle there is no way around a copy.
    ends = {0: X[:, 1:], X.shape[1] - 1: X[:, :-1]}
    return (ends[column] if column in ends else np.delete(X, column, axis=1)), y


def read_table(path: Path) -> Any:
    """The CSV or Parquet file as a pandas data frame, the X of a .npy or .npz file as it is; raises DataError, with the
    line where it can.
    """
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
    elif path.suffix in (".npy", ".npz"):
        table, _ = _arrays_in(path, None)
        return _from_records(table) if table.dtype.names else table
    else:
        table = pd.read_csv(path, sep=_check_csv(path, head), encoding="utf-8-sig", skip_blank_lines=True)
    if len(table) == 0:
        raise DataError(f"{str(path)!r} has a header and no rows.")
    return table


def check_folds(y: Any, splits: Iterable[tuple[Any, Any]]) -> None:
    """Raise DataError for a fold of a classifier whose training rows are all of one class."""
    y = np.asarray(y)
    for fold, (train, _) in enumerate(splits):
        rows = y[train]
        if (rows == rows[0]).all():
            raise DataError(
                f"fold {fold} would train on {len(rows)} rows that are all of class {rows[0]!r}, so there is nothing to tell "
                "apart. Use fewer folds, splits that are stratified, or another grouping."
            )


def is_frame(X: Any) -> bool:
    """Whether X is a pandas data frame; does not import pandas."""
    return hasattr(X, "iloc") and hasattr(X, "columns")


def is_sparse(X: Any) -> bool:
    """Whether X is one of SciPy's sparse matrices or arrays."""
    return hasattr(X, "tocsr")


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


def _arrays_in(path: Path, target: str | None) -> tuple[Any, Any]:
    """X and, where it is an array of the same file, y."""
    if path.suffix == ".npy":
        return _load_npy(path), None
    try:
        with np.load(path, allow_pickle=False) as stored:
            names = list(stored.files)
            if {"format", "shape", "data"} <= set(names):
                return _load_sparse(path), None
            return _chosen(stored, names, path, target)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None


def _chosen(stored: Any, names: list[str], path: Path, target: str | None) -> tuple[Any, Any]:
    apart = target is not None and target.endswith(".npy")
    y = target if target is not None and not apart else "y" if "y" in names else None
    if y is not None and y not in names:
        raise DataError(f"{str(path)!r} has no array {y!r}.{did_you_mean(y, names)}")
    features = [name for name in names if name != y]
    X = next((name for name in ("X", "x", "data") if name in features), None)
    if X is None and len(features) != 1:
        raise DataError(
            f"{str(path)!r} holds the arrays {_some(names)}, and none of them is X. Save it as np.savez(file, X=X, y=y)."
        )
    found = stored[y] if y is not None and not apart else None
    return stored[X or features[0]], found


def _load_npy(path: Path) -> Any:
    if not path.exists():
        raise DataError(f"there is no file {str(path)!r}. Paths are taken from {Path.cwd()}.")
    try:
        found: np.ndarray[Any, Any] = np.load(path, allow_pickle=False)
        return found
    except (OSError, ValueError, EOFError) as error:
        raise _unreadable(path, error) from None


def _load_sparse(path: Path) -> Any:
    from scipy import sparse

    return sparse.load_npz(path)


def _unreadable(path: Path, error: Exception) -> DataError:
    if "Object arrays" in str(error):
        return DataError(
            f"{str(path)!r} holds Python objects, and reading them runs code. Save numbers, or a table as CSV or Parquet."
        )
    why = "it does not begin as one does" if "pickle" in str(error) else error
    return DataError(f"{str(path)!r} is not a NumPy file that can be read: {why}.")


def _from_records(records: Any) -> Any:
    """The frame of a structured array."""
    try:
        import pandas as pd
    except ModuleNotFoundError:
        raise MissingExtra("pandas", "data", "a NumPy file with named columns") from None
    return plain_frame(pd.DataFrame({name: records[name] for name in records.dtype.names}, copy=False))


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


def _features(X: Any) -> Any:
    if is_polars(X):
        X = as_pandas(X)
    if is_frame(X):
        return plain_frame(X)
    if not is_sparse(X):
        return _array(X)
    # Rows can be picked from two of the formats; the others are turned into one.
    return X if X.format in ("csr", "csc") else X.tocsr()


def _array(X: Any) -> np.ndarray[Any, Any]:
    try:
        array = np.asarray(X)
    except ValueError as error:
        raise DataError(f"X is no table of numbers: {error}. Give rows of equal length.") from None
    if array.dtype.kind in "iufb":
        return array
    if array.dtype.kind in "mMc":
        kind = "complex numbers" if array.dtype.kind == "c" else "dates"
        raise DataError(f"X is an array of {kind}. Give real numbers, or dates in columns of a data frame.")
    try:
        return array.astype(float)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"X is no table of numbers: {error}. Give text in columns of a pandas data frame."
        ) from None


def plain_frame(X: Any) -> Any:
    """The frame in dtypes that every estimator reads: pandas' own for numbers and text that may be missing are not.

    Columns that are well as they are, are not copied. Raises DataError for two columns of one name.
    """
    X = _named(X)
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
        X = X.copy(deep=False)
        for column, values in changed.items():
            X[column] = values
    return X


def _named(X: Any) -> Any:
    """The frame, its columns named once each and by text, where some are: scikit-learn refuses a mixture."""
    names = list(X.columns)
    texts = [isinstance(name, str) for name in names]
    if any(texts) and not all(texts):
        names = [str(name) for name in names]
        X = X.set_axis(names, axis=1)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"X has several columns named {str(twice)!r}. Give each column a name of its own.")
    return X


def _target(y: Any) -> Any:
    if is_polars(y):
        y = as_pandas(y)
    if is_sparse(y):
        raise DataError("y is a sparse matrix. Give it as an array: y.toarray().ravel().")
    y = y if hasattr(y, "iloc") else np.asarray(y)
    if len(y.shape) != 1 and not (len(y.shape) == 2 and y.shape[1] == 1):
        raise DataError(f"y has shape {y.shape}. Give one target value per row.")
    if len(y.shape) == 2:
        y = y.iloc[:, 0] if hasattr(y, "iloc") else y[:, 0]
    # pandas keeps text, and numbers that may be missing, in types of its own, which not every estimator reads.
    missing = y.isna().to_numpy() if hasattr(y, "isna") else _no_value(y)
    if missing.any():
        raise DataError(
            f"y is missing in {int(missing.sum())} of {len(y)} rows, the first of them row {_first(missing)}. "
            "Leave those rows out."
        )
    values = _plain_target(y)
    if values.dtype.kind == "f" and np.isinf(values).any():
        infinite = np.isinf(values)
        raise DataError(
            f"y is infinite in {int(infinite.sum())} of {len(y)} rows, the first of them row {_first(infinite)}. "
            "Leave those rows out."
        )
    if values.dtype.kind == "O" and len({_sort(value) for value in values}) > 1:
        kinds = " and ".join(sorted({type(value).__name__ for value in values}))
        raise DataError(f"y mixes values of several types: {kinds}. Make all of them text, or all numbers.")
    if not hasattr(y, "iloc"):
        return values
    import pandas as pd

    dtype = object if values.dtype.kind not in "iufb" else None
    return pd.Series(values, index=y.index, name=y.name, dtype=dtype, copy=False)


def _plain_target(y: Any) -> np.ndarray[Any, Any]:
    kind = getattr(y.dtype, "kind", "O")
    if kind in "mMc":
        raise DataError(
            f"y holds {y.dtype}, which is neither numbers nor classes. Give numbers, such as days."
        )
    if not hasattr(y, "iloc"):
        return np.asarray(y)
    if kind in "iufb":
        width = {"b": bool, "i": np.int64, "f": float}.get(kind)
        return np.asarray(y.to_numpy() if isinstance(y.dtype, np.dtype) else y.to_numpy(dtype=width))
    return np.asarray(y.astype(object))


def _no_value(y: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if y.dtype.kind in "iubSU":
        return np.zeros(len(y), dtype=bool)
    if y.dtype.kind == "f":
        return np.asarray(np.isnan(y))
    return np.array([value is None or value != value for value in y.tolist()], dtype=bool)


def _first(rows: np.ndarray[Any, Any]) -> int:
    return int(np.flatnonzero(rows)[0])


def _sort(value: Any) -> str:
    return (
        "text" if isinstance(value, str) else "number" if isinstance(value, Number) else type(value).__name__
    )


def _classes(y: Any) -> tuple[Any, ...] | None:
    """The labels, where the target is text, a boolean, or a whole number that takes at most 50 values."""
    values = np.asarray(y)
    numeric = values.dtype.kind in "iuf"
    labels = np.unique(values).tolist() if numeric else sorted(set(values.tolist()))
    if numeric and (len(labels) > 50 or any(label != int(label) for label in labels)):
        return None
    return tuple(labels)


# --- fingerprints ------------------------------------------------------------------------------

BLOCK = 1 << 17
"""Values that are looked at at once, so that no second copy of a large table is made."""


def blocks(values: Any) -> Iterator[Any]:
    """An array a few rows at a time, as views."""
    width = max(1, math.prod(values.shape[1:]))
    step = max(1, BLOCK // width)
    for start in range(0, len(values), step):
        yield values[start : start + step]


def _fingerprint(X: Any, y: Any) -> str:
    digest = hashlib.sha256()
    for part in content(X):
        digest.update(part)
    digest.update(b"target")
    for part in _values(np.asarray(y)):
        digest.update(part)
    return digest.hexdigest()


def content(X: Any) -> Iterator[bytes]:
    """All that is in an array, a sparse matrix or a frame, names included, a piece at a time."""
    if is_sparse(X):
        matrix = X.tocsr()
        yield json.dumps(["sparse", list(matrix.shape)]).encode()
        for values in (matrix.indptr, matrix.indices, matrix.data):
            yield from _values(np.asarray(values))
    elif is_frame(X):
        for column in X.columns:
            yield json.dumps(["column", str(column)]).encode()
            yield from _values(_plain_values(X[column]))
    else:
        yield json.dumps(["array", list(X.shape)]).encode()
        yield from _values(X)


def _plain_values(column: Any) -> Any:
    """Dates as text to the microsecond, in any unit; all else as NumPy has it."""
    if getattr(column.dtype, "kind", "O") not in "mM":
        return column.to_numpy()
    zone = getattr(column.dtype, "tz", None)
    values = column.dt.tz_convert("UTC").dt.tz_localize(None) if zone is not None else column
    return values.to_numpy().astype(f"{column.dtype.kind}8[us]").astype(str).astype(object)


def _values(values: np.ndarray[Any, Any]) -> Iterator[bytes]:
    """The same bytes for the same numbers, whatever machine and width they came in; a block at a time."""
    kind = values.dtype.kind
    if kind in "iubf":
        yield b"float" if kind == "f" else b"int"
        for block in blocks(values):
            yield np.ascontiguousarray(block, dtype="<f8" if kind == "f" else "<i8").tobytes()
    else:
        for start, block in enumerate(blocks(values.ravel())):
            texts = [None if value is None or value != value else str(value) for value in block.tolist()]
            yield (("[" if start == 0 else ", ") + json.dumps(texts, ensure_ascii=False)[1:-1]).encode()
        yield b"]"
