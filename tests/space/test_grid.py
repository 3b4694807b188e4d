import itertools
import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from luthier.errors import InvalidSpace
from luthier.space import Choice, Float, Int, Params, Points, Space, same, size
from tests.space.strategies import finite, spaces


def every_point(space: Space) -> set[str]:
    """The keys of all points, the slow and obvious way."""
    found = set()
    names = space.order
    for values in itertools.product(*(space[name].grid(10**6) for name in names)):
        params: dict[str, object] = {}
        for name, value in zip(names, values, strict=True):
            if space.exists(name, params):  # type: ignore[arg-type]
                params[name] = value
        found.add(space.key(params))  # type: ignore[arg-type]
    return found


@given(spaces(finite, most=6))
def test_a_grid_has_every_point_of_a_finite_space_once(space: Space) -> None:
    assume(math.prod(parameter.size or 0 for parameter in space.values()) <= 2000)
    points: list[Params] = list(Points(space))
    for point in points:
        space.check(point)
    keys = [space.key(point) for point in points]
    assert len(keys) == len(set(keys)) == size(space)
    assert set(keys) == every_point(space)


@given(spaces(most=6), st.integers(1, 4), st.integers(0, 10**9))
def test_a_grid_over_any_space_has_valid_points_that_differ(space: Space, levels: int, i: int) -> None:
    assume(all(not isinstance(p, Float) or p.step is None or p.high < math.inf for p in space.values()))
    grid = Points(space, levels)
    points = [grid[j % grid.size] for j in range(i, i + min(grid.size, 30))]
    for point in points:
        space.check(point)
    assert len({space.key(point) for point in points}) == len(points)


@given(spaces(finite, most=5), st.data())
def test_points_to_skip_have_no_number_and_all_others_one(space: Space, data: st.DataObject) -> None:
    assume(len(space) and math.prod(parameter.size or 0 for parameter in space.values()) <= 1000)
    everything: list[Params] = list(Points(space))
    rules = []
    for _ in range(data.draw(st.integers(0, 3))):
        point = data.draw(st.sampled_from(everything))
        names = data.draw(st.lists(st.sampled_from(sorted(point)), min_size=1, max_size=3, unique=True))
        rules.append({name: point[name] for name in names})

    def skipped(point: Params) -> bool:
        return any(
            all(name in point and same(point[name], value) for name, value in rule.items()) for rule in rules
        )

    left = Points(space, skip=rules)
    keys = [space.key(point) for point in left]
    assert len(keys) == len(set(keys)) == left.size
    assert set(keys) == {space.key(point) for point in everything if not skipped(point)}


def test_what_is_to_be_skipped_does_not_add_points_to_a_thinned_grid() -> None:
    space = Space(n=Int(1, 1000), kind=["a", "b"])
    assert Points(space, 5, [{"n": 77, "kind": "a"}]).size == Points(space, 5).size == 10
    assert Points(space, 5, [{"n": 1, "kind": "a"}]).size == 9
    assert Points(Space(kind=["a"]), skip=[{"kind": "a"}]).size == 0


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({}, "every point"),
        ({"kin": "a"}, "kind"),
        ({"kind": "c"}, "'kind' in skip"),
        ({"kind": None}, "in skip"),
    ],
)
def test_a_rule_that_means_nothing_is_refused(rule: dict[str, str | None], said: str) -> None:
    with pytest.raises(InvalidSpace, match=said):
        Points(Space(kind=["a", "b"]), skip=[rule])


def test_conditional_parameters_count_only_where_they_exist() -> None:
    space = Space(
        kernel=Choice(
            {"rbf": {}, "poly": {"degree": Int(2, 5), "coef": Choice({"own": {"c": [0, 1]}, "no": {}})}}
        ),
        shrink=[True, False],
    )
    assert size(space) == 2 * (1 + 4 * (2 + 1))
    assert len(Points(space)) == 26


def test_a_grid_of_a_trillion_points_is_made_of_none() -> None:
    space = Space({f"p{i}": Int(1, 10**6) for i in range(2)})
    grid = Points(space)
    assert len(grid) == 10**12
    assert grid[0] == {"p0": 1, "p1": 1}
    assert grid[-1] == {"p0": 10**6, "p1": 10**6}
    assert grid[10**6 * 41 + 6] == {"p0": 42, "p1": 7}
    fine = Points(Space({f"p{i}": Float(0, 1, step=1e-9) for i in range(40)}))
    assert fine.size == (10**9 + 1) ** 40
    assert fine[fine.size - 1]["p39"] == 1.0


def test_many_conditional_families_stay_cheap_to_count() -> None:
    parts: dict[str, object] = {f"use{i}": [True, False] for i in range(300)}
    parts |= {f"value{i}": Int(1, 3, when={f"use{i}": True}) for i in range(300)}
    grid = Points(Space(parts))
    assert grid.size == 4**300
    grid.space.check(grid[grid.size // 3])


def test_values_that_conditions_ask_for_are_never_thinned_out() -> None:
    space = Space(n=Int(1, 100), x=Choice("a", "b", when={"n": 37}))
    points = list(Points(space, levels=3))
    assert {point["n"] for point in points} >= {1, 37, 100}
    assert sum("x" in point for point in points) == 2


def test_slices_and_wrong_indices() -> None:
    grid = Points(Space(a=[1, 2, 3]))
    assert grid[1:] == [{"a": 2}, {"a": 3}]
    assert grid[::-1] == list(reversed(grid))
    for i in (3, -4):
        with pytest.raises(IndexError):
            grid[i]


def test_a_continuum_has_no_size_and_needs_levels() -> None:
    space = Space(x=Float(0, 1), n=Int(1, 3))
    assert size(space) is None
    with pytest.raises(InvalidSpace, match=r"'x' is continuous.*levels"):
        Points(space)
    with pytest.raises(InvalidSpace, match="levels is 0"):
        Points(space, 0)
    assert [p["x"] for p in Points(Space(x=Float(0, 1)), 3)] == [0, 0.5, 1]
    assert size(Space(x=Float(0.5, 0.5))) == 1
    assert size(Space()) == 1
