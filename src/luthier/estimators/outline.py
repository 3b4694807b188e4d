"""What a table looked like, in a few bytes a column, to say later what has changed in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from zlib import crc32

import numpy as np

from luthier.estimators.data import Data, blocks, content, is_frame, is_sparse, take_rows

MOST_COLUMNS = 2_000
"""Of wider tables only the whole is remembered."""


def outline(data: Data, rows: int | None = None) -> dict[str, Any]:
    """The number of rows, the names of the columns and a checksum of each, as JSON; of the first `rows` where given."""
    X, y = data.X, data.y
    if rows is not None and rows < data.rows:
        X, y = take_rows(X, slice(rows)), take_rows(y, slice(rows))
    names = [str(name) for name in data.feature_names or range(data.columns)]
    if data.columns > MOST_COLUMNS or is_sparse(X):
        names, checks = [], [_check(X)]
    elif is_frame(X):
        checks = [_check(X[[name]]) for name in X.columns]
    else:
        checks = _by_column(X)
    return {
        "fingerprint": data.fingerprint if len(y) == data.rows else None,
        "rows": len(y),
        "width": data.columns,
        "columns": names,
        "checks": checks,
        "target": _check(np.asarray(y)[:, None]),
    }


def changed(there: Mapping[str, Any], data: Data) -> str:
    """What is different in `data` from the one of which `there` is the outline, in words; empty where nothing is."""
    if there["fingerprint"] == data.fingerprint:
        return ""
    here = outline(data)
    said = []
    if there["width"] != here["width"] or there["columns"] != here["columns"]:
        said.append(_columns(there, here))
    if there["rows"] != here["rows"]:
        said.append(_rows(there, data))
    else:
        said.append(_values(there, here))
    return "; ".join(text for text in said if text) or "other values"


def _rows(there: Mapping[str, Any], data: Data) -> str:
    text = f"{there['rows']:,} rows there, {data.rows:,} here"
    first = {"fingerprint": there["fingerprint"]}
    if data.rows > there["rows"] and outline(data, there["rows"]) | first == there:
        text += ", of which the first are the same"
    return text


def _columns(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    gone = [name for name in there["columns"] if name not in here["columns"]]
    new = [name for name in here["columns"] if name not in there["columns"]]
    if there["width"] != here["width"] and not (there["columns"] and here["columns"]):
        return f"{there['width']} columns there, {here['width']} here"
    parts = [f"{_some(gone)} there only"] * bool(gone) + [f"{_some(new)} here only"] * bool(new)
    return " and ".join(parts) or "the columns in another order"


def _values(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    target = ["other values in the target"] * (there["target"] != here["target"])
    if not (there["columns"] and here["columns"]):
        other = there["width"] == here["width"] and there["checks"] != here["checks"]
        return " and ".join(["other values in X"] * other + target)
    before = dict(zip(there["columns"], there["checks"], strict=True))
    after = dict(zip(here["columns"], here["checks"], strict=True))
    different = [name for name in after if name in before and before[name] != after[name]]
    return " and ".join([f"other values in {_some(different)}"] * bool(different) + target)


def _some(names: Sequence[str]) -> str:
    listed = ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return f"column {listed}" if len(names) == 1 else f"columns {listed}"


def _check(values: Any) -> int:
    check = 0
    for part in content(values):
        check = crc32(part, check)
    return check


def _by_column(X: Any) -> list[int]:
    """A sum over the rows, each weighed by its place: one pass over memory, whatever its order."""
    sums, start = np.zeros(X.shape[1], dtype=np.uint64), 0
    for block in blocks(X):
        bits = np.ascontiguousarray(block, dtype="<f8" if X.dtype.kind == "f" else "<i8").view("<u8")
        weights = np.arange(start, start + len(block), dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        sums += (bits * (weights | np.uint64(1))[:, None]).sum(axis=0, dtype=np.uint64)
        start += len(block)
    return [int(value >> np.uint64(32)) for value in sums]
