"""How the trials went, as plain data to draw or to print: when each ran, and what values came out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from luthier.study import History, State

CLOSE_SECONDS = 0.001
"""Trials that overlap by less do not: one began when the other ended."""


@dataclass(frozen=True, slots=True)
class Span:
    """The last attempt of a trial, in seconds since 1970; `ended` is None while it runs, `lane` a place that no other had
    at that time.
    """

    number: int
    lane: int
    worker: str | None
    started: float
    ended: float | None
    state: State


@dataclass(frozen=True, slots=True)
class Distribution:
    """The empirical distribution function: `share` of the completed trials that have a value up to each of `values`."""

    values: NDArray[np.float64]
    share: NDArray[np.float64]


def timeline(history: History) -> list[Span]:
    """When each trial ran, in the order in which they started; those that wait for another attempt are left out. Trials
    that run at the same time are in different lanes.
    """
    started = sorted(
        (t.started, t.number) for t in history if t.started is not None and t.state is not State.WAITING
    )
    free: list[float] = []
    spans = []
    for start, number in started:
        trial = history[number]
        end = trial.ended if trial.state.ended else None
        idle = [i for i, until in enumerate(free) if until <= start + CLOSE_SECONDS]
        lane = max(idle, key=lambda i: free[i], default=len(free))  # what became free last goes on first
        free[lane : lane + 1] = [np.inf if end is None else end]
        spans.append(Span(number, lane, trial.worker, start, end, trial.state))
    return spans


def distribution(history: History) -> Distribution:
    """How the values of the first objective are distributed over the completed trials."""
    values = history.values[np.isfinite(history.values)]
    return Distribution(np.sort(values), np.arange(1, len(values) + 1) / max(len(values), 1))
