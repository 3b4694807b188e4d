"""Functions whose variance is known."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest

from luthier.analysis import Forest, importance
from luthier.errors import InvalidParams, LuthierError
from luthier.space import Choice, Float, Int, Params, Space
from luthier.study import Completed, Failed, History, Objective, Problem, State, Stopped, Trial

FOUR = Space(a=Float(0, 1), b=Float(0, 1), c=Float(0, 1), d=Float(0, 1))


def study(
    space: Space, function: Callable[[Params], float], n: int, *, maximize: bool = False, seed: int = 0
) -> History:
    history = History(Problem(space, (Objective("loss", "max" if maximize else "min"),)))
    rng = np.random.default_rng(seed)
    trials = []
    for number in range(n):
        params = space.sample(rng)
        running = Trial(number, params, State.RUNNING, 1, started=0.0)
        trials.append(running.after(Completed({"loss": float(function(params))}), 1))
    history.merge(trials, n)
    return history


def additive(p: Params) -> float:
    return 3 * p["a"] + 2 * p["b"] + p["c"]  # type: ignore[operator, return-value]


def shares(history: History) -> dict[str, float]:
    return {item.parameter: item.share for item in importance(history)}


def test_shares_of_a_sum_are_those_of_its_terms() -> None:
    found = importance(study(FOUR, additive, 300))
    assert [item.parameter for item in found] == ["a", "b", "c", "d"]
    expected = [9 / 14, 4 / 14, 1 / 14, 0]
    for item, share in zip(found, expected, strict=True):
        assert item.share == pytest.approx(share, abs=0.06)
        assert 0 <= item.error < 0.1
    assert sum(item.share for item in found) <= 1 + 1e-9


def test_the_goal_does_not_change_what_matters() -> None:
    found = shares(study(FOUR, lambda p: -additive(p), 200, maximize=True))
    assert found == pytest.approx(shares(study(FOUR, additive, 200)))


def test_what_two_parameters_do_only_together_belongs_to_neither() -> None:
    found = shares(study(FOUR, lambda p: (p["a"] - 0.5) * (p["b"] - 0.5), 1000))  # type: ignore[operator]
    assert all(share < 0.05 for share in found.values())


def test_few_trials_are_less_certain() -> None:
    errors = [importance(study(FOUR, additive, n))[0].error for n in (20, 400)]
    assert errors[0] > 2 * errors[1]


def test_scales_integers_and_choices_count_as_the_space_means_them() -> None:
    space = Space(
        lr=Float(1e-4, 1, log=True),
        depth=Int(1, 4),
        kind=Choice("p", "q", "r", weights=[2, 1, 1]),
        size=Choice(8, 16, 32, ordered=True),
        none=Choice(True, False),
        fixed=3,
    )
    add = {"p": 1.0, "q": 0.0, "r": 0.0}
    found = shares(
        study(
            space,
            lambda p: math.log10(p["lr"]) + p["depth"] + add[p["kind"]] + p["size"] / 8,  # type: ignore[index, arg-type, operator]
            600,
        )
    )
    parts = {"lr": 16 / 12, "depth": 15 / 12, "kind": 1 / 4, "size": 14 / 9, "none": 0.0}
    expected = {name: part / sum(parts.values()) for name, part in parts.items()}
    assert found == pytest.approx(expected, abs=0.06)
    assert "fixed" not in found


def test_a_conditional_parameter_counts_where_it_exists() -> None:
    space = Space(k=["u", "v"], x=Float(0, 1, when={"k": "u"}), y=Float(0, 1, when={"k": "v"}), z=Float(0, 1))
    found = shares(study(space, lambda p: 3 * p["x"] if p["k"] == "u" else 2, 400))  # type: ignore[operator]
    # Var(E[f | k]) = 1/16, and half of the time Var(3x) = 3/4
    assert found == pytest.approx({"x": 6 / 7, "k": 1 / 7, "y": 0, "z": 0}, abs=0.04)


def test_conditions_on_conditional_parameters_and_on_numbers_work() -> None:
    space = Space(
        layers=Int(1, 3),
        w1=Float(0, 1),
        w2=Float(0, 1, when={"layers": [2, 3]}),
        w3=Float(0, 1, when={"layers": 3}),
        mode=Choice("fast", "slow", when={"layers": 3}),
        rate=Float(0, 1, when={"mode": "slow"}),
    )
    found = shares(study(space, lambda p: p["w1"] + p.get("w2", 0.5) + 2 * p.get("rate", 0.5), 1500))  # type: ignore[operator]
    parts = {"w1": 1 / 12, "w2": 2 / 3 / 12, "rate": 4 / 6 / 12}
    expected = {name: parts.get(name, 0.0) / sum(parts.values()) for name in space}
    assert found == pytest.approx(expected, abs=0.1)


def test_very_many_combinations_of_parents_are_drawn_from() -> None:
    space = Space(
        {f"k{i}": Choice("on", "off") for i in range(10)}
        | {f"x{i}": Float(0, 1, when={f"k{i}": "on"}) for i in range(10)}
    )
    found = shares(study(space, lambda p: p.get("x0", 3.0), 150))  # type: ignore[arg-type, return-value]
    assert max(found, key=found.__getitem__) == "k0"
    assert sum(found.values()) <= 1.05


def test_failures_and_exploded_values_do_not_change_the_picture() -> None:
    space, calm = FOUR, study(FOUR, additive, 150)
    wild = History(calm.problem)
    spoilt = [1e12, math.inf, math.nan]
    point = {"a": 0.1, "b": 0.1, "c": 0.1, "d": 0.9}
    extra = [
        Trial(150 + i, point, State.RUNNING, 1).after(said, 1)
        for i, said in enumerate(
            [*(Completed({"loss": v}) for v in spoilt), Failed("no"), Stopped("poor"), Completed({})]
        )
    ]
    outside = Trial(156, {**point, "a": 7.0}, State.RUNNING, 1).after(Completed({"loss": 1.0}), 1)
    wild.merge([*calm, *extra, outside, Trial(157, point)], 160)
    assert shares(wild) == pytest.approx(shares(calm), abs=0.15)
    assert space.allows(point)


def test_too_few_trials_and_equal_values_say_what_to_do() -> None:
    with pytest.raises(LuthierError, match=r"9 of 9 trials completed .* at least 10\. Run more trials"):
        importance(study(FOUR, additive, 9))
    with pytest.raises(LuthierError, match="0 of 0 trials"):
        importance(study(FOUR, additive, 0))
    with pytest.raises(LuthierError, match="all 12 completed trials have loss 2"):
        importance(study(FOUR, lambda p: 2.0, 12))
    counted = itertools.count()
    with pytest.raises(LuthierError, match="every parameter of the space is fixed"):
        importance(study(Space(a=1), lambda p: next(counted), 12))


def test_a_forest_of_the_same_history_is_the_same() -> None:
    history = study(FOUR, additive, 60)
    assert importance(history) == importance(history)
    assert importance(history) == importance(history, forest=Forest.of(history))


def test_a_marginal_of_a_name_that_is_not_there_suggests_one() -> None:
    with pytest.raises(InvalidParams, match="Did you mean"):
        Forest.of(study(Space(gamma=Float(0, 1)), lambda p: p["gamma"], 12)).marginal("gammma")  # type: ignore[arg-type, return-value]


def test_a_parent_of_very_many_values_is_drawn_from() -> None:
    space = Space(n=Int(1, 10_000), x=Float(0, 1, when={"n": list(range(1, 5001))}), y=Float(0, 1))
    found = shares(study(space, lambda p: p.get("x", 0.5) + p["y"], 300))  # type: ignore[operator]
    assert found == pytest.approx({"n": 0, "x": 1 / 3, "y": 2 / 3}, abs=0.15)
