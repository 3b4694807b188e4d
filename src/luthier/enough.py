"""When to end: once the most that further trials could gain is less than the noise that trials are compared through.

The model is that of the default algorithm, whatever algorithm made the trials. The most that could be gained is what
lies between the best point that was tried, at its upper confidence bound or as it was measured, and the lowest lower bound anywhere
(A. Makarova et al., "Automatic termination for hyperparameter optimization", AutoML 2022). It is looked at after every fifth
trial, from the trials that had ended by then and nothing else: so whoever looks, and whenever, comes to the same end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from luthier.analysis.compare import USUAL
from luthier.analysis.table import uncertainty
from luthier.optimizers.gp import GP, acquire
from luthier.optimizers.gp.model import Mixture, Success
from luthier.optimizers.gp.optimizer import TRANSFORMS, Belief, Process
from luthier.optimizers.gp.threads import one_thread
from luthier.optimizers.wrap import merit, usable
from luthier.space import Params
from luthier.study import Budget, History, Objective, Problem, State, Trial

Floats = NDArray[np.float64]

EVERY, IN_A_ROW = 5, 3
"""A look after every so many trials; and so many of them have to say the same."""
LEAST = 20
"""No end before so many trials, or twice as many as there are parameters."""
SHARE = 0.2
"""No end before such a part of the budget is used, where there is one besides."""
MANY = 1000
"""From so many trials on the default algorithm does without a model, and so does this."""
PATIENCE = 30
"""Without a model it ends after so many trials in vain, or five times as many as there are parameters."""
VAIN = 0.1
"""A gain of such a part of the noise is none."""
HUNDREDTH = 0.01
"""Where nothing is noisy: of the distance from the median to the best."""
CANDIDATES = 1024
DRAWS, FORESEEN = 256, 64
"""A forecast draws so often, at so many points at most."""
SAYS = ("the best possible gain", "no gain")
"""The sentences begin so."""
GOES_ON = "a larger budget in trials or seconds goes on"


def enough(history: History, overlap: float | None = None, budget: Budget | None = None) -> str | None:
    """Why more trials are not worth it, with the numbers; None while they may be.

    `overlap` is as in `compare`: the number of test rows to that of training rows of a split, 1/(K-1) unless given. `budget`
    is what else ends the study: a fifth of it is to be used.
    """
    budget = budget or Budget()
    looks = Looks(history.problem, least(history.problem, budget), overlap, budget.until or "noise")
    return looks.follow(history.finished())


@dataclass(frozen=True, slots=True)
class Forecast:
    """What so many more trials are expected to gain over the best so far, and the standard deviation of that, in units of the
    objective.
    """

    trials: int
    gain: float
    sd: float

    def __str__(self) -> str:
        return f"{self.gain:.2g} +- {self.sd:.2g}"


def forecast(history: History, trials: int) -> Forecast | None:
    """What `trials` more trials are expected to gain; None where there is no model, as with several objectives, or all values are equal.

    By the model of the default algorithm: the points where most is to be expected are drawn together, many times, and the best of them is
    compared with the best so far. That nothing is learned on the way makes it a little too small, that the better part of the points is chosen a
    little too large. The number of points has a bound, so many hours look like a few.
    """
    problem = replace(history.problem, fidelity=None)
    fidelity = history.problem.fidelity
    known = [t for t in usable(history.finished(), problem) if fidelity is None or fidelity.full(t.fidelity)]
    if len(problem.objectives) > 1 or not dimensions(problem) or trials < 1 or len(known) > MANY:
        return None
    process = Process(problem, GP())
    process.tell(known)
    points = [trial.params for trial in known if math.isfinite(_loss(trial, problem))]
    gains = []
    with one_thread():
        for slot in TRANSFORMS:  # each is the better one somewhere, as in `predict`
            belief = process.belief(slot) if len(known) >= 2 else None
            if belief is None:
                return None
            gains.append(_gains(process, belief, points, min(trials, FORESEEN)))
    pooled = np.concatenate(gains)
    return Forecast(trials, float(pooled.mean()), float(pooled.std()))


def _gains(process: Process, belief: Belief, points: Sequence[Params], count: int) -> Floats:
    """What the best of so many promising points would be better by, as often as it is drawn."""
    posterior, codes, rng = belief.posterior, process.codes, np.random.default_rng(len(points))
    noisy = process.problem.objective.noisy
    lowest = float(posterior.means.min() if noisy else belief.warped.z.min())
    rows = codes.encoded(points)[belief.chosen[np.argsort(posterior.means, kind="stable")]]
    rows = np.where(np.isnan(rows), codes.random(len(rows), rng), rows)
    best, near = rows[: acquire.TOP], rows[: max(acquire.TOP, len(rows) // 4)]
    looked = codes.snap(acquire.candidates(codes, best, near, posterior.scales, CANDIDATES, rng))
    score = acquire.Score(codes, Mixture([posterior]), acquire.expected_improvement(np.array([lowest])))
    top = looked[acquire.diverse(codes, looked, score(looked), count)]
    drawn = posterior.drawn(codes.features(top), DRAWS, rng).min(axis=1)
    now = _losses_at(belief, lowest)
    return now - np.array([_losses_at(belief, z) for z in np.minimum(drawn, lowest)])


def least(problem: Problem, budget: Budget) -> int:
    """Before so many trials there is no end."""
    share = math.ceil(SHARE * (budget.trials or 0))
    return EVERY * math.ceil(max(LEAST, 2 * dimensions(problem), share) / EVERY)


def dimensions(problem: Problem) -> int:
    """How many parameters vary."""
    return sum(parameter.size != 1 for parameter in problem.space.values())


@dataclass(frozen=True, slots=True)
class Yardstick:
    """What a gain is measured against: its `size`, in units of the objective, and what to call it."""

    size: float
    name: str
    unit: str = ""

    def __str__(self) -> str:
        return f"{self.name}, {self.size:.2g}{self.unit}"


class Looks:
    """The looks at a study, each made once; from `least` trials on they may end it. `until` is the gain that is too little, by default
    the noise.
    """

    def __init__(
        self,
        problem: Problem,
        least: int,
        overlap: float | None = None,
        until: float | Literal["noise"] = "noise",
    ) -> None:
        self.least = least
        self.until = until
        self.why: str | None = None
        """The sentence, from the first look on that said so: what ended while it was read changes nothing."""
        self._fidelity = problem.fidelity
        self._problem = problem = replace(problem, fidelity=None)  # what is not trained in full is left out
        self._overlap = overlap
        self._next = max(EVERY, least - (IN_A_ROW - 1) * EVERY)
        self._told = 0
        self._small = 0  # so many looks in a row saw too small a gain
        modelled = len(problem.objectives) == 1 and dimensions(problem) > 0
        self._process = Process(problem, GP()) if modelled else None

    @property
    def due(self) -> int | None:
        """At how many trials there is the next look; None once it is enough."""
        return self._next if self.why is None else None

    def follow(self, ended: Sequence[Trial]) -> str | None:
        """`ended` are all trials that did, in order; of a stopped one the metrics are what it would have come to."""
        while self.why is None and self._next <= len(ended):
            self._look(ended[: self._next])
            self._next += EVERY
        return self.why

    def _look(self, ended: Sequence[Trial]) -> None:
        if self._fidelity is not None:
            ended = [trial for trial in ended if self._fidelity.full(trial.fidelity)]
        possible = self._possible(ended)
        if possible is not None:
            gain, yardstick = possible
            self._small = self._small + 1 if gain < yardstick.size else 0
            if self._small >= IN_A_ROW and len(ended) >= self.least:
                said = f"{SAYS[0]}, {gain:.2g}, is below {yardstick}, for {IN_A_ROW} looks"
                self.why = f"{said}, the last at {len(ended)} trials; {GOES_ON}"
        else:
            self._small = 0
            if len(ended) >= self.least:
                self.why = self._in_vain(ended)

    # --- with a model ------------------------------------------------------------------------

    def _possible(self, ended: Sequence[Trial]) -> tuple[float, Yardstick] | None:
        """The most that could be gained, and what is too little; None where there is no model, or nothing is too little."""
        if self._process is None or len(ended) > MANY:
            return None
        problem = self._problem
        self._process.tell(usable(ended[self._told :], problem))
        self._told = len(ended)
        known = [trial for trial in usable(ended, problem) if math.isfinite(_loss(trial, problem))]
        good = np.array([problem.feasible(trial.metrics) for trial in known], dtype=bool)
        if not good.any():
            return None
        with one_thread():
            belief = self._process.belief("bounded")  # a few very bad trials change nothing
            if belief is None or not good[belief.chosen].any():
                return None
            yardstick = self._yardstick(ended, problem.objective, belief)
            if not yardstick.size > 0:
                return None
            reach = _reach(len(ended), len(self._process.codes.names))
            bad = [trial for trial in usable(ended, problem) if _is_bad(trial, problem)]
            low, high = _bounds(self._process, belief, known, good, bad, reach)
        if not problem.objective.noisy:  # then what was measured is what it is worth
            high = min(high, float(belief.warped.y[good].min()))
        return max(0.0, high - low), yardstick

    # --- without -----------------------------------------------------------------------------

    def _in_vain(self, ended: Sequence[Trial]) -> str | None:
        """Why to end if of the latest trials none was better than all before, by more than next to nothing."""
        problem, patience = self._problem, max(PATIENCE, 5 * dimensions(self._problem))
        if len(ended) <= patience:
            return None
        losses = np.array([_losses(trial, problem) for trial in ended])
        if not np.isfinite(losses).any():
            return f"{SAYS[1]}: none of {len(ended)} trials has a value; {GOES_ON}"
        yardsticks = [self._yardstick(ended, objective) for objective in problem.objectives]
        slack = np.array([VAIN * yardstick.size for yardstick in yardsticks])
        before, latest = losses[:-patience], losses[-patience:]
        if not (before <= (latest + slack)[:, None]).all(axis=2).any(axis=1).all():
            return None
        first = yardsticks[0]
        much = f" by more than {slack[0]:.2g}, a tenth of {first.name}," if first.size > 0 else ""
        return f"{SAYS[1]}{much} in the last {patience} of {len(ended)} trials; {GOES_ON}"

    # --- what is too little ------------------------------------------------------------------

    def _yardstick(
        self, ended: Sequence[Trial], objective: Objective, belief: Belief | None = None
    ) -> Yardstick:
        """The standard error of the best trial's cross-validation (Nadeau & Bengio 2003); without folds the noise of a
        measurement, as the model has it; without noise a hundredth of what the study gained.

        A few folds say little of their variance, and the best trial may be the best for having little of it by chance: the
        mean of the better half counts for four degrees of freedom, as the median does in `inseparable`.
        """
        problem, metric, sign = self._problem, objective.metric, objective.sign
        if self.until != "noise":
            return Yardstick(self.until, "the gain that was said to be too little")
        completed = [trial for trial in usable(ended, problem) if math.isfinite(_losses(trial, problem)[0])]
        if not completed:
            return Yardstick(0.0, "any gain")
        losses = np.array([sign * trial.metrics[metric] for trial in completed])
        best = completed[int(np.argmin(losses))]
        error = uncertainty(best, metric)
        if error is not None:
            folds = len(best.reported(metric))
            overlap = 1 / (folds - 1) if self._overlap is None else self._overlap
            better = [t for t, loss in zip(completed, losses, strict=True) if loss <= np.median(losses)]
            others = [e for t in better if (e := uncertainty(t, metric)) is not None]
            prior = min(USUAL, folds - 1)
            square = (prior * np.mean(np.square(others)) + (folds - 1) * error**2) / (prior + folds - 1)
            error = math.sqrt((1 + folds * overlap) * float(square))
            return Yardstick(error, "the noise of the cross-validation", " (one standard error)")
        if objective.noisy and belief is not None:
            z = float(belief.posterior.means.min())
            noise = _losses_at(belief, z + math.sqrt(belief.posterior.noise)) - _losses_at(belief, z)
            return Yardstick(noise, "the noise of a measurement", " (one standard deviation)")
        size = HUNDREDTH * float(np.median(losses) - losses.min())
        name = "a hundredth of what lies between the median trial and the best"
        return Yardstick(size, name)


def _bounds(
    process: Process,
    belief: Belief,
    known: Sequence[Trial],
    good: NDArray[np.bool_],
    bad: Sequence[Trial],
    reach: float,
) -> tuple[float, float]:
    """The lowest that the loss may be anywhere, and the most that it is at the best of the points tried."""
    codes, posterior = process.codes, belief.posterior
    mean, variance = posterior.predict_at(posterior.points)
    high = float((mean + reach * np.sqrt(variance))[good[belief.chosen]].min())
    rng = np.random.default_rng(len(known))
    order = np.argsort(np.where(good[belief.chosen], posterior.means, np.inf), kind="stable")
    rows = codes.encoded([known[i].params for i in belief.chosen[order]])
    rows = np.where(np.isnan(rows), codes.random(len(rows), rng), rows)
    success = None
    if bad:
        told = [known[i].params for i in belief.chosen if good[i]], [trial.params for trial in bad[-100:]]
        encoded = codes.encoded([*told[0], *told[1]])
        features = codes.features(encoded, ~np.isnan(encoded))
        ok = np.arange(len(features)) < len(told[0])
        success = Success(features, ok, posterior.scales.lengthscales, codes.axes.groups)
    score = acquire.Score(codes, Mixture([posterior]), acquire.lower_bound(reach), success)
    best, near = rows[: acquire.TOP], rows[: max(acquire.TOP, len(rows) // 4)]
    looked = acquire.candidates(codes, best, near, posterior.scales, CANDIDATES, rng)
    _, values = acquire.maximise(score, looked, best[:2], np.empty(0, dtype=np.uint64))
    return _losses_at(belief, -float(values[0])), _losses_at(belief, high)


def _losses_at(belief: Belief, z: float) -> float:
    """The loss at a place of the transform. Below all that is known it falls as it does from the median to the best, or from
    the worst: whichever is slower. A few very bad losses would make the one too steep, a very good one the other.
    """
    known, losses = belief.warped.z, belief.warped.y
    first = int(np.argmin(known))
    below = z - float(known[first])
    if below >= 0:
        return float(belief.warped.inverse(np.array([z]))[0])
    slope = float(np.std(losses) / np.std(known))
    width = float(np.median(known) - known[first])
    if width > 0:
        slope = min(slope, float(np.median(losses) - losses[first]) / width)
    return float(losses[first]) + slope * below


def _reach(trials: int, dimensions: int) -> float:
    """How many standard deviations the bounds are away from the mean: Srinivas et al., ICML 2010, theorem 1 for 90%, over 5 as
    in its experiments.
    """
    return math.sqrt(0.4 * math.log(dimensions * trials**2 * math.pi**2 / 0.6))


def _loss(trial: Trial, problem: Problem) -> float:
    """As the optimiser takes it."""
    if trial.state is State.FAILED:
        return math.nan
    return problem.objective.sign * trial.metrics.get(problem.objective.metric, math.nan)


def _losses(trial: Trial, problem: Problem) -> list[float]:
    """The losses of a completed and feasible trial in the space, infinite for any other."""
    losses = [o.sign * trial.metrics.get(o.metric, math.nan) for o in problem.objectives]
    fine = trial.state is State.COMPLETED and problem.feasible(trial.metrics)
    fine = fine and all(map(math.isfinite, losses)) and problem.space.allows(trial.params)
    return losses if fine else [math.inf] * len(losses)


def _is_bad(trial: Trial, problem: Problem) -> bool:
    """Whether it came to nothing; one that was stopped might have come to something."""
    stopped = trial.state is State.STOPPED and not trial.metrics
    return not stopped and merit(trial, problem)[0] > 0
