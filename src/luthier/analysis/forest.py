"""A random forest over a space: what the finished trials tell about the rest of it.

Every parameter is cut into cells - a value of a choice, an integer, a piece of a range on its own scale - and cell 0
stands for "does not exist here". A tree parts the cells, so each of its leaves is a box of cells, and what a tree says
about any parameter, over all values of the others, is an exact sum over its leaves (Hutter, Hoos, Leyton-Brown 2014).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from luthier.errors import InvalidParams, LuthierError, did_you_mean
from luthier.space import Choice, Const, Parameter, Params, Scalar, Space
from luthier.study import History, Trial

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]

FEWEST = 10
"""Of fewer trials nothing is said."""
TREES = 64
SMALLEST_LEAF = 3
LARGEST_SAMPLE = 3000
"""No tree sees more trials than that, however many there are; another tree sees others."""
PIECES = 32
"""A range is cut into so many equal pieces, and as many again where the trials are."""
MOST_VALUES = 64
"""A parameter of at most so many values has a cell for each."""
MOST_SCENARIOS = 256


# --- cells -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Axis:
    """A parameter, cut into cells: `values` in the middle of each and `weights`, the share of the scale it takes.

    `edges` part the cells on the unit interval; an unordered choice has none.
    """

    name: str
    parameter: Parameter
    values: tuple[Scalar, ...]
    weights: Floats
    edges: Floats

    @property
    def ordered(self) -> bool:
        """Whether neighbouring cells resemble each other."""
        return not isinstance(self.parameter, Choice) or self.parameter.ordered

    def cells(self, values: Sequence[Scalar]) -> Ints:
        """The cell of each value, from 1."""
        if isinstance(self.parameter, Choice):
            return np.array([self.parameter.index(value) + 1 for value in values], dtype=np.intp)
        return np.searchsorted(self.edges, self.parameter.to_unit(values), side="right") + 1


def axis(name: str, parameter: Parameter, seen: Sequence[Scalar], *, parent: bool) -> Axis:
    """Cut a parameter into cells, finer where the values in `seen` are; a parent of others into all its values."""
    if isinstance(parameter, Choice):
        shares = np.array(parameter.weights or (1.0,) * parameter.size)
        return Axis(name, parameter, parameter.values, shares / shares.sum(), np.empty(0))
    most = MOST_SCENARIOS if parent else MOST_VALUES
    if not isinstance(parameter, Const) and parameter.size is not None and parameter.size <= most:
        steps = [parameter.nth(i) for i in range(parameter.size)]
        edges = parameter.to_unit([value + (parameter.step or 0) / 2 for value in steps[:-1]])
        values: list[Scalar] = list(steps)
    else:
        units = np.unique(parameter.to_unit(list(seen)))
        if len(units) > PIECES:
            units = np.unique(np.quantile(units, np.linspace(0, 1, PIECES)))
        between = (units[1:] + units[:-1]) / 2
        edges = np.unique(np.concatenate([np.arange(1, PIECES) / PIECES, between]))
        edges = edges[(edges > 0) & (edges < 1)]
        ends = np.concatenate([[0.0], edges, [1.0]])
        values = [parameter.at(unit) for unit in (ends[1:] + ends[:-1]) / 2]
    return Axis(name, parameter, tuple(values), np.diff(edges, prepend=0.0, append=1.0), edges)


@dataclass(frozen=True, slots=True)
class Cells:
    """A space in cells. `weights` has shape (axes, cells); cell 0, "does not exist here", weighs nothing.

    Which parameters exist depends on their parents alone, so the space is a mixture of scenarios - each a cell for
    every parent, `places`, of shape (scenarios, axes), with its `chance` - in which the others vary freely;
    `active`, of the same shape, says which exist in it. A space without conditions has one scenario.
    """

    axes: tuple[Axis, ...]
    weights: Floats
    ordered: Bools
    parents: Bools
    places: Ints
    active: Bools
    chance: Floats

    @classmethod
    def of(cls, space: Space, rows: Sequence[Params]) -> Cells:
        """The cells of a space, where trials were made at `rows`."""
        needed = {condition.parent for name in space for condition in space.conditions(name)}
        axes = tuple(
            axis(name, p, [row[name] for row in rows if name in row], parent=name in needed)
            for name, p in space.items()
            if p.size != 1
        )
        weights = np.zeros((len(axes), 1 + max((len(a.values) for a in axes), default=0)))
        for i, a in enumerate(axes):
            weights[i, 1 : 1 + len(a.values)] = a.weights
        parents = [a for a in axes if a.name in needed]
        found, chance = _scenarios(space, parents)
        places = np.array([[_place(a, params) for a in axes] for params in found], dtype=np.intp)
        active = np.array([[space.exists(a.name, params) for a in axes] for params in found])
        return cls(
            axes,
            weights,
            np.array([a.ordered for a in axes], dtype=np.bool_),
            np.array([a.name in needed for a in axes], dtype=np.bool_),
            places.reshape(len(found), len(axes)),
            active.reshape(len(found), len(axes)),
            chance,
        )

    def index(self, name: str) -> int:
        """The place of a parameter among the axes; raises InvalidParams for one that is not there or cannot vary."""
        names = [a.name for a in self.axes]
        if name not in names:
            raise InvalidParams(f"{name!r} is not a parameter that varies.{did_you_mean(name, names)}")
        return names.index(name)

    def encode(self, rows: Sequence[Params]) -> Ints:
        """The cells of points of the space, of shape (rows, axes)."""
        cells = np.zeros((len(rows), len(self.axes)), dtype=np.intp)
        for i, a in enumerate(self.axes):
            here = [j for j, row in enumerate(rows) if a.name in row]
            cells[here, i] = a.cells([rows[j][a.name] for j in here])
        return cells


def _place(a: Axis, params: Params) -> int:
    return int(a.cells([params[a.name]])[0]) if a.name in params else 0


def _scenarios(space: Space, parents: Sequence[Axis]) -> tuple[list[dict[str, Scalar]], Floats]:
    """What the parents may be together, and how likely that is: all of it, or a sample where that is too much."""
    fixed = {name: p.at(0.5) for name, p in space.items() if p.size == 1}
    ways: list[tuple[dict[str, Scalar], float]] = [({}, 1.0)]
    by_name = {a.name: a for a in parents}
    coarse = any(a.parameter.size != len(a.values) for a in parents)
    for name in space.order:
        if name in fixed:
            ways = [({**w, name: fixed[name]} if space.exists(name, w) else w, c) for w, c in ways]
        elif name in by_name:
            ways = [way for w, c in ways for way in _branches(space, by_name[name], w, c)]
        if coarse or len(ways) > MOST_SCENARIOS:
            rng = np.random.default_rng(0)
            drawn = [space.sample(rng) for _ in range(MOST_SCENARIOS)]
            return _only(drawn, [*by_name, *fixed]), np.full(len(drawn), 1 / len(drawn))
    return [w for w, _ in ways], np.array([c for _, c in ways])


def _only(rows: Iterable[Params], names: Sequence[str]) -> list[dict[str, Scalar]]:
    """The rows, with these names alone."""
    return [{name: row[name] for name in names if name in row} for row in rows]


def _branches(
    space: Space, a: Axis, params: dict[str, Scalar], chance: float
) -> list[tuple[dict[str, Scalar], float]]:
    if not space.exists(a.name, params):
        return [(params, chance)]
    return [
        ({**params, a.name: value}, chance * float(weight))
        for value, weight in zip(a.values, a.weights, strict=True)
    ]


# --- trees -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tree:
    """The leaves of a regression tree: `boxes`, of shape (leaves, axes, cells), says which cells each spans, and `heights`
    what its mean is.
    """

    boxes: Bools
    heights: Floats


def grow(cells: Ints, y: Floats, ordered: Bools, width: int, rng: np.random.Generator) -> Tree:
    """A tree on a bootstrap sample, all nodes of a level at once; in each node a random five sixths of the axes may be
    asked, as in SMAC's forests. Where several cuts part the trials alike, one of them is drawn.
    """
    chosen = rng.integers(len(y), size=min(len(y), LARGEST_SAMPLE))
    cells, y = cells[chosen], y[chosen]
    n_axes = cells.shape[1]
    asked = max(1, math.ceil(n_axes * 5 / 6))
    least = 1e-9 * float(np.square(y - y.mean()).sum()) + 1e-300
    finished: list[tuple[Bools, Floats]] = []
    boxes = np.ones((1, n_axes, width), dtype=np.bool_)
    node = np.zeros(len(y), dtype=np.intp)
    while len(boxes):
        k = len(boxes)
        count, first = np.bincount(node, minlength=k), np.bincount(node, y, minlength=k)
        mean = first / count
        axis, low, gain = _cuts(cells, y - mean[node], node, k, ordered, width, asked, rng)
        split = gain > least
        on, at = axis[split], low[split]
        finished.append((boxes[~split], mean[~split]))
        left = np.where(ordered[on, None], np.arange(width) <= at[:, None], np.arange(width) == at[:, None])
        halves = np.repeat(boxes[split], 2, axis=0)
        halves[np.arange(0, 2 * len(on), 2), on] &= left
        halves[np.arange(1, 2 * len(on), 2), on] &= ~left
        boxes = halves
        stay = split[node]
        cells, y, node = cells[stay], y[stay], node[stay]
        place = np.cumsum(split) - 1
        there = cells[np.arange(len(node)), axis[node]]
        right = ~np.where(ordered[axis[node]], there <= low[node], there == low[node])
        node = 2 * place[node] + right
    return Tree(*(np.concatenate(part) for part in zip(*finished, strict=True)))


def _cuts(
    cells: Ints,
    y: Floats,
    node: Ints,
    k: int,
    ordered: Bools,
    width: int,
    asked: int,
    rng: np.random.Generator,
) -> tuple[Ints, Ints, Floats]:
    """The best cut of each of `k` nodes - axis and cell - and by how much it lessens the sum of squares. `y` has mean 0 in
    each node.
    """
    n_axes = cells.shape[1]
    flat = ((node[:, None] * n_axes + np.arange(n_axes)) * width + cells).ravel()
    shape = (k, n_axes, width)
    count = np.bincount(flat, minlength=math.prod(shape)).reshape(shape).astype(np.float64)
    total = np.bincount(flat, np.repeat(y, n_axes), minlength=math.prod(shape)).reshape(shape)
    count[:, ordered] = np.cumsum(count[:, ordered], axis=2)
    total[:, ordered] = np.cumsum(total[:, ordered], axis=2)
    rest = np.bincount(node, minlength=k)[:, None, None] - count
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = np.square(total) * (1 / count + 1 / rest)
    gain[(count < SMALLEST_LEAF) | (rest < SMALLEST_LEAF)] = -np.inf
    best = gain.max(axis=2)
    if asked < n_axes:
        closed = rng.random((k, n_axes)).argsort(axis=1) >= asked
        best[closed] = -np.inf
    axis = best.argmax(axis=1)
    row = gain[np.arange(k), axis]
    alike = row >= best[np.arange(k), axis, None] * (1 - 1e-9)
    low = np.where(alike, rng.random(row.shape), -1.0).argmax(axis=1)
    return axis, low, best[np.arange(k), axis]


# --- the forest --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Forest:
    """Trees grown on the completed trials of a history, whose objective is to be minimised times `sign`."""

    cells: Cells
    trees: tuple[Tree, ...]
    sign: int

    @classmethod
    def of(cls, history: History, *, trees: int = TREES, seed: int = 0) -> Forest:
        """Grow a forest on the trials that completed with a value and lie in the space; others are left out.

        Values that are far worse than most - beyond the upper quartile by more than three times the distance between the
        quartiles - count as if they were just there: one diverged training is not to outweigh everything else.

        Raises LuthierError where there are fewer than ten such trials, all have the same value, or nothing varies.
        """
        used, y = told(history)
        if len(used) < FEWEST:
            raise LuthierError(
                f"{len(used)} of {len(history)} trials completed with a value; to say which parameters matter takes "
                f"at least {FEWEST}. Run more trials first."
            )
        if np.ptp(y) == 0:
            value = history.value(used[0])
            raise LuthierError(
                f"all {len(used)} completed trials have {history.problem.objective.metric} {value:g}, so no parameter can "
                "be told to matter. Check the metric, or widen the space."
            )
        rows = [trial.params for trial in used]
        cells = Cells.of(history.problem.space, rows)
        if not cells.axes:
            raise LuthierError("every parameter of the space is fixed, so there is nothing to compare.")
        encoded, width = cells.encode(rows), cells.weights.shape[1]
        rng = np.random.default_rng([seed, len(used)])
        grown = tuple(grow(encoded, y, cells.ordered, width, rng) for _ in range(trees))
        return cls(cells, grown, history.problem.objective.sign)

    def marginal(self, *names: str) -> Floats:
        """What each tree expects for every cell of these parameters where all of them exist, over all values of the others
        that the space gives them, times `sign`. Shape (trees, cells of the first, cells of the second ...); NaN where
        they never exist together.
        """
        wanted = [self.cells.index(name) for name in names]
        found = np.stack([_marginal(self.cells, tree, wanted) for tree in self.trees])
        return found[(slice(None), *(slice(1, 1 + len(self.cells.axes[i].values)) for i in wanted))]


def told(history: History) -> tuple[list[Trial], Floats]:
    """The trials a model can learn from, and their values of the first objective, to be minimised, clipped."""
    space, sign = history.problem.space, history.problem.objective.sign
    valued = [(trial, sign * history.value(trial)) for trial in history]
    kept = [(t, y) for t, y in valued if not math.isnan(y) and y != -math.inf and space.allows(t.params)]
    y = np.array([value for _, value in kept])
    finite = y[np.isfinite(y)]
    if len(finite):
        low, high = np.quantile(finite, [0.25, 0.75])
        fence = high + 3 * (high - low) if high > low else finite.max()
        y = np.minimum(y, fence)
    return [trial for trial, _ in kept], y


def spread(cells: Cells, tree: Tree) -> Floats:
    """Of what share of each axis every leaf is made, in every scenario: shape (axes, scenarios, leaves)."""
    free = np.einsum("lac,ac->al", tree.boxes, cells.weights)
    absent = tree.boxes[:, :, 0].T
    shares = np.where(cells.active.T[:, :, None], free[:, None, :], absent[:, None, :])
    for i in np.flatnonzero(cells.parents):
        shares[i] = tree.boxes[:, i, cells.places[:, i]].T
    return shares


def _marginal(cells: Cells, tree: Tree, wanted: Sequence[int]) -> Floats:
    shares = spread(cells, tree)
    free = [i for i in wanted if not cells.parents[i]]
    kept = [i for i in range(len(cells.axes)) if i not in free]
    exist = cells.chance * cells.active[:, wanted].all(axis=1)
    width = cells.weights.shape[1]
    weights = reduce(np.multiply, (shares[i] for i in kept), exist[:, None] * np.ones(len(tree.heights)))
    parents = [i for i in wanted if cells.parents[i]]
    groups = np.zeros(len(exist), dtype=np.intp)
    for i in parents:
        groups = groups * width + cells.places[:, i]
    out = np.full((width ** len(parents), *(width,) * len(free)), np.nan)
    for group in np.unique(groups[exist > 0]):
        mine = groups == group
        mass = weights[mine].sum(axis=0) * tree.heights / exist[mine].sum()
        sides = [tree.boxes[:, i].astype(np.float64) for i in free]
        match sides:
            case []:
                out[group] = mass.sum()
            case [one]:
                out[group] = mass @ one
            case [one, two]:
                out[group] = (one * mass[:, None]).T @ two
            case _:
                raise ValueError("a marginal of more than two parameters")
    shaped = out.reshape((width,) * len(wanted))
    order = [*parents, *free]
    return np.moveaxis(shaped, range(len(wanted)), [wanted.index(i) for i in order])
