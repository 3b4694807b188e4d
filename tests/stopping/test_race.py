"""Races are lost by what the folds say, whatever their units, and the best configuration is found all the same."""

from __future__ import annotations

import math
import timeit
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

import luthier as lt
from luthier import plugins
from luthier.errors import InvalidStudy
from luthier.study import History, Objective, Problem, Report, State, Trial
from luthier.study.spec import Constraint
from luthier.summary import describe_trial

Table = NDArray[np.float64]
FOLDS = 10


@pytest.fixture(scope="module")
def real() -> Table:
    """Accuracies on breast cancer: 10 folds of 20 linear models and 20 trees, drawn at random."""
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    splits = list(StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(X, y))
    rng = np.random.default_rng(0)
    models = [LogisticRegression(C=10 ** rng.uniform(-4, 3), max_iter=300) for _ in range(20)]
    models += [
        DecisionTreeClassifier(
            max_depth=int(rng.integers(1, 12)), min_samples_leaf=int(rng.integers(1, 40)), random_state=0
        )
        for _ in range(20)
    ]
    return np.array([cross_val_score(model, X, y, cv=splits) for model in models])


def problem(goal: str = "max", **more: object) -> Problem:
    return Problem(lt.Space(row=lt.Int(0, 999)), (Objective("score", goal),), **more)  # type: ignore[arg-type]


def running(number: int, scores: list[float], metric: str = "score") -> Trial:
    reports = tuple(Report(fold, {metric: score}) for fold, score in enumerate(scores))
    return Trial(number, {"row": number}, State.RUNNING, 1, reports=reports)


def completed(number: int, scores: list[float]) -> Trial:
    mean = math.fsum(scores) / len(scores)
    return replace(running(number, scores), state=State.COMPLETED, metrics={"score": mean})


def field(table: Table, goal: str = "max") -> History:
    """All of the table, completed."""
    history = History(problem(goal))
    history.merge([completed(number, row) for number, row in enumerate(table.tolist())], 1)
    return history


def play(table: Table, order: NDArray[np.intp], race: lt.Race, goal: str = "max") -> History:
    """One trial at a time, judged after every fold."""
    history = History(problem(goal))
    for number, row in enumerate(order):
        scores = table[row].tolist()
        ended = replace(completed(number, scores), params={"row": int(row)})
        for run in range(1, len(scores)):
            reason = race.judge(running(number, scores[:run]), history)
            if reason is not None:
                ended = replace(running(number, scores[:run]), state=State.STOPPED, reason=reason)
                break
        history.merge([replace(ended, params={"row": int(row)}, seq=number + 1)], number + 1)
    return history


def decisions(history: History) -> list[tuple[State, int]]:
    return [(trial.state, len(trial.reports)) for trial in history]


# --- what it saves and what it costs ------------------------------------------------------------


def test_half_of_the_folds_find_the_best_of_real_configurations(real: Table) -> None:
    rng = np.random.default_rng(1)
    shares, regrets = [], []
    for _ in range(30):
        history = play(real, rng.permutation(len(real)), lt.Race())
        shares.append(sum(len(trial.reports) for trial in history) / real.size)
        best = history.best()
        assert best is not None
        regrets.append(real.mean(axis=1).max() - best.metrics["score"])
    assert np.mean(shares) <= 0.5
    assert np.mean(regrets) <= 1e-4


@pytest.mark.parametrize("goal", ["max", "min"])
@pytest.mark.parametrize(
    ("scale", "shift"), [(1.0, 0.0), (1000.0, 0.0), (1e-3, 0.0), (1.0, 7.0), (20.0, -100.0)]
)
def test_units_and_direction_change_no_decision(real: Table, goal: str, scale: float, shift: float) -> None:
    order = np.random.default_rng(2).permutation(len(real))
    other = (real * scale + shift) * (1 if goal == "max" else -1)
    assert decisions(play(other, order, lt.Race(), goal)) == decisions(play(real, order, lt.Race()))


def test_the_same_order_comes_to_the_same_end_again(real: Table) -> None:
    order = np.random.default_rng(3).permutation(len(real))
    assert list(play(real, order, lt.Race())) == list(play(real, order, lt.Race()))


def test_what_is_better_on_every_fold_is_never_stopped() -> None:
    rng = np.random.default_rng(4)
    for _ in range(100):
        table = rng.normal(0, rng.uniform(0.01, 3), (8, FOLDS)) + rng.normal(0, 1, FOLDS)
        history = field(table)
        best = table[table.mean(axis=1).argmax()]
        challenger = (best + rng.exponential(1e-3, FOLDS)).tolist()
        for run in range(1, FOLDS):
            assert lt.Race().judge(running(8, challenger[:run]), history) is None


