"""Notes, tags and studies put away, as facts."""

from __future__ import annotations

import pytest

from luthier.errors import InvalidStudy
from luthier.study.remarks import LONGEST_NOTE, Remarks, archived, noted, tagged


def test_what_was_said_is_read_back_from_facts() -> None:
    facts = {
        **noted(None, " about it \r\n all "),
        **noted(3, "odd"),
        **tagged(3, "keep"),
        **tagged(3, "bad"),
        **tagged(3, "bad", on=False),
        **tagged(7, "keep"),
        **archived(12.5),
        "splits": [1, 2],
    }
    said = Remarks.of(facts)
    assert (said.note, said.notes, said.archived) == ("about it \n all", {3: "odd"}, 12.5)
    assert said.tags == {3: {"keep"}, 7: {"keep"}}
    assert said.by_tag == {"keep": {3, 7}}
    assert Remarks.of({**facts, **archived(None), **noted(3, "")}) == Remarks(said.note, {}, said.tags, None)


def test_facts_of_others_are_no_remarks() -> None:
    odd = {
        "note x": "a",
        "tag": True,
        "tag 3": True,
        "tag 3 ": True,
        "note": 5,
        "archived": True,
        "note 4": ["b"],
        "tag 1 a": 1,
    }
    assert Remarks.of(odd) == Remarks()


@pytest.mark.parametrize("tag", ["", "a b", "a,b", "-bad", "<b>", "x" * 41, "_x", "a\n"])
def test_what_is_no_tag_is_refused_with_the_rule(tag: str) -> None:
    with pytest.raises(InvalidStudy, match="Use up to 40 letters"):
        tagged(1, tag)


def test_tags_may_be_of_any_script() -> None:
    assert tagged(1, "größe.2") == {"tag 1 größe.2": True}


def test_a_note_has_an_end() -> None:
    with pytest.raises(InvalidStudy, match="Shorten it"):
        noted(1, "x" * (LONGEST_NOTE + 1))
