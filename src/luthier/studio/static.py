"""Scripts and styles: read once, compressed once, kept by browsers for as long as they stay the same."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

FOLDER = Path(__file__).parent / "static"
KINDS = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".json": "application/json",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file, as it is sent."""

    kind: str
    plain: bytes
    small: bytes
    stamp: str


@cache
def _read(name: str) -> Asset:
    text = (FOLDER / name).read_bytes()
    kind = KINDS.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Asset(kind, text, gzip.compress(text, 9, mtime=0), hashlib.sha256(text).hexdigest()[:16])


@cache
def _names() -> frozenset[str]:
    """What there is. Nothing else is ever opened, whatever is asked for."""
    return frozenset(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file())


def stamp(name: str) -> str:
    """The address of a file, which changes with it."""
    return f"/static/{name}?v={_read(name).stamp}"


def asset(request: Request) -> Response:
    """A file of the studio."""
    name = request.path_params["name"]
    if name not in _names():
        raise HTTPException(404)
    found = _read(name)
    tag = f'"{found.stamp}"'
    known = request.query_params.get("v") == found.stamp
    headers = {
        "etag": tag,
        "vary": "accept-encoding",
        "cache-control": "public, max-age=31536000, immutable" if known else "no-cache",
    }
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(found.small, headers=headers | {"content-encoding": "gzip"}, media_type=found.kind)
    return Response(found.plain, headers=headers, media_type=found.kind)
