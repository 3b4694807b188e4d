import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.svm import SVC

from luthier.clock import VirtualClock
from luthier.errors import DataError, ModelError
from luthier.models import (
    challenge,
    delete_model,
    history_of,
    list_models,
    load_model,
    log,
    promote,
    rollback,
    save_model,
    show_model,
)
from luthier.models.log import Event
from luthier.objectives.crossval import CrossValidation
from tests.models.fruit import SCORED, TRAIN, data, keep

LOW = [0.70, 0.72, 0.68, 0.71, 0.69]
HIGH = [0.80, 0.82, 0.79, 0.81, 0.78]


def champion(home):
    return [model.version for model in list_models(home) if model.champion]


def test_the_first_version_is_the_champion_and_what_is_used(tmp_path):
    keep(tmp_path, 0, LOW)
    keep(tmp_path, 1, HIGH)
    assert champion(tmp_path) == [1]
    assert show_model(tmp_path, "fruit").version == 1


def test_a_challenger_that_is_clearly_better_on_the_same_folds_is_promoted(tmp_path):
    keep(tmp_path, 0, LOW)
    keep(tmp_path, 1, HIGH)
    verdict = challenge(tmp_path, "fruit", 2)
    assert verdict.promoted
    assert verdict.why == (
        "version 2 is promoted: it is better by 0.1000 ± 0.0047 in accuracy on the 5 folds that both were scored on; that "
        "makes it the better one with a probability of 99.9%."
    )
    assert verdict.numbers["difference"] == pytest.approx(0.1)
    assert champion(tmp_path) == [2]
    assert load_model(tmp_path, "fruit").classes_.tolist() == ["no", "yes"]


def test_a_challenger_that_is_better_by_luck_is_kept_and_not_promoted(tmp_path):
    keep(tmp_path, 0, LOW)
    keep(tmp_path, 1, [0.74, 0.70, 0.71, 0.69, 0.73])
    verdict = challenge(tmp_path, "fruit", 2)
    assert not verdict.promoted
    assert verdict.why.startswith(
        "version 2 is not promoted, and version 1 stays in use: it is better by 0.014 ± "
    )
    assert verdict.why.endswith("It takes 95%.")
    assert champion(tmp_path) == [1]
    assert challenge(tmp_path, "fruit", 2) == verdict
    assert [event.what for event in history_of(tmp_path, "fruit")] == [
        "saved",
        "promoted",
        "saved",
        "challenged",
    ]


def test_the_variance_is_corrected_by_the_overlap_of_the_splits(tmp_path):
    keep(tmp_path, 0, LOW)
    keep(tmp_path, 1, HIGH, overlap=0.25)
    keep(tmp_path, 2, HIGH, overlap=4.0)
    wide = promote(tmp_path, "fruit", 3).numbers["error"]
    promote(tmp_path, "fruit", 1, force=True)
    assert wide == pytest.approx(promote(tmp_path, "fruit", 2).numbers["error"] * np.sqrt(4.2 / 0.45))


@pytest.mark.parametrize(
    ("meta", "why"),
    [
        ({"splits": "others"}, "other splits of the data"),
        ({"objective": [{"metric": "roc_auc", "goal": "max"}]}, "has no roc_auc"),
        ({"objective": None}, "not known what was optimised"),
    ],
)
def test_scores_that_are_not_of_the_same_data_do_not_count_and_the_remedy_is_said(tmp_path, meta, why):
    keep(tmp_path, 0, LOW)
    keep(tmp_path, 1, HIGH, **meta)
    verdict = challenge(tmp_path, "fruit", 2)
    assert not verdict.promoted
    assert why in verdict.why
    assert "--data test.csv" in verdict.why


def test_other_rows_or_no_folds_do_not_count(tmp_path):
    keep(tmp_path, 0, LOW)
    other = data(90, 5)
    model = CrossValidation("sklearn.linear_model:LogisticRegression", other, cv=2).refit({})
    scores = {"accuracy": {"mean": 0.8, "folds": HIGH}}
    save_model(tmp_path, "fruit", model, meta={**SCORED, "trial": 4, "scores": scores}, data=other)
    assert "scored on other data" in challenge(tmp_path, "fruit", 2).why
    keep(tmp_path, 5, None, scores={"accuracy": {"mean": 0.9}})
    assert "not known fold by fold" in challenge(tmp_path, "fruit", 3).why


def test_on_test_data_the_rows_decide_and_both_looks_are_counted(tmp_path):
    keep(tmp_path, 0, LOW, estimator=DummyClassifier())
    keep(tmp_path, 1, LOW)
    verdict = promote(tmp_path, "fruit", 2, data(60, 1))
    assert verdict.promoted
    assert "on the 60 rows of fruit 1" in verdict.why
    assert verdict.numbers["looks"] == 2
    assert [event.what for event in history_of(tmp_path, "fruit")][-3:] == ["looked", "looked", "promoted"]
    back = promote(tmp_path, "fruit", 1, data(60, 1), metric="log_loss")
    assert not back.promoted
    assert "is worse by" in back.why


def test_the_rows_that_a_model_was_fitted_on_decide_nothing(tmp_path):
    keep(tmp_path, 0, LOW)
    keep(tmp_path, 1, LOW, estimator=SVC())
    with pytest.raises(DataError, match="holds the rows that model 'fruit', version 2, was fitted on"):
        promote(tmp_path, "fruit", 2, TRAIN)
    assert champion(tmp_path) == [1]


