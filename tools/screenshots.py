"""Takes pictures of every screen of the studio for docs/screens: a study that was really run, light, and dark where one wants to see it.

    python tools/screenshots.py [FOLDER]

Needs Chromium and the development environment. Pictures are reduced to a palette: PNG of a page that is mostly paper stays below 120 KB.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright
from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier

import luthier as lt
from luthier.objectives.context import Context
from luthier.serving.door import Door
from luthier.studio.serve import Opened, open_studio

ROOT = Path(__file__).parents[1]
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WIDTH, MOST = 1280, 1500
"""Pixels: how wide a picture is, and how high at most."""
MOST_BYTES = 120_000
NAME = "wine-forest"
SCREENS = {
    "studies": "/",
    "new": "/new",
    "study": f"/s/{NAME}",
    "trials": f"/s/{NAME}/trials",
    "explore-parallel": f"/s/{NAME}/explore",
    "explore-scatter": f"/s/{NAME}/explore?view=scatter",
    "explore-slice": f"/s/{NAME}/explore?view=slice",
    "explore-contour": f"/s/{NAME}/explore?view=contour",
    "explore-importance": f"/s/{NAME}/explore?view=importance",
    "curves": "/s/curves/curves",
    "timeline": f"/s/{NAME}/timeline",
    "failures": "/s/curves/failures",
    "trial": f"/s/{NAME}/t/7",
    "compare": f"/compare?t={NAME}:7&t={NAME}:12",
    "manage": f"/s/{NAME}/manage",
    "models": "/models",
    "model": f"/models/{NAME}/1",
    "settings": "/settings",
}
DARK = ("study", "explore-parallel", "explore-contour", "models")
NARROW = ("studies", "study")


GRID = {"max_depth": (5, 7, 9, 11, 13), "n_estimators": (50, 200, 400)}
"""The table of a new study that is filled in for its picture."""


def _studies() -> None:
    """Two studies that were run: a forest, tuned and saved, and a function that reports as it goes, and sometimes fails."""
    X, y = load_wine(return_X_y=True, as_frame=True)
    space = {
        "max_depth": lt.Int(2, 16),
        "n_estimators": lt.Int(10, 60),
        "max_features": lt.Float(0.1, 1.0),
        "criterion": lt.Choice("gini", "entropy"),
    }
    forest = lt.CrossValidation(RandomForestClassifier(random_state=0), X, y, cv=3, holdout=0.2)
    lt.tune(forest, space, trials=40, name=NAME, seed=1, progress=False, workers=2)

    def train(lr: float, width: int, epochs: int, trial: Context) -> float:
        if lr > 0.5 and width > 48:
            raise FloatingPointError(f"the loss is nan after {width} steps")
        loss = 1.0
        for epoch in range(1, epochs + 1):
            loss = abs(lr - 0.1) + 4 / (epoch + width / 8)
            trial.report(epoch, loss=loss)
        return loss

    lt.tune(
        train,
        {"lr": lt.Float(1e-3, 1, log=True), "width": lt.Int(8, 64)},
        minimize="loss",
        trials=40,
        name="curves",
        seed=1,
        fidelity=lt.Fidelity("epochs", 1, 27),
        progress=False,
    )


@contextmanager
def _studio() -> Iterator[Opened]:
    opened = open_studio(None, Door(port=0))
    thread = threading.Thread(target=opened.run, daemon=True)
    thread.start()
    yield opened
    opened.close()
    thread.join(20)


def _page(browser: Browser, opened: Opened, theme: str, width: int) -> Page:
    address = opened.address
    context = browser.new_context(
        base_url=address,
        viewport={"width": width, "height": 900},
        color_scheme="dark" if theme == "dark" else "light",
        reduced_motion="reduce",
    )
    settings = opened.studio.settings
    context.add_cookies([{"name": settings.cookie, "value": settings.keys.owner, "url": address}])
    return context.new_page()


def _fill(page: Page) -> None:
    """The form of a new study, as somebody fills it in."""
    page.get_by_label("Data set").select_option("wine.csv")
    page.get_by_label("Target").select_option("target")
    page.get_by_label("Search estimators").fill("randomforest")
    page.get_by_role("radio", name="RandomForestClassifier").check()
    for name, values in GRID.items():
        page.get_by_label(f"Mode of {name}").select_option("Multiple")
        for value in values:
            page.get_by_label(f"Values of {name}").last.press_sequentially(str(value))
            page.keyboard.press("Enter")
    page.get_by_label("Only changed").check()
    page.get_by_label("Only changed").blur()
    expect(page.locator("[data-part=count]")).to_have_text("15 combinations", timeout=60_000)
    page.mouse.move(0, 0)
    page.evaluate("() => scrollTo(0, 0)")


def _take(page: Page, path: str, file: Path) -> None:
    page.goto(path)
    if path == SCREENS["new"]:
        _fill(page)
    page.wait_for_timeout(1500)  # what comes late, and charts
    width = page.viewport_size["width"] if page.viewport_size else WIDTH
    high = min(
        MOST, page.evaluate("() => document.querySelector('main').getBoundingClientRect().bottom + scrollY")
    )
    page.set_viewport_size(
        {"width": width, "height": max(400, int(high))}
    )  # not the whole page: bars are at its end
    page.wait_for_timeout(1500)
    page.screenshot(path=file)
    page.set_viewport_size({"width": width, "height": 900})
    _reduce(file)
    print(f"{file.name} {file.stat().st_size / 1000:.0f} KB", flush=True)


def _reduce(file: Path) -> None:
    """To a palette, of as many colours as there is room for."""
    from PIL import Image

    with Image.open(file) as image:
        full = image.convert("RGB")
    for colours in (256, 128, 64):
        full.quantize(colours, dither=Image.Dither.NONE).save(file, optimize=True)
        if file.stat().st_size < MOST_BYTES:
            break


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs/screens"
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        raise SystemExit("screenshots: there is no Chromium here (package `chromium`)")
    as_root = ["--no-sandbox"] if os.name == "posix" and os.geteuid() == 0 else []
    # What pages say of paths is to be what it is for everybody.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as name:
        place = Path(name) / "wine"
        place.mkdir()
        os.chdir(place)
        load_wine(as_frame=True).frame.to_csv("wine.csv", index=False)
        _studies()
        with _studio() as opened, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program, args=as_root)
            for theme, width, screens in (
                ("light", WIDTH, tuple(SCREENS)),
                ("dark", WIDTH, DARK),
                ("narrow", 320, NARROW),
            ):
                page = _page(browser, opened, theme, width)
                for screen in screens:
                    ending = "" if theme == "light" else f"-{theme}"
                    _take(page, SCREENS[screen], folder / f"{screen}{ending}.png")
            browser.close()


if __name__ == "__main__":
    main()
