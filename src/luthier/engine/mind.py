"""Mind: what one process knows of a study - its history, and the optimiser that was told of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from luthier.engine.plan import Situation
from luthier.enough import Looks, least
from luthier.optimizers.base import Algorithm, Optimizer
from luthier.stopping.base import Foreseeing, StoppingPolicy
from luthier.store.base import Changes
from luthier.study import Budget, History, Proposal, State, StudySpec, Trial


@dataclass(slots=True)
class Mind:
    """The engine, and people who own their loop, think through this; only they read and write the store.

    `overlap` tells that of the study's splits when it is asked for, as in `compare`.
    """

    spec: StudySpec
    optimizer: Optimizer
    history: History
    policy: StoppingPolicy | None = None
    exhausted: bool = False
    untold: list[Trial] = field(default_factory=list)
    overlap: Callable[[], float | None] = lambda: None
    looks: Looks | None = None
    paid: tuple[int, str, float] = (0, "", 0.0)
    """Of the first so many trials that ended, what they cost in that currency."""
    judged: dict[int, int] = field(default_factory=dict)
    """How many reports of a running trial the policy has seen."""

    @classmethod
    def start(
        cls,
        spec: StudySpec,
        algorithm: Algorithm,
        policy: StoppingPolicy | None = None,
        overlap: Callable[[], float | None] = lambda: None,
    ) -> Mind:
        """One that knows nothing yet."""
        history = History(spec.problem)
        return cls(spec, algorithm.start(spec.problem), history, policy, overlap=overlap)

    def learn(self, changes: Changes) -> list[Trial]:
        """Take in what changed; returns the trials that ended."""
        finished = self.history.merge(changes.trials, changes.cursor)
        self.untold += finished  # told when there is something to think about: most who look never ask
        for trial in finished:
            self.judged.pop(trial.number, None)
        if finished:
            self.exhausted = False
        return finished

    @property
    def latest_seconds(self) -> float:
        """How long the trial took that ended last; none took forever."""
        latest = self.history.latest
        return float("inf") if latest is None or latest.seconds is None else latest.seconds

    def _tell(self) -> None:
        if self.untold and (self.spec.batch is None or self.history.ended == len(self.history)):
            # In batches, the order in which trials happened to end must not matter.
            self.tell(self.untold)
            self.untold = []

    def tell(self, ended: Sequence[Trial]) -> None:
        """Let the optimiser know of these trials; of stopped ones also what the policy expects them to have come to."""
        told = [self._foreseen(trial) for trial in ended]
        self.optimizer.tell(told if self.spec.batch is None else sorted(told, key=_number))

    def _foreseen(self, trial: Trial) -> Trial:
        if trial.state is not State.STOPPED or not isinstance(self.policy, Foreseeing):
            return trial
        return replace(trial, metrics=self.policy.expected(trial, self.history) or trial.metrics)

    def judge(self, trial: Trial) -> str | None:
        """Why to end this running trial now, if there is a reason: somebody asked, or the policy gives it up."""
        if trial.stop is not None or self.policy is None or not trial.reports:
            return trial.stop
        # Of several reports that came at once each is judged, as if it had come alone: one may be a rung, or due by an interval.
        made = len(trial.reports)
        for n in range(min(self.judged.get(trial.number, 0) + 1, made), made):
            reason = self.policy.judge(replace(trial, reports=trial.reports[:n]), self.history)
            if reason is not None:
                return reason
        self.judged[trial.number] = made
        return self.policy.judge(trial, self.history)

    def situation(
        self,
        changes: Changes,
        *,
        seconds: float,
        running: int,
        slots: int,
        interrupted: bool = False,
        broken: str | None = None,
        slow: bool = False,
        now: float = 0.0,
    ) -> Situation:
        """What there is to decide on."""
        history = self.history
        return Situation(
            budget=changes.budget,
            objective=self.spec.problem.objective,
            total=len(history),
            ended=history.ended,
            failed=history.counts[State.FAILED],
            waiting=history.counts[State.WAITING],
            running=running,
            slots=slots,
            seconds=seconds,
            best=history.best(),
            batch=self.spec.batch,
            stop=changes.stop,
            interrupted=interrupted,
            exhausted=self.exhausted,
            broken=broken,
            enough=self.enough(changes.budget),
            slow=slow,
            cost=self._cost(changes.budget, now),
            now=now,
        )

    def _cost(self, budget: Budget, now: float) -> float:
        """What all trials cost so far, at the cost of those that are new."""
        if budget.cost is None:
            return 0.0
        history, currency = self.history, budget.currency
        known, counted, cost = self.paid
        if counted != currency:
            known, cost = 0, 0.0
        if history.ended > known:
            cost += math.fsum(trial.cost(currency, now) for trial in history.finished()[known:])
            self.paid = (history.ended, currency, cost)
        return cost + math.fsum(trial.cost(currency, now) for trial in history.pending())

    def enough(self, budget: Budget) -> str | None:
        """Why more trials are not worth it, if the budget says to end then. Nothing is worked out between the looks."""
        if budget.until is None:
            return None
        first, history = least(self.spec.problem, budget), self.history
        if self.looks is None or self.looks.least != first or self.looks.until != budget.until:
            self.looks = None
            if history.ended >= first:
                self.looks = Looks(self.spec.problem, first, self.overlap(), budget.until)
        looks = self.looks
        if looks is None or looks.due is None or history.ended < looks.due:
            return None if looks is None else looks.why
        if self.spec.batch is None:
            return looks.follow([self._foreseen(trial) for trial in history.finished()])
        if history.ended < len(history):
            return None
        return looks.follow([self._foreseen(trial) for trial in history])  # by number, as they are told

    def think(self, n: int) -> list[Proposal]:
        """Up to `n` proposals, fewer where the optimiser has no more for now. Each depends only on what was known,
        on what is pending, and on its trial's number.
        """
        proposals: list[Proposal] = []
        if n <= 0:
            return proposals
        self._tell()
        first = len(self.history)
        pending = self.history.pending()
        for number in range(first, first + n):
            proposal = self.propose(number, pending)
            if proposal is None:
                self.exhausted = not pending
                break
            proposals.append(proposal)
            pending = [*pending, _begun(number, proposal)]
        return proposals

    def propose(self, number: int, pending: Sequence[Trial]) -> Proposal | None:
        """The proposal for trial `number`, while these trials are pending."""
        if number < len(self.spec.start):
            return self.spec.start[number]
        return self.optimizer.ask(pending, self.spec.rng(number))


def _begun(number: int, proposal: Proposal) -> Trial:
    """The trial that a proposal becomes."""
    return Trial(
        number, proposal.params, fidelity=proposal.fidelity, parent=proposal.parent, tag=proposal.tag
    )


def _number(trial: Trial) -> int:
    return trial.number


def replay(
    spec: StudySpec,
    algorithm: Algorithm,
    trials: Sequence[Trial],
    number: int,
    policy: StoppingPolicy | None = None,
) -> Proposal | None:
    """The decision that led to trial `number`, made once more from what was known at that time.

    `trials` are all of the study, by number. A study that nobody added trials to by hand gives the recorded proposal,
    exactly: that is what makes any decision open to question later.
    """
    trial = trials[number]
    told = sorted((t for t in trials if t.state.ended and t.seq <= trial.seen), key=lambda t: t.seq)
    known = {t.number for t in told}
    # What was pending then may have ended since; the optimiser saw its values and nothing else.
    pending = [
        Trial(t.number, t.params, fidelity=t.fidelity, parent=t.parent, tag=t.tag)
        for t in trials[:number]
        if t.number not in known
    ]
    mind = Mind.start(spec, algorithm, policy)
    mind.history.merge([*told, *pending], trial.seen)
    mind.tell(told)
    return mind.propose(number, pending)
