"""Any order of verbs on a store does what it does to a plain dict of trials."""

from __future__ import annotations

import math
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from luthier.clock import VirtualClock
from luthier.store.url import open_store
from luthier.study import Completed, Failed, Lost, Outcome, Proposal, Record, Report, State, Stopped, Trial
from luthier.testing.stores import a_spec

STUDY = "first"
WORKERS = ("a", "b", "c")
floats = st.sampled_from([0.0, 1.5, -3.25, math.inf, -math.inf])
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
proposals = st.builds(
    Proposal,
    params=st.dictionaries(texts, scalars, max_size=3),
    fidelity=st.none() | floats.filter(math.isfinite),
    parent=st.none() | st.integers(0, 5),
    tag=st.dictionaries(texts, scalars, max_size=2),
)
metrics = st.dictionaries(st.sampled_from(["loss", "größe"]), floats, min_size=1)
reports = st.builds(Report, st.integers(0, 3), metrics)
outcomes = st.one_of(
    st.builds(Completed, metrics),
    st.builds(Stopped, texts),
    st.builds(Failed, texts, st.none() | texts),
    st.builds(Lost, texts),
)
workers = st.sampled_from(WORKERS)


class StoreMachine(RuleBasedStateMachine):
    """The store and the model, side by side; `seen` is what a follower of the cursor knows."""

    url: ClassVar[str] = "memory"

    def __init__(self) -> None:
        super().__init__()
        self.clock = VirtualClock(1000.0)
        self.store = open_store(self.place(), clock=self.clock)
        self.model: dict[int, Trial] = {}
        self.leases: dict[int, float] = {}
        self.seen: dict[int, Trial] = {}
        self.cursor = 0

    def place(self) -> str:
        return self.url

    @initialize()
    def create(self) -> None:
        self.store.create(a_spec())

    def teardown(self) -> None:
        self.store.close()

    @rule(
        new=st.lists(proposals, max_size=3), off=st.sampled_from([None, 0, 0, 1]), worker=st.none() | workers
    )
    def propose(self, new: list[Proposal], off: int | None, worker: str | None) -> None:
        expect = None if off is None else len(self.model) + off
        claim = None if worker is None else (worker, 10.0)
        made = self.store.propose(STUDY, new, expect=expect, seen=self.cursor, claim=claim)
        if off == 1:
            assert made == []
            return
        for trial, proposal in zip(made, new, strict=True):
            expected = Trial(
                len(self.model), proposal.params, fidelity=proposal.fidelity, parent=proposal.parent, tag=proposal.tag,
                seen=self.cursor, created=self.clock.now(),
            )  # fmt: skip
            self.model[expected.number] = expected if worker is None else self.held(expected, worker, 10.0)
            assert trial == self.model[trial.number]

    @rule(worker=workers, n=st.integers(0, 3), seconds=st.floats(1, 20))
    def claim(self, worker: str, n: int, seconds: float) -> None:
        waiting = [t for t in self.model.values() if t.state is State.WAITING][:n]
        for trial in waiting:
            self.model[trial.number] = self.held(trial, worker, seconds)
        assert self.store.claim(STUDY, worker, n, seconds) == [self.model[t.number] for t in waiting]

    @precondition(lambda self: self.model)
    @rule(data=st.data(), attempts=st.integers(1, 3))
    def record(self, data: st.DataObject, attempts: int) -> None:
        numbers = st.sampled_from(sorted(self.model))
        words = []
        for number in data.draw(st.lists(numbers, max_size=4)):
            attempt = self.model[number].attempt + data.draw(st.sampled_from([0, 0, 0, 0, -1, 1]))
            words.append(Record(number, attempt, data.draw(reports | outcomes)))
        late = sum(not self.say(word, attempts) for word in words)
        before = self.late()
        self.store.record(STUDY, words, attempts=attempts)
        assert self.late() - before == late

    @rule(seconds=st.floats(0.5, 15))
    def wait(self, seconds: float) -> None:
        self.clock.sleep(seconds)

    @rule(worker=workers, seconds=st.floats(1, 20))
    def renew(self, worker: str, seconds: float) -> None:
        self.store.renew(STUDY, worker, seconds)
        for trial in self.running():
            if trial.worker == worker:
                self.leases[trial.number] = self.clock.now() + seconds

    @rule(gone=st.sets(workers, max_size=1), attempts=st.integers(1, 3))
    def reap(self, gone: set[str], attempts: int) -> None:
        orphans = [t for t in self.running() if t.worker in gone or self.leases[t.number] < self.clock.now()]
        for trial in orphans:
            why = "is gone" if trial.worker in gone else "was not heard from in time"
            self.settle(trial, Lost(f"worker {trial.worker} {why}"), attempts)
        assert self.store.reap(STUDY, attempts=attempts, gone=gone) == len(orphans)

    @rule(worker=workers)
    def begin_and_end(self, worker: str) -> None:
        self.store.begin(STUDY, worker)
        self.store.end(STUDY, worker, "done")
        for trial in self.running():
            if trial.worker == worker:
                self.settle(trial, Lost(f"worker {worker} ended"), trial.attempt + 1)

    @precondition(lambda self: self.model)
    @rule(data=st.data(), reason=texts)
    def request_stop(self, data: st.DataObject, reason: str) -> None:
        trial = self.model[data.draw(st.sampled_from(sorted(self.model)))]
        self.store.request_stop(STUDY, trial.number, reason)
        if trial.state is State.WAITING:
            self.settle(trial, Stopped(reason), 1)
        elif trial.state is State.RUNNING:
            self.model[trial.number] = replace(trial, stop=reason)

    @rule()
    def follow(self) -> None:
        changes = self.store.changed(STUDY, self.cursor)
        self.cursor = changes.cursor
        self.seen |= {trial.number: trial for trial in changes.trials}
        assert self.seen == self.model

    @invariant()
    def same_counts(self) -> None:
        counts = dict.fromkeys(State, 0)
        for trial in self.model.values():
            counts[trial.state] += 1
        assert self.store.study(STUDY).counts == counts
        assert self.store.workers(STUDY) == sorted({t.worker for t in self.running() if t.worker is not None})

    # the model's own moves

    def running(self) -> list[Trial]:
        return [trial for trial in self.model.values() if trial.state is State.RUNNING]

    def late(self) -> int:
        return sum(row.event == "late" for row in self.store.log(STUDY))

    def held(self, trial: Trial, worker: str, seconds: float) -> Trial:
        self.leases[trial.number] = self.clock.now() + seconds
        return replace(
            trial, state=State.RUNNING, attempt=trial.attempt + 1, worker=worker, started=self.clock.now()
        )

    def say(self, word: Record, attempts: int) -> bool:
        trial = self.model[word.number]
        if trial.state is not State.RUNNING or trial.attempt != word.attempt:
            return False
        if isinstance(word.said, Report):
            steps = {report.step: dict(report.metrics) for report in trial.reports}
            steps.setdefault(word.said.step, {}).update(word.said.metrics)
            merged = tuple(Report(step, steps[step]) for step in sorted(steps))
            self.model[trial.number] = replace(trial, reports=merged)
        else:
            self.settle(trial, word.said, attempts)
        return True

    def settle(self, trial: Trial, outcome: Outcome, attempts: int) -> None:
        after = trial.after(outcome, attempts)
        if after.state is State.WAITING and trial.stop is not None:
            after = after.after(Stopped(trial.stop), attempts)
        ended = self.clock.now() if after.state.ended else None
        self.model[trial.number] = replace(after, worker=None, stop=None, ended=ended)


class FileMachine(StoreMachine):
    """On a file, through a second connection now and then: the store is closed and opened again."""

    def place(self) -> str:
        self.folder = tempfile.TemporaryDirectory()
        return str(Path(self.folder.name) / "studies.db")

    @rule()
    def open_again(self) -> None:
        self.store.close()
        self.store = open_store(str(Path(self.folder.name) / "studies.db"), clock=self.clock)

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


TestInMemory = StoreMachine.TestCase
TestInMemory.settings = settings(max_examples=60, stateful_step_count=40)
TestFile = FileMachine.TestCase
TestFile.settings = settings(max_examples=15, stateful_step_count=30)


def test_on_postgresql(fresh_postgres: str) -> None:
    class PostgresMachine(StoreMachine):
        url = fresh_postgres

        def teardown(self) -> None:
            self.store.delete(STUDY)
            super().teardown()

    run_state_machine_as_test(PostgresMachine, settings=settings(max_examples=10, stateful_step_count=30))
