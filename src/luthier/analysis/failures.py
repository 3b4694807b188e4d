"""Failures, grouped: what went wrong, where, how often, and what those trials have in common that no good one has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from luthier.space import Scalar
from luthier.study import Trial

FRAME = re.compile(r'File "(?P<file>.+?)", line (?P<line>\d+), in (?P<name>.+)')
FOREIGN = re.compile(r"[/\\](site-packages|dist-packages|luthier|lib[/\\]python3)[/\\.]|^<frozen ")


@dataclass(frozen=True, slots=True)
class Failure:
    """Trials that failed in the same way.

    `what` is the first line of the first one's reason, `where` the last line of the user's own code in its traceback, `shared` the
    values that all of them have and none of the trials that went well.
    """

    what: str
    where: str | None
    numbers: tuple[int, ...]
    shared: tuple[tuple[str, Scalar], ...]


def failures(failed: Sequence[Trial], fine: Sequence[Trial]) -> list[Failure]:
    """Failed trials by what went wrong, the most frequent first; `fine` are some that went well, to compare with.

    Numbers in a reason do not matter: "out of memory at 812 MB" and "at 904 MB" are the same.
    """
    groups: dict[tuple[str, str | None], list[Trial]] = {}
    for trial in failed:
        what = _first_line(trial)
        groups.setdefault((re.sub(r"\d+", "0", what), _own_frame(trial.traceback)), []).append(trial)
    found = [
        Failure(_first_line(trials[0]), where, tuple(trial.number for trial in trials), _shared(trials, fine))
        for (_, where), trials in groups.items()
    ]
    return sorted(found, key=lambda group: (-len(group.numbers), group.numbers))


def _first_line(trial: Trial) -> str:
    return ((trial.reason or "").strip().splitlines() or ["no reason was given"])[0]


def _own_frame(traceback: str | None) -> str | None:
    """file:line in function, of the last frame that is not a library's."""
    own = [found for found in FRAME.finditer(traceback or "") if not FOREIGN.search(found["file"])]
    if not own:
        return None
    file = re.split(r"[/\\]", own[-1]["file"])[-1]
    return f"{file}:{own[-1]['line']} in {own[-1]['name']}"


def _shared(trials: Sequence[Trial], fine: Sequence[Trial]) -> tuple[tuple[str, Scalar], ...]:
    """What would be too much of a coincidence: three or more trials, and some that went well without it."""
    if len(trials) < 3 or not fine:
        return ()
    first = trials[0].params.items()
    common = [(name, value) for name, value in first if all(_has(t, name, value) for t in trials)]
    return tuple((name, value) for name, value in common if not any(_has(t, name, value) for t in fine))


def _has(trial: Trial, name: str, value: Scalar) -> bool:
    """1, 1.0 and True are three values."""
    return name in trial.params and type(trial.params[name]) is type(value) and trial.params[name] == value
