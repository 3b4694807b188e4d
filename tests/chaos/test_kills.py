"""Studies whose workers and engines are killed at random moments, and that come out whole."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

import luthier as lt
from luthier.study import State, Trial

SCRIPT = """
import sys, time
import luthier as lt
from luthier.engine.rules import Rules
from tests.chaos.test_kills import SPACE, loss

def train(trial):
    for step in range(3):
        time.sleep(0.02)
        trial.report(step, loss=loss(trial.params))
    return loss(trial.params)

algorithm, trials, batch, store = sys.argv[1:]
lt.tune(train, SPACE, minimize="loss", trials=int(trials) or None, workers=4, algorithm=algorithm,
        deterministic=int(batch), name="chaos", store=store, progress=False, rules=Rules(attempts=1000))
"""

SPACE = lt.Space(
    a=lt.Int(0, 4), b=lt.Int(0, 3), c=lt.Choice("x", "y", "z"), d=lt.Int(0, 1), e=lt.Choice(True, False)
)  # 240 points


def loss(params: dict[str, lt.space.Scalar]) -> float:
    return abs(int(params["a"] or 0) - 2) + int(params["b"] or 0) / 7 + (params["c"] == "y") * 0.3


def children(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[1]) == pid and fields[0] != "Z":
                found.append(int(stat.parent.name))
    return found


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def done(store: str) -> int:
    """How many trials have ended."""
    try:
        study = lt.load("chaos", store)
    except lt.LuthierError:
        return -1
    try:
        return study.history.ended
    finally:
        study.close()


def disturb(arguments: list[str], trials: int, chance: random.Random, engine_kills: int) -> int:
    """Run the study to its end while random workers are killed, and the engine `engine_kills` times on the way; how
    many workers were.
    """
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "src")])}
    due = [trials * (i + 1) // (engine_kills + 2) for i in range(engine_kills)]
    kills, before = 0, -1
    while True:
        engine = subprocess.Popen([sys.executable, "-c", SCRIPT, *arguments], env=environment)
        try:
            while engine.poll() is None:
                time.sleep(chance.uniform(0.02, 0.15))
                ended = done(arguments[-1])
                if due and ended >= due[0]:
                    kill(engine.pid)
                    due.pop(0)
                    break
                workers = children(engine.pid)
                if (
                    workers and ended > before
                ):  # on a slow machine too, let them get somewhere between two kills
                    before = ended
                    kill(chance.choice(workers))
                    kills += 1
            else:
                assert engine.returncode == 0
                assert not due, "the study ended before its engine was killed as often as was meant"
                return kills
        finally:
            kill(engine.pid)
            engine.wait(10)


def shown(trials: list[Trial]) -> list[tuple[int, str]]:
    return [(trial.number, repr(dict(trial.params))) for trial in trials]


def check_whole(trials: list[Trial], expected: int) -> None:
    assert [trial.state for trial in trials] == [State.COMPLETED] * expected
    assert [trial.number for trial in trials] == list(range(expected))
    for trial in trials:
        assert trial.metrics == {"loss": loss(dict(trial.params))}
        assert [report.step for report in trial.reports] == [0, 1, 2]


SHORT = pytest.param(60, 2, id="short")
LONG = pytest.param(200, 6, id="long", marks=pytest.mark.chaos)


@pytest.mark.parametrize(("trials", "engine_kills"), [SHORT, LONG])
def test_a_disturbed_study_ends_with_the_same_proposals_as_an_undisturbed_one(
    tmp_path: Path, trials: int, engine_kills: int
) -> None:
    store = str(tmp_path / "studies.db")
    kills = disturb(["evolution", str(trials), "4", store], trials, random.Random(trials), engine_kills)
    study = lt.load("chaos", store)
    check_whole(study.trials, trials)
    undisturbed = lt.tune(
        lambda trial: loss(dict(trial.params)),
        SPACE,
        minimize="loss",
        trials=trials,
        algorithm="evolution",
        deterministic=4,
        progress=False,
    )
    assert shown(study.trials) == shown(undisturbed.trials)
    assert kills > 0
    assert max(trial.attempt for trial in study.trials) > 1


@pytest.mark.chaos
def test_a_disturbed_grid_has_every_point_exactly_once(tmp_path: Path) -> None:
    store = str(tmp_path / "studies.db")
    disturb(["grid", "0", "0", store], 240, random.Random(1), engine_kills=4)
    trials = lt.load("chaos", store).trials
    check_whole(trials, 240)
    assert len({SPACE.key(trial.params) for trial in trials}) == 240