def test_a_person_may_promote_what_they_like_and_it_is_written_down(tmp_path):
    keep(tmp_path, 0, HIGH)
    keep(tmp_path, 1, LOW)
    verdict = promote(tmp_path, "fruit", 2, force=True, clock=VirtualClock(0.0))
    assert verdict.promoted
    assert "because somebody said so" in verdict.why
    event = history_of(tmp_path, "fruit")[-1]
    assert (event.what, event.version, event.about["champion"], event.at[:4]) == ("promoted", 2, 1, "1970")
    assert promote(tmp_path, "fruit", 2).why == "version 2 is the champion already."


def test_rollback_goes_through_the_champions_before(tmp_path):
    for trial in range(3):
        keep(tmp_path, trial, LOW)
    for version in (2, 3):
        promote(tmp_path, "fruit", version, force=True)
    assert rollback(tmp_path, "fruit") == 2
    assert rollback(tmp_path, "fruit") == 1
    with pytest.raises(ModelError, match="none to go back to"):
        rollback(tmp_path, "fruit")
    promote(tmp_path, "fruit", 3, force=True)
    promote(tmp_path, "fruit", 2, force=True)
    delete_model(tmp_path, "fruit", 3)
    assert rollback(tmp_path, "fruit") == 1


def test_the_champion_is_deleted_only_by_force_and_the_one_before_takes_over(tmp_path):
    for trial in range(3):
        keep(tmp_path, trial, LOW)
    promote(tmp_path, "fruit", 2, force=True)
    with pytest.raises(ModelError, match=r"is its champion, the one that is used\. Promote another"):
        delete_model(tmp_path, "fruit", 2)
    assert delete_model(tmp_path, "fruit", 2, force=True) == [2]
    assert champion(tmp_path) == [1]
    delete_model(tmp_path, "fruit", 1, force=True)
    assert champion(tmp_path) == []
    with pytest.raises(ModelError, match="has no champion"):
        show_model(tmp_path, "fruit")
    assert promote(tmp_path, "fruit", 3).why == "version 3 is promoted: there was no champion."


def test_the_number_of_a_deleted_version_is_never_used_again(tmp_path):
    for trial in range(2):
        keep(tmp_path, trial, LOW)
    delete_model(tmp_path, "fruit", 2)
    assert keep(tmp_path, 2, LOW).version == 3
    with pytest.raises(ModelError, match=r"no version 2\. It was deleted\. There is: 1, 3\."):
        show_model(tmp_path, "fruit", 2)
    assert delete_model(tmp_path, "fruit") == [1, 3]
    assert list_models(tmp_path) == []
    with pytest.raises(ModelError, match="Its 3 versions were deleted"):
        show_model(tmp_path, "fruit")
    assert keep(tmp_path, 3, LOW).version == 4
    assert champion(tmp_path) == [4]


def test_what_a_killed_process_left_is_no_version_and_is_swept_away(tmp_path):
    for trial in range(2):
        keep(tmp_path, trial, LOW)
    folder = tmp_path / "models" / "fruit"
    with log.locked(folder):
        log.append(folder, Event("deleted", 2))  # and then it was killed
    (folder / ".new-half").mkdir()
    assert [model.version for model in list_models(tmp_path)] == [1]
    assert keep(tmp_path, 2, LOW).version == 3
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "1", "3", "log.jsonl"]


def test_a_trial_is_saved_once(tmp_path):
    assert keep(tmp_path, 0, LOW).version == 1
    assert keep(tmp_path, 0, LOW).version == 1
    assert keep(tmp_path, 1, LOW).version == 2
    assert len(history_of(tmp_path, "fruit")) == 3


def test_a_folder_without_a_log_goes_by_its_latest_version(tmp_path):
    for trial in range(2):
        keep(tmp_path, trial, LOW)
    (tmp_path / "models" / "fruit" / "log.jsonl").unlink()
    assert champion(tmp_path) == [2]
    keep(tmp_path, 2, LOW)
    assert champion(tmp_path) == [2]


def test_the_rule_promotes_equals_as_seldom_as_it_says(tmp_path):
    """Folds whose correlation is what the correction takes it for, and two models that are equally good."""
    from luthier.analysis.compare import compare
    from luthier.models.champions import CONFIDENCE, _as_trial
    from luthier.models.registry import ModelVersion
    from luthier.study import Objective

    rng = np.random.default_rng(0)
    promoted = 0
    for _ in range(1000):
        # Differences with correlation rho = 1/K (test share), as Nadeau and Bengio have it.
        differences = np.sqrt(0.2) * rng.normal() + np.sqrt(0.8) * rng.normal(size=5)
        scores = [
            {"accuracy": {"mean": float(v.mean()), "folds": v.tolist()}}
            for v in (differences, 0 * differences)
        ]
        a, b = (_as_trial(ModelVersion("m", i, tmp_path, {"scores": s})) for i, s in enumerate(scores))
        promoted += compare(a, b, Objective("accuracy", "max"), margin=0.0).a_better >= CONFIDENCE
    assert promoted / 1000 == pytest.approx(0.05, abs=0.02)
