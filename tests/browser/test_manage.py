"""Finding, comparing, noting and exporting in a real browser."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Browser, expect

from tests.browser.conftest import Axe, Book, Desk, Served
from tests.studio.test_compare import folded

__all__ = ["folded"]

PAGES = (
    "/", "/s/folded/manage", "/s/folded/t/1", "/s/folded/failures", "/s/folded/trials", "/settings", "/compare", "/compare?s=folded,first",
    "/compare?t=folded:0,folded:1,first:2",
)  # fmt: skip


def test_whoever_cannot_see_or_point_can_use_the_pages(
    studio: Served, book: Book, first: str, folded: str, desk: Desk, axe: Axe
) -> None:
    page = desk(studio, reduced_motion="reduce")
    for path in PAGES:
        page.emulate_media(color_scheme="light")
        page.goto(path)
        page.wait_for_load_state("networkidle") if path.startswith(
            ("/settings", "/compare")
        ) else page.wait_for_selector("h1")
        assert axe(page) == [], path
        page.emulate_media(color_scheme="dark")
        assert axe(page, rules=["color-contrast"]) == [], f"{path} in the dark theme"


def test_no_page_is_wider_than_a_small_screen(
    studio: Served, book: Book, first: str, folded: str, desk: Desk
) -> None:
    page = desk(studio, width=320)
    for path in PAGES:
        page.goto(path)
        assert page.evaluate(
            "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        ), path


def test_a_selection_survives_what_changes_meanwhile_and_is_compared(
    studio: Served, book: Book, folded: str, desk: Desk
) -> None:
    page = desk(studio, "/s/folded/trials")
    expect(page.locator("#live")).to_have_attribute("data-state", "on")
    page.get_by_label("Select trial 0").check()
    page.get_by_label("Select trial 1").check()
    book.trial(folded, 0.1)
    expect(page.get_by_label("Select trial 3")).to_be_visible()
    assert [page.get_by_label(f"Select trial {n}").is_checked() for n in (0, 1, 2, 3)] == [
        True,
        True,
        False,
        False,
    ]
    page.get_by_role("button", name="Compare selected").click()
    expect(page.get_by_text("trial 1 is better than trial 0", exact=False)).to_be_visible()


def test_studies_are_selected_while_others_begin_and_archived(
    studio: Served, book: Book, folded: str, desk: Desk
) -> None:
    page = desk(studio)
    expect(page.locator("#live")).to_have_attribute("data-state", "on")
    page.get_by_label("Select folded").check()
    book.study("later")
    expect(page.get_by_label("Select later")).to_be_visible()
    assert (
        page.get_by_label("Select folded").is_checked(),
        page.get_by_label("Select later").is_checked(),
    ) == (True, False)
    page.get_by_role("button", name="Archive").click()
    expect(page.get_by_text("1 archived")).to_be_visible()
    expect(page.get_by_role("link", name="folded")).to_have_count(0)


def test_a_log_is_followed_as_long_as_one_is_at_its_end(
    studio: Served, book: Book, first: str, desk: Desk, place: Path
) -> None:
    log = place.parent / "work/first/5/1/output.log"
    log.parent.mkdir(parents=True)
    log.write_text("".join(f"line {i}\n" for i in range(300)))
    page = desk(studio, "/s/first/t/5")
    with log.open("a") as file:
        file.write("the latest\n")
    box = page.locator("#log")
    expect(box).to_contain_text("the latest")
    page.wait_for_function(
        "box => box.scrollHeight - box.scrollTop - box.clientHeight < 24", arg=box.element_handle()
    )
    box.evaluate("box => { box.scrollTop = 0; }")
    with log.open("a") as file:
        file.write("one more\n")
    expect(box).to_contain_text("one more")
    assert box.evaluate("box => box.scrollTop") == 0


def test_a_note_is_written_and_the_nearest_come_when_they_are_seen(
    studio: Served, book: Book, first: str, desk: Desk
) -> None:
    page = desk(studio, "/s/first/t/1")
    page.get_by_role("heading", name="Nearest trials").scroll_into_view_if_needed()
    expect(page.locator("#near-0")).to_be_visible()
    page.get_by_label("Note", exact=True).fill("<i>odd</i>")
    page.get_by_role("button", name="Save note").click()
    expect(page.get_by_text("The note is kept.")).to_be_visible()
    expect(page.locator(".remarks")).to_contain_text("<i>odd</i>")
    page.get_by_label("Add tags").fill("keep")
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_role("button", name="Take the tag keep off").click()
    expect(page.get_by_role("button", name="Take the tag keep off")).to_have_count(0)


def test_a_chart_is_saved_as_a_picture_and_as_numbers(
    studio: Served, book: Book, folded: str, desk: Desk, tmp_path: Path
) -> None:
    page = desk(studio, "/s/folded")
    expect(page.locator(".chart canvas").first).to_be_visible()
    found = {}
    for kind in ("PNG", "SVG", "CSV"):
        with page.expect_download() as got:
            page.locator(".save").first.get_by_role("button", name=kind).click()
        got.value.save_as(tmp_path / kind)
        found[got.value.suggested_filename] = (tmp_path / kind).read_bytes()
    assert list(found) == [f"folded Best so far.{kind}" for kind in ("png", "svg", "csv")]
    png, svg, csv = found.values()
    assert (png[:4], svg[:4]) == (b"\x89PNG", b"<svg")
    assert b"best so far,1,0.5,0" in csv


def test_the_report_opens_without_a_network(
    studio: Served, book: Book, first: str, browser: Browser, tmp_path: Path, axe: Axe
) -> None:
    file = tmp_path / "report.html"
    file.write_bytes(studio.get(f"/s/{quote(first)}/export/report.html").body)
    context = browser.new_context(offline=True)
    page, asked, said = context.new_page(), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(file.as_uri())
    shown = page.evaluate("[...document.images].map((image) => image.complete && image.naturalWidth > 100)")
    assert (len(shown) >= 1, all(shown)) == (True, True)
    assert [url[:5] for url in asked if not url.startswith(("data:", "file:"))] == []
    assert said == []
    context.close()
