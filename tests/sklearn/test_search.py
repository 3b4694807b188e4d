"""LuthierSearchCV: what it promises beyond what scikit-learn's own tests ask."""

import pickle
import signal
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.exceptions import FitFailedWarning
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import GroupKFold, ShuffleSplit, StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

import luthier as lt
from luthier.errors import InvalidParams, InvalidSpace, SpecMismatch
from luthier.models import load_model
from luthier.sklearn import LuthierSearchCV

IRIS = load_iris(return_X_y=True)
WINE = load_wine(return_X_y=True)
C = {"C": stats.loguniform(1e-3, 1e3)}


def test_the_recommended_space_is_searched_where_none_is_given():
    search = LuthierSearchCV(SVC(), trials=6).fit(*IRIS)
    assert {"C", "gamma"} <= set(search.best_params_)
    assert search.best_score_ > 0.9
    assert search.study_.trials[0].tag["by"] == "defaults"


def test_the_estimators_own_parameters_are_the_first_candidate_where_the_space_holds_them():
    search = LuthierSearchCV(SVC(), {"C": [0.1, 1.0, 10.0], "kernel": ["rbf", "linear"]}, trials=3).fit(*IRIS)
    assert search.cv_results_["params"][0] == {"C": 1.0, "kernel": "rbf"}
    outside = LuthierSearchCV(SVC(), {"C": [5.0, 50.0]}, trials=2).fit(*IRIS)
    assert all(params["C"] != 1.0 for params in outside.cv_results_["params"])


def test_what_a_pipeline_scores_and_what_its_parameters_stand_for_is_known():
    pipe = make_pipeline(StandardScaler(), SVC())
    search = LuthierSearchCV(pipe, {"svc__gamma": stats.loguniform(1e-4, 10)}, trials=3).fit(*WINE)
    assert search.study_.spec.problem.objective.metric == "accuracy"
    assert search.result_.rows
    assert search.cv_results_["params"][0]["svc__gamma"] == pytest.approx(1 / 13)  # "scale"


def test_the_score_is_the_mean_over_the_same_folds():
    search = LuthierSearchCV(SVC(), C, trials=5, cv=StratifiedKFold(4)).fit(*WINE)
    again = cross_val_score(SVC(**search.best_params_), *WINE, cv=StratifiedKFold(4))
    assert search.best_score_ == pytest.approx(again.mean())
    assert search.cv_results_["se"][search.best_index_] == pytest.approx(again.std(ddof=1) / 2)


def test_a_raced_candidate_shows_what_was_run_and_never_leads():
    search = LuthierSearchCV(SVC(), C, trials=25, algorithm="random", cv=8, random_state=1).fit(*WINE)
    results = search.cv_results_
    part = results["n_folds_run"] < 8
    assert part.any()
    assert all(reason.startswith("after") for reason in results["stopped"][part])
    assert (results["mean_test_score"][part] < search.best_score_).all()
    row = int(np.flatnonzero(part)[0])
    run = int(results["n_folds_run"][row])
    scores = np.array([results[f"split{k}_test_score"][row] for k in range(8)])
    assert np.isfinite(scores[:run]).all()
    assert np.isnan(scores[run:]).all()
    assert results["std_test_score"][row] == pytest.approx(np.std(scores[:run]))
    assert results["rank_test_score"][search.best_index_] == 1


def test_without_a_race_every_fold_is_run():
    search = LuthierSearchCV(SVC(), C, trials=12, race=False, cv=8).fit(*WINE)
    assert (search.cv_results_["n_folds_run"] == 8).all()
    rule = LuthierSearchCV(SVC(), C, trials=12, race=lt.Race(confidence=0.6, startup=2), cv=8).fit(*WINE)
    assert rule.cv_results_["n_folds_run"].sum() < 96


def test_two_workers_find_what_one_finds():
    one = LuthierSearchCV(SVC(), {"C": [0.1, 1.0, 10.0]}, algorithm="grid", race=False).fit(*IRIS)
    two = LuthierSearchCV(SVC(), {"C": [0.1, 1.0, 10.0]}, algorithm="grid", race=False, n_jobs=2).fit(*IRIS)
    assert np.array_equal(one.cv_results_["mean_test_score"], two.cv_results_["mean_test_score"])
    assert one.best_params_ == two.best_params_


