import json
import subprocess
import sys
from datetime import date, datetime

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.sparse import csr_array
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from luthier.errors import DataError
from luthier.estimators import BUNDLED, Data, load_data, with_preprocessing
from luthier.estimators.data import check_folds
from luthier.estimators.outline import changed, outline

TABLE = """size,colour,sold
1.5,red,yes
2.5,blue,no
,red,yes
4.5,,no
3.5,blue,yes
2.0,red,no
"""


@pytest.fixture
def csv(tmp_path):
    def write(text, name="fruit.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    return write


@pytest.mark.parametrize("name", BUNDLED)
def test_data_sets_that_ship_with_scikit_learn_go_by_name(name):
    data = load_data(name, None)
    assert data.X.shape == (data.rows, data.columns)
    assert len(data.feature_names) == data.columns
    assert (data.classes is None) == (name == "diabetes")


def test_a_csv_is_a_table_and_a_target(csv):
    data = load_data(csv(TABLE), "sold")
    assert (data.rows, data.columns, data.name) == (6, 2, "fruit.csv")
    assert data.feature_names == ("size", "colour")
    assert data.classes == ("no", "yes")
    assert data.target == "sold"


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_semicolons_and_tabs_are_delimiters_too(csv, delimiter):
    assert load_data(csv(TABLE.replace(",", delimiter)), "sold").feature_names == ("size", "colour")


def test_parquet_reads_like_csv(csv, tmp_path):
    pd.read_csv(csv(TABLE)).to_parquet(tmp_path / "fruit.parquet")
    from_parquet = load_data(str(tmp_path / "fruit.parquet"), "sold")
    assert from_parquet.fingerprint == load_data(csv(TABLE), "sold").fingerprint


def test_rows_without_a_target_are_left_out_and_counted(csv):
    data = load_data(csv(TABLE + "9,red,\n"), "sold")
    assert (data.rows, data.dropped) == (6, 1)


BAD = [
    (TABLE, "sould", "has no column 'sould'. Did you mean 'sold'?"),
    (TABLE, "zzz", "There is: size, colour, sold."),
    (TABLE, None, "no target is given"),
    (TABLE.replace("2.5,blue,no", "2.5,blue,no,what"), "sold", "line 3 has 4 fields, and the header has 3"),
    (TABLE.replace("2.5,blue,no", "2.5,blue"), "sold", "line 3 has 2 fields"),
    (b"\x00\x01\x02PK", "sold", "binary data"),
    (b"a,b\n\xff\xfe,1\n", "b", "not a CSV in UTF-8"),
    (b"PAR1garbage", "b", "not a Parquet file"),
    ("", "sold", "is empty"),
    ("a,b\n", "b", "has a header and no rows"),
    ("a,b\n1,\n2,\n", "b", "the target 'b' is empty in every one of the 2 rows"),
    ("a,a,b\n1,2,3\n", "b", "several columns named 'a'"),
    ("b\n1\n2\n", "b", "no column besides the target"),
]


@pytest.mark.parametrize(("text", "target", "says"), BAD)
def test_what_cannot_be_read_is_said_in_a_sentence(csv, text, target, says):
    with pytest.raises(DataError) as error:
        load_data(csv(text), target)
    assert says in str(error.value)


def test_a_file_that_is_not_there_and_a_name_that_is_nearly_right(tmp_path):
    with pytest.raises(DataError, match=r"there is no file 'sales\.csv'"):
        load_data("sales.csv", "y")
    with pytest.raises(DataError, match="Did you mean 'digits'"):
        load_data("digit", "y")
    with pytest.raises(DataError, match="is a folder"):
        load_data(str(tmp_path), "y")
    with pytest.raises(DataError, match="brings its own target"):
        load_data("iris", "species")


def test_the_fingerprint_is_of_the_content_in_any_process(csv):
    path = csv(TABLE)
    code = f"from luthier.estimators import load_data; print(load_data({path!r}, 'sold').fingerprint)"
    elsewhere = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = load_data(path, "sold").fingerprint
    assert elsewhere.stdout.strip() == here
    assert load_data(csv(TABLE.replace("1.5", "1.6")), "sold").fingerprint != here
    swapped = "\n".join(",".join((b, a, c)) for a, b, c in (row.split(",") for row in TABLE.split()))
    assert load_data(csv(swapped), "sold").fingerprint != here


def test_the_fingerprint_of_arrays_sees_values_and_not_their_width():
    X, y = load_iris(return_X_y=True)
    one = Data.of(X, y).fingerprint
    assert Data.of(np.asfortranarray(X), y.astype(np.int32)).fingerprint == one
    assert Data.of(X[:, ::-1], y).fingerprint != one
    assert Data.of(csr_array(X), y).fingerprint == Data.of(csr_array(X), y).fingerprint


@pytest.mark.parametrize(
    ("X", "y", "says"),
    [
        (np.zeros(3), np.zeros(3), "reshape it to two dimensions"),
        (np.array([["a"], ["b"]]), np.zeros(2), "Give text in columns of a pandas data frame"),
        (np.zeros((3, 1)), np.zeros(4), "3 rows and y has 4"),
        (np.zeros((0, 2)), np.zeros(0), "nothing to learn from"),
        (np.zeros((3, 1)), np.zeros((3, 2)), "one target value per row"),
        (np.zeros((3, 1)), np.array([1, np.nan, 2]), "missing in 1 of 3 rows"),
    ],
)
def test_arrays_that_do_not_go_together_are_refused(X, y, says):
    with pytest.raises(DataError, match=says):
        Data.of(X, y)


FROZEN = {  # of studies that there are: the same data must have the same fingerprint for ever
    "int": "c04e0b283af05cdb",
    "float": "6cc13e217c54c1a4",
    "float32 F": "6cc13e217c54c1a4",
    "bool": "59343bc845f300b7",
    "sparse": "373a887b731f5c8d",
    "frame": "7de038bd92ab75eb",
    "nullable": "7f78ca0e12726bfa",
    "iris": "bef23a544107d8da",
    "digits": "90824e1e7e904086",
    "diabetes": "80d8c59659df227a",
}


@pytest.fixture(scope="module")
def samples():
    X = np.random.default_rng(0).integers(0, 99, (7, 3))
    y = np.arange(7) % 2
    frame = pd.DataFrame(
        {
            "a": X[:, 0],
            "b": [1.5, None, 2, 3, 4, 5, 6],
            "c": ["x", None, "ü", "z", "x", "x", "y"],
            "d": pd.Categorical([*["p", "q"] * 3, "p"]),
            "e": [*[True, False] * 3, True],
        }
    )
    sold = pd.Series(["no", "yes", "no", "no", "yes", "yes", "no"], name="sold")
    return {
        "int": Data.of(X, y),
        "float": Data.of(X / 8, y),
        "float32 F": Data.of(np.asfortranarray((X / 8).astype(np.float32)), y),
        "bool": Data.of(X > 50, y / 4),
        "sparse": Data.of(csr_array(X * (X > 50)), y),
        "frame": Data.of(frame, sold),
        "nullable": Data.of(frame.convert_dtypes(), y),
        **{name: load_data(name) for name in ("iris", "digits", "diabetes")},
    }


def test_fingerprints_never_change(samples):
    assert {name: data.fingerprint[:16] for name, data in samples.items()} == FROZEN


@pytest.mark.parametrize("size", [1, 7, 64])
def test_a_fingerprint_does_not_depend_on_the_size_of_the_pieces(samples, size, monkeypatch):
    monkeypatch.setattr("luthier.estimators.data.BLOCK", size)
    for name in ("int", "float32 F", "sparse", "frame"):
        again = Data.of(samples[name].X, samples[name].y)
        assert again.fingerprint[:16] == FROZEN[name]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int16, bool])
