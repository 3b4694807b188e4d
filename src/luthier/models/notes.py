"""What people say of a version after it was made: intended use, limits, licence, contact.

A version never changes, so what is said later is in the log, and on every card that is shown or exported from then on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from luthier.clock import Clock
from luthier.errors import ModelError, did_you_mean
from luthier.models import log
from luthier.models.card import card
from luthier.models.log import Event
from luthier.models.registry import ModelVersion, show_model

NOTES = ("intended_use", "limits", "licence", "contact")
LONGEST = 4000
"""Characters of a note."""


def note(
    home: Path | str, name: str, version: int, notes: Mapping[str, str], *, clock: Clock | None = None
) -> None:
    """Say something else on the card of a version; an empty text takes a note back. Raises ModelError for a note that has no place
    there.
    """
    model = show_model(home, name, version)
    for key, text in notes.items():
        if key not in NOTES:
            near = did_you_mean(key, NOTES) or f" There is: {', '.join(NOTES)}."
            raise ModelError(f"the note {key!r} has no place on a card.{near}")
        if len(text) > LONGEST:
            raise ModelError(
                f"the note {key!r} has {len(text):,} characters, and a card takes {LONGEST:,}. Shorten it."
            )
    folder = model.path.parent
    with log.locked(folder):
        before = noted(model.manifest, version, log.read(folder))
        new = {
            key: text.strip()
            for key, text in notes.items()
            if text.strip() != (before.get(key) or "").strip()
        }
        if new:
            log.append(folder, Event("noted", version, about={"notes": new}), clock)


def noted(manifest: Mapping[str, Any], version: int, events: Iterable[Event]) -> dict[str, Any]:
    """The manifest with what was said since."""
    found = dict(manifest)
    for event in events:
        if event.what == "noted" and event.version == version:
            found |= {key: text or None for key, text in event.about["notes"].items()}
    return found


def card_of(model: ModelVersion, events: Iterable[Event]) -> str:
    """The card as it is now: with the looks at test data, and with what was said, since the version was made."""
    events = list(events)
    return card(noted(model.manifest, model.version, events), events)
