from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import luthier as lt
from luthier.cli.main import main
from luthier.errors import InvalidStudy, LuthierError
from luthier.executors import Executor
from luthier.optimizers import PB2, PBT, Optimizer, Replay, pb2
from luthier.optimizers.gp.codes import Codes
from luthier.optimizers.pb2 import Gain, Process, chances_of, gains
from luthier.optimizers.population import Place, goals, perturbed
from luthier.space import Params, Scalar
from luthier.study import Fidelity, Objective, Problem, Proposal, Schedule, State, Stretch, Trial
from luthier.testing.optimizers import OptimizerContract, asked
from luthier.testing.problems import SPACES

EPOCHS = Fidelity("epochs", 1, 40, resumes=True)
RATE = lt.Space(rate=lt.Float(1e-4, 1.0, log=True))


def problem(space: lt.Space = RATE, fidelity: Fidelity | None = EPOCHS) -> Problem:
    return Problem(space, (Objective("loss", "min"),), fidelity=fidelity)


class PopulationContract(OptimizerContract):
    fidelity = Fidelity("budget", 1, 40, resumes=True)
    # Members go on with the same parameters, several from one checkpoint and with others.
    test_a_finite_space_is_tried_out_once_and_then_it_is_over = None  # type: ignore[assignment]
    test_what_is_pending_is_not_proposed_again = None  # type: ignore[assignment]
    test_what_goes_on_is_a_trial_that_completed = None  # type: ignore[assignment]


class TestPBT(PopulationContract):
    algorithms = (PBT(), PBT(population=4, interval=4, quantile=0.5, resample=0.1, factors=(0.5, 2.0)))


class TestPB2(PopulationContract):
    algorithms = (PB2(population=4),)
    spaces = {name: SPACES[name] for name in SPACES if name != "wide"}  # noqa: RUF012 - as in the suite


# --- who goes on from whom -----------------------------------------------------------------------


class Played:
    """A population by hand: `asks` says who is to run next, `ends` how it came out."""

    def __init__(self, algorithm: PBT | PB2, asked: Problem | None = None) -> None:
        self.problem = asked or problem()
        self.optimizer: Optimizer = algorithm.start(self.problem)
        self.trials: list[Trial] = []
        self.running: list[Trial] = []

    def asks(self) -> Trial:
        number = len(self.trials)
        proposal = self.optimizer.ask(self.running, np.random.default_rng([3, number]))
        assert proposal is not None
        trial = Trial(
            number,
            proposal.params,
            State.RUNNING,
            1,
            fidelity=proposal.fidelity,
            parent=proposal.parent,
            tag=proposal.tag,
        )
        self.trials.append(trial)
        self.running.append(trial)
        return trial

    def ends(self, trial: Trial, loss: float | None, state: State = State.COMPLETED) -> None:
        metrics = {} if loss is None else {"loss": loss}
        self.trials[trial.number] = replace(trial, state=state, metrics=metrics)
        self.running = [other for other in self.running if other.number != trial.number]
        self.optimizer.tell([self.trials[trial.number]])

    def generation(self, *losses: float | None) -> list[Trial]:
        """As many trials as there are losses, one after the other."""
        found = []
        for loss in losses:
            trial = self.asks()
            self.ends(trial, loss, State.FAILED if loss is None else State.COMPLETED)
            found.append(trial)
        return found

    @property
    def over(self) -> bool:
        return self.optimizer.ask(self.running, np.random.default_rng(0)) is None


def test_the_worst_goes_on_from_the_best_and_the_others_from_themselves() -> None:
    played = Played(PBT(population=4, resample=0))
    first = played.generation(0.1, 0.4, 0.2, 0.3)
    assert [(t.fidelity, t.parent, t.tag["member"], t.tag["generation"]) for t in first] == [
        (4, None, member, 0) for member in range(4)
    ]
    second = played.generation(1.0, 1.0, 1.0, 1.0)
    assert [(t.fidelity, t.parent) for t in second] == [(8, 0), (8, 0), (8, 2), (8, 3)]
    assert [t.params == first[t.parent or 0].params for t in second] == [True, False, True, True]
    rate, before = second[1].params["rate"], first[0].params["rate"]
    assert rate / before == pytest.approx(0.8) or rate / before == pytest.approx(1.2)  # type: ignore[operator]
    assert second[1].tag["copied"] == 0
    assert second[1].tag["why"] == (
        f"rank 4 of 4 at 4 epochs, loss 0.4; goes on from trial 0 (loss 0.1) with rate {before:.4g} -> {rate:.4g}"
    )
    assert second[2].tag["why"] == "rank 2 of 4 at 4 epochs, loss 0.2"


