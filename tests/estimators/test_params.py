import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from luthier.errors import InvalidParams, MissingExtra, ObjectiveError, UnknownName
from luthier.estimators import as_estimator, estimator_path, load_estimator, set_params
from luthier.estimators.params import default_params


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
