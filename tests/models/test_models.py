import hashlib
import json
import os
import subprocess
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.base import BaseEstimator, ClassifierMixin, is_classifier
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from luthier.clock import VirtualClock
from luthier.errors import DataError, ModelError
from luthier.estimators import load_data, load_estimator, recommended_space
from luthier.models import list_models, load_model, predict, save_model, show_model
from luthier.models.registry import model_name
from luthier.models.trusted import TRUSTED
from luthier.objectives.crossval import CrossValidation
from luthier.space import Float, Space
from luthier.study import Named, Objective, Problem, Report, State, StudySpec, Trial

DIGITS = load_data("digits")
META = {"study": "first", "trial": 7, "params": {"max_depth": 4}, "task": "classification"}


def fitted(data=DIGITS):
    return DecisionTreeClassifier(max_depth=4, random_state=0).fit(data.X, data.y)


def fruit(tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "size": rng.normal(3, 1, 60),
            "colour": rng.choice(["red", "blue"], 60),
            "weight": rng.normal(100, 9, 60),
        }
    )
    table["sold"] = np.where(table["size"] > 3, "yes", "no")
    table.to_csv(tmp_path / "fruit.csv", index=False)
    return tmp_path / "fruit.csv", table


def save_fruit(tmp_path, estimator=None):
    path, table = fruit(tmp_path)
    data = load_data(str(path), "sold")
    task = CrossValidation(estimator or LogisticRegression(), data)
    model = task.refit({})
    save_model(tmp_path, "fruit", model, meta={"task": "classification"}, data=data)
    return model, data, table


def test_a_saved_model_predicts_as_the_fitted_one(tmp_path):
    model = fitted()
    saved = save_model(tmp_path, "digits", model, meta=META, data=DIGITS, clock=VirtualClock(0.0))
    assert (saved.name, saved.version) == ("digits", 1)
    assert saved.path == tmp_path / "models" / "digits" / "1"
    loaded = load_model(tmp_path, "digits")
    assert np.array_equal(loaded.predict(DIGITS.X), model.predict(DIGITS.X))


