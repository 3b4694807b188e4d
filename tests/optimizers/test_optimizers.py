"""What is particular to each optimiser; what is common to all is in the contract."""

import math
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import luthier as lt
from luthier import plugins
from luthier.errors import InvalidStudy
from luthier.optimizers import (
    CMAES,
    DE,
    GP,
    TPE,
    Auto,
    Evolution,
    Grid,
    Random,
    Sobol,
    merit,
    unique,
    usable,
)
from luthier.optimizers.auto import MANY, SMALL
from luthier.optimizers.evolution import mutate
from luthier.optimizers.quasirandom import Sequence01
from luthier.space import Choice, Float, Int, Points, Space
from luthier.study import Constraint, Fidelity, Objective, Problem, State, Trial
from luthier.testing.problems import SPACES, finished, play, problem, some_loss, sphere

CUBE = problem({name: Float(-5, 5) for name in "xyz"})
NOISY = (Objective("loss", "min", noisy=True),)
TWO_GOALS = Problem(CUBE.space, (Objective("loss", "min"), Objective("size", "min")))


# --- Sobol -------------------------------------------------------------------------------------


def test_sobol_points_fill_every_cell_of_the_square_once() -> None:
    for scramble in (0, 7):
        sequence = Sequence01(2)
        points = np.array([sequence.point(i, scramble) for i in range(256)])
        assert ((points > 0) & (points < 1)).all()
        assert len({(int(x * 16), int(y * 16)) for x, y in points}) == 256


def test_sobol_points_can_be_had_in_any_order() -> None:
    one, other = Sequence01(3), Sequence01(3)
    there = [one.point(i, 5).tolist() for i in range(600)]
    for i in (599, 3, 256, 255, 0, 511, 599):
        assert other.point(i, 5).tolist() == there[i]


def test_the_scramble_is_that_of_the_first_trial() -> None:
    history = play(Sobol().start(CUBE), CUBE, sphere, 20, seed=3, workers=4)
    assert len({trial.tag["scramble"] for trial in history}) == 1
    other = play(Sobol().start(CUBE), CUBE, sphere, 1, seed=4)
    assert other[0].tag["scramble"] != history[0].tag["scramble"]


def test_workers_do_not_change_sobols_points() -> None:
    one, four = (play(Sobol().start(CUBE), CUBE, sphere, 30, workers=w) for w in (1, 4))
    assert [t.params for t in one] == [t.params for t in four]


def test_sobol_refuses_more_dimensions_than_it_has() -> None:
    space = Space({f"p{i}": Float(0, 1) for i in range(21202)})
    with pytest.raises(InvalidStudy, match="reaches to 21201 parameters, and the space has 21202"):
        Sobol().start(problem(space))


# --- grid --------------------------------------------------------------------------------------


def test_a_grid_is_evaluated_in_order_whatever_becomes_of_its_trials() -> None:
    grid = Grid(levels=3).start(CUBE)
    rng = np.random.default_rng(0)
    numbers = []
    for number in range(27):
        proposal = grid.ask([], rng)
        assert proposal is not None
        numbers.append(proposal.tag["grid"])
        grid.tell([Trial(number, proposal.params, State.FAILED, 1, tag=proposal.tag)])
    assert numbers == list(range(27))
    assert grid.ask([], rng) is None


def test_a_grid_point_that_ended_out_of_turn_is_not_proposed_again() -> None:
    grid = Grid().start(problem({"a": [1, 2, 3, 4]}))
    rng = np.random.default_rng(0)
    grid.tell([finished(2, {"a": 3}, 0.0, tag={"by": "grid", "grid": 2})])
    pending = [Trial(0, {"a": 1}, State.RUNNING, tag={"by": "grid", "grid": 0})]
    proposal = grid.ask(pending, rng)
    assert proposal is not None
    assert proposal.tag["grid"] == 1
    grid.tell([finished(i, {"a": i + 1}, 0.0, tag={"by": "grid", "grid": i}) for i in (0, 1)])
    last = grid.ask([], rng)
    assert last is not None
    assert last.tag["grid"] == 3


