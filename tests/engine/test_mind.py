"""What a process knows of a study, and that its decisions can be made once more."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

import luthier as lt

SPACE = lt.Space(
    lr=lt.Float(1e-5, 1e-1, log=True),
    kind=lt.Choice("a", "b"),
    depth=lt.Int(1, 9, when={"kind": "a"}),
)


@pytest.mark.parametrize("algorithm", ["random", "sobol", "evolution", "auto"])
@pytest.mark.parametrize("deterministic", [False, 3])
def test_every_decision_of_a_study_on_many_workers_can_be_replayed(
    algorithm: str, deterministic: bool | int, tmp_path: Path
) -> None:
    def train(trial: lt.Context) -> float:
        time.sleep(0.001 * (trial.number * 7 % 5))
        if trial.number % 9 == 4:
            raise ValueError("no luck")
        return float(str(trial.params["lr"]))

    study = lt.tune(
        train,
        SPACE,
        minimize="loss",
        trials=40,
        algorithm=algorithm,
        workers=3,
        deterministic=deterministic,
        start=[{"lr": 0.01, "kind": "b"}],
        name="replayed",
        store=str(tmp_path / "studies.db"),
        progress=False,
    )
    for trial in study.trials:
        proposal = study.replay(trial.number)
        assert proposal is not None
        assert (proposal.params, proposal.tag) == (trial.params, trial.tag)


def test_defaults_outside_the_space_are_tried_first_and_never_chosen() -> None:
    sklearn = pytest.importorskip("sklearn.datasets")
    from sklearn.svm import SVC

    objective = lt.CrossValidation(SVC(), *sklearn.load_iris(return_X_y=True), cv=3)
    space = lt.Space(C=lt.Float(1e-4, 2e-4), kernel=lt.Choice("rbf", "poly"))
    study = lt.tune(objective, space, trials=4, progress=False)
    first = study.trials[0]
    assert (first.params, first.tag) == ({"C": 1.0, "kernel": "rbf"}, {"by": "defaults"})
    assert first.metrics["accuracy"] > study.best.metrics["accuracy"]
    assert study.best.number > 0
    assert space.allows(study.best.params)
