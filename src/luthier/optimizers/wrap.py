"""What optimisers share, as functions around them: no point twice, nothing foreign, one order of merit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from luthier.errors import InvalidStudy
from luthier.optimizers.base import Optimizer
from luthier.space import Params, Points, Scalar, size
from luthier.study import Problem, Proposal, State, Trial

TRIES = 8
"""How often an optimiser is asked again after a point that was tried before."""

Merit = tuple[int, float]


def propose(problem: Problem, params: Params, **tag: Scalar) -> Proposal:
    """A proposal of `params`, with the whole training where the problem knows a fidelity."""
    return Proposal(params, fidelity=None if problem.fidelity is None else problem.fidelity.high, tag=tag)


def merit(trial: Trial, problem: Problem) -> Merit:
    """What sorts trials from best to worst: feasible by the first objective, infeasible likewise, then those that have no
    value because they failed, gave NaN or were stopped and nobody knows what they would have come to.
    """
    value = (
        trial.metrics.get(problem.objective.metric, math.nan) if trial.state is not State.FAILED else math.nan
    )
    if math.isnan(value):
        return 2, 0.0
    return (0 if problem.feasible(trial.metrics) else 1), problem.objective.sign * value


def one_objective(problem: Problem, algorithm: str) -> None:
    """Raise InvalidStudy where there is more than one objective, for an algorithm that knows only one."""
    if len(problem.objectives) > 1:
        metrics = ", ".join(objective.metric for objective in problem.objectives)
        raise InvalidStudy(
            f"{algorithm} optimises one objective, and this study has {len(problem.objectives)}: {metrics}. "
            "Use algorithm='random' or 'sobol', or make all but one of them constraints."
        )


def at_least(low: int, **options: int) -> None:
    """Raise InvalidStudy for an option that is no whole number of at least `low`."""
    for name, value in options.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise InvalidStudy(f"{name} is {value!r}. Use a whole number of at least {low}.")


def usable(trials: Sequence[Trial], problem: Problem) -> list[Trial]:
    """The trials that lie in the space: not the defaults of an estimator, nor trials of an earlier space."""
    return [trial for trial in trials if problem.space.allows(trial.params)]


def noisy(problem: Problem) -> bool:
    """Whether trying a point again may give another value."""
    return any(objective.noisy for objective in problem.objectives)


def unique(optimizer: Optimizer, problem: Problem) -> Optimizer:
    """The optimiser, shown usable trials only, and kept from proposing what was tried or is pending - unless an objective
    is noisy: then it may try a point again, which tells something new, and goes on as long as it likes.

    After a few vain tries it takes a point at random: in a finite space one of those that are left, until there are
    none and it answers None; elsewhere any, which may in rare cases be a point it had. The memory is eight
    bytes a trial and the work of an `ask` does not grow with their number.
    """
    return _Usable(optimizer, problem) if noisy(problem) else _Unique(optimizer, problem)


class _Usable:
    def __init__(self, optimizer: Optimizer, problem: Problem) -> None:
        self._optimizer = optimizer
        self._problem = problem

    def tell(self, finished: Sequence[Trial]) -> None:
        self._optimizer.tell(usable(finished, self._problem))

    def ask(self, pending: Sequence[Trial], rng: np.random.Generator) -> Proposal | None:
        return self._optimizer.ask(usable(pending, self._problem), rng)


class _Unique:
    def __init__(self, optimizer: Optimizer, problem: Problem) -> None:
        self._optimizer = optimizer
        self._problem = problem
        self._tried: set[int] = set()
        self._grid = None if size(problem.space) is None else Points(problem.space)

    def tell(self, finished: Sequence[Trial]) -> None:
        known = usable(finished, self._problem)
        self._tried.update(self._mark(trial.params) for trial in known)
        self._optimizer.tell(known)

    def ask(self, pending: Sequence[Trial], rng: np.random.Generator) -> Proposal | None:
        pending = usable(pending, self._problem)
        waiting = {self._mark(trial.params) for trial in pending}
        if self._grid is not None and len(self._tried) + len(waiting - self._tried) >= self._grid.size:
            return None
        for _ in range(TRIES):
            proposal = self._optimizer.ask(pending, rng)
            if proposal is None or self._new(proposal.params, waiting):
                return proposal
        why = "its own choice had been tried"
        return propose(self._problem, self._another(waiting, rng), by="random", why=why)

    def _another(self, waiting: set[int], rng: np.random.Generator) -> Params:
        """A point that was not tried: from a random place of the grid on, where the space is finite."""
        space, grid = self._problem.space, self._grid
        params = space.sample(rng)
        for _ in range(TRIES):
            if self._new(params, waiting):
                return params
            params = space.sample(rng)
        if grid is None:
            return params
        start = int(rng.random() * grid.size)
        return next(
            point for i in range(grid.size) if self._new(point := grid[(start + i) % grid.size], waiting)
        )

    def _new(self, params: Params, waiting: set[int]) -> bool:
        mark = self._mark(params)
        return mark not in self._tried and mark not in waiting

    def _mark(self, params: Params) -> int:
        # Not hash(): it is the same for -1 and -2, and differs between processes.
        key = self._problem.space.key(params).encode()
        return int.from_bytes(blake2b(key, digest_size=8).digest())
