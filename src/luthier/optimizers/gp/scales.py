"""Scales: where points lie. The scale of every number is bent as the data ask for, and measured in a lengthscale.

J. Snoek et al., "Input warping for Bayesian optimization of non-stationary functions", ICML 2014: a rate that was declared on a
linear scale and acts by its logarithm is found out. The bend is the distribution function of P. Kumaraswamy,
1 - (1 - x^a)^b, as in A. Cowen-Rivers et al., "HEBO", JAIR 74 (2022).

Where `theta` asks for a trend there are further coordinates: Legendre's polynomials of the first and second degree of every bent
number, so that their product is the kernel of a sum of parabolas (Rasmussen and Williams, eq. 2.40).
"""

from __future__ import annotations

import math

import numpy as np

from luthier.optimizers.gp.codes import Axes, Floats, Ints

OTHERS = 3
"""So many hyperparameters have nothing to do with where points lie; they come last in theta."""
BORDER = 1e-4
"""So close to the ends of a scale it may be infinitely steep: its steepness is taken from here."""
_TINY = 1e-300
_ROOT3, _ROOT5 = math.sqrt(3.0), math.sqrt(5.0)


def parameters(theta: Floats) -> int:
    """How many parameters `theta` has the log lengthscales, log a and log b of, in this order."""
    return int(theta.shape[-1] - OTHERS) // 3


def trended(theta: Floats) -> bool:
    """Whether the log variance of a trend follows them."""
    return int(theta.shape[-1] - OTHERS) % 3 == 1


class Scales:
    """The scales that `theta` describes, or several thetas one below the other: then results have an axis more, in front."""

    def __init__(self, theta: Floats, axes: Axes) -> None:
        count = parameters(theta)
        self.axes = axes
        told = np.exp(theta[..., : 3 * count]).reshape(*theta.shape[:-1], 3, count)
        self.lengthscales, self._a, self._b = told[..., 0, :], told[..., 1, :], told[..., 2, :]
        self._numbers = axes.groups[axes.numbers]
        self._reach = self.lengthscales[..., None, axes.groups]
        self.width = len(axes.groups)
        """So many coordinates are there for distance, all others for the trend."""
        self._trended = trended(theta)
        self._steady = axes.steady if self._trended else axes.steady[:0]
        if len(self._steady):
            self._weight = np.sqrt(np.exp(theta[..., -OTHERS - 1]) / len(self._steady))[..., None, None]

    def _bends(self, which: Ints) -> tuple[Floats, Floats]:
        return self._a[..., None, which], self._b[..., None, which]

    def bend(self, units: Floats, which: Ints) -> Floats:
        """Places in the unit interval, a column for each parameter of `which`, on the bent scales."""
        a, b = self._bends(which)
        return np.asarray(1.0 - (1.0 - units**a) ** b)

    def unbend(self, bent: Floats, which: Ints) -> Floats:
        """The places that `bend` brings there."""
        a, b = self._bends(which)
        return np.asarray((1.0 - (1.0 - bent) ** (1.0 / b)) ** (1.0 / a))

    def steepness(self, units: Floats, which: Ints) -> Floats:
        """The derivative of `bend`."""
        (a, b), x = self._bends(which), np.minimum(np.maximum(units, BORDER), 1.0 - BORDER)
        powered = x**a
        return np.asarray(a * b * powered / x * (1.0 - powered) ** (b - 1.0))

    def embed(self, features: Floats) -> Floats:
        """The coordinates of each row: the features where their distance is that of the kernel, and those of the trend."""
        numbers, width = self.axes.numbers, self.width
        bent = self.bend(features[:, numbers], self._numbers)
        found = np.empty((*bent.shape[:-1], width + 2 * len(self._steady)))
        near = found[..., :width]
        if len(numbers) < width:
            near[...] = features
            near[..., numbers] = bent
            near /= self._reach
        else:
            np.divide(bent, self._reach, out=near)
        if len(self._steady):
            self._curve(bent, found[..., width:])
        return found

    def _curve(self, bent: Floats, found: Floats) -> None:
        """What each number adds to the trend, of first and then of second degree; orthonormal on the unit interval."""
        count = len(self._steady)
        first, second = found[..., :count], found[..., count:]
        x = bent if count == bent.shape[-1] else bent[..., self._steady]
        np.multiply(2.0 * _ROOT3 * self._weight, x - 0.5, out=first)
        np.multiply(first, first, out=second)
        second *= 0.5 * _ROOT5 / self._weight
        second -= 0.5 * _ROOT5 * self._weight

    def trend_slope(self, trend: Floats, slope: Floats) -> Floats:
        """The derivative by all bent numbers, where `slope` is that by the coordinates of the trend, which are at `trend`."""
        count = len(self._steady)
        by_first, by_second = slope[..., :count], slope[..., count:]
        steady = 2.0 * _ROOT3 * (self._weight * by_first + _ROOT5 * trend[..., :count] * by_second)
        if count == len(self.axes.numbers):
            return np.asarray(steady)
        found = np.zeros((*steady.shape[:-1], len(self.axes.numbers)))
        found[..., self._steady] = steady
        return found

    def gradient(self, features: Floats, coordinates: Floats, slope: Floats) -> Floats:
        """The derivative by the part of theta that is told here, where `slope` is that by the coordinates."""
        count, numbers, which = len(self.lengthscales), self.axes.numbers, self._numbers
        a, b, x = self._a[which], self._b[which], features[:, numbers]
        # Both logarithms are multiplied by zero where they are infinite.
        powered, log = x**a, np.log(np.maximum(x, _TINY))
        rest = np.maximum(1.0 - powered, _TINY)
        left = rest**b
        by_bent = slope[:, numbers] / self.lengthscales[which]
        along = (slope * coordinates).sum(axis=0)
        if len(self._steady):
            by_bent += self.trend_slope(coordinates[:, self.width :], slope[:, self.width :])
        by_a = (by_bent * (a * b * left / rest * powered * log)).sum(axis=0)
        by_b = -(by_bent * (b * left * np.log(rest))).sum(axis=0)
        return np.concatenate(
            [
                np.bincount(self.axes.groups, weights=-along[: self.width], minlength=count),
                np.bincount(which, weights=by_a, minlength=count),
                np.bincount(which, weights=by_b, minlength=count),
                *([[0.5 * along[self.width :].sum()]] if self._trended else []),
            ]
        )
