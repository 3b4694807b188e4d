"""The halving family, by worked examples; what is common to all algorithms is in the contract."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

import luthier as lt
from luthier import plugins
from luthier.errors import InvalidStudy, UnknownName
from luthier.optimizers import ASHA, BOHB, DEHB, GP, Algorithm, FreezeThaw, Hyperband, Optimizer, Random
from luthier.optimizers.rungs import sizes
from luthier.space import Float, Int, Space
from luthier.study import Fidelity, History, Named, Objective, Problem, Proposal, State, Trial
from luthier.studyfile import read
from luthier.testing.optimizers import OptimizerContract, asked, completed, failed, of, stopped
from luthier.testing.problems import SPACES, play, problem, sphere

PASSES = Fidelity("passes", 1, 9)
DEEP = Fidelity("passes", 1, 81)
MODELLED = {name: SPACES[name] for name in ("one float", "small with conditions", "one value")}
CUBE = problem({name: Float(-5, 5) for name in "xyz"})
FAMILY: tuple[Algorithm, ...] = (ASHA(), Hyperband(), BOHB(), DEHB())


class TestASHA(OptimizerContract):
    algorithms = (ASHA(), ASHA(brackets=3, by="tpe"))
    fidelity = PASSES
    replicates = True


class TestHyperband(OptimizerContract):
    algorithms = (Hyperband(), Hyperband(factor=2, by="sobol"))
    fidelity = PASSES
    replicates = True


class TestDEHB(OptimizerContract):
    algorithms = (DEHB(),)
    fidelity = PASSES
    replicates = True


class TestModelled(OptimizerContract):
    algorithms = (ASHA(by="auto"), BOHB(), FreezeThaw(initial=3))
    fidelity = PASSES
    spaces = MODELLED
    replicates = True


# --- points in a known order -------------------------------------------------------------------


@dataclass(frozen=True)
class Listed:
    """Proposes x = 0, 1, 2 and so on."""

    def start(self, problem: Problem) -> Optimizer:
        return _Listed()


class _Listed:
    def __init__(self) -> None:
        self.begun = 0

    def tell(self, finished: Sequence[Trial]) -> None:
        self.begun += sum(trial.parent is None for trial in finished)

    def ask(self, pending: Sequence[Trial], rng: np.random.Generator) -> Proposal:
        return Proposal(
            {"x": self.begun + sum(trial.parent is None for trial in pending)}, tag={"by": "list"}
        )


def numbered(fidelity: Fidelity = PASSES, goal: str = "min") -> Problem:
    return Problem(Space(x=Int(0, 10**6)), (Objective("loss", goal),), fidelity=fidelity)  # type: ignore[arg-type]


def moves(history: History) -> list[tuple[Any, float | None, int | None]]:
    return [(trial.params["x"], trial.fidelity, trial.parent) for trial in history]


# --- ASHA --------------------------------------------------------------------------------------


def test_asha_promotes_as_soon_as_one_is_among_the_best_third_at_its_rung() -> None:
    losses = [5.0, 3.0, 4.0, 1.0, 2.0, 0.0, 9.0]
    problem = numbered()
    history = play(ASHA(by=Listed()).start(problem), problem, lambda p: losses[int(p["x"] or 0)], 11)
    assert moves(history) == [
        (0, 1, None),
        (1, 1, None),
        (2, 1, None),
        (1, 3, 1),  # the best of three
        (3, 1, None),
        (3, 3, 4),  # the best of four; 1 went on already, and stays where it is
        (4, 1, None),  # two of five would be one too many
        (5, 1, None),
        (5, 3, 7),  # among the best two of six
        (5, 9, 8),  # the best of three at the higher rung, which comes first
        (6, 1, None),
    ]
    assert history[9].tag == {"by": "asha", "bracket": 0, "why": "place 1 of 3 at 3 passes"}
    assert history[10].tag == {"by": "list", "bracket": 0}


def test_asha_waits_for_nobody() -> None:
    problem = numbered()
    optimizer = ASHA(by=Listed()).start(problem)
    pending = [of(Proposal({"x": x}, fidelity=1, tag={"bracket": 0}), x) for x in range(10)]
    optimizer.tell([completed(float(x))(pending[x]) for x in (7, 2, 5)])
    first = asked(optimizer, 10, running := [pending[x] for x in (0, 1, 3, 4, 6, 8, 9)])
    assert (first.params, first.fidelity, first.parent) == ({"x": 2}, 3, 2) if first else False
    assert first is not None
    then = asked(optimizer, 11, [*running, of(first, 10)])
    assert then == Proposal({"x": 10}, fidelity=1, tag={"by": "list", "bracket": 0}), "2 is on its way"


def test_a_trial_without_a_loss_counts_at_its_rung_and_stays_there() -> None:
    problem = numbered()
    optimizer = ASHA(by=Listed()).start(problem)
    ends: list[Callable[[Trial], Trial]] = [failed, stopped, completed(math.nan), completed(math.inf)]
    bottom = [of(Proposal({"x": x}, fidelity=1), x) for x in range(6)]
    optimizer.tell([end(trial) for end, trial in zip(ends, bottom, strict=False)])
    assert asked(optimizer, 4) == Proposal({"x": 4}, fidelity=1, tag={"by": "list", "bracket": 0})
    # Stopped with what its policy expects of it, it is still no trial that can go on.
    optimizer.tell([replace(stopped(bottom[4]), metrics={"loss": -9.0}), completed(8.0)(bottom[5])])
    proposal = asked(optimizer, 6)
    assert proposal is not None
    assert (proposal.parent, proposal.tag["why"]) == (5, "place 1 of 6 at 1 passes")


def test_more_is_better_where_the_goal_says_so() -> None:
    problem = numbered(goal="max")
    history = play(ASHA(by=Listed()).start(problem), problem, lambda p: float(p["x"] or 0), 4)
    assert moves(history)[3] == (2, 3, 2)


def test_brackets_begin_higher_and_share_new_trials_as_in_hyperband() -> None:
    deep = replace(CUBE, fidelity=DEEP)
    history = play(ASHA(brackets=3).start(deep), deep, sphere, 300, workers=2)
    begun = Counter(t.tag["bracket"] for t in history if t.parent is None)
    assert [begun[b] / begun[0] for b in range(3)] == pytest.approx([1, 34 / 81, 15 / 81], abs=0.03)
    assert {(t.tag["bracket"], t.fidelity) for t in history if t.parent is None} == {(0, 1), (1, 3), (2, 9)}
    assert all(t.parent is None or history[t.parent].tag["bracket"] == t.tag["bracket"] for t in history)


def test_the_rungs_may_be_others_than_the_fidelitys() -> None:
    deep = replace(CUBE, fidelity=DEEP)
    history = play(ASHA(low=7.5, factor=3.5).start(deep), deep, sphere, 200)
    assert {trial.fidelity for trial in history} == {24, 81}, "81 / 3.5, whole; 81 / 3.5 / 3.5 is below 8"
    shares = replace(CUBE, fidelity=Fidelity("rows", 0.1, 1))
    history = play(ASHA().start(shares), shares, sphere, 60)
    assert {trial.fidelity for trial in history} == {1 / 9, 1 / 3, 1.0}


def test_the_best_of_a_small_space_is_trained_in_full_when_nothing_else_is_left() -> None:
    few = replace(problem({"x": Int(0, 4)}), fidelity=DEEP)
    for algorithm in FAMILY:
        history = play(algorithm.start(few), few, lambda p: abs(float(p["x"] or 0) - 3), 100)
        assert Counter(t.fidelity for t in history) == {1: 5, 3: 1, 9: 1, 27: 1, 81: 1}
        assert history.best() is history[8]
        assert history[8].params == {"x": 3}


# --- Hyperband ---------------------------------------------------------------------------------


def test_the_brackets_are_those_of_the_papers_table() -> None:
    assert [sizes(4, s, 3) for s in (4, 3, 2, 1, 0)] == [
        (81, 27, 9, 3, 1),
        (34, 11, 3, 1),
        (15, 5, 1),
        (8, 2),
        (5,),
    ]


def test_hyperband_runs_its_brackets_one_after_another() -> None:
    problem = numbered(DEEP)
    table = [(81, 27, 9, 3, 1), (34, 11, 3, 1), (15, 5, 1), (8, 2), (5,)]
    history = play(
        Hyperband(by=Listed()).start(problem), problem, lambda p: float(p["x"] or 0) * 7 % 101, 206 + 81
    )
    expected = [
        (bracket, 3 ** (bracket % 5 + rung))
        for bracket, counts in enumerate([*table, table[0][:1]])
        for rung, n in enumerate(counts)
        for _ in range(n)
    ]
    assert [(t.tag["bracket"], t.fidelity) for t in history] == expected


def test_who_goes_on_in_hyperband_does_not_depend_on_who_ends_first() -> None:
    problem = numbered()

    def sets(order: int) -> Mapping[Any, set[Any]]:
        """Who was in the first two brackets, where five run at once and any of them may end."""
        optimizer, rng = Hyperband(by=Listed()).start(problem), np.random.default_rng(order)
        pending: list[Trial] = []
        found: dict[Any, set[Any]] = {}
        for number in range(60):
            while len(pending) == 5:
                trial = pending.pop(int(rng.integers(5)))
                optimizer.tell([completed(float(int(trial.params["x"] or 0) * 7 % 11))(trial)])
            proposal = asked(optimizer, number, pending)
            assert proposal is not None, "the next bracket always takes a trial"
            pending.append(of(proposal, number))
            if proposal.tag["bracket"] == 0:
                found.setdefault(proposal.fidelity, set()).add(proposal.params["x"])
        return found

    assert sets(0)[1] == set(range(9))
    assert sets(0)[3] == {0, 8, 5}, "7 x mod 11 is 0, 1 and 2 there"
    assert sets(0)[9] == {0}
    assert all(sets(order) == sets(0) for order in range(1, 6))


def test_workers_that_are_free_begin_the_next_bracket() -> None:
    problem = numbered()
    optimizer = Hyperband(by=Listed()).start(problem)
    pending: list[Trial] = []
    for number in range(9 + 5 + 3 + 1):
        proposal = asked(optimizer, number, pending)
        assert proposal is not None
        pending.append(of(proposal, number))
    given = Counter((trial.tag["bracket"], trial.fidelity) for trial in pending)
    assert given == {(0, 1): 9, (1, 3): 5, (2, 9): 3, (3, 1): 1}
    optimizer.tell([completed(float(trial.number))(trial) for trial in pending[:9]])
    proposal = asked(optimizer, 18, pending[9:])
    assert proposal is not None
    assert (proposal.parent, proposal.fidelity) == (0, 3), "the first bracket goes before"


def test_a_bracket_ends_where_all_of_a_rung_failed() -> None:
    problem = numbered()
    optimizer = Hyperband(by=Listed()).start(problem)
    for number in range(9):
        proposal = asked(optimizer, number)
        assert proposal is not None
        optimizer.tell([failed(of(proposal, number))])
    proposal = asked(optimizer, 9)
    assert proposal is not None
    assert (proposal.tag["bracket"], proposal.fidelity, proposal.parent) == (1, 3, None)


# --- BOHB --------------------------------------------------------------------------------------


def test_a_third_of_bohbs_points_are_random_and_the_model_knows_every_rung() -> None:
    deep = replace(CUBE, fidelity=DEEP)
    history = play(BOHB().start(deep), deep, sphere, 120, workers=2)
    by = Counter(trial.tag["by"] for trial in history)
    assert by["random"] / (by["gp"] + by["random"]) == pytest.approx(1 / 3, abs=0.12)
    assert "mean" in next(t for t in history if t.number > 20 and t.tag["by"] == "gp").tag
    assert all(trial.fidelity == 1 for trial in history if trial.number < 81), (
        "nothing was trained in full yet"
    )
    near = [sphere(t.params) for t in history if 40 < t.number < 81 and t.tag["by"] == "gp"]
    assert np.median(near) < 1.0
    model = play(BOHB(share=0).start(deep), deep, sphere, 20)
    assert {trial.tag["by"] for trial in model} == {"gp"}


# --- DEHB --------------------------------------------------------------------------------------


def test_dehb_fills_its_populations_by_halving_and_then_makes_children() -> None:
    shallow = replace(CUBE, fidelity=PASSES)
    history = play(DEHB().start(shallow), shallow, sphere, 22 + 9)
    told = [(t.tag["bracket"], t.fidelity, t.tag["slot"], t.tag["by"], t.parent is not None) for t in history]
    # Populations of 9, 5 and 3: the most that a bracket sends to 1, 3 and 9.
    assert told[:9] == [(0, 1, slot, "random", False) for slot in range(9)]
    assert told[9:12] == [(0, 3, slot, "dehb", True) for slot in range(3)]
    assert told[12] == (0, 9, 0, "dehb", True)
    assert told[13:15] == [(1, 3, slot, "random", False) for slot in (3, 4)]
    assert told[15:18] == [(1, 3, slot, "dehb", False) for slot in (0, 1, 2)]
    assert told[18] == (1, 9, 1, "dehb", True)
    assert told[19:22] == [(2, 9, 2, "random", False), (2, 9, 0, "dehb", False), (2, 9, 1, "dehb", False)]
    assert told[22:] == [(3, 1, slot, "dehb", False) for slot in range(9)]
    best = sorted(history[i].metrics["loss"] for i in range(9))[:3]
    assert [history[i].metrics["loss"] for i in (9, 10, 11)] == best
    assert all(t.tag["why"].startswith("a step from trial") for t in list(history)[22:])  # type: ignore[union-attr]


def test_steps_at_a_higher_rung_are_made_of_the_best_below() -> None:
    shallow = replace(CUBE, fidelity=PASSES)
    history = play(DEHB(CR=1.0).start(shallow), shallow, sphere, 22 + 9 + 3)
    children = list(history)[31:34]
    assert {(t.tag["bracket"], t.fidelity) for t in children} == {(3, 3)}
    population: dict[Any, Trial] = {}
    for trial in history:
        if trial.fidelity == 1:
            held = population.get(trial.tag["slot"])
            if held is None or trial.metrics["loss"] <= held.metrics["loss"]:
                population[trial.tag["slot"]] = trial
    best = sorted(population.values(), key=lambda t: t.metrics["loss"])[:3]
    names = {f"a step from trial {trial.number}" for trial in best}
    assert {child.tag["why"] for child in children} <= names


def test_dehb_beats_chance_at_the_same_cost() -> None:
    deep = replace(CUBE, fidelity=DEEP)

    def reached(algorithm: Algorithm, seed: int) -> float:
        """The best of the points, by a loss that does not depend on how far they are trained."""
        return min(sphere(t.params) for t in play(algorithm.start(deep), deep, sphere, 400, seed=seed))

    mine, chance = (np.median([reached(a, seed) for seed in range(5)]) for a in (DEHB(), Hyperband()))
    assert mine < 0.5 * chance


# --- settings ----------------------------------------------------------------------------------


def test_the_algorithm_that_proposes_is_given_by_name_and_kept_as_json() -> None:
    given = Named("asha", {"by": {"name": "gp", "initial": 5}, "brackets": 2})
    assert plugins.algorithm(given) == ASHA(brackets=2, by=GP(initial=5))
    assert plugins.algorithm(Named("hyperband", {"by": "gp"})) == Hyperband(by="gp") == Hyperband(by=GP())
    named = plugins.named(ASHA(by=GP(initial=5)))
    assert named == Named(
        "asha", {"factor": None, "low": None, "brackets": 1, "by": {"name": "gp", "initial": 5}}
    )
    assert [plugins.algorithm(name) for name in ("asha", "hyperband", "bohb", "dehb")] == list(FAMILY)


def test_a_study_file_says_it_in_the_same_words(tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_text(
        'command = "true"\nminimize = "loss"\nbudget = { trials = 5 }\nspace.x = { float = [0, 1] }\n'
        'algorithm = { name = "asha", brackets = 2, by = { name = "gp", initial = 5 } }\n'
        "fidelity = { epochs = [1, 81] }\n"
    )
    assert plugins.algorithm(read(file).algorithm) == ASHA(brackets=2, by=GP(initial=5))


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: ASHA(factor=1), InvalidStudy, "factor is 1. Use a number above 1"),
        (lambda: Hyperband(factor=math.inf), InvalidStudy, "factor is inf"),
        (lambda: ASHA(brackets=0), InvalidStudy, "brackets is 0"),
        (lambda: ASHA(by="randon"), UnknownName, "by is 'randon'. Did you mean 'random'?"),
        (lambda: ASHA(by=cast(Any, Random)), UnknownName, "no algorithm"),
        (lambda: Hyperband(by=FreezeThaw()), InvalidStudy, "decides itself how far to train"),
        (lambda: BOHB(share=2), InvalidStudy, "share is 2"),
        (lambda: DEHB(F=0), InvalidStudy, "F is 0"),
        (lambda: ASHA(low=100).start(numbered()), InvalidStudy, "low is 100, and passes go from 1 to 9"),
        (lambda: ASHA(brackets=4).start(numbered()), InvalidStudy, "there are 3 rungs from 1 to 9 passes"),
    ],
)
def test_what_cannot_be_meant_is_refused(make: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error) as caught:
        make()
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "fidelity",
    [
        Fidelity("p", 5, 5),
        Fidelity("p", 1, 3),
        Fidelity("p", 1, 4, factor=1.5),
        Fidelity("p", 0.1, 1, log=False),
    ],
    ids=str,
)
@pytest.mark.parametrize("algorithm", FAMILY, ids=lambda a: type(a).__name__)
def test_any_ladder_will_do(algorithm: Algorithm, fidelity: Fidelity) -> None:
    deep = replace(CUBE, fidelity=fidelity)
    history = play(algorithm.start(deep), deep, sphere, 40, workers=3)
    assert len(history) == 40
    assert {trial.fidelity for trial in history} == set(fidelity.ladder)


@pytest.mark.parametrize("algorithm", FAMILY, ids=lambda a: type(a).__name__)
def test_it_needs_a_fidelity_and_one_objective(algorithm: Algorithm) -> None:
    with pytest.raises(InvalidStudy, match="the study does not say what that is"):
        algorithm.start(CUBE)
    two = Problem(CUBE.space, (*CUBE.objectives, Objective("size", "min")), fidelity=PASSES)
    with pytest.raises(InvalidStudy, match="one objective"):
        algorithm.start(two)


# --- studies -----------------------------------------------------------------------------------


def afresh(trial: lt.Context, x: float, y: float) -> float:
    """Trained from the start, up to where it is to go."""
    return trained(trial, x, y, 1)


def further(trial: lt.Context, x: float, y: float) -> float:
    """Goes on from its parent's checkpoint, where there is one."""
    loss = trained(trial, x, y, (trial.restored_step or 0) + 1)
    (trial.workdir / "model").write_text("trained")
    trial.checkpoint(trial.workdir / "model")
    return loss


