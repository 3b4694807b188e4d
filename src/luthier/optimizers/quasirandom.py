"""Sobol's sequence: points that fill the space more evenly than chance does.

The point is a function of the scramble and of the trial's place in the study. The scramble is drawn by the first of
these trials from its generator and noted in its tag, from where every later one takes it: so it follows the
study's seed, is the same for all engines of a study, and survives a restart without being stored anywhere else.

I. M. Sobol', "On the distribution of points in a cube and the approximate evaluation of integrals", 1967; directions
of S. Joe and F. Y. Kuo, 2008, as in SciPy; scrambled by a random digital shift.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from luthier.errors import InvalidStudy
from luthier.optimizers.base import Optimizer
from luthier.optimizers.wrap import propose, unique
from luthier.space import Params
from luthier.study import Problem, Proposal, Trial

BITS = 30
BLOCK = 256
MOST = 21201
"""How many dimensions the direction numbers reach to."""


@dataclass(frozen=True, slots=True)
class Sobol:
    """Sobol's sequence, without trying a point twice. `scramble=False` is the sequence itself, whatever the seed."""

    scramble: bool = True

    def start(self, problem: Problem) -> Optimizer:
        """An optimiser for any problem of up to 21,201 parameters; raises InvalidStudy beyond."""
        return unique(SobolPoints(problem, self.scramble), problem)


class SobolPoints:
    """The optimiser itself, for others to begin with."""

    def __init__(self, problem: Problem, scramble: bool = True) -> None:
        self._problem = problem
        self._names = [name for name, parameter in problem.space.items() if parameter.size != 1]
        if len(self._names) > MOST:
            raise InvalidStudy(
                f"Sobol's sequence reaches to {MOST} parameters, and the space has {len(self._names)}. "
                "Use algorithm='random'."
            )
        self._told = 0
        self._scramble: int | None = None if scramble else 0
        self._sequence = Sequence01(len(self._names))

    def tell(self, finished: Sequence[Trial]) -> None:
        self._told += len(finished)
        if self._scramble is None:
            self._scramble = _noted(finished)

    def ask(self, pending: Sequence[Trial], rng: np.random.Generator) -> Proposal:
        scramble = self._scramble if self._scramble is not None else _noted(pending)
        if scramble is None:
            scramble = int(rng.integers(1, 2**31))
        params = self._at(self._told + len(pending), scramble, rng)
        return propose(self._problem, params, by="sobol", scramble=scramble)

    def _at(self, index: int, scramble: int, rng: np.random.Generator) -> Params:
        point = self._sequence.point(index, scramble)
        units = dict.fromkeys(self._problem.space, 0.5)
        units.update(zip(self._names, point.tolist(), strict=True))
        return self._problem.space.at(units)


def _noted(trials: Sequence[Trial]) -> int | None:
    """The scramble in the tag of the first trial that has one."""
    notes = ((trial.number, note) for trial in trials if isinstance(note := trial.tag.get("scramble"), int))
    return min(notes, default=(0, None))[1]


class Sequence01:
    """Sobol's sequence in the unit cube, at any place: points are made in blocks, and the last block is kept."""

    def __init__(self, dimensions: int) -> None:
        self._dimensions = dimensions
        self._engine: Any = None
        self._block = -1
        self._points: NDArray[np.int64] = np.empty((0, dimensions), dtype=np.int64)

    def point(self, index: int, scramble: int = 0) -> NDArray[np.float64]:
        """Point number `index`, from 0, shifted by `scramble` (0: not at all). Inside the cube, never on its border."""
        if not self._dimensions:
            return np.empty(0)
        block, row = divmod(index % 2**BITS, BLOCK)
        if block != self._block:
            self._points, self._block = self._made(block), block
        shift = np.random.default_rng(scramble).integers(2**BITS, size=self._dimensions) if scramble else 0
        return np.asarray(((self._points[row] ^ shift) + 0.5) / 2**BITS)

    def _made(self, block: int) -> NDArray[np.int64]:
        if self._engine is None:
            from scipy.stats import qmc  # half a second, which a study that needs no sequence is spared

            self._engine = qmc.Sobol(self._dimensions, scramble=False, bits=BITS)
        if self._engine.num_generated > block * BLOCK:
            self._engine.reset()
        if ahead := block * BLOCK - self._engine.num_generated:
            self._engine.fast_forward(ahead)
        return np.asarray(self._engine.random(BLOCK) * 2**BITS, dtype=np.int64)
