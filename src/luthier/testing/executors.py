"""What every executor has to keep to, as tests to inherit from.

    class TestMine(luthier.testing.executors.ExecutorContract):
        def executor(self, **limits):        # seconds, memory, grace; at least two slots where it can
            return Mine(**limits)

Set `forceful = False` for an executor that cannot end a job against its will and so knows no limits.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest

from luthier.clock import SystemClock
from luthier.errors import Stop
from luthier.executors import Ended, Event, Executor, Job, Pool, Reported
from luthier.files import AttemptFiles, Place
from luthier.objectives import Context, Task
from luthier.study import Completed, Failed, Lost, Outcome, Report, Stopped

LONGEST_SECONDS = 60.0
"""A test fails rather than wait longer than this; it says nothing about how fast an executor is."""


def job(number: int = 0, x: float = 1.0, **more: Any) -> Job:
    """A job with one parameter."""
    return Job(number, more.pop("attempt", 1), {"x": x}, more.pop("seed", number), **more)


def until_ended(pool: Pool, jobs: Sequence[Job]) -> list[Event]:
    """Submit the jobs as slots become free, and collect all events until each has ended."""
    clock = SystemClock()
    waiting, running, events = list(jobs), 0, list[Event]()
    end = clock.now() + LONGEST_SECONDS
    while waiting or running:
        while waiting and running < pool.slots:
            pool.submit(waiting.pop(0))
            running += 1
        happened = pool.events(1.0)
        events += happened
        running -= sum(isinstance(event, Ended) for event in happened)
        assert clock.now() < end, f"{running} jobs have not ended after {LONGEST_SECONDS:g} s"
    return events


def until_end(pool: Pool) -> list[Event]:
    """All events until a job ends."""
    clock = SystemClock()
    events: list[Event] = []
    end = clock.now() + LONGEST_SECONDS
    while not any(isinstance(event, Ended) for event in events):
        events += pool.events(1.0)
        assert clock.now() < end, f"no job has ended within {LONGEST_SECONDS:g} s"
    return events


def until_report(pool: Pool) -> Report:
    """The next report, when nothing else is expected."""
    clock = SystemClock()
    end = clock.now() + LONGEST_SECONDS
    while clock.now() < end:
        for event in pool.events(1.0):
            assert isinstance(event, Reported), event
            return event.report
    raise AssertionError(f"no report within {LONGEST_SECONDS:g} s")


def outcomes(events: Iterable[Event]) -> dict[int, Outcome]:
    """How each job ended; each may end only once."""
    found: dict[int, Outcome] = {}
    for event in events:
        if isinstance(event, Ended):
            assert event.number not in found, f"job {event.number} ended twice"
            found[event.number] = event.outcome
    return found


def alive(pid: int) -> bool:
    """Whether the process runs; one that only waits to be collected does not."""
    if Path("/proc/self/stat").exists():
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].strip()
        except OSError:
            return False
    else:
        shown = subprocess.run(
            ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
        state = shown.stdout.strip()
    return state[:1] not in ("", "Z", "X")


def wait_until_gone(pids: Iterable[int]) -> None:
    """Fails if any of the processes is still there after a while."""
    clock = SystemClock()
    end = clock.now() + LONGEST_SECONDS
    for pid in pids:
        while alive(pid):
            assert clock.now() < end, f"process {pid} has been left behind"
            clock.sleep(0.02)


def failing(trial: Context) -> NoReturn:
    """Fails in a way that is easy to find in a traceback."""
    raise ValueError("Input X contains NaN")


def endless(trial: Context) -> None:
    """Reports for ever."""
    pause = threading.Event()
    for step in range(10**9):
        trial.report(step, loss=1.0)
        pause.wait(0.002)


def hanging(trial: Context) -> None:
    """Says that it has begun, and no more."""
    trial.report(0, pid=os.getpid())
    threading.Event().wait()


class ExecutorContract:
    """Inherit from it in a test module, and override `executor`."""

    forceful = True

    def executor(self, **limits: float) -> Executor:
        """The executor to test, with these limits (seconds, memory, grace) where it is forceful."""
        raise NotImplementedError

    def outcome(self, task: Task, **more: Any) -> Outcome:
        """How one job ends."""
        with self.executor().open(task, "loss") as pool:
            return outcomes(until_ended(pool, [job(**more)]))[more.get("number", 0)]

    @pytest.fixture
    def needs_force(self) -> None:
        """Skip where a job cannot be ended against its will."""
        if not self.forceful:
            pytest.skip("this executor cannot end a job by force")

    # --- jobs and their ends ---------------------------------------------------------------------

    def test_every_job_ends_once_under_its_number_and_attempt(self) -> None:
        jobs = [job(number, x=float(number), attempt=1 + number % 3) for number in range(30)]
        with self.executor().open(lambda trial: trial.params["x"], "loss") as pool:
            events = until_ended(pool, jobs)
        assert sorted((event.number, event.attempt) for event in events) == [
            (number, 1 + number % 3) for number in range(30)
        ]
        assert outcomes(events) == {number: Completed({"loss": float(number)}) for number in range(30)}

    def test_a_pool_has_as_many_slots_as_its_executor_says(self) -> None:
        executor = self.executor()
        with executor.open(lambda trial: 0.0, "loss") as pool:
            assert pool.slots == executor.slots >= 1

    def test_without_jobs_there_are_no_events(self) -> None:
        with self.executor().open(lambda trial: 0.0, "loss") as pool:
            assert list(pool.events(0.0)) == []
            assert list(pool.events(0.01)) == []

    def test_the_objective_sees_its_job(self) -> None:
        def task(trial: Context) -> Mapping[str, float]:
            assert trial.params == {"x": 0.5}
            return {
                "loss": trial.seed,
                "fidelity": trial.fidelity or 0.0,
                "who": trial.number + trial.attempt / 10,
            }

        outcome = self.outcome(task, number=7, x=0.5, seed=41, fidelity=3.0, attempt=2)
        assert outcome == Completed({"loss": 41.0, "fidelity": 3.0, "who": 7.2})

    def test_the_objective_sees_what_earlier_attempts_reported(self) -> None:
        def task(trial: Context) -> float:
            return sum(report["loss"] for report in trial.earlier.values()) + 10 * len(trial.earlier)

        outcome = self.outcome(task, attempt=2, earlier={0: {"loss": 1.0}, 3: {"loss": 2.0}})
        assert outcome == Completed({"loss": 23.0})
        assert self.outcome(task) == Completed({"loss": 0.0})

    def test_not_a_number_and_infinity_come_back_as_they_are(self) -> None:
        outcome = self.outcome(lambda trial: {"loss": math.nan, "up": math.inf, "down": -math.inf})
        assert isinstance(outcome, Completed)
        assert math.isnan(outcome.metrics["loss"])
        assert (outcome.metrics["up"], outcome.metrics["down"]) == (math.inf, -math.inf)

    def test_lambdas_and_closures_are_objectives(self) -> None:
        offset = {"by": 3.0}

        def task(trial: Context) -> float:
            return float(trial.params["x"]) + offset["by"]  # type: ignore[arg-type]

        assert self.outcome(task) == Completed({"loss": 4.0})

    # --- reports ---------------------------------------------------------------------------------

    def test_reports_come_in_order_and_before_the_end(self) -> None:
        def task(trial: Context) -> float:
            for step in range(200):
                trial.report(step, {"loss": 1 / (step + 1)}, accuracy=step)
            return 0.0

        with self.executor().open(task, "loss") as pool:
            events = until_ended(pool, [job(0), job(1)])
        for number in (0, 1):
            mine = [event for event in events if event.number == number]
            assert [event.report.step for event in mine if isinstance(event, Reported)] == list(range(200))
            assert isinstance(mine[0], Reported)
            assert mine[0].report.metrics == {"loss": 1.0, "accuracy": 0.0}
            assert isinstance(mine[-1], Ended)

    def test_threads_of_an_objective_may_report(self) -> None:
        def task(trial: Context) -> float:
            def speak(first: int) -> None:
                for step in range(first, first + 10):
                    trial.report(step, loss=1.0)

            threads = [threading.Thread(target=speak, args=(first,)) for first in (0, 10, 20, 30)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return 0.0

        with self.executor().open(task, "loss") as pool:
            events = until_ended(pool, [job()])
        assert sorted(event.report.step for event in events if isinstance(event, Reported)) == list(range(40))
        assert isinstance(events[-1], Ended)

    def test_a_report_that_makes_no_sense_fails_with_a_sentence(self) -> None:
        outcome = self.outcome(lambda trial: trial.report(1, 0.5))  # type: ignore[arg-type]
        assert isinstance(outcome, Failed)
        assert "trial.report(1, loss=0.5)" in outcome.error

    # --- failures --------------------------------------------------------------------------------

    def test_an_exception_fails_the_trial_and_shows_the_lines_of_the_user_only(self) -> None:
        with self.executor().open(failing, "loss") as pool:
            ends = outcomes(until_ended(pool, [job(0), job(1)]))
        for outcome in ends.values():
            assert isinstance(outcome, Failed)
            assert outcome.error == "ValueError: Input X contains NaN"
            assert outcome.traceback is not None
            assert 'raise ValueError("Input X contains NaN")' in outcome.traceback
            assert outcome.traceback.count("File ") == 1

    @pytest.mark.parametrize("what", ["exit", "interrupt", "unsayable", "endless recursion"])
    def test_whatever_is_raised_only_fails_the_trial(self, what: str) -> None:
        def task(trial: Context) -> float:
            class Unsayable(Exception):
                def __str__(self) -> str:
                    raise RuntimeError

            def again(n: int) -> int:
                return again(n + 1) + 1

            if trial.params["x"] == 0:
                return 0.0
            if what == "exit":
                sys.exit(3)
            if what == "interrupt":
                raise KeyboardInterrupt
            if what == "unsayable":
                raise Unsayable
            return again(0)

        with self.executor().open(task, "loss") as pool:
            ends = outcomes(until_ended(pool, [job(0, x=1.0), job(1, x=0.0), job(2, x=1.0)]))
        assert isinstance(ends[0], Failed)
        assert ends[1] == Completed({"loss": 0.0})
        assert isinstance(ends[2], Failed)

    @pytest.mark.parametrize(
        ("result", "says"),
        [
            (None, "returned nothing; return {'loss': ...}"),
            ("good", "the metric 'loss' is 'good'"),
            ({"los": 1.0}, "returned 'los' but not 'loss', which this study optimises. Did you mean 'los'?"),
            ({"loss": [1.0]}, "the metric 'loss' is [1.0] (list)"),
            (object, "the metric 'loss' is"),
        ],
    )
    def test_nonsense_fails_with_a_sentence(self, result: Any, says: str) -> None:
        outcome = self.outcome(lambda trial: result)
        assert isinstance(outcome, Failed)
        assert says in outcome.error
        assert outcome.traceback is None

    # --- stops -----------------------------------------------------------------------------------

    def test_a_stop_arrives_at_a_report(self) -> None:
        with self.executor().open(endless, "loss") as pool:
            pool.submit(job())
            until_report(pool)
            pool.stop(0, "worse than the median")
            pool.stop(0, "said twice")
            pool.stop(99, "no such job")
            events = until_end(pool)
        assert outcomes(events) == {0: Stopped("worse than the median")}

    def test_a_stop_passes_through_except_exception(self) -> None:
        def task(trial: Context) -> float:
            while True:
                try:
                    endless(trial)
                except Exception:
                    continue

        with self.executor().open(task, "loss") as pool:
            pool.submit(job())
            until_report(pool)
            pool.stop(0, "enough")
            assert outcomes(until_end(pool)) == {0: Stopped("enough")}

    def test_an_objective_that_returns_after_a_stop_has_completed(self) -> None:
        def task(trial: Context) -> float:
            try:
                endless(trial)
            except Stop:
                with pytest.raises(Stop):  # it keeps being told
                    trial.report(10**9, loss=1.0)
            return 5.0

        with self.executor().open(task, "loss") as pool:
            pool.submit(job())
            until_report(pool)
            pool.stop(0, "enough")
            assert outcomes(until_end(pool)) == {0: Completed({"loss": 5.0})}

    def test_a_stop_that_a_library_wraps_is_a_stop(self) -> None:
        def task(trial: Context) -> float:
            try:
                endless(trial)
            except BaseException as error:
                raise RuntimeError("training was aborted") from error
            return 0.0

        with self.executor().open(task, "loss") as pool:
            pool.submit(job())
            until_report(pool)
            pool.stop(0, "enough")
            assert outcomes(until_end(pool)) == {0: Stopped("enough")}

    def test_an_objective_may_stop_itself(self) -> None:
        def task(trial: Context) -> None:
            raise Stop("diverged")

        assert self.outcome(task) == Stopped("diverged")

    def test_a_stopped_job_leaves_a_working_slot(self) -> None:
        def task(trial: Context) -> float:
            if trial.params["x"]:
                endless(trial)
            return 0.0

        with self.executor().open(task, "loss") as pool:
            pool.submit(job(0, x=1.0))
            until_report(pool)
            pool.stop(0, "enough")
            until_end(pool)
            assert outcomes(until_ended(pool, [job(n, x=0.0) for n in range(1, 6)])) == {
                n: Completed({"loss": 0.0}) for n in range(1, 6)
            }

    # --- folders and output ----------------------------------------------------------------------

    def test_a_work_folder_is_made_on_first_use_and_kept(self, tmp_path: Path) -> None:
        def task(trial: Context) -> float:
            if trial.params["x"]:
                (trial.workdir / "model.txt").write_text("kept")
            return 0.0

        jobs = [job(n, x=float(n), workdir=str(tmp_path / "trials" / str(n))) for n in (0, 1)]
        with self.executor().open(task, "loss") as pool:
            until_ended(pool, jobs)
        assert (tmp_path / "trials" / "1" / "model.txt").read_text() == "kept"
        assert not (tmp_path / "trials" / "0").exists()

    def test_a_work_folder_nobody_asked_for_is_removed(self, tmp_path: Path) -> None:
        note = tmp_path / "note.txt"

        def task(trial: Context) -> float:
            (trial.workdir / "model.txt").write_text("gone")
            note.write_text(str(trial.workdir))
            return 0.0

        assert self.outcome(task) == Completed({"loss": 0.0})
        assert not Path(note.read_text()).exists()

    # --- checkpoints and artifacts -----------------------------------------------------------------

    @pytest.mark.parametrize("folder", [False, True])
    def test_the_next_attempt_goes_on_from_the_last_checkpoint(self, tmp_path: Path, folder: bool) -> None:
        def task(trial: Context) -> float:
            if trial.restored is not None:
                kept = trial.restored / "state.txt" if folder else trial.restored
                return float(kept.read_text()) + (trial.restored_step or 0)
            path = trial.workdir / "of this attempt"
            if folder:
                path.mkdir()
            for step in (1, 2, 3):
                trial.report(step, loss=1.0)
                (path / "state.txt" if folder else path).write_text(f"{step / 10}")
                trial.checkpoint(path, move=step == 3)
                assert trial.restored is None
            assert not path.exists()
            return 0.0

        place = Place(str(tmp_path / "7"))
        assert self.outcome(task, number=7, files=place) == Completed({"loss": 0.0})
        assert self.outcome(task, number=7, files=place, attempt=2) == Completed({"loss": 3.3})
        child = Place(str(tmp_path / "8"), parent=place.folder)
        assert self.outcome(task, number=8, files=child) == Completed({"loss": 3.3})
        alone = Place(str(tmp_path / "9"), parent=str(tmp_path / "nobody"))
        assert self.outcome(task, number=9, files=alone) == Completed({"loss": 0.0})

    def test_an_artifact_is_kept_under_its_name(self, tmp_path: Path) -> None:
        def task(trial: Context) -> float:
            path = trial.workdir / "x.txt"
            for text in ("first", "second"):
                path.write_text(text)
                trial.save("model.txt", path)
                trial.save("all", trial.workdir)
            return 0.0

        assert self.outcome(task, files=Place(str(tmp_path / "0"))) == Completed({"loss": 0.0})
        kept = tmp_path / "0" / "artifacts"
        assert sorted(path.name for path in kept.iterdir()) == ["all", "model.txt"]
        assert (kept / "model.txt").read_text() == (kept / "all" / "x.txt").read_text() == "second"

    def test_where_nothing_is_kept_files_are_taken_all_the_same(self, tmp_path: Path) -> None:
        note = tmp_path / "note.txt"

        def task(trial: Context) -> float:
            (trial.workdir / "model.txt").write_text("gone")
            trial.checkpoint(trial.workdir / "model.txt")
            trial.save("model", trial.workdir / "model.txt")
            note.write_text(str(trial.workdir))
            return 0.0

        assert self.outcome(task) == Completed({"loss": 0.0})
        assert not Path(note.read_text()).exists()
        assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]

    @pytest.mark.parametrize(
        ("hand_over", "says"),
        [
            (
                lambda trial: trial.checkpoint("nowhere.pt"),
                "'nowhere.pt', which is not there. Write it first",
            ),
            (lambda trial: trial.save("model", "nowhere.pt"), "the artifact 'model' of trial 0 is to be"),
            (lambda trial: trial.save("a/b", "nowhere.pt"), "the name 'a/b'. Use one without '/'"),
            (lambda trial: trial.save("", "nowhere.pt"), "trial.save was given the name ''"),
        ],
    )
    def test_files_that_are_not_there_fail_with_a_sentence(
        self, tmp_path: Path, hand_over: Callable[[Context], None], says: str
    ) -> None:
        outcome = self.outcome(hand_over, files=Place(str(tmp_path / "0")))
        assert isinstance(outcome, Failed)
        assert says in outcome.error
        assert list(tmp_path.rglob("*")) == []

    @pytest.mark.usefixtures("needs_force")
    def test_a_worker_killed_while_it_takes_a_checkpoint_leaves_a_complete_one(self, tmp_path: Path) -> None:
        """It is killed at the first, second, third ... thing it asks of the system."""

        def task(trial: Context) -> float:
            path = trial.workdir / "state"
            path.mkdir()
            left = int(trial.params["x"])  # type: ignore[arg-type]

            def count(event: str, arguments: object) -> None:
                nonlocal left
                left -= armed
                if armed and left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

            armed = False
            sys.addaudithook(count)
            for step in (1, 2):
                for part in ("a", "b", "c"):
                    (path / part).write_text(f"{step}")
                armed = step == 2
                trial.checkpoint(path, step=step)
                armed = False
            return 0.0

        points = range(1, 41)
        jobs = [job(n, x=float(n), files=Place(str(tmp_path / str(n)))) for n in points]
        with self.executor().open(task, "loss") as pool:
            ends = outcomes(until_ended(pool, jobs))
        killed = [n for n in points if isinstance(ends[n], Lost)]
        assert len(killed) > 15
        steps = list[int]()
        for n in points:
            last = AttemptFiles(n, 2, Place(str(tmp_path / str(n)))).restored
            assert last is not None
            assert last.step is not None
            parts = {part.name: part.read_text() for part in last.path.iterdir()}
            assert parts == dict.fromkeys("abc", str(last.step)), f"killed at {n}"
            steps.append(last.step)
        assert sorted(steps[:2]) == [1, 1]
        assert steps == sorted(steps)
        assert steps[-1] == 2

    def test_printing_lots_disturbs_nothing(self, capfd: pytest.CaptureFixture[str]) -> None:
        def task(trial: Context) -> float:
            for i in range(2_000):
                print("x" * 100, i)
            print("to standard error", file=sys.stderr)
            return 1.0

        assert self.outcome(task) == Completed({"loss": 1.0})
        capfd.readouterr()

    # --- leaving ---------------------------------------------------------------------------------

    def test_leaving_ends_running_jobs(self) -> None:
        clock = SystemClock()
        with self.executor().open(endless, "loss") as pool:
            for number in range(pool.slots):
                pool.submit(job(number))
            until_report(pool)
            start = clock.now()
        assert clock.now() - start < 5.0

    def test_an_error_of_the_caller_passes_through(self) -> None:
        def study() -> None:
            with self.executor().open(endless, "loss") as pool:
                pool.submit(job())
                until_report(pool)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            study()

    # --- force -----------------------------------------------------------------------------------

    @pytest.mark.usefixtures("needs_force")
    def test_a_killed_worker_loses_its_job_and_the_pool_goes_on(self) -> None:
        def task(trial: Context) -> float:
            if trial.params["x"] and trial.attempt == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            return 0.0

        with self.executor().open(task, "loss") as pool:
            first = outcomes(until_ended(pool, [job(n, x=float(n % 2)) for n in range(6)]))
            again = outcomes(until_ended(pool, [job(n, x=1.0, attempt=2) for n in (1, 3, 5)]))
        lost = Lost("worker died: killed by signal 9 (SIGKILL)")
        done = Completed({"loss": 0.0})
        assert first == {n: lost if n % 2 else done for n in range(6)}
        assert again == {1: done, 3: done, 5: done}

    @pytest.mark.usefixtures("needs_force")
    def test_a_worker_that_exits_says_with_what(self) -> None:
        assert self.outcome(lambda trial: os._exit(3)) == Lost("worker died: exit code 3")

    @pytest.mark.usefixtures("needs_force")
    def test_a_job_that_hangs_fails_at_its_time_limit(self) -> None:
        def task(trial: Context) -> float:
            if trial.params["x"]:
                hanging(trial)
            return 0.0

        with self.executor(seconds=0.3).open(task, "loss") as pool:
            ends = outcomes(until_ended(pool, [job(n, x=float(n == 1)) for n in range(4)]))
        assert ends[1] == Failed("ran longer than its limit of 0.3 s")
        assert [type(ends[n]) for n in (0, 2, 3)] == [Completed] * 3

    @pytest.mark.usefixtures("needs_force")
    def test_a_job_that_takes_too_much_memory_fails_with_the_numbers(self) -> None:
        def task(trial: Context) -> float:
            if trial.params["x"]:
                hoard = bytearray(600_000_000)
                hoard[::4096] = b"x" * len(hoard[::4096])
                threading.Event().wait()
            return 0.0

        with self.executor(memory=4e8).open(task, "loss") as pool:
            ends = outcomes(until_ended(pool, [job(n, x=float(n == 1)) for n in range(3)]))
        assert isinstance(ends[1], Failed)
        assert ends[1].error.startswith("used ")
        assert ends[1].error.endswith("of memory, more than its limit of 400 MB")
        assert [type(ends[n]) for n in (0, 2)] == [Completed] * 2

    @pytest.mark.usefixtures("needs_force")
    def test_the_memory_of_what_a_job_starts_counts(self) -> None:
        def task(trial: Context) -> float:
            code = "import time; x = b'x' * 600_000_000; time.sleep(1000)"
            subprocess.run([sys.executable, "-c", code], check=False)
            return 0.0

        with self.executor(memory=4e8).open(task, "loss") as pool:
            ends = outcomes(until_ended(pool, [job()]))
        assert isinstance(ends[0], Failed)

    @pytest.mark.usefixtures("needs_force")
    def test_a_job_that_will_not_stop_is_killed_after_the_grace(self) -> None:
        with self.executor(grace=0.1).open(hanging, "loss") as pool:
            pool.submit(job())
            until_report(pool)
            pool.stop(0, "enough")
            assert outcomes(until_end(pool)) == {0: Stopped("enough")}
            assert list(pool.events(0.0)) == []

    @pytest.mark.usefixtures("needs_force")
    def test_no_process_is_left_behind(self) -> None:
        def task(trial: Context) -> float:
            asleep = [sys.executable, "-c", "import time; time.sleep(1000)"]
            in_group = subprocess.Popen(asleep)
            stray = subprocess.Popen(asleep, start_new_session=True)
            forked = os.fork()
            if forked == 0:
                threading.Event().wait()
            trial.report(0, a=os.getpid(), b=in_group.pid, c=stray.pid, d=forked)
            if trial.params["x"]:
                threading.Event().wait()
            return 0.0

        pids: list[float] = []
        with self.executor().open(task, "loss") as pool:
            pool.submit(job(0, x=1.0))
            pids += until_report(pool).metrics.values()
        assert len(pids) == 4
        wait_until_gone(map(int, pids))

    @pytest.mark.usefixtures("needs_force")
    def test_a_worker_that_dies_takes_what_it_started_with_it(self) -> None:
        def task(trial: Context) -> float:
            forked = os.fork()
            if forked == 0:
                threading.Event().wait()
            trial.report(0, pid=forked)
            os._exit(1)

        with self.executor().open(task, "loss") as pool:
            events = until_ended(pool, [job()])
            assert outcomes(events) == {0: Lost("worker died: exit code 1")}
            wait_until_gone(int(e.report.metrics["pid"]) for e in events if isinstance(e, Reported))

    @pytest.mark.usefixtures("needs_force")
    def test_a_fork_that_comes_back_does_not_answer_twice(self) -> None:
        def task(trial: Context) -> float:
            os.fork()
            return 1.0

        with self.executor().open(task, "loss") as pool:
            assert outcomes(until_ended(pool, [job(n) for n in range(4)])) == {
                n: Completed({"loss": 1.0}) for n in range(4)
            }
