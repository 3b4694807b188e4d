"""Algorithm and Optimizer: settings as data, and the live thing that is started from them.

The rule everything rests on: an optimiser's state is a function of the finished trials it was told, in order.
`tell` moves it, `ask` only reads (it may cache what it could compute again). All chance comes from the
generator handed to `ask`. So nothing is pickled, a study that was stopped and resumed goes on as if it had not been,
and any decision can be replayed. `luthier.testing.OptimizerContract` holds every optimiser to this.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from luthier.space import Params
from luthier.study import Problem, Proposal, Trial

LATER = {"later": True}
"""`field(metadata=LATER)` for a setting that older versions did not have: where it is at its default it is not written, so that studies from
before it ask the same question as ever (luthier.plugins).
"""


class Optimizer(Protocol):
    """Alive, and private to one engine."""

    def tell(self, finished: Sequence[Trial]) -> None:
        """Learn of trials that ended since the last call, in the store's order: completed, stopped and failed ones.

        A stopped one has no metrics, or those that the policy which stopped it expects it to have come to. Some may lie
        outside the space (the defaults of an estimator, trials of an earlier space): leave out what cannot be used.
        """
        ...

    def ask(self, pending: Sequence[Trial], rng: np.random.Generator) -> Proposal | None:
        """The next point to try, given the trials that wait or run. None where there is nothing to propose until one
        of those ends; with nothing pending, None means that nothing is left to try.
        """
        ...


class Algorithm(Protocol):
    """A frozen dataclass of JSON-able settings: `Evolution(population=50)`.

    One that itself decides how far each trial is trained, where the problem has a fidelity, says `pauses: ClassVar[bool] = True`.
    One that ends by itself has a method `total(problem)`: after how many trials. One for which points to begin with are not trials in
    full has a method `begin(problem, points)`, which makes proposals of them.
    """

    def start(self, problem: Problem) -> Optimizer:
        """An optimiser that knows nothing yet. Raises InvalidStudy for a problem it cannot work on."""
        ...


def pauses(algorithm: Algorithm) -> bool:
    """Whether the algorithm itself decides how far each trial is trained, so that nothing else needs to stop them."""
    return bool(getattr(algorithm, "pauses", False))


def begin(algorithm: Algorithm, problem: Problem, points: Sequence[Params]) -> list[Proposal]:
    """Points that somebody wants to begin with, as proposals. Raises InvalidStudy where they are too many for the algorithm."""
    made: Any = getattr(algorithm, "begin", None)
    if made is not None and points:
        return list(made(problem, points))
    return [Proposal(dict(point), tag={"by": "start"}) for point in points]


def total(algorithm: Algorithm, problem: Problem) -> int | None:
    """After how many trials the algorithm ends by itself, having answered; None where it would go on or does not say.

    Raises InvalidStudy for a problem it cannot work on.
    """
    count: Any = getattr(algorithm, "total", None)
    return None if count is None else int(count(problem))