def test_a_grid_of_a_trillion_points_starts_at_once() -> None:
    big = problem({f"p{i}": Float(0, 1) for i in range(12)})
    proposal = Grid(levels=10).start(big).ask([], np.random.default_rng(0))
    assert proposal is not None
    assert set(proposal.params.values()) == {0.0}


# --- evolution ---------------------------------------------------------------------------------


def test_the_population_is_random_and_then_children_have_parents_in_it() -> None:
    history = play(Evolution(population=10, sample=3).start(CUBE), CUBE, sphere, 60)
    assert [trial.tag["by"] for trial in history] == ["random"] * 10 + ["evolution"] * 50
    for trial in list(history)[10:]:
        parent = trial.tag["parent"]
        assert isinstance(parent, int)
        assert trial.number - 10 <= parent < trial.number
        changed = [name for name in trial.params if trial.params[name] != history[parent].params[name]]
        assert len(changed) == 1


def test_a_failed_trial_is_never_preferred_as_a_parent() -> None:
    optimizer = Evolution(population=4, sample=4).start(CUBE)
    rng = np.random.default_rng(0)
    trials = [
        finished(0, CUBE.space.sample(rng), math.nan),
        Trial(1, CUBE.space.sample(rng), State.FAILED, 1),
        finished(2, CUBE.space.sample(rng), math.inf),
        Trial(3, CUBE.space.sample(rng), State.STOPPED, 1),
    ]
    optimizer.tell(trials)
    proposal = optimizer.ask([], rng)
    assert proposal is not None
    assert proposal.tag["parent"] == 2


@pytest.mark.parametrize("name", list(SPACES))
def test_a_mutation_changes_one_parameter_and_what_depends_on_it(name: str) -> None:
    space = SPACES[name]
    rng = np.random.default_rng(0)
    for _ in range(200):
        params = space.sample(rng)
        child = mutate(space, params, rng, 0.05)
        space.check(child)
        changed = [n for n in params if n in child and _differ(n, params, child)]
        varying = [n for n in params if space[n].size != 1]
        assert len(changed) == (1 if varying else 0)


def _differ(name: str, one: dict[str, object], other: dict[str, object]) -> bool:
    return (type(one[name]), one[name]) != (type(other[name]), other[name])


def test_mutations_of_a_choice_follow_the_weights_and_of_a_number_stay_near() -> None:
    space = Space(kind=Choice("a", "b", "c", weights=[1, 1, 3]), n=Int(1, 1000), x=Float(1e-6, 1, log=True))
    rng = np.random.default_rng(0)
    params = {"kind": "a", "n": 500, "x": 1e-3}
    children = [mutate(space, params, rng, 0.05) for _ in range(3000)]
    kinds = Counter(child["kind"] for child in children if child["kind"] != "a")
    assert kinds["c"] / kinds["b"] == pytest.approx(3, rel=0.3)
    steps = [abs(int(str(child["n"])) - 500) for child in children if child["n"] != 500]
    assert np.mean(steps) < 60
    logs = [abs(math.log10(float(str(child["x"]))) + 3) for child in children if child["x"] != 1e-3]
    assert np.mean(logs) < 0.4


@pytest.mark.parametrize("algorithm", [Evolution()])
def test_one_objective_is_all_that_evolution_knows(algorithm: Evolution) -> None:
    with pytest.raises(InvalidStudy, match="one objective, and this study has 2: loss, size"):
        algorithm.start(TWO_GOALS)


# --- auto --------------------------------------------------------------------------------------


