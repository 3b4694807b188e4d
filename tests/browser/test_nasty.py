"""Every page there is, of studies that are hard to show: it is found by its links, so that new pages are looked at by themselves."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest
from playwright.sync_api import Page

from tests.browser import nasty
from tests.browser.conftest import AXE, Axe, Desk, Served

AT_MOST = 30
"""Pages of one study."""
OF_A_KIND = 1
"""Pages that differ only by a number, or by what is asked for after `?`; but views are pages of their own."""

FIRST_VIEW = "parallel"
"""What `/explore` shows without `?view=`: one page, however it is asked for."""
OF_CONTENT = [
    "aria-valid-attr-value", "button-name", "duplicate-id-aria", "empty-heading", "empty-table-header", "heading-order", "label", "link-name",
    "page-has-heading-one", "select-name",
]  # fmt: skip
"""Rules that a page may keep with one study and break with another: what it says is of the study, how it is built is not."""
OF_SIZE = ["target-size", "scrollable-region-focusable"]


@pytest.fixture(scope="session")
def hard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of hard studies."""
    path = tmp_path_factory.mktemp("nasty") / "studies.db"
    nasty.make(path)
    return path


def kind_of(path: str) -> str:
    """What pages of one kind have in common."""
    parts = urlsplit(path)
    place = re.sub(r"(?<=/)(\d+|[0-9a-f]{8,})(?=/|$)", "N", parts.path)
    return " ".join([place, *(view for view in parse_qs(parts.query).get("view", []) if view != FIRST_VIEW)])


class Walk:
    """The pages that are reached by links, some of each kind."""

    def __init__(self, start: list[str], inside: str) -> None:
        self._inside = inside
        self._next = list(start)
        self._seen = set(start)
        self._kinds: dict[str, int] = {}
        self.paths: list[str] = []

    def __iter__(self) -> Walk:
        return self

    def __next__(self) -> str:
        if not self._next or len(self.paths) >= AT_MOST:
            raise StopIteration
        self.paths.append(self._next.pop(0))
        return self.paths[-1]

    def add(self, links: list[str]) -> None:
        for link in links:
            parts = urlsplit(link)
            path = parts.path + (f"?{parts.query}" if parts.query else "")
            if path in self._seen or not re.match(self._inside, parts.path):
                continue
            self._seen.add(path)
            kind = kind_of(path)
            self._kinds[kind] = self._kinds.get(kind, 0) + 1
            if self._kinds[kind] <= OF_A_KIND:
                self._next.append(path)


def links(page: Page) -> list[str]:
    found: list[str] = page.evaluate(
        "() => [...document.querySelectorAll('a[href]:not([download], [data-retry])')].filter((one) => one.origin === location.origin).map((one) => one.href)"
    )
    return found


def settle(page: Page) -> None:
    """Wait until what comes late is there, as far as it is in sight."""
    page.wait_for_function(
        """() => {
          const seen = (one) => one.checkVisibility() && one.getBoundingClientRect().top < innerHeight;
          const is = (one) => one.querySelector('canvas') || 'empty' in one.dataset || one.textContent;
          return [...document.querySelectorAll('.chart')].every((one) => !seen(one) || is(one))
            && [...document.querySelectorAll('[data-late]')].every((one) => !seen(one) || !one.querySelector(':scope > p > [data-retry]'));
        }"""
    )


def look(page: Page, axe: Axe, path: str, *, closely: bool) -> list[str]:
    """What is wrong with a page: wide in the light theme, and narrow in the dark one. Closely is by all rules."""
    wrong = []
    page.set_viewport_size({"width": 1280, "height": 800})
    page.emulate_media(color_scheme="light")
    answer = page.goto(path)
    if answer is None or answer.status >= 400:
        return [f"answers {answer and answer.status}"]
    if not answer.headers.get("content-type", "").startswith("text/html"):
        return []
    settle(page)
    if "cannot be shown" in (text := page.locator("body").inner_text()):
        wrong.append("cannot be shown: " + text[text.index("cannot be shown") :][:200])
    if page.title().startswith("broken"):
        wrong.append("a script of a study ran")
    if drawn := re.search(r"The chart cannot be drawn[^.]*", text):
        wrong.append(drawn[0])
    if (width := page.evaluate("() => document.documentElement.scrollWidth")) > 1280:
        wrong.append(f"{width} px wide at 1280")
    wrong += axe(page, rules=None if closely else ["color-contrast", *OF_CONTENT])
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 320, "height": 640})
    if (width := page.evaluate("() => document.documentElement.scrollWidth")) > 320:
        wrong.append(f"{width} px wide at 320")
    return wrong + [f"dark and narrow: {one}" for one in axe(page, rules=["color-contrast", *OF_SIZE])]


def visit(desk: Desk, studio: Served, axe: Axe, walk: Walk, *, closely: bool = True) -> None:
    """Look at every page of a walk, and say all that is wrong."""
    context = desk.context(studio, reduced_motion="reduce")
    context.add_init_script(path=AXE)  # sent to the browser once, and not once for every page
    page = context.new_page()
    wrong = []
    for path in walk:
        before = len(desk.troubles)
        found = look(page, axe, path, closely=closely)
        found += desk.troubles[before:]
        wrong += [f"{unquote(path)[:80]}: {one}" for one in found]
        walk.add(links(page))
    desk.troubles.clear()  # they are told below
    print(f"{len(walk.paths)} pages:", *walk.paths, sep="\n  ")
    if wrong:
        pytest.fail("\n".join(wrong), pytrace=False)


NAMES = {
    "odd names and values": nasty.HTML.replace("/", "|"),
    "no trial": "nothing yet",
    "one trial": nasty.LONG,
    "one that runs": " blanks ",
    "all the same": nasty.LONG_WORDS[:290],
    "infinite values": f"{nasty.EMOJI} ?#&%2F..;=",
    "only NaN": nasty.RIGHT,
    "all failed": nasty.FORMULA.replace("/", "|"),
    "thousands of failures": "thousands of failures",
    "sixty parameters": "sixty",
    "several objectives": "several",
    "learning curves": "curves",
    "a model": nasty.MODEL,
}

CLOSELY = ("odd names and values", "several objectives", "learning curves", "a model")
"""Studies that have something on every kind of page."""


@pytest.mark.parametrize("name", NAMES)
def test_every_page_of_a_hard_study_is_shown(
    desk: Desk, serve: object, hard: Path, axe: Axe, name: str
) -> None:
    assert callable(serve)
    studio: Served = serve(store=hard)
    base = f"/s/{quote(NAMES[name], safe='')}"
    visit(desk, studio, axe, Walk([base], re.escape(base)), closely=name in CLOSELY)


def test_every_other_page_is_shown(desk: Desk, serve: object, hard: Path, axe: Axe) -> None:
    assert callable(serve)
    visit(desk, serve(store=hard), axe, Walk(["/"], r"(?!/s/)"))


def test_no_study_is_left_out(hard: Path, serve: object) -> None:
    assert callable(serve)
    studio: Served = serve(store=hard)
    assert {unquote(one) for one in re.findall(r'href="/s/([^"/]+)"', studio.get("/").text)} == set(
        NAMES.values()
    )
