import warnings

import numpy as np
import pytest
from sklearn.datasets import make_classification, make_regression
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from luthier.errors import InvalidStudy
from luthier.estimators import load_estimator, recommended_space, set_params
from luthier.estimators.recommended import KNOWN, some, svm_gamma
from luthier.objectives.crossval import CrossValidation
from luthier.space import Choice, Float

SKLEARN = {
    "linear_model": (
        "LogisticRegression",
        "Ridge",
        "RidgeClassifier",
        "Lasso",
        "ElasticNet",
        "SGDClassifier",
        "SGDRegressor",
    ),
    "svm": ("SVC", "SVR", "LinearSVC", "LinearSVR"),
    "neighbors": ("KNeighborsClassifier", "KNeighborsRegressor"),
    "tree": ("DecisionTreeClassifier", "DecisionTreeRegressor"),
    "ensemble": tuple(
        name + kind
        for name in ("RandomForest", "ExtraTrees", "HistGradientBoosting", "GradientBoosting")
        for kind in ("Classifier", "Regressor")
    ),
    "neural_network": ("MLPClassifier", "MLPRegressor"),
}
PATHS = [f"sklearn.{module}:{name}" for module, names in SKLEARN.items() for name in names]
BOOSTING = [
    "xgboost:XGBClassifier",
    "xgboost:XGBRegressor",
    "lightgbm:LGBMClassifier",
    "lightgbm:LGBMRegressor",
    "catboost:CatBoostClassifier",
    "catboost:CatBoostRegressor",
]
# How long a fit takes is not what is tested here; these keep fits of many rounds short.
ROUNDS = {"max_iter": 20, "n_estimators": 10, "iterations": 10}


def make(path):
    pytest.importorskip(path.partition(":")[0].partition(".")[0])
    return load_estimator(path)()


def tiny(estimator_class_name):
    if "Classif" in estimator_class_name or estimator_class_name in (
        "SVC",
        "LinearSVC",
        "LogisticRegression",
    ):
        return make_classification(70, 6, n_informative=4, n_classes=3, random_state=0)
    X, y = make_regression(70, 6, noise=1.0, random_state=0)
    return X, y / y.std()


def test_every_estimator_with_a_recommended_space_is_tested_here():
    tested = {(p.split(":")[0].split(".")[0], p.split(":")[1]) for p in PATHS + BOOSTING}
    assert tested == set(KNOWN)


@pytest.mark.parametrize("path", PATHS)
def test_every_point_of_a_recommended_space_is_accepted_without_a_warning(path):
    estimator = make(path)
    X, y = tiny(type(estimator).__name__)
    space = recommended_space(estimator, X)
    for i in range(15):
        params = space.sample(np.random.default_rng(i))
        made = set_params(estimator, params | {n: v for n, v in ROUNDS.items() if n in space})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            assert np.isfinite(made.fit(X, y).score(X, y)), params


@pytest.mark.parametrize("path", BOOSTING)
def test_every_point_is_accepted_by_the_boosting_libraries_too(path):
    estimator = make(path)
    X, y = tiny(type(estimator).__name__)
    task = CrossValidation(estimator, X, y, cv=2)
    space = task.space()
    for i in range(5):
        params = space.sample(np.random.default_rng(i))
        made = task.build(params | {n: v for n, v in ROUNDS.items() if n in space})
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "X does not have valid feature names")
            assert np.isfinite(made.fit(X, y).score(X, y)), params


@pytest.mark.parametrize("path", PATHS + [p for p in BOOSTING if "catboost" not in p])
def test_an_estimators_own_defaults_lie_inside_its_recommended_space(path):
    estimator = make(path)
    task = CrossValidation(estimator, *tiny(type(estimator).__name__))
    space = task.space()
    point = task.defaults(space)
    space.check(point)
    assert set(point) == set(space.active(point))


def test_catboost_by_itself_chooses_its_learning_rate_by_the_data():
    estimator = make("catboost:CatBoostRegressor")
    task = CrossValidation(estimator, *tiny("Regressor"))
    assert task.defaults(task.space())["learning_rate"] is None


def test_the_parameters_of_a_pipelines_last_step_are_searched_under_their_full_names():
    space = recommended_space(make_pipeline(StandardScaler(), SVC()))
    assert list(space)[:2] == ["svc__gamma", "svc__C"]


def test_conditions_hold_under_full_names_too():
    space = recommended_space(make_pipeline(StandardScaler(), make("sklearn.linear_model:SGDClassifier")))
    assert [when.parent for when in space["sgdclassifier__l1_ratio"].when] == ["sgdclassifier__penalty"]
    assert "sgdclassifier__l1_ratio" not in space.active({"sgdclassifier__penalty": "l2"})


def test_gamma_spans_three_decades_around_the_default_that_the_data_imply():
    X, y = tiny("SVC")
    gamma = recommended_space(SVC(), 100 * X)["gamma"]
    assert isinstance(gamma, Float)
    centre = svm_gamma("scale", 100 * X)
    assert centre == pytest.approx(SVC().fit(100 * X, y)._gamma)
    assert centre / gamma.low == pytest.approx(1000, rel=0.5)
    scaled = recommended_space(make_pipeline(StandardScaler(), SVC()), 100 * X)["svc__gamma"]
    assert scaled.low < 1 / 6 < scaled.high
    assert scaled.low > gamma.low


def test_the_kernel_decides_what_an_svm_is_searched_for():
    assert "gamma" not in recommended_space(SVC(kernel="linear"))
    assert {"degree", "coef0"} <= set(recommended_space(SVC(kernel="poly")))


def test_neighbours_are_no_more_than_there_are_rows():
    space = recommended_space(make("sklearn.neighbors:KNeighborsClassifier"), np.zeros((12, 2)))
    assert space["n_neighbors"].high == 12


def test_layer_sizes_are_a_choice_of_text():
    sizes = recommended_space(make("sklearn.neural_network:MLPClassifier"))["hidden_layer_sizes"]
    assert isinstance(sizes, Choice)
    assert all(isinstance(value, str) for value in sizes.values)


def test_an_estimator_without_a_recommended_space_says_what_to_do():
    with pytest.raises(InvalidStudy) as error:
        recommended_space(LinearRegression())
    assert "no recommended space for sklearn.linear_model:LinearRegression" in str(error.value)
    assert "space=" in str(error.value)
    assert "luthier describe sklearn.linear_model:LinearRegression" in str(error.value)


def test_ranges_of_a_large_table_go_by_some_of_its_rows() -> None:
    rows = np.arange(100_000)
    assert len(some(rows, 50)) == len(rows)
    assert len(some(rows, 500)) == 10_000
    assert len(some(rows, 1_000_000)) == 1000
    assert list(some([5, 7], 10**9)) == [5, 7]
