import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.errors import InvalidParams, InvalidSpace
from luthier.space import Choice, Const, Float, Int, LogNormal, Normal, Parameter, When
from tests.space.strategies import parameters

units = st.floats(0, 1)


@given(parameters, units)
def test_every_place_of_the_unit_interval_has_a_value_of_the_right_type(p: Parameter, unit: float) -> None:
    value = p.at(unit)
    p.check(value)
    match p:
        case Float():
            assert type(value) is float
        case Int():
            assert type(value) is int
        case Choice():
            assert any(value is known for known in p.values)
        case Const():
            assert value is p.value


@given(parameters, units)
def test_a_value_comes_back_from_its_place(p: Parameter, unit: float) -> None:
    value = p.at(unit)
    place = p.unit(value)
    assert 0.0 <= place <= 1.0
    again = p.at(place)
    if isinstance(p, Float) and p.step is None:
        assert isinstance(again, float)
        assert isinstance(value, float)
        assert math.isclose(
            again, value, rel_tol=1e-6, abs_tol=1e-6 * max(1.0, abs(p.low) if p.low > -9e9 else 1)
        )
    else:
        assert again == value
        assert type(again) is type(value)


@given(parameters, st.lists(units, max_size=5))
def test_many_at_once_are_the_same_as_one_by_one(p: Parameter, places: list[float]) -> None:
    values = p.from_unit(np.array(places))
    assert values == [p.at(place) for place in places]
    assert p.to_unit(values).tolist() == [p.unit(value) for value in values]


@given(parameters, units, units)
def test_what_has_an_order_keeps_it(p: Parameter, a: float, b: float) -> None:
    low, high = p.at(min(a, b)), p.at(max(a, b))
    if isinstance(p, Float | Int):
        assert isinstance(low, float | int)
        assert isinstance(high, float | int)
        assert low <= high


@pytest.mark.parametrize(
    "p",
    [
        Int(1, 6),
        Int(-3, 12, step=5),
        Float(0, 0.5, step=0.1),
        Float(0, 1, step=0.3),
        Choice("a", "b", "c"),
        Choice(True, 1, 1.0),
    ],
    ids=repr,
)
def test_uniform_places_give_every_value_equally_often(p: Parameter) -> None:
    n = 60_000
    values = [(type(v), v) for v in p.from_unit((np.arange(n) + 0.5) / n)]
    assert p.size is not None
    counts = [values.count(value) for value in dict.fromkeys(values)]
    assert len(counts) == p.size
    assert max(counts) - min(counts) <= 1


def test_weights_say_how_often_a_choice_is_drawn() -> None:
    drawn = Choice("a", "b", weights=[1, 3]).from_unit(np.linspace(0, 1, 4000, endpoint=False))
    assert drawn.count("a") == 1000


def test_a_log_scale_gives_each_order_of_magnitude_its_share() -> None:
    p = Float(1e-4, 1, log=True)
    assert [p.at(u) for u in (0, 0.25, 0.5, 0.75, 1)] == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1, 1])
    counts = np.bincount(Int(1, 100, log=True).from_unit(np.linspace(0, 1, 9000, endpoint=False)))
    assert counts[1] > counts[2] > counts[3] > counts[50] > 0


def test_a_reverse_log_scale_gives_each_nine_its_share() -> None:
    p = Float(0.9, 0.999, log="reverse")
    assert p.at(0.5) == pytest.approx(0.99)


def test_a_prior_gives_its_quantiles() -> None:
    assert Float(prior=Normal(2, 3)).at(0.5) == pytest.approx(2)
    assert Float(prior=Normal(2, 3)).at(0.8413447) == pytest.approx(5, abs=1e-4)
    assert Float(prior=LogNormal(1, 1)).at(0.5) == pytest.approx(math.e)
    truncated = Float(0, prior=Normal(0, 1))
    assert truncated.at(0) == 0
    assert truncated.at(0.5) == pytest.approx(0.6745, abs=1e-3)
    assert Int(0, 10, prior=Normal(5, 1)).at(0.5) == 5


