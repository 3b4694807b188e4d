"""The deployed model: one, in a process that outlives whoever started it, found again by whoever comes later."""

from __future__ import annotations

import http.client
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from itertools import pairwise
from pathlib import Path

import pytest

from luthier.clock import VirtualClock
from luthier.engine.identity import is_gone, name_of
from luthier.errors import ModelError
from luthier.models import delete_model, history_of, list_models
from luthier.serving.deployments import Deployments, State
from tests.models.fruit import keep
from tests.serving.conftest import ROW


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    keep(tmp_path, 0)
    keep(tmp_path, 1)
    yield tmp_path
    with suppress(ModelError):
        Deployments(tmp_path).stop()


def pid_of(place: Path) -> int:
    return int(json.loads((place / "serving" / "deployment.json").read_text())["process"].split("/")[1])


def ask(found: Deployments) -> tuple[str, int]:
    """Who answers."""
    deployment = found.current()
    assert deployment is not None
    connection = http.client.HTTPConnection("127.0.0.1", deployment.port, timeout=60)
    with closing(connection):
        headers = {"authorization": f"Bearer {found.token()}", "content-type": "application/json"}
        connection.request("POST", "/predict", json.dumps({"rows": [ROW]}), headers)
        answer = connection.getresponse()
        said = json.loads(answer.read())
        assert answer.status == 200, said
        return said["model"], said["version"]


def healthy(found: Deployments, seconds: float = 60) -> State:
    end = time.monotonic() + seconds
    while True:
        found.supervise()
        state = found.state()
        assert state is not None
        if state.status == "ok":
            return state
        assert time.monotonic() < end, state
        time.sleep(0.05)


def test_a_model_is_deployed_replaced_rolled_back_and_stopped(place: Path) -> None:
    mine = Deployments(place)
    assert mine.current() is mine.state() is mine.previous() is None
    first = mine.deploy("fruit", 1)
    assert ask(mine) == ("fruit", 1)
    assert mine.deploy("fruit", 1) == first  # as it is already
    token = mine.token()

    second = mine.deploy("fruit", 2)
    assert (ask(mine), mine.previous()) == (("fruit", 2), ("fruit", 1))
    assert (second.port, mine.token()) == (first.port, token)  # whoever calls it goes on doing so
    assert mine.roll_back().version == 1
    assert ask(mine) == ("fruit", 1)
    assert mine.previous() is None
    with pytest.raises(ModelError, match="no other model was deployed before"):
        mine.roll_back()

    state = mine.state()
    assert state is not None
    assert (state.status, state.alive, state.restarts, state.last_error) == ("ok", True, 0, None)
    assert state.metrics is not None
    assert state.metrics["requests"] == 1
    assert any("POST /predict 200" in line for line in state.log)

    process = name_of(pid_of(place))
    mine.stop()
    assert is_gone(process)
    assert mine.current() is mine.state() is mine.supervise() is None
    with pytest.raises(ModelError, match="no model is deployed"):
        mine.stop()
    told = [(event.what, event.version) for event in mine.events()]
    assert told == [
        ("deployed", 1),
        ("undeployed", 1),
        ("deployed", 2),
        ("rolled back deployment", 2),
        ("deployed", 1),
        ("undeployed", 1),
    ]
    assert [(e.what, e.version) for e in history_of(place, "fruit") if "deploy" in e.what] == told
    assert [model.champion for model in list_models(place)] == [True, False]  # which is another matter


def test_what_was_stopped_or_deleted_and_what_comes_back(place: Path) -> None:
    mine = Deployments(place)
    mine.deploy("fruit", 2)
    mine.stop()
    assert mine.previous() == ("fruit", 2)
    delete_model(place, "fruit", 2)
    assert mine.previous() is None
    with pytest.raises(ModelError, match="that is still there"):
        mine.roll_back()
    with pytest.raises(ModelError, match="no version 2"):
        mine.deploy("fruit", 2)


def test_what_cannot_be_loaded_leaves_what_is_served_as_it_is(place: Path) -> None:
    mine = Deployments(place)
    mine.deploy("fruit")
    pid = pid_of(place)
    (place / "models" / "fruit" / "2" / "model.skops").write_bytes(b"else")
    with pytest.raises(
        ModelError, match=r"version 2 of model 'fruit' is not deployed: .* has changed since it was saved"
    ):
        mine.deploy("fruit", 2)
    assert (ask(mine), pid_of(place), mine.previous()) == (("fruit", 1), pid, None)


