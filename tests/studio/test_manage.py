"""Studies found, put away and deleted; notes, tags, files and failures of trials; settings: over HTTP, with real stores."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest

import luthier as lt
from luthier.store.base import Store
from luthier.store.url import open_store
from luthier.studio.drafts.cloning import draft_of, left_out
from luthier.studio.manage.listing import PAGE, POINTS
from luthier.study import Completed, Failed, Fidelity, Objective, Problem, Proposal, Record
from luthier.study.remarks import Remarks, tagged
from luthier.studyfile import from_given
from tests.studio.conftest import SPACE, Book, Served
from tests.studio.test_pages import words_of


def listed(html: str) -> list[str]:
    return re.findall(r'<a class="name" href="/s/([^"]*)"', html)


def remarks(store: Store, study: str = "first") -> Remarks:
    return Remarks.of(store.facts(study))


# --- the list ----------------------------------------------------------------------------------


def test_the_list_is_filtered_by_name_and_put_in_order(studio: Served, book: Book) -> None:
    for name in ("beta one", "Alpha", "gamma & one"):
        book.study(name)
    book.trial("Alpha", 1.0)
    assert listed(studio.get("/?q=ONE").text) == ["gamma%20%26%20one", "beta%20one"]
    assert listed(studio.get("/part?q=alp").text) == ["Alpha"]
    assert listed(studio.get("/?by=name").text) == ["Alpha", "beta%20one", "gamma%20%26%20one"]
    assert listed(studio.get("/?by=trials").text)[0] == "Alpha"
    nothing = studio.get("/?q=%3Cb%3Eno").text
    assert (listed(nothing), "&lt;b&gt;no" in nothing) == ([], True)
    for odd in ("?by=x", "?from=x", "?from=-3", "?from=99999999999999999", "?archived=x", "?q=" + "x" * 3000):
        assert studio.get(f"/{odd}").status == 200, odd


def test_the_list_comes_a_page_at_a_time(studio: Served, book: Book) -> None:
    for i in range(PAGE + 3):
        book.study(f"s{i:03}")
    first, second = studio.get("/?by=name").text, studio.get(f"/?by=name&from={PAGE + 1}").text
    assert (len(listed(first)), listed(second)) == (PAGE, ["s100", "s101", "s102"])
    assert f"from={PAGE + 1}" in first
    assert listed(studio.get("/?by=name&from=500").text) == listed(second)


def test_the_best_so_far_is_a_small_line(studio: Served, book: Book) -> None:
    book.study()
    for i in range(200):
        book.trial("first", 100.0 - i)
    book.trial("first", float("-inf"))
    points = re.findall(r'<polyline points="([^"]*)"', studio.get("/").text)[0].split()
    assert 2 < len(points) <= POINTS
    xs, ys = zip(*(map(float, point.split(",")) for point in points), strict=True)
    assert (list(xs), list(ys)) == (sorted(xs), sorted(ys))
    assert "from 100 to -99" in studio.get("/").text


def test_an_archived_study_is_left_out_until_it_is_asked_for_or_taken_back(
    studio: Served, book: Book
) -> None:
    for name in ("one", "two", "three"):
        book.study(name)
    answer = studio.post("/archive", urlencode([("s", "one"), ("s", "two"), ("s", "none")]))
    assert (answer.status, answer.headers["location"]) == (303, "/?said=archived")
    page = studio.get("/").text
    assert (listed(page), "2 archived" in page) == (["three"], True)
    assert listed(studio.get("/?archived=1").text) == ["three", "two", "one"]
    assert "This study is archived" in studio.get("/s/one").text
    assert studio.post("/archive", "s=one&undo=1").status == 303
    assert studio.post("/s/two/archive", "undo=1").status == 303
    assert listed(studio.get("/").text) == ["three", "two", "one"]
    assert studio.post("/archive", "").headers["location"] == "/?said=archived.none"


def test_the_page_of_an_archived_study_offers_to_take_it_back(studio: Served, first: str) -> None:
    assert studio.post("/s/first/archive").status == 303
    assert "Take it back" in studio.get("/s/first/manage").text


# --- deleting ----------------------------------------------------------------------------------


def test_a_study_is_deleted_once_its_name_is_typed_with_its_files(
    studio: Served, book: Book, first: str, place: Path
) -> None:
    folder = place.parent / "work/first/1/artifacts"
    folder.mkdir(parents=True)
    wrong = studio.post("/s/first/delete", "name=fist")
    assert (wrong.status, "“fist” is not the name" in wrong.text) == (422, True)
    assert studio.post("/s/first/delete").status == 422
    book.store.end("first", "me", "stopped: so")
    answer = studio.post("/s/first/delete", "name=first")
    assert (answer.status, answer.headers.get("location")) == (303, "/?said=deleted")
    assert (book.store.studies(), folder.exists()) == ([], False)
    assert studio.get("/s/first").status == 404


def test_a_study_that_somebody_works_on_is_not_deleted(studio: Served, book: Book, first: str) -> None:
    book.store.begin("first", "me/1/2/3")
    book.store.renew("first", "me/1/2/3", 60.0)
    answer = studio.post("/s/first/delete", "name=first")
    assert (answer.status, "somebody is working on study" in answer.text) == (409, True)
    assert [row.name for row in book.store.studies()] == ["first"]


# --- notes and tags ----------------------------------------------------------------------------


def test_notes_are_plain_text_kept_and_shown_escaped(studio: Served, book: Book, first: str) -> None:
    text = "<script>alert(1)</script>\r\nsecond & line"
    assert studio.post("/s/first/t/1/note", urlencode({"text": text})).status == 303
    assert remarks(book.store).notes == {1: "<script>alert(1)</script>\nsecond & line"}
    page = studio.get("/s/first/t/1").text
    assert ("<script>alert" in page, page.count("&lt;script&gt;alert(1)") >= 2) == (False, True)
    assert studio.post("/s/first/note", urlencode({"text": "all of it"})).status == 303
    assert "all of it" in studio.get("/s/first").text
    assert studio.post("/s/first/t/1/note", urlencode({"text": " "})).status == 303
    assert remarks(book.store) == Remarks("all of it")
    assert studio.post("/s/first/note", urlencode({"text": "x" * 20_001})).status == 422
    assert studio.post("/s/first/note", urlencode({"text": "x" * 300_000})).status == 413
    assert studio.post("/s/first/t/99/note", "text=a").status == 404


def test_a_note_that_somebody_else_changed_meanwhile_is_not_written_over(
    studio: Served, book: Book, first: str
) -> None:
    studio.post("/s/first/t/1/note", urlencode({"text": "theirs", "was": ""}))
    answer = studio.post("/s/first/t/1/note", urlencode({"text": "mine", "was": ""}))
    assert (answer.status, "theirs" in answer.text, "mine" in answer.text) == (409, True, True)
    assert studio.post("/s/first/t/1/note", urlencode({"text": "both", "was": "theirs"})).status == 303
    assert remarks(book.store).notes == {1: "both"}


def test_tags_are_put_on_and_taken_off(studio: Served, book: Book, first: str) -> None:
    assert studio.post("/s/first/t/1/tags", urlencode({"add": "keep, to-check größe"})).status == 303
    assert studio.post("/s/first/t/1/tags", "off=to-check").status == 303
    assert remarks(book.store).tags == {1: {"keep", "größe"}}
    assert "keep" in words_of(studio.get("/s/first/t/1").text)
    refused = studio.post("/s/first/t/1/tags", urlencode({"add": "<b>"}))
    assert (refused.status, "Use up to 40 letters" in refused.text) == (422, True)
    assert studio.post("/s/first/t/99/tags", "add=a").status == 404


def test_many_who_tag_at_once_lose_nothing(studio: Served, book: Book, first: str, place: Path) -> None:
    def over_http(who: int) -> None:
        for i in range(6):
            assert studio.post("/s/first/t/1/tags", f"add=h{who}x{i}").status == 303

    def by_hand() -> None:
        store = open_store(str(place))
        for i in range(6):
            store.remember("first", tagged(1, f"s{i}"))
        store.close()

    threads = [threading.Thread(target=over_http, args=(who,)) for who in (1, 2)]
    threads.append(threading.Thread(target=by_hand))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(remarks(book.store).tags[1]) == 18


def test_who_may_only_look_changes_nothing(studio: Served, book: Book, first: str) -> None:
    before = book.store.facts("first")
    asked = [
        "/archive",
        "/s/first/archive",
        "/s/first/delete",
        "/s/first/note",
        "/s/first/retry",
        "/s/first/t/1/note",
        "/s/first/t/1/tags",
    ]
    for path in asked:
        assert (
            studio.call(path, "POST", "name=first&s=first&text=a&add=a&first=2", token=studio.viewer).status
            == 403
        ), path
        assert (
            studio.call(path, "POST", "name=first", cookie=studio.cookie, sec_fetch_site="cross-site").status
            == 403
        ), path
    assert (book.store.facts("first"), [row.name for row in book.store.studies()]) == (before, ["first"])
    for path in ("/", "/s/first/manage", "/s/first/t/1", "/s/first/failures", "/settings"):
        page = studio.call(path, token=studio.viewer)
        forms = set(re.findall(r'<form method="post" action="([^"]*)"', page.text)) | set(
            re.findall(r'formaction="([^"]*)"', page.text)
        )
        assert (page.status, {f for f in forms if f.startswith(("/s/", "/archive"))}) == (200, set()), path


# --- files -------------------------------------------------------------------------------------


@pytest.fixture
def kept(place: Path, first: str) -> Path:
    """Artifacts of trial 1: a page, a folder, and links that lead out."""
    folder = place.parent / "work/first/1/artifacts"
    (folder / "plots").mkdir(parents=True)
    (folder / "page ü.html").write_text("<script>alert(1)</script>")
    (folder / "plots/roc?.svg").write_bytes(b"<svg/>")
    (place.parent / "secret").write_text("secret")
    (folder / "link").symlink_to(place.parent / "secret")
    (folder / "plots/out").symlink_to(place.parent)
    os.mkfifo(folder / "pipe")
    return folder


def test_artifacts_are_listed_and_downloaded_never_shown(studio: Served, kept: Path) -> None:
    page = studio.get("/s/first/t/1").text
    assert "page ü.html" in page
    links = re.findall(r'href="([^"]*/files/[^"]*)"', page)
    assert links == ["/s/first/t/1/files/page%20%C3%BC.html", "/s/first/t/1/files/plots/roc%3F.svg"]
    answer = studio.get(links[0])
    assert (answer.status, answer.text) == (200, "<script>alert(1)</script>")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (
        answer.headers["content-disposition"]
        == "attachment; filename=\"page _.html\"; filename*=UTF-8''page%20%C3%BC.html"
    )
    assert studio.get(links[1]).body == b"<svg/>"


@pytest.mark.parametrize(
    "name",
    ["link", "pipe", "plots", "plots/out", "plots/out/secret", "../../../../secret", "..%2f..%2f..%2f..%2fsecret", "plots/../page ü.html",
     "/etc/passwd", "%2fetc%2fpasswd", ".", "", "%00", "page ü.html/", "plots//roc?.svg"],
)  # fmt: skip
def test_nothing_but_what_is_listed_is_sent(studio: Served, kept: Path, name: str) -> None:
    path = name if "%" in name else quote(name)
    answer = studio.get(f"/s/first/t/1/files/{path}")
    assert (answer.status, "secret" in answer.text) == (404, False)


def test_a_log_is_followed_from_where_one_is(studio: Served, book: Book, first: str, place: Path) -> None:
    folder = place.parent / "work/first/5/1"
    folder.mkdir(parents=True)
    (folder / "output.log").write_text("one\n")
    assert studio.get("/s/first/t/5/output").json == {"text": "one\n", "size": 4, "running": True}
    with (folder / "output.log").open("a") as file:
        file.write("two\n")
    assert studio.get("/s/first/t/5/output?after=4").json["text"] == "two\n"
    assert studio.get("/s/first/t/5/output?after=8").json["text"] == ""
    assert studio.get("/s/first/t/5/output?after=x").json["size"] == 8
    assert studio.get("/s/first/t/0/output").json == {"text": "", "size": 0, "running": False}


# --- nearest -----------------------------------------------------------------------------------


def test_the_nearest_trials_are_those_that_differ_the_least(studio: Served, book: Book) -> None:
    book.study()
    for x, n, kind, value in (
        (0.5, 50, "a", 1.0),
        (0.52, 50, "a", 1.1),
        (0.9, 90, "b", 0.3),
        (0.5, 50, "b", 2.0),
        (0.5, 55, "a", 1.2),
    ):
        book.trial("first", value, x=x, n=n, kind=kind)
    book.trial("first", None, x=0.5, n=50)
    part = studio.get("/s/first/t/0/near").text
    assert re.findall(r'id="near-(\d)"', part) == ["1", "4", "3", "2"]
    assert "1.1 +0.1 x 0.52" in words_of(part)
    assert "No other trial" in studio.get(f"/s/{book.study('empty')}/t/{book.trial('empty', 1.0)}/near").text


# --- failures ----------------------------------------------------------------------------------


def test_failures_are_tried_again_and_the_budget_grows(studio: Served, book: Book, first: str) -> None:
    book.trial(
        first, Failed("ValueError: no way 13", 'File "/home/me/train.py", line 3, in train\nValueError'), n=7
    )
    assert "Try 2 again" in studio.get("/s/first/failures").text
    answer = studio.post("/s/first/retry", "first=2")
    assert (answer.status, answer.headers["location"]) == (303, "/s/first?said=retried.idle")
    again = book.store.trials("first", [7, 8])
    assert [(trial.params["n"], dict(trial.tag)) for trial in again] == [
        (3, {"by": "retry", "of": 2}),
        (7, {"by": "retry", "of": 6}),
    ]
    assert book.store.spec("first").budget.trials == 102
    assert studio.post("/s/first/retry", "first=1").status == 422
    assert studio.post("/s/first/retry", "first=x").status == 422


def test_a_value_that_only_failures_have_is_left_out_of_a_clone(studio: Served, book: Book) -> None:
    space = lt.Space(kernel=lt.Choice("linear", "rbf", "poly"), C=lt.Float(0.1, 10))
    about = {"estimator": "sklearn.svm:SVC", "data": "digits"}
    name = book.study("svc", goal="max", problem=Problem(space, (Objective("accuracy", "max"),)), about=about)
    for kernel in ("linear", "poly", "rbf", "poly", "poly", "rbf"):
        (trial,) = book.store.propose(name, [Proposal({"kernel": kernel, "C": 1.0})], claim=("w", 60.0))
        ended = Failed("ValueError: no") if kernel == "poly" else Completed({"accuracy": 0.5})
        book.store.record(name, [Record(trial.number, 1, ended)])
    page = studio.get("/s/svc/failures").text
    assert "All of them have kernel = poly" in page
    (link,) = re.findall(r'href="(/new\?[^"]*without=[^"]*)"', page)
    asked = parse_qs(urlsplit(link.replace("&amp;", "&")).query)
    assert asked == {"from": ["svc"], "without": ["kernel"], "value": ["'poly'"]}
    given = draft_of(studio.opened.studio.shelf, "svc")
    rest = left_out(given, "kernel", "'poly'")
    assert from_given(rest, Path("svc.toml")).space["kernel"].values == ("linear", "rbf")
    assert left_out(rest, "kernel", "'rbf'")["params"] == {"kernel": "linear"}
    assert (
        left_out(rest, "kernel", "'none'") == left_out(rest, "C", "1.0") == left_out(rest, "x", "1") == rest
    )


def test_where_trials_cannot_be_put_in_by_hand_it_says_why(studio: Served, book: Book) -> None:
    book.study("batches", batch=4)
    book.study("deep", problem=Problem(SPACE, (Objective("loss", "min"),), fidelity=Fidelity("epochs", 1, 9)))
    for name, why in (("batches", "batches that depend on nothing"), ("deep", "go on from one another")):
        book.trial(name, Failed("no"))
        assert why in studio.get(f"/s/{name}/failures").text
        assert studio.post(f"/s/{name}/retry", "first=0").status == 422


# --- settings ----------------------------------------------------------------------------------


def test_settings_say_where_things_are_and_give_the_viewers_address_to_the_owner(
    studio: Served, book: Book, first: str, place: Path
) -> None:
    page = studio.get("/settings").text
    for said in (str(place), "Size of the database", "free", "luthier", f"login?token={studio.viewer}"):
        assert said in page
    assert studio.token not in page
    seen = studio.call("/settings", token=studio.viewer).text
    assert (studio.viewer in seen, studio.token in seen, "/export/database" in seen) == (False, False, False)


def test_settings_are_there_before_the_store_is(serve: Callable[..., Served], tmp_path: Path) -> None:
    assert serve(store=tmp_path / "none/yet.db").get("/settings").status == 200


# --- on a server -------------------------------------------------------------------------------


def test_remarks_are_kept_on_a_server_too(serve: Callable[..., Served], postgres_url: str) -> None:
    store = open_store(postgres_url)
    for row in store.studies():
        store.delete(row.name)
    book = Book(store)
    book.study("ü far")
    book.trial("ü far", 0.5)
    studio = serve(store=postgres_url)
    base = f"/s/{quote('ü far')}"
    assert studio.post(f"{base}/t/0/tags", "add=keep").status == 303
    assert studio.post(f"{base}/t/0/note", "text=odd").status == 303
    assert studio.post("/archive", urlencode({"s": "ü far"})).status == 303
    said = remarks(store, "ü far")
    assert (said.tags, said.notes, said.archived is None) == ({0: {"keep"}}, {0: "odd"}, False)
    assert "pg_dump" in studio.get("/settings").text
    assert studio.get("/export/database").status == 422
    assert studio.get(f"{base}/export/trials.csv").text.startswith("number,state")
    assert studio.post(f"{base}/delete", urlencode({"name": "ü far"})).status == 303
    assert store.studies() == []
    store.close()
