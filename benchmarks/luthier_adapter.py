"""Luthier as ask and tell, for benchmarks that know nothing of it.

`make(params, seed, budget, algorithm="auto")` takes the parameters as dicts (name, type float, int or cat, low, high, log,
choices, and cond = (parent, values) where one exists under a condition only).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from luthier import plugins
from luthier.space import Choice, Float, Int, Parameter, Params, Space
from luthier.study import Completed, Named, Objective, Problem, Proposal, State, StudySpec, Trial


def parameter(given: Mapping[str, Any]) -> Parameter:
    """The parameter that a dict describes."""
    when = {} if not given.get("cond") else {given["cond"][0]: list(given["cond"][1])}
    if given["type"] == "cat":
        return Choice(list(given["choices"]), when=when)
    kind = Int if given["type"] == "int" else Float
    return kind(given["low"], given["high"], log=bool(given.get("log")), when=when)


class Tuner:
    """One study, a trial at a time."""

    def __init__(
        self, params: Sequence[Mapping[str, Any]], seed: int, algorithm: str, noisy: bool = False
    ) -> None:
        space = Space({given["name"]: parameter(given) for given in params})
        self.problem = Problem(space, (Objective("loss", "min", noisy=noisy),))
        self.spec = StudySpec("bench", self.problem, Named(algorithm), seed=seed)
        self.optimizer = plugins.algorithm(algorithm).start(self.problem)
        self.number = 0

    def begin(self, pending: Sequence[Trial] = ()) -> Trial:
        """The next trial, beside those that run."""
        rng = self.spec.rng(self.number)
        proposal = self.optimizer.ask(pending, rng)
        if proposal is None:  # a finite space was tried out
            proposal = Proposal(self.problem.space.sample(rng))
        trial = Trial(self.number, proposal.params, State.RUNNING, 1, tag=proposal.tag)
        self.number += 1
        return trial

    def end(self, trial: Trial, loss: float) -> Trial:
        """The trial, completed with this loss."""
        ended = trial.after(Completed({"loss": float(loss)}), 1)
        self.optimizer.tell([ended])
        return ended

    def ask(self) -> dict[str, Any]:
        """The next configuration, where one runs at a time."""
        self.trial = self.begin()
        return dict(self.trial.params)

    def tell(self, config: Params, loss: float) -> None:
        """What it came to."""
        self.end(replace(self.trial, params=config), loss)


def make(params: Sequence[Mapping[str, Any]], seed: int, budget: int, algorithm: str = "auto") -> Tuner:
    """A tuner that may spend `budget` trials, which it does not look at."""
    return Tuner(params, seed, algorithm)
