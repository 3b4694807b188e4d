"""What holds for every address there is: who gets in, what changes something, how much is taken, and that names are no paths."""

from __future__ import annotations

import http.client
import socket
import time
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from luthier.studio.guard import OPEN, OWN
from tests.studio.addresses import KNOWN, addresses, filled, parameters, routes, tree
from tests.studio.conftest import Book, Served

MEGABYTE = 1_000_000
SAFE = {"GET", "HEAD"}


def is_open(path: str) -> bool:
    return any(path == one or (one.endswith("/") and path.startswith(one)) for one in OPEN)


def status(studio: Served, path: str, method: str = "GET", **headers: str) -> int:
    """The status of an answer, which need not end: pages listen to some."""
    connection = http.client.HTTPConnection("127.0.0.1", studio.port, timeout=30)
    with closing(connection):
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, b"more=5" if method == "POST" else None, names)
        return connection.getresponse().status


def test_there_are_no_addresses_but_to_look_and_to_send_forms(studio: Served) -> None:
    for route in routes(studio):
        assert route.methods is not None
        assert route.methods <= SAFE | {"POST"}, route.path
        assert not (route.methods & SAFE and "POST" in route.methods) or route.path == "/login", route.path
    assert len(addresses(studio, "POST")) >= 6


def test_without_a_token_every_address_is_closed(studio: Served, first: str) -> None:
    for method in ("GET", "POST"):
        for path in addresses(studio, method):
            if not is_open(path):
                assert status(studio, path, method, sec_fetch_site="same-origin") == 401, (method, path)


def test_under_a_foreign_name_every_address_is_refused(studio: Served, first: str) -> None:
    for method in ("GET", "POST"):
        for path in addresses(studio, method):
            found = status(studio, path, method, host=f"evil.example:{studio.port}", cookie=studio.cookie)
            assert found == 421, (method, path)


def test_what_another_site_sends_is_refused_everywhere_and_changes_nothing(
    studio: Served, first: str, book: Book, place: Path
) -> None:
    before = book.store.cursors(), book.store.facts(first), tree(place.parent)
    for path in addresses(studio, "POST"):
        for headers in (
            {"sec_fetch_site": "cross-site", "origin": "https://evil.example"},
            {"sec_fetch_site": "same-site"},
            {"origin": "null"},
            {},
        ):
            assert status(studio, path, "POST", cookie=studio.cookie, **headers) == 403, (path, headers)
    assert (book.store.cursors(), book.store.facts(first), tree(place.parent)) == before


def test_another_sites_page_loads_nothing_of_this(studio: Served, first: str) -> None:
    for path in addresses(studio, "GET"):
        headers = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors", "sec_fetch_dest": "image"}
        assert status(studio, path, cookie=studio.cookie, **headers) == 403, path


def test_a_token_to_look_changes_nothing_anywhere(
    studio: Served, first: str, book: Book, place: Path
) -> None:
    before = book.store.cursors(), book.store.facts(first), tree(place.parent)
    for path in addresses(studio, "POST"):
        if path in OWN or is_open(path):
            continue
        found = status(studio, path, "POST", authorization=f"Bearer {studio.viewer}")
        assert found == 403, path
    assert (book.store.cursors(), book.store.facts(first), tree(place.parent)) == before


@pytest.mark.usefixtures("no_processes")
def test_to_look_changes_nothing_whoever_does(studio: Served, first: str, book: Book, place: Path) -> None:
    before = book.store.cursors(), book.store.facts(first), tree(place.parent)
    for path in addresses(studio, "GET"):
        for query in ("", "?more=5&delete=1&name=first&archive=1&said=x&test=1&draft=1&from=first"):
            found = status(studio, path + query, authorization=f"Bearer {studio.token}")
            assert found < 500 or found == 503, (path, found)
    assert (book.store.cursors(), book.store.facts(first), tree(place.parent)) == before


@pytest.mark.parametrize("chunked", [False, True])
def test_fifty_megabytes_are_refused_everywhere_without_being_read(
    studio: Served, first: str, book: Book, chunked: bool
) -> None:
    before = book.store.cursors()
    for path in addresses(studio, "POST"):
        kind = "multipart/form-data; boundary=abc"
        found, sent = send(studio, path, 50 * MEGABYTE, kind, chunked=chunked)
        assert found in (413, 422, 404, 409, 303), (path, found)
        assert found == 413 or sent < 30 * MEGABYTE, (path, found)
        assert sent < 45 * MEGABYTE, path  # what is on its way in the buffers of both ends is not read
    assert book.store.cursors() == before


def send(studio: Served, path: str, most: int, kind: str, *, chunked: bool) -> tuple[int, int]:
    """Send so many bytes, until there is an answer: its status, and how much was sent."""
    lines = [
        f"POST {path} HTTP/1.1",
        f"host: 127.0.0.1:{studio.port}",
        f"authorization: Bearer {studio.token}",
        f"content-type: {kind}",
        "transfer-encoding: chunked" if chunked else f"content-length: {most}",
        "connection: close",
        "",
        '--abc\r\ncontent-disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
        if not chunked
        else "",
    ]
    part = b"x" * 65536
    piece = b"%x\r\n%s\r\n" % (len(part), part) if chunked else part
    with socket.create_connection(("127.0.0.1", studio.port), timeout=30) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        connection.sendall("\r\n".join(lines).encode())
        sent, answer = 0, b""
        connection.settimeout(0.02)
        with suppress(ConnectionError):
            while sent < most and not answer:
                with suppress(TimeoutError):
                    connection.sendall(piece)
                    sent += len(part)
                connection.setblocking(False)
                with suppress(BlockingIOError):
                    answer = connection.recv(4096)
                connection.settimeout(5)
        deadline = time.monotonic() + 10
        connection.settimeout(10)
        with suppress(ConnectionError):
            while not answer and time.monotonic() < deadline:
                answer = connection.recv(4096)
    return int(answer.split(b" ")[1]) if answer else 0, sent


PATHS = st.sampled_from(
    [
        "..", ".", "../..", "../../../../etc/passwd", "/etc/passwd", "..\\..\\windows", "....//....//etc/passwd", "%2e%2e", "..%2f",
        "a/../../b", "first/../..", "\x00", "first\x00.csv", "~", "~root", "C:\\", "file:///etc/passwd", ".git", "studies.db",
        "studies.db-wal", ".luthier", "work", "-1", "999999999999999999999", "1e9", "٣", "x" * 5000, "\u202e", "first ", " ",
    ]
) | st.text(max_size=40)  # fmt: skip


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.data())
def test_names_in_addresses_are_no_paths(
    studio: Served, first: str, place: Path, data: st.DataObject
) -> None:
    named = [
        route.path for route in routes(studio) if "GET" in (route.methods or ()) and parameters(route.path)
    ]
    path = data.draw(st.sampled_from(named))
    names = parameters(path)
    odd = data.draw(st.sampled_from(names))
    value = data.draw(PATHS)
    with suppress(UnicodeEncodeError):
        values = {**KNOWN, odd: value}
        for address in (filled(path, values), path.replace(f"{{{odd}:path}}", quote(value, safe="/"))):
            if "{" in address or address.endswith("/events"):
                continue
            answer = studio.get(address)
            assert answer.status < 500, address
            assert b"root:" not in answer.body, address
            assert b"SQLite format 3" not in answer.body or "database" in address, address
