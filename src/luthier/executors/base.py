"""Executor and Pool: where trials run. Job in, events out; no store, no optimiser, no study.

`luthier.testing.ExecutorContract` holds every executor to this: each submitted job ends in exactly one `Ended`,
also when its worker dies, hangs, prints, forks or returns nonsense; a stop arrives; no process is left behind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from luthier.files import Place
from luthier.objectives.context import Task
from luthier.space import Scalar
from luthier.study import Metrics, Outcome, Report


@dataclass(frozen=True, slots=True)
class Job:
    """All a worker is told about a trial."""

    number: int
    attempt: int
    params: Mapping[str, Scalar]
    seed: int
    fidelity: float | None = None
    workdir: str | None = None
    earlier: Mapping[int, Metrics] = field(default_factory=dict)
    files: Place | None = None


@dataclass(frozen=True, slots=True)
class Reported:
    """A running trial said how it is going."""

    number: int
    attempt: int
    report: Report


@dataclass(frozen=True, slots=True)
class Ended:
    """A job is over."""

    number: int
    attempt: int
    outcome: Outcome


Event = Reported | Ended


class Pool(Protocol):
    """A live executor."""

    @property
    def slots(self) -> int:
        """How many jobs run at once."""
        ...

    def submit(self, job: Job) -> None:
        """Start a job. There must be a free slot."""
        ...

    def stop(self, number: int, reason: str) -> None:
        """Tell a job to end: by Stop at its next report, and by force if it has not ended after the grace time."""
        ...

    def events(self, timeout: float) -> Sequence[Event]:
        """What happened since the last call, in order; waits up to `timeout` seconds for something to happen."""
        ...


class Executor(Protocol):
    """Settings: a frozen dataclass such as `Processes(4)`."""

    @property
    def slots(self) -> int:
        """How many jobs its pool will run at once."""
        ...

    def open(self, task: Task, objective: str) -> AbstractContextManager[Pool]:
        """Start workers for `task`, whose bare-number results are the metric `objective`; on leaving, running jobs are
        ended by force and every process is gone.
        """
        ...
