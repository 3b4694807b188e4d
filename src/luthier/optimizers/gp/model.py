"""A Gaussian process: its kernel, how its hyperparameters are fitted, and what it predicts.

C. E. Rasmussen, C. K. I. Williams, "Gaussian Processes for Machine Learning", 2006; equations are numbered as there.
The kernel is Matern-5/2 (eq. 4.17) of the distance after `Scales.embed`: bent scales, one lengthscale per parameter; and, where
theta asks for it, a trend that is a sum of parabolas.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from luthier.optimizers.gp.codes import Axes, Floats, Ints
from luthier.optimizers.gp.scales import OTHERS, Scales, parameters, trended

JITTERS = (1e-9, 1e-7, 1e-5, 1e-3)
LENGTHSCALE = (math.log(0.02), math.log(100.0))
BEND = (-1.5, 1.5)
TREND = (-8.0, 5.0)
SIGNAL = (-3.0, 3.0)
NOISE = (math.log(1e-6), 0.0)
MEAN = (-2.0, 2.0)
BLOCK = 128
"""So many rows are predicted at a time: more memory than fits a cache costs more than what is done with it."""
BORDER = 1e12
"""More than the square of any whitened losses."""
AHEAD, MANY = 6, 70
"""So many steps of a sampler are worked out together, a third as many from so many trials on: then calls cost less than sums."""


@dataclass(frozen=True, slots=True)
class Prior:
    """Independent normal beliefs about theta = (log lengthscales, log a, log b, log trend, log signal variance, log noise
    variance, mean), where a and b bend the scale of a parameter and straight ones are the most probable. The variance of the
    trend is a share of the signal's, for each of its two degrees; there may be none in theta.

    Longer lengthscales are expected in more dimensions: C. Hvarfner, E. O. Hellsten, L. Nardi, "Vanilla Bayesian
    optimization performs great in high dimensions", ICML 2024, here with the centre of their density in log space.
    """

    centre: Floats
    spread: Floats

    @classmethod
    def of(
        cls, categorical: Sequence[bool], dimensions: float, trend: bool = False, levels: bool = False
    ) -> Prior:
        """For parameters of which some are categorical and, on average, so many exist at once; with a trend or without, and with
        one dimension more for how far a training went, or without.
        """
        root = 0.5 * math.log(max(dimensions, 1.0))
        centre = [root - (0.7 if c else 1.586) for c in categorical] + [0.3] * levels
        spread = [1.5 if c else 1.0 for c in categorical] + [3.0] * levels
        bends = 2 * len(centre)
        return cls(
            np.array([*centre, *[0.0] * bends, *[-2.0] * trend, 0.0, -4.0, 0.0]),
            np.array([*spread, *[0.5] * bends, *[1.5] * trend, 1.0, 1.5, 0.5]),
        )

    def starts(self) -> list[Floats]:
        """Where to begin a fit from: the prior's mode, a smooth function, a noisy one."""
        smooth, noisy = self.centre.copy(), self.centre.copy()
        smooth[: parameters(smooth)] += 1.6
        noisy[-2] = math.log(0.3)
        return [self.centre.copy(), smooth, noisy]


@dataclass(frozen=True, slots=True)
class Data:
    """What hyperparameters are fitted to: features and what their columns are, transformed losses; and the prior."""

    features: Floats
    axes: Axes
    z: Floats
    prior: Prior


def bounds(theta: Floats) -> list[tuple[float, float]]:
    """The box in which a theta like this one is looked for."""
    count = parameters(theta)
    return [LENGTHSCALE] * count + [BEND] * (2 * count) + [TREND] * trended(theta) + [SIGNAL, NOISE, MEAN]


def kernel(one: Floats, other: Floats, width: int) -> Floats:
    """The kernel between coordinates, of which so many are there for distance and all others for the trend; shape (rows of one,
    rows of the other).
    """
    value = matern(squared(one[..., :width], other[..., :width]))
    if one.shape[-1] > width:
        value += one[..., width:] @ other[..., width:].swapaxes(-1, -2)
    return value


def squared(one: Floats, other: Floats) -> Floats:
    """The squared distances between coordinates, shape (rows of one, rows of the other)."""
    r2 = (-2.0 * one) @ other.swapaxes(-1, -2)
    r2 += np.einsum("...i,...i->...", one, one)[..., None]
    r2 += np.einsum("...i,...i->...", other, other)[..., None, :]
    return np.maximum(r2, 0.0, out=r2)


