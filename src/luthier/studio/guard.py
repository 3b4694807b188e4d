"""Who may call the studio: the host it is called by, the token, where a request comes from, and what a page may load.

Against another user of this machine (no token, no answer), against a page that a browser has open beside this one (it can send requests
here, so what changes something must come from the studio's own pages), against a name that is made to point here (DNS rebinding), and
against markup in what studies say (a policy for contents that runs no script but ours).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from luthier.serving.door import Keys, Role, bearer, is_ours
from luthier.studio.words import say

SAFE = ("GET", "HEAD", "OPTIONS")
OPEN = ("/healthz", "/login", "/static/")
OWN = ("/logout", "/settings/theme", "/settings/keys")
"""What changes nothing but the browser it is sent from: those who may only look may do it too."""
LONGEST_PATH = 4_000
"""Characters of an address without its query. Numbers that are much longer are not read by Python."""
POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data: blob:",
        "font-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ]
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


@dataclass(frozen=True, slots=True)
class Guard:
    """Lets through what may pass, with the role of who calls in `scope["role"]`; everything else is refused."""

    app: ASGIApp
    keys: Keys
    cookie: str
    hosts: frozenset[str]
    refuse: Callable[[Scope, int, str], Response]
    readonly: bool = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        scope["role"] = self._role(headers)
        wrong = self._wrong(scope, headers)
        answer = self.app if wrong is None else self.refuse(scope, *wrong)

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                found = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    found.setdefault(name, value)
                found.setdefault("cache-control", "no-store")
            await send(message)

        await answer(scope, receive, sending)

    def _role(self, headers: Headers) -> Role | None:
        token = bearer(headers.get("authorization", ""))
        if token is None:
            token = _cookie(headers.get("cookie"), self.cookie)
        role = self.keys.role(token)
        return "viewer" if role is not None and self.readonly else role

    def _wrong(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        """What is wrong with a request: a status and a sentence."""
        path, method = scope["path"], scope["method"]
        if not is_ours(headers.getlist("host"), self.hosts, scope.get("server")):
            return 421, say("refused.host")
        if method in SAFE:
            if _is_foreign_part(headers):
                return 403, say("refused.foreign")
        elif not _is_from_here(headers):
            return 403, say("refused.foreign")
        if len(path) > LONGEST_PATH:
            return 404, say("refused.missing")
        if path == OPEN[0] or path == OPEN[1] or path.startswith(OPEN[2]):
            return None
        if scope["role"] is None:
            return 401, say("refused.token")
        if method not in SAFE and scope["role"] != "owner" and path not in OWN:
            return 403, say("refused.viewer")
        return None


def _is_from_here(headers: Headers) -> bool:
    """Whether what wants to change something comes from a page of the studio, or from a program with a token."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None and site != "same-origin":
        return False
    if origin is not None and not (
        origin == "null" and site is not None
    ):  # null where a page sends no referrer
        return is_at(origin, headers)
    return site is not None or headers.get("authorization", "").lower().startswith("bearer ")


def is_at(url: str, headers: Headers) -> bool:
    """Whether an address is one of the host that a request was sent to."""
    try:
        return urlsplit(url).netloc.lower() == headers.get("host", "").lower()
    except ValueError:
        return False


def _is_foreign_part(headers: Headers) -> bool:
    """Whether another site's page loads this into itself; that it links here is fine."""
    if headers.get("sec-fetch-site", "none") in ("same-origin", "none"):
        return False
    return headers.get("sec-fetch-mode") != "navigate" or headers.get("sec-fetch-dest") != "document"


def _cookie(header: str | None, name: str) -> str | None:
    # Not with http.cookies, which reads nothing from the first odd cookie on: any program on any port of this machine may set some.
    return cookie_parser(header or "").get(name)
