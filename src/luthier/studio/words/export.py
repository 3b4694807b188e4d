"""What is said where something leaves the studio as a file."""

from __future__ import annotations

WORDS = {
    "export.report": "Report (one HTML file)",
    "export.csv": "Trials as CSV",
    "export.jsonl": "Trials as JSON Lines",
    "export.parquet": "Trials as Parquet",
    "export.toml": "Study file (TOML)",
    "export.python": "Study as Python",
    "export.these": "These trials as CSV",
    "save": "Save chart",
    "save.png": "PNG",
    "save.svg": "SVG",
    "save.csv": "CSV",
    "save.series": "series",
    "export.long": "The report took more than {seconds} seconds, and was given up. `luthier report` makes it in a terminal.",
    "export.busy": "Another report is being made at the moment. Try again in a minute.",
    "export.failed": "The report could not be made: {error}",
}

SCRIPT = ("save", "save.png", "save.svg", "save.csv", "save.series")
