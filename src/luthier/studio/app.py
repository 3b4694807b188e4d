"""The studio's addresses, and what each of them answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Scope

from luthier.errors import LuthierError, StudyNotFound
from luthier.serving.door import Keys
from luthier.studio import views
from luthier.studio.compare import Compare
from luthier.studio.drafts import counting
from luthier.studio.drafts.estimate import left
from luthier.studio.drafts.pages import Drafts
from luthier.studio.explore import Explore
from luthier.studio.export.handlers import MENU, Export
from luthier.studio.frame import CHOICES, Frame, chosen
from luthier.studio.guard import Guard
from luthier.studio.looking import Shelf, Shown
from luthier.studio.manage.handlers import Manage
from luthier.studio.models import saving
from luthier.studio.models.pages import Models
from luthier.studio.running import Running
from luthier.studio.static import asset, stamp
from luthier.studio.studies import Studies
from luthier.studio.watch import Watch
from luthier.studio.web import Place, complain, form_of, get, may, path_of, post, see, sendable
from luthier.studio.words import SCRIPT, WORDS, say
from luthier.studio.works import Works
from luthier.summary import duration

MONTH = 30 * 24 * 3600
NAVIGATION = (
    Place("/", "studies"),
    Place("/new", "drafts.new"),
    Place("/models", "models"),
    Place("/settings", "settings"),
)
"""The pages that every page leads to."""
TABS = (
    Place("", "study.overview"),
    Place("/trials", "study.more"),
    Place("/explore", "explore"),
    Place("/curves", "curves"),
    Place("/timeline", "timeline"),
    Place("/failures", "study.failures"),
    Place("/manage", "manage.tab"),
)
"""The pages of a study, below its address."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a studio is opened: who may call it, by which names, and whether anybody may change something."""

    keys: Keys
    port: int
    hosts: frozenset[str]
    place: str
    readonly: bool = False
    secure: bool = False
    workers: int = 1
    """How many trials a study that is started here runs at once, unless it says."""

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
        self.works = Works(shelf, settings.workers)
        self._pages = Environment(
            loader=PackageLoader("luthier.studio"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._pages.filters["segment"] = lambda name: quote(str(name), safe="", errors="replace")
        self._pages.filters["path"] = lambda name: quote(str(name), errors="replace")
        self._pages.globals |= {
            "say": say,
            "stamp": stamp,
            "place": settings.place,
            "script_words": json.dumps({key: WORDS[key] for key in SCRIPT}),
            "readonly": settings.readonly,
            "navigation": NAVIGATION,
            "tabs": TABS,
            "exports": MENU,
        }

    def shown(self, request: Request) -> Shown:
        """The study that an address names."""
        return self.shelf.study(request.path_params["study"])

    # --- pages -----------------------------------------------------------------------------------

    def page(self, request: Request, template: str, values: Mapping[str, Any], status: int = 200) -> Response:
        """A whole page."""
        about = {
            "may": may(request),
            "signed_in": request.scope.get("role") is not None,
            "here": request.url.path,
            "browser": {name: chosen(request, name) for name in CHOICES},
        }
        text = self._pages.get_template(template).render(**about, **values)
        return HTMLResponse(sendable(text), status)

    def part(self, name: str, may: bool, url: str, look: Callable[[], Mapping[str, Any]]) -> Markup:
        """A part of a page; where it cannot be shown, it says so, and the others are."""

        def shown(template: str, values: Mapping[str, Any]) -> Markup:
            text = self._pages.get_template(f"parts/{template}.html").render(may=may, url=url, **values)
            return Markup(sendable(text))

        try:
            return shown(name, look())
        except Exception as error:
            complain(error)
            return shown("failed", {"error": str(error) or type(error).__name__})

    def head(self, request: Request, shown: Shown) -> Markup:
        """The top of every page of a study."""
        base = path_of("s", shown.name)

        def look() -> dict[str, Any]:
            about = {**views.head(shown), **self.works.stands(shown.name), "left": _left(shown)}
            about |= saving.of_study(self.shelf, shown)
            has_file = self.works.given(shown.name) is not None
            return {"study": shown.name, "base": base, "has_file": has_file, **about}

        return self.part("head", may(request), f"{base}/part/head", look)

    def refuse(self, scope: Scope, status: int, text: str) -> Response:
        """An answer to what cannot be: a page for people, a sentence for programs."""
        request = Request(scope)
        if "text/html" not in request.headers.get("accept", ""):
            return PlainTextResponse(f"{text}\n", status)
        if status == 401:
            return self.page(request, "login.html", {"wrong": None}, status)
        return self.page(request, "refused.html", {"text": text}, status)

    # --- signing in ------------------------------------------------------------------------------

    async def login(self, request: Request) -> Response:
        """By the address that was printed, or by a token that is pasted; the token leaves the address line at once."""
        if request.method == "POST":
            token: str | None = (await form_of(request)).get("token", "").strip()
        else:
            token = request.query_params.get("token")
        if token is None:
            return self.page(request, "login.html", {"wrong": None})
        if self.settings.keys.role(token) is None:
            return self.page(request, "login.html", {"wrong": say("login.wrong")}, 401)
        answer = see("/")
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
        await form_of(request)
        answer = see("/login")
        answer.delete_cookie(self.settings.cookie, httponly=True, samesite="lax")
        return answer

    def health(self, request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    # --- all together ----------------------------------------------------------------------------

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
        models = Models(self)
        sections = (
            Studies(self),
            Explore(self),
            Drafts(self),
            Frame(self),
            Running(self),
            Manage(self),
            Compare(self),
            Export(self),
            models,
        )
        routes = [
            *(route for section in sections for route in section.routes()),
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
            await models.open()
            yield
            self.watch.close()
            await models.close()
            await warming
            self.shelf.close()
            await asyncio.to_thread(counting.close)

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


def _left(shown: Shown) -> str | None:
    """How long the study still takes, in words."""
    found = left(shown)
    return None if found is None else say("works.left", low=duration(found[0]), high=duration(found[1]))