def test_anything_can_be_in_a_list():
    pipe = Pipeline([("scale", StandardScaler()), ("model", SVC())])
    space = {
        "scale": [StandardScaler(), MinMaxScaler(), "passthrough"],
        "model": [SVC(), KNeighborsClassifier(3)],
    }
    search = LuthierSearchCV(pipe, space, algorithm="grid", trials=None).fit(*IRIS)
    assert len(search.cv_results_["params"]) == 6
    assert type(search.best_params_["scale"]) in (StandardScaler, MinMaxScaler, str)
    assert search.predict(IRIS[0]).shape == (150,)


def test_several_grids_are_searched_beside_each_other():
    grids = [
        {"kernel": ["linear"], "C": [0.1, 1.0]},
        {"kernel": ["rbf"], "C": [1.0, 5.0], "gamma": [0.1, 0.2]},
    ]
    search = LuthierSearchCV(SVC(), grids, algorithm="grid", trials=None).fit(*IRIS)
    tried = search.cv_results_["params"]
    assert len(tried) == 6
    assert all(("gamma" in params) == (params["kernel"] == "rbf") for params in tried)
    free = LuthierSearchCV(SVC(), [{"C": stats.uniform(1, 2)}, {"C": [9.0]}], trials=8).fit(*IRIS)
    assert all(1 <= p["C"] <= 3 or p["C"] == 9.0 for p in free.cv_results_["params"])


@pytest.mark.parametrize(
    ("given", "like"),
    [
        (stats.loguniform(1e-3, 10), lt.Float(1e-3, 10, log=True)),
        (stats.uniform(2, 3), lt.Float(2, 5)),
        (stats.randint(1, 9), lt.Int(1, 8)),
        (stats.norm(1, 2), lt.Float(prior=lt.Normal(1.0, 2.0))),
        ([1, 2, 5], lt.Choice(1, 2, 5, ordered=True)),
        (["a", None], lt.Choice("a", None)),
        (np.array([0.5]), lt.Const(0.5)),
    ],
)
def test_lists_and_distributions_are_parameters_of_ours(given, like):
    from luthier.estimators.distributions import translated

    assert translated({"x": given}).space == lt.Space({"x": like})


def test_other_distributions_keep_to_where_their_weight_is():
    from luthier.estimators.distributions import translated

    space = translated(
        {"a": stats.expon(scale=10), "b": stats.poisson(3), "c": stats.lognorm(0.5, scale=2)}
    ).space
    assert 0 < space["a"].low < 0.1
    assert space["a"].log
    assert (space["b"].low, space["b"].high) == (0, 10)
    assert space["c"].prior.sigma == pytest.approx(0.5)


class Coin:
    def rvs(self, random_state=None):
        return random_state.randint(0, 3)


def test_what_can_only_be_drawn_from_is_drawn_from():
    search = LuthierSearchCV(
        DecisionTreeClassifier(random_state=0), {"max_features": Coin()}, trials=2, error_score=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search.fit(*IRIS)
    assert search.best_params_["max_features"] in (1, 2)


def test_a_name_makes_fit_go_on_where_it_was(tmp_path):
    store = str(tmp_path / "s.db")
    LuthierSearchCV(SVC(), C, trials=4, name="svc", store=store).fit(*IRIS)
    more = LuthierSearchCV(SVC(), C, trials=7, name="svc", store=store).fit(*IRIS)
    assert len(more.cv_results_["params"]) == 7
    fits = []
    original = SVC.fit
    try:
        SVC.fit = lambda self, *a, **k: fits.append(1) or original(self, *a, **k)
        again = LuthierSearchCV(SVC(), C, trials=7, name="svc", store=store).fit(*IRIS)
    finally:
        SVC.fit = original
    assert len(fits) == 1  # the refit
    assert again.best_params_ == more.best_params_
    assert np.array_equal(again.cv_results_["mean_test_score"], more.cv_results_["mean_test_score"])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"y": IRIS[1][::-1]}, "begun with other data: other values in the target"),
        ({"estimator": SVC(degree=2)}, "fixed"),
        ({"cv": 4}, "cv"),
        ({"scoring": "f1_macro"}, "f1_macro"),
        ({"sample_weight": np.ones(150)}, "fit_params"),
    ],
)
def test_another_question_under_the_name_is_refused(tmp_path, change, says):
    store = str(tmp_path / "s.db")
    LuthierSearchCV(SVC(), C, trials=2, name="svc", store=store).fit(*IRIS)
    change = dict(change)
    y, weight = change.pop("y", IRIS[1]), change.pop("sample_weight", None)
    search = LuthierSearchCV(
        **{"estimator": SVC(), "space": C, "trials": 2, "name": "svc", "store": store, **change}
    )
    with pytest.raises(SpecMismatch, match=says):
        search.fit(IRIS[0], y, **({} if weight is None else {"sample_weight": weight}))


