"""An estimator's hyperparameters, read from the estimator itself.

Names and values come from `get_params`, types and allowed values from scikit-learn's own parameter checks, the
sentence about each from its docstring. scikit-learn keeps the checks in a private attribute
(`_parameter_constraints`); where it is absent, as in the boosting libraries, the docstring and the signature speak.
"""

from __future__ import annotations

import importlib
import inspect
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from numbers import Integral
from typing import Any

from luthier.errors import InvalidParams, MissingExtra, ObjectiveError, UnknownName, did_you_mean

EXTRAS = {"sklearn": "sklearn", "xgboost": "boosting", "lightgbm": "boosting", "catboost": "boosting"}

# What the libraries do where the parameter is None: from the parameter reference of XGBoost 3 and CatBoost 1.2.
# CatBoost chooses its learning rate by the data, so it has no default to write down.
LIBRARY_DEFAULTS: dict[str, dict[str, Any]] = {
    "xgboost": {
        "booster": "gbtree",
        "colsample_bylevel": 1.0,
        "colsample_bynode": 1.0,
        "colsample_bytree": 1.0,
        "gamma": 0.0,
        "grow_policy": "depthwise",
        "learning_rate": 0.3,
        "max_bin": 256,
        "max_delta_step": 0.0,
        "max_depth": 6,
        "max_leaves": 0,
        "min_child_weight": 1.0,
        "n_estimators": 100,
        "num_parallel_tree": 1,
        "reg_alpha": 0.0,
        "reg_lambda": 1.0,
        "sampling_method": "uniform",
        "scale_pos_weight": 1.0,
        "subsample": 1.0,
        "tree_method": "auto",
    },
    "catboost": {
        "bagging_temperature": 1.0,
        "border_count": 254,
        "depth": 6,
        "grow_policy": "SymmetricTree",
        "iterations": 1000,
        "l2_leaf_reg": 3.0,
        "leaf_estimation_method": None,
        "min_data_in_leaf": 1,
        "model_size_reg": 0.5,
        "random_strength": 1.0,
        "rsm": 1.0,
    },
}


@dataclass(frozen=True, slots=True)
class Hyperparameter:
    """One parameter of an estimator, for people.

    `type` is words such as "float" or "float or str"; `allowed` says ranges and options, or is empty where nothing
    is known; `doc` is the first sentence of its documentation.
    """

    name: str
    default: Any
    type: str
    allowed: str
    doc: str


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


def hyperparameters(estimator: Any) -> list[Hyperparameter]:
    """Every parameter of an estimator, class or path; those of a pipeline's steps under `step__name`."""
    return list(_describe(as_estimator(estimator)))


def default_params(estimator: Any) -> dict[str, Any]:
    """The value of every parameter as the estimator stands, nested ones included; for None, what the library does."""
    values = {**_signature(estimator), **estimator.get_params(deep=True)}
    for name, owner in [("", estimator), *_nested(values)]:
        prefix = f"{name}__" if name else ""
        for key, value in LIBRARY_DEFAULTS.get(library(owner), {}).items():
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
        made.set_params(**{name: _decode(name, value) for name, value in params.items()})
    return made


def check_names(estimator: Any, names: Any) -> None:
    """Raise InvalidParams, with the near name, for the first that is no parameter of the estimator."""
    known = [*_signature(estimator), *estimator.get_params(deep=True)]
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
    """The inverse of the decoding in `set_params`: (50, 50) is "50,50"; other values as they are."""
    if name.rpartition("__")[2] == "hidden_layer_sizes" and isinstance(value, tuple | list):
        return ",".join(str(size) for size in value)
    return value


def _decode(name: str, value: Any) -> Any:
    if name.rpartition("__")[2] != "hidden_layer_sizes" or not isinstance(value, str):
        return value
    try:
        return tuple(int(size) for size in value.split(","))
    except ValueError:
        raise InvalidParams(
            f"{name} is {value!r}, which names no layer sizes. Write whole numbers with commas: '50,50'."
        ) from None


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


def _signature(estimator: Any) -> dict[str, Any]:
    """The parameters that the constructor names itself; CatBoost's get_params lists only what was set."""
    parameters = inspect.signature(type(estimator).__init__).parameters.values()
    named = (p for p in parameters if p.name != "self" and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL))
    return {p.name: None if p.default is p.empty else p.default for p in named}


def _takes_more(estimator: Any, name: str) -> bool:
    owner = estimator
    for step in name.split("__")[:-1]:
        owner = owner.get_params(deep=True).get(step)
    return owner is not None and library(owner) in ("xgboost", "lightgbm", "catboost")


def _nested(values: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in values.items() if _is_estimator(value)]


def _is_estimator(value: Any) -> bool:
    return hasattr(value, "get_params") and not inspect.isclass(value)


# --- one parameter in words --------------------------------------------------------------------


def _describe(estimator: Any, prefix: str = "") -> Iterator[Hyperparameter]:
    values = {**_signature(estimator), **estimator.get_params(deep=False)}
    constraints = getattr(estimator, "_parameter_constraints", {})
    docs = _docs(type(estimator))
    steps = _steps(estimator)
    filled = LIBRARY_DEFAULTS.get(library(estimator), {})
    for name, value in values.items():
        if isinstance(value, str) and value == "deprecated":
            continue
        if name in constraints:
            kind, allowed = _constraint_words(constraints[name])
        else:
            kind, allowed = docs.get(name, ("", ""))[0], ""
        default = filled.get(name) if value is None else value
        if not (steps and name in ("steps", "transformers", "estimators", "transformer_list")):
            yield Hyperparameter(
                prefix + name, default, kind or _value_type(default), allowed, docs.get(name, ("", ""))[1]
            )
        if _is_estimator(value):
            yield from _describe(value, f"{prefix}{name}__")
    for name, step in steps:
        yield from _describe(step, f"{prefix}{name}__")


