"""For scripts that are run as trials: their parameters, and how it is going. Run by hand, they get their own defaults.

import luthier

p = luthier.params(lr=0.01, depth=3)
for epoch in range(10):
    ...
    luthier.report(epoch, loss=loss)
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from luthier.errors import ObjectiveError, did_you_mean


class Params(Mapping[str, Any]):
    """Parameters by name: `p["lr"]` or `p.lr`."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = dict(values)

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_values":
            raise AttributeError(name)
        try:
            return self._values[name]
        except KeyError:
            raise AttributeError(
                f"there is no parameter {name!r}.{did_you_mean(name, self._values)}"
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Params({', '.join(f'{name}={value!r}' for name, value in self._values.items())})"


def params(**defaults: Any) -> Params:
    """The parameters of the trial that this script is, and `defaults` for what the trial has no value for: all of them, where
    the script is run by hand.

    Raises ObjectiveError where it is a trial and the file of its parameters cannot be read.
    """
    path = os.environ.get("LUTHIER_PARAMS")
    if path is None:
        return Params(defaults)
    try:
        given = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ObjectiveError(
            f"LUTHIER_PARAMS names {path}, and the parameters of the trial cannot be read from it: {error}. "
            "To run the script by hand, unset LUTHIER_PARAMS."
        ) from None
    return Params({**defaults, **given})


def report(step: int | None = None, metrics: Mapping[str, float] | None = None, /, **more: float) -> None:
    """Say how it is going: metrics at a step, or without one the result. Run by hand, it is printed and that is all.

    A trial that is given up gets SIGTERM. Raises ObjectiveError for what is no step or no number.
    """
    from luthier.objectives.function import number

    if step is not None and (isinstance(step, bool) or not hasattr(type(step), "__index__")):
        raise ObjectiveError(f"report was given the step {step!r}. Use a whole number: report(3, loss=0.21).")
    said = {name: number(value, name) for name, value in {**(metrics or {}), **more}.items()}
    if not said:
        raise ObjectiveError("report names no metric. Add one: report(3, loss=0.21).")
    line: dict[str, Any] = {} if step is None else {"step": int(step)}
    line |= said
    path = os.environ.get("LUTHIER_METRICS")
    if path is None:
        print("luthier:", *(f"{name}={value!r}" for name, value in line.items()), flush=True)
        return
    with open(path, "a", encoding="utf-8") as file:  # noqa: PTH123 - one write, so that ranks of one training do not mix
        file.write(json.dumps(line) + "\n")
