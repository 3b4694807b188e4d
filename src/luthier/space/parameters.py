"""The four kinds of parameter - Float, Int, Choice, Const - each of which checks itself.

Every parameter maps the unit interval onto its values so that uniform numbers give the
distribution that was asked for: a log scale, equal cells for integers and steps, a prior, the
weights of a choice. Random, Sobol, grid and model-based search all rest on this one pair of maps,
`at` and `unit`; `from_unit` and `to_unit` are the same for many values at once.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Literal, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from luthier.errors import InvalidParams, InvalidSpace

Scalar = bool | int | float | str | None
Floats = NDArray[np.float64]
Log = Literal["reverse"] | bool


def same(a: object, b: object) -> bool:
    """Equal and of one type: `True`, `1` and `1.0` are three values here, as they are to an estimator."""
    return type(a) is type(b) and a == b


_ABSENT: Any = object()


@dataclass(frozen=True, slots=True)
class When:
    """A condition: the parameter exists only where `parent` has one of `values`."""

    parent: str
    values: tuple[Scalar, ...]

    def holds(self, params: Mapping[str, Scalar]) -> bool:
        """Whether `params` have the parent, at one of the values."""
        value = params.get(self.parent, _ABSENT)
        return any(value == allowed and type(value) is type(allowed) for allowed in self.values)


Conditions = Mapping[str, "Scalar | Collection[Scalar]"] | tuple[When, ...]


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
    _scale: _Scale = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("low", "high", "step"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _real(value, f"Float {name}"))
        if isinstance(self.prior, LogNormal) and self.low < 0 < self.high:
            object.__setattr__(self, "low", 0.0)
        object.__setattr__(self, "when", _conditions(self.when))
        _check_range(self)
        object.__setattr__(self, "_scale", _scale_of(self))

    @property
    def size(self) -> int | None:
        """How many distinct values there are; None where there is no end of them."""
        return _count(self)

    def check(self, value: object) -> None:
        """Raise InvalidParams unless `value` is one this parameter allows."""
        if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
            raise InvalidParams(f"is {value!r}, not a number")
        _check_within(self, value)

    def unit(self, value: Scalar) -> float:
        """Where `value` lies in the unit interval; the centre of its cell for a stepped value."""
        return _unit(self, value)

    def at(self, unit: float) -> float:
        """The value at that place of the unit interval."""
        return self.snap(_place(self, unit))

    def snap(self, value: float) -> float:
        """The allowed value next to `value`."""
        if self.step is not None:
            scale = self._scale
            k = _nearest_step(self, value)
            value = round(scale.anchor + k * self.step, scale.digits)  # 0.1 + 2 * 0.1 is 0.3 to a person
        return float(min(max(value, self.low), self.high))

    def nth(self, index: int) -> float:
        """The value number `index`, from 0, of a stepped range with two ends."""
        return self.low if self.step is None else self.snap(self.low + index * self.step)

    def to_unit(self, values: Iterable[Scalar]) -> Floats:
        """`unit` of each of the values."""
        return np.array([_unit(self, value) for value in values], dtype=np.float64)

    def from_unit(self, units: Iterable[float]) -> list[Scalar]:
        """The value `at` each of the places, as Python floats."""
        return [self.at(float(unit)) for unit in units]

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
    _scale: _Scale = field(init=False, repr=False, compare=False)

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
        object.__setattr__(self, "_scale", _scale_of(self))

    @property
    def size(self) -> int:
        """How many distinct values there are."""
        return (self.high - self.low) // self.step + 1

    def check(self, value: object) -> None:
        """Raise InvalidParams unless `value` is one this parameter allows."""
        if isinstance(value, bool) or not isinstance(value, int):
            raise InvalidParams(f"is {value!r}, a {type(value).__name__}, and must be an int")
        _check_within(self, value)

    def unit(self, value: Scalar) -> float:
        """The centre of the value's cell in the unit interval."""
        return _unit(self, value)

    def at(self, unit: float) -> int:
        """The value whose cell holds that place of the unit interval."""
        return self.snap(_place(self, unit))

    def snap(self, value: float) -> int:
        """The allowed value next to `value`."""
        return self.low + _nearest_step(self, value) * self.step

    def nth(self, index: int) -> int:
        """The value number `index`, from 0."""
        return self.low + index * self.step

    def to_unit(self, values: Iterable[Scalar]) -> Floats:
        """`unit` of each of the values."""
        return np.array([_unit(self, value) for value in values], dtype=np.float64)

    def from_unit(self, units: Iterable[float]) -> list[Scalar]:
        """The value `at` each of the places, as Python ints."""
        return [self.at(float(unit)) for unit in units]

    def grid(self, levels: int) -> list[Scalar]:
        """Every value where there are at most twice `levels`, else `levels` of them, spread over the scale."""
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
    _places: Mapping[tuple[type, Scalar], int] = field(repr=False, compare=False)
    _edges: tuple[float, ...] = field(repr=False, compare=False)

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
        object.__setattr__(
            self, "weights", None if weights is None else tuple(_real(w, "a weight") for w in weights)
        )
        object.__setattr__(self, "when", _conditions(when))
        object.__setattr__(self, "branches", branches)
        object.__setattr__(self, "_places", {(type(value), value): i for i, value in enumerate(chosen)})
        _check_choice(self)
        shares = self.weights or (1.0,) * len(chosen)
        edges = tuple(edge / math.fsum(shares) for edge in accumulate(shares))
        object.__setattr__(self, "_edges", (0.0, *edges[:-1], 1.0))

    @property
    def size(self) -> int:
        """How many values there are."""
        return len(self.values)

    def index(self, value: object) -> int:
        """The place of `value` in the list; raises InvalidParams if it is not there."""
        try:
            return self._places[type(value), cast(Scalar, value)]
        except (KeyError, TypeError):
            raise InvalidParams(f"is {value!r}, not one of {', '.join(map(repr, self.values))}") from None

    def check(self, value: object) -> None:
        """Raise InvalidParams unless `value` is one of the choices."""
        self.index(value)

    def unit(self, value: Scalar) -> float:
        """The centre of the value's cell in the unit interval."""
        i = self.index(value)
        return (self._edges[i] + self._edges[i + 1]) / 2

    def at(self, unit: float) -> Scalar:
        """The value whose cell holds that place of the unit interval."""
        return self.values[bisect_right(self._edges, unit, 1, len(self.values)) - 1]

    def nth(self, index: int) -> Scalar:
        """The value number `index`, from 0."""
        return self.values[index]

    def to_unit(self, values: Iterable[Scalar]) -> Floats:
        """`unit` of each of the values."""
        return np.array([self.unit(value) for value in values], dtype=np.float64)

    def from_unit(self, units: Iterable[float]) -> list[Scalar]:
        """The value `at` each of the places."""
        return [self.at(unit) for unit in units]

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

    def unit(self, value: Scalar) -> float:
        """The middle of the unit interval."""
        return 0.5

    def at(self, unit: float) -> Scalar:
        """The constant, everywhere."""
        return self.value

    def nth(self, index: int) -> Scalar:
        """The constant."""
        return self.value

    def to_unit(self, values: Sequence[Scalar]) -> Floats:
        """The middle of the unit interval, for each."""
        return np.full(len(values), 0.5)

    def from_unit(self, units: Sequence[float] | Floats) -> list[Scalar]:
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
    if isinstance(when, tuple) and all(isinstance(condition, When) for condition in when):
        return when
    if not isinstance(when, Mapping):
        raise InvalidSpace(f"when is {when!r}. Write when={{'parent': 'value'}} or {{'parent': ['a', 'b']}}.")
    conditions = []
    for parent, values in when.items():
        if isinstance(values, set | frozenset):
            values = sorted(values, key=repr)  # in an order that is the same in every process
        listed = list(values) if isinstance(values, list | tuple) else [values]
        if not listed:
            raise InvalidSpace(f"when names no value of {parent!r}. Name at least one.")
        conditions.append(When(parent, tuple(_scalar(value) for value in listed)))
    return tuple(conditions)


