"""Pre-flight: what would go wrong with a study, found in seconds instead of after an hour; and how long it would take."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from timeit import default_timer
from typing import Any, Literal

import numpy as np

from luthier.analysis.table import number
from luthier.errors import InvalidStudy, LuthierError, StudyNotFound
from luthier.executors.base import Ended, Event, Executor, Job
from luthier.executors.inline import Inline
from luthier.executors.processes import Processes, cores
from luthier.executors.sending import packed
from luthier.objectives import programs
from luthier.objectives.command import RECORD, Command
from luthier.objectives.context import Task
from luthier.objectives.crossval import CrossValidation
from luthier.objectives.function import as_task
from luthier.space import Params, Space
from luthier.store.url import home, open_store
from luthier.study import Budget, Completed, Failed, Fidelity
from luthier.summary import duration, plural, settings, shortened

SAMPLES = 50
SCARCE_DISK = 200e6
"""Bytes free below which a study is likely to fill the disk."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: all is well, worth knowing, or wrong."""

    level: Literal["ok", "note", "error"]
    text: str


def check(task: Task, space: Space, executor: Executor) -> None:
    """The part of it that takes no time, for every study before it begins; raises what would go wrong."""
    _sampled(space)
    if isinstance(executor, Processes):
        packed(task)


def examine(
    objective: Callable[..., Any] | CrossValidation | Command,
    space: Space | None = None,
    *,
    metrics: Sequence[str] = (),
    fidelity: Fidelity | None = None,
    budget: Budget,
    workers: int = 1,
    trial_memory: float | None = None,
    name: str | None = None,
    store: str | None = None,
    fit: bool = True,
    call: bool = False,
) -> list[Finding]:
    """Look at a question without asking it; `metrics` are those to optimise.

    `fit` fits an estimator once, on one fold at its defaults, to say how long the study takes; `call` calls a function, or runs
    a command, once for the same end.
    """
    folds, seconds = 1, None
    amount = None if fidelity is None else fidelity.near(fidelity.high)
    found: list[Finding] = []
    try:
        task, space = _task(objective, space, metrics, fidelity)
        found += [_said(objective), *_sent(task, workers), _sampled(space)]
        if isinstance(task, CrossValidation):
            folds, metric = task.folds, next(iter([*metrics, *task.scorers]))
            found += [*_data(task), _scored(task, metric)]
        else:
            metric = metrics[0]
        if isinstance(task, Command):
            found += [Finding("note", note) for note in task.check(space)]
            if call:
                told, seconds = _ran(task, space, metric, amount)
                found += told
            else:
                found.append(Finding("note", "what it reports shows when it runs; --try runs it once"))
        elif isinstance(task, CrossValidation) and fit:
            tried, seconds = _fitted(task, space, metric)
            found.append(tried)
        elif not isinstance(task, CrossValidation) and call:
            tried, seconds = _called(task, space, metric, amount)
            found.append(tried)
        elif not isinstance(task, CrossValidation):
            found.append(Finding("note", "what it returns shows when it runs; --try calls it once"))
    except LuthierError as error:
        found.append(Finding("error", str(error)))
    found += _kept(name, store)
    found += _resources(workers, trial_memory, store)
    found.append(_plan(budget, folds, workers, seconds))
    return found


# --- what is run -------------------------------------------------------------------------------


def _task(
    objective: Callable[..., Any] | CrossValidation | Command,
    space: Space | None,
    metrics: Sequence[str],
    fidelity: Fidelity | None,
) -> tuple[Task, Space]:
    """The task and the space, as `tune` makes them."""
    if isinstance(objective, CrossValidation):
        objective = objective.scored_by(metrics)
        objective = objective if fidelity is None else objective.trained_by(fidelity)
        space = objective.space() if space is None else space
        objective.check(space)
        return objective, space
    if space is None:
        raise InvalidStudy("no space is given. Say what may be chosen: Space(lr=Float(1e-5, 1e-1)).")
    name = None if fidelity is None else fidelity.name
    if isinstance(objective, Command):
        task = objective.measured_by(metrics, name)
        task.check(space)
        return task, space
    return as_task(objective, space, metrics, name), space


def _said(objective: Any) -> Finding:
    if isinstance(objective, CrossValidation):
        return Finding("ok", f"{objective.path} can be imported and made")
    if isinstance(objective, Command):
        what = "the shell" if objective.shell else programs.found(objective.words[0], objective.env)
        return Finding("ok", f"the command runs {what}, and every placeholder has a parameter")
    return Finding(
        "ok", f"{objective.__module__}:{getattr(objective, '__qualname__', objective)} takes every parameter"
    )


def _sent(task: Task, workers: int) -> Iterator[Finding]:
    if isinstance(task, Command):
        return
    try:
        size = packed(task).size
    except LuthierError as error:
        yield Finding("error" if workers > 1 else "note", str(error))
    else:
        yield Finding("note" if size > 1e9 else "ok", f"it can be sent to worker processes ({_size(size)})")


def _sampled(space: Space) -> Finding:
    rng = np.random.default_rng(0)
    for _ in range(SAMPLES):
        space.check(space.sample(rng))
    drawn = f"{SAMPLES} points of {plural(len(space), 'parameter')} drawn and checked"
    return Finding("ok", f"{drawn}: {shortened(', '.join(space), 80)}")


def _scored(task: CrossValidation, metric: str) -> Finding:
    others = [name for name in task.scorers if name != metric]
    more = f", beside {', '.join(others)}" if others else ""
    return Finding("ok", f"{metric}{more}, {task.cv}")


def _data(task: CrossValidation) -> Iterator[Finding]:
    data = task.data
    classes = f", {len(data.classes)} classes" if task.classifier and data.classes else ""
    yield Finding("ok", f"{data.name}: {plural(data.rows, 'row')}, {plural(data.columns, 'column')}{classes}")
    if data.dropped:
        yield Finding("note", f"{plural(data.dropped, 'row')} of {data.name} left out, having no target")
    found = task.preparation
    for row in found.rows:
        yield Finding("ok", f"prepared: {row}")
    for note in found.notes:
        yield Finding("note", note)


def _fitted(task: CrossValidation, space: Space, metric: str) -> tuple[Finding, float | None]:
    """One fold at the defaults; with it, about how many seconds a trial takes."""
    params = task.defaults(space) or space.sample(np.random.default_rng(0))
    event, seconds = _tried(task, metric, params, first=True)
    if isinstance(event, Ended):
        return _failed(event, params), None
    value = event.report.metrics[metric]
    told = f"one of {task.folds} folds at the defaults took {duration(seconds)}: {metric} {number(value)}"
    return Finding("ok", told), seconds * task.folds


def _called(task: Task, space: Space, metric: str, fidelity: float | None) -> tuple[Finding, float | None]:
    """The function once, at some point of the space."""
    params = space.sample(np.random.default_rng(0))
    event, seconds = _tried(task, metric, params, fidelity, first=False)
    if not isinstance(event, Ended) or not isinstance(event.outcome, Completed):
        return _failed(event, params), None
    said = ", ".join(f"{name} {number(value)}" for name, value in event.outcome.metrics.items())
    return Finding("ok", f"called once, it returned {said} in {duration(seconds)}"), seconds


def _ran(
    task: Command, space: Space, metric: str, fidelity: float | None
) -> tuple[list[Finding], float | None]:
    """The command once, at some point of the space: how long it took, what it reported, what was odd."""
    params, steps = space.sample(np.random.default_rng(0)), []
    started = default_timer()
    with tempfile.TemporaryDirectory(prefix="luthier-") as folder, Inline().open(task, metric) as pool:
        pool.submit(Job(number=0, attempt=1, params=params, seed=0, fidelity=fidelity, workdir=folder))
        event: Event | None = None
        while not isinstance(event, Ended):
            for event in pool.events(1.0):
                if not isinstance(event, Ended) and metric in event.report.metrics:
                    steps.append(event.report.step)
        seconds = default_timer() - started
        record = Path(folder) / RECORD
        notes = json.loads(record.read_text())["notes"] if record.exists() else []
    found = [Finding("note", note) for note in notes]
    if not isinstance(event.outcome, Completed):
        return [_failed(event, params), *found], None
    ends = ", ".join(f"{name} {number(value)}" for name, value in event.outcome.metrics.items())
    reported = f" at steps {min(steps)} to {max(steps)}" if steps else " at its end only"
    told = f"the command runs ({duration(seconds)}), reported {metric}{reported}; it ended with {ends}"
    return [Finding("ok", told), *found], seconds


