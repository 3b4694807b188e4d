"""CMA-ES: a normal distribution that moves, stretches and turns towards the better half of what it proposed.

N. Hansen, "The CMA Evolution Strategy: A Tutorial", 2016, arXiv:1604.00772 (equation numbers without a name are from
there), with the margin of R. Hamano et al., "CMA-ES with Margin", GECCO 2022, arXiv:2205.13482 (CMAwM) for whole
numbers, the distribution of R. Hamano et al., "CatCMA", GECCO 2024, arXiv:2405.09962 for categories, the clipping of
N. Hansen, "Injecting External Solutions Into CMA-ES", 2011, arXiv:1110.4181 for points that it did not draw from its
present state, the restarts of A. Auger, N. Hansen, "A Restart CMA Evolution Strategy With Increasing Population Size",
CEC 2005 (IPOP), and the warm start of M. Nomura et al., "Warm Starting CMA-ES", AAAI 2021, arXiv:2012.06932.

Workers end in any order and points get lost, so a generation is whatever of its own `population` trials ended first. What
a trial does not tell - where in the cell of a whole number its point lay, and where parameters that do not exist -
is drawn anew from the distribution, by a generator seeded with the trial's number.
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

TRIES = 16
"""How many points are drawn before one outside the unit cube is moved to its border."""
BEST = 0.1
"""The share of earlier trials whose place is where the search begins (gamma of WS-CMA-ES)."""
MOST_BEST = 50
FLAT = 1e-12
"""Values that differ by no more than this are the same (TolFun, section B.3)."""
NARROW = 1e-7
"""A distribution no wider than this, in the unit cube, has converged (TolX, section B.3)."""
LAMBDA_MOST = 1000
"""The population is not doubled beyond."""


@dataclass(frozen=True, slots=True)
class CMAES:
    """CMA-ES for numbers of every kind and categories, with restarts, without trying a point twice.

    Starts from the best of what is known, after `startup` points that fill the space, with the step `sigma` in the
    unit cube. `population` is the size of a generation, 0 the usual one for the number of parameters; it doubles
    with each restart. One objective; for numeric spaces and hundreds of trials.
    """

    population: int = 0
    sigma: float = 0.2
    startup: int = 5

    def __post_init__(self) -> None:
        at_least(0, population=self.population, startup=self.startup)
        if 0 < self.population < 4:
            raise InvalidStudy(f"population is {self.population}. Use at least 4, or 0 for the usual size.")
        if isinstance(self.sigma, bool) or not isinstance(self.sigma, int | float) or not 0 < self.sigma <= 1:
            raise InvalidStudy(f"sigma is {self.sigma!r}. Use a number above 0 and up to 1.")

    def start(self, problem: Problem) -> Optimizer:
        """An optimiser for a problem of one objective; raises InvalidStudy for more."""
        one_objective(problem, "cmaes")
        return unique(_CMAES(problem, self), problem)


class _Told(NamedTuple):
    """What is kept of a trial; `fresh` says that it was drawn from the present distribution."""

    merit: Merit
    number: int
    row: Floats
    fresh: bool = False


class _CMAES:
    def __init__(self, problem: Problem, settings: CMAES) -> None:
        self._problem = problem
        self._settings = settings
        self._cube = Cube(problem.space)
        self._sobol = SobolPoints(problem)
        varying = len(self._cube.numeric) + len(self._cube.spans)
        self._population = settings.population or 4 + int(3 * math.log(max(varying, 1)))  # (48)
        self._told = 0
        self._measured = 0  # before the first trial of its own
        self._best: list[_Told] = []  # as many of them as the search may begin from; later the best alone
        self._search: Search | None = None  # from its first own trial on
        self._pool: list[_Told] = []
        self._restarts = 0

    def tell(self, finished: Sequence[Trial]) -> None:
        self._told += len(finished)
        self._sobol.tell(finished)
        for trial in finished:
            self._learn(trial)

    def ask(self, pending: Sequence[Trial], rng: np.random.Generator) -> Proposal:
        startup = self._settings.startup
        if (self._search is None and self._told + len(pending) < startup) or not self._cube.width:
            proposal = self._sobol.ask(pending, rng)
            return propose(self._problem, proposal.params, **proposal.tag, why=f"the first {startup} points")
        search = self._search or self._begun()
        params = self._cube.params(search.draw(rng))
        why = f"drawn with a spread of {search.spread:.2g} around the mean"
        tag = {"restart": self._restarts, "generation": search.generation}
        return propose(self._problem, params, by="cmaes", **tag, why=why)

    def _learn(self, trial: Trial) -> None:
        told = _Told(merit(trial, self._problem), trial.number, self._cube.row(trial.params))
        own = trial.tag.get("by") == "cmaes" and trial.tag.get("restart") == self._restarts
        if self._search is None and own:
            self._search = self._begun()
        better = told.merit[0] < 2 and (not self._best or told.merit < self._best[0].merit)
        if told.merit[0] < 2:
            self._measured += self._search is None
            insort(self._best, told, key=lambda told: told[:2])
            del self._best[1 if self._search else MOST_BEST :]
        if self._search is not None and (own or better):
            fresh = own and trial.tag.get("generation") == self._search.generation
            self._pool.append(told._replace(fresh=fresh))
            if len(self._pool) == self._search.population:
                self._move(self._search, trial.number)

    def _move(self, search: Search, number: int) -> None:
        """The end of a generation; maybe that of the search."""
        self._pool.sort(key=lambda told: told[:2])
        search.update(self._pool)
        self._pool = []
        if search.over():
            self._restarts += 1
            rng = np.random.default_rng([number, self._restarts])
            places = self._cube.row(self._problem.space.sample(rng))
            mean = np.where(np.isnan(places), 0.5, places)[self._cube.numeric]
            size = min(2 * search.population, LAMBDA_MOST)  # IPOP
            spread = np.eye(len(mean)) * self._settings.sigma**2
            self._search = Search(self._cube, size, mean, spread, self._cube.shares)

    def _begun(self) -> Search:
        """The search from what is known: around the best tenth, as wide as these lie apart and `sigma` more (the promising
        distribution of WS-CMA-ES).
        """
        cube = self._cube
        rows = np.array([told.row for told in self._best[: math.ceil(BEST * self._measured)]])
        rows = rows.reshape(-1, cube.width)
        x, known = rows[:, cube.numeric], ~np.isnan(rows[:, cube.numeric])
        count = known.sum(axis=0)
        mean = np.where(count, np.where(known, x, 0.0).sum(axis=0) / np.maximum(count, 1), 0.5)
        apart = np.where(known, x - mean, 0.0)
        spread = apart.T @ apart / max(len(rows), 1) + np.eye(len(mean)) * self._settings.sigma**2
        shares = []
        for span, prior in zip(cube.spans, cube.shares, strict=True):
            chosen = np.nan_to_num(rows[:, span]).sum(axis=0)
            shares.append((chosen + len(prior) * prior) / (chosen.sum() + len(prior)))
        return Search(cube, self._population, mean, spread, shares)


class Search:
    """One descent: the distribution, and how it moves."""

    def __init__(
        self, cube: Cube, population: int, mean: Floats, spread: Floats, shares: Sequence[Floats]
    ) -> None:
        self.population = population
        self.generation = 0
        self._cube = cube
        self._set = Constants.of(population, max(len(mean), 1))
        self._mean = mean.copy()
        self._sigma = float(np.exp(np.log(np.diag(spread)).mean() / 2)) if len(mean) else 1.0
        self._C = spread / self._sigma**2
        self._p_sigma = np.zeros(len(mean))
        self._p_c = np.zeros(len(mean))
        self._history: list[float] = []
        self._cells = [
            (i, cube.edges[column]) for i, column in enumerate(cube.numeric.tolist()) if column in cube.edges
        ]
        self._smooth = np.array(
            [column not in cube.edges for column in cube.numeric.tolist()], dtype=np.bool_
        )
        self._alpha = 1 - 0.73 ** (1 / max(len(self._cells) + len(cube.spans), 1))  # as in CatCMA
        self._categories = Categories(shares, self._alpha)
        self._decompose()

    @property
    def spread(self) -> float:
        """The largest standard deviation along any axis of the unit cube."""
        return float(self._sigma * np.sqrt(np.diag(self._C)).max(initial=0.0))

    def draw(self, rng: np.random.Generator) -> Floats:
        """A row of the cube. A continuous parameter is inside: drawn again, at last moved to the border."""
        row = np.zeros(self._cube.width)
        if len(self._mean):
            z = rng.standard_normal((TRIES, len(self._mean)))
            x = self._mean + self._sigma * (z * self._D) @ self._B.T  # (38) to (40)
            inside = ((x >= 0) & (x <= 1) | ~self._smooth).all(axis=1)
            row[self._cube.numeric] = np.clip(x[int(inside.argmax())], 0.0, 1.0)
        for span, shares in zip(self._cube.spans, self._categories.shares, strict=True):
            row[span.start + int(rng.choice(len(shares), p=shares))] = 1.0
        return row

    def update(self, told: Sequence[_Told]) -> None:
        """The distribution after a generation, sorted from best to worst."""
        self.generation += 1
        measured = np.array([one.merit[0] < 2 for one in told])
        if not measured.any():
            return
        self._history.append(told[0].merit[1])
        rows = np.array([one.row for one in told])
        # What failed never attracts, even where there is little else.
        weights = np.where((self._set.weights > 0) & ~measured, 0.0, self._set.weights)
        positive = np.maximum(weights, 0.0)
        positive /= positive.sum()
        if len(self._mean):
            self._step(told, rows[:, self._cube.numeric], np.where(weights > 0, positive, weights))
            self._widen()
            self._decompose()
        self._categories.update([rows[:, span] for span in self._cube.spans], positive)

    def over(self) -> bool:
        """Whether nothing more is to be expected of this search (section B.3)."""
        last = 10 + math.ceil(30 * max(len(self._mean), 1) / self.population)
        del self._history[:-last]
        if len(self._history) == last and max(self._history) - min(self._history) <= FLAT:
            return True
        widths = self._sigma * np.sqrt(np.diag(self._C))[self._smooth]
        narrow = len(widths) > 0 and widths.max() < NARROW
        return bool(narrow or (len(self._D) > 0 and self._D.max() > 1e7 * self._D.min()))

    def _step(self, told: Sequence[_Told], x: Floats, weights: Floats) -> None:
        """Mean, step length and covariance (section A)."""
        c, n = self._set, len(self._mean)
        known = ~np.isnan(x)
        y = (self._latent(told, x) - self._mean) / self._sigma
        length = np.sqrt(np.square((y @ self._B) / self._D).sum(axis=1))
        # Clip what was not drawn from this distribution ("Injecting", with its c_y).
        fresh = np.array([one.fresh for one in told])
        clip = np.where(
            fresh, 1.0, np.minimum(1.0, (math.sqrt(n) + 2 * n / (n + 2)) / np.maximum(length, 1e-30))
        )
        y, length = y * clip[:, None], length * clip
        chosen = np.maximum(weights, 0.0)
        self._mean = self._mean + self._sigma * chosen @ np.where(known, y, 0.0)  # (42)
        step = chosen @ y  # (41)
        white = self._B @ ((step @ self._B) / self._D)
        self._p_sigma = (1 - c.c_sigma) * self._p_sigma + math.sqrt(
            c.c_sigma * (2 - c.c_sigma) * c.mu_eff
        ) * white  # (43)
        norm = float(np.linalg.norm(self._p_sigma))
        steady = norm / math.sqrt(1 - (1 - c.c_sigma) ** (2 * self.generation)) < (1.4 + 2 / (n + 1)) * c.chi
        self._p_c = (1 - c.c_c) * self._p_c + steady * math.sqrt(
            c.c_c * (2 - c.c_c) * c.mu_eff
        ) * step  # (45)
        tamed = weights * np.where(weights >= 0, 1.0, n / np.maximum(length**2, 1e-30))  # (46)
        stalled = 0.0 if steady else c.c_c * (2 - c.c_c)
        self._C = (
            (1 + c.c_1 * stalled - c.c_1 - c.c_mu * weights.sum()) * self._C
            + c.c_1 * np.outer(self._p_c, self._p_c)
            + c.c_mu * (y.T * tamed) @ y
        )  # (47)
        self._sigma *= math.exp(min(1.0, (c.c_sigma / c.d_sigma) * (norm / c.chi - 1)))  # (44)
        self._sigma = min(max(self._sigma, 1e-12), 1.0)
        self._mean = np.where(self._smooth, np.clip(self._mean, 0.0, 1.0), self._mean)

    def _latent(self, told: Sequence[_Told], x: Floats) -> Floats:
        """The points behind the trials, with what these do not tell drawn from the distribution."""
        from scipy.special import ndtr, ndtri

        deviation = self._sigma * np.sqrt(np.diag(self._C))
        chance = np.array([np.random.default_rng(one.number).random(len(self._mean)) for one in told])
        low, high = np.where(np.isnan(x), -1.0, x), np.where(np.isnan(x), 2.0, x)
        for i, edges in self._cells:
            ends = np.concatenate([[-1.0], edges, [2.0]])
            here = ~np.isnan(x[:, i])
            cell = np.searchsorted(edges, x[here, i], side="right")
            low[here, i], high[here, i] = ends[cell], ends[cell + 1]
        below, above = ndtr((low - self._mean) / deviation), ndtr((high - self._mean) / deviation)
        drawn = self._mean + deviation * ndtri(below + chance * (above - below))
        return np.asarray(np.clip(drawn, low, high))

    def _widen(self) -> None:
        """See to it that every whole number can leave its cell (the margin of CMAwM)."""
        from scipy.special import ndtr, ndtri

        alpha = self._alpha
        for i, edges in self._cells:
            mean, deviation = float(self._mean[i]), float(self._sigma * math.sqrt(self._C[i, i]))
            cell = int(np.searchsorted(edges, mean, side="right"))
            if cell in (0, len(edges)):
                edge = float(edges[0] if cell == 0 else edges[-1])
                away = min(abs(mean - edge), -float(ndtri(alpha)) * deviation)  # lowest and highest cell
                self._mean[i] = edge - away if cell == 0 else edge + away
                continue
            low, high = float(edges[cell - 1]), float(edges[cell])
            below, above = float(ndtr((low - mean) / deviation)), float(ndtr((mean - high) / deviation))
            if min(below, above) >= alpha / 2:
                continue
            inside = 1 - below - above
            below, above = max(below, alpha / 2), max(above, alpha / 2)
            excess = 1 - below - above - inside
            share = excess / (below + above + inside - 1.5 * alpha)
            below += share * (below - alpha / 2)
            above += share * (above - alpha / 2)
            under, over = -float(ndtri(below)), -float(ndtri(above))
            self._mean[i] = (low * over + high * under) / (under + over)
            factor = (high - low) / (under + over) / deviation  # CMAwM keeps it apart from C, as A
            self._C[i, :] *= factor
            self._C[:, i] *= factor
            self._p_c[i] *= factor

    def _decompose(self) -> None:
        self._C = (self._C + self._C.T) / 2
        values, self._B = np.linalg.eigh(self._C)
        self._D = np.sqrt(np.maximum(values, 1e-20))


class Categories:
    """A distribution over each choice, moved by the natural gradient, at a rate that follows the signal in it (ASNG:
    Y. Akimoto et al., ICML 2019, arXiv:1905.08537, as in CatCMA).
    """

    def __init__(self, shares: Sequence[Floats], alpha: float) -> None:
        self.shares = [np.array(one) for one in shares]
        self._least = [alpha / (len(one) - 1) for one in self.shares]
        self._free = sum(len(one) - 1 for one in self.shares)
        self._path = np.zeros(self._free)
        self._gamma = 0.0
        self._trust = 1.0
        self._hold()

    def update(self, chosen: Sequence[Floats], weights: Floats) -> None:
        """Move towards what was `chosen` (rows of 0 and 1 per choice, NaN where it does not exist)."""
        gradients = [
            weights @ np.where(np.isnan(rows), 0.0, rows - q)
            for rows, q in zip(chosen, self.shares, strict=True)
        ]
        flat = [_root(g, q) for g, q in zip(gradients, self.shares, strict=True)]
        white = np.concatenate(flat) if flat else np.empty(0)
        norm = float(np.linalg.norm(white))
        if norm < 1e-12:
            return
        rate = 1 / self._trust
        self.shares = [q + rate / norm * g for q, g in zip(self.shares, gradients, strict=True)]
        beta = min(1.0, rate / math.sqrt(self._free))
        self._path = (1 - beta) * self._path + math.sqrt(beta * (2 - beta)) * white / norm
        self._gamma = (1 - beta) ** 2 * self._gamma + beta * (2 - beta)
        self._trust *= math.exp(beta * (self._gamma - float(self._path @ self._path) / 1.5))
        self._hold()

    def _hold(self) -> None:
        """Keep each value likely enough to come up again (the margin of CatCMA)."""
        for i, (q, least) in enumerate(zip(self.shares, self._least, strict=True)):
            least = min(least, 0.5 / len(q))
            q = np.maximum(q, least)
            q = q - (q.sum() - 1) * (q - least) / (q.sum() - least * len(q))
            self.shares[i] = q / q.sum()


def _root(gradient: Floats, q: Floats) -> Floats:
    """The gradient times the square root of the Fisher information (ASNG, appendix B)."""
    last = float(q[-1])
    root = np.sqrt(q[:-1])
    return np.asarray(gradient[:-1] / root + root * gradient[:-1].sum() / (last + math.sqrt(last)))


@dataclass(frozen=True, slots=True)
class Constants:
    """What follows from the population and the number of dimensions (table 1)."""

    weights: Floats
    mu_eff: float
    c_sigma: float
    d_sigma: float
    c_c: float
    c_1: float
    c_mu: float
    chi: float

    @classmethod
    def of(cls, population: int, n: int) -> Constants:
        """The constants for so many points in `n` dimensions."""
        raw = math.log((population + 1) / 2) - np.log(np.arange(1, population + 1))  # (49)
        best = raw[: population // 2]
        rest = raw[population // 2 :]
        mu_eff = float(best.sum() ** 2 / (best**2).sum())
        mu_rest = float(rest.sum() ** 2 / (rest**2).sum())
        c_1 = 2 / ((n + 1.3) ** 2 + mu_eff)  # (57)
        c_mu = min(1 - c_1, 2 * (0.25 + mu_eff + 1 / mu_eff - 2) / ((n + 2) ** 2 + mu_eff))  # (58)
        least = min(
            1 + c_1 / c_mu, 1 + 2 * mu_rest / (mu_eff + 2), (1 - c_1 - c_mu) / (n * c_mu)
        )  # (50)-(52)
        weights = np.where(
            raw >= 0, raw / raw[raw > 0].sum(), least * raw / max(-raw[raw < 0].sum(), 1e-30)
        )  # (53)
        c_sigma = (mu_eff + 2) / (n + mu_eff + 5)  # (55)
        return cls(
            weights=weights,
            mu_eff=mu_eff,
            c_sigma=c_sigma,
            d_sigma=1 + 2 * max(0.0, math.sqrt((mu_eff - 1) / (n + 1)) - 1) + c_sigma,  # (55)
            c_c=(4 + mu_eff / n) / (n + 4 + 2 * mu_eff / n),  # (56)
            c_1=c_1,
            c_mu=c_mu,
            chi=math.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n**2)),
        )
