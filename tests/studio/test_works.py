"""Studies that the studio starts: in processes of their own, which outlive it, and which can be gone on with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import luthier as lt
from luthier.api import delete_study
from luthier.errors import InvalidStudy, LuthierError
from luthier.files import folder_of
from luthier.store.url import open_store
from luthier.studio.looking import Shelf
from luthier.studio.works import Works
from luthier.study import Budget, State
from luthier.studyfile import keep, kept, kept_path
from luthier.summary import describe
from tests.studio.conftest import Book, Served

GRID = {
    "estimator": "sklearn.tree:DecisionTreeClassifier",
    "data": "iris",
    "maximize": "accuracy",
    "cv": {"share": 0.2},
    "algorithm": "grid",
    "space": {"max_depth": {"choice": [1, 2, None]}, "criterion": {"choice": ["gini", "entropy"]}},
}
SLOW = """
import time

def train(x):
    time.sleep(0.25)
    return x
"""
STUDY = """
function = "slow:train"
minimize = "loss"
algorithm = "random"
[space]
x = { float = [0, 1] }
[budget]
trials = 2
"""


def until(what: Callable[[], Any], seconds: float = 60.0) -> Any:
    """What comes, sooner or later."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come to pass")


def counts(place: Path, name: str) -> dict[State, int]:
    store = open_store(str(place), readonly=True)
    try:
        return {state: n for state, n in store.study(name).counts.items() if n}
    finally:
        store.close()


@pytest.fixture
def works(place: Path) -> Iterator[Works]:
    shelf = Shelf(str(place))
    yield Works(shelf)
    shelf.close()


def test_a_study_that_is_started_runs_to_its_end_in_a_process_of_its_own(works: Works, place: Path) -> None:
    name = "a <b> & 'c' 🌳 .."
    works.start(name, GRID)
    assert works.working(name)
    with pytest.raises(InvalidStudy, match="already"):
        works.start(name, GRID)
    until(lambda: not works.working(name))
    assert works.failure(name) is None, works.log(name)
    assert counts(place, name) == {State.COMPLETED: 6}
    assert not works.can_resume(name), "it is complete"
    with pytest.raises(InvalidStudy, match="called"):
        works.start(name, GRID)
    study = lt.load(name, str(place))
    assert {trial.params["max_depth"] for trial in study.trials} == {1, 2, None}
    assert study.spec.about["cv"] == "20% of the rows kept back, stratified, drawn with seed 0"
    assert "20% of the rows kept back" in str(describe(study))
    with pytest.raises(LuthierError, match="one split"):
        study.result()
    study.close()


@pytest.mark.parametrize(
    "name", ["", " ", "🌳", "..", ".hidden", "a/b", "a\\b", "a\nb", "a\0b", "x" * 300, "🌳" * 60]
)
def test_a_name_that_cannot_be_a_folder_is_refused_with_a_sentence(works: Works, name: str) -> None:
    with pytest.raises(InvalidStudy, match="cannot be the name"):
        works.start(name, GRID)


@pytest.mark.parametrize("name", ["..", "a/../../b", "/etc", "x" * 300, "a\0b", "\ud800"])
def test_whatever_a_study_is_called_its_files_are_in_a_folder_of_its_own(tmp_path: Path, name: str) -> None:
    folder = folder_of(tmp_path, "work", name)
    assert folder.parent == tmp_path / "work"
    assert folder.name not in ("", ".", "..")
    folder.mkdir(parents=True)
    assert folder != folder_of(tmp_path, "work", f"{name}!")
    assert folder_of(tmp_path, "work", "churn 🌳") == tmp_path / "work" / "churn 🌳"


@pytest.mark.parametrize(
    "changes",
    [
        {"function": "os:system", "estimator": None},
        {"command": "rm -rf {x}", "estimator": None},
        {"preprocess": "prepare.py:make"},
    ],
)
def test_code_of_ones_own_is_not_started_from_a_page(works: Works, changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidStudy, match="runs code"):
        works.start("x", {**GRID, **changes})


