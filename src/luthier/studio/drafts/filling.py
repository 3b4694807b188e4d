"""The fields of a form that say what a study file says: the other way round."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from luthier.errors import LuthierError
from luthier.estimators import BUNDLED
from luthier.space import Space
from luthier.studio.drafts import values
from luthier.studio.drafts.draft import UNITS, parameter_fields
from luthier.studio.drafts.tables import Tables
from luthier.studyfile import from_given

SCALARS = (bool, int, float, str)


def filled(given: Mapping[str, Any], tables: Tables) -> dict[str, str]:
    """The form of a study: what has no field in it is left out, so `luthier.studyfile` may know more of a study than this."""
    fields = {
        name: str(given[name]) for name in ("estimator", "seed", "workers", "trial_seconds") if name in given
    }
    fields |= _data(given, tables) | _validation(given.get("cv", 5)) | _goals(given) | _search(given)
    for name, value in dict(given.get("params") or {}).items():
        value = None if value == {"none": True} else value
        if value is None or isinstance(value, SCALARS):
            fields[f"single.{name}"] = values.written(value)
    for name, parameter in (_space(given) or {}).items():
        fields |= parameter_fields(name, parameter)
    return fields


def _space(given: Mapping[str, Any]) -> Space | None:
    try:
        return from_given(given, Path.cwd() / "study.toml").space
    except LuthierError:
        return None


def _data(given: Mapping[str, Any], tables: Tables) -> dict[str, str]:
    source, found = given.get("data"), {}
    if isinstance(source, Mapping):
        source = source.get("source")
    if source in BUNDLED:
        found["data"] = str(source)
    elif isinstance(source, str):
        path = Path(source)
        if path.is_relative_to(tables.root):
            found["data"] = path.relative_to(tables.root).as_posix()
    if "target" in given:
        target = str(given["target"])
        found["target"] = Path(target).name if target.endswith(".npy") else target
    if given.get("preprocess") == "none":
        found["preprocess"] = "none"
    return found | {"holdout": f"{100 * given.get('holdout', 0):g}"}


def _validation(cv: Any) -> dict[str, str]:
    if isinstance(cv, int):
        return {"cv": "folds", "folds": str(cv)}
    if not isinstance(cv, Mapping):
        return {}
    kind = "share" if "share" in cv else "time" if cv.get("time") else "groups" if "groups" in cv else "folds"
    found = {"cv": kind, "shuffle": _box(cv.get("shuffle")), "stratified": _box(cv.get("stratified"))}
    if "share" in cv:
        found["share"] = f"{100 * cv['share']:g}"
    if "folds" in cv:
        found["folds"] = str(cv["folds"])
    if "groups" in cv:
        found["groups"] = str(cv["groups"])
    return found


def _box(value: Any) -> str:
    """What is left to the estimator is ticked, as it is in a form that nobody has touched."""
    return "off" if value is False else "on"


def _goals(given: Mapping[str, Any]) -> dict[str, str]:
    goals = [name for key in ("maximize", "minimize") for name in _names(given.get(key))]
    also = [*goals[1:], *(name for name in _names(given.get("scoring")) if name not in goals)]
    found = {"primary": goals[0]} if goals else {}
    if also:
        found["scores"] = ", ".join(also)
    models = given.get("models") or {}
    best = models.get("best", 1)
    if models.get("all"):
        found["save"] = "all"
    elif best != 1:
        found |= {"save": "top", "top": str(best)} if best else {"save": "none"}
    return found | {
        f"threshold.{name}": f"{limit}" for name, limit in dict(models.get("thresholds") or {}).items()
    }


def _names(said: Any) -> list[str]:
    return [said] if isinstance(said, str) else [str(name) for name in said or ()]


def _search(given: Mapping[str, Any]) -> dict[str, str]:
    algorithm = given.get("algorithm", "auto")
    found = {"strategy": str(algorithm["name"] if isinstance(algorithm, Mapping) else algorithm)}
    stopping = given.get("stopping")
    if (stopping.get("name") if isinstance(stopping, Mapping) else stopping) == "race":
        found["race"] = "on"
    rows = (given.get("fidelity") or {}).get("rows")
    if rows:
        found["rows"] = f"{100 * rows[0] / rows[1]:g}"
    budget = given.get("budget") or {}
    for key, name in {"trials": "trials", "target": "reach"}.items():
        if key in budget:
            found[name] = str(budget[key])
    for unit in UNITS:
        if isinstance(budget.get(unit), int | float):
            found |= {"time": f"{budget[unit]:g}", "unit": unit}
    if budget.get("until") == "noise":
        found["noise"] = "on"
    return found