def test_splits_drawn_by_chance_are_those_the_study_began_with(tmp_path):
    store = str(tmp_path / "s.db")
    kind = {"cv": ShuffleSplit(4, test_size=0.3), "name": "svc", "store": store, "race": False}
    LuthierSearchCV(SVC(), C, trials=3, **kind).fit(*IRIS)
    search = LuthierSearchCV(SVC(), C, trials=4, **kind).fit(*IRIS)
    assert len(search.cv_results_["params"]) == 4


KILLED = """
import os, sys
import numpy as np
from scipy.stats import loguniform
from sklearn.datasets import load_iris
from sklearn.svm import SVC
from luthier.models import load_model
from luthier.sklearn import LuthierSearchCV

class Logged(SVC):
    def fit(self, X, y):
        with open("fits", "a") as log:
            log.write(f"{self.C!r} {X.sum()!r}\\n")
        if os.path.exists("kill") and len(open("fits").readlines()) == 13:
            os.remove("kill")
            os.kill(os.getpid(), 9)
        return super().fit(X, y)

search = LuthierSearchCV(Logged(), {"C": loguniform(1e-3, 1e3)}, trials=6, cv=4, name="x", store="s.db", refit=False)
search.fit(*load_iris(return_X_y=True))
np.save("scores.npy", np.array([search.cv_results_[f"split{k}_test_score"] for k in range(4)]))
"""


def test_after_a_kill_no_fold_is_run_twice_and_the_result_is_the_same(tmp_path):
    def go(folder, status):
        ran = subprocess.run(
            [sys.executable, "-c", KILLED], cwd=folder, capture_output=True, text=True, check=False
        )
        assert ran.returncode == status, ran.stderr

    calm, killed = tmp_path / "calm", tmp_path / "killed"
    for folder in (calm, killed):
        folder.mkdir()
    go(calm, 0)
    (killed / "kill").touch()
    go(killed, -signal.SIGKILL)
    go(killed, 0)
    assert np.array_equal(np.load(calm / "scores.npy"), np.load(killed / "scores.npy"), equal_nan=True)
    lines = (killed / "fits").read_text().splitlines()
    # The fold that was being fitted when it was killed is the only one that began twice.
    assert sorted({*lines}) == sorted({*(calm / "fits").read_text().splitlines()})
    assert len(lines) == len({*lines}) + 1


INTERRUPTED = """
import os, signal, sys
from scipy.stats import loguniform
from sklearn.datasets import load_iris
from sklearn.svm import SVC
from luthier.models import load_model
from luthier.sklearn import LuthierSearchCV

class Slow(SVC):
    def fit(self, X, y):
        global fits
        fits += 1
        if fits == 17:
            os.kill(os.getpid(), signal.SIGINT)
        return super().fit(X, y)

fits = 0
X, y = load_iris(return_X_y=True)
search = LuthierSearchCV(Slow(), {"C": loguniform(1e-3, 1e3)}, trials=50, cv=5).fit(X, y)
print(len(search.cv_results_["params"]), search.predict(X[:1])[0])
"""


def test_what_was_found_before_an_interrupt_is_the_result():
    ran = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == ["4", "0"]
    assert "interrupted" in ran.stderr


