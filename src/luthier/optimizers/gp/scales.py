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
        (a, b), x = self._bends(which), np.clip(units, BORDER, 1.0 - BORDER)
        powered = x**a
        return np.asarray(a * b * powered / x * (1.0 - powered) ** (b - 1.0))

    def embed(self, features: Floats) -> Floats:
        """The coordinates of each row: the features where their distance is that of the kernel, and those of the trend."""
        numbers = self.axes.numbers
        bent = self.bend(features[:, numbers], self._numbers)
        if len(numbers) == features.shape[1]:
            found = bent
        else:
            found = np.empty((*self.lengthscales.shape[:-1], *features.shape))
            found[...] = features
            found[..., numbers] = bent
        found = np.asarray(found / self.lengthscales[..., None, self.axes.groups])
        return np.concatenate([found, *self._curves(bent)], axis=-1) if len(self._steady) else found

    def _curves(self, bent: Floats) -> tuple[Floats, Floats]:
        """What each number adds to the trend, of first and of second degree; orthonormal on the unit interval."""
        x = 2.0 * bent[..., self._steady] - 1.0
        return _ROOT3 * self._weight * x, _ROOT5 * self._weight * (1.5 * x * x - 0.5)

    def trend_slope(self, trend: Floats, slope: Floats) -> Floats:
        """The derivative by all bent numbers, where `slope` is that by the coordinates of the trend, which are at `trend`."""
        count = len(self._steady)
        by_first, by_second = slope[..., :count], slope[..., count:]
        steady = 2.0 * _ROOT3 * (self._weight * by_first + _ROOT5 * trend[..., :count] * by_second)
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
