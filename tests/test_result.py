"""study.result(): the trial to take, and the score that it will really have."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine, make_classification
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import GroupKFold, RepeatedStratifiedKFold, TimeSeriesSplit
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

import luthier as lt
from luthier.errors import InvalidStudy, LuthierError
from luthier.estimators.complexity import complexity_of
from luthier.study import Trial

C = lt.Space(C=lt.Float(1e-3, 1e3, log=True))


def tuned(estimator, data, trials=15, space=None, **more):
    tune = {key: more.pop(key) for key in ("algorithm", "stopping", "minimize", "maximize") if key in more}
    task = lt.CrossValidation(estimator, *data, **more)
    return lt.tune(task, space, trials=trials, progress=False, **tune)


@pytest.fixture(scope="module")
def wine():
    return tuned(SVC(), load_wine(return_X_y=True), algorithm="random", stopping="race")


def test_the_honest_score_of_the_best_of_many_on_noise_is_that_of_guessing():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(120, 5)), rng.integers(0, 2, 120)
    study = tuned(
        DecisionTreeClassifier(),
        (X, y),
        40,
        lt.Space(max_depth=lt.Int(1, 40), min_samples_leaf=lt.Int(1, 30)),
        algorithm="random",
    )
    found = study.result(guard=False)
    assert found.raw > 0.53
    assert found.honest < found.raw - 0.02
    assert found.low < 0.5 < found.high
    assert found.optimism == pytest.approx(found.raw - found.honest)


def test_the_result_is_the_same_each_time_it_is_asked_for(wine):
    assert wine.result() == wine.result()


def test_raw_is_the_mean_over_the_folds_and_the_best_is_beside_it(wine):
    found = wine.result(guard=False)
    assert found.trial == found.best == wine.best
    assert found.raw == wine.best.metrics["accuracy"]
    assert found.low <= found.honest <= found.high
    assert found.rows
    assert set(found.plausible) >= {wine.best.number}


def test_the_defaults_stay_unless_they_are_beaten():
    X, y = load_iris(return_X_y=True)
    alike = tuned(LogisticRegression(max_iter=300), (X, y), 8, lt.Space(C=lt.Float(0.9, 1.1)))
    assert alike.result().trial == alike.trials[0]
    assert alike.result().default == alike.trials[0]
    X, y = make_classification(600, 20, n_informative=3, random_state=0)
    beaten = tuned(DecisionTreeClassifier(), (X[:, ::-1] ** 3, y), 2, lt.Space(max_depth=lt.Choice(None, 4)))
    assert beaten.trials[0].params == {"max_depth": None}


def test_far_worse_defaults_do_not_stay():
    study = tuned(SVC(C=1e-3), load_wine(return_X_y=True), 10, C)
    found = study.result()
    assert found.trial == study.best
    assert found.default == study.trials[0]


@pytest.mark.parametrize(
    ("data", "estimator", "metric"),
    [
        (load_breast_cancer, LogisticRegression(max_iter=50), "log_loss"),
        (load_breast_cancer, LogisticRegression(max_iter=50), "roc_auc"),
        (load_iris, KNeighborsClassifier(), "f1_macro"),
        (load_diabetes, Ridge(), "r2"),
        (load_diabetes, Ridge(), "neg_root_mean_squared_error"),
        (load_diabetes, Ridge(), "mean_absolute_error"),
    ],
)
def test_scores_of_every_kind_are_judged_by_their_rows(data, estimator, metric):
    found = tuned(estimator, data(return_X_y=True), 6, scoring=metric).result(guard=False)
    assert found.rows
    assert found.honest == pytest.approx(found.raw, rel=0.1, abs=0.02)
    assert found.low < found.raw < found.high


def test_a_score_of_ones_own_is_judged_by_its_folds():
    mine = make_scorer(accuracy_score)
    found = tuned(SVC(), load_iris(return_X_y=True), 6, C, scoring={"mine": mine}).result()
    assert not found.rows
    assert "folds alone" in str(found)


def test_the_wrong_direction_is_not_taken_for_the_score_of_that_name():
    study = tuned(SVC(), load_iris(return_X_y=True), 5, C, minimize="accuracy")
    assert not study.result(guard=False).rows


def test_rows_left_out_several_times_and_rows_of_a_group_are_drawn_together():
    data = load_iris(return_X_y=True)
    several = tuned(
        SVC(), data, 4, C, cv=RepeatedStratifiedKFold(n_splits=3, n_repeats=3, random_state=0)
    ).result()
    once = tuned(SVC(), data, 4, C, cv=3).result()
    assert several.high - several.low == pytest.approx(once.high - once.low, rel=0.6)
    groups = np.repeat(np.arange(15), 10)
    grouped = tuned(SVC(), data, 4, C, cv=GroupKFold(5), groups=groups)
    assert grouped.predictions.groups.tolist() == groups.tolist()
    assert grouped.result().rows


def test_the_simplest_that_is_not_worse(wine):
    simple = wine.result("1se", complexity="C", guard=False).trial
    assert simple.params["C"] <= wine.best.params["C"]
    least = wine.result("1se", complexity="-C", guard=False).trial
    assert least.params["C"] >= simple.params["C"]


def test_the_posterior_agrees_with_a_model(wine):
    found = wine.result("posterior", guard=False)
    assert found.raw <= wine.best.metrics["accuracy"]
    assert found.select == "posterior"


def test_what_cannot_be_answered_is_said(wine):
    with pytest.raises(InvalidStudy, match="'1se', 'posterior'"):
        wine.result("median")
    with pytest.raises(InvalidStudy, match="Did you mean 'gamma'"):
        wine.result("1se", complexity="gama")
    function = lt.tune(lambda x: x, lt.Space(x=lt.Float(0, 1)), minimize="x", trials=2, progress=False)
    with pytest.raises(LuthierError, match="no trial with all folds"):
        function.result()


def test_a_study_opened_later_gives_the_same_result(tmp_path):
    store = str(tmp_path / "s.db")
    task = lt.CrossValidation(SVC(), *load_iris(return_X_y=True))
    study = lt.tune(task, trials=6, name="iris", store=store, progress=False)
    assert lt.load("iris", store).result() == study.result()


def test_complexity_goes_by_what_is_known_of_the_parameters_else_by_time():
    def trials(*params, seconds=(1.0, 2.0)):
        return [
            Trial(i, p, metrics={"fit_seconds": s})
            for i, (p, s) in enumerate(zip(params, seconds, strict=True))
        ]

    assert complexity_of(trials({"svc__C": 1.0}, {"svc__C": 10.0})).tolist() == [0, 1]
    assert complexity_of(trials({"alpha": 1.0}, {"alpha": 10.0})).tolist() == [1, 0]
    assert complexity_of(trials({"max_depth": None}, {"max_depth": 3})).tolist() == [1, 0]
    assert complexity_of(trials({"max_depth": 3, "alpha": 2.0}, {"max_depth": 9, "alpha": 5.0})).tolist() == [
        0.5,
        0.5,
    ]
    assert complexity_of(trials({"x": 1}, {"x": 2})).tolist() == [1.0, 2.0]
    assert complexity_of(trials({"x": 1}, {"x": 2}), "-x").tolist() == [-1.0, -2.0]


def test_an_ensemble_of_the_studys_trials_with_what_it_is_worth():
    data = load_breast_cancer(return_X_y=True)
    study = tuned(DecisionTreeClassifier(), data, 20, algorithm="random", scoring="log_loss", stopping="race")
    blend = study.blend()
    assert blend.better
    assert blend.honest < blend.single
    assert sum(blend.weights.values()) == pytest.approx(1)
    assert all(study.trials[number].state == "completed" for number in blend.weights)
    assert "better than" in str(blend)
    with pytest.raises(LuthierError, match="no predictions to be averaged"):
        tuned(SVC(), load_iris(return_X_y=True), 3, C).blend()


# --- fresh splits and locked rows --------------------------------------------------------------


def test_those_that_cannot_be_told_apart_are_tried_on_fresh_splits():
    objective = lt.CrossValidation(SVC(), *load_wine(return_X_y=True))
    study = lt.tune(objective, C, trials=25, algorithm="random", progress=False)
    fresh = objective.fresh()
    assert fresh.splits_hash != objective.splits_hash
    found = study.confirm(fresh)
    assert 2 <= len(found.fresh) <= 25 * 0.15
    assert set(found.fresh) <= set(study.result(guard=False).plausible)
    again = np.mean([found.fresh[found.trial.number], found.trial.metrics["accuracy"]])
    assert found.both == pytest.approx(again)
    assert "is confirmed" in str(found)
    with pytest.raises(InvalidStudy, match="share"):
        study.confirm(fresh, share=0.0)


def test_a_confirmation_with_a_name_goes_on_where_it_was(tmp_path):
    store = str(tmp_path / "s.db")
    objective = lt.CrossValidation(SVC(), *load_iris(return_X_y=True))
    study = lt.tune(objective, C, trials=10, algorithm="random", progress=False, name="iris", store=store)
    first = study.confirm(objective.fresh())
    assert lt.load("iris.confirm10", store).history.ended == 2
    assert lt.load("iris", store, readonly=False).confirm(objective.fresh()) == first


def test_splits_that_do_not_shuffle_cannot_be_fresh():
    objective = lt.CrossValidation(Ridge(), *load_diabetes(return_X_y=True), cv=TimeSeriesSplit(4))
    with pytest.raises(InvalidStudy, match="one way to split"):
        objective.fresh()


def test_locked_rows_are_in_no_fold_and_looked_at_once_for_each_result(tmp_path):
    X, y = load_breast_cancer(return_X_y=True)
    objective = lt.CrossValidation(LogisticRegression(max_iter=200), X, y, holdout=0.2)
    assert len(objective.locked) == 114
    assert all(not np.isin(objective.locked, part).any() for pair in objective.splits for part in pair)
    assert abs(y[objective.locked].mean() - y.mean()) < 0.01
    study = lt.tune(objective, trials=3, progress=False, name="a", store=str(tmp_path / "s.db"))
    looked = study.look(objective)
    assert 0.9 < looked["accuracy"] <= 1
    assert study.look(objective) == looked
    assert list(study.facts["looks"]) == [str(study.result().trial.number)]
    with pytest.raises(InvalidStudy, match="no rows are locked away"):
        lt.CrossValidation(Ridge(), X, y.astype(float)).look({})
    with pytest.raises(InvalidStudy, match="holdout is 20"):
        lt.CrossValidation(Ridge(), X, y.astype(float), holdout=20)


def test_whole_groups_are_locked_away():
    X, y = load_iris(return_X_y=True)
    groups = np.arange(150) % 15
    objective = lt.CrossValidation(SVC(), X, y, groups=groups, cv=3, holdout=0.2)
    away = set(groups[objective.locked])
    assert len(objective.locked) == 30
    assert not away & set(groups[np.concatenate([part for pair in objective.splits for part in pair])])