def test_groups_weights_and_routed_metadata_arrive(tmp_path):
    groups = np.arange(150) % 10
    weights = np.where(IRIS[1] == 0, 5.0, 1.0)
    search = LuthierSearchCV(LogisticRegression(max_iter=500), C, trials=2, cv=GroupKFold(5))
    search.fit(*IRIS, groups=groups)
    assert search.study_.predictions.groups.tolist() == groups.tolist()

    seen = []

    def weighted(y, predicted, sample_weight=None):
        seen.append(sample_weight is not None)
        return accuracy_score(y, predicted, sample_weight=sample_weight)

    with config_context(enable_metadata_routing=True):
        model = LogisticRegression(max_iter=500).set_fit_request(sample_weight=True)
        scorer = make_scorer(weighted).set_score_request(sample_weight=True)
        LuthierSearchCV(model, C, trials=2, cv=3, scoring=scorer).fit(*IRIS, sample_weight=weights)
    assert seen
    assert all(seen)


@pytest.mark.parametrize("kind", [pd.DataFrame, sparse.csr_matrix, list])
def test_tables_of_every_kind(kind):
    X = IRIS[0].tolist() if kind is list else kind(IRIS[0])
    search = LuthierSearchCV(SVC(), C, trials=2, name="t", store="memory").fit(X, IRIS[1])
    assert search.best_score_ > 0.5


def test_texts_are_data_too(tmp_path):
    texts = np.array(["good fine nice", "bad awful", "nice good", "awful poor bad"] * 10)
    labels = np.array(["up", "down", "up", "down"] * 10)
    pipe = make_pipeline(CountVectorizer(), LogisticRegression())
    search = LuthierSearchCV(pipe, {"countvectorizer__binary": [True, False], "logisticregression__C": [0.1, 1.0]},
                             trials=3, name="texts", store=str(tmp_path / "s.db"))  # fmt: skip
    assert search.fit(list(texts), labels).best_score_ == 1.0


def test_a_fitted_search_is_pickled_without_its_store(tmp_path):
    search = LuthierSearchCV(SVC(), C, trials=2, name="p", store=str(tmp_path / "s.db")).fit(*IRIS)
    other = pickle.loads(pickle.dumps(search))
    assert np.array_equal(other.predict(IRIS[0]), search.predict(IRIS[0]))
    assert len(other.study_.trials) == 2
    nameless = pickle.loads(pickle.dumps(LuthierSearchCV(SVC(), C, trials=2).fit(*IRIS)))
    with pytest.raises(AttributeError, match="no study here"):
        nameless.study_  # noqa: B018
    assert clone(search).get_params()["trials"] == 2


def test_an_unknown_name_is_answered_with_the_near_one():
    with pytest.raises(InvalidParams, match="Did you mean 'gamma'"):
        LuthierSearchCV(SVC(), {"gama": [0.1]}).fit(*IRIS)
    with pytest.raises(InvalidSpace, match="needs to be a list"):
        LuthierSearchCV(SVC(), {"C": 1}).fit(*IRIS)


class Picky(ClassifierMixin, BaseEstimator):
    def __init__(self, x=1):
        self.x = x

    def fit(self, X, y):
        if self.x > 2:
            raise ValueError("x is too large")
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.zeros(len(X), dtype=int)


def test_parameters_that_cannot_be_fitted_are_said_and_left_behind():
    search = LuthierSearchCV(Picky(), {"x": [1, 2, 3, 4]}, algorithm="grid", trials=None, cv=3)
    with (
        pytest.warns(FitFailedWarning, match="6 fits failed out of a total of 12"),
        pytest.warns(UserWarning, match="non-finite"),
    ):
        search.fit(*IRIS)
    assert search.best_params_ == {"x": 1}
    failed = [trial for trial in search.study_.trials if trial.state == "failed"]
    assert "x is too large" in failed[0].reason
    with pytest.raises(ValueError, match="x is too large"):
        LuthierSearchCV(Picky(), {"x": [1, 3]}, algorithm="grid", trials=None, error_score="raise").fit(*IRIS)
    with pytest.raises(ValueError, match="fits failed"):
        LuthierSearchCV(Picky(), {"x": [3, 4]}, algorithm="grid", trials=None).fit(*IRIS)


