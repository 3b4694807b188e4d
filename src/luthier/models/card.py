"""The card of a model: what a person should know before using it. What is not known says so."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from luthier.models.log import Event

UNKNOWN = "not stated"


def card(manifest: Mapping[str, Any], events: Sequence[Event] = ()) -> str:
    """The card in Markdown, from what model.json says, and of the looks at test data from the log."""
    data = manifest.get("data") or {}
    return "\n".join(
        [
            f"# {manifest['name']}, version {manifest['version']}",
            "",
            f"Made {manifest['created']} with Luthier.",
            "",
            "## Intended use",
            "",
            str(manifest.get("intended_use") or UNKNOWN),
            "",
            "## Data",
            "",
            _line("Name", data.get("name")),
            _line("Rows", data.get("rows")),
            _line("Columns", data.get("columns")),
            _line("Target", data.get("target")),
            _line("Rows left out for want of a target", data.get("dropped")),
            _line("Fingerprint", data.get("fingerprint")),
            "",
            *_prepared(manifest.get("prepared")),
            "## Training",
            "",
            _line("Estimator", manifest.get("estimator")),
            _line("As given", manifest.get("fixed")),
            _line("Study", manifest.get("study")),
            _line("Trial", manifest.get("trial")),
            _line("Search", manifest.get("algorithm")),
            _line("Seed", manifest.get("seed")),
            _line("Configurations tried", manifest.get("tried")),
            _line("Seen again with", _again(manifest)),
            "",
            *_params(manifest.get("params")),
            "## Validation",
            "",
            _line("Scheme", manifest.get("cv")),
            _line("Splits", manifest.get("splits")),
            "",
            *_scores(manifest.get("scores")),
            f"These are the scores of the trial that was chosen for them{_of(manifest.get('tried'))}, so they flatter the "
            "model a little; the model itself was fitted on all rows afterwards.",
            "",
            "## Test",
            "",
            *_looks(manifest, events),
            "",
            "## Inputs",
            "",
            *(_input(column) for column in manifest.get("inputs", ())),
            "",
            _line("Output", (manifest.get("output") or {}).get("type")),
            _line("Classes", _joined((manifest.get("output") or {}).get("classes"))),
            "",
            "## Limits, licence, contact",
            "",
            _line("Known limits", manifest.get("limits")),
            _line("Licence", manifest.get("licence")),
            _line("Contact", manifest.get("contact")),
            "",
            "## Environment",
            "",
            _line("Python", manifest.get("python")),
            *(f"- {name}: {version}" for name, version in (manifest.get("libraries") or {}).items()),
            "",
        ]
    )


def _again(manifest: Mapping[str, Any]) -> str | None:
    if manifest.get("study") is None:
        return None
    return f"`luthier show {manifest['study']} {manifest.get('trial')}`, and `luthier replay` for how it was found"


def _of(tried: Any) -> str:
    return f" among {tried}" if tried else ""


def _looks(manifest: Mapping[str, Any], events: Sequence[Event]) -> list[str]:
    """What was seen on test data, each time; a card that is part of a version was written before anybody could look."""
    looks = [event for event in events if event.what == "looked"]
    mine = [event for event in looks if event.version == manifest["version"]]
    if not mine:
        return [
            "A score on rows that the search never saw is "
            + UNKNOWN
            + f" here; `luthier models show {manifest['name']}` knows of looks since."
        ]
    rows = []
    for event in mine:
        same = [other for other in looks if other.about.get("fingerprint") == event.about.get("fingerprint")]
        nth = same.index(event) + 1
        for metric, said in event.about["scores"].items():
            between = f"{_number(said[1])} to {_number(said[2])}" if len(said) == 3 else UNKNOWN
            about = f"{event.about['data']}, {event.about['rows']} rows"
            rows.append(f"| {metric} | {_number(said[0])} | {between} | {about} | {nth} | {event.at[:10]} |")
    head = ["| score | value | 95% interval | data | look | on |", "| --- | --- | --- | --- | --- | --- |"]
    return [
        *head,
        *rows,
        "",
        "A test set is honest at the first look; what is chosen by it afterwards flatters itself.",
    ]


def _input(column: Mapping[str, Any]) -> str:
    more = ""
    if column.get("range"):
        more = f", {_number(column['range'][0])} to {_number(column['range'][1])}"
    elif column.get("levels"):
        more = (
            f": {', '.join(map(str, column['levels'][:10]))}{', ...' if len(column['levels']) > 10 else ''}"
        )
    return f"- {column['name']}: {column['type']}{more}{', with gaps' if column.get('missing') else ''}"


def yaml_head(manifest: Mapping[str, Any]) -> str:
    """What hubs of models read above a card."""
    kind = {"classification": "tabular-classification", "regression": "tabular-regression"}
    known = {
        "license": manifest.get("licence"),
        "library_name": "sklearn",
        "pipeline_tag": kind.get(str(manifest.get("task"))),
    }
    lines = [f"{key}: {json.dumps(value)}" for key, value in known.items() if value]
    return "\n".join(["---", *lines, "---", "", ""])


def _line(label: str, value: Any) -> str:
    return f"- {label}: {UNKNOWN if value is None else value}"


def _joined(values: Any) -> str | None:
    return None if not values else ", ".join(map(str, values))


def _prepared(rows: Sequence[Mapping[str, Any]] | None) -> list[str]:
    """What is put in front of the estimator, as `Preparation.to_json` has it."""
    if rows is None:
        return []
    lines = [
        f"| {', '.join(row['columns']) or 'all'} | {row['done']} | {row['why']} |".replace("\n", " ")
        for row in rows
    ]
    table = ["| columns | what is done | why |", "| --- | --- | --- |", *lines] if lines else ["Nothing is."]
    return ["## Prepared for the estimator", "", *table, ""]


def _params(params: Mapping[str, Any] | None) -> list[str]:
    if not params:
        return [f"Parameters: {UNKNOWN if params is None else 'the defaults'}", ""]
    rows = [f"| {name} | {value!r} |" for name, value in params.items()]
    return ["| parameter | value |", "| --- | --- |", *rows, ""]


def _scores(scores: Mapping[str, Any] | None) -> list[str]:
    if not scores:
        return [f"Scores: {UNKNOWN}", ""]
    rows = [f"| {name} | {_number(s.get('mean'))} | {_number(s.get('se'))} |" for name, s in scores.items()]
    return ["| score | mean | standard error over folds |", "| --- | --- | --- |", *rows, ""]


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, int | float) else UNKNOWN
