"""`luthier models`: the models that studies have saved: which is in use, how good it is, predictions with it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from luthier.cli.output import json_option, out, print_json, print_table, store_option

version_option = click.option("--version", type=int, help="Which one. [default: the champion]")
trust_option = click.option(
    "--trust",
    is_flag=True,
    help="You know who made it: load it even if it was not signed on this machine, or saved with joblib, which can run code.",
)
target_option = click.option(
    "--target", help="The column to predict. [default: the one that the model was fitted to]"
)


@click.group(epilog="Example:  luthier models predict svc new.csv -o predictions.csv")
def models() -> None:
    """List, show, test, promote, export and use saved models."""


@models.command("list", epilog="Example:  luthier models list")
@store_option
@json_option
def list_(store: str | None, as_json: bool) -> None:
    """List every version of every model; * marks the champion of each, the one that is used."""
    from luthier.models import history_of, list_models
    from luthier.store.url import home

    found = list_models(home(store))
    events = {name: history_of(home(store), name) for name in {model.name for model in found}}
    if as_json:
        print_json([_as_json(model, events[model.name]) for model in found])
    elif not found:
        click.echo("No models yet: `luthier run` saves one when a study of an estimator ends.", err=True)
    else:
        head = ("name", "version", "estimator", "score", "test", "study", "created")
        print_table(head, [_cells(model, events[model.name]) for model in found])


def _as_json(model: Any, events: Iterable[Any]) -> dict[str, Any]:
    from luthier.summary import plain

    return {
        "name": model.name,
        "version": model.version,
        "champion": model.champion,
        "signed": model.signed,
        "path": str(model.path),
        "problem": model.problem,
        "manifest": plain(model.manifest),
        "events": [
            {"what": event.what, "at": event.at, **plain(event.about)}
            for event in events
            if event.version == model.version
        ],
    }


def _cells(model: Any, events: Iterable[Any]) -> tuple[str, ...]:
    from luthier.models.told import written_score

    about = model.manifest
    number = f"{model.version}{' *' if model.champion else ''}"
    if model.problem:
        return (model.name, number, model.problem, "", "", "", "")
    trial = f"{about.get('study', '')} #{about['trial']}" if about.get("trial") is not None else ""
    made = str(about.get("created", ""))[:16].replace("T", " ")
    estimator = str(about.get("estimator", ""))
    return (model.name, number, estimator, written_score(about), _tested(model, events), trial, made)


def _tested(model: Any, events: Iterable[Any]) -> str:
    from luthier.models.told import latest_test

    return str(latest_test(model, list(events)) or "")


@models.command(epilog="Example:  luthier models save svc 12")
@click.argument("study")
@click.argument("number", metavar="TRIAL", type=int)
@click.option(
    "--file",
    metavar="STUDY.toml",
    type=click.Path(),
    help="The study file. [default: the copy that `luthier run` left beside the store]",
)
@store_option
@json_option
def save(study: str, number: int, file: str | None, store: str | None, as_json: bool) -> None:
    """Refit a trial on all rows and save it as a version of the model, beside those that the study kept.

    The version in use stays; `luthier models promote` decides about that.
    """
    from luthier.api import load
    from luthier.errors import InvalidStudy
    from luthier.objectives.crossval import CrossValidation
    from luthier.store.url import home
    from luthier.studyfile import from_given, kept, kept_path, read

    opened = load(study, store, readonly=False)
    try:
        given = kept(home(store), study) if file is None else None
        if file is None and given is None:
            raise InvalidStudy(
                f"there is no copy of the file of study {study!r}, so its estimator and data are not known here. Give it: --file STUDY.toml"
            )
        asked = read(file) if file is not None else from_given(given or {}, kept_path(home(store), study))
        objective = asked.objective()
        if not isinstance(objective, CrossValidation):
            raise InvalidStudy(f"study {study!r} tunes no estimator, so there is no model to save.")
        model = opened.save_model(objective, number)
    finally:
        opened.close()
    if as_json:
        print_json({"name": model.name, "version": model.version, "path": str(model.path)})
    else:
        click.echo(f"#{number} of {study} is version {model.version}: {model.path}", err=True)


@models.command(epilog="Example:  luthier models show svc --version 1")
@click.argument("name")
@version_option
@store_option
@json_option
def show(name: str, version: int | None, store: str | None, as_json: bool) -> None:
    """Show the card of a model: what it is, where it comes from, what it reads; and what happened to it since."""
    from luthier.models import history_of, show_model
    from luthier.models.notes import card_of
    from luthier.models.told import told
    from luthier.store.url import home

    model = show_model(home(store), name, version)
    events = history_of(home(store), name)
    if as_json:
        print_json(_as_json(model, events))
        return
    card = card_of(model, events)
    since = [
        f"- {event.at[:16].replace('T', ' ')}: {told(event)}"
        for event in events
        if event.version == model.version
    ]
    card += "\n".join(["", "## Since", "", f"- In use: {'yes' if model.champion else 'no'}", *since, ""])
    console = out()
    if console.is_terminal:
        from rich.markdown import Markdown

        console.print(Markdown(card), soft_wrap=False)
    else:
        click.echo(card)
    if not model.signed:
        click.echo("luthier: not signed on this machine; it is loaded in a process of its own.", err=True)
    click.echo(f"{model.path}", err=True)


@models.command(epilog="Example:  luthier models test svc test.csv --scoring accuracy --scoring log_loss")
@click.argument("name")
@click.argument("data", metavar="[DATA.csv]", required=False)
@version_option
@target_option
@click.option("--scoring", multiple=True, help="A score; may be repeated. [default: those of its study]")
@trust_option
@store_option
@json_option
def test(
    name: str,
    data: str | None,
    version: int | None,
    target: str | None,
    scoring: tuple[str, ...],
    trust: bool,
    store: str | None,
    as_json: bool,
) -> None:
    """Score a model on rows that its search never saw. Every look is counted.

    DATA.csv is a CSV or Parquet file with the target in it, or the name of a bundled data set; without it, it is the rows that
    the study held back.
    """
    from luthier.models import score_model
    from luthier.store.url import home
    from luthier.summary import plain, plural

    look = score_model(home(store), name, data, target, version=version, scoring=scoring, trust=trust)
    if as_json:
        print_json(
            {
                "model": look.model,
                "version": look.version,
                "data": look.data,
                "rows": look.rows,
                "looks": look.looks,
                "scores": plain(
                    {
                        metric: {"value": value, "low": low, "high": high}
                        for metric, (value, low, high) in look.scores.items()
                    }
                ),
            }
        )
        return
    head = ("score", "value", "95% interval")
    rows = [
        (metric, f"{value:.5g}", f"{low:.5g} to {high:.5g}")
        for metric, (value, low, high) in look.scores.items()
    ]
    print_table(head, rows)
    said = f"{look.model}, version {look.version}, on the {plural(look.rows, 'row')} of {look.data}: "
    if look.looks == 1:
        said += "the first look at these rows."
    else:
        said += f"look {look.looks} at these rows; what was chosen by an earlier look flatters itself here."
    click.echo(said, err=True)


@models.command(
    epilog="Examples:  luthier models promote svc --version 3      luthier models promote svc --version 3 --data test.csv"
)
@click.argument("name")
@click.option("--version", type=int, help="Which one. [default: the latest]")
@click.option(
    "--data",
    metavar="DATA.csv",
    help="Decide by these rows, which neither was made from; a look is counted for both.",
)
@target_option
@click.option("--scoring", help="The score that decides on --data. [default: the one of its study]")
@click.option("--force", is_flag=True, help="Promote it whatever the numbers say.")
@trust_option
@store_option
@json_option
@click.pass_context
def promote(
    ctx: click.Context,
    name: str,
    version: int | None,
    data: str | None,
    target: str | None,
    scoring: str | None,
    force: bool,
    trust: bool,
    store: str | None,
    as_json: bool,
) -> None:
    """Make a version the champion, the one that is used, if it is better than the present one.

    It is when it is better with a probability of 95%: by the folds of the cross-validation, where both were scored on the same
    ones, or by --data. Ends with code 1 where it is not.
    """
    from luthier.models import promote as promoted
    from luthier.models import versions_of
    from luthier.store.url import home
    from luthier.summary import plain

    where = home(store)
    version = versions_of(where, name)[-1].version if version is None else version
    verdict = promoted(where, name, version, data, target, metric=scoring, force=force, trust=trust)
    if as_json:
        print_json(
            {
                "model": name,
                "version": version,
                "champion": version if verdict.promoted else verdict.champion,
                "promoted": verdict.promoted,
                "why": verdict.why,
                "numbers": plain(verdict.numbers),
            }
        )
    else:
        click.echo(f"{verdict.why[0].upper()}{verdict.why[1:]}", err=not verdict.promoted)
    if not verdict.promoted:
        ctx.exit(1)


@models.command(epilog="Example:  luthier models rollback svc")
@click.argument("name")
@store_option
@json_option
def rollback(name: str, store: str | None, as_json: bool) -> None:
    """Go back to the champion before the present one."""
    from luthier.models import rollback as rolled_back
    from luthier.models import show_model
    from luthier.store.url import home

    before = show_model(home(store), name).version
    version = rolled_back(home(store), name)
    if as_json:
        print_json({"model": name, "champion": version, "rolled_back": before})
    else:
        click.echo(
            f"Version {version} of model {name!r} is in use again, instead of version {before}.", err=True
        )


@models.command(epilog="Example:  luthier models delete svc --version 2")
@click.argument("name")
@click.option("--version", type=int, help="Which one.")
@click.option("--all", "every", is_flag=True, help="All versions.")
@click.option("--force", is_flag=True, help="The champion, too.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@store_option
@json_option
def delete(
    name: str, version: int | None, every: bool, force: bool, yes: bool, store: str | None, as_json: bool
) -> None:
    """Delete a version for ever, or all of them. Its number is not used again."""
    from luthier.errors import ModelError
    from luthier.models import delete_model, versions_of
    from luthier.store.url import home
    from luthier.summary import plural

    where = home(store)
    there = versions_of(where, name)
    if (version is None) == (not every):
        raise ModelError(f"say which version of model {name!r} to delete with --version, or --all.")
    if not yes:
        what = plural(len(there), "version") if every else f"version {version}"
        if not sys.stdin.isatty():
            raise ModelError(
                f"deleting {what} of {name!r} is for ever, and there is nobody to ask. Say --yes if it is meant."
            )
        if not click.confirm(f"Delete {what} of model {name!r}?", err=True):
            raise ModelError("nothing was deleted.")
    deleted = delete_model(where, name, version, force=force)
    left = versions_of(where, name) if len(deleted) < len(there) else []
    champion = next((model.version for model in left if model.champion), None)
    if as_json:
        print_json({"model": name, "deleted": deleted, "champion": champion})
        return
    said = f"Deleted {plural(len(deleted), 'version')} of model {name!r}."
    if left:
        said += f" Version {champion} is in use." if champion else " None is in use now; promote one."
    click.echo(said, err=True)


@models.command(
    epilog="Examples:  luthier models export svc svc.zip      luthier models export svc folder --onnx train.csv"
)
@click.argument("name")
@click.argument("to", metavar="FOLDER|FILE.zip", type=click.Path())
@version_option
@click.option(
    "--onnx",
    metavar="DATA.csv",
    help="Add model.onnx, if it says the same as the model about every row of this table.",
)
@trust_option
@store_option
@json_option
def export(
    name: str,
    to: str,
    version: int | None,
    onnx: str | None,
    trust: bool,
    store: str | None,
    as_json: bool,
) -> None:
    """Write a folder that runs elsewhere, without Luthier: python predict.py in.csv out.csv

    It holds the model, its card, hashes and signature, pinned requirements and a Dockerfile.
    """
    from luthier.models import export_model, show_model
    from luthier.store.url import home

    model = show_model(home(store), name, version)
    path = export_model(home(store), name, to, model.version, onnx=onnx, trust=trust)
    if as_json:
        print_json({"model": name, "version": model.version, "path": str(path)})
    else:
        click.echo(f"Exported {name}, version {model.version}, to {path}.", err=True)


@models.command(epilog="Example:  luthier models predict svc new.csv -o predictions.csv")
@click.argument("name")
@click.argument("data", metavar="DATA.csv")
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Write there instead of to stdout.")
@version_option
@trust_option
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
    from luthier.analysis.table import csv_rows
    from luthier.errors import DataError
    from luthier.models import predict as predictions_of
    from luthier.store.url import home
    from luthier.summary import plain

    found = predictions_of(home(store), name, data, version, trust=trust)
    if found.ignored:
        click.echo(f"luthier: not read by the model: {', '.join(found.ignored)}", err=True)
    columns, rows = found.table()
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
                file.write(csv_rows([columns, *rows]))
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
