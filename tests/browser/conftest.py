"""The studio in a real browser: Debian's Chromium, one for all tests of a process, with a fresh profile for each test.

A test fails by whatever the browser has to complain about: an error or a warning in its console, a script that raises, something that the
page's policy forbids, a request to another machine.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.studio.conftest import Book, Served, book, first, place, serve, studio

__all__ = ["Book", "Served", "book", "first", "place", "serve", "studio"]

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
AXE = Path(__file__).parent / "vendor/axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
Theme = Literal["light", "dark"]
PATIENCE = 20_000
"""Milliseconds until something that should be on the page is missed: far more than it takes, as machines are busy."""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A browser without a window; skips where there is none."""
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("NO TESTS IN A BROWSER: playwright is not installed (group `dev`)")
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip("NO TESTS IN A BROWSER: there is no Chromium here (package `chromium`)")
    expect.set_options(timeout=PATIENCE)
    as_root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=program, args=as_root)
        yield found
        found.close()


@dataclass
class Desk:
    """Opens pages of studios as somebody who is signed in, and writes down what is wrong with them."""

    browser: Browser
    contexts: list[BrowserContext] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    forgiven: list[str] = field(default_factory=list)
    """What may be complained about, as regular expressions: a studio that is killed cannot be reached."""

    def context(
        self,
        served: Served,
        *,
        theme: Theme = "light",
        width: int = 1280,
        scripts: bool = True,
        viewer: bool = False,
        **more: Any,
    ) -> BrowserContext:
        """A profile of its own, signed in."""
        made = self.browser.new_context(
            base_url=f"http://127.0.0.1:{served.port}",
            color_scheme=theme,
            viewport={"width": width, "height": 800},
            java_script_enabled=scripts,
            **more,
        )
        made.set_default_timeout(PATIENCE)
        token = served.viewer if viewer else served.token
        name = served.opened.studio.settings.cookie
        made.add_cookies([{"name": name, "value": token, "url": f"http://127.0.0.1:{served.port}"}])
        made.on(
            "console", lambda said: self._note(f"{said.type}: {said.text}", said.type in ("error", "warning"))
        )
        made.on("weberror", lambda raised: self._note(f"raised: {raised.error}"))
        made.on(
            "request",
            lambda asked: self._note(f"elsewhere: {asked.url}", _is_elsewhere(asked.url, served.port)),
        )
        self.contexts.append(made)
        return made

    def __call__(self, served: Served, path: str = "/", **how: Any) -> Page:
        """A page in a profile of its own."""
        page = self.context(served, **how).new_page()
        page.goto(path)
        return page

    def _note(self, text: str, wrong: bool = True) -> None:
        if wrong:
            self.troubles.append(text)

    def complaints(self) -> list[str]:
        """What was wrong, but for what is forgiven."""
        return [text for text in self.troubles if not any(re.search(one, text) for one in self.forgiven)]

    def close(self) -> None:
        """Close all pages."""
        for context in self.contexts:
            context.close()


def _is_elsewhere(url: str, port: int) -> bool:
    parts = urlsplit(url)
    return parts.scheme not in ("data", "blob") and parts.netloc != f"127.0.0.1:{port}"


@pytest.fixture
def desk(browser: Browser, serve: Callable[..., Served]) -> Iterator[Desk]:
    """Pages; they are closed before the studios are."""
    opened = Desk(browser)
    yield opened
    opened.close()
    assert opened.complaints() == []


Axe = Callable[..., list[str]]


@pytest.fixture(scope="session")
def axe() -> Axe:
    """What axe-core has against a page as it is now: the rule, why, and where."""
    source = AXE.read_text(encoding="utf-8")

    def check(page: Page, *, rules: list[str] | None = None) -> list[str]:
        if not page.evaluate("() => 'axe' in window"):
            page.evaluate(source)
        only = {"type": "tag", "values": RULES} if rules is None else {"type": "rule", "values": rules}
        found = page.evaluate(
            "only => axe.run(document, {runOnly: only, resultTypes: ['violations'], preload: false}).then(({violations}) => violations)",
            only,
        )
        return [
            f"{one['id']}: {node['target'][0]} {node.get('failureSummary', '')} {node['html'][:160]}"
            for one in found
            for node in one["nodes"]
        ]

    return check
