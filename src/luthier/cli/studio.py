"""`luthier studio`: the studies of a store in a web browser."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import click

from luthier.cli.listening import door_options, missing, warn_of_plain_text
from luthier.cli.output import store_option


@click.command(
    epilog="Examples:  luthier studio      luthier studio --store results/studies.db --port 9000 --no-browser"
)
@store_option
@door_options(8765, "a line for who may change studies, a second one for who may look")
@click.option("--read-only", is_flag=True, help="Nobody can change anything, whatever the token.")
@click.option(
    "--workers",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="N",
    help="How many trials a study that is started here runs at once.",
)
@click.option("--no-browser", is_flag=True, help="Print the address, and open no browser.")
def studio(
    store: str | None,
    port: int | None,
    host: str,
    read_only: bool,
    workers: int,
    no_browser: bool,
    token_file: Path | None,
    allow_host: tuple[str, ...],
    cert: Path | None,
    key: Path | None,
) -> None:
    """Watch studies in a web browser, live; pause, stop and extend them.

    Prints the address to open; its token lets you in. Studies do not need the studio: closing it stops none of them.
    """
    try:
        from luthier.serving.door import Door
        from luthier.studio.serve import open_browser, open_studio
    except ImportError as error:
        raise missing(error, "The studio") from None

    door = Door(host, port, token_file, allow_host, cert, key)
    opened = open_studio(store, door, readonly=read_only, workers=workers)
    click.echo(opened.owner_url)
    if not read_only:
        click.echo(f"to look only:  {opened.viewer_url}", err=True)
    warn_of_plain_text(door)
    click.echo("Ctrl-C ends the studio; studies go on.", err=True)
    if not no_browser and door.is_local:
        open_browser(opened.owner_url)
    with suppress(KeyboardInterrupt):  # which is how it ends
        opened.run()
