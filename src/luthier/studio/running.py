"""What may be asked of studies that the studio runs: to go on; and the page of one that is about to begin."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from luthier.errors import InvalidStudy
from luthier.studio.web import form_of, get, may, path_of, post, see

if TYPE_CHECKING:
    from luthier.studio.app import Studio


class Running:
    """The handlers of these addresses."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    def routes(self) -> list[Route]:
        """Every address."""
        return [
            post("/s/{study}/resume", self.resume),
            get("/s/{study}/starting", self.starting),
            get("/s/{study}/starting/part", self.starting_part),
        ]

    async def resume(self, request: Request) -> Response:
        await form_of(request)
        shown = await asyncio.to_thread(self._studio.shown, request)

        def ask() -> str:
            try:
                self._studio.works.resume(shown.name)
            except InvalidStudy:
                return "resumed.not"
            return "resumed"

        return see(f"{path_of('s', shown.name)}?said={await asyncio.to_thread(ask)}")

    def starting(self, request: Request) -> Response:
        """Where a study that was just started is waited for; once it is there, its page."""
        name = request.path_params["study"]
        if name in self._studio.shelf.names():
            return see(path_of("s", name))
        return self._studio.page(
            request,
            "running/starting.html",
            {"study": name, "waits": self._studio.works.working(name), "part": self._part(request, name)},
        )

    def starting_part(self, request: Request) -> Response:
        name = request.path_params["study"]
        if name in self._studio.shelf.names():
            return HTMLResponse(headers={"hx-redirect": path_of("s", name)})
        if not self._studio.works.working(name):  # a page of its own, whose title says so too
            return HTMLResponse(headers={"hx-redirect": path_of("s", name, "starting")})
        return HTMLResponse(self._part(request, name))

    def _part(self, request: Request, name: str) -> Markup:
        works, url = self._studio.works, path_of("s", name, "starting", "part")

        def look() -> dict[str, Any]:
            failure = works.failure(name)
            return {
                "study": name,
                "waits": works.working(name),
                "failure": failure,
                "log": works.log(name, 8_000) if failure else "",
            }

        return self._studio.part("starting", may(request), url, look)
