"""What a store promises: verbs of the domain, each one transaction.

Every verb that writes moves the study's sequence number on by one and stamps the trials it touches, so
`changed(since)` is a complete and cheap feed: what an engine, the command line or a page has not
seen yet. Implementations are held to this by `luthier.testing.StoreContract`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from luthier.space import Params
from luthier.study import Budget, Metrics, Proposal, Record, State, StudySpec, Trial

Json = Any


@dataclass(frozen=True, slots=True)
class StudyRow:
    """A line of the list of studies.

    `seq` moves with every change. `stop` is a request to end the study that no engine has
    obeyed yet, `ended` says why the last engine ended (None while one is at work or was killed), `seconds`
    is the time engines worked on it, `counts` the trials by state. Times are seconds since 1970 in UTC.
    """

    name: str
    seq: int
    created: float
    seconds: float
    active: float | None
    stop: str | None
    ended: str | None
    counts: Mapping[State, int]


@dataclass(frozen=True, slots=True)
class Changes:
    """What happened to a study since a cursor.

    `trials` are those that changed, whole, in the order of their last change (ties by number); `cursor` is where to go on
    from. `stop`, `seconds` and `budget` are the study's as of now.
    """

    trials: Sequence[Trial]
    cursor: int
    stop: str | None
    seconds: float
    budget: Budget


@dataclass(frozen=True, slots=True)
class Brief:
    """What is asked of all trials of a large study: a trial without its parameters, reports and words."""

    number: int
    seq: int
    state: State
    metrics: Metrics
    fidelity: float | None
    started: float | None
    ended: float | None


@dataclass(frozen=True, slots=True)
class LogRow:
    """Something that happened, for people: who did what, when, why. Nothing depends on it."""

    id: int
    time: float
    number: int | None
    event: str
    text: str


class Reader(Protocol):
    """Looking, which can neither lock nor change anything."""

    def studies(self) -> list[StudyRow]:
        """Every study, the latest first."""
        ...

    def study(self, study: str) -> StudyRow:
        """One study's line; raises StudyNotFound."""
        ...

    def spec(self, study: str) -> StudySpec:
        """The question, with the budget as it is now; raises StudyNotFound."""
        ...

    def facts(self, study: str) -> dict[str, Json]:
        """What was found out about the study besides its trials: splits, versions, where the model is."""
        ...

    def changed(self, study: str, since: int = 0) -> Changes:
        """What changed after cursor `since`. Costs next to nothing where nothing did."""
        ...

    def cursors(self) -> dict[str, int]:
        """The cursor of every study; where it is what it was, `changed` would say nothing new."""
        ...

    def trials(self, study: str, numbers: Sequence[int]) -> list[Trial]:
        """Those of the trials that there are, whole, in the order asked for."""
        ...

    def brief(self, study: str, since: int = 0, low: int = 0, high: int | None = None) -> list[Brief]:
        """Trials `low` to `high`, the latter left out, that changed after cursor `since`, in brief, by number: at a fifth of the
        cost of `changed`, and as many at a time as there is room for.
        """
        ...

    def params(self, study: str, low: int = 0, high: int | None = None) -> Sequence[Params]:
        """The parameters of trials `low` to `high`, the latter left out, by number. They never change, so whoever has those of a trial
        has them for good.
        """
        ...

    def log(self, study: str, since: int = 0) -> list[LogRow]:
        """What happened after log row `since`."""
        ...

    def close(self) -> None:
        """Let go of connections; the store cannot be used afterwards."""
        ...


class Intents(Protocol):
    """What a person may ask for, as data that an engine sees in its next turn."""

    def propose(
        self,
        study: str,
        proposals: Sequence[Proposal],
        *,
        expect: int | None = None,
        seen: int = 0,
        claim: tuple[str, float] | None = None,
    ) -> list[Trial]:
        """Add trials, numbered on from the last. Returns [] and adds nothing if `expect` is given and the study has not
        exactly that many trials. With `claim=(worker, lease seconds)` they are claimed at once.
        """
        ...

    def request_stop(self, study: str, number: int | None, reason: str) -> None:
        """Ask a trial, or with None the study, to end. A waiting trial is stopped at once, an ended one left alone.

        Raises UnknownName if there is no such trial.
        """
        ...


class Store(Reader, Intents, Protocol):
    """Everything an engine needs."""

    def create(self, spec: StudySpec) -> bool:
        """Make the study, and say True; False if it exists and asks the same question. Raises SpecMismatch, with the
        differences, if it asks another. The budget is not part of the question (see set_budget).
        """
        ...

    def set_budget(self, study: str, budget: Budget) -> None:
        """Replace the budget."""
        ...

    def remember(self, study: str, facts: Mapping[str, Json]) -> None:
        """Keep facts, over older ones of the same name."""
        ...

    def claim(self, study: str, worker: str, n: int, seconds: float) -> list[Trial]:
        """Take up to `n` waiting trials, lowest numbers first, for the next attempt, on a lease of `seconds`."""
        ...

    def record(self, study: str, records: Sequence[Record], *, attempts: int = 1) -> None:
        """Write down what attempts say, in order. Words of an attempt that no longer holds its trial are logged as late and
        change nothing. A `Lost` trial waits again unless this was its last of `attempts`, or it was asked to stop.
        """
        ...

    def renew(self, study: str, worker: str, seconds: float) -> None:
        """Extend the leases `worker` holds, and count the time since it was last here as worked."""
        ...

    def reap(self, study: str, *, attempts: int, gone: Iterable[str] = ()) -> int:
        """Trials whose lease ran out, or whose worker is `gone`, wait again, or fail after their last attempt. How many."""
        ...

    def begin(self, study: str, worker: str) -> None:
        """An engine starts to work: old requests to stop the study and reasons for its end are cleared."""
        ...

    def end(self, study: str, worker: str, reason: str) -> None:
        """An engine stops working on the study, and says why; trials it still holds wait again.

        A request to stop the study is cleared once no other engine is at work.
        """
        ...

    def workers(self, study: str) -> list[str]:
        """Who holds leases."""
        ...

    def delete(self, study: str) -> None:
        """Remove the study and all that belongs to it; raises StudyNotFound."""
        ...
