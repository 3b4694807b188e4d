"""Columns that no estimator reads, as numbers: dates, and numbers that came as text or objects."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin

Floats = NDArray[np.float64]

DAY = 86_400.0
YEAR = 365.2425
MIDNIGHT_SHARE = 0.99
"""A column in which so many of the dates are at midnight has no time of the day."""


class Dates(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Days since the year 2000 and the place in the year and week - and in the day, where times are given.

    With `circular` each place is a point on a circle, its sine and cosine, so that December is beside January for an
    estimator that adds or measures distances; otherwise it is the month, the day of the week and the hour, which trees
    cut into ranges. What is no date is a gap.
    """

    def __init__(self, circular: bool = True) -> None:
        self.circular = circular

    def fit(self, X: Any, y: Any = None) -> Dates:
        """Look which columns have times of the day."""
        self.n_features_in_ = X.shape[1]
        self.feature_names_in_ = np.array([str(name) for name in X.columns], dtype=object)
        self.timed_ = []
        for i in range(X.shape[1]):
            days = _days(X.iloc[:, i])
            seen = days[~np.isnan(days)]
            self.timed_.append(bool(len(seen) and np.mean(seen == np.floor(seen)) < MIDNIGHT_SHARE))
        return self

    def transform(self, X: Any) -> Floats:
        """Floats of shape (rows, 3 to 7 for each column)."""
        parts = []
        for i, timed in enumerate(self.timed_):
            parts += self._parts(_days(X.iloc[:, i]), timed)
        return np.column_stack(parts)

    def _parts(self, days: Floats, timed: bool) -> list[Floats]:
        week = (days + 5) % 7  # 2000-01-01 was a Saturday; Monday is 0
        if self.circular:
            turns = [days / YEAR, np.floor(week) / 7, *([days % 1] if timed else [])]
            return [days, *(wave(2 * math.pi * turn) for turn in turns for wave in (np.sin, np.cos))]
        return [days, days / YEAR % 1 * 12, np.floor(week), *([days % 1 * 24] if timed else [])]

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """The column's name and the part."""
        places = [f"{place}_{wave}" for place in ("year", "week", "day") for wave in ("sin", "cos")]
        if not self.circular:
            places = ["month", "weekday", "hour"]
        names = []
        for name, timed in zip(self.feature_names_in_, self.timed_, strict=True):
            parts = ["days", *(places if timed else places[: -1 if not self.circular else -2])]
            names += [f"{name}_{part}" for part in parts]
        return np.array(names, dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


class Numbers(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Numbers that came as text or objects, truth values with gaps, spans of time in days; what is no number is a gap."""

    def fit(self, X: Any, y: Any = None) -> Numbers:
        """Learn nothing but the number of columns."""
        self.n_features_in_ = X.shape[1]
        self.feature_names_in_ = np.array([str(name) for name in X.columns], dtype=object)
        return self

    def transform(self, X: Any) -> Floats:
        """Floats of the same shape."""
        return np.column_stack([_numbers(X.iloc[:, i]) for i in range(X.shape[1])])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def _days(column: Any) -> Floats:
    """Days since 2000-01-01 UTC; NaN for what is no date."""
    import pandas as pd

    kind = getattr(column.dtype, "kind", "O")
    if kind in "iufb":  # a column without a single date, read from a file
        return np.full(len(column), np.nan)
    dates = pd.to_datetime(
        column.astype(object), errors="coerce", utc=True, format=None if kind == "M" else "ISO8601"
    )
    seconds = (dates - pd.Timestamp("2000-01-01", tz="UTC")).dt.total_seconds()
    return np.asarray(seconds.to_numpy(dtype=float)) / DAY


def _numbers(column: Any) -> Floats:
    import pandas as pd

    if getattr(column.dtype, "kind", "O") == "m":
        return np.asarray(column.dt.total_seconds().to_numpy(dtype=float)) / DAY
    numbers = pd.to_numeric(column, errors="coerce")
    return np.asarray(numbers.to_numpy(dtype=float, na_value=np.nan))