def test_auto_asks_the_gaussian_process_and_a_population_when_trials_are_many() -> None:
    history = play(Auto().start(CUBE), CUBE, sphere, 20)
    assert {trial.tag["by"] for trial in history} == {"gp"}
    optimizer = Auto().start(CUBE)
    rng = np.random.default_rng(0)
    optimizer.tell([finished(i, CUBE.space.sample(rng), float(i)) for i in range(MANY)])
    proposal = optimizer.ask([], rng)
    assert proposal is not None
    assert proposal.tag["by"] == "de"


def test_auto_tries_out_a_small_space_in_random_order() -> None:
    small = problem({"a": Int(1, SMALL)})
    history = play(Auto().start(small), small, some_loss, 1000)
    order = [trial.params["a"] for trial in history]
    assert sorted(order, key=str) == sorted(range(1, SMALL + 1), key=str)
    assert order != sorted(order, key=str)
    assert all(trial.tag["why"] == f"the space has only {SMALL} points" for trial in history)


def test_auto_tries_a_small_space_out_and_goes_on_where_there_is_noise() -> None:
    space = SPACES["small"]
    for objectives, then in ((NOISY, "gp"), ((*NOISY, Objective("size", "min")), "sobol")):
        noisy = Problem(space, objectives)
        points = Points(space).size
        history = play(Auto().start(noisy), noisy, some_loss, points + 20, workers=2)
        first = [trial for trial in history if trial.tag["by"] == "grid"]
        assert len({space.key(trial.params) for trial in first}) == len(first) == points
        assert [trial.number for trial in first] == list(range(points))
        assert len(history) == points + 20
        assert then in {trial.tag["by"] for trial in list(history)[points:]}


def test_auto_spreads_points_where_there_are_several_objectives() -> None:
    history = play(Auto().start(TWO_GOALS), TWO_GOALS, sphere, 40)
    assert {trial.tag["why"] for trial in history} == {"several objectives"}


# --- what they share ---------------------------------------------------------------------------


def test_merit_sorts_feasible_before_infeasible_before_nothing() -> None:
    bounded = Problem(CUBE.space, (Objective("score", "max"),), (Constraint("size", high=1.0),))
    trials = [
        Trial(0, {}, State.COMPLETED, metrics={"score": 0.5, "size": 0.0}),
        Trial(1, {}, State.COMPLETED, metrics={"score": 0.9, "size": 0.0}),
        Trial(2, {}, State.COMPLETED, metrics={"score": 0.99, "size": 2.0}),
        Trial(3, {}, State.COMPLETED, metrics={"score": math.nan, "size": 0.0}),
        Trial(4, {}, State.STOPPED),
        Trial(5, {}, State.COMPLETED, metrics={"score": -math.inf, "size": 0.0}),
        Trial(6, {}, State.STOPPED, metrics={"score": 0.7, "size": 0.0}),  # what it would have come to
    ]
    assert [t.number for t in sorted(trials, key=lambda t: merit(t, bounded))] == [1, 6, 0, 5, 2, 3, 4]


def test_usable_leaves_out_what_is_not_in_the_space() -> None:
    trials = [
        finished(0, {"x": 0.0, "y": 0.0, "z": 0.0}, 1.0),
        finished(1, {"x": 9.0}, 0.0),
        finished(2, {}, 0.0),
    ]
    assert [trial.number for trial in usable(trials, CUBE)] == [0]


class Stubborn:
    """Always wants the same point."""

    def tell(self, finished: object) -> None:
        pass

    def ask(self, pending: object, rng: np.random.Generator) -> object:
        from luthier.study import Proposal

        return Proposal({"a": 1, "b": 1}, tag={"by": "stubborn"})


def test_unique_makes_even_a_stubborn_optimizer_try_out_a_finite_space() -> None:
    big = problem({"a": Int(1, 40), "b": Int(1, 40)})
    history = play(unique(Stubborn(), big), big, some_loss, 2000, workers=3)  # type: ignore[arg-type]
    assert len(history) == len({big.space.key(trial.params) for trial in history}) == 1600
    assert Counter(str(trial.tag["by"]) for trial in history) == {"stubborn": 1, "random": 1599}