def test_what_is_maximised_is_better_where_it_is_more() -> None:
    played = Played(PBT(population=4), replace(problem(), objectives=(Objective("loss", "max"),)))
    played.generation(0.1, 0.4, 0.2, 0.3)
    assert [trial.parent for trial in played.generation(0, 0, 0, 0)] == [1, 1, 2, 3]


def test_with_a_quantile_of_a_quarter_of_ten_three_are_replaced() -> None:
    played = Played(PBT(population=10))
    played.generation(*range(10))
    second = played.generation(*[1.0] * 10)
    assert [trial.parent for trial in second[:7]] == list(range(7))
    assert {trial.parent for trial in second[7:]} <= {0, 1, 2}


def test_a_member_is_compared_with_the_others_as_they_were_when_they_were_as_far() -> None:
    played = Played(PBT(population=4))
    trials = [played.asks() for _ in range(4)]
    for trial, loss in zip(trials[:3], (0.5, 0.6, 0.7), strict=True):
        played.ends(trial, loss)
    ahead = played.asks()  # nobody waits for member 3
    assert (ahead.parent, ahead.fidelity) == (0, 8)
    played.ends(ahead, 0.1)
    played.ends(trials[3], 0.55)  # worse than all that is known, but second best after 4 epochs
    while (later := played.asks()).tag["member"] != 3:
        pass
    assert later.parent == 3
    assert later.tag["why"] == "rank 2 of 4 at 4 epochs, loss 0.55"


def test_the_one_that_has_the_furthest_to_go_is_next_and_nobody_runs_twice_at_once() -> None:
    played = Played(PBT(population=3))
    trials = [played.asks() for _ in range(3)]
    assert played.over  # for now: all run
    played.ends(trials[1], 1.0)
    played.ends(trials[0], 2.0)
    assert [played.asks().tag["member"] for _ in range(2)] == [1, 0]
    assert played.over


@pytest.mark.parametrize(
    ("state", "loss"),
    [
        (State.FAILED, None),
        (State.STOPPED, None),
        (State.STOPPED, 0.0),  # what the policy expects it to have come to: nobody can go on from there
        (State.COMPLETED, float("nan")),
        (State.COMPLETED, None),
    ],
)
def test_a_good_one_takes_the_place_of_one_that_came_to_nothing(state: State, loss: float | None) -> None:
    played = Played(PBT(population=6, burn_in=30))
    first = [played.asks() for _ in range(6)]
    for trial in first:
        played.ends(trial, *((loss, state) if trial.number == 2 else (float(trial.number), State.COMPLETED)))
    second = played.generation(*[1.0] * 6)
    assert [trial.parent for trial in second] == [0, 1, second[2].parent, 3, 4, 5]
    assert second[2].parent in (0, 1)
    assert str(second[2].tag["why"]).startswith("trial 2 came to no loss at 4 epochs; goes on from trial")


def test_where_all_came_to_nothing_they_start_again_and_end_all_the_same() -> None:
    played = Played(PBT(population=3))
    for _ in range(3):
        trials = played.generation(None, None, None)
        assert [trial.parent for trial in trials] == [None] * 3
    assert "starts again" in str(trials[0].tag["why"])
    for _ in range(7):
        trials = played.generation(1.0, 2.0, 3.0)
    assert len(played.trials) == 30
    assert played.over


def test_nothing_changes_before_the_burn_in() -> None:
    played = Played(PBT(population=4, burn_in=9))
    for _ in range(3):
        trials = played.generation(1.0, 2.0, 3.0, 4.0)
        assert "copied" not in trials[3].tag
    assert played.generation(1.0, 2.0, 3.0, 4.0)[3].parent == 8


@pytest.mark.parametrize("algorithm", [PBT(population=5), PB2(population=5), PBT(population=5, interval=7)])
def test_it_is_over_when_each_member_is_trained_in_full(algorithm: PBT | PB2) -> None:
    played = Played(algorithm)
    while not played.over:
        played.generation(float(len(played.trials)))
    assert len(played.trials) == algorithm.total(played.problem)
    full = [trial for trial in played.trials if trial.fidelity == 40]
    assert sorted(int(trial.tag["member"] or 0) for trial in full) == [0, 1, 2, 3, 4]


