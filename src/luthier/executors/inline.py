"""Inline: trials run in this process, one at a time, in a thread that takes turns with the caller's.

The objective has a thread of its own so that Ctrl-C and stopping policies reach the loop in the middle of a
trial. The two take turns: the objective goes on after a report only once the loop has dealt with it and asks for
the next event, so a stop judged on that report arrives before another step is computed.
"""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from luthier.executors import worker
from luthier.executors.base import Ended, Event, Job, Pool, Reported
from luthier.objectives.context import Task
from luthier.study import Report, Stopped

LEAVING_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Inline:
    """Run trials in this process, one at a time: cheapest, and made for debuggers.

    It cannot end an objective by force, so there are no limits of time or memory. One that does not report
    within a second of the end of the study goes on in a daemon thread, unheard, until it returns or the process
    ends. Objectives that insist on the main thread (signal handlers, some windows) need `Processes(1)`.
    """

    @property
    def slots(self) -> int:
        """How many jobs its pool will run at once."""
        return 1

    @contextmanager
    def open(self, task: Task, objective: str) -> Iterator[Pool]:
        """A pool of one thread, which is left alone with its job if that does not end soon after leaving."""
        pool = _InlinePool(task, objective)
        try:
            yield pool
        finally:
            pool.close()


class _InlinePool:
    def __init__(self, task: Task, objective: str) -> None:
        self._task = task
        self._objective = objective
        self._job: Job | None = None
        self._begun = False
        self._paused = False  # the objective waits in a report
        self._reason: str | None = None
        self._closed = False
        self._todo: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._said: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._turn: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._one_report = threading.Lock()  # an objective may report from several threads
        # The context carries what the caller has set, such as numpy.errstate.
        start = contextvars.copy_context().run
        self._thread = threading.Thread(target=start, args=(self._work,), name="luthier-inline", daemon=True)
        self._thread.start()

    @property
    def slots(self) -> int:
        return 1

    def submit(self, job: Job) -> None:
        """Take a job, which begins when the loop next waits for events."""
        if self._job is not None:
            raise RuntimeError(
                f"there is no free slot for job {job.number}: job {self._job.number} has not ended."
            )
        self._job, self._begun, self._reason = job, False, None

    def stop(self, number: int, reason: str) -> None:
        if self._job is not None and self._job.number == number and self._reason is None:
            self._reason = reason

    def events(self, timeout: float) -> Sequence[Event]:
        job = self._job
        if job is not None and not self._begun:
            self._begun = True
            if self._reason is not None:
                return [self._ended(Ended(job.number, job.attempt, Stopped(self._reason)))]
            self._todo.put(job)
        elif self._paused:
            self._paused = False
            self._turn.put(None)
        try:
            event = self._said.get(timeout=max(0.0, timeout))
        except queue.Empty:
            return []
        if isinstance(event, Ended):
            return [self._ended(event)]
        self._paused = True
        return [event]

    def close(self) -> None:
        self._closed = True
        self._reason = self._reason or "the study was interrupted"
        self._turn.put(None)  # for an objective that waits in a report, or is about to
        self._todo.put(None)
        self._thread.join(LEAVING_SECONDS)

    def _ended(self, event: Ended) -> Ended:
        self._job = None
        return event

    # --- in the objective's thread ---------------------------------------------------------------

    def _work(self) -> None:
        while (job := self._todo.get()) is not None:
            outcome = worker.run(self._task, job, self._objective, self._send, None, lambda: self._reason)
            self._said.put(Ended(job.number, job.attempt, outcome))

    def _send(self, report: Report) -> str | None:
        with self._one_report:
            job = self._job
            if not self._closed and job is not None:
                self._said.put(Reported(job.number, job.attempt, report))
                self._turn.get()
        return self._reason
