import json
import subprocess
import sys
import warnings

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import AdaBoostClassifier, RandomForestClassifier
from sklearn.experimental import enable_halving_search_cv, enable_iterative_imputer  # noqa: F401 - all of them
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import SGDClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import all_estimators

import luthier
from luthier.errors import ObjectiveError, UnknownName
from luthier.estimators import describe, estimator_path, load_estimator, recommended_space
from luthier.estimators.recommended import KNOWN
from luthier.objectives.crossval import CrossValidation
from luthier.space import Float

BOOSTING = [
    f"{package}:{prefix}{kind}"
    for package, prefix in (("xgboost", "XGB"), ("lightgbm", "LGBM"), ("catboost", "CatBoost"))
    for kind in ("Classifier", "Regressor")
]
ESTIMATORS = dict(all_estimators())


def mixed_pipeline(last):
    columns = ColumnTransformer(
        [("numbers", StandardScaler(), [0]), ("words", OneHotEncoder(), [1]), ("others", "passthrough", [2])]
    )
    return Pipeline([("columns", columns), ("model", last)])


# --- what is said ------------------------------------------------------------------------------


def test_a_hyperparameter_has_a_default_a_type_allowed_values_and_a_sentence():
    found = luthier.describe("sklearn.svm:SVC")
    c, gamma = found["C"], found["gamma"]
    assert (c.default, c.type, c.allowed, c.doc) == (
        1.0,
        "float",
        "float > 0",
        "Regularization parameter.",
    )
    assert gamma.allowed == "'auto', 'scale' or float >= 0"
    assert found["shrinking"].allowed == "True or False"
    assert found["class_weight"].allowed == "'balanced', dict or None"
    assert (found.estimator, found.library, found.version) == ("sklearn.svm:SVC", "sklearn", _version())


def _version():
    return __import__("sklearn").__version__


def test_what_is_recommended_comes_with_its_scale_its_condition_and_its_rank():
    found = describe(SVC)
    assert [(p.name, p.rank, p.scale) for p in found][:2] == [("gamma", 1, "log"), ("C", 2, "log")]
    assert found["C"].range == "0.001 to 1000"
    assert found["class_weight"].range == "None, 'balanced'"
    assert (found["class_weight"].scale, found["class_weight"].rank) == (None, None)
    assert (found["tol"].recommended, found["tol"].range, found["tol"].scale) == (None, "", None)
    assert describe(SGDClassifier)["l1_ratio"].condition == "penalty is 'elasticnet'"
    assert describe(SGDClassifier)["l1_ratio"].scale == "linear"


@pytest.mark.parametrize(("package", "name"), KNOWN)
def test_what_is_recommended_is_what_is_searched(package, name):
    pytest.importorskip(package)
    made = ESTIMATORS[name]() if package == "sklearn" else getattr(sys.modules[package], name)()
    found, space = describe(made), recommended_space(made)
    assert {p.name: p.recommended for p in found if p.recommended is not None} == dict(space)
    ranks = [p.rank for p in found if p.rank is not None]
    assert ranks == list(range(1, len(ranks) + 1))
    assert all(p.recommended is not None for p in found if p.rank is not None)
    assert [p.name for p in found][: len(space)] == [p.name for p in found if p.recommended is not None]


def test_with_rows_ranges_are_those_of_a_study_on_them():
    X = 100 * np.random.default_rng(0).normal(size=(60, 3))
    model = make_pipeline(StandardScaler(), SVC())
    study = CrossValidation(model, X, np.arange(60) % 2, cv=3).space()
    assert describe(model, X).space == study
    assert describe(model).space != study


def test_where_nothing_is_known_nothing_is_ranked():
    assert [p.rank for p in describe(SVC(kernel="linear")) if p.rank is not None] == [
        1
    ]  # C; gamma does nothing
    found = describe("sklearn.decomposition:PCA")
    assert found.space is None
    assert all(p.rank is None and p.recommended is None for p in found)
    assert "no recommended space for sklearn.decomposition:PCA" in found.note


def test_a_wrapped_estimators_parameters_are_ranked_under_their_full_names():
    boosted = describe(AdaBoostClassifier(DecisionTreeClassifier()))
    assert {p.name: p.rank for p in boosted if p.rank} == {
        "estimator__max_depth": 1,
        "learning_rate": 2,
        "n_estimators": 3,
    }
    found = describe(make_pipeline(StandardScaler(), RandomForestClassifier()))
    assert [p.name for p in found][:2] == [
        "randomforestclassifier__min_samples_leaf",
        "randomforestclassifier__max_features",
    ]
    assert (
        found["randomforestclassifier__max_samples"].condition == "randomforestclassifier__bootstrap is True"
    )


def test_a_parameter_that_is_not_there_is_asked_for_with_the_near_one():
    with pytest.raises(
        UnknownName, match=r"'gammma' is not a parameter of sklearn.svm:SVC. Did you mean 'gamma'"
    ):
        describe(SVC)["gammma"]
    with pytest.raises(ObjectiveError, match="no estimator"):
        describe(3)


# --- whatever estimator ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_of_scikit_learn_is_described(name):
    found = describe(ESTIMATORS[name])
    json.dumps(found.to_json(), allow_nan=False)
    assert all(p.type and p.doc for p in found), [p for p in found if not (p.type and p.doc)]
    assert "deprecated" not in [p.default for p in found]


