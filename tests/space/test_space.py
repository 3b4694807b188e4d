import json
import pickle
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.errors import InvalidParams, InvalidSpace
from luthier.space import Choice, Const, Float, Int, Space, When
from luthier.space.codec import scalars_from_text, scalars_to_text, space_from_json, space_to_json
from tests.space.strategies import scalars, spaces

seeds = st.integers(0, 2**32)


def example() -> Space:
    return Space(
        lr=Float(1e-5, 1e-1, log=True),
        layers=Int(1, 6),
        optimizer=Choice("adam", "sgd"),
        momentum=Float(0.0, 0.99, when={"optimizer": "sgd"}),
    )


@given(spaces(), seeds)
def test_a_sample_is_a_point_of_the_space(space: Space, seed: int) -> None:
    params = space.sample(np.random.default_rng(seed))
    space.check(params)
    assert list(params) == [name for name in space if name in set(space.active(params))]
    assert all(type(value) in (bool, int, float, str, type(None)) for value in params.values())


@given(spaces(), seeds)
def test_the_same_generator_gives_the_same_sample(space: Space, seed: int) -> None:
    one, other = (space.sample(np.random.default_rng(seed)) for _ in range(2))
    assert one == other
    assert space.key(one) == space.key(other)


@given(spaces(), seeds, seeds)
def test_a_sample_keeps_what_it_is_told_to_where_that_exists(space: Space, seed: int, other: int) -> None:
    keep = space.sample(np.random.default_rng(seed))
    assert space.sample(np.random.default_rng(other), keep) == keep
    for name in list(keep):
        part = {n: v for n, v in keep.items() if n != name}
        params = space.sample(np.random.default_rng(other), part)
        space.check(params)


@given(spaces(), seeds)
def test_a_point_with_a_parameter_more_or_less_is_refused(space: Space, seed: int) -> None:
    params = space.sample(np.random.default_rng(seed))
    for name in params:
        with pytest.raises(InvalidParams, match=name):
            space.check({n: v for n, v in params.items() if n != name})
    for name in set(space) - set(params):
        with pytest.raises(InvalidParams, match=f"{name}.*exists only where"):
            space.check({**params, name: space[name].at(0.5)})
    with pytest.raises(InvalidParams, match="'foreign' is not a parameter"):
        space.check({**params, "foreign": 1})


@given(spaces())
def test_parents_come_before_the_parameters_that_depend_on_them(space: Space) -> None:
    order = space.order
    assert sorted(order) == sorted(space)
    for name in space:
        for condition in space.conditions(name):
            assert order.index(condition.parent) < order.index(name)


@given(spaces())
def test_a_space_comes_back_from_json_and_from_pickle(space: Space) -> None:
    text = json.dumps(space_to_json(space), allow_nan=False)
    for other in (space_from_json(json.loads(text)), pickle.loads(pickle.dumps(space))):
        assert other == space
        assert repr(other) == repr(space)
        assert list(other) == list(space)
        assert hash(other) == hash(space)
        assert other.sample(np.random.default_rng(0)) == space.sample(np.random.default_rng(0))


@given(st.dictionaries(st.text(), scalars | st.just(float("-inf"))))
def test_values_come_back_from_text_with_their_types(values: dict[str, Any]) -> None:
    back = scalars_from_text(scalars_to_text(values))
    assert [(k, type(v), v) for k, v in back.items()] == [(k, type(v), v) for k, v in values.items()]
    nan = scalars_from_text(scalars_to_text({"x": float("nan")}))["x"]
    assert nan != nan


@given(spaces())
def test_a_description_names_everything(space: Space) -> None:
    lines = space.describe().splitlines()
    assert len(lines) >= len(space) + 1
    assert all(any(line.startswith(name) for line in lines) for name in space)


def test_the_example_of_the_readme() -> None:
    space = example()
    assert space.order == ["lr", "layers", "optimizer", "momentum"]
    counts = Counter("momentum" in space.sample(np.random.default_rng(i)) for i in range(200))
    assert min(counts.values()) > 60
    assert space.at({"lr": 0.5, "layers": 0.0, "optimizer": 0.9, "momentum": 1.0}) == {
        "lr": pytest.approx(1e-3),
        "layers": 1,
        "optimizer": "sgd",
        "momentum": 0.99,
    }
    assert "exists where" in space.describe()


def test_nested_choices_are_flattened_to_any_depth() -> None:
    space = Space(
        model=Choice(
            {
                "svm": {"kernel": Choice({"poly": {"degree": Int(2, 5)}, "rbf": {}}), "C": Float(0.1, 10)},
                "tree": {"depth": [3, 5]},
            }
        )
    )
    assert space.conditions("degree") == (When("model", ("svm",)), When("kernel", ("poly",)))
    space.check({"model": "svm", "kernel": "poly", "degree": 2, "C": 1.0})
    space.check({"model": "tree", "depth": 3})
    assert Space(model={"svm": {"C": Float(0.1, 10)}, "tree": {}})["C"].when == (When("model", ("svm",)),)


def test_branches_may_share_a_parameter() -> None:
    space = Space(m=Choice({"a": {"k": Int(1, 3)}, "b": {"k": Int(1, 3)}, "c": {}}))
    assert space.conditions("k") == (When("m", ("a", "b")),)
    deep = Space(
        m=Choice(
            {name: {"k": Choice({"u": {"x": Float(0, 1)}, "v": {}})} for name in ("a", "b")},
        )
    )
    assert deep.conditions("x") == (When("m", ("a", "b")), When("k", ("u",)))


