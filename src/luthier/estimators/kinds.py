"""What the columns of a table are, whatever type they came in: numbers, dates, categories, text, names of rows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from numbers import Number
from typing import Any, Literal, get_args

import numpy as np

from luthier.errors import DataError, InvalidStudy, did_you_mean
from luthier.estimators.data import blocks, is_frame

Kind = Literal[
    "number", "truth", "date", "category", "ordered", "many", "text", "id", "constant", "empty", "drop"
]
KINDS: tuple[str, ...] = get_args(Kind)

MANY = 30
"""Of more categories than this a column is "many"."""
TEXT_LENGTH = 40
"""Characters in the mean of its different values from which a column is text to be read, not a category."""
FEW_ROWS = 20
"""In fewer rows, values may all be different by chance."""
MOSTLY = 0.9
"""Where so many of a column's different texts are numbers, the others are taken for gaps."""

_ISO = re.compile(r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?(Z|[+-]\d{2}:?\d{2})?")
_ID = re.compile(r"(^|[_ .-])(id|uuid|guid|index|rowid|row|nr|no)$|^unnamed: \d+$", re.IGNORECASE)
_CAMEL_ID = re.compile(r"[a-z](Id|ID)$")


@dataclass(frozen=True, slots=True)
class Column:
    """A column and what it was taken for. `why` says what was seen; `gaps` is the share of rows without a value.

    `converted` numbers came as something else: text, objects, spans of time.
    """

    name: Any
    kind: Kind
    why: str
    gaps: float = 0.0
    converted: bool = False


def columns_of(X: Any, given: Mapping[str, str] | None = None) -> list[Column]:
    """What the columns of a frame are; `given` kinds, by name of the column, are believed.

    Raises DataError for a column that is no kind of anything, InvalidStudy for a name or a kind that there is not.
    """
    given = given or {}
    names = [str(name) for name in X.columns]
    for name, kind in given.items():
        if name not in names:
            raise InvalidStudy(f"there is no column {name!r} to preprocess.{did_you_mean(name, names)}")
        if kind not in KINDS:
            raise InvalidStudy(
                f"column {name!r} is to be preprocessed as {kind!r}.{did_you_mean(kind, KINDS)}"
            )
    return [_column(name, X[name], given.get(str(name))) for name in X.columns]


def _column(name: Any, values: Any, given: str | None) -> Column:
    gaps = float(values.isna().mean())
    plain = getattr(values.dtype, "kind", "O") in "iufb"
    if given is not None:
        return Column(name, given, "as you said", gaps, given in ("number", "truth") and not plain)  # type: ignore[arg-type]
    if gaps == 1.0:
        return Column(name, "empty", "it has no values", gaps)
    if type(values.dtype).__name__ == "CategoricalDtype":
        return _categorical(name, values, gaps)
    match getattr(values.dtype, "kind", "O"):
        case "b" | "u" | "i" | "f":
            kind, why, converted = *_of_numbers(name, values, gaps), False
        case "M":
            kind, why, converted = "date", "dates", False
        case "m":
            kind, why, converted = "number", "spans of time, as days", True
        case _:
            kind, why, converted = _of_objects(name, values.dropna(), gaps)
    return Column(name, kind, why, gaps, converted)


def _categorical(name: Any, values: Any, gaps: float) -> Column:
    used = values.cat.remove_unused_categories().cat.categories
    if len(used) == 1 and not gaps:
        return Column(name, "constant", "it has the same value in all rows", gaps)
    kind: Kind = "ordered" if values.cat.ordered else "many" if len(used) > MANY else "category"
    return Column(name, kind, f"{len(used)} {'ordered ' * values.cat.ordered}categories", gaps)


def _of_numbers(name: Any, values: Any, gaps: float) -> tuple[Kind, str]:
    if values.dtype.kind == "b":
        return (
            ("truth", "true or false") if values.nunique() > 1 else ("constant", "it is the same in all rows")
        )
    low, high = values.min(), values.max()
    if low == high and not gaps:
        return "constant", "it has the same value in all rows"
    if values.dtype.kind in "iu" and len(values) >= FEW_ROWS and values.is_unique:
        running = int(high) - int(low) == len(values) - 1
        if _is_id(name) or (running and int(low) in (0, 1)):
            return "id", "a running number" if running else "whole numbers, different in every row"
    return "number", "numbers"


def _of_objects(name: Any, present: Any, gaps: float) -> tuple[Kind, str, bool]:
    """Kind, why and whether it takes conversion to numbers; of a column of Python objects, gaps left out."""
    import datetime

    types = set(map(type, present))
    if all(issubclass(t, str) for t in types):
        return _of_text(name, present, gaps)
    if types <= {bool, np.bool_}:
        return "truth", "true or false", True
    if all(issubclass(t, Number | np.number | Decimal) for t in types):
        return "number", "numbers", True
    if all(issubclass(t, datetime.date) for t in types):
        return "date", "dates", False
    found = {t.__name__: next(value for value in present if type(value) is t) for t in types}
    examples = " and ".join(f"{value!r} ({kind})" for kind, value in sorted(found.items())[:2])
    if all(issubclass(t, str | Number) for t in types):
        raise DataError(
            f"column {str(name)!r} mixes text and numbers, such as {examples}. Make all of them text, or all numbers."
        )
    raise DataError(
        f"column {str(name)!r} holds {examples}, of which no estimator can make anything. "
        "Leave it out, or make numbers or text of it."
    )


def _of_text(name: Any, present: Any, gaps: float) -> tuple[Kind, str, bool]:
    import pandas as pd

    values = present.unique()
    if len(values) == 1 and not gaps:
        return "constant", "it has the same value in all rows", False
    if all(_ISO.fullmatch(value.strip()) for value in values):
        return "date", "dates as text", False
    numbers = pd.to_numeric(pd.Series(values, dtype=object), errors="coerce").notna().to_numpy()
    if numbers.mean() >= MOSTLY and (len(values) > 2 or numbers.all()):
        return "number", _numbers_in_text(values, numbers), True
    unique = len(values) / len(present)
    length = float(np.mean([len(value) for value in values]))
    if length >= TEXT_LENGTH and unique > 0.5 and np.mean([" " in value.strip() for value in values]) > 0.5:
        return "text", f"text of {length:.0f} characters in the mean, hardly twice the same", False
    if unique > 0.95 and len(present) >= FEW_ROWS:
        return "id", f"{len(values)} different texts in {len(present)} rows", False
    return ("many" if len(values) > MANY else "category"), f"{len(values)} categories", False


def _numbers_in_text(values: Any, numbers: Any) -> str:
    others = values[~numbers]
    if not len(others):
        return "numbers as text"
    more = f" and {len(others) - 1} others" if len(others) > 1 else ""
    return f"numbers as text; {others[0]!r}{more} taken for gaps"


def _is_id(name: Any) -> bool:
    return bool(_ID.search(str(name)) or _CAMEL_ID.search(str(name)))


# --- all numbers of a table --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Extent:
    """What there is to know of numbers before they are scaled: for each column the range and the share of gaps."""

    low: Any
    high: Any
    gaps: Any

    @property
    def one_scale(self) -> bool:
        """Whether the columns measure alike, as pixels do and centimetres: four in five ranges within a factor of four of
        each other, and neither tiny nor huge.
        """
        varies = self.high > self.low  # an empty column goes from inf to -inf
        ranges = self.high[varies] - self.low[varies]
        if not len(ranges):
            return True
        first, median, last = np.percentile(ranges, [10, 50, 90])
        return bool(last <= 4 * first and 1 <= median <= 30)


def extent(X: Any, names: Sequence[Any] | None = None) -> Extent:
    """Of an array, or of these columns of a frame; read a piece at a time. Raises DataError for infinite numbers."""
    if is_frame(X):
        names = list(X.columns) if names is None else names
        parts = [_extent(X[name].to_numpy()[:, None]) for name in names]
        low, high, gaps, infinite = (
            (np.concatenate(part) for part in zip(*parts, strict=True)) if parts else [np.zeros(0)] * 4
        )
    else:
        names = range(X.shape[1])
        low, high, gaps, infinite = _extent(X)
    if infinite.any():
        name = names[int(np.flatnonzero(infinite)[0])]
        raise DataError(
            f"column {str(name)!r} holds infinity, which estimators do not read. Put a large number or nothing in its place, "
            'or say preprocess="none" for an estimator that reads it.'
        )
    return Extent(low, high, gaps / X.shape[0])


def _extent(X: Any) -> tuple[Any, Any, Any, Any]:
    low, high = np.full(X.shape[1], np.inf), np.full(X.shape[1], -np.inf)
    gaps, infinite = np.zeros(X.shape[1]), np.zeros(X.shape[1], dtype=bool)
    for block in blocks(X):
        if block.dtype.kind == "f":
            gap = np.isnan(block)
            gaps += gap.sum(axis=0)
            infinite |= np.isinf(block).any(axis=0)
            low = np.minimum(low, np.where(gap, np.inf, block).min(axis=0))
            high = np.maximum(high, np.where(gap, -np.inf, block).max(axis=0))
        else:
            low, high = np.minimum(low, block.min(axis=0)), np.maximum(high, block.max(axis=0))
    return low, high, gaps, infinite
