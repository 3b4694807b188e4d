"""A Python function, in any of its natural shapes, as a Task - and what its result means.

def train(trial): ...                                    # everything through the trial
def train(lr, layers, optimizer, momentum=None): ...     # the active parameters by name
def train(trial, lr, layers, **rest): ...                # both
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from luthier.errors import LuthierError, ObjectiveError, did_you_mean
from luthier.objectives.context import Context, Task
from luthier.space import Space

# --- a function as a task ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FunctionTask:
    """Calls `function` the way its signature asks for.

    `trial` is the name of the parameter that takes the trial ("" where it is the first, by position; None
    where there is none); `names` are the space's parameters that it takes, None for all of them. `fidelity` is the name of the
    parameter that says how far to train, where there is one.
    """

    function: Callable[..., Any]
    metrics: tuple[str, ...]
    trial: str | None
    names: frozenset[str] | None
    fidelity: str | None = None

    def __call__(self, context: Context) -> dict[str, float]:
        params: dict[str, Any] = dict(context.params)
        if self.names is not None:
            params = {name: value for name, value in params.items() if name in self.names}
        if self.fidelity is not None:
            params[self.fidelity] = context.fidelity
        if self.trial == "":
            result = self.function(context, **params)
        elif self.trial is not None:
            result = self.function(**params, **{self.trial: context})
        else:
            result = self.function(**params)
        return metrics_of(result, self.metrics)


def as_task(
    function: Callable[..., Any], problem_space: Space, metrics: Sequence[str], fidelity: str | None = None
) -> Task:
    """`function` as a Task for trials of `problem_space`, which returns at least `metrics`.

    A parameter called as the `fidelity` receives how far to train, as `trial.fidelity` says too.
    A parameter of the function receives the trial where it is called `trial`, is annotated as a Context, or
    is the only one that needs a value and none of the others is in the space. Raises ObjectiveError where the
    function cannot be called with every point of the space.
    """
    label = _label(function)
    if hasattr(function, "fit") and hasattr(function, "get_params"):
        raise ObjectiveError(
            f"the objective is the estimator {_short(function)}. Say on what data it is to be scored: "
            "tune(CrossValidation(estimator, X, y), ...)."
        )
    if not callable(function):
        raise ObjectiveError(
            f"the objective is {function!r}, which cannot be called. Pass a function: def train(trial): ..."
        )
    parameters = _parameters(function, label)
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters)
    named = {p.name: p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    if fidelity not in named or named[fidelity].kind is inspect.Parameter.POSITIONAL_ONLY:
        fidelity = None
    else:
        del named[fidelity]
    trial = _trial_parameter(list(named.values()), problem_space, label)
    if trial is not None:
        del named[trial.name]
    _check_required(named, problem_space, label)
    if trial is None and not open_ended:
        _check_complete(named, problem_space, label)
    by_position = trial is not None and trial is parameters[0] and trial.kind is not trial.KEYWORD_ONLY
    return FunctionTask(
        function,
        tuple(metrics),
        trial=None if trial is None else "" if by_position else trial.name,
        names=None if open_ended else frozenset(problem_space) & frozenset(named),
        fidelity=fidelity,
    )


def _label(function: object) -> str:
    while isinstance(function, partial):
        function = function.func
    return getattr(function, "__name__", None) or type(function).__name__


def _parameters(function: Callable[..., Any], label: str) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        raise ObjectiveError(
            f"the parameters of {label} cannot be read. Wrap it in a function: def train(trial): return {label}(...)"
        ) from None


def _trial_parameter(named: list[inspect.Parameter], space: Space, label: str) -> inspect.Parameter | None:
    for p in named:
        if p.name not in space and (p.name == "trial" or _means_context(p.annotation)):
            return p
    required = [p for p in named if p.default is p.empty]
    if (
        len(required) != 1
        or required[0].kind is inspect.Parameter.KEYWORD_ONLY
        or required[0] is not named[0]
    ):
        return None
    if any(p.name in space for p in named):
        return None
    only = required[0]
    if near := get_close_matches(only.name, space, n=1, cutoff=0.8):
        raise ObjectiveError(
            f"{label} takes {only.name!r}, which is not in the space. Did you mean {near[0]!r}? "
            "Call it `trial` if it is to receive the trial."
        )
    return only


def _means_context(annotation: object) -> bool:
    name = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    return name.rpartition(".")[2] in ("Context", "Trial")


def _check_required(named: Mapping[str, inspect.Parameter], space: Space, label: str) -> None:
    for name, p in named.items():
        if p.kind is p.POSITIONAL_ONLY and (name in space or p.default is p.empty):
            raise ObjectiveError(
                f"{label} takes {name!r} by position only, and parameters are passed by name. Drop the '/'."
            )
        if p.default is not p.empty:
            continue
        if name not in space:
            raise ObjectiveError(
                f"{label} needs {name!r}, which is not in the space.{did_you_mean(name, space)} "
                f"Give it a default, or add it to the space."
            )
        if space.conditions(name):
            where = " and ".join(
                f"{c.parent} is {' or '.join(map(repr, c.values))}" for c in space.conditions(name)
            )
            raise ObjectiveError(
                f"{label} needs {name!r}, which exists only where {where}. Give it a default: {name}=None."
            )


def _check_complete(named: Mapping[str, inspect.Parameter], space: Space, label: str) -> None:
    for name in space:
        if name not in named:
            near = did_you_mean(name, [other for other in named if other not in space])
            raise ObjectiveError(
                f"{label} does not take {name!r}, which is in the space.{near if 'mean' in near else ''} "
                "Add it, accept **params, or take `trial` and read trial.params."
            )


# --- what came back ------------------------------------------------------------------------------


def metrics_of(result: object, objectives: Sequence[str]) -> dict[str, float]:
    """The result of an objective as metrics: a mapping of names to numbers, or one number for one objective.

    NaN and infinities are numbers. Raises ObjectiveError, saying what to return, for anything else.
    """
    wanted = "{" + ", ".join(f"{name!r}: ..." for name in objectives) + "}"
    if result is None:
        raise ObjectiveError(f"the objective returned nothing; return {wanted}.")
    if not isinstance(result, Mapping):
        if len(objectives) != 1:
            raise ObjectiveError(
                f"the objective returned {_short(result)}, and the study has {len(objectives)} objectives; return {wanted}."
            )
        return {objectives[0]: _objective(result, objectives[0], wanted)}
    metrics: dict[str, float] = {}
    for name, value in result.items():
        if not isinstance(name, str):
            raise ObjectiveError(f"the objective returned a metric named {name!r}. Use a string as its name.")
        metrics[name] = _objective(value, name, wanted) if name in objectives else number(value, name)
    for name in objectives:
        if name not in metrics:
            raise ObjectiveError(_missing(name, list(metrics), wanted))
    return metrics


def number(value: object, name: str) -> float:
    """`value` as a float, where it is one number; raises ObjectiveError naming the metric otherwise."""
    kind = type(value)
    if kind is float:
        return value  # type: ignore[return-value]
    if not isinstance(value, str | bytes | bytearray) and getattr(value, "ndim", 0) == 0:
        try:
            return float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError):
            pass
    raise ObjectiveError(f"the metric {name!r} is {_short(value)} ({kind.__name__}). Use one number.")


def _objective(value: object, name: str, wanted: str) -> float:
    # A truth value here is nearly always a function that returns whether it worked.
    if isinstance(value, bool | np.bool_):
        raise ObjectiveError(f"the objective returned {value!r}, which is not a number; return {wanted}.")
    return number(value, name)


def _missing(name: str, returned: list[str], wanted: str) -> str:
    if not returned:
        return f"the objective returned an empty mapping; return {wanted}."
    listed = ", ".join(map(repr, returned))
    near = did_you_mean(name, returned)
    remedy = near if "mean" in near else f" Return {wanted}, or optimise one that it returns."
    return f"the objective returned {listed} but not {name!r}, which this study optimises.{remedy}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


# --- a function by name --------------------------------------------------------------------------


def import_objective(reference: str) -> Callable[..., Any]:
    """The function that `"module:function"` or `"path/to/file.py:function"` names.

    The current folder is searched first, as `python -m` does; a file's own folder is put on `sys.path`, so that
    worker processes find it too. Raises ObjectiveError where there is no such thing.
    """
    where, colon, attribute = reference.strip().rpartition(":")
    if not colon or not where or not attribute:
        raise ObjectiveError(
            f"the objective {reference!r} does not name a function. Write 'module:function'."
        )
    module = _import_file(Path(where)) if where.endswith(".py") or os.sep in where else _import_module(where)
    found: Any = module
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            known = [
                name for name, value in vars(found).items() if callable(value) and not name.startswith("_")
            ]
            raise ObjectiveError(f"{where!r} has no function {part!r}.{did_you_mean(part, known)}") from None
    if not callable(found):
        raise ObjectiveError(f"{reference!r} is {_short(found)}, which cannot be called. Name a function.")
    return found  # type: ignore[no-any-return]


def _import_file(path: Path) -> ModuleType:
    if path.suffix != ".py":
        path = path.with_name(path.name + ".py")
    path = path.absolute()
    if not path.is_file():
        near = did_you_mean(path.name, [other.name for other in path.parent.glob("*.py")])
        raise ObjectiveError(f"there is no file {str(path)!r}.{near}")
    _search_first(str(path.parent))
    module = _import(path.stem)
    origin = getattr(module, "__file__", None)
    if origin is None or not path.samefile(origin):
        raise ObjectiveError(
            f"{path.name!r} cannot be imported as {path.stem!r}, which is already {origin or 'built in'}. Rename the file."
        )
    return module


def _import_module(name: str) -> ModuleType:
    here = str(Path.cwd())
    if "" not in sys.path:
        _search_first(here)
    try:
        return _import(name)
    except ModuleNotFoundError as error:
        # Only the module itself: a library that it lacks is said by _import.
        near = did_you_mean(name, [other.stem for other in Path(here).glob("*.py")])
        raise ObjectiveError(
            f"there is no module {error.name!r} in {here} or among the installed.{near}"
        ) from None


def _search_first(folder: str) -> None:
    if folder not in sys.path:
        sys.path.insert(0, folder)


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and (name == missing or name.startswith(missing + ".")):
            raise
        if isinstance(error, LuthierError):
            raise
        raise ObjectiveError(
            f"{name!r} cannot be imported: {type(error).__name__}: {error}{_at(error)}."
        ) from error


def _at(error: BaseException) -> str:
    """Where in the user's files it happened."""
    place, trace = "", error.__traceback__
    while trace is not None:
        filename = trace.tb_frame.f_code.co_filename
        if not filename.startswith("<frozen") and filename not in (__file__, importlib.__file__):
            place = f" ({filename}, line {trace.tb_lineno})"
        trace = trace.tb_next
    return place
