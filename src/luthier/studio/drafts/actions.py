"""What the buttons of the form do to its fields: use what is recommended, go back to defaults, split a range into points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from luthier.errors import UnknownName
from luthier.space import Choice, Const, Parameter
from luthier.studio.drafts import catalogue, values
from luthier.studio.drafts.draft import Draft, Row, recommended_fields, row_fields

POINTS = 5


def acted(draft: Draft, do: str) -> dict[str, str]:
    """The fields after a button: `recommend`, `recommend:max_depth`, `reset`, `reset:max_depth`, `split:alpha`, `random:60`, `asha:60`."""
    fields = dict(draft.fields)
    action, _, about = do.partition(":")
    rows = [row for row in draft.rows if not about or row.name == about]
    match action:
        case "recommend":
            for row in rows:
                fields |= _recommended(fields, row)
        case "reset":
            for row in rows:
                for name in row_fields(row.name):
                    fields.pop(name, None)
        case "split":
            for row in rows if about else ():
                fields |= _split(row)
        case "random" | "asha" if about.isdecimal():
            fields |= {"strategy": action, "trials": about[:7]}
    return fields


def _recommended(fields: dict[str, str], row: Row) -> dict[str, str]:
    found = recommended_fields(row.about)
    for name in (f"log.{row.name}", f"step.{row.name}") if found else ():
        fields.pop(name, None)
    return found


def _split(row: Row) -> dict[str, str]:
    if row.param is None or isinstance(row.param, Choice | Const):
        return {}
    points = [
        _short(value) if isinstance(value, float) else value
        for value in cast("Parameter", row.param).grid(POINTS)
    ]
    allowed = [value for value in points if values.refusal(value, row.name, row.about.domain) is None]
    return {f"mode.{row.name}": "multiple", f"multiple.{row.name}": values.listed(dict.fromkeys(allowed))}


def _short(value: float) -> float:
    """Four digits are enough for a point of a grid."""
    return float(f"{value:.4g}")


def adapted(fields: Mapping[str, str], changed: str, draft: Draft) -> dict[str, str]:
    """The fields after another table or another target was chosen: an estimator for the other task is changed for its sibling."""
    found = dict(fields)
    if changed == "data":
        found.pop("target", None)
        found.pop("groups", None)
    if (
        changed not in ("data", "target")
        or draft.task is None
        or draft.entry is None
        or draft.entry.fits(draft.task)
    ):
        return found
    kind, other = (
        ("Classifier", "Regressor") if draft.entry.kind == "classifier" else ("Regressor", "Classifier")
    )
    sibling = draft.entry.path.replace(kind, other)
    if sibling == draft.entry.path:
        sibling = f"sklearn.ensemble:RandomForest{other}"
    try:
        found["estimator"] = catalogue.entry(sibling).path
    except UnknownName:
        return found
    found.pop("primary", None)
    found.pop("scores", None)
    return found
