"""TPE, beside what its contract says."""

import math
from collections import Counter

import numpy as np
import pytest

from luthier.errors import InvalidStudy
from luthier.optimizers.cube import Cube
from luthier.optimizers.tpe import _TPE, MOST_GOOD, MOST_OTHERS, TPE, Density
from luthier.space import Choice, Float, Int, Space
from luthier.study import Objective, Problem, State, Trial
from luthier.testing import OptimizerContract
from luthier.testing.problems import EASY, SPACES, branches, finished, play, problem, sphere

CUBE = problem({name: Float(-5, 5) for name in "xyz"})
TREE = Space(
    kind=Choice({"a": {"x": Float(0, 1)}, "b": {"n": Int(1, 30)}}, weights=[3, 1]),
    size=[1, 2],
)


class TestTPE(OptimizerContract):
    algorithms = (TPE(), TPE(startup=20, candidates=24, gamma=0.1, bandwidth=0.1))
    better_than_random = True
    replicates = True


# --- rows --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(SPACES))
def test_a_settled_row_is_the_row_of_its_point(name: str) -> None:
    space = SPACES[name]
    cube = Cube(space)
    rng = np.random.default_rng(0)
    rows = rng.random((200, cube.width))
    for span in cube.spans:
        rows[:, span] = np.eye(span.stop - span.start)[rng.integers(span.stop - span.start, size=200)]
    for row, raw in zip(cube.settle(rows), rows, strict=True):
        assert space.allows(cube.params(row))
        np.testing.assert_allclose(cube.row(cube.params(raw)), row, atol=1e-9)


# --- densities ---------------------------------------------------------------------------------


def test_a_density_is_one_over_the_whole_space() -> None:
    """Over every branch: the sum over the choices of the integral over x, or of the cells of n, is 1."""
    cube = Cube(TREE)
    rng = np.random.default_rng(1)
    rows = np.array([cube.row(TREE.sample(rng)) for _ in range(7)])
    density = Density(cube, rows, np.ones(7), 0.2)
    total = 0.0
    for size in (1, 2):
        grid = [{"kind": "a", "x": (i + 0.5) / 400, "size": size} for i in range(400)]
        total += np.exp(density.log(np.array([cube.row(point) for point in grid]))).mean()
        cells = [{"kind": "b", "n": n, "size": size} for n in range(1, 31)]
        total += np.exp(density.log(np.array([cube.row(point) for point in cells]))).mean()
    assert total == pytest.approx(1, abs=0.01)


def test_draws_follow_the_density() -> None:
    space = Space(c=["a", "b", "c"], x=Float(0, 1))
    cube = Cube(space)
    rows = np.array([cube.row({"c": "a", "x": 0.9}), cube.row({"c": "b", "x": 0.1})])
    density = Density(cube, rows, np.array([1.5, 0.5]), 0.1)
    drawn = [cube.params(row) for row in density.draw(4000, np.random.default_rng(0))]
    for value in "abc":
        for low in (0.0, 0.5):
            found = sum(p["c"] == value and low <= float(str(p["x"])) < low + 0.5 for p in drawn) / len(drawn)
            grid = np.array([cube.row({"c": value, "x": low + (i + 0.5) / 400}) for i in range(200)])
            assert found == pytest.approx(np.exp(density.log(grid)).mean() / 2, abs=0.02)


def test_without_trials_the_density_is_that_of_the_space() -> None:
    cube = Cube(TREE)
    empty = Density(cube, np.empty((0, cube.width)), np.empty(0), 0.2)
    drawn = Counter(str(cube.params(row)["kind"]) for row in empty.draw(2000, np.random.default_rng(0)))
    assert drawn["a"] / 2000 == pytest.approx(0.75, abs=0.04)
    row = cube.row({"kind": "a", "x": 0.3, "size": 1})
    assert empty.log(row[None])[0] == pytest.approx(math.log(0.75 / 2))


# --- what it does ------------------------------------------------------------------------------


