"""A page that is open while a study goes on: what is new is on it, what the reader does there stays, and it says how new it is."""

from __future__ import annotations

import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from luthier.study import Completed, Failed, Record
from tests.browser.conftest import Book, Desk, Served

WRITER = """
import sys, time
from luthier.store.url import open_store
from luthier.study import Completed, Proposal, Record
store = open_store(sys.argv[1])
print("ready", flush=True)
for line in sys.stdin:
    (trial,) = store.propose("first", [Proposal({"x": 0.5, "n": 3, "kind": "a"}, tag={"by": "random"})], claim=("w", 60.0))
    store.record("first", [Record(trial.number, 1, Completed({"loss": float(line)}))])
    print(trial.number, time.time(), flush=True)
"""
HIDE = """
let hidden = false;
Object.defineProperty(Document.prototype, "hidden", { get: () => hidden });
window.hide = (to) => { hidden = to; document.dispatchEvent(new Event("visibilitychange")); };
"""


@contextmanager
def other_process(store: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that ends trials of the study when it is told a value."""
    command = [sys.executable, "-c", WRITER, str(store)]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.stdin.close()


def end_trial(process: subprocess.Popen[str], value: float) -> tuple[int, float]:
    """Its number, and when it was written."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{value}\n")
    process.stdin.flush()
    number, at = process.stdout.readline().split()
    return int(number), float(at)


def live(page: Page) -> Page:
    """The page, once it hears of changes."""
    expect(page.locator("#live")).to_have_attribute("data-state", "on")
    return page


def test_a_trial_of_another_process_is_on_the_page_soon(
    desk: Desk, studio: Served, first: str, place: Path
) -> None:
    page = live(desk(studio, "/s/first"))
    page.wait_for_selector(".chart canvas")
    late = []
    with other_process(place) as process:
        for value in (0.09, 0.08, 0.07):
            number, at = end_trial(process, value)
            page.wait_for_selector(f"#trial-{number}")
            late.append(time.time() - at)
        expect(page.get_by_text("The best is 0.07, of trial 8")).to_be_visible()
        page.wait_for_function(
            "() => echarts.getInstanceByDom(document.querySelector('.chart')).getOption().series[0].data.length === 6"
        )
    print(f"a trial of another process is seen after {', '.join(f'{one:.2f}' for one in late)} s")
    assert min(late) < 3


def test_the_list_follows_too(desk: Desk, studio: Served, book: Book) -> None:
    page = live(desk(studio))
    expect(page.get_by_text("No studies in")).to_be_visible()
    book.study("one")
    page.wait_for_selector("text=0 / 100")
    book.trial("one", 0.5)
    page.wait_for_selector("text=1 / 100")
    book.study("two")
    expect(page.get_by_role("row")).to_have_count(3)


def test_what_the_reader_is_about_stays_as_it_is(desk: Desk, studio: Served, book: Book, first: str) -> None:
    for _ in range(8):
        book.trial(first, 0.6)
    page = live(desk(studio, "/s/first"))
    page.wait_for_selector(".chart canvas")
    page.locator("#add summary").click()
    field = page.get_by_label("How many more")
    field.fill("")
    field.type("4")
    page.locator("#best-table summary").click()
    page.evaluate("() => scrollTo(0, 240)")
    page.evaluate(
        "() => { document.querySelector('#best-table .scroll').scrollTop = 5; window.kept = document.querySelector('#more'); }"
    )
    field.focus()
    before = page.evaluate("() => scrollY")
    book.trial(first, 0.05)
    page.wait_for_selector("#trial-14")
    assert page.evaluate(
        "() => document.querySelector('#add').open && document.querySelector('#best-table').open"
    )
    assert page.evaluate("() => document.activeElement === window.kept && window.kept.isConnected")
    assert field.input_value() == "4"
    assert page.evaluate("() => scrollY") == before
    field.type("2")
    assert field.input_value() == "42"


def test_a_selection_of_text_stays(desk: Desk, studio: Served, book: Book, first: str) -> None:
    page = live(desk(studio, "/s/first"))
    page.evaluate(
        "() => { const row = document.querySelector('#trial-3'); getSelection().setBaseAndExtent(row.querySelector('th'), 0, row.cells[row.cells.length - 1], 1); }"
    )
    chosen = page.evaluate("() => getSelection().toString()")
    assert "#3" in chosen
    book.trial(first, 0.05)
    page.wait_for_selector("#trial-6")
    assert page.evaluate("() => getSelection().toString()") == chosen


def test_a_row_that_has_the_focus_keeps_it_where_others_come_before(
    desk: Desk, studio: Served, book: Book, first: str
) -> None:
    page = live(desk(studio, "/s/first/trials"))
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert page.evaluate("() => document.activeElement.textContent") == "#3"
    book.trial(first, 0.05)
    page.wait_for_selector("#trial-6")
    assert page.evaluate("() => document.activeElement.textContent") == "#3"
    page.keyboard.press("k")
    assert page.evaluate("() => document.activeElement.textContent") == "#1"


def test_updates_are_paused_and_resumed(desk: Desk, studio: Served, book: Book, first: str) -> None:
    page = live(desk(studio, "/s/first"))
    page.keyboard.press(".")
    expect(page.locator("#live")).to_contain_text("updates paused at")
    _until(lambda: studio.opened.studio.watch.polled == [])
    book.trial(first, 0.05)
    page.wait_for_timeout(700)
    expect(page.locator("#trial-6")).to_have_count(0)
    page.get_by_role("button", name="Resume updates").click()
    page.wait_for_selector("#trial-6")
    live(page)
    book.trial(first, 0.04)
    page.wait_for_selector("#trial-7")


