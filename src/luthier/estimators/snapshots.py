"""What libraries keep to themselves, written down per version: what their parameters may be, what None means to them.

A snapshot is a file beside this one, `snapshots/sklearn-1.9.json`. That of scikit-learn is made from its private
checks by `tools/snapshot_estimators.py`, and a test holds it against the installed version. Those of XGBoost, LightGBM and
CatBoost are written by hand from their parameter references, which each names; a test fits models at the ends of every
range and beyond them. The one that counts is the newest that is not newer than the installed library, else the oldest.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from luthier.estimators.domain import Domain, domain_from_json, live_domains
from luthier.estimators.named import estimator_path, library

_FILE = re.compile(r"(\w+)-([\d.]+)\.json")


def domains(cls: type[Any]) -> Mapping[str, Domain]:
    """What each parameter of the class may be, as far as is known: from the class itself, or else from a snapshot."""
    try:
        return live_domains(cls)
    except (AttributeError, ImportError, TypeError, ValueError):
        return snapshot_domains(cls)


def snapshot_domains(cls: type[Any]) -> Mapping[str, Domain]:
    """The same from the snapshot of the library alone; of a class that it does not know, from the bases it does."""
    for base in cls.__mro__[:-1]:
        found = _snapshot(library(base), version(library(base)))
        listed = found.get("estimators", {}).get(estimator_path(base)) if "estimators" in found else None
        if listed is None:
            listed = {name: p["allowed"] for name, p in found.get("parameters", {}).items()}
        if listed:
            return {name: domain_from_json(parts) for name, parts in listed.items()}
    return {}


@cache
def library_defaults(name: str) -> Mapping[str, Any]:
    """What a library does where a parameter is None, by the name of the parameter."""
    parameters = _snapshot(name, version(name)).get("parameters", {})
    return {key: p["default"] for key, p in parameters.items() if "default" in p}


def version(name: str) -> str:
    """The version of an imported library; "" where it has none."""
    return str(getattr(sys.modules.get(name), "__version__", ""))


@cache
def _snapshot(name: str, installed: str) -> dict[str, Any]:
    known = {}
    for file in files("luthier.estimators").joinpath("snapshots").iterdir():
        match = _FILE.fullmatch(file.name)
        if match and match[1] == name:
            known[_numbers(match[2])] = file
    if not known:
        return {}
    wanted = _numbers(installed)
    chosen = max((v for v in known if v <= wanted), default=min(known))
    found: dict[str, Any] = json.loads(known[chosen].read_text(encoding="utf-8"))
    return found


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))