def trend_variance(trend: Floats) -> Floats | float:
    """The variance of the trend before anything was seen, as a share of the signal's, by its coordinates."""
    return np.asarray(np.einsum("...i,...i->...", trend, trend)) if trend.shape[-1] else 0.0


def matern(r2: Floats) -> Floats:
    """Matern-5/2 of squared distances, in whose place it is put."""
    r = np.sqrt(r2)
    r *= math.sqrt(5.0)
    r2 *= 5.0 / 3.0
    r2 += r
    r2 += 1.0
    r2 *= np.exp(np.negative(r, out=r), out=r)
    return r2


def matern_slope(r2: Floats) -> tuple[Floats, Floats]:
    """The same, and the derivative by the squared distances."""
    r = np.sqrt(5.0 * r2)
    value = np.exp(-r)
    slope = value * r
    slope += value
    value *= r2
    value *= 5.0 / 3.0
    value += slope
    slope *= -5.0 / 6.0
    return value, slope


def diagonal(matrix: Floats) -> Floats:
    """The diagonal itself, of one matrix or of several, which can be written to."""
    return np.asarray(np.einsum("...ii->...i", matrix))


def mirrored(lower: Floats) -> Floats:
    """The symmetric matrix of which this is the lower half, all else being zero."""
    both = lower + lower.T
    diagonal(both)[:] *= 0.5
    return both


def cholesky(matrix: Floats) -> Floats:
    """The lower factor of a symmetric matrix, with as much added to the diagonal as it takes; raises LinAlgError if that is
    too much.
    """
    from scipy.linalg import lapack

    for jitter in JITTERS:
        tried = np.array(matrix.T, order="F")  # the same, and in LAPACK's order without being turned
        diagonal(tried)[:] += jitter
        factor, info = lapack.dpotrf(tried, lower=1, clean=1, overwrite_a=1)
        if info == 0:
            return np.asarray(factor)
    raise np.linalg.LinAlgError("the kernel matrix is not positive definite")


def loss(theta: Floats, data: Data) -> tuple[float, Floats]:
    """The negative log posterior of theta, up to a constant, and its gradient (eqs. 2.30 and 5.9)."""
    from scipy.linalg import lapack

    z, prior = data.z, data.prior
    scales = Scales(theta, data.axes)
    signal, noise = math.exp(theta[-3]), math.exp(theta[-2])
    points, width = scales.embed(data.features), scales.width
    here, trend = points[:, :width], points[:, width:]
    value, slope = matern_slope(squared(here, here))
    if trend.shape[1]:
        value += trend @ trend.T
    covariance = signal * value
    noisy = covariance.copy()
    diagonal(noisy)[:] += noise
    try:
        factor = cholesky(noisy)
    except np.linalg.LinAlgError:
        return 1e10, np.zeros_like(theta)
    inverse = mirrored(lapack.dpotri(factor, lower=1)[0])
    rest = z - theta[-1]
    alpha = inverse @ rest
    away = (theta - prior.centre) / prior.spread
    reached = 0.5 * rest @ alpha + np.log(diagonal(factor)).sum() + 0.5 * away @ away
    # eq. 5.9: dL/dtheta = 1/2 tr(A dK/dtheta), A = alpha alpha^T - K^-1.
    a = np.outer(alpha, alpha) - inverse
    m = signal * a * slope
    # dL/dr2_ij = -m_ij / 2 for each ordered pair, and dr2_ij/dx_i = 2 (x_i - x_j).
    by_points = 2.0 * (m @ here - m.sum(axis=1)[:, None] * here)
    if trend.shape[1]:
        by_points = np.hstack([by_points, -signal * (a @ trend)])
    gradient = away / prior.spread
    gradient[:-OTHERS] += scales.gradient(data.features, points, by_points)
    gradient[-3] -= 0.5 * (a * covariance).sum()
    gradient[-2] -= 0.5 * noise * np.trace(a)
    gradient[-1] -= alpha.sum()
    return float(reached), gradient


