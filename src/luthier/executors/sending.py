"""An objective packed for worker processes, and, where that is impossible, which object stands in the way."""

from __future__ import annotations

import dataclasses
import dis
from collections.abc import Iterator, Mapping
from functools import partial
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from luthier.errors import ObjectiveError
from luthier.executors.shared import Packed, pack
from luthier.objectives.context import Task
from luthier.objectives.function import FunctionTask

MAX_DEPTH = 20


def packed(task: Task) -> Packed:
    """`task` for a worker to read; raises ObjectiveError naming the object that cannot be sent."""
    try:
        return pack(task)
    except Exception as error:
        raise ObjectiveError(_explain(task, error)) from error


def _explain(task: Task, error: Exception) -> str:
    name, value = _culprit("", task, set(), 0)
    kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    article = "an" if kind[0] in "aeiou" else "a"
    if value is task or not name:
        return (
            f"the objective, {article} {kind}, cannot be sent to worker processes: {error}. "
            "Pass a plain function, or use workers=1."
        )
    return (
        f"the objective uses `{name}`, {article} {kind}, which cannot be sent to worker processes. "
        "Create it inside the function, or use workers=1."
    )


def _culprit(name: str, value: object, seen: set[int], depth: int) -> tuple[str, object]:
    """The innermost thing with a name, in what `value` refers to, that cannot be sent."""
    seen.add(id(value))
    if depth < MAX_DEPTH:
        for inner_name, inner in _parts(name, value):
            if id(inner) not in seen and not _can_be_sent(inner):
                return _culprit(inner_name, inner, seen, depth + 1)
    return name, value


def _can_be_sent(value: object) -> bool:
    try:
        pack(value)
    except Exception:  # objects raise what they like when pickled
        return False
    return True


def _parts(name: str, value: object) -> Iterator[tuple[str, Any]]:
    """What `value` refers to, each by the name under which its author knows it."""
    match value:
        case FunctionTask():
            yield "", value.function
        case partial():
            yield "", value.func
            yield from ((f"argument {i + 1}", argument) for i, argument in enumerate(value.args))
            yield from value.keywords.items()
        case MethodType():
            yield "self", value.__self__
            yield "", value.__func__
        case FunctionType():
            yield from _variables(value)
        case Mapping():
            yield from ((f"{name}[{key!r}]", inner) for key, inner in value.items())
        case list() | tuple() | set() | frozenset():
            yield from ((f"{name}[{i}]", inner) for i, inner in enumerate(value))
        case ModuleType() | type():
            return
        case _:
            attributes = dict(getattr(value, "__dict__", {}))
            if dataclasses.is_dataclass(value):
                attributes |= {f.name: getattr(value, f.name, None) for f in dataclasses.fields(value)}
            yield from ((f"{name}.{key}".lstrip("."), inner) for key, inner in attributes.items())


def _variables(function: FunctionType) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:
            continue  # not assigned yet
    yield from (
        (name, function.__globals__[name])
        for name in _globals(function.__code__)
        if name in function.__globals__
    )
    parameters = function.__code__.co_varnames[: function.__code__.co_argcount]
    defaults = function.__defaults__ or ()
    yield from zip(parameters[len(parameters) - len(defaults) :], defaults, strict=True)
    yield from (function.__kwdefaults__ or {}).items()
    yield from vars(function).items()


def _globals(code: CodeType) -> Iterator[str]:
    """The global names that a function and those defined inside it read."""
    yield from (str(i.argval) for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME"))
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _globals(constant)
