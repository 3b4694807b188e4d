"""PB2: a population whose members, where they go on from a better one, get the parameters that a bandit expects most of.

J. Parker-Holder, V. Nguyen, S. J. Roberts, "Provably efficient online hyperparameter optimization with population-based bandits",
NeurIPS 2020, arXiv:2002.02518; for unordered choices J. Parker-Holder, V. Nguyen, S. Desai, S. J. Roberts, "Tuning mixed input
hyperparameters on the fly for efficient population based AutoRL", NeurIPS 2021, arXiv:2106.15883.

What is modelled is what an interval of training gained. Gains shrink as trainings go on and depend on where they started, so they
are taken as normal scores among those of the same generation, and how good the start was is one more input of the process. The gradient
of its likelihood is derived here (`loss`); a test holds it against differences.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from luthier.optimizers.base import Optimizer
from luthier.optimizers.gp.codes import Codes, Floats, Ints
from luthier.optimizers.gp.model import cholesky, diagonal, matern, matern_slope, squared
from luthier.optimizers.gp.threads import one_thread
from luthier.optimizers.population import (
    BROKEN,
    Place,
    Population,
    Reached,
    check,
    first_members,
    goals,
    place_of,
    resuming,
    standing,
)
from luthier.space import Choice, Params, Scalar
from luthier.study import Problem, Proposal, Trial

WINDOW = 300
"""So many trials of the latest generations are modelled: what was is forgotten anyway."""
CANDIDATES, REACH = 600, 0.15
"""So many points are looked at, and so far away in each parameter from where a member goes on, on the unit interval, or the next value."""
C1, C2 = 1.0, 0.4
"""Of the upper confidence bound sqrt(C1 log(C2 n)). In the authors' code C1 is 0.2, for the whole range; near a good point more may be
tried (measured, docs/population.md).
"""
EXPLORING = 0.2
"""The share of choices that the bandit over them makes whatever was gained."""
RATE = 2.0
"""By how much its weights follow what was gained in a generation."""


@dataclass(frozen=True, slots=True)
class PB2:
    """Population based training with a Gaussian process and a bandit in the place of chance; one objective, and trainings that go
    on from checkpoints. The settings are those of `PBT`; it finds more with small populations.
    """

    population: int = 10
    interval: float | None = None
    quantile: float = 0.25
    burn_in: float = 0
    pauses: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check(self.population, self.interval, self.quantile, self.burn_in)

    def total(self, problem: Problem) -> int:
        """How many trials it takes to train the population: one for each member and interval."""
        return self.population * len(goals(resuming(problem, "PB2"), self.interval))

    def begin(self, problem: Problem, points: Sequence[Params]) -> list[Proposal]:
        """The first members, at these points."""
        return first_members(points, self.population, goals(resuming(problem, "PB2"), self.interval)[0])

    def start(self, problem: Problem) -> Optimizer:
        """An optimiser for a problem of one objective whose fidelity resumes; raises InvalidStudy for others."""
        levels = goals(resuming(problem, "PB2"), self.interval)
        explorer = _Bandit(problem, len(levels))
        return Population(problem, "pb2", self.population, levels, self.quantile, self.burn_in, explorer)


class Gain(NamedTuple):
    """What an interval brought: a share in (0, 1) of how good it was among those of its generation, and likewise the trial it
    started from.
    """

    params: Params
    generation: int
    start: float
    share: float


def gains(reached: Reached, problem: Problem) -> list[Gain]:
    """The intervals that ended, by generation. Those of the first started from nothing, where all are equal."""
    by_number = {trial.number: trial for trial in reached.values()}
    generations = sorted({place.generation for place in reached})
    starts: dict[int, float] = {}  # how good a trial is among those of its generation, by its number
    found = []
    for generation in generations:
        # One that began again without a checkpoint had further to go than the others.
        trials = [
            trial
            for place, trial in sorted(reached.items(), key=lambda item: item[0])
            if place.generation == generation and (generation == 0 or trial.parent is not None)
        ]
        values = np.array([_value(trial, problem) for trial in trials])
        before = np.array([_before(trial, by_number, problem) for trial in trials])
        with np.errstate(invalid="ignore"):
            gained = before - values
        shares = _shares(np.where(np.isnan(gained), -math.inf, gained))
        for trial, share in zip(trials, shares.tolist(), strict=True):
            start = starts.get(-1 if trial.parent is None else trial.parent, 0.5)
            found.append(Gain(trial.params, generation, start, share))
        starts |= dict(zip((t.number for t in trials), _shares(-values).tolist(), strict=True))
    return found


def _value(trial: Trial, problem: Problem) -> float:
    """What is to be minimised; infinite where there is nothing."""
    group, value = standing(trial, problem)
    return math.inf if group == BROKEN else value


def _before(trial: Trial, by_number: dict[int, Trial], problem: Problem) -> float:
    if trial.parent is None:
        return 0.0
    parent = by_number.get(trial.parent)
    return math.nan if parent is None else _value(parent, problem)


def _shares(values: Floats) -> Floats:
    """The places of numbers among each other, in (0, 1); equal ones share theirs."""
    below = (values[:, None] > values[None, :]).sum(axis=1)
    equal = (values[:, None] == values[None, :]).sum(axis=1)
    return np.asarray((below + 0.5 * equal) / len(values))


class _Bandit:
    def __init__(self, problem: Problem, generations: int) -> None:
        self._problem = problem
        self._codes = Codes(problem.space, levels=True)
        self._forgetting = 1.0 / generations
        gaps = [
            0.0 if centres is None else max(np.diff(centres), default=0.0) for centres in self._codes.levels
        ]
        self._reach = np.maximum(REACH, np.array(gaps))

    def explore(
        self,
        donor: Trial,
        place: Place,
        reached: Reached,
        pending: Sequence[Trial],
        rng: np.random.Generator,
    ) -> dict[str, Scalar]:
        codes, space = self._codes, self._problem.space
        if not codes.names:
            return dict(donor.params)
        known = gains(reached, self._problem)
        latest = sorted(known, key=lambda gain: gain.generation)[-WINDOW:]
        values = {
            name: self._chosen(name, known, rng)
            for name in codes.names
            if codes.categories[codes.names.index(name)]
        }
        peers = [t for at, t in reached.items() if at.generation == place.generation - 1]
        here = np.array([_value(trial, self._problem) for trial in [donor, *peers]])
        start = float(_shares(-here)[0])
        with one_thread():
            process = Process.fitted(codes, latest)
            running = [(trial.params, at) for trial in pending if (at := place_of(trial)) is not None]
            process.expect(running, start)
            rows = self._best(process, donor.params, values, place.generation, start, rng)
        return space.sample(rng, keep={**codes.decode(rows), **values})

    def _best(
        self,
        process: Process,
        params: Params,
        values: dict[str, Scalar],
        generation: int,
        start: float,
        rng: np.random.Generator,
    ) -> Floats:
        """The row near a point that may gain most, with these unordered choices. A training that was led there is made for settings not
        far from those, and the best ones move slowly.
        """
        codes = self._codes
        here = codes.encode(codes.space.sample(rng, keep={**params, **values}))
        here = np.where(np.isnan(here), 0.5, here)
        away = self._reach * rng.uniform(-1.0, 1.0, (CANDIDATES, len(here)))
        rows = self._settled(here + away, values)
        return np.asarray(rows[int(np.argmax(process.bound(rows, generation, start)))])

    def _settled(self, rows: Floats, values: dict[str, Scalar]) -> Floats:
        """The rows as points of the space, with these unordered choices."""
        codes = self._codes
        rows[:, codes.numeric] = np.clip(rows[:, codes.numeric], 0.0, 1.0)
        for i in codes.unordered:
            parameter = codes.space[codes.names[i]]
            assert isinstance(parameter, Choice)
            rows[:, i] = parameter.index(values[codes.names[i]])
        return codes.snap(rows)

    def _chosen(self, name: str, known: Sequence[Gain], rng: np.random.Generator) -> Scalar:
        """A value of an unordered choice, by what intervals with each gained."""
        parameter = self._problem.space[name]
        assert isinstance(parameter, Choice)
        chances = chances_of(parameter, name, known, self._forgetting)
        return parameter.values[int(rng.choice(parameter.size, p=chances))]


def chances_of(parameter: Choice, name: str, known: Sequence[Gain], forgetting: float) -> Floats:
    """How likely each value of an unordered choice is to be taken next: the more, the more the intervals with it gained, lately.

    Exponential weights that forget, after TV.EXP3.M (algorithm 2 of the second paper). What was gained is not divided by the
    chance it was chosen with: most members go on with what they had, and did not choose.
    """
    prior = np.array(parameter.weights or [1.0] * parameter.size)
    prior /= prior.sum()
    weights = prior
    for generation in sorted({gain.generation for gain in known}):
        gained, count = np.zeros(parameter.size), np.zeros(parameter.size)
        for gain in known:
            if gain.generation == generation and name in gain.params:
                i = parameter.index(gain.params[name])
                gained[i] += gain.share - 0.5
                count[i] += 1.0
        weights = weights * np.exp(RATE * gained / (count + 1.0))
        weights = (1.0 - forgetting) * weights / weights.sum() + forgetting * prior
    return np.asarray((1.0 - EXPLORING) * weights + EXPLORING * prior)


# --- the process ---------------------------------------------------------------------------------


class Seen(NamedTuple):
    """Intervals as a process sees them: features, which parameter each column belongs to, generations, normal scores of gains."""

    features: Floats
    groups: Ints
    times: Floats
    z: Floats


def centre(count: int) -> tuple[Floats, Floats]:
    """What is believed of theta = (log lengthscales, log signal variance, log noise variance, logit of epsilon) before anything was
    seen: centre and spread of independent normals. The last of the lengthscales is that of the start.
    """
    middle = [math.log(0.5) + 0.5 * math.log(max(count - 1, 1))] * (count - 1) + [math.log(1.0)]
    return np.array([*middle, 0.0, math.log(0.3), math.log(0.1 / 0.9)]), np.array(
        [1.0] * count + [0.7, 1.0, 1.5]
    )


def covariance(theta: Floats, one: Floats, other: Floats, groups: Ints, ages: Floats) -> Floats:
    """The kernel: signal * Matern-5/2 * (1 - epsilon)^(|t - t'| / 2) (section 4.2), where `ages` are |t - t'|."""
    r2 = squared(_scaled(theta, one, groups), _scaled(theta, other, groups))
    forgotten = 0.5 * ages * math.log1p(-_sigmoid(float(theta[-1])))
    return np.asarray(math.exp(theta[-3]) * matern(r2) * np.exp(forgotten))


def loss(theta: Floats, seen: Seen) -> tuple[float, Floats]:
    """The negative log posterior of theta, up to a constant, and its gradient (Rasmussen and Williams, eqs. 2.30 and 5.9)."""
    middle, spread = centre(len(theta) - 3)
    points = _scaled(theta, seen.features, seen.groups)
    value, slope = matern_slope(squared(points, points))
    ages = np.abs(seen.times[:, None] - seen.times[None, :])
    epsilon = _sigmoid(float(theta[-1]))
    factor = math.exp(theta[-3]) * np.exp(0.5 * ages * math.log1p(-epsilon))
    signal, noise = factor * value, math.exp(theta[-2])
    whole = signal.copy()
    diagonal(whole)[:] += noise
    try:
        lower = cholesky(whole)
    except np.linalg.LinAlgError:
        return 1e10, np.zeros_like(theta)
    inverse = np.linalg.inv(lower)
    inverse = inverse.T @ inverse
    alpha = inverse @ seen.z
    away = (theta - middle) / spread
    reached = 0.5 * seen.z @ alpha + np.log(diagonal(lower)).sum() + 0.5 * away @ away
    # dL/dtheta = -1/2 tr(A dK/dtheta) with A = alpha alpha^T - K^-1.
    a = np.outer(alpha, alpha) - inverse
    gradient = away / spread
    # By a log lengthscale the squared distance changes by -2 (difference / lengthscale)^2; summed over pairs without making them all.
    m = a * factor * slope
    by_columns = 2.0 * ((m.sum(axis=1) @ (points * points)) - (points * (m @ points)).sum(axis=0))
    gradient[:-3] += np.bincount(seen.groups, weights=by_columns, minlength=len(theta) - 3)
    gradient[-3] -= 0.5 * float((a * signal).sum())
    gradient[-2] -= 0.5 * noise * float(np.trace(a))
    # log (1 - sigmoid(w)) changes by -sigmoid(w).
    gradient[-1] += 0.25 * epsilon * float((a * signal * ages).sum())
    return float(reached), gradient


def _scaled(theta: Floats, features: Floats, groups: Ints) -> Floats:
    """Features in units of their lengthscales."""
    return np.asarray(features * np.exp(-theta[:-3])[groups])


def _sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x))


class Process:
    """A Gaussian process over parameters, the start and time."""

    def __init__(self, codes: Codes, seen: Seen, theta: Floats) -> None:
        self._codes = codes
        self._theta = theta
        self._features, self._times, self._groups = seen.features, seen.times, seen.groups
        self._seen = len(seen.z)
        self._alpha = np.zeros(0)
        self._factor = np.zeros((0, 0))
        if len(seen.z):
            self._factor = self._cholesky()
            self._alpha = np.linalg.solve(self._factor.T, np.linalg.solve(self._factor, seen.z))

    @classmethod
    def fitted(cls, codes: Codes, known: Sequence[Gain]) -> Process:
        """The most probable one, once some intervals ended."""
        from scipy.optimize import minimize
        from scipy.special import ndtri

        rows = codes.encoded([gain.params for gain in known])
        rows = np.where(np.isnan(rows), 0.5, rows)
        features = codes.features(rows, levels=np.array([gain.start for gain in known]))
        times = np.array([float(gain.generation) for gain in known])
        z = np.asarray(ndtri(np.array([gain.share for gain in known])))
        seen = Seen(features, codes.axes.groups, times, z)
        theta = centre(len(codes.names) + 1)[0]
        if len(known) > 2:
            box: Any = [(-4.0, 4.0)] * (len(theta) - 3) + [(-4.0, 2.0), (-6.0, 1.0), (-7.0, 3.0)]
            options: Any = {"maxiter": 40}
            result = minimize(
                loss, theta, args=(seen,), jac=True, method="L-BFGS-B", bounds=box, options=options
            )
            theta = np.asarray(result.x)
        return cls(codes, seen, theta)

    def expect(self, pending: Sequence[tuple[Params, Place]], start: float) -> None:
        """Take into account that these intervals run: what is uncertain there will not be. The mean stays."""
        if not pending:
            return
        rows = self._codes.encoded([params for params, _ in pending])
        rows = np.where(np.isnan(rows), 0.5, rows)
        levels = np.full(len(rows), start)
        self._features = np.vstack([self._features, self._codes.features(rows, levels=levels)])
        self._times = np.append(self._times, [float(place.generation) for _, place in pending])
        self._alpha = np.append(self._alpha, np.zeros(len(pending)))
        self._factor = self._cholesky()

    def bound(self, rows: Floats, generation: int, start: float) -> Floats:
        """The upper confidence bound of the gain at each row, in that generation and from that start."""
        features = self._codes.features(rows, levels=np.full(len(rows), start))
        signal = math.exp(self._theta[-3])
        if not len(self._times):
            return np.full(len(rows), math.sqrt(signal))
        ages = np.broadcast_to(np.abs(self._times - generation)[None, :], (len(rows), len(self._times)))
        between = covariance(self._theta, features, self._features, self._groups, ages)
        white = np.linalg.solve(self._factor, between.T)
        sd = np.sqrt(np.maximum(signal - (white * white).sum(axis=0), 1e-12))
        kappa = math.sqrt(C1 * max(math.log(C2 * max(self._seen, 1)), 0.0))
        return np.asarray(between @ self._alpha + kappa * sd)

    def _cholesky(self) -> Floats:
        ages = np.abs(self._times[:, None] - self._times[None, :])
        whole = covariance(self._theta, self._features, self._features, self._groups, ages)
        diagonal(whole)[:] += math.exp(self._theta[-2])
        return cholesky(whole)
