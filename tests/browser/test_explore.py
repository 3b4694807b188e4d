"""What one does on the pages that help to understand a study: limit an axis, choose trials, look closer - with the mouse, by keys, without scripts."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import Axe, Book, Desk, Served
from tests.studio.test_explore import fill


def drawn(page: Page) -> None:
    """Wait until there is a chart."""
    page.wait_for_function("() => performance.getEntriesByName('luthier-chart').length > 0")


def test_a_drag_along_an_axis_limits_it_and_a_click_frees_it(book: Book, studio: Served, desk: Desk) -> None:
    fill(book, "s", 60)
    page = desk(studio, "/s/s/explore?axes=lr&axes=n")
    drawn(page)
    page.evaluate("window.stays = true")
    box = page.locator("#chart-parallel").bounding_box()
    assert box is not None
    x, middle, top = box["x"] + 34, box["y"] + box["height"] / 2, box["y"] + 60
    page.mouse.move(x, middle)
    page.mouse.down()
    page.mouse.move(x, top + 20, steps=4)
    page.mouse.move(x, top, steps=2)
    page.mouse.up()
    expect(page.get_by_role("textbox", name="Filter")).to_have_value(re.compile(r"^lr:0\.00\d+\.\.0\.0\d+$"))
    expect(page.locator("#words-parallel")).to_contain_text("of 60 trials fit")
    assert "f=lr" in page.url
    assert page.get_by_label("lr: from").input_value().startswith("0.00")
    page.mouse.click(x, middle - 30)
    expect(page.get_by_role("textbox", name="Filter")).to_have_value("")
    expect(page.locator("#words-parallel")).to_contain_text("60 trials.")
    page.go_back()
    expect(page.get_by_role("textbox", name="Filter")).to_have_value(re.compile("^lr:"))
    assert page.evaluate("window.stays")  # the page was never loaded anew


def test_limits_are_typed_and_axes_moved_by_keys_alone(book: Book, studio: Served, desk: Desk) -> None:
    fill(book, "s", 60)
    page = desk(studio, "/s/s/explore?axes=lr&axes=n")
    drawn(page)
    page.get_by_label("n: from").focus()
    page.keyboard.type("200")
    page.keyboard.press("Tab")
    page.keyboard.type("700")
    page.keyboard.press("Enter")
    expect(page.get_by_role("textbox", name="Filter")).to_have_value("n:200..700")
    expect(page.get_by_label("n: to")).to_be_focused()
    page.get_by_role("button", name="Move n to the left").press("Enter")
    expect(page.locator(".limits legend").first).to_have_text("n")
    page.get_by_role("textbox", name="Filter").fill("n:200..700 kernal:rbf")
    page.keyboard.press("Enter")
    expect(page.locator("#f-error")).to_contain_text("Did you mean 'kernel'?")
    expect(page.get_by_role("textbox", name="Filter")).to_be_focused()
    page.get_by_role("textbox", name="Filter").fill("kernel:rbf")
    page.keyboard.press("Enter")
    expect(page.locator("#f-error")).to_have_count(0)


def test_trials_are_selected_in_the_chart_and_in_the_table(book: Book, studio: Served, desk: Desk) -> None:
    fill(book, "s", 12)
    page = desk(studio, "/s/s/explore?axes=lr&axes=n")
    drawn(page)
    page.locator("#parallel-table summary").click()
    first = page.locator("#parallel-table input[type=checkbox]").first
    number = first.get_attribute("value")
    first.check()
    page.get_by_role("button", name="Select these trials").click()
    expect(page.get_by_label("Selected trials")).to_have_value(str(number))
    page.get_by_role("link", name="Scatter").click()
    expect(page.get_by_label("Selected trials")).to_have_value(str(number))


def test_a_click_on_a_line_opens_its_trial(book: Book, studio: Served, desk: Desk) -> None:
    name = book.study()
    book.trial(name, 1.0, x=0.5, n=50)
    page = desk(studio, f"/s/{name}/explore?axes=x&axes=n")
    drawn(page)
    box = page.locator("#chart-parallel").bounding_box()
    assert box is not None
    found = page.evaluate(
        """() => { const c = document.querySelector('#chart-parallel canvas'); const p = c.getContext('2d');
        const d = p.getImageData(Math.round(c.width * 0.2), 0, 1, c.height).data;
        for (let y = 60; y < c.height - 60; y++) if (d[4 * y + 3] > 120) return y * c.clientHeight / c.height; }"""
    )
    place = page.locator("#chart-parallel canvas").first.bounding_box()
    assert place is not None
    page.mouse.move(place["x"] + place["width"] * 0.2, place["y"] + found)
    expect(page.locator(".tip")).to_contain_text("x 0.5")
    page.mouse.click(place["x"] + place["width"] * 0.2, place["y"] + found)
    page.wait_for_url("**/s/first/t/0")


def test_a_drag_across_the_timeline_zooms(book: Book, studio: Served, desk: Desk) -> None:
    fill(book, "s", 30)
    page = desk(studio, "/s/s/timeline")
    drawn(page)
    box = page.locator("#chart-timeline").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 80, steps=5)
    page.mouse.up()
    expect(page.get_by_label("From, seconds")).not_to_have_value("")
    page.get_by_role("link", name="All of it").click()
    expect(page.get_by_label("From, seconds")).to_have_value("")


def test_what_is_new_is_drawn_and_what_is_drawn_can_be_saved(book: Book, studio: Served, desk: Desk) -> None:
    name = book.study()
    book.trial(name, 1.0)
    page = desk(studio, f"/s/{name}/explore")
    drawn(page)
    expect(page.locator("#live")).to_have_text("live")
    page.locator("#words-parallel").scroll_into_view_if_needed()
    book.trial(name, 0.5)
    expect(page.locator("#words-parallel")).to_contain_text("2 trials. loss: best 0.5 (trial 1)")
    page.wait_for_function("() => performance.getEntriesByName('luthier-chart').length > 1")
    for kind, start in (("PNG", b"\x89PNG"), ("CSV", b"Trial,")):
        with page.expect_download() as saved:
            page.get_by_role("group", name="Save chart").get_by_role("button", name=kind).click()
        assert saved.value.path().read_bytes().startswith(start)


def test_without_scripts_pages_are_complete(book: Book, studio: Served, desk: Desk) -> None:
    fill(book, "s", 20)
    page = desk(studio, "/s/s/explore", scripts=False)
    page.get_by_label("lr: from").fill("0.001")
    page.get_by_role("button", name="Apply limits").click()
    expect(page.get_by_role("textbox", name="Filter")).to_have_value("lr:0.001..")
    expect(page.locator("#words-parallel")).to_contain_text("of 20 trials fit")
    expect(page.locator("#parallel-table tbody tr").first).to_be_attached()


VIEWS = [f"explore?view={view}" for view in ("parallel", "scatter", "slice", "contour", "importance")]


def test_nothing_stands_in_anybodys_way(book: Book, studio: Served, desk: Desk, axe: Axe) -> None:
    fill(book, "s", 60)
    page = desk(studio, "/s/s", reduced_motion="reduce")
    for path in [
        *VIEWS,
        "explore?f=lr:1e-4..+kernel:rbf&sel=3,4",
        "curves",
        "timeline",
        "trials?by=-lr&f=zz",
    ]:
        page.emulate_media(color_scheme="light")
        page.goto(f"/s/s/{path}")
        if "curves" not in path and "trials" not in path:
            drawn(page)
        for table in page.locator("details").all():
            table.evaluate("one => one.open = true")
        assert axe(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        page.emulate_media(color_scheme="dark")
        assert axe(page, rules=["color-contrast"]) == [], f"{path} in the dark theme"


def test_a_small_screen_is_enough(book: Book, studio: Served, desk: Desk) -> None:
    fill(book, "s", 60)
    page = desk(studio, "/s/s", width=320)
    for path in [*VIEWS, "curves", "timeline", "trials"]:
        page.goto(f"/s/s/{path}")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
