"""What happens elsewhere is on the page within a second, however many look on; and a studio ends when it is told to."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

import luthier as lt
from luthier.errors import InvalidStudy
from luthier.study import Completed, Record
from tests.studio.conftest import Book, Served


class Listener:
    """A page that listens for changes."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self._answer = answer

    def next(self) -> dict[str, Any] | None:
        """The next message; None when the studio hangs up."""
        while line := self._answer.readline():
            if line.startswith(b"data: "):
                found: dict[str, Any] = json.loads(line[6:])
                return found
        return None

    def until(self, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        while (found := self.next()) is not None:
            if is_so(found):
                return found
        raise AssertionError("the studio hung up")


@contextmanager
def listening(studio: Served, path: str) -> Iterator[Listener]:
    connection = http.client.HTTPConnection("127.0.0.1", studio.port, timeout=20)
    with closing(connection):
        connection.request("GET", path, headers={"cookie": studio.cookie, "accept-encoding": "gzip"})
        answer = connection.getresponse()
        assert answer.status == 200
        assert answer.getheader("content-type") == "text/event-stream; charset=utf-8"
        assert answer.getheader("content-encoding") is None
        yield Listener(answer)


def test_a_trial_of_another_process_is_on_the_page_within_a_second(
    studio: Served, first: str, place: Path
) -> None:
    script = (
        "import sys, time; from luthier.store.url import open_store; from luthier.study import Completed, Record\n"
        "s = open_store(sys.argv[1]); sys.stdin.readline()\n"
        "s.record('first', [Record(5, 1, Completed({'loss': 0.01}))]); print(time.time(), flush=True)"
    )
    with (
        listening(studio, "/s/first/events") as page,
        subprocess.Popen([sys.executable, "-c", script, str(place)], stdin=-1, stdout=-1, text=True) as other,
    ):
        assert page.next() == {
            "seq": 13,
            "state": "open",
            "ended": 5,
            "failed": 1,
            "best": "0.300 ± 0.058 (#1)",
            "process": False,
        }
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdin.write("go\n")
        other.stdin.flush()
        written = float(other.stdout.readline())
        said = page.until(lambda found: found["ended"] == 6)
        text = studio.get("/s/first/part/top").text
        late = time.time() - written
    assert said["best"] == "0.01 (#5)"
    assert re.findall(r'<tr id="trial-(\d)"', text)[0] == "5"
    assert late < 1.0


def test_messages_say_that_and_not_what(studio: Served, first: str) -> None:
    with listening(studio, "/s/first/events") as page:
        assert len(json.dumps(page.next())) < 200


def test_ten_viewers_are_one_poller_and_none_is_none(studio: Served, book: Book, first: str) -> None:
    watch = studio.opened.studio.watch
    pages = [listening(studio, "/s/first/events") for _ in range(10)]
    opened = [page.__enter__() for page in pages]
    for page in opened:
        page.next()
    assert watch.polled == ["study first"]
    book.store.record(first, [Record(5, 1, Completed({"loss": 0.01}))])
    assert {page.until(lambda found: found["ended"] == 6)["seq"] for page in opened} == {14}
    for entered in pages:
        entered.__exit__(None, None, None)
    deadline = time.monotonic() + 20
    while watch.polled and time.monotonic() < deadline:
        time.sleep(0.05)
    assert watch.polled == []


def test_the_list_hears_of_new_studies(studio: Served, place: Path) -> None:
    with listening(studio, "/events") as page:
        assert page.next() == {}
        lt.tune(
            lambda x: x,
            {"x": lt.Float(0, 1)},
            minimize="loss",
            trials=3,
            name="one",
            store=str(place),
            progress=False,
        )
        assert page.until(lambda found: "one" in found and found["one"][1] == "complete")


def test_a_study_that_is_deleted_says_so_to_who_looks_at_it(studio: Served, book: Book, first: str) -> None:
    with listening(studio, "/s/first/events") as page:
        page.next()
        book.store.delete(first)
        assert "no study 'first'" in page.until(lambda found: "error" in found)["error"]


def test_there_is_nothing_to_listen_to_where_there_is_no_study(studio: Served, first: str) -> None:
    assert studio.get("/s/none/events").status == 404


def test_a_studio_with_listeners_ends_at_once(serve: Callable[..., Served], first: str) -> None:
    studio = serve()
    with listening(studio, "/s/first/events") as page:
        page.next()
        began = time.monotonic()
        studio.opened.close()
        while page.next() is not None:
            pass
        assert time.monotonic() - began < 3


TRAIN = """
import sys, time, luthier as lt
def train(x):
    time.sleep(0.4)
    return x
lt.tune(train, {"x": lt.Float(0, 1)}, minimize="loss", trials=500, algorithm="random", name="run", store=sys.argv[1], workers=2, progress=False)
"""


@pytest.mark.parametrize("how", ["pause", "stop"])
def test_a_study_of_another_process_is_paused_or_stopped_from_the_page(
    studio: Served, place: Path, how: str, tmp_path: Path
) -> None:
    script = tmp_path / "train.py"
    script.write_text(TRAIN)
    with subprocess.Popen([sys.executable, str(script), str(place)], stderr=subprocess.DEVNULL) as process:
        try:
            with listening(studio, "/events") as page:
                page.until(lambda found: "run" in found)
            with listening(studio, "/s/run/events") as page:
                page.until(lambda found: found["ended"] >= 2)
                assert studio.post(f"/s/run/{how}").status == 303
                page.until(lambda found: found["state"] == {"pause": "paused", "stop": "stopped"}[how])
            process.wait(20)
        finally:
            process.kill()
    states = {str(trial.state) for trial in lt.load("run", str(place)).trials}
    assert states <= ({"completed"} if how == "pause" else {"completed", "stopped"})


def test_the_command_prints_the_address_with_the_token_and_ends_when_interrupted(
    place: Path, first: str
) -> None:
    command = [
        sys.executable,
        "-m",
        "luthier",
        "studio",
        "--store",
        str(place),
        "--port",
        "0",
        "--no-browser",
    ]
    with subprocess.Popen(command, stdout=-1, stderr=-1, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            address = process.stdout.readline().strip()
            found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/login\?token=([\w-]{43})", address)
            assert found is not None
            connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=20)
            connection.request("GET", "/", headers={"authorization": f"Bearer {found[2]}"})
            assert first in connection.getresponse().read().decode()
            connection.close()
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
            said = process.stderr.read()
            assert said.endswith("Ctrl-C ends the studio; studies go on.\n")
        finally:
            process.kill()


def test_the_command_refuses_a_network_without_a_token(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "luthier", "studio", "--host", "0.0.0.0", "--no-browser"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.returncode == 2
    assert "--token-file" in done.stderr
    assert done.stdout == ""


def test_without_the_extra_the_command_says_which_one(tmp_path: Path) -> None:
    code = "import sys; sys.modules['starlette'] = None; from luthier.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "studio"],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
    )
    assert done.returncode == 2
    assert "luthier[studio]" in done.stderr


def test_a_store_in_memory_is_refused(serve: Callable[..., Served]) -> None:
    with pytest.raises(InvalidStudy, match="--store"):
        serve(store="memory")


def test_the_server_loads_no_pickle_and_no_models(tmp_path: Path) -> None:
    code = "import luthier.studio.serve, sys; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ}
    )
    loaded = set(done.stdout.split())
    assert not loaded & {"sklearn", "pandas", "torch", "skops", "joblib"}


def test_the_page_of_docs_names_every_option() -> None:
    from luthier.cli.studio import studio

    page = (Path(__file__).parents[2] / "docs/studio.md").read_text(encoding="utf-8")
    options = {name for option in studio.params for name in option.opts}
    assert {name for name in options if name not in page} == set()