def test_unique_lets_a_point_be_tried_again_where_there_is_noise() -> None:
    noisy = Problem(Space(a=Int(1, 2), b=Int(1, 2)), NOISY)
    history = play(unique(Stubborn(), noisy), noisy, some_loss, 10, workers=3)  # type: ignore[arg-type]
    assert [trial.params for trial in history] == [{"a": 1, "b": 1}] * 10


def test_unique_never_ends_an_endless_space() -> None:
    endless = problem({"a": Choice({1: {}, 2: {"b": Float(0, 1)}}, weights=[1e9, 1])})
    assert len(play(Random().start(endless), endless, some_loss, 50)) == 50


def test_the_whole_training_is_proposed_where_there_is_a_fidelity() -> None:
    deep = Problem(CUBE.space, CUBE.objectives, fidelity=Fidelity("epochs", 1, 81))
    for algorithm in (Random(), Sobol(), Grid(), Evolution(), DE(), TPE(), CMAES(), GP()):
        assert {trial.fidelity for trial in play(algorithm.start(deep), deep, sphere, 15)} == {81}
    assert {trial.fidelity for trial in play(Auto().start(deep), deep, sphere, 15)} == {14, 81}


@pytest.mark.parametrize(
    "algorithm", [Random(), Sobol(), Grid(), Evolution(), DE(), TPE(), CMAES(), Auto()], ids=repr
)
def test_the_work_of_asking_does_not_grow_with_the_study(algorithm: Random) -> None:
    """Counted in calls of Python functions, which no busy machine can change."""
    wide = problem({f"p{i}": (Float(0, 1), Int(0, 10**6))[i % 2] for i in range(10)})
    optimizer = algorithm.start(wide)
    rng = np.random.default_rng(0)
    work = []
    for size in (200, 4000):
        told = [finished(i, wide.space.sample(rng), float(i), tag={"grid": i}) for i in range(size)]
        optimizer.tell(told)
        work.append(_calls(lambda: optimizer.ask([], np.random.default_rng(1))))
    assert all(after <= 2 * before + 50 for before, after in pairwise(work))


def _calls(function: object) -> int:
    import sys

    counted = 0

    def count(frame: object, event: str, arg: object) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    function()  # type: ignore[operator]  # what it does only once
    sys.setprofile(count)
    try:
        function()  # type: ignore[operator]
    finally:
        sys.setprofile(None)
    return counted


def test_a_grid_that_skips_points_tries_all_others_once_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    space = {"penalty": ["l1", "l2", None], "solver": ["a", "b"], "C": [1, 2]}
    skip = [{"penalty": "l1", "solver": "a"}, {"penalty": None}]
    again: dict[str, Any] = {
        "minimize": "loss", "name": "g", "store": str(tmp_path / "s.db"), "progress": False,
    }  # fmt: skip

    def loss(penalty: str | None, solver: str, C: int) -> float:
        return C

    lt.tune(loss, space, algorithm=Grid(skip=skip), trials=2, **again).close()
    study = lt.tune(loss, space, algorithm=Grid(skip=skip), trials=99, **again)
    tried = sorted((t.params["penalty"], t.params["solver"], t.params["C"]) for t in study.trials)  # type: ignore[type-var]
    assert tried == [
        ("l1", "b", 1),
        ("l1", "b", 2),
        ("l2", "a", 1),
        ("l2", "a", 2),
        ("l2", "b", 1),
        ("l2", "b", 2),
    ]
    assert study.spec.algorithm.options["skip"] == skip
    study.close()
    with pytest.raises(InvalidStudy, match="skip is"):
        Grid(skip={"penalty": "l1"})  # type: ignore[arg-type]
    assert "skip" not in plugins.named(Grid()).options, "studies from before ask the same question as ever"
