"""The parameters of an estimator by name: what they are when nobody says anything, and how they are set."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from luthier.errors import InvalidParams, did_you_mean
from luthier.estimators.named import estimator_path, library
from luthier.estimators.snapshots import library_defaults


def default_params(estimator: Any) -> dict[str, Any]:
    """The value of every parameter as the estimator stands, nested ones included; for None, what the library does."""
    values = {**signature(estimator), **estimator.get_params(deep=True)}
    for name, owner in [("", estimator), *_nested(values)]:
        prefix = f"{name}__" if name else ""
        for key, value in library_defaults(library(owner)).items():
            if values.get(prefix + key) is None and prefix + key in values:
                values[prefix + key] = value
    return values


def set_params(estimator: Any, params: Mapping[str, Any]) -> Any:
    """An unfitted clone with these parameters; raises InvalidParams for a name that is no parameter of it.

    `hidden_layer_sizes` takes text as well, "50,50" for (50, 50), because a choice holds scalars only.
    """
    from sklearn.base import clone

    check_names(estimator, params)
    made = clone(estimator)
    if params:
        made.set_params(**{name: decoded(name, value) for name, value in params.items()})
    return made


def check_names(estimator: Any, names: Any) -> None:
    """Raise InvalidParams, with the near name, for the first that is no parameter of the estimator."""
    known = [*signature(estimator), *estimator.get_params(deep=True)]
    for name in names:
        if name in known:
            continue
        # A boosting library takes more parameters than it lists; only a misspelling is refused there.
        if _takes_more(estimator, name) and not get_close_matches(name, known, n=1, cutoff=0.85):
            continue
        raise InvalidParams(
            f"{name!r} is not a parameter of {estimator_path(estimator)}.{did_you_mean(name, known)}"
        )


def as_scalar(name: str, value: Any) -> Any:
    """The inverse of `decoded`: (50, 50) is "50,50"; other values as they are."""
    if name.rpartition("__")[2] == "hidden_layer_sizes" and isinstance(value, tuple | list):
        return ",".join(str(size) for size in value)
    return value


def signature(estimator: Any) -> dict[str, Any]:
    """The parameters that the constructor of an estimator or class names itself, with their defaults: `inspect.Parameter.empty`
    where the caller has to say. CatBoost's get_params, for one, lists only what was set.
    """
    cls = estimator if inspect.isclass(estimator) else type(estimator)
    parameters = inspect.signature(cls.__init__).parameters.values()
    named = (p for p in parameters if p.name != "self" and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL))
    return {p.name: p.default for p in named}


def decoded(name: str, value: Any) -> Any:
    """The value that an estimator takes for one that a space can hold: (50, 50) for "50,50"."""
    if name.rpartition("__")[2] != "hidden_layer_sizes" or not isinstance(value, str):
        return value
    try:
        return tuple(int(size) for size in value.split(","))
    except ValueError:
        raise InvalidParams(
            f"{name} is {value!r}, which names no layer sizes. Write whole numbers with commas: '50,50'."
        ) from None


def _takes_more(estimator: Any, name: str) -> bool:
    owner = estimator
    for step in name.split("__")[:-1]:
        owner = owner.get_params(deep=True).get(step)
    return owner is not None and library(owner) in ("xgboost", "lightgbm", "catboost")


def _nested(values: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in values.items() if is_estimator(value)]


def is_estimator(value: Any) -> bool:
    """Whether it is an instance with parameters of its own."""
    return hasattr(value, "get_params") and not inspect.isclass(value)
