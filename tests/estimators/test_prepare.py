import json
import pickle
from datetime import date, datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_digits, load_iris
from sklearn.ensemble import (
    AdaBoostClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import cross_val_score
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from luthier.errors import DataError, InvalidStudy
from luthier.estimators import Data, load_data, with_preprocessing
from luthier.estimators.columns import Dates
from luthier.estimators.kinds import columns_of
from luthier.estimators.leaks import leaks
from luthier.estimators.prepare import form_of, preparation
from luthier.models.card import card
from luthier.models.trusted import TRUSTED

ROWS = 120
RNG = np.random.default_rng(0)
Y = RNG.integers(0, 2, ROWS)


def table():
    rng = np.random.default_rng(1)
    when = pd.Timestamp("2020-01-31") + pd.to_timedelta(rng.integers(0, 900, ROWS), unit="D")
    frame = pd.DataFrame(
        {
            "id": np.arange(1, ROWS + 1),
            "uuid": [f"{value:032x}" for value in rng.integers(0, 2**62, ROWS)],
            "size": rng.normal(300, 50, ROWS),
            "age": np.where(rng.random(ROWS) < 0.2, np.nan, rng.normal(40, 9, ROWS)),
            "flag": rng.random(ROWS) < 0.5,
            "maybe": rng.choice(np.array([True, False, None], dtype=object), ROWS),
            "colour": rng.choice(np.array(["red", "blue", None], dtype=object), ROWS),
            "grade": pd.Categorical(
                rng.choice(["low", "mid", "high"], ROWS), ["low", "mid", "high"], ordered=True
            ),
            "city": [f"town {i}" for i in rng.integers(0, 50, ROWS)],
            "when": when,
            "iso": [str(day.date()) for day in when],
            "price": [f"{value:.2f}" for value in rng.normal(10, 2, ROWS)],
            "note": [" ".join(rng.choice(["lorem", "ipsum", "dolor", "amet"], 14)) for _ in range(ROWS)],
            "same": "x",
            "nothing": np.nan,
        }
    )
    frame.loc[3, "price"] = "unknown"
    frame.loc[5, "when"] = pd.NaT
    return Data.of(frame, Y).X


# --- kinds -------------------------------------------------------------------------------------


def test_columns_are_taken_for_what_they_are():
    assert {column.name: column.kind for column in columns_of(table())} == {
        "id": "id",
        "uuid": "id",
        "size": "number",
        "age": "number",
        "flag": "truth",
        "maybe": "truth",
        "colour": "category",
        "grade": "ordered",
        "city": "many",
        "when": "date",
        "iso": "date",
        "price": "number",
        "note": "text",
        "same": "constant",
        "nothing": "empty",
    }


def column(values, name="c"):
    X = Data.of(pd.DataFrame({name: values, "other": range(len(values))}), np.arange(len(values)) % 2).X
    return columns_of(X)[0]


@pytest.mark.parametrize(
    ("values", "name", "kind"),
    [
        ([Decimal("1.5"), Decimal(2), None], "c", "number"),
        ([date(2020, 1, 1), None, date(2021, 1, 1)], "c", "date"),
        ([datetime(2020, 1, 1, 12), datetime(2021, 1, 1)], "c", "date"),
        (["2020-01-01 10:00", "2020-01-02T11:00:30Z"], "c", "date"),
        (["2020-01-01", "soon"], "c", "category"),
        (pd.to_timedelta([1, 2, 3], unit="h"), "c", "number"),
        (pd.array([1, 2, None], dtype="Int64"), "c", "number"),
        (pd.array([True, False, None], dtype="boolean"), "c", "number"),
        (pd.Categorical(["a", "b", "a"]), "c", "category"),
        (pd.Categorical(["a", "a", "a"]), "c", "constant"),
        ([1.0, np.nan, 1.0], "c", "number"),  # that there is a gap is something to go by
        (np.arange(50)[::-1], "c", "id"),  # a running number, in any order
        (np.arange(1950, 2000), "year", "number"),
        (np.arange(50) * 7 + 1000, "customer_id", "id"),
        (np.arange(50) * 7 + 1000, "customerId", "id"),
        (np.arange(50) * 7 + 1000, "paid", "number"),
        (np.arange(50) % 10, "store_id", "number"),
        ([f"x{i}" for i in range(10)], "c", "category"),  # too few rows to say
        ([f"x{i}" for i in range(100)], "c", "id"),
        ([f"x{i // 2}" for i in range(100)], "c", "many"),
        (["yes", "no"] * 10, "c", "category"),
        (["1", "0"] * 10, "c", "number"),
    ],
)
def test_a_column_is_taken_for_what_it_is(values, name, kind):
    assert column(values, name).kind == kind


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (["a", 1, "b"], "column 'c' mixes text and numbers, such as 1 (int) and 'a' (str)"),
        ([[1], [2, 3]], "column 'c' holds [1] (list)"),
        ([b"a", b"b"], "holds b'a' (bytes)"),
    ],
)
def test_a_column_of_which_nothing_can_be_made_is_named(values, says):
    with pytest.raises(DataError) as error:
        column(pd.Series(values, dtype=object))
    assert says in str(error.value)


