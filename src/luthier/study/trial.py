r"""Trial: one configuration, its attempts and how it ended - and the moves that are legal.

    propose          claim                 record
----------> WAITING ------> RUNNING ----------------> COMPLETED | STOPPED | FAILED
               ^   \           |
               |    \ withdraw | lost, and attempts are left: the next attempt
               |     +-> STOPPED|
               +----------------+
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from luthier.space import Params, Scalar

Metrics = Mapping[str, float]
NOTHING: Mapping[str, Any] = {}


class State(StrEnum):
    """Where a trial stands. These words are in databases, and stay for ever."""

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETED = "completed"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether the trial will not change any more."""
        return self in (State.COMPLETED, State.STOPPED, State.FAILED)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A point to try. `tag` is the optimiser's own small note, kept with the trial and told back."""

    params: Params
    fidelity: float | None = None
    parent: int | None = None
    tag: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """Metrics at a step of a running trial."""

    step: int
    metrics: Metrics


@dataclass(frozen=True, slots=True)
class Completed:
    """The trial ran to its end."""

    metrics: Metrics


@dataclass(frozen=True, slots=True)
class Stopped:
    """The trial was told to end early; its reports tell how far it got."""

    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The objective failed, and would fail again: an exception, a limit, a result that is no result."""

    error: str
    traceback: str | None = None


@dataclass(frozen=True, slots=True)
class Lost:
    """The attempt came to nothing through no fault of the trial; it may be tried again."""

    reason: str


Outcome = Completed | Stopped | Failed | Lost


@dataclass(frozen=True, slots=True)
class Record:
    """What an attempt has to say. It counts only while that attempt holds the trial."""

    number: int
    attempt: int
    said: Report | Outcome


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial as of some moment.

    `attempt` counts from 1 once it was claimed (0 before). `seen` is the cursor of the history
    that the proposal was based on, `seq` the cursor from which on the trial is as it is now. `stop` is a request to end it, not yet obeyed. Times are seconds since
    1970 in UTC; `started` is that of the latest attempt.
    """

    number: int
    params: Params
    state: State = State.WAITING
    attempt: int = 0
    fidelity: float | None = None
    parent: int | None = None
    tag: Mapping[str, Scalar] = field(default_factory=dict)
    seen: int = 0
    reports: tuple[Report, ...] = ()
    metrics: Metrics = field(default_factory=dict)
    reason: str | None = None
    traceback: str | None = None
    stop: str | None = None
    worker: str | None = None
    created: float | None = None
    started: float | None = None
    ended: float | None = None
    seq: int = field(default=0, compare=False)

    @property
    def seconds(self) -> float | None:
        """How long the last attempt took; None while it has not ended."""
        if self.started is None or self.ended is None:
            return None
        return self.ended - self.started

    def cost(self, currency: str, now: float) -> float:
        """What the trial cost so far: the latest value that it said of a metric, or the seconds of its latest attempt, up to `now` if it
        runs. What has no number cost nothing.
        """
        if currency == "seconds":
            until = now if self.state is State.RUNNING else self.ended
            return 0.0 if self.started is None or until is None else max(0.0, until - self.started)
        said = self.metrics.get(currency)
        if said is None:
            reported = self.reported(currency)
            said = reported[max(reported)] if reported else 0.0
        return said if math.isfinite(said) else 0.0

    def reported(self, metric: str) -> dict[int, float]:
        """What the trial reported of a metric, by step."""
        return {report.step: report.metrics[metric] for report in self.reports if metric in report.metrics}

    def after(self, outcome: Outcome, attempts: int) -> Trial:
        """The trial once `outcome` is recorded, where at most `attempts` attempts are made.

        Raises ValueError for a move that is not in the picture above: nothing changes a trial that ended, and one that
        waits can only be stopped.
        """
        if self.state.ended or (self.state is State.WAITING and not isinstance(outcome, Stopped)):
            word = type(outcome).__name__.lower()
            raise ValueError(f"trial {self.number} is {self.state}, and cannot become {word}.")
        match outcome:
            case Completed(metrics):
                return replace(self, state=State.COMPLETED, metrics=metrics, reason=None, traceback=None)
            case Stopped(reason):
                return replace(self, state=State.STOPPED, reason=reason)
            case Failed(error, traceback):
                return replace(self, state=State.FAILED, reason=error, traceback=traceback)
            case Lost(reason) if self.attempt < attempts:
                return replace(self, state=State.WAITING, reason=reason)
            case Lost(reason):
                return replace(
                    self, state=State.FAILED, reason=f"{reason} (attempt {self.attempt} of {attempts})"
                )