def fit(data: Data, starts: Sequence[tuple[Floats, int]]) -> Floats:
    """The most probable theta that is reached from any of the starts in as many iterations as are given with it."""
    from scipy.optimize import minimize

    box = bounds(data.prior.centre)
    low, high = np.array(box).T
    found: list[tuple[float, Floats]] = []
    for start, iterations in starts:
        options: Any = {"maxcor": 10, "gtol": 1e-2, "ftol": 2.2e-7, "maxiter": iterations}
        result = minimize(
            loss,
            np.clip(start, low, high),
            args=(data,),
            jac=True,
            method="L-BFGS-B",
            bounds=box,
            options=options,
        )
        found.append((float(result.fun), np.asarray(result.x)))
    return min(found, key=lambda pair: pair[0])[1]


def log_likelihoods(thetas: Floats, data: Data) -> Floats:
    """Of each theta, up to a constant (eq. 2.30); minus infinity outside of the bounds."""
    low, high = np.array(bounds(data.prior.centre)).T
    found = np.full(len(thetas), -math.inf)
    inside = ((thetas >= low) & (thetas <= high)).all(axis=1)
    thetas, count = thetas[inside], len(data.z)
    points = Scales(thetas, data.axes).embed(data.features)
    # With the losses as one row more, that row of the factor holds what they are once whitened.
    bordered = np.empty((len(thetas), count + 1, count + 1))
    covariances: Floats = bordered[:, :count, :count]
    np.multiply(
        np.exp(thetas[:, -3, None, None]), kernel(points, points, data.features.shape[1]), out=covariances
    )
    diagonal(covariances)[...] += np.exp(thetas[:, -2, None]) + JITTERS[0]
    bordered[:, count, :count] = data.z - thetas[:, -1, None]
    bordered[:, count, count] = BORDER
    try:
        factors = np.asarray(np.linalg.cholesky(bordered), dtype=np.float64)
    except np.linalg.LinAlgError:
        if len(thetas) > 1:
            found[inside] = [log_likelihoods(theta[None, :], data)[0] for theta in thetas]
        return found
    white = factors[:, count, :count]
    logs = np.log(diagonal(factors)[:, :count]).sum(axis=1)
    found[inside] = -0.5 * np.einsum("ij,ij->i", white, white) - logs
    return found


def sampled(theta: Floats, data: Data, count: int, steps: int, rng: np.random.Generator) -> list[Floats]:
    """So many thetas drawn by what is probable, each so many steps of elliptical slice sampling from the last.

    I. Murray, R. P. Adams, D. J. C. MacKay, "Elliptical slice sampling", AISTATS 2010, figure 2. That the prior of theta is
    normal is all it takes: nothing is to be tuned. Where a step goes if it is refused does not depend on by how much it was, so the
    next few are worked out together.
    """
    prior = data.prior
    away, level = theta - prior.centre, float(log_likelihoods(theta[None, :], data)[0])
    ahead = AHEAD if len(data.z) < MANY else AHEAD // 3
    found = []
    for step in range(count * steps):
        other = prior.spread * rng.standard_normal(len(theta))
        least = level + math.log(1.0 - rng.random())
        for tried in _batched(_shrinking(rng), ahead):
            angles = np.array(tried)[:, None]
            places = away * np.cos(angles) + other * np.sin(angles)
            reached = log_likelihoods(prior.centre + places, data)
            enough = np.flatnonzero(reached > least)
            if len(enough):
                away, level = places[enough[0]], float(reached[enough[0]])
                break
        if (step + 1) % steps == 0:
            found.append(prior.centre + away)
    return found


def _shrinking(rng: np.random.Generator) -> Iterator[float]:
    """Angles to try one after the other, each nearer to where the step began than those before on its side; up to thirty."""
    angle = rng.uniform(0.0, 2.0 * math.pi)
    low, high = angle - 2.0 * math.pi, angle
    for _ in range(30):
        yield angle
        low, high = (angle, high) if angle < 0.0 else (low, angle)
        angle = rng.uniform(low, high)


def _batched(angles: Iterator[float], size: int) -> Iterator[list[float]]:
    while batch := list(islice(angles, size)):
        yield batch


