"""The four kinds of parameter - Float, Int, Choice, Const - each of which checks itself.

Every parameter maps the unit interval onto its values so that uniform numbers give the
distribution that was asked for: a log scale, equal cells for integers and steps, a prior, the
weights of a choice. Random, Sobol, grid and model-based search all rest on this one pair of maps,
`from_unit` and `to_unit`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from luthier.errors import InvalidParams, InvalidSpace

Scalar = bool | int | float | str | None
Floats = NDArray[np.float64]
Log = Literal["reverse"] | bool


def same(a: object, b: object) -> bool:
    """Equal and of one type: `True`, `1` and `1.0` are three values here, as they are to an estimator."""
    return type(a) is type(b) and a == b


@dataclass(frozen=True, slots=True)
class When:
    """A condition: the parameter exists only where `parent` has one of `values`."""

    parent: str
    values: tuple[Scalar, ...]

    def holds(self, params: Mapping[str, Scalar]) -> bool:
        """Whether `params` have the parent, at one of the values."""
        if self.parent not in params:
            return False
        value = params[self.parent]
        return any(same(value, allowed) for allowed in self.values)


Conditions = Mapping[str, "Scalar | Sequence[Scalar]"] | tuple[When, ...]


@dataclass(frozen=True, slots=True)
class Normal:
    """A prior belief: values spread around `mu` with standard deviation `sigma`."""

    mu: float
    sigma: float

    def __post_init__(self) -> None:
        _check_prior(self)


@dataclass(frozen=True, slots=True)
class LogNormal:
    """A prior belief: the natural logarithm of the value has mean `mu`, standard deviation `sigma`."""

    mu: float
    sigma: float

    def __post_init__(self) -> None:
        _check_prior(self)


Prior = Normal | LogNormal


@dataclass(frozen=True, slots=True)
class Float:
    """A real number in `[low, high]`.

    `log=True` spreads the search evenly over orders of magnitude, `log="reverse"` does the same for
    the distance to 1 (momenta, decay rates: 0.9, 0.99, 0.999). `step` keeps to `low + k * step`.
    With a `prior` the bounds may be left out.
    """

    low: float = -math.inf
    high: float = math.inf
    log: Log = field(default=False, kw_only=True)
    step: float | None = field(default=None, kw_only=True)
    prior: Prior | None = field(default=None, kw_only=True)
    when: Conditions = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        for name in ("low", "high", "step"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _real(value, f"Float {name}"))
        object.__setattr__(self, "when", _conditions(self.when))
        _check_range(self)

    @property
    def size(self) -> int | None:
        """How many distinct values there are; None for a continuum."""
        return None if self.step is None and self.low < self.high else _count(self)

    def check(self, value: object) -> None:
        """Raise InvalidParams unless `value` is one this parameter allows."""
        if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
            raise InvalidParams(f"is {value!r}, not a number")
        _check_within(self, value)

    def to_unit(self, values: Sequence[Scalar]) -> Floats:
        """Where the values lie in the unit interval; the centre of its cell for a stepped value."""
        return _to_unit(self, values)

    def from_unit(self, units: Floats) -> list[Scalar]:
        """The values at those places of the unit interval, as Python floats."""
        return cast("list[Scalar]", _from_unit(self, units).tolist())

    def grid(self, levels: int) -> list[Scalar]:
        """Every value of a stepped range, else `levels` values from low to high on its scale."""
        return _grid(self, levels)

    def __repr__(self) -> str:
        return _show(self)


@dataclass(frozen=True, slots=True)
class Int:
    """A whole number in `[low, high]`, both included, at `low + k * step`."""

    low: int
    high: int
    log: bool = field(default=False, kw_only=True)
    step: int = field(default=1, kw_only=True)
    prior: Prior | None = field(default=None, kw_only=True)
    when: Conditions = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        for name in ("low", "high", "step"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer):
                raise InvalidSpace(
                    f"Int {name} is {value!r}, not a whole number. Use Float for real numbers, "
                    f"or write {name}={_whole(value)}."
                )
            object.__setattr__(self, name, int(value))
        object.__setattr__(self, "when", _conditions(self.when))
        _check_range(self)

    @property
    def size(self) -> int:
        """How many distinct values there are."""
        return _count(self)

    def check(self, value: object) -> None:
        """Raise InvalidParams unless `value` is one this parameter allows."""
        if isinstance(value, bool) or not isinstance(value, int):
            raise InvalidParams(f"is {value!r}, not a whole number")
        _check_within(self, value)

    def to_unit(self, values: Sequence[Scalar]) -> Floats:
        """The centres of the values' cells in the unit interval."""
        return _to_unit(self, values)

    def from_unit(self, units: Floats) -> list[Scalar]:
        """The values whose cells hold those places of the unit interval, as Python ints."""
        return [round(value) for value in _from_unit(self, units).tolist()]

    def grid(self, levels: int) -> list[Scalar]:
        """Every value where there are no more than `levels`, else `levels` of them, spread on the scale."""
        return _grid(self, levels)

    def __repr__(self) -> str:
        return _show(self)


