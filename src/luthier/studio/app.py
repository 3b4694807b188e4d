"""The studio's addresses, and what each of them answers."""

from __future__ import annotations

import asyncio
import json
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs, quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route
from starlette.types import ASGIApp, Scope

from luthier.engine.plan import PAUSED
from luthier.errors import LuthierError, StudyNotFound
from luthier.studio import charts, views
from luthier.studio.guard import Guard, Keys
from luthier.studio.looking import Shelf, Shown
from luthier.studio.static import asset, stamp
from luthier.studio.watch import Watch
from luthier.studio.words import SCRIPT, WORDS, say
from luthier.summary import budgeted, is_at_work, plural

MOST_BYTES = 64_000
"""No form of ours is longer."""
MOST_TRIALS = 1_000_000
MONTH = 30 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Settings:
    """How a studio is opened: who may call it, by which names, and whether anybody may change something."""

    keys: Keys
    port: int
    hosts: frozenset[str]
    place: str
    readonly: bool = False
    secure: bool = False

    @property
    def cookie(self) -> str:
        """Its name. Browsers send a cookie to every port of a host, so the port is in it."""
        return f"luthier_{self.port}"


class Studio:
    """The handlers of all addresses, over one store."""

    def __init__(self, shelf: Shelf, settings: Settings) -> None:
        self.shelf = shelf
        self.settings = settings
        self.watch = Watch()
        self._pages = Environment(
            loader=PackageLoader("luthier.studio"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._pages.filters["segment"] = lambda name: quote(str(name), safe="")
        self._pages.globals |= {
            "say": say,
            "stamp": stamp,
            "place": settings.place,
            "script_words": json.dumps({key: WORDS[key] for key in SCRIPT}),
            "readonly": settings.readonly,
        }

    # --- pages -----------------------------------------------------------------------------------

    def page(self, request: Request, template: str, values: Mapping[str, Any], status: int = 200) -> Response:
        """A whole page."""
        signed_in = request.scope.get("role") is not None
        may = request.scope.get("role") == "owner"
        text = self._pages.get_template(template).render(may=may, signed_in=signed_in, **values)
        return HTMLResponse(text, status)

    def part(self, name: str, may: bool, url: str, look: Callable[[], Mapping[str, Any]]) -> Markup:
        """A part of a page; where it cannot be shown, it says so, and the others are."""
        try:
            values, template = look(), f"parts/{name}.html"
        except Exception as error:
            _report(error)
            values, template = {"error": str(error) or type(error).__name__}, "parts/failed.html"
        return Markup(self._pages.get_template(template).render(may=may, url=url, **values))

    def refuse(self, scope: Scope, status: int, text: str) -> Response:
        """An answer to what cannot be: a page for people, a sentence for programs."""
        request = Request(scope)
        if "text/html" not in request.headers.get("accept", ""):
            return PlainTextResponse(f"{text}\n", status)
        if status == 401:
            return self.page(request, "login.html", {"wrong": None}, status)
        return self.page(request, "refused.html", {"text": text}, status)

    def studies(self, request: Request) -> Response:
        return self.page(request, "studies.html", {"part": self._list(request)})

    def studies_part(self, request: Request) -> Response:
        return HTMLResponse(self._list(request))

    def _list(self, request: Request) -> Markup:
        def look() -> dict[str, Any]:
            lines = [views.line(shown) for shown in self.shelf.studies()]
            return {
                "lines": lines,
                "count": say(
                    "list.count",
                    n=plural(len(lines), "study").replace("studys", "studies"),
                    place=self.settings.place,
                ),
            }

        return self.part("list", _may(request), "/part", look)

    def study(self, request: Request) -> Response:
        shown = self._shown(request)
        said = request.query_params.get("said", "")
        parts = {name: self._part(request, shown, name) for name in ("head", "best", "top", "workers")}
        about = {
            "study": shown.name,
            "tab": "overview",
            "seq": shown.columns.cursor,
            "said": WORDS.get(f"said.{said}"),
        }
        return self.page(request, "study.html", about | parts)

    def study_part(self, request: Request) -> Response:
        return HTMLResponse(self._part(request, self._shown(request), request.path_params["part"]))

    def _part(self, request: Request, shown: Shown, name: str) -> Markup:
        looks: dict[str, Callable[[], Mapping[str, Any]]] = {
            "head": lambda: views.head(self.shelf, shown),
            "best": lambda: views.best(shown),
            "top": lambda: views.board(shown, n=views.FEW),
            "board": lambda: views.board(shown, views.Listing.of(request.query_params)),
            "workers": lambda: views.workers(shown),
            "failures": lambda: views.failures(shown),
            "words": lambda: views.in_words(self.shelf, shown),
        }
        if name not in looks:
            raise HTTPException(404)
        base = _path("s", shown.name)
        query = views.Listing.of(request.query_params).query if name == "board" else ""
        look = looks[name]
        return self.part(
            name,
            _may(request),
            f"{base}/part/{name}{query}",
            lambda: {"study": shown.name, "base": base, **look()},
        )

    def trials(self, request: Request) -> Response:
        return self._tab(request, "trials", "board")

    def failures(self, request: Request) -> Response:
        return self._tab(request, "failures", "failures")

    def _tab(self, request: Request, tab: str, part: str) -> Response:
        shown = self._shown(request)
        about = {
            "study": shown.name,
            "tab": tab,
            "seq": shown.columns.cursor,
            "said": None,
            "head": self._part(request, shown, "head"),
            "part": self._part(request, shown, part),
        }
        return self.page(request, "tab.html", about)

    def trial(self, request: Request) -> Response:
        shown, number = self._shown(request), request.path_params["number"]
        shown.trial(number)
        said = WORDS.get(f"said.{request.query_params.get('said', '')}")
        about = {
            "study": shown.name,
            "number": number,
            "said": said,
            "part": self._trial(request, shown, number),
        }
        return self.page(request, "trial.html", about)

    def trial_part(self, request: Request) -> Response:
        return HTMLResponse(self._trial(request, self._shown(request), request.path_params["number"]))

    def _trial(self, request: Request, shown: Shown, number: int) -> Markup:
        base = _path("s", shown.name)
        look = lambda: {"study": shown.name, "base": base, **views.trial(self.shelf, shown, number)}  # noqa: E731
        return self.part("trial", _may(request), f"{base}/t/{number}/part", look)

    # --- numbers of charts -----------------------------------------------------------------------

    def best_numbers(self, request: Request) -> Response:
        shown = self._shown(request)
        return _numbers(request, f"{shown.columns.cursor}", lambda: charts.best_so_far(shown.columns))

    def curve_numbers(self, request: Request) -> Response:
        shown = self._shown(request)
        found = shown.trial(request.path_params["number"])
        metric = shown.spec.problem.objective.metric
        return _numbers(request, f"{found.seq}", lambda: charts.curve(found, metric))

    # --- what is live ----------------------------------------------------------------------------

    async def study_events(self, request: Request) -> Response:
        name = request.path_params["study"]
        await asyncio.to_thread(self.shelf.study, name)
        return self._events(request, f"study {name}", lambda: views.glance(self.shelf.study(name)))

    async def list_events(self, request: Request) -> Response:
        def look() -> dict[str, Any]:
            return {
                shown.name: [shown.columns.cursor, views.stands(shown).word] for shown in self.shelf.studies()
            }

        return self._events(request, "list", look)

    def _events(self, request: Request, topic: str, look: Callable[[], Mapping[str, Any]]) -> Response:
        return StreamingResponse(
            self.watch.listen(topic, look),
            media_type="text/event-stream",
            headers={"x-accel-buffering": "no"},
        )

    # --- what changes something ------------------------------------------------------------------

    async def pause(self, request: Request) -> Response:
        return await self._ask_to_stop(request, PAUSED, "paused")

    async def stop(self, request: Request) -> Response:
        return await self._ask_to_stop(request, "asked to, in the studio", "stopped")

    async def _ask_to_stop(self, request: Request, reason: str, said: str) -> Response:
        await _form(request)
        shown = await asyncio.to_thread(self._shown, request)

        def ask() -> str:
            if not is_at_work(shown.row, self.shelf.clock.now()):
                return "idle"
            with self.shelf.writing() as store:
                store.request_stop(shown.name, None, reason)
            return said

        return _see(f"{_path('s', shown.name)}?said={await asyncio.to_thread(ask)}")

    async def add(self, request: Request) -> Response:
        form = await _form(request)
        shown = await asyncio.to_thread(self._shown, request)
        more = views.whole(form.get("more"), 0)
        if not 1 <= more <= MOST_TRIALS:
            raise HTTPException(422, say("add.wrong"))

        def ask() -> str:
            budget = shown.spec.budget
            if budget.trials is None and budget.until is None:
                raise HTTPException(422, say("add.none", budget=budgeted(budget)))
            # As with `luthier run --trials`: a number is meant as said, whatever else would end the study.
            larger = replace(budget, trials=max(budget.trials or 0, shown.ended) + more, until=None)
            with self.shelf.writing() as store:
                store.set_budget(shown.name, larger)
            return "added" if is_at_work(shown.row, self.shelf.clock.now()) else "added.idle"

        return _see(f"{_path('s', shown.name)}?said={await asyncio.to_thread(ask)}")

    async def stop_trial(self, request: Request) -> Response:
        await _form(request)
        shown = await asyncio.to_thread(self._shown, request)
        number = request.path_params["number"]

        def ask() -> str:
            if shown.trial(number).state.ended:
                return "trial.over"
            with self.shelf.writing() as store:
                store.request_stop(shown.name, number, "asked to, in the studio")
            return "trial"

        return _see(f"{_path('s', shown.name)}/t/{number}?said={await asyncio.to_thread(ask)}")

    # --- signing in ------------------------------------------------------------------------------

    async def login(self, request: Request) -> Response:
        """By the address that was printed, or by a token that is pasted; the token leaves the address line at once."""
        if request.method == "POST":
            token: str | None = (await _form(request)).get("token", "").strip()
        else:
            token = request.query_params.get("token")
        if token is None:
            return self.page(request, "login.html", {"wrong": None})
        if self.settings.keys.role(token) is None:
            return self.page(request, "login.html", {"wrong": say("login.wrong")}, 401)
        answer = _see("/")
        answer.set_cookie(
            self.settings.cookie,
            token,
            max_age=MONTH,
            httponly=True,
            samesite="lax",  # strict would ask again for the token of whoever follows a link from a chat
            secure=self.settings.secure,
        )
        return answer

    async def logout(self, request: Request) -> Response:
        await _form(request)
        answer = _see("/login")
        answer.delete_cookie(self.settings.cookie, httponly=True, samesite="lax")
        return answer

    def health(self, request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    # --- all together ----------------------------------------------------------------------------

    def _shown(self, request: Request) -> Shown:
        return self.shelf.study(request.path_params["study"])

    def _warm(self) -> None:
        with suppress(LuthierError):
            self.shelf.studies()

    def _failed(self, request: Request, error: Exception) -> Response:
        match error:
            case HTTPException():
                texts = {404: say("refused.missing"), 405: say("refused.method")}
                own = texts.get(error.status_code, error.detail)
                return self.refuse(request.scope, error.status_code, own)
            case StudyNotFound():
                return self.refuse(request.scope, 404, str(error))
            case LuthierError():
                return self.refuse(request.scope, 503, str(error))
        return self.refuse(request.scope, 500, say("refused.broken"))

    def app(self) -> ASGIApp:
        """The whole of it, guarded."""
        study, trial = "/s/{study}", "/s/{study}/t/{number:int}"

        def get(path: str, answer: Callable[[Request], Response | Awaitable[Response]]) -> Route:
            return Route(path, answer, methods=["GET"])

        def post(path: str, answer: Callable[[Request], Awaitable[Response]]) -> Route:
            return Route(path, answer, methods=["POST"])

        routes = [
            get("/", self.studies),
            get("/part", self.studies_part),
            get("/events", self.list_events),
            get(study, self.study),
            get(f"{study}/part/{{part}}", self.study_part),
            get(f"{study}/events", self.study_events),
            get(f"{study}/best.json", self.best_numbers),
            get(f"{study}/trials", self.trials),
            get(f"{study}/failures", self.failures),
            get(trial, self.trial),
            get(f"{trial}/part", self.trial_part),
            get(f"{trial}/curve.json", self.curve_numbers),
            post(f"{study}/pause", self.pause),
            post(f"{study}/stop", self.stop),
            post(f"{study}/add", self.add),
            post(f"{trial}/stop", self.stop_trial),
            Route("/login", self.login, methods=["GET", "POST"]),
            post("/logout", self.logout),
            get("/healthz", self.health),
            get("/static/{name:path}", asset),
        ]

        @asynccontextmanager
        async def lifespan(app: Starlette) -> AsyncIterator[None]:
            warming = asyncio.create_task(
                asyncio.to_thread(self._warm)
            )  # large studies take a second to read
            yield
            self.watch.close()
            await warming
            self.shelf.close()

        async def failed(request: Request, error: Exception) -> Response:
            return self._failed(request, error)

        kinds = (HTTPException, LuthierError, Exception)
        inner = Starlette(routes=routes, lifespan=lifespan, exception_handlers=dict.fromkeys(kinds, failed))
        settings = self.settings
        return Guard(
            GZipMiddleware(inner, minimum_size=1000, compresslevel=5),
            settings.keys,
            settings.cookie,
            settings.hosts,
            self.refuse,
            settings.readonly,
        )


def _may(request: Request) -> bool:
    return request.scope.get("role") == "owner"


def _see(url: str) -> RedirectResponse:
    """After something was done: look at that page."""
    return RedirectResponse(url, 303)


def _path(*parts: str) -> str:
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def _numbers(request: Request, version: str, make: Callable[[], dict[str, Any]]) -> Response:
    """A chart's numbers, unless the page has these already."""
    tag = f'W/"{version}"'
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={"etag": tag})
    return JSONResponse(make(), headers={"etag": tag, "cache-control": "no-cache"})


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form, the last of each name."""
    read = bytearray()
    async for part in request.stream():
        read += part
        if len(read) > MOST_BYTES:
            raise HTTPException(413, say("refused.large", most=f"{MOST_BYTES:,}"))
    try:
        fields = parse_qs(read.decode(), keep_blank_values=True, max_num_fields=100)
    except ValueError:
        raise HTTPException(422, say("refused.missing")) from None
    return {name: values[-1] for name, values in fields.items()}


def _report(error: Exception) -> None:
    """Tell whoever started the studio what went wrong, unless it is said on purpose."""
    if not isinstance(error, LuthierError):
        traceback.print_exception(error, file=sys.stderr)
