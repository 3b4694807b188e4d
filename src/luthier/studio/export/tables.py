"""The trials of a study as a file, a piece at a time: what is needed of memory does not grow with their number."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from luthier.analysis.table import Names, csv_text, flattened, rows
from luthier.errors import MissingExtra
from luthier.studio.looking import Shown
from luthier.study import Trial
from luthier.summary import plain

AT_ONCE = 1_000
"""So many trials are whole in memory."""
PARAMS_AT_ONCE = 10_000
FORMATS = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/jsonl; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}


def has_parquet() -> bool:
    """Whether Parquet can be written here."""
    return find_spec("pyarrow") is not None


def pieces(shown: Shown, numbers: Sequence[int]) -> Iterator[list[Trial]]:
    """These trials, some at a time."""
    for start in range(0, len(numbers), AT_ONCE):
        yield shown.trials([int(number) for number in numbers[start : start + AT_ONCE]])


def names(shown: Shown, numbers: Sequence[int]) -> Names:
    """The parameters of these trials, those of the space first, and all metrics that occur in the study."""
    wanted = set(map(int, numbers))
    found: dict[str, None] = {}
    for start in range(0, len(shown), PARAMS_AT_ONCE):
        for number, params in enumerate(shown.params(start, start + PARAMS_AT_ONCE), start):
            if number in wanted:
                found.update(dict.fromkeys(params))
    return Names.of([], found, shown.spec.problem.space, shown.metrics())


def as_csv(shown: Shown, numbers: Sequence[int]) -> Iterator[str]:
    """CSV, a column for every parameter and metric, safe to open in a spreadsheet."""
    return csv_text(pieces(shown, numbers), names(shown, numbers))


def as_lines(shown: Shown, numbers: Sequence[int]) -> Iterator[str]:
    """JSON, an object a line; NaN and infinities as the texts "NaN", "Infinity", "-Infinity"."""
    for piece in pieces(shown, numbers):
        yield "".join(json.dumps(plain(row), ensure_ascii=False) + "\n" for row in rows(piece))


def as_parquet(shown: Shown, numbers: Sequence[int], target: Path) -> None:
    """Parquet, the columns of the CSV; a parameter whose values are of several kinds is text. Raises MissingExtra without PyArrow."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise MissingExtra("pyarrow", "data", "Parquet") from None
    columns = names(shown, numbers)
    kinds = _kinds(pieces(shown, numbers), columns)
    types = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}
    schema = pa.schema([(name, types[kind]) for name, kind in kinds.items()])
    with parquet.ParquetWriter(target, schema, compression="zstd") as writer:
        for piece in pieces(shown, numbers):
            lines = [flattened(row, columns) for row in rows(piece)]
            arrays = [[_as(kind, line[name]) for line in lines] for name, kind in kinds.items()]
            made = [
                pa.array(values, types[kind]) for values, kind in zip(arrays, kinds.values(), strict=True)
            ]
            writer.write_table(pa.table(made, schema=schema))


def _kinds(found: Iterable[Sequence[Trial]], columns: Names) -> dict[str, type]:
    """Of each column the narrowest kind that holds all its values."""
    seen: dict[str, set[type]] = {name: set() for name in columns.columns}
    for piece in found:
        for row in rows(piece):
            for name, value in flattened(row, columns).items():
                if value is not None:
                    seen[name].add(
                        int
                        if type(value) is int and abs(value) < 2**63
                        else float
                        if type(value) is int
                        else type(value)
                    )
    return {name: _widest(name, kinds) for name, kinds in seen.items()}


def _widest(name: str, kinds: set[type]) -> type:
    if not kinds:
        return int if name in ("number", "parent") else float if name in ("fidelity", "seconds") else str
    if len(kinds) == 1:
        (kind,) = kinds
        return kind if kind in (bool, int, float, str) else str
    return float if kinds <= {int, float} else str


def _as(kind: type, value: Any) -> Any:
    return None if value is None else kind(value)