def test_infinity_is_named_with_its_column():
    X = np.ones((30, 3))
    X[4, 1] = np.inf
    with pytest.raises(DataError, match="column '1' holds infinity"):
        preparation(LogisticRegression(), X)
    frame = pd.DataFrame(X, columns=["a", "b", "c"]).assign(d="x")
    with pytest.raises(DataError, match="column 'b' holds infinity"):
        preparation(LogisticRegression(), frame)
    assert preparation(LogisticRegression(), X, preprocess="none").step is None


# --- what is put in front ----------------------------------------------------------------------

EVERY = [
    LogisticRegression(),
    SVC(),
    KNeighborsClassifier(),
    MLPClassifier((8,), max_iter=5),
    GaussianProcessClassifier(),
    GaussianNB(),
    DecisionTreeClassifier(),
    RandomForestClassifier(5),
    GradientBoostingClassifier(n_estimators=5),
    HistGradientBoostingClassifier(max_iter=5),
    AdaBoostClassifier(n_estimators=3),
    VotingClassifier([("a", GaussianNB()), ("b", LogisticRegression())]),
]


@pytest.mark.parametrize("estimator", EVERY, ids=lambda e: type(e).__name__)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_every_estimator_learns_from_a_table_of_everything(estimator):
    X = table()
    made = with_preprocessing(estimator, X, Y)
    assert np.isfinite(cross_val_score(made, X, Y, cv=3, error_score="raise")).all()
    fitted = clone(made).fit(X[:80], Y[:80])
    strange = X[80:].assign(colour="green", age=np.nan, when=pd.NaT, iso="never", price="?")
    strange["city"] = np.full(40, np.nan, dtype=object)
    assert fitted.predict(strange).shape == (40,)


@pytest.mark.parametrize("estimator", EVERY[:3], ids=lambda e: type(e).__name__)
def test_without_a_target_the_same_table_is_readable_too(estimator):
    X = table()
    prepared = preparation(estimator, X)
    assert np.isfinite(prepared.transformed(X)).all()


def test_what_was_fitted_can_be_sent_and_saved_without_code():
    X = table()
    for estimator in (LogisticRegression(), RandomForestClassifier(5)):
        fitted = with_preprocessing(estimator, X, Y).fit(X, Y)
        content = skops.io.dumps(fitted)
        types = skops.io.get_untrusted_types(data=content)
        assert set(types) <= TRUSTED
        again = skops.io.loads(content, trusted=types)
        assert np.array_equal(again.predict(X), fitted.predict(X))
        assert np.array_equal(pickle.loads(pickle.dumps(fitted)).predict(X), fitted.predict(X))


def steps(estimator, X, y=None, **options):
    """Words for what is put in front."""
    return str(preparation(estimator, X, y, **options))


def test_numbers_are_scaled_for_who_measures_distances_and_not_for_trees():
    X, y = load_breast_cancer(return_X_y=True)
    for estimator in (LogisticRegression(), SVC(), KNeighborsClassifier(), MLPClassifier(), Ridge()):
        assert form_of(estimator) == "scaled"
        assert "standardised" in steps(estimator, X, y)
    for estimator in (RandomForestClassifier(), HistGradientBoostingClassifier(), GaussianNB()):
        assert with_preprocessing(estimator, X, y) is estimator
    assert form_of(AdaBoostClassifier(DecisionTreeClassifier())) == "trees"
    assert form_of(make_pipeline(StandardScaler(), SVC())) == "scaled"


@pytest.mark.parametrize("load", [load_iris, load_digits])
def test_columns_on_one_scale_are_left_as_they_are(load):
    X, y = load(return_X_y=True)
    assert with_preprocessing(SVC(), X, y).__class__ is SVC
    assert steps(SVC(), X, y).startswith("nothing is put in front")


