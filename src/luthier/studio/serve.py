"""The process of a studio: it listens, says where, and ends when it is told to."""

from __future__ import annotations

import ipaddress
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
from luthier.store.url import place
from luthier.studio.app import Settings, Studio
from luthier.studio.guard import Keys
from luthier.studio.looking import Shelf

PORT = 8765
TRIED = 20
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
GRACE_SECONDS = 3


@dataclass(frozen=True, slots=True)
class Door:
    """Where to listen, and for whom; `check` refuses what would leave the studio open to a network."""

    host: str = "127.0.0.1"
    port: int | None = None
    token_file: Path | None = None
    allow_hosts: tuple[str, ...] = ()
    cert: Path | None = None
    key: Path | None = None

    def check(self) -> None:
        """Raises InvalidStudy where it is not safe to listen."""
        if (self.cert is None) != (self.key is None):
            raise InvalidStudy("--cert and --key belong together. Give both, or neither.")
        if not self.is_local and self.token_file is None:
            raise InvalidStudy(
                f"--host {self.host} lets others on the network reach the studio, so it needs a token that you made: --token-file FILE. "
                "Make one: (umask 077; openssl rand -hex 32 > token). Without it, use ssh -L 8765:127.0.0.1:8765 to reach a studio "
                "on another machine."
            )

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def names(self) -> frozenset[str]:
        """The names that a request may be sent to."""
        own = (
            {self.host}
            if self.is_local
            else {self.host, socket.gethostname().lower(), socket.getfqdn().lower()}
        )
        return LOCAL | own | {name.lower() for name in self.allow_hosts}

    def keys(self) -> Keys:
        """The tokens: those of the file, or new ones."""
        return Keys.new() if self.token_file is None else Keys.read(self.token_file)

    def listen(self) -> socket.socket:
        """A socket; of the default port and those after it the first that is free."""
        ports = [self.port] if self.port is not None else range(PORT, PORT + TRIED)
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        problem: OSError | None = None
        for port in ports:
            # Named as TCP, else asyncio does not see that it is, and every answer waits 40 ms for Nagle.
            found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            try:
                if os.name == "posix":
                    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                found.bind((self.host, port))
                found.listen(128)
            except OSError as error:
                found.close()
                problem = error
            else:
                return found
        raise InvalidStudy(
            f"the studio cannot listen on {self.host} port {self.port or PORT}: {problem}. Give another one with --port, or 0 for any."
        )


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


def open_studio(store: str | None, door: Door, *, readonly: bool = False) -> Opened:
    """A studio over a store, ready to serve. Raises InvalidStudy where it would not be safe, or the port is taken."""
    door.check()
    if place(store) == "memory":
        raise InvalidStudy(
            "studies in memory can be seen by nobody but the process they are in. Give the studio a file or a server: --store PATH."
        )
    keys = door.keys()
    shelf = Shelf(store)
    listening = door.listen()
    port = listening.getsockname()[1]
    scheme = "http" if door.cert is None else "https"
    name = f"[{door.host}]" if ":" in door.host else door.host
    if door.host in ("0.0.0.0", "::"):
        name = socket.gethostname()
    settings = Settings(keys, port, door.names, place(store), readonly, secure=door.cert is not None)
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
    return Opened(studio, listening, Server(config, studio.watch.close), f"{scheme}://{name}:{port}")


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
