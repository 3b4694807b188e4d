"""The process of a studio: it listens, says where, and ends when it is told to."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import threading
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path

import uvicorn

from luthier.errors import InvalidStudy
from luthier.serving.door import Door
from luthier.store.url import place
from luthier.studio.app import Settings, Studio
from luthier.studio.looking import Shelf

PORT = 8765
TRIED = 20
GRACE_SECONDS = 3


class Server(uvicorn.Server):
    """uvicorn, which first lets the pages go that listen for changes: they would keep it waiting."""

    def __init__(self, config: uvicorn.Config, letting_go: Callable[[], None]) -> None:
        super().__init__(config)
        self._letting_go = letting_go

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._letting_go()
        await super().shutdown(sockets)


@dataclass(frozen=True, slots=True)
class Opened:
    """A studio that listens, and is served by `run`."""

    studio: Studio
    socket: socket.socket
    server: Server
    address: str

    @property
    def owner_url(self) -> str:
        """Where to look and change."""
        return f"{self.address}/login?token={self.studio.settings.keys.owner}"

    @property
    def viewer_url(self) -> str:
        """Where to look."""
        return f"{self.address}/login?token={self.studio.settings.keys.viewer}"

    def run(self) -> None:
        """Serve until interrupted."""
        try:
            self.server.run(sockets=[self.socket])
        finally:
            self.socket.close()

    def close(self) -> None:
        """Ask it to end; `run` returns soon after."""
        self.server.should_exit = True


def open_studio(store: str | None, door: Door, *, readonly: bool = False, workers: int = 1) -> Opened:
    """A studio over a store, ready to serve. Raises InvalidStudy where it would not be safe, or the port is taken."""
    door.check()
    if place(store) == "memory":
        raise InvalidStudy(
            "studies in memory can be seen by nobody but the process they are in. Give the studio a file or a server: --store PATH."
        )
    keys = door.keys()
    shelf = Shelf(store)
    listening = door.listen(range(PORT, PORT + TRIED))
    port = listening.getsockname()[1]
    settings = Settings(
        keys, port, door.names, place(store), readonly, secure=door.cert is not None, workers=workers
    )
    studio = Studio(shelf, settings)
    config = uvicorn.Config(
        studio.app(),
        lifespan="on",
        http="h11",
        ws="none",
        log_level="warning",
        access_log=False,  # the token is in an address
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        ssl_certfile=door.cert,
        ssl_keyfile=door.key,
    )
    return Opened(studio, listening, Server(config, studio.watch.close), door.address(port))


def open_browser(url: str) -> None:
    """Show a page in the user's browser, where there is a screen. Not by its address: everybody on the machine could read that off the
    browser's command line.
    """
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return  # a browser for terminals would take this one over

    def show() -> None:
        with tempfile.NamedTemporaryFile(
            "w", prefix="luthier-", suffix=".html", delete=False
        ) as file:  # 0600
            file.write(
                f'<!doctype html><meta http-equiv="refresh" content="0;url={escape(url)}"><title>Luthier</title>'
            )
        webbrowser.open(Path(file.name).as_uri())
        timer = threading.Timer(30.0, Path(file.name).unlink, kwargs={"missing_ok": True})
        timer.daemon = True
        timer.start()

    threading.Thread(target=show, daemon=True).start()
