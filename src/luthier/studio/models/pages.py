"""The pages of models: the board, one version, what may be asked of it."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import zipfile
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from markupsafe import Markup
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from luthier.errors import LuthierError, ModelError
from luthier.estimators import BUNDLED
from luthier.models.aside import Aside
from luthier.models.champions import promote, rollback
from luthier.models.files import FILES
from luthier.models.notes import NOTES, card_of, note
from luthier.models.registry import checked, delete_model
from luthier.serving.rows import MOST_BYTES
from luthier.studio.drafts.tables import Tables
from luthier.studio.models import saving, views
from luthier.studio.models.cabinet import Cabinet, Shown
from luthier.studio.models.deploying import Deploying
from luthier.studio.models.errands import Errands
from luthier.studio.models.imports import MOST_BYTES as MOST_BUNDLE
from luthier.studio.models.imports import Imports
from luthier.studio.models.trying import Trying
from luthier.studio.models.uploads import file_of
from luthier.studio.web import complain, done, download, form_of, get, may, numbers, only_owner, post, see
from luthier.studio.words import say
from luthier.summary import plural

if TYPE_CHECKING:
    from luthier.studio.app import Studio

Handler = Callable[[Request], Awaitable[Response]]


class Models:
    """The handlers of these addresses."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self.cabinet = Cabinet(studio.shelf.home)
        self.aside = Aside()
        self.trying = Trying(studio.shelf.home)
        self.errands = Errands()
        self.deploying = Deploying(studio.shelf.home)
        self.imports = Imports(studio.shelf.home, self.aside)
        self._tables = Tables(Path.cwd())
        self._types: dict[str, list[str]] = {}
        self._supervising: asyncio.Task[None] | None = None

    def routes(self) -> list[Route]:
        """Every address."""
        one = "/models/{name}/{version:int}"
        return [
            get("/models", self.board),
            get(one, self.version),
            get("/models/part/{part}", self.board_part),
            get("/models/events", self.events),
            get("/models/scores.json", self.scores_numbers),
            get("/models/{name}", self.champion),
            get(f"{one}/part/{{part}}", self.version_part),
            get(f"{one}/predictions.csv", self.predictions),
            get(f"{one}/card.md", self.card),
            get(f"{one}/bundle.zip", self.bundle),
            get(f"{one}/predict.py", self.bundle),
            get(f"{one}/model.skops", self.file),
            post(f"{one}/test", self.test),
            post(f"{one}/try", self.try_row),
            post(f"{one}/table", self.try_table),
            post(f"{one}/note", self.note),
            post(f"{one}/promote", self.promote),
            post(f"{one}/rollback", self.rollback),
            post(f"{one}/delete", self.delete),
            post(f"{one}/deploy", self.deploy),
            get(f"{one}/curl.txt", self.curl),
            post("/s/{study}/t/{number:int}/save", self.save),
            post("/models/import", self.receive),
            get("/models/imports/{key}", self.received),
            post("/models/imports/{key}/keep", self.keep_received),
            post("/models/imports/{key}/drop", self.drop_received),
            post("/models/serving/stop", self.stop_serving),
            post("/models/serving/rollback", self.roll_back_serving),
        ]

    async def open(self) -> None:
        """Keep what is deployed alive from now on; a studio that is there to look at leaves that to others."""
        if not self._studio.settings.readonly:
            self._supervising = asyncio.create_task(self.deploying.supervise())

    async def close(self) -> None:
        """End every process that a page started to look at a model; what is deployed goes on."""
        if self._supervising is not None:
            self._supervising.cancel()
            with suppress(asyncio.CancelledError):
                await self._supervising
        self.aside.close()
        await self.trying.close()

    # --- the board -------------------------------------------------------------------------------

    def board(self, request: Request) -> Response:
        parts = {name: self._board(request, name) for name in ("serving", "board", "chart", "imports")}
        listing = views.Listing.of(request.query_params)
        src = "/models/scores.json" + (f"?{urlencode({'score': listing.score})}" if listing.score else "")
        return self._studio.page(
            request, "models/board.html", {"said": done(request, "models.said"), "src": src, **parts}
        )

    def board_part(self, request: Request) -> Response:
        return HTMLResponse(self._board(request, request.path_params["part"]))

    def _board(self, request: Request, name: str) -> Markup:
        listing = views.Listing.of(request.query_params)
        place = self._studio.settings.place
        looks: dict[str, Callable[[], Mapping[str, Any]]] = {
            "board": lambda: self._lines(views.board(self.cabinet.all(), listing, place)),
            "imports": lambda: {"waiting": self.imports.waiting()},
            "chart": lambda: views.chart(self.cabinet.all(), listing.score),
            "kept": lambda: views.not_kept(self._studio.shelf),
            "serving": self._serving,
        }
        if name not in looks:
            raise HTTPException(404)
        query = listing.query()
        return self._studio.part(f"models_{name}", may(request), f"/models/part/{name}{query}", looks[name])

    def _lines(self, found: dict[str, Any]) -> dict[str, Any]:
        now = self._deployed()
        for line in found["lines"]:
            line["errand"] = self.errands.of(line["name"], line["version"])
            line["deployed"] = (line["name"], line["version"]) == now
        return found

    def _deployed(self) -> tuple[str, int] | None:
        try:
            now = self.deploying.current()
        except LuthierError:
            return None  # the panel says why
        return None if now is None else (now.model, now.version)

    def _beginning(self, one: Shown) -> dict[str, Any]:
        """What is shown of a version that is not deployed: that it is about to be, or why it could not."""
        mine = [
            errand
            for errand in self.errands.now("deploy")
            if errand[:2] == (one.model.name, one.model.version)
        ]
        return {"on": None, "previous": None, "errands": mine, "saving": []}

    def _serving(self) -> dict[str, Any]:
        return {
            **self.deploying.panel(),
            "errands": self.errands.now("deploy"),
            "saving": self.errands.now("save"),
        }

    def scores_numbers(self, request: Request) -> Response:
        metric = request.query_params.get("score") or None
        version = f"{self.cabinet.glance()} {metric!r}".encode("ascii", "backslashreplace").hex()
        return numbers(request, version, lambda: views.over_time(self.cabinet.all(), metric))

    async def events(self, request: Request) -> Response:
        def look() -> dict[str, Any]:
            return {
                "models": self.cabinet.glance(),
                "errands": self.errands.serial,
                "serving": self.deploying.glance(),
            }

        return self._studio.watch.events("models", look)

    # --- one version -----------------------------------------------------------------------------

    def champion(self, request: Request) -> Response:
        """The version that is used, or the latest one where none is."""
        name = request.path_params["name"]
        try:
            found = self.cabinet.versions(name)
        except ModelError as error:
            return self._studio.refuse(request.scope, 404, str(error))
        one = next((one for one in found if one.model.champion), found[-1])
        return see(views.address(name, one.model.version))

    def version(self, request: Request) -> Response:
        try:
            one = self._one(request)
        except ModelError as error:
            return self._studio.refuse(request.scope, 404, str(error))
        query = request.query_params
        names = ("head", "serving", "scores", "since", "card")
        about = {
            "name": one.model.name,
            "version": one.model.version,
            "base": views.address(one.model.name, one.model.version),
            "said": done(request, "models.said"),
            "verdict": views.verdict(one) if query.get("said") == "verdict" else None,
            **{name: self._part(request, name) for name in names},
            **{name: self._part(request, name) for name in ("lineage", "inputs", "curl")},
            "trying": self._part(request, "try"),
        }
        return self._studio.page(request, "models/version.html", about)

    def version_part(self, request: Request) -> Response:
        try:
            self._one(request)
        except ModelError as error:
            return self._studio.refuse(request.scope, 404, str(error))
        return HTMLResponse(self._part(request, request.path_params["part"]))

    def _one(self, request: Request) -> Shown:
        return self.cabinet.one(request.path_params["name"], request.path_params["version"])

    def _part(self, request: Request, name: str) -> Markup:
        looks: dict[str, Callable[[Shown], Mapping[str, Any]]] = {
            "head": lambda one: (
                views.head(one, self.cabinet.versions(one.model.name))
                | self._data(request)
                | {
                    "errand": self.errands.of(one.model.name, one.model.version),
                    "deployed": (one.model.name, one.model.version) == self._deployed(),
                }
            ),
            "serving": lambda one: (
                self._serving()
                if (one.model.name, one.model.version) == self._deployed()
                else self._beginning(one)
            ),
            "scores": lambda one: (
                views.scores(one)
                | {"errand": self.errands.of(one.model.name, one.model.version)}
                | {"confusion": views.confusion(one)}
                | self._data(request)
            ),
            "lineage": lambda one: views.lineage(one, self._studio.shelf.names()),
            "types": self._types_of,
            "inputs": views.inputs,
            "try": lambda one: self._try(request, one),
            "curl": self._curl,
            "card": views.card,
            "since": views.since,
        }
        if name not in looks:
            raise HTTPException(404)
        base = views.address(request.path_params["name"], request.path_params["version"])
        look = looks[name]
        return self._studio.part(
            f"models_{name}",
            may(request),
            f"{base}/part/{name}",
            lambda: {"base": base, **look(self._one(request))},
        )

    def _data(self, request: Request) -> dict[str, Any]:
        """What a model can be tested on; only for who may."""
        names = [*self._tables.files(), *BUNDLED] if may(request) else []
        return {"tables": names, "root": str(self._tables.root)}

    def _try(self, request: Request, one: Shown) -> dict[str, Any]:
        key = request.query_params.get("tried")
        said = self.trying.said(key)
        if said is not None and (said.name, said.version) != (one.model.name, one.model.version):
            said = None
        problem = one.problem or (None if one.model.signed else say("models.unsigned.how"))
        answer = None
        if said is not None and said.answer is not None:
            answer = {
                "value": said.answer["predictions"][0],
                "chances": list(
                    zip(said.answer["classes"] or (), (said.answer["probabilities"] or [()])[0], strict=False)
                ),
            }
        return views.fields(one, said.given if said is not None and said.given else None) | {
            "said": said,
            "answer": answer,
            "key": key,
            "gone": key is not None and said is None,
            "problem": problem,
            "most": MOST_BYTES,
        }

    def _curl(self, one: Shown) -> dict[str, Any]:
        now = self.deploying.current()
        mine = now is not None and (now.model, now.version) == (one.model.name, one.model.version)
        return {
            "deployed": mine,
            "command": views.curl(one, now.url if now is not None and mine else views.ELSEWHERE),
            "serve": None if mine else views.serving(one, self._store()),
        }

    def _store(self) -> str | None:
        """The store as a command names it, without a password; None for the one that is meant anyway."""
        return None if self._studio.shelf.url is None else self._studio.settings.place

    def _types_of(self, one: Shown) -> dict[str, Any]:
        key = str((one.about.get("files") or {}).get(FILES["skops"]))
        if one.problem:
            raise ModelError(one.problem)
        if key not in self._types:
            self._types[key] = self.aside("types", home=str(self.cabinet.home), **_named(one))
        types = self._types[key]
        text = say("models.types.known", n=plural(len(types), "type")) if types else say("models.types.none")
        return {"text": text, "types": types}

    # --- files -----------------------------------------------------------------------------------

    def predictions(self, request: Request) -> Response:
        said = self.trying.said(request.query_params.get("tried"))
        path = request.path_params
        if said is None or not said.csv or (said.name, said.version) != (path["name"], path["version"]):
            return self._studio.refuse(request.scope, 404, say("models.table.gone"))
        named = f"{said.name}-{said.version}-predictions.csv"
        return Response(said.csv, media_type="text/csv", headers=download(named))

    def card(self, request: Request) -> Response:
        def make(one: Shown) -> Response:
            text = card_of(one.model, one.events)
            named = f"{one.model.name}-{one.model.version}.md"
            return Response(text, media_type="text/markdown", headers=download(named))

        return self._given(request, make)

    def file(self, request: Request) -> Response:
        only_owner(request)

        def make(one: Shown) -> Response:
            if one.about.get("serializer") != "skops":
                raise ModelError(
                    f"{one.model.what} is not in the format skops, and files that run code are not handed out."
                )
            checked(one.model, FILES["skops"])
            path = one.model.path / FILES["skops"]
            named = f"{one.model.name}-{one.model.version}.skops"
            return FileResponse(path, media_type="application/octet-stream", headers=download(named))

        return self._given(request, make)

    def bundle(self, request: Request) -> Response:
        """The export as a zip, or the one script in it."""
        only_owner(request)
        wanted = request.url.path.rpartition("/")[2]

        def make(one: Shown) -> Response:
            folder = Path(tempfile.mkdtemp(prefix="luthier-"))
            away = BackgroundTask(partial(shutil.rmtree, folder, ignore_errors=True))
            try:
                onnx = request.query_params.get("onnx")
                source = None if not onnx else self._source(onnx)
                named = f"{one.model.name}-{one.model.version}"
                path = folder / "bundle.zip"
                self.aside("export", home=str(self.cabinet.home), **_named(one), to=str(path), onnx=source)
                if wanted == "predict.py":
                    with zipfile.ZipFile(path) as archive:
                        text = archive.read(f"{named}/predict.py")
                    return Response(
                        text, media_type="text/x-python", headers=download("predict.py"), background=away
                    )
                headers = download(f"{named}.zip")
                return FileResponse(path, media_type="application/zip", headers=headers, background=away)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise

        return self._given(request, make)

    def _given(self, request: Request, make: Callable[[Shown], Response]) -> Response:
        try:
            one = self._one(request)
        except ModelError as error:
            return self._studio.refuse(request.scope, 404, str(error))
        try:
            if one.problem:
                raise ModelError(one.problem)
            return make(one)
        except LuthierError as error:
            return self._studio.refuse(request.scope, 422, str(error))

    # --- what changes something ------------------------------------------------------------------

    async def test(self, request: Request) -> Response:
        """Begin a test: of the rows held back, or of the data set chosen."""
        form = await form_of(request)

        def begin(one: Shown) -> str:
            chosen = form.get("data", "")
            source = self._source(chosen) if chosen else None
            target = (form.get("target") or None) if chosen and chosen not in BUNDLED else None
            ask = partial(
                self.aside, "test", home=str(self.cabinet.home), **_named(one), data=source, target=target
            )
            begun = self.errands.begin(one.model.name, one.model.version, "test", ask)
            if form.get("back") == "board":
                return "/models"
            return f"{views.address(one.model.name, one.model.version)}?said={'tested' if begun else 'busy'}#scores"

        return await self._change(request, begin)

    async def try_row(self, request: Request) -> Response:
        form = await form_of(request)
        try:
            one = await asyncio.to_thread(self._usable, request)
            names, texts = views.row_of(one, form)
            key = await self.trying.row(one.model.name, one.model.version, names, texts, form)
        except LuthierError as error:
            return self._studio.refuse(request.scope, 422, str(error))
        return see(f"{views.address(one.model.name, one.model.version)}?tried={key}#try")

    async def try_table(self, request: Request) -> Response:
        name = request.path_params["name"]
        large = say("models.table.large", most="8 MB", name=name)
        async with file_of(request, "file", MOST_BYTES, large) as file:
            content = await file.read()
        try:
            one = await asyncio.to_thread(self._usable, request)
            key = await self.trying.table(one.model.name, one.model.version, content)
        except LuthierError as error:
            return self._studio.refuse(request.scope, 422, str(error))
        return see(f"{views.address(one.model.name, one.model.version)}?tried={key}#try")

    async def save(self, request: Request) -> Response:
        """Begin to make a model of a trial; it appears on the board when it is one."""
        await form_of(request)

        def begin() -> str:
            shown, number = self._studio.shown(request), request.path_params["number"]
            found = saving.of_trial(self._studio.shelf, shown, shown.trial(number))
            if found["model"] is not None:
                return str(found["model"]["href"])
            if not found["savable"]:
                raise HTTPException(422, say("models.save.cannot", number=number))
            store = self._studio.shelf.url
            self.errands.begin(shown.name, number, "save", partial(saving.save, store, shown.name, number))
            return "/models"

        return see(await asyncio.to_thread(begin))

    async def receive(self, request: Request) -> Response:
        """A bundle from elsewhere is put aside, to be looked at; nothing of it is used."""
        large = say("models.import.large", most=f"{MOST_BUNDLE >> 20} MB")
        async with file_of(request, "file", MOST_BUNDLE, large) as file:
            try:
                key = await asyncio.to_thread(self.imports.receive, file.file)
            except LuthierError as error:
                return self._studio.refuse(request.scope, 422, str(error))
        return see(f"/models/imports/{key}")

    def received(self, request: Request) -> Response:
        """What a bundle says of itself."""
        only_owner(request)
        try:
            found = self.imports.look(request.path_params["key"])
        except LuthierError as error:
            return self._studio.refuse(request.scope, 404, str(error))
        return self._studio.page(request, "models/import.html", found)

    async def keep_received(self, request: Request) -> Response:
        await form_of(request)
        return await self._with_received(request, self.imports.keep)

    async def drop_received(self, request: Request) -> Response:
        await form_of(request)
        return await self._with_received(request, self.imports.drop)

    async def _with_received(self, request: Request, do: Callable[[str], str]) -> Response:
        try:
            return see(await asyncio.to_thread(do, request.path_params["key"]))
        except LuthierError as error:
            return self._studio.refuse(request.scope, 422, str(error))

    async def deploy(self, request: Request) -> Response:
        form = await form_of(request)

        def begin(one: Shown) -> str:
            name, version = one.model.name, one.model.version

            def do() -> None:
                try:
                    self.deploying.of.deploy(name, version)
                finally:
                    self.deploying.changed()

            self.errands.begin(name, version, "deploy", do)
            return "/models" if form.get("back") == "board" else views.address(name, version)

        return await self._change(request, begin)

    async def stop_serving(self, request: Request) -> Response:
        await form_of(request)
        return await self._serve_other(self.deploying.of.stop)

    async def roll_back_serving(self, request: Request) -> Response:
        await form_of(request)
        return await self._serve_other(self.deploying.of.roll_back)

    async def _serve_other(self, do: Callable[[], object]) -> Response:
        before = self._deployed()
        try:
            await asyncio.to_thread(do)
        finally:
            self.deploying.changed()
        now = self._deployed() or before
        return see("/models" if now is None else views.address(*now))

    def curl(self, request: Request) -> Response:
        """The command with the token of the deployed model; for its owner alone."""
        only_owner(request)
        now = self.deploying.current()

        def make(one: Shown) -> Response:
            if now is None or (now.model, now.version) != (one.model.name, one.model.version):
                raise ModelError(say("models.curl.gone"))
            text = views.curl(one, now.url, self.deploying.of.token())
            return PlainTextResponse(text, headers={"cache-control": "no-store"})

        return self._given(request, make)

    async def note(self, request: Request) -> Response:
        form = await form_of(request)

        def write(one: Shown) -> str:
            said = {key: form[key].replace("\r\n", "\n") for key in NOTES if key in form}
            note(self.cabinet.home, one.model.name, one.model.version, said)
            return f"{views.address(one.model.name, one.model.version)}?said=noted#card"

        return await self._change(request, write)

    async def promote(self, request: Request) -> Response:
        form = await form_of(request)

        def decide(one: Shown) -> str:
            chosen = form.get("data", "")
            page = f"{views.address(one.model.name, one.model.version)}?said=verdict"
            if not chosen:
                force = form.get("force") == "yes"
                promote(self.cabinet.home, one.model.name, one.model.version, force=force)
                return page
            source = self._source(chosen)
            self.aside("decide", home=str(self.cabinet.home), **_named(one), data=source, target=None)
            return page

        return await self._change(request, decide)

    async def rollback(self, request: Request) -> Response:
        await form_of(request)

        def back(one: Shown) -> str:
            version = rollback(self.cabinet.home, one.model.name)
            return f"{views.address(one.model.name, version)}?said=rolled"

        return await self._change(request, back)

    async def delete(self, request: Request) -> Response:
        form = await form_of(request)

        def remove(one: Shown) -> str:
            name, version = one.model.name, one.model.version
            if one.model.champion and form.get("name", "").strip() != name:
                return f"{views.address(name, version)}?said=unnamed"
            delete_model(self.cabinet.home, name, version, force=one.model.champion)
            return "/models?said=deleted"

        return await self._change(request, remove)

    async def _change(self, request: Request, do: Callable[[Shown], str]) -> Response:
        def change() -> str:
            return do(self._one(request))

        try:
            return see(await asyncio.to_thread(change))
        except LuthierError as error:
            complain(error)
            return self._studio.refuse(request.scope, 422, str(error))

    def _usable(self, request: Request) -> Shown:
        one = self._one(request)
        if one.problem:
            raise ModelError(one.problem)
        return one

    def _source(self, name: str) -> str:
        """Where a data set is that a browser named: one of the list, never a path."""
        if name in BUNDLED:
            return name
        if name in self._tables.files():
            return str(self._tables.root / name)
        raise ModelError(say("drafts.data.missing", name=name, root=self._tables.root))


def _named(one: Shown) -> dict[str, Any]:
    return {"name": one.model.name, "version": one.model.version}
