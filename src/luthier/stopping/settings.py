"""Settings of policies: what they may be, and the sentence that says so."""

from __future__ import annotations

import math
from typing import Any

from luthier.errors import InvalidStudy
from luthier.study import Goal, Objective, Problem, is_number


def whole(name: str, value: object, at_least: int) -> None:
    """Refuse what is no whole number of at least so much."""
    if isinstance(value, bool) or not isinstance(value, int) or value < at_least:
        raise InvalidStudy(
            f"{name} is {value!r}. Use a whole number of at least {at_least}, as in {name}={max(at_least, 2)}."
        )


def number(name: str, value: Any, remedy: str, *, low: float = -math.inf, high: float = math.inf) -> None:
    """Refuse what is no number from `low` to `high`; `remedy` says what is."""
    if not is_number(value) or not low <= value <= high:
        raise InvalidStudy(f"{name} is {value!r}. Use {remedy}.")


def rhythm(interval: int, delay: int) -> None:
    """Refuse an `interval` below 1 and a `delay` below 0."""
    whole("interval", interval, 1)
    whole("delay", delay, 0)


def judged(metric: str | None, goal: Goal | None) -> None:
    """Refuse what names no metric, and a goal that is none or has no metric."""
    if metric is not None and (not isinstance(metric, str) or not metric.strip()):
        raise InvalidStudy(f"metric is {metric!r}. Name one that trials report, as in metric='loss'.")
    if goal not in (None, "min", "max"):
        raise InvalidStudy(f"goal is {goal!r}. Use 'min' or 'max'.")
    if goal is not None and metric is None:
        raise InvalidStudy(
            f"goal is {goal!r}, and no metric is named: objectives have goals of their own. Name the metric, or leave goal out."
        )


def metric_of(problem: Problem, metric: str | None) -> str:
    """The metric that a policy goes by: the one it names, or the only objective. Raises InvalidStudy where there are several."""
    if metric is not None:
        return metric
    if len(problem.objectives) > 1:
        metrics = [objective.metric for objective in problem.objectives]
        raise InvalidStudy(
            f"the study has several objectives, {', '.join(metrics)}, and its stopping policy does not say which one it goes by. "
            f"Name it: metric={metrics[0]!r}."
        )
    return problem.objective.metric


def objective_of(problem: Problem, metric: str | None, goal: Goal | None) -> Objective:
    """The metric that a policy goes by and its direction: an objective's own, or `goal` for a metric that is none.

    Raises InvalidStudy where no direction is known, or two.
    """
    name = metric_of(problem, metric)
    found = next((objective for objective in problem.objectives if objective.metric == name), None)
    if found is None:
        if goal is not None:
            return Objective(name, goal)
        metrics = ", ".join(objective.metric for objective in problem.objectives)
        raise InvalidStudy(
            f"the stopping policy goes by {name!r}, which is no objective of the study ({metrics}). "
            "Check the name, or say which way it is better: goal='min' or goal='max'."
        )
    if goal not in (None, found.goal):
        raise InvalidStudy(
            f"the stopping policy says goal={goal!r} for {name!r}, and the study says {found.goal!r}. Leave goal out."
        )
    return found
