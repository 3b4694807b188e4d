"""What the commands that listen at a port share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from luthier.cli.output import F, complain
from luthier.errors import MissingExtra

if TYPE_CHECKING:
    from luthier.serving.door import Door

FILE = click.Path(dir_okay=False, path_type=Path)
EXTRA = ("starlette", "uvicorn", "jinja2", "markupsafe")
"""What the extra `studio` installs."""


def door_options(port: int, tokens: str) -> Callable[[F], F]:
    """`--port`, `--host`, `--token-file`, `--allow-host`, `--cert` and `--key`, as a Door takes them; `tokens` says who has which."""
    options = (
        click.option(
            "--port",
            type=click.IntRange(0, 65535),
            metavar="N",
            help=f"Where to listen; 0 is any. [default: {port}, or the next that is free]",
        ),
        click.option(
            "--host",
            default="127.0.0.1",
            show_default=True,
            metavar="H",
            help="Which address to listen on. Beyond this machine it needs --token-file.",
        ),
        click.option(
            "--token-file",
            type=FILE,
            metavar="FILE",
            help=f"Tokens of your own: {tokens}. [default: new ones]",
        ),
        click.option(
            "--allow-host",
            multiple=True,
            metavar="NAME",
            help="A further name that this machine goes by, behind a proxy.",
        ),
        click.option("--cert", type=FILE, metavar="FILE", help="A certificate, for https; with --key."),
        click.option("--key", type=FILE, metavar="FILE", help="The certificate's private key."),
    )

    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def missing(error: ImportError, what: str) -> MissingExtra:
    """What to raise where `what` cannot be imported: the extra is missing. Raises the error itself where it is something else."""
    package = (error.name or "").partition(".")[0]
    if package not in EXTRA:
        raise error
    return MissingExtra(package, "studio", what)


def warn_of_plain_text(door: Door) -> None:
    """Say so where what is sent can be read on its way."""
    if not door.is_local and door.cert is None:
        complain(
            "without --cert everything, the token too, goes over the network as plain text.", kind="note"
        )