Branches = Mapping[Any, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, init=False)
class Choice:
    """One of the given scalars: `Choice("adam", "sgd")`, or a list of them.

    `ordered=True` says that neighbours resemble each other; `weights` how likely each is to be tried
    before anything is known. Choices may carry parameters of their own, which then exist only with
    that choice: `Choice({"svm": {"C": Float(0.1, 10)}, "tree": {}})`.
    """

    values: tuple[Scalar, ...]
    ordered: bool
    weights: tuple[float, ...] | None
    when: Conditions
    branches: tuple[tuple[Scalar, tuple[tuple[str, Any], ...]], ...]

    def __init__(
        self,
        *values: Scalar | Sequence[Scalar] | Branches,
        ordered: bool = False,
        weights: Sequence[float] | None = None,
        when: Conditions = (),
    ) -> None:
        branches: tuple[tuple[Scalar, tuple[tuple[str, Any], ...]], ...] = ()
        if len(values) == 1 and isinstance(values[0], Mapping):
            nested = values[0]
            for value, inner in nested.items():
                if not isinstance(inner, Mapping):
                    raise InvalidSpace(
                        f"Choice {value!r} leads to {inner!r}, not to a dict of parameters. "
                        f"Write {{{value!r}: {{}}}} if it has none."
                    )
            branches = tuple((value, tuple(inner.items())) for value, inner in nested.items() if inner)
            listed: list[Any] = list(nested)
        elif len(values) == 1 and isinstance(values[0], Sequence) and not isinstance(values[0], str):
            listed = list(values[0])
        else:
            listed = list(values)
        chosen = tuple(_scalar(value) for value in listed)
        object.__setattr__(self, "values", chosen)
        object.__setattr__(self, "ordered", ordered)
        object.__setattr__(self, "weights", None if weights is None else tuple(float(w) for w in weights))
        object.__setattr__(self, "when", _conditions(when))
        object.__setattr__(self, "branches", branches)
        if not chosen:
            raise InvalidSpace("the choice is empty. Give at least one value: Choice('a', 'b').")
        for i, value in enumerate(chosen):
            if any(same(value, other) for other in chosen[:i]):
                raise InvalidSpace(f"{value!r} is listed twice in a choice. Drop one, or use weights=.")
        if self.weights is not None:
            if len(self.weights) != len(chosen):
                raise InvalidSpace(
                    f"{len(self.weights)} weights for {len(chosen)} values. Give one weight per value."
                )
            if not all(math.isfinite(w) and w > 0 for w in self.weights):
                raise InvalidSpace(
                    f"weights {list(self.weights)} must be positive numbers. Drop a value to rule it out."
                )

    @property
    def size(self) -> int:
        """How many values there are."""
        return len(self.values)

    def index(self, value: object) -> int:
        """The place of `value` in the list; raises InvalidParams if it is not there."""
        for i, known in enumerate(self.values):
            if same(known, value):
                return i
        raise InvalidParams(f"is {value!r}, not one of {', '.join(map(repr, self.values))}")

    def check(self, value: object) -> None:
        """Raise InvalidParams unless `value` is one of the choices."""
        self.index(value)

    @property
    def _edges(self) -> Floats:
        weights = np.ones(len(self.values)) if self.weights is None else np.array(self.weights)
        return np.concatenate([[0.0], np.cumsum(weights / weights.sum())])

    def to_unit(self, values: Sequence[Scalar]) -> Floats:
        """The centres of the values' cells in the unit interval."""
        edges = self._edges
        return cast(Floats, ((edges[1:] + edges[:-1]) / 2)[[self.index(value) for value in values]])

    def from_unit(self, units: Floats) -> list[Scalar]:
        """The values whose cells hold those places of the unit interval."""
        cells = np.searchsorted(self._edges[1:-1], units, side="right")
        return [self.values[i] for i in cells]

    def grid(self, levels: int) -> list[Scalar]:
        """Every value."""
        return list(self.values)

    def __repr__(self) -> str:
        parts = [repr(value) for value in self.values]
        if self.ordered:
            parts.append("ordered=True")
        if self.weights is not None:
            parts.append(f"weights={list(self.weights)}")
        return f"Choice({', '.join(parts + _show_when(self.when))})"


