"""Trainings that need not go all the way: what is proposed, stopped, paused, gone on with, and counted."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.svm import SVC

import luthier as lt
from luthier.errors import InvalidStudy
from luthier.objectives.splits import part_of
from luthier.optimizers.gp.levels import Levels, carried, reached
from luthier.study import Fidelity, History, Objective, Problem, Report, State, Trial
from luthier.studyfile import read

SPACE = lt.Space(lr=lt.Float(0, 1), wd=lt.Float(0, 1))
EPOCHS = Fidelity("epochs", 1, 27)


def loss(lr: float, wd: float, epoch: int) -> float:
    return (lr - 0.3) ** 2 + 0.5 * (wd - 0.6) ** 2 + 1.0 / epoch


def train(trial: lt.Context, lr: float, wd: float) -> float:
    """Goes on from a checkpoint where there is one."""
    first = (trial.restored_step or 0) + 1
    assert trial.fidelity is not None
    for epoch in range(first, int(trial.fidelity) + 1):
        time.sleep(0.005)  # else it is over before a worker process hears that it should stop
        trial.report(epoch, loss=loss(lr, wd, epoch))
    file = trial.workdir / "model.txt"
    file.write_text(f"{lr} {wd}")
    trial.checkpoint(file)
    return loss(lr, wd, int(trial.fidelity))


def afresh(trial: lt.Context, lr: float, wd: float) -> float:
    """Begins at the beginning."""
    assert trial.fidelity is not None
    for epoch in range(1, int(trial.fidelity) + 1):
        time.sleep(0.005)
        trial.report(epoch, loss=loss(lr, wd, epoch))
    return loss(lr, wd, int(trial.fidelity))


# --- amounts -----------------------------------------------------------------------------------


def test_levels_are_a_half_and_the_factors_part_of_it_and_the_ladder_that_of_the_paper() -> None:
    assert Fidelity("epochs", 1, 52).levels == (9, 26, 52)
    assert Fidelity("epochs", 1, 81).ladder == (1, 3, 9, 27, 81)
    assert Fidelity("epochs", 1, 81, factor=9).ladder == (1, 9, 81)
    assert Fidelity("rows", 0.1, 1).levels == (1 / 6, 0.5, 1.0)
    assert Fidelity("epochs", 20, 30).levels == (20, 30), "none lies below the low end"
    assert Fidelity("epochs", 5, 5).levels == (5,)


def test_an_amount_is_whole_where_both_ends_are_and_a_share_of_the_range_by_its_logarithm() -> None:
    assert EPOCHS.near(4.5) == 5
    assert isinstance(EPOCHS.near(4.5), int)
    assert Fidelity("rows", 0.1, 1).near(0.25) == 0.25
    assert (EPOCHS.share(1), EPOCHS.share(27)) == (0.0, 1.0)
    assert EPOCHS.share(9) == pytest.approx(2 / 3)
    assert Fidelity("epochs", 1, 5, log=False).share(2) == 0.25


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: Fidelity("", 1, 2), "Name what is counted"),
        (lambda: Fidelity("epochs", 0, 2), "0 < low"),
        (lambda: Fidelity("epochs", 3, 2), "from 3 to 2"),
        (lambda: Fidelity("epochs", 1, 9, factor=1), "factor 1.*above 1"),
        (lambda: Problem(SPACE, (Objective("loss", "min"),), fidelity=Fidelity("lr", 1, 2)), "Take it out"),
    ],
)
def test_what_cannot_be_meant_is_said(wrong: object, said: str) -> None:
    with pytest.raises(InvalidStudy, match=said):
        wrong()  # type: ignore[operator]


# --- what a part of a training says ------------------------------------------------------------


def test_what_a_trial_reached_is_its_last_report_up_to_each_level_and_its_result() -> None:
    reports = tuple(Report(step, {"loss": float(100 - step)}) for step in (1, 4, 6, 13))
    stopped = Trial(0, {}, State.STOPPED, 1, fidelity=27.0, reports=reports)
    assert EPOCHS.levels == (5, 14, 27)
    assert reached(stopped, EPOCHS, "loss") == {0: 96.0}
    whole = Trial(
        0, {}, State.COMPLETED, 1, fidelity=27.0, reports=(*reports, Report(20, {"loss": 7.0})), metrics={"loss": 5.0}
    )  # fmt: skip
    assert reached(whole, EPOCHS, "loss") == {0: 96.0, 1: 87.0, 2: 5.0}
    paused = Trial(0, {}, State.COMPLETED, 1, fidelity=14.0, metrics={"loss": 5.0})
    assert reached(paused, EPOCHS, "loss") == {1: 5.0}
    assert reached(Trial(0, {}, State.FAILED, 1, reports=reports), EPOCHS, "loss") == {}


def test_values_are_carried_along_the_line_through_those_that_went_on() -> None:
    nan = np.nan
    alone = np.array([[3.0, nan], [5.0, nan]])
    assert carried(alone).tolist() == [3.0, 5.0], "as they are, while nothing went on"
    # Both pairs lie on y = x - 1: so does what is carried, whatever the prior weighs.
    table = np.array([[3.0, 2.0], [5.0, 4.0], [7.0, nan]])
    assert carried(table).tolist() == pytest.approx([2.0, 4.0, 6.0])


def test_a_trial_that_goes_on_takes_the_place_of_the_one_that_paused() -> None:
    levels = Levels(EPOCHS)
    for key, values in ((1, {0: 3.0}), (2, {0: 4.0}), (1, {1: 2.0})):
        levels.add(key, values)
    assert levels.current(2)[0].tolist() == [0, 1]
    assert levels.current(3)[0].tolist() == [1, 2]


def test_the_best_is_one_that_was_trained_in_full() -> None:
    history = History(Problem(SPACE, (Objective("loss", "min"),), fidelity=EPOCHS))
    here = {"lr": 0.5, "wd": 0.5}
    history.merge([Trial(0, here, State.COMPLETED, 1, fidelity=9.0, metrics={"loss": 0.0}, seq=1)], 1)
    assert history.best() is None
    history.merge([Trial(1, here, State.COMPLETED, 1, fidelity=27.0, metrics={"loss": 1.0}, seq=2)], 2)
    best = history.best()
    assert best is not None
    assert best.number == 1


# --- studies -----------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("resumes", [True, False])
def test_the_first_trials_pause_and_of_the_others_the_worst_third_is_stopped(
    workers: int, resumes: bool
) -> None:
    fidelity = Fidelity("epochs", 1, 27, resumes=resumes)
    objective = train if resumes else afresh
    study = lt.tune(
        objective, SPACE, minimize="loss", trials=40, fidelity=fidelity, workers=workers, progress=False
    )
    assert study.spec.stopping is not None
    assert study.spec.stopping.options["factor"] == 1.5
    begun = [trial for trial in study.trials if trial.parent is None]
    if workers == 1:
        assert [trial.fidelity for trial in begun] == [27.0] + [5.0] * 8 + [27.0] * (len(begun) - 9)
    gone = [trial for trial in study.trials if trial.parent is not None]
    assert all(trial.fidelity == 27 and trial.reports[0].step == (6 if resumes else 1) for trial in gone)
    stopped = [trial for trial in study.trials if trial.state is State.STOPPED]
    assert stopped
    assert workers > 1 or {trial.reports[-1].step for trial in stopped} <= {5, 14}
    assert study.best.fidelity == 27
    if workers == 1:
        assert study.trials[9].parent in range(1, 9)
        assert all(study.replay(number) is not None for number in (10, 20, 30))


def test_where_many_run_beside_each_other_none_pauses() -> None:
    study = lt.tune(afresh, SPACE, minimize="loss", trials=10, fidelity=EPOCHS, workers=5, progress=False)
    begun = [trial for trial in study.trials if trial.parent is None]
    assert {trial.fidelity for trial in begun[:9]} == {27}


def test_a_function_that_trains_further_than_it_is_told_is_said_so() -> None:
    def deaf(trial: lt.Context, lr: float, wd: float) -> float:
        for epoch in range(1, 28):
            trial.report(epoch, loss=loss(lr, wd, epoch))
        return loss(lr, wd, 27)

    study = lt.tune(deaf, SPACE, minimize="loss", trials=3, fidelity=EPOCHS, progress=False)
    assert [trial.state for trial in study.trials] == [State.COMPLETED, State.FAILED, State.FAILED]
    assert "trial 1 was to be trained to 5, and reports step 6" in (study.trials[1].reason or "")


@pytest.mark.parametrize("workers", [1, 2])
def test_with_freeze_thaw_trials_pause_and_go_on_where_they_were(workers: int) -> None:
    fidelity = Fidelity("epochs", 1, 27, resumes=True)
    study = lt.tune(
        train, SPACE, minimize="loss", trials=40, algorithm="freeze-thaw", fidelity=fidelity, workers=workers,
        progress=False,
    )  # fmt: skip
    trials = study.trials
    assert study.spec.stopping is None
    assert {trial.fidelity for trial in trials} == {5, 14, 27}
    before = {5: 0, 14: 5, 27: 14}
    for trial in trials:
        assert next(report.step for report in trial.reports) == before[int(trial.fidelity or 0)] + 1
        if trial.parent is not None:
            parent = trials[trial.parent]
            assert (parent.params, parent.state) == (trial.params, State.COMPLETED)
            assert (parent.fidelity or 0) < (trial.fidelity or 0)
    parents = [trial.parent for trial in trials if trial.parent is not None]
    assert len(set(parents)) == len(parents), "none goes on twice"
    assert study.best.fidelity == 27
    if workers == 1:
        for number in (12, 20, 30):
            assert study.replay(number) is not None
            again = study.replay(number)
            assert again is not None
            assert (again.params, again.fidelity, again.parent) == (
                trials[number].params, trials[number].fidelity, trials[number].parent,
            )  # fmt: skip


def test_a_function_may_take_the_amount_by_its_name() -> None:
    def short(lr: float, wd: float, epochs: int) -> float:
        assert isinstance(epochs, int)
        return loss(lr, wd, epochs)

    study = lt.tune(short, SPACE, minimize="loss", trials=8, fidelity=EPOCHS, progress=False)
    assert len(study.trials) == 8


def test_a_study_with_a_fidelity_goes_on_as_if_it_had_not_been_stopped(tmp_path: Path) -> None:
    fidelity = Fidelity("epochs", 1, 27, resumes=True)

    def tuned(name: str, trials: int) -> list[tuple[object, ...]]:
        study = lt.tune(
            train, SPACE, minimize="loss", trials=trials, fidelity=fidelity, name=name,
            store=str(tmp_path / "s.db"), progress=False,
        )  # fmt: skip
        try:
            return [(t.params, t.fidelity, t.parent) for t in study.trials]
        finally:
            study.close()

    tuned("two", 17)
    assert tuned("two", 30) == tuned("one", 30)


# --- cross-validation --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("estimator", "fidelity"),
    [
        (SVC(), Fidelity("rows", 0.1, 1)),
        (SVC(), Fidelity("folds", 1, 5)),
        (ExtraTreesClassifier(), Fidelity("n_estimators", 2, 12)),
    ],
)
def test_a_cross_validation_is_trained_on_rows_folds_or_less_of_a_parameter(
    estimator: object, fidelity: Fidelity, tmp_path: Path
) -> None:
    X, y = load_iris(return_X_y=True)
    objective = lt.CrossValidation(estimator, X, y)
    study = lt.tune(
        objective, trials=16, fidelity=fidelity, name="cv", store=str(tmp_path / "s.db"), progress=False
    )
    assert study.best.fidelity in (None, fidelity.high)
    assert study.trials[0].fidelity is None, "the defaults, in full"
    assert len({trial.fidelity for trial in study.trials}) == 4
    assert study.result().trial.fidelity in (None, fidelity.high)
    assert fidelity.name not in study.best.params
    if fidelity.name == "folds":
        assert {len(trial.reports) for trial in study.trials} == {1, 3, 5}


def test_a_part_of_the_rows_has_all_classes_and_lies_in_any_larger_part() -> None:
    y = np.array([0] * 50 + [1] * 6 + [2] * 44)
    rows = np.arange(100, dtype=np.int32)
    some, more = (part_of(rows, share, y, [0, 1]) for share in (0.1, 0.5))
    assert [int((y[some] == one).sum()) for one in (0, 1, 2)] == [5, 1, 5]
    assert set(some) < set(more)
    assert len(part_of(rows, 0.25, None, [0])) == 25


@pytest.mark.parametrize(
    ("fidelity", "said"),
    [
        (Fidelity("rows", 0.1, 1, resumes=True), "no checkpoints"),
        (Fidelity("folds", 1, 3), "there are 5"),
        (Fidelity("rows", 10, 5000), "5000 rows.*a fold is fitted to 120"),
        (Fidelity("trees", 10, 50), "trees"),
    ],
)
def test_a_fidelity_that_means_nothing_there_is_refused(fidelity: Fidelity, said: str) -> None:
    X, y = load_iris(return_X_y=True)
    with pytest.raises(lt.LuthierError, match=said):
        lt.tune(lt.CrossValidation(SVC(), X, y), trials=3, fidelity=fidelity, progress=False)


# --- study files -------------------------------------------------------------------------------


def test_a_study_file_says_it(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text(
        'command = "true"\nminimize = "loss"\nstopping = "none"\n[space.lr]\nfloat = [0, 1]\n'
        "[fidelity]\nepochs = [1, 81]\nfactor = 4\nresumes = true\n"
        '[budget]\ncost = 25\ncurrency = "dollars"\ndeadline = 2030-01-01T18:00:00Z\nuntil = 0.5\n'
    )
    study = read(file)
    arguments = study.arguments()
    assert arguments["fidelity"] == Fidelity("epochs", 1, 81, factor=4, resumes=True)
    assert (arguments["cost"], arguments["until"]) == ({"dollars": 25.0}, 0.5)
    assert arguments["deadline"] == 1893520800.0
    assert arguments["stopping"] == "none"
    for wrong, said in (
        ("[fidelity]\nfactor = 3\n", "does not say"),
        ("[fidelity]\nepochs = 5\n", "low and the high end"),
        ("[budget]\ncurrency = 'dollars'\n", "how much"),
        ("[budget]\ndeadline = 'soon'\n", "soon"),
    ):
        file.write_text('command = "true"\nminimize = "loss"\n[space.lr]\nfloat = [0, 1]\n' + wrong)
        with pytest.raises(InvalidStudy, match=said):
            read(file)


def test_the_example_of_its_page_runs() -> None:
    page = (Path(__file__).parents[1] / "docs/fidelity.md").read_text(encoding="utf-8")
    example = page.split("```python\n")[1].split("```")[0].replace("trials=40", "trials=12, progress=False")
    scope: dict[str, object] = {}
    exec(compile(example, "fidelity.md", "exec"), scope)
    assert "best loss" in repr(scope["study"])