def _check_choice(p: Choice) -> None:
    if not p.values:
        raise InvalidSpace("the choice is empty. Give at least one value: Choice('a', 'b').")
    if len(p._places) < len(p.values):
        twice = next(value for i, value in enumerate(p.values) if p.index(value) != i)
        raise InvalidSpace(f"{twice!r} is listed twice in a choice. Drop one, or use weights=.")
    if p.weights is None:
        return
    if len(p.weights) != len(p.values):
        raise InvalidSpace(f"{len(p.weights)} weights for {len(p.values)} values. Give one weight per value.")
    if not all(math.isfinite(w) and w > 0 for w in p.weights):
        raise InvalidSpace(
            f"weights {list(p.weights)} must be positive numbers. Drop a value to rule it out."
        )


def _check_prior(prior: Prior) -> None:
    if not (math.isfinite(prior.mu) and math.isfinite(prior.sigma) and prior.sigma > 0):
        raise InvalidSpace(f"{prior} needs a finite mu and a sigma above 0.")


def _check_range(p: _Range) -> None:
    low, high, kind = p.low, p.high, type(p).__name__
    if math.isnan(low) or math.isnan(high):
        raise InvalidSpace(f"{kind} bounds are [{low}, {high}]; NaN is not a bound. Give two numbers.")
    if low > high:
        raise InvalidSpace(
            f"low {number_text(low)} is above high {number_text(high)}. Swap them: {kind}({number_text(high)}, {number_text(low)})."
        )
    if p.prior is None and not (math.isfinite(low) and math.isfinite(high)):
        raise InvalidSpace(f"{kind} needs finite bounds, not [{low}, {high}]. Give both, or a prior.")
    if isinstance(p, Int) and not -(2**63) <= low <= high < 2**63:
        raise InvalidSpace(f"Int bounds [{low}, {high}] do not fit in 64 bits. Narrow them.")
    if isinstance(p, Float) and math.isfinite(low) and math.isfinite(high) and not math.isfinite(high - low):
        raise InvalidSpace(
            f"Float bounds [{low}, {high}] are too far apart for a float to hold. Narrow them."
        )
    if p.step is not None and not (math.isfinite(p.step) and p.step > 0):
        raise InvalidSpace(f"step is {p.step!r}. Use a number above 0.")
    if p.prior is not None and p.log:
        raise InvalidSpace("log and prior are both given, and the prior already says the scale. Keep one.")
    if isinstance(p.prior, LogNormal) and high <= 0:
        raise InvalidSpace(f"high is {number_text(high)}, but a log-normal value is above 0. Raise it.")
    _check_log(p)