def test_the_more_confidence_is_asked_for_the_fewer_trials_are_stopped(real: Table) -> None:
    order = np.random.default_rng(5).permutation(len(real))
    run = [
        sum(len(trial.reports) for trial in play(real, order, lt.Race(confidence=confidence)))
        for confidence in (0.8, 0.95, 0.999)
    ]
    assert run[0] < run[1] < run[2]


def test_a_check_costs_less_than_fifty_microseconds() -> None:
    rng = np.random.default_rng(6)
    history = field(rng.normal(0, 1, (1000, FOLDS)))
    trial = running(1000, rng.normal(0, 1, FOLDS - 1).tolist())
    race = lt.Race()
    race.judge(trial, history)  # the first look at a history reads all of it
    assert min(timeit.repeat(lambda: race.judge(trial, history), number=50, repeat=20)) / 50 < 50e-6


# --- those close to the leader ------------------------------------------------------------------


def ahead(history: History) -> list[float]:
    """The scores of the leader."""
    best = history.best()
    assert best is not None
    return [report.metrics["score"] for report in best.reports]


def test_what_equals_the_leader_on_two_thirds_of_the_folds_is_stopped() -> None:
    history = field(noise(20, FOLDS))
    best = history.best()
    assert best is not None
    leader = ahead(history)
    assert lt.Race().judge(running(30, leader[:6]), history) is None
    reason = lt.Race().judge(running(30, leader[:7]), history)
    assert reason == f"on 7 of 10 folds equal to trial {best.number}"
    assert lt.Race().judge(running(30, [leader[0] + 0.01, *leader[1:7]]), history) is None


def test_that_others_equal_the_leader_says_nothing_of_what_does_not() -> None:
    table = noise(20, FOLDS)
    leader = ahead(field(table))
    copies = field(np.vstack([table, [leader] * 20]))
    for run in range(1, 7):
        close = [leader[0] - 0.001, *leader[1:run]]
        assert lt.Race().judge(running(60, close), field(table)) is None
        assert lt.Race().judge(running(60, close), copies) is None


def test_what_is_close_to_the_leader_is_judged_by_what_was_close() -> None:
    table = noise(30, FOLDS)
    leader = ahead(field(table))
    close = [score - 0.002 for score in leader[:3]]
    assert lt.Race().judge(running(60, close), field(table)) is None
    neighbours = np.array(leader) - 0.002 + 0.01 * noise(9, FOLDS)
    neighbours -= np.maximum(0, neighbours.mean(axis=1, keepdims=True) - np.mean(leader) + 0.001)
    assert lt.Race().judge(running(60, close), field(np.vstack([table, neighbours]))) is not None


# --- when it does not judge ---------------------------------------------------------------------

WORSE = [-9.0, -9.0]


def noise(rows: int, folds: int) -> Table:
    return np.random.default_rng(7).normal(0, 0.1, (rows, folds))


def test_the_first_three_trials_run_all_their_folds() -> None:
    assert lt.Race().judge(running(2, WORSE), field(noise(2, FOLDS))) is None
    assert lt.Race().judge(running(3, WORSE), field(noise(3, FOLDS))) is not None
    assert lt.Race(startup=9).judge(running(5, WORSE), field(noise(5, FOLDS))) is None


def test_two_folds_are_no_race() -> None:
    assert lt.Race().judge(running(9, WORSE[:1]), field(noise(9, 2))) is None
    assert lt.Race().judge(running(9, WORSE[:1]), field(noise(9, 3))) is not None


def test_a_trial_that_has_run_all_folds_has_nothing_left_to_save() -> None:
    assert lt.Race().judge(running(9, [-9.0] * 3), field(noise(9, 3))) is None


def test_reports_that_are_no_folds_are_not_compared() -> None:
    history = History(problem("min"))
    epochs = [1.0, 0.5, 0.2]  # a loss that falls as it trains: its result is the last one
    history.merge(
        [replace(completed(i, [loss + i for loss in epochs]), metrics={"score": 0.2 + i}) for i in range(9)],
        1,
    )
    assert lt.Race().judge(running(9, [99.0]), history) is None


def test_where_all_agree_exactly_nothing_is_known_of_their_noise() -> None:
    table = np.tile(noise(1, FOLDS), (6, 1))
    assert lt.Race().judge(running(6, WORSE), field(table)) is None