def test_branches_may_not_disagree_about_a_parameter() -> None:
    with pytest.raises(InvalidSpace, match="'k' is defined twice"):
        Space(m=Choice({"a": {"k": Int(1, 3)}, "b": {"k": Int(1, 4)}}))
    with pytest.raises(InvalidSpace, match="'k' is defined"):
        Space(m=Choice({"a": {"k": Int(1, 3)}}), n=Choice({"b": {"k": Int(1, 3)}}))
    with pytest.raises(InvalidSpace, match="'m' is defined twice"):
        Space(m=Choice({"a": {"m": Int(1, 3)}}))


def test_short_forms_become_choices_and_constants() -> None:
    space = Space({"clf__C": [1, 10], "epochs": 10, "name": "x", "flag": True, "none": None})
    assert isinstance(space["clf__C"], Choice)
    assert all(isinstance(space[name], Const) for name in ("epochs", "name", "flag", "none"))


def test_true_and_one_are_different_spaces() -> None:
    assert Space(a=[1]) != Space(a=[True]) != Space(a=[1.0])
    assert Space(a=1) != Space(a=1.0)
    assert Space(a=Int(1, 2), b=1) != Space(b=1, a=Int(1, 2))


def test_a_key_tells_points_apart_by_value_and_type() -> None:
    space = Space(a=Choice(1, True, 1.0, "1", None, "None"))
    assert len({space.key({"a": value}) for value in space["a"].grid(9)}) == 6
    steps = Space(x=Float(0, 1, step=0.1), y=Float(0, 1))
    assert steps.key({"x": 0.1 + 0.2, "y": 1}) == steps.key({"x": 0.3, "y": 1.0})
    assert Space(a=Int(-2, 0)).key({"a": -1}) != Space(a=Int(-2, 0)).key({"a": -2})


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (
            lambda: Space(lr=Float(0, 1, when={"optimiser": "sgd"}), optimizer=["sgd"]),
            ["lr", "optimiser", "optimizer"],
        ),
        (
            lambda: Space(a=Choice(1, 2, when={"b": 1}), b=Choice(1, 2, when={"a": 1})),
            ["'a' -> 'b' -> 'a'", "Drop"],
        ),
        (lambda: Space(a=Choice(1, 2, when={"a": 1})), ["'a' -> 'a'", "circle"]),
        (lambda: Space(a=Int(1, 2, when={"b": "sdg"}), b=["sgd", "adam"]), ["'a'", "'sdg'", "'sgd'"]),
        (lambda: Space(a=Int(1, 2, when={"b": 1}), b=[True, False]), ["'a'", "'b' is 1", "never"]),
        (lambda: Space(a=Int(1, 2, when={"b": 9}), b=Int(1, 3)), ["'a'", "9", "Int(1, 3)"]),
        (lambda: Space(a=Int(1, 2, when={"b": 0.5}), b=Float(0, 1)), ["'a'", "Float", "'b'", "Choice"]),
        (lambda: Space(a=[]), ["'a'", "empty"]),
        (lambda: Space(a=[1, 1]), ["'a'", "1", "twice"]),
        (lambda: Space(a=float("nan")), ["'a'", "NaN"]),
        (lambda: Space(a=np.zeros(2)), ["'a'", "ndarray"]),
        (lambda: Space(a={"x": {"b": float("nan")}}), ["'b'", "NaN"]),
        (lambda: Space({"": 1}), ["''", "name"]),
        (lambda: Space({3: 1}), ["3", "name"]),
        (lambda: Space([("a", 1)]), ["dict"]),  # type: ignore[arg-type]
    ],
)
def test_a_space_that_contradicts_itself_is_refused(make: Any, says: list[str]) -> None:
    with pytest.raises(InvalidSpace) as error:
        make()
    for word in says:
        assert word in str(error.value)


def test_a_wrong_point_is_explained() -> None:
    space = example()
    good = {"lr": 0.01, "layers": 2, "optimizer": "adam"}
    for wrong, says in [
        ({"layer": 3}, "'layer' is not a parameter of this space. Did you mean 'layers'?"),
        ({"lr": 1.0}, "'lr' is 1.0, outside [1e-05, 0.1]"),
        ({"layers": 2.0}, "'layers' is 2.0, a float, and must be an int"),
        ({"optimizer": "rmsprop"}, "'optimizer' is 'rmsprop', not one of 'adam', 'sgd'"),
        ({"optimizer": "sgd"}, "'momentum' is missing"),
        ({"momentum": 0.5}, "'momentum' exists only where optimizer is 'sgd'"),
    ]:
        with pytest.raises(InvalidParams) as error:
            space.check({**good, **wrong})
        assert says in str(error.value)


def test_a_space_from_the_future_or_from_nowhere_is_refused() -> None:
    with pytest.raises(InvalidSpace, match=r"format 99.*Upgrade"):
        space_from_json({"version": 99})
    for broken in ({}, None, {"version": 1}, {"version": 1, "parameters": [{"name": "a", "kind": "tree"}]}):
        with pytest.raises(InvalidSpace):
            space_from_json(broken)