def test_who_brings_a_pipeline_has_thought_of_scales():
    X, y = load_breast_cancer(return_X_y=True)
    own = make_pipeline(MinMaxScaler(), SVC())
    assert with_preprocessing(own, X, y) is own
    gaps = np.where(X < 0.01, np.nan, X)
    assert steps(own, gaps, y).count("gaps filled") == 1
    assert "standardised" not in steps(own, gaps, y)


def test_a_pipeline_that_handles_columns_itself_gets_the_table():
    X = table()
    own = make_pipeline(ColumnTransformer([("c", OneHotEncoder(handle_unknown="ignore"), ["colour"])]), SVC())
    assert with_preprocessing(own, X, Y) is own


def test_gaps_are_filled_and_marked_where_they_cannot_be_read():
    X = pd.DataFrame({"a": [1.0, np.nan] * 30, "b": np.arange(60) * 0.5})
    y = np.arange(60) % 2
    assert (
        with_preprocessing(HistGradientBoostingClassifier(), X, y).__class__ is HistGradientBoostingClassifier
    )
    assert preparation(LogisticRegression(), X).transformed(X).shape == (60, 3)
    assert preparation(LogisticRegression(), X.to_numpy()).transformed(X.to_numpy()).shape == (60, 3)
    assert preparation(GradientBoostingClassifier(), X).transformed(X).shape == (60, 2)
    assert "a: gaps filled with the median, and marked (50% missing)" in steps(GaussianNB(), X)
    assert with_preprocessing(GaussianNB(), X, y).fit(X, y).score(X, y) == 1.0  # the gap itself tells


def test_many_categories_become_the_mean_target_of_other_rows():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"city": [f"town {i}" for i in rng.integers(0, 100, 400)], "b": rng.normal(size=400)})
    noise = rng.integers(0, 2, 400)
    made = with_preprocessing(RandomForestClassifier(30, random_state=0), X, noise)
    assert cross_val_score(made, X, noise, cv=5).mean() < 0.58  # nothing to be learned, and nothing leaks
    price = rng.normal(size=400)
    assert preparation(Ridge(), X, price).transformed(X, price).shape == (400, 2)
    assert "shrunk" in steps(SVC(), X, noise)
    assert "the rarest of more than 30 sharing one" in steps(SVC(), X)


def test_dates_are_days_and_places_in_the_year_and_week():
    days = pd.DataFrame({"when": pd.to_datetime(["2000-01-01", "2024-12-31", "2025-01-01", None])})
    flat = Dates(circular=False).fit(days)
    assert list(flat.get_feature_names_out()) == ["when_days", "when_month", "when_weekday"]
    assert flat.transform(days)[:3, 2].tolist() == [5, 1, 2]  # a Saturday, a Tuesday, a Wednesday
    assert flat.transform(days)[0, 0] == 0
    assert np.isnan(flat.transform(days)[3]).all()
    round_ = Dates().fit(days)
    first, last = round_.transform(days)[[2, 1]]
    assert np.abs(first[1:3] - last[1:3]).max() < 0.03  # New Year is beside New Year's Eve
    assert len(round_.get_feature_names_out()) == 5
    times = pd.DataFrame({"at": ["2020-01-01 06:00", "2020-01-01T18:30:00+00:00"]})
    timed = Dates(circular=False).fit(times)
    assert timed.transform(times)[:, 3] == pytest.approx([6, 18.5])
    assert len(timed.get_feature_names_out()) == timed.transform(times).shape[1]
    assert Dates().fit(times).transform(times).shape == (2, len(Dates().fit(times).get_feature_names_out()))


def test_dates_are_the_same_however_they_came():
    days = ["2020-02-03", "2021-05-06"]
    text = Dates().fit(pd.DataFrame({"d": days}))
    forms = [
        days,
        pd.to_datetime(days),
        pd.to_datetime(days).tz_localize("UTC"),
        [date.fromisoformat(d) for d in days],
    ]
    for form in forms:
        assert np.array_equal(
            text.transform(pd.DataFrame({"d": form})), text.transform(pd.DataFrame({"d": days}))
        )


# --- shown and replaced ------------------------------------------------------------------------


def test_a_person_can_read_what_happens_to_each_column_and_why():
    shown = steps(LogisticRegression(), table(), Y)
    for line in [
        "id: left out (a running number)",
        "uuid: left out (120 different texts in 120 rows)",
        "size: standardised (numbers)",
        "colour: an indicator for each (2 categories;",
        "grade: numbered in their order, standardised (3 ordered categories)",
        "iso: days since 2000, and the place in the year, the week and the day on a circle",
        "price: read as numbers, standardised, gaps filled with the median, and marked "
        "(numbers as text; 'unknown' taken for gaps)",
        "same: left out (it has the same value in all rows)",
        "nothing: left out (it has no values)",
    ]:
        assert line in shown, line
    assert "note: left out (text of" in shown


