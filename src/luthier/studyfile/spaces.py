"""Spaces in study files."""

from __future__ import annotations

import math
from typing import Any

from luthier.errors import InvalidSpace, InvalidStudy, LuthierError
from luthier.space import Choice, Const, Float, Int, LogNormal, Normal, Parameter, Scalar, Space, When, same
from luthier.studyfile.tables import is_number, only, plain, say

KINDS: dict[str, tuple[str, ...]] = {
    "float": ("log", "step", "prior", "when"),
    "int": ("log", "step", "prior", "when"),
    "choice": ("ordered", "weights", "none", "when"),
    "const": ("when",),
}
PRIORS: dict[str, type[Normal] | type[LogNormal]] = {"normal": Normal, "lognormal": LogNormal}


def space_of(given: dict[str, Any]) -> Space:
    """The space that a table of parameters means."""
    return Space({name: _parameter(name, value) for name, value in given.items()})


def _parameter(name: str, value: Any) -> Any:
    value = plain(value)
    if not isinstance(value, dict):
        return value  # a list is a choice, a scalar a constant, as in Python
    at = f"space.{name}"
    kinds = [kind for kind in KINDS if kind in value]
    if len(kinds) != 1:
        said = f"says {' and '.join(kinds)}" if kinds else "says no kind" + _misspelt(value)
        raise InvalidStudy(
            f"{at} {said}. Give one of float = [low, high], int = [low, high], choice = [...], const = ..."
        )
    kind = kinds[0]
    only(f"{at}.", value, [kind, *KINDS[kind]])
    try:
        return _of_kind(at, kind, value)
    except InvalidSpace as error:
        raise InvalidSpace(f"{at}: {error}") from None
    except (TypeError, ValueError) as error:
        if isinstance(error, LuthierError):
            raise
        raise InvalidStudy(f"{at} cannot be understood: {error}.") from None


def _misspelt(value: dict[str, Any]) -> str:
    known = [key for keys in KINDS.values() for key in keys]
    unknown = [key for key in value if key not in known]
    return f", and has the unknown key {unknown[0]!r}" if unknown else ""


def _of_kind(at: str, kind: str, value: dict[str, Any]) -> Any:
    when = value.get("when", {})
    if not isinstance(when, dict):
        raise InvalidStudy(f'{at}.when is {say(when)}. Write when = {{ parent = ["value"] }}.')
    match kind:
        case "const":
            return Const(value["const"], when=when)
        case "choice":
            return _choice(at, value, when)
        case _:
            return _range(at, kind, value, when)


def _choice(at: str, value: dict[str, Any], when: dict[str, Any]) -> Choice:
    listed = value["choice"]
    if not isinstance(listed, list):
        raise InvalidStudy(f'{at}.choice is {say(listed)}. Use a list, as in choice = ["a", "b"].')
    if value.get("none", False):  # TOML has no word for None
        listed = [None, *listed]
    return Choice(listed, ordered=bool(value.get("ordered", False)), weights=value.get("weights"), when=when)


def _range(at: str, kind: str, value: dict[str, Any], when: dict[str, Any]) -> Float | Int:
    bounds = value[kind]
    prior = _prior(at, value.get("prior"))
    if bounds == [] and prior is not None and kind == "float":
        bounds = [-float("inf"), float("inf")]
    if not (isinstance(bounds, list) and len(bounds) == 2 and all(is_number(bound) for bound in bounds)):
        example = "[1e-3, 1e3]" if kind == "float" else "[1, 10]"
        raise InvalidStudy(f"{at}.{kind} is {say(bounds)}. Use the low and the high end: {kind} = {example}.")
    more = {key: value[key] for key in ("log", "step") if key in value}
    return (Float if kind == "float" else Int)(*bounds, prior=prior, when=when, **more)


def _prior(at: str, value: Any) -> Normal | LogNormal | None:
    if value is None:
        return None
    example = "prior = { normal = [mu, sigma] } or { lognormal = [mu, sigma] }"
    if not isinstance(value, dict) or len(value) != 1 or next(iter(value)) not in PRIORS:
        raise InvalidStudy(f"{at}.prior is {say(value)}. Write {example}.")
    ((kind, numbers),) = value.items()
    if not (isinstance(numbers, list) and len(numbers) == 2 and all(is_number(n) for n in numbers)):
        raise InvalidStudy(f"{at}.prior is {say(value)}. Write {example}.")
    return PRIORS[kind](*numbers)


def space_given(space: Space) -> dict[str, Any]:
    """The space as study files write it, so that `space_of` makes an equal one."""
    return {name: _given(parameter) for name, parameter in space.items()}


def _given(parameter: Parameter) -> dict[str, Any]:
    found: dict[str, Any]
    match parameter:
        case Float() | Int():
            kind = "float" if isinstance(parameter, Float) else "int"
            endless = parameter.low == -math.inf and parameter.high == math.inf
            found = {kind: [] if endless else [parameter.low, parameter.high]}
            found |= {"log": parameter.log} if parameter.log else {}
            if parameter.step is not None and not (kind == "int" and parameter.step == 1):
                found["step"] = parameter.step
            if parameter.prior is not None:
                word = next(word for word, cls in PRIORS.items() if type(parameter.prior) is cls)
                found["prior"] = {word: [parameter.prior.mu, parameter.prior.sigma]}
        case Choice():
            found = {"choice": list(parameter.values)}
            found |= {"ordered": True} if parameter.ordered else {}
            found |= {} if parameter.weights is None else {"weights": list(parameter.weights)}
        case Const():
            found = {"const": parameter.value}
    when: dict[str, list[Scalar]] = {}
    for condition in parameter.when:
        assert isinstance(condition, When)  # a space holds nothing else
        known = when.get(condition.parent, list(condition.values))
        when[condition.parent] = [
            value for value in condition.values if any(same(value, one) for one in known)
        ]
    return found | ({"when": when} if when else {})
