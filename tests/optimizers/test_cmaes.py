"""CMA-ES, beside what its contract says."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from luthier.errors import InvalidStudy
from luthier.optimizers import Optimizer
from luthier.optimizers.cmaes import CMAES, Constants
from luthier.space import Choice, Float, Int, Params, Space
from luthier.study import History, Objective, Problem, State, Trial
from luthier.testing import OptimizerContract
from luthier.testing.problems import finished, play, problem, sphere

CUBE = problem({name: Float(-5, 5) for name in "xyz"})


class TestCMAES(OptimizerContract):
    algorithms = (CMAES(), CMAES(population=6, sigma=0.4, startup=0))
    better_than_random = True
    replicates = True


def numbers(params: Params) -> list[float]:
    return [float(str(value)) for value in params.values()]


def valley(params: Params) -> float:
    """Rosenbrock's function: curved, and badly conditioned."""
    x = numbers(params)
    return sum(100 * (b - a**2) ** 2 + (1 - a) ** 2 for a, b in pairwise(x))


def stretched(params: Params) -> float:
    """An ellipsoid whose axes differ by a factor of a thousand."""
    return sum(10 ** (3 * i) * (x - 0.5) ** 2 for i, x in enumerate(numbers(params)))


def reached(history: History) -> float:
    best = history.best()
    assert best is not None
    return best.metrics["loss"]


@pytest.mark.parametrize("function", [valley, stretched])
def test_it_learns_the_shape_of_a_function(function: Callable[[Params], float]) -> None:
    assert reached(play(CMAES().start(CUBE), CUBE, function, 1200, seed=1)) < 1e-3


def test_whole_numbers_do_not_get_stuck() -> None:
    mixed = problem({f"n{i}": Int(-20, 20) if i % 2 else Float(-20, 20) for i in range(6)})

    def bowl(params: Params) -> float:
        return sum((x - 2) ** 2 for x in numbers(params))

    assert max(reached(play(CMAES().start(mixed), mixed, bowl, 800, seed=s)) for s in range(3)) < 0.1


def test_categories_are_learned_with_the_numbers() -> None:
    space = {f"c{i}": Choice("a", "b", "c", "d") for i in range(4)} | {
        f"x{i}": Float(-9, 9) for i in range(4)
    }
    both = problem(space)

    def loss(params: Params) -> float:
        return sum(v != "b" if isinstance(v, str) else (float(str(v)) - 2) ** 2 for v in params.values())

    assert max(reached(play(CMAES().start(both), both, loss, 800, seed=s)) for s in range(3)) < 0.1


def test_it_restarts_with_twice_the_population() -> None:
    def rugged(params: Params) -> float:
        return sum(10 + x**2 - 10 * math.cos(2 * math.pi * x) for x in numbers(params))

    history = play(CMAES().start(CUBE), CUBE, rugged, 1500)
    sizes: dict[object, dict[object, int]] = {}
    for trial in history:
        generations = sizes.setdefault(trial.tag.get("restart"), {})
        generation = trial.tag.get("generation")
        generations[generation] = generations.get(generation, 0) + 1
    assert len(sizes) > 2, "sobol, and more than one search"
    assert (set(sizes[0].values()), set(list(sizes[1].values())[:-1])) == ({7}, {14})


def test_the_search_begins_at_the_best_of_what_is_known() -> None:
    optimizer = CMAES().start(CUBE)
    rng = np.random.default_rng(0)
    trials = [
        finished(i, params, sphere(params))
        for i, params in enumerate(CUBE.space.sample(rng) for _ in range(300))
    ]
    optimizer.tell(trials)
    asked = [optimizer.ask([], np.random.default_rng(i)) for i in range(50)]
    losses = [sphere(proposal.params) for proposal in asked if proposal is not None]
    assert np.median(losses) < np.quantile([trial.metrics["loss"] for trial in trials], 0.25)
    assert {proposal.tag["by"] for proposal in asked if proposal is not None} == {"cmaes"}


def test_trials_may_end_in_any_order_fail_or_never_end() -> None:
    """24 workers are far more than the population of 7; a third of the trials fails, and some are lost for ever."""
    optimizer: Optimizer = CMAES().start(CUBE)
    rng = np.random.default_rng(4)
    pending: list[Trial] = []
    losses = []
    for number in range(900):
        proposal = optimizer.ask(pending, np.random.default_rng([1, number]))
        assert proposal is not None
        pending.append(Trial(number, proposal.params, State.RUNNING, 1, tag=proposal.tag))
        if len(pending) < 24 + number // 100:
            continue
        trial = pending.pop(int(rng.integers(len(pending) - number // 100)))
        if rng.random() < 1 / 3:
            optimizer.tell([replace(trial, state=State.FAILED, reason="no")])
        else:
            losses.append(sphere(trial.params))
            optimizer.tell([replace(trial, state=State.COMPLETED, metrics={"loss": losses[-1]})])
    assert min(losses) < 1e-2


def test_a_parameter_that_does_not_exist_stays_where_it_was() -> None:
    space = Space(kind=Choice({"a": {"x": Float(0, 1)}, "b": {"y": Float(0, 1)}}))
    branches = problem(space)

    def loss(params: Params) -> float:
        return abs(float(str(params["x"])) - 0.9) if params["kind"] == "a" else 1.0

    history = play(CMAES().start(branches), branches, loss, 400)
    late = list(history)[-50:]
    assert sum(trial.params["kind"] == "a" for trial in late) > 25
    assert reached(history) < 1e-3


def test_the_constants_are_those_of_the_tutorial() -> None:
    """n = 10, lambda = 10: mu_eff = 3.1673 (pycma); the weights of equation 53 sum to 1 over the better half."""
    c = Constants.of(10, 10)
    assert c.mu_eff == pytest.approx(3.1673, abs=1e-4)
    assert c.weights[:5].sum() == pytest.approx(1)
    assert (c.weights[5:] <= 0).all()
    assert c.c_1 == pytest.approx(2 / (11.3**2 + c.mu_eff))
    assert c.c_1 + c.c_mu <= 1


def test_its_memory_does_not_grow_with_the_study() -> None:
    import pickle

    sizes = []
    for number in (300, 3000):
        optimizer = CMAES().start(CUBE)
        rng = np.random.default_rng(0)
        own = {"by": "cmaes", "restart": 0, "generation": 0}
        for i in range(number):
            tag = own if i > 100 else {}
            optimizer.tell([finished(i, CUBE.space.sample(rng), float(rng.random()), tag=tag)])
        sizes.append(len(pickle.dumps(optimizer._optimizer._best)))  # type: ignore[attr-defined]
    assert sizes[1] <= sizes[0] * 1.1


@pytest.mark.parametrize(
    "wrong", [{"population": 3}, {"population": -1}, {"sigma": 0}, {"sigma": True}, {"startup": 1.5}]
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidStudy, match=next(iter(wrong))):
        CMAES(**wrong)  # type: ignore[arg-type]


def test_it_knows_one_objective() -> None:
    with pytest.raises(InvalidStudy, match="one objective"):
        CMAES().start(Problem(CUBE.space, (Objective("a", "min"), Objective("b", "min"))))