def test_generations_end_at_whole_steps_within_the_range() -> None:
    assert goals(Fidelity("epochs", 1, 40), None) == (4, 8, 12, 16, 20, 24, 28, 32, 36, 40)
    assert goals(Fidelity("epochs", 10, 40), 4) == (10, 12, 16, 20, 24, 28, 32, 36, 40)
    assert goals(Fidelity("epochs", 1, 7), 2.5) == (3, 5, 7)
    assert goals(Fidelity("epochs", 1, 7), 7) == (7,)
    assert goals(Fidelity("share", 0.1, 1.0), 0.4) == (0.4, 0.8, 1.0)


@pytest.mark.parametrize("make", [PBT, PB2])
def test_what_a_population_cannot_be_is_said(make: Any) -> None:
    two = replace(problem(), objectives=(Objective("loss", "min"), Objective("time", "min")))
    for wrong, said in (
        (problem(fidelity=None), "how far to train"),
        (problem(fidelity=Fidelity("epochs", 1, 40)), r"Fidelity\('epochs', 1, 40, resumes=True\)"),
        (two, "one objective"),
    ):
        with pytest.raises(InvalidStudy, match=said):
            make().start(wrong)
    for options, said in (
        ({"population": 1}, "population is 1"),
        ({"interval": 0}, "interval is 0"),
        ({"quantile": 0.6}, "up to 0.5"),
        ({"burn_in": -1}, "burn_in is -1"),
    ):
        with pytest.raises(InvalidStudy, match=said):
            make(**options)
    with pytest.raises(InvalidStudy, match="50 epochs, and a full training only 40"):
        make(interval=50).start(problem())


def test_what_chance_cannot_be_is_said() -> None:
    with pytest.raises(InvalidStudy, match="resample is 2"):
        PBT(resample=2)
    with pytest.raises(InvalidStudy, match="factors is"):
        PBT(factors=(0.8, -1.2))
    with pytest.raises(InvalidStudy, match="factors is"):
        PBT(factors=())


# --- how parameters change -----------------------------------------------------------------------


def changed(space: lt.Space, params: Params, resample: float = 0.0) -> list[Mapping[str, Scalar]]:
    """What may become of a point."""
    found = [
        perturbed(space, params, resample, (0.8, 1.2), np.random.default_rng(seed)) for seed in range(200)
    ]
    for point in found:
        space.check(point)
    return found


@pytest.mark.parametrize(
    ("parameter", "value", "becomes"),
    [
        (lt.Float(0, 10), 5.0, {4.0, 6.0}),
        (lt.Float(0, 10), 9.0, {7.2, 10.0}),
        (lt.Float(-10, 10), -5.0, {-4.0, -6.0}),
        (lt.Float(1e-4, 1, log=True), 0.01, {0.008, 0.012}),
        (lt.Float(0.5, 0.999, log="reverse"), 0.9, {0.88, 0.92}),
        (lt.Float(0, 1, step=0.1), 0.2, {0.1, 0.3}),  # at least one step
        (lt.Float(0, 10, step=1), 10.0, {8.0, 10.0}),
        (lt.Int(1, 100), 50, {40, 60}),
        (lt.Int(1, 9), 2, {1, 3}),
        (lt.Int(0, 9), 0, {0, 1}),
        (lt.Int(16, 128, step=16), 64, {48, 80}),
        (lt.Choice(1, 10, 100, ordered=True), 10, {1, 100}),
        (lt.Choice(1, 10, 100, ordered=True), 100, {10, 100}),
        (lt.Choice("a", "b"), "a", {"a"}),
        (lt.Const(3), 3, {3}),
    ],
)
def test_a_value_is_multiplied_or_moves_a_step_and_stays_in_its_range(
    parameter: Any, value: Scalar, becomes: set[Scalar]
) -> None:
    found = {point["p"] for point in changed(lt.Space(p=parameter), {"p": value})}
    assert {round(v, 9) if isinstance(v, float) else v for v in found} == becomes
    assert {type(v) for v in found} == {type(value)}


def test_a_parameter_is_drawn_again_as_often_as_is_said() -> None:
    space = lt.Space(kind=lt.Choice("a", "b", "c", "d"))
    others = sum(point["kind"] != "a" for point in changed(space, {"kind": "a"}, resample=0.4))
    assert 40 < others < 80  # three quarters of 200 * 0.4
    assert {p["kind"] for p in changed(space, {"kind": "a"}, resample=1.0)} == {"a", "b", "c", "d"}


