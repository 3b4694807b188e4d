"""What is expected of points, and which is best where measurements are noisy."""

import gc
import math
import time
import weakref
from collections.abc import Callable

import numpy as np
import pytest

from luthier import expected
from luthier.errors import InvalidParams, LuthierError
from luthier.expected import best_of, predict, ranking
from luthier.space import Choice, Float, Int, Params, Space
from luthier.study import Completed, Constraint, Failed, History, Objective, Problem, State, Trial

PLANE = Space(x=Float(0, 1), y=Float(0, 1))
NOISY = Problem(PLANE, (Objective("loss", "min", noisy=True),))


def told(problem: Problem, trials: list[tuple[Params, float]], history: History | None = None) -> History:
    """A history in which these points gave these values."""
    history = History(problem) if history is None else history
    first = len(history)
    metric = problem.objective.metric
    ended = [
        Trial(first + i, params, State.RUNNING, 1).after(Completed({metric: value}), 1)
        for i, (params, value) in enumerate(trials)
    ]
    history.merge(ended, history.cursor + len(ended))
    return history


def bowl(p: Params) -> float:
    return (p["x"] - 0.3) ** 2 + (p["y"] - 0.6) ** 2  # type: ignore[operator, return-value]


def drawn(
    space: Space, function: Callable[[Params], float], n: int, noise: float = 0.0, seed: int = 0
) -> list[tuple[Params, float]]:
    rng = np.random.default_rng(seed)
    return [(p, function(p) + noise * rng.normal()) for p in (space.sample(rng) for _ in range(n))]


# --- predictions -------------------------------------------------------------------------------


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_predictions_are_near_the_truth_and_say_how_near(noise: float) -> None:
    problem = Problem(PLANE, (Objective("loss", "min"),))
    history = told(problem, drawn(PLANE, bowl, 50, noise))
    rows, values = zip(*drawn(PLANE, bowl, 300, noise, seed=1), strict=True)
    mean, sd = predict(history, rows)
    assert mean.shape == sd.shape == (300,)
    truth = np.array([bowl(row) for row in rows])
    good = truth < np.median(truth)
    assert np.sqrt(np.mean((mean - truth)[good] ** 2)) < 0.02 + noise
    assert np.sqrt(np.mean((mean - truth) ** 2)) < 0.05 + 1.2 * noise
    hits = np.mean(np.abs(mean - np.array(values)) < 1.6449 * sd)
    assert 0.7 <= hits <= 1.0
    assert noise == 0 or np.median(sd) == pytest.approx(noise, rel=0.5)


def test_far_from_all_trials_less_is_known() -> None:
    corner = Space(x=Float(0, 0.3), y=Float(0, 0.3))
    problem = Problem(PLANE, (Objective("loss", "min"),))
    history = told(problem, drawn(corner, bowl, 30))
    _, sd = predict(history, [{"x": 0.15, "y": 0.15}, {"x": 0.95, "y": 0.95}])
    assert sd[1] > 5 * sd[0]


def test_predictions_are_on_the_side_of_the_goal_and_of_the_first_objective() -> None:
    problem = Problem(PLANE, (Objective("score", "max"), Objective("size", "min")))
    history = told(problem, [(p, -loss) for p, loss in drawn(PLANE, bowl, 40)])
    mean, _ = predict(history, [{"x": 0.3, "y": 0.6}, {"x": 1.0, "y": 0.0}])
    assert mean[0] == pytest.approx(0.0, abs=0.05)
    assert mean[1] < -0.25  # in truth -0.85; the model looks less closely at what is bad


def test_predictions_are_for_points_of_the_space() -> None:
    history = told(NOISY, drawn(PLANE, bowl, 20))
    with pytest.raises(InvalidParams, match="missing"):
        predict(history, [{"x": 0.5}])
    with pytest.raises(InvalidParams):
        predict(history, [{"x": 0.5, "y": 2.0}])


def test_conditional_and_mixed_spaces_are_predicted_too() -> None:
    space = Space(
        kind=Choice("flat", "deep"), depth=Int(1, 9, when={"kind": "deep"}), rate=Float(1e-4, 1, log=True)
    )

    def loss(p: Params) -> float:
        return abs(math.log10(p["rate"]) + 2) + (p["depth"] if p["kind"] == "deep" else 5)  # type: ignore[arg-type, operator, return-value]

    history = told(Problem(space, NOISY.objectives), drawn(space, loss, 60, 0.05))
    mean, _ = predict(history, [{"kind": "flat", "rate": 0.01}, {"kind": "deep", "depth": 1, "rate": 0.01}])
    assert mean == pytest.approx([5.0, 1.0], abs=0.5)


