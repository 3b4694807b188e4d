"""Studies of commands on the command line, and `luthier logs`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep

import pytest

from tests.cli.conftest import Luthier

Study = Callable[..., str]

STUDY = """
name = "c"
command = {command}
minimize = "loss"
[space.x]
float = [0, 1]
[budget]
trials = {trials}
"""


@pytest.fixture
def write(folder: Path) -> Study:
    """Writes a study of a script that is given as text."""

    def call(body: str, *, trials: int = 3, more: str = "", words: str = "{x}") -> str:
        (folder / "train.py").write_text(f"import os, sys\nx = float(sys.argv[-1])\n{body}\n")
        command = f"'{sys.executable} -S train.py {words}'"
        (folder / "c.toml").write_text(STUDY.format(command=command, trials=trials) + more)
        return "c.toml"

    return call


def test_a_study_of_a_command_is_run_shown_and_its_logs_too(
    luthier: Luthier, write: Study, folder: Path
) -> None:
    file = write(
        "print('here is', x); print(f'luthier: step=1 loss={(x - 0.3) ** 2}')\nprint('done', file=sys.stderr)"
    )
    said = luthier("doctor", file, "--try")
    assert said.code == 0
    assert f"the command runs {sys.executable}, and every placeholder has a parameter" in said.out
    assert "reported loss at steps 1 to 1; it ended with loss 0." in said.out
    said = luthier("run", file)
    assert said.code == 0
    assert said.err.startswith(f"Tuning {sys.executable} -S train.py {{x}}, minimise loss\n")
    assert said.out.startswith("Done: 3 trials in ")
    assert f"question   {sys.executable} -S train.py {{x}}, minimise loss" in luthier("show", "c").out
    x = luthier("trials", "c", "--json").json[1]["params"]["x"]
    said = luthier("logs", "c", "1")
    assert said.out == f"here is {x}\nluthier: step=1 loss={(x - 0.3) ** 2}\ndone\n"
    assert said.err == "trial 1, attempt 1: exit code 0\n"
    assert "logs c 1" in luthier("show", "c", "1").out
    assert json.loads((folder / ".luthier/work/c/1/1/params.json").read_text()) == {"x": x}
    assert luthier("run", file).out.startswith("c is complete")


def test_what_a_function_prints_is_in_its_log(luthier: Luthier, study: Study, folder: Path) -> None:
    file = study("print('here is', x) if trial.number else None\n    return {'loss': x}", trials=2)
    path = folder / file
    path.write_text("workers = 2\n" + path.read_text())
    assert luthier("run", file).code == 0
    said = luthier("logs", "first", "1")
    assert said.out.startswith("here is 0.")
    assert said.err == ""
    said = luthier("logs", "first", "0")
    assert (said.code, said.out) == (0, "")
    assert said.err == "luthier: note: trial 0, attempt 1: nothing was printed.\n"


def test_a_log_is_followed_until_the_trial_ends(luthier: Luthier, write: Study, folder: Path) -> None:
    """The trial waits until its first line was seen, then ends with another."""
    file = write(
        "import time\nprint('first', flush=True)\n"
        "while not os.path.exists('seen'): time.sleep(0.01)\n"
        "print('luthier: loss=1')",
        trials=1,
    )
    runner = subprocess.Popen(
        [sys.executable, "-m", "luthier", "run", file, "--no-progress"], stdout=subprocess.DEVNULL
    )
    log = folder / ".luthier/work/c/0/1/output.log"
    try:
        until(lambda: log.is_file() and log.read_text() == "first\n")
        follower = subprocess.Popen(
            [sys.executable, "-m", "luthier", "logs", "c", "0", "-f"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert follower.stdout is not None
        assert follower.stdout.readline() == "first\n"
        assert follower.poll() is None
        (folder / "seen").touch()
        out, err = follower.communicate(timeout=20)
        assert (out, err) == ("luthier: loss=1\n", "trial 0, attempt 1: exit code 0\n")
        assert runner.wait(20) == 0
    finally:
        runner.kill()
        runner.wait()


def until(true: Callable[[], bool]) -> None:
    end = monotonic() + 20
    while not true():
        assert monotonic() < end
        sleep(0.02)


def test_the_first_failure_is_said_at_once(luthier: Luthier, write: Study) -> None:
    said = luthier("run", write("print(f'epoch 3: val_loss={x}')", trials=2))
    assert said.code == 1
    assert "trial 0 failed: the command ended without saying 'loss'" in said.err
    assert 'metrics.loss = "val_loss=([-+.0-9eE]+)"' in said.err


def test_metrics_are_read_as_the_file_says(luthier: Luthier, write: Study) -> None:
    file = write("print(f'epoch 3: val_loss={x}')", trials=2, more='[metrics]\nloss = "val_loss=([0-9.]+)"\n')
    assert luthier("run", file).code == 0
    trial = luthier("show", "c", "0", "--json").json
    assert trial["metrics"]["loss"] == pytest.approx(trial["params"]["x"])
    assert luthier("show", "c", "0").out.count("1 report") == 1


def test_what_cannot_run_is_said_before_the_first_trial(luthier: Luthier, write: Study, folder: Path) -> None:
    said = luthier("run", write("", words="{xx}"))
    assert said.code == 2
    assert "there is no parameter 'xx'. Did you mean {x}?" in said.err
    assert not (folder / ".luthier").exists()
    said = luthier("run", write("", words="3"))
    assert "luthier: the command has no placeholder for x" in said.err


def test_logs_of_what_is_not_there(luthier: Luthier, write: Study) -> None:
    assert luthier("run", write("print('luthier: loss=1')", trials=1)).code == 0
    said = luthier("logs", "c", "5")
    assert said.code == 2
    assert "has no trial 5" in said.err
    said = luthier("logs", "c", "0", "--attempt", "2")
    assert said.code == 2
    assert "trial 0 of 'c' has had 1 attempt, so there is no attempt 2." in said.err
