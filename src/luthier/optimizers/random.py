"""Random search: every point drawn from the space's scales, priors and weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from luthier.optimizers.base import Optimizer
from luthier.optimizers.wrap import propose, unique
from luthier.study import Problem, Proposal, Trial


@dataclass(frozen=True, slots=True)
class Random:
    """Random search, without trying a point twice. The baseline, and fine for very many cheap trials."""

    def start(self, problem: Problem) -> Optimizer:
        """An optimiser for any problem."""
        return unique(_Random(problem), problem)


class _Random:
    def __init__(self, problem: Problem) -> None:
        self._problem = problem

    def tell(self, finished: Sequence[Trial]) -> None:
        """Chance learns nothing."""

    def ask(self, pending: Sequence[Trial], rng: np.random.Generator) -> Proposal:
        return propose(self._problem, self._problem.space.sample(rng), by="random")