class Posterior:
    """What is believed once `z` was seen at `features`, for one theta (eqs. 2.25 and 2.26)."""

    def __init__(self, theta: Floats, features: Floats, axes: Axes, z: Floats) -> None:
        from scipy.linalg import lapack

        self.theta = theta
        self.scales = Scales(theta, axes)
        self.signal, self.noise, self.mean = math.exp(theta[-3]), math.exp(theta[-2]), float(theta[-1])
        self.points = self.scales.embed(features)
        self.seen = len(z)
        covariance = self._between(self.points, self.points)
        diagonal(covariance)[:] += self.noise
        self._covariance = covariance
        self._whiten = np.asarray(lapack.dtrtri(cholesky(covariance), lower=1)[0])
        self._alpha = self._whiten.T @ (self._whiten @ (z - self.mean))
        self._inverse: Floats | None = None
        self.means = z - self.noise * self._alpha
        """The posterior mean at the points seen, free of noise."""

    def given(self, features: Floats) -> Posterior:
        """The same after trials at `features` end with the mean: what is uncertain there will not be (section 2.7 of
        GP-BUCB, T. Desautels et al., JMLR 2014). The mean stays.
        """
        from scipy.linalg import lapack

        if not len(features):
            return self
        new: Posterior = object.__new__(Posterior)
        new.__dict__.update(self.__dict__)
        more = self.scales.embed(features)
        between, own = self._between(more, self.points), self._between(more, more)
        diagonal(own)[:] += self.noise
        new._covariance = np.block([[self._covariance, between.T], [between, own]])
        new.points = np.vstack([self.points, more])
        new._whiten = np.asarray(lapack.dtrtri(cholesky(new._covariance), lower=1)[0])
        new._alpha = np.concatenate([self._alpha, np.zeros(len(more))])
        new._inverse = None
        return new

    def predict(self, features: Floats) -> tuple[Floats, Floats]:
        """Mean and variance, without noise, at each row."""
        return self.predict_at(self.scales.embed(features))

    def predict_at(self, points: Floats) -> tuple[Floats, Floats]:
        """The same where features are embedded already."""
        mean, explained = np.empty(len(points)), np.empty(len(points))
        for i in range(0, len(points), BLOCK):
            block = slice(i, i + BLOCK)
            covariance = self._between(points[block], self.points)
            white = covariance @ self._whiten.T
            np.matmul(covariance, self._alpha, out=mean[block])
            np.einsum("ij,ij->i", white, white, out=explained[block])
        trend = points[:, self.scales.width :]
        variance = self.signal * (1.0 + trend_variance(trend)) - explained
        return self.mean + mean, np.maximum(variance, 1e-12)

    def drawn(self, features: Floats, count: int, rng: np.random.Generator) -> Floats:
        """Functions drawn from what is believed, without noise, at each row; shape (count, rows)."""
        points = self.scales.embed(features)
        across = self._between(points, self.points) @ self._whiten.T
        covariance = self._between(points, points) - across @ across.T
        mean, _ = self.predict_at(points)
        return np.asarray(mean + rng.standard_normal((count, len(points))) @ cholesky(covariance).T)

    def _between(self, one: Floats, other: Floats) -> Floats:
        covariance = kernel(one, other, self.scales.width)
        covariance *= self.signal
        return covariance

    @property
    def solver(self) -> tuple[Floats, Floats]:
        """What the covariances with the points seen are multiplied by: for the mean, and the inverse of their covariance."""
        if self._inverse is None:
            from scipy.linalg import lapack

            self._inverse = mirrored(lapack.dlauum(self._whiten, lower=1)[0])
        return self._alpha, self._inverse