def _steps(estimator: Any) -> list[tuple[str, Any]]:
    shallow, deep = estimator.get_params(deep=False), estimator.get_params(deep=True)
    return [
        (name, value)
        for name, value in deep.items()
        if name not in shallow and "__" not in name and _is_estimator(value)
    ]


def _value_type(value: Any) -> str:
    return "" if value is None else type(value).__name__


def _constraint_words(constraints: Any) -> tuple[str, str]:
    """The type and the allowed values that scikit-learn's checks amount to."""
    if isinstance(constraints, str):  # "no_validation"
        return "any", ""
    words = [_one_constraint(constraint) for constraint in constraints]
    kinds = [kind for kind, _ in words if kind]
    allowed = [text for _, text in words if text]
    return " or ".join(dict.fromkeys(kinds)), " or ".join(dict.fromkeys(allowed))


def _one_constraint(constraint: Any) -> tuple[str, str]:
    from sklearn.utils._param_validation import Interval, Options

    if isinstance(constraint, Interval):
        return ("int" if constraint.type is Integral else "float"), _interval(constraint)
    if isinstance(constraint, Options):
        options = sorted(constraint.options - (getattr(constraint, "deprecated", None) or set()), key=str)
        return constraint.type.__name__.lower(), " or ".join(map(repr, options))
    if type(constraint).__name__ == "Hidden":
        return "", ""
    if constraint is callable:
        return "callable", ""
    if constraint is None:
        return "None", "None"
    if inspect.isclass(constraint):
        return ("int", "a whole number") if constraint is Integral else (constraint.__name__, "")
    match constraint:
        case "boolean":
            return "bool", "True or False"
        case "verbose":
            return "bool or int", "at least 0"
        case "random_state":
            return "int or None", "a seed or None"
        case "array-like":
            return "array", ""
        case str():
            return constraint, ""
        case _:
            return str(constraint), ""


def _interval(interval: Any) -> str:
    low, high, closed = interval.left, interval.right, interval.closed
    bounded_below = low is not None and math.isfinite(low)
    bounded_above = high is not None and math.isfinite(high)
    closed_below, closed_above = closed in ("left", "both"), closed in ("right", "both")
    whole = "a whole number" if interval.type is Integral else "a number"
    if bounded_below and bounded_above and closed_below and closed_above:
        return f"{whole} from {low:g} to {high:g}"
    below = f"{'of at least' if closed_below else 'above'} {low:g}" if bounded_below else ""
    above = f"{'of at most' if closed_above else 'below'} {high:g}" if bounded_above else ""
    return " ".join(part for part in (whole, " and ".join(filter(None, (below, above)))) if part)


# --- docstrings --------------------------------------------------------------------------------

_SECTION = re.compile(r"^(\s*)(Other )?Parameters\s*\n\s*-{3,}\s*\n", re.MULTILINE)
_ENTRY = re.compile(r"^(\*{0,2}[A-Za-z_][\w, *]*?)\s*:\s*(\S.*)$")
_ROLE = re.compile(r":[a-z:]+:`~?([^`<]+?)(?:\s*<[^`]*>)?`")


def _docs(cls: type) -> dict[str, tuple[str, str]]:
    """Type words and first sentence of each parameter, from the numpydoc sections of the class and its bases."""
    found: dict[str, tuple[str, str]] = {}
    for base in reversed(cls.__mro__[:-1]):
        for text in (base.__doc__, base.__dict__.get("__init__", base).__doc__):
            found |= _parameters_section(inspect.cleandoc(text or ""))
    return found


def _parameters_section(text: str) -> dict[str, tuple[str, str]]:
    start = _SECTION.search(text)
    if start is None:
        return {}
    lines = text[start.end() :].splitlines()
    filled = [line for line in lines if line.strip()]
    if not filled:
        return {}
    indent = len(filled[0]) - len(filled[0].lstrip())
    found: dict[str, tuple[str, str]] = {}
    names: list[str] = []
    kind, body = "", []
    for i, line in enumerate(lines):
        if not line.strip():
            body.append("")
            continue
        depth = len(line) - len(line.lstrip())
        following = lines[i + 1].strip() if i + 1 < len(lines) else ""
        if depth < indent or (depth == indent and re.fullmatch(r"-{3,}", following)):
            break
        entry = _ENTRY.match(line.strip()) if depth == indent else None
        if entry is None:
            body.append(line.strip())
            continue
        found |= dict.fromkeys(names, (kind, _sentence(body)))
        names = [name.strip(" *") for name in entry[1].split(",")]
        kind, body = _kind(entry[2]), []
    return found | dict.fromkeys(names, (kind, _sentence(body)))


def _kind(words: str) -> str:
    """The type in the words of a docstring: int of "int, optional (default=31)", int or None of "Optional[int]"."""
    words = re.sub(r"\s*[,(\[]\s*\[?(optional|default)\b.*$", "", words.strip(), flags=re.IGNORECASE)
    optional = re.fullmatch(r"(?:typing\.)?Optional\[(.*)\]", words)
    if optional:
        words = f"{optional[1]} or None"
    return re.sub(r"\btyping\.", "", words)


def _sentence(lines: list[str]) -> str:
    paragraph: list[str] = []
    for line in lines:
        if paragraph and (not line or line.startswith(("..", "-", "*"))):
            break
        if line:
            paragraph.append(line)
    text = _ROLE.sub(r"\1", " ".join(paragraph)).replace("``", "`")
    if text.startswith(".."):
        return ""
    end = re.search(r"(?<!e\.g)(?<!i\.e)[.](?=\s+[A-Z`\"']|$)", text)
    return text[: end.end()] if end else text
