"""Processes: trials run in supervised worker processes on this machine.

Workers are our own children, started afresh (not forked), talking over one socket each. The caller's `__main__` is
never imported again, so scripts need no guard, and functions from notebooks work. Supervision happens in `events`:
whatever becomes of a worker, each job ends exactly once.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic  # noqa: TID251 - limits must not jump when the wall clock does
from typing import IO, Any
from uuid import uuid4

from luthier.errors import InvalidStudy, ObjectiveError
from luthier.executors.base import Ended, Event, Job, Pool, Reported
from luthier.executors.shared import Packed
from luthier.executors.wire import MARK, Leave, Ready, Setup, StopJob, Unpacker, pack
from luthier.files import size
from luthier.objectives import family
from luthier.objectives.context import Task
from luthier.study import Failed, Lost, Outcome, Stopped

MEMORY_POLL_SECONDS = 0.25
HEALTH_POLL_SECONDS = 1.0
LEAVING_SECONDS = 1.0
FAILED_STARTS = 3
KILLED_STARTS = 10  # by SIGKILL, which comes from outside and says little about the objective
READS_AT_ONCE = 64
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "LOKY_MAX_CPU_COUNT",
)
# The path comes first: Luthier itself may be found only by it.
BOOT = """import json, sys
*numbers, path = sys.argv[1:]
sys.path[:] = json.loads(path)
from luthier.executors.child import main
main(*map(int, numbers))"""


@dataclass(frozen=True, slots=True)
class Processes:
    """Run trials in worker processes; 0 workers means one per core.

    `seconds` and `memory` (bytes of resident memory of a worker and the processes it started) are limits of one
    trial, which fails beyond them. `threads` is how many threads numerical libraries may use in each worker: as many
    as leave every worker a core, unless given here or in the environment. A trial told to stop has `grace` seconds
    to notice before its worker is killed; a task with an attribute `grace` of its own (a `Command`) ends what it started
    by itself, within so many seconds, also at the limit of time. `recycle` replaces a worker after that many trials.
    """

    workers: int = 0
    seconds: float | None = None
    memory: float | None = None
    threads: int | None = None
    grace: float = 5.0
    recycle: int | None = None

    def __post_init__(self) -> None:
        _check_count("workers", self.workers, least=0)
        for name in ("threads", "recycle"):
            if getattr(self, name) is not None:
                _check_count(name, getattr(self, name), least=1)
        for name in ("seconds", "memory"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InvalidStudy(f"{name} is {value!r}. Use a number above 0, or leave it out.")
        if not self.grace >= 0:
            raise InvalidStudy(f"grace is {self.grace!r}. Use a number of seconds, 0 or more.")

    @property
    def slots(self) -> int:
        """How many jobs its pool will run at once."""
        return self.workers or cores()

    @contextmanager
    def open(self, task: Task, objective: str) -> Iterator[Pool]:
        """Start the workers. Raises ObjectiveError where `task` cannot be sent to them; on leaving, all are gone."""
        from luthier.executors.sending import packed

        with (
            tempfile.TemporaryFile() as sent,  # has no name: nothing of the objective stays behind
            tempfile.TemporaryDirectory(prefix="luthier-", ignore_cleanup_errors=True) as scratch,
        ):
            _write(packed(task), sent)
            own_grace = getattr(task, "grace", None)
            pool = _ProcessPool(self, sent, Setup(list(sys.argv), objective, scratch), own_grace)
            try:
                pool.start()
                yield pool
            finally:
                pool.close()


def _write(task: Packed, file: IO[bytes]) -> None:
    try:
        task.write(file)
    except OSError as error:
        raise ObjectiveError(
            f"the objective and its data, {size(task.size)}, cannot be written to {tempfile.gettempdir()} for the workers: "
            f"{error.strerror}. Name a folder with more space in TMPDIR, or use workers=1."
        ) from error


def cores() -> int:
    """How many cores this process may use, by affinity and, in a container, by its quota."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota != "max":
            count = min(count, -(-int(quota) // int(period)))
    return max(1, count)


def _check_count(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InvalidStudy(f"{name} is {value!r}. Use a whole number of at least {least}.")


class _Worker:
    """One child and what it is doing."""

    def __init__(
        self, process: subprocess.Popen[bytes], line: socket.socket, errors: IO[bytes], mark: str
    ) -> None:
        self.process = process
        self.mark = mark  # of all that is started in it
        self.line = line
        self.errors = errors  # what it says while starting
        self.unpacker = Unpacker()
        self.ready = False
        self.job: Job | None = None
        self.since = 0.0  # when the job began
        self.stop: Outcome | None = None  # of the job, which was told to end
        self.kill_at: float | None = None
        self.served = 0
        self.failed_starts = 0  # of those that it takes the place of, in succession

    def tell(self, message: object) -> None:
        with contextlib.suppress(OSError):  # a worker that is gone is noticed when reading
            self.line.sendall(pack(message))

    def begin(self, job: Job, now: float) -> None:
        self.job, self.since, self.stop, self.kill_at = job, now, None, None
        self.tell(job)

    def has_died(self) -> bool:
        """Whether the process has ended; it is not waited for yet, so that its id stays its own."""
        if not hasattr(os, "waitid"):  # macOS before Python 3.13: the closed connection has to tell
            return False
        try:
            return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:  # somebody else in this process has waited for it
            return True

    def end(self) -> int:
        """Kill it with all that it started, and answer with its exit status."""
        if self.process.returncode is None:
            family.kill(self.process.pid, self.mark)
            self.line.close()
            # It may be stuck inside the system, where no signal reaches it.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(LEAVING_SECONDS)
        status = self.process.returncode
        return -signal.SIGKILL if status is None else status


class _ProcessPool:
    def __init__(
        self, settings: Processes, sent: IO[bytes], setup: Setup, own_grace: float | None = None
    ) -> None:
        self._settings = settings
        self._polite = own_grace is not None  # the task ends what it started, also at the limit of time
        self._grace = max(settings.grace, 0.0 if own_grace is None else own_grace + LEAVING_SECONDS)
        self._sent = sent
        self._setup = setup
        self._slots = settings.slots
        self._threads = settings.threads or max(1, cores() // self._slots)
        self._path = json.dumps([entry for entry in sys.path if isinstance(entry, str)])
        self._folder = _here()
        self._workers: list[_Worker] = []
        self._memory_poll = 0.0
        self._health_poll = 0.0
        self._events: list[Event] = []
        self._selector = selectors.DefaultSelector()

    @property
    def slots(self) -> int:
        return self._slots

    # --- the pool's face -------------------------------------------------------------------------

    def start(self) -> None:
        for _ in range(self._slots):
            self._spawn(None)

    def submit(self, job: Job) -> None:
        idle = [worker for worker in self._workers if worker.job is None]
        if not idle:
            raise RuntimeError(f"there is no free slot for job {job.number}: all {self._slots} are busy.")
        max(idle, key=lambda worker: worker.ready).begin(job, monotonic())

    def stop(self, number: int, reason: str) -> None:
        for worker in self._workers:
            job = worker.job
            if job is not None and job.number == number and worker.stop is None:
                self._tell_to_end(worker, job, reason, Stopped(reason))

    def _tell_to_end(self, worker: _Worker, job: Job, reason: str, outcome: Outcome) -> None:
        worker.stop = outcome
        worker.kill_at = monotonic() + self._grace
        worker.tell(StopJob(job.number, job.attempt, reason))

    def events(self, timeout: float) -> Sequence[Event]:
        end = monotonic() + max(0.0, timeout)
        while True:
            now = monotonic()
            for key, _ in self._selector.select(max(0.0, min(end, self._next_look()) - now)):
                self._read(key.data)
            now = monotonic()
            self._supervise(now)
            if self._events or now >= end:
                happened, self._events = self._events, []
                return happened

    def close(self) -> None:
        """Idle workers may leave in order, so that their libraries tidy up; the others are killed, after tasks that end by
        themselves what they started were given the time to.
        """
        self._end_politely()
        idle = [worker for worker in self._workers if worker.job is None and worker.ready]
        try:
            for worker in idle:
                worker.tell(Leave())
            for worker in self._workers:
                if worker not in idle:
                    worker.end()
            patience = monotonic() + LEAVING_SECONDS
            for worker in idle:
                worker.line.settimeout(max(0.001, patience - monotonic()))
                with contextlib.suppress(OSError):
                    while worker.line.recv(65536):
                        pass
        finally:
            for worker in self._workers:
                worker.end()
                worker.errors.close()
            self._workers.clear()
            self._selector.close()

    def _end_politely(self) -> None:
        busy = [worker for worker in self._workers if worker.job is not None and worker.ready]
        if not self._polite or not busy:
            return
        for worker in busy:
            if worker.job is not None and worker.stop is None:
                self._tell_to_end(worker, worker.job, "interrupted", Stopped("interrupted"))
        with contextlib.suppress(ObjectiveError):  # a worker that cannot be replaced is not needed any more
            while any(
                worker.job is not None for worker in busy
            ):  # to the end of its grace time at the latest
                self.events(0.1)

    # --- workers come and go ---------------------------------------------------------------------

    def _spawn(self, job: Job | None, failed_starts: int = 0) -> None:
        ours, theirs = socket.socketpair()
        errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the worker
        stderr = _stderr()
        numbers = (theirs.fileno(), self._sent.fileno(), stderr, os.getpid())
        mark = uuid4().hex
        try:
            process = subprocess.Popen(
                [
                    sys.executable,
                    *(f"-W{w}" for w in sys.warnoptions),
                    "-c",
                    BOOT,
                    *map(str, numbers),
                    self._path,
                ],
                pass_fds=numbers[:3],
                stdin=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,  # Ctrl-C in the terminal is the engine's to deal with
                cwd=self._folder,
                env=self._environment() | {MARK: mark},
            )
        except OSError as error:
            ours.close()
            errors.close()
            raise ObjectiveError(
                f"a worker process cannot be started: {error}. Use fewer workers."
            ) from error
        finally:
            theirs.close()
            os.close(stderr)
        worker = _Worker(process, ours, errors, f"{MARK}={mark}")
        worker.failed_starts = failed_starts
        self._workers.append(worker)
        self._selector.register(ours, selectors.EVENT_READ, worker)
        worker.tell(self._setup)
        if job is not None:
            worker.begin(job, monotonic())

    def _environment(self) -> dict[str, str]:
        return {**dict.fromkeys(THREAD_VARIABLES, str(self._threads)), **os.environ}

    def _retire(self, worker: _Worker) -> int:
        self._selector.unregister(worker.line)
        self._workers.remove(worker)
        return worker.end()

    def _replace(self, worker: _Worker, outcome: Outcome | None) -> None:
        """End the worker, and its job with `outcome`, and start another."""
        self._retire(worker)
        if outcome is not None:
            self._end_job(worker, outcome)
        worker.errors.close()
        self._spawn(worker.job)

    def _bury(self, worker: _Worker) -> None:
        """The worker has died: find out how, and go on without it."""
        status = self._retire(worker)
        how = _how(status)
        if worker.stop is not None:
            self._end_job(worker, worker.stop)
        elif worker.ready:
            self._end_job(worker, Lost(f"worker died: {how}"))
        failed_starts = 0 if worker.ready else worker.failed_starts + 1
        with worker.errors:
            if failed_starts >= (KILLED_STARTS if status == -signal.SIGKILL else FAILED_STARTS):
                raise ObjectiveError(_no_start(worker, how, failed_starts))
        self._spawn(worker.job, failed_starts)  # a job that never began goes to the next worker

    def _end_job(self, worker: _Worker, outcome: Outcome) -> None:
        if worker.job is not None:
            self._events.append(Ended(worker.job.number, worker.job.attempt, outcome))
            worker.job = None

    # --- what workers say ------------------------------------------------------------------------

    def _read(self, worker: _Worker) -> None:
        for _ in range(READS_AT_ONCE):
            try:
                piece = worker.line.recv(65536, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                piece = b""
            if not piece:
                self._bury(worker)
                return
            try:
                messages = worker.unpacker.feed(piece)
            except Exception:  # the objective has written to our socket
                self._replace(worker, Lost("worker sent something that cannot be read"))
                return
            for message in messages:
                self._take(worker, message)
            if worker.job is None and worker not in self._workers:
                return

    def _take(self, worker: _Worker, message: Any) -> None:
        match message:
            case Ready():
                worker.ready = True
                worker.since = monotonic()
            case Reported() if _concerns(message, worker.job):
                self._events.append(message)
            case Ended() if _concerns(message, worker.job):
                if isinstance(worker.stop, Failed):  # it ended because of a limit, whatever it makes of that
                    message = replace(message, outcome=worker.stop)
                self._events.append(message)
                worker.job = None
                worker.served += 1
                if worker.served == self._settings.recycle:
                    self._replace(worker, None)

    # --- supervision -----------------------------------------------------------------------------

    def _next_look(self) -> float:
        """When something may have to be done even though no worker says anything."""
        moments = [self._health_poll]
        for worker in self._workers:
            if worker.job is not None:
                if worker.kill_at is not None:
                    moments.append(worker.kill_at)
                elif worker.ready and self._settings.seconds is not None:
                    moments.append(worker.since + self._settings.seconds)
                if worker.ready and self._settings.memory is not None:
                    moments.append(self._memory_poll)
        return min(moments)

    def _supervise(self, now: float) -> None:
        seconds, memory = self._settings.seconds, self._settings.memory
        for worker in list(self._workers):
            if worker.job is None:
                continue
            if worker.kill_at is not None and now >= worker.kill_at:
                self._replace(worker, worker.stop)
            elif (
                seconds is not None and worker.ready and worker.stop is None and now >= worker.since + seconds
            ):
                self._end_late(worker, worker.job, Failed(f"ran longer than its limit of {seconds:g} s"))
        if memory is not None and now >= self._memory_poll:
            self._memory_poll = now + MEMORY_POLL_SECONDS
            self._check_memory(memory)
        if now >= self._health_poll:
            # The closed connection tells first, unless the objective has left a copy of it in another process.
            self._health_poll = now + HEALTH_POLL_SECONDS
            for worker in list(self._workers):
                if worker.has_died():
                    self._read(worker)
                    if worker in self._workers:
                        self._bury(worker)

    def _end_late(self, worker: _Worker, job: Job, failed: Failed) -> None:
        if self._polite:
            self._tell_to_end(worker, job, failed.error, failed)
        else:
            self._replace(worker, failed)

    def _check_memory(self, limit: float) -> None:
        busy = {
            worker.process.pid: worker for worker in self._workers if worker.job is not None and worker.ready
        }
        if not busy:
            return
        for pid, used in family.resident_bytes(busy).items():
            if used > limit:
                text = f"used {size(used)} of memory, more than its limit of {size(limit)}"
                self._replace(busy[pid], Failed(text))


def _no_start(worker: _Worker, how: str, starts: int) -> str:
    worker.errors.seek(0)
    said = worker.errors.read().decode(errors="replace").strip()[-4000:]
    return (
        f"{starts} worker processes in succession died while loading the objective, the last one {how}. "
        + (f"It said:\n{said}" if said else "It said nothing.")
    )


def _concerns(message: Reported | Ended, job: Job | None) -> bool:
    return job is not None and (message.number, message.attempt) == (job.number, job.attempt)


def _how(status: int) -> str:
    if status >= 0:
        return f"exit code {status}"
    with contextlib.suppress(ValueError):
        return f"killed by signal {-status} ({signal.Signals(-status).name})"
    return f"killed by signal {-status}"


def _here() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109
    except FileNotFoundError:
        return None  # the folder has been removed; its children start in the same nowhere


def _stderr() -> int:
    try:
        return os.dup(2)
    except OSError:
        return os.open(os.devnull, os.O_WRONLY)
