"""An estimator by the path of its class, and back."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from luthier.errors import MissingExtra, ObjectiveError, UnknownName, did_you_mean

EXTRAS = {"sklearn": "sklearn", "xgboost": "boosting", "lightgbm": "boosting", "catboost": "boosting"}


def load_estimator(path: str) -> type[Any]:
    """The class named by `"sklearn.svm:SVC"` or `"sklearn.svm.SVC"`.

    Raises UnknownName, naming the near one, where there is no such module or class, and MissingExtra where the
    library is not installed.
    """
    module_name, _, class_name = path.replace(":", ".").rpartition(".")
    if not module_name or not class_name:
        raise UnknownName(
            f"estimator {path!r} is not of the form 'package.module:Class', such as 'sklearn.svm:SVC'."
        )
    module = _import(module_name, path)
    found = getattr(module, class_name, None)
    if found is None:
        known = [
            name for name, value in vars(module).items() if inspect.isclass(value) and hasattr(value, "fit")
        ]
        raise UnknownName(f"{module_name} has no estimator {class_name!r}.{did_you_mean(class_name, known)}")
    if not (inspect.isclass(found) and hasattr(found, "fit") and hasattr(found, "get_params")):
        raise UnknownName(
            f"{path!r} is no estimator: it has no fit and get_params. Name a class such as 'sklearn.svm:SVC'."
        )
    return found


def as_estimator(estimator: Any) -> Any:
    """An unfitted instance, from an instance, a class or a path."""
    if isinstance(estimator, str):
        estimator = load_estimator(estimator)
    if inspect.isclass(estimator):
        try:
            estimator = estimator()
        except TypeError as error:
            raise ObjectiveError(
                f"{estimator_path(estimator)} cannot be made without arguments ({error}). Pass an instance."
            ) from None
    if not (hasattr(estimator, "fit") and hasattr(estimator, "get_params")):
        raise ObjectiveError(
            f"{estimator!r} is no estimator: it has no fit and get_params. Pass a scikit-learn compatible one."
        )
    return estimator


def estimator_path(estimator: Any) -> str:
    """The path that `load_estimator` reads: the shortest public module that has the class, `sklearn.svm:SVC`."""
    cls = estimator if inspect.isclass(estimator) else type(estimator)
    parts = cls.__module__.split(".")
    public = parts[: next((i for i, part in enumerate(parts) if part.startswith("_")), len(parts))]
    for length in range(1, len(public) + 1):
        module = ".".join(public[:length])
        if getattr(importlib.import_module(module), cls.__name__, None) is cls:
            return f"{module}:{cls.__name__}"
    return f"{cls.__module__}:{cls.__qualname__}"


def library(estimator: Any) -> str:
    """The top-level package that an estimator or its class comes from."""
    cls = estimator if inspect.isclass(estimator) else type(estimator)
    return cls.__module__.partition(".")[0]


def _import(module_name: str, path: str) -> Any:
    root = module_name.partition(".")[0]
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name == root and root in EXTRAS:
            raise MissingExtra("scikit-learn" if root == "sklearn" else root, EXTRAS[root], path) from None
        if error.name is None or not (module_name + ".").startswith(error.name + "."):
            raise ObjectiveError(
                f"{module_name} could not be imported: {error}. Install what it needs."
            ) from error
        near = did_you_mean(module_name, _siblings(module_name))
        raise UnknownName(f"there is no module {error.name!r} for estimator {path!r}.{near}") from None


def _siblings(module_name: str) -> list[str]:
    import pkgutil

    parent = module_name.rpartition(".")[0]
    try:
        package = importlib.import_module(parent) if parent else None
    except ImportError:
        return []
    names = [info.name for info in pkgutil.iter_modules(getattr(package, "__path__", []))]
    return [f"{parent}.{name}" for name in names if not name.startswith("_")]
