"""What the objective is expected to be on average: along a parameter, over two of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from luthier.analysis.forest import Axis, Forest
from luthier.errors import InvalidParams
from luthier.space import Choice, Parameter, Scalar
from luthier.study import History, State

Floats = NDArray[np.float64]
LEVELS = 48
"""A slice or contour has at most about so many values along a range."""


@dataclass(frozen=True, slots=True)
class Observed:
    """Trials that completed with a value: their numbers, their values of one parameter or two, and of the objective."""

    numbers: tuple[int, ...]
    at: tuple[tuple[Scalar, ...], ...]
    objective: Floats


@dataclass(frozen=True, slots=True)
class Slice:
    """The objective along one parameter: for each of its `values`, what is to be expected on average over all values of
    the other parameters, and the standard deviation of that over the trees of the forest.
    """

    name: str
    parameter: Parameter
    values: tuple[Scalar, ...]
    mean: Floats
    sd: Floats
    observed: Observed


@dataclass(frozen=True, slots=True)
class Contour:
    """The same over two parameters, where both exist. `mean` and `sd` have shape (values of the first, of the second)."""

    names: tuple[str, str]
    parameters: tuple[Parameter, Parameter]
    values: tuple[tuple[Scalar, ...], tuple[Scalar, ...]]
    mean: Floats
    sd: Floats
    observed: Observed


def slice_of(history: History, name: str, *, forest: Forest | None = None) -> Slice:
    """The objective along the parameter `name`. Raises InvalidParams where it is not one that varies."""
    forest = forest or Forest.of(history)
    axis = forest.cells.axes[forest.cells.index(name)]
    places, groups = _levels(axis)
    each = _pooled(forest.marginal(name), axis, groups, 1) * forest.sign
    return Slice(
        name, axis.parameter, places, each.mean(axis=0), each.std(axis=0, ddof=1), _observed(history, name)
    )


def contour_of(history: History, a: str, b: str, *, forest: Forest | None = None) -> Contour:
    """The objective over the parameters `a` and `b`. Raises InvalidParams where they never exist together."""
    forest = forest or Forest.of(history)
    axes = [forest.cells.axes[forest.cells.index(name)] for name in (a, b)]
    if a == b:
        raise InvalidParams(f"a contour takes two parameters, and {a!r} is named twice. Name another.")
    each = forest.marginal(a, b)
    if np.isnan(each).all():
        raise InvalidParams(f"{a!r} and {b!r} never exist together. Choose another pair.")
    levels = [_levels(axis) for axis in axes]
    for i, (axis, (_, groups)) in enumerate(zip(axes, levels, strict=True)):
        each = _pooled(each, axis, groups, 1 + i)
    each = each * forest.sign
    return Contour(
        (a, b),
        (axes[0].parameter, axes[1].parameter),
        (levels[0][0], levels[1][0]),
        each.mean(axis=0),
        each.std(axis=0, ddof=1),
        _observed(history, a, b),
    )


def _levels(axis: Axis) -> tuple[tuple[Scalar, ...], NDArray[np.intp]]:
    """Few enough values to draw, evenly on the parameter's scale, and to which of them each cell belongs."""
    n = len(axis.values)
    if isinstance(axis.parameter, Choice) or n <= LEVELS:
        return axis.values, np.arange(n)
    middles = (np.append(0.0, axis.edges) + np.append(axis.edges, 1.0)) / 2
    groups = np.unique((middles * LEVELS).astype(int), return_inverse=True)[1]
    units = np.bincount(groups, middles) / np.bincount(groups)
    return tuple(axis.parameter.from_unit(units)), groups


def _pooled(each: Floats, axis: Axis, groups: NDArray[np.intp], along: int) -> Floats:
    """The mean over the cells of each level, by the room they take."""
    if len(groups) == groups.max() + 1:
        return each
    mix = np.zeros((len(axis.weights), groups.max() + 1))
    mix[np.arange(len(groups)), groups] = axis.weights
    mix /= mix.sum(axis=0)
    return np.moveaxis(np.tensordot(each, mix, axes=(along, 0)), -1, along)


def _observed(history: History, *names: str) -> Observed:
    trials = [
        t
        for t in history
        if t.state is State.COMPLETED
        and np.isfinite(history.value(t))
        and all(name in t.params for name in names)
        and history.problem.space.allows(t.params)  # defaults may lie outside, where no axis reaches
    ]
    return Observed(
        tuple(t.number for t in trials),
        tuple(tuple(t.params[name] for t in trials) for name in names),
        np.array([history.value(t) for t in trials]),
    )
