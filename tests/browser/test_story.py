"""The whole story, by clicks and keys only: a study is set up, watched, its model tested and deployed, and a prediction comes back."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Desk, Served

MINUTE = 60_000
GRID = {"max_depth": (5, 7, 9, 11, 13), "n_estimators": (50, 200, 400)}


@pytest.fixture
def page(
    desk: Desk, serve: Callable[..., Served], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Page]:
    """The studio of an empty store in an empty folder; what was begun there is ended."""
    monkeypatch.chdir(tmp_path)
    opened = desk(serve(), permissions=["clipboard-read", "clipboard-write"])
    yield opened
    opened.goto("/models")
    stop = opened.locator("#serving-stop summary")
    if stop.count():
        stop.click()
        opened.locator("#serving-stop button").click()
        expect(opened.locator("#serving-stop")).to_have_count(0)


def choose(page: Page) -> None:
    """The data, and the estimator, by its name."""
    page.get_by_role("link", name="New study").first.click()
    page.get_by_label("Data set").select_option("wine")
    expect(page.get_by_label("Test share held back")).to_have_value("20")
    page.get_by_label("Search estimators").fill("randomforestcl")
    page.get_by_role("radio", name=re.compile("RandomForestClassifier")).check()
    expect(page.get_by_label("Mode of max_depth")).to_be_visible()


def validate(page: Page) -> None:
    """20% validation, accuracy."""
    page.get_by_label("Simple share").check()
    page.get_by_label("Validation share").fill("20")
    page.get_by_label("Optimise accuracy").check()


def watch(page: Page, trials: int) -> None:
    """Scores appear while the study is at work, until it is complete."""
    state = page.locator("h1 .state")
    expect(state).to_have_text("running", timeout=MINUTE)
    seen = set()
    while state.inner_text() != "complete":
        seen |= set(re.findall(r"(\d+) (?:of \d+ )?trials? ended", page.locator(".facts").first.inner_text()))
        page.wait_for_timeout(50)
        assert state.inner_text() in ("running", "complete")
    assert len(seen) > 2, "the scores came all at once"
    expect(page.get_by_text(f"{trials} of {trials} trials ended").first).to_be_visible()
    page.get_by_role("link", name="Trials", exact=True).click()
    expect(page.locator("tr[id^='trial-']")).to_have_count(trials)
    scores = page.evaluate(
        """() => {
          const table = document.querySelector("table.board");
          const place = [...table.tHead.rows[0].cells].findIndex((cell) => cell.textContent.trim().startsWith("accuracy"));
          return [...table.tBodies[0].rows].map((row) => row.cells[place].textContent);
        }"""
    )
    assert all(0.5 < float(text) <= 1 for text in scores), scores


def use(page: Page) -> None:
    """The one model that was saved is tested, deployed and asked."""
    page.get_by_role("link", name="Models").first.click()
    rows = page.locator("table.models tbody tr")
    expect(rows).to_have_count(1)
    rows.locator("a.name").click()
    page.locator("#test").get_by_role("button", name="Test").first.click()
    expect(page.locator("#scores")).to_contain_text("36 rows: 1 look", timeout=MINUTE)
    page.get_by_role("button", name="Deploy").click()
    expect(page.locator(".serving .mood.good")).to_be_visible(timeout=MINUTE)
    page.get_by_role("button", name="Show and copy with the token").click()
    page.wait_for_function("() => navigator.clipboard.readText().then((text) => text.startsWith('curl'))")
    command = page.evaluate("() => navigator.clipboard.readText()")
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, timeout=30)
    assert len(json.loads(done.stdout)["predictions"]) == 1, done


def test_a_grid_is_set_up_watched_and_its_best_model_put_to_use(page: Page) -> None:
    choose(page)
    for name, values in GRID.items():
        page.get_by_label(f"Mode of {name}").select_option("Multiple")
        for value in values:
            page.get_by_label(f"Values of {name}").last.press_sequentially(str(value))
            page.keyboard.press("Enter")
    expect(page.locator("[data-part=count]")).to_contain_text("15 combinations")
    validate(page)
    page.get_by_role("button", name="Run study", exact=True).click()
    watch(page, 15)
    use(page)


def test_ranges_are_searched_and_the_best_model_put_to_use(page: Page) -> None:
    choose(page)
    for name, low, high in (("max_depth", "2", "20"), ("n_estimators", "10", "100")):
        page.get_by_label(f"Mode of {name}").select_option("Range")
        page.get_by_label(f"from {name}").fill(low)
        page.get_by_label(f"to {name}", exact=True).fill(high)
    validate(page)
    page.get_by_label("Trials", exact=True).fill("30")
    page.get_by_role("button", name="Run study", exact=True).click()
    watch(page, 30)
    use(page)