def test_an_array_is_taken_as_it_is_and_not_copied(order, dtype):
    X = np.ones((5, 3), dtype=dtype, order=order)
    y = np.arange(5)
    data = Data.of(X, y)
    assert data.X is X
    assert data.y is y


def test_reading_a_large_array_takes_no_memory_worth_mentioning():
    import tracemalloc

    for X in (np.ones((500_000, 8), dtype=np.float32), np.ones((500_000, 8), order="F")):
        y = np.arange(500_000) % 3
        tracemalloc.start()
        data = Data.of(X, y)
        with_preprocessing(LogisticRegression(), data.X)
        outline(data)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert most < X.nbytes


def test_a_frame_shares_the_columns_that_are_well_as_they_are():
    frame = pd.DataFrame({"a": np.arange(9.0), "b": ["x"] * 9})
    data = Data.of(frame, np.arange(9))
    assert np.shares_memory(data.X["a"].to_numpy(), frame["a"].to_numpy())


def test_dates_have_a_fingerprint_whatever_their_unit():
    days = pd.to_datetime(["2020-01-01", "2020-01-02", None])
    same = {
        Data.of(pd.DataFrame({"when": days.as_unit(unit)}), [1, 2, 3]).fingerprint
        for unit in ("s", "us", "ns")
    }
    assert len(same) == 1
    later = pd.DataFrame({"when": days + pd.Timedelta(1, "s")})
    assert Data.of(later, [1, 2, 3]).fingerprint not in same


