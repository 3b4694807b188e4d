"""The addresses of what a person does with studies and trials besides running them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from luthier import api
from luthier.errors import InvalidStudy
from luthier.files import opened
from luthier.studio import views
from luthier.studio.looking import Shown
from luthier.studio.manage import again, trial
from luthier.studio.manage.settings import settings
from luthier.studio.web import done, download, fields_of, form_of, get, may, path_of, post, see
from luthier.studio.words import say
from luthier.study.remarks import archived, noted, tagged
from luthier.summary import plural

if TYPE_CHECKING:
    from luthier.studio.app import Studio

MOST_LOG = 64_000
CHUNK = 1 << 16
NOTE_BYTES = 200_000


class Manage:
    """The handlers of these addresses."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    def routes(self) -> list[Route]:
        """Every address."""
        study, number = "/s/{study}", "/s/{study}/t/{number:int}"
        return [
            post("/archive", self.archive),
            get("/settings", self.settings),
            get(f"{study}/manage", self.manage),
            post(f"{study}/archive", self.archive_one),
            post(f"{study}/delete", self.delete),
            post(f"{study}/note", self.note),
            post(f"{study}/retry", self.retry),
            post(f"{number}/note", self.note),
            post(f"{number}/tags", self.tags),
            get(f"{number}/near", self.near),
            get(f"{number}/output", self.output),
            get(f"{number}/files/{{name:path}}", self.file),
        ]

    # --- studies ---------------------------------------------------------------------------------

    def manage(self, request: Request) -> Response:
        """The page of what can be done with a study as a whole."""
        shown = self._studio.shown(request)
        return self._manage(request, shown)

    def _manage(
        self, request: Request, shown: Shown, wrong: str | None = None, status: int = 200
    ) -> Response:
        url = self._studio.shelf.url
        about = {
            "study": shown.name,
            "tab": "/manage",
            "seq": shown.columns.cursor,
            "said": done(request),
            "head": self._studio.head(request, shown),
            "note": shown.remarks.note,
            "plural": plural,
            "has_file": self._studio.works.given(shown.name) is not None,
            "archived": shown.remarks.archived is not None,
            "trials": len(shown),
            "versions": api.versions_of(shown.name, url),
            "wrong": wrong,
        }
        return self._studio.page(request, "manage/study.html", about, status)

    async def archive(self, request: Request) -> Response:
        """Put the selected studies away, or take them back."""
        fields = await fields_of(request, count=500)
        undo = "undo" in fields

        def do() -> int:
            shelf = self._studio.shelf
            names = [name for name in dict.fromkeys(fields.get("s", ())) if name in shelf.names()]
            if names:
                with shelf.writing() as store:
                    for name in names:
                        store.remember(name, archived(None if undo else shelf.clock.now()))
            return len(names)

        done = await asyncio.to_thread(do)
        said = "archived.none" if not done else "unarchived" if undo else "archived"
        return see(f"/?{'archived=1&' if undo else ''}said={said}")

    async def archive_one(self, request: Request) -> Response:
        fields = await form_of(request)
        shown = await asyncio.to_thread(self._studio.shown, request)
        undo = "undo" in fields
        await self._remember(shown, archived(None if undo else self._studio.shelf.clock.now()))
        return see(f"{path_of('s', shown.name)}/manage?said={'unarchived' if undo else 'archived'}")

    async def delete(self, request: Request) -> Response:
        """Delete a study for ever; its name is typed to say that it is meant."""
        fields = await form_of(request)
        shown = await asyncio.to_thread(self._studio.shown, request)
        if fields.get("name", "").strip() != shown.name:
            wrong = say("delete.wrong", given=fields.get("name", "").strip()[:200])
            return await asyncio.to_thread(self._manage, request, shown, wrong, 422)
        if await asyncio.to_thread(self._studio.works.alive, shown.name):  # it may be about to begin
            wrong = say("works.busy", name=shown.name)
            return await asyncio.to_thread(self._manage, request, shown, wrong, 409)
        try:
            await asyncio.to_thread(
                api.delete_study, shown.name, self._studio.shelf.url, models="models" in fields
            )
        except InvalidStudy as error:
            return await asyncio.to_thread(self._manage, request, shown, str(error), 409)
        return see("/?said=deleted")

    # --- what people say -------------------------------------------------------------------------

    async def _remember(self, shown: Shown, facts: dict[str, Any]) -> None:
        def keep() -> None:
            with self._studio.shelf.writing() as store:
                store.remember(shown.name, facts)

        await asyncio.to_thread(keep)

    async def note(self, request: Request) -> Response:
        """Keep a note with a study or a trial; not over one that somebody else wrote meanwhile."""
        fields = {name: values[-1] for name, values in (await fields_of(request, most=NOTE_BYTES)).items()}
        shown = await asyncio.to_thread(self._studio.shown, request)
        number = request.path_params.get("number")
        if number is not None:
            await asyncio.to_thread(shown.trial, number)
        try:
            fact = noted(number, fields.get("text", ""))
        except InvalidStudy as error:
            raise HTTPException(422, str(error)) from None
        said = await asyncio.to_thread(lambda: shown.remarks)
        there = said.note if number is None else said.notes.get(number, "")
        was = fields.get("was", there).replace("\r\n", "\n").strip()
        if there not in (was, *fact.values()):
            raise HTTPException(409, say("note.changed", text=there, yours=fields.get("text", "")))
        await self._remember(shown, fact)
        base = path_of("s", shown.name)
        return see(f"{base}/manage?said=noted" if number is None else f"{base}/t/{number}?said=noted")

    async def tags(self, request: Request) -> Response:
        """Put tags on a trial, or take one from it."""
        fields = await form_of(request)
        shown = await asyncio.to_thread(self._studio.shown, request)
        number = request.path_params["number"]
        await asyncio.to_thread(shown.trial, number)
        facts: dict[str, Any] = {}
        try:
            for tag in fields.get("add", "").replace(",", " ").split():
                facts |= tagged(number, tag)
            if "off" in fields:
                facts |= tagged(number, fields["off"], on=False)
        except InvalidStudy as error:
            raise HTTPException(422, str(error)) from None
        if facts:
            await self._remember(shown, facts)
        return see(f"{path_of('s', shown.name)}/t/{number}?said=tagged")

    # --- trials ----------------------------------------------------------------------------------

    async def retry(self, request: Request) -> Response:
        fields = await form_of(request)
        shown = await asyncio.to_thread(self._studio.shown, request)
        first = views.whole(fields.get("first"), -1)
        said = await asyncio.to_thread(again.retry, self._studio.shelf, shown, first)
        if said == "retried.idle" and await asyncio.to_thread(self._studio.works.resumed, shown.name):
            said = "retried.resumed"
        return see(f"{path_of('s', shown.name)}?said={said}")

    def near(self, request: Request) -> Response:
        """The trials nearest to one, as a part of its page."""
        shown, number = self._studio.shown(request), request.path_params["number"]
        base = path_of("s", shown.name)
        return HTMLResponse(
            self._studio.part(
                "near",
                may(request),
                f"{base}/t/{number}/near",
                lambda: {"base": base, **trial.nearest(shown, number)},
            )
        )

    def output(self, request: Request) -> Response:
        """What a trial printed after so many bytes, and how many there are now."""
        shown, number = self._studio.shown(request), request.path_params["number"]
        found = shown.trial(number)
        after = max(0, views.whole(request.query_params.get("after"), 0))
        text, size = self._studio.shelf.log(shown.name, found, MOST_LOG, after) or ("", 0)
        return JSONResponse({"text": text, "size": size, "running": not found.state.ended})

    def file(self, request: Request) -> Response:
        """An artifact of a trial, as a download; only what is listed on its page, whatever the address says."""
        shown, number = self._studio.shown(request), request.path_params["number"]
        shown.trial(number)
        asked = request.path_params["name"]
        kept = next(
            (k for k in trial.artifacts(self._studio.shelf, shown.name, number) if k.name == asked), None
        )
        if kept is None:
            raise HTTPException(404)
        try:
            file = opened(kept.path, self._studio.shelf.files(shown.name).root)
        except OSError:
            raise HTTPException(404) from None
        length = os.fstat(file.fileno()).st_size
        headers = download(kept.path.name) | {"content-length": str(length)}
        return StreamingResponse(_read(file, length), media_type="application/octet-stream", headers=headers)

    def settings(self, request: Request) -> Response:
        """How the studio is set up, and what this browser has chosen."""
        return self._studio.page(request, "manage/settings.html", settings(self._studio, request))


def _read(file: BinaryIO, length: int) -> Iterator[bytes]:
    """So many bytes of a file, which is closed then: one that grows meanwhile does not make the answer longer than was said."""
    with file as stream:
        while length > 0 and (part := stream.read(min(CHUNK, length))):
            length -= len(part)
            yield part
