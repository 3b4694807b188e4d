"""StoppingPolicy: which running trials to give up, and why."""

from __future__ import annotations

from typing import Protocol

from luthier.study import History, Trial


class StoppingPolicy(Protocol):
    """A frozen dataclass of JSON-able settings that judges by what it is shown, and keeps nothing."""

    def judge(self, trial: Trial, history: History) -> str | None:
        """The reason to stop the running `trial` now, with its numbers; None to let it go on."""
        ...
