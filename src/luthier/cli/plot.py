"""`luthier importance`, `plot` and `report`: what mattered, pictures of it, and all of it in one file."""

from __future__ import annotations

from pathlib import Path

import click

from luthier.cli.output import json_option, out, print_json, print_table, store_option

BAR = 30


@click.command(epilog="Example:  luthier importance svc")
@click.argument("name")
@store_option
@json_option
def importance(name: str, store: str | None, as_json: bool) -> None:
    """Say which parameters mattered.

    For each the share of the objective's variance over the whole space that it explains by itself, and the standard
    error of that. What is missing to 100% are effects that parameters have only together.

    As JSON: a list of objects with parameter, share and error, from 0 to 1.
    """
    from dataclasses import asdict

    from luthier.api import load

    study = load(name, store)
    try:
        found = study.importance()
    finally:
        study.close()
    if as_json:
        print_json([asdict(item) for item in found])
        return
    rest = max(0.0, 1 - sum(item.share for item in found))
    lines = [
        (item.parameter, f"{item.share:4.0%} ± {item.error:.0%}", "█" * round(BAR * item.share))
        for item in found
    ]
    print_table(
        ("parameter", "share", ""), [*lines, ("(only together)", f"{rest:4.0%}", "░" * round(BAR * rest))]
    )


@click.command(
    epilog="Examples:  luthier plot svc history -o svc.html      luthier plot svc contour -o svc.png --params C,gamma"
)
@click.argument("name")
@click.argument("kind")
@click.option(
    "-o", "--output", "path", required=True, metavar="FILE", type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write, and by its suffix in what form: .html, .svg or .png.",
)  # fmt: skip
@click.option("--params", metavar="A,B", help="The parameters of a slice (any number) or a contour (two).")
@store_option
def plot(name: str, kind: str, path: Path, params: str | None, store: str | None) -> None:
    """Draw a study into a file.

    KIND is history, parallel, slice, contour, importance, timeline or distribution. Slices and contours choose the
    parameters that matter most unless --params names them.
    """
    from luthier.api import load

    study = load(name, store)
    try:
        names = [part.strip() for part in (params or "").split(",") if part.strip()]
        study.plot.save(kind, path, *names)
    finally:
        study.close()
    out(err=True).print(f"wrote {path}")


@click.command(epilog="Example:  luthier report svc -o svc.html")
@click.argument("name")
@click.option(
    "-o", "--output", "path", required=True, metavar="FILE", type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write, .html.",
)  # fmt: skip
@store_option
def report(name: str, path: Path, store: str | None) -> None:
    """Write a study as one HTML file that opens without a network: words, charts, the best trials, failures, how to do it again."""
    from luthier.api import load
    from luthier.onepage import save_report

    study = load(name, store)
    try:
        save_report(study, path, store=store)
    finally:
        study.close()
    out(err=True).print(f"wrote {path}")
