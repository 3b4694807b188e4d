"""Output transforms: losses as numbers that a Gaussian process can follow.

Two, because each fails where the other is good: standardising keeps how far apart bad points are, but a single diverged
training flattens everything else; half-ranking bounds the bad half, but then says little about where not to go.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Warped:
    """Losses after a transform, `z` with mean 0 and standard deviation 1, and the way back."""

    z: Floats
    y: Floats

    def inverse(self, z: Floats) -> Floats:
        """Losses for values of `z`: between the pairs that are known along lines, outside by the overall slope."""
        order = np.argsort(self.z, kind="stable")
        known, losses = self.z[order], self.y[order]
        found = np.interp(z, known, losses)
        slope = float(np.std(self.y) / np.std(self.z))
        return np.asarray(found + slope * (np.minimum(z - known[0], 0.0) + np.maximum(z - known[-1], 0.0)))


def standardise(y: Floats) -> Floats | None:
    """The values with mean 0 and standard deviation 1; None where they are all equal."""
    spread = float(np.std(y))
    if not spread > 1e-12 * max(1.0, float(np.abs(y).max())):
        return None
    return np.asarray((y - y.mean()) / spread)


def half_rank(y: Floats) -> Floats:
    """Values up to the median as they are, worse ones by rank, as if the bad half were the mirror of a normal good one.

    X. Song et al., "The Vizier Gaussian Process Bandit Algorithm", arXiv:2408.11527, "half-rank warping".
    """
    from scipy.special import ndtri

    median = float(np.median(y))
    good = y <= median
    spread = float(np.sqrt(np.mean((y[good] - median) ** 2)))
    if not spread > 0.0:
        spread = float(np.sqrt(np.mean((y - median) ** 2)))
    bad = y[~good]
    if not len(bad):
        return y.copy()
    _, inverse, counts = np.unique(-bad, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - 0.5 * (counts - 1.0))[inverse]  # from the worst, ties share their average
    found = y.copy()
    found[~good] = median + spread * ndtri(1.0 - 0.5 * (rank - 0.5) / len(bad))
    return found


def yeo_johnson(x: Floats, power: float) -> Floats:
    """The transform of I.-K. Yeo and R. A. Johnson, "A new family of power transformations", Biometrika 87 (2000)."""
    up, down = np.log1p(np.maximum(x, 0.0)), np.log1p(np.maximum(-x, 0.0))
    positive = up if abs(power) < 1e-8 else np.expm1(power * up) / power
    rest = 2.0 - power
    negative = down if abs(rest) < 1e-8 else np.expm1(rest * down) / rest
    return np.asarray(np.where(x >= 0, positive, -negative))


def fitted_power(x: Floats) -> float:
    """The power in [-1, 3] that makes `x` most normal, by maximum likelihood; 16 steps of golden section."""
    jacobian = float(np.sum(np.sign(x) * np.log1p(np.abs(x))))

    def loss(power: float) -> float:
        variance = float(np.var(yeo_johnson(x, power)))
        return 0.5 * len(x) * math.log(max(variance, 1e-300)) - (power - 1.0) * jacobian

    return _golden(loss, -1.0, 3.0, 16)


def _golden(loss: Callable[[float], float], low: float, high: float, steps: int) -> float:
    ratio = 0.5 * (np.sqrt(5.0) - 1.0)
    a, b = high - ratio * (high - low), low + ratio * (high - low)
    at_a, at_b = loss(a), loss(b)
    for _ in range(steps):
        if at_a <= at_b:
            high, b, at_b = b, a, at_a
            a = high - ratio * (high - low)
            at_a = loss(a)
        else:
            low, a, at_a = a, b, at_b
            b = low + ratio * (high - low)
            at_b = loss(b)
    return float(0.5 * (low + high))


def plain(y: Floats) -> Warped | None:
    """Standardised losses; None where all are equal."""
    z = standardise(y)
    return None if z is None else Warped(z, y)


def bounded(y: Floats) -> Warped | None:
    """Half-ranked losses, made symmetric by a power where they are skewed; None where all are equal."""
    z = standardise(half_rank(y))
    if z is not None and len(y) >= 8 and abs(float(np.mean(z**3))) > 0.5:
        z = standardise(yeo_johnson(z, fitted_power(z)))
    return None if z is None else Warped(z, y)