def test_it_says_why() -> None:
    history = play(TPE().start(CUBE), CUBE, sphere, 30)
    assert [trial.tag["by"] for trial in history] == ["sobol"] * 8 + ["tpe"] * 22
    assert history[29].tag["why"] == "likelier among the best 5 than among the others"


def test_it_stays_in_the_branch_that_is_good() -> None:
    tree, _ = EASY["branches"]
    late = list(play(TPE().start(tree), tree, branches, 80))[-30:]
    assert sum(trial.params["model"] == "kernel" for trial in late) > 20


def test_workers_are_not_sent_to_one_place() -> None:
    """Pending trials count as bad, so that the next proposal keeps away from them."""
    rng = np.random.default_rng(0)
    optimizer = TPE().start(CUBE)
    params = [CUBE.space.sample(rng) for _ in range(40)]
    optimizer.tell([finished(i, point, sphere(point)) for i, point in enumerate(params)])

    def apart(spread: bool) -> float:
        pending: list[Trial] = []
        for number in range(100, 116):
            proposal = optimizer.ask(pending if spread else [], np.random.default_rng(number))
            assert proposal is not None
            pending.append(Trial(number, proposal.params, State.RUNNING, tag=proposal.tag))
        return float(
            np.array([[float(str(v)) for v in t.params.values()] for t in pending]).std(axis=0).mean()
        )

    assert apart(True) > 1.2 * apart(False)


def test_failures_steer_the_search_away() -> None:
    line = problem({"x": Float(0, 1)})

    def share(ended: State) -> float:
        optimizer = TPE().start(line)
        trials = [finished(i, {"x": (i + 0.5) / 40}, 1.0 + abs((i + 0.5) / 40 - 0.5)) for i in range(40)]
        more = [Trial(40 + i, {"x": 0.5 + i / 100}, ended, 1, metrics={"loss": 1.2}) for i in range(20)]
        optimizer.tell(trials + more)
        asked = [optimizer.ask([], np.random.default_rng(i)) for i in range(200)]
        return float(np.mean([0.5 <= float(str(p.params["x"])) <= 0.7 for p in asked if p is not None]))

    assert share(State.FAILED) < 0.5 * share(State.COMPLETED) + 0.25


def test_it_keeps_a_bounded_number_of_trials_of_all_ages() -> None:
    optimizer = _TPE(CUBE, TPE())
    rng = np.random.default_rng(0)
    point = CUBE.space.sample(rng)
    for i in range(10_000):
        optimizer.tell([finished(i, {**point, "x": i / 1000 - 5}, float(rng.random()))])
        assert len(optimizer._best) <= MOST_GOOD
        assert len(optimizer._others) <= MOST_OTHERS
    ages = np.array(optimizer._others)[:, 0]
    assert len(ages) > 0.7 * MOST_OTHERS
    assert ages.min() < 0.8
    assert (ages > 0.94).sum() > 400


def test_the_work_of_asking_is_bounded() -> None:
    """10,000 trials make no more kernels than 1,000 do, and no more numbers of each."""
    optimizer = _TPE(CUBE, TPE())
    rng = np.random.default_rng(0)
    kernels = []
    for until in (1_000, 10_000):
        start = optimizer._told
        optimizer.tell(
            [finished(i, CUBE.space.sample(rng), float(rng.random())) for i in range(start, until)]
        )
        kernels.append([density._kernels.shape for density in optimizer._densities(MOST_GOOD, [])])
    assert kernels[1] == [(9, MOST_GOOD + 1), kernels[1][1]]
    assert kernels[1][1][1] <= 1.1 * kernels[0][1][1]


@pytest.mark.parametrize(
    "wrong", [{"startup": 0}, {"candidates": 0.5}, {"gamma": 0}, {"gamma": 1.1}, {"bandwidth": True}]
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidStudy, match=next(iter(wrong))):
        TPE(**wrong)  # type: ignore[arg-type]


def test_it_knows_one_objective() -> None:
    with pytest.raises(InvalidStudy, match="one objective"):
        TPE().start(Problem(CUBE.space, (Objective("a", "min"), Objective("b", "min"))))
