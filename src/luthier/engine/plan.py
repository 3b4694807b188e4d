"""decide(): every decision of the engine, as a pure function of its situation."""

from __future__ import annotations

from dataclasses import dataclass

from luthier.study import Budget, Objective, State, Trial


@dataclass(frozen=True, slots=True)
class Situation:
    """All that the engine's next step depends on.

    `ended`, `failed`, `waiting` and `total` count the study's trials whoever works on them, `running` those of
    this engine, which has room for `slots`. `seconds` is the time worked on the study.
    """

    budget: Budget
    objective: Objective
    total: int
    ended: int
    failed: int
    waiting: int
    running: int
    slots: int
    seconds: float
    best: Trial | None = None
    batch: int | None = None
    stop: str | None = None
    interrupted: bool = False
    exhausted: bool = False
    broken: str | None = None


@dataclass(frozen=True, slots=True)
class End:
    """Why an engine stops working on a study.

    `complete` means that the question is answered: going on needs a larger budget. `abrupt` means that
    running trials are told to stop rather than waited for, `broken` that nothing but failures came.
    """

    reason: str
    complete: bool
    abrupt: bool = False
    broken: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now: end, or take so many waiting trials and propose so many new ones."""

    end: End | None = None
    claim: int = 0
    propose: int = 0


def decide(s: Situation) -> Plan:
    """The next step."""
    end = ending(s)
    if end is not None:
        return Plan(end=end)
    free = s.slots - s.running
    claim = min(free, s.waiting)
    left = s.total - s.ended
    if s.batch is None:
        propose = free - claim
    else:  # a whole batch at a time, and only when all of the one before have ended
        propose = s.batch if left == 0 else 0
    if s.budget.trials is not None:
        propose = min(propose, s.budget.trials - s.total)
    if s.exhausted:
        propose = 0
    return Plan(claim=claim, propose=max(propose, 0))


def ending(s: Situation) -> End | None:
    """Why to end now, if there is a reason."""
    b = s.budget
    if s.broken is not None:
        return End(s.broken, complete=False, abrupt=True, broken=True)
    if s.stop is not None:
        return End(f"stopped: {s.stop}", complete=False, abrupt=True)
    if b.target is not None and s.best is not None:
        value = s.best.metrics[s.objective.metric]
        if s.objective.reached(value, b.target):
            reason = f"trial {s.best.number} reached the target: {s.objective.metric} {value:.6g}, asked for {b.target:g}"
            return End(reason, complete=True, abrupt=True)
    if b.failures is not None and s.failed >= b.failures:
        return End(f"{s.failed} trials failed, and {b.failures} were allowed", complete=True, abrupt=True)
    if b.seconds is not None and s.seconds >= b.seconds:
        return End(f"the time budget of {b.seconds:g} s is used up", complete=True, abrupt=True)
    if b.trials is not None and s.ended >= b.trials:
        return End(f"{s.ended} of {b.trials} trials are done", complete=True)
    if s.exhausted and s.ended == s.total:
        return End(f"every point of the space has been tried, in {s.total} trials", complete=True)
    if s.interrupted:
        return End("interrupted", complete=False)
    return None


def broken(failures: list[Trial], same: int) -> str | None:
    """The sentence to stop with if the first `same` trials all failed in one way; `failures` are the first that
    ended, as long as all of them failed.
    """
    if len(failures) < same or len({_kind(trial) for trial in failures[:same]}) > 1:
        return None
    first = failures[0]
    return f"the first {same} trials failed in the same way, and nothing more was tried. Trial {first.number}: {first.reason}"


def _kind(trial: Trial) -> str:
    """What makes two failures the same: where they were raised, or if that is unknown, what they say."""
    if trial.traceback is None or trial.state is not State.FAILED:
        return trial.reason or ""
    return "\n".join(line for line in trial.traceback.splitlines() if line.lstrip().startswith("File "))
