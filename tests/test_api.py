"""The front door, through every floor below it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

import luthier as lt
from luthier.errors import (
    InvalidStudy,
    LuthierError,
    ObjectiveError,
    ObjectiveFailed,
    SpecMismatch,
    StoreError,
    StudyEnded,
)
from luthier.study import History, State

SPACE = lt.Space(
    lr=lt.Float(1e-5, 1e-1, log=True),
    layers=lt.Int(1, 6),
    optimizer=lt.Choice("adam", "sgd"),
    momentum=lt.Float(0.0, 0.99, when={"optimizer": "sgd"}),
)


@pytest.fixture
def store(tmp_path: Path) -> str:
    return str(tmp_path / "studies.db")


def by_name(lr: float, layers: int, optimizer: str, momentum: float | None = None) -> float:
    assert (momentum is None) == (optimizer == "adam")
    return lr * layers


# --- tuning -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["auto", "random", "sobol", "evolution"])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_study_has_exactly_the_trials_of_its_budget(algorithm: str, workers: int) -> None:
    study = lt.tune(
        by_name, SPACE, minimize="loss", trials=23, algorithm=algorithm, workers=workers, progress=False
    )
    assert [trial.state for trial in study.trials] == [State.COMPLETED] * 23
    assert study.best.metrics["loss"] == min(trial.metrics["loss"] for trial in study.trials)
    assert study.complete


def test_reports_metrics_and_the_objective_come_back_as_they_were_given() -> None:
    def train(trial: lt.Context) -> dict[str, float]:
        for epoch in range(3):
            trial.report(epoch, loss=1 / (epoch + 1), accuracy=epoch)
        return {"loss": float("inf") if trial.number else 0.5, "accuracy": float("nan")}

    study = lt.tune(train, SPACE, minimize="loss", trials=2, progress=False)
    first, second = study.trials
    assert [report.step for report in first.reports] == [0, 1, 2]
    assert dict(first.reports[1].metrics) == {"loss": 0.5, "accuracy": 1.0}
    assert second.metrics["loss"] == float("inf")
    assert second.metrics["accuracy"] != second.metrics["accuracy"]
    assert study.best.number == 0


def test_the_same_seed_gives_the_same_trials_however_often_the_study_is_interrupted(store: str) -> None:
    whole = lt.tune(by_name, SPACE, minimize="loss", trials=30, algorithm="evolution", seed=3, progress=False)
    for trials in (4, 11, 12, 30):
        parts = lt.tune(
            by_name,
            SPACE,
            minimize="loss",
            trials=trials,
            algorithm="evolution",
            seed=3,
            name="parts",
            store=store,
            progress=False,
        )
        assert len(parts.trials) == trials
    assert [trial.params for trial in parts.trials] == [trial.params for trial in whole.trials]


def test_in_deterministic_mode_the_number_and_timing_of_workers_do_not_matter() -> None:
    def slow(trial: lt.Context) -> float:
        time.sleep(0.002 * (trial.number * 7 % 5))
        return float(trial.params["lr"])

    one, two = (
        lt.tune(
            slow,
            SPACE,
            minimize="loss",
            trials=20,
            algorithm="evolution",
            workers=workers,
            deterministic=4,
            progress=False,
        )
        for workers in (1, 2)
    )
    assert [trial.params for trial in one.trials] == [trial.params for trial in two.trials]


def test_a_grid_tries_every_point_once_and_ends_by_itself() -> None:
    space = lt.Space(a=[1, 2, 3], b=lt.Choice({"x": {"c": lt.Int(1, 2)}, "y": {}}))
    study = lt.tune(
        lambda trial: float(trial.params["a"]), space, minimize="loss", algorithm="grid", progress=False
    )
    assert len({space.key(trial.params) for trial in study.trials}) == len(study.trials) == 9
    assert "nothing is left to try" in (study.row.ended or "")


def test_a_target_a_time_and_a_number_of_failures_end_a_study_too() -> None:
    study = lt.tune(by_name, SPACE, minimize="loss", target=1e3, progress=False)
    assert len(study.trials) == 1

    def sleepy(trial: lt.Context) -> float:
        time.sleep(0.05)
        return 0.0

    study = lt.tune(sleepy, SPACE, minimize="loss", seconds=0.5, progress=False)
    assert 2 <= len(study.trials) <= 11
    assert "time budget" in (study.row.ended or "")

    def fails_often(trial: lt.Context) -> float:
        if trial.number % 2:
            raise ValueError(str(trial.number))
        return 0.0

    study = lt.tune(fails_often, SPACE, minimize="loss", failures=3, progress=False)
    assert study.history.counts[State.FAILED] == 3
    assert len(study.trials) == 6


def test_what_is_refused_leaves_no_study_behind(store: str) -> None:
    with pytest.raises(InvalidStudy, match="never end"):
        tune_named(store, trials=None)
    lock = threading.Lock()
    with pytest.raises(ObjectiveError, match="lock"):
        lt.tune(lambda trial: lock.locked(), SPACE, minimize="x", trials=1, workers=2, name="n", store=store)
    assert not Path(store).exists()


def test_start_points_are_tried_first_and_checked() -> None:
    point = {"lr": 0.01, "layers": 2, "optimizer": "adam"}
    study = lt.tune(by_name, SPACE, minimize="loss", trials=3, start=[point], progress=False)
    assert study.trials[0].params == point
    with pytest.raises(LuthierError, match="momentum"):
        lt.tune(by_name, SPACE, minimize="loss", trials=3, start=[{**point, "momentum": 0.1}], progress=False)


# --- failures ---------------------------------------------------------------------------------------------


def test_a_failed_trial_keeps_its_reason_and_does_not_end_the_study() -> None:
    def train(trial: lt.Context) -> float:
        if trial.number == 1:
            raise ValueError("Input X contains NaN")
        return 0.0

    study = lt.tune(train, SPACE, minimize="loss", trials=4, progress=False)
    assert [trial.state for trial in study.trials] == ["completed", "failed", "completed", "completed"]
    assert study.trials[1].reason == "ValueError: Input X contains NaN"
    assert "raise ValueError" in (study.trials[1].traceback or "")


@pytest.mark.parametrize("workers", [1, 2])
def test_when_the_first_trials_all_fail_alike_the_study_stops_and_shows_the_traceback_once(
    workers: int, store: str
) -> None:
    def train(trial: lt.Context) -> float:
        raise ValueError(f"bad luck in trial {trial.number}")

    with pytest.raises(ObjectiveError, match="first 5 trials failed") as error:
        lt.tune(
            train,
            SPACE,
            minimize="loss",
            trials=50,
            workers=workers,
            name="bad",
            store=store,
            progress=False,
        )
    assert str(error.value).count("Traceback") == 1
    assert len(lt.load("bad", store).trials) <= 4 + 2 * workers


def test_a_small_study_of_failures_only_is_no_quiet_success() -> None:
    for trials, said in ((3, "first 3 trials failed"), (1, "only trial failed")):
        with pytest.raises(ObjectiveFailed, match=said):
            lt.tune(lambda trial: "nonsense", SPACE, minimize="loss", trials=trials, progress=False)


def test_an_estimator_needs_data_to_be_an_objective() -> None:
    from sklearn.svm import SVC

    with pytest.raises(ObjectiveError, match="CrossValidation"):
        lt.tune(SVC(), SPACE, maximize="accuracy", trials=1)  # type: ignore[arg-type]


def test_a_metric_the_objective_does_not_report_is_named() -> None:
    with pytest.raises(ObjectiveError, match="acc"):
        lt.tune(lambda trial: {"acc": 1.0}, SPACE, maximize="accuracy", trials=9, progress=False)


# --- keeping ----------------------------------------------------------------------------------------------


def tune_named(store: str, **changes: object) -> lt.Study:
    given = {"minimize": "loss", "trials": 3, "name": "first", "store": store, "progress": False, **changes}
    return lt.tune(by_name, given.pop("space", SPACE), **given)  # type: ignore[arg-type]


def test_a_complete_study_does_nothing_more_and_a_larger_budget_goes_on(store: str) -> None:
    first = tune_named(store)
    again = tune_named(store)
    assert again.trials == first.trials
    assert len(tune_named(store, trials=5).trials) == 5
    assert len(tune_named(store, trials=None).trials) == 5


def test_another_question_under_the_same_name_is_refused_and_the_difference_shown(store: str) -> None:
    tune_named(store)
    with pytest.raises(SpecMismatch, match="minimize loss there, maximize loss here"):
        tune_named(store, minimize=None, maximize="loss")
    with pytest.raises(SpecMismatch, match=r"layers.*Int\(1, 6\).*Int\(1, 7\)"):
        tune_named(store, space={**SPACE, "layers": lt.Int(1, 7)})
    assert len(lt.load("first", store).trials) == 3


def test_a_loaded_study_is_read_only_until_told_otherwise(store: str) -> None:
    tune_named(store)
    study = lt.load("first", store)
    assert (study.name, len(study.trials)) == ("first", 3)
    with pytest.raises(StoreError, match="readonly=False"):
        study.ask()
    with pytest.raises(StoreError, match="readonly=False"):
        study.stop()
    with pytest.raises(StudyEnded, match="3 of 3"):
        lt.load("first", store, readonly=False).ask()
    with pytest.raises(LuthierError, match="frist"):
        lt.load("frist", store)


def test_a_study_without_a_name_says_once_that_it_lives_in_memory(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("luthier.api._said", set())  # as in a process of its own
    for _ in range(2):
        lt.tune(by_name, SPACE, minimize="loss", trials=1)
    assert capsys.readouterr().err.count("lives in memory") == 1
    assert list(tmp_path.iterdir()) == []


def test_pandas_gets_a_row_per_trial(store: str) -> None:
    table = tune_named(store).to_pandas()
    assert list(table["number"]) == [0, 1, 2]
    assert {"state", "reason", "seconds"} <= set(table.columns)


# --- asking and telling -----------------------------------------------------------------------------------


def test_people_who_own_their_loop_ask_and_tell() -> None:
    study = lt.Study(SPACE, minimize="loss", trials=4)
    one = study.ask()
    one.report(0, loss=2.0)
    study.tell(one, {"loss": 0.3, "extra": 1.0})
    study.tell(study.ask(), 0.2)
    study.tell(study.ask(), error="out of memory")
    study.tell(study.ask().number, 0.4)
    assert [trial.state for trial in study.trials] == ["completed", "completed", "failed", "completed"]
    assert study.best.number == 1
    assert study.trials[0].reports[0].metrics == {"loss": 2.0}
    assert study.trials[2].reason == "out of memory"
    with pytest.raises(StudyEnded):
        study.ask()


def test_the_with_block_tells_the_outcome_by_itself() -> None:
    study = lt.Study(SPACE, minimize="loss")
    with study.trial() as trial:
        trial.report(0, loss=0.5)
    with study.trial() as trial:
        trial.result = 0.1
    with study.trial():
        pass
    with pytest.raises(ZeroDivisionError), study.trial():
        1 / 0  # noqa: B018
    with pytest.raises(KeyboardInterrupt), study.trial():
        raise KeyboardInterrupt
    assert [trial.state for trial in study.trials] == [
        "completed",
        "completed",
        "failed",
        "failed",
        "waiting",
    ]
    assert [study.trials[0].metrics["loss"], study.trials[1].metrics["loss"]] == [0.5, 0.1]
    again = study.ask()
    assert (again.number, again.attempt) == (4, 2)


def test_a_trial_that_was_stopped_hears_of_it_at_its_next_report(store: str) -> None:
    study = lt.Study(SPACE, minimize="loss", name="own", store=store)
    with study.trial() as trial:
        lt.load("own", store, readonly=False).stop(trial.number, "not promising")
        trial.report(0, loss=1.0)
        raise AssertionError("the report should have raised Stop")
    assert study.trials[0].state is State.STOPPED
    assert study.trials[0].reason == "not promising"


def test_late_words_change_nothing_and_hurt_nobody(store: str) -> None:
    study = lt.Study(SPACE, minimize="loss", name="own", store=store)
    trial = study.ask()
    study.tell(trial, 0.5)
    study.tell(trial, 0.1)
    study.tell(trial, error="no")
    assert study.best.metrics == {"loss": 0.5}
    assert "late" in {row.event for row in study.store.log("own")}


def test_many_threads_may_ask_and_tell_one_study_to_an_exact_budget(store: str) -> None:
    study = lt.Study(SPACE, minimize="loss", trials=60, name="own", store=store)

    def work() -> None:
        while True:
            try:
                trial = study.ask()
            except StudyEnded:
                return
            study.tell(trial, float(trial.params["lr"]))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [trial.state for trial in study.trials] == [State.COMPLETED] * 60


ASKER = """
import sys, luthier as lt
from luthier.errors import StudyEnded
study = lt.load("own", sys.argv[1], readonly=False)
try:
    while True:
        trial = study.ask()
        study.tell(trial, float(trial.params["lr"]))
