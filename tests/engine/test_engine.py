"""What the engine makes of what workers say, played by a pool that says it in an order of our choosing."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

import luthier as lt
from luthier.executors.base import Ended, Event, Job, Reported
from luthier.objectives.context import Task
from luthier.optimizers import Optimizer
from luthier.optimizers.random import Random
from luthier.study import Completed, Problem, Proposal, Report, State, Stopped, Trial

FOLDS = {0: [1.0, 2.0, 3.0, 1.5], 1: [1.1, 2.3, 2.8, 1.6], 2: [1.0, 2.1, 3.1, 1.5], 3: [0.1, 0.2, 0.3, 0.1]}
"""The losses of the trials; nothing is wrong with trial 2 until there is trial 3."""


@dataclass
class Played:
    """A pool of two, in which trial 2 halts after two folds, and trial 3 is done in one go while it does."""

    slots: int = 2
    jobs: list[Job] = field(default_factory=list)
    halted: bool = False
    patience: int = 3
    told: dict[int, str] = field(default_factory=dict)

    def submit(self, job: Job) -> None:
        self.jobs.append(job)

    def stop(self, number: int, reason: str) -> None:
        self.told[number] = reason

    def events(self, timeout: float) -> Sequence[Event]:
        numbers = [job.number for job in self.jobs]
        if 2 in self.told and 2 in numbers:
            return [self._ended(2, Stopped(self.told[2]))]
        if 2 in numbers and not self.halted:
            self.halted = True
            return self._reports(2)[:2]
        for number in numbers:
            if number != 2:
                mean = math.fsum(FOLDS[number]) / len(FOLDS[number])
                return [*self._reports(number), self._ended(number, Completed({"loss": mean}))]
        self.patience -= 1
        return [] if self.patience else [self._ended(2, Stopped("nobody said so"))]

    def _reports(self, number: int) -> list[Event]:
        return [Reported(number, 1, Report(fold, {"loss": loss})) for fold, loss in enumerate(FOLDS[number])]

    def _ended(self, number: int, outcome: Completed | Stopped) -> Ended:
        self.jobs = [job for job in self.jobs if job.number != number]
        return Ended(number, 1, outcome)


@dataclass(frozen=True)
class ByHand:
    slots: int = 2

    @contextmanager
    def open(self, task: Task, objective: str) -> Iterator[Played]:
        yield Played()


def test_a_running_trial_is_judged_anew_when_another_becomes_the_best() -> None:
    study = lt.tune(
        lambda trial: 0.0,
        lt.Space(x=lt.Float(0, 1)),
        minimize="loss",
        trials=4,
        algorithm="random",
        stopping=lt.Race(startup=2),
        executor=ByHand(),
        progress=False,
    )
    raced = study.trials[2]
    assert study.best.number == 3
    assert (raced.state, len(raced.reports)) == (State.STOPPED, 2)
    assert (raced.reason or "").startswith("after 2 of 4 folds 1.4 behind trial 3")


@dataclass(frozen=True)
class Slow:
    """Random search that thinks longer than a trial takes."""

    def start(self, problem: Problem) -> Optimizer:
        return _Slow(Random().start(problem))


@dataclass
class _Slow:
    quick: Optimizer

    def tell(self, finished: Sequence[Trial]) -> None:
        self.quick.tell(finished)

    def ask(self, pending: Sequence[Trial], rng: np.random.Generator) -> Proposal | None:
        time.sleep(0.03)
        return self.quick.ask(pending, rng)


def test_where_thinking_takes_long_workers_do_not_wait_for_it() -> None:
    study = lt.tune(
        lambda x: time.sleep(0.1) or x,  # type: ignore[func-returns-value]
        lt.Space(x=lt.Float(0, 1)),
        minimize="loss",
        trials=10,
        algorithm=Slow(),
        workers=2,
        progress=False,
    )
    trials = study.trials
    assert [trial.state for trial in trials] == [State.COMPLETED] * 10
    known = [sum(other.seq <= trial.seen for other in trials) for trial in trials]
    assert known[0] == 0
    early = [trial.number for trial in trials if known[trial.number] < trial.number - 1]
    assert early, "a trial is thought of while two others run"
    assert min(known[number] - number for number in early) == -2, "and only one"