def test_a_fold_without_a_number_is_forgiven_once() -> None:
    history = field(noise(6, FOLDS))
    assert lt.Race().judge(running(6, [math.nan, 0.2, 0.3]), history) is None
    reason = lt.Race().judge(running(6, [math.nan, 0.2, math.inf]), history)
    assert reason == "2 of 3 folds have no number as their score"


def test_where_the_leader_breaks_a_constraint_it_beats_nobody() -> None:
    bound = Constraint("seconds", high=1.0)
    history = History(problem(constraints=(bound,)))
    rows = [completed(number, row) for number, row in enumerate(noise(6, FOLDS).tolist())]
    history.merge([replace(t, metrics={**t.metrics, "seconds": 5.0}) for t in rows], 1)
    assert lt.Race().judge(running(6, WORSE), history) is None


def test_several_objectives_are_not_raced() -> None:
    two = Problem(lt.Space(row=lt.Int(0, 999)), (Objective("score", "max"), Objective("other", "min")))
    history = History(two)
    rows = [completed(number, row) for number, row in enumerate(noise(6, FOLDS).tolist())]
    history.merge([replace(t, metrics={**t.metrics, "other": 5.0}) for t in rows], 1)
    assert lt.Race().judge(running(6, WORSE), history) is None


def test_of_many_folds_only_ten_looks_are_taken() -> None:
    history = field(noise(6, 50))
    looked = [n for n in range(1, 50) if lt.Race().judge(running(6, [-9.0] * n), history) is not None]
    assert looked == [5, 10, 15, 20, 25, 30, 35, 40, 45]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"confidence": 1.0}, "confidence is 1.0. Use a number from 0.5"),
        ({"confidence": 0.05}, "confidence is 0.05"),
        ({"prior_df": 0.0}, "prior_df is 0.0"),
        ({"startup": 1}, "startup is 1. Use a whole number of at least 2"),
    ],
)
def test_settings_that_mean_nothing_are_refused(options: dict[str, float], said: str) -> None:
    with pytest.raises(InvalidStudy, match=said):
        lt.Race(**options)  # type: ignore[arg-type]


# --- what it says -------------------------------------------------------------------------------


def test_the_reason_has_the_numbers() -> None:
    history = field(noise(13, FOLDS))
    best = history.best()
    assert best is not None
    scores = [report.metrics["score"] - 1 for report in best.reports]
    reason = lt.Race().judge(running(13, scores[:3]), history)
    assert reason is not None
    assert reason.startswith(f"after 3 of 10 folds 1 behind trial {best.number}, more than the 0.")
    assert reason.endswith(" that the other folds could make up (97.5%)")


@pytest.mark.parametrize("goal", ["max", "min"])
def test_a_stopped_trial_is_expected_at_the_leaders_mean_and_its_distance(goal: str) -> None:
    sign = 1 if goal == "max" else -1
    history = field(sign * noise(6, FOLDS), goal)
    best = history.best()
    assert best is not None
    scores = [report.metrics["score"] - sign * 0.5 for report in best.reports]
    found = lt.Race().expected(running(6, scores[:2]), history)
    assert found is not None
    assert dict(found) == {"score": pytest.approx(best.metrics["score"] - sign * 0.5)}


def test_a_trial_that_equalled_the_leader_is_expected_to_stay_equal() -> None:
    history = field(noise(6, FOLDS))
    best = history.best()
    assert best is not None
    assert lt.Race().expected(running(6, ahead(history)[:4]), history) == best.metrics


def test_nothing_is_expected_of_a_trial_that_was_ahead() -> None:
    history = field(noise(6, FOLDS))
    assert lt.Race().expected(running(6, []), history) is None
    assert lt.Race().expected(running(6, [9.0]), history) is None
    assert lt.Race().expected(running(6, [math.nan, -9.0]), history) is None
    assert lt.Race().expected(running(6, [-9.0]), History(problem())) is None


def test_what_is_expected_stays_the_same_when_a_better_trial_comes() -> None:
    history = field(noise(6, FOLDS))
    stopped = replace(running(6, WORSE), state=State.STOPPED, seq=2)
    history.merge([stopped], 2)
    before = lt.Race().expected(stopped, history)
    history.merge([replace(completed(7, [5.0] * FOLDS), seq=3)], 3)
    assert before is not None
    assert lt.Race().expected(stopped, history) == before


