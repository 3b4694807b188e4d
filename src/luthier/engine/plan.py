"""decide(): every decision of the engine, as a pure function of its situation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from luthier.study import Budget, Objective, State, Trial


@dataclass(frozen=True, slots=True)
class Situation:
    """All that the engine's next step depends on.

    `ended`, `failed`, `waiting` and `total` count the study's trials whoever works on them, `running` those of
    this engine, which has room for `slots`. `seconds` is the time worked on the study. `enough` says why more trials are not
    worth it, where somebody wants to know (`Budget.until`), `cost` what the trials cost, in the budget's currency. `slow` is true where a proposal takes long for how short trials are.
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
    enough: str | None = None
    slow: bool = False
    cost: float = 0.0
    now: float = 0.0


SHARE = 0.2
"""Of a time budget such a part is used before it can be enough."""
PAUSED = "paused"
"""The reason of a request to stop that lets running trials finish."""
Word = Literal["complete", "exhausted", "stopped", "interrupted", "failed"]


@dataclass(frozen=True, slots=True)
class End:
    """Why an engine stops working on a study, in a word and a sentence; `str` of it is what the store keeps.

    A study is complete when its budget is used up, exhausted when nothing is left to try whatever the budget; it failed
    when nothing but failures came. `abrupt` means that running trials are told to stop rather than waited for.
    """

    word: Word
    why: str
    abrupt: bool = False

    @property
    def answered(self) -> bool:
        """Whether working on it again, with the budget as it is, would do nothing."""
        return self.word in ("complete", "exhausted")

    def __str__(self) -> str:
        return f"{self.word}: {self.why}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now: end, or take so many waiting trials and propose so many new ones; `ahead` is for later, to wait until there is
    room.
    """

    end: End | None = None
    claim: int = 0
    propose: int = 0
    ahead: bool = False


def decide(s: Situation) -> Plan:
    """The next step."""
    end = ending(s)
    if end is not None:
        return Plan(end=end)
    free = s.slots - s.running
    claim = min(free, s.waiting)
    left = s.total - s.ended
    ahead = s.slow and s.batch is None and s.slots > 1 and free <= 0 and s.waiting == 0
    if s.batch is None:
        propose = 1 if ahead else free - claim
    else:  # a whole batch at a time, and only when all of the one before have ended
        propose = s.batch if left == 0 else 0
    if s.budget.trials is not None:
        propose = min(propose, s.budget.trials - s.total)
    if s.exhausted:
        propose = 0
    return Plan(claim=claim, propose=max(propose, 0), ahead=ahead)


def ending(s: Situation) -> End | None:
    """Why to end now, if there is a reason."""
    b = s.budget
    if s.broken is not None:
        return End("failed", s.broken, abrupt=True)
    if s.stop is not None:
        return End("stopped", s.stop, abrupt=s.stop != PAUSED)
    if b.target is not None and s.best is not None:
        value = s.best.metrics[s.objective.metric]
        if s.objective.reached(value, b.target):
            reason = f"trial {s.best.number} reached the target: {s.objective.metric} {value:.6g}, asked for {b.target:g}"
            return End("complete", reason, abrupt=True)
    if b.failures is not None and s.failed >= b.failures:
        return End("complete", f"{s.failed} trials failed, and {b.failures} were allowed", abrupt=True)
    if b.seconds is not None and s.seconds >= b.seconds:
        return End("complete", f"the time budget of {b.seconds:g} s is used up", abrupt=True)
    if b.cost is not None and s.cost >= b.cost:
        why = f"the budget of {b.cost:g} {b.currency} is used up, with {s.cost:.6g} by {s.total} trials"
        return End("complete", why, abrupt=True)
    if b.deadline is not None and s.now >= b.deadline:
        return End("complete", "the deadline has come", abrupt=True)
    if b.trials is not None and s.ended >= b.trials:
        return End("complete", f"{s.ended} of {b.trials} trials are done")
    if s.exhausted and s.ended == s.total:
        return End("exhausted", f"nothing is left to try, after {s.total} trials")
    if s.enough is not None and s.seconds >= SHARE * (b.seconds or 0.0):
        return End("complete", s.enough)
    if s.interrupted:
        return End("interrupted", "the same call goes on")
    return None


def broken(failures: Sequence[Trial], same: int) -> str | None:
    """The sentence to stop with if the first `same` trials all failed in one way; `failures` are the first that
    ended, as long as all of them failed.
    """
    first = failures[: int(same)]
    if len(first) < same or len({_kind(trial) for trial in first}) > 1:
        return None
    which = "the only trial failed" if same == 1 else f"the first {same} trials failed in the same way"
    return f"{which}, and nothing more was tried. Trial {first[0].number}: {first[0].reason}"


def _kind(trial: Trial) -> str:
    """What makes two failures the same: where they were raised, or if that is unknown, what they say; of a command, whose log
    stands for a traceback, the first sentence.
    """
    if trial.traceback is None or trial.state is not State.FAILED:
        return trial.reason or ""
    frames = [line for line in trial.traceback.splitlines() if line.lstrip().startswith("File ")]
    return "\n".join(frames) or (trial.reason or "").partition(". ")[0]
