"""Frames and series of polars as those of pandas, which scikit-learn's columns are picked from; without copies where
numbers have no gaps.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from luthier.errors import DataError, MissingExtra


def is_polars(values: Any) -> bool:
    """Whether it is polars's; does not import polars."""
    return type(values).__module__.partition(".")[0] == "polars"


def as_pandas(values: Any) -> Any:
    """The pandas frame or series; raises DataError for lazy frames and for columns of lists and the like."""
    try:
        import pandas as pd
    except ModuleNotFoundError:
        raise MissingExtra("pandas", "polars", "a polars frame") from None
    kind = type(values).__name__
    if kind == "Series":
        return pd.Series(_column(values), name=values.name or None, copy=False)
    if kind == "DataFrame":
        columns = {series.name: _column(series) for series in values.get_columns()}
        return pd.DataFrame(columns, copy=False, index=pd.RangeIndex(values.height))
    if kind == "LazyFrame":
        raise DataError(
            "this is a polars LazyFrame, which holds a query and no rows. Give its rows: lazy.collect()."
        )
    raise DataError(f"a polars {kind} is no table. Give a DataFrame or a Series.")


def _column(series: Any) -> Any:
    """An array or a pandas array; numbers without gaps are a view of polars's own memory."""
    import pandas as pd
    import polars as pl

    dtype = series.dtype
    gaps = series.null_count() > 0
    if dtype.is_nested() or dtype in (pl.Binary, pl.Object):
        raise DataError(
            f"column {series.name!r} holds {dtype}, of which no estimator can make anything. Leave it out, or unnest it."
        )
    if dtype.is_decimal():
        return series.cast(pl.Float64).to_numpy()
    if dtype.is_numeric():
        return series.to_numpy()  # gaps become NaN
    if dtype == pl.Boolean and not gaps:
        return series.to_numpy()
    if dtype == pl.Enum:
        codes = series.to_physical().fill_null(0).to_numpy().astype(int)
        codes[series.is_null().to_numpy()] = -1
        return pd.Categorical.from_codes(codes, dtype.categories.to_list())
    if dtype.is_temporal() and dtype != pl.Time:
        zone = getattr(dtype, "time_zone", None)
        found = pd.Series(series.to_numpy())
        return found if zone is None else found.dt.tz_localize("UTC").dt.tz_convert(zone)
    if dtype == pl.Null:
        return np.full(len(series), np.nan)
    # Text, and what is written like text: categories, times of the day.
    texts = series.to_list() if dtype == pl.Boolean else series.cast(pl.String).to_list()
    return np.array([np.nan if text is None else text for text in texts], dtype=object)
