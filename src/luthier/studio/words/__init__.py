"""Everything the studio says in English, in one place, by key. A part of the studio has a file of its own here."""

from __future__ import annotations

from luthier.studio.words import compare, drafts, explore, export, frame, manage, models, studies, works

FILES = (compare, drafts, explore, export, frame, manage, models, studies, works)
WORDS: dict[str, str] = {key: text for file in FILES for key, text in file.WORDS.items()}
SCRIPT = tuple(key for file in FILES for key in file.SCRIPT)
"""What scripts say; the page hands it to them."""


def say(key: str, **values: object) -> str:
    """A text by its key, with values put in."""
    return WORDS[key].format(**values) if values else WORDS[key]
