"""Estimators of scikit-learn that learn step by step."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import luthier as lt
from luthier.callbacks.sklearn import Report, epochs, stages
from luthier.errors import InvalidStudy
from luthier.study import History, Problem, Proposal, State, Trial

pytest.importorskip("sklearn")
SPACE = lt.Space(x=lt.Int(0, 9))


def rows() -> tuple[Any, Any]:
    from sklearn.datasets import load_iris

    return load_iris(return_X_y=True)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class AfterThree:
    """Stops every trial but the first after its third report."""

    def judge(self, trial: Trial, history: History) -> str | None:
        return "three are enough" if trial.number and len(trial.reports) >= 3 else None


def test_estimators_that_take_callbacks_report_and_are_stopped() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    if not hasattr(linear_model.LogisticRegression, "set_callbacks"):
        pytest.skip("this scikit-learn knows no callbacks")
    X, y = rows()

    def train(trial: lt.Context) -> Any:
        model = linear_model.LogisticRegression(max_iter=20, tol=1e-12)
        report = Report(trial, X, y, scoring="neg_log_loss", names={"neg_log_loss": "score"})
        with np.errstate(all="ignore"):
            import warnings

            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it does not converge in 20 iterations
                model.set_callbacks(report).fit(X, y)
        return {"score": trial.number}

    study = lt.tune(train, SPACE, maximize="score", trials=2, stopping=AfterThree(), progress=False)
    whole, stopped = study.trials
    assert whole.state is State.COMPLETED, whole.traceback
    scores = whole.reported("score")
    assert list(scores) == list(range(1, 21))
    assert scores[20] > scores[1]
    assert (stopped.state, len(stopped.reports)) == (State.STOPPED, 3)


def by_epochs(trial: lt.Context) -> Any:
    from sklearn.linear_model import SGDClassifier

    X, y = rows()
    for epoch, model in epochs(trial, SGDClassifier(random_state=0), X, y, total=6):
        trial.report(epoch, accuracy=model.score(X, y))
        kill(trial, epoch == 4)
    return {"accuracy": model.score(X, y), "steps": model.t_}


def by_stages(trial: lt.Context) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    X, y = rows()
    forest = RandomForestClassifier(random_state=0, max_depth=2)
    for n, model in stages(trial, forest, X, y, n_estimators=range(2, 13, 2)):
        trial.report(n, accuracy=model.score(X, y))
        kill(trial, n == 8)
    return {"accuracy": model.score(X, y), "steps": len(model.estimators_)}


def kill(trial: lt.Context, now: bool) -> None:
    if now and trial.number == 0 and trial.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    ("train", "steps"), [(by_epochs, [1, 2, 3, 4, 5, 6]), (by_stages, [2, 4, 6, 8, 10, 12])]
)
def test_a_killed_training_comes_to_the_same_as_a_whole_one(
    train: Any, steps: list[int], tmp_path: Path
) -> None:
    study = lt.tune(
        train,
        SPACE,
        maximize="accuracy",
        trials=2,
        executor=lt.Processes(1),
        name="a",
        store=str(tmp_path / "s.db"),
        progress=False,
    )
    killed, whole = study.trials
    assert (killed.attempt, whole.attempt) == (2, 1), killed.traceback
    assert killed.metrics == whole.metrics
    assert [report.step for report in killed.reports] == [report.step for report in whole.reports] == steps
    assert [checkpoint.step for checkpoint in study.files[0].checkpoints] == [steps[-1]]


@dataclass(frozen=True)
class Longer:
    """Every trial trains on for three epochs more."""

    def start(self, problem: Problem) -> Longer:
        return self

    def tell(self, trials: Sequence[Trial]) -> None: ...

    def ask(self, pending: Sequence[Trial], rng: np.random.Generator) -> Proposal | None:
        n = int(rng.bit_generator.seed_seq.entropy[1])  # type: ignore[attr-defined]
        return None if pending else Proposal({"x": n}, fidelity=3.0 * (n + 1), parent=n - 1 if n else None)


def test_a_promoted_trial_only_does_what_is_left() -> None:
    ran = []

    def train(trial: lt.Context) -> float:
        from sklearn.linear_model import SGDClassifier

        X, y = rows()
        todo = epochs(trial, SGDClassifier(random_state=0), X, y, total=int(trial.fidelity or 0), every=2)
        seen = 0.0
        for epoch, model in todo:
            ran.append((trial.number, epoch))
            trial.report(epoch, loss=1.0)
            seen = model.t_
        return seen

    study = lt.tune(train, SPACE, minimize="loss", trials=3, algorithm=Longer(), progress=False)
    assert ran == [(n, epoch) for n in range(3) for epoch in range(3 * n + 1, 3 * n + 4)]
    assert [trial.metrics["loss"] for trial in study.trials] == [451.0, 901.0, 1351.0]


@pytest.mark.parametrize("train", [by_epochs, by_stages])
def test_a_training_that_was_lost_after_its_end_is_not_done_again(train: Any, tmp_path: Path) -> None:
    def task(trial: lt.Context) -> Any:
        found = train(trial)
        if trial.number == 0 and trial.attempt == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    study = lt.tune(
        task, SPACE, maximize="accuracy", trials=2, executor=lt.Processes(1), progress=False, start=[{"x": 1}]
    )
    killed, whole = study.trials
    assert killed.attempt == 3, killed.traceback  # killed on the way, then at the end
    assert killed.metrics == whole.metrics


def test_what_cannot_go_on_is_refused() -> None:
    from sklearn.svm import SVC

    trial = lt.Study(SPACE, minimize="loss").ask()
    with pytest.raises(InvalidStudy, match=r"SVC has no partial_fit, so it cannot go on"):
        next(epochs(trial, SVC(), *rows(), total=3))
    with pytest.raises(InvalidStudy, match=r"SVC has no warm_start"):
        next(stages(trial, SVC(), *rows(), max_iter=[1, 2]))
    with pytest.raises(InvalidStudy, match=r"Name one parameter"):
        next(stages(trial, SVC(), *rows()))
