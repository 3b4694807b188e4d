"""What a browser keeps of how all pages look: their theme, and whether keys are shortcuts. Nothing of it is in the store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from luthier.studio.guard import is_at
from luthier.studio.web import form_of, post, see
from luthier.studio.words import say

if TYPE_CHECKING:
    from luthier.studio.app import Studio

YEAR = 365 * 24 * 3600
CHOICES: Mapping[str, tuple[str, ...]] = {"theme": ("system", "light", "dark"), "keys": ("on", "off")}
"""What can be chosen, the first where nothing was."""


def chosen(request: Request, name: str) -> str:
    """What this browser has chosen of CHOICES[name]."""
    given = request.cookies.get(f"luthier_{name}", "")
    return given if given in CHOICES[name] else CHOICES[name][0]


class Frame:
    """The handlers of these addresses."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    def routes(self) -> list[Route]:
        """Every address."""
        return [post("/settings/theme", self.choose), post("/settings/keys", self.choose)]

    async def choose(self, request: Request) -> Response:
        """Keep a choice in the browser, and go back to the page that was looked at."""
        name = request.url.path.rpartition("/")[2]
        value = (await form_of(request)).get(name, "")
        if value not in CHOICES[name]:
            raise HTTPException(422, say("settings.choice", value=value, choices=", ".join(CHOICES[name])))
        answer = see(_back(request))
        # Not HttpOnly by need, but no script wants it: the page says what was chosen.
        answer.set_cookie(f"luthier_{name}", value, max_age=YEAR, samesite="lax", httponly=True)
        return answer


def _back(request: Request) -> str:
    """The page that a form was sent from, as an address within the studio."""
    url = request.headers.get("referer", "")
    if not is_at(url, request.headers):
        return "/"
    came = urlsplit(url)
    path = "/" + came.path.lstrip("/\\")  # two slashes would name another host
    return f"{path}?{came.query}" if came.query else path