@pytest.mark.parametrize("path", BOOSTING)
def test_boosting_libraries_are_described_from_their_documentation(path):
    pytest.importorskip(path.partition(":")[0])
    found = describe(path)
    rate = found["learning_rate"]
    assert rate.type.startswith("float")
    assert rate.allowed.startswith("float ")
    assert rate.rank == 1
    assert rate.doc
    assert all(p.allowed for p in found if p.recommended is not None)
    assert estimator_path(load_estimator(path)) == path
    json.dumps(found.to_json(), allow_nan=False)


def test_parameters_of_a_pipeline_go_by_step():
    found = describe(mixed_pipeline(SGDClassifier()))
    assert {"model__alpha", "columns__numbers__with_mean", "columns__words__drop"} <= {p.name for p in found}
    assert not {"steps", "columns__transformers"} & {p.name for p in found}
    assert found["model__l1_ratio"].condition == "model__penalty is 'elasticnet'"
    assert found["model__alpha"].allowed == "float >= 0"
    assert found["model__alpha"].doc == describe(SGDClassifier)["alpha"].doc


def test_a_class_that_cannot_be_made_without_arguments_says_which_it_wants():
    found = describe(OneVsRestClassifier)
    assert {p.name for p in found if p.required} == {"estimator"}
    assert describe(OneVsRestClassifier(SVC()))["estimator__C"].recommended == describe(SVC)["C"].recommended
    assert "(required)" in str(found)


def test_that_an_estimator_is_deprecated_is_no_warning():
    old = [cls for name, cls in all_estimators() if "PassiveAggressive" in name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert all(len(describe(cls)) > 5 for cls in old)


class Mine:
    """An estimator of somebody's own, without constraints.

    Parameters
    ----------
    depth : int, default=3
        How deep it goes. And more about it.
    rate : Union[float, str, NoneType]
        How fast.
    """

    def __init__(self, depth=3, rate=None, *, plain=(1, 2)):
        self.depth, self.rate, self.plain = depth, rate, plain

    def get_params(self, deep=True):
        return {"depth": self.depth, "rate": self.rate, "plain": self.plain}

    def fit(self, X, y):
        return self


def test_an_estimator_of_ones_own_is_described_from_signature_and_docstring():
    found = describe(Mine)
    assert [(p.name, p.default, p.type, p.doc) for p in found] == [
        ("depth", 3, "int", "How deep it goes."),
        ("rate", None, "float or str or None", "How fast."),
        ("plain", (1, 2), "tuple", ""),
    ]
    assert {p.allowed for p in found} == {""}


# --- how it looks ------------------------------------------------------------------------------


def test_json_has_all_of_it_and_can_be_read_by_any_parser():
    data = json.loads(json.dumps(describe(SVC).to_json(), allow_nan=False))
    assert data["estimator"] == "sklearn.svm:SVC"
    gamma, c = data["parameters"][:2]
    assert gamma["domain"] == [{"options": ["auto", "scale"]}, {"range": "float", "low": 0}]
    assert gamma["default"] == "scale"
    assert (gamma["default_text"], c["default_text"]) == ("'scale'", "1.0")
    assert c["recommended"] == {"kind": "float", "low": 0.001, "high": 1000.0, "log": True}
    assert (c["range"], c["scale"], c["condition"], c["rank"]) == ("0.001 to 1000", "log", "", 2)


def test_defaults_that_json_has_no_word_for_are_there_as_text():
    by_name = {p["name"]: p for p in describe(SelectKBest).to_json()["parameters"]}
    assert (by_name["score_func"]["default"], by_name["score_func"]["default_text"]) == (None, "f_classif")
    imputer = describe("sklearn.impute:SimpleImputer")["missing_values"].to_json()
    assert (imputer["default"], imputer["default_text"]) == ("NaN", "nan")
    assert describe(MLPClassifier)["hidden_layer_sizes"].to_json()["default"] == [100]


def test_printed_it_is_a_table_that_keeps_to_the_width():
    found = describe(mixed_pipeline(SGDClassifier()))
    for width in (80, 120, 400):
        lines = found.to_text(width).splitlines()
        assert max(map(len, lines[1:])) <= width
        assert lines[0].startswith("sklearn.pipeline:Pipeline (sklearn ")
        assert "…" not in "".join(lines)
    head, *rows = describe(SVC).to_text(400).splitlines()[1:]
    assert head.split("  ")[0] == "rank"
    assert rows[0].split()[:3] == ["1", "gamma", "'scale'"]
    assert rows[0].endswith("Kernel coefficient for 'rbf', 'poly' and 'sigmoid'.")
    assert len(rows) == len(describe(SVC))
    assert "what it is" not in describe(SVC).to_text(100)
    assert str(describe(SVC)).startswith("sklearn.svm:SVC")


def test_in_a_notebook_it_is_a_table_with_nothing_unescaped():
    page = describe(mixed_pipeline(SGDClassifier(loss="<script>")))._repr_html_()
    assert page.count("<tr") == len(describe(mixed_pipeline(SGDClassifier()))) + 1
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_describe_is_there_without_scikit_learn_being_imported():
    code = (
        "import sys, luthier; luthier.describe; assert not {'sklearn', 'rich', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_recommended_range_is_a_parameter_that_a_space_takes():
    rate = describe(MLPClassifier)["learning_rate_init"].recommended
    assert isinstance(rate, Float)
    assert luthier.Space(rate=rate)["rate"] == rate
