import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils import all_estimators

from luthier.errors import InvalidParams, MissingExtra, ObjectiveError, UnknownName
from luthier.estimators import as_estimator, estimator_path, hyperparameters, load_estimator, set_params
from luthier.estimators.describe import default_params


@pytest.mark.parametrize("path", ["sklearn.svm:SVC", "sklearn.svm.SVC"])
def test_an_estimator_is_found_by_its_path(path):
    assert load_estimator(path) is SVC


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("sklearn.svm:SVX", "sklearn.svm has no estimator 'SVX'. Did you mean 'SVR'?"),
        ("sklearn.linear_model:LogisticRegresion", "Did you mean 'LogisticRegression'?"),
        ("sklearn.swm:SVC", "Did you mean 'sklearn.svm'?"),
        ("no_such_package:SVC", "no module 'no_such_package'"),
        ("SVC", "not of the form 'package.module:Class'"),
        ("sklearn.svm:l1_min_c", "no estimator: it has no fit"),
    ],
)
def test_a_wrong_path_is_refused_with_the_near_one(path, says):
    with pytest.raises(UnknownName, match="estimator") as error:
        load_estimator(path)
    assert says in str(error.value)


def test_a_missing_library_names_its_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "lightgbm", None)
    with pytest.raises((MissingExtra, ObjectiveError), match="lightgbm"):
        load_estimator("lightgbm:LGBMClassifier")


def test_the_path_of_an_estimator_is_public_and_leads_back():
    for cls in (SVC, HistGradientBoostingClassifier, MLPClassifier):
        assert load_estimator(estimator_path(cls)) is cls
    assert estimator_path(SVC()) == "sklearn.svm:SVC"


def test_hyperparameters_say_default_type_allowed_values_and_what_they_are_for():
    found = {h.name: h for h in hyperparameters("sklearn.svm:SVC")}
    assert next(iter(found)) == "C"
    assert (found["C"].default, found["C"].type, found["C"].allowed) == (1.0, "float", "a number above 0")
    assert found["C"].doc == "Regularization parameter."
    assert found["gamma"].allowed == "'auto' or 'scale' or a number of at least 0"
    assert found["degree"].allowed == "a whole number of at least 0"
    assert found["shrinking"].allowed == "True or False"
    assert "probability" not in found or found["probability"].default != "deprecated"


def test_every_parameter_of_every_supervised_estimator_has_a_type_and_a_sentence():
    estimators = [cls for kind in ("classifier", "regressor") for _, cls in all_estimators(type_filter=kind)]
    described = 0
    for cls in estimators:
        if "PassiveAggressive" in cls.__name__:  # deprecated: making one warns
            continue
        try:
            estimator = as_estimator(cls)
        except ObjectiveError:  # those that are made of other estimators
            continue
        for parameter in hyperparameters(estimator):
            assert parameter.type, (cls, parameter)
            assert parameter.doc, (cls, parameter)
            described += 1
    assert described > 700


def test_parameters_of_a_pipeline_go_by_step():
    names = [h.name for h in hyperparameters(make_pipeline(StandardScaler(), SVC()))]
    assert "svc__C" in names
    assert "standardscaler__with_mean" in names
    assert "steps" not in names


@pytest.mark.parametrize(
    "path", ["xgboost:XGBClassifier", "lightgbm:LGBMRegressor", "catboost:CatBoostClassifier"]
)
def test_boosting_libraries_are_described_from_their_documentation(path):
    pytest.importorskip(path.partition(":")[0])
    found = {h.name: h for h in hyperparameters(path)}
    assert found["learning_rate"].type.startswith("float")
    assert found["learning_rate"].doc
    assert estimator_path(load_estimator(path)) == path


def test_none_means_what_the_library_does():
    xgboost = pytest.importorskip("xgboost")
    assert default_params(xgboost.XGBClassifier())["learning_rate"] == 0.3
    assert default_params(xgboost.XGBClassifier(learning_rate=0.1))["learning_rate"] == 0.1


def test_parameters_are_set_on_a_clone():
    pipeline = make_pipeline(StandardScaler(), SVC())
    made = set_params(pipeline, {"svc__C": 7.0})
    assert made.get_params()["svc__C"] == 7.0
    assert pipeline.get_params()["svc__C"] == 1.0


def test_layer_sizes_are_given_as_text():
    assert set_params(MLPClassifier(), {"hidden_layer_sizes": "50,20"}).hidden_layer_sizes == (50, 20)
    with pytest.raises(InvalidParams, match="'50,50'"):
        set_params(MLPClassifier(), {"hidden_layer_sizes": "wide"})


def test_a_misspelt_parameter_is_refused_with_the_near_one():
    with pytest.raises(InvalidParams) as error:
        set_params(SVC(), {"gammma": 1.0})
    assert str(error.value) == "'gammma' is not a parameter of sklearn.svm:SVC. Did you mean 'gamma'?"


def test_a_boosting_library_takes_parameters_that_it_does_not_list_but_no_misspelt_ones():
    lightgbm = pytest.importorskip("lightgbm")
    assert set_params(lightgbm.LGBMClassifier(), {"path_smooth": 1.0}).get_params()["path_smooth"] == 1.0
    with pytest.raises(InvalidParams, match="'num_leaves'"):
        set_params(lightgbm.LGBMClassifier(), {"num_leafes": 10})


def test_an_estimator_that_needs_arguments_is_asked_for_as_an_instance():
    with pytest.raises(ObjectiveError, match="Pass an instance"):
        as_estimator("sklearn.multiclass:OneVsRestClassifier")
    with pytest.raises(ObjectiveError, match="no estimator"):
        as_estimator(3)
