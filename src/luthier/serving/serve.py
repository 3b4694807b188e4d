"""The process that listens for one model: it opens the door, keeps the model's process alive, and ends when it is told to."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from luthier.serving.app import Endpoint
from luthier.serving.door import Door, Keys
from luthier.serving.predictor import Predictor
from luthier.serving.source import Source
from luthier.serving.wire import as_json

PORT = 9000
TRIED = 20
GRACE_SECONDS = 10
MOST_LOG_BYTES = 2_000_000


@dataclass(slots=True)
class Opened:
    """A model that is served by `run`, at `address`, to those with one of the `keys`."""

    endpoint: Endpoint
    door: Door
    keys: Keys
    server: uvicorn.Server
    socket: socket.socket | None = None

    @property
    def address(self) -> str:
        """How to call it."""
        assert self.socket is not None
        return self.door.address(self.socket.getsockname()[1])

    @property
    def curl(self) -> str:
        """A line for a shell that asks for a prediction of a typical row."""
        return curl(self.address, self.keys.owner, self.endpoint.rows.example)

    def listen(self) -> None:
        """Take the port; raises InvalidStudy where somebody else has it."""
        if self.socket is None:
            self.socket = self.door.listen(range(PORT, PORT + TRIED))

    def run(
        self,
        *,
        patient: bool = False,
        loaded: Callable[[], None] | None = None,
        began: Callable[[Opened], None] | None = None,
    ) -> None:
        """Serve until interrupted. Raises ModelError where the model cannot be loaded; if `patient`, it is tried again and again.

        `loaded` is called, and waited for, before the port is taken, unless it is; `began` when requests are answered from now on.
        """
        try:
            asyncio.run(self._run(patient, loaded, began))
        finally:
            if self.socket is not None:
                self.socket.close()

    async def _run(
        self, patient: bool, loaded: Callable[[], None] | None, began: Callable[[Opened], None] | None
    ) -> None:
        predictor = self.endpoint.predictor
        watching: asyncio.Task[None] | None = None
        try:
            if not patient:
                await predictor.start()
            watching = asyncio.create_task(predictor.run())
            if loaded is not None:
                await asyncio.to_thread(loaded)
            self.listen()
            assert self.socket is not None
            if began is not None:
                began(self)
            await self.server.serve(sockets=[self.socket])
        finally:
            if watching is not None:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
            await predictor.close()

    def close(self) -> None:
        """Ask it to end; `run` returns soon after."""
        self.server.should_exit = True


def open_server(
    source: Source,
    door: Door,
    *,
    log: Callable[[str], None] | None = None,
    memory: int | None = None,
) -> Opened:
    """A model ready to be served. Raises InvalidStudy where it would not be safe to listen. `memory` is what the model's process may
    have, in bytes: 4 GiB and ten times the model unless told otherwise.
    """
    door.check()
    keys = door.keys()
    endpoint = Endpoint(source, Predictor(source, memory=memory, log=log))
    config = uvicorn.Config(
        endpoint.app(keys, door.names, log or (lambda line: None)),
        lifespan="off",
        http="h11",
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        ssl_certfile=door.cert,
        ssl_keyfile=door.key,
    )
    return Opened(endpoint, door, keys, uvicorn.Server(config))


def curl(address: str, token: str | None, row: Mapping[str, Any]) -> str:
    """A line for a shell that asks the model at this address about a row; without a token it is to be in the shell's $TOKEN."""
    body = as_json({"rows": [row]}).decode()
    sent = (
        '"Authorization: Bearer $TOKEN"' if token is None else shlex.quote(f"Authorization: Bearer {token}")
    )
    return f"curl -H {sent} -H 'Content-Type: application/json' -d {shlex.quote(body)} {address}/predict"


def to_stderr(line: str) -> None:
    """A line of the access log."""
    with suppress(OSError):
        os.write(2, f"{line}\n".encode("utf-8", "replace"))


@dataclass(slots=True)
class LogFile:
    """Lines to standard error, which is a file opened to append to; what is older than the last megabytes goes."""

    path: Path
    most: int = MOST_LOG_BYTES
    _lines: int = 0

    def __call__(self, line: str) -> None:
        to_stderr(line)
        self._lines += 1
        if self._lines % 500 == 0:
            with suppress(OSError):
                if self.path.stat().st_size > self.most:
                    shutil.copyfile(self.path, self.path.with_suffix(".old"))
                    os.truncate(self.path, 0)
