"""Whose files are missed least: decided from the history alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

from luthier.study import Fidelity, History, State, Trial
from luthier.study.pareto import front


def best_of(trials: Sequence[Trial], history: History, k: int) -> set[int]:
    """The numbers of the `k` best of these trials that completed."""
    order = worst_first([trial for trial in trials if trial.state is State.COMPLETED], history)
    return {trial.number for trial in order[-k:]}


def worst_first(trials: Sequence[Trial], history: History) -> list[Trial]:
    """Failed trials, then stopped ones by what they reported last, then completed ones: those at a lower fidelity, those that
    violate a constraint, those with a worse objective first, of several objectives those that are not on the front.
    """
    objectives = history.problem.objectives
    best = {trial.number for trial in front(trials, objectives)} if len(objectives) > 1 else set[int]()
    states = (State.FAILED, State.STOPPED, State.COMPLETED)

    def key(trial: Trial) -> tuple[float, ...]:
        return (
            states.index(trial.state),
            math.inf if trial.fidelity is None else trial.fidelity,
            history.feasible(trial),
            trial.number in best,
            -_loss(trial, history),
            -trial.number,
        )

    return sorted(trials, key=key)


def needed(history: History, *, promotable: bool) -> set[int]:
    """The trials that have not ended and the parents of these; with `promotable` also those that a proposal may yet
    go on from.

    What an algorithm will go on from only it knows. It is surely among the last of their line: trials below the full fidelity
    that did not fail and have no child; or, in a population, any that is as far as the member that is behind all others.
    """
    pending = history.pending()
    found = {trial.number for trial in pending} | {t.parent for t in pending if t.parent is not None}
    if promotable:
        parents = {trial.parent for trial in history if trial.parent is not None}
        fidelity = history.problem.fidelity
        if parents or (fidelity is not None and fidelity.resumes):
            found |= {
                trial.number
                for trial in history
                if trial.number not in parents
                and trial.state is not State.FAILED
                and "member" not in trial.tag
                and not _in_full(trial, fidelity)
            }
            found |= {trial.number for trial in _of_members(history) if not _in_full(trial, fidelity)}
    return found


def _of_members(history: History) -> list[Trial]:
    """The trials of a population (`luthier.optimizers.population`) that one of its members may yet go on from: whoever is behind may
    take the place of another one, as that was when it was as far.
    """
    places = [
        (member, generation, trial)
        for trial in history
        if isinstance(member := trial.tag.get("member"), int)
        and isinstance(generation := trial.tag.get("generation"), int)
    ]
    furthest = dict.fromkeys((member for member, _, _ in places), 0)
    for member, generation, trial in places:
        if trial.state.ended:
            furthest[member] = max(furthest[member], generation)
    last = min(furthest.values(), default=0)
    return [
        trial for _, generation, trial in places if generation >= last and trial.state is not State.FAILED
    ]


def _in_full(trial: Trial, fidelity: Fidelity | None) -> bool:
    return fidelity is not None and (trial.fidelity is None or trial.fidelity >= fidelity.high)


def _loss(trial: Trial, history: History) -> float:
    """The first objective, to be minimised: the result, else what was reported last; infinity where there is neither."""
    objective = history.problem.objective
    value = trial.metrics.get(objective.metric, math.nan)
    if math.isnan(value):
        value = next(reversed(trial.reported(objective.metric).values()), math.nan)
    return math.inf if math.isnan(value) else objective.sign * value
