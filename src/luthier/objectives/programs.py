"""Programs: which one a command means, and what to say where it is not there."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from luthier.errors import ObjectiveError
from luthier.objectives.placeholders import names_in

INTERPRETERS = ("python", "bash", "sh", "zsh", "Rscript", "julia", "node", "perl", "ruby", "lua", "php")


def search_path(env: Mapping[str, str]) -> str:
    """Where commands are looked for: last, beside the Python that runs this, which may not be on the PATH."""
    given = env.get("PATH", os.environ.get("PATH", os.defpath))
    return os.pathsep.join([given, str(Path(sys.executable).parent)])


def check(words: Sequence[str], folder: Path, env: Mapping[str, str]) -> None:
    """Raise ObjectiveError where the program that `words` begin with, or the script it is to run, is not there; `folder` is
    where it runs, `env` what is added to the environment.
    """
    program = sys.executable if words[0] == "{python}" else words[0]
    if not folder.is_dir():
        raise ObjectiveError(f"the command is to run in {folder}, which is no folder.")
    if names_in(program):
        return
    if os.sep in program:
        _check_executable(folder / program, program)
    elif shutil.which(program, path=search_path(env)) is None:
        raise ObjectiveError(missing(program, folder, env))
    if len(words) > 1 and Path(program).name.rstrip("0123456789.") in INTERPRETERS:
        _check_script(words[1], folder, program)


def found(program: str, env: Mapping[str, str]) -> str:
    """Where a program is, for people; itself where it is not looked for."""
    if program == "{python}":
        return sys.executable
    return program if os.sep in program else shutil.which(program, path=search_path(env)) or program


def python_of(words: Sequence[str], env: Mapping[str, str]) -> str | None:
    """The Python that a command begins with, where it is another than the one that runs this."""
    if not Path(words[0]).name.startswith("python"):
        return None
    found = shutil.which(words[0], path=search_path(env))
    same = found is None or Path(found).parent.resolve() == Path(sys.executable).parent.resolve()
    return None if same else found


def missing(program: str, folder: Path, env: Mapping[str, str]) -> str:
    """That there is no such program, and which one may be meant."""
    told = f"there is no command {program!r}."
    if (folder / program).is_file():
        return f"{told} The file in {folder} is meant by './{program}'."
    path = search_path(env)
    names = {name for part in path.split(os.pathsep) if part for name in _names(Path(part))}
    near = get_close_matches(program, sorted(names), n=1, cutoff=0.7)
    if near:
        return f"{told} Did you mean {near[0]!r}?"
    return f"{told} It was looked for in {path.replace(os.pathsep, ', ')}."


def _check_executable(path: Path, program: str) -> None:
    if not path.is_file():
        near = get_close_matches(path.name, _names(path.parent), n=1, cutoff=0.6)
        meant = f" Did you mean {program.rpartition(os.sep)[0] + os.sep + near[0]!r}?" if near else ""
        raise ObjectiveError(f"there is no file {str(path)!r} to run.{meant}")
    if not os.access(path, os.X_OK):
        raise ObjectiveError(
            f"{program!r} may not be executed. Run `chmod +x {program}`, or name the program that reads it: bash {program}."
        )


def _check_script(script: str, folder: Path, program: str) -> None:
    if not Path(script).suffix or script.startswith("-") or names_in(script) or (folder / script).is_file():
        return
    near = get_close_matches(Path(script).name, _names((folder / script).parent), n=1, cutoff=0.6)
    meant = f" Did you mean {near[0]!r}?" if near else ""
    raise ObjectiveError(f"there is no file {script!r} in {folder}, which {program} is to run.{meant}")


def _names(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in folder.iterdir()]
    except OSError:
        return []
