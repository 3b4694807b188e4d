import numpy as np
import pytest
from sklearn.datasets import load_iris

from luthier import Int, tune
from luthier.errors import InvalidStudy
from luthier.models import Keep, chosen, delete_model, list_models, show_model
from luthier.objectives.crossval import CrossValidation
from luthier.space import Float, Space
from luthier.study import Completed, Failed, History, Objective, Problem, State, Trial

PROBLEM = Problem(Space(x=Float(0, 1)), (Objective("accuracy", "max"),))


def history(*accuracies, problem=PROBLEM, **more):
    found = History(problem)
    trials = []
    for i, accuracy in enumerate(accuracies):
        trial = Trial(i, {"x": i / 100}, attempt=1)
        metrics = {"accuracy": accuracy, **{name: values[i] for name, values in more.items()}}
        outcome = Failed("no luck") if accuracy is None else Completed(metrics)
        started = Trial(i, trial.params, state=State.RUNNING, attempt=1)
        trials.append(started.after(outcome, 1))
    found.merge(trials, 1)
    return found


def numbers(*given, **more):
    return [trial.number for trial in chosen(*given, **more)]


def test_the_best_is_kept_unless_something_else_is_said():
    assert numbers(Keep(), history(0.7, 0.9, None, 0.8)) == [1]
    assert numbers(Keep(best=2), history(0.7, 0.9, None, 0.8)) == [1, 3]
    assert numbers(Keep(best=9), history(0.7, 0.9, None, 0.8)) == [1, 3, 0]
    assert numbers(Keep(all=True), history(0.7, 0.9, None, 0.8)) == [1, 3, 0]
    assert numbers(Keep(best=0), history(0.7, 0.9)) == []
    assert numbers(Keep(), history(None, None)) == []


def test_the_trial_to_go_by_may_be_another_than_the_best():
    found = history(0.7, 0.9, 0.8)
    assert numbers(Keep(best=2), found, best=found[0]) == [0, 1]


def test_thresholds_are_looked_at_before_anything_is_counted_and_reasons_are_numbers():
    found = chosen(
        Keep(best=1, thresholds={"recall": 0.8, "log_loss": 0.5}),
        history(0.7, 0.9, 0.8, recall=[0.9, 0.75, 0.85], log_loss=[0.2, 0.1, 0.6]),
        {"log_loss": "min"},
    )
    assert [trial.number for trial in found] == [0]
    assert found.reasons == {
        1: "its recall of 0.75 is below the threshold of 0.8",
        2: "its log_loss of 0.6 is above the threshold of 0.5",
    }


def test_a_threshold_of_no_score_names_the_near_one():
    with pytest.raises(InvalidStudy, match="Did you mean 'accuracy'"):
        chosen(Keep(thresholds={"acuracy": 0.5}), history(0.7))


@pytest.mark.parametrize(
    "wrong", [{"best": -1}, {"best": True}, {"thresholds": {"a": "high"}}, {"notes": {"author": "me"}}]
)
def test_a_policy_that_means_nothing_says_so(wrong):
    with pytest.raises(InvalidStudy):
        Keep(**wrong)


def test_with_several_objectives_those_that_none_betters_are_kept():
    problem = Problem(Space(x=Float(0, 1)), (Objective("accuracy", "max"), Objective("seconds", "min")))
    found = history(0.7, 0.9, 0.8, 0.6, problem=problem, seconds=[1.0, 5.0, 6.0, 0.5])
    assert numbers(Keep(pareto=True), found) == [1, 0, 3]
    assert "another is better" in chosen(Keep(pareto=True), found).reasons[2]
    assert numbers(Keep(pareto=True, best=2), found) == [1, 2, 0, 3]


def test_what_lies_outside_the_space_or_repeats_parameters_is_not_kept():
    found = History(PROBLEM)
    trials = [
        Trial(i, {"x": x}, state=State.RUNNING, attempt=1).after(Completed({"accuracy": a}), 1)
        for i, (x, a) in enumerate([(2.0, 0.99), (0.5, 0.9), (0.5, 0.8), (0.1, float("nan"))])
    ]
    found.merge(trials, 1)
    kept = chosen(Keep(all=True), found)
    assert [trial.number for trial in kept] == [1]
    assert kept.reasons == {
        0: "it lies outside the space",
        2: "it has the parameters of #1",
        3: "it has no accuracy",
    }


# --- after a study -----------------------------------------------------------------------------


def work(tmp_path, trials, keep=None, **more):
    X, y = load_iris(return_X_y=True)
    task = CrossValidation(
        "sklearn.neighbors:KNeighborsClassifier", X, y, cv=3, scoring=["accuracy", "log_loss"]
    )
    store = str(tmp_path / "studies.db")
    space = {"n_neighbors": Int(1, 40)}
    return tune(
        task,
        space,
        maximize="accuracy",
        trials=trials,
        name="knn",
        store=store,
        keep=keep,
        progress=False,
        **more,
    )


def test_a_study_saves_what_the_policy_says_and_no_trial_twice(tmp_path):
    study = work(tmp_path, 6, Keep(best=3, notes={"intended_use": "a test"}))
    saved = list_models(tmp_path)
    assert [model.version for model in saved] == [1, 2, 3]
    assert [model.champion for model in saved] == [True, False, False]
    assert saved[0].manifest["trial"] == study.best.number
    assert study.facts["model"]["trial"] == study.best.number
    assert [kept["version"] for kept in study.facts["models"]] == [1, 2, 3]
    assert "number 4" in " ".join(study.facts["not_kept"].values())
    assert saved[0].manifest["tried"] == 6
    assert saved[0].manifest["overlap"] == pytest.approx(0.5)
    assert "## Intended use\n\na test" in (saved[0].path / "CARD.md").read_text()
    work(tmp_path, 6, Keep(best=3))
    assert len(list_models(tmp_path)) == 3
    work(tmp_path, 6, Keep(best=4))
    assert len(list_models(tmp_path)) == 4


def test_a_version_that_a_person_deleted_does_not_come_back(tmp_path):
    work(tmp_path, 4, Keep(best=2))
    delete_model(tmp_path, "knn", 2)
    study = work(tmp_path, 4, Keep(best=2))
    assert [model.version for model in list_models(tmp_path)] == [1]
    assert "which was deleted" in " ".join(study.facts["not_kept"].values())


def test_no_model_that_misses_a_threshold_is_kept_and_the_study_says_so(tmp_path):
    study = work(tmp_path, 4, Keep(thresholds={"accuracy": 0.999}))
    assert list_models(tmp_path) == []
    assert study.facts["model"] is None
    from luthier.summary import describe

    assert "below the threshold of 0.999" in str(describe(study))


def test_a_threshold_of_an_unknown_score_is_refused_before_the_first_trial(tmp_path):
    with pytest.raises(InvalidStudy, match="Did you mean 'log_loss'"):
        work(tmp_path, 4, Keep(thresholds={"logloss": 0.5}))
    assert not (tmp_path / "studies.db").exists()


def test_a_better_trial_of_the_same_study_challenges_the_champion(tmp_path):
    work(tmp_path, 2, seed=1)
    first = show_model(tmp_path, "knn")
    study = work(tmp_path, 12, seed=1)
    model = study.facts["model"]
    if model["trial"] != first.manifest["trial"]:  # whatever luck found: the numbers are said
        assert model["promoted"] or "stays in use" in model["why"]
        assert show_model(tmp_path, "knn").version == (model["version"] if model["promoted"] else 1)
    assert np.isfinite(first.manifest["scores"]["accuracy"]["mean"])
