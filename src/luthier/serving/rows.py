"""Rows that somebody sends, checked against what the model reads: by name, by type, each complaint with the row and the column.

Runs in the process that listens, so it makes nothing but numbers and texts, and of no row that is not sound.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from luthier.errors import did_you_mean
from luthier.estimators.data import DELIMITERS
from luthier.models.manifest import typical_row

MOST_ROWS = 10_000
MOST_BYTES = 8_000_000
LISTED = 10
"""Problems that an answer names."""
SHOWN = 40
"""Characters of a wrong value that an answer shows."""
EMPTY = frozenset(
    {"", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "n/a", "<NA>", "#N/A", "-nan", "-NaN"}
)
"""What stands for nothing in a CSV, as pandas has it."""
TRUTHS = {"true": 1.0, "false": 0.0}


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a row: its number, from 1; the column."""

    row: int
    column: str
    text: str

    def to_json(self) -> dict[str, Any]:
        return {"row": self.row, "column": self.column, "problem": self.text}

    def __str__(self) -> str:
        return f"row {self.row}: {self.column!r} {self.text}"


class Refused(Exception):
    """A request that is not answered: its status in HTTP, a sentence, and what is wrong with which row."""

    def __init__(self, status: int, text: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(text)
        self.status = status
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Table:
    """Sound rows: `numbers` of shape (rows, columns of numbers), NaN where there is none; `others` a list for each other column."""

    numbers: NDArray[np.float64]
    others: list[list[Any]]

    @property
    def rows(self) -> int:
        return len(self.numbers)


@dataclass(frozen=True, slots=True)
class Column:
    """One that the model reads. `truth`: its numbers were 0 and 1, so true and false are meant by them."""

    name: str
    type: str
    missing: bool
    truth: bool
    levels: tuple[Any, ...] | None
    range: tuple[float, float] | None

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> Column:
        """From an entry of `inputs` in a model.json."""
        bounds = described.get("range")
        return cls(
            str(described["name"]),
            str(described["type"]),
            bool(described.get("missing")),
            bounds is not None and 0 <= bounds[0] <= bounds[1] <= 1,
            tuple(described["levels"]) if "levels" in described else None,
            (float(bounds[0]), float(bounds[1])) if bounds else None,
        )

    @property
    def is_number(self) -> bool:
        return self.type == "number"

    @property
    def wanted(self) -> str:
        """What it should hold, as a sentence goes on."""
        return {"number": "a number", "text": "text", "time": "a date such as 2024-12-31"}.get(
            self.type, "text or a number"
        )

    def schema(self) -> dict[str, Any]:
        """As JSON Schema has it; its range and its categories are what was seen, and not a limit."""
        kinds = {"number": ["number"], "text": ["string"], "time": ["string"]}.get(
            self.type, ["string", "number", "boolean"]
        )
        if self.truth:
            kinds = [*kinds, "boolean"]
        types = [*kinds, "null"] if self.missing else kinds
        described: dict[str, Any] = {"type": types[0] if len(types) == 1 else types}
        if self.type == "time":
            described["format"] = "date-time"
        if self.range is not None:
            described["description"] = f"{self.range[0]:g} to {self.range[1]:g} when the model was fitted"
        if self.levels is not None:
            described["examples"] = list(self.levels)
        return described


@dataclass(frozen=True, slots=True)
class Rows:
    """What the model reads, and how it is read from JSON and CSV. The target, if it is sent, too, is left out."""

    columns: tuple[Column, ...]
    target: str | None
    example: Mapping[str, Any]
    names: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", frozenset(column.name for column in self.columns))

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> Rows:
        """From a model.json."""
        target = (manifest.get("data") or {}).get("target")
        columns = tuple(map(Column.of, manifest["inputs"]))
        example = typical_row(manifest["inputs"])
        for column in columns:
            if (
                example[column.name] is None and not column.missing
            ):  # of many texts none is kept, and of dates none
                example[column.name] = str(manifest["created"])[:10] if column.type == "time" else ""
        return cls(columns, None if target in example else target, example)

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of a row."""
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {column.name: column.schema() for column in self.columns},
            "required": [column.name for column in self.columns],
            "additionalProperties": False,
        }

    def from_json(self, body: bytes) -> Table:
        """The rows of `{"rows": [{...}, ...]}`; raises Refused."""
        said = _parsed(body)
        if not isinstance(said, dict) or not isinstance(said.get("rows"), list):
            raise Refused(
                422,
                'the body is no {"rows": [{...}, ...]}. Send an object with a list of rows; GET /schema shows one.',
            )
        if len(said) > 1:
            other = next(name for name in said if name != "rows")
            raise Refused(422, f'the body has {_shown(other)} beside "rows", which means nothing here.')
        rows = said["rows"]
        _count(len(rows))
        problems = _Problems()
        for n, row in enumerate(rows, 1):
            if not isinstance(row, dict):
                problems.add(n, "", f"is {_shown(row)}, and not an object with a value for each column")
            elif row.keys() != self.names:
                self._misnamed(problems, n, row.keys())
        problems.settle()
        found = self._table(lambda column: [row[column.name] for row in rows], _from_json, problems)
        problems.settle()
        return found

    def from_csv(self, body: bytes) -> Table:
        """The rows of a CSV with a header; raises Refused."""
        try:
            text = body.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise Refused(
                422, f"the body is no CSV in UTF-8 ({error.reason}, byte {error.start + 1})."
            ) from None
        names, rows = _lines(text)
        return self.from_texts(names, rows)

    def from_texts(self, names: Sequence[str], rows: Sequence[Sequence[str]], first: int = 1) -> Table:
        """The rows of a CSV, taken apart: as many fields as names in each. Raises Refused; `first` is the number of the first row."""
        problems = _Problems(first)
        self._misnamed(problems, 1, dict.fromkeys(names).keys())
        problems.settle()
        places = {name: i for i, name in enumerate(names)}
        found = self._table(lambda column: [row[places[column.name]] for row in rows], _from_text, problems)
        problems.settle()
        return found

    def _misnamed(self, problems: _Problems, row: int, given: Any) -> None:
        for column in self.columns:
            if column.name not in given:
                near = did_you_mean(column.name, [name for name in given if name not in self.names])
                problems.add(row, column.name, f"is missing.{near if 'Did' in near else ''}".rstrip("."))
        for name in given:
            if name not in self.names and name != self.target:
                near = did_you_mean(name, self.names)
                hint = near if "Did" in near else ""
                problems.add(row, name, f"is no column that the model reads.{hint}".rstrip("."))

    def _table(
        self,
        values_of: Callable[[Column], list[Any]],
        read: Callable[[Column, list[Any], _Problems], list[Any]],
        problems: _Problems,
    ) -> Table:
        columns = [(column, read(column, values_of(column), problems)) for column in self.columns]
        rows = len(columns[0][1]) if columns else 0
        numbers = [values for column, values in columns if column.is_number]
        matrix = np.empty((rows, len(numbers)))
        if not problems.found:
            for i, values in enumerate(numbers):
                matrix[:, i] = values
        return Table(matrix, [values for column, values in columns if not column.is_number])


# --- values ------------------------------------------------------------------------------------


class _Problems:
    """Those found so far, the first of them in words."""

    def __init__(self, first: int = 1) -> None:
        self.found: list[Problem] = []
        self.more = 0
        self._first = first

    def add(self, row: int, column: str, text: str) -> None:
        if len(self.found) < LISTED:
            self.found.append(Problem(row - 1 + self._first, column, text))
        else:
            self.more += 1

    def settle(self) -> None:
        """Refuse what there are problems with."""
        if not self.found:
            return
        kept = self.found[:3]
        more = len(self.found) - len(kept) + self.more
        said = "; ".join(map(str, kept)) + (f"; and {more:,} more" if more else "")
        raise Refused(422, f"{said.rstrip('.?')}{'?' if said.endswith('?') else '.'}", self.found)


def _from_json(column: Column, values: list[Any], problems: _Problems) -> list[Any]:
    kinds = set(map(type, values))
    if column.is_number:
        return (
            values if kinds <= {float} and _all_finite(values) else _each(column, values, _number, problems)
        )
    if kinds <= {str} and column.type in ("text", "category"):
        return values
    return _each(column, values, {"text": _text, "time": _time}.get(column.type, _scalar), problems)


def _from_text(column: Column, values: list[Any], problems: _Problems) -> list[Any]:
    if column.is_number:
        return _each(column, values, _number_in, problems)
    known = {str(level): level for level in column.levels or ()} if column.type == "category" else {}
    found = [None if value in EMPTY else known.get(value, value) for value in values]
    return _each(column, found, _time, problems) if column.type == "time" else found


def _each(
    column: Column, values: list[Any], read: Callable[[Column, Any], Any], problems: _Problems
) -> list[Any]:
    made = []
    for n, value in enumerate(values, 1):
        try:
            made.append(read(column, value))
        except (ValueError, OverflowError):
            problems.add(n, column.name, f"is {_shown(value)}, and the model reads {column.wanted} there")
    return made


def _number(column: Column, value: Any) -> float:
    if value is None:
        return math.nan
    if isinstance(value, bool):
        if not column.truth:
            raise ValueError
    elif not isinstance(value, int | float):
        raise ValueError
    return _finite(float(value))


def _number_in(column: Column, text: str) -> float:
    text = text.strip()
    if text in EMPTY:
        return math.nan
    if column.truth and text.lower() in TRUTHS:
        return TRUTHS[text.lower()]
    if "_" in text:  # Python takes 1_000 for a number, and nobody else does
        raise ValueError
    return _finite(float(text))


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError
    return value


def _all_finite(values: list[float]) -> bool:
    return math.isfinite(sum(values)) or all(map(math.isfinite, values))


def _text(_: Column, value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ValueError
    return value


def _time(_: Column, value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError
    datetime.fromisoformat(value.strip())
    return value


def _scalar(_: Column, value: Any) -> Any:
    if isinstance(value, float):
        return _finite(value)
    if value is not None and not isinstance(value, str | int):
        raise ValueError
    return value


def _shown(value: Any) -> str:
    """A wrong value, as far as it is worth showing."""
    match value:
        case None | bool():
            return json.dumps(value)
        case dict():
            return "an object"
        case list():
            return "a list"
        case int() if abs(value) >= 10**SHOWN:
            return f"a number of {int(math.log10(abs(value))) + 1} digits"
        case str() if len(value) > SHOWN:
            return f"{value[:SHOWN]!r}..."
    return repr(value)


# --- bodies ------------------------------------------------------------------------------------


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body, parse_constant=_no_constant)
    except RecursionError:
        raise Refused(
            422, "the body is nested too deep. A row is an object with a plain value for each column."
        ) from None
    except ValueError as error:
        raise Refused(422, f"the body is no JSON: {error}.") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is none of its numbers; send null where there is no value")


def _count(rows: int) -> None:
    if not rows:
        raise Refused(422, "there are no rows. Send at least one.")
    if rows > MOST_ROWS:
        raise Refused(
            422,
            f"there are {rows:,} rows, and at most {MOST_ROWS:,} are answered at once. Send them in parts.",
        )


def _lines(text: str) -> tuple[list[str], list[list[str]]]:
    reader = csv_reader(io.StringIO(text, newline=""), text[: text.find("\n") + 1] or text)
    names = header(reader)
    rows: list[list[str]] = []
    for row in fields(reader, len(names)):
        rows.append(row)
        if len(rows) > MOST_ROWS:
            raise Refused(
                422,
                f"there are more than {MOST_ROWS:,} rows, the most that are answered at once. Send them in parts.",
            )
    _count(len(rows))
    return names, rows


def csv_reader(lines: Any, first: str) -> Any:
    """A reader of CSV, its delimiter that of the first line."""
    return csv.reader(lines, delimiter=max(DELIMITERS, key=first.count))


def header(reader: Any) -> list[str]:
    """The names of the columns; raises Refused."""
    try:
        names = [str(name) for name in next(reader, [])]
    except csv.Error as error:
        raise Refused(422, f"this is no CSV: {error}.") from None
    twice = sorted({name for name in names if names.count(name) > 1})
    if not names or twice:
        said = f"has several columns named {_shown(twice[0])}" if twice else "has no header"
        raise Refused(422, f"the CSV {said}. Give each column a name of its own in the first line.")
    return names


def fields(reader: Any, wanted: int) -> Iterator[list[str]]:
    """The rows below the header, without empty lines; raises Refused for one with more or fewer fields."""
    try:
        for row in reader:
            if not row:
                continue
            if len(row) != wanted:
                raise Refused(
                    422,
                    f"line {reader.line_num} of the CSV has {len(row)} fields, and the header has {wanted}. Put quotes around values "
                    f"that hold {reader.dialect.delimiter!r}.",
                )
            yield row
    except csv.Error as error:
        raise Refused(422, f"line {reader.line_num} is no CSV: {error}.") from None