@dataclass(frozen=True, slots=True)
class Const:
    """A value that is not searched but belongs to every trial."""

    value: Scalar
    when: Conditions = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", _scalar(self.value))
        object.__setattr__(self, "when", _conditions(self.when))

    @property
    def size(self) -> int:
        """One."""
        return 1

    def check(self, value: object) -> None:
        """Raise InvalidParams unless `value` is the constant."""
        if not same(value, self.value):
            raise InvalidParams(f"is {value!r}, but is fixed at {self.value!r}")

    def to_unit(self, values: Sequence[Scalar]) -> Floats:
        """The middle of the unit interval."""
        return np.full(len(values), 0.5)

    def from_unit(self, units: Floats) -> list[Scalar]:
        """The constant, everywhere."""
        return [self.value] * len(units)

    def grid(self, levels: int) -> list[Scalar]:
        """The constant."""
        return [self.value]

    def __repr__(self) -> str:
        return f"Const({', '.join([repr(self.value), *_show_when(self.when)])})"


Parameter = Float | Int | Choice | Const
_Range = Float | Int


# --- checks ------------------------------------------------------------------------------------


def _real(value: object, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise InvalidSpace(f"{what} is {value!r}, not a number.")
    return float(value)


def _whole(value: object) -> str:
    return str(round(value)) if isinstance(value, float) and math.isfinite(value) else "a whole number"


def _scalar(value: object) -> Scalar:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and math.isnan(value):
        raise InvalidSpace("a choice or constant is NaN, which equals nothing. Use None for 'missing'.")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise InvalidSpace(
        f"{value!r} is a {type(value).__name__}; choices and constants are numbers, strings, booleans or None. "
        "Give it a name and look the object up in your function."
    )


def _conditions(when: Conditions) -> tuple[When, ...]:
    if isinstance(when, tuple):
        return when
    if not isinstance(when, Mapping):
        raise InvalidSpace(f"when is {when!r}. Write when={{'parent': 'value'}} or {{'parent': ['a', 'b']}}.")
    conditions = []
    for parent, values in when.items():
        listed = list(values) if isinstance(values, list | tuple | set | frozenset) else [values]
        if not listed:
            raise InvalidSpace(f"when names no value of {parent!r}. Name at least one.")
        conditions.append(When(parent, tuple(_scalar(value) for value in listed)))
    return tuple(conditions)


def _check_prior(prior: Prior) -> None:
    if not (math.isfinite(prior.mu) and math.isfinite(prior.sigma) and prior.sigma > 0):
        raise InvalidSpace(f"{prior} needs a finite mu and a sigma above 0.")


def _check_range(p: _Range) -> None:
    low, high, kind = p.low, p.high, type(p).__name__
    if math.isnan(low) or math.isnan(high):
        raise InvalidSpace(f"{kind} bounds are [{low}, {high}]; NaN is not a bound.")
    if low > high:
        raise InvalidSpace(f"low {low:g} is above high {high:g}. Swap them: {kind}({high:g}, {low:g}).")
    if p.prior is None and not (math.isfinite(low) and math.isfinite(high)):
        raise InvalidSpace(f"{kind} needs finite bounds, not [{low}, {high}]. Give both, or a prior.")
    if p.log not in (False, True, "reverse"):
        raise InvalidSpace(f"log is {p.log!r}. Use True, False or 'reverse'.")
    if p.prior is not None and p.log:
        raise InvalidSpace("log and prior are both given, and the prior already says the scale. Keep one.")
    if p.step is not None and not (math.isfinite(p.step) and p.step > 0):
        raise InvalidSpace(f"step is {p.step!r}. Use a number above 0.")
    if isinstance(p.prior, LogNormal) and high <= 0:
        raise InvalidSpace(f"high is {high:g}, but a log-normal value is above 0. Raise it.")
    if p.log is True and low <= 0:
        raise InvalidSpace(
            f"low is {low:g}, and log of 0 or less does not exist. Use a low above 0, or leave log out."
        )
    if isinstance(p, Float):
        if p.log == "reverse" and not (low >= 0 and high < 1):
            raise InvalidSpace(
                f"bounds [{low:g}, {high:g}] for log='reverse', which needs 0 <= low and high < 1. "
                "Use 1 - value, or leave log out."
            )
        if p.log is True and p.step is not None and low <= p.step / 2:
            raise InvalidSpace(f"step {p.step:g} is too coarse for a log scale that starts at {low:g}. Drop one.")
        if p.log == "reverse" and p.step is not None:
            raise InvalidSpace("step and log='reverse' do not go together. Drop one.")


def _check_within(p: _Range, value: float) -> None:
    if not p.low <= value <= p.high:
        raise InvalidParams(f"is {value!r}, outside [{p.low:g}, {p.high:g}]")
    if p.step is not None and p.step != 1:
        k = (value - _anchor(p)) / p.step
        if abs(k - round(k)) > 1e-6:
            raise InvalidParams(f"is {value!r}, not a multiple of {p.step:g} away from {_anchor(p):g}")


# --- the unit interval -------------------------------------------------------------------------


def _anchor(p: _Range) -> float:
    return p.low if math.isfinite(p.low) else 0.0


def _top(p: _Range) -> float:
    """The largest value a stepped range reaches."""
    if p.step is None or not math.isfinite(p.high):
        return p.high
    return _anchor(p) + math.floor((p.high - _anchor(p)) / p.step + 1e-9) * p.step


def _count(p: _Range) -> int:
    if p.low == p.high:
        return 1
    if p.step is None or not (math.isfinite(p.low) and math.isfinite(p.high)):
        raise InvalidSpace(f"{p!r} has no finite number of values.")
    return math.floor((p.high - p.low) / p.step + 1e-9) + 1


def _forward(p: _Range, x: Floats) -> Floats:
    """Values onto the scale on which the search is even."""
    if p.prior is not None:
        from scipy.special import ndtr  # noqa: PLC0415 - scipy is slow to import, and priors are rare

        with np.errstate(divide="ignore"):
            z = np.log(np.maximum(x, 0.0)) if isinstance(p.prior, LogNormal) else x
        return cast(Floats, ndtr((z - p.prior.mu) / p.prior.sigma))
    if p.log == "reverse":
        return cast(Floats, -np.log1p(-x))
    return cast(Floats, np.log(x)) if p.log else x


def _backward(p: _Range, z: Floats) -> Floats:
    if p.prior is not None:
        from scipy.special import ndtri  # noqa: PLC0415 - as above

        x = p.prior.mu + p.prior.sigma * ndtri(np.clip(z, 1e-15, 1 - 1e-15))
        return cast(Floats, np.exp(x) if isinstance(p.prior, LogNormal) else x)
    if p.log == "reverse":
        return cast(Floats, -np.expm1(-z))
    return cast(Floats, np.exp(z)) if p.log else z


def _ends(p: _Range) -> tuple[float, float]:
    """The ends of the unit interval on the scale; half a step outside for stepped values, so that
    every value has a whole cell and the first and last are not drawn half as often."""
    half = 0.0 if p.step is None else p.step / 2
    low, high = _forward(p, np.array([p.low - half, _top(p) + half])).tolist()
    return low, high


def _snap(p: _Range, x: Floats) -> Floats:
    if p.step is not None:
        x = _anchor(p) + np.rint((x - _anchor(p)) / p.step) * p.step
        if isinstance(p, Float):  # 0.1 + 2 * 0.1 is 0.3 to a person
            x = np.round(x, _decimals(p.step, _anchor(p)))
    return np.clip(x, p.low, _top(p))


def _decimals(*numbers: float) -> int:
    return min(15, max(-math.floor(math.log10(abs(n))) + 12 if n else 0 for n in numbers))


def _to_unit(p: _Range, values: Sequence[Scalar]) -> Floats:
    low, high = _ends(p)
    if high <= low:
        return np.full(len(values), 0.5)
    return np.clip((_forward(p, np.array(values, dtype=np.float64)) - low) / (high - low), 0.0, 1.0)


def _from_unit(p: _Range, units: Floats) -> Floats:
    low, high = _ends(p)
    return _snap(p, _backward(p, low + np.asarray(units, dtype=np.float64) * (high - low)))


def _grid(p: _Range, levels: int) -> list[Scalar]:
    size = p.size
    if size is not None and (size <= levels or isinstance(p, Float)):
        step = p.step or 1
        values = _snap(p, _anchor(p) + np.arange(size) * step).tolist()
        return [round(v) for v in values] if isinstance(p, Int) else values
    ends = (0.0, 1.0) if math.isfinite(p.low) and math.isfinite(p.high) else (0.5 / levels, 1 - 0.5 / levels)
    spread = p.from_unit(np.linspace(*ends, levels) if levels > 1 else np.array([0.5]))
    return list(dict.fromkeys(spread))


# --- how they print ----------------------------------------------------------------------------


def _show(p: _Range) -> str:
    parts = [f"{p.low:g}" if isinstance(p, Float) else str(p.low)]
    parts.append(f"{p.high:g}" if isinstance(p, Float) else str(p.high))
    if p.log:
        parts.append(f"log={p.log!r}")
    if p.step is not None and not (isinstance(p, Int) and p.step == 1):
        parts.append(f"step={p.step:g}")
    if p.prior is not None:
        parts.append(f"prior={p.prior}")
    return f"{type(p).__name__}({', '.join(parts + _show_when(p.when))})"


def _show_when(when: Conditions) -> list[str]:
    if not when:
        return []
    pairs = (
        f"{c.parent!r}: {c.values[0]!r}" if len(c.values) == 1 else f"{c.parent!r}: {list(c.values)!r}"
        for c in cast("tuple[When, ...]", when)
    )
    return [f"when={{{', '.join(pairs)}}}"]
