"""Policies made of policies: any of them, all of them, one of them from somewhere on, one of them with patience."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from luthier.errors import InvalidStudy
from luthier.stopping.base import HOLDS_POLICIES, Checking, Foreseeing, StoppingPolicy
from luthier.stopping.settings import judged, metric_of, number, objective_of, whole
from luthier.stopping.tracks import field_of
from luthier.study import Goal, History, Metrics, Problem, State, Trial, is_number


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Stops a trial that one of its policies gives up, for that one's reason; the first that does is heard."""

    policies: Sequence[StoppingPolicy] = field(metadata=HOLDS_POLICIES)

    def __post_init__(self) -> None:
        object.__setattr__(self, "policies", _several("any", self.policies))

    def check(self, problem: Problem) -> None:
        """Raise InvalidStudy where one of them has no meaning for this problem."""
        _check(self.policies, problem)

    def judge(self, trial: Trial, history: History) -> str | None:
        """The first reason there is."""
        for policy in self.policies:
            reason = policy.judge(trial, history)
            if reason is not None:
                return reason
        return None

    def expected(self, trial: Trial, history: History) -> Metrics | None:
        """What the first of them says that can tell."""
        return _expected(self.policies, trial, history)


@dataclass(frozen=True, slots=True)
class AllOf:
    """Stops a trial that all its policies give up at the same report. Those that look rarely should have the same interval and delay."""

    policies: Sequence[StoppingPolicy] = field(metadata=HOLDS_POLICIES)

    def __post_init__(self) -> None:
        object.__setattr__(self, "policies", _several("all", self.policies))

    def check(self, problem: Problem) -> None:
        """Raise InvalidStudy where one of them has no meaning for this problem."""
        _check(self.policies, problem)

    def judge(self, trial: Trial, history: History) -> str | None:
        """All their reasons, or None."""
        reasons = []
        for policy in self.policies:
            reason = policy.judge(trial, history)
            if reason is None:
                return None
            reasons.append(reason)
        return "; and ".join(reasons)

    def expected(self, trial: Trial, history: History) -> Metrics | None:
        """What the first of them says that can tell."""
        return _expected(self.policies, trial, history)


@dataclass(frozen=True, slots=True)
class After:
    """Lets a policy speak from a step of the trial on, once so many trials of the study completed, or both."""

    policy: StoppingPolicy = field(metadata=HOLDS_POLICIES)
    step: float | None = None
    trials: int | None = None

    def __post_init__(self) -> None:
        _policy("after", self.policy)
        if self.step is None and self.trials is None:
            raise InvalidStudy(
                "after what is not said. Give step=27 of the trial, trials=10 that completed, or both."
            )
        if self.step is not None and not is_number(self.step):
            raise InvalidStudy(f"step is {self.step!r}. Use a number, as in step=27.")
        if self.trials is not None:
            whole("trials", self.trials, 1)

    def check(self, problem: Problem) -> None:
        """Raise InvalidStudy where the policy has no meaning for this problem."""
        _check([self.policy], problem)

    def judge(self, trial: Trial, history: History) -> str | None:
        """The policy's reason."""
        if self.step is not None and not (trial.reports and trial.reports[-1].step >= self.step):
            return None
        if self.trials is not None and history.counts[State.COMPLETED] < self.trials:
            return None
        return self.policy.judge(trial, history)

    def expected(self, trial: Trial, history: History) -> Metrics | None:
        """What the policy says, if it can tell."""
        return _expected([self.policy], trial, history)


@dataclass(frozen=True, slots=True)
class Patience:
    """Optuna's PatientPruner: asks a policy only about trials that did not improve lately.

    It is asked once the last `patience` + 1 reports (those at the latest steps) are all worse than the best before them, by more than `min_delta`: what
    draws level is not worse, and a larger `min_delta` stops less, which is the other way round than in `Plateau`. A report that is no
    number is worse than all that are; Optuna passes over it.
    """

    policy: StoppingPolicy = field(metadata=HOLDS_POLICIES)
    patience: int
    min_delta: float = 0.0
    metric: str | None = None
    goal: Goal | None = None

    def __post_init__(self) -> None:
        _policy("patience", self.policy)
        whole("patience", self.patience, 0)
        number("min_delta", self.min_delta, "a number of at least 0, in units of the metric", low=0)
        judged(self.metric, self.goal)

    def check(self, problem: Problem) -> None:
        """Raise InvalidStudy where it is not clear what to go by."""
        objective_of(problem, self.metric, self.goal)
        _check([self.policy], problem)

    def judge(self, trial: Trial, history: History) -> str | None:
        """The policy's reason, and for how long there was no improvement."""
        if not trial.reports or metric_of(history.problem, self.metric) not in trial.reports[-1].metrics:
            return None
        last = self.patience + 1
        if len(trial.reports) <= last:
            return None
        field_ = field_of(history, self.metric, self.goal)
        losses = field_.track(trial).losses
        if len(losses) <= last or not min(losses[:-last]) + self.min_delta < min(losses[-last:]):
            return None
        reason = self.policy.judge(trial, history)
        if reason is None:
            return None
        best = field_.say(min(losses[:-last]))
        return f"{reason}; and the last {last} reports are worse than the {best} before"

    def expected(self, trial: Trial, history: History) -> Metrics | None:
        """What the policy says, if it can tell."""
        return _expected([self.policy], trial, history)


def any_of(*policies: StoppingPolicy) -> AnyOf:
    """A policy that stops what one of these gives up: `any_of(MedianStopping(delay=5), Threshold(high=10))`."""
    return AnyOf(policies)


def all_of(*policies: StoppingPolicy) -> AllOf:
    """A policy that stops what all of these give up at the same report: `all_of(Plateau(5), MedianStopping())`."""
    return AllOf(policies)


def after(policy: StoppingPolicy, *, step: float | None = None, trials: int | None = None) -> After:
    """That policy from a step of the trial on, once so many trials completed, or both: `after(Bandit(0.1), step=10)`."""
    return After(policy, step, trials)


def _several(name: str, policies: object) -> tuple[StoppingPolicy, ...]:
    if not isinstance(policies, Sequence) or isinstance(policies, str) or not policies:
        raise InvalidStudy(f"{name} is made of {policies!r}. Give it a list of stopping policies.")
    for policy in policies:
        _policy(name, policy)
    return tuple(policies)  # JSON knows only lists


def _policy(name: str, policy: object) -> None:
    if isinstance(policy, type) or not hasattr(policy, "judge"):
        call = f"Write {policy.__name__}()." if isinstance(policy, type) else "Give it a stopping policy."
        raise InvalidStudy(f"{name} is made of {policy!r}, which is no stopping policy. {call}")


def _check(policies: Sequence[StoppingPolicy], problem: Problem) -> None:
    for policy in policies:
        if isinstance(policy, Checking):
            policy.check(problem)


def _expected(policies: Sequence[StoppingPolicy], trial: Trial, history: History) -> Metrics | None:
    told = (policy.expected(trial, history) for policy in policies if isinstance(policy, Foreseeing))
    return next((metrics for metrics in told if metrics is not None), None)
