"""What the sections of the studio share: how a request is read, and how it is answered."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from luthier.errors import LuthierError
from luthier.studio.words import WORDS, say

MOST_BYTES = 64_000
"""No form of ours is longer, but for those that say so."""
Answer = Callable[[Request], Response | Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Place:
    """A page that others lead to: its address, or the end of it, and the key of its name."""

    path: str
    word: str


def get(path: str, answer: Answer) -> Route:
    """An address that shows something."""
    return Route(path, answer, methods=["GET"])


def post(path: str, answer: Answer) -> Route:
    """An address that changes something."""
    return Route(path, answer, methods=["POST"])


def may(request: Request) -> bool:
    """Whether whoever asks may change something."""
    return request.scope.get("role") == "owner"


def see(url: str) -> RedirectResponse:
    """After something was done: look at that page."""
    return RedirectResponse(url, 303)


def done(request: Request, group: str = "said") -> str | None:
    """What the page that one was led to says of what was done: the word of that group that `?said=` names."""
    return WORDS.get(f"{group}.{request.query_params.get('said', '')}")


def only_owner(request: Request) -> None:
    """Raise HTTPException (403) for whoever may only look."""
    if not may(request):
        raise HTTPException(403, say("refused.viewer"))


def path_of(*parts: str) -> str:
    """An address of these parts, whatever is in them."""
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def numbers(request: Request, version: str, make: Callable[[], dict[str, Any]]) -> Response:
    """A chart's numbers, unless the page has these already."""
    tag = f'W/"{version}"'
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={"etag": tag})
    headers = {"etag": tag, "cache-control": "no-cache"}
    text = json.dumps(make(), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Response(sendable(text), media_type="application/json", headers=headers)


def sendable(text: str) -> str:
    """A text that can be sent: a half of a character that stands alone, as in names of files that are not UTF-8, is a question mark."""
    return text.encode("utf-8", "replace").decode()


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form, the last of each name."""
    return {name: values[-1] for name, values in (await fields_of(request)).items()}


async def fields_of(request: Request, most: int = MOST_BYTES, count: int = 100) -> dict[str, list[str]]:
    """The fields of a form, every value of each name; at most so many bytes, and so many fields."""
    read = bytearray()
    async for part in request.stream():
        read += part
        if len(read) > most:
            raise HTTPException(413, say("refused.large", most=f"{most:,}"))
    try:
        return parse_qs(read.decode(), keep_blank_values=True, max_num_fields=count)
    except ValueError:
        raise HTTPException(422, say("refused.missing")) from None


def download(name: str) -> dict[str, str]:
    """The headers of a file that is saved under this name, and never shown (RFC 6266)."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\/%' else "_" for c in name)
    return {
        "content-disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}",
        "x-content-type-options": "nosniff",
    }


def complain(error: Exception) -> None:
    """Tell whoever started the studio what went wrong, unless it is said on purpose."""
    if not isinstance(error, LuthierError):
        traceback.print_exception(error, file=sys.stderr)
