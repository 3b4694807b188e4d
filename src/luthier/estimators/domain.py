"""What an estimator lets a parameter be: ranges, options and kinds of things, in words and as JSON.

scikit-learn knows it, and checks it in `fit`, but keeps it in a private attribute, `_parameter_constraints`. Where that is
missing, or is not what it was, what a snapshot says is taken instead (`luthier.estimators.snapshots`).
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal

from luthier.space import Scalar
from luthier.space.codec import scalar_from_json, scalar_to_json
from luthier.space.parameters import number_text

Closed = Literal["both", "left", "right", "neither"]


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers, whole ones only where `type` is "int"; None is no bound. `closed` says which of the bounds are allowed."""

    type: Literal["int", "float"]
    low: float | None = None
    high: float | None = None
    closed: Closed = "both"

    def __str__(self) -> str:
        low, high = (None if bound is None else number_text(bound) for bound in (self.low, self.high))
        left, right = self.closed in ("both", "left"), self.closed in ("both", "right")
        if low is not None and high is not None:
            return f"{self.type} in {'[' if left else '('}{low}, {high}{']' if right else ')'}"
        if low is not None:
            return f"{self.type} {'>=' if left else '>'} {low}"
        if high is not None:
            return f"{self.type} {'<=' if right else '<'} {high}"
        return self.type


@dataclass(frozen=True, slots=True)
class Options:
    """Some values, None, True and False among them."""

    values: tuple[Scalar, ...]

    def __str__(self) -> str:
        return _or(map(repr, self.values))


@dataclass(frozen=True, slots=True)
class Kind:
    """Things that are no scalars, or any of a type: "callable", "array", "str"."""

    word: str

    def __str__(self) -> str:
        return self.word


Domain = tuple[Range | Options | Kind, ...]
"""What is allowed is any of these; nothing is known where there are none."""

_BOOL = Options((True, False))
_NONE = Options((None,))


def domain_text(domain: Domain) -> str:
    """In words: 'scale', 'auto' or float >= 0."""
    words: list[str] = []
    for part in _ordered(domain):
        words.extend(map(repr, part.values) if isinstance(part, Options) else [str(part)])
    return _or(dict.fromkeys(words))


def type_text(domain: Domain) -> str:
    """The types alone: str or float."""
    words: list[str] = []
    for part in _ordered(domain):
        match part:
            case Range():
                words.append(part.type)
            case Options():
                words.extend("None" if v is None else type(v).__name__ for v in part.values)
            case Kind():
                words.append(part.word)
    return _or(dict.fromkeys(words))


def _ordered(domain: Domain) -> list[Range | Options | Kind]:
    """None comes last, as people say it."""
    return sorted(domain, key=lambda part: part == _NONE)


def _or(words: Iterable[str]) -> str:
    listed = list(words)
    return " or ".join(filter(None, [", ".join(listed[:-1]), *listed[-1:]]))


# --- as JSON -----------------------------------------------------------------------------------


def domain_to_json(domain: Domain) -> list[dict[str, Any]]:
    """As JSON that `domain_from_json` reads back; what a range does not say is left out."""
    return [_part_to_json(part) for part in domain]


def domain_from_json(data: Iterable[dict[str, Any]]) -> Domain:
    """The domain `domain_to_json` was given."""
    return tuple(_part_from_json(part) for part in data)


def _part_to_json(part: Range | Options | Kind) -> dict[str, Any]:
    match part:
        case Range():
            bounds = {"low": part.low, "high": part.high}
            closed = {} if part.closed == "both" else {"closed": part.closed}
            return {"range": part.type} | {k: v for k, v in bounds.items() if v is not None} | closed
        case Options():
            return {"options": [scalar_to_json(value) for value in part.values]}
        case Kind():
            return {"kind": part.word}


def _part_from_json(data: dict[str, Any]) -> Range | Options | Kind:
    if "range" in data:
        return Range(data["range"], data.get("low"), data.get("high"), data.get("closed", "both"))
    if "options" in data:
        return Options(tuple(scalar_from_json(value) for value in data["options"]))
    return Kind(data["kind"])


# --- from scikit-learn's checks ----------------------------------------------------------------


def live_domains(cls: type[Any]) -> dict[str, Domain]:
    """What scikit-learn's own checks of this class let each parameter be.

    Raises AttributeError, ImportError, TypeError or ValueError where the checks are missing or not what they were.
    """
    constraints = cls._parameter_constraints
    return {name: _domain(of) for name, of in dict(constraints).items()}


def _domain(constraints: Any) -> Domain:
    if isinstance(constraints, str):  # "no_validation"
        return (Kind("any"),)
    parts = (part for constraint in constraints for part in _parts(constraint))
    return tuple(dict.fromkeys(parts))


def _parts(constraint: Any) -> Domain:
    from sklearn.utils import _param_validation as checks

    match constraint:
        case checks.Hidden():
            return ()
        case checks.Interval():
            return (_range(constraint),)
        case checks.Options():
            return _options(constraint)
        case checks.MissingValues():
            return Range("float"), Kind("str"), Options((None, math.nan))
        case None:
            return (_NONE,)
        case type():
            return (_type(constraint),)
        case str():
            return _WORDS.get(constraint, (Kind(constraint),))
        case _ if constraint is callable:
            return (Kind("callable"),)
    methods = getattr(constraint, "methods", None)
    return (Kind(f"object with {', '.join(methods)}" if methods else str(constraint)),)


_WORDS: dict[str, Domain] = {
    "boolean": (_BOOL,),
    "verbose": (Range("int", 0), _BOOL),
    "random_state": (Range("int", 0), Kind("RandomState"), _NONE),
    "cv_object": (Range("int", 2), Kind("splitter"), Kind("iterable"), _NONE),
    "array-like": (Kind("array"),),
}


def _type(cls: type) -> Range | Kind:
    if cls is Integral:
        return Range("int")
    return Range("float") if cls in (Real, float) else Kind(cls.__name__)


def _range(interval: Any) -> Range:
    low, high = (_bound(bound) for bound in (interval.left, interval.right))
    left = low is None or interval.closed in ("left", "both")
    right = high is None or interval.closed in ("right", "both")
    closed: Closed = "both" if left and right else "left" if left else "right" if right else "neither"
    return Range("int" if interval.type is Integral else "float", low, high, closed)


def _bound(value: Any) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return int(value) if float(value).is_integer() else float(value)


def _options(options: Any) -> Domain:
    values = options.options - (getattr(options, "deprecated", None) or set())
    kinds = sorted(value.__name__ for value in values if inspect.isclass(value))
    scalars = [v.item() if hasattr(v, "item") else v for v in values if not inspect.isclass(v)]
    listed = (Options(tuple(sorted(scalars, key=repr))),) if scalars else ()
    return (*listed, *(Kind(word) for word in kinds))
