import threading

import pytest

from luthier.errors import Stop
from luthier.executors import Ended, Executor, Inline, Job, Reported, worker
from luthier.objectives import Context
from luthier.study import Failed, Stopped
from luthier.testing.executors import ExecutorContract, job, until_end


class TestInline(ExecutorContract):
    forceful = False

    def executor(self, **limits: float) -> Executor:
        return Inline()


def test_the_objective_waits_at_each_report_until_the_loop_comes_back() -> None:
    steps = []

    def task(trial: Context) -> float:
        for step in range(5):
            steps.append(step)
            trial.report(step, loss=1.0)
        return 0.0

    with Inline().open(task, "loss") as pool:
        pool.submit(job())
        assert steps == []  # not before the loop waits for it
        for expected in range(3):
            (event,) = pool.events(10.0)
            assert isinstance(event, Reported)
            assert steps == list(range(expected + 1))
        pool.stop(0, "judged on that very report")
        (event,) = pool.events(10.0)
        assert event == Ended(0, 1, Stopped("judged on that very report"))
    assert steps == [0, 1, 2]


def test_a_job_stopped_before_it_began_never_begins() -> None:
    with Inline().open(lambda trial: 1 / 0, "loss") as pool:
        pool.submit(job())
        pool.stop(0, "not needed any more")
        assert until_end(pool) == [Ended(0, 1, Stopped("not needed any more"))]


def test_there_is_one_slot() -> None:
    with Inline().open(lambda trial: 0.0, "loss") as pool:
        pool.submit(job(0))
        with pytest.raises(RuntimeError, match="no free slot for job 1"):
            pool.submit(job(1))


def test_an_objective_left_behind_ends_at_its_next_report() -> None:
    go_on, thread = threading.Event(), []

    def task(trial: Context) -> float:
        thread.append(threading.current_thread())
        go_on.wait()
        trial.report(0, loss=1.0)
        raise AssertionError("it went on")

    with Inline().open(task, "loss") as pool:
        pool.submit(Job(0, 1, {}, 0))
        assert list(pool.events(0.01)) == []
    go_on.set()
    thread[0].join(10.0)
    assert not thread[0].is_alive()


def test_a_stop_that_is_still_being_handled_when_a_trial_begins_is_not_its_own() -> None:
    """As CatBoost leaves one behind when it is stopped by its callback."""

    def failing(trial: Context) -> float:
        raise ValueError("no such luck")

    def wrapping(trial: Context) -> float:
        try:
            raise Stop("enough")
        except Stop as stop:
            raise RuntimeError("the library's own") from stop

    try:
        raise Stop("of an earlier trial")
    except Stop:
        failed = worker.run(failing, job(0), "loss", lambda report: None)
        wrapped = worker.run(wrapping, job(1), "loss", lambda report: None)
    assert isinstance(failed, Failed)
    assert failed.error == "ValueError: no such luck"
    assert wrapped == Stopped("enough")
