"""Acquisition: how promising each point is, and the search for the most promising one in a mixed, conditional space.

Log expected improvement: S. Ament et al., "Unexpected improvements to expected improvement for Bayesian optimization",
NeurIPS 2023. Thousands of candidates are looked at; the best are improved all at once, by a quasi-Newton method along
what is continuous and by trying every neighbour along what is not.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from luthier.optimizers.gp.codes import Bools, Codes, Floats, Ints
from luthier.optimizers.gp.model import Mixture, Success
from luthier.optimizers.gp.scales import Scales

Keys = NDArray[np.uint64]
Rule = Callable[[Floats, Floats], tuple[Floats, Floats, Floats]]
"""From mean and variance, shape (posteriors, rows), to a value to be maximised, and its derivatives by both."""

CANDIDATES = (512, 384)
"""How many points are looked at before any is improved: with up to 150 trials, and with more."""
STARTS = 6
STEPS, MORE = 10, 6
"""A climb has so many steps, and so many more after a sweep: twenty gain nothing that can be seen (docs/benchmarks.md)."""
TOP = 8
"""From so many of the best points candidates are made."""
MEMORY = 5
SEEN = -50.0
_SQRT_HALF_PI = math.sqrt(0.5 * math.pi)
_LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)


# --- what is worth trying ----------------------------------------------------------------------


def log_improvement(z: Floats) -> tuple[Floats, Floats]:
    """log(phi(z) + z Phi(z)) and its derivative, exact where the number itself would underflow (Ament et al., eq. 9)."""
    from scipy.special import erfcx, log_ndtr, ndtr

    near = z > -1.0
    up, down = np.where(near, z, 0.0), np.where(near, 1.0, -z)
    direct = np.log(np.exp(-0.5 * up * up - _LOG_SQRT_2PI) + up * ndtr(up))
    share = np.minimum(_SQRT_HALF_PI * down * erfcx(down / math.sqrt(2.0)), 1.0 - 1e-15)
    far = -0.5 * down * down - _LOG_SQRT_2PI + np.log1p(-share)
    value = np.where(near, direct, far)
    return value, np.exp(np.minimum(log_ndtr(z) - value, 60.0))


def expected_improvement(best: Floats) -> Rule:
    """The logarithm of by how much a point is expected to fall below `best`, a number per posterior."""

    def rule(mean: Floats, variance: Floats) -> tuple[Floats, Floats, Floats]:
        sd = np.sqrt(variance)
        z = (best[: len(mean), None] - mean) / sd
        value, slope = log_improvement(z)
        return np.log(sd) + value, -slope / sd, 0.5 * (1.0 - z * slope) / variance

    return rule


def lower_bound(reach: float) -> Rule:
    """By how much the loss may fall below the mean of all: `reach` standard deviations under its own mean.

    N. Srinivas et al., "Gaussian process optimization in the bandit setting", ICML 2010.
    """

    def rule(mean: Floats, variance: Floats) -> tuple[Floats, Floats, Floats]:
        sd = np.sqrt(variance)
        return reach * sd - mean, -np.ones_like(mean), 0.5 * reach / sd

    return rule


def pure_exploration(threshold: float) -> Rule:
    """What is uncertain, among points that may still be good: for trials that run beside others.

    UCB-PE: E. Contal et al., "Parallel Gaussian process optimization with upper confidence bound and pure
    exploration", ECML 2013, with the penalty of arXiv:2408.11527.
    """

    def rule(mean: Floats, variance: Floats) -> tuple[Floats, Floats, Floats]:
        sd = np.sqrt(variance)
        over = np.where(mean - 0.5 * sd > threshold, 10.0, 0.0)
        return (
            sd - over * (mean - 0.5 * sd - threshold),
            -over,
            0.5 * (1.0 + 0.5 * over) / sd,
        )

    return rule


class Score:
    """A rule applied to the rows of a space; where there are several posteriors, the mean of its exponentials.

    `success` is how likely trials end well.
    """

    def __init__(
        self,
        codes: Codes,
        mixture: Mixture,
        rule: Rule,
        success: Success | None = None,
    ) -> None:
        self.codes, self.mixture, self.rule, self.success = codes, mixture, rule, success
        self.scales = mixture.posteriors[0].scales
        """On these the climb moves."""

    def __call__(self, rows: Floats, only: int | None = None) -> Floats:
        """The value of each row; by so many of the posteriors only, which is enough to see where a closer look pays."""
        features = self.codes.features(rows)
        value, _ = _mixed(self.rule(*self.mixture.predict(features, only))[0])
        return value if self.success is None else value + self.success.log(features)

    def slopes(self, rows: Floats) -> tuple[Floats, Floats]:
        """The value of each row, and its derivatives by the parameters that `climbs` names, on their bent scales; shape
        (rows, climbs).
        """
        codes = self.codes
        active = codes.active(rows)
        features, columns = codes.features(rows, active), codes.columns[codes.climbs]
        mean, variance, mean_slope, variance_slope = self.mixture.slopes(features, columns)
        values, by_mean, by_variance = self.rule(mean, variance)
        value, shares = _mixed(values)
        slope = np.einsum("ij,ijk->jk", shares * by_mean, mean_slope)
        slope += np.einsum("ij,ijk->jk", shares * by_variance, variance_slope)
        if self.success is not None:
            log, log_slope = self.success.slopes(features, columns)
            value, slope = (
                value + log,
                slope + log_slope / self.scales.steepness(rows[:, codes.climbs], codes.climbs),
            )
        return value, slope * active[:, codes.climbs]


def _mixed(values: Floats) -> tuple[Floats, Floats]:
    """The logarithm of the mean over posteriors of the exponentials, and the share that each has in it."""
    most = values.max(axis=0)
    shares = np.exp(values - most)
    total = shares.sum(axis=0)
    return most + np.log(total / len(values)), shares / total


# --- where to look -----------------------------------------------------------------------------


def candidates(
    codes: Codes, best: Floats, good: Floats, scales: Scales, count: int, rng: np.random.Generator
) -> Floats:
    """Rows to look at: half of them anywhere, the others near the `best` rows or between them and the `good` ones."""
    near, crossed = (2 * count) // 5, count // 10
    mixed = best[rng.integers(len(best), size=crossed)]
    other = good[rng.integers(len(good), size=crossed)]
    return np.vstack(
        [
            codes.random(count - near - crossed, rng),
            perturbed(codes, best[rng.integers(len(best), size=near)], scales, rng),
            np.where(rng.random(mixed.shape) < 0.5, mixed, other),
        ]
    )


def perturbed(codes: Codes, rows: Floats, scales: Scales, rng: np.random.Generator) -> Floats:
    """The rows after normal steps of up to half a lengthscale: every second row in all numbers, the others in a few."""
    numeric = codes.numeric
    count, width = len(rows), len(numeric)
    moved = rows.copy()
    if width:
        few = rng.random((count, width)) < min(1.0, 3.0 / rows.shape[1])
        few[np.arange(count), rng.integers(width, size=count)] = True
        few[::2] = True
        reach = np.minimum(0.2, 0.5 * scales.lengthscales[numeric])
        steps = (
            reach * np.where(rng.random(count) < 0.5, 1.0, 0.1)[:, None] * rng.standard_normal((count, width))
        )
        places = scales.unbend(reflected(scales.bend(rows[:, numeric], numeric) + steps), numeric)
        moved[:, numeric] = np.where(few, places, rows[:, numeric])
    if len(codes.unordered):
        unordered = codes.unordered
        fresh = codes.random(count, rng)[:, unordered]
        change = rng.random(fresh.shape) < 0.7 * max(1.0 / len(unordered), 0.2)
        moved[:, unordered] = np.where(change, fresh, rows[:, unordered])
    return codes.snap(moved)


def reflected(units: Floats) -> Floats:
    """Numbers brought back into the unit interval by mirrors at its ends."""
    units = np.abs(units) % 2.0
    return np.where(units > 1.0, 2.0 - units, units)


def diverse(codes: Codes, rows: Floats, values: Floats, count: int) -> Ints:
    """The numbers of the best rows that lie apart of each other."""
    features = codes.features(rows)
    order = np.argsort(-values, kind="stable")[: 16 * count]
    chosen: list[int] = []
    open_ = np.ones(len(order), dtype=bool)
    while len(chosen) < count and open_.any():
        first = int(np.argmax(open_))
        chosen.append(int(order[first]))
        open_ &= np.abs(features[order] - features[order[first]]).max(axis=1) > 0.05
    return np.array(chosen, dtype=np.int64)


# --- the climb along what is continuous --------------------------------------------------------


def climb(score: Score, rows: Floats, iterations: int) -> tuple[Floats, Floats]:
    """The rows after up to so many steps of a projected L-BFGS, all rows at once; and their values.

    J. Nocedal, S. J. Wright, "Numerical Optimization", 2006, algorithm 7.4, with an Armijo line search, on the bent
    scales and in units of the lengthscales. A row that gains nothing rests while the others go on.
    """
    climbs, scales = score.codes.climbs, score.scales
    scale = np.clip(scales.lengthscales[climbs], 0.02, 1.0)
    high = 1.0 / scale

    def back(x: Floats) -> Floats:
        return scales.unbend(np.minimum(x * scale, 1.0), climbs)

    rows = rows.copy()
    value, slope = score.slopes(rows)
    slope *= scale
    x = scales.bend(rows[:, climbs], climbs) / scale
    past: list[tuple[Floats, Floats, Floats]] = []
    bend = np.ones(len(rows))
    live = np.ones(len(rows), dtype=bool)
    for _ in range(iterations):
        free = ~(((x <= 0.0) & (slope < 0.0)) | ((x >= high) & (slope > 0.0)))
        ahead = np.where(free, slope, 0.0)
        live &= np.abs(ahead).max(axis=1) > 2e-3
        if not live.any():
            break
        step = np.where(free, _direction(ahead, past, bend), 0.0)
        uphill = _dots(step, slope) > 0.0
        step = np.where(uphill[:, None], step, ahead)
        step *= np.minimum(1.0, 0.5 / np.maximum(np.abs(step).max(axis=1), 1e-300))[:, None]
        moved, reached, new_slope = x.copy(), value.copy(), slope.copy()
        todo = np.flatnonzero(live)
        for _try in range(4):
            tried = np.clip(x[todo] + step[todo], 0.0, high)
            rows[todo[:, None], climbs] = back(tried)
            got, got_slope = score.slopes(rows[todo])
            enough = got >= value[todo] + 1e-4 * _dots(slope[todo], tried - x[todo])
            done = todo[enough]
            moved[done], reached[done], new_slope[done] = (
                tried[enough],
                got[enough],
                got_slope[enough] * scale,
            )
            todo = todo[~enough]
            if not len(todo):
                break
            step[todo] *= 0.25
        live[todo] = False
        s, y = moved - x, slope - new_slope
        sy, yy = _dots(s, y), _dots(y, y)
        curved = sy > 1e-10
        # Rows without curvature keep zeros, which leave the direction as it is.
        past.append(
            (
                np.where(curved[:, None], s, 0.0),
                np.where(curved[:, None], y, 0.0),
                np.where(curved, 1.0 / np.where(curved, sy, 1.0), 0.0),
            )
        )
        del past[:-MEMORY]
        bend = np.where(curved, sy / np.where(curved, yy, 1.0), bend)
        gain = float((reached - value).max())
        x, value, slope = moved, reached, new_slope
        if gain < 1e-4:
            break
    rows[:, climbs] = back(x)
    return rows, value


def _dots(one: Floats, other: Floats) -> Floats:
    """The products of each row with that of the other."""
    return np.asarray(np.einsum("ij,ij->i", one, other))


def _direction(slope: Floats, past: list[tuple[Floats, Floats, Floats]], bend: Floats) -> Floats:
    q = slope.copy()
    shares = []
    for s, y, rho in reversed(past):
        share = rho * _dots(s, q)
        q -= share[:, None] * y
        shares.append(share)
    q *= bend[:, None]
    for (s, y, rho), share in zip(past, reversed(shares), strict=True):
        q += (share - rho * _dots(y, q))[:, None] * s
    return q


# --- the sweep along what is not ---------------------------------------------------------------


def neighbours(codes: Codes, rows: Floats) -> tuple[Floats, Ints]:
    """Every row with one value changed, where that cannot be climbed: to any other, in long ranges to the next two on
    either side. And from which row each comes.
    """
    found: list[Floats] = []
    origin: list[Ints] = []
    here = np.arange(len(rows))
    for i in codes.swept:
        levels = codes.levels[i]
        values = np.arange(codes.categories[i], dtype=np.float64) if levels is None else levels
        changed = np.repeat(rows, len(values), axis=0)
        changed[:, i] = np.tile(values, len(rows))
        found.append(changed)
        origin.append(np.repeat(here, len(values)))
    for i in codes.stepped:
        levels = codes.levels[i]
        assert levels is not None
        level = codes.level(rows, i)
        for step in (-2, -1, 1, 2):
            changed = rows.copy()
            changed[:, i] = levels[np.clip(level + step, 0, len(levels) - 1)]
            found.append(changed)
            origin.append(here)
    if not found:
        return rows[:0], here[:0]
    return np.vstack(found), np.concatenate(origin)


def known(keys: Keys, seen: Keys) -> Bools:
    """Which keys are among those seen, which are sorted."""
    if not len(seen):
        return np.zeros(len(keys), dtype=bool)
    return np.asarray(seen[np.minimum(np.searchsorted(seen, keys), len(seen) - 1)] == keys)


def sweep(score: Score, rows: Floats, values: Floats, seen: Keys) -> tuple[Floats, Floats]:
    """Each row, or the best of its neighbours where that is better; what was seen counts little."""
    codes = score.codes
    around, origin = neighbours(codes, rows)
    if not len(around):
        return rows, values
    around = codes.snap(around)
    reached = score(around) + SEEN * known(codes.keys(around), seen)
    values = values + SEEN * known(codes.keys(rows), seen)
    order = np.lexsort((-reached, origin))
    first = order[np.unique(origin[order], return_index=True)[1]]
    better = reached[first] > values
    return (
        np.where(better[:, None], around[first], rows),
        np.where(better, reached[first], values),
    )


# --- all of it ---------------------------------------------------------------------------------


def maximise(score: Score, looked: Floats, starts: Floats, seen: Keys) -> tuple[Floats, Floats]:
    """The best rows found that were not seen, best first, and their values; none where all were seen."""
    codes = score.codes
    looked = codes.snap(looked)
    values = score(looked, only=1)
    rows = np.vstack([looked[diverse(codes, looked, values, STARTS)], codes.snap(starts)])
    mixed = bool(codes.swept or codes.stepped)
    climbs = len(codes.climbs) > 0
    reached = score(rows) if not climbs else np.zeros(len(rows))
    moved = np.ones(len(rows), dtype=bool)
    for iterations in (STEPS, MORE) if mixed else (STEPS,):
        if climbs:
            rows[moved], reached[moved] = climb(score, rows[moved], iterations)
            if codes.stepped:
                rows = codes.snap(rows)
                reached = score(rows)
        if mixed:
            swept, reached = sweep(score, rows, reached, seen)
            moved = (swept != rows).any(axis=1)
            rows = swept
            if not moved.any():
                break
    more = looked[np.argsort(-values, kind="stable")[:24]]
    pool, worth = np.vstack([rows, more]), np.concatenate([reached, score(more)])
    fresh = ~known(codes.keys(pool), seen)
    pool, worth = pool[fresh], worth[fresh]
    order = np.argsort(-worth, kind="stable")
    return pool[order], worth[order]
