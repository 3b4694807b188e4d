"""`luthier logs`: what a trial printed."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from luthier.cli.output import complain, store_option

PAUSE_SECONDS = 0.2


@click.command(epilog="Examples:  luthier logs svc 33      luthier logs svc 33 -f")
@click.argument("name")
@click.argument("trial", type=int)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is printed until the attempt ends.")
@click.option("--attempt", type=click.IntRange(1), metavar="N", help="Which attempt. [default: the latest]")
@store_option
def logs(name: str, trial: int, follow: bool, attempt: int | None, store: str | None) -> None:
    """Print the log of a trial.

    It is what the trial printed, byte by byte, on stdout and stderr. Of a command, its exit code follows, on stderr.
    """
    from luthier.api import load
    from luthier.errors import InvalidStudy
    from luthier.files import folder_of
    from luthier.summary import trial_of

    study = load(name, store)
    try:
        wanted = trial_of(study, trial)
        last = max(wanted.attempt, 1)
        if attempt is not None and attempt > last:
            raise InvalidStudy(
                f"trial {trial} of {name!r} has had {last} attempt{'s' if last > 1 else ''}, so there is no attempt {attempt}."
            )
        which = attempt or last
        folder = folder_of(study.home, "work", name) / str(trial) / str(which)

        def is_over() -> bool:
            now = study.history[trial]
            return not follow or now.state.ended or now.attempt != which

        printed = _print(folder / "output.log", is_over)
        now = study.history[trial]
        reason = f"{now.state}: {now.reason}" if now.reason and now.attempt == which else ""
        _say_how(folder, printed, f"trial {trial}, attempt {which}", now.state.ended, reason)
    finally:
        study.close()


def _print(path: Path, is_over: Callable[[], bool]) -> bool:
    """The bytes of a file, and those that are added until `is_over`; whether there were any."""
    from luthier.clock import SystemClock

    out, at, last = sys.stdout.buffer, 0, False
    while True:
        if path.is_file():
            with path.open("rb") as file:
                file.seek(at)
                shutil.copyfileobj(file, out)
                at = file.tell()
            out.flush()
        if last:
            return at > 0
        last = is_over()  # then once more: it may have printed meanwhile
        if not last:
            SystemClock().sleep(PAUSE_SECONDS)


def _say_how(folder: Path, printed: bool, who: str, ended: bool, reason: str) -> None:
    """How it ended, and what was odd about what it said."""
    sys.stdout.flush()
    record = _record(folder)
    if not printed:
        complain(f"{who}: nothing was printed{'' if ended else ' yet'}.", "note")
    for note in record.get("notes", ()):
        complain(note, "note")
    code = record.get("exit_code")
    how = "" if code is None else f"exit code {code}" if code >= 0 else f"ended by signal {-code}"
    if how or reason:
        click.echo(f"{who}: {', '.join(part for part in (how, reason) if part)}", err=True)


def _record(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "command.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
