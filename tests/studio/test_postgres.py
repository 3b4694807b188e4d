"""The studio of a store on a server is the studio of a store in a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

import luthier as lt
from luthier.store.url import open_store
from tests.studio.conftest import Book, Served
from tests.studio.test_live import listening
from tests.studio.test_works import GRID, until


@pytest.fixture
def url(postgres_url: str) -> str:
    return postgres_url


@pytest.fixture
def server_book(url: str) -> Iterator[Book]:
    store = open_store(url)
    for row in store.studies():
        store.delete(row.name)
    yield Book(store)
    for row in store.studies():
        store.delete(row.name)
    store.close()


def test_a_server_is_shown_as_a_file_is(serve: Callable[..., Served], server_book: Book, url: str) -> None:
    studio = serve(store=url)
    name = server_book.study("on a server")
    for i in range(4):
        server_book.trial(name, 0.1 * i, 0.05 * i, 0.15 * i)
    base = f"/s/{quote(name)}"
    with listening(studio, f"{base}/events") as page:
        assert page.until(lambda found: found["ended"] == 4)["best"] == "0 ± 0 (#0)"
        server_book.trial(name, -1.0)
        assert page.until(lambda found: found["ended"] == 5)["best"] == "-1 (#4)"
    for path in ("", "/trials", "/failures", "/t/3", "/best.json", "/t/3/curve.json", "/part/words"):
        answer = studio.get(base + path)
        assert (answer.status, "cannot be shown" in answer.text) == (200, False), path
    assert studio.post(f"{base}/add", "more=5").status == 303
    assert server_book.store.spec(name).budget.trials == 105
    for odd in ("/s/%00", "/s/%ff", f"{base}/t/2147483648", f"{base}/t/2147483647", "/s/none"):
        assert studio.get(odd).status == 404, odd
    assert "password" not in studio.get("/").text


def test_a_study_on_a_server_is_begun_and_gone_on_with(
    serve: Callable[..., Served],
    server_book: Book,
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)  # where what belongs to studies on a server is kept
    studio = serve(store=url)
    works = studio.opened.studio.works
    works.start("forest", GRID)
    until(lambda: not works.working("forest"))
    assert works.failure("forest") is None, works.log("forest")
    study = lt.load("forest", url)
    assert [trial.state for trial in study.trials] == ["completed"] * 6
    study.close()
    assert (tmp_path / ".luthier" / "models" / "forest" / "1" / "model.skops").is_file()
    assert studio.get("/s/forest").status == 200
