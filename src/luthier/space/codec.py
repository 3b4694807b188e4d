"""Spaces and scalars as JSON, with a version, and back.

JSON has no infinities and no NaN, so those floats become `{"float": "inf"}`. Whole floats keep their point
(`1.0`), so that an Int and a Float stay apart.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from sys import intern
from typing import Any

from luthier.errors import InvalidSpace
from luthier.space.parameters import Choice, Const, Float, Int, LogNormal, Normal, Parameter, Scalar, When
from luthier.space.space import Space

VERSION = 1
_STRICT = json.JSONEncoder(allow_nan=False, ensure_ascii=False)


def scalar_to_json(value: Scalar) -> Any:
    """A scalar, where JSON has a word for it; else an object that names it."""
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    return value


def scalar_from_json(value: Any) -> Scalar:
    """The scalar `scalar_to_json` was given."""
    return float(value["float"]) if isinstance(value, dict) else value


def scalars_to_text(values: Any) -> str:
    """A mapping of names to scalars as one line of JSON."""
    try:
        return _STRICT.encode(dict(values))
    except ValueError:
        return json.dumps({name: scalar_to_json(value) for name, value in values.items()}, ensure_ascii=False)


def scalars_from_text(text: str) -> dict[str, Any]:
    """The mapping `scalars_to_text` was given. Names are interned: a long study repeats them in every trial."""
    return {
        intern(name): value if type(value) is not dict else scalar_from_json(value)
        for name, value in json.loads(text).items()
    }


def rows_from_texts(texts: Sequence[str]) -> list[dict[str, Any]]:
    """Many such mappings, read together: several times as fast as one by one."""
    rows: list[dict[str, Any]] = json.loads(f"[{','.join(texts)}]")
    if any("{" in text[1:] for text in texts):  # a number that JSON has no word for, or a brace in a string
        return [{name: scalar_from_json(value) for name, value in row.items()} for row in rows]
    return rows


def space_to_json(space: Space) -> dict[str, Any]:
    """The space as JSON that `space_from_json` reads back as an equal space."""
    return {
        "version": VERSION,
        "parameters": [{"name": name, **parameter_to_json(parameter)} for name, parameter in space.items()],
    }


def space_from_json(data: Any) -> Space:
    """The space; raises InvalidSpace for a newer version or anything unknown."""
    version = data.get("version") if isinstance(data, dict) else None
    if not isinstance(version, int) or version < 1:
        raise InvalidSpace(f"this is no stored space: {str(data)[:80]!r}.")
    if version > VERSION:
        raise InvalidSpace(
            f"the space has format {version}, and this Luthier reads up to {VERSION}. Upgrade with: pip install -U luthier"
        )
    try:
        return Space({entry["name"]: _parameter_from_json(entry) for entry in data["parameters"]})
    except (KeyError, TypeError) as error:
        raise InvalidSpace(f"the stored space is damaged ({error!r}): {str(data)[:80]}") from error


def parameter_to_json(parameter: Parameter) -> dict[str, Any]:
    """One parameter of `space_to_json`, without its name."""
    data: dict[str, Any]
    match parameter:
        case Float() | Int():
            data = {
                "kind": "float" if isinstance(parameter, Float) else "int",
                "low": scalar_to_json(parameter.low),
                "high": scalar_to_json(parameter.high),
            }
            if parameter.log:
                data["log"] = parameter.log
            if parameter.step is not None and not (isinstance(parameter, Int) and parameter.step == 1):
                data["step"] = parameter.step
            if parameter.prior is not None:
                kind = "lognormal" if isinstance(parameter.prior, LogNormal) else "normal"
                data["prior"] = {"kind": kind, "mu": parameter.prior.mu, "sigma": parameter.prior.sigma}
        case Choice():
            data = {"kind": "choice", "values": [scalar_to_json(value) for value in parameter.values]}
            if parameter.ordered:
                data["ordered"] = True
            if parameter.weights is not None:
                data["weights"] = list(parameter.weights)
        case Const():
            data = {"kind": "const", "value": scalar_to_json(parameter.value)}
    if parameter.when:
        data["when"] = [
            {"parent": condition.parent, "values": [scalar_to_json(value) for value in condition.values]}
            for condition in parameter.when
            if isinstance(condition, When)
        ]
    return data


def _parameter_from_json(data: dict[str, Any]) -> Parameter:
    when = tuple(
        When(entry["parent"], tuple(scalar_from_json(value) for value in entry["values"]))
        for entry in data.get("when", ())
    )
    prior: Any = None
    if "prior" in data:
        kind = LogNormal if data["prior"]["kind"] == "lognormal" else Normal
        prior = kind(data["prior"]["mu"], data["prior"]["sigma"])
    match data["kind"]:
        case "float":
            low, high = (float(scalar_from_json(data[end]) or 0.0) for end in ("low", "high"))
            return Float(low, high, log=data.get("log", False), step=data.get("step"), prior=prior, when=when)
        case "int":
            return Int(
                data["low"],
                data["high"],
                log=data.get("log", False),
                step=data.get("step", 1),
                prior=prior,
                when=when,
            )
        case "choice":
            values = [scalar_from_json(value) for value in data["values"]]
            return Choice(values, ordered=data.get("ordered", False), weights=data.get("weights"), when=when)
        case "const":
            return Const(scalar_from_json(data["value"]), when=when)
        case kind:
            raise InvalidSpace(f"parameter {data.get('name')!r} is of the unknown kind {kind!r}.")
