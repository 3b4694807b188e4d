"""Who may call the studio: the host it is called by, the token, where a request comes from, and what a page may load.

Against another user of this machine (no token, no answer), against a page that a browser has open beside this one (it can send requests
here, so what changes something must come from the studio's own pages), against a name that is made to point here (DNS rebinding), and
against markup in what studies say (a policy for contents that runs no script but ours).
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from luthier.errors import InvalidStudy
from luthier.studio.words import say

Role = Literal["owner", "viewer"]
SAFE = ("GET", "HEAD", "OPTIONS")
OPEN = ("/healthz", "/login", "/static/")
SHORTEST = 20
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
class Keys:
    """The two tokens: who has `owner` may change studies, who has `viewer` may look."""

    owner: str
    viewer: str

    @classmethod
    def new(cls) -> Keys:
        """Tokens that nobody can guess."""
        return cls(secrets.token_urlsafe(32), secrets.token_urlsafe(32))

    @classmethod
    def read(cls, path: Path) -> Keys:
        """The tokens in a file, one a line: the owner's, and below it, if there is one, that of those who may look.

        Raises InvalidStudy where there is none, where others may read the file, or where a token is short.
        """
        try:
            lines = path.read_text(encoding="utf-8").split()
            others = path.stat().st_mode & 0o077
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidStudy(
                f"the file of tokens {str(path)!r} cannot be read: {error}. Make one: "
                f"(umask 077; openssl rand -hex 32 > {path})"
            ) from error
        if others:
            raise InvalidStudy(
                f"others may read the file of tokens {str(path)!r}. Forbid it: chmod 600 {path}"
            )
        if not 1 <= len(lines) <= 2 or len(set(lines)) < len(lines):
            raise InvalidStudy(
                f"the file of tokens {str(path)!r} has {len(lines)} words. Give one line, the token, and if others may look on a second "
                "line another one for them."
            )
        for token in lines:
            if len(token) < SHORTEST or not token.isascii():
                raise InvalidStudy(
                    f"a token in {str(path)!r} has {len(token)} characters. Take at least {SHORTEST}, that nobody can guess: openssl rand -hex 32"
                )
        return cls(lines[0], lines[1] if len(lines) > 1 else secrets.token_urlsafe(32))

    def role(self, token: str | None) -> Role | None:
        """Whose token it is; the comparison takes the same time whatever is wrong."""
        given = (token or "").encode()
        owner, viewer = (hmac.compare_digest(given, key.encode()) for key in (self.owner, self.viewer))
        return "owner" if owner else "viewer" if viewer else None


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
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        token = bearer.strip() if scheme.lower() == "bearer" else _cookie(headers.get("cookie"), self.cookie)
        role = self.keys.role(token)
        return "viewer" if role is not None and self.readonly else role

    def _wrong(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        """What is wrong with a request: a status and a sentence."""
        path, method = scope["path"], scope["method"]
        if not self._is_host(headers.getlist("host"), scope):
            return 421, say("refused.host")
        if method in SAFE:
            if _is_foreign_part(headers):
                return 403, say("refused.foreign")
        elif not _is_from_here(headers):
            return 403, say("refused.foreign")
        if path == OPEN[0] or path == OPEN[1] or path.startswith(OPEN[2]):
            return None
        if scope["role"] is None:
            return 401, say("refused.token")
        if method not in SAFE and scope["role"] != "owner" and path != "/logout":
            return 403, say("refused.viewer")
        return None

    def _is_host(self, given: list[str], scope: Scope) -> bool:
        """Whether the request was sent to a name of ours: one that is allowed, or the very address it arrived at."""
        if len(given) != 1:
            return False
        name = hostname(given[0])
        server = scope.get("server")
        return name in self.hosts or (_is_address(name) and server is not None and name == server[0])


def _is_from_here(headers: Headers) -> bool:
    """Whether what wants to change something comes from a page of the studio, or from a program with a token."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None and site != "same-origin":
        return False
    if origin is not None and not (
        origin == "null" and site is not None
    ):  # null where a page sends no referrer
        return urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
    return site is not None or headers.get("authorization", "").lower().startswith("bearer ")


def _is_foreign_part(headers: Headers) -> bool:
    """Whether another site's page loads this into itself; that it links here is fine."""
    if headers.get("sec-fetch-site", "none") in ("same-origin", "none"):
        return False
    return headers.get("sec-fetch-mode") != "navigate" or headers.get("sec-fetch-dest") != "document"


def hostname(host: str) -> str:
    """The name in a Host header, without the port."""
    try:
        return (urlsplit(f"//{host}").hostname or "") if "@" not in host else ""
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _cookie(header: str | None, name: str) -> str | None:
    try:
        found = SimpleCookie(header or "").get(name)
    except CookieError:
        return None
    return None if found is None else found.value
