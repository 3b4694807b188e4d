import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import luthier
from luthier.clock import SystemClock
from luthier.errors import InvalidStudy, ObjectiveError
from luthier.executors import Executor, Job, Processes, Reported
from luthier.executors.processes import THREAD_VARIABLES
from luthier.objectives import Context, as_task
from luthier.space import Float, Space
from luthier.study import Completed, Failed, Lost, Stopped
from luthier.testing.executors import (
    ExecutorContract,
    endless,
    hanging,
    job,
    outcomes,
    until_end,
    until_ended,
    until_report,
    wait_until_gone,
)

SOURCES = str(Path(luthier.__file__).parent.parent)


class TestProcesses(ExecutorContract):
    def executor(self, **limits: float) -> Executor:
        return Processes(2, **limits)  # type: ignore[arg-type]


class TestRecycled(ExecutorContract):
    """Each worker serves only two jobs."""

    def executor(self, **limits: float) -> Executor:
        return Processes(2, recycle=2, **limits)  # type: ignore[arg-type]


def script(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(text))
    return path


def python(path: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, str(path), "--flag"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": SOURCES},
        cwd=path.parent,
    )


# --- settings ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"workers": -1}, "workers is -1"),
        ({"workers": 1.5}, "workers is 1.5"),
        ({"seconds": 0}, "seconds is 0"),
        ({"memory": -5}, "memory is -5"),
        ({"grace": -1}, "grace is -1"),
        ({"recycle": 0}, "recycle is 0"),
        ({"threads": 0}, "threads is 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, float], says: str) -> None:
    with pytest.raises(InvalidStudy, match=says):
        Processes(**settings)  # type: ignore[arg-type]


def test_no_workers_given_means_one_per_core() -> None:
    assert 1 <= Processes().slots <= (os.cpu_count() or 1)
    assert Processes(3).slots == 3


def test_libraries_get_their_share_of_the_cores_unless_the_user_has_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in THREAD_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")

    def task(trial: Context) -> dict[str, float]:
        return {name: float(os.environ[name]) for name in THREAD_VARIABLES} | {"loss": 0.0}

    with Processes(1, threads=3).open(task, "loss") as pool:
        outcome = outcomes(until_ended(pool, [job()]))[0]
    expected = {**dict.fromkeys(THREAD_VARIABLES, 3.0), "OMP_NUM_THREADS": 7.0, "loss": 0.0}
    assert outcome == Completed(expected)


# --- sending the objective ---------------------------------------------------------------------------------


LOCK = threading.Lock()


class Trainer:
    def __init__(self) -> None:
        self.parts = {"line": socket.socket()}

    def train(self, x: float) -> float:
        return x


def test_what_cannot_be_sent_is_named() -> None:
    lock = threading.Lock()
    trainer = Trainer()
    space = Space(x=Float(0, 1))

    def with_a_closure(x: float) -> float:
        with lock:
            return x

    def with_a_global(x: float) -> float:
        return max(y for y in [x] if LOCK.acquire())

    def with_a_helper(x: float) -> float:
        return with_a_closure(x)

    def with_a_default(x: float, guard: object = lock) -> float:
        return x

    with_a_global.__module__ = "__main__"  # such as a notebook's
    cases: list[tuple[Callable[..., Any], str]] = [
        (with_a_closure, "`lock`, a _thread.lock"),
        (with_a_helper, "`lock`, a _thread.lock"),
        (with_a_default, "`guard`, a _thread.lock"),
        (trainer.train, "`self.parts['line']`, a socket.socket"),
        (partial(lambda x, guard: x, guard=lock), "`guard`, a _thread.lock"),
    ]
    for function, name in cases:
        with (
            pytest.raises(ObjectiveError) as caught,
            Processes(1).open(as_task(function, space, ["loss"]), "loss"),
        ):
            pass
        assert name in str(caught.value)
        assert "cannot be sent to worker processes. Create it inside the function, or use workers=1." in str(
            caught.value
        )
    trainer.parts["line"].close()


def test_an_objective_that_cannot_be_loaded_fails_with_the_reason(tmp_path: Path) -> None:
    path = script(
        tmp_path,
        f"""
        import sys
        sys.path.insert(0, {SOURCES!r})
        from types import ModuleType
        from luthier.executors import Processes
        from luthier.testing.executors import job, outcomes, until_ended

        module = ModuleType("made_up")
        exec("def train(trial): return 1.0", module.__dict__)
        sys.modules["made_up"] = module
        with Processes(1).open(module.train, "loss") as pool:
            for number, outcome in outcomes(until_ended(pool, [job(0), job(1)])).items():
                print(outcome.error)
        """,
    )
    said, _ = python(path).communicate(timeout=60)
    sentence = (
        "the objective cannot be loaded in a worker process: ModuleNotFoundError: No module named 'made_up'"
    )
    assert said.splitlines() == [sentence] * 2


def test_workers_that_cannot_start_raise_with_what_they_said() -> None:
    class Deadly:
        def __reduce__(self) -> tuple[Any, ...]:
            return (os.system, ("echo the disk is on fire >&2; kill -SEGV $PPID",))

        def __call__(self, trial: Context) -> float:
            return 0.0

    with Processes(1).open(Deadly(), "loss") as pool:
        pool.submit(job())
        with pytest.raises(
            ObjectiveError, match=r"3 worker processes in succession died .*\nthe disk is on fire"
        ):
            until_end(pool)


def test_a_script_needs_no_guard_and_its_path_and_arguments_are_passed_on(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("def double(x): return 2 * x")
    path = script(
        tmp_path,
        f"""
        import os, sys
        sys.path.append({SOURCES!r})
        import helper
        from luthier.executors import Processes
        from luthier.testing.executors import job, outcomes, until_ended

        print("imported")
        FACTOR = 10

        class Model:
            def fit(self, x): return FACTOR * helper.double(x)

        def train(trial):
            assert sys.argv[1:] == ["--flag"], sys.argv
            assert os.getcwd() == {str(tmp_path)!r}
            return Model().fit(trial.params["x"])

        with Processes(2).open(train, "loss") as pool:
            print(outcomes(until_ended(pool, [job(0), job(1)])))
        """,
    )
    said, _ = python(path).communicate(timeout=60)
    assert said.count("imported") == 1
    assert said.count("'loss': 20.0") == 2


# --- supervision -------------------------------------------------------------------------------------------


def test_no_worker_outlives_a_killed_parent(tmp_path: Path) -> None:
    path = script(
        tmp_path,
        """
        import json, os, subprocess, sys, threading
        from luthier.executors import Processes
        from luthier.testing.executors import job

        def train(trial):
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
            stray = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"], start_new_session=True)
            (trial.workdir / "large.bin").write_text("x")
            trial.report(0, a=os.getpid(), b=child.pid, c=stray.pid)
            while True:
                pass

        with Processes(3).open(train, "loss") as pool:
            pool.submit(job(0))
            pool.submit(job(1))
            said = []
            while len(said) < 2:  # both may come at once
                said += pool.events(10)
            pids = [pid for event in said for pid in event.report.metrics.values()]
            print(json.dumps([pids, pool._setup.scratch]), flush=True)
            pool.events(1000)
        """,
    )
    parent = python(path)
    assert parent.stdout is not None
    pids, scratch = json.loads(parent.stdout.readline())
    assert len(pids) == 6
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    wait_until_gone(int(pid) for pid in pids)
    assert not Path(scratch).exists()


def test_reports_never_wait_for_the_loop(tmp_path: Path) -> None:
    """More than any socket holds is said while nobody listens; nothing is lost."""
    done = tmp_path / "done"

    def task(trial: Context) -> float:
        for step in range(20_000):
            trial.report(step, loss=float(step), accuracy=0.5)
        done.touch()
        return 0.0

    clock = SystemClock()
    with Processes(1).open(task, "loss") as pool:
        pool.submit(job())
        end = clock.now() + 60
        while not done.exists():
            assert clock.now() < end, "it waits"
            clock.sleep(0.02)
        events = until_end(pool)
    assert [e.report.step for e in events if isinstance(e, Reported)] == list(range(20_000))
    assert outcomes(events) == {0: Completed({"loss": 0.0})}


def test_a_job_stopped_before_its_worker_was_ready_never_begins() -> None:
    with Processes(1).open(lambda trial: 1 / 0, "loss") as pool:
        pool.submit(job())
        pool.stop(0, "not needed any more")
        assert outcomes(until_end(pool)) == {0: Stopped("not needed any more")}


def test_the_time_limit_does_not_count_the_start_of_a_worker() -> None:
    with Processes(1, seconds=0.5).open(as_task(Slowly(), Space(x=Float(0, 1)), ["loss"]), "loss") as pool:
        assert outcomes(until_ended(pool, [job()])) == {0: Completed({"loss": 1.0})}


def slowly() -> "Slowly":
    SystemClock().sleep(1.0)
    return Slowly()


class Slowly:
    """Takes longer to load than a trial may take."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (slowly, ())

    def __call__(self, x: float) -> float:
        return x


def test_an_objective_that_writes_to_our_connection_harms_itself_only() -> None:
    def task(trial: Context) -> float:
        if trial.params["x"]:
            for fd in range(3, 100):
                try:
                    socket.socket(fileno=os.dup(fd)).sendall(b"\0" * 7 + b"\4junk")
                except OSError:
                    continue
        return 0.0

    with Processes(1).open(task, "loss") as pool:
        ends = outcomes(until_ended(pool, [job(0, x=1.0), job(1, x=0.0)]))
    assert str(ends[0]) == "Lost(reason='worker sent something that cannot be read')"
    assert ends[1] == Completed({"loss": 0.0})


def test_memory_within_the_limit_is_no_reason(tmp_path: Path) -> None:
    with Processes(1, memory=5e9, seconds=60).open(endless, "loss") as pool:
        pool.submit(job())
        until_report(pool)
        for _ in range(5):
            assert all(isinstance(event, Reported) for event in pool.events(0.3))
        pool.stop(0, "enough")
        assert outcomes(until_end(pool)) == {0: Stopped("enough")}


def test_idle_workers_leave_in_order_and_may_tidy_up(tmp_path: Path) -> None:
    note = tmp_path / "note"

    def task(trial: Context) -> float:
        import atexit

        atexit.register(note.touch)
        return 0.0

    with Processes(1).open(task, "loss") as pool:
        until_ended(pool, [job()])
    assert note.exists()


def test_a_worker_killed_while_idle_is_replaced() -> None:
    def task(trial: Context) -> dict[str, float]:
        return {"loss": 0.0, "pid": os.getpid()}

    with Processes(1).open(task, "loss") as pool:
        first = outcomes(until_ended(pool, [job(0)]))[0]
        assert isinstance(first, Completed)
        killed = int(first.metrics["pid"])
        os.kill(killed, signal.SIGKILL)
        # Its threads die one by one, and the socket closes with the last: it is buried when its id is free.
        for _ in range(600):
            assert not pool.events(0.05)
            if not Path(f"/proc/{killed}").exists():
                break
        second = outcomes(until_ended(pool, [job(1)]))[1]
    assert isinstance(second, Completed)
    assert second.metrics["pid"] != killed


def test_recycled_workers_are_new_processes() -> None:
    def task(trial: Context) -> float:
        return float(os.getpid())

    with Processes(1, recycle=2).open(task, "loss") as pool:
        ends = outcomes(until_ended(pool, [job(n) for n in range(6)]))
    pids = [outcome.metrics["loss"] for outcome in ends.values() if isinstance(outcome, Completed)]
    assert pids[0] == pids[1] != pids[2] == pids[3] != pids[4] == pids[5]


def test_there_are_no_more_slots_than_workers() -> None:
    with Processes(1).open(hanging, "loss") as pool:
        pool.submit(job(0))
        with pytest.raises(RuntimeError, match="no free slot for job 1"):
            pool.submit(job(1))


# --- output ------------------------------------------------------------------------------------------------


def test_output_of_a_job_goes_to_its_folder_whoever_prints(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def task(trial: Context) -> float:
        import ctypes

        if trial.params["x"]:
            print("python")
            print("error", file=sys.stderr)
            ctypes.CDLL(None).printf(b"from C\n")
            subprocess.run(["echo", "child"], check=True)
        return 0.0

    def jobs(*xs: float) -> list[Job]:
        return [job(n, x=x, workdir=str(tmp_path / str(n))) for n, x in enumerate(xs)]

    with Processes(1).open(task, "loss") as pool:
        until_ended(pool, jobs(1.0, 0.0))
        until_ended(pool, [job(9, x=1.0)])
    assert sorted((tmp_path / "0" / "output.log").read_text().split("\n")) == [
        "",
        "child",
        "error",
        "from C",
        "python",
    ]
    assert not (tmp_path / "1").exists()
    assert "python" in capfd.readouterr().out  # a job without a folder prints where everybody does


def test_a_folder_that_cannot_be_made_loses_the_job(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with Processes(1).open(lambda trial: 0.0, "loss") as pool:
        ends = outcomes(until_ended(pool, [job(0, workdir=str(tmp_path / "file" / "0")), job(1)]))
    assert "cannot be used" in str(ends[0])
    assert ends[1] == Completed({"loss": 0.0})


def test_a_traceback_of_a_script_shows_its_lines(tmp_path: Path) -> None:
    def task(trial: Context) -> float:
        return helper(trial)

    def helper(trial: Context) -> float:
        raise ValueError(f"bad x: {trial.params['x']}") from KeyError("the cause")

    with Processes(1).open(as_task(task, Space(x=Float(0, 1)), ["loss"]), "loss") as pool:
        (outcome,) = outcomes(until_ended(pool, [job()])).values()
    assert isinstance(outcome, Failed)
    assert outcome.error == "ValueError: bad x: 1.0"
    assert outcome.traceback is not None
    assert "return helper(trial)" in outcome.traceback
    assert "KeyError: 'the cause'" in outcome.traceback
    assert "/luthier/" not in outcome.traceback


@pytest.mark.chaos
def test_workers_killed_at_random_moments_lose_only_their_jobs() -> None:
    def task(trial: Context) -> float:
        trial.report(0, loss=1.0)
        threading.Event().wait(0.005)
        return 1.0

    rng, done = np.random.default_rng(0), threading.Event()
    with Processes(4).open(task, "loss") as pool:

        def kill() -> None:
            while not done.wait(0.15):
                workers = list(pool._workers)  # type: ignore[attr-defined]
                with contextlib.suppress(ProcessLookupError):  # replaced this very moment
                    os.kill(workers[rng.integers(len(workers))].process.pid, signal.SIGKILL)

        killer = threading.Thread(target=kill, daemon=True)
        killer.start()
        try:
            ends = outcomes(until_ended(pool, [job(n) for n in range(1000)]))
        finally:
            done.set()
            killer.join()
    assert sorted(ends) == list(range(1000))
    lost = Lost("worker died: killed by signal 9 (SIGKILL)")
    assert all(outcome in (lost, Completed({"loss": 1.0})) for outcome in ends.values())
    assert lost in ends.values()