except StudyEnded:
    pass
"""


def test_several_processes_ask_and_tell_one_study_to_an_exact_budget(store: str) -> None:
    study = lt.Study(SPACE, minimize="loss", trials=50, name="own", store=store)
    processes = [subprocess.Popen([sys.executable, "-c", ASKER, store]) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert [trial.state for trial in study.trials] == [State.COMPLETED] * 50


ENGINE = """
import sys, time, luthier as lt
def train(trial):
    time.sleep(0.01)
    return float(trial.params["a"])
lt.tune(train, lt.Space(a=lt.Int(1, 6), b=lt.Int(1, 6)), minimize="loss", algorithm=sys.argv[2], workers=2,
        trials=int(sys.argv[3]) or None, name="many", store=sys.argv[1], progress=False)
"""


@pytest.mark.parametrize(("algorithm", "trials", "expected"), [("grid", 0, 36), ("random", 30, 30)])
def test_several_engines_on_one_study_never_do_a_trial_more_or_fewer(
    store: str, algorithm: str, trials: int, expected: int
) -> None:
    engines = [
        subprocess.Popen([sys.executable, "-c", ENGINE, store, algorithm, str(trials)]) for _ in range(3)
    ]
    assert [engine.wait(60) for engine in engines] == [0, 0, 0]
    study = lt.load("many", store)
    assert [trial.state for trial in study.trials] == [State.COMPLETED] * expected
    assert len({json.dumps(dict(trial.params)) for trial in study.trials}) == expected


# --- stopping ---------------------------------------------------------------------------------------------


def test_a_running_trial_and_a_running_study_stop_when_asked_to(store: str) -> None:
    def train(trial: lt.Context) -> float:
        for step in range(10_000):
            trial.report(step, loss=1.0)
            time.sleep(0.005)
        return 0.0

    def watch(history: History, status: object) -> None:
        looker = lt.load("first", store, readonly=False)
        if len(history) == 1 and history[0].state is State.RUNNING and history[0].stop is None:
            looker.stop(0, "hopeless")
        if len(history) == 2:
            looker.stop(reason="enough")

    study = lt.tune(
        train, SPACE, minimize="loss", trials=50, workers=2, name="first", store=store, progress=watch
    )
    assert study.trials[0].state is State.STOPPED
    assert {trial.reason for trial in study.trials if trial.state is State.STOPPED} <= {
        "hopeless",
        "stopped: enough",
        "enough",
    }
    assert study.row.ended == "stopped: enough"
    assert not study.complete


INTERRUPTED = """
import sys, time, luthier as lt
def train(trial):
    for step in range(30):
        time.sleep(0.02)
        trial.report(step, loss=1.0)
    return 1.0
