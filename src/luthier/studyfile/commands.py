"""Commands in study files: what is run, and how what it prints is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from luthier.errors import InvalidStudy
from luthier.objectives.command import Command
from luthier.objectives.metrics import Json, MLflow, Pattern, Source, TensorBoard
from luthier.studyfile.tables import Table, only, say

SOURCES: dict[str, tuple[type[Source], tuple[str, ...]]] = {
    "pattern": (Pattern, ()),
    "json": (Json, ("file", "step")),
    "mlflow": (MLflow, ("folder",)),
    "tensorboard": (TensorBoard, ("folder",)),
}


def command_of(given: Mapping[str, Any], folder: Path) -> Command | None:
    """`command = "..."`, or [command] with `run` and how; it runs in the study file's folder."""
    if "command" not in given:
        if "metrics" in given:
            raise InvalidStudy('metrics say how a command is read. Name what to optimise: minimize = "loss".')
        return None
    said = given["command"]
    table = said if isinstance(said, dict) else {"run": said}
    only("command.", table, ["run", "shell", "params", "cwd", "env", "grace"])
    if "run" not in table:
        raise InvalidStudy('[command] does not say what to run. Write run = "python train.py --lr {lr}".')
    read = Table("command.", table)
    grace = read.number("grace")
    return Command(
        table["run"],
        metrics={name: _source(name, value) for name, value in Table("", given).table("metrics").items()},
        params=read.text("params") or "arguments",  # type: ignore[arg-type]
        shell=read.truth("shell"),
        cwd=folder / Path(read.text("cwd") or "").expanduser(),
        env=read.table("env"),
        grace=5.0 if grace is None else grace,
    )


def _source(name: str, value: Any) -> Source:
    """A regular expression, or a table that says where the metric is read."""
    if isinstance(value, str):
        return Pattern(value)
    kinds = [kind for kind in SOURCES if kind in value] if isinstance(value, dict) else []
    if len(kinds) != 1 or not isinstance(value[kinds[0]], str):
        raise InvalidStudy(
            f'metrics.{name} is {say(value)}. Use a regular expression, as in metrics.{name} = "{name}=([0-9.]+)", or a table: '
            f'{{ tensorboard = "val/{name}" }}, {{ mlflow = "{name}" }} or {{ json = "{name}", file = "log.jsonl" }}.'
        )
    kind, options = SOURCES[kinds[0]]
    only(f"metrics.{name}.", value, [kinds[0], *options])
    more = {option: text for option in options if (text := Table(f"metrics.{name}.", value).text(option))}
    if kind is Json and "file" not in more:
        raise InvalidStudy(
            f'metrics.{name} does not say in which file. Write {{ json = "{value["json"]}", file = "log.jsonl" }}, '
            "a path from the work folder on."
        )
    return kind(value[kinds[0]], **more)