def test_the_manifest_says_where_a_model_comes_from_and_what_it_reads(tmp_path):
    save_model(tmp_path, "digits", fitted(), meta=META, data=DIGITS, clock=VirtualClock(0.0))
    manifest = show_model(tmp_path, "digits").manifest
    assert manifest["format"] == 1
    assert manifest["created"] == "1970-01-01T00:00:00+00:00"
    assert (manifest["study"], manifest["trial"], manifest["params"]) == ("first", 7, {"max_depth": 4})
    assert manifest["data"]["fingerprint"] == DIGITS.fingerprint
    assert manifest["inputs"][2] == {
        "name": "pixel_0_2",
        "type": "number",
        "range": [0.0, 16.0],
        "median": 4.0,
        "missing": False,
    }
    assert manifest["output"] == {"type": "class", "classes": list(range(10))}
    assert {"scikit-learn", "numpy", "skops"} <= set(manifest["libraries"])
    folder = tmp_path / "models" / "digits" / "1"
    assert sorted(path.name for path in folder.iterdir()) == [
        "CARD.md",
        "SIGNATURE",
        "model.json",
        "model.skops",
    ]
    for name, digest in manifest["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


def test_the_card_says_what_is_known_and_that_the_rest_is_not_stated(tmp_path):
    saved = save_model(tmp_path, "digits", fitted(), meta=META, data=DIGITS)
    card = (saved.path / "CARD.md").read_text()
    assert "# digits, version 1" in card
    assert "| max_depth | 4 |" in card
    assert "- Rows: 1797" in card
    assert "## Intended use\n\nnot stated" in card
    assert "- Licence: not stated" in card
    assert "Scores: not stated" in card
    assert "None" not in card


def test_a_study_hands_over_all_that_the_card_needs(tmp_path):
    task = CrossValidation("sklearn.svm:SVC", DIGITS, cv=3)
    spec = StudySpec(
        "svc", Problem(Space(C=Float(0.1, 10)), (Objective("accuracy", "max"),)), Named("random")
    )
    trial = Trial(
        number=3,
        params={"C": 2.0},
        state=State.COMPLETED,
        reports=tuple(Report(i, {"accuracy": a}) for i, a in enumerate([0.9, 0.92, 0.94])),
        metrics={"accuracy": 0.92, "fit_seconds": 0.1},
    )
    saved = save_model(tmp_path, "svc", task.refit(trial.params), **task.card(spec, trial))
    scores = show_model(tmp_path, "svc").manifest["scores"]["accuracy"]
    assert scores["folds"] == [0.9, 0.92, 0.94]
    assert scores["se"] == pytest.approx(0.02 / np.sqrt(3))
    assert "| accuracy | 0.92 | 0.011547 |" in (saved.path / "CARD.md").read_text()
    assert "3-fold stratified" in (saved.path / "CARD.md").read_text()


def test_versions_count_up_and_older_ones_stay(tmp_path):
    for depth in (1, 2, 3):
        model = DecisionTreeClassifier(max_depth=depth).fit(DIGITS.X, DIGITS.y)
        assert (
            save_model(tmp_path, "digits", model, meta=META | {"trial": depth}, data=DIGITS).version == depth
        )
    assert load_model(tmp_path, "digits").max_depth == 1  # the champion
    assert load_model(tmp_path, "digits", 3).max_depth == 3
    save_model(tmp_path, "other", fitted(), meta=META, data=DIGITS)
    assert [(m.name, m.version) for m in list_models(tmp_path)] == [
        ("digits", 1),
        ("digits", 2),
        ("digits", 3),
        ("other", 1),
    ]


def _save_often(home):
    for i in range(5):
        save_model(Path(home), "busy", fitted(), meta=META | {"trial": 10 * os.getpid() + i}, data=DIGITS)
    return os.getpid()


def test_processes_that_save_at_once_get_versions_of_their_own(tmp_path):
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        list(pool.map(_save_often, [str(tmp_path)] * 2))
    models = list_models(tmp_path)
    assert [model.version for model in models] == list(range(1, 11))
    assert [model.manifest["version"] for model in models] == list(range(1, 11))
    assert [
        path.name for path in (tmp_path / "models" / "busy").iterdir() if path.name.startswith(".new")
    ] == []


def test_a_save_that_fails_half_way_leaves_nothing_to_be_seen(tmp_path, monkeypatch):
    def full(fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ModelError, match="No space left on device"):
        save_model(tmp_path, "digits", fitted(), meta=META, data=DIGITS)
    assert list_models(tmp_path) == []
    assert [path.name for path in (tmp_path / "models" / "digits").iterdir()] == [".lock"]


# --- what is not loaded ------------------------------------------------------------------------


def test_changed_bytes_are_refused(tmp_path):
    saved = save_model(tmp_path, "digits", fitted(), meta=META, data=DIGITS)
    file = saved.path / "model.skops"
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    with pytest.raises(ModelError, match=r"has changed since it was saved: model\.skops"):
        load_model(tmp_path, "digits")


class Planted:
    """Stands for a type that nobody reviewed."""

    def __init__(self):
        self.harmless = True

    def fit(self, X, y):
        return self

    def predict(self, X):
        return np.zeros(len(X))

    def get_params(self, deep=True):
        return {}


def _plant(saved, content):
    """Put other bytes in a model, hashes included, as somebody who can write to the folder might."""
    (saved.path / "model.skops").write_bytes(content)
    manifest = json.loads((saved.path / "model.json").read_text())
    manifest["files"]["model.skops"] = hashlib.sha256(content).hexdigest()
    manifest["trusted"] = skops.io.get_untrusted_types(data=content)
    (saved.path / "model.json").write_text(json.dumps(manifest))


def test_types_that_are_not_on_our_list_are_named_and_not_loaded_whatever_the_file_says(tmp_path):
    saved = save_model(tmp_path, "digits", fitted(), meta=META, data=DIGITS)
    _plant(saved, skops.io.dumps(Planted()))
    for read in (load_model, lambda *given, **more: predict(*given, DIGITS.X, **more)):
        with pytest.raises(ModelError, match=r"does not trust: .*Planted"):
            read(tmp_path, "digits", trust=True)
    with pytest.raises(ModelError, match=r"does not trust: .*Planted"):
        predict(tmp_path, "digits", DIGITS.X)


def test_code_in_a_file_does_not_run(tmp_path):
    saved = save_model(tmp_path, "digits", fitted(), meta=META, data=DIGITS)
    mark = tmp_path / "ran"
    _plant(saved, skops.io.dumps(FunctionTransformer(os.system, kw_args={"command": f"touch {mark}"})))
    with pytest.raises(ModelError, match=r"does not trust: .*system"):
        load_model(tmp_path, "digits", trust=True)
    with pytest.raises(ModelError, match=r"does not trust: .*system"):
        predict(tmp_path, "digits", DIGITS.X)
    assert not mark.exists()


def test_a_model_that_would_not_load_is_not_saved(tmp_path):
    class Mine(ClassifierMixin, BaseEstimator):
        def fit(self, X, y):
            self.classes_ = np.unique(y)
            return self

        def predict(self, X):
            return np.zeros(len(X), dtype=int)

    with pytest.raises(ModelError, match="format='joblib'"):
        save_model(tmp_path, "mine", Mine().fit(DIGITS.X, DIGITS.y), meta=META, data=DIGITS)
    assert list_models(tmp_path) == []


def test_joblib_is_loaded_only_with_trust(tmp_path):
    model = make_pipeline(FunctionTransformer(np.log1p), DecisionTreeClassifier()).fit(DIGITS.X, DIGITS.y)
    saved = save_model(tmp_path, "logs", model, meta=META, data=DIGITS, format="joblib")
    assert (saved.path / "model.joblib").exists()
    with pytest.raises(ModelError, match="trust=True"):
        load_model(tmp_path, "logs")
    assert load_model(tmp_path, "logs", trust=True).predict(DIGITS.X[:3]).shape == (3,)
    with pytest.raises(ModelError, match="trust=True"):
        predict(tmp_path, "logs", DIGITS.X)


def test_a_skops_model_cannot_be_passed_off_as_joblib(tmp_path):
    saved = save_model(tmp_path, "digits", fitted(), meta=META, data=DIGITS)
    joblib.dump(fitted(), saved.path / "model.joblib")
    manifest = json.loads((saved.path / "model.json").read_text())
    (saved.path / "model.json").write_text(json.dumps(manifest | {"serializer": "joblib"}))
    with pytest.raises(ModelError):
        load_model(tmp_path, "digits")


def test_unknown_formats_and_newer_versions_say_so(tmp_path):
    with pytest.raises(ModelError, match="format 'onnx' is not known"):
        save_model(tmp_path, "digits", fitted(), meta=META, data=DIGITS, format="onnx")
    saved = save_model(tmp_path, "digits", fitted(), meta=META, data=DIGITS)
    manifest = json.loads((saved.path / "model.json").read_text())
    (saved.path / "model.json").write_text(json.dumps(manifest | {"format": 99}))
    with pytest.raises(ModelError, match="format 99"):
        load_model(tmp_path, "digits")
    (saved.path / "model.json").write_text("{")
    with pytest.raises(ModelError, match="damaged"):
        show_model(tmp_path, "digits")
    assert "damaged" in list_models(tmp_path)[0].problem


def test_other_library_versions_are_warned_of(tmp_path):
    saved = save_model(tmp_path, "digits", fitted(), meta=META, data=DIGITS)
    manifest = json.loads((saved.path / "model.json").read_text())
    manifest["libraries"]["scikit-learn"] = "0.1.0"
    (saved.path / "model.json").write_text(json.dumps(manifest))
    with pytest.warns(UserWarning, match=r"saved with scikit-learn 0\.1\.0"):
        load_model(tmp_path, "digits", trust=True)


@pytest.mark.parametrize("name", ["../evil", "a/b", ".hidden", "", "a\0b"])
def test_a_name_that_leads_elsewhere_is_no_name(tmp_path, name):
    with pytest.raises(ModelError, match="no name for a model"):
        save_model(tmp_path, name, fitted(), meta=META, data=DIGITS)


@pytest.mark.parametrize("study", ["🎻", "-x", "a/b", "..", "n" * 300, "é" * 200])
def test_a_study_of_any_name_has_a_model(tmp_path, study):
    name = model_name(study)
    assert save_model(tmp_path, name, fitted(), meta=META, data=DIGITS).version == 1
    assert [model.name for model in list_models(tmp_path)] == [name]


def test_a_model_that_is_not_there_names_the_near_one(tmp_path):
    with pytest.raises(ModelError, match="There are none yet"):
        load_model(tmp_path, "digits")
    save_model(tmp_path, "digits", fitted(), meta=META, data=DIGITS)
    with pytest.raises(ModelError, match="Did you mean 'digits'"):
        load_model(tmp_path, "digit")
    with pytest.raises(ModelError, match=r"no version 4\. There is: 1\."):
        load_model(tmp_path, "digits", 4)


# --- every estimator that has a recommended space ----------------------------------------------

SKLEARN = [
    "sklearn.linear_model:LogisticRegression",
    "sklearn.linear_model:Ridge",
    "sklearn.linear_model:ElasticNet",
    "sklearn.linear_model:SGDClassifier",
    "sklearn.linear_model:SGDRegressor",
    "sklearn.svm:SVC",
    "sklearn.svm:SVR",
    "sklearn.svm:LinearSVC",
    "sklearn.neighbors:KNeighborsClassifier",
    "sklearn.tree:DecisionTreeRegressor",
    "sklearn.ensemble:RandomForestClassifier",
    "sklearn.ensemble:ExtraTreesRegressor",
    "sklearn.ensemble:HistGradientBoostingClassifier",
    "sklearn.ensemble:HistGradientBoostingRegressor",
    "sklearn.ensemble:GradientBoostingClassifier",
    "sklearn.ensemble:GradientBoostingRegressor",
    "sklearn.neural_network:MLPClassifier",
    "xgboost:XGBClassifier",
    "xgboost:XGBRegressor",
    "lightgbm:LGBMClassifier",
    "lightgbm:LGBMRegressor",
    "catboost:CatBoostClassifier",
    "catboost:CatBoostRegressor",
]
ROUNDS = {"max_iter": 20, "n_estimators": 5, "iterations": 5}


@pytest.mark.parametrize("path", SKLEARN)
def test_what_is_tuned_can_be_kept(tmp_path, path):
    pytest.importorskip(path.partition(":")[0].partition(".")[0])
    cls = load_estimator(path)
    frame, labels = load_iris(return_X_y=True, as_frame=True)
    y = np.array(["x", "y", "z"])[labels] if is_classifier(cls()) else labels
    X = frame.assign(kind=np.where(frame.iloc[:, 0] > 6, "big", None))
    X.iloc[::9, 1] = np.nan
    task = CrossValidation(path, X, y, cv=2)
    space = recommended_space(task.estimator)
    for i in range(3):
        params = space.sample(np.random.default_rng(i))
        model = task.refit(params | {n: v for n, v in ROUNDS.items() if n in space})
        saved = save_model(tmp_path, "kept", model, meta={}, data=task.data)
        found = predict(tmp_path, "kept", X, saved.version)
        assert np.array_equal(found.values, np.asarray(model.predict(X)).ravel())


def test_every_trusted_type_can_be_imported():
    for name in sorted(TRUSTED):
        module, _, attribute = name.rpartition(".")
        if module.partition(".")[0] in ("xgboost", "lightgbm", "catboost"):
            pytest.importorskip(module.partition(".")[0])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert hasattr(__import__(module, fromlist=[attribute]), attribute), name


# --- predictions -------------------------------------------------------------------------------


def test_a_table_is_predicted_from_a_file_with_probabilities(tmp_path):
    model, data, _ = save_fruit(tmp_path)
    found = predict(tmp_path, "fruit", tmp_path / "fruit.csv")
    assert found.values.tolist() == model.predict(data.X).tolist()
    assert found.classes == ("no", "yes")
    assert found.probabilities.shape == (60, 2)
    assert found.ignored == ()  # the target is known


def test_columns_are_found_by_name_in_any_order_and_others_are_left_out(tmp_path):
    model, data, table = save_fruit(tmp_path)
    other = table[["weight", "sold", "colour", "size"]].assign(id=range(60))
    other.to_csv(tmp_path / "new.csv", index=False)
    found = predict(tmp_path, "fruit", str(tmp_path / "new.csv"))
    assert found.values.tolist() == model.predict(data.X).tolist()
    assert found.ignored == ("id",)


def test_missing_and_misspelt_columns_are_named(tmp_path):
    _, _, table = save_fruit(tmp_path)
    with pytest.raises(DataError) as error:
        predict(tmp_path, "fruit", table.rename(columns={"colour": "color"}))
    assert str(error.value) == (
        "the table lacks column 'colour' that the model reads. It has column 'color' that the model does not know. "
        "Did you mean 'color'?"
    )


def test_text_where_numbers_were_is_said_with_its_row(tmp_path):
    _, _, table = save_fruit(tmp_path)
    wrong = table.astype({"size": object})
    wrong.loc[2, "size"] = "large"
    with pytest.raises(DataError, match="column 'size' holds 'large' in row 3"):
        predict(tmp_path, "fruit", wrong)


def test_gaps_that_the_model_never_saw_are_named(tmp_path):
    _, _, table = save_fruit(tmp_path)
    table.loc[1, "weight"] = np.nan
    with pytest.raises(DataError, match="gaps in column 'weight'"):
        predict(tmp_path, "fruit", table)


def test_an_array_is_taken_by_place_and_checked_by_count(tmp_path):
    save_model(tmp_path, "digits", fitted(), meta=META, data=DIGITS)
    assert predict(tmp_path, "digits", DIGITS.X[:4]).values.shape == (4,)
    frame = pd.DataFrame(DIGITS.X[:4], columns=list(DIGITS.feature_names))[
        list(reversed(DIGITS.feature_names))
    ]
    assert (
        predict(tmp_path, "digits", frame).values.tolist()
        == predict(tmp_path, "digits", DIGITS.X[:4]).values.tolist()
    )
    with pytest.raises(DataError, match="reads 64 columns"):
        predict(tmp_path, "digits", DIGITS.X[:4, :5])


def test_rows_like_those_it_reads_are_enough_to_save_a_model(tmp_path):
    save_model(tmp_path, "plain", fitted(), meta={}, data=DIGITS.X)
    assert show_model(tmp_path, "plain").manifest["inputs"][0]["name"] == "x0"
    assert predict(tmp_path, "plain", DIGITS.X[:2]).values.shape == (2,)


@pytest.mark.parametrize("estimator", [LogisticRegression(), DecisionTreeClassifier()])
@pytest.mark.parametrize("kind", ["plain", "nullable", "with gaps", "categories", "Python objects"])
def test_tables_of_every_dtype_of_pandas_are_tuned_saved_and_predicted(tmp_path, estimator, kind):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "i": rng.integers(0, 9, 60),
            "f": rng.normal(size=60),
            "b": rng.random(60) > 0.5,
            "s": ["u", "v", "w"] * 20,
        }
    )
    y = pd.Series(np.where(table["f"] > 0, "yes", "no")).astype(
        "category" if kind == "categories" else "string"
    )
    match kind:
        case "nullable":
            table = table.convert_dtypes()
        case "with gaps":
            table = table.convert_dtypes().mask(rng.random((60, 4)) < 0.2)
        case "categories":
            table = table.astype({"s": "category"})
        case "Python objects":
            table = table.astype(object).mask(rng.random((60, 4)) < 0.2, None)
    task = CrossValidation(estimator, table, y, cv=2)
    model = task.refit({})
    save_model(tmp_path, "m", model, meta={}, data=task.data)
    table.to_csv(tmp_path / "new.csv", index=False)
    expected = model.predict(task.data.X).tolist()
    assert predict(tmp_path, "m", table).values.tolist() == expected
    if kind != "Python objects":  # a CSV cannot say that its numbers are objects
        assert predict(tmp_path, "m", tmp_path / "new.csv").values.tolist() == expected


def test_a_model_is_read_in_another_process(tmp_path):
    model, _, table = save_fruit(tmp_path, SVC())
    code = (
        "from luthier.models import predict\n"
        f"print(*predict({str(tmp_path)!r}, 'fruit', {str(tmp_path / 'fruit.csv')!r}).values)"
    )
    said = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == model.predict(table.drop(columns="sold")).tolist()
