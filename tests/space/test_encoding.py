import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.space import Choice, Encoding, Float, Int, Params, Space
from tests.space.strategies import spaces


def close(space: Space, one: Params, other: Params) -> bool:
    return list(one) == list(other) and all(
        math.isclose(float(a), float(b), rel_tol=1e-6, abs_tol=1e-3)
        if isinstance(space[name], Float) and isinstance(a, float) and isinstance(b, float)
        else (type(a), a) == (type(b), b)
        for name, a, b in ((name, one[name], other[name]) for name in one)
    )


@given(spaces(), st.integers(0, 2**32))
def test_points_come_back_from_their_rows(space: Space, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = [space.sample(rng) for _ in range(5)]
    encoding = Encoding(space)
    array = encoding.encode(rows)
    assert array.shape == (5, len(encoding.columns))
    inside = array[~np.isnan(array)]
    assert ((inside >= 0) & (inside <= 1)).all()
    for row, back in zip(rows, encoding.decode(array), strict=True):
        assert close(space, row, back)


@given(spaces(), st.integers(0, 2**32))
def test_any_numbers_decode_to_points_of_the_space(space: Space, seed: int) -> None:
    encoding = Encoding(space)
    wild = np.random.default_rng(seed).normal(0.5, 2.0, size=(5, len(encoding.columns)))
    wild[0] = np.nan
    for params in encoding.decode(wild):
        space.check(params)


def test_the_columns_of_an_example() -> None:
    space = Space(
        lr=Float(1e-4, 1, log=True),
        kind=["a", "b"],
        size=Choice(1, 2, 3, ordered=True),
        depth=Int(1, 2, when={"kind": "b"}),
        epochs=10,
    )
    encoding = Encoding(space)
    assert encoding.columns == ["lr", "kind='a'", "kind='b'", "size", "depth"]
    array = encoding.encode([{"lr": 0.01, "kind": "a", "size": 2, "epochs": 10}])
    np.testing.assert_allclose(array, [[0.5, 1, 0, 0.5, np.nan]])
    assert encoding.encode([]).shape == (0, 5)
    assert encoding.decode(array) == [{"lr": pytest.approx(0.01), "kind": "a", "size": 2, "epochs": 10}]