def _check_log(p: _Range) -> None:
    if not (isinstance(p.log, bool) or (p.log == "reverse" and isinstance(p, Float))):
        words = "True or False" if isinstance(p, Int) else "True, False or 'reverse'"
        raise InvalidSpace(f"log is {p.log!r}. Use {words}.")
    if p.log is True and p.low <= 0:
        raise InvalidSpace(
            f"low is {number_text(p.low)}, and log of 0 or less does not exist. Use a low above 0, or leave log out."
        )
    if p.log is True and p.step is not None and p.low <= p.step / 2:
        raise InvalidSpace(
            f"step {number_text(p.step)} is too coarse for a log scale that starts at {number_text(p.low)}. "
            f"Start above {number_text(p.step / 2)}, or drop the step or the log."
        )
    if p.log == "reverse" and not (p.low >= 0 and p.high < 1):
        raise InvalidSpace(
            f"bounds [{number_text(p.low)}, {number_text(p.high)}] for log='reverse', which needs 0 <= low and high < 1. "
            "Use 1 - value, or leave log out."
        )
    if p.log == "reverse" and p.step is not None:
        raise InvalidSpace("step and log='reverse' do not go together. Drop one.")


def _check_within(p: _Range, value: float) -> None:
    if not p.low <= value <= p.high:
        raise InvalidParams(f"is {value!r}, outside [{number_text(p.low)}, {number_text(p.high)}]")
    if isinstance(p, Int):
        fits = (int(value) - p.low) % p.step == 0
    elif p.step is not None and math.isfinite(value):
        k = (value - p._scale.anchor) / p.step
        fits = abs(k - round(k)) <= max(1e-6, 1e-15 * abs(k))
    else:
        fits = math.isfinite(value)
    if not fits and p.step is not None:
        raise InvalidParams(
            f"is {value!r}, not a multiple of {number_text(p.step)} away from {number_text(p._scale.anchor)}"
        )
    if not fits:
        raise InvalidParams(f"is {value!r}, not a finite number")


# --- the unit interval -------------------------------------------------------------------------


class _Scale(NamedTuple):
    """What the two maps of a range need, worked out once.

    `low` and `high` are the ends of the unit interval on the scale on which the search is even: half a step outside
    for stepped values, so that every value has a whole cell and the first and last are not drawn half as often.
    Stepped values are `anchor + k * step` with `first <= k <= last`, rounded to `digits` decimals.
    """

    low: float
    high: float
    anchor: float
    first: float
    last: float
    digits: int


