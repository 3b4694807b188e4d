"""What all pages share: theme, navigation, keyboard; with and without scripts, on a small screen, on paper."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Axe, Desk, Served, Theme

PAGES = ("/", "/s/first", "/s/first/trials", "/s/first/failures", "/s/first/t/1", "/s/first/t/2", "/nowhere")


def paper(page: Page) -> str:
    """The colour a page lies on."""
    found: str = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    return found


LIGHT, DARK = "rgb(251, 250, 248)", "rgb(22, 21, 20)"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_normal_study_is_accessible_on_every_page(
    desk: Desk, studio: Served, first: str, axe: Axe, theme: Theme
) -> None:
    desk.forgiven = ["404"]  # the page that is not there
    page = desk(studio, theme=theme)
    for path in PAGES:
        page.goto(path)
        assert axe(page) == [], path
