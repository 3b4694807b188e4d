"""TPE: tries what is likelier among the good trials than among the others.

J. Bergstra, R. Bardenet, Y. Bengio, B. Kégl, "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011, section 4; the
parts as S. Watanabe takes them to pieces in "Tree-Structured Parzen Estimator: Understanding Its Algorithm
Components and Their Roles", 2023, arXiv:2304.11127: one kernel over all parameters, weights, bandwidths, the prior.

Good and other trials have a density each: a mixture of one kernel per trial and the distribution of the space itself.
A kernel is a way to draw a whole tree: parents first, then what exists with them - near where its trial has it, or,
where its trial does not have it, from the space. So parameters that exist together are modelled together, every trial
teaches something about the parameters that it has, and points of different branches can be compared.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from luthier.errors import InvalidStudy
from luthier.optimizers.base import Optimizer
from luthier.optimizers.cube import Cube, Floats
from luthier.optimizers.quasirandom import SobolPoints
from luthier.optimizers.wrap import Merit, at_least, merit, one_objective, propose, unique
from luthier.study import Problem, Proposal, Trial

MOST_GOOD = 25
MOST_OTHERS = 1000
"""Of more than so many, every second one of the older half is forgotten: `ask` costs no more after 10,000 trials than
after 1,000.
"""
PRIOR = 0.5
"""The weight of the distribution of the space, beside 1 for the kernel of a trial on average."""
NARROWEST = 0.01
SHRINK = 0.2
"""The bandwidth goes down with the number of trials to the power of this, from 10 trials on."""


@dataclass(frozen=True, slots=True)
class TPE:
    """Tree-structured Parzen estimators over all parameters at once, without trying a point twice.

    After `startup` points that fill the space, the best of `candidates` draws from the density of the good trials, which
    are the share `gamma` of those that have a value, 25 at most. `bandwidth` is the width of a kernel after ten
    trials, in the unit interval; it shrinks. One objective; for every kind of space, and for many trials.
    """

    startup: int = 8
    candidates: int = 48
    gamma: float = 0.15
    bandwidth: float = 0.2

    def __post_init__(self) -> None:
        at_least(1, startup=self.startup, candidates=self.candidates)
        for name, value in (("gamma", self.gamma), ("bandwidth", self.bandwidth)):
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
                raise InvalidStudy(f"{name} is {value!r}. Use a number above 0 and up to 1.")

    def start(self, problem: Problem) -> Optimizer:
        """An optimiser for a problem of one objective; raises InvalidStudy for more."""
        one_objective(problem, "tpe")
        return unique(_TPE(problem, self), problem)


class _Good(NamedTuple):
    """What is kept of one of the best trials."""

    merit: Merit
    number: int
    row: Floats


class _TPE:
    def __init__(self, problem: Problem, settings: TPE) -> None:
        self._problem = problem
        self._settings = settings
        self._cube = Cube(problem.space)
        self._sobol = SobolPoints(problem)
        self._told = 0
        self._measured = 0
        self._best: list[_Good] = []
        self._others: list[Floats] = []

    def tell(self, finished: Sequence[Trial]) -> None:
        self._told += len(finished)
        self._sobol.tell(finished)
        for trial in finished:
            self._learn(_Good(merit(trial, self._problem), trial.number, self._cube.row(trial.params)))

    def _learn(self, one: _Good) -> None:
        if one.merit[0] == 2:  # failed, stopped or NaN: never good, and to be kept away from
            self._others.append(one.row)
        else:
            self._measured += 1
            insort(self._best, one, key=lambda one: one[:2])
            if len(self._best) > MOST_GOOD:
                self._others.append(self._best.pop().row)
        if len(self._others) > MOST_OTHERS:
            del self._others[: MOST_OTHERS // 2 : 2]

    def ask(self, pending: Sequence[Trial], rng: np.random.Generator) -> Proposal:
        startup = self._settings.startup
        if self._told + len(pending) < startup or not self._best or not self._cube.width:
            proposal = self._sobol.ask(pending, rng)
            return propose(self._problem, proposal.params, **proposal.tag, why=f"the first {startup} points")
        count = min(math.ceil(self._settings.gamma * self._measured), MOST_GOOD)
        good, others = self._densities(count, [self._cube.row(trial.params) for trial in pending])
        rows = good.draw(self._settings.candidates, rng)
        gain = good.log(rows) - others.log(rows)
        chosen = int(gain.argmax())
        why = f"likelier among the best {count} than among the others"
        params = self._cube.params(rows[chosen])
        return propose(self._problem, params, by="tpe", gain=round(float(gain[chosen]), 3), why=why)

    def _densities(self, count: int, waiting: list[Floats]) -> tuple[Density, Density]:
        """Of the best `count` trials, the better the heavier, and of all others; what is pending is taken for bad."""
        cube = self._cube
        width = self._settings.bandwidth * max(self._told / 10, 1.0) ** -SHRINK
        good = np.array([one.row for one in self._best[:count]])
        rest = [*self._others, *(one.row for one in self._best[count:]), *waiting]
        ranks = math.log(count + 1) - np.log(np.arange(1, count + 1))
        return (
            Density(cube, good, ranks / ranks.mean(), width),
            Density(cube, np.array(rest).reshape(-1, cube.width), np.ones(len(rest)), width),
        )


class Density:
    """A kernel around each of `rows`, weighed by `weights`, and the distribution of the space.

    In the unit cube the latter is uniform. The kernel of a number is a normal distribution cut off at 0 and 1; the
    kernel of a choice draws from the space with probability 1 / (1 + rows), else it keeps the value.
    """

    def __init__(self, cube: Cube, rows: Floats, weights: Floats, width: float) -> None:
        from scipy.special import ndtr

        self._cube = cube
        # A kernel that has no parameter at all is the distribution of the space.
        self._rows = np.vstack([rows, np.full(cube.width, np.nan)])
        shares = np.append(weights, PRIOR)
        self._shares = shares / shares.sum()
        cells = [len(cube.centres.get(column, ())) for column in cube.numeric.tolist()]
        # Hardly narrower than a cell, where there are cells.
        floors = np.array([max(NARROWEST, 0.25 / cell) if cell else NARROWEST for cell in cells])
        self._sigma = np.clip(width, floors, 1.0)
        self._chances = self._of_choices(1 / (1 + len(rows)))
        self._choices = np.array(
            [i for span in cube.spans for i in range(span.start, span.stop)], dtype=np.intp
        )
        # The logarithm of a kernel is linear in x^2, x, whether x exists, and the 0 and 1 of the choices.
        x, sigma = self._rows[:, cube.numeric], self._sigma
        mass = ndtr((1 - x) / sigma) - ndtr(-x / sigma)
        curves = np.where(np.isnan(x), np.nan, -0.5 / sigma**2)
        levels = -0.5 * (x / sigma) ** 2 - np.log(math.sqrt(2 * math.pi) * sigma * mass)
        chances = np.log(self._chances[:, self._choices])
        self._kernels = np.nan_to_num(np.hstack([curves, x / sigma**2, levels, chances])).T

    def draw(self, n: int, rng: np.random.Generator) -> Floats:
        """Rows of `n` points of the space."""
        from scipy.special import ndtr, ndtri

        cube, sigma = self._cube, self._sigma
        kernels = rng.choice(len(self._shares), size=n, p=self._shares)
        rows = self._rows[kernels]
        x = rows[:, cube.numeric]
        chance = rng.random(x.shape)
        low, high = ndtr(-x / sigma), ndtr((1 - x) / sigma)
        near = np.clip(x + sigma * ndtri(low + chance * (high - low)), 0.0, 1.0)
        rows[:, cube.numeric] = np.where(np.isnan(x), chance, near)
        for span in cube.spans:
            upto = self._chances[kernels, span].cumsum(axis=1)
            places = (rng.random((n, 1)) * upto[:, -1:] >= upto).sum(axis=1)
            rows[:, span] = 0.0
            rows[np.arange(n), span.start + places] = 1.0
        return cube.settle(rows)

    def log(self, rows: Floats) -> Floats:
        """The logarithm of the density at settled rows. Shape (rows,)."""
        x = rows[:, self._cube.numeric]
        features = np.nan_to_num(np.hstack([x * x, x, ~np.isnan(x), rows[:, self._choices]]))
        each = features @ self._kernels + np.log(self._shares)
        top = each.max(axis=1)
        return np.asarray(top + np.log(np.exp(each - top[:, None]).sum(axis=1)))

    def _of_choices(self, chance: float) -> Floats:
        """How likely each kernel draws each value of the choices; what is no choice is left at 1."""
        chances = np.ones_like(self._rows)
        for span, prior in zip(self._cube.spans, self._cube.shares, strict=True):
            kept = self._rows[:, span]
            chances[:, span] = np.where(np.isnan(kept), prior, (1 - chance) * kept + chance * prior)
        return chances
