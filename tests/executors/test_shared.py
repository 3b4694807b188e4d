import errno
import io
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from luthier.errors import ObjectiveError
from luthier.executors import Executor, Inline, Processes, Reported
from luthier.executors.shared import LEAST, Packed, pack, read
from luthier.objectives import Context
from luthier.study import Completed
from luthier.testing.executors import job, outcomes, until_ended

MB = 1_000_000


def table(rows: int = 1000, columns: int = 250) -> np.ndarray[Any, Any]:
    return np.arange(rows * columns, dtype=float).reshape(rows, columns)


def there_and_back(value: Any) -> tuple[Any, Packed]:
    """What a worker reads, and how it was packed."""
    packed = pack(value)
    with tempfile.TemporaryFile() as file:
        packed.write(file)
        assert os.fstat(file.fileno()).st_size == packed.size
        return read(os.dup(file.fileno())), packed


# --- what lies outside of the pickle ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(table, id="rows"),
        pytest.param(lambda: np.asfortranarray(table()), id="columns"),
        pytest.param(lambda: table().astype(">f4"), id="other bytes"),
        pytest.param(lambda: table()[:, :-1], id="all but one column"),
        pytest.param(lambda: table()[::-1, 1:], id="backwards"),
        pytest.param(lambda: np.asfortranarray(table())[1:-1], id="rows of columns"),
        pytest.param(lambda: table(4000)[::4], id="a part of much more"),
        pytest.param(lambda: table().reshape(10, 100, 250).swapaxes(0, 2), id="three dimensions"),
        pytest.param(lambda: table().view([("a", float), ("b", float)]), id="records"),
    ],
)
def test_a_large_array_arrives_as_it_was_and_lies_outside_of_the_pickle(
    made: Callable[[], np.ndarray[Any, Any]],
) -> None:
    array = made()
    arrived, packed = there_and_back({"X": array})
    np.testing.assert_array_equal(arrived["X"], array)
    assert (arrived["X"].dtype, arrived["X"].shape) == (array.dtype, array.shape)
    assert type(arrived["X"]) is np.ndarray
    assert len(packed.pickled) < 1000
    assert packed.size < 2.1 * array.nbytes


def test_packing_copies_no_large_array() -> None:
    array = table()
    (view,) = pack([array, array]).arrays
    assert np.shares_memory(np.frombuffer(view), array)


def test_what_is_small_or_no_plain_array_is_in_the_pickle() -> None:
    small = np.zeros(LEAST // 8 - 1)
    words = np.array(["a", None, "b" * 9] * 50_000, dtype=object)
    masked = np.ma.masked_less(table(), 7.0)
    arrived, packed = there_and_back((small, words, masked))
    assert packed.arrays == ()
    np.testing.assert_array_equal(arrived[0], small)
    np.testing.assert_array_equal(arrived[1], words)
    assert np.ma.count_masked(arrived[2]) == 7


def test_one_array_in_several_places_is_sent_once() -> None:
    array = table()
    (first, second, features), packed = there_and_back([array, array, array[:, 1:]])
    assert packed.size < 1.1 * array.nbytes
    assert first is second
    assert np.shares_memory(first, features)


def test_arrays_in_frames_lie_outside_too() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(table(), columns=[f"c{i}" for i in range(250)]).assign(kind="text", n=3)
    arrived, packed = there_and_back(frame)
    pd.testing.assert_frame_equal(arrived, frame)
    assert len(packed.pickled) < packed.size / 10


@pytest.mark.parametrize("form", ["csr_matrix", "csc_array"])
def test_arrays_in_sparse_matrices_lie_outside_too(form: str) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    matrix = getattr(sparse, form)(table(2000))
    arrived, packed = there_and_back(matrix)
    assert (arrived != matrix).nnz == 0
    assert len(packed.pickled) < LEAST / 10


def test_arrays_can_be_written_to_as_before_and_nobody_else_sees_it() -> None:
    array, fixed = table(), table()
    fixed.flags.writeable = False  # a view of what could be written to
    packed = pack((array, fixed))
    with tempfile.TemporaryFile() as file:
        packed.write(file)
        mine, others = (read(os.dup(file.fileno())) for _ in range(2))
    mine[0][:] = -1.0
    np.testing.assert_array_equal(others[0], table())
    np.testing.assert_array_equal(array, table())
    assert not mine[1].flags.writeable


# --- arrays of the caller's files -------------------------------------------------------------------------


@pytest.fixture
def mapped(tmp_path: Path) -> Callable[..., Any]:
    np.save(tmp_path / "X.npy", table())
    return lambda mode="r": np.load(tmp_path / "X.npy", mmap_mode=mode)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="what is mapped cannot be looked at here")
