"""Studies of a noisy objective, through the front door."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import luthier as lt
from luthier.errors import InvalidStudy, LuthierError, SpecMismatch
from luthier.plots import save
from luthier.progress import html
from luthier.study import State
from luthier.summary import summarize, to_json

GRID = lt.Space(x=lt.Int(0, 3), kind=lt.Choice("good", "bad"))
PLANE = lt.Space(x=lt.Float(0, 1), y=lt.Float(0, 1))


def truth(params: object) -> float:
    return abs(params["x"] - 2) + (params["kind"] == "bad")  # type: ignore[index, no-any-return]


def measured(trial: object) -> float:
    """The truth, and noise that is another for each trial."""
    return truth(trial.params) + 0.5 * float(np.random.default_rng(trial.seed).normal())  # type: ignore[attr-defined]


def bowl(trial: object) -> float:
    x, y = trial.params["x"], trial.params["y"]  # type: ignore[attr-defined]
    return (x - 0.3) ** 2 + (y - 0.6) ** 2 + 0.1 * float(np.random.default_rng(trial.seed).normal())  # type: ignore[attr-defined, no-any-return]


def tune(trials: int, *, noisy: bool = True, **more: object) -> lt.Study:
    return lt.tune(measured, GRID, minimize="loss", noisy=noisy, trials=trials, progress=False, **more)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> str:
    return str(tmp_path / "studies.db")


def test_a_finite_space_goes_on_and_the_best_is_the_best_on_average() -> None:
    study = tune(40)
    tried = Counter(GRID.key(trial.params) for trial in study.trials)
    assert len(study.trials) == 40
    assert len(tried) == 8
    assert study.best.params == {"x": 2, "kind": "good"}
    first = next(trial for trial in study.trials if trial.params == study.best.params)
    assert study.best == first
    values = [trial.metrics["loss"] for trial in study.trials]
    assert study.best_seen.metrics["loss"] == min(values)
    mean, sd = study.predict(study.best.params)
    assert mean == pytest.approx(0.0, abs=0.4)
    assert 0.2 < sd < 1.0


def test_without_noise_a_point_is_tried_once_and_the_best_is_what_was_measured() -> None:
    study = tune(40, noisy=False)
    assert len(study.trials) == 8
    assert study.best == study.best_seen
    assert study.best.metrics["loss"] == min(trial.metrics["loss"] for trial in study.trials)
    assert str(study.row.ended).startswith("exhausted")


@pytest.mark.parametrize("algorithm", ["random", "sobol", "evolution", "de", "cmaes", "tpe", "gp"])
def test_every_algorithm_goes_on_but_the_grid(algorithm: str) -> None:
    study = tune(30, algorithm=algorithm)
    assert len(study.trials) == 30
    assert truth(study.best.params) <= 1


def test_the_grid_ends_after_each_point_once() -> None:
    study = tune(30, algorithm="grid")
    assert len(study.trials) == 8
    assert str(study.row.ended).startswith("exhausted")


def test_it_goes_on_where_it_stopped_and_is_then_the_same(store: str) -> None:
    whole = tune(30, seed=2)
    for trials in (5, 12, 30):
        parts = tune(trials, seed=2, name="parts", store=store)
        assert len(parts.trials) == trials
    assert [trial.params for trial in parts.trials] == [trial.params for trial in whole.trials]
    loaded = lt.load("parts", store)
    assert loaded.spec.problem.objective.noisy
    assert loaded.best.number == whole.best.number
    assert loaded.best_seen.number == whole.best_seen.number
    for number in (3, 10, 25):
        proposal = loaded.replay(number)
        assert proposal is not None
        assert proposal.params == loaded.trials[number].params


def test_noise_is_part_of_the_question(store: str) -> None:
    tune(3, noisy=False, name="asked", store=store)
    with pytest.raises(SpecMismatch, match=r"objective minimize loss there, minimize loss \(noisy\) here"):
        tune(3, name="asked", store=store)
    with pytest.raises(InvalidStudy, match=r"noisy is 0\.1 for"):
        lt.Study(GRID, minimize="loss", noisy=0.1)  # type: ignore[arg-type]


def test_people_who_own_their_loop_say_that_it_is_noisy() -> None:
    study = lt.Study(PLANE, minimize="loss", noisy=True)
    with pytest.raises(LuthierError, match="no completed trial"):
        _ = study.best
    rng = np.random.default_rng(0)
    for number in range(12):
        trial = study.ask()
        study.tell(trial, rng.normal())
        assert study.best.number <= number
        assert study.best_seen.number <= number


def test_several_noisy_objectives_have_the_best_of_the_first() -> None:
    def two(trial: object) -> dict[str, float]:
        return {"loss": bowl(trial), "size": trial.params["x"]}  # type: ignore[attr-defined]

    study = lt.tune(two, PLANE, minimize=["loss", "size"], noisy=True, trials=20, progress=False)
    assert all(objective.noisy for objective in study.spec.problem.objectives)
    assert study.best in study.trials
    assert study.predict({"x": 0.5, "y": 0.5})[1] > 0


def test_the_model_that_is_saved_is_that_of_the_best(store: str) -> None:
    from sklearn.datasets import load_iris
    from sklearn.neighbors import KNeighborsClassifier

    objective = lt.CrossValidation(KNeighborsClassifier(), *load_iris(return_X_y=True), cv=3)
    space = lt.Space(n_neighbors=lt.Int(1, 60))
    study = lt.tune(objective, space, noisy=True, trials=15, name="knn", store=store, progress=False)
    assert study.spec.problem.objective.noisy
    assert study.facts["model"]["trial"] == study.best.number


# --- what is said of it ------------------------------------------------------------------------


def test_the_summary_says_what_to_expect_what_was_seen_and_what_was_luck() -> None:
    study = tune(40, seed=1)
    said = str(summarize(study))
    mean, sd = study.predict(study.best.params)
    found = to_json(study)
    assert found["best"]["number"] == study.best.number
    assert found["best"]["expected"]["mean"] == pytest.approx(mean)
    assert found["best"]["expected"]["sd"] == pytest.approx(sd)
    seen = [trial.metrics["loss"] for trial in study.trials if trial.params == study.best.params]
    assert found["best"]["expected"]["seen"] == seen
    assert found["best_seen"]["number"] == study.best_seen.number
    assert f"#{study.best.number}   loss {mean:.2f} ± {sd:.2f}" in said
    assert f"seen {len(seen)} times" in said
    lucky = study.best_seen
    other = lucky.params != study.best.params
    assert (f"the best value seen is {lucky.metrics['loss']:.5g}, of #{lucky.number}" in said) == other
    assert f"loss {mean:.2f} ± {sd:.2f} (#{study.best.number})" in repr(study)
    assert f"loss {mean:.2f} ± {sd:.2f} (#{study.best.number})" in html(study)


def test_without_noise_nothing_is_said_of_expectations() -> None:
    study = tune(40, noisy=False)
    assert "±" not in str(summarize(study))
    found = to_json(study)
    assert found["best"]["expected"] is None
    assert found["best_seen"]["number"] == found["best"]["number"]


@pytest.mark.parametrize("space", ["finite", "plane"])
def test_analysis_and_plots_take_points_that_were_tried_often(space: str, tmp_path: Path) -> None:
    if space == "finite":
        study, names = tune(60, algorithm="random"), ("x", "kind")
    else:
        study, names = lt.Study(PLANE, minimize="loss", noisy=True, algorithm="random"), ("x", "y")
        rng = np.random.default_rng(0)
        for _ in range(5):
            trial = study.ask()
            study.tell(trial, rng.normal())
        repeated = [dict(trial.params) for trial in study.trials] * 5
        study.close()
        study = lt.tune(bowl, PLANE, minimize="loss", noisy=True, trials=25, start=repeated, progress=False)
        assert len({PLANE.key(trial.params) for trial in study.trials}) == 5
    assert {item.parameter for item in study.importance()} == set(names)
    assert np.isfinite(study.slice(names[0]).mean).all()
    assert np.isfinite(study.contour(*names).mean).all()
    assert math.isfinite(study.predict(study.best.params)[0])
    assert len(study.to_pandas()) == len(study.trials)
    for kind in ("history", "parallel", "slice", "contour", "importance", "timeline", "distribution"):
        save(study.history, kind, tmp_path / f"{kind}.svg")
        assert (tmp_path / f"{kind}.svg").stat().st_size > 1000
    assert all(trial.state is State.COMPLETED for trial in study.trials)
