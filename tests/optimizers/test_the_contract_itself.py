"""The contract must notice what it is there for: optimisers that are wrong in one way each fail the test for it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from luthier.optimizers import Grid, Random
from luthier.study import Fidelity, Problem, Proposal, Trial
from luthier.testing import OptimizerContract
from luthier.testing.problems import SPACES, problem


class Broken:
    """Random search, but for one thing."""

    def __init__(self, problem: Problem, fault: str) -> None:
        self.fault = fault
        self.space = problem.space
        self.asked = 0
        self.tells = 0
        self.last: Trial | None = None
        self.wishes = np.random.default_rng(len(self.space))

    def tell(self, finished: Sequence[Trial]) -> None:
        self.tells += 1
        self.last = finished[-1] if finished else self.last
        if self.fault == "reads metrics blindly":
            sum(trial.metrics["loss"] for trial in finished)

    def ask(self, pending: Sequence[Trial], rng: np.random.Generator) -> Proposal | None:
        self.asked += 1
        if self.fault == "goes on with anything" and self.last is not None:
            return Proposal(self.last.params, fidelity=9, parent=self.last.number, tag={"by": "broken"})
        draw = rng
        if self.fault == "counts its questions":
            draw = np.random.default_rng(self.asked)
        if self.fault == "counts its tells":
            draw = np.random.default_rng(self.tells)
        if self.fault == "has chance of its own":
            draw = self.wishes
        if self.fault == "ignores the seed":
            draw = np.random.default_rng(len(pending))
        params: dict[str, Any] = self.space.sample(draw)
        if self.fault == "leaves out a parameter":
            params.popitem()
        if self.fault == "gives numpy's numbers":
            params = {name: np.float64(v) if type(v) is float else v for name, v in params.items()}
        return Proposal(params, tag={} if self.fault == "gives no reason" else {"by": "broken"})


@dataclass(frozen=True)
class Faulty:
    fault: str

    def start(self, problem: Problem) -> Broken:
        return Broken(problem, self.fault)


class Contract(OptimizerContract):
    better_than_random = True
    replicates = True


contract = Contract()


@pytest.mark.parametrize(
    ("fault", "test"),
    [
        ("leaves out a parameter", contract.test_every_proposal_is_a_point_of_the_space),
        ("gives numpy's numbers", contract.test_every_proposal_is_a_point_of_the_space),
        ("gives no reason", contract.test_a_tag_is_a_few_scalars_that_say_why),
        ("counts its questions", contract.test_asking_changes_nothing),
        ("has chance of its own", contract.test_asking_changes_nothing),
        ("counts its tells", contract.test_told_in_one_piece_or_in_many_is_the_same),
        ("counts its questions", contract.test_a_fresh_one_told_the_same_asks_the_same),
        ("reads metrics blindly", contract.test_it_survives_whatever_became_of_its_trials),
        ("ignores the seed", contract.test_the_seed_matters),
        ("counts its questions", contract.test_any_proposal_can_be_made_again),
        ("goes on with anything", contract.test_what_goes_on_is_a_trial_that_completed),
        ("goes on with anything", contract.test_what_failed_or_was_stopped_does_not_go_on),
    ],
)
def test_a_fault_is_found(fault: str, test: Callable[..., None]) -> None:
    deep = replace(problem(SPACES["every kind"]), fidelity=Fidelity("passes", 1, 9))
    with pytest.raises(Exception):  # noqa: B017 - an assertion, or whatever the fault raises
        test(Faulty(fault), deep)


@pytest.mark.parametrize(
    "test",
    [
        contract.test_a_finite_space_is_tried_out_once_and_then_it_is_over,
        contract.test_what_is_pending_is_not_proposed_again,
    ],
)
def test_repeating_points_is_found(test: Callable[..., None]) -> None:
    with pytest.raises(AssertionError):
        test(Faulty("none"), problem(SPACES["small"]))


def test_claiming_to_go_on_where_there_is_noise_is_not_enough() -> None:
    with pytest.raises(AssertionError):
        contract.test_where_the_objective_is_noisy_a_point_may_be_tried_again(
            Grid(), problem(SPACES["small"])
        )


def test_claiming_to_learn_is_not_enough() -> None:
    with pytest.raises(AssertionError):
        contract.test_it_is_better_than_random(Random(), "sphere")
