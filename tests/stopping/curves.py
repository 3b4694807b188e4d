"""Studies of learning curves, for the tests of stopping policies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from luthier.space import Int, Space
from luthier.study import Fidelity, History, Objective, Problem, Report, State, Trial

Values = Sequence[float] | Mapping[int, float]


def problem(*goals: str, fidelity: Fidelity | None = None) -> Problem:
    """One that minimises `loss`, or with several goals `loss`, `loss1`, ..."""
    objectives = tuple(
        Objective(f"loss{i or ''}", goal)  # type: ignore[arg-type]
        for i, goal in enumerate(goals or ("min",))
    )
    return Problem(Space(row=Int(0, 10**6)), objectives, fidelity=fidelity)


def running(number: int, values: Values, metric: str = "loss") -> Trial:
    """A trial that reported these, at steps 1, 2, ... or those given."""
    by_step = values if isinstance(values, Mapping) else dict(enumerate(values, 1))
    reports = tuple(Report(step, {metric: value}) for step, value in by_step.items())
    return Trial(number, {"row": number}, State.RUNNING, 1, reports=reports)


def completed(number: int, values: Values, metric: str = "loss") -> Trial:
    """One whose result is its last report."""
    trial = running(number, values, metric)
    return replace(trial, state=State.COMPLETED, metrics=trial.reports[-1].metrics)


def stopped(number: int, values: Values) -> Trial:
    return replace(running(number, values), state=State.STOPPED, reason="enough")


def study(*trials: Trial, of: Problem | None = None) -> History:
    history = History(of or problem())
    history.merge(list(trials), len(trials))
    return history


def flat(*finals: float, steps: int = 10) -> list[Trial]:
    """Completed trials that reported the same all along."""
    return [completed(number, [value] * steps) for number, value in enumerate(finals)]
