"""A worker process of `Processes`: loads the objective once, then runs jobs until its parent lets go of it.

The main thread runs the objective. A second one reads what the parent says: jobs, stops, and the end of the
connection, upon which the whole process group ends itself - a worker never outlives its parent. What the socket
does not take at once is sent by a third, so that a report never waits.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import queue
import select
import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from luthier.executors import shared, worker
from luthier.executors.base import Ended, Job, Reported
from luthier.executors.wire import MARK, Leave, Ready, Setup, StopJob, Unpacker, pack
from luthier.objectives import family
from luthier.objectives.context import Task
from luthier.study import Failed, Lost, Outcome, Report, Stopped

PARENT_CHECK_SECONDS = 1.0


class _Line:
    """The connection to the parent. Sending never waits."""

    def __init__(self, connection: socket.socket, parent: int) -> None:
        connection.setblocking(False)
        self.connection = connection
        self.setup: queue.SimpleQueue[Setup] = queue.SimpleQueue()
        self.jobs: queue.SimpleQueue[Job | Leave] = queue.SimpleQueue()
        self.stops: dict[tuple[int, int], str] = {}
        self._parent = parent
        self._scratch: str | None = None
        self._backlog = bytearray()
        self._more = threading.Condition()
        # A process that the objective forks must neither speak here nor keep the connection open.
        os.register_at_fork(after_in_child=connection.close)
        for target in (self._read, self._flush):
            threading.Thread(target=target, name="luthier-line", daemon=True).start()

    def send(self, message: object) -> None:
        with self._more:
            self._backlog += pack(message)
            self._send_some()
            if self._backlog:
                self._more.notify()

    def _send_some(self) -> None:
        with contextlib.suppress(BlockingIOError, InterruptedError):
            del self._backlog[: self.connection.send(self._backlog)]

    def _flush(self) -> None:
        while True:
            with self._more:
                self._more.wait_for(lambda: self._backlog)
            select.select([], [self.connection], [])
            with self._more, contextlib.suppress(OSError):  # a parent that is gone is _read's to notice
                self._send_some()

    def _read(self) -> None:
        unpacker = Unpacker()
        try:
            while True:
                ready, _, _ = select.select([self.connection], [], [], PARENT_CHECK_SECONDS)
                if ready:
                    try:
                        piece = self.connection.recv(65536)
                    except BlockingIOError:
                        continue
                    if not piece:
                        break
                    for message in unpacker.feed(piece):
                        self._take(message)
                elif os.getppid() != self._parent:
                    break
        finally:
            self._die()

    def _take(self, message: Any) -> None:
        match message:
            case Setup():
                self._scratch = message.scratch
                self.setup.put(message)
            case StopJob():
                self.stops[message.number, message.attempt] = message.reason
            case Job() | Leave():
                self.jobs.put(message)

    def _die(self) -> NoReturn:
        """The parent is gone, so nobody will tidy up after us."""
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
        family.kill(os.getpid(), mark())
        os._exit(1)


def mark() -> str | None:
    """The variable by which all that this worker started is known; the parent gave it to us."""
    return f"{MARK}={os.environ[MARK]}" if MARK in os.environ else None


def main(connection: int, objective: int, errors: int, parent: int) -> None:
    """Work for the process `parent`, over the socket `connection`.

    `objective` is a file with the task. What is printed while starting stays in our standard error, which
    the parent shows if we fail; after that, standard error is `errors`.
    """
    for fd in (connection, objective, errors):
        os.set_inheritable(fd, False)
    line = _Line(socket.socket(fileno=connection), parent)
    setup = line.setup.get()
    sys.argv[:] = setup.argv
    gc.disable()  # what is imported and loaded stays, and looking through it for cycles is a tenth of the start
    task = _load(objective)
    gc.freeze()
    gc.enable()
    _restore_stderr(errors)
    line.send(Ready())
    me, home = os.getpid(), Path.cwd()
    while isinstance(job := line.jobs.get(), Job):
        outcome = _run(task, job, line, setup)
        if os.getpid() != me:
            os._exit(0)  # a fork inside the objective came back here: only the worker itself may answer
        with contextlib.suppress(OSError):
            os.chdir(home)  # the next job starts where this one did
        line.stops.pop((job.number, job.attempt), None)
        line.send(Ended(job.number, job.attempt, outcome))
    gc.freeze()  # else Python, on leaving, looks for cycles in all that was imported, which takes longer than many a fit


def _load(fd: int) -> Task | Failed:
    try:
        return shared.read(fd)  # type: ignore[no-any-return]
    except (Exception, SystemExit) as error:
        failed = worker.outcome_of(error)
        reason = failed.error if isinstance(failed, Failed) else str(error)
        return Failed(
            f"the objective cannot be loaded in a worker process: {reason}",
            failed.traceback if isinstance(failed, Failed) else None,
        )


def _run(task: Task | Failed, job: Job, line: _Line, setup: Setup) -> Outcome:
    key = (job.number, job.attempt)
    if key in line.stops:
        return Stopped(line.stops[key])
    if isinstance(task, Failed):
        return task

    def send(report: Report) -> str | None:
        line.send(Reported(job.number, job.attempt, report))
        return line.stops.get(key)

    try:
        with _output_to(job.workdir):
            return worker.run(task, job, setup.objective, send, setup.scratch, lambda: line.stops.get(key))
    except OSError as error:
        return Lost(f"the work folder {job.workdir} cannot be used: {error}")


# --- standard output and error -------------------------------------------------------------------


def _restore_stderr(errors: int) -> None:
    """From the parent's private file, where the start went, to the standard error it was started with."""
    sys.stderr.flush()
    said = os.pread(2, os.fstat(2).st_size, 0)
    os.dup2(errors, 2)
    os.close(errors)
    with contextlib.suppress(OSError):
        os.write(2, said)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True)  # a killed worker flushes nothing


@contextlib.contextmanager
def _output_to(folder: str | None) -> Iterator[None]:
    """Whatever is printed, by Python, by C or by child processes, goes to `output.log` in `folder`, if any."""
    if folder is None:
        yield
        return
    before = Path(folder).exists()
    Path(folder).mkdir(parents=True, exist_ok=True)
    path = Path(folder) / "output.log"
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
    usual = os.dup(1), os.dup(2)
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        yield
    finally:
        _flush_all()
        for fd, target in zip(usual, (1, 2), strict=True):
            os.dup2(fd, target)
            os.close(fd)
        silent = os.fstat(log).st_size == 0
        os.close(log)
        if silent:
            with contextlib.suppress(OSError):
                path.unlink()
                if not before:
                    Path(folder).rmdir()  # unless the objective keeps something there


_LIBC = ctypes.CDLL(None)


def _flush_all() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    _LIBC.fflush(None)
