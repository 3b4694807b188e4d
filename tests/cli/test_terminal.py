"""What only a real process shows: signals, pipes and terminals."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Study = Callable[..., str]
LUTHIER = [sys.executable, "-m", "luthier"]
SLOW = "import time; [(time.sleep(0.02), trial.report(i, loss=x)) for i in range({steps})]; return x"


def wait_for(read: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Until `read` says yes, for as long as the process lives."""
    import time

    until = time.monotonic() + 60
    while not read():
        assert time.monotonic() < until
        assert process.poll() is None
        time.sleep(0.05)


def ended(folder: Path) -> int:
    return count(folder, "completed")


def running(folder: Path) -> int:
    return count(folder, "running")


def count(folder: Path, state: str) -> int:
    if not (folder / ".luthier/studies.db").exists():
        return 0
    said = subprocess.run([*LUTHIER, "list", "--json"], cwd=folder, capture_output=True, check=False)
    found = json.loads(said.stdout or "[]")
    return int(found[0]["counts"][state]) if found else 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c_ends_in_order_and_the_same_command_goes_on(folder: Path, study: Study, workers: str) -> None:
    file = study(SLOW.format(steps=10), trials=90)
    command = [*LUTHIER, "run", file, "--workers", workers]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(lambda: ended(folder) >= 2, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err.decode()
    assert out.decode().startswith("Interrupted after ")
    assert b"Traceback" not in err
    found = json.loads(
        subprocess.run([*LUTHIER, "list", "--json"], cwd=folder, capture_output=True, check=True).stdout
    )[0]
    assert found["state"] == "interrupted"
    assert found["counts"]["running"] == 0
    assert 2 <= found["counts"]["completed"] < 90
    more = found["counts"]["completed"] + 2
    said = subprocess.run(
        [*LUTHIER, "run", file, "--trials", str(more)], cwd=folder, capture_output=True, check=False
    )
    assert said.returncode == 0, said.stderr.decode()
    assert said.stdout.decode().startswith(f"Done: {more} trials")


def test_a_closed_pipe_is_no_error(folder: Path, study: Study) -> None:
    file = study(trials=2000)
    (folder / file).write_text('algorithm = "random"\n' + (folder / file).read_text())  # which does not think
    subprocess.run([*LUTHIER, "run", file, "--no-progress"], cwd=folder, check=True, capture_output=True)
    for options in ("", "--csv", "--json"):
        command = f"'{sys.executable}' -m luthier trials first {options} | head -n 1"
        said = subprocess.run(
            ["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=False
        )
        assert len(said.stdout.splitlines()) == 1
        assert said.stderr == ""


def on_a_terminal(folder: Path, args: list[str], *, columns: int = 100, **more: str) -> tuple[str, int]:
    """All that a terminal received, and the exit code."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": "40", **more}
    process = subprocess.Popen(
        [*LUTHIER, *args],
        cwd=folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
        close_fds=True,
    )
    os.close(theirs)
    received = b""
    while True:
        if select.select([ours], [], [], 60)[0]:
            try:
                part = os.read(ours, 65536)
            except OSError:  # Linux's way to say that the other side is closed
                break
            if not part:
                break
            received += part
    os.close(ours)
    return received.decode(), process.wait(timeout=60)


def test_on_a_terminal_there_is_one_live_line(folder: Path, study: Study) -> None:
    said, code = on_a_terminal(folder, ["run", study(SLOW.format(steps=5), trials=8)])
    assert code == 0
    assert said.count("━") > 40
    assert "\x1b[2K" in said  # the line is drawn again in its place
    assert "8/8" in said
    assert "\x1b[?25h" in said  # and the cursor comes back
    assert "Done: 8 trials" in said


def test_stop_reaches_a_study_that_another_process_works_on(folder: Path, study: Study) -> None:
    file = study(SLOW.format(steps=1000), trials=30)
    process = subprocess.Popen(
        [*LUTHIER, "run", file], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    wait_for(lambda: running(folder) > 0, process)
    said = subprocess.run(
        [*LUTHIER, "delete", "first", "--yes"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert said.returncode == 2
    assert "somebody is working on study 'first'" in said.stderr
    subprocess.run(
        [*LUTHIER, "stop", "first", "--reason", "lunch"], cwd=folder, check=True, capture_output=True
    )
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 3
    assert out.decode().startswith("Stopped after ")
    assert "lunch" in out.decode()


def test_no_color_is_respected(folder: Path, study: Study) -> None:
    import re

    file = study()
    on_a_terminal(folder, ["run", file])
    said, _ = on_a_terminal(folder, ["list"])
    assert re.search("\x1b\\[[0-9;]*3[0-9]m", said)
    said, _ = on_a_terminal(folder, ["list"], NO_COLOR="1")
    assert not re.search("\x1b\\[[0-9;]*3[0-9]m", said)


def test_delete_asks_at_a_terminal(folder: Path, study: Study) -> None:
    subprocess.run([*LUTHIER, "run", study()], cwd=folder, check=True, capture_output=True)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*LUTHIER, "delete", "first"], cwd=folder, stdin=theirs, stderr=subprocess.PIPE
    )
    os.write(ours, b"n\n")
    _, err = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == 2
    assert b"Delete study 'first' with 5 trials?" in err
    assert b"nothing was deleted" in err


def test_an_error_nobody_meant_shows_its_traceback(folder: Path, study: Study) -> None:
    (folder / "broken_algorithm.py").write_text(
        "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass Broken:\n"
        "    def start(self, problem):\n        raise RuntimeError('a bug')\n"
    )
    file = study()
    path = folder / file
    path.write_text(path.read_text().replace("minimize", 'algorithm = "broken_algorithm:Broken"\nminimize'))
    said = subprocess.run([*LUTHIER, "run", file], cwd=folder, capture_output=True, text=True, check=False)
    assert said.returncode == 1
    assert "RuntimeError: a bug" in said.stderr
    assert "Traceback" in said.stderr
