"""A real studio on a port of this machine, and programs that talk to it as raw as can be."""

from __future__ import annotations

import math
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import luthier as lt
from luthier.serving.door import Door
from luthier.space import Scalar
from luthier.store.base import Store
from luthier.store.url import open_store
from luthier.studio.serve import Opened, open_studio
from luthier.study import (
    Budget,
    Completed,
    Failed,
    Named,
    Objective,
    Outcome,
    Problem,
    Proposal,
    Record,
    Report,
    StudySpec,
)
from tests.calling import Answer, call
from tests.impatient import impatient

SPACE = lt.Space(x=lt.Float(0, 1), n=lt.Int(1, 100), kind=lt.Choice("a", "b", None))


@dataclass
class Served:
    """A studio that runs, and how to call it."""

    opened: Opened

    @property
    def port(self) -> int:
        return self.opened.studio.settings.port

    @property
    def token(self) -> str:
        return self.opened.studio.settings.keys.owner

    @property
    def viewer(self) -> str:
        return self.opened.studio.settings.keys.viewer

    @property
    def cookie(self) -> str:
        return f"{self.opened.studio.settings.cookie}={self.token}"

    def call(
        self,
        path: str,
        method: str = "GET",
        body: str | None = None,
        token: str | None = None,
        **headers: str,
    ) -> Answer:
        """A request with exactly these headers, besides a Host and a length: `sec_fetch_site` is Sec-Fetch-Site."""
        return call(
            self.port, path, method, None if body is None else body.encode(), token, headers, seconds=30
        )

    def get(self, path: str, **headers: str) -> Answer:
        """As the owner's program would."""
        return self.call(path, token=self.token, **headers)

    def post(self, path: str, body: str = "", **headers: str) -> Answer:
        """As the owner's program would."""
        return self.call(path, "POST", body, token=self.token, **headers)

    def raw(self, request: bytes) -> bytes:
        """Any bytes, and what comes back until the studio hangs up."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            found = bytearray()
            while part := connection.recv(65536):
                found += part
            return bytes(found)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "studies.db"


@pytest.fixture
def serve(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Served]]:
    """Starts studios; all are stopped at the end."""
    impatient(monkeypatch)
    running: list[tuple[Opened, threading.Thread]] = []

    def start(*, readonly: bool = False, store: str | Path = place, **door: Any) -> Served:
        opened = open_studio(str(store), Door(port=0, **door), readonly=readonly)
        thread = threading.Thread(target=opened.run, daemon=True)
        thread.start()
        running.append((opened, thread))
        served = Served(opened)
        assert served.call("/healthz").status == 200
        return served

    yield start
    for opened, thread in running:
        opened.close()
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture
def studio(serve: Callable[..., Served]) -> Served:
    return serve()


@dataclass
class Book:
    """A store, written to as an engine would."""

    store: Store
    numbers: dict[str, int] = field(default_factory=dict)

    def study(self, name: str = "first", goal: str = "min", **changes: Any) -> str:
        objective = Objective("loss", "min" if goal == "min" else "max")
        problem = changes.pop("problem", None) or Problem(SPACE, (objective,))
        given = {"budget": Budget(trials=100), **changes}
        self.store.create(StudySpec(name, problem, Named("random"), **given))
        return name

    def trial(self, study: str, outcome: Outcome | float | None, *reports: float, **params: Scalar) -> int:
        """One more trial, with its reports and its end; with None it runs on."""
        point = {"x": 0.5, "n": 3, "kind": "a", **params}
        (trial,) = self.store.propose(
            study, [Proposal(point, tag={"by": "random"})], claim=("me/1/2/3", 60.0)
        )
        said = [Record(trial.number, 1, Report(i, {"loss": value})) for i, value in enumerate(reports)]
        if outcome is not None:
            ended = Completed({"loss": outcome}) if isinstance(outcome, int | float) else outcome
            said.append(Record(trial.number, 1, ended))
        self.store.record(study, said)
        return trial.number


@pytest.fixture
def book(place: Path) -> Iterator[Book]:
    store = open_store(str(place))
    yield Book(store)
    store.close()


@pytest.fixture
def first(book: Book) -> str:
    """A study with a little of everything."""
    name = book.study()
    book.trial(name, 0.5, 0.4, 0.5, 0.6)
    book.trial(name, 0.3, 0.2, 0.3, 0.4, x=0.25)
    book.trial(
        name, Failed("ValueError: no way 12", 'File "/home/me/train.py", line 3, in train\nValueError')
    )
    book.trial(name, 0.4, kind=None)
    book.trial(name, math.nan)
    book.trial(name, None, 0.1)
    return name


@pytest.fixture
def no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that the studio would start fail at once."""

    class Failing(subprocess.Popen[str]):
        def __init__(self, args: Any, **how: Any) -> None:
            streams = {name: how[name] for name in ("stdin", "stdout", "stderr", "text") if name in how}
            super().__init__(["false"], **streams)

    monkeypatch.setattr(subprocess, "Popen", Failing)
