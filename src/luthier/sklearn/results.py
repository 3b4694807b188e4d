"""The trials of a search as scikit-learn's `cv_results_` has candidates."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from luthier.objectives.crossval import standard_error
from luthier.objectives.estimator import TIMES, TRAIN
from luthier.study import State, Trial

Floats = NDArray[np.float64]


def counts(trial: Trial) -> bool:
    """Whether there is anything to say of it: it ended, and not before it began."""
    return trial.state.ended and (bool(trial.reports) or trial.state is State.FAILED)


def score_names(candidates: Sequence[Trial]) -> list[str]:
    """The scores there are."""
    found = dict.fromkeys(name for trial in candidates for report in trial.reports for name in report.metrics)
    return [name for name in found if name not in TIMES and not name.startswith(TRAIN)]


@dataclass(frozen=True, slots=True)
class Scores:
    """What every candidate scored in every fold, arrays of shape (candidates, folds): in `tables` by name, NaN where a fold was
    not `run`; in `whole` with what such a fold would have come to.
    """

    run: NDArray[np.bool_]
    failed: NDArray[np.bool_]
    tables: Mapping[str, Floats]
    whole: Mapping[str, Floats]

    @classmethod
    def of(
        cls,
        candidates: Sequence[Trial],
        leader: Trial | None,
        metric: str,
        names: Sequence[str],
        folds: int,
        failure: float,
    ) -> Scores:
        """Of the scores `names`, `metric` the one that was optimised; a fit that failed scores `failure`."""
        run = np.array([[fold in trial.reported(metric) for fold in range(folds)] for trial in candidates])
        failed = np.array([trial.state is State.FAILED for trial in candidates])
        place = None if leader is None else candidates.index(leader)
        tables = {
            name: _table(candidates, name, folds, failure) for name in dict.fromkeys([metric, *names, *TIMES])
        }
        whole = {
            name: _foreseen(table, run, place, level=name in TIMES, worse=name == metric)
            for name, table in tables.items()
        }
        return cls(run, failed, tables, whole)

    def as_evaluated(self, names: Sequence[str], several: bool) -> list[dict[str, Any]]:
        """The folds one after another, as scikit-learn's own evaluation gives them."""
        out = []
        for place in np.ndindex(*self.run.shape):
            fold: dict[str, Any] = {name: self.whole[name][place] for name in TIMES}
            for kind, prefix in (("test_scores", ""), ("train_scores", TRAIN)):
                scores = {
                    name: self.whole[prefix + name][place] for name in names if prefix + name in self.whole
                }
                fold[kind] = scores if several else next(iter(scores.values()), math.nan)
            out.append(fold)
        return out

    def show_what_was_run(self, results: dict[str, Any]) -> None:
        """What was filled in has done its duty in the means; of single folds and their spread only what was run is shown."""
        for key in [key for key in results if key.startswith("split0_")]:
            each = [results[key.replace("0", str(fold), 1)] for fold in range(self.run.shape[1])]
            for fold, values in enumerate(each):
                values[~self.run[:, fold] & ~self.failed] = np.nan
            for i in np.flatnonzero(self.run.any(axis=1) & ~self.run.all(axis=1)):
                mine = [each[fold][i] for fold in np.flatnonzero(self.run[i])]
                results["std_" + key.removeprefix("split0_")][i] = np.std(mine)

    def errors(self, metric: str) -> list[float]:
        """The standard error of each candidate's mean, from the folds that were run."""
        found = (standard_error(row[np.isfinite(row)].tolist()) for row in self.tables[metric])
        return [math.nan if error is None else error for error in found]


def _table(candidates: Sequence[Trial], name: str, folds: int, failure: float) -> Floats:
    table = np.full((len(candidates), folds), np.nan)
    for row, trial in zip(table, candidates, strict=True):
        if trial.state is State.FAILED and not trial.reports and name not in TIMES:
            row[:] = failure
        for report in trial.reports:
            row[report.step] = report.metrics.get(name, failure)
    return table


def _foreseen(table: Floats, run: Any, leader: int | None, *, level: bool, worse: bool) -> Floats:
    """The table with what the folds that were not run would have come to: the leader's, at the mean distance on the others.

    `level` fills in the mean itself; `worse` says that the leader would not lead if the distance were in favour of another: of
    such a one nothing can be said.
    """
    if run.all() or (leader is None and not level):
        return table
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of candidates without any fold
        base = 0.0 if level else table[leader]
        apart = np.nanmean(np.where(run, table - base, np.nan), axis=1, keepdims=True)
    if worse:
        apart[apart > 0] = np.nan
    return np.where(run, table, base + apart)
