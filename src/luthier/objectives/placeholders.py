"""Placeholders: a command with `{lr}` and the like, and the words that it becomes with the values of a trial."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

from luthier.errors import ObjectiveError
from luthier.space import Scalar, Space

REST = "args"
"""`{args}`: `--name value` for every parameter that has no placeholder of its own."""
PARAMS_FILE = "params_file"
PYTHON = "python"
"""`{python}`: the Python that runs Luthier."""
TRIAL = tuple(f"trial.{name}" for name in ("number", "attempt", "seed", "fidelity", "workdir", "checkpoint"))
OF_SHELL = {"|", "||", "&", "&&", ";", ">", ">>", "<", "<<", "2>", "2>&1", "&>", "$(", "`"}
_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def words_of(command: str) -> tuple[str, ...]:
    """A command as a shell would split it. Raises ObjectiveError for what only a shell can do."""
    try:
        words = tuple(shlex.split(command))
    except ValueError as error:
        raise ObjectiveError(
            f"the command cannot be split into words: {str(error).lower()}, in {command!r}. Close the quote."
        ) from None
    for word in words:
        if word in OF_SHELL:
            raise ObjectiveError(
                f"the command has {word!r}, which means something to a shell only. Write shell = true (in Python: shell=True), "
                "or quote it as part of a word."
            )
    if words and re.fullmatch(r"[A-Za-z_]\w*=.*", words[0]):
        name, _, value = words[0].partition("=")
        raise ObjectiveError(
            f"the command begins with {words[0]!r}, which sets a variable in a shell only. Give it apart: "
            f"env = {{ {name} = {json.dumps(value)} }}."
        )
    return words


def names_in(text: str) -> list[str]:
    """The placeholders in a word, in order. Raises ObjectiveError for a brace that has no other."""
    names = []
    for part in _PART.finditer(text):
        if part[0] in "{}":
            raise ObjectiveError(
                f"the command has a single {part[0]!r}, in {text!r}. Write {part[0] * 2} for one that is meant as it is."
            )
        if part[1] is not None:
            names.append(part[1])
    return names


def check(words: Sequence[str], space: Space, fidelity: str | None, *, shell: bool) -> list[str]:
    """The parameters that have no placeholder. Raises ObjectiveError for a placeholder that means nothing."""
    params = [*space, *([fidelity] if fidelity else [])]
    known = [*params, *TRIAL, PARAMS_FILE, PYTHON, REST]
    used: set[str] = set()
    for i, word in enumerate(words):
        for name in names_in(word):
            if name not in known:
                raise ObjectiveError(_unknown(name, known))
            if name == REST and word != "{args}" and not shell:
                raise ObjectiveError(
                    f"{{args}} is several words, and is part of one: {word!r}. Put spaces around it."
                )
            if name in space and _may_be_absent(space, name) and not shell:
                _check_option(words, i, name)
            used.add(name)
    if fidelity is not None and "trial.fidelity" in used:
        used.add(fidelity)
    return [] if REST in used else [name for name in params if name not in used]


def _unknown(name: str, known: Sequence[str]) -> str:
    base, colon, _ = name.partition(":")
    if colon and base in known:
        return f"the command has {{{name}}}, and values are passed as they are. Write {{{base}}}."
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    meant = f"Did you mean {{{near[0]}}}?" if near else f"There is: {', '.join(f'{{{n}}}' for n in known)}."
    return (
        f"the command has the placeholder {{{name}}}, and there is no parameter {name!r}. {meant} "
        f"Write {{{{{name}}}}} if the braces are meant as they are."
    )


def _may_be_absent(space: Space, name: str) -> bool:
    return bool(space.conditions(name)) or None in getattr(space[name], "values", ())


def _check_option(words: Sequence[str], i: int, name: str) -> None:
    if words[i].startswith("-") or (words[i] == f"{{{name}}}" and i > 0 and _is_option(words[i - 1])):
        return
    raise ObjectiveError(
        f"the command has {{{name}}} in {words[i]!r}, and there are trials without a value for {name!r}. Write it as an option, "
        f"which is left out then: --{name} {{{name}}}."
    )


def _is_option(word: str) -> bool:
    return word.startswith("-") and not names_in(word) and "=" not in word


def filled(words: Sequence[str], values: Mapping[str, str | None], rest: Sequence[str]) -> list[str]:
    """The words of a trial. An option whose value is None is left out; `rest` takes the place of `{args}`."""
    found: list[str] = []
    for i, word in enumerate(words):
        if word == "{args}":
            found += rest
        elif any(values.get(name) is None for name in names_in(word)):
            if i > 0 and _is_option(words[i - 1]) and not word.startswith("-"):
                found.pop()
        else:
            found.append(_fill(word, values))
    return found


def filled_for_shell(command: str, values: Mapping[str, str | None], rest: Sequence[str]) -> str:
    """The command with quoted values in it; '' where there is none."""
    quoted = {name: shlex.quote(value or "") for name, value in values.items()}
    return _fill(command, {**quoted, REST: shlex.join(rest)})


def _fill(text: str, values: Mapping[str, str | None]) -> str:
    def put(part: re.Match[str]) -> str:
        return part[0][0] if part[1] is None else values[part[1]] or ""

    return _PART.sub(put, text)


def options(params: Mapping[str, Scalar], names: Iterable[str]) -> list[str]:
    """`--name value` for those of `names` that have a value."""
    found = []
    for name in names:
        value = text_of(params.get(name))
        if value is not None:
            found += [f"--{name}", value]
    return found


def text_of(value: Scalar) -> str | None:
    """A value as a word: numbers to their last digit, truth as in JSON; None for none."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def variable(name: str) -> str:
    """The environment variable of a parameter."""
    return "LUTHIER_PARAM_" + re.sub(r"\W", "_", name, flags=re.ASCII).upper()
