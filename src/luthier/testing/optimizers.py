"""OptimizerContract: what every optimiser is held to, ours and yours.

    from luthier.testing import OptimizerContract

    class TestMine(OptimizerContract):
        algorithms = [Mine(), Mine(greedy=True)]

The heart of it is that an optimiser's state is a function of the finished trials it was told, in order, and that `ask` only
reads: `luthier.optimizers.base` says why.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from statistics import median
from typing import Any, ClassVar

import numpy as np

from luthier import plugins
from luthier.optimizers import Algorithm, Optimizer, Random
from luthier.space import Params, Points, Space, size
from luthier.study import Fidelity, Named, Problem, Proposal, State, Trial
from luthier.testing.problems import EASY, SPACES, play, problem, some_loss

End = Callable[[Trial], Trial]


class OptimizerContract:
    """Inherit from it in a class whose name begins with `Test`, and list the `algorithms` to be tested.

    `better_than_random` says that they learn: within 100 trials they beat random search on three easy problems.
    `seeded` says that another seed gives other trials. `replicates` says that with a noisy objective they go on when
    every point of a finite space was tried. `spaces` may be narrowed for an algorithm that works on some
    kinds of parameter only. `fidelity` is that of every problem, for an algorithm that decides how far trials are trained.
    """

    algorithms: ClassVar[Sequence[Algorithm]] = ()
    spaces: ClassVar[dict[str, Space]] = SPACES
    better_than_random: ClassVar[bool] = False
    seeded: ClassVar[bool] = True
    replicates: ClassVar[bool] = False
    fidelity: ClassVar[Fidelity | None] = None

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Run each test with each algorithm, and where it asks for one, each space."""
        names = metafunc.fixturenames
        problems = {
            name: replace(problem(space), fidelity=self.fidelity) for name, space in self.spaces.items()
        }
        if "algorithm" in names:
            metafunc.parametrize("algorithm", self.algorithms, ids=repr)
        if "problem" in names:
            metafunc.parametrize("problem", problems.values(), ids=list(problems))
        if "small" in names:
            few = {name: one for name, one in problems.items() if _few(one.space)}
            metafunc.parametrize("small", few.values(), ids=list(few))
        if "easy" in names:
            metafunc.parametrize("easy", EASY)

    def test_every_proposal_is_a_point_of_the_space(self, algorithm: Algorithm, problem: Problem) -> None:
        for trial in play(algorithm.start(problem), problem, some_loss, 40, workers=3):
            problem.space.check(trial.params)
            for value in trial.params.values():
                assert value is None or type(value) in (bool, int, float, str), (
                    f"{value!r} is no plain Python value"
                )

    def test_a_tag_is_a_few_scalars_that_say_why(self, algorithm: Algorithm, problem: Problem) -> None:
        for trial in play(algorithm.start(problem), problem, some_loss, 30):
            assert trial.tag, "say who proposed it: tag={'by': 'mine'}"
            assert all(
                value is None or type(value) in (bool, int, float, str) for value in trial.tag.values()
            )

    def test_asking_changes_nothing(self, algorithm: Algorithm, problem: Problem) -> None:
        optimizer, other = algorithm.start(problem), algorithm.start(problem)
        trials = mixed(problem, 25)
        optimizer.tell(trials)
        other.tell(trials)
        first = asked(optimizer, 25)
        for number in range(30, 40):
            asked(optimizer, number)
            asked(optimizer, number, running(problem, 3))
        assert asked(optimizer, 25) == first == asked(other, 25)

    def test_told_in_one_piece_or_in_many_is_the_same(self, algorithm: Algorithm, problem: Problem) -> None:
        trials = mixed(problem, 60)
        whole, singly, pieces = (algorithm.start(problem) for _ in range(3))
        whole.tell(trials)
        for trial in trials:
            singly.tell([trial])
        for i in range(0, len(trials), 7):
            pieces.tell([])
            pieces.tell(trials[i : i + 7])
        for number in range(60, 70):
            assert asked(whole, number) == asked(singly, number) == asked(pieces, number)

    def test_a_fresh_one_told_the_same_asks_the_same(self, algorithm: Algorithm, problem: Problem) -> None:
        lived = algorithm.start(problem)
        history = play(lived, problem, some_loss, 40, workers=3)
        fresh = algorithm.start(problem)
        fresh.tell(history.finished())
        waiting = running(problem, 2)
        for number in range(40, 50):
            assert asked(fresh, number) == asked(lived, number)
            assert asked(fresh, number, waiting) == asked(lived, number, waiting)

    def test_any_proposal_can_be_made_again(self, algorithm: Algorithm, problem: Problem) -> None:
        heard = _Heard(algorithm.start(problem))
        play(heard, problem, some_loss, 40, workers=3)
        for told, pending, rng, proposal in heard.asked[::13]:
            fresh = algorithm.start(problem)
            fresh.tell(heard.told[:told])
            assert fresh.ask(pending, rng) == proposal

    def test_what_goes_on_is_a_trial_that_completed(self, algorithm: Algorithm, problem: Problem) -> None:
        if problem.fidelity is None:
            return
        history = play(algorithm.start(problem), problem, some_loss, 60, workers=3)
        parents = [trial.parent for trial in history if trial.parent is not None]
        assert len(parents) == len(set(parents)), "a trial goes on once"
        for trial in history:
            if trial.parent is not None:
                parent = history[trial.parent]
                assert parent.params == trial.params
                assert (parent.fidelity or 0) < (trial.fidelity or 0)

    def test_what_failed_or_was_stopped_does_not_go_on(self, algorithm: Algorithm, problem: Problem) -> None:
        if problem.fidelity is None:
            return
        optimizer = algorithm.start(problem)
        ends: list[End] = [failed, stopped, unmeasured, completed(math.nan)]
        told: dict[int, Trial] = {}
        for number in range(40):
            proposal = asked(optimizer, number)
            if proposal is not None:
                end = ends[number % 8] if number % 8 < len(ends) else completed(some_loss(proposal.params))
                told[number] = end(of(proposal, number))
                assert proposal.parent is None or (
                    told[proposal.parent].state is State.COMPLETED
                    and math.isfinite(told[proposal.parent].metrics.get("loss", math.nan))
                )
                optimizer.tell([told[number]])

    def test_it_survives_whatever_became_of_its_trials(self, algorithm: Algorithm, problem: Problem) -> None:
        optimizer = algorithm.start(problem)
        values = (math.nan, math.inf, -math.inf, 1.0)
        ends: list[End] = [failed, stopped, unmeasured, *(completed(value) for value in values)]
        for number in range(
            12 * len(ends)
        ):  # a dozen of each, so that ties and whole populations of them occur
            proposal = asked(optimizer, number)
            if proposal is not None:
                problem.space.check(proposal.params)
                optimizer.tell([ends[number // 12](of(proposal, number))])

    def test_it_survives_trials_from_outside_the_space(self, algorithm: Algorithm, problem: Problem) -> None:
        optimizer = algorithm.start(problem)
        odd: list[Params] = [{}, {"foreign": 1.0}, dict.fromkeys(problem.space, "nonsense")]
        strangers = [completed(-1e9)(Trial(i, params)) for i, params in enumerate(odd * 8)]
        optimizer.tell(strangers)
        waiting = [Trial(100 + i, params, State.RUNNING) for i, params in enumerate(odd)]
        for number in range(30):
            proposal = asked(optimizer, number, waiting)
            if proposal is not None:
                problem.space.check(proposal.params)
                optimizer.tell([completed(1.0)(of(proposal, number))])

    def test_a_finite_space_is_tried_out_once_and_then_it_is_over(
        self, algorithm: Algorithm, small: Problem
    ) -> None:
        points = size(small.space) or 0
        history = play(algorithm.start(small), small, some_loss, 3 * points + 10, workers=3)
        begun = [trial for trial in history if trial.parent is None]
        assert len(begun) == len({small.space.key(trial.params) for trial in history}) == points
        assert history.best() is not None, "one is trained in full"

    def test_where_the_objective_is_noisy_a_point_may_be_tried_again(
        self, algorithm: Algorithm, small: Problem
    ) -> None:
        objectives = tuple(replace(objective, noisy=True) for objective in small.objectives)
        noisy = replace(small, objectives=objectives)
        chance = np.random.default_rng(11)
        asked_for = 2 * (size(noisy.space) or 0) + 10
        lived = algorithm.start(noisy)
        history = play(lived, noisy, lambda p: some_loss(p) + chance.normal(), asked_for, workers=3)
        for trial in history:
            noisy.space.check(trial.params)
        if self.replicates:
            assert len(history) == asked_for
        fresh = algorithm.start(noisy)
        fresh.tell(history.finished())
        assert asked(fresh, asked_for) == asked(lived, asked_for)

    def test_what_is_pending_is_not_proposed_again(self, algorithm: Algorithm, small: Problem) -> None:
        points = size(small.space) or 0
        optimizer = algorithm.start(small)
        pending: list[Trial] = []
        while (proposal := asked(optimizer, len(pending), pending)) is not None:
            pending.append(of(proposal, len(pending)))
            assert len(pending) <= points
        assert len({small.space.key(trial.params) for trial in pending}) == points

    def test_the_seed_matters(self, algorithm: Algorithm, problem: Problem) -> None:
        points = size(problem.space)
        if self.seeded and (points is None or points >= 10):
            one, other = (
                [trial.params for trial in play(algorithm.start(problem), problem, some_loss, 20, seed=seed)]
                for seed in (0, 1)
            )
            assert one != other

    def test_settings_are_data(self, algorithm: Algorithm) -> None:
        named = plugins.named(algorithm)
        data = json.loads(json.dumps({"name": named.name, "options": dict(named.options)}))
        assert plugins.algorithm(Named(data["name"], data["options"])) == algorithm
        assert hash(algorithm) == hash(plugins.algorithm(named)), "settings are frozen dataclasses"

    def test_it_is_better_than_random(self, algorithm: Algorithm, easy: str) -> None:
        if not self.better_than_random:
            return
        problem, function = EASY[easy]

        def reached(algorithm: Algorithm, seed: int) -> float:
            best = play(algorithm.start(problem), problem, function, 100, seed=seed).best()
            assert best is not None
            return best.metrics["loss"]

        mine, chance = (median(reached(a, seed) for seed in range(5)) for a in (algorithm, Random()))
        assert mine < chance


# --- trials ------------------------------------------------------------------------------------


def asked(optimizer: Optimizer, number: int, pending: Sequence[Trial] = ()) -> Proposal | None:
    """What it proposes as trial `number`."""
    return optimizer.ask(pending, np.random.default_rng([7, number]))


def of(proposal: Proposal, number: int) -> Trial:
    """The running trial that becomes of a proposal."""
    fidelity, parent, tag = proposal.fidelity, proposal.parent, proposal.tag
    return Trial(number, proposal.params, State.RUNNING, 1, fidelity=fidelity, parent=parent, tag=tag)


class _Heard:
    """An optimiser, and what it was told and asked."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.told: list[Trial] = []
        self.asked: list[tuple[int, Sequence[Trial], np.random.Generator, Proposal | None]] = []

    def tell(self, finished: Sequence[Trial]) -> None:
        self.told += finished
        self.optimizer.tell(finished)

    def ask(self, pending: Sequence[Trial], rng: np.random.Generator) -> Proposal | None:
        chance = deepcopy(rng)
        proposal = self.optimizer.ask(pending, rng)
        self.asked.append((len(self.told), pending, chance, proposal))
        return proposal


def failed(trial: Trial) -> Trial:
    """As it is after an exception."""
    return replace(trial, state=State.FAILED, reason="ValueError: no")


def stopped(trial: Trial) -> Trial:
    """As it is after it was told to end."""
    return replace(trial, state=State.STOPPED, reason="not promising")


def unmeasured(trial: Trial) -> Trial:
    """Completed, with other metrics than the objective."""
    return replace(trial, state=State.COMPLETED, metrics={"seconds": 1.0})


class completed:  # noqa: N801 - reads as a function, and prints as one
    """Completed with this loss."""

    def __init__(self, loss: float) -> None:
        self.loss = loss

    def __call__(self, trial: Trial) -> Trial:
        return replace(trial, state=State.COMPLETED, metrics={"loss": self.loss})


def mixed(problem: Problem, n: int) -> list[Trial]:
    """Random trials that ended in all the ways there are, in an order that is not that of their numbers."""
    rng = np.random.default_rng(3)
    ends: list[End] = [failed, stopped, completed(math.nan), completed(math.inf), unmeasured, completed(0.5)]
    trials = []
    for number in rng.permutation(n).tolist():
        trial = Trial(number, problem.space.sample(rng), State.RUNNING, 1)
        draw = int(rng.integers(3 * len(ends)))
        trials.append(ends[draw](trial) if draw < len(ends) else completed(some_loss(trial.params))(trial))
    return trials


def running(problem: Problem, n: int) -> list[Trial]:
    """Random trials that run."""
    rng = np.random.default_rng(5)
    return [Trial(1000 + i, problem.space.sample(rng), State.RUNNING, 1) for i in range(n)]


def _few(space: Space) -> bool:
    points = size(space)
    return points is not None and points <= 60 and len(Points(space, 5)) == points
