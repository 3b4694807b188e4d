"""StoppingPolicy: which running trials to give up, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from luthier.study import History, Metrics, Problem, Trial

HOLDS_POLICIES: Mapping[str, Any] = {"holds": "policies"}
"""`field(metadata=HOLDS_POLICIES)` in a policy made of others: written by name, and made again from that (luthier.plugins)."""


class StoppingPolicy(Protocol):
    """A frozen dataclass of JSON-able settings that judges by what it is shown, and keeps nothing."""

    def judge(self, trial: Trial, history: History) -> str | None:
        """The reason to stop the running `trial` now, with its numbers; None to let it go on.

        It is asked after each report, which is then the last that the trial has; the history may know of later ones of the
        same trial. It may be asked again without a new report, when another trial has become the best.
        """
        ...


@runtime_checkable
class Checking(Protocol):
    """What a policy may be besides: one that knows before the first trial whether a study suits it."""

    def check(self, problem: Problem) -> None:
        """Raise InvalidStudy where it has no meaning for this problem, as where it goes by a metric that is not there."""
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
