"""The card of a model: what a person should know before using it. What is not known says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

UNKNOWN = "not stated"


def card(manifest: Mapping[str, Any]) -> str:
    """The card in Markdown, from what model.json says."""
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
            "## Training",
            "",
            _line("Estimator", manifest.get("estimator")),
            _line("As given", manifest.get("fixed")),
            _line("Study", manifest.get("study")),
            _line("Trial", manifest.get("trial")),
            _line("Search", manifest.get("algorithm")),
            _line("Seed", manifest.get("seed")),
            "",
            *_params(manifest.get("params")),
            "## Validation",
            "",
            _line("Scheme", manifest.get("cv")),
            _line("Splits", manifest.get("splits")),
            "",
            *_scores(manifest.get("scores")),
            "These are the scores of the trial that was chosen for them, so they flatter the model a little; the model",
            "itself was fitted on all rows afterwards. A score on rows that the search never saw is "
            + UNKNOWN
            + ".",
            "",
            "## Inputs",
            "",
            *(f"- {column['name']}: {column['type']}" for column in manifest.get("inputs", ())),
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


def _line(label: str, value: Any) -> str:
    return f"- {label}: {UNKNOWN if value is None else value}"


def _joined(values: Any) -> str | None:
    return None if not values else ", ".join(map(str, values))


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