def _tried(
    task: Task, metric: str, params: Params, fidelity: float | None = None, *, first: bool
) -> tuple[Event, float]:
    """Run one trial here, as a study would: its end, or with `first` its first report if that comes before; and when."""
    started = default_timer()
    with Inline().open(task, metric) as pool:
        pool.submit(Job(number=0, attempt=1, params=params, seed=0, fidelity=fidelity))
        while True:
            for event in pool.events(1.0):
                if isinstance(event, Ended) or first:
                    return event, default_timer() - started


def _failed(event: Event, params: Params) -> Finding:
    """What went wrong in a trial that was to be tried only."""
    outcome = event.outcome if isinstance(event, Ended) else None
    reason = outcome.error if isinstance(outcome, Failed) else "it ended without a result"
    return Finding("error", f"tried at {settings(params)}: {reason}")


# --- where it is kept, what it needs -----------------------------------------------------------


def _kept(name: str | None, store: str | None) -> Iterator[Finding]:
    if name is None:
        yield Finding("note", "the study has no name: it lives in memory and is gone with the process")
        return
    try:
        opened = open_store(store, readonly=True)
    except StudyNotFound:
        yield _writable(
            _existing(home(store)), f"study {name} will be kept in {home(store)}, which will be made"
        )
        return
    except LuthierError as error:
        yield Finding("error", str(error))
        return
    try:
        counts = opened.study(name).counts
    except StudyNotFound:
        yield _writable(home(store), f"study {name} will be kept in {home(store)}")
    else:
        ended = sum(n for state, n in counts.items() if state.ended)
        told = f"study {name} is there already, with {plural(ended, 'trial')}; it goes on from them if it asks the same"
        yield _writable(home(store), told, "note")
    finally:
        opened.close()


def _writable(folder: Path, told: str, level: Literal["ok", "note"] = "ok") -> Finding:
    if not os.access(folder, os.W_OK | os.X_OK):
        return Finding("error", f"the folder {folder} cannot be written to. Choose another with --store.")
    return Finding(level, told)


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    folder = folder.absolute()
    return next(path for path in (folder, *folder.parents) if path.exists())


def _resources(workers: int, trial_memory: float | None, store: str | None) -> Iterator[Finding]:
    if workers > cores():
        yield Finding(
            "note",
            f"{workers} workers share {plural(cores(), 'core')}: more than that many gain nothing as a rule",
        )
    available = _memory()
    if trial_memory is not None and available is not None and trial_memory * workers > available:
        need = f"{plural(workers, 'worker')} with {_size(trial_memory)} each"
        yield Finding("note", f"{need} may need more than the {_size(available)} of memory that are free")
    free = shutil.disk_usage(_existing(home(store))).free
    if free < SCARCE_DISK:
        yield Finding("note", f"only {_size(free)} of disk are free in {_existing(home(store))}")


def _memory() -> float | None:
    """Bytes of memory that are free, where the system says so."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(float(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return None


def _size(size: float) -> str:
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size:.0f} bytes"


# --- what it means -----------------------------------------------------------------------------


def _plan(budget: Budget, folds: int, workers: int, seconds: float | None) -> Finding:
    """How many trials and fits, and from one of them about how long; `seconds` is the time of a trial."""
    ends = []
    if budget.trials is not None:
        fits = f" x {folds} folds = {budget.trials * folds:,} fits" if folds > 1 else ""
        ends.append(f"{plural(budget.trials, 'trial')}{fits}")
    if budget.seconds is not None:
        ends.append(f"at most {duration(budget.seconds)}")
    if budget.until is not None:
        ends.append("until gains are below the noise")
    if budget.target is not None:
        ends.append(f"until {budget.target:g} is reached")
    if budget.failures is not None:
        ends.append(f"until {plural(budget.failures, 'trial')} failed")
    if not ends:
        return Finding(
            "note", "there is no budget; only a grid ends by itself. Write [budget] with trials = 100"
        )
    told = f"{' or '.join(ends)} on {plural(workers, 'worker')}"
    if seconds is None or budget.trials is None:
        return Finding("note", told)
    whole = budget.trials * seconds / min(workers, cores())
    if budget.seconds is not None and whole > budget.seconds:
        return Finding("note", f"{told}: about {duration(whole)} for all, so time will end it first")
    return Finding("note", f"{told}: about {duration(whole)}, if other points take as long")