class Mixture:
    """Several posteriors at the same points, worked out together. Results have a row per posterior."""

    def __init__(self, posteriors: Sequence[Posterior]) -> None:
        self.posteriors = posteriors
        self._scales = Scales(np.array([p.theta for p in posteriors]), posteriors[0].scales.axes)
        points, width = np.array([p.points for p in posteriors]), self._scales.width
        self._points, self._trends = points[..., :width], points[..., width:]
        self._pulling = np.concatenate([self._points, np.ones((*self._points.shape[:2], 1))], axis=2)
        self._squares = (self._points * self._points).sum(axis=2)[:, None, :]
        self._signal = np.array([p.signal for p in posteriors])[:, None]
        self._mean = np.array([p.mean for p in posteriors])[:, None]
        self._alpha = np.array([p.solver[0] for p in posteriors])[:, None, :]
        self._inverse = np.array([p.solver[1] for p in posteriors])
        self._tilt = self._alpha @ self._trends

    def predict(self, features: Floats, only: int | None = None) -> tuple[Floats, Floats]:
        """Mean and variance, without noise, shape (posteriors, rows); of the first `only` posteriors."""
        if only is not None or len(features) > 8 * BLOCK:
            means, variances = zip(*(p.predict(features) for p in self.posteriors[:only]), strict=True)
            return np.array(means), np.array(variances)
        points, width = self._scales.embed(features), self._scales.width
        return self._moments(matern(self._squared(points[..., :width])), points[..., width:])[:2]

    def slopes(self, features: Floats, columns: Ints) -> tuple[Floats, Floats, Floats, Floats]:
        """Mean and variance at each row, and their derivatives by some numeric columns of the features, on the bent
        scales of the first posterior, shape (posteriors, rows, columns).
        """
        points, width = self._scales.embed(features), self._scales.width
        scaled, trend = points[..., :width], points[..., width:]
        value, slope = matern_slope(self._squared(scaled))
        mean, variance, solved = self._moments(value, trend)
        which = self._scales.axes.groups[columns]
        steep = self._scales.steepness(features[:, columns], which)
        ratio = steep / steep[0]
        # What pulls the mean, and below it what pulls the variance: two rows for each.
        rows = len(features)
        pulls = np.empty((len(slope), 2 * rows, slope.shape[2]))
        np.multiply(slope, self._alpha, out=pulls[:, :rows])
        np.multiply(slope, solved, out=pulls[:, rows:])
        pulled = (pulls @ self._pulling).reshape(len(slope), 2, rows, width + 1).swapaxes(0, 1)
        by_features = (scaled * pulled[..., -1:] - pulled[..., :-1])[..., columns]
        by_features *= 2.0 * ratio / self._scales.lengthscales[:, None, which]
        if trend.shape[2]:
            tilt = np.empty((2, *trend.shape))
            tilt[0] = self._tilt
            np.subtract(solved @ self._trends, trend, out=tilt[1])
            places = np.searchsorted(self._scales.axes.numbers, columns)
            by_features += ratio * self._scales.trend_slope(trend, tilt)[..., places]
        by_features *= self._signal[:, :, None]
        return mean, variance, by_features[0], -2.0 * by_features[1]

    def _squared(self, scaled: Floats) -> Floats:
        """The squared distances to the points seen."""
        r2 = (-2.0 * scaled) @ self._points.transpose(0, 2, 1)
        r2 += np.einsum("...i,...i->...", scaled, scaled)[:, :, None]
        r2 += self._squares
        return np.asarray(np.maximum(r2, 0.0, out=r2))

    def _moments(self, value: Floats, trend: Floats) -> tuple[Floats, Floats, Floats]:
        """Mean and variance where distance alone makes the kernel `value`, which becomes the covariance; and that times the
        inverse of the covariance of the points seen.
        """
        if trend.shape[2]:
            value += trend @ self._trends.transpose(0, 2, 1)
        value *= self._signal[:, :, None]
        solved = value @ self._inverse
        variance = self._signal * (1.0 + trend_variance(trend)) - np.einsum("...i,...i->...", solved, value)
        mean = self._mean + (value @ self._alpha.transpose(0, 2, 1))[..., 0]
        return mean, np.maximum(variance, 1e-12), solved


class Success:
    """How likely a trial is to end well, by those near it: (a w + sum k ok) / (w + sum k), with a the share overall that
    counts as much as w = 0.1 of a trial. Near is nearer than for losses, as failures may begin at a sharp border.
    """

    def __init__(self, features: Floats, ok: NDArray[np.bool_], lengthscales: Floats, groups: Ints) -> None:
        self.scale = (1.0 / np.minimum(lengthscales, 0.15 * math.sqrt(len(lengthscales))))[groups]
        self._points = features * self.scale
        self._ok = ok.astype(np.float64)
        self._weight = 0.1
        self._share = self._weight * (self._ok.sum() + 0.5) / (len(ok) + 1.0)

    def log(self, features: Floats) -> Floats:
        """The logarithm of the probability at each row."""
        k = matern(squared(features * self.scale, self._points))
        return np.asarray(np.log((self._share + k @ self._ok) / (self._weight + k.sum(axis=1))))

    def slopes(self, features: Floats, columns: Ints) -> tuple[Floats, Floats]:
        """The same, and its derivative by some columns of the features."""
        scaled = features * self.scale
        k, slope = matern_slope(squared(scaled, self._points))
        good, total = self._share + k @ self._ok, self._weight + k.sum(axis=1)
        weighted = 2.0 * slope * (self._ok[None, :] / good[:, None] - 1.0 / total[:, None])
        here, there = scaled[:, columns], self._points[:, columns]
        return np.log(good / total), self.scale[columns] * (
            here * weighted.sum(axis=1)[:, None] - weighted @ there
        )
