"""The worker's side, shared by all executors: one job in, its reports and exactly one outcome out."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from luthier.errors import LuthierError, ObjectiveError, Stop
from luthier.executors.base import Job
from luthier.files import AttemptFiles
from luthier.objectives.command import CommandFailed
from luthier.objectives.context import Task
from luthier.objectives.function import metrics_of, number
from luthier.space import Scalar
from luthier.study import Completed, Failed, Outcome, Report, Stopped

Send = Callable[[Report], str | None]
"""Takes a report on its way; answers with the reason where the trial has been told to end."""

LONGEST_ERROR = 4_000
LONGEST_TRACEBACK = 40_000


class JobContext:
    """The `trial` that an objective receives."""

    def __init__(
        self,
        job: Job,
        send: Send,
        scratch: str | None = None,
        told: Callable[[], str | None] = lambda: None,
        amounts: bool = True,
    ) -> None:
        self._job = job
        self._send = send
        self._told = told
        self._files = AttemptFiles(job.number, job.attempt, job.files, job.workdir, scratch)
        self._step = self.restored_step
        self._over = False
        self._amounts = amounts

    @property
    def number(self) -> int:
        """The trial's number in its study."""
        return self._job.number

    @property
    def attempt(self) -> int:
        """1 for the first attempt, more where an earlier one was lost."""
        return self._job.attempt

    @property
    def params(self) -> Mapping[str, Scalar]:
        """The values to use."""
        return self._job.params

    @property
    def fidelity(self) -> float | None:
        """How much of a full training to spend; None where the study knows no fidelity."""
        return self._job.fidelity

    @property
    def seed(self) -> int:
        """A seed of this trial's own, the same on every attempt."""
        return self._job.seed

    @property
    def earlier(self) -> Mapping[int, Mapping[str, float]]:
        """What attempts that came to nothing had reported, by step."""
        return self._job.earlier

    @property
    def workdir(self) -> Path:
        """A folder of this attempt's own, made on first use; removed afterwards where the study keeps none."""
        return self._files.workdir

    @property
    def restored(self) -> Path | None:
        """The checkpoint to go on from, as the file or folder it was; None to start from the beginning."""
        return None if self._files.restored is None else self._files.restored.path

    @property
    def restored_step(self) -> int | None:
        """The step that `restored` is as of."""
        return None if self._files.restored is None else self._files.restored.step

    @property
    def told(self) -> str | None:
        """Why the trial has been told to end; None while it may go on."""
        return self._told()

    def report(self, step: int, metrics: Mapping[str, float] | None = None, /, **more: float) -> None:
        """Say how it is going. Raises Stop (let it pass) when the trial has been told to end, each time."""
        self._alive()
        report = _report(step, metrics, more)
        if self._amounts and self.fidelity is not None and report.step > self.fidelity >= 1:
            raise ObjectiveError(
                f"trial {self.number} was to be trained to {self.fidelity:g}, and reports step {report.step}. "
                "Train no further than trial.fidelity says, and report steps of that unit."
            )
        self._step = report.step
        reason = self._send(report)
        if reason is not None:
            raise Stop(reason)

    def checkpoint(
        self, path: str | os.PathLike[str], *, step: int | None = None, move: bool = False
    ) -> None:
        """Hand over a file or folder from which the training can go on, as of `step`."""
        self._alive()
        self._files.checkpoint(path, self._step if step is None else int(step), move=move)

    def save(self, name: str, path: str | os.PathLike[str], *, move: bool = False) -> None:
        """Keep a file or folder with the trial, under `name`."""
        self._alive()
        self._files.save(name, path, move=move)

    def end(self) -> None:
        """Tidy up after the objective."""
        self._over = True
        self._files.end()

    def _alive(self) -> None:
        if self._over:
            raise Stop(f"trial {self.number} is over")  # a thread that the objective left behind


def run(
    task: Task,
    job: Job,
    objective: str,
    send: Send,
    scratch: str | None = None,
    told: Callable[[], str | None] = lambda: None,
) -> Outcome:
    """Run one job to its outcome, whatever the task does. Temporary work folders go below `scratch`; `told` answers
    with the reason once the trial has been told to end.
    """
    context = JobContext(job, send, scratch, told, amounts=not getattr(task, "reports_folds", False))
    before = sys.exception()
    try:
        return Completed(metrics_of(task(context), (objective,)))
    except BaseException as error:  # every end of an objective is an outcome
        return outcome_of(error, before)
    finally:
        context.end()


def outcome_of(error: BaseException, before: BaseException | None = None) -> Outcome:
    """What it means that an objective raised `error`; `before` is what was being handled when it began."""
    stop = stop_behind(error, before)
    if stop is not None:
        return Stopped(str(stop) or "the objective stopped itself")
    if isinstance(error, CommandFailed):
        return error.outcome
    if isinstance(error, LuthierError):
        text = str(error)
    elif isinstance(error, SystemExit):
        text = f"the objective called sys.exit({error.code!r}). Return the metrics, or raise an exception."
    else:
        text = f"{type(error).__name__}: {_said(error)}".removesuffix(": ")
    return Failed(_cut(text, LONGEST_ERROR), traceback_of(error))


def traceback_of(error: BaseException) -> str | None:
    """The traceback as text, with our own frames cut away; None where nothing else is left."""
    trace = traceback.TracebackException.from_exception(error)
    _forget_our_frames(trace, set())
    if not trace.stack:
        return None
    text = "".join(trace.format())
    return text if len(text) <= LONGEST_TRACEBACK else "...\n" + text[-LONGEST_TRACEBACK:]


def _report(step: int, metrics: Mapping[str, float] | None, more: Mapping[str, float]) -> Report:
    if isinstance(step, bool) or not isinstance(step, int | np.integer):
        raise ObjectiveError(
            f"trial.report was given the step {step!r}. Use a whole number, then the metrics by name."
        )
    if metrics is not None and not isinstance(metrics, Mapping):
        raise ObjectiveError(
            f"trial.report was given {metrics!r} without a name. Name it: trial.report({step}, loss={metrics!r})."
        )
    said = {**(metrics or {}), **more}
    if not said:
        raise ObjectiveError(
            f"trial.report({step}) names no metric. Add one: trial.report({step}, loss=...)."
        )
    return Report(int(step), {str(name): number(value, name) for name, value in said.items()})


def stop_behind(error: BaseException, before: BaseException | None = None) -> Stop | None:
    """The Stop that was raised, or that a library wrapped in an error of its own; not one from `before`, what was being handled when
    the objective began: CatBoost leaves an earlier trial's there for ever.
    """
    seen: set[int] = set()
    while before is not None and id(before) not in seen:
        seen.add(id(before))
        before = before.__cause__ or before.__context__
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        if isinstance(link, Stop):
            return link
        seen.add(id(link))
        link = link.__cause__ or link.__context__
    return None


_OURS = (str(Path(__file__).parent), str(Path(metrics_of.__code__.co_filename).parent))


def _forget_our_frames(trace: traceback.TracebackException, seen: set[int]) -> None:
    if id(trace) in seen:
        return
    seen.add(id(trace))
    trace.stack[:] = [frame for frame in trace.stack if not frame.filename.startswith(_OURS)]
    for other in (trace.__cause__, trace.__context__, *(trace.exceptions or ())):
        if other is not None:
            _forget_our_frames(other, seen)


def _said(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # an exception that cannot even say itself
        return "(its message cannot be shown)"


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 3] + "..."