def test_without_values_that_differ_there_is_nothing_to_expect() -> None:
    here = {"x": 0.5, "y": 0.5}
    with pytest.raises(LuthierError, match=r"0 of 0 trials completed with a value; .* Run more trials"):
        predict(History(NOISY), [here])
    with pytest.raises(LuthierError, match="1 of 1 trials"):
        predict(told(NOISY, [(here, 1.0)]), [here])
    with pytest.raises(LuthierError, match="all have the same value"):
        predict(told(NOISY, [(p, 1.0) for p, _ in drawn(PLANE, bowl, 12)]), [here])


def test_nothing_varies_and_yet_something_is_expected() -> None:
    still = Problem(Space(x=1.0), NOISY.objectives)
    history = told(still, [({"x": 1.0}, value) for value in (1.0, 2.0, 3.0, 2.0)])
    assert predict(history, [{"x": 1.0}])[0] == pytest.approx([2.0], abs=0.5)


# --- the best ----------------------------------------------------------------------------------


def test_a_lucky_measurement_does_not_make_the_best() -> None:
    lucky = {"x": 0.75, "y": 0.6}  # where the truth is 0.2
    history = told(NOISY, [*drawn(PLANE, bowl, 60, 0.1), (lucky, -0.15)])
    seen, best = history.best(), best_of(history)
    assert seen is not None
    assert seen.params == lucky
    assert best is not None
    assert bowl(best.params) < 0.15


def test_without_noise_the_best_is_the_best_that_was_measured_and_no_model_is_made() -> None:
    history = told(Problem(PLANE, (Objective("loss", "min"),)), drawn(PLANE, bowl, 30))
    assert best_of(history) == history.best()
    assert ranking(history) == []
    assert history not in expected._models._of


def test_the_best_is_the_first_trial_of_a_point_that_was_tried_often() -> None:
    space = Space(x=Int(0, 3))
    problem = Problem(space, NOISY.objectives)
    rng = np.random.default_rng(0)
    trials = [({"x": i % 4}, float(i % 4 != 2) + 0.3 * rng.normal()) for i in range(60)]
    points = ranking(told(problem, trials))  # type: ignore[arg-type]
    assert len(points) == 4
    assert points[0].trial.number == 2
    assert points[0].seen == tuple(value for _, value in trials[2::4])
    assert points[0].mean == pytest.approx(0.0, abs=0.25)
    assert points[0].sd == pytest.approx(0.3, rel=0.6)
    assert [point.mean for point in points] == sorted(point.mean for point in points)


def test_the_best_is_feasible_and_in_the_space_and_completed() -> None:
    problem = Problem(PLANE, NOISY.objectives, (Constraint("size", high=1.0),))
    history = History(problem)
    trials = [
        Trial(i, params, State.RUNNING, 1).after(Completed({"loss": value, "size": 2.0 * (i % 2)}), 1)
        for i, (params, value) in enumerate(drawn(PLANE, bowl, 30, 0.02))
    ]
    outside = Trial(30, {"x": 0.3, "y": 0.6, "z": 1}, State.RUNNING, 1)
    failed = Trial(31, {"x": 0.3, "y": 0.6}, State.RUNNING, 1)
    trials += [outside.after(Completed({"loss": -9.0, "size": 0.0}), 1), failed.after(Failed("no"), 1)]
    history.merge(trials, 32)
    points = ranking(history)
    assert {point.trial.number for point in points} == set(range(0, 30, 2))
    best = best_of(history)
    assert best is not None
    assert bowl(best.params) < 0.15


def test_until_there_is_a_model_the_best_is_the_best_that_was_seen() -> None:
    history = History(NOISY)
    assert best_of(history) is None
    told(NOISY, [({"x": 0.1, "y": 0.1}, 1.0)], history)
    assert best_of(history) == history[0]
    told(NOISY, [({"x": 0.9, "y": 0.1}, math.nan), ({"x": 0.9, "y": 0.9}, math.inf)], history)
    assert best_of(history) == history[0]


def test_what_is_expected_does_not_depend_on_how_often_one_looked() -> None:
    trials = drawn(PLANE, bowl, 40, 0.1)
    looked = History(NOISY)
    for one in trials:
        told(NOISY, [one], looked)
        best_of(looked)
    once = told(NOISY, trials)
    assert ranking(looked) == ranking(once)


def test_models_go_with_their_histories_and_are_kept_until_then() -> None:
    history = told(NOISY, drawn(PLANE, bowl, 60, 0.1))
    begun = time.perf_counter()
    ranking(history)
    first = time.perf_counter() - begun
    begun = time.perf_counter()
    for _ in range(10):
        ranking(history)
    assert time.perf_counter() - begun < first
    model = weakref.ref(expected._models._of[history])
    del history
    gc.collect()
    assert model() is None
