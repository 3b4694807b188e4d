"""Who may call the studio, and what a page of another site can do with it: nothing."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import sqlite3
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import quote

import pytest

import luthier as lt
from luthier.engine.identity import name_of
from luthier.errors import InvalidStudy, ModelError
from luthier.models.aside import Aside
from luthier.serving.deployments import Deployments
from luthier.serving.door import Door, Keys
from luthier.studio import watch
from luthier.studio.looking import Shelf
from luthier.studio.models import imports
from luthier.studio.models.markdown import html
from luthier.studio.works import Works
from luthier.study import Failed, Objective, Problem, Proposal, Record, Report
from tests.studio.conftest import Book, Served

CHANGES = ("/s/first/pause", "/s/first/stop", "/s/first/add", "/s/first/t/5/stop", "/logout")
PAGES = (
    "/",
    "/part",
    "/events",
    "/s/first",
    "/s/first/part/head",
    "/s/first/best.json",
    "/s/first/trials",
    "/s/first/t/0",
    "/s/none",
)


@pytest.mark.parametrize("path", PAGES)
def test_without_the_token_there_is_nothing_to_see(studio: Served, first: str, path: str) -> None:
    answer = studio.call(path)
    assert answer.status == 401
    assert "first" not in answer.text
    assert studio.call(path, token="x" * 43).status == 401
    assert studio.call(path, cookie=f"{studio.opened.studio.settings.cookie}=wrong").status == 401


def test_health_styles_and_the_way_in_need_no_token(studio: Served) -> None:
    assert studio.call("/healthz").json == {"status": "ok"}
    assert studio.call("/static/studio.css").status == 200
    assert studio.call("/login").status == 200


def test_the_token_becomes_a_cookie_and_leaves_the_address(studio: Served, first: str) -> None:
    answer = studio.call(
        f"/login?token={studio.token}",
        sec_fetch_site="cross-site",
        sec_fetch_mode="navigate",
        sec_fetch_dest="document",
    )
    assert (answer.status, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert f"luthier_{studio.port}={studio.token}" in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert first in studio.call("/", cookie=cookie.partition(";")[0]).text
    assert studio.call("/login?token=wrong").status == 401
    assert studio.call("/login", "POST", f"token={studio.token}", sec_fetch_site="same-origin").status == 303
    assert (
        "Max-Age=0"
        in studio.call("/logout", "POST", "", cookie=studio.cookie, sec_fetch_site="same-origin").headers[
            "set-cookie"
        ]
    )


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "127.0.0.1.nip.io:{port}",
        "10.1.2.3:{port}",
        "",
        "a@127.0.0.1",
        "localhost.evil.example",
    ],
)
def test_a_name_that_was_made_to_point_here_is_refused(studio: Served, host: str) -> None:
    for path in ("/", "/healthz", "/login", "/static/studio.css"):
        assert studio.call(path, token=studio.token, host=host.format(port=studio.port)).status == 421


@pytest.mark.parametrize("host", ["localhost:{port}", "127.0.0.1", "[::1]:{port}", "LOCALHOST"])
def test_own_names_pass_whatever_the_port(studio: Served, host: str) -> None:
    assert studio.call("/", token=studio.token, host=host.format(port=studio.port)).status == 200


def test_two_hosts_are_one_too_many(studio: Served) -> None:
    lines = "GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n"
    assert studio.raw(lines.encode()).split(b" ")[1] in (b"400", b"421")


@pytest.mark.parametrize("path", CHANGES)
def test_only_pages_of_the_studio_change_something(studio: Served, first: str, book: Book, path: str) -> None:
    origin = f"http://127.0.0.1:{studio.port}"
    before = book.store.cursors()
    foreign: list[dict[str, str]] = [
        {"sec_fetch_site": "cross-site", "origin": "https://evil.example"},
        {"sec_fetch_site": "cross-site", "origin": origin},
        {"sec_fetch_site": "same-site", "origin": f"http://127.0.0.1:{studio.port + 1}"},
        {"sec_fetch_site": "none"},
        {"sec_fetch_site": "same-origin", "origin": "https://evil.example"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": f"http://127.0.0.1:{studio.port + 1}"},
        {},
    ]
    for headers in foreign:
        assert studio.call(path, "POST", "more=5", cookie=studio.cookie, **headers).status == 403, headers
    assert studio.call(path, "POST", "more=5", token=studio.token, sec_fetch_site="cross-site").status == 403
    assert book.store.cursors() == before
    own = {"sec_fetch_site": "same-origin"}
    for headers in (own, own | {"origin": "null"}, own | {"origin": origin}, {"origin": origin}):
        assert studio.call(path, "POST", "more=5", cookie=studio.cookie, **headers).status == 303, headers
    assert studio.post(path, "more=5").status == 303


@pytest.mark.parametrize("path", CHANGES)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_but_a_post_changes_anything(
    studio: Served, first: str, book: Book, path: str, method: str
) -> None:
    before = book.store.cursors()
    assert studio.call(f"{path}?more=5", method, token=studio.token).status == 405
    assert book.store.cursors() == before


@pytest.mark.parametrize("path", CHANGES[:-1])
def test_a_token_to_look_does_not_change(studio: Served, first: str, book: Book, path: str) -> None:
    before = book.store.cursors()
    assert studio.call("/s/first", token=studio.viewer).status == 200
    assert "<form" not in studio.call("/s/first/part/head", token=studio.viewer).text
    assert "<form" in studio.call("/s/first/part/head", token=studio.token).text
    assert studio.call(path, "POST", "more=5", token=studio.viewer).status == 403
    assert studio.call(path, "POST", "more=5", sec_fetch_site="same-origin").status == 401
    assert book.store.cursors() == before


def test_a_studio_opened_to_look_changes_nothing_whatever_the_token(
    serve: Callable[..., Served], first: str, book: Book
) -> None:
    studio = serve(readonly=True)
    before = book.store.cursors()
    assert "read-only" in studio.get("/s/first").text
    for path in CHANGES[:-1]:
        assert studio.post(path, "more=5").status == 403
    assert book.store.cursors() == before


def test_other_sites_may_link_here_but_not_load_anything(studio: Served, first: str) -> None:
    link = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    assert studio.call("/s/first", cookie=studio.cookie, **link).status == 200
    for mode, dest in (("no-cors", "script"), ("cors", "empty"), ("navigate", "iframe")):
        headers = {"sec_fetch_site": "cross-site", "sec_fetch_mode": mode, "sec_fetch_dest": dest}
        assert studio.call("/s/first/best.json", cookie=studio.cookie, **headers).status == 403


@pytest.mark.parametrize(
    "path", ["/", "/s/first", "/s/first/best.json", "/nowhere", "/static/studio.css", "/login"]
)
def test_every_answer_says_what_browsers_may_do_with_it(studio: Served, first: str, path: str) -> None:
    for answer in (studio.get(path), studio.call(path), studio.call(path, host="evil.example")):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert "access-control-allow-origin" not in answer.headers
    assert studio.get("/s/first").headers["cache-control"] == "no-store"


def test_what_studies_say_is_text(studio: Served, book: Book) -> None:
    bad = "<script>alert(1)<\\script> \"'><img src=x onerror=alert(1)> {{7*7}} {0} ' onload='x"
    objective = Objective(bad, "min")
    name = book.study(bad, problem=Problem(lt.Space({bad: lt.Choice(bad, "b")}), (objective,)))
    book.store.propose(name, [Proposal({bad: bad}, tag={"by": bad, "why": bad})] * 4, claim=(bad, 60.0))
    said = [Report(0, {bad: 1.0}), Failed(bad, f'File "{bad}.py", line 3, in f\n{bad}')]
    book.store.record(name, [Record(n, 1, what) for n in range(3) for what in said])
    book.store.end(name, bad, f"failed: {bad}")
    base = f"/s/{quote(name, safe='')}"
    parts = [f"/part/{part}" for part in ("head", "best", "top", "board", "workers", "failures", "words")]
    for path in ("", "/trials", "/failures", "/t/0", "/t/3", *parts):
        answer = studio.get(base + path)
        assert answer.status == 200, path
        for markup in ("<script>alert", "<img", "onload='x"):
            assert markup not in answer.text, path
        assert "alert(1)" in answer.text or path in (
            "/part/top",
            "/part/board",
            "/part/best",
            "/part/workers",
        ), path
        assert "cannot be shown" not in answer.text, path
    assert "alert(1)" in studio.get("/").text


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/static//etc/passwd",
        "/static/",
        "/static/vendor",
        "/s/..%2f..%2fetc",
        "/s/first/t/99999999999999",
        "/s/first/t/-1",
        "/s/first/part/nothing",
        "/s/first/part/..",
        "/s/%00",
        "/s/first/t/0/log",
    ],
)
def test_there_is_no_way_out(studio: Served, first: str, path: str) -> None:
    assert studio.get(path).status == 404


def test_odd_forms_are_refused_in_a_sentence(studio: Served, first: str) -> None:
    for more in ("", "0", "-1", "1.5", "x", "9" * 400, "1000001", "\x00", "1e3"):
        answer = studio.post("/s/first/add", f"more={more}")
        assert (answer.status, "whole number" in answer.text) == (422, True)
    assert studio.post("/s/first/add", "x" * 100_000).status == 413
    assert studio.post("/s/first/add", "&".join("a=1" for _ in range(200))).status == 422
    assert studio.call("/s/first/add", "POST", "more=5", token="ä" * 30).status == 401


def test_beyond_this_machine_it_asks_for_a_token_of_ones_own(tmp_path: Path) -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.org"):
        with pytest.raises(InvalidStudy, match="--token-file"):
            Door(host).check()
    for host in ("127.0.0.1", "::1", "localhost", "127.1.2.3"):
        Door(host).check()
    Door("0.0.0.0", token_file=tmp_path / "token").check()


def test_a_file_of_tokens_is_private_and_long(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("a" * 32 + "\n" + "b" * 32)
    path.chmod(0o644)
    with pytest.raises(InvalidStudy, match="chmod 600"):
        Keys.read(path)
    path.chmod(0o600)
    assert Keys.read(path) == Keys("a" * 32, "b" * 32)
    for wrong in ("", "short", "a" * 32 + "\n" + "a" * 32, "a" * 32 + "\nb", "ä" * 40):
        path.write_text(wrong)
        with pytest.raises(InvalidStudy):
            Keys.read(path)
    with pytest.raises(InvalidStudy, match="cannot be read"):
        Keys.read(tmp_path / "none")


def test_no_token_has_no_role() -> None:
    keys = Keys.new()
    assert keys.role(None) is keys.role("") is keys.role("x") is keys.role("ä") is None
    assert (keys.role(keys.owner), keys.role(keys.viewer)) == ("owner", "viewer")
    assert keys != Keys.new()


def test_a_port_that_is_taken_is_said_and_the_default_moves_on() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InvalidStudy, match="--port"):
            Door(port=taken.getsockname()[1]).listen()


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_it_listens_on_this_machine_only(studio: Served) -> None:
    assert studio.opened.socket.getsockname()[0] == "127.0.0.1"


def test_an_address_that_is_none_is_refused_and_breaks_nothing(studio: Served) -> None:
    for odd in ("http://[", "http://[::1", "http://127.0.0.1:99999999", "//", "\xff"):
        assert studio.call("/logout", "POST", "", sec_fetch_site="same-origin", origin=odd).status == 403, odd
        answer = studio.post("/settings/theme", "theme=dark", referer=odd)
        assert (answer.status, answer.headers["location"]) == (303, "/"), odd


def test_a_number_longer_than_python_reads_is_not_found(studio: Served, first: str) -> None:
    long = "9" * 5000
    for path in (f"/s/first/t/{long}", f"/s/first/t/{long}/files/a", f"/models/x/{long}", f"/static/{long}"):
        assert studio.get(path).status == 404


def test_cookies_of_other_programs_of_this_machine_lock_nobody_out(studio: Served) -> None:
    for odd in ('a{b="x y; ', 'foo=a"b,c; ', "bad name=1; ", '{"a": 1}=[1]; ', "=; ", "ä=ö; "):
        assert studio.call("/", cookie=f"{odd}{studio.cookie}").status == 200, odd


@pytest.mark.skipif(os.name != "posix", reason="links and pipes are POSIX's")
def test_links_and_pipes_among_the_files_of_a_study_lead_nowhere(
    studio: Served, first: str, place: Path, tmp_path: Path
) -> None:
    away = tmp_path / "away"
    away.mkdir()
    (away / "key").write_text("no way to see this")
    (away / "output.log").write_text("no way to see this")
    work = place.parent / "work" / first
    for number in range(4):
        (work / str(number) / "1").mkdir(parents=True)
    (work / "0" / "artifacts").symlink_to(away)
    (work / "0" / "1" / "output.log").symlink_to(away / "key")
    (work / "1" / "1").rmdir()
    (work / "1" / "1").symlink_to(away)
    os.mkfifo(work / "2" / "1" / "output.log")
    for name in ("studio.log", "study.toml"):
        (work / name).symlink_to(away / "key")
    os.mkfifo(work / "studio.lock")
    new = place.parent / "work" / "new"
    new.mkdir()
    (new / "studio.log").symlink_to(away / "key")
    base = f"/s/{first}"
    assert studio.get(f"{base}/t/0/files/key").status == 404
    pages = (base, f"{base}/manage", "/s/new/starting", *(f"{base}/t/{n}" for n in range(3)))
    for path in (*pages, *(f"{base}/t/{n}/output" for n in range(3))):
        answer = studio.get(path)
        assert answer.status == 200, path
        assert "no way to see this" not in answer.text, path
        assert "cannot be shown" not in answer.text, path
    (work / "3" / "artifacts").mkdir()
    (work / "3" / "artifacts" / "mine").write_text("to be seen")
    moved = place.parent / "large"
    (place.parent / "work").rename(moved)  # to a larger disk, say
    (place.parent / "work").symlink_to(moved)
    assert studio.get(f"{base}/t/3/files/mine").text == "to be seen"


@pytest.mark.skipif(os.name != "posix", reason="links are POSIX's")
@pytest.mark.usefixtures("no_processes")
def test_what_is_written_for_a_study_goes_through_no_link(place: Path, book: Book, first: str) -> None:
    mine = place.parent / "mine"
    mine.write_text("as it was")
    works = Works(Shelf(str(place)))
    folder = place.parent / "work" / "new"
    folder.mkdir(parents=True)
    for name in ("studio.log", "study.toml", ".study.toml"):
        (folder / name).symlink_to(mine)
    given = {
        "estimator": "sklearn.svm:SVC",
        "data": "iris",
        "maximize": "accuracy",
        "space": {"C": {"float": [1, 2]}},
    }
    works.start("new", {**given, "budget": {"trials": 3}})
    assert mine.read_text() == "as it was"
    assert works.given("new") is not None
    assert (folder / "studio.log").is_symlink() is False
    for name in ("lock", ".deployment.json", "log"):
        path = place.parent / "serving" / name
        path.parent.mkdir(exist_ok=True)
        path.symlink_to(mine)
    with pytest.raises(ModelError):
        Deployments(place.parent).stop()
    assert mine.read_text() == "as it was"


def test_no_more_pages_listen_than_there_are_connections_for(
    studio: Served, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "MOST_LISTENERS", 2)

    def listen(path: str) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("127.0.0.1", studio.port, timeout=10)
        connection.request("GET", path, headers={"authorization": f"Bearer {studio.token}"})
        assert connection.getresponse().readline().startswith(b"retry")
        return connection

    with closing(listen("/events")) as one, closing(listen("/s/first/events")):
        for path in ("/events", "/s/first/events", "/models/events"):
            assert studio.get(path).status == 503, path
        assert one.sock is not None
        one.sock.shutdown(socket.SHUT_RDWR)
        until = time.monotonic() + 10
        while studio.opened.studio.watch.polled != ["study first"] and time.monotonic() < until:
            time.sleep(0.02)
        listen("/models/events").close()


def test_no_process_is_started_that_imports_from_the_folder_the_studio_was_opened_in() -> None:
    folder = Path(lt.__file__).parent
    started = [
        (path, found[1])
        for path in folder.rglob("*.py")
        for found in re.finditer(r'sys\.executable,\s*((?:"[^"]*",\s*)*)"-m"', path.read_text())
    ]
    assert len(started) >= 6
    for path, options in started:
        assert '"-P"' in options, path


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_a_folder_of_somebody_else_names_no_process_that_is_ended(
    serve: Callable[..., Served], book: Book, first: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[int, int]] = []
    kill = os.kill

    def asked(pid: int, what: int) -> None:
        sent.append((pid, what))
        if what == 0 and pid > 0:
            kill(pid, what)

    monkeypatch.setattr(os, "kill", asked)
    (place.parent / "serving").mkdir()
    file = place.parent / "serving" / "deployment.json"
    said = {
        "model": "iris",
        "version": 1,
        "port": 1,
        "since": "2026",
        "wanted": True,
        "began": 0.0,
        "before": [],
    }
    here = name_of(os.getpid()).split("/")[0]
    for process in (
        f"elsewhere/{os.getpid()}/1/0",
        f"{here}/-1//0",
        f"{here}/0//0",
        f"{here}/x/1/0",
        "x",
        "a/b",
    ):
        file.write_text(json.dumps(said | {"process": process}))
        Deployments(place.parent).stop()
        assert all(pid > 0 and what == 0 for pid, what in sent), (process, sent)
    studio = serve()
    wrong: dict[str, Any]
    for wrong in (
        {"process": 5},
        {"model": []},
        {"version": "1"},
        {"port": "x"},
        {"port": 1e9},
        {"last_restart": "x"},
    ):
        file.write_text(json.dumps(said | wrong))
        assert studio.get("/models").status == 200, wrong
        assert studio.post("/models/serving/stop").status == 503, wrong
        with pytest.raises(ModelError, match="damaged"):
            Deployments(place.parent).current()


def test_what_a_bundle_holds_is_bounded_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "MOST_UNPACKED", 1_000_000)
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/model.json", "{}")
        archive.writestr("x/model.skops", bytes(2_000_000))
    assert len(packed.getvalue()) < 10_000
    packed.seek(0)
    with pytest.raises(ModelError, match="too large"):
        imports.Imports(tmp_path, Aside()).receive(packed)
    assert not list((tmp_path / "imports").iterdir())


def test_no_process_that_holds_the_model_of_a_stranger_knows_our_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []
    source = SimpleNamespace(
        manifest={"name": "x"}, about={"coded": True, "classes": ["a"]}, read=lambda: b"nothing"
    )
    monkeypatch.setattr(imports, "adopt", lambda *about: SimpleNamespace(name="x", version=1))
    monkeypatch.setattr(imports.Imports, "_checked", lambda self, key: (source, None))
    known = imports.Imports(tmp_path, cast("Any", lambda do, **how: [asked.append({"do": do, **how})][:0]))
    known._types(cast("Any", source))
    known.keep(f"{'0' * 16}x")
    assert [(one["do"], one["keys"]) for one in asked] == [("types_of", False), ("label", False)]


def test_a_table_of_lines_alone_is_a_card_all_the_same() -> None:
    assert "<table>" in html("|---|\n|--|\n\nmore")


def test_a_store_that_somebody_wrote_by_hand_is_told_of_and_breaks_nothing(
    serve: Callable[..., Served], book: Book, first: str, place: Path
) -> None:
    deep = "[" * 100_000
    half = r'"\ud800"'
    spec = f'"space": {{"version": 1, "parameters": [{{"name": {half}, "kind": "choice", "values": [{half}, "b"]}}]}}'
    changes = [
        ("update studies set spec = ?", deep),
        ("update studies set spec = ?", b"\xff\xfe"),
        ("update studies set budget = ?", "[]"),
        ("update trials set params = ?", '{"x": "s", "n": {"a": 1}, "kind": [1]}'),
        ("update trials set params = ?", deep),
        ("update trials set tag = ?", "[]"),
        ("update trials set state = ?", "nonsense"),
        ("update trials set started = ?", "x"),
        ("update trials set metrics = ?", '{"loss": "x"}'),
        ("update trials set metrics = ?", '{"loss": 1, "\\ud800": 1}'),
        ("update trials set reason = ?", "\\udcff"),
        ("insert into facts values ('first', 'models', ?)", deep),
        ("update studies set spec = replace(spec, '\"loss\"', ?)", half),
        ("update studies set spec = replace(spec, '\"space\":', ?)", f'{spec}, "not":'),
    ]
    book.store.close()
    as_it_was = place.read_bytes()
    studio = serve()
    base = f"/s/{first}"
    paths = [
        "/",
        base,
        *(f"{base}/{page}" for page in ("trials", "t/0", "explore", "best.json", "t/0/curve.json", "manage")),
    ]
    for path in paths:
        assert studio.get(path).status == 200, path
    refused: list[str] = []
    for change, value in changes:
        for end in ("", "-wal", "-shm"):
            place.with_name(place.name + end).unlink(missing_ok=True)
        place.write_bytes(as_it_was)
        with closing(sqlite3.connect(place)) as store:
            store.execute(change, (value,))
            store.commit()
        for path in (*paths, f"{base}/explore/parallel.json", f"{base}/explore/parallel.csv"):
            found = studio.get(path)
            assert found.status in (200, 503), (change, value[:50], path)
            refused += [change] * (found.status == 503 and "cannot be read" in found.text)
        with suppress(http.client.HTTPException):  # a file that has begun ends early
            assert studio.get(f"{base}/export/trials.csv").status in (200, 503), (change, value[:50])
    assert len(set(refused)) >= 6


def test_the_same_asked_many_times_at_once_is_done_and_breaks_nothing(studio: Served, first: str) -> None:
    wanted = (
        ("add", "more=5", {303}),
        ("pause", "", {303}),
        ("note", "text=a", {303}),
        ("delete", f"name={first}", {303, 404, 409}),
    )
    for what, body, statuses in wanted:
        with ThreadPoolExecutor(8) as pool:
            said = list(pool.map(lambda _: studio.post(f"/s/{first}/{what}", body).status, range(8)))  # noqa: B023
        assert set(said) <= statuses, (what, said)
    assert said.count(303) <= 1


@pytest.mark.skipif(os.name != "posix", reason="studies are started on POSIX")
def test_what_is_about_to_begin_is_not_deleted_below_its_process(
    studio: Served, first: str, book: Book, place: Path
) -> None:
    import fcntl

    folder = place.parent / "work" / first
    folder.mkdir(parents=True)
    with (folder / "studio.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        answer = studio.post(f"/s/{first}/delete", f"name={first}")
        assert (answer.status, first in book.store.cursors()) == (409, True)
    assert studio.post(f"/s/{first}/delete", f"name={first}").status == 303
