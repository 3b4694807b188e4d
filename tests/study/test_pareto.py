import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from luthier.study import Completed, Failed, Objective, State, Trial
from luthier.study.pareto import front, undominated


@given(
    arrays(
        float,
        array_shapes(min_dims=2, max_dims=2, max_side=12),
        elements=st.sampled_from([0, 1, 2, 3, np.inf]),
    )
)
def test_the_front_is_what_nothing_dominates(losses: np.ndarray) -> None:
    slow = [not any((b <= a).all() and (b < a).any() for b in losses) for a in losses]
    assert undominated(losses).tolist() == slow


def test_a_front_of_nothing_and_of_many() -> None:
    assert undominated(np.empty((0, 2))).tolist() == []
    x = np.linspace(0, 1, 3000)
    assert undominated(np.column_stack([x, 1 - x])).all()


def test_trials_that_failed_or_gave_nan_are_not_preferred() -> None:
    objectives = [Objective("loss", "min"), Objective("score", "max")]
    values = [(1.0, 0.5), (2.0, 0.4), (0.5, 0.1), (math.nan, 0.5), (1.0, 0.5), (math.nan, 0.9)]
    trials = [
        Trial(i, {}, State.RUNNING, 1).after(Completed({"loss": a, "score": b}), 1)
        for i, (a, b) in enumerate(values)
    ]
    trials.append(Trial(6, {}, State.RUNNING, 1).after(Failed("no"), 1))
    assert [trial.number for trial in front(trials, objectives)] == [0, 2, 4, 5]
