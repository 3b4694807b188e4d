"""A study file of a study that there is: to do it again with changes, or to look closer around one of its trials."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from luthier.estimators import BUNDLED
from luthier.space import Choice, Float, Int, Parameter, Params, Scalar, Space
from luthier.studio.looking import Shelf, Shown
from luthier.studio.works import budget_given
from luthier.study import Named
from luthier.studyfile import from_given, kept, kept_path, plain, space_given

WIDTH = 1 / 3
"""So much of a range is looked at again around a trial."""
TRIALS = 30
WIDE = 10
"""Numbers that lie further apart than by this factor are looked at on a log scale."""
NUMBERED = re.compile(r"(.*)-(\d{1,6})", re.DOTALL)


def draft_of(shelf: Shelf, name: str, trial: int | None = None) -> dict[str, Any]:
    """The table of a study file for another study like this one; with a `trial`, one that looks closer around it.

    None stands in it where a file has `{ none = true }`. Where the study was not started from a study file, what is known of it is told; the data is missing unless it is a bundled set. One that
    could not be started keeps its name. Raises
    StudyNotFound.
    """
    written, there = kept(shelf.home, name), shelf.names()
    if written is not None and name not in there:
        return _in_full(written, kept_path(shelf.home, name))
    shown = shelf.study(name)
    given = _told(shown) if written is None else _in_full(written, kept_path(shelf.home, name))
    given = {**given, "name": _another(name, there)}
    if trial is None:
        return given
    return _around(given, shown.spec.problem.space, shown.trial(trial).params)


def _in_full(written: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """What a file says, with None as such, and a table for each parameter."""
    given: dict[str, Any] = plain(written)
    space = from_given(given, path).space
    return given if space is None else {**given, "space": space_given(space)}


def _another(name: str, there: Collection[str]) -> str:
    """The name with a number behind it that is not taken."""
    found = NUMBERED.fullmatch(name)
    stem, number = (found[1], int(found[2])) if found else (name, 1)
    while (other := f"{stem}-{number + 1}") in there:
        number += 1
    return other


def _told(shown: Shown) -> dict[str, Any]:
    """What a study says of itself."""
    spec, about = shown.spec, shown.spec.about
    found: dict[str, Any] = {key: about[key] for key in ("estimator", "function") if key in about}
    if about.get("data") in BUNDLED:
        found["data"] = about["data"]
    folds = about.get("folds", 0)
    if str(about.get("cv", "")).startswith(f"{folds}-fold") and folds != 5:
        found["cv"] = folds
    for goal, key in (("min", "minimize"), ("max", "maximize")):
        found[key] = [objective.metric for objective in spec.problem.objectives if objective.goal == goal]
    found["noisy"] = spec.problem.objective.noisy
    found["algorithm"] = _as_given(spec.algorithm)
    found["stopping"] = None if spec.stopping is None else _as_given(spec.stopping)
    found["seed"] = spec.seed
    found["space"] = space_given(spec.problem.space)
    found["budget"] = budget_given(spec.budget)
    return {key: value for key, value in found.items() if value not in (None, [], False, {})}


def _as_given(named: Named) -> str | dict[str, Any]:
    return {"name": named.name, **named.options} if named.options else named.name


def _around(given: Mapping[str, Any], space: Space, params: Params) -> dict[str, Any]:
    """The study with ranges around a point: a step of the grid to either side, or a third of a range; words stay as they are there."""
    parents = {condition.parent for name in space for condition in space.conditions(name)}
    near: dict[str, Parameter] = {}
    fixed: dict[str, Scalar] = {}
    for name, value in params.items():
        if name in space:
            found = None if name in parents else _near(space[name], value)
            if found is None:
                fixed[name] = value
            else:
                near[name] = found
    found_given = dict(given)
    if "estimator" in given:
        found_given["params"] = {**given.get("params", {}), **fixed}
        found_given["space"] = space_given(Space(near))
    else:
        constants = {name: {"const": value} for name, value in fixed.items()}
        found_given["space"] = {**space_given(Space(near)), **constants}
    named = given.get("algorithm")
    if (named.get("name") if isinstance(named, Mapping) else named) == "grid":
        found_given |= {"algorithm": "auto", "budget": {"trials": TRIALS}}
    return found_given


def left_out(given: Mapping[str, Any], name: str, value: str) -> dict[str, Any]:
    """The study without one of the values of a parameter that is chosen from a list, as `repr` writes it; the same study where there is no such."""
    entry = given.get("space", {}).get(name)
    table = dict(entry) if isinstance(entry, Mapping) else {"choice": entry}
    listed = table.get("choice")
    if not isinstance(listed, list) or value not in map(repr, listed):
        return dict(given)
    places = [i for i, one in enumerate(listed) if repr(one) != value]
    others = {key: entry for key, entry in given["space"].items() if key != name}
    if not places:
        return dict(given)
    if len(places) == 1 and "estimator" in given:
        return {**given, "space": others, "params": {**given.get("params", {}), name: listed[places[0]]}}
    table["choice"] = [listed[i] for i in places]
    if table.get("weights") is not None:
        table["weights"] = [table["weights"][i] for i in places]
    return {**given, "space": {key: table if key == name else entry for key, entry in given["space"].items()}}


def _near(parameter: Parameter, value: Scalar) -> Parameter | None:
    """The part of a parameter's range around a value; None where it has one value left, or has words for values."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    if isinstance(parameter, Choice):
        return _between(parameter, value)
    if not isinstance(parameter, Float | Int):
        return None
    unit = float(parameter.to_unit([value])[0])
    low, high = (parameter.at(min(1.0, max(0.0, unit + side * WIDTH / 2))) for side in (-1, 1))
    if not math.isfinite(high - low):  # it has a prior, and no end
        return replace(parameter, when=())
    if low == high:
        return None
    if isinstance(parameter, Int):
        return replace(parameter, low=int(low), high=int(high), prior=None, when=())
    return replace(parameter, low=low, high=high, prior=None, when=())


def _between(parameter: Choice, value: float) -> Parameter | None:
    """The range from the next smaller to the next larger number of a list."""
    numbers = sorted({v for v in parameter.values if isinstance(v, int | float) and not isinstance(v, bool)})
    if len(numbers) < 2:
        return None
    place = numbers.index(value)
    low, high = numbers[max(0, place - 1)], numbers[min(len(numbers) - 1, place + 1)]
    log = low > 0 and high / low > WIDE
    if all(isinstance(number, int) for number in numbers):
        return Int(int(low), int(high), log=log)
    return Float(low, high, log=log)
