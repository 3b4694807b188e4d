"""`luthier stop` and `delete`: what a person may ask of a study."""

from __future__ import annotations

import shutil
import sys

import click

from luthier.cli.output import store_option


@click.command(epilog='Examples:  luthier stop svc      luthier stop svc 33 --reason "too slow"')
@click.argument("name")
@click.argument("trial", type=int, required=False)
@click.option("--reason", default="asked to", help="Why; it is kept with the study.")
@store_option
def stop(name: str, trial: int | None, reason: str, store: str | None) -> None:
    """Ask a study, or one of its trials, to end.

    Whoever works on it sees this within a second. A study that was stopped goes on when it is run again.
    """
    from luthier.api import load
    from luthier.errors import InvalidStudy
    from luthier.summary import standing

    study = load(name, store, readonly=False)
    try:
        where = standing(study.spec, study.history, study.row)
        if trial is None:
            if where.word != "running":
                click.echo(
                    f"Nobody is working on study {name!r} ({where.word}); there is nothing to stop.", err=True
                )
                return
            study.stop(reason=reason)
            click.echo(f"Asked study {name!r} to stop; it ends within a second or two.", err=True)
            return
        if not 0 <= trial < len(study.history):
            raise InvalidStudy(f"study {name!r} has no trial {trial}; it has {len(study.history)}.")
        state = study.history[trial].state
        if state.ended:
            click.echo(f"Trial {trial} of {name!r} has {state} already; there is nothing to stop.", err=True)
            return
        study.stop(trial, reason)
        click.echo(f"Asked trial {trial} of study {name!r} to stop.", err=True)
    finally:
        study.close()


@click.command(epilog="Example:  luthier delete svc --yes")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--models", is_flag=True, help="Delete the models that it saved, too.")
@store_option
def delete(name: str, yes: bool, models: bool, store: str | None) -> None:
    """Delete a study and its trials for ever. Its saved models stay, unless --models is given."""
    from luthier.errors import InvalidStudy
    from luthier.models import delete_model
    from luthier.store.url import home, open_store
    from luthier.summary import ALIVE_SECONDS, is_at_work, plural

    opened = open_store(store)
    try:
        row = opened.study(name)
        if is_at_work(row):
            raise InvalidStudy(
                f"somebody is working on study {name!r}. Stop it first with `luthier stop {name}`; where its process was "
                f"killed, wait {ALIVE_SECONDS:g} seconds."
            )
        folder = home(store) / "models" / name
        kept = sum(1 for path in folder.glob("[0-9]*")) if folder.is_dir() else 0
        if not yes:
            _ask(name, sum(row.counts.values()), kept if models else 0)
        opened.delete(name)
        for part in ("work", "predictions"):
            shutil.rmtree(home(store) / part / name, ignore_errors=True)
        said = f"Deleted study {name!r} and its {plural(sum(row.counts.values()), 'trial')}."
        if models and kept:
            delete_model(home(store), name)
            said += f" Deleted {plural(kept, 'version')} of its model."
        elif kept:
            said += f" Its model stays in {folder} ({plural(kept, 'version')})."
        click.echo(said, err=True)
    finally:
        opened.close()


def _ask(name: str, trials: int, models: int) -> None:
    """Go on only if a person says yes."""
    from luthier.errors import InvalidStudy
    from luthier.summary import plural

    if not sys.stdin.isatty():
        raise InvalidStudy(
            f"deleting {name!r} is for ever, and there is nobody to ask. Say --yes if it is meant."
        )
    more = f" and {plural(models, 'version')} of its model" if models else ""
    if not click.confirm(f"Delete study {name!r} with {plural(trials, 'trial')}{more}?", err=True):
        raise InvalidStudy("nothing was deleted.")
