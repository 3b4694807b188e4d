"""StoppingPolicy: which running trials to give up, and why."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from luthier.study import History, Metrics, Trial


class StoppingPolicy(Protocol):
    """A frozen dataclass of JSON-able settings that judges by what it is shown, and keeps nothing."""

    def judge(self, trial: Trial, history: History) -> str | None:
        """The reason to stop the running `trial` now, with its numbers; None to let it go on."""
        ...


@runtime_checkable
class Foreseeing(Protocol):
    """What a policy may be besides: one that says what a trial it stopped would have come to.

    Optimisers are told so, and nobody else: the trial stays stopped, without a result, in the store and in the history.
    """

    def expected(self, trial: Trial, history: History) -> Metrics | None:
        """The metrics that the stopped `trial` would have had; None where nobody can tell.

        Depends on trials that ended up to `trial.seq` alone, so that it is the same whenever it is asked for.
        """
        ...
