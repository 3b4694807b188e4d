"""What all pages share: theme, navigation, keyboard; with and without scripts, on a small screen, on paper."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Axe, Book, Desk, Served

PAGES = ("/", "/s/first", "/s/first/trials", "/s/first/failures", "/s/first/t/1", "/s/first/t/2", "/nowhere")
LIGHT, DARK = "rgb(251, 250, 248)", "rgb(22, 21, 20)"


def paper(page: Page) -> str:
    """The colour a page lies on."""
    found: str = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    return found


def ink_of_chart(page: Page) -> str:
    """The colour that the chart of the page writes its legend in."""
    page.wait_for_selector(".chart canvas")
    found: str = page.evaluate(
        "() => echarts.getInstanceByDom(document.querySelector('.chart')).getOption().legend[0].textStyle.color"
    )
    return found


def wait_for_ink(page: Page, ink: str) -> None:
    """Until the chart of the page writes in this colour."""
    page.wait_for_selector(".chart canvas")
    page.wait_for_function(
        "ink => echarts.getInstanceByDom(document.querySelector('.chart')).getOption().legend[0].textStyle.color === ink",
        arg=ink,
    )


def focused(page: Page) -> str:
    """What has the focus, in words."""
    found: str = page.evaluate(
        "() => document.activeElement.getAttribute('href') ?? (document.activeElement.id || document.activeElement.tagName)"
    )
    return found


# --- accessible --------------------------------------------------------------------------------------


def test_a_normal_study_is_accessible_on_every_page(desk: Desk, studio: Served, first: str, axe: Axe) -> None:
    desk.forgiven = ["404"]  # the page that is not there
    page = desk(studio, reduced_motion="reduce")
    for path in PAGES:
        page.emulate_media(color_scheme="light")
        page.goto(path)
        assert axe(page) == [], path
        page.emulate_media(color_scheme="dark")
        assert axe(page, rules=["color-contrast"]) == [], f"{path} in the dark theme"


def test_the_first_key_leads_past_the_frame(desk: Desk, studio: Served, first: str) -> None:
    page = desk(studio, "/s/first")
    page.keyboard.press("Tab")
    assert focused(page) == "#main"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.querySelector('main').contains(document.activeElement)")


@pytest.mark.parametrize("width", [1280, 320])
def test_whatever_has_the_focus_is_in_sight(desk: Desk, studio: Served, first: str, width: int) -> None:
    page = desk(studio, "/s/first/trials", width=width)
    page.evaluate("() => document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    hidden = """() => {
      const one = document.activeElement, box = one.getBoundingClientRect();
      if (one === document.body || one.tagName === 'MAIN' || one.matches('[tabindex="0"]')) return '';
      const at = document.elementFromPoint(box.x + Math.min(box.width, innerWidth) / 2, box.y + Math.min(box.height, innerHeight) / 2);
      return one.contains(at) || at?.contains(one) ? '' : `${one.outerHTML.slice(0, 90)} under ${at?.outerHTML.slice(0, 90)}`;
    }"""
    seen = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        assert page.evaluate(hidden) == ""
        seen.add(focused(page))
    assert "/s/first/t/0" in seen


def test_the_summary_of_a_new_study_covers_no_field_and_leaves_room_for_them(
    desk: Desk, studio: Served
) -> None:
    page = desk(studio, "/new")
    summary = page.locator(".summary")
    assert summary.bounding_box()["height"] < 100  # type: ignore[index]
    page.get_by_text("2 things still to do").click()
    expect(summary.get_by_role("link", name="Choose the data to learn from.")).to_be_visible()
    covered = """() => {
      const one = document.activeElement, box = one.getBoundingClientRect();
      const over = document.querySelector('.summary');
      return over.contains(one) || !box.height || box.bottom <= over.getBoundingClientRect().top + 1 ? '' : one.outerHTML.slice(0, 90);
    }"""
    page.locator("#data").focus()
    for _ in range(60):
        page.keyboard.press("Tab")
        assert page.evaluate(covered) == ""


def test_targets_are_large_enough_to_hit(desk: Desk, studio: Served, first: str, axe: Axe) -> None:
    page = desk(studio, width=320)
    for path in PAGES[:4]:
        page.goto(path)
        assert axe(page, rules=["target-size"]) == [], path


# --- theme -------------------------------------------------------------------------------------------


def test_the_theme_is_the_systems_until_one_is_chosen_and_then_that_on_every_page(
    desk: Desk, studio: Served, first: str
) -> None:
    page = desk(studio, "/s/first", theme="dark")
    assert paper(page) == DARK
    dark = ink_of_chart(page)
    page.evaluate("() => { window.stayed = true; }")
    with page.expect_response("**/settings/theme"):
        page.get_by_role("button", name="Light").click()
    expect(page.get_by_role("button", name="Dark")).to_be_focused()
    assert paper(page) == LIGHT
    assert dark == "#eceae6"
    wait_for_ink(page, "#1c1b1a")
    assert page.evaluate("() => window.stayed")  # nothing was loaded anew
    page.goto("/")
    assert page.locator("html").get_attribute("data-theme") == "light"
    assert paper(page) == LIGHT
    assert page.locator("meta[name=color-scheme]").get_attribute("content") == "light"


def test_a_system_that_turns_dark_turns_the_charts_too(desk: Desk, studio: Served, first: str) -> None:
    page = desk(studio, "/s/first")
    assert (paper(page), ink_of_chart(page)) == (LIGHT, "#1c1b1a")
    page.emulate_media(color_scheme="dark")
    wait_for_ink(page, "#eceae6")
    assert paper(page) == DARK


@pytest.mark.parametrize("viewer", [False, True])
def test_without_scripts_the_theme_is_chosen_all_the_same(
    desk: Desk, studio: Served, first: str, viewer: bool
) -> None:
    page = desk(studio, "/s/first/trials?by=newest", scripts=False, viewer=viewer)
    page.get_by_role("button", name="Dark").click()
    assert page.url.endswith("/s/first/trials?by=newest")
    assert page.locator("html").get_attribute("data-theme") == "dark"
    expect(page.locator("body")).to_have_css("background-color", DARK)


def test_whoever_is_signed_out_sees_their_theme(desk: Desk, studio: Served) -> None:
    answer = studio.call("/login", cookie="luthier_theme=dark")
    assert '<html lang="en" data-theme="dark">' in answer.text
    assert 'data-theme="' not in studio.call("/login", cookie="luthier_theme=%22onload=x").text


def test_a_choice_that_is_none_is_refused_and_the_way_back_stays_here(studio: Served, first: str) -> None:
    assert studio.post("/settings/theme", "theme=pink").status == 422
    for came, to in (
        ("/s/first?a=b", "/s/first?a=b"),
        ("//evil.example/x", "/evil.example/x"),
        ("/\\evil.example", "/evil.example"),
    ):
        referer = f"http://127.0.0.1:{studio.port}{came}"
        assert studio.post("/settings/theme", "theme=dark", referer=referer).headers["location"] == to
    assert (
        studio.post("/settings/keys", "keys=off", referer="https://evil.example/x").headers["location"] == "/"
    )


# --- the keyboard ------------------------------------------------------------------------------------


def test_rows_are_walked_and_opened_by_keys(desk: Desk, studio: Served, first: str) -> None:
    page = desk(studio, "/s/first/trials")
    page.keyboard.press("j")
    assert focused(page) == "/s/first/t/1"
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("j")  # the last one
    assert focused(page) == "/s/first/t/0"
    page.keyboard.press("k")
    assert focused(page) == "/s/first/t/3"
    page.keyboard.press("Enter")
    page.wait_for_url("**/s/first/t/3")
    page.keyboard.press("g")
    page.keyboard.press("s")
    page.wait_for_url(lambda url: url.endswith(f":{studio.port}/"))


def test_keys_are_letters_where_one_writes(desk: Desk, studio: Served, first: str) -> None:
    page = desk(studio, "/s/first/trials")
    page.get_by_label("Go to rank").focus()
    for key in ("?", "j", "g", "s", "/", "."):
        page.keyboard.press(key)
    assert focused(page) == "from"
    assert page.url.endswith("/s/first/trials")
    expect(page.locator("dialog#keys")).not_to_be_visible()


def test_keys_of_the_browser_are_the_browsers(desk: Desk, studio: Served, first: str) -> None:
    page = desk(studio, "/s/first/trials")
    page.keyboard.press("Control+j")
    assert focused(page) == "BODY"


def test_a_slash_leads_to_the_filter(desk: Desk, studio: Served, first: str) -> None:
    page = desk(studio)
    for path in ("/", "/s/first/trials", "/s/first/explore"):
        page.goto(path)
        page.keyboard.press("/")
        assert focused(page) in ("q", "f"), path


def test_what_is_out_of_sight_is_as_of_now_once_nothing_changes(
    desk: Desk, studio: Served, book: Book, first: str
) -> None:
    page = desk(studio, "/s/first")
    expect(page.locator("#live")).to_have_attribute("data-state", "on")
    page.set_viewport_size({"width": 1280, "height": 300})
    book.trial(first, 0.01)
    expect(page.locator("[data-live$='/part/top'] tbody tr").first).to_contain_text("0.01")
    assert page.evaluate("() => scrollY") == 0


def test_the_keys_are_shown_and_the_focus_comes_back(
    desk: Desk, studio: Served, first: str, axe: Axe
) -> None:
    page = desk(studio, "/s/first/trials")
    page.keyboard.press("j")
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard")
    expect(dialog).to_be_visible()
    assert axe(page) == []
    for _ in range(5):  # what lies below cannot be reached
        page.keyboard.press("Tab")
        assert page.evaluate(
            "() => document.activeElement === document.body || document.querySelector('dialog').contains(document.activeElement)"
        )
    page.keyboard.press("j")
    page.keyboard.press("Escape")
    expect(dialog).not_to_be_visible()
    assert focused(page) == "/s/first/t/1"
    page.get_by_role("button", name="Keyboard").click()
    dialog.get_by_role("button", name="Close").click()
    expect(page.get_by_role("button", name="Keyboard")).to_be_focused()


def test_keys_can_be_switched_off_and_on(desk: Desk, studio: Served, first: str) -> None:
    page = desk(studio, "/s/first/trials")
    page.keyboard.press("?")
    page.get_by_role("button", name="Switch the shortcuts off").click()
    page.wait_for_selector("body[data-keys=off]")
    page.keyboard.press("j")
    page.keyboard.press("?")
    assert focused(page) == "BODY"
    expect(page.locator("dialog#keys")).not_to_be_visible()
    page.get_by_role("button", name="Keyboard").click()
    page.get_by_role("button", name="Switch the shortcuts on").click()
    page.wait_for_selector("body[data-keys=on]")
    page.keyboard.press("j")
    assert focused(page) == "/s/first/t/1"


# --- wherever it is shown ----------------------------------------------------------------------------


def test_on_a_small_screen_the_pages_are_below_and_nothing_is_wider(
    desk: Desk, studio: Served, first: str
) -> None:
    page = desk(studio, "/s/first", width=320)
    bar = page.get_by_role("navigation", name="Pages").bounding_box()
    assert bar is not None
    assert (bar["x"], bar["width"], bar["y"] + bar["height"]) == (0, 320, 800)
    # Parts that come into view make the page longer: until it has its end.
    page.wait_for_function(
        """bar => {
          scrollTo(0, 1e6);
          return document.querySelector("main > :last-child").getBoundingClientRect().bottom <= bar + 1;
        }""",
        arg=bar["y"],
    )
    for path in PAGES[:-1]:
        page.goto(path)
        assert page.evaluate("() => document.documentElement.scrollWidth") == 320, path


def test_without_scripts_every_page_is_complete(desk: Desk, studio: Served, first: str, book: Book) -> None:
    page = desk(studio, "/s/first", scripts=False)
    expect(page.get_by_text("5 of 100 trials ended").first).to_be_visible()
    expect(page.get_by_text("As a table")).to_be_visible()
    for name in ("Pause updates", "Keyboard"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)
    page.get_by_role("link", name="Trials", exact=True).click()
    expect(page.get_by_role("row")).to_have_count(4)


def test_nothing_moves(desk: Desk, studio: Served, first: str) -> None:
    page = desk(studio, "/s/first", reduced_motion="reduce")
    page.wait_for_selector(".chart canvas")
    page.get_by_role("link", name="Trials", exact=True).hover()
    assert page.evaluate("() => document.getAnimations().length") == 0


def test_on_paper_there_is_what_is_to_be_read(desk: Desk, studio: Served, first: str) -> None:
    page = desk(studio, "/s/first", theme="dark")
    wait_for_ink(page, "#eceae6")
    page.emulate_media(media="print")
    wait_for_ink(page, "#1c1b1a")
    expect(page.get_by_role("heading", name="Best so far")).to_be_visible()
    for name in ("Pause updates", "Light", "Sign out", "Add trials"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)
    assert page.evaluate("() => getComputedStyle(document.body).color") == "rgb(28, 27, 26)"
