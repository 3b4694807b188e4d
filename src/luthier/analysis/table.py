"""Trials as a table: for JSON, for CSV, for pandas; and how sure a cross-validated value is."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from luthier.errors import MissingExtra
from luthier.study import Trial

if TYPE_CHECKING:
    import pandas as pd

TIMES = ("created", "started", "ended")
FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""What a spreadsheet may take for the beginning of a formula (OWASP, CSV injection); the last four are full-width."""
_PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf")


@dataclass(frozen=True, slots=True)
class Names:
    """The parameters and the metrics that occur in a table, in the order in which they do."""

    params: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        trials: Iterable[Trial],
        params: Iterable[str] = (),
        first: Iterable[str] = (),
        metrics: Iterable[str] = (),
    ) -> Names:
        """Those of the trials, and these `params` and `metrics`; parameters named in `first` come first, if they occur."""
        found, measured = dict.fromkeys(params), dict.fromkeys(metrics)
        for trial in trials:
            found.update(dict.fromkeys(trial.params))
            measured.update(dict.fromkeys(trial.metrics))
        ahead = dict.fromkeys(name for name in first if name in found)
        return cls(tuple(ahead | found), tuple(measured))

    @property
    def columns(self) -> list[str]:
        """The columns of the flat table."""
        return list(flattened(_row(Trial(0, {})), self))


def rows(trials: Iterable[Trial]) -> list[dict[str, Any]]:
    """A row for each trial of a history, by number: its number, state, fidelity and parent (None but where a
    training need not go all the way), `params`, `metrics`, reason, the times as ISO
    strings in UTC and the seconds that its last attempt took.
    """
    return [_row(trial) for trial in trials]


def flat(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows without nesting, all with the same columns: `params.lr`, `metrics.loss`; None where a trial has none."""
    names = Names(
        *(tuple(dict.fromkeys(name for row in rows for name in row[part])) for part in ("params", "metrics"))
    )
    return [flattened(row, names) for row in rows]


def flattened(row: Mapping[str, Any], names: Names) -> dict[str, Any]:
    """A row without nesting, with a column for each of the names."""
    cells: dict[str, Any] = {}
    for key, value in row.items():
        if key in ("params", "metrics"):
            cells.update({f"{key}.{name}": value.get(name) for name in getattr(names, key)})
        else:
            cells[key] = value
    return cells


def csv_text(pieces: Iterable[Sequence[Trial]], names: Names) -> Iterator[str]:
    """Trials as CSV with these columns, a piece at a time, safe to open in a spreadsheet."""
    yield csv_rows([names.columns])
    for piece in pieces:
        yield csv_rows(flattened(row, names).values() for row in rows(piece))


def csv_rows(rows: Iterable[Iterable[Any]]) -> str:
    """Rows as CSV, every cell `unspoiled`."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([unspoiled(cell) for cell in row] for row in rows)
    return text.getvalue()


def unspoiled(cell: Any) -> Any:
    """The cell as no spreadsheet takes it for a formula: a text that begins like one, and is no number, gets a quote before it."""
    if not isinstance(cell, str) or not cell.startswith(FORMULA) or _PLAIN.fullmatch(cell):
        return cell
    return f"'{cell}"


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
