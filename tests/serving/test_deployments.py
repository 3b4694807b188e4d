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


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with a model that is deployed, for tests that leave it so; its process may be on its way up."""
    place = tmp_path_factory.mktemp("deployed")
    keep(place)
    Deployments(place).deploy("fruit")
    yield place
    Deployments(place).stop()


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

    assert mine.previous() == ("fruit", 1)  # what was stopped can come back, unless it is deleted
    delete_model(place, "fruit", 1, force=True)
    assert mine.previous() is None
    with pytest.raises(ModelError, match="that is still there"):
        mine.roll_back()
    with pytest.raises(ModelError, match="no version 1"):
        mine.deploy("fruit", 1)


def test_what_cannot_be_loaded_leaves_what_is_served_as_it_is(deployed: Path) -> None:
    mine = Deployments(deployed)
    healthy(mine)
    pid = pid_of(deployed)
    damaged = keep(deployed, 1)
    (damaged.path / "model.skops").write_bytes(b"else")
    with pytest.raises(
        ModelError, match=r"version 2 of model 'fruit' is not deployed: .* has changed since it was saved"
    ):
        mine.deploy("fruit", 2)
    assert (ask(mine), pid_of(deployed), mine.previous()) == (("fruit", 1), pid, None)


def test_a_killed_process_is_started_again_and_that_is_said(deployed: Path) -> None:
    mine = Deployments(deployed)
    state = healthy(mine)
    before, port = state.restarts, state.port
    assert mine.supervise() is None
    os.kill(pid_of(deployed), signal.SIGKILL)
    wait_for(lambda: not mine.state().alive)  # type: ignore[union-attr]
    assert mine.state().status == "down"  # type: ignore[union-attr]
    said = mine.supervise()
    assert said is not None
    assert "was ended by SIGKILL; it is started again" in said
    state = healthy(mine)
    assert (state.restarts, state.port, ask(mine)) == (before + 1, port, ("fruit", 1))
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


def test_a_process_that_dies_again_and_again_is_started_less_and_less_often(deployed: Path) -> None:
    clock = VirtualClock(time.time() + 1000)
    mine = Deployments(deployed, clock=clock)
    mine.supervise()  # it was steady
    began = []
    while len(began) < 4:
        with suppress(ProcessLookupError):
            os.kill(pid_of(deployed), signal.SIGKILL)
        wait_for(lambda: not mine.state().alive)  # type: ignore[union-attr]
        if mine.supervise() is not None:
            began.append(clock.now())
        clock.sleep(0.25)
    pauses = [later - earlier for earlier, later in pairwise(began)]
    assert pauses == [1.0, 2.0, 4.0]


def test_a_number_that_went_to_another_process_is_not_taken_for_ours(deployed: Path) -> None:
    mine = Deployments(deployed)
    path = deployed / "serving" / "deployment.json"
    real = path.read_text()
    said = json.loads(real)
    machine, _, started, serial = said["process"].split("/")
    path.write_text(json.dumps({**said, "process": f"{machine}/{os.getpid()}/{started}0/{serial}"}))
    state = mine.state()
    assert state is not None
    assert not state.alive
    mine._end(mine._read())  # would have ended this very test
    path.write_text(real)


def test_two_studios_of_one_home_do_not_fight(deployed: Path) -> None:
    mine, theirs = Deployments(deployed), Deployments(deployed)
    with mine._locked():
        assert theirs.supervise() is None
    os.kill(pid_of(deployed), signal.SIGKILL)
    wait_for(lambda: not mine.state().alive)  # type: ignore[union-attr]
    assert [found is None for found in (mine.supervise(), theirs.supervise())] == [False, True]


def test_nobody_else_can_read_the_token_or_the_log(deployed: Path) -> None:
    mine = Deployments(deployed)
    assert stat.S_IMODE((deployed / "serving").stat().st_mode) == 0o700
    for name in ("token", "log", "deployment.json"):
        assert stat.S_IMODE((deployed / "serving" / name).stat().st_mode) == 0o600
    assert len(mine.token()) >= 40
    arguments = Path(f"/proc/{pid_of(deployed)}/cmdline").read_bytes().decode()
    assert mine.token() not in arguments
    assert mine.token() not in (deployed / "serving" / "log").read_text()


def test_where_nothing_was_deployed_looking_leaves_nothing_behind(tmp_path: Path) -> None:
    found = Deployments(tmp_path)
    assert found.supervise() is found.state() is found.current() is None
    assert found.events() == []
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_to_is_said(tmp_path: Path) -> None:
    keep(tmp_path)
    (tmp_path / "serving").write_text("no folder")
    with pytest.raises(ModelError, match=r"cannot be written to \(.*\)"):
        Deployments(tmp_path).deploy("fruit")


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