study = lt.tune(train, lt.Space(a=lt.Float(0, 1)), minimize="loss", trials=100, workers=2, name="int",
                store=sys.argv[1], progress=False)
print(study.row.ended)
"""


@pytest.mark.parametrize("signals", [1, 2])
def test_ctrl_c_waits_for_running_trials_and_twice_does_not(store: str, signals: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, store], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        going = False
        while not going:  # a trial has ended, and the one after it has begun
            with suppress(StoreError):  # not there yet
                history = lt.load("int", store).history
                going = history.ended > 0 and history.counts[State.RUNNING] == 2
        for _ in range(signals):
            os.kill(process.pid, signal.SIGINT)
            time.sleep(0.2)
        out, err = process.communicate(timeout=30)
    study = lt.load("int", store)
    states = {trial.state for trial in study.trials}
    if signals == 1:
        assert process.returncode == 0, err
        assert "interrupted" in out
        assert states == {State.COMPLETED}
    else:
        assert process.returncode != 0
        assert "KeyboardInterrupt" in err
        assert states == {State.COMPLETED, State.WAITING}
    assert not study.complete
    assert State.RUNNING not in states


# --- another database -------------------------------------------------------------------------------------


def test_a_study_lives_in_postgresql_just_as_well(postgres_url: str, tmp_path: Path) -> None:
    import sqlalchemy

    server = sqlalchemy.create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(sqlalchemy.text("CREATE DATABASE front_door"))
    server.dispose()
    url = sqlalchemy.make_url(postgres_url).set(database="front_door").render_as_string(hide_password=False)
    engines = [
        subprocess.Popen([sys.executable, "-c", ENGINE, url, "grid", "0"], cwd=tmp_path) for _ in range(2)
    ]
    assert [engine.wait(60) for engine in engines] == [0, 0]
    study = lt.load("many", url)
    assert [trial.state for trial in study.trials] == [State.COMPLETED] * 36
    assert len({json.dumps(dict(trial.params)) for trial in study.trials}) == 36
    for trial in study.trials[::7]:
        assert study.replay(trial.number).params == trial.params  # type: ignore[union-attr]
    study.close()


# --- estimators -------------------------------------------------------------------------------------------


def test_splits_drawn_by_chance_are_kept_with_the_study_and_used_again(store: str) -> None:
    from sklearn.datasets import load_iris
    from sklearn.model_selection import KFold
    from sklearn.svm import SVC

    def tune(trials: int, **changes: object) -> lt.Study:
        cv = KFold(3, shuffle=True, **changes)  # type: ignore[arg-type]
        objective = lt.CrossValidation(SVC(), *load_iris(return_X_y=True), cv=cv)
        space = lt.Space(C=lt.Float(0.1, 10, log=True))
        return lt.tune(objective, space, trials=trials, name="iris", store=store, progress=False)

    first = tune(2)
    again = tune(4)
    assert len(again.trials) == 4
    assert again.spec == first.spec or again.spec.about == first.spec.about
    with pytest.raises(SpecMismatch, match="splits"):
        tune(5, random_state=7)


def test_trials_of_a_cross_validation_are_compared_on_the_splits_of_the_study(store: str) -> None:
    from sklearn.datasets import load_iris
    from sklearn.model_selection import ShuffleSplit
    from sklearn.tree import DecisionTreeClassifier

    X, y = load_iris(return_X_y=True)
    # A third of the rows is tested by each of seven splits: two training rows to a test row.
    splits = ShuffleSplit(7, test_size=50, random_state=0)
    objective = lt.CrossValidation(
        DecisionTreeClassifier(), X, y, cv=splits, scoring=["accuracy", "neg_log_loss"]
    )
    space = lt.Space(max_depth=lt.Int(1, 12))
    study = lt.tune(
        objective, space, maximize="accuracy", trials=12, name="tree", store=store, progress=False
    )
    best, worst = study.best, min(study.trials, key=lambda trial: trial.metrics["accuracy"])
    found = study.compare(best, worst.number)
    mine, theirs = ([r.metrics["accuracy"] for r in trial.reports] for trial in (best, worst))
    spread = sum((a - b - found.difference) ** 2 for a, b in zip(mine, theirs, strict=True)) / 6
    assert found.difference == pytest.approx(best.metrics["accuracy"] - worst.metrics["accuracy"])
    assert found.error == pytest.approx(((1 / 7 + 50 / 100) * spread) ** 0.5)
    assert found.winner == best.number
    assert lt.load("tree", store).compare(best.number, worst.number) == found
    assert study.compare(best, worst, margin=1.0).equivalent > 0.99
    likely = study.plausible()
    assert likely[0] == best
    assert worst not in likely
    assert {t.number for t in study.plausible(alpha=0.5)} <= {t.number for t in likely}
    with pytest.raises(InvalidStudy, match="has no trial 12"):
        study.compare(0, 12)


def test_a_function_that_reports_its_folds_is_compared_too() -> None:
    def train(trial: lt.Context) -> float:
        x = trial.params["x"]
        assert isinstance(x, float)
        scores = [(x - 0.3) ** 2 + fold for fold in range(4)]
        for fold, score in enumerate(scores):
            trial.report(fold, loss=score)
        return sum(scores) / len(scores)

    study = lt.tune(train, lt.Space(x=lt.Float(0, 1)), minimize="loss", trials=6, progress=False)
    assert study.plausible() == [study.best]
    plain = lt.tune(by_name, SPACE, minimize="loss", trials=2, progress=False)
    with pytest.raises(LuthierError, match="cannot be compared"):
        plain.compare(0, 1)