# --- polars ------------------------------------------------------------------------------------


def test_a_polars_frame_is_the_table_it_would_be_in_pandas():
    pl = pytest.importorskip("polars")
    table = {
        "size": [1.5, None, 3.5],
        "whole": [1, 2, 3],
        "colour": ["red", None, "blue"],
        "flag": [True, False, None],
        "when": [date(2020, 1, 1), None, date(2020, 1, 3)],
    }
    frame = pl.DataFrame(table).with_columns(
        grade=pl.Series(["b", None, "a"], dtype=pl.Enum(["a", "b"])),
        kind=pl.Series(["u", "v", "u"], dtype=pl.Categorical),
        at=pl.Series([datetime(2020, 1, 1, 12), None, None]).dt.replace_time_zone("Europe/Paris"),
        money=pl.Series(["1.25", "2.50", None]).cast(pl.Decimal(10, 2)),
        nothing=pl.Series([None, None, None]),
    )
    data = Data.of(frame, pl.Series("sold", ["yes", "no", "yes"]))
    X = data.X
    assert (data.rows, data.columns, data.target, data.classes) == (3, 10, "sold", ("no", "yes"))
    assert X["size"].tolist()[::2] == [1.5, 3.5]
    assert X["whole"].dtype == np.int64
    assert X["colour"].isna().tolist() == [False, True, False]
    assert X["flag"].tolist()[:2] == [True, False]
    assert X["when"].dt.day.tolist()[::2] == [1, 3]
    assert X["grade"].cat.codes.tolist() == [1, -1, 0]
    assert str(X["at"].dtype.tz) == "Europe/Paris"
    assert X["at"][0] == pd.Timestamp("2020-01-01 12:00", tz="Europe/Paris")
    assert X["money"].tolist()[:2] == [1.25, 2.5]
    assert X["nothing"].isna().all()


def test_numbers_of_polars_are_not_copied():
    pl = pytest.importorskip("polars")
    values = np.arange(1000.0)
    frame = pl.DataFrame({"a": values, "b": values + 1})
    data = Data.of(frame, np.arange(1000))
    assert np.shares_memory(data.X["b"].to_numpy(), frame["b"].to_numpy())
    assert Data.of(frame.to_pandas(), np.arange(1000)).fingerprint == data.fingerprint


def test_what_polars_has_that_is_no_table_is_refused():
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({"a": [1, 2], "b": [[1], [2, 3]]})
    with pytest.raises(DataError, match=r"Give its rows: lazy\.collect\(\)"):
        Data.of(frame.lazy(), [1, 2])
    with pytest.raises(DataError, match=r"column 'b' holds List\(Int64\)"):
        Data.of(frame, [1, 2])
    with pytest.raises(DataError, match="polars Expr is no table"):
        Data.of(pl.col("a"), [1, 2])


# --- NumPy and SciPy ---------------------------------------------------------------------------

IRIS = load_iris(return_X_y=True)