# --- what optimisers make of it -----------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["gp", "tpe", "evolution", "cmaes", "de"])
def test_what_is_expected_counts_for_the_optimiser_as_a_result_does(algorithm: str) -> None:
    space = lt.Space(x=lt.Float(0, 1), y=lt.Float(0, 1))
    asked = Problem(space, (Objective("score", "max"),))
    rng = np.random.default_rng(8)
    points = [space.sample(rng) for _ in range(60)]
    done = [
        Trial(i, point, State.COMPLETED, metrics={"score": -abs(float(str(point["x"])) - 0.3)})
        for i, point in enumerate(points)
    ]
    foreseen = [replace(t, state=State.STOPPED) if t.number % 3 else t for t in done]
    unknown = [replace(t, metrics={}) if t.state is State.STOPPED else t for t in foreseen]
    proposals = []
    for trials in (done, foreseen, unknown):
        optimizer = plugins.algorithm(algorithm).start(asked)
        optimizer.tell(trials)
        proposals.append(optimizer.ask([], np.random.default_rng(9)))
    assert proposals[0] == proposals[1] != proposals[2]


# --- whole studies ------------------------------------------------------------------------------


def tree(metrics: list[str] | None = None) -> lt.CrossValidation:
    X, y = load_wine(return_X_y=True)
    return lt.CrossValidation(DecisionTreeClassifier(), X, y, cv=FOLDS, scoring=metrics, name="wine")


SPACE = {"max_depth": lt.Int(1, 8), "min_samples_leaf": lt.Int(1, 60), "max_features": lt.Float(0.1, 1.0)}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("algorithm", ["random", "auto"])
def test_a_study_stops_what_is_behind_and_can_be_replayed(
    workers: int, algorithm: str, tmp_path: Path
) -> None:
    store = str(tmp_path / "studies.db")
    study = lt.tune(
        tree(["accuracy", "f1_macro"]),
        SPACE,
        trials=30,
        algorithm=algorithm,
        stopping=lt.Race(),
        workers=workers,
        name="raced",
        store=store,
        progress=False,
    )
    stopped = [trial for trial in study.trials if trial.state is State.STOPPED]
    assert stopped
    for trial in stopped:
        # A worker next door may be faster than the word that its trial has lost.
        assert 0 < len(trial.reports) < FOLDS + (workers > 1)
        assert "folds" in (trial.reason or "")
        assert trial.metrics == {}
    assert all(len(t.reports) == FOLDS for t in study.trials if t.state is State.COMPLETED)
    assert sum(len(trial.reports) for trial in study.trials) < 30 * FOLDS
    assert study.best.state is State.COMPLETED
    loaded = lt.load("raced", store)
    shown = str(describe_trial(loaded.spec, stopped[0], 0))
    assert f"{len(stopped[0].reports)} of 10 folds" in shown
    assert f"reason     {stopped[0].reason}" in shown
    for trial in loaded.trials:
        proposal = loaded.replay(trial.number)
        assert proposal is not None
        assert (proposal.params, proposal.tag) == (trial.params, trial.tag)


def test_the_policy_is_part_of_the_question_and_goes_by_its_name() -> None:
    assert plugins.named(lt.Race()).name == "race"
    study = lt.tune(tree(), SPACE, trials=1, stopping="race", progress=False)
    assert study.spec.stopping == plugins.named(lt.Race())


def test_people_who_own_their_loop_have_their_trials_stopped_too() -> None:
    study = lt.Study(
        lt.Space(x=lt.Float(0, 1)), minimize="loss", algorithm="random", stopping="race", trials=20
    )
    chance = np.random.default_rng(0)
    for _ in range(20):
        with study.trial() as trial:
            losses = float(str(trial.params["x"])) + chance.normal(0, 0.01, 5)
            for fold, loss in enumerate(losses):
                trial.report(fold, loss=loss)
            trial.result = float(losses.mean())
    counts = study.history.counts
    assert counts[State.STOPPED] > 3
    assert counts[State.COMPLETED] + counts[State.STOPPED] == 20


def test_deterministic_studies_do_not_stop_trials_in_other_processes() -> None:
    with pytest.raises(InvalidStudy, match="a deterministic study cannot stop trials that run in processes"):
        lt.tune(tree(), SPACE, trials=5, stopping="race", workers=2, deterministic=True, progress=False)
    found = [
        lt.tune(tree(), SPACE, trials=15, stopping="race", deterministic=4, progress=False) for _ in range(2)
    ]
    assert decisions(found[0].history) == decisions(found[1].history)