@pytest.mark.parametrize("mode", ["r", "r+"])
@pytest.mark.parametrize(
    "part",
    [
        pytest.param(lambda X: X, id="all"),
        pytest.param(lambda X: X[200:900], id="some rows"),
        pytest.param(np.asarray, id="as a plain array"),
        pytest.param(lambda X: X.T, id="transposed"),
        pytest.param(lambda X: np.asarray(X)[:, :-1], id="all but one column"),
    ],
)
def test_an_array_of_a_file_is_only_named(mapped: Any, mode: str, part: Callable[..., Any]) -> None:
    array = part(mapped(mode))
    arrived, packed = there_and_back(array)
    assert packed.size < 2000
    np.testing.assert_array_equal(arrived, array)
    assert type(arrived) is type(array)
    assert arrived.flags.writeable == array.flags.writeable
    if mode == "r+":
        arrived[:] = 0.0
        assert array[-1, 0] > 0


def test_changes_that_were_kept_from_the_file_are_sent(mapped: Any) -> None:
    array = mapped("c")
    array[0, 0] = -5.0
    arrived, packed = there_and_back(array)
    assert arrived[0, 0] == -5.0
    assert packed.size > array.nbytes


@pytest.mark.parametrize("gone", [Path.unlink, lambda path: np.save(path, -table())])
def test_a_file_that_is_no_longer_there_is_sent(tmp_path: Path, mapped: Any, gone: Any) -> None:
    array = mapped()
    (tmp_path / "X.npy").rename(tmp_path / "old.npy")
    (tmp_path / "X.npy").touch()
    gone(tmp_path / "X.npy")
    arrived, _ = there_and_back(array)
    np.testing.assert_array_equal(arrived, table())


# --- workers ----------------------------------------------------------------------------------------------


def memory() -> dict[str, float]:
    """MB of this process: what it holds for itself alone, and its share of everything."""
    fields = dict(
        re.findall(r"^(\w+):\s+(\d+) kB", Path("/proc/self/smaps_rollup").read_text(), re.MULTILINE)
    )
    alone = int(fields["Private_Clean"]) + int(fields["Private_Dirty"])
    return {"alone": alone / 1e3, "anonymous": int(fields["Anonymous"]) / 1e3}


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="memory is told so on Linux alone")
def test_workers_share_one_copy_of_a_large_matrix() -> None:
    X = np.ones((8000, 1000))  # 64 MB

    def task(trial: Context) -> dict[str, float]:
        total = float(X.sum())
        trial.report(0, **memory())
        return {"loss": total}

    def nothing(trial: Context) -> dict[str, float]:
        trial.report(0, **memory())
        return {"loss": 0.0}

    def held(task: Any) -> list[dict[str, float]]:
        with Processes(2).open(task, "loss") as pool:
            events = until_ended(pool, [job(i) for i in range(6)])
        return [dict(event.report.metrics) for event in events if isinstance(event, Reported)]

    empty = max(found["anonymous"] for found in held(nothing))
    found = held(task)
    assert max(one["anonymous"] for one in found) < empty + 8
    # Once both have looked at it, it is nobody's alone.
    assert min(one["alone"] for one in found) < 64


@pytest.mark.parametrize("executor", [Inline(), Processes(2)])
def test_an_objective_may_write_to_its_own_large_array(executor: Executor) -> None:
    X = np.ones(200_000)

    def task(trial: Context) -> dict[str, float]:
        X[:] *= 1.0
        return {"loss": float(X.sum())}

    with executor.open(task, "loss") as pool:
        ended = outcomes(until_ended(pool, [job(i) for i in range(3)]))
    assert set(map(repr, ended.values())) == {repr(Completed({"loss": 200_000.0}))}


def test_no_room_for_the_data_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "TemporaryFile", Full)
    X = table()
    with (
        pytest.raises(ObjectiveError, match=r"its data, 2 MB, cannot be written to .*TMPDIR"),
        Processes(1).open(lambda trial: {"loss": float(X[0, 0])}, "loss"),
    ):
        pass
