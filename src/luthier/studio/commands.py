"""Commands of Luthier that the studio starts, each in a process of its own: what fits models or draws does so there, and a studio stays
small.
"""

from __future__ import annotations

import os
import sys

from luthier.store.url import VARIABLE

SAID = "luthier: error: "


def command(*words: str) -> list[str]:
    """`luthier ...`, by the interpreter that this is; what lies in the current folder is no module of it."""
    return [sys.executable, "-P", "-m", "luthier", *words]


def environment(store: str | None) -> dict[str, str]:
    """Ours, and in it the store, unless it is the one that is meant anyway: its address may hold a password, and command lines are for
    all to see.
    """
    return os.environ | ({} if store is None else {VARIABLE: store}) | {"NO_COLOR": "1"}


def complaint(printed: str) -> str | None:
    """The sentence with which a command ended: the last one that it said as an error; None where there is none."""
    said = [line for line in map(str.strip, printed.splitlines()) if line.startswith(SAID)]
    return said[-1].removeprefix(SAID) if said else None