def test_a_log_normal_value_is_never_negative() -> None:
    p = Float(prior=LogNormal(0, 1))
    assert p.low == 0
    with pytest.raises(InvalidParams):
        p.check(-1.0)


def test_steps_are_decimal_as_a_person_writes_them() -> None:
    assert Float(0, 0.5, step=0.1).grid(99) == [0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert Float(0.1, 0.35, step=0.1).grid(99) == [0.1, 0.2, 0.3]
    assert Float(1e-20, 1e-19, step=1e-20).at(0.5) == pytest.approx(5e-20, rel=0.2)
    Float(0, 1e9, step=1e-3).check(Float(0, 1e9, step=1e-3).at(0.987654321))


def test_integers_stay_exact_where_floats_do_not() -> None:
    p = Int(0, 2**63 - 1)
    assert p.at(1.0) == 2**63 - 1
    p.check(2**53 + 1)
    assert Int(-(2**63), 2**63 - 1).size == 2**64


def test_a_grid_is_spread_over_the_scale() -> None:
    assert Float(1e-2, 1e2, log=True).grid(5) == pytest.approx([0.01, 0.1, 1, 10, 100])
    assert Int(1, 3).grid(9) == [1, 2, 3]
    assert len(Int(1, 100).grid(5)) == len(Int(1, 11).grid(5)) == 5
    assert len(Int(1, 10).grid(5)) == 10
    assert Float(0, 1).grid(1) == [0.5]
    assert all(math.isfinite(float(v or 0)) for v in Float(prior=Normal(0, 1)).grid(4))


@given(parameters)
def test_parameters_survive_pickling_and_copying(p: Parameter) -> None:
    for other in (pickle.loads(pickle.dumps(p)), copy.deepcopy(p)):
        assert other == p
        assert hash(other) == hash(p)
        assert other.at(0.3) == p.at(0.3)


def test_numbers_of_numpy_become_pythons_own() -> None:
    p = Float(np.float32(0.5), np.float64(2))
    assert type(p.low) is float
    assert type(Int(np.int64(1), np.int8(5)).high) is int
    assert type(Choice(np.int64(3), np.str_("a")).values[0]) is int


def test_a_repr_is_short_and_tells_apart_what_differs() -> None:
    assert repr(Float(1e-5, 0.1, log=True)) == "Float(1e-05, 0.1, log=True)"
    assert repr(Int(1, 6)) == "Int(1, 6)"
    assert repr(Choice("a", "b", when={"c": [1, 2]})) == "Choice('a', 'b', when={'c': [1, 2]})"
    assert repr(Float(0, 0.123456789)) != repr(Float(0, 0.123456788))
    assert repr(Const(None)) == "Const(None)"


def test_a_set_of_values_is_put_in_order() -> None:
    p = Float(0, 1, when={"kind": {"c", "a", "b"}})
    assert p.when == (When("kind", ("a", "b", "c")),)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Float(0.1, 0.01), ["0.1", "0.01", "Swap"]),
        (lambda: Int(5, 2), ["5", "2", "Swap"]),
        (lambda: Float(0, 1, log=True), ["low is 0", "log"]),
        (lambda: Int(0, 9, log=True), ["low is 0", "log"]),
        (lambda: Float(-1, 1, log=True), ["low is -1", "log"]),
        (lambda: Float(math.nan, 1), ["nan", "bound"]),
        (lambda: Float(0, math.inf), ["inf", "finite"]),
        (lambda: Float(0), ["inf", "prior"]),
        (lambda: Float(-1e308, 1e308), ["too far apart"]),
        (lambda: Float(0, 1, step=0), ["step", "0"]),
        (lambda: Float(0, 1, step=-0.1), ["step", "-0.1"]),
        (lambda: Float(0, 1, step=math.nan), ["step", "nan"]),
        (lambda: Float(0.1, 1, step=0.5, log=True), ["step 0.5", "0.1", "0.25"]),
        (lambda: Int(1, 101, step=10, log=True), ["step 10", "starts at 1"]),
        (lambda: Float(0, 1, log="reverse"), ["[0, 1]", "reverse"]),
        (lambda: Float(0, 0.9, log="reverse", step=0.1), ["step", "reverse"]),
        (lambda: Float(0, 1, log="revers"), ["'revers'", "'reverse'"]),
        (lambda: Int(1, 9, log="reverse"), ["'reverse'", "True or False"]),
        (lambda: Float(1, 2, log=1), ["log is 1"]),
        (lambda: Float(1, 2, log=True, prior=Normal(0, 1)), ["log", "prior", "Keep one"]),
        (lambda: Float(100, 200, prior=Normal(0, 1)), ["prior", "[100, 200]"]),
        (lambda: Float(-2, -1, prior=LogNormal(0, 1)), ["-1", "log-normal"]),
        (lambda: Normal(0, 0), ["sigma"]),
        (lambda: LogNormal(math.inf, 1), ["mu"]),
        (lambda: Float("0", 1), ["'0'", "number"]),
        (lambda: Float(True, 2), ["True", "number"]),
        (lambda: Int(1.0, 6), ["1.0", "whole", "low=1"]),
        (lambda: Int(1, 6, step=0.5), ["0.5", "whole"]),
        (lambda: Int(0, 2**64), ["64 bits"]),
        (Choice, ["empty", "Choice('a', 'b')"]),
        (lambda: Choice([]), ["empty"]),
        (lambda: Choice("a", "a"), ["'a'", "twice"]),
        (lambda: Choice("a", math.nan), ["NaN", "None"]),
        (lambda: Choice("a", object), ["type", "name"]),
        (lambda: Choice("a", "b", weights=[1]), ["1 weights", "2 values"]),
        (lambda: Choice("a", "b", weights=[1, 0]), ["[1.0, 0.0]", "positive"]),
        (lambda: Choice("a", "b", weights=["x", 1]), ["'x'", "number"]),
        (lambda: Choice({"a": 3}), ["'a'", "3", "{}"]),
        (lambda: Const(math.nan), ["NaN"]),
        (lambda: Const([1, 2]), ["[1, 2]", "list"]),
        (lambda: Float(0, 1, when="sgd"), ["'sgd'", "when={"]),
        (lambda: Float(0, 1, when={"a": []}), ["'a'", "at least one"]),
        (lambda: Float(0, 1, when=("a",)), ["('a',)", "when={"]),
    ],
)
def test_a_parameter_that_contradicts_itself_is_refused(make: Any, says: list[str]) -> None:
    with pytest.raises(InvalidSpace) as error:
        make()
    for word in says:
        assert word in str(error.value)
    assert str(error.value).endswith((".", "sigma above 0."))


@pytest.mark.parametrize(
    ("p", "value"),
    [
        (Float(0, 1), 1.5),
        (Float(0, 1), math.nan),
        (Float(0, 1), True),
        (Float(0, 1), "0.5"),
        (Float(0, 1), None),
        (Float(0, 1, step=0.3), 1.0),
        (Float(prior=Normal(0, 1)), math.inf),
        (Int(1, 6), 2.0),
        (Int(1, 6), 7),
        (Int(1, 6), True),
        (Int(1, 9, step=4), 4),
        (Choice(1, 2), True),
        (Choice(1, 2), 1.0),
        (Choice(1, 2), [1]),
        (Const(1), True),
    ],
)
def test_a_value_that_a_parameter_does_not_allow_is_refused(p: Parameter, value: Any) -> None:
    with pytest.raises(InvalidParams, match=r"is "):
        p.check(value)
