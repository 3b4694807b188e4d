"""How a study went: what was the best when."""

from __future__ import annotations

from luthier.study import History, Trial


def incumbent(history: History) -> list[tuple[int, float]]:
    """Each trial that was the best so far when it ended, with its value of the first objective, in the order in which
    they ended. Infeasible trials count only until the first feasible one.
    """
    found: list[tuple[int, float]] = []
    best: tuple[bool, float] | None = None
    for trial in history.finished():
        mine = _rank(trial, history)
        if mine is not None and (best is None or mine < best):
            best = mine
            found.append((trial.number, history.value(trial)))
    return found


def _rank(trial: Trial, history: History) -> tuple[bool, float] | None:
    value = history.value(trial)
    if value != value:  # NaN
        return None
    return not history.feasible(trial), history.problem.objective.sign * value