def test_a_killed_process_is_started_again_and_that_is_said(place: Path) -> None:
    mine = Deployments(place)
    port = mine.deploy("fruit").port
    assert mine.supervise() is None
    os.kill(pid_of(place), signal.SIGKILL)
    wait_for(lambda: not mine.state().alive)  # type: ignore[union-attr]
    assert mine.state().status == "down"  # type: ignore[union-attr]
    said = mine.supervise()
    assert said is not None
    assert "was ended by SIGKILL; it is started again" in said
    state = healthy(mine)
    assert (state.restarts, state.port, ask(mine)) == (1, port, ("fruit", 1))
    assert state.last_restart is not None
    assert "SIGKILL" in state.last_restart["why"]
    assert "SIGKILL" in str(state.last_error)
    assert mine.events()[-1].what == "restarted"


def test_a_model_outlives_who_deployed_it_and_is_found_by_the_next(place: Path) -> None:
    code = f"""
from luthier.serving.deployments import Deployments
Deployments({str(place)!r}).deploy("fruit", 2)
print("deployed", flush=True)
input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as studio:
        assert studio.stdout is not None
        assert studio.stdout.readline() == b"deployed\n"
        studio.kill()
    later = Deployments(place)
    assert ask(later) == ("fruit", 2)
    assert later.supervise() is None
    os.kill(pid_of(place), signal.SIGKILL)
    wait_for(lambda: not later.state().alive)  # type: ignore[union-attr]
    assert "was gone; it is started again" in str(later.supervise())
    assert healthy(later).version == 2


def test_a_process_that_dies_again_and_again_is_started_less_and_less_often(place: Path) -> None:
    clock = VirtualClock(1_000_000)
    mine = Deployments(place, clock=clock)
    mine.deploy("fruit")
    began = []
    while len(began) < 4:
        with suppress(ProcessLookupError):
            os.kill(pid_of(place), signal.SIGKILL)
        wait_for(lambda: not mine.state().alive)  # type: ignore[union-attr]
        if mine.supervise() is not None:
            began.append(clock.now())
        clock.sleep(0.25)
    pauses = [later - earlier for earlier, later in pairwise(began)]
    assert pauses == [1.0, 2.0, 4.0]


def test_a_number_that_went_to_another_process_is_not_taken_for_ours(place: Path) -> None:
    mine = Deployments(place)
    mine.deploy("fruit")
    path = place / "serving" / "deployment.json"
    said = json.loads(path.read_text())
    real = said["process"]
    machine, _, started, serial = real.split("/")
    said["process"] = f"{machine}/{os.getpid()}/{started}0/{serial}"
    path.write_text(json.dumps(said))
    state = mine.state()
    assert state is not None
    assert not state.alive
    mine.stop()  # would have ended this very test
    os.kill(int(real.split("/")[1]), signal.SIGTERM)
    wait_for(lambda: is_gone(real))
    mine._reap(real)


def test_two_studios_of_one_home_do_not_fight(place: Path) -> None:
    mine, theirs = Deployments(place), Deployments(place)
    mine.deploy("fruit")
    with mine._locked():
        assert theirs.supervise() is None
    os.kill(pid_of(place), signal.SIGKILL)
    wait_for(lambda: not mine.state().alive)  # type: ignore[union-attr]
    assert [found is None for found in (mine.supervise(), theirs.supervise())] == [False, True]


def test_nobody_else_can_read_the_token_or_the_log(place: Path) -> None:
    mine = Deployments(place)
    mine.deploy("fruit")
    assert stat.S_IMODE((place / "serving").stat().st_mode) == 0o700
    for name in ("token", "log", "deployment.json"):
        assert stat.S_IMODE((place / "serving" / name).stat().st_mode) == 0o600
    assert len(mine.token()) >= 40
    arguments = Path(f"/proc/{pid_of(place)}/cmdline").read_bytes().decode()
    assert mine.token() not in arguments
    assert mine.token() not in (place / "serving" / "log").read_text()


def test_a_damaged_file_says_what_to_do(place: Path) -> None:
    (place / "serving").mkdir()
    (place / "serving" / "deployment.json").write_text("{")
    with pytest.raises(ModelError, match="Delete it, and deploy again"):
        Deployments(place).current()


def wait_for(true: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)