def test_a_regressor_and_a_loss():
    X, y = load_diabetes(return_X_y=True)
    search = LuthierSearchCV(
        Ridge(), {"alpha": stats.loguniform(1e-4, 1e2)}, trials=10, scoring="neg_mean_squared_error"
    )
    assert search.fit(X, y).best_score_ > -3100


def test_a_budget_in_seconds_ends_the_search():
    X, y = load_breast_cancer(return_X_y=True)
    search = LuthierSearchCV(SVC(), C, trials=None, seconds=1.0).fit(X, y)
    assert len(search.cv_results_["params"]) >= 1


# --- the winner --------------------------------------------------------------------------------


def test_the_score_to_be_expected_is_beside_the_one_that_was_best():
    search = LuthierSearchCV(SVC(), C, trials=15, algorithm="random").fit(*WINE)
    honest = search.cv_results_["honest_score"]
    assert np.flatnonzero(np.isfinite(honest)).tolist() == [search.best_index_]
    assert honest[search.best_index_] == search.result_.honest == search.study_.result().honest
    assert search.study_.spec.problem.objective.metric == "accuracy"


def test_the_defaults_stay_chosen_unless_they_are_beaten_by_more_than_noise():
    alike = LuthierSearchCV(LogisticRegression(max_iter=500), {"C": stats.uniform(0.9, 0.2)}, trials=8).fit(
        *IRIS
    )
    assert alike.best_index_ == 0
    assert alike.best_params_ == {"C": 1.0}
    worse = LuthierSearchCV(SVC(C=1e-3), C, trials=12).fit(*WINE)
    assert worse.best_index_ != 0


def test_the_simplest_that_is_not_worse_by_more_than_noise():
    best = LuthierSearchCV(SVC(C=500.0), C, trials=20, algorithm="random").fit(*WINE)
    simple = LuthierSearchCV(
        SVC(C=500.0), C, trials=20, algorithm="random", select="1se", complexity="C"
    ).fit(*WINE)
    assert simple.best_params_["C"] <= best.best_params_["C"]
    with pytest.raises(ValueError, match="select"):
        LuthierSearchCV(SVC(), C, select="median").fit(*IRIS)


def test_a_complexity_that_no_candidate_has_is_said():
    with pytest.raises(ValueError, match="complexity is 'CC'"):
        LuthierSearchCV(SVC(), C, trials=3, select="1se", complexity="CC").fit(*IRIS)


def test_rows_that_are_locked_away_are_looked_at_once(tmp_path):
    X, y = load_breast_cancer(return_X_y=True)
    kind = {"holdout": 0.25, "name": "locked", "store": str(tmp_path / "s.db")}
    pipe = make_pipeline(StandardScaler(), SVC(C=1e-3))
    search = LuthierSearchCV(pipe, {"svc__C": stats.loguniform(1e-3, 1e3)}, trials=4, **kind).fit(X, y)
    assert 0.8 < search.holdout_score_ <= 1
    assert search.holdout_looks_ == 1
    assert len(search.study_.predictions.target) == 426
    assert search.best_estimator_.named_steps["svc"].shape_fit_[0] == 569
    again = LuthierSearchCV(pipe, {"svc__C": stats.loguniform(1e-3, 1e3)}, trials=4, **kind).fit(X, y)
    assert (again.holdout_looks_, again.holdout_score_) == (1, search.holdout_score_)


def test_the_whole_search_is_scored_on_rows_that_it_did_not_see():
    search = LuthierSearchCV(SVC(), {"C": [0.1, 1.0]}, trials=2, cv=3, nested=4).fit(*IRIS)
    assert search.nested_scores_.shape == (4,)
    assert search.nested_scores_.mean() > 0.9


@pytest.mark.parametrize("scoring", [["accuracy", "f1_macro"], {"acc": "accuracy", "f1": "f1_macro"}])
def test_of_several_scores_the_nested_one_is_that_which_was_optimised(scoring):
    refit = "accuracy" if isinstance(scoring, list) else "acc"
    search = LuthierSearchCV(SVC(), {"C": [0.1, 1.0]}, trials=2, cv=3, nested=3, scoring=scoring, refit=refit)
    assert search.fit(*IRIS).nested_scores_.mean() > 0.9


