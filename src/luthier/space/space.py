"""Space: the parameters of a study by name, and the conditions under which each exists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np

from luthier.errors import InvalidParams, InvalidSpace, did_you_mean
from luthier.space.parameters import Choice, Const, Float, Int, Parameter, Scalar, When, number_text

Params = Mapping[str, Scalar]
_NOTHING: Params = {}


class Space(Mapping[str, Parameter]):
    """What may be chosen: names to parameters, in the order given. Immutable, comparable, printable.

    A list is short for a Choice, a bare number, string or boolean for a Const:

        Space(lr=Float(1e-5, 1e-1, log=True), optimizer=["adam", "sgd"], epochs=10,
              momentum=Float(0, 0.99, when={"optimizer": "sgd"}))

    Names that are no Python identifiers go in as a dict: `Space({"clf__C": Float(0.1, 10)})`.
    """

    __slots__ = ("_in_order", "_order", "_parameters", "_steps")

    def __init__(self, parameters: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        if not isinstance(parameters, Mapping | None):
            raise InvalidSpace(f"a space is made from a dict of parameters, not from {parameters!r}.")
        given = {**(parameters or {}), **more}
        self._parameters: dict[str, Parameter] = {}
        for name, value in given.items():
            self._add(name, value, ())
        self._order = self._sorted()
        for name in self._order:
            self._check_conditions(name)
        self._steps = tuple((name, self._parameters[name], self.conditions(name)) for name in self._order)
        self._in_order = self._order == tuple(self._parameters)

    # --- a mapping ---------------------------------------------------------------------------

    def __getitem__(self, name: str) -> Parameter:
        return self._parameters[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __len__(self) -> int:
        return len(self._parameters)

    def __eq__(self, other: object) -> bool:
        # By repr too: 1, 1.0 and True are equal to Python, but not the same choice.
        return (
            isinstance(other, Space) and repr(self) == repr(other) and self._parameters == other._parameters
        )

    def __hash__(self) -> int:
        return hash(tuple(self._parameters.items()))

    def __repr__(self) -> str:
        inner = ",\n".join(f"    {name!r}: {parameter!r}" for name, parameter in self.items())
        return f"Space({{\n{inner},\n}})" if inner else "Space()"

    # --- what a proposal needs to know -------------------------------------------------------

    @property
    def order(self) -> list[str]:
        """The names, parents before the parameters that depend on them."""
        return list(self._order)

    def conditions(self, name: str) -> tuple[When, ...]:
        """The conditions under which `name` exists; all must hold."""
        return cast("tuple[When, ...]", self._parameters[name].when)

    def exists(self, name: str, params: Params) -> bool:
        """Whether `name` is active, given the active parameters before it."""
        return all(condition.holds(params) for condition in self.conditions(name))

    def active(self, params: Params) -> list[str]:
        """The names that exist where the parents have the values of `params`, parents first."""
        found: dict[str, Scalar] = {}
        active = []
        for name, _, conditions in self._steps:
            if _hold(conditions, found):
                active.append(name)
                if name in params:
                    found[name] = params[name]
        return active

    def check(self, params: Params) -> None:
        """Raise InvalidParams, naming the parameter, unless `params` is one complete point of this space."""
        for name in params:
            if name not in self._parameters:
                raise InvalidParams(f"{name!r} is not a parameter of this space.{did_you_mean(name, self)}")
        found: dict[str, Scalar] = {}
        for name, parameter, conditions in self._steps:
            if not _hold(conditions, found):
                continue
            if name not in params:
                raise InvalidParams(f"parameter {name!r} is missing; it is {parameter!r}.")
            try:
                parameter.check(params[name])
            except InvalidParams as error:
                raise InvalidParams(f"parameter {name!r} {error}.") from None
            found[name] = params[name]
        for name in params:
            if name not in found:
                reasons = " and ".join(condition_text(condition) for condition in self.conditions(name))
                raise InvalidParams(f"parameter {name!r} exists only where {reasons}. Leave it out.")

    def allows(self, params: Params) -> bool:
        """Whether `params` is one complete point of this space."""
        try:
            self.check(params)
        except InvalidParams:
            return False
        return True

    def at(self, units: Mapping[str, float], keep: Params = _NOTHING) -> dict[str, Scalar]:
        """The point at these places of the unit cube; places of inactive parameters are not looked at.

        Parameters in `keep` have its values instead, where they exist at all.
        """
        params: dict[str, Scalar] = {}
        for name, parameter, conditions in self._steps:
            if not conditions or _hold(conditions, params):
                params[name] = keep[name] if name in keep else parameter.at(units[name])
        if self._in_order:
            return params
        return {name: params[name] for name in self._parameters if name in params}

    def sample(self, rng: np.random.Generator, keep: Params = _NOTHING) -> dict[str, Scalar]:
        """A random point: every active parameter drawn from its scale, prior or weights, unless `keep` has it."""
        return self.at(dict(zip(self._parameters, rng.random(len(self)).tolist(), strict=True)), keep)

    def key(self, params: Params) -> str:
        """What makes two points of this space the same point: the active values, with their types."""
        parts = []
        found: dict[str, Scalar] = {}
        for name, parameter, conditions in self._steps:
            if _hold(conditions, found):
                value = params[name]
                if isinstance(parameter, Float):  # 1 is 1.0, and 0.1 + 0.2 is 0.3
                    value = parameter.snap(cast(float, value))
                found[name] = value
                parts.append(f"{name}={value!r}")
        return ";".join(parts)

    def describe(self) -> str:
        """The space as a table that a person can read."""
        rows = [("name", "kind", "values", "scale", "exists where")]
        for name, p in self.items():
            where = " and ".join(condition_text(condition) for condition in self.conditions(name))
            rows.append((name, type(p).__name__, values_text(p), scale_text(p), where))
        widths = [max(len(row[i]) for row in rows) for i in range(5)]
        return "\n".join(
            "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows
        )

    # --- how it is put together --------------------------------------------------------------

    def _add(self, name: str, value: Any, above: tuple[When, ...]) -> None:
        if not isinstance(name, str) or not name.strip():
            raise InvalidSpace(f"{name!r} is not a parameter name. Use a non-empty string.")
        try:
            parameter = _parameter(value)
        except InvalidSpace as error:
            raise InvalidSpace(f"parameter {name!r}: {error}") from None
        branches = parameter.branches if isinstance(parameter, Choice) else ()
        parameter = replace_when(parameter, (*above, *cast("tuple[When, ...]", parameter.when)))
        if name in self._parameters:
            parameter = self._joined(name, self._parameters[name], parameter)
        self._parameters[name] = parameter
        for choice, inner in branches:
            for inner_name, inner_value in inner:
                self._add(inner_name, inner_value, (*above, When(name, (choice,))))

    def _joined(self, name: str, one: Parameter, other: Parameter) -> Parameter:
        """One parameter that several branches of a choice share, if they agree on what it is."""
        a, b = cast("tuple[When, ...]", one.when), cast("tuple[When, ...]", other.when)
        if repr(replace_when(one, ())) != repr(replace_when(other, ())) or len(a) != len(b):
            raise InvalidSpace(
                f"parameter {name!r} is defined twice, as {one!r} and as {other!r}. Give one of them another name."
            )
        different = [i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x != y]
        if len(different) != 1 or a[different[0]].parent != b[different[0]].parent:
            raise InvalidSpace(
                f"parameter {name!r} is defined in branches of different choices. Give one of them another name."
            )
        i = different[0]
        joined = When(a[i].parent, a[i].values + b[i].values)
        return replace_when(one, (*a[:i], joined, *a[i + 1 :]))

    def _sorted(self) -> tuple[str, ...]:
        for name in self._parameters:
            for condition in self.conditions(name):
                if condition.parent not in self._parameters:
                    raise InvalidSpace(
                        f"parameter {name!r} depends on {condition.parent!r}, which is not a parameter."
                        + did_you_mean(condition.parent, self._parameters)
                    )
        order: dict[str, None] = {}
        for name in self._parameters:
            self._place(name, order, ())
        return tuple(order)

    def _place(self, name: str, order: dict[str, None], below: tuple[str, ...]) -> None:
        """Put `name` into the order, its parents first; apart from that the order is the one given."""
        if name in below:
            circle = " -> ".join(map(repr, (*below[below.index(name) :], name)))
            raise InvalidSpace(f"parameters depend on each other in a circle: {circle}. Drop one `when`.")
        if name not in order:
            for condition in self.conditions(name):
                self._place(condition.parent, order, (*below, name))
            order[name] = None

    def _check_conditions(self, name: str) -> None:
        for condition in self.conditions(name):
            parent = self[condition.parent]
            if isinstance(parent, Float):
                raise InvalidSpace(
                    f"parameter {name!r} depends on the Float {condition.parent!r}; only a Choice, an Int or a Const "
                    "can be a parent. Use a Choice of values."
                )
            for value in condition.values:
                try:
                    parent.check(value)
                except InvalidParams:
                    raise InvalidSpace(
                        f"parameter {name!r} exists where {condition.parent!r} is {value!r}, which it can never be: "
                        f"it is {parent!r}.{did_you_mean(value, getattr(parent, 'values', ()))}"
                    ) from None


def _hold(conditions: tuple[When, ...], params: Params) -> bool:
    return all(condition.holds(params) for condition in conditions) if conditions else True


def replace_when(parameter: Parameter, when: tuple[When, ...]) -> Parameter:
    """The same parameter under other conditions; a choice without its branches."""
    if isinstance(parameter, Choice):
        return Choice(*parameter.values, ordered=parameter.ordered, weights=parameter.weights, when=when)
    return replace(parameter, when=when)


def _parameter(value: Any) -> Parameter:
    match value:
        case Float() | Int() | Choice() | Const():
            return value
        case list() | tuple() | dict():
            return Choice(value)
        case _:
            return Const(value)


def condition_text(condition: When) -> str:
    """A condition in words: penalty is 'elasticnet'."""
    values = " or ".join(map(repr, condition.values))
    return f"{condition.parent} is {values}"


def values_text(p: Parameter) -> str:
    """The values in words: 0.001 to 1000, or 'gini', 'entropy'."""
    match p:
        case Float():
            return f"{number_text(p.low)} to {number_text(p.high)}"
        case Int():
            return f"{p.low} to {p.high}"
        case Choice():
            return ", ".join(map(repr, p.values))
        case Const():
            return repr(p.value)


def scale_text(p: Parameter) -> str:
    """How the values are spread, in words: log, or linear, step 2, or ordered."""
    match p:
        case Float() | Int():
            step = (
                ""
                if p.step is None or (isinstance(p, Int) and p.step == 1)
                else f", step {number_text(p.step)}"
            )
            scale = "reverse log" if p.log == "reverse" else "log" if p.log else "linear"
            return (str(p.prior) if p.prior is not None else scale) + step
        case Choice():
            scale = "ordered" if p.ordered else "unordered"
            return scale + ("" if p.weights is None else f", weights {list(p.weights)}")
        case Const():
            return "fixed"
