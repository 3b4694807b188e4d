"""Trials as a table: for JSON, for CSV, for pandas; and how sure a cross-validated value is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from luthier.errors import MissingExtra
from luthier.study import Trial

if TYPE_CHECKING:
    import pandas as pd

TIMES = ("created", "started", "ended")


def rows(trials: Iterable[Trial]) -> list[dict[str, Any]]:
    """A row for each trial of a history, by number: its number, state, fidelity and parent (None but where a
    training need not go all the way), `params`, `metrics`, reason, the times as ISO
    strings in UTC and the seconds that its last attempt took.
    """
    return [_row(trial) for trial in trials]


def flat(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows without nesting, all with the same columns: `params.lr`, `metrics.loss`; None where a trial has none."""
    names = {
        part: list(dict.fromkeys(name for row in rows for name in row[part]))
        for part in ("params", "metrics")
    }
    return [_flattened(row, names) for row in rows]


def to_pandas(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The rows as a DataFrame, flat, with times as timestamps in UTC. Needs the extra 'data'."""
    try:
        import pandas as pd
    except ImportError:
        raise MissingExtra("pandas", "data", "A table of trials") from None
    flattened = flat(rows)
    columns = list(flattened[0]) if flattened else list(_row(Trial(0, {})))
    frame = pd.DataFrame(flattened, columns=columns)
    for name in TIMES:
        frame[name] = pd.to_datetime(frame[name], utc=True, format="ISO8601")
    frame["seconds"] = frame["seconds"].astype("float64")
    return frame


def uncertainty(trial: Trial, metric: str) -> float | None:
    """The standard error of a trial's metric, over its reports, where those are scores of folds.

    They are if there are two or more and the metric is their mean; otherwise they are a learning curve, and the
    answer is None. Folds share training data, so the truth is rather more uncertain than this.
    """
    scores = [report.metrics[metric] for report in trial.reports if metric in report.metrics]
    value = trial.metrics.get(metric, math.nan)
    if len(scores) < 2 or not all(map(math.isfinite, scores)):
        return None
    if not math.isclose(float(np.mean(scores)), value, rel_tol=1e-9, abs_tol=1e-9):
        return None
    if len(set(scores)) == 1 and trial.reports[0].step != 0:
        return None  # folds are counted from 0: this is a curve that had converged before its first report
    return float(np.std(scores, ddof=1)) / math.sqrt(len(scores))


def number(value: float, error: float | None = None) -> str:
    """A value with as many digits as its error warrants: 0.9783 ± 0.0031."""
    if error is None or not (math.isfinite(error) and math.isfinite(value)):
        return f"{value:.5g}"
    if error == 0:
        return f"{value:.5g} ± 0"
    digits = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def _row(trial: Trial) -> dict[str, Any]:
    return {
        "number": trial.number,
        "state": str(trial.state),
        "fidelity": trial.fidelity,
        "parent": trial.parent,
        "params": dict(trial.params),
        "metrics": dict(trial.metrics),
        "reason": trial.reason,
        "created": _iso(trial.created),
        "started": _iso(trial.started),
        "ended": _iso(trial.ended),
        "seconds": trial.seconds,
    }


def _iso(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def _flattened(row: Mapping[str, Any], names: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    cells: dict[str, Any] = {}
    for key, value in row.items():
        if key in names:
            cells.update({f"{key}.{name}": value.get(name) for name in names[key]})
        else:
            cells[key] = value
    return cells
