"""How the trials went, as plain data to draw or to print: when each ran, and what values came out."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
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
    ends = [trial.ended if (trial := history[number]).state.ended else None for _, number in started]
    places = lanes([start for start, _ in started], [math.inf if end is None else end for end in ends])
    return [
        Span(number, lane, history[number].worker, start, end, history[number].state)
        for (start, number), end, lane in zip(started, ends, places, strict=True)
    ]


def lanes(starts: Sequence[float], ends: Sequence[float]) -> list[int]:
    """A lane for each of these times, which come in the order of their starts, so that no two overlap in one. As few as can be; of those
    that are free the one that became so last.
    """
    busy: list[tuple[float, int]] = []
    free: list[int] = []  # the latest last
    found = []
    for start, end in zip(starts, ends, strict=True):
        while busy and busy[0][0] <= start + CLOSE_SECONDS:
            free.append(-heapq.heappop(busy)[1])
        lane = free.pop() if free else len(busy)
        heapq.heappush(busy, (end, -lane))
        found.append(lane)
    return found


def without_breaks(spans: Sequence[tuple[float, float]]) -> tuple[list[tuple[float, float]], float]:
    """The spans, in the order of their starts, moved so that they begin at 0 and long idle times are gone; and how many
    seconds these were.
    """
    long = max(1.0, 0.25 * sum(end - start for start, end in spans))
    begin = until = spans[0][0]
    idle = 0.0
    moved = []
    for start, end in spans:
        if start - until > long:
            idle += start - until
        until = max(until, end)
        moved.append((start - begin - idle, end - begin - idle))
    return moved, idle


def distribution(history: History) -> Distribution:
    """How the values of the first objective are distributed over the completed trials."""
    values = history.values[np.isfinite(history.values)]
    return Distribution(np.sort(values), np.arange(1, len(values) + 1) / max(len(values), 1))
