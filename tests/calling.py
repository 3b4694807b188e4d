"""Servers of ours, called as raw as can be: with exactly the headers that a test gives."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body, parse_constant=_refuse)

    @property
    def error(self) -> str:
        return str(self.json["error"])


def _refuse(constant: str) -> Any:
    raise AssertionError(f"{constant} is no JSON")


def call(
    port: int,
    path: str,
    method: str,
    body: bytes | None,
    token: str | None,
    headers: Mapping[str, str],
    seconds: float = 60,
) -> Answer:
    """A request with exactly these headers, besides a Host, a length where none is said, and a token where there is one:
    `sec_fetch_site` is Sec-Fetch-Site.
    """
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    if token is not None:
        names["authorization"] = f"Bearer {token}"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    with closing(connection):
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in {"host": f"127.0.0.1:{port}", **names}.items():
            connection.putheader(name, value)
        if body is not None and not {"transfer-encoding", "content-length"} & names.keys():
            connection.putheader("content-length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
