"""Differential evolution, beside what its contract says."""

import numpy as np
import pytest

from luthier.errors import InvalidStudy
from luthier.optimizers.de import DE
from luthier.space import Float
from luthier.study import Objective, Problem, State, Trial
from luthier.testing import OptimizerContract
from luthier.testing.problems import finished, play, problem, sphere

CUBE = problem({name: Float(-5, 5) for name in "xyz"})


class TestDE(OptimizerContract):
    algorithms = (DE(), DE(population=6, F=0.8, CR=0.9))
    better_than_random = True
    replicates = True


def test_it_comes_close_to_the_minimum() -> None:
    best = play(DE().start(CUBE), CUBE, sphere, 600).best()
    assert best is not None
    assert best.metrics["loss"] < 1e-3


def test_a_child_takes_the_slot_it_was_made_for_and_only_if_it_is_no_worse() -> None:
    optimizer = DE(population=4).start(CUBE)
    rng = np.random.default_rng(0)
    optimizer.tell([finished(i, CUBE.space.sample(rng), float(i)) for i in range(4)])

    def tell(number: int, loss: float, slot: int) -> None:
        optimizer.tell([finished(number, CUBE.space.sample(rng), loss, tag={"by": "de", "slot": slot})])

    def parents() -> set[str]:
        proposals = [optimizer.ask([], np.random.default_rng(i)) for i in range(60)]
        return {str(proposal.tag["why"]).rpartition(" ")[2] for proposal in proposals if proposal is not None}

    tell(4, 9.0, slot=1)
    assert "4" not in parents()
    tell(5, 0.5, slot=1)
    assert parents() == {"0"}  # the best of four, a fifth of which is one
    tell(6, -1.0, slot=2)
    assert parents() == {"6"}


def test_workers_are_given_different_slots() -> None:
    optimizer = DE(population=8).start(CUBE)
    rng = np.random.default_rng(0)
    optimizer.tell([finished(i, CUBE.space.sample(rng), float(i)) for i in range(8)])
    pending: list[Trial] = []
    for number in range(8, 16):
        proposal = optimizer.ask(pending, np.random.default_rng(number))
        assert proposal is not None
        pending.append(Trial(number, proposal.params, State.RUNNING, tag=proposal.tag))
    assert sorted(int(str(trial.tag["slot"])) for trial in pending) == list(range(8))


@pytest.mark.parametrize("wrong", [{"population": 3}, {"F": 0}, {"F": True}, {"CR": 1.5}, {"CR": "x"}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidStudy, match=next(iter(wrong))):
        DE(**wrong)  # type: ignore[arg-type]


def test_it_knows_one_objective() -> None:
    with pytest.raises(InvalidStudy, match="one objective"):
        DE().start(Problem(CUBE.space, (Objective("a", "min"), Objective("b", "min"))))
