"""All addresses that a studio answers, read off its routes: so that what is tested of all of them is tested of new ones too."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.routing import Route

from tests.studio.conftest import Served

KNOWN: Mapping[str, str] = {
    "study": "first", "number": "0", "part": "head", "view": "parallel", "form": "csv", "name": "studio.css", "version": "1",
}  # fmt: skip
"""What to put in the place of a parameter of an address, so that there is something."""


def routes(studio: Served) -> Iterator[Route]:
    """Every route, whatever it is wrapped in."""
    app: Any = studio.opened.server.config.app
    while not hasattr(app, "routes"):
        app = app.app
    for route in app.routes:
        assert isinstance(route, Route), route  # something mounted would have to be looked into
        yield route


def filled(path: str, values: Mapping[str, str] = KNOWN) -> str:
    """An address with its parameters put in."""
    return re.sub(r"{(\w+)(?::\w+)?}", lambda found: quote(values.get(found[1], "x"), safe=""), path)


def parameters(path: str) -> list[str]:
    """The names of the parameters of an address."""
    return re.findall(r"{(\w+)(?::\w+)?}", path)


def addresses(studio: Served, method: str) -> list[str]:
    """Every address that is asked for by this method, filled in."""
    return [filled(route.path) for route in routes(studio) if method in (route.methods or ())]


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below a folder, but what SQLite keeps beside its file while somebody reads."""
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.read_bytes()[:4096])
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }
