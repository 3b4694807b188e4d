"""A space as scikit-learn's searches take it - lists of anything, distributions, several grids - as a space of ours.

A choice of ours holds scalars, so whatever else is in a list goes by a short text of its own; `Translation` knows both ways.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from luthier.errors import InvalidSpace
from luthier.estimators.params import as_scalar, decoded
from luthier.space import Choice, Const, Float, Int, LogNormal, Normal, Params, Scalar, Space

GRID = "grid"
"""The parameter that says which of several grids a point is from."""
TAIL = 0.001
"""The share of a distribution without ends that lies beyond each end of the range made of it."""
DRAWS = 64
"""Values drawn from what can only be drawn from."""
LONGEST = 60


@dataclass(frozen=True, slots=True)
class Translation:
    """The space that is searched, and how its points read as parameters of the estimator.

    `objects` are the values that have a text instead of themselves in the space; `names` what parameters are called in the
    estimator, where several grids have one of that name; `grids` which there are, if there are several.
    """

    space: Space
    objects: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    grids: tuple[str, ...] = ()

    def params(self, point: Params) -> dict[str, Any]:
        """The point as `set_params` takes it."""
        return {
            self.names.get(name, name): self._value(name, value)
            for name, value in point.items()
            if not (self.grids and name == GRID)
        }

    def point(self, params: Mapping[str, Any]) -> dict[str, Scalar] | None:
        """The point of the space with these parameters of the estimator; None where the space does not hold them."""
        for grid in self.grids or (None,):
            point: dict[str, Scalar] = {} if grid is None else {GRID: grid}
            for name in self.space.order:
                if name not in point and self.space.exists(name, point):
                    point[name] = self._scalar(name, params.get(self.names.get(name, name)))
            if self.space.allows(point):
                return {name: point[name] for name in self.space if name in point}
        return None

    def _value(self, name: str, value: Scalar) -> Any:
        objects = self.objects.get(name, {})
        return objects[value] if isinstance(value, str) and value in objects else decoded(name, value)

    def _scalar(self, name: str, value: Any) -> Scalar:
        value = as_scalar(name, value.item() if isinstance(value, np.generic) else value)
        for text, thing in self.objects.get(name, {}).items():
            if thing is value:
                return text
        parameter = self.space[name]
        if isinstance(parameter, Float) and type(value) is int:
            return float(value)
        return value if value is None or isinstance(value, bool | int | float | str) else repr(value)


def translated(space: Any, seed: int = 0) -> Translation:
    """Of a `Space`, a dict of lists, distributions and parameters of ours, or a list of such dicts.

    Lists are choices, in order where they are numbers that ascend or descend. `uniform`, `loguniform` and `randint` of scipy.stats are
    ranges, `norm` and `lognorm` priors; of other distributions the range between the outer thousandths is searched, on a
    logarithmic scale where that spans two powers of ten, and of what has no more than `rvs` draws. Raises InvalidSpace.
    """
    if isinstance(space, Space):
        return Translation(space)
    if isinstance(space, Mapping):
        objects: dict[str, Mapping[str, Any]] = {}
        return Translation(Space(dict(_parameters(space, objects, seed, {}))), objects)
    if (
        isinstance(space, Sequence)
        and not isinstance(space, str)
        and all(isinstance(s, Mapping) for s in space)
    ):
        return _several(space, seed)
    raise InvalidSpace(
        f"the space is {space!r}. Give a dict of names to lists, distributions or parameters, a list of dicts, or a Space."
    )


def _several(spaces: Sequence[Mapping[str, Any]], seed: int) -> Translation:
    """Grids beside each other: which one is a choice, and each has its parameters under it."""
    if not spaces:
        raise InvalidSpace("the list of spaces is empty. Give at least one dict.")
    if len(spaces) == 1:
        return translated(spaces[0], seed)
    objects: dict[str, Mapping[str, Any]] = {}
    names: dict[str, str] = {}
    branches = {}
    for i, space in enumerate(spaces):
        own = {name: f"{name}@{i}" for name in space if sum(name in other for other in spaces) > 1}
        names.update({unique: name for name, unique in own.items()})
        branches[str(i)] = dict(_parameters(space, objects, seed, own))
    return Translation(Space({GRID: Choice(branches)}), objects, names, tuple(branches))


def _parameters(
    space: Mapping[str, Any], objects: dict[str, Mapping[str, Any]], seed: int, names: Mapping[str, str]
) -> Iterator[tuple[str, Any]]:
    for name, given in space.items():
        if not isinstance(name, str):
            raise InvalidSpace(f"{name!r} is no name of a parameter. Give a dict of names to values.")
        parameter, things = _parameter(name, given, seed)
        own = names.get(name, name)
        if things:
            objects[own] = things
        yield own, parameter


def _parameter(name: str, given: Any, seed: int) -> tuple[Any, Mapping[str, Any]]:
    if isinstance(given, Float | Int | Choice | Const):
        return given, {}
    if hasattr(given, "rvs"):
        return _distribution(name, given, seed)
    if hasattr(given, "ndim") and given.ndim != 1:
        raise InvalidSpace(
            f"parameter array for {name!r} should be one-dimensional, got: {given!r} with shape {given.shape}"
        )
    if isinstance(given, str) or not (hasattr(given, "__iter__") and hasattr(given, "__len__")):
        raise InvalidSpace(
            f"parameter {name!r} is to be chosen from {given!r}. It needs to be a list, a NumPy array or a distribution. "
            f"A single value is a list of one: [{given!r}]."
        )
    if len(given) == 0:
        raise InvalidSpace(f"parameter {name!r} has nothing to be chosen from: a non-empty list is needed.")
    return _choice(name, list(given))


def _choice(name: str, values: Sequence[Any]) -> tuple[Any, Mapping[str, Any]]:
    objects: dict[str, Any] = {}
    scalars: list[Scalar] = []
    for value in values:
        scalar = as_scalar(name, value.item() if isinstance(value, np.generic) else value)
        if not (scalar is None or isinstance(scalar, bool | int | float | str)) or scalar != scalar:
            scalar = _text(value, {*scalars, *(v for v in values if isinstance(v, str))})
            objects[scalar] = value
        if not any(type(scalar) is type(known) and scalar == known for known in scalars):
            scalars.append(scalar)
    if len(scalars) == 1:
        return Const(scalars[0]), objects
    return Choice(scalars, ordered=_ascends(scalars)), objects


def _text(value: Any, taken: set[Any]) -> str:
    """A short text for the value that no other has."""
    text = " ".join(repr(value).split())
    text = text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
    again = 2
    made = text
    while made in taken:
        made, again = f"{text} ({again})", again + 1
    return made


def _ascends(values: Sequence[Scalar]) -> bool:
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    return len(numbers) == len(values) > 2 and numbers in (sorted(numbers), sorted(numbers, reverse=True))


# --- distributions -----------------------------------------------------------------------------


def _distribution(name: str, given: Any, seed: int) -> tuple[Any, Mapping[str, Any]]:
    kind = getattr(getattr(given, "dist", None), "name", None)
    if kind is None or not hasattr(given, "ppf"):
        return _drawn(name, given, seed)
    low, high = (float(end) for end in given.support())
    if kind == "norm":
        return Float(prior=Normal(float(given.mean()), float(given.std()))), {}
    if kind == "lognorm" and low == 0:
        return Float(prior=LogNormal(float(np.log(given.median())), _sigma(given))), {}
    whole = hasattr(given, "pmf")
    low = low if np.isfinite(low) else float(given.ppf(TAIL))
    high = high if np.isfinite(high) else float(given.ppf(1 - TAIL))
    if not whole and low == 0 and kind not in ("uniform", "beta"):
        low = float(given.ppf(TAIL))
    if low == high:
        return Const(int(low) if whole else low), {}
    if whole:
        return Int(round(low), round(high)), {}
    wide = kind in ("loguniform", "reciprocal") or (kind != "uniform" and low > 0 and high / low >= 100)
    return Float(low, high, log=wide), {}


def _sigma(given: Any) -> float:
    """Of the logarithm, from the quantile one standard deviation up."""
    return float(np.log(given.ppf(0.8413447460685429) / given.median()))


def _drawn(name: str, given: Any, seed: int) -> tuple[Any, Mapping[str, Any]]:
    """From something that can only be drawn from: some draws, in order where they are numbers."""
    from sklearn.utils import check_random_state

    rng = check_random_state(seed)
    drawn = [given.rvs(random_state=rng) for _ in range(DRAWS)]
    plain = [value.item() if isinstance(value, np.generic) else value for value in drawn]
    if all(isinstance(value, int | float) for value in plain):
        plain = sorted(set(plain))
    return _choice(name, plain)
