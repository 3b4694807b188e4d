"""Study files written: TOML that a person would write, a line for each parameter."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from luthier.errors import InvalidStudy
from luthier.studyfile.keys import beside, located, target_of, with_data

ORDER = (
    "name", "estimator", "function", "command", "data", "target", "drop", "preprocess", "cv", "holdout", "minimize", "maximize",
    "scoring", "noisy", "algorithm", "stopping", "deterministic", "seed", "workers", "trial_seconds", "trial_memory", "store",
)  # fmt: skip
SECTIONS = ("command", "metrics", "params", "space", "fidelity", "budget", "models", "files")
"""Tables with a heading of their own; others are written on one line."""
VALUES = ("params", "space")
MEANT = ("space", "models", "files")
"""Sections that say something even where nothing is in them."""
BARE = re.compile(r"[A-Za-z0-9_-]+")


def to_toml(given: Mapping[str, Any]) -> str:
    """The text of a study file that says what `given` does, a table as `tomllib` reads it; None may stand in it.

    Not by a library: those that write TOML put each value of a list on a line, and each parameter below a heading. Raises InvalidStudy
    for what TOML has no word for.
    """
    known = [key for key in ORDER if key in given]
    others = sorted(key for key in given if key not in ORDER and key not in SECTIONS)
    above = [key for key in [*known, *others] if not _section(key, given[key])]
    given = {key: _said(key, value) for key, value in given.items() if value is not None}
    parts = ["\n".join(f"{_key(key)} = {_value(given[key])}" for key in above if key in given)]
    for key in SECTIONS:
        if _section(key, given.get(key)) and (given[key] or key in MEANT):
            lines = [f"{_key(name)} = {_value(_short(key, inner))}" for name, inner in given[key].items()]
            parts.append("\n".join([f"[{key}]", *lines]))
    return "\n\n".join(filter(None, parts)) + "\n"


def absolute(given: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The same study, to be read from anywhere: paths that were taken from `folder` are whole ones, and the store is left out."""
    found = {
        key: value for key, value in with_data(dict(given)).items() if key != "store" and value is not None
    }
    if isinstance(found.get("data"), str):
        found["data"] = located(found["data"], folder)
    if isinstance(found.get("target"), str):
        found["target"] = target_of(found["target"], folder)
    for key in ("function", "preprocess"):
        if isinstance(found.get(key), str) and ":" in found[key]:
            found[key] = beside(found[key], folder)
    if "command" in found:
        said = found["command"] if isinstance(found["command"], dict) else {"run": found["command"]}
        found["command"] = {**said, "cwd": str(folder / Path(said.get("cwd", "")).expanduser())}
    algorithm = found.get("algorithm")
    if isinstance(algorithm, dict) and isinstance(algorithm.get("schedule"), str):
        found["algorithm"] = {**algorithm, "schedule": str(folder / algorithm["schedule"])}
    return found


def _said(key: str, value: Any) -> Any:
    """A table without what it leaves open; None is a value of parameters only."""
    if isinstance(value, Mapping) and key not in VALUES:
        return {name: one for name, one in value.items() if one is not None}
    return value


def _section(key: str, value: Any) -> bool:
    return key in SECTIONS and isinstance(value, Mapping)


def _short(section: str, value: Any) -> Any:
    """A parameter as shortly as it can be said: a choice of values alone is a list."""
    if section == "space" and isinstance(value, Mapping) and list(value) == ["choice"]:
        return value["choice"]
    return value


def _key(name: str) -> str:
    return name if BARE.fullmatch(name) else _text(name)


def _value(value: Any) -> str:
    match value:
        case None:
            return "{ none = true }"
        case bool():
            return "true" if value else "false"
        case str():
            return _text(value)
        case int():
            return str(int(value))
        case float():
            return repr(float(value)) if math.isfinite(value) else str(float(value))
        case datetime() | date() | time():
            return value.isoformat()
        case Mapping():
            inner = ", ".join(f"{_key(str(name))} = {_value(one)}" for name, one in value.items())
            return f"{{ {inner} }}" if inner else "{}"
        case list() | tuple():
            return f"[{', '.join(map(_value, value))}]"
        case _:
            raise InvalidStudy(
                f"{value!r} cannot be written in a study file. Use numbers, texts, truth values, lists and tables."
            )


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidStudy(
            f"the text {value!r} is no Unicode that can be written down. Leave it out."
        ) from None
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
