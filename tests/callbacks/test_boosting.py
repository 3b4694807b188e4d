"""XGBoost, LightGBM and CatBoost, as they are: what they report, that a stop ends them, and what they go on from."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import luthier as lt
from luthier.errors import InvalidStudy
from luthier.executors import Executor
from luthier.study import History, Proposal, State, Trial

ROUNDS = 12
ENDLESS = 100_000
SPACE = lt.Space(depth=lt.Int(2, 4))
METRICS = {"xgboost": "logloss", "lightgbm": "binary_logloss", "catboost": "Logloss"}


@dataclass(frozen=True)
class AfterFive:
    """Stops every trial but the first after its fifth report."""

    def judge(self, trial: Trial, history: History) -> str | None:
        return "five are enough" if trial.number and len(trial.reports) >= 5 else None


def rounds(trial: lt.Context) -> int:
    """Stopped or never done, as far as this test can wait."""
    return ENDLESS if trial.params["depth"] == 4 else ROUNDS


def rows() -> tuple[Any, Any, Any, Any]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 5))
    y = (X[:, 0] + X[:, 1] * X[:, 2] + rng.normal(size=300) > 0).astype(int)
    return X[:200], y[:200], X[200:], y[200:]


def with_xgboost(trial: lt.Context, more: tuple[Any, ...] = (), every: int | None = None) -> Any:
    import xgboost as xgb

    from luthier.callbacks.xgboost import Report

    X, y, X_val, y_val = rows()
    train, val = xgb.DMatrix(X, y), xgb.DMatrix(X_val, y_val)
    result: dict[str, Any] = {}
    params = {
        "max_depth": trial.params["depth"],
        "objective": "binary:logistic",
        "eval_metric": "logloss",
        "nthread": 1,
    }
    model = xgb.train(
        params,
        train,
        rounds(trial) - (trial.restored_step or 0),
        evals=[(train, "train"), (val, "val")],
        evals_result=result,
        xgb_model=trial.restored,
        verbose_eval=False,
        callbacks=[Report(trial, every=every), *more],
    )
    return {"logloss": result["val"]["logloss"][-1], "rounds": model.num_boosted_rounds()}


def with_lightgbm(trial: lt.Context, more: tuple[Any, ...] = (), every: int | None = None) -> Any:
    import lightgbm as lgb

    from luthier.callbacks.lightgbm import Report

    X, y, X_val, y_val = rows()
    train = lgb.Dataset(X, y)
    model = lgb.train(
        {
            "max_depth": trial.params["depth"],
            "objective": "binary",
            "metric": "binary_logloss",
            "num_threads": 1,
            "verbose": -1,
        },
        train,
        rounds(trial) - (trial.restored_step or 0),
        valid_sets=[train, lgb.Dataset(X_val, y_val)],
        valid_names=["training", "val"],
        init_model=trial.restored,
        callbacks=[Report(trial, every=every), *more],
    )
    return {
        "binary_logloss": model.best_score["val"]["binary_logloss"],
        "rounds": model.current_iteration(),
    }


def with_catboost(trial: lt.Context, more: tuple[Any, ...] = (), every: int | None = None) -> Any:
    from catboost import CatBoostClassifier

    from luthier.callbacks.catboost import Report

    X, y, X_val, y_val = rows()
    model = CatBoostClassifier(
        iterations=rounds(trial),
        depth=trial.params["depth"],
        thread_count=1,
        verbose=False,
        allow_writing_files=False,
    )
    model.fit(X, y, eval_set=(X_val, y_val), callbacks=[Report(trial), *more])
    return {"Logloss": model.evals_result_["validation"]["Logloss"][-1], "rounds": model.tree_count_}


LIBRARIES: dict[str, Callable[..., Any]] = {
    "xgboost": with_xgboost,
    "lightgbm": with_lightgbm,
    "catboost": with_catboost,
}
SETS = {"xgboost": ("train", "val"), "lightgbm": ("training", "val"), "catboost": ("learn", "validation")}


@pytest.mark.parametrize("executor", [lt.Inline(), lt.Processes(1)], ids=["inline", "processes"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_every_round_is_reported_and_a_stop_ends_the_training(library: str, executor: Executor) -> None:
    pytest.importorskip(library)
    metric, (learned, held_out) = METRICS[library], SETS[library]
    study = lt.tune(
        LIBRARIES[library],
        SPACE,
        minimize=metric,
        trials=2,
        start=[{"depth": 3}, {"depth": 4}],
        stopping=AfterFive(),
        executor=executor,
        progress=False,
    )
    whole, stopped = study.trials
    assert whole.state is State.COMPLETED, whole.traceback
    assert [report.step for report in whole.reports] == list(range(1, ROUNDS + 1))
    for report in whole.reports:
        assert report.metrics.keys() == {metric, f"{learned}-{metric}", f"{held_out}-{metric}"}
        assert report.metrics[metric] == report.metrics[f"{held_out}-{metric}"]
    assert whole.reports[-1].metrics[metric] == pytest.approx(whole.metrics[metric])
    assert whole.reports[-1].metrics[f"{learned}-{metric}"] < whole.reports[0].metrics[f"{learned}-{metric}"]
    assert (stopped.state, stopped.reason) == (State.STOPPED, "five are enough"), stopped.traceback
    if executor == lt.Inline():  # in a process the word arrives some rounds later
        assert len(stopped.reports) == 5


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_a_killed_training_goes_on_from_the_last_checkpoint(library: str, tmp_path: Path) -> None:
    pytest.importorskip(library)
    train = LIBRARIES[library]

    def task(trial: lt.Context) -> Any:
        class Kill:
            order = 99
            before_iteration = False
            rounds = trial.restored_step or 0

            def __call__(self, env: Any) -> None:
                self.rounds += 1
                if self.rounds == 8 and trial.attempt == 1 and trial.number == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        if library == "lightgbm":
            return train(trial, (Kill(),), every=3)
        import xgboost as xgb

        class Killing(xgb.callback.TrainingCallback):
            kill = Kill()

            def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
                self.kill(None)
                return False

        return train(trial, (Killing(),), every=3)

    study = lt.tune(
        task,
        SPACE,
        minimize=METRICS[library],
        trials=2,
        start=[{"depth": 3}, {"depth": 3}],
        executor=lt.Processes(1),
        name="a",
        store=str(tmp_path / "s.db"),
        progress=False,
    )
    killed, whole = study.trials
    assert (killed.attempt, whole.attempt) == (2, 1), killed.traceback
    assert killed.metrics["rounds"] == ROUNDS
    assert killed.metrics[METRICS[library]] == pytest.approx(whole.metrics[METRICS[library]], rel=1e-6)
    assert [report.step for report in killed.reports] == list(range(1, ROUNDS + 1))
    assert [checkpoint.step for checkpoint in study.files[0].checkpoints] == [ROUNDS]
    assert study.files[0].checkpoints[-1].attempt == 2


def test_estimators_of_the_scikit_learn_kind_report_too() -> None:
    xgboost, lightgbm = pytest.importorskip("xgboost"), pytest.importorskip("lightgbm")
    from luthier.callbacks import lightgbm as for_lightgbm
    from luthier.callbacks import xgboost as for_xgboost

    X, y, X_val, y_val = rows()

    def task(trial: lt.Context) -> float:
        names = {"logloss": "loss", "binary_logloss": "loss"}
        if trial.params["depth"] == 2:
            report = for_xgboost.Report(trial, names=names)
            model = xgboost.XGBClassifier(n_estimators=4, n_jobs=1, callbacks=[report])
            model.fit(X, y, eval_set=[(X_val, y_val)], verbose=False)
        else:
            model = lightgbm.LGBMClassifier(n_estimators=4, n_jobs=1, verbose=-1)
            model.fit(
                X, y, eval_X=(X_val,), eval_y=(y_val,), callbacks=[for_lightgbm.Report(trial, names=names)]
            )
        return 0.0

    study = lt.tune(
        task, SPACE, minimize="loss", trials=2, start=[{"depth": 2}, {"depth": 3}], progress=False
    )
    for trial in study.trials:
        assert trial.state is State.COMPLETED, trial.traceback
        assert list(trial.reported("loss")) == [1, 2, 3, 4]


def test_a_stop_that_a_library_wraps_ends_the_trial_of_who_asked_for_it() -> None:
    pytest.importorskip("catboost")
    start = [Proposal({"depth": 3}), Proposal({"depth": 4})]
    study = lt.Study(SPACE, minimize="Logloss", stopping=AfterFive(), start=start)
    for _ in range(2):
        with study.trial() as trial:
            trial.result = with_catboost(trial)  # type: ignore[arg-type]
    assert [trial.state for trial in study.trials] == [State.COMPLETED, State.STOPPED]


def test_checkpoints_come_after_a_whole_number_of_steps() -> None:
    pytest.importorskip("xgboost")
    from luthier.callbacks.xgboost import Report

    study = lt.Study(SPACE, minimize="loss")
    with pytest.raises(InvalidStudy, match=r"every is 0\. Use a whole number"):
        Report(study.ask(), every=0)
