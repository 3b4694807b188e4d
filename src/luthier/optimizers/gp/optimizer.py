"""GP: Bayesian optimisation with a Gaussian process, for trials that cost more than a few milliseconds of thought.

What there is to know is in the modules beside this one: `codes` makes numbers of points, `transform` of losses, `model` is
the process and `acquire` the search for the next point. Here they are put together, and kept from costing more
the longer a study gets.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from luthier.optimizers.base import Optimizer
from luthier.optimizers.gp import acquire, transform
from luthier.optimizers.gp.codes import Bools, Codes, Floats, Ints
from luthier.optimizers.gp.levels import Levels, reached
from luthier.optimizers.gp.model import Data, Mixture, Posterior, Prior, Success, fit, sampled
from luthier.optimizers.gp.scales import Scales
from luthier.optimizers.gp.threads import one_thread
from luthier.optimizers.quasirandom import Sequence01
from luthier.optimizers.wrap import at_least, one_objective, propose, unique
from luthier.space import Params, Scalar
from luthier.study import Fidelity, Problem, Proposal, State, Trial

EXACT = 300
"""Up to so many trials the model sees all of them, then a part."""
FITTED = 200
"""Hyperparameters are fitted to at most so many trials."""
OFTEN = 30
"""Up to so many trials there is a fit for each, then for every twentieth part more."""
FRESH = 64
"""At this and at every doubling the fits begin anew, so that a study can be taken up again without repeating them all."""
DRAWS, APART = 3, 5
"""So many other probable hyperparameters are kept beside the most probable ones, drawn so many steps apart."""
FEW = 150
"""Up to so many trials: then one explanation stands out, and each costs as much."""
OPTIMISTIC, REACH = 50, 3.0
"""Every fourth of the first so many trials goes where the loss may be lowest by so many standard deviations."""
SLICES = 21
"""A normal law is followed through a transform at the middle of so many slices of equal probability."""
FAILURES = 100
"""So many of the latest failures are remembered."""
TRANSFORMS = {"plain": transform.plain, "bounded": transform.bounded}
"""Each has hyperparameters of its own."""
TRENDED = "plain"
"""Through this one losses may follow a trend: from few points it leads further. The other stays where points are."""


@dataclass(frozen=True, slots=True)
class GP:
    """Bayesian optimisation with a Gaussian process: the fewest trainings, in spaces of every kind. One objective.

    `initial` is how many points are spread evenly before the model is asked; by default 2 and half the number
    of parameters, within 4 and 12.
    """

    initial: int | None = None

    def __post_init__(self) -> None:
        if self.initial is not None:
            at_least(1, initial=self.initial)

    def start(self, problem: Problem) -> Optimizer:
        """An optimiser for a problem of one objective; raises InvalidStudy for more."""
        one_objective(problem, "gp")
        return unique(Process(problem, self), problem)


@dataclass(frozen=True, slots=True)
class Belief:
    """A model of what was told, through one of the transforms."""

    posteriors: tuple[Posterior, ...]
    """One for the most probable hyperparameters, others for other probable ones."""
    warped: transform.Warped
    chosen: Ints
    """Which of the usable trials it has seen."""
    full: Floats | None
    """Their features, had they been trained in full; None where all were."""

    @property
    def posterior(self) -> Posterior:
        """The most probable one."""
        return self.posteriors[0]

    def means(self, posterior: Posterior) -> Floats:
        """What is believed of the trials it has seen, free of noise and in full."""
        return posterior.means if self.full is None else posterior.predict(self.full)[0]


class Process:
    """The optimiser itself: it may propose a point again where all the points it can think of were tried.

    Where the problem has a fidelity, `pausing` says that trials pause and go on, rather than being stopped.
    """

    def __init__(self, problem: Problem, settings: GP, *, pausing: bool = False) -> None:
        self.problem = problem
        fidelity = problem.fidelity
        self.codes = Codes(problem.space, levels=fidelity is not None)
        self._levels = None if fidelity is None else Levels(fidelity)
        parameters = len(self.codes.names)
        self._initial = settings.initial or min(max(2 + math.ceil(parameters / 2), 4), 12)
        self._sequence = Sequence01(parameters)
        self._scramble: int | None = None
        self._pausing = pausing
        self._told = 0
        self._full = 0
        self._usable = _Table(parameters, len(self.codes.axes.groups))
        self._failed = _Table(parameters, len(self.codes.axes.groups))
        self._seen: list[int] = []
        self._keys: acquire.Keys | None = None
        self._beliefs: dict[str, Belief | None] = {}
        self._thetas: dict[tuple[str, int], Floats] = {}
        self._draws: dict[tuple[str, int], list[Floats]] = {}

    # --- learning ----------------------------------------------------------------------------

    def tell(self, finished: Sequence[Trial]) -> None:
        if not finished:
            return
        self._told += _begun(finished)
        if self._scramble is None:
            self._scramble = _noted(finished)
        codes = self.codes
        rows = codes.encoded([trial.params for trial in finished])
        active = ~np.isnan(rows)
        features = codes.features(rows, active)
        keys = codes.keys(rows, active).tolist()
        if not self.problem.objective.noisy:  # there a point may be tried again
            self._seen += keys
        for i, trial in enumerate(finished):
            loss = self._loss(trial)
            if self._levels is not None:
                values = self._values(trial, self._levels.fidelity)
                if values:
                    level = max(values)
                    loss = values[level]
                    self._levels.add(keys[i], values)
                    features[i, -1] = self._levels.fidelity.share(self._levels.fidelity.levels[level])
                elif trial.state is State.COMPLETED:
                    loss = math.nan
            if trial.state is State.STOPPED and math.isnan(loss):
                continue
            good = math.isfinite(loss) and (not trial.metrics or self.problem.feasible(trial.metrics))
            if math.isfinite(loss):
                self._full += self._levels is not None and features[i, -1] == 1.0
                self._usable.add(rows[i], features[i], loss, good, trial.number)
            if not good:
                self._failed.add(rows[i], features[i], loss, good, trial.number)
        self._beliefs.clear()
        self._keys = None

    def _loss(self, trial: Trial) -> float:
        if trial.state is State.FAILED:
            return math.nan
        objective = self.problem.objective
        return objective.sign * trial.metrics.get(objective.metric, math.nan)

    def _values(self, trial: Trial, fidelity: Fidelity) -> dict[int, float]:
        """The losses of a trial at the levels that it got to."""
        objective = self.problem.objective
        found = reached(trial, fidelity, objective.metric)
        return {level: objective.sign * value for level, value in found.items() if math.isfinite(value)}

    # --- proposing ---------------------------------------------------------------------------

    def ask(self, pending: Sequence[Trial], rng: np.random.Generator) -> Proposal:
        place, known = self._told + _begun(pending), len(self._usable)
        if not self.codes.names:
            return propose(self.problem, self.problem.space.sample(rng), by="gp", why="the only point")
        if known + len(pending) < self._initial or known < min(3, self._initial):
            return self._spread(place, pending, rng)
        with one_thread():
            belief = self.belief(("plain", "bounded")[place % 2])
            if belief is not None:
                return self._modelled(belief, pending, place, rng)
        why = "all values are equal so far"
        return propose(self.problem, self.problem.space.sample(rng), by="random", why=why)

    def _spread(self, place: int, pending: Sequence[Trial], rng: np.random.Generator) -> Proposal:
        """A point of Sobol's sequence, beginning in the middle; every value of a Choice has its turn.

        Numbers gather towards the ends, where they say most about a trend: the arcsine law is the limit of D-optimal
        designs for polynomials (P. G. Guest, Annals of Mathematical Statistics 29, 1958).
        """
        codes = self.codes
        scramble = self._scramble if self._scramble is not None else _noted(pending)
        if scramble is None:
            scramble = int(rng.integers(1, 2**31))
        units = np.sin(0.5 * math.pi * self._sequence.point(place, scramble)) ** 2
        if place == 0:
            units = np.full(len(units), 0.5)
        row = codes.placed(units[None, :])[0]
        for i in codes.unordered:
            turns = np.random.default_rng([scramble, int(i)]).permutation(codes.categories[i])
            row[i] = turns[place % len(turns)]
        why = f"the first {self._initial} points"
        return propose(self.problem, codes.decode(row), by="gp", why=why, scramble=scramble)

    def _modelled(
        self, belief: Belief, pending: Sequence[Trial], place: int, rng: np.random.Generator
    ) -> Proposal:
        codes, posterior = self.codes, belief.posterior
        waiting = codes.encoded([trial.params for trial in pending])
        there = ~np.isnan(waiting)
        told = self._told_keys()
        seen = np.sort(np.concatenate([told, codes.keys(waiting, there)])) if len(waiting) else told
        good = self._usable.good[belief.chosen]
        success = self._success(belief) if len(self._failed) else None
        mixture, rule = self._aim(belief, codes.features(waiting, there), good, place)
        count = acquire.CANDIDATES[self._told > 150]
        order = np.argsort(np.where(good, belief.means(posterior), np.inf), kind="stable")
        rows = self._filled(belief.chosen[order[: max(acquire.TOP, len(order) // 4)]], rng)
        best = rows[: acquire.TOP]
        score = acquire.Score(codes, mixture, rule, success)
        looked = acquire.candidates(codes, best, rows, posterior.scales, count, rng)
        starts = codes.snap(
            np.where(
                codes.categories > 0,
                best[[0, 0]],
                acquire.reflected(best[[0, 0]] + 0.1 * rng.standard_normal((2, len(codes.names)))),
            )
        )
        found, _ = acquire.maximise(score, looked, starts, seen)
        if not len(found):
            why = "all points it could think of were tried"
            return propose(self.problem, self.problem.space.sample(rng), by="random", why=why)
        return self._explained(found[0], belief)

    def _filled(self, chosen: Ints, rng: np.random.Generator) -> Floats:
        """Rows of trials, with random values for what does not exist in them, so that it is at hand once it does."""
        rows = self._usable.rows[chosen]
        absent = np.isnan(rows)
        return np.where(absent, self.codes.random(len(rows), rng), rows) if absent.any() else rows

    def _aim(self, belief: Belief, waiting: Floats, good: Bools, place: int) -> tuple[Mixture, acquire.Rule]:
        """What is believed once the trials at `waiting` end as expected, and what makes a point worth trying then."""
        posterior = belief.posterior
        if not good.any():
            return Mixture([posterior]), _indifferent
        if len(waiting) >= 3 and place % 4 == 3:
            # arXiv:2408.11527: as good as the best optimistic guess at a known point.
            conditioned = posterior.given(waiting)
            known = posterior.points if belief.full is None else posterior.scales.embed(belief.full)
            mean, variance = conditioned.predict_at(known)
            first = np.argmin(np.where(good, mean - 1.8 * np.sqrt(variance), np.inf))
            return Mixture([conditioned]), acquire.pure_exploration(float(mean[first]))
        early = place < OPTIMISTIC or (self._levels is not None and self._full < OPTIMISTIC)
        if place % 4 == 0 and early:
            return Mixture([posterior.given(waiting)]), acquire.lower_bound(REACH)
        best = np.array([_least(belief, posterior, good, waiting) for posterior in belief.posteriors])
        return Mixture([p.given(waiting) for p in belief.posteriors]), acquire.expected_improvement(best)

    def _success(self, belief: Belief) -> Success:
        bad = self._failed.features[-FAILURES:]
        fine = belief.chosen[self._usable.good[belief.chosen]]
        features = np.vstack([self._usable.features[fine], bad])
        ok = np.arange(len(features)) < len(fine)
        return Success(features, ok, belief.posterior.scales.lengthscales, self.codes.axes.groups)

    def _explained(self, row: Floats, belief: Belief) -> Proposal:
        features = self.codes.features(row[None, :])
        posterior = belief.posterior
        point = posterior.scales.embed(features)
        mean, variance = posterior.predict_at(point)
        away = (point - posterior.points[: posterior.seen])[:, : posterior.scales.width]
        distance = (away * away).sum(axis=1)
        nearest = self._usable.numbers[belief.chosen[int(np.argmin(distance))]]
        near = variance[0] < 0.25 * posterior.signal
        loss, sd = _losses(belief, mean, variance)
        tag: dict[str, Scalar] = {
            "why": f"exploit near #{nearest}" if near else "explore",
            "mean": _six(self.problem.objective.sign * float(loss[0])),
            "sd": _six(float(sd[0])),
        }
        return propose(self.problem, self.codes.decode(row), by="gp", **tag)

    def predict(self, rows: Sequence[Params]) -> tuple[Floats, Floats]:
        """Mean and standard deviation of what a trial at each point would measure; shapes (rows,). NaN before the model is
        there.

        The laws that the two transforms lead to are pooled: one is the more exact, the other the more honest where
        losses are far from normal.
        """
        from scipy.special import ndtri

        points = self.codes.encoded(rows)
        features = self.codes.features(points, ~np.isnan(points))
        slices = ndtri((np.arange(SLICES) + 0.5) / SLICES)[:, None]
        pooled = []
        with one_thread():
            for slot in TRANSFORMS:
                belief = self.belief(slot) if len(self._usable) >= 2 else None
                if belief is None:
                    return np.full(len(rows), np.nan), np.full(len(rows), np.nan)
                for posterior in belief.posteriors:
                    mean, variance = posterior.predict(features)
                    z = mean + np.sqrt(variance + posterior.noise) * slices
                    pooled.append(belief.warped.inverse(z))
        losses = np.vstack(pooled)
        return self.problem.objective.sign * losses.mean(axis=0), losses.std(axis=0)

    def in_full(self, points: Sequence[Params]) -> tuple[Floats, Floats] | None:
        """Mean and standard deviation of the loss of trainings in full, free of noise, on the scale of the model; None before it is
        there.
        """
        belief = self.belief("bounded") if len(self._usable) >= self._initial else None
        if belief is None:
            return None
        rows = self.codes.encoded(points)
        mean, variance = belief.posterior.predict(self.codes.features(rows, ~np.isnan(rows)))
        return mean, np.sqrt(variance)

    # --- the model ---------------------------------------------------------------------------

    def belief(self, slot: str) -> Belief | None:
        """The model through the transform `slot`; None where all losses are equal."""
        if slot not in self._beliefs:
            self._beliefs[slot] = self._believed(slot)
        return self._beliefs[slot]

    def _believed(self, slot: str) -> Belief | None:
        usable = self._usable
        rows, losses = self._known(slot, len(usable))
        warped = TRANSFORMS[slot](losses)
        if warped is None:
            return None
        due = self._due(slot, len(usable))
        thetas = [self._theta(slot, due), *self._others(slot, due[-1])]
        chosen = self._chosen(thetas[0], usable.features[rows], losses)
        features, z = usable.features[rows[chosen]], warped.z[chosen]
        posteriors = tuple(Posterior(theta, features, self.codes.axes, z) for theta in thetas)
        full = None
        if self._levels is not None:
            full = features.copy()
            full[:, -1] = 1.0
        return Belief(posteriors, warped, rows[chosen], full)

    def _known(self, slot: str, count: int) -> tuple[Ints, Floats]:
        """Which of the first so many usable trials there is something to learn from, and their losses: where trials go on from others,
        only the last, and what it would have come to in full. Where trials are stopped rather than paused, one of the two models goes by what was
        trained in full alone, once there is enough.
        """
        if self._levels is None:
            return np.arange(count), self._usable.losses[:count]
        rows, losses = self._levels.current(count)
        if slot == TRENDED and not self._pausing:
            full = self._usable.features[rows, -1] == 1.0
            if np.count_nonzero(full) >= 2 * self._initial:
                return rows[full], losses[full]
        return rows, losses

    def _chosen(self, theta: Floats, features: Floats, losses: Floats) -> Ints:
        """Which of these trials the model sees: all; later those around the best one, and in turn some from everywhere."""
        count = len(losses)
        if count <= EXACT:
            return np.arange(count)
        if (self._told // 2) % 2:
            return _part(losses, EXACT // 3, EXACT // 3, EXACT - 2 * (EXACT // 3))
        points = Scales(theta, self.codes.axes).embed(features)[:, : features.shape[1]]
        away = points - points[int(np.argmin(losses))]
        return np.sort(np.argpartition((away * away).sum(axis=1), EXACT)[:EXACT])

    def _due(self, slot: str, count: int) -> list[int]:
        """The numbers of usable trials at which there is a fit, up to `count`; the transforms take turns."""
        first = self._initial + (self._initial + (slot == "bounded")) % 2
        return _schedule(first, count) or [count]

    def _theta(self, slot: str, due: list[int]) -> Floats:
        """The most probable hyperparameters as of the last fit.

        Each fit begins where the one before it ended, so it depends on what was told alone, and not on which of them
        were made in this process.
        """
        fresh = max((i for i in range(1, len(due)) if _doubled(due[i - 1], due[i], FRESH)), default=0)
        last = max((i for i in range(fresh, len(due)) if (slot, due[i]) in self._thetas), default=fresh - 1)
        for i in range(last + 1, len(due)):
            before = self._thetas[slot, due[i - 1]] if i > fresh else None
            starts = [] if before is None else [(before, 12)]
            data = self._data(slot, due[i])
            if before is None or _doubled(due[i - 1], due[i], 16):
                starts += [(start, 24) for start in data.prior.starts()]
            self._thetas[slot, due[i]] = fit(data, starts)
        return self._thetas[slot, due[-1]]

    def _others(self, slot: str, count: int) -> list[Floats]:
        """Other probable hyperparameters as of the fit at `count`: few trials leave many explanations."""
        if count > FEW:
            return []
        if (slot, count) not in self._draws:
            rng = np.random.default_rng([count, len(slot)])
            theta, data = self._thetas[slot, count], self._data(slot, count)
            self._draws[slot, count] = sampled(theta, data, DRAWS, APART, rng)
        return self._draws[slot, count]

    def _data(self, slot: str, count: int) -> Data:
        """What hyperparameters are fitted to as of `count` usable trials: all of them, later a part."""
        codes, usable = self.codes, self._usable
        rows, losses = self._known(slot, count)
        alive = float(usable.alive[rows].sum(axis=1).mean())
        deep = self._levels is not None
        prior = Prior.of((codes.categories > 0).tolist(), alive, trend=slot == TRENDED, levels=deep)
        warped = TRANSFORMS[slot](losses)
        z = np.zeros(len(losses)) if warped is None else warped.z
        share = (2 * FITTED) // 5
        part = np.arange(len(z)) if len(z) <= FITTED else _part(z, share, 0, FITTED - share)
        return Data(usable.features[rows[part]], codes.axes, z[part], prior)

    def _told_keys(self) -> acquire.Keys:
        if self._keys is None:
            self._keys = np.sort(np.array(self._seen, dtype=np.uint64))
        return self._keys


class _Table:
    """Trials as arrays that grow: their rows, features and losses, whether all was well, and their numbers."""

    def __init__(self, parameters: int, features: int) -> None:
        self._count = 0
        self._rows = np.empty((64, parameters))
        self._features = np.empty((64, features))
        self._losses = np.empty(64)
        self._good = np.empty(64, dtype=bool)
        self._numbers = np.empty(64, dtype=np.int64)

    def add(self, row: Floats, features: Floats, loss: float, good: bool, number: int) -> None:
        if self._count == len(self._losses):
            for name in ("_rows", "_features", "_losses", "_good", "_numbers"):
                old = getattr(self, name)
                setattr(self, name, np.concatenate([old, np.empty_like(old)]))
        i = self._count
        self._rows[i], self._features[i], self._losses[i] = row, features, loss
        self._good[i], self._numbers[i] = good, number
        self._count += 1

    def __len__(self) -> int:
        return self._count

    @property
    def rows(self) -> Floats:
        return self._rows[: self._count]

    @property
    def alive(self) -> Bools:
        return np.asarray(~np.isnan(self.rows))

    @property
    def features(self) -> Floats:
        return self._features[: self._count]

    @property
    def losses(self) -> Floats:
        return self._losses[: self._count]

    @property
    def good(self) -> Bools:
        return self._good[: self._count]

    @property
    def numbers(self) -> Ints:
        return self._numbers[: self._count]


def _schedule(first: int, count: int) -> list[int]:
    """The numbers of trials at which a fit is due, up to `count`: every second (the other transform has its turn
    between them), later when there are a twentieth more.
    """
    due = []
    while first <= count:
        due.append(first)
        step = 2 if first + 2 <= OFTEN else max(2, math.ceil(0.05 * first))
        first += step + step % 2
    return due


def _doubled(before: int, now: int, least: int) -> bool:
    """Whether a power of two of at least `least` lies above `before`, and not above `now`."""
    power = 1 << (now.bit_length() - 1)
    return before < power and power >= least


def _part(losses: Floats, best: int, recent: int, spread: int) -> Ints:
    """The numbers of so many of the best and of the latest values, and of others in even steps through all of them."""
    count = len(losses)
    taken = np.zeros(count, dtype=bool)
    taken[np.argpartition(losses, best)[:best]] = True
    taken[count - recent :] = True
    others = np.flatnonzero(~taken)
    taken[others[np.linspace(0, len(others) - 1, min(spread, len(others))).astype(np.int64)]] = True
    return np.flatnonzero(taken)


def _losses(belief: Belief, mean: Floats, variance: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation in losses, noise included."""
    sd = np.sqrt(variance + belief.posterior.noise)
    back = belief.warped.inverse
    return back(mean), 0.5 * (back(mean + sd) - back(mean - sd))


def _least(belief: Belief, posterior: Posterior, good: Bools, waiting: Floats) -> float:
    """The lowest mean at a point that is known or will be: what there is to improve upon."""
    expected = posterior.predict(waiting)[0].min() if len(waiting) else np.inf
    return float(min(belief.means(posterior)[good].min(), expected))


def _indifferent(mean: Floats, variance: Floats) -> tuple[Floats, Floats, Floats]:
    """Where nothing is feasible yet, only the chance of that counts."""
    return np.zeros_like(mean), np.zeros_like(mean), np.zeros_like(mean)


def _begun(trials: Sequence[Trial]) -> int:
    """How many of the trials are no continuation of another one."""
    return sum(trial.parent is None for trial in trials)


def _noted(trials: Sequence[Trial]) -> int | None:
    """The scramble in the tag of the first trial that has one."""
    notes = ((trial.number, note) for trial in trials if isinstance(note := trial.tag.get("scramble"), int))
    return min(notes, default=(0, None))[1]


def _six(x: float) -> float:
    return float(f"{x:.6g}")
