"""Engine: the loop, one way round.

    events -> store -> history -> optimiser -> plan -> store -> pool

Write, then act: what workers said is in the store before anybody draws a conclusion from it, and a trial is claimed
in the store before a worker gets it. What was written is read back, so that an engine alone, one among many
and one that was restarted are the same code. Killed anywhere, the study is whole: a lease that runs out makes
its trial wait for the next attempt.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from luthier.clock import Clock
from luthier.engine.identity import is_gone, new_worker
from luthier.engine.mind import Mind
from luthier.engine.plan import PAUSED, End, Plan, broken, decide
from luthier.engine.rules import Rules
from luthier.errors import StoreError
from luthier.executors.base import Ended, Event, Executor, Job, Pool
from luthier.files import StudyFiles
from luthier.objectives.context import Task
from luthier.optimizers.base import Algorithm
from luthier.stopping.base import StoppingPolicy
from luthier.store.base import Changes, Store
from luthier.study import Budget, History, Record, State, StudySpec, Trial


@dataclass(frozen=True, slots=True)
class Status:
    """How the engine is doing, for those who watch."""

    seconds: float
    running: int
    slots: int
    ending: str | None = None


Watcher = Callable[[History, Status], None]
POLL = 0.5
"""Seconds between looks at what others do to the study."""
AHEAD = 0.02
"""A proposal that takes more than this share of a trial is thought of while all workers are busy, knowing one result less."""


class Engine:
    """Works on one study until it ends: `Engine(...).run()`."""

    def __init__(
        self,
        store: Store,
        spec: StudySpec,
        task: Task,
        executor: Executor,
        *,
        algorithm: Algorithm,
        policy: StoppingPolicy | None = None,
        clock: Clock,
        files: StudyFiles | None = None,
        watcher: Watcher | None = None,
        rules: Rules | None = None,
        overlap: Callable[[], float | None] = lambda: None,
    ) -> None:
        self._store = store
        self._spec = spec
        self._task = task
        self._executor = executor
        self._clock = clock
        self._files = files
        self._watcher = watcher
        self._rules = rules or Rules()
        self._worker = new_worker()
        self._mind = Mind.start(spec, algorithm, policy, overlap)
        self._running: set[tuple[int, int]] = set()  # number and attempt of the trials in our pool
        self._told_to_stop: set[tuple[int, int]] = set()
        self._leader: int | None = None  # the best trial when running ones were last judged
        # The trials that ended since we began, as long as all of them failed.
        self._fresh: list[Trial] | None = None
        self._beat = -float("inf")
        self._interrupts = 0
        self._end: End | None = None
        self._deadline = float("inf")
        self._thought = 0.0  # seconds that the last proposal took

    @property
    def history(self) -> History:
        """What the engine knows."""
        return self._mind.history

    def run(self) -> End:
        """Work until the budget is used up, nothing is left to try, or somebody says stop; returns why."""
        store, name = self._store, self._spec.name
        store.begin(name, self._worker)
        try:
            self._keep_alive()
            plan = self._plan(self._look())
            self._fresh = []
            end = plan.end or self._work()
        except BaseException as error:
            with suppress(StoreError):  # what went wrong first is what the user should hear
                store.end(name, self._worker, str(_end_of(error)))
            raise
        store.end(name, self._worker, str(end))
        self._beat = self._clock.now()  # the time until now is counted
        self._watch(self._look())
        return end

    def _work(self) -> End:
        objective = self._spec.problem.objective.metric
        with self._interruptible(), self._executor.open(self._task, objective) as pool:
            changes = self._look()
            while True:
                plan = self._plan(changes)
                self._prepare_to_end(plan.end, pool)
                if self._end is not None and self._nothing_to_wait_for(self._end):
                    return self._end
                if self._end is None:
                    self._act(plan, pool)
                self._watch(changes)
                self._write(pool.events(0.0 if self._filled(plan) else self._patience(changes)))
                self._keep_alive()
                changes = self._look()
                self._judge(changes.trials, pool)

    # --- one turn ----------------------------------------------------------------------------

    def _look(self) -> Changes:
        """Read what changed, whoever changed it, and let the optimiser know."""
        changes = self._store.changed(self._spec.name, self.history.cursor)
        ended = self._mind.learn(changes)
        if self._files is not None:
            self._files.tidy(self.history, ended)
        for trial in ended:
            if self._fresh is not None:
                self._fresh = [*self._fresh, trial] if trial.state is State.FAILED else None
        return changes

    def _plan(self, changes: Changes) -> Plan:
        situation = self._mind.situation(
            changes,
            seconds=self._seconds(changes),
            running=len(self._running),
            slots=self._executor.slots,
            interrupted=self._interrupts > 0,
            broken=broken(self._fresh or [], self._same_failures(changes.budget)),
            slow=self._slow,
            now=self._clock.now(),
        )
        return decide(situation)

    @property
    def _slow(self) -> bool:
        """Whether a proposal takes long for how short trials are."""
        return self._thought > AHEAD * self._mind.latest_seconds

    def _filled(self, plan: Plan) -> bool:
        """Whether workers were just given something to do, and there is something to think of while they do it."""
        return self._slow and self._executor.slots > 1 and plan.claim + plan.propose > 0 and not plan.ahead

    def _same_failures(self, budget: Budget) -> int:
        """After how many failures from the start it is not worth going on; all of them, in a small study."""
        return min(self._rules.same_failures, budget.trials or self._rules.same_failures)

    def _act(self, plan: Plan, pool: Pool) -> None:
        """Claim and propose in the store first, then hand the trials to the pool."""
        name, claim = self._spec.name, (self._worker, self._rules.lease)
        trials: list[Trial] = []
        if plan.claim:
            trials += self._store.claim(name, self._worker, plan.claim, self._rules.lease)
        before = self._clock.now()
        proposals = self._mind.think(plan.propose)
        if proposals:
            self._thought = (self._clock.now() - before) / len(proposals)
            # Fenced by the number of trials: of two engines that thought of the same one, the second looks again.
            proposed = self._store.propose(
                name,
                proposals,
                expect=len(self.history),
                seen=self.history.cursor,
                claim=None if plan.ahead or self._spec.batch is not None else claim,
            )
            trials += [trial for trial in proposed if trial.state is State.RUNNING]
        for trial in trials:
            self._running.add((trial.number, trial.attempt))
            pool.submit(self._job(trial))

    def _write(self, events: Sequence[Event]) -> None:
        """Put down what workers said."""
        records = []
        for event in events:
            if isinstance(event, Ended):
                records.append(Record(event.number, event.attempt, event.outcome))
                self._running.discard((event.number, event.attempt))
                self._told_to_stop.discard((event.number, event.attempt))
            else:
                records.append(Record(event.number, event.attempt, event.report))
        if records:
            self._store.record(self._spec.name, records, attempts=self._rules.attempts)

    def _judge(self, changed: Sequence[Trial], pool: Pool) -> None:
        """Stop running trials that somebody asked to stop, that the policy gives up, or that are no longer ours.

        Those that changed are looked at; all where another trial is the best now, which may have decided theirs.
        """
        best = self.history.best()
        leader = None if best is None else best.number
        numbers, overtaken = {trial.number for trial in changed}, leader != self._leader
        self._leader = leader
        for number, attempt in self._running - self._told_to_stop:
            if not overtaken and number not in numbers:
                continue
            trial = self.history[number]
            if trial.state is not State.RUNNING or trial.attempt != attempt:
                self._stop(pool, number, attempt, "the lease ran out, and the trial was given to another")
                continue
            reason = self._mind.judge(trial)
            if reason is not None:
                self._stop(pool, number, attempt, reason)

    def _prepare_to_end(self, end: End | None, pool: Pool) -> None:
        if end is not None and (self._end is None or (self._end.why == PAUSED and end.abrupt)):
            self._end = end
            self._deadline = self._clock.now() + self._rules.grace
            if end.abrupt:
                for number, attempt in self._running - self._told_to_stop:
                    self._stop(pool, number, attempt, end.why)

    def _nothing_to_wait_for(self, end: End) -> bool:
        return not self._running or (end.word == "interrupted" and self._clock.now() >= self._deadline)

    def _stop(self, pool: Pool, number: int, attempt: int, reason: str) -> None:
        self._told_to_stop.add((number, attempt))
        pool.stop(number, reason)

    def _keep_alive(self) -> None:
        """Renew our leases, and take over trials of those whose leases ran out or who are known to be dead."""
        now = self._clock.now()
        if now - self._beat < min(self._rules.lease / 4, 2.0):
            return
        self._beat = now
        name = self._spec.name
        self._store.renew(name, self._worker, self._rules.lease)
        gone = [worker for worker in self._store.workers(name) if is_gone(worker)]
        self._store.reap(name, attempts=self._rules.attempts, gone=gone)

    # --- small answers -----------------------------------------------------------------------

    def _seconds(self, changes: Changes) -> float:
        """The time worked on the study, up to now: what is in the store is as of the last sign of life."""
        return changes.seconds + max(0.0, self._clock.now() - self._beat)

    def _patience(self, changes: Changes) -> float:
        """How long to wait for workers before looking at the store and the clock again."""
        longest = POLL if self._running else POLL / 5
        if changes.budget.seconds is not None:
            longest = min(longest, max(0.0, changes.budget.seconds - self._seconds(changes)))
        if changes.budget.deadline is not None:
            longest = min(longest, max(0.0, changes.budget.deadline - self._clock.now()))
        return longest

    def _job(self, trial: Trial) -> Job:
        files = self._files
        return Job(
            number=trial.number,
            attempt=trial.attempt,
            params=trial.params,
            seed=self._spec.trial_seed(trial.number),
            fidelity=self._spec.problem.amount(trial.fidelity),
            workdir=None if files is None else files.workdir(trial),
            earlier={report.step: report.metrics for report in trial.reports},
            files=None if files is None else files.place(trial),
        )

    def _watch(self, changes: Changes) -> None:
        if self._watcher is not None:
            ending = None if self._end is None else str(self._end)
            status = Status(self._seconds(changes), len(self._running), self._executor.slots, ending)
            self._watcher(self.history, status)

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Ctrl-C or SIGTERM once: end in order. Twice: KeyboardInterrupt at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def interrupt(*_: object) -> None:
            self._interrupts += 1
            if self._interrupts > 1:
                raise KeyboardInterrupt

        before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(
                    number, signal.SIG_DFL if handler is None else handler
                )  # None: not set by Python


def _end_of(error: BaseException) -> End:
    if isinstance(error, KeyboardInterrupt):
        return End("interrupted", "at once")
    return End("failed", f"{type(error).__name__}: {error}")
