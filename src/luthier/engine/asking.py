"""Asking and telling, for people who own their loop: `propose` and `record` without a pool."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Mapping
from pathlib import Path

from luthier.clock import Clock
from luthier.engine.identity import is_gone, new_worker
from luthier.engine.mind import Mind
from luthier.engine.plan import End, Situation, decide
from luthier.engine.rules import Rules
from luthier.errors import InvalidStudy, Stop, StudyEnded
from luthier.files import AttemptFiles, StudyFiles
from luthier.space import Params
from luthier.store.base import Changes, Store
from luthier.study import History, Lost, Outcome, Problem, Record, Report, State, Trial


class OpenTrial:
    """A trial somebody asked for and has not told the outcome of."""

    def __init__(self, asker: Asker, trial: Trial, seed: int, files: AttemptFiles) -> None:
        self._asker = asker
        self._files = files
        self._step = self.restored_step
        self.number = trial.number
        self.attempt = trial.attempt
        self.params: Params = trial.params
        self.fidelity = asker.problem.amount(trial.fidelity)
        self.seed = seed
        self.earlier = {report.step: report.metrics for report in trial.reports}
        """What attempts that came to nothing had reported, by step."""
        self.result: float | Mapping[str, float] | None = None
        """What `with study.trial()` tells at the end of the block; None tells the last report."""
        self.last: dict[str, float] | None = None
        """The latest value reported of each metric."""

    @property
    def workdir(self) -> Path:
        """A folder of this attempt's own, made on first use; of a study in memory removed when the trial has ended."""
        return self._files.workdir

    @property
    def restored(self) -> Path | None:
        """The checkpoint to go on from, as the file or folder it was; None to start from the beginning."""
        return None if self._files.restored is None else self._files.restored.path

    @property
    def restored_step(self) -> int | None:
        """The step that `restored` is as of."""
        return None if self._files.restored is None else self._files.restored.step

    def checkpoint(
        self, path: str | os.PathLike[str], *, step: int | None = None, move: bool = False
    ) -> None:
        """Hand over a file or folder from which the training can go on, as of `step`, by default that of the latest report."""
        self._files.checkpoint(path, self._step if step is None else int(step), move=move)

    def save(self, name: str, path: str | os.PathLike[str], *, move: bool = False) -> None:
        """Keep a file or folder with the trial, under `name`."""
        self._files.save(name, path, move=move)

    def report(self, step: int, metrics: Mapping[str, float] | None = None, /, **more: float) -> None:
        """Say how it is going; raises Stop when the trial has been told to end."""
        self._step = int(step)
        said = {name: float(value) for name, value in {**(metrics or {}), **more}.items()}
        self.last = {**(self.last or {}), **said}
        self._asker.report(self, Report(int(step), said))

    def end(self) -> None:
        """Remove what was temporary."""
        self._files.end()

    def __repr__(self) -> str:
        return f"<trial {self.number}: {dict(self.params)}>"


