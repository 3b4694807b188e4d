"""Levels: what trainings that did not go all the way say of what they would have come to.

A *chain* of straight lines carries a loss from one level to the next, each fitted to the configurations that were trained to both.
Trainings are stopped or go on by the very number that is regressed on, so the choice does not bias the lines.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from luthier.optimizers.gp.codes import Floats, Ints
from luthier.study import Fidelity, State, Trial

PRIOR = 3.0
"""A line of slope one counts as much as this times the variance of what is regressed on."""


def reached(trial: Trial, fidelity: Fidelity, metric: str) -> dict[int, float]:
    """The values of a metric at the levels that a trial got to, by the number of the level: what it reported last up to there, and
    its result. Nothing of one that failed.
    """
    levels = fidelity.levels
    found: dict[int, float] = {}
    if trial.state is State.FAILED:
        return found
    reports = dict(sorted(trial.reported(metric).items()))
    furthest = max(reports, default=0)
    for i, level in enumerate(levels):
        passed = [step for step in reports if (levels[i - 1] if i else 0) < step <= level]
        if passed and furthest >= level:
            found[i] = reports[passed[-1]]
    if trial.state is State.COMPLETED and metric in trial.metrics:
        amount = fidelity.high if trial.fidelity is None else trial.fidelity
        at = [i for i, level in enumerate(levels) if level <= amount]
        if at:
            found[at[-1]] = trial.metrics[metric]
    return found


def carried(table: Floats) -> Floats:
    """What the last value in each row would have become at the last level; shape (rows,) for a table of (rows, levels) with NaN
    where a row did not get.
    """
    there = ~np.isnan(table)
    last = table.shape[1] - 1 - np.argmax(there[:, ::-1], axis=1)
    values = np.take_along_axis(table, last[:, None], axis=1)[:, 0]
    for level in range(table.shape[1] - 1):
        on = last <= level
        values[on] = _onward(table[:, level], table[:, level + 1], values[on])
    return values


def _onward(here: Floats, there: Floats, values: Floats) -> Floats:
    """Values at one level, brought to the next."""
    finite = np.isfinite(here)
    both = finite & np.isfinite(there)
    if not both.any():
        return values
    x, y = here[both], there[both]
    weight = PRIOR * float(here[finite].var())
    across, along = float(((x - x.mean()) ** 2).sum()), float(((x - x.mean()) * (y - y.mean())).sum())
    slope = 1.0 if across + weight == 0.0 else (along + weight) / (across + weight)
    return np.asarray(y.mean() + slope * (values - x.mean()))


class Levels:
    """How far the trials of a study went, in the order in which they ended: a trial that goes on where another one was paused takes
    its place.
    """

    def __init__(self, fidelity: Fidelity) -> None:
        self.fidelity = fidelity
        self._keys: list[int] = []
        self._values: list[Mapping[int, float]] = []

    def add(self, key: int, values: Mapping[int, float]) -> None:
        """The losses of a trial by level; trials of the same point have the same key."""
        self._keys.append(key)
        self._values.append(values)

    def current(self, count: int) -> tuple[Ints, Floats]:
        """Of the first so many trials those that no other one went on from: which, and what they would have come to in full."""
        levels = range(len(self.fidelity.levels))
        last: dict[int, int] = {}
        merged: dict[int, dict[int, float]] = {}
        for i in range(count):
            key = self._keys[i]
            merged[key] = {**merged.get(key, {}), **self._values[i]}
            last[key] = i
        order = sorted(last, key=lambda key: last[key])
        table = np.array([[merged[key].get(level, np.nan) for level in levels] for key in order])
        return np.array([last[key] for key in order], dtype=np.int64), carried(table)