def test_what_is_new_is_said_aloud_and_not_at_once_again(
    desk: Desk, studio: Served, book: Book, first: str
) -> None:
    page = live(desk(studio, "/s/first"))
    aloud = page.locator("#aloud")
    expect(aloud).to_have_text("")
    book.trial(first, 0.05)
    expect(aloud).to_have_text("New best: 0.05 (#6).")
    book.store.record(first, [Record(5, 1, Failed("ValueError: no", "Traceback"))])
    page.wait_for_selector("text=2 failed")
    expect(aloud).to_have_text("New best: 0.05 (#6).")


def test_a_page_in_a_hidden_tab_lets_go_and_comes_back(
    desk: Desk, studio: Served, book: Book, first: str
) -> None:
    watch = studio.opened.studio.watch
    context = desk.context(studio)
    context.add_init_script(HIDE)
    page = context.new_page()
    page.clock.install()
    page.goto("/s/first")
    live(page)
    assert watch.polled == ["study first"]
    page.evaluate("() => window.hide(true)")
    page.clock.fast_forward(6000)
    _until(lambda: watch.polled == [])
    book.store.record(first, [Record(5, 1, Completed({"loss": 0.01}))])
    page.evaluate("() => window.hide(false)")
    page.clock.fast_forward(1000)
    page.wait_for_selector("#trial-5")
    assert watch.polled == ["study first"]


def test_ten_pages_are_one_poller_and_all_of_them_hear(
    desk: Desk, studio: Served, book: Book, first: str
) -> None:
    # A browser opens six connections to a host at most, and a page that listens holds one: five tabs each.
    pages = [context.new_page() for context in (desk.context(studio), desk.context(studio)) for _ in range(5)]
    for page in pages:
        page.goto("/s/first/failures")
    for page in pages:
        live(page)
    assert studio.opened.studio.watch.polled == ["study first"]
    book.store.record(first, [Record(5, 1, Failed("ValueError: no", "Traceback"))])
    for page in pages:
        page.wait_for_selector("text=2 of 6 trials failed")


def test_a_part_that_cannot_be_shown_fails_alone_and_comes_back(
    desk: Desk, studio: Served, first: str, place: Path
) -> None:
    def write(tag: str) -> None:
        with closing(sqlite3.connect(place)) as database, database:
            database.execute("UPDATE trials SET tag = ? WHERE number = 5", (tag,))

    write("{not JSON")  # of the trial that runs
    page = live(desk(studio, "/s/first"))
    workers = page.locator("[aria-labelledby=workers-title]")
    expect(workers).to_contain_text("This part cannot be shown")
    page.wait_for_selector(".chart canvas")
    expect(page.get_by_text("The best is 0.3, of trial 1")).to_be_visible()
    expect(page.locator("tr[id^='trial-']")).to_have_count(3)
    expect(page.get_by_text("5 of 100 trials ended").first).to_be_visible()
    write('{"by": "random"}')
    workers.get_by_role("link", name="Try again").click()
    expect(workers.get_by_role("link", name="#5")).to_be_visible()


# --- a studio that goes, and comes back --------------------------------------------------------------


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.touch(0o600)
    path.write_text("owner-of-the-studio-in-this-test")
    return path


@contextmanager
def command(store: Path, port: int, token_file: Path) -> Iterator[subprocess.Popen[str]]:
    """A studio in a process of its own."""
    options = ["--store", str(store), "--port", str(port), "--no-browser", "--token-file", str(token_file)]
    with subprocess.Popen(
        [sys.executable, "-m", "luthier", "studio", *options], stdout=-1, stderr=-1, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("http://")
        try:
            yield process
        finally:
            process.kill()


def test_a_studio_that_is_killed_is_missed_and_one_that_comes_back_is_found(
    desk: Desk, book: Book, first: str, place: Path, token_file: Path
) -> None:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    desk.forgiven = ["ERR_", "Failed to fetch", "TypeError", "Object"]  # nobody answers for a while
    context = desk.browser.new_context(base_url=f"http://127.0.0.1:{port}")
    desk.contexts.append(context)
    context.set_default_timeout(30_000)
    page = context.new_page()
    banner = page.locator("#live")
    with command(place, port, token_file) as process:
        page.goto(f"/login?token={token_file.read_text()}")
        page.goto("/s/first")
        live(page)
        page.wait_for_selector(".chart canvas")
        process.send_signal(signal.SIGKILL)
        expect(banner).to_contain_text("reconnecting… last news")
        assert banner.bounding_box() == banner.bounding_box()
    book.trial(first, 0.05)
    page.evaluate("() => scrollTo(0, 300)")
    expect(banner).to_be_in_viewport()
    with command(place, port, token_file):
        expect(banner).to_have_text("live", timeout=30_000)
        page.wait_for_selector("#trial-6")


def test_a_studio_with_another_token_is_said_to_be_another(
    desk: Desk, book: Book, first: str, place: Path, token_file: Path
) -> None:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    desk.forgiven = ["ERR_", "Failed to fetch", "TypeError", "Object", "401"]
    context = desk.browser.new_context(base_url=f"http://127.0.0.1:{port}")
    desk.contexts.append(context)
    page = context.new_page()
    with command(place, port, token_file):
        page.goto(f"/login?token={token_file.read_text()}")
        page.goto("/s/first")
        live(page)
        rows = page.locator("#trial-1").inner_text()
    token_file.write_text("another-owner-of-the-studio-in-this-test")
    with command(place, port, token_file):
        expect(page.locator("#live")).to_contain_text("started anew", timeout=30_000)
        assert page.locator("#trial-1").inner_text() == rows


def _until(is_so: object) -> None:
    deadline = time.monotonic() + 20
    assert callable(is_so)
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert is_so()