def test_what_no_longer_exists_goes_and_what_newly_exists_is_drawn() -> None:
    space = lt.Space(kind=lt.Choice({"a": {"x": lt.Float(1, 2)}, "b": {"y": lt.Int(1, 3)}}))
    points = changed(space, {"kind": "a", "x": 1.5}, resample=0.5)
    assert {tuple(point) for point in points} == {("kind", "x"), ("kind", "y")}
    assert {point["y"] for point in points if "y" in point} == {1, 2, 3}


# --- PB2 -----------------------------------------------------------------------------------------


def member(number: int, place: Place, loss: float, parent: int | None = None, **params: Scalar) -> Trial:
    tag = {"member": place.member, "generation": place.generation}
    return Trial(number, params, State.COMPLETED, 1, parent=parent, tag=tag, metrics={"loss": loss})


def test_a_gain_is_ranked_among_those_of_its_generation() -> None:
    reached = {
        Place(0, 0): member(0, Place(0, 0), 1.0, rate=0.1),
        Place(1, 0): member(1, Place(1, 0), 3.0, rate=0.2),
        Place(0, 1): member(2, Place(0, 1), 0.9, 0, rate=0.1),  # gained 0.1, from the better start
        Place(1, 1): member(3, Place(1, 1), 2.0, 1, rate=0.3),  # gained 1.0
        Place(2, 1): member(4, Place(2, 1), 0.1, None, rate=0.3),  # began again: nothing to compare
    }
    found = [(gain.generation, gain.start, gain.share) for gain in gains(reached, problem())]
    assert found == [(0, 0.5, 0.75), (0, 0.5, 0.25), (1, 0.75, 0.25), (1, 0.25, 0.75)]


def test_the_gradient_of_the_process_is_that_of_its_likelihood() -> None:
    rng = np.random.default_rng(0)
    codes = Codes(SPACES["every kind"], levels=True)
    features = codes.features(codes.random(25, rng), levels=rng.random(25))
    times = rng.integers(0, 6, 25).astype(float)
    seen = pb2.Seen(features, codes.axes.groups, times, rng.standard_normal(25))
    theta = pb2.centre(len(codes.names) + 1)[0]
    for _ in range(3):
        at = theta + 0.4 * rng.standard_normal(len(theta))
        slope = pb2.loss(at, seen)[1]
        steps = 1e-6 * np.eye(len(at))
        told = [(pb2.loss(at + s, seen)[0] - pb2.loss(at - s, seen)[0]) / 2e-6 for s in steps]
        np.testing.assert_allclose(slope, told, rtol=1e-5, atol=1e-6)


def bounds(known: Sequence[Gain], pending: Sequence[float] = (), at: int = 4) -> list[float]:
    """The upper confidence bound along the only parameter."""
    codes = Codes(lt.Space(x=lt.Float(0, 1)), levels=True)
    process = Process.fitted(codes, known)
    process.expect([({"x": x}, Place(0, at)) for x in pending], 0.5)
    return process.bound(np.linspace(0, 1, 11)[:, None], at, 0.5).tolist()


def test_the_bandit_goes_where_intervals_gained_most_lately() -> None:
    rng = np.random.default_rng(1)
    known = []
    for generation in range(4):
        points = rng.random(8)
        far = np.abs(points - 0.2 * (generation + 1))  # the best moves from 0.2 to 0.8
        shares = (np.argsort(np.argsort(-far)) + 0.5) / 8
        known += [
            Gain({"x": x}, generation, 0.5, s) for x, s in zip(points.tolist(), shares.tolist(), strict=True)
        ]
    assert int(np.argmax(bounds(known))) >= 7
    assert int(np.argmax(bounds(known[:8], at=1))) <= 4


def test_where_an_interval_runs_less_is_expected_to_be_found_out() -> None:
    known = [Gain({"x": x}, 3, 0.5, s) for x, s in ((0.1, 0.2), (0.3, 0.6), (0.5, 0.9), (0.9, 0.4))]
    alone, beside = bounds(known), bounds(known, [0.7])
    assert beside[7] < alone[7]
    assert beside[1] == pytest.approx(alone[1], abs=0.05)


