"""`luthier models`: the models that studies have saved, and predictions with them."""

from __future__ import annotations

import csv
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from luthier.cli.output import json_option, out, print_json, print_table, store_option


@click.group(epilog="Example:  luthier models predict svc new.csv -o predictions.csv")
def models() -> None:
    """List, show and use saved models."""


@models.command("list", epilog="Example:  luthier models list")
@store_option
@json_option
def list_(store: str | None, as_json: bool) -> None:
    """List every version of every model."""
    from luthier.models import list_models
    from luthier.store.url import home
    from luthier.summary import plain

    found = list_models(home(store))
    if as_json:
        print_json(
            [
                {
                    "name": m.name,
                    "version": m.version,
                    "path": str(m.path),
                    "problem": m.problem,
                    "manifest": plain(m.manifest),
                }
                for m in found
            ]
        )
    elif not found:
        click.echo("No models yet: `luthier run` saves one when a study of an estimator ends.", err=True)
    else:
        head = ("name", "version", "estimator", "score", "study", "created")
        print_table(head, [_cells(m) for m in found])


def _cells(model: Any) -> tuple[str, ...]:
    about = model.manifest
    if model.problem:
        return (model.name, str(model.version), model.problem, "", "", "")
    trial = f"{about.get('study', '')} #{about['trial']}" if about.get("trial") is not None else ""
    made = str(about.get("created", ""))[:16].replace("T", " ")
    return (model.name, str(model.version), str(about.get("estimator", "")), _score(about), trial, made)


def _score(about: Any) -> str:
    """The score that the study optimised."""
    from luthier.analysis.table import number

    for objective in about.get("objective") or []:
        found = (about.get("scores") or {}).get(objective.get("metric"))
        if found and isinstance(found.get("mean"), int | float):
            return f"{objective['metric']} {number(found['mean'], found.get('se'))}"
    return ""


@models.command(epilog="Example:  luthier models show svc --version 1")
@click.argument("name")
@click.option("--version", type=int, help="Which one. [default: the latest]")
@store_option
@json_option
def show(name: str, version: int | None, store: str | None, as_json: bool) -> None:
    """Show the card of a model: what it is, where it comes from, what it reads."""
    from luthier.models import show_model
    from luthier.store.url import home
    from luthier.summary import plain

    model = show_model(home(store), name, version)
    if as_json:
        print_json(
            {
                "name": model.name,
                "version": model.version,
                "path": str(model.path),
                "manifest": plain(model.manifest),
            }
        )
        return
    card = (model.path / "CARD.md").read_text(encoding="utf-8")
    console = out()
    if console.is_terminal:
        from rich.markdown import Markdown

        console.print(Markdown(card), soft_wrap=False)
    else:
        click.echo(card)
    click.echo(f"{model.path}", err=True)


@models.command(epilog="Example:  luthier models predict svc new.csv -o predictions.csv")
@click.argument("name")
@click.argument("data", metavar="DATA.csv")
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Write there instead of to stdout.")
@click.option("--version", type=int, help="Which one. [default: the latest]")
@click.option(
    "--trust", is_flag=True, help="Load a model saved with joblib, which can run code. Only if you made it."
)
@store_option
@json_option
def predict(
    name: str,
    data: str,
    output: str | None,
    version: int | None,
    trust: bool,
    store: str | None,
    as_json: bool,
) -> None:
    """Predict every row of a CSV or Parquet file.

    Columns are found by name. Out comes CSV: the prediction, and the probability of each class where the model knows it.
    """
    from luthier.errors import DataError
    from luthier.models import predict as predictions_of
    from luthier.store.url import home
    from luthier.summary import plain

    found = predictions_of(home(store), name, data, version, trust=trust)
    if found.ignored:
        click.echo(f"luthier: not read by the model: {', '.join(found.ignored)}", err=True)
    values = found.values.tolist()
    chances = None if found.probabilities is None or found.classes is None else found.probabilities.tolist()
    columns = ["prediction"] + ([f"probability_{label}" for label in found.classes or ()] if chances else [])
    rows = [[value, *(chances[i] if chances else ())] for i, value in enumerate(values)]
    try:
        with (
            nullcontext(sys.stdout)
            if output is None
            else Path(output).open("w", newline="", encoding="utf-8") as file
        ):
            if as_json:
                import json

                listed = [dict(zip(columns, row, strict=True)) for row in rows]
                file.write(json.dumps(plain(listed), ensure_ascii=False) + "\n")
            else:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(columns)
                writer.writerows(rows)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise DataError(
            f"{output!r} cannot be written: {error.strerror}. Choose another place with -o."
        ) from None
    if output is not None:
        click.echo(
            f"Wrote {len(rows)} predictions of {found.model}, version {found.version}, to {output}.", err=True
        )