class Asker:
    """One process's way to a study that it works on by hand, or only looks at. Safe to use from several threads."""

    def __init__(self, store: Store, mind: Mind, clock: Clock, rules: Rules, files: StudyFiles) -> None:
        self._store = store
        self._mind = mind
        self._clock = clock
        self._rules = rules
        self._files = files
        self._worker = new_worker()
        self._held: dict[int, int] = {}  # number -> attempt
        self._lock = threading.RLock()
        self._beating: threading.Thread | None = None
        self._closed = threading.Event()

    @property
    def _name(self) -> str:
        return self._mind.spec.name

    @property
    def problem(self) -> Problem:
        """What is asked."""
        return self._mind.spec.problem

    def look(self) -> tuple[History, Changes]:
        """All trials as of now, and what is new."""
        with self._lock:
            changes = self._store.changed(self._name, self._mind.history.cursor)
            self._mind.learn(changes)
            return self._mind.history, changes

    def end(self) -> End | None:
        """Why there is nothing left to do, if there is a reason."""
        with self._lock:
            _, changes = self.look()
            return decide(self._situation(changes)).end

    def ask(self) -> OpenTrial:
        """A trial to work on. Raises StudyEnded."""
        with self._lock:
            self._keep_alive()
            while True:
                trial = self._next()
                if trial is not None:
                    self._held[trial.number] = trial.attempt
                    seed = self._mind.spec.trial_seed(trial.number)
                    return OpenTrial(self, trial, seed, self._files.attempt(trial))

    def _next(self) -> Trial | None:
        """One look at the study, one try to get a trial; None if somebody else was faster."""
        history, changes = self.look()
        plan = decide(self._situation(changes))
        if plan.end is not None:
            raise StudyEnded(f"study {self._name!r} has ended: {plan.end.why}. A larger budget goes on.")
        if plan.claim:
            return next(iter(self._store.claim(self._name, self._worker, 1, self._rules.lease)), None)
        proposals = self._mind.think(min(plan.propose, 1) if self._mind.spec.batch is None else plan.propose)
        if not proposals:
            if self._mind.exhausted:
                return None  # the next look finds the end
            running = history.counts[State.RUNNING]
            raise StudyEnded(
                f"study {self._name!r} has nothing to give out: {running} trials are still running elsewhere."
            )
        claim = (self._worker, self._rules.lease) if self._mind.spec.batch is None else None
        made = self._store.propose(
            self._name, proposals, expect=len(history), seen=history.cursor, claim=claim
        )
        return next((trial for trial in made if trial.state is State.RUNNING), None)

    def report(self, trial: OpenTrial, report: Report) -> None:
        """Write a report down; raises Stop if the trial has been told to end."""
        with self._lock:
            self._store.record(self._name, [Record(trial.number, trial.attempt, report)])
            history, changes = self.look()
            reason = self._mind.judge(history[trial.number]) or changes.stop
        if reason is not None:
            raise Stop(reason)

    def tell(self, trial: OpenTrial | int, outcome: Outcome) -> None:
        """Write down how a trial ended."""
        with self._lock:
            if isinstance(trial, int):
                history, _ = self.look()
                if not 0 <= trial < len(history):
                    raise InvalidStudy(f"study {self._name!r} has no trial {trial}; it has {len(history)}.")
                number, attempt = trial, history[trial].attempt
            else:
                number, attempt = trial.number, trial.attempt
            self._store.record(self._name, [Record(number, attempt, outcome)], attempts=self._rules.attempts)
            self._held.pop(number, None)
            if isinstance(trial, OpenTrial):
                trial.end()
            history, _ = self.look()
            if history[number].state.ended:
                self._files.tidy(history, [history[number]])

    def close(self) -> None:
        """Give back what was asked for and not told."""
        self._closed.set()
        with self._lock:
            lost = [Record(number, attempt, Lost("given back")) for number, attempt in self._held.items()]
            self._held.clear()
            if lost:
                self._store.record(self._name, lost, attempts=self._rules.attempts)

    def _situation(self, changes: Changes) -> Situation:
        return self._mind.situation(
            changes, seconds=changes.seconds, running=0, slots=1, now=self._clock.now()
        )

    def _keep_alive(self) -> None:
        """Take over what dead processes held, and see to it that our own leases do not run out meanwhile."""
        gone = [worker for worker in self._store.workers(self._name) if is_gone(worker)]
        self._store.reap(self._name, attempts=self._rules.attempts, gone=gone)
        if self._beating is None:
            self._beating = threading.Thread(
                target=_beat, args=(weakref.ref(self), self._closed, self._rules.lease / 4), daemon=True
            )
            self._beating.start()

    def renew(self) -> None:
        """Say that this process is alive."""
        with self._lock:
            if self._held and not self._closed.is_set():
                self._store.renew(self._name, self._worker, self._rules.lease)


def _beat(asker: weakref.ref[Asker], closed: threading.Event, seconds: float) -> None:
    """Renew leases until the asker is closed or forgotten."""
    while not closed.wait(seconds):
        alive = asker()
        if alive is None:
            return
        alive.renew()
        del alive
