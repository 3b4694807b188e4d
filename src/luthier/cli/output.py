"""How the command line speaks: results on stdout, everything else on stderr, colours only on a terminal."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.text import Text

F = TypeVar("F", bound=Callable[..., Any])
STYLES = {
    "complete": "green",
    "running": "cyan",
    "failed": "red",
    "stopped": "yellow",
    "interrupted": "yellow",
    "completed": "green",
    "ok": "green",
    "note": "yellow",
    "error": "bold red",
}


def store_option(command: F) -> F:
    """`--store`, for commands that read or write one."""
    text = "Where studies are kept: a path or URL. [default: $LUTHIER_STORE, else .luthier/studies.db]"
    return click.option("--store", metavar="URL", help=text)(command)


def json_option(command: F) -> F:
    """`--json`, for commands whose output may be parsed."""
    text = (
        'Print JSON, and nothing else, on stdout. NaN and infinities are "NaN", "Infinity" and "-Infinity".'
    )
    return click.option("--json", "as_json", is_flag=True, help=text)(command)


def out(*, err: bool = False) -> Console:
    """A console that never wraps: lines stay lines when they are piped."""
    return Console(stderr=err, highlight=False, soft_wrap=True, emoji=False, markup=False)


def complain(text: str, kind: str = "error") -> None:
    """`luthier: error: ...`, on stderr."""
    out(err=True).print(Text("luthier: ").append(f"{kind}:", STYLES.get(kind, "bold red")).append(f" {text}"))


def print_json(value: Any) -> None:
    """JSON that any parser reads."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def print_rows(head: str, rows: Iterable[tuple[str, str]], *, err: bool = False) -> None:
    """A sentence and labelled lines below it."""
    listed = list(rows)
    width = max((len(label) for label, _ in listed), default=0)
    console = out(err=err)
    console.print(Text(head, "bold"))
    for label, text in listed:
        line = Text("  ").append(label.ljust(width), STYLES.get(label, "cyan")).append(f"   {text}")
        line.rstrip()
        console.print(line)


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]], *, styled: int | None = None) -> None:
    """Columns under a head, cut at the width of a terminal, whole elsewhere. The cells of column `styled` are coloured
    by what they say.
    """
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    console = out()
    for n, line in enumerate(lines):
        text = Text()
        for i, (cell, width) in enumerate(zip(line, widths, strict=True)):
            style = "bright_black" if n == 0 else STYLES.get(cell, "") if i == styled else ""
            text.append(cell.ljust(width), style).append("  ")
        text.rstrip()
        if console.is_terminal:
            text.truncate(console.width, overflow="ellipsis")
        console.print(text)