def test_files_of_numpy_hold_features_and_a_target(tmp_path):
    X, y = IRIS
    expected = Data.of(X, y).fingerprint
    np.savez(tmp_path / "iris.npz", X=X, y=y)
    np.savez_compressed(tmp_path / "other.npz", flowers=X, kind=y)
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", y)
    assert load_data(str(tmp_path / "iris.npz")).fingerprint == expected
    assert load_data(str(tmp_path / "other.npz"), "kind").fingerprint == expected
    assert load_data(str(tmp_path / "X.npy"), str(tmp_path / "y.npy")).fingerprint == expected


def test_the_target_may_be_a_column_of_an_array(tmp_path):
    X, y = IRIS
    np.save(tmp_path / "all.npy", np.column_stack([X, y]))
    data = load_data(str(tmp_path / "all.npy"), "-1")
    assert data.X.base is not None
    assert np.array_equal(data.X, X)
    assert load_data(str(tmp_path / "all.npy"), "1").X.shape == (150, 4)
    y = y.astype(float)
    y[:3] = np.nan
    np.save(tmp_path / "gaps.npy", np.column_stack([X, y]))
    assert load_data(str(tmp_path / "gaps.npy"), "4").dropped == 3


def test_an_array_with_named_columns_is_a_frame(tmp_path):
    records = np.array([(1.5, 2, True), (2.5, 3, False)], dtype=[("a", "f8"), ("b", "i4"), ("c", "?")])
    np.save(tmp_path / "named.npy", records)
    data = load_data(str(tmp_path / "named.npy"), "c")
    assert data.feature_names == ("a", "b")
    assert data.classes == (False, True)
    assert load_data(str(tmp_path / "named.npy"), "c", drop=["a"]).feature_names == ("b",)


@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "dok"])
def test_sparse_matrices_stay_sparse_in_memory_and_in_files(tmp_path, kind):
    X = sparse.random_array((40, 9), density=0.2, format=kind, rng=np.random.default_rng(0))
    y = np.arange(40) % 2
    data = Data.of(X, y)
    assert sparse.issparse(data.X)
    assert (data.X is X) == (kind in ("csr", "csc"))
    assert with_preprocessing(LogisticRegression(), data.X, y).fit(data.X[:30], y[:30])
    assert data.fingerprint == Data.of(X.tocsr(), y).fingerprint
    if kind != "dok":
        sparse.save_npz(tmp_path / "X.npz", X)
        np.save(tmp_path / "y.npy", y)
        assert load_data(str(tmp_path / "X.npz"), str(tmp_path / "y.npy")).fingerprint == data.fingerprint


def test_files_of_numpy_that_cannot_be_used_are_refused_in_a_sentence(tmp_path):
    np.savez(tmp_path / "two.npz", a=np.ones((3, 2)), b=np.ones((3, 2)))
    np.savez(tmp_path / "one.npz", X=np.ones((3, 2)))
    np.save(tmp_path / "objects.npy", np.array([{}, 1], dtype=object))
    np.save(tmp_path / "X.npy", np.ones((3, 2)))
    (tmp_path / "broken.npy").write_bytes(b"what")
    (tmp_path / "broken.npz").write_bytes(b"what")
    for name, target, says in [
        ("two.npz", None, "none of them is X"),
        ("two.npz", "c", "has no array 'c'. There is: a, b."),
        ("one.npz", None, "no target is given"),
        ("objects.npy", "0", "Python objects, and reading them runs code"),
        ("X.npy", None, "no target is given"),
        ("X.npy", "2", "has no column '2': its 2 columns go by number"),
        ("X.npy", "y", "has no column 'y'"),
        ("X.npy", "nowhere.npy", "there is no file"),
        ("broken.npy", "0", "not a NumPy file that can be read"),
        ("broken.npz", "0", "not a NumPy file that can be read"),
    ]:
        with pytest.raises(DataError) as error:
            load_data(str(tmp_path / name), target)
        assert says in str(error.value), name


def test_columns_can_be_left_out_of_a_file(csv):
    assert load_data(csv(TABLE), "sold", drop=["colour"]).feature_names == ("size",)
    with pytest.raises(DataError, match="Did you mean 'colour'"):
        load_data(csv(TABLE), "sold", drop=["color"])
    with pytest.raises(DataError, match="it cannot be dropped"):
        load_data(csv(TABLE), "sold", drop=["sold"])
    with pytest.raises(DataError, match="has no columns to drop"):
        load_data("iris", drop=["a"])