def test_a_generator_is_drawn_from_once_for_a_fit():
    rng = np.random.RandomState(0)
    search = LuthierSearchCV(SVC(), C, trials=2, holdout=0.2, random_state=rng).fit(*WINE)
    other = LuthierSearchCV(SVC(), C, trials=2, holdout=0.2, random_state=np.random.RandomState(0)).fit(*WINE)
    assert search.holdout_score_ == other.holdout_score_
    assert rng.randint(2**31 - 1) == np.random.RandomState(0).randint(2**31 - 1, size=2)[1]


def test_an_ensemble_is_fitted_where_it_is_honestly_better():
    X, y = load_breast_cancer(return_X_y=True)
    space = {"max_depth": stats.randint(2, 20), "min_samples_leaf": stats.randint(1, 20)}
    search = LuthierSearchCV(
        DecisionTreeClassifier(random_state=0),
        space,
        trials=15,
        scoring="neg_log_loss",
        refit="ensemble",
        algorithm="random",
    ).fit(X, y)
    assert search.blend_.better
    assert search.blend_.honest > search.blend_.single
    assert len(search.best_estimator_.estimators_) == len(search.blend_.weights) > 1
    assert search.predict_proba(X).shape == (569, 2)
    accuracy = LuthierSearchCV(SVC(), C, trials=3, refit="ensemble")
    with pytest.raises(lt.LuthierError, match="no predictions to be averaged"):
        accuracy.fit(*IRIS)
    numbers = LuthierSearchCV(Ridge(), {"alpha": stats.loguniform(1e-4, 10)}, trials=4, refit="ensemble")
    assert numbers.fit(*load_diabetes(return_X_y=True)).predict(load_diabetes().data).shape == (442,)


def test_the_best_is_confirmed_on_fresh_splits():
    search = LuthierSearchCV(SVC(C=1e-3), C, trials=20, algorithm="random", select="confirmed").fit(*WINE)
    tried = np.isfinite(search.cv_results_["confirmed_score"])
    assert 2 <= tried.sum() <= 3
    assert tried[search.best_index_]
    assert search.confirmation_.trial.number == search.cv_results_["trial"][search.best_index_]


def test_with_a_name_the_model_is_saved_and_predicts(tmp_path):
    frame = load_wine(as_frame=True)
    store = str(tmp_path / "s.db")
    pipe = make_pipeline(StandardScaler(), SVC())
    search = LuthierSearchCV(pipe, {"svc__C": [1.0, 10.0]}, trials=2, name="wine", store=store)
    search.fit(frame.data, frame.target)
    assert search.model_.version == 1
    loaded = load_model(tmp_path, "wine")
    assert np.array_equal(loaded.predict(frame.data), search.predict(frame.data))
    again = LuthierSearchCV(pipe, {"svc__C": [1.0, 10.0]}, trials=2, name="wine", store=store)
    assert again.fit(frame.data, frame.target).model_.version == 1
    ours = LuthierSearchCV(Picky(), {"x": [1, 2]}, trials=2, name="picky", store=store)
    with pytest.warns(UserWarning, match="The model was not saved"):
        ours.fit(*IRIS)
    assert ours.model_ is None


def test_what_a_callable_scores_is_called_by_its_names():
    def both(estimator, X, y):
        right = float((estimator.predict(X) == y).mean())
        return {"score": right, "wrong": 1 - right}

    free = LuthierSearchCV(SVC(), C, trials=2, scoring=both, refit=False).fit(*IRIS)
    assert {"mean_test_score", "mean_test_wrong"} <= set(free.cv_results_)
    named = LuthierSearchCV(SVC(), C, trials=2, scoring=both, refit="score").fit(*IRIS)
    assert named.best_score_ == named.cv_results_["mean_test_score"][named.best_index_]
    single = LuthierSearchCV(
        SVC(), C, trials=2, scoring=lambda e, X, y: float((e.predict(X) == y).mean())
    ).fit(*IRIS)
    assert single.best_score_ > 0.5
