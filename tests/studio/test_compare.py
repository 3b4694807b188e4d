"""Trials and studies beside each other: over HTTP, with real stores."""

from __future__ import annotations

import math
import re
from urllib.parse import urlencode

import pytest

from luthier.objectives.splits import pack_splits
from luthier.studio.compare import MOST_TRIALS
from luthier.study import Budget, Failed
from tests.studio.conftest import Book, Served
from tests.studio.test_pages import words_of


@pytest.fixture
def folded(book: Book) -> str:
    """Trials with folds: two that can be told apart, two that cannot."""
    name = book.study("folded")
    book.trial(name, 0.5, 0.49, 0.50, 0.51, x=0.1)
    book.trial(name, 0.3, 0.28, 0.31, 0.31, x=0.1, n=4)
    book.trial(name, 0.502, 0.42, 0.61, 0.476, x=0.1)
    return name


def test_trials_are_compared_as_the_command_line_does(studio: Served, folded: str) -> None:
    text = words_of(studio.get("/compare?t=folded:0&t=folded:1&t=folded:2").text)
    assert "trial 1 is better than trial 0 by 0.2000 ± 0.0091 in loss; that is more than noise." in text
    assert "not more than noise: they cannot be told apart." in text
    assert "Over 3 folds the difference is +0.2" in text
    assert "0.3000 ± 0.0100 (-0.2)" in text


def test_only_what_differs_is_shown_unless_all_is_asked_for(studio: Served, folded: str) -> None:
    def names(query: str) -> list[str]:
        page = studio.get(f"/compare?{query}").text
        part = page[page.index('id="params-title"') :]
        return re.findall(r'<th scope="row">(\w+)</th>', part)

    assert names("t=folded:0,folded:1") == ["n"]
    assert names("t=folded:0,folded:1&all=1") == ["x", "n", "kind"]
    assert "They have the same parameters" in studio.get("/compare?t=folded:0,folded:2").text


def test_baseline_and_metric_are_chosen(studio: Served, folded: str) -> None:
    text = words_of(studio.get("/compare?t=folded:0&t=folded:1&base=folded:1").text)
    assert "#0 : trial 1 is better than trial 0" in text
    assert studio.get("/compare?t=folded:0&t=folded:1&base=x&m=none").status == 200


def test_trials_of_two_studies_are_compared_on_the_same_splits_only(
    studio: Served, book: Book, folded: str
) -> None:
    other = book.study("a, b:c")
    book.trial(other, 0.1, 0.08, 0.10, 0.12)
    query = urlencode([("t", "folded:0"), ("t", "a, b:c:0")])
    page = studio.get(f"/compare?{query}")
    assert "it is not known whether their folds are the same rows" in page.text
    one, two = (pack_splits([(range(6), range(6, 9)), (range(3, 9), range(first))]) for first in (3, 2))
    book.store.remember("folded", {"splits": one})
    book.store.remember(other, {"splits": two})
    assert "are different rows" in studio.get(f"/compare?{query}").text
    book.store.remember(other, {"splits": one})
    text = words_of(studio.get(f"/compare?{query}").text)
    assert "a, b:c #0 is better than folded #0 by 0.4000 ± 0.0091 in loss; that is more than noise." in text


def test_what_cannot_be_compared_says_why_and_the_rest_is_shown(
    studio: Served, book: Book, first: str
) -> None:
    book.trial(first, Failed("<b>no</b>"))
    page = studio.get("/compare?t=first:0&t=first:2&t=first:4&t=first:99&t=none:1&t=first:x&t=:")
    text = words_of(page.text)
    assert page.status == 200
    assert "cannot be compared: trial 2 (failed) has no loss" in text
    assert "has no trial 99" in text
    assert "no study &#39;none&#39;" in page.text
    many = "&".join(f"t=first:{i % 6}" for i in range(50))
    assert studio.get(f"/compare?{many}").status == 200


def test_so_many_at_most(studio: Served, book: Book) -> None:
    book.study()
    for i in range(MOST_TRIALS + 2):
        book.trial("first", float(i))
    page = studio.get("/compare?" + "&".join(f"t=first:{i}" for i in range(MOST_TRIALS + 2))).text
    assert f"At most {MOST_TRIALS} can be compared" in page
    assert len(re.findall("make|as baseline|aria-current", page)) >= 2


def test_learning_curves_lie_over_each_other(studio: Served, book: Book) -> None:
    book.study()
    book.trial("first", 0.1, 0.9, 0.5, 0.1)
    book.trial("first", 0.2, 0.8, math.nan, 0.2)
    page = studio.get("/compare?t=first:0,first:1").text
    src = re.findall(r'data-src="([^"]*)"', page)[0].replace("&amp;", "&")
    found = studio.get(src).json
    assert [(line["name"], line["points"]) for line in found["lines"]] == [
        ("#0", [[0, 0.9], [1, 0.5], [2, 0.1]]),
        ("#1", [[0, 0.8], [1, None], [2, 0.2]]),
    ]
    assert "#0 ends at 0.1 (step 2)" in page


def test_without_anything_to_compare_it_says_how_to_choose(studio: Served, first: str) -> None:
    for query in ("", "?t=", "?s=", "?t=none:1", "?s=none", "?x=1"):
        answer = studio.get(f"/compare{query}")
        assert (answer.status, "press Compare" in answer.text) == (200, True), query


def test_studies_are_compared_by_their_bests_and_settings(studio: Served, book: Book, folded: str) -> None:
    book.study("up", goal="max")
    book.study("other", budget=Budget(trials=7), seed=3)
    book.trial("other", 0.2, 0.19, 0.20, 0.21)
    page = studio.get("/compare?s=folded,other&s=up").text
    text = words_of(page)
    assert "Not drawn, since they tune something else: up." in text
    assert "budget 100 trials 7 trials 100 trials" in text
    assert "loss 0.3000 ± 0.0100 (#1)" in text
    assert "it is not known whether their folds are the same rows" in text
    lines = studio.get("/compare/best.json?s=folded,other").json["lines"]
    assert lines == [
        {"name": "folded", "points": [[1, 0.5], [2, 0.3], [3, 0.3]]},
        {"name": "other", "points": [[1, 0.2]]},
    ]
    by_time = studio.get("/compare/best.json?s=folded,other&by=time").json
    assert [len(line["points"]) for line in by_time["lines"]] == [3, 1]


def test_studies_of_nothing_or_of_odd_values_are_shown_too(studio: Served, book: Book) -> None:
    book.study("none")
    book.study("odd")
    for value in (math.nan, math.inf, -math.inf, Failed("x")):
        book.trial("odd", value)
    for query in ("s=none", "s=odd", "s=none,odd", "t=odd:0,odd:1,odd:2,odd:3"):
        answer = studio.get(f"/compare?{query}")
        assert (answer.status, "cannot be shown" in answer.text) == (200, False), query
    assert studio.get("/compare/best.json?s=none,odd").status == 200


def test_the_leaderboard_and_the_list_lead_here_without_scripts(studio: Served, folded: str) -> None:
    page = studio.get("/s/folded/trials").text
    assert re.findall(r'<input type="checkbox" form="chosen" name="t" value="([^"]*)"', page) == [
        "folded:1",
        "folded:0",
        "folded:2",
    ]
    assert '<form method="get" action="/compare" id="chosen"' in page
    assert 'name="s" value="folded"' in studio.get("/").text
