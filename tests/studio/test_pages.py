"""What the pages say, of a real store, over HTTP."""

from __future__ import annotations

import gzip
import json
import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import luthier as lt
from luthier.models import Keep
from luthier.store.url import open_store
from luthier.studio.looking import IN_WORDS
from luthier.studio.words import SCRIPT, WORDS
from luthier.study import Budget, Completed, Constraint, Failed, Objective, Problem, Proposal, Record, Stopped
from tests.studio.conftest import SPACE, Book, Served

PARTS = ("head", "best", "top", "board", "workers", "failures", "words")


def words_of(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def test_without_a_store_it_says_how_one_begins_and_shows_it_once_it_is_there(
    studio: Served, place: Path
) -> None:
    assert "No studies" in studio.get("/").text
    assert not place.exists()
    lt.tune(
        lambda x: x,
        {"x": lt.Float(0, 1)},
        minimize="loss",
        trials=3,
        name="one",
        store=str(place),
        progress=False,
    )
    assert "one" in words_of(studio.get("/part").text)


def test_the_list_says_where_each_study_stands(studio: Served, book: Book, first: str) -> None:
    book.study("second", goal="max", budget=Budget(seconds=10))
    book.store.end("second", "w", "stopped: asked to")
    text = words_of(studio.get("/").text)
    assert "2 studies" in text
    assert "first open 0.300 ± 0.058 loss 5 / 100 1 failed" in text
    assert "second stopped" in text


def test_a_study_that_is_deleted_is_gone_and_one_made_anew_is_new(
    studio: Served, book: Book, first: str
) -> None:
    assert studio.get("/s/first").status == 200
    book.store.delete(first)
    answer = studio.get("/s/first")
    assert (answer.status, "no study 'first'" in answer.text) == (404, True)
    book.study()
    assert "0 of 100 trials ended" in studio.get("/s/first/part/head").text
    assert "no such trial yet" in studio.get("/s/first/part/top").text


def test_a_store_that_is_replaced_is_read_anew(studio: Served, book: Book, first: str, place: Path) -> None:
    assert "first" in studio.get("/").text
    assert "question" in studio.get("/s/first/part/words").text
    book.store.close()
    for file in place.parent.glob("studies.db*"):
        file.unlink()
    assert "No studies" in studio.get("/").text
    assert studio.get("/s/first").status == 404
    again = open_store(str(place))
    Book(again).study("first")
    again.close()
    assert "0 of 100 trials ended" in studio.get("/s/first").text
    assert "none yet" in studio.get("/s/first/part/words").text


def test_the_page_of_a_study_has_all_its_parts(studio: Served, first: str) -> None:
    text = words_of(studio.get("/s/first").text)
    for said in ("5 of 100 trials ended", "Best so far", "Leaderboard", "At work", "1 failed", "1 running"):
        assert said in text
    assert "The best is 0.3, of trial 1, after 2 of 5 trials. It was found 3 trials ago." in text
    assert "process 1 on me" in text
    assert "As a table" in text


def test_the_leaderboard_is_by_value_with_the_spread_of_folds(studio: Served, first: str) -> None:
    text = studio.get("/s/first/trials").text
    assert re.findall(r'<tr id="trial-(\d)"', text) == ["1", "3", "0"]
    assert "0.300 ± 0.058" in text
    assert 'aria-label="Folds: 0.2 0.3 0.4"' in text
    assert "1–3 of 3" in text


def test_of_a_maximum_the_largest_comes_first(studio: Served, book: Book) -> None:
    book.study("up", goal="max")
    for value in (0.1, 0.9, 0.5, math.inf, -math.inf, math.nan):
        book.trial("up", value)
    assert re.findall(r'<tr id="trial-(\d)"', studio.get("/s/up/trials").text) == ["3", "1", "2", "0", "4"]
    assert "higher is better" in studio.get("/s/up/part/best").text


def test_pages_of_the_leaderboard_follow_each_other_at_any_rank(studio: Served, book: Book) -> None:
    book.study("many")
    book.store.propose("many", [Proposal({"x": 0.5, "n": 1, "kind": "a"})] * 120, claim=("w", 60.0))
    book.store.record("many", [Record(n, 1, Completed({"loss": -float(n)})) for n in range(120)])

    def ranks(query: str) -> list[str]:
        return re.findall(r'<tr id="trial-(\d+)"', studio.get(f"/s/many/trials{query}").text)

    assert ranks("")[:2] == ["119", "118"]
    assert ranks("?from=51")[0] == "69"
    assert ranks("?from=120") == ["0"]
    assert ranks("?from=100000") == [str(n) for n in range(19, -1, -1)]
    for odd in ("?from=-5", "?from=x", "?from=" + "9" * 30, "?from=", "?other=1"):
        assert ranks(odd)[0] == "119"
    first = studio.get("/s/many/trials").text
    assert 'rel="next"' in first
    assert 'rel="prev"' not in first
    last = studio.get("/s/many/trials?from=101").text
    assert 'rel="prev"' in last
    assert 'rel="next"' not in last


def test_every_trial_is_listed_by_number_and_by_state(studio: Served, book: Book, first: str) -> None:
    def numbers(query: str) -> list[str]:
        return re.findall(r'<tr id="trial-(\d+)"', studio.get(f"/s/first/trials{query}").text)

    assert numbers("?by=newest") == ["5", "4", "3", "2", "1", "0"]
    assert numbers("?by=newest&state=failed") == ["2"]
    assert numbers("?by=newest&state=running") == ["5"]
    assert numbers("?state=failed") == []
    assert numbers("?by=newest&from=3") == ["3", "2", "1", "0"]
    assert numbers("?by=%00&state=odd&from=x") == ["1", "3", "0"]
    page = studio.get("/s/first/trials?by=newest&state=completed").text
    assert "completed 4" in page
    assert 'href="/s/first/trials?state=completed"' in page
    assert '<input type="hidden" name="by" value="newest">' in page


def test_infeasible_trials_come_last_and_say_so(studio: Served, book: Book) -> None:
    problem = Problem(SPACE, (Objective("loss", "min"),), (Constraint("size", high=10.0),))
    book.study("bound", problem=problem)
    book.trial("bound", Completed({"loss": 0.1, "size": 50.0}))
    book.trial("bound", Completed({"loss": 0.9, "size": 5.0}))
    book.trial("bound", Completed({"loss": 0.5, "size": 5.0}), x=7.0)
    text = studio.get("/s/bound/trials").text
    assert re.findall(r'<tr id="trial-(\d)"', text) == ["2", "1", "0"]
    assert "breaks a constraint" in text
    assert "outside the space" in text
    assert "The best is 0.1" not in studio.get("/s/bound/part/best").text
    assert "0.9" in words_of(studio.get("/part").text)


def test_failures_are_grouped_with_what_they_share(studio: Served, book: Book) -> None:
    book.study("bad")
    for n in range(4):
        trace = f'File "/home/me/train.py", line 7, in fit\nFile "/x/site-packages/lib.py", line 1, in f\nValueError: {n}'
        book.trial("bad", Failed(f"ValueError: solver {n} cannot", trace), kind="b", x=n / 10)
    book.trial("bad", Failed("MemoryError"))
    book.trial("bad", 0.5, kind="a")
    text = words_of(studio.get("/s/bad/failures").text)
    assert "5 of 6 trials failed, in 2 groups" in text
    assert "4 × ValueError: solver 0 cannot train.py:7 in fit · first #0 , last #3" in text
    assert "All of them have kind = b, and none of 1 good trials has." in text
    assert "1 × MemoryError" in text


def test_where_all_failed_the_page_begins_with_the_first_traceback(studio: Served, book: Book) -> None:
    book.study("bad")
    book.trial("bad", Failed("ValueError: no", "Traceback: here it is"))
    head = words_of(studio.get("/s/bad/part/head").text)
    assert "Every trial failed so far" in head
    assert "here it is" in head


def test_the_page_of_a_trial_tells_all_that_is_known(
    studio: Served, book: Book, first: str, place: Path
) -> None:
    log = place.parent / "work" / first / "1" / "1" / "output.log"
    log.parent.mkdir(parents=True)
    log.write_bytes(b"a line \xff of the log\n" + b"<b>" * 40_000 + b"the end")
    text = words_of(studio.get("/s/first/t/1").text)
    for said in (
        "Trial 1 ✓"[:7],
        "0.300 ± 0.058",
        "by random",
        "had seen",
        "0.25 ≠ differs 0.5",
        "the end",
        "The last 64,000 of 120,027 bytes",
    ):
        assert said in text, said
    assert "loss over 3 folds: 0.2 to 0.4, mean 0.3." in text
    assert "replay first 1" in text
    failed = words_of(studio.get("/s/first/t/2").text)
    assert "ValueError: no way 12" in failed
    assert "train.py" in failed
    running = words_of(studio.get("/s/first/t/5").text)
    assert "running" in running
    assert "Stop this trial" in running
    assert studio.get("/s/first/t/99").status == 404


def test_the_defaults_of_an_estimator_are_beside_the_parameters(studio: Served, place: Path) -> None:
    pytest.importorskip("sklearn")
    from sklearn.datasets import load_iris
    from sklearn.neighbors import KNeighborsClassifier

    X, y = load_iris(return_X_y=True)
    objective = lt.CrossValidation(KNeighborsClassifier(), X, y, cv=3)
    lt.tune(objective, trials=4, name="knn", store=str(place), progress=False, keep=Keep(best=0))
    text = words_of(studio.get("/s/knn/t/2").text)
    assert "Parameter Value Default" in text
    assert "3 folds" in text
    assert "KNeighborsClassifier" in words_of(studio.get("/s/knn/part/words").text)


def test_a_chart_has_numbers_that_json_can_say(studio: Served, first: str) -> None:
    best = studio.get("/s/first/best.json")
    assert best.json["line"] == [[1, 0.5, 0], [2, 0.3, 1]]
    assert best.json["dots"] == [[1, 0.5, 0], [2, 0.3, 1], [4, 0.4, 3]]
    assert best.json["failed"] == [[3, 2]]
    assert studio.get("/s/first/best.json", if_none_match=best.headers["etag"]).status == 304
    folds = studio.get("/s/first/t/1/curve.json").json
    assert (folds["kind"], folds["points"]) == ("folds", [[0, 0.2], [1, 0.3], [2, 0.4]])


def test_pausing_stopping_and_adding_are_written_to_the_store(studio: Served, book: Book, first: str) -> None:
    assert studio.post("/s/first/stop").headers["location"] == "/s/first?said=idle"
    book.store.begin(first, "me/1/2/3")
    book.store.renew(first, "me/1/2/3", 60.0)
    assert studio.post("/s/first/pause").headers["location"] == "/s/first?said=paused"
    assert book.store.changed(first).stop == "paused"
    assert "Pause" in studio.get("/s/first/part/head").text
    assert studio.post("/s/first/stop").headers["location"] == "/s/first?said=stopped"
    assert book.store.changed(first).stop == "asked to, in the studio"
    assert studio.post("/s/first/add", "more=7").headers["location"] == "/s/first?said=added"
    assert book.store.spec(first).budget.trials == 107
    assert studio.post("/s/first/t/5/stop").headers["location"] == "/s/first/t/5?said=trial"
    assert book.store.trials(first, [5])[0].stop == "asked to, in the studio"
    assert studio.post("/s/first/t/0/stop").headers["location"] == "/s/first/t/0?said=trial.over"
    assert "Asked to pause" in studio.get("/s/first?said=paused").text
    assert studio.get("/s/first?said=<b>").status == 200


def test_trials_are_not_added_where_the_budget_counts_none(studio: Served, book: Book) -> None:
    book.study("timed", budget=Budget(seconds=60))
    answer = studio.post("/s/timed/add", "more=5")
    assert (answer.status, "1 min" in answer.text or "60 s" in answer.text) == (422, True)
    assert "Add trials" not in studio.get("/s/timed/part/head").text


def test_a_part_that_fails_fails_alone(studio: Served, first: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from luthier.studio import views

    def broken(*_: object) -> None:
        raise lt.errors.LuthierError("the roof is off")

    monkeypatch.setattr(views, "workers", broken)
    text = words_of(studio.get("/s/first").text)
    assert "This part cannot be shown: the roof is off Try again" in text
    assert "The best is 0.3" in text


def test_axes_that_cannot_be_read_fail_alone(
    studio: Served, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from luthier.studio.explore.asked import Asked

    def broken(*_: object) -> None:
        raise lt.errors.LuthierError("the axis is bent")

    monkeypatch.setattr(Asked, "axes_in", broken)
    answer = studio.get("/s/first/explore")
    assert answer.status == 200
    assert "This part cannot be shown: the axis is bent" in words_of(answer.text)
    assert "Timeline" in answer.text


NASTY = (
    "",
    " ",
    "größer 東京 🎻",
    "=1+1",
    "x" * 300,
    "a&b=c?d#e",
    "%2e%2e",
    "'; drop table trials",
    "a\tb\n c",
)


@pytest.mark.parametrize("name", NASTY[2:])
def test_odd_names_have_pages_as_any_other(studio: Served, book: Book, name: str) -> None:
    from urllib.parse import quote

    problem = Problem(lt.Space({name: lt.Choice(name, None, 1, 1.0, True)}), (Objective(name, "max"),))
    book.study(name, problem=problem)
    for value in (name, None, 1, 1.0, True):
        (trial,) = book.store.propose(name, [Proposal({name: value}, tag={name: name})], claim=(name, 60.0))
        book.store.record(name, [Record(trial.number, 1, Completed({name: math.inf}))])
    book.store.propose(name, [Proposal({name: name})])
    book.store.request_stop(name, 5, name)
    base = f"/s/{quote(name, safe='')}"
    for path in (
        "",
        "/trials",
        "/failures",
        "/t/0",
        "/t/5",
        "/best.json",
        "/t/0/curve.json",
        *(f"/part/{p}" for p in PARTS),
    ):
        answer = studio.get(base + path)
        assert (answer.status, "cannot be shown" in answer.text) == (200, False), path
    assert base in studio.get("/").text


@pytest.mark.parametrize("trials", [0, 1, 3])
@pytest.mark.parametrize("outcome", [Failed("no"), Stopped("enough"), math.nan, math.inf, -math.inf, None])
def test_small_and_hopeless_studies_have_every_page(
    studio: Served, book: Book, trials: int, outcome: object
) -> None:
    book.study("odd")
    for _ in range(trials):
        book.trial("odd", outcome, 1.0, math.nan)  # type: ignore[arg-type]
    paths = ["", "/trials", "/failures", "/best.json", *(f"/part/{p}" for p in PARTS)]
    for path in [*paths, *(["/t/0", "/t/0/curve.json"] if trials else [])]:
        answer = studio.get(f"/s/odd{path}")
        assert (answer.status, "cannot be shown" in answer.text) == (200, False), path


def test_answers_are_small(studio: Served, book: Book) -> None:
    """A fiftieth of the benchmark, with the same limits."""
    book.study("many")
    n = IN_WORDS + 2000
    book.store.propose(
        "many", [Proposal({"x": i / n, "n": 1 + i % 100, "kind": "a"}) for i in range(n)], claim=("w", 60.0)
    )
    outcomes = [
        Failed(f"no {i}") if i % 50 == 0 else Completed({"loss": (i * 7919 % n) / n}) for i in range(n)
    ]
    book.store.record("many", [Record(i, 1, outcome) for i, outcome in enumerate(outcomes)])
    for path in ("", "/trials", "/failures", "/best.json", *(f"/part/{p}" for p in PARTS)):
        answer = studio.get(f"/s/many{path}", accept_encoding="gzip")
        assert answer.status == 200
        assert len(answer.body) < 30_000, path
    best = json.loads(gzip.decompress(studio.get("/s/many/best.json", accept_encoding="gzip").body))
    assert len(best["dots"]) == 100
    shown = sum(count for _, _, count in best["density"])
    assert shown + best["off"] == n - n // 50
    assert "would take minutes" in studio.get("/s/many/part/words").text


def test_endless_texts_are_cut(studio: Served, book: Book) -> None:
    rng = np.random.default_rng(0)

    def noise(letters: int) -> str:
        return rng.bytes(letters // 2).hex()

    long = noise(100_000)
    problem = Problem(lt.Space(x=lt.Choice(long, "b")), (Objective("loss", "min"),))
    book.study("long", problem=problem)
    book.store.propose("long", [Proposal({"x": long})] * 100, claim=("w", 60.0))
    kinds = [f"{'abcdefghij'[i % 10]}{'klmnopqrst'[i // 10 % 10]}" for i in range(100)]
    book.store.record(
        "long", [Record(i, 1, Failed(kinds[i] + noise(3000), noise(30_000))) for i in range(100)]
    )
    for path in ("", "/trials", "/trials?by=newest", "/failures", "/t/3", "/part/words"):
        answer = studio.get(f"/s/long{path}", accept_encoding="gzip")
        assert answer.status == 200
        assert len(answer.body) < (250_000 if path == "/failures" else 100_000), path
    assert "60 more kinds of failure" in words_of(studio.get("/s/long/failures").text)


def test_every_text_is_used_and_every_used_text_is_there() -> None:
    folder = Path(lt.__file__).parent / "studio"
    files = [
        path
        for kind in ("*.py", "*.html", "*.js")
        for path in folder.rglob(kind)
        if "vendor" not in path.parts and path.name != "words.py"
    ]
    source = "\n".join(path.read_text() for path in files)
    used = set(re.findall(r"""say\(\s*f?["']([a-z.]+)["']""", source)) | set(SCRIPT)
    assert {key for key in used if key not in WORDS and not any(k.startswith(key) for k in WORDS)} == set()
    unused = {key for key in WORDS if key not in source and key not in SCRIPT}
    spelled = ("said.", "board.by.", "best.min", "best.max", "trial.folds", "trial.curve")
    assert {key for key in unused if not key.startswith(spelled)} == set()


def test_every_chart_has_a_sentence_and_a_table(studio: Served, first: str) -> None:
    for path in ("/s/first", "/s/first/t/1"):
        text = studio.get(path).text
        late = re.findall(
            r'href="(/s/first/explore\?view=\w+)"', text
        )  # fetched once they are seen; else behind a link
        assert text.count("data-chart=") == text.count("As a table") + len(late) > 0
        assert all(studio.get(where).status == 200 for where in late)


def test_pages_need_no_script_and_have_their_landmarks(studio: Served, first: str) -> None:
    for path in ("/", "/s/first", "/s/first/trials", "/s/first/failures", "/s/first/t/1", "/login"):
        text = studio.get(path).text
        assert '<html lang="en">' in text
        assert 'name="viewport"' in text
        assert text.count("<h1") == 1
        assert "<main" in text
        assert 'class="skip"' in text
        assert not re.search(r"\son\w+=|\sstyle=|<script>|<style|javascript:", text), path
        assert not re.search(r"""(?:src|href)=["'](?:https?:)?//""", text), path
        for table in re.findall(r"<table.*?</table>", text, re.S):
            assert "<caption" in table
            assert 'scope="' in table


def test_static_files_are_kept_for_good_by_their_hash(studio: Served) -> None:
    page = studio.call("/login").text
    (address,) = re.findall(r'href="(/static/studio.css\?v=\w+)"', page)
    answer = studio.call(address, accept_encoding="gzip")
    assert "immutable" in answer.headers["cache-control"]
    assert gzip.decompress(answer.body) == studio.call("/static/studio.css").body
    assert studio.call("/static/studio.css", if_none_match=answer.headers["etag"]).status == 304


def test_two_studios_beside_each_other_have_a_cookie_each(serve: Callable[..., Served]) -> None:
    one, other = serve(), serve()
    assert one.call("/", cookie=other.cookie).status == 401
    assert one.call("/", cookie=f"{other.cookie}; {one.cookie}").status == 200


def test_no_script_runs_under_two_addresses(studio: Served, first: str) -> None:
    """A module with state that a page names by its hash and another module by its plain name would listen twice."""
    page = studio.get("/s/first").text
    named = set(re.findall(r'src="/static/(js/[a-z]+\.js)', page))
    folder = Path(lt.__file__).parent / "studio/static/js"
    imported = {
        f"js/{name}"
        for path in folder.glob("*.js")
        for name in re.findall(r'from "\./([a-z.]+)"', path.read_text())
    }
    assert imported == {"js/words.js"}
    assert not named & imported