def test_what_happens_can_be_kept_as_json():
    rows = preparation(RandomForestClassifier(), table(), Y).to_json()
    assert json.loads(json.dumps(rows)) == rows
    named = [name for row in rows for name in row["columns"]]
    assert sorted(named) == sorted(table().columns)


def test_preprocessing_can_be_none_a_transformer_or_said_for_some_columns():
    X = table()
    model = LogisticRegression()
    assert with_preprocessing(model, X, Y, "none") is model
    own = ColumnTransformer([("size", StandardScaler(), ["size"])])
    made = with_preprocessing(model, X, Y, own)
    assert isinstance(made, Pipeline)
    assert made.fit(X, Y).predict(X).shape == (ROWS,)
    assert "as you said" in steps(model, X, Y, preprocess=own)
    said = steps(model, X, Y, preprocess={"id": "number", "size": "drop", "uuid": "many", "when": "category"})
    assert "id: standardised (as you said)" in said
    assert "size: left out (as you said)" in said
    assert "when: an indicator for each" in said


@pytest.mark.parametrize(
    ("preprocess", "says"),
    [
        ("aut", 'Use "auto", "none", a mapping'),
        (3, "preprocess is 3"),
        ({"sise": "number"}, "no column 'sise' to preprocess. Did you mean 'size'?"),
        ({"size": "numbr"}, "preprocessed as 'numbr'. Did you mean 'number'?"),
    ],
)
def test_preprocessing_that_means_nothing_is_refused(preprocess, says):
    with pytest.raises(InvalidStudy) as error:
        preparation(SVC(), table(), Y, preprocess)
    assert says in str(error.value)


def test_kinds_cannot_be_said_for_an_array():
    with pytest.raises(InvalidStudy, match="X is an array"):
        preparation(SVC(), np.ones((9, 2)), preprocess={"a": "number"})


def test_a_table_of_which_nothing_is_left_is_refused():
    X = pd.DataFrame({"id": np.arange(50), "same": 1})
    with pytest.raises(DataError, match="every column is left out:\nid: left out"):
        preparation(SVC(), X)


# --- leaks -------------------------------------------------------------------------------------


def test_a_column_that_is_the_target_is_pointed_out():
    X, y = load_iris(return_X_y=True, as_frame=True)
    assert list(leaks(X, y)) == []
    (found,) = leaks(X.assign(species=y.map({0: "a", 1: "b", 2: "c"})), y)
    assert found.startswith("column 'species' gives the target away")
    (found,) = preparation(SVC(), np.column_stack([X, y]), y).notes
    assert found.startswith("column 4 gives the target away")
    price = np.random.default_rng(0).normal(size=150)
    assert len(list(leaks(X.assign(cents=price * 100 + 7), price))) == 1
    assert list(leaks(X.assign(about=price + 0.001), price + np.arange(150) * 1e-4)) == []


# --- as before ---------------------------------------------------------------------------------


def test_xgboost_takes_labels_of_any_kind():
    xgboost = pytest.importorskip("xgboost")
    X, labels = table(), np.array(["no", "yes"])[Y]
    made = with_preprocessing(xgboost.XGBClassifier(n_estimators=3), X, labels).fit(X, labels)
    assert set(made.predict(X)) <= {"yes", "no"}
    assert made.predict_proba(X).shape == (ROWS, 2)


@pytest.mark.parametrize("name", ["lightgbm:LGBMClassifier", "catboost:CatBoostClassifier"])
def test_the_other_boosters_get_codes(name):
    module = pytest.importorskip(name.partition(":")[0])
    model = getattr(module, name.partition(":")[2])(n_estimators=3)
    assert form_of(model) == "trees"
    assert "numbered" in steps(model, table(), Y)


def test_a_bundled_array_needs_nothing_but_a_scale():
    data = load_data("wine")
    assert steps(SVC(), data.X, data.y) == "all columns: standardised (they measure on different scales)"


def test_the_card_of_a_model_says_what_is_put_in_front():
    manifest = {"name": "m", "version": 1, "created": "now"}
    rows = preparation(LogisticRegression(), table(), Y).to_json()
    text = card({**manifest, "prepared": rows})
    assert "| columns | what is done | why |" in text
    assert "| uuid | left out | 120 different texts in 120 rows |" in text
    assert "Prepared for the estimator\n\nNothing is." in card({**manifest, "prepared": []})