def trained(trial: lt.Context, x: float, y: float, first: int) -> float:
    loss = math.inf
    for step in range(first, int(trial.fidelity or 0) + 1):
        loss = (x - 0.3) ** 2 + (y - 0.6) ** 2 + 1 / step
        trial.report(step, loss=loss)
    return loss


SQUARE = Space(x=Float(0, 1), y=Float(0, 1))


@pytest.mark.parametrize("resumes", [True, False], ids=["checkpoints", "from the start"])
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("algorithm", ["asha", "hyperband", "bohb", "dehb"])
def test_a_study_promotes_its_trials(algorithm: str, workers: int, resumes: bool) -> None:
    study = lt.tune(
        further if resumes else afresh, SQUARE, minimize="loss", trials=40, algorithm=algorithm,
        fidelity=Fidelity("epochs", 1, 9, resumes=resumes), workers=workers, progress=False,
    )  # fmt: skip
    assert study.spec.stopping is None
    assert Counter(trial.state for trial in study.trials) == {State.COMPLETED: 40}
    assert study.best.fidelity == 9
    promoted = [trial for trial in study.trials if trial.parent is not None]
    # A rung waits for its last trial, which may be the first of a worker that is slow to start.
    assert len(promoted) >= (5 if workers == 1 else 1)
    for trial in promoted:
        begun = study.trials[trial.parent or 0].fidelity if resumes else 0
        assert len(trial.reports) == int(trial.fidelity or 0) - int(begun or 0), (
            "the cost of the rest, or of all"
        )
    for number in (12, 25, 35):
        again, trial = study.replay(number), study.trials[number]
        assert again is not None
        assert (again.params, again.fidelity, again.parent) == (trial.params, trial.fidelity, trial.parent)


@pytest.mark.parametrize("algorithm", ["asha", "hyperband", "bohb", "dehb"])
def test_a_study_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path: Path, algorithm: str) -> None:
    def tuned(name: str, trials: int) -> list[Any]:
        study = lt.tune(
            afresh, SQUARE, minimize="loss", trials=trials, algorithm=algorithm, fidelity=PASSES, name=name,
            store=str(tmp_path / "s.db"), progress=False,
        )  # fmt: skip
        try:
            return [(t.params, t.fidelity, t.parent, t.tag) for t in study.trials]
        finally:
            study.close()

    tuned("stopped", 19)
    assert tuned("stopped", 35) == tuned("through", 35)
