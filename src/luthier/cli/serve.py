"""`luthier serve`: a kept model, or an exported one, behind an address; or a CSV with its predictions."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from luthier.cli.listening import FILE, door_options, missing, warn_of_plain_text
from luthier.cli.output import store_option


@click.command(
    epilog="Examples:  luthier serve svc      luthier serve svc.zip --port 9000 --token-file token      luthier serve svc --batch new.csv predictions.csv"
)
@click.argument("model")
@click.option("--version", type=int, metavar="N", help="Which one. [default: the champion]")
@click.option(
    "--batch",
    type=(FILE, FILE),
    metavar="IN.csv OUT.csv",
    help="Listen nowhere: predict each row of a file into another.",
)
@door_options(9000, "a line for who may predict, a second one for who may look at the schema and the metrics")
@click.option(
    "--trust",
    is_flag=True,
    help="You know who made it: serve it even if it was not signed on this machine, or saved with joblib, which can run code.",
)
@store_option
def serve(
    model: str,
    version: int | None,
    batch: tuple[Path, Path] | None,
    port: int | None,
    host: str,
    token_file: Path | None,
    allow_host: tuple[str, ...],
    cert: Path | None,
    key: Path | None,
    trust: bool,
    store: str | None,
) -> None:
    """Answer with predictions at an address of this machine.

    MODEL is the name of a kept model, or a folder or .zip that `luthier models export` wrote. Prints the address, the token and a line
    for curl to try it with. POST /predict takes {"rows": [{...}]} or a CSV; GET /schema says what a row is, /healthz and /metrics how
    it goes. The model runs in a process of its own, which is started again if it dies.
    """
    from luthier.serving.source import find
    from luthier.store.url import home

    source = find(model, home(store), version, trust=trust)
    if batch is not None:
        from luthier.serving.batch import predict_file

        rows = predict_file(source, *batch)
        click.echo(
            f"Wrote {rows:,} predictions of {source.name}, version {source.version}, to {batch[1]}.", err=True
        )
        return
    try:
        from luthier.serving.door import Door
        from luthier.serving.serve import open_server, to_stderr
    except ImportError as error:
        raise missing(error, "Serving a model") from None

    door = Door(host, port, token_file, allow_host, cert, key)

    def began(opened: Any) -> None:
        click.echo(opened.address)
        if token_file is None:
            click.echo(f"token:  {opened.keys.owner}", err=True)
        click.echo(opened.curl, err=True)
        warn_of_plain_text(door)
        click.echo(f"{source.name}, version {source.version}, is served. Ctrl-C ends it.", err=True)

    with suppress(KeyboardInterrupt):  # which is how it ends
        opened = open_server(source, door, log=to_stderr)
        opened.listen()
        opened.run(began=began)
