"""What people say about a study: notes, tags of trials, and whether it is put away. Kept among its facts.

Every tag of every trial is a fact of its own, as is every note. So two people who tag and write at the same time lose nothing of each
other's, and the later of two notes on one trial stays.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from luthier.errors import InvalidStudy

LONGEST_NOTE = 20_000
_TAG = re.compile(r"[^\W_][\w.-]{0,39}")
_NOTE, _ARCHIVED = "note", "archived"


@dataclass(frozen=True, slots=True)
class Remarks:
    """What was said. `note` is that of the study, `notes` and `tags` are by trial number; `archived` is when it was put away, in
    seconds since 1970.
    """

    note: str = ""
    notes: Mapping[int, str] = field(default_factory=dict)
    tags: Mapping[int, frozenset[str]] = field(default_factory=dict)
    archived: float | None = None

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Remarks:
        """As the facts of a study have it."""
        notes: dict[int, str] = {}
        tags: dict[int, set[str]] = {}
        for key, value in facts.items():
            kind, _, rest = key.partition(" ")
            number, _, tag = rest.partition(" ")
            if not number.isdecimal():
                continue
            if kind == _NOTE and isinstance(value, str) and value:
                notes[int(number)] = value
            elif kind == "tag" and value is True and tag:
                tags.setdefault(int(number), set()).add(tag)
        note, archived = facts.get(_NOTE), facts.get(_ARCHIVED)
        return cls(
            note if isinstance(note, str) else "",
            notes,
            {number: frozenset(found) for number, found in tags.items()},
            archived if isinstance(archived, int | float) and not isinstance(archived, bool) else None,
        )

    @property
    def by_tag(self) -> dict[str, frozenset[int]]:
        """The trials that have each tag, by number; tags in order."""
        names = sorted(set().union(*self.tags.values()))
        return {
            name: frozenset(number for number, tags in self.tags.items() if name in tags) for name in names
        }


def noted(number: int | None, text: str) -> dict[str, Any]:
    """The fact that says this of a trial, or with None of the study; an empty text takes the note away.

    Raises InvalidStudy for one that is too long.
    """
    text = text.replace("\r\n", "\n").strip()
    if len(text) > LONGEST_NOTE:
        raise InvalidStudy(
            f"the note has {len(text):,} characters, and at most {LONGEST_NOTE:,} are kept. Shorten it, or keep it in a file."
        )
    return {_NOTE if number is None else f"{_NOTE} {number}": text}


def tagged(number: int, tag: str, on: bool = True) -> dict[str, Any]:
    """The fact that a trial has a tag, or has it no more. Raises InvalidStudy for what is no tag."""
    if not _TAG.fullmatch(tag):
        raise InvalidStudy(
            f"the tag {tag!r} cannot be used. Use up to 40 letters and digits, in between also . _ and -, such as keep or to-check."
        )
    return {f"tag {number} {tag}": on}


def archived(at: float | None) -> dict[str, Any]:
    """The fact that a study was put away, at that time; with None that it is back."""
    return {_ARCHIVED: at}
