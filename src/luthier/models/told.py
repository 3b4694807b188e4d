"""What is said of a version and of what happened to it, in the same words on the command line and in the studio."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from luthier.analysis.table import number
from luthier.models.log import Event
from luthier.models.looks import looks_at
from luthier.models.registry import ModelVersion


@dataclass(frozen=True, slots=True)
class Tested:
    """A score on test data, as it was looked at last, and the number of looks at those rows; the first of its scores."""

    metric: str
    value: float
    looks: int
    event: Event

    def __str__(self) -> str:
        return f"{self.metric} {number(self.value)}, {self.looks} look{'' if self.looks == 1 else 's'}"


def score_of(
    manifest: Mapping[str, Any], metric: str | None = None
) -> tuple[str, float, float | None] | None:
    """A validation score with its standard error: the one that the study optimised, or the one asked for; None where it has none."""
    asked = [metric] if metric else [one.get("metric") for one in manifest.get("objective") or []]
    for name in asked:
        found = (manifest.get("scores") or {}).get(name)
        if found and isinstance(found.get("mean"), int | float):
            return str(name), found["mean"], found.get("se")
    return None


def written_score(manifest: Mapping[str, Any], metric: str | None = None) -> str:
    """The same as text: accuracy 0.973 ± 0.011; empty where there is none."""
    found = score_of(manifest, metric)
    return f"{found[0]} {number(found[1], found[2])}" if found else ""


def looks_of(model: ModelVersion, events: Iterable[Event]) -> list[Event]:
    """Every look at this version, oldest first."""
    return [event for event in events if event.what == "looked" and event.version == model.version]


def latest_test(model: ModelVersion, events: Sequence[Event], metric: str | None = None) -> Tested | None:
    """The latest test score, of the first metric or of the one asked for; None before anybody looked."""
    for event in reversed(looks_of(model, events)):
        for name, said in event.about["scores"].items():
            if metric in (None, name):
                return Tested(name, said[0], looks_at(events, event.about["fingerprint"]), event)
    return None


def told(event: Event) -> str:
    """What happened, in a sentence or a few words."""
    match event.what:
        case "looked":
            scores = ", ".join(
                f"{metric} {number(said[0])}" for metric, said in event.about["scores"].items()
            )
            return f"{scores} on {event.about['data']} ({event.about['rows']} rows)"
        case "promoted" | "challenged":
            return str(event.about["why"])
        case "rolled back":
            return f"rolled back; version {event.about['to']} took its place"
        case "noted":
            return f"said on the card: {', '.join(event.about['notes']).replace('_', ' ')}"
        case "deployed":
            return f"deployed on port {event.about['port']}" if "port" in event.about else "deployed"
        case "undeployed":
            return "no longer deployed"
        case "rolled back deployment":
            return "no longer deployed: what was deployed before took its place"
        case other:
            return str(other)
