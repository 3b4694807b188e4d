"""The addresses of files that leave the studio."""

from __future__ import annotations

import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Route

from luthier.errors import InvalidFilter, StoreUnavailable
from luthier.store.url import copy_of, place
from luthier.studio.commands import command, complaint, environment
from luthier.studio.export import tables
from luthier.studio.looking import Shown, filtered
from luthier.studio.web import download, get, only_owner, sendable
from luthier.studio.words import say
from luthier.studyfile import to_python, to_toml

if TYPE_CHECKING:
    from luthier.studio.app import Studio

REPORT_SECONDS = 300
WAIT_SECONDS = 20
MENU = (
    ("report.html", "export.report"),
    ("trials.csv", "export.csv"),
    ("trials.jsonl", "export.jsonl"),
    ("study.toml", "export.toml"),
    ("study.py", "export.python"),
    *((("trials.parquet", "export.parquet"),) if tables.has_parquet() else ()),
)
"""What can be had of a study: the file, and the key of what it is called."""


class Export:
    """The handlers of these addresses."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._reporting = threading.Lock()

    def routes(self) -> list[Route]:
        """Every address."""
        return [
            get("/export/database", self.database),
            get("/s/{study}/export/report.html", self.report),
            get("/s/{study}/export/study.{form}", self.study),
            get("/s/{study}/export/trials.{form}", self.trials),
        ]

    def trials(self, request: Request) -> Response:
        """All trials, or those that the filter of the page means, as they come from the store."""
        form = request.path_params["form"]
        if form not in tables.FORMATS:
            raise HTTPException(404)
        shown = self._studio.shown(request)
        numbers = _asked(shown, request.query_params.get("f", ""))
        headers = download(f"{shown.name}.{form}")
        if form == "parquet":
            return _file(
                headers, tables.FORMATS[form], lambda target: tables.as_parquet(shown, numbers, target)
            )
        text = tables.as_csv(shown, numbers) if form == "csv" else tables.as_lines(shown, numbers)
        return StreamingResponse(map(sendable, text), media_type=tables.FORMATS[form], headers=headers)

    def study(self, request: Request) -> Response:
        """The study file, of a study that has one, as TOML or as Python."""
        write = {"toml": to_toml, "py": to_python}.get(request.path_params["form"])
        shown = self._studio.shown(request)
        given = self._studio.works.given(shown.name)
        if write is None or given is None:
            raise HTTPException(404)
        headers = download(f"{shown.name}.{request.path_params['form']}")
        return Response(write(given), media_type="text/plain; charset=utf-8", headers=headers)

    def report(self, request: Request) -> Response:
        """The study as one page that needs no network. It is made by a process of its own: it fits models and draws, and a studio stays
        small.
        """
        shown = self._studio.shown(request)

        def make(target: Path) -> None:
            if not self._reporting.acquire(timeout=WAIT_SECONDS):  # one at a time
                raise HTTPException(503, say("export.busy"))
            try:
                _run(["report", "--output", str(target), "--", shown.name], self._studio.shelf.url)
            finally:
                self._reporting.release()

        return _file(download(f"{shown.name}.html"), "text/html; charset=utf-8", make)

    def database(self, request: Request) -> Response:
        """A copy of the whole store as of this moment, for its owner."""
        only_owner(request)
        url = self._studio.shelf.url
        self._studio.shelf.store()
        try:
            return _file(
                download(Path(place(url)).name),
                "application/vnd.sqlite3",
                lambda target: copy_of(url, target),
            )
        except StoreUnavailable as error:
            raise HTTPException(422, str(error)) from None


def _asked(shown: Shown, text: str) -> Sequence[int]:
    if not text.strip():
        return range(len(shown))
    try:
        return [int(number) for number in filtered(shown, text)]
    except InvalidFilter as error:
        raise HTTPException(422, str(error)) from None


def _file(headers: dict[str, str], kind: str, make: Callable[[Path], None]) -> Response:
    """A file that is made, sent, and removed then, whether or not it arrived."""
    folder = tempfile.TemporaryDirectory(prefix="luthier-")
    target = Path(folder.name, "file")
    try:
        make(target)
    except BaseException:
        folder.cleanup()
        raise
    return FileResponse(target, headers=headers, media_type=kind, background=BackgroundTask(folder.cleanup))


def _run(arguments: list[str], url: str | None) -> None:
    try:
        done = subprocess.run(
            command(*arguments),
            env=environment(url),
            capture_output=True,
            text=True,
            timeout=REPORT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise HTTPException(503, say("export.long", seconds=REPORT_SECONDS)) from None
    if done.returncode:
        raise HTTPException(
            503, say("export.failed", error=complaint(done.stderr) or done.stderr.strip()[-500:])
        )