def test_settings_move_near_those_that_are_gone_on_from() -> None:
    space = lt.Space(x=lt.Float(0, 1), n=lt.Int(1, 6, log=True), k=lt.Choice("a", "b"))
    played = Played(PB2(population=6), problem(space))
    while not played.over:
        played.generation(float(len(played.trials) % 7))
    copied = [trial for trial in played.trials if "copied" in trial.tag]
    moves = [(played.trials[trial.parent or 0].params, trial.params) for trial in copied]
    far = [abs(float(before["x"] or 0) - float(after["x"] or 0)) for before, after in moves]
    assert 0.01 < max(far) <= 0.15 + 1e-9
    steps = {abs(int(before["n"] or 0) - int(after["n"] or 0)) for before, after in moves}
    assert {0, 1} < steps | {2}  # a whole number moves, however wide its cells


def test_choices_that_gain_are_chosen_more_often_and_what_was_long_ago_is_forgotten() -> None:
    parameter = lt.Choice("a", "b", "c")

    def chances(*shares: tuple[str, int, float]) -> list[float]:
        known = [Gain({"k": k}, generation, 0.5, share) for k, generation, share in shares]
        return chances_of(parameter, "k", known, 0.1).tolist()

    assert chances() == pytest.approx([1 / 3] * 3)
    good = [("a", g, 0.9) for g in range(4)] + [("b", g, 0.1) for g in range(4)]
    a, b, c = chances(*good)
    assert a > 0.5 > c > b > 0.05
    assert chances(*good, *[("a", g, 0.5) for g in range(4, 20)])[0] < a - 0.1


# --- trainings -----------------------------------------------------------------------------------

STEPS = Fidelity("steps", 1, 20, resumes=True)


def train(trial: lt.Context) -> float:
    """The best rate falls by the step; every step is put down in the checkpoint."""
    done: list[float] = [] if trial.restored is None else json.loads(trial.restored.read_text())
    assert len(done) == (trial.restored_step or 0)
    while len(done) < int(trial.fidelity or 0):
        done.append(float(trial.params["rate"]))  # type: ignore[arg-type]
        trial.report(len(done), loss=loss_of(done))
    path = trial.workdir / "done.json"
    path.write_text(json.dumps(done))
    trial.checkpoint(path)
    return loss_of(done)


def loss_of(done: Sequence[float]) -> float:
    loss = 1.0
    for step, rate in enumerate(done):
        loss *= 1.0 - 0.3 / (1.0 + np.log(rate / (0.5 * 0.8**step)) ** 2)
    return float(loss)


def tuned(algorithm: Any = PBT(population=4), **more: Any) -> lt.Study:  # noqa: B008 - frozen
    return lt.tune(train, RATE, minimize="loss", fidelity=STEPS, algorithm=algorithm, progress=False, **more)


def rates(study: lt.Study, number: int) -> list[float]:
    """With which rate each step was made that led to a trial."""
    path = study.files[number].checkpoint
    assert path is not None
    found: list[float] = json.loads(path.read_text())
    return found


@pytest.mark.parametrize("executor", [lt.Inline(), lt.Processes(2)], ids=["inline", "processes"])
@pytest.mark.parametrize("algorithm", [PBT(population=4), PB2(population=4)], ids=["pbt", "pb2"])
def test_children_go_on_from_the_checkpoint_of_their_parent(algorithm: Any, executor: Executor) -> None:
    study = tuned(algorithm, executor=executor)
    assert study.complete
    assert len(study.trials) == 40
    assert any("copied" in trial.tag for trial in study.trials)
    for trial in study.trials:
        before = [] if trial.parent is None else rates(study, trial.parent)
        assert rates(study, trial.number) == before + [trial.params["rate"]] * 2
        schedule = study.schedule(trial)
        assert [schedule.params_at(step)["rate"] for step in range(1, len(before) + 3)] == rates(
            study, trial.number
        )
    assert study.best.fidelity == 20
    assert study.best.metrics["loss"] == min(t.metrics["loss"] for t in study.trials if t.fidelity == 20)
    study.close()


def test_what_led_to_a_trial_can_be_asked_again() -> None:
    study = tuned(PB2(population=4))
    for number in (0, 5, 17, 39):
        proposal, trial = study.replay(number), study.trials[number]
        assert proposal == Proposal(trial.params, trial.fidelity, trial.parent, trial.tag)
    study.close()


DIES_IN_THE_MIDDLE = """
import os, signal
import luthier as lt
from luthier.optimizers import PBT
from tests.optimizers import test_population as here

def train(trial):
    if trial.number == 17 and trial.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return here.train(trial)

lt.tune(train, here.RATE, minimize="loss", fidelity=here.STEPS, algorithm=PBT(population=4), name="net", store="s.db", progress=False)
"""


def test_killed_in_the_middle_it_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    (tmp_path / "study.py").write_text(DIES_IN_THE_MIDDLE)
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}"}
    for code in (-signal.SIGKILL, 0):
        done = subprocess.run(
            [sys.executable, "study.py"], cwd=tmp_path, env=environment, check=False, timeout=60
        )
        assert done.returncode == code
    again, whole = lt.load("net", str(tmp_path / "s.db")), tuned()
    assert [trial.number for trial in again.trials if trial.attempt == 2] == [17]
    assert [t.params for t in again.trials] == [t.params for t in whole.trials]
    assert rates(again, again.best.number) == rates(whole, whole.best.number)
    again.close()
    whole.close()


def test_what_is_kept_of_a_population_is_enough_to_go_on(tmp_path: Path) -> None:
    files = lt.Files(keep="best", best=1)
    study = tuned(name="net", store=str(tmp_path / "studies.db"), files=files)
    whole = tuned()
    assert rates(study, study.best.number) == rates(whole, whole.best.number)
    assert len(list(study.files)) <= 6
    study.close()
    whole.close()


def test_a_population_needs_no_budget_and_no_smaller_one() -> None:
    with pytest.raises(InvalidStudy, match="takes 40 trials, and trials=30 ends it before"):
        tuned(trials=30)
    study = tuned(trials=40)
    assert len(study.trials) == 40
    study.close()


def test_points_to_start_from_are_the_first_members() -> None:
    study = tuned(start=[{"rate": 0.5}, {"rate": 0.02}])
    assert len(study.trials) == 40
    first = [trial for trial in study.trials if trial.tag["generation"] == 0]
    assert [(trial.tag["member"], trial.tag["by"], trial.fidelity) for trial in first] == [
        (0, "start", 2),
        (1, "start", 2),
        (2, "pbt", 2),
        (3, "pbt", 2),
    ]
    assert [trial.params["rate"] for trial in first[:2]] == [0.5, 0.02]
    assert study.replay(2) is not None
    study.close()
    with pytest.raises(InvalidStudy, match="5 points to start from, and the population is 4"):
        tuned(start=[{"rate": 0.1}] * 5)


# --- schedules -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def winner() -> Any:
    study = tuned(name="net", store="memory")
    yield study
    study.close()


def test_a_schedule_says_from_where_to_where_with_what(winner: lt.Study) -> None:
    schedule = winner.schedule()
    assert [(s.start, s.end) for s in schedule] == [(2 * i, 2 * i + 2) for i in range(10)]
    assert schedule[-1].trial == winner.best.number
    assert [winner.trials[s.trial or 0].params for s in schedule] == [s.params for s in schedule]
    assert winner.schedule(schedule[3].trial) == Schedule(schedule[:4])


def test_a_schedule_is_json_and_csv(winner: lt.Study) -> None:
    schedule = winner.schedule()
    assert Schedule.from_json(json.loads(json.dumps(schedule.to_json()))) == schedule
    rows = list(csv.DictReader(schedule.to_csv().splitlines()))
    assert list(rows[0]) == ["from", "to", "trial", "rate"]
    assert [float(row["rate"]) for row in rows] == [s.params["rate"] for s in schedule]


@pytest.mark.parametrize("executor", [lt.Inline(), lt.Processes(2)], ids=["inline", "processes"])
def test_a_schedule_is_trained_again_step_by_step(winner: lt.Study, executor: Executor) -> None:
    again = tuned(Replay(winner.schedule()), executor=executor)
    assert len(again.trials) == 10
    assert rates(again, again.best.number) == rates(winner, winner.best.number)
    assert again.best.metrics == winner.best.metrics
    assert [s.params for s in again.schedule()] == [s.params for s in winner.schedule()]
    again.close()


def test_a_replay_is_settings_as_any(winner: lt.Study) -> None:
    from luthier import plugins

    replay = Replay(winner.schedule())
    named = plugins.named(replay)
    assert named.name == "replay"
    again = plugins.algorithm(replace(named, options=json.loads(json.dumps(named.options))))
    assert again == replay
    assert hash(again) == hash(replay)


