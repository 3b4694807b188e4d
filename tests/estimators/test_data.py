import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from luthier.errors import DataError
from luthier.estimators import BUNDLED, Data, load_data, with_preprocessing

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


# --- preprocessing -----------------------------------------------------------------------------


def test_nothing_is_put_in_front_of_an_estimator_that_can_read_the_table(csv):
    X, y = load_iris(return_X_y=True, as_frame=True)
    model = LogisticRegression()
    assert with_preprocessing(model, X, y) is model
    assert with_preprocessing(model, X.to_numpy(), y) is model


@pytest.mark.parametrize(
    "estimator", [LogisticRegression(), RandomForestClassifier(5), HistGradientBoostingClassifier()]
)
def test_text_and_gaps_are_made_readable(csv, estimator):
    data = load_data(csv(TABLE), "sold")
    made = with_preprocessing(estimator, data.X, data.y).fit(data.X, data.y)
    new = pd.DataFrame({"size": [np.nan, 2.0], "colour": ["green", np.nan]})
    assert set(made.predict(new)) <= {"yes", "no"}


def test_gaps_alone_are_filled_only_for_an_estimator_that_cannot_read_them(csv):
    data = load_data(csv(TABLE), "sold")
    numbers = data.X[["size"]]
    forest = HistGradientBoostingClassifier()
    assert with_preprocessing(forest, numbers, data.y) is forest
    assert with_preprocessing(LogisticRegression(), numbers, data.y).fit(numbers, data.y)
    assert with_preprocessing(LogisticRegression(), numbers.to_numpy(), data.y).fit(
        numbers.to_numpy(), data.y
    )


def test_a_pipeline_is_prepared_for_unless_it_handles_columns_itself(csv):
    data = load_data(csv(TABLE), "sold")
    scaled = make_pipeline(StandardScaler(), LogisticRegression())
    assert with_preprocessing(scaled, data.X, data.y).fit(data.X, data.y)
    own = make_pipeline(OneHotEncoder(), LogisticRegression())
    assert with_preprocessing(own, data.X, data.y) is own


def test_dates_are_refused_with_the_remedy(csv):
    X = pd.DataFrame({"when": pd.to_datetime(["2020-01-01", "2020-01-02"]), "a": [1, 2]})
    with pytest.raises(DataError, match="column 'when' holds dates"):
        with_preprocessing(LogisticRegression(), X)


def test_xgboost_takes_labels_of_any_kind(csv):
    xgboost = pytest.importorskip("xgboost")
    data = load_data(csv(TABLE), "sold")
    made = with_preprocessing(xgboost.XGBClassifier(n_estimators=3), data.X, data.y).fit(data.X, data.y)
    assert set(made.predict(data.X)) <= {"yes", "no"}
    assert made.predict_proba(data.X).shape == (6, 2)
