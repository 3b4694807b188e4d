"""FreezeThaw: trials pause at each level of the fidelity, and only those that may become the best go on.

K. Swersky, J. Snoek, R. P. Adams, "Freeze-thaw Bayesian optimization", arXiv:1406.3896, with the Gaussian process of the default
algorithm over points and levels (`gp/levels.py`) in the place of their kernel over curves. The rules were found by
simulation on learning curves (docs/benchmarks.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from luthier.errors import InvalidStudy
from luthier.optimizers.base import Optimizer
from luthier.optimizers.gp.codes import Floats
from luthier.optimizers.gp.optimizer import GP, Process
from luthier.optimizers.gp.threads import one_thread
from luthier.optimizers.wrap import at_least, one_objective, unique, usable
from luthier.study import Fidelity, Problem, Proposal, State, Trial


@dataclass(frozen=True, slots=True)
class FreezeThaw:
    """Bayesian optimisation over points and how far to train them. One objective.

    The first `initial` trials pause at the first level. Then a paused trial goes on to the next one as long as its chance to become
    better than the best trained in full is at least `chance`; else a new one begins. With `through`, trials that go on and those that begin
    later are trained in one go, for a stopping policy to end what falls behind; and of the initial ones only those pause that begin alone, after the first: where several run, several are
    tried at once as it is.
    """

    initial: int = 9
    chance: float = 0.05
    through: bool = False
    pauses: ClassVar[bool] = True

    def __post_init__(self) -> None:
        at_least(1, initial=self.initial)
        if not 0 < self.chance < 1:
            raise InvalidStudy(f"chance is {self.chance!r}. Use a number between 0 and 1, as in chance=0.05.")

    def start(self, problem: Problem) -> Optimizer:
        """An optimiser for a problem of one objective with a fidelity; raises InvalidStudy for others."""
        one_objective(problem, "freeze-thaw")
        return _Thaw(problem, self, fidelity_of(problem, "freeze-thaw"))


def fidelity_of(problem: Problem, algorithm: str) -> Fidelity:
    """The problem's fidelity, for an algorithm that is about it; raises InvalidStudy where there is none."""
    if problem.fidelity is None:
        raise InvalidStudy(
            f"{algorithm} decides how far to train, and the study does not say what that is. "
            "Say it: fidelity=Fidelity('epochs', 1, 81)."
        )
    return problem.fidelity


class _Thaw:
    def __init__(self, problem: Problem, settings: FreezeThaw, fidelity: Fidelity) -> None:
        self._problem = problem
        self._settings = settings
        self._fidelity = fidelity
        self._process = Process(problem, GP(), pausing=not settings.through)
        self._new = unique(self._process, problem)
        self._last: dict[str, Trial] = {}
        self._begun = 0

    def tell(self, finished: Sequence[Trial]) -> None:
        known = usable(finished, self._problem)
        for trial in known:
            self._begun += trial.parent is None
            self._last[self._problem.space.key(trial.params)] = trial
        self._new.tell(known)

    def ask(self, pending: Sequence[Trial], rng: np.random.Generator) -> Proposal | None:
        pending = usable(pending, self._problem)
        begun = self._begun + sum(trial.parent is None for trial in pending)
        through, levels = self._settings.through, self._fidelity.levels
        proposal = self._new.ask(pending, rng) if begun < self._settings.initial else None
        if proposal is not None:
            alone = begun > 0 and not pending
            return replace(proposal, fidelity=levels[0]) if alone or not through else proposal
        trial, why = self._promising(pending)
        if trial is not None:
            reached = trial.fidelity or 0.0
            further = levels[-1] if through else next(level for level in levels if level > reached)
            tag = {"by": "freeze-thaw", "why": why}
            return Proposal(trial.params, fidelity=further, parent=trial.number, tag=tag)
        proposal = self._new.ask(pending, rng)
        return proposal if through or proposal is None else replace(proposal, fidelity=levels[0])

    def _promising(self, pending: Sequence[Trial]) -> tuple[Trial | None, str]:
        """The paused trial to go on with, and why; None if a new one is to begin."""
        running = {self._problem.space.key(trial.params) for trial in pending}
        paused = [t for key, t in self._last.items() if key not in running and self._pauses(t)]
        if not paused:
            return None, ""
        finished = [t for t in self._last.values() if self._measured(t) and self._fidelity.full(t.fidelity)]
        further = sum(trial.parent is not None for trial in pending)
        means, sds = self._believed(paused)
        if all(trial.parent is None for trial in finished):  # of how a training goes on nothing is known yet
            if further and further >= len(paused) / 3:
                return None, ""
            best = int(np.argmin(means))
            return paused[best], "nothing was trained in full yet"
        target = float(self._believed(finished)[0].min())
        chances = [_below(target, mean, sd) for mean, sd in zip(means, sds, strict=True)]
        best = int(np.argmax(chances))
        if chances[best] < self._settings.chance:
            return None, ""
        return paused[best], f"{100 * chances[best]:.0f}% to become the best"

    def _pauses(self, trial: Trial) -> bool:
        """Whether the trial may go on."""
        return self._measured(trial) and not self._fidelity.full(trial.fidelity)

    def _measured(self, trial: Trial) -> bool:
        """Whether there is a loss to judge the trial by."""
        loss = trial.metrics.get(self._problem.objective.metric, math.nan)
        return trial.state is State.COMPLETED and math.isfinite(loss)

    def _believed(self, trials: Sequence[Trial]) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the loss in full, on the scale of the model; of raw losses while there is none."""
        with one_thread():
            believed = self._process.in_full([trial.params for trial in trials])
        if believed is not None:
            return believed
        objective = self._problem.objective
        losses = np.array([objective.sign * t.metrics.get(objective.metric, math.nan) for t in trials])
        return np.where(np.isfinite(losses), losses, np.inf), np.zeros(len(losses))


def _below(target: float, mean: float, sd: float) -> float:
    """The probability that a normal number is below the target."""
    return 0.5 * math.erfc((mean - target) / (max(sd, 1e-12) * math.sqrt(2.0)))