def test_a_replay_ends_where_a_stretch_failed() -> None:
    replay = Replay(
        [{"from": 0, "to": 2, "params": {"rate": 0.1}}, {"from": 2, "to": 40, "params": {"rate": 0.2}}]
    )  # type: ignore[arg-type]
    optimizer = replay.start(problem())
    proposal = asked(optimizer, 0)
    assert proposal is not None
    trial = Trial(0, proposal.params, State.RUNNING, 1, fidelity=2, tag=proposal.tag)
    assert asked(optimizer, 1, [trial]) is None
    optimizer.tell([replace(trial, state=State.FAILED)])
    assert asked(optimizer, 1) is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "schedule is empty"),
        ("winner.json", "Use a list of stretches"),
        ([{"from": 0, "params": {}}], 'Write {"from": 0, "to": 10'),
        ([{"from": 1, "to": 3, "params": {}}], "one from 0 on is due"),
        ([{"from": 0, "to": 3, "params": {}}, {"from": 4, "to": 5, "params": {}}], "one from 3 on is due"),
        ([{"from": 0, "to": 30, "params": {"rate": 0.1}}], "ends at 30, and a full training at 40 epochs"),
        ([{"from": 0, "to": 40, "params": {"rate": 7.0}}], "from 0 to 40: parameter 'rate'"),
    ],
)
def test_what_cannot_be_replayed_is_said(given: Any, said: str) -> None:
    with pytest.raises(InvalidStudy, match=said):
        Replay(given).start(problem())


def test_a_study_without_a_fidelity_has_no_schedules() -> None:
    study = lt.Study(RATE, minimize="loss")
    with pytest.raises(LuthierError, match="no fidelity"):
        study.schedule()
    study.close()


def test_a_stretch_is_known_by_the_steps_in_it() -> None:
    schedule = Schedule((Stretch(0, 2, {"rate": 0.1}), Stretch(2, 5, {"rate": 0.2})))
    assert [schedule.params_at(step)["rate"] for step in (1, 2, 3, 5)] == [0.1, 0.1, 0.2, 0.2]
    assert schedule.end == 5


# --- the example, the page and the command line --------------------------------------------------

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder in which the example ran, and the last line that it printed."""
    folder = tmp_path_factory.mktemp("example")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-W", "error", str(ROOT / "examples/population.py")]
    done = subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return folder, done.stdout.splitlines()[-1]


@pytest.fixture
def ran(example: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """In that folder."""
    monkeypatch.chdir(example[0])
    return example[1]


def test_the_page_shows_the_example_and_the_example_runs(ran: str) -> None:
    page = (ROOT / "docs/population.md").read_text(encoding="utf-8")
    assert (ROOT / "examples/population.py").read_text(encoding="utf-8") in page
    first, again = ran.split()
    assert first == again
    for words in (["schedule", "digits"], ["schedule", "digits", "59"], ["schedule", "digits", "--csv"]):
        said = CliRunner().invoke(main, words)
        assert said.exit_code == 0, said.output
        assert len(said.output.splitlines()) == 11
    assert "going on from trial" in CliRunner().invoke(main, ["show", "digits", "59"]).output


def test_a_schedule_from_the_command_line_is_replayed_by_a_study_file(ran: str) -> None:
    said = CliRunner().invoke(main, ["schedule", "digits", "--json"])
    Path("winner.json").write_text(said.output)
    example = {"function": f"{ROOT / 'examples/population.py'}:train", "minimize": "loss", "name": "third"}
    lines = [f"{key} = {json.dumps(value)}" for key, value in example.items()]
    lines += ['algorithm = { name = "replay", schedule = "winner.json" }', "[fidelity]", "epochs = [1, 20]"]
    lines += ["resumes = true", "[space.eta0]", "float = [1e-5, 1e-1]", "log = true"]
    lines += ["[space.alpha]", "float = [1e-6, 1e-1]", "log = true"]
    Path("study.toml").write_text("\n".join(lines))
    done = CliRunner().invoke(main, ["run", "study.toml"])
    assert done.exit_code == 0, done.output
    assert f"{lt.load('third').best.metrics['loss']}" == ran.split(maxsplit=1)[0]
    Path("study.toml").write_text("\n".join(lines).replace("winner.json", "loser.json"))
    done = CliRunner().invoke(main, ["run", "study.toml"])
    assert done.exit_code == 2
    assert "`luthier schedule NAME --json > loser.json`" in done.output
