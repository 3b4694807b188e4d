"""`luthier archive`, `note` and `tag`, and where what they keep is shown."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.cli.conftest import Luthier

Study = Callable[..., str]


@pytest.fixture
def first(luthier: Luthier, study: Study) -> str:
    assert luthier("run", study(name="first", trials=4)).code == 0
    return "first"


def test_tags_are_put_on_with_plus_and_taken_off_with_minus(luthier: Luthier, first: str) -> None:
    assert luthier("tag", first, "2", "+keep", "+hard").out == "hard keep\n"
    assert luthier("tag", first, "2", "-hard").out == "keep\n"
    assert luthier("tag", first, "2").out == "keep\n"
    assert "tags       keep" in luthier("show", first, "2").out
    assert luthier("show", first, "2", "--json").json["tags"] == ["keep"]
    for wrong, why in (("keep", "Say +keep"), ("+a b", "up to 40 letters"), ("+", "up to 40 letters")):
        said = luthier("tag", first, "2", wrong)
        assert (said.code, why in said.err) == (2, True), wrong
    assert luthier("tag", first, "9", "+keep").code == 2


def test_notes_are_kept_on_studies_and_trials(luthier: Luthier, first: str) -> None:
    assert luthier("note", first, "scaled inputs").code == 0
    assert luthier("note", first, "2", "overfits").code == 0
    assert "scaled inputs" in luthier("show", first).out
    assert "overfits" in luthier("show", first, "2").out
    assert luthier("show", first, "2", "--json").json["note"] == "overfits"
    assert "Took the note away" in luthier("note", first, "2", "").err
    assert "overfits" not in luthier("show", first, "2").out
    for wrong in (("a", "b"), ("1", "2", "3"), ("-1", "a"), ("99", "a")):
        assert luthier("note", first, *wrong).code == 2, wrong


def test_what_is_archived_is_left_out_of_the_list(luthier: Luthier, study: Study, first: str) -> None:
    luthier("run", study(name="second", trials=1))
    assert luthier("archive", first).code == 0
    said = luthier("list")
    assert ("second" in said.out, "first" in said.out, "1 archived" in said.err) == (True, False, True)
    rows = luthier("list", "--archived", "--json").json
    assert [(row["name"], row["archived"]) for row in rows] == [("second", False), ("first", True)]
    assert luthier("archive", first, "--undo").code == 0
    assert "first" in luthier("list").out
