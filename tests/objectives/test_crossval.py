import cloudpickle
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import make_scorer, matthews_corrcoef
from sklearn.model_selection import GroupKFold, StratifiedKFold, TimeSeriesSplit, cross_validate
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import threadpool_limits

from luthier.errors import DataError, InvalidParams, InvalidStudy, ObjectiveError, Stop
from luthier.estimators import load_data
from luthier.objectives.crossval import CrossValidation
from luthier.space import Choice, Float, Int, Space
from luthier.study import Objective

IRIS = load_iris(return_X_y=True)


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny fits are slower on many threads than on one."""
    with threadpool_limits(1):
        yield


class Recorder:
    """A trial that keeps what it is told, and stops where it is told to."""

    number, attempt, fidelity, seed = 0, 1, None, 7

    def __init__(self, params=None, stop_at=None, earlier=None):
        self.params, self.stop_at, self.reports, self.earlier = params or {}, stop_at, [], earlier or {}

    def report(self, step, metrics=None, /, **more):
        self.reports.append((step, {**(metrics or {}), **more}))
        if step == self.stop_at:
            raise Stop("enough")


def test_the_result_is_that_of_scikit_learns_own_cross_validation():
    task = CrossValidation(SVC(), *IRIS, scoring=["accuracy", "f1_macro"], seed=3)
    trial = Recorder({"C": 0.5})
    metrics = task(trial)
    folds = StratifiedKFold(5, shuffle=True, random_state=3)
    theirs = cross_validate(SVC(C=0.5), *IRIS, cv=folds, scoring=["accuracy", "f1_macro"])
    assert metrics["accuracy"] == pytest.approx(theirs["test_accuracy"].mean())
    assert metrics["f1_macro"] == pytest.approx(theirs["test_f1_macro"].mean())
    assert metrics["fit_seconds"] >= 0
    assert [step for step, _ in trial.reports] == [0, 1, 2, 3, 4]
    assert [values["accuracy"] for _, values in trial.reports] == pytest.approx(theirs["test_accuracy"])


def test_a_trial_that_is_told_to_stop_fits_no_further_fold():
    task = CrossValidation(SVC(), *IRIS)
    trial = Recorder({}, stop_at=1)
    with pytest.raises(Stop):
        task(trial)
    assert len(trial.reports) == 2


def test_splits_are_made_once_and_hashed():
    one, two = CrossValidation(SVC(), *IRIS), CrossValidation(RandomForestClassifier(), *IRIS)
    assert one.splits_hash == two.splits_hash
    assert one.folds == 5
    assert CrossValidation(SVC(), *IRIS, seed=1).splits_hash != one.splits_hash
    assert CrossValidation(SVC(), *IRIS, cv=4).splits_hash != one.splits_hash
    for train, test in one.splits:
        assert not set(train) & set(test)
        assert np.bincount(IRIS[1][test]).tolist() == [10, 10, 10]


def test_splitters_index_pairs_and_groups_are_taken():
    X, y = load_diabetes(return_X_y=True)
    groups = np.arange(len(y)) % 7
    by_group = CrossValidation(Ridge(), X, y, cv=3, groups=groups)
    for train, test in by_group.splits:
        assert not set(groups[train]) & set(groups[test])
    assert CrossValidation(Ridge(), X, y, cv=TimeSeriesSplit(3)).folds == 3
    assert CrossValidation(Ridge(), X, y, cv=GroupKFold(4), groups=groups).folds == 4
    pairs = [(np.arange(300), np.arange(300, 442)), (np.arange(100, 442), np.arange(100))]
    assert CrossValidation(Ridge(), X, y, cv=pairs).folds == 2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"cv": 1}, "at least 2 folds"),
        ({"cv": True}, "cv is True"),
        ({"cv": 3.5}, "Give a number of folds"),
        ({"cv": 60}, "cannot be split"),
        ({"cv": []}, "gives no split"),
        ({"cv": [([0, 1], [999])]}, "from 0 to 149"),
        ({"cv": [([0, 1], [])]}, "no test rows"),
        ({"cv": 3, "groups": [1, 2]}, "2 groups for 150 rows"),
        ({"scoring": "acuracy"}, "Did you mean 'accuracy'?"),
    ],
)
def test_a_cross_validation_that_cannot_be_done_is_refused(options, says):
    with pytest.raises(InvalidStudy) as error:
        CrossValidation(SVC(), *IRIS, **options)
    assert says in str(error.value)


def test_a_target_that_does_not_suit_the_estimator_is_refused():
    X, y = load_diabetes(return_X_y=True)
    with pytest.raises(DataError, match="Use a regressor"):
        CrossValidation(SVC(), X, y + 0.5)
    with pytest.raises(DataError, match="Use a classifier"):
        CrossValidation(Ridge(), *IRIS[:1], np.array(["a", "b", "c"])[IRIS[1]])
    with pytest.raises(DataError, match="one class only"):
        CrossValidation(SVC(), IRIS[0], np.zeros(150, dtype=int))
    with pytest.raises(DataError, match="no y"):
        CrossValidation(SVC(), IRIS[0])


def test_the_default_objective_fits_the_estimator():
    assert CrossValidation(SVC(), *IRIS).default_objective() == Objective("accuracy", "max")
    assert CrossValidation(Ridge(), *load_diabetes(return_X_y=True)).default_objective() == Objective(
        "r2", "max"
    )
    assert CrossValidation(LogisticRegression(), *IRIS, scoring="log_loss").default_objective().goal == "min"


def test_a_loss_by_its_plain_name_is_positive_and_scikit_learns_name_is_as_it_is():
    task = CrossValidation(LogisticRegression(max_iter=500), *IRIS).scored_by(["log_loss", "neg_log_loss"])
    metrics = task(Recorder())
    assert metrics["log_loss"] > 0
    assert metrics["neg_log_loss"] == pytest.approx(-metrics["log_loss"])


def test_objectives_are_added_to_the_scores_that_were_asked_for():
    task = CrossValidation(Ridge(), *load_diabetes(return_X_y=True), scoring="r2")
    assert list(task.scored_by(["root_mean_squared_error", "r2"]).scorers) == [
        "r2",
        "root_mean_squared_error",
    ]
    assert list(task.scorers) == ["r2"]
    assert list(CrossValidation(SVC(), *IRIS).scored_by(["f1_macro"]).scorers) == ["f1_macro"]
    assert list(CrossValidation(SVC(), *IRIS).scored_by(["accuracy"]).scorers) == ["accuracy"]
    with pytest.raises(InvalidStudy, match="Did you mean 'log_loss'"):
        task.scored_by(["log_los"])


def test_scorers_of_ones_own_are_taken():
    scorer = make_scorer(matthews_corrcoef)
    assert "mcc" in CrossValidation(SVC(), *IRIS, scoring={"mcc": scorer})(Recorder())


def test_a_score_that_cannot_be_computed_is_said_in_a_sentence():
    task = CrossValidation(SVC(), *IRIS, scoring="log_loss")
    with pytest.raises(ObjectiveError, match=r"'log_loss' cannot be computed for sklearn\.svm:SVC on fold 0"):
        task(Recorder())


def test_a_score_that_is_not_a_number_is_no_score():
    X, y = load_breast_cancer(return_X_y=True)
    one_class = np.flatnonzero(y == 0)[:20]
    rest = np.setdiff1d(np.arange(len(y)), one_class)
    task = CrossValidation(DecisionTreeClassifier(), X, y, cv=[(rest, one_class)], scoring="roc_auc")
    with pytest.raises(ObjectiveError, match="'roc_auc'"):
        task(Recorder())


def test_fits_that_do_not_converge_keep_still():
    CrossValidation(MLPClassifier(max_iter=2), *IRIS, cv=2)(Recorder())
    CrossValidation(DummyClassifier(), *IRIS, cv=2, scoring="precision_macro")(Recorder())


def test_what_is_random_in_an_estimator_is_the_same_in_every_trial():
    task = CrossValidation(RandomForestClassifier(5), *IRIS, seed=4)
    assert task.estimator.random_state == 4
    first, second = task(Recorder({"max_depth": 2})), task(Recorder({"max_depth": 2}))
    assert first["accuracy"] == second["accuracy"]
    assert CrossValidation(RandomForestClassifier(random_state=9), *IRIS).estimator.random_state == 9
    piped = CrossValidation(make_pipeline(StandardScaler(), SVC()), *IRIS, seed=4)
    assert piped.estimator.get_params()["svc__random_state"] == 4


def test_defaults_are_the_estimators_own_values_in_the_types_of_the_space():
    task = CrossValidation(SVC(C=2, degree=4), *IRIS)
    space = Space(C=Float(0.1, 10), kernel=["rbf", "poly"], degree=Int(2, 5, when={"kernel": "poly"}))
    assert task.defaults(space) == {"C": 2.0, "kernel": "rbf"}
    assert type(task.defaults(space)["C"]) is float
    poly = CrossValidation(SVC(kernel="poly"), *IRIS)
    assert poly.defaults(space) == {"C": 1.0, "kernel": "poly", "degree": 3}
    assert CrossValidation(KNeighborsClassifier(), *IRIS).defaults(Space(p=Float(1, 3))) == {"p": 2.0}
    assert CrossValidation(MLPClassifier(), *IRIS).defaults(Space(hidden_layer_sizes=["100", "50,50"])) == {
        "hidden_layer_sizes": "100"
    }


def test_defaults_that_the_space_leaves_out_are_what_they_are():
    task = CrossValidation(SVC(), *IRIS)
    assert task.defaults(Space(C=Float(10, 20))) == {"C": 1.0}
    assert task.defaults(Space(kernel=Choice("poly"), degree=Int(2, 5, when={"kernel": "poly"}))) == {
        "kernel": "rbf"
    }


def test_defaults_keep_to_constants_and_leave_out_what_is_no_scalar():
    assert CrossValidation(SVC(), *IRIS).defaults(Space(C=Float(0.1, 10), tol=0.01)) == {
        "C": 1.0,
        "tol": 0.01,
    }
    weighted = CrossValidation(SVC(class_weight={0: 1.0, 1: 2.0, 2: 1.0}), *IRIS)
    assert weighted.defaults(Space(class_weight=Choice(None, "balanced"), C=Float(0.1, 10))) == {"C": 1.0}


def test_the_default_gamma_is_the_number_that_it_stands_for():
    task = CrossValidation(make_pipeline(StandardScaler(), SVC()), *IRIS)
    point = task.defaults(task.space())
    assert point["svc__gamma"] == pytest.approx(0.25)
    assert task(Recorder(point))["accuracy"] == pytest.approx(task(Recorder())["accuracy"])


def test_a_space_with_a_name_that_is_no_parameter_is_refused():
    task = CrossValidation(SVC(), *IRIS)
    task.check(Space(C=Float(0.1, 10)))
    with pytest.raises(InvalidParams) as error:
        task.check(Space(gammma=Float(0.1, 10)))
    assert str(error.value) == "'gammma' is not a parameter of sklearn.svm:SVC. Did you mean 'gamma'?"


def test_a_table_with_text_and_gaps_is_scored_under_plain_parameter_names():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=90), "b": rng.choice(["x", "y", "z"], 90)})
    y = np.where((X["b"] == "x") ^ (X["a"] > 1), "yes", "no")
    X.loc[::7, "a"] = np.nan
    X.loc[::11, "b"] = None
    for estimator in (SVC(), KNeighborsClassifier(), DecisionTreeClassifier()):
        task = CrossValidation(estimator, X, y, cv=3)
        point = task.defaults(task.space())
        assert point
        assert task(Recorder(point))["accuracy"] > 0.7
    assert set(task.refit({"max_depth": 3}).predict(X)) == {"yes", "no"}


def test_a_refit_sees_all_rows_with_the_given_parameters():
    task = CrossValidation(KNeighborsClassifier(), *IRIS)
    fitted = task.refit({"n_neighbors": 3})
    assert fitted.n_neighbors == 3
    assert fitted.n_samples_fit_ == 150


def test_it_travels_to_other_processes_whole_and_compact():
    data = load_data("digits")
    task = CrossValidation(DecisionTreeClassifier(), data, cv=3).scored_by(["accuracy"])
    sent = cloudpickle.dumps(task)
    assert len(sent) < 1.2 * (data.X.nbytes + data.y.nbytes)
    back = cloudpickle.loads(sent)
    assert back.splits_hash == task.splits_hash
    assert back(Recorder())["accuracy"] == task(Recorder())["accuracy"]


def test_about_says_what_would_make_another_study_of_it():
    about = CrossValidation("sklearn.svm:SVC", load_data("digits"), seed=2).about
    assert about["estimator"] == "sklearn.svm:SVC"
    assert about["fixed"] == "SVC()"
    assert (about["data"], about["rows"], about["columns"], about["classes"]) == ("digits", 1797, 64, 10)
    assert about["cv"] == "5-fold stratified, shuffled with seed 2"
    assert about["folds"] == 5
    assert about["scoring"] == ["accuracy"]
    assert len(about["fingerprint"]) == len(about["splits"]) == 64
    import json

    assert json.loads(json.dumps(about)) == about


@pytest.mark.parametrize(
    "path", ["xgboost:XGBClassifier", "lightgbm:LGBMClassifier", "catboost:CatBoostClassifier"]
)
def test_boosting_libraries_are_scored_quietly(path, capfd, tmp_path, monkeypatch):
    pytest.importorskip(path.partition(":")[0])
    monkeypatch.chdir(tmp_path)
    task = CrossValidation(path, IRIS[0], np.array(["a", "b", "c"])[IRIS[1]], cv=2)
    rounds = "iterations" if "cat" in path else "n_estimators"
    assert task(Recorder({rounds: 5, "learning_rate": 0.3}))["accuracy"] > 0.8
    assert capfd.readouterr().out == ""
    assert list(tmp_path.iterdir()) == []