def test_a_study_that_cannot_begin_says_why_where_it_is_waited_for(
    serve: Callable[..., Served], place: Path, tmp_path: Path
) -> None:
    table = tmp_path / "t.csv"
    table.write_text("a,b\n1,2\n")
    studio = serve()
    works = studio.opened.studio.works
    works.start("none", {**GRID, "data": str(table), "target": "c"})
    page = studio.get("/s/none/starting")
    assert page.status == 200
    assert "<title>Starting none" in page.text
    until(lambda: not works.working("none"))
    said = works.failure("none")
    assert said is not None
    assert "has no column &#39;c&#39;".replace("&#39;", "'") in said
    page = studio.get("/s/none/starting")
    assert "has no column" in page.text
    assert "could not be started" in page.text
    assert studio.get("/s/never/starting").status == 200
    works.start("none", GRID)  # the name is free, as there is no study
    until(lambda: works.working("none") and "none" in studio.opened.studio.shelf.names())
    answer = studio.get("/s/none/starting")
    assert (answer.status, answer.headers["location"]) == (303, "/s/none")
    assert studio.get("/s/none/starting/part").headers["hx-redirect"] == "/s/none"
    until(lambda: not works.working("none"))


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """A study file of a function that takes a while, run from the command line for two trials."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "slow.py").write_text(SLOW)
    (folder / "study.toml").write_text(STUDY)
    command = [
        sys.executable,
        "-m",
        "luthier",
        "run",
        "mine/study.toml",
        "--name=slow",
        "--store=studies.db",
        "--no-progress",
    ]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    return folder


def test_a_study_outlives_the_studio_and_the_studio_goes_on_with_one_that_was_killed(
    slow: Path, tmp_path: Path, place: Path
) -> None:
    assert kept(tmp_path, "slow") == {
        "name": "slow", "function": f"{slow / 'slow.py'}:train", "minimize": "loss", "algorithm": "random",
        "space": {"x": {"float": [0, 1]}}, "budget": {"trials": 2}, "workers": 1,
    }  # fmt: skip
    with studio_process(tmp_path) as (process, call):
        call("/s/slow/add", "more=12")
        until(lambda: counts(place, "slow").get(State.COMPLETED, 0) >= 4)
        process.kill()
    until(lambda: counts(place, "slow") == {State.COMPLETED: 14})

    with studio_process(tmp_path) as (_, call):
        assert "14 of 14 trials ended" in call("/s/slow")
        call("/s/slow/add", "more=12")
        until(lambda: counts(place, "slow").get(State.COMPLETED, 0) >= 17)
        os.kill(worker(place), signal.SIGKILL)
        page = until(lambda: (text := call("/s/slow")) and "/s/slow/resume" in text and text)
        assert 'data-state="interrupted"' in page
        call("/s/slow/resume", "")
        until(lambda: counts(place, "slow") == {State.COMPLETED: 26})
    study = lt.load("slow", str(place))
    assert [trial.number for trial in study.trials] == list(range(26))
    assert sum(trial.attempt for trial in study.trials) <= 27, "only what was killed was begun again"
    study.close()


def test_a_study_is_gone_on_with_only_by_a_file_that_was_left_here(
    works: Works, slow: Path, tmp_path: Path
) -> None:
    assert not works.can_resume("slow"), "it is complete"
    with closing(open_store(str(tmp_path / "studies.db"))) as store:
        store.set_budget("slow", Budget(trials=3))
    assert works.can_resume("slow")
    file = kept_path(tmp_path, "slow")
    told = file.read_text()
    for other in (told.replace("slow.py", "evil.py"), told.partition("\n")[2], "# signed 00\n" + told, ""):
        file.write_text(other)
        assert not works.can_resume("slow")
        with pytest.raises(InvalidStudy, match="cannot be gone on with"):
            works.resume("slow")
    file.write_text(told)
    assert works.can_resume("slow")


def worker(place: Path) -> int:
    """The process that works on the study."""

    def held() -> list[str]:
        store = open_store(str(place), readonly=True)
        try:
            return store.workers("slow")
        finally:
            store.close()

    return int(until(held)[0].split("/")[1])


class studio_process:  # noqa: N801 - it is used as a function
    """`luthier studio` as people start it, and how to call it."""

    def __init__(self, folder: Path) -> None:
        command = [
            sys.executable,
            "-m",
            "luthier",
            "studio",
            "--store=studies.db",
            "--port=0",
            "--no-browser",
        ]
        self.process = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def __enter__(self) -> tuple[subprocess.Popen[str], Callable[..., str]]:
        assert self.process.stdout is not None
        self.address, _, self.token = self.process.stdout.readline().strip().partition("/login?token=")
        assert self.address.startswith("http://127.0.0.1:")
        until(self._answers)
        return self.process, self.call

    def _answers(self) -> bool:
        try:
            return "ok" in self.call("/healthz")
        except OSError:
            return False

    def call(self, path: str, body: str | None = None) -> str:
        request = urllib.request.Request(
            self.address + path,
            data=None if body is None else body.encode(),
            headers={"authorization": f"Bearer {self.token}"},
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            text: str = answer.read().decode()
            return text

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def test_deleting_a_study_takes_its_file_and_log_along(book: Book, place: Path) -> None:
    name = book.study()
    keep(place.parent, name, {**GRID, "name": name})
    (kept_path(place.parent, name).parent / "studio.log").touch()
    delete_study(name, str(place))
    assert not kept_path(place.parent, name).parent.exists()


def test_a_folder_that_cannot_be_written_to_is_said_in_a_sentence(works: Works, place: Path) -> None:
    (place.parent / "work").write_text("in the way")
    with pytest.raises(InvalidStudy, match="cannot be started"):
        works.start("x", GRID)