# --- what is wrong with a table ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("X", "y", "says"),
    [
        (np.zeros((3, 1)), [1.0, np.inf, 2.0], "y is infinite in 1 of 3 rows, the first of them row 1"),
        (np.zeros((3, 1)), pd.Series([1.0, 2.0, -np.inf]), "the first of them row 2"),
        (np.zeros((3, 1)), ["a", None, "b"], "missing in 1 of 3 rows, the first of them row 1"),
        (
            np.zeros((3, 1)),
            np.array(["a", 1, "b"], dtype=object),
            "mixes values of several types: int and str",
        ),
        (
            np.zeros((2, 1)),
            pd.Series(pd.to_datetime(["2020-01-01", "2020-01-02"])),
            "neither numbers nor classes",
        ),
        (np.zeros((2, 1)), csr_array(np.ones((2, 1))), "y is a sparse matrix"),
        (np.zeros((2, 1), dtype=complex), [1, 2], "an array of complex numbers"),
        (np.zeros((2, 1), dtype="M8[D]"), [1, 2], "an array of dates"),
        ([[1, 2], [3]], [1, 2], "Give rows of equal length"),
        (pd.DataFrame([[1, 2]] * 2, columns=["a", "a"]), [1, 2], "several columns named 'a'"),
        (pd.DataFrame([[1, 2]] * 2, columns=["1", 1]), [1, 2], "several columns named '1'"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused_in_a_sentence(X, y, says):
    with pytest.raises(DataError) as error:
        Data.of(X, y)
    assert says in str(error.value)


def test_names_of_columns_of_several_types_become_text():
    data = Data.of(pd.DataFrame([[1, 2], [3, 5]], columns=["a", 7]), [0, 1])
    assert list(data.X.columns) == ["a", "7"]


def test_a_fold_with_one_class_is_named():
    y = np.array(["a"] * 6 + ["b"] * 2)
    check_folds(y, [([0, 6], [1, 7])])
    with pytest.raises(DataError, match="fold 1 would train on 3 rows that are all of class 'a'"):
        check_folds(pd.Series(y), [([0, 6], [1]), ([0, 1, 2], [6, 7])])


# --- what has changed --------------------------------------------------------------------------


def changes(before, after):
    return changed(json.loads(json.dumps(outline(before))), after)


def test_it_is_said_what_has_changed_in_an_array():
    X, y = IRIS
    old = Data.of(X, y)
    other = X.copy()
    other[5, 2] += 1
    assert changes(old, Data.of(np.asfortranarray(X), y)) == ""
    assert changes(old, Data.of(other, y)) == "other values in column '2'"
    assert changes(old, Data.of(X, 1 - y)) == "other values in the target"
    assert changes(old, Data.of(X[:140], y[:140])) == "150 rows there, 140 here"
    assert changes(Data.of(X[:140], y[:140]), old) == (
        "140 rows there, 150 here, of which the first are the same"
    )
    assert "columns '1', '2', '3' there only" not in changes(old, Data.of(X[:, ::-1], y))
    assert changes(old, Data.of(X[::-1], y)).startswith("other values in columns '0', '1'")


def test_it_is_said_what_has_changed_in_a_frame(samples):
    old = samples["frame"]
    X = old.X
    assert changes(old, Data.of(X.copy(), old.y)) == ""
    assert changes(old, Data.of(X.assign(c="x"), old.y)) == "other values in column 'c'"
    assert changes(old, Data.of(X.rename(columns={"a": "z"}), old.y)) == (
        "column 'a' there only and column 'z' here only"
    )
    assert changes(old, Data.of(X[["b", "a", "c", "d", "e"]], old.y)) == "the columns in another order"
    assert "7 rows there, 6 here" in changes(old, Data.of(X[1:], old.y[1:]))


def test_it_is_said_what_has_changed_in_a_sparse_matrix():
    X, y = csr_array(np.eye(9)), np.arange(9) % 2
    assert changes(Data.of(X, y), Data.of(X * 2, y)) == "other values in X"
    assert changes(Data.of(X, y), Data.of(X[:, :8], y)) == "9 columns there, 8 here"