def _scale_of(p: _Range) -> _Scale:
    anchor = p.low if math.isfinite(p.low) else 0.0
    first, last, digits, low, high = 0.0, 0.0, 0, float(p.low), float(p.high)
    if p.step is not None:
        first = 0 if math.isfinite(p.low) else -math.inf
        last = _steps(anchor, p.high, p.step)
        digits = max(12 - math.floor(math.log10(abs(n))) if n else 0 for n in (p.step, anchor))
        low, high = low - p.step / 2, (anchor + last * p.step) + p.step / 2
    ends = _forward(p, low), _forward(p, high)
    if p.prior is not None and p.low < p.high and ends[1] - ends[0] < 1e-9:
        raise InvalidSpace(
            f"the prior {p.prior} has next to no weight in [{number_text(p.low)}, {number_text(p.high)}]. Move one of them."
        )
    return _Scale(*ends, anchor, first, last, digits)


def _steps(anchor: float, high: float, step: float) -> float:
    """How many whole steps go from anchor to high; steps are meant as written, so 0.3 is three of 0.1."""
    if isinstance(anchor, int) and isinstance(high, int) and isinstance(step, int):
        return (high - anchor) // step
    steps = (high - anchor) / step
    return math.floor(steps * (1 + 1e-15) + 1e-9) if math.isfinite(steps) else steps


def _count(p: Float) -> int | None:
    if p.low == p.high:
        return 1
    if p.step is None or not (math.isfinite(p.low) and math.isfinite(p.high)):
        return None
    return int(p._scale.last) + 1


def _nearest_step(p: _Range, x: float) -> int:
    scale = p._scale
    return int(min(max(round((x - scale.anchor) / (p.step or 1)), scale.first), scale.last))


def _forward(p: _Range, x: float) -> float:
    """A value onto the scale on which the search is even."""
    if p.prior is not None:
        from scipy.special import ndtr  # scipy is slow to import, and priors are rare

        if isinstance(p.prior, LogNormal):
            x = math.log(x) if x > 0 else -math.inf
        return float(ndtr((x - p.prior.mu) / p.prior.sigma))
    if p.log is False:
        return x
    return math.log(x) if p.log is True else -math.log1p(-x)


def _backward(p: _Range, z: float) -> float:
    if p.prior is not None:
        from scipy.special import ndtri  # as above

        x = p.prior.mu + p.prior.sigma * float(ndtri(min(max(z, 1e-15), 1 - 1e-15)))
        return math.exp(min(x, 700.0)) if isinstance(p.prior, LogNormal) else x
    if p.log is False:
        return z
    return math.exp(z) if p.log is True else -math.expm1(-z)


def _unit(p: _Range, value: Scalar) -> float:
    scale = p._scale
    if scale.high <= scale.low:
        return 0.5
    unit = (_forward(p, cast(float, value)) - scale.low) / (scale.high - scale.low)
    return min(max(unit, 0.0), 1.0)


def _place(p: _Range, unit: float) -> float:
    scale = p._scale
    return _backward(p, scale.low + unit * (scale.high - scale.low))


def _grid(p: _Range, levels: int) -> list[Scalar]:
    size = p.size
    if size is not None and (
        isinstance(p, Float) or size <= 2 * levels
    ):  # leaving out one of six would be odd
        return [p.nth(i) for i in range(size)]
    ends = (0.0, 1.0) if math.isfinite(p.low) and math.isfinite(p.high) else (0.5 / levels, 1 - 0.5 / levels)
    spread = p.from_unit(np.linspace(*ends, levels).tolist() if levels > 1 else [0.5])
    return list(dict.fromkeys(spread))


# --- how they print ----------------------------------------------------------------------------


def number_text(x: float) -> str:
    """As short as it goes without changing the number."""
    return f"{x:g}" if isinstance(x, float) and float(f"{x:g}") == x else repr(x)


def _show(p: _Range) -> str:
    parts = [number_text(p.low), number_text(p.high)]
    if p.log:
        parts.append(f"log={p.log!r}")
    if p.step is not None and not (isinstance(p, Int) and p.step == 1):
        parts.append(f"step={number_text(p.step)}")
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
