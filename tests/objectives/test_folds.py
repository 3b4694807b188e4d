"""Folds gone on with, and predictions kept."""

import gc

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import RepeatedKFold
from sklearn.svm import SVC

import luthier as lt
from luthier.objectives.crossval import CrossValidation
from luthier.objectives.folds import Fold, Predictions, remembered

IRIS = load_iris(return_X_y=True)


class Counted(SVC):
    fits = 0

    def fit(self, X, y):
        type(self).fits += 1
        return super().fit(X, y)


class Lives:
    """A trial whose attempt is lost after so many reports."""

    number, fidelity, seed, params = 4, None, 0, {"C": 2.0}

    def __init__(self, reports, earlier=None):
        self.left, self.earlier, self.attempt = reports, dict(earlier or {}), 1

    def report(self, step, metrics):
        self.earlier[step] = metrics
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def by_row(task):
    """What was predicted for each row while it was left out, once."""
    found = np.empty(len(task.data.y))
    found[np.concatenate([test for _, test in task.splits])] = task.predictions.cells(
        4, "predict", task.splits
    )
    return found


def test_no_fold_that_was_reported_is_fitted_again(tmp_path):
    task = CrossValidation(Counted(), *IRIS).keeping(tmp_path)
    Counted.fits = 0
    lost = Lives(3)
    with pytest.raises(KeyboardInterrupt):
        task(lost)
    metrics = task(Lives(100, lost.earlier))
    assert Counted.fits == 5
    assert metrics["accuracy"] == task(Lives(100))["accuracy"]
    assert task.predictions.cells(4, "predict", task.splits).shape == (150,)


@pytest.mark.parametrize("told", [1, 4, 5])
def test_a_trial_that_is_told_to_stop_in_its_last_fold_completes(told):
    trial = Lives(100)
    steps = []

    def report(step, metrics):
        steps.append(step)
        if len(steps) >= told:
            raise lt.Stop("behind")

    trial.report = report
    task = CrossValidation(SVC(), *IRIS)
    if told < 5:
        with pytest.raises(lt.Stop):
            task(trial)
        assert len(steps) == told
    else:
        assert task(trial)["accuracy"] > 0.9


def test_the_predictions_kept_are_those_that_were_scored(tmp_path):
    task = CrossValidation(SVC(), *IRIS, cv=10).keeping(tmp_path)
    metrics = task(Lives(100))
    found = by_row(task)
    per_fold = [accuracy_score(IRIS[1][test], found[test]) for _, test in task.splits]
    assert np.mean(per_fold) == pytest.approx(metrics["accuracy"])
    assert np.array_equal(task.predictions.target, IRIS[1])


def test_probabilities_are_kept_where_a_score_asked_for_them(tmp_path):
    task = CrossValidation(LogisticRegression(), *IRIS, scoring=["log_loss", "accuracy"]).keeping(tmp_path)
    task(Lives(100))
    assert task.predictions.cells(4, "predict_proba", task.splits).sum(axis=1) == pytest.approx(
        np.ones(150), abs=1e-6
    )
    assert task.predictions.cells(4, "decision_function", task.splits) is None


def test_labels_of_text_are_kept_as_their_places(tmp_path):
    names = np.array(["zebra", "ant", "cow"])[IRIS[1]]
    task = CrossValidation(SVC(), IRIS[0], names).keeping(tmp_path)
    metrics = task(Lives(100))
    found = by_row(task)
    assert (found == task.predictions.target).mean() == pytest.approx(metrics["accuracy"])
    assert set(task.predictions.target) == {0, 1, 2}


def test_a_class_that_is_missing_from_a_fold_has_a_column_all_the_same(tmp_path):
    X, y = IRIS
    splits = [
        (np.flatnonzero(y != 2), np.flatnonzero(y == 2)),
        (np.flatnonzero(y != 0), np.flatnonzero(y == 0)),
    ]
    task = CrossValidation(LogisticRegression(), X, y, cv=splits, scoring=["accuracy"])
    model = LogisticRegression().fit(X[splits[1][0]], y[splits[1][0]])
    task = task.keeping(tmp_path)
    with remembered(model) as outputs:
        model.predict_proba(X)
    from luthier.objectives.folds import in_numbers

    columns = in_numbers(outputs, np.arange(3), model.classes_)["predict_proba"]
    assert columns.shape == (150, 3)
    assert not columns[:, 0].any()


def test_rows_left_out_several_times_are_several_cells_and_those_of_folds_not_run_are_missing(tmp_path):
    X, y = load_diabetes(return_X_y=True)
    splitter = RepeatedKFold(n_splits=3, n_repeats=2, random_state=0)
    task = CrossValidation(Ridge(), X, y, cv=splitter).keeping(tmp_path)
    trial = Lives(4)
    trial.params = {"alpha": 0.1}
    with pytest.raises(KeyboardInterrupt):
        task(trial)
    cells = task.predictions.cells(4, "predict", task.splits)
    rows = np.concatenate([test for _, test in task.splits])
    run = np.isfinite(cells)
    assert len(cells) == 2 * len(y)
    assert run.sum() == sum(len(test) for _, test in task.splits[:4])
    assert r2_score(y[rows[run]], cells[run]) > 0.3
    assert task.predictions.cells(5, "predict", task.splits) is None


def test_what_an_estimator_is_asked_is_asked_once_and_its_methods_are_its_own_again():
    model = LogisticRegression(max_iter=500).fit(*IRIS)
    with remembered(model) as outputs:
        first = model.predict(IRIS[0])
        assert model.predict(IRIS[0]) is first
        assert len(model.predict(IRIS[0][:3])) == 3
    assert outputs["predict"] is first
    assert "predict" not in vars(model)
    with remembered(CalibratedClassifierCV(SVC())) as outputs:
        pass
    assert outputs == {}


@pytest.mark.parametrize(
    "values", [[0, 1, 255], [-128, 127], [-129], [70_000], [2**40, -(2**40)], [True, False], [0.5, -1.0]]
)
def test_numbers_come_back_as_they_were_in_less_room(tmp_path, values):
    kept = Predictions(tmp_path)
    kept.write(0, 0, Fold({}, {"predict": np.array(values)}))
    assert kept.read(0, 0)["predict"].tolist() == values
    assert kept.read(0, 0)["predict"].dtype.itemsize <= np.array(values).dtype.itemsize


def test_a_study_in_memory_keeps_its_predictions_as_long_as_it_lives():
    study = lt.tune(CrossValidation(SVC(), *IRIS), trials=2, progress=False)
    folder = study.predictions.folder
    assert len(list(folder.glob("*-*.npz"))) == 10
    del study
    gc.collect()
    assert not folder.exists()


def test_another_study_of_the_same_name_begins_with_an_empty_folder(tmp_path):
    store = str(tmp_path / "s.db")
    first = lt.tune(CrossValidation(SVC(), *IRIS), trials=3, progress=False, name="a", store=store)
    first.store.delete("a")
    first.close()
    again = lt.tune(CrossValidation(SVC(), *IRIS), trials=1, progress=False, name="a", store=store)
    assert {path.name for path in again.predictions.folder.iterdir()} == {
        "y.npz",
        *(f"0-{k}.npz" for k in range(5)),
    }
