"""What is said at which address: POST /predict, GET /schema, /healthz and /metrics. Checks and counts; loads no model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from luthier.clock import Clock, SystemClock
from luthier.serving.counts import Counts, stamp
from luthier.serving.door import Keys, bearer, is_ours
from luthier.serving.predictor import Predictor
from luthier.serving.rows import MOST_BYTES, MOST_ROWS, Refused, Rows
from luthier.serving.source import Source
from luthier.serving.wire import as_json

JSON, CSV = "application/json", "text/csv"
INLINE_BYTES = 20_000
"""A body that is larger is read in a thread, so that others need not wait for it."""
HEADERS = [
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]
OPEN = "/healthz"
ASKED_OFTEN = ("/healthz", "/metrics")
"""Whatever watches us asks for these all the time: they are in the log only where they fail."""


@dataclass(frozen=True, slots=True)
class Gate:
    """Lets through what was sent to a name of ours with a token of ours; tells `log` about every answer, without what was in it."""

    app: ASGIApp
    keys: Keys
    names: frozenset[str]
    log: Callable[[str], None]
    clock: Clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        loop = asyncio.get_running_loop()
        begun = loop.time()
        status = 0
        wrong = self._wrong(scope, Headers(scope=scope))

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *HEADERS]
            await send(message)

        try:
            await (self.app if wrong is None else _refusal(*wrong))(scope, receive, sending)
        finally:
            if status != 200 or scope["path"] not in ASKED_OFTEN:
                took = 1000 * (loop.time() - begun)
                path = scope["path"] if scope["path"] in PATHS else "(another path)"
                method = scope["method"] if scope["method"] in METHODS else "(another method)"
                self.log(f"{stamp(self.clock.now())} {method} {path} {status} {took:.1f} ms")

    def _wrong(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        if not is_ours(headers.getlist("host"), self.names, scope.get("server")):
            return 421, "this server does not go by that name. Allow it with --allow-host NAME."
        if scope["path"] == OPEN:
            return None
        role = self.keys.role(bearer(headers.get("authorization", "")))
        if role is None:
            return (
                401,
                "a token is needed: send the header Authorization: Bearer TOKEN with the one that was printed at the start.",
            )
        if role != "owner" and scope["method"] not in ("GET", "HEAD"):
            return 403, "this token may look, and not predict."
        return None


@dataclass(slots=True)
class Endpoint:
    """The addresses of one model."""

    source: Source
    predictor: Predictor
    clock: Clock = field(default_factory=SystemClock)
    rows: Rows = field(init=False)
    counts: Counts = field(init=False)

    def __post_init__(self) -> None:
        self.rows = Rows.of(self.source.manifest)
        self.counts = Counts(self.clock.now())

    def app(self, keys: Keys, names: frozenset[str], log: Callable[[str], None]) -> ASGIApp:
        """All of it, guarded."""
        routes = [
            Route("/predict", self.predict, methods=["POST"]),
            Route("/schema", self.schema, methods=["GET"]),
            Route("/healthz", self.health, methods=["GET"]),
            Route("/metrics", self.metrics, methods=["GET"]),
        ]
        return Gate(
            Starlette(routes=routes, exception_handlers={HTTPException: _said, Exception: _failed}),
            keys,
            names,
            log,
            self.clock,
        )

    async def predict(self, request: Request) -> Response:
        """A prediction for each row."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        rows, as_ = 0, "json"
        try:
            as_ = _kind(request)
            table = await self._table(await _body(request), as_)
            rows = table.rows
            status, body = await self.predictor.ask(table, as_)
            text = "the model failed" if status >= 500 else ""
        except Refused as refused:
            status, text = refused.status, str(refused) if refused.status >= 500 else ""
            body = _problem(refused)
        self.counts.add(self.clock.now(), status, 1000 * (loop.time() - begun), rows, text)
        kind = CSV if status == 200 and as_ == "csv" else JSON
        return Response(body, status, {"retry-after": "5"} if status == 503 else None, media_type=kind)

    async def _table(self, body: bytes, as_: str) -> Any:
        read = self.rows.from_csv if as_ == "csv" else self.rows.from_json
        return read(body) if len(body) <= INLINE_BYTES else await asyncio.to_thread(read, body)

    def schema(self, request: Request) -> Response:
        """What a row is, with one that is nobody's."""
        return _json(
            {
                "model": self.source.name,
                "version": self.source.version,
                "row": self.rows.schema(),
                "example": dict(self.rows.example),
                "output": self.source.manifest["output"],
                "limits": {"rows": MOST_ROWS, "bytes": MOST_BYTES},
            }
        )

    def health(self, request: Request) -> Response:
        """Whether rows are answered now; 503 where they are not."""
        ok = self.predictor.is_ready
        return _json({"status": "ok" if ok else "starting", **self._about()}, 200 if ok else 503)

    def metrics(self, request: Request) -> Response:
        """How it has gone so far."""
        return _json({**self._about(), **self.counts.to_json(self.clock.now())})

    def _about(self) -> dict[str, Any]:
        last = self.predictor.last_restart
        return {
            "model": self.source.name,
            "version": self.source.version,
            "since": stamp(self.counts.started),
            "restarts": self.predictor.restarts,
            "last_restart": None if last is None else {"at": last.at, "why": last.why},
        }


METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
PATHS = frozenset({"/predict", "/schema", "/healthz", "/metrics"})


def _kind(request: Request) -> str:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given not in (JSON, CSV):
        raise Refused(
            415,
            f"the body is {given[:100] or 'of no type'!r}. Send {JSON} or {CSV}, and say so in Content-Type.",
        )
    return "json" if given == JSON else "csv"


async def _body(request: Request) -> bytes:
    length = request.headers.get("content-length", "")
    read = bytearray()
    if not (length.isdigit() and len(length) < 20 and int(length) > MOST_BYTES):
        try:
            async for piece in request.stream():
                read += piece
                if len(read) > MOST_BYTES:
                    break
            else:
                return bytes(read)
        except ClientDisconnect:
            raise Refused(400, "the request ended before its body did.") from None
    raise Refused(413, f"the body is larger than {MOST_BYTES:,} bytes. Send the rows in parts.")


def _problem(refused: Refused) -> bytes:
    said: dict[str, Any] = {"error": str(refused)}
    if refused.problems:
        said["problems"] = [problem.to_json() for problem in refused.problems]
    return as_json(said)


def _refusal(status: int, text: str) -> Response:
    headers = {"www-authenticate": "Bearer"} if status == 401 else None
    return Response(as_json({"error": text}), status, headers, media_type=JSON)


def _json(value: Any, status: int = 200) -> Response:
    return Response(as_json(value), status, media_type=JSON)


async def _said(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    text = {
        404: "there is nothing at this address. There is: POST /predict, GET /schema, /metrics and /healthz.",
        405: "this address takes another method. There is: POST /predict, GET /schema, /metrics and /healthz.",
    }.get(error.status_code, str(error.detail))
    return Response(as_json({"error": text}), error.status_code, error.headers, media_type=JSON)


async def _failed(request: Request, error: Exception) -> Response:
    return _refusal(500, "something went wrong here; the log knows what.")
