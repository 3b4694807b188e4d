"""`luthier stop`, `delete`, `archive`, `note` and `tag`: what a person may ask of a study, and say about it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from luthier.cli.output import store_option

if TYPE_CHECKING:
    from luthier.api import Study


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
    from luthier.api import check_idle, delete_study, versions_of
    from luthier.store.url import open_store

    opened = open_store(store, readonly=True)
    try:
        row = opened.study(name)
    finally:
        opened.close()
    check_idle(row)
    if not yes:
        _ask(name, sum(row.counts.values()), versions_of(name, store) if models else 0)
    click.echo(delete_study(name, store, models=models), err=True)


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


@click.command(epilog="Examples:  luthier archive svc      luthier archive svc --undo")
@click.argument("name")
@click.option("--undo", is_flag=True, help="Take it back.")
@store_option
def archive(name: str, undo: bool, store: str | None) -> None:
    """Put a study away: lists leave it out, nothing of it is lost."""
    study = _open(name, store)
    try:
        study.archive(undo)
    finally:
        study.close()
    click.echo(
        f"Study {name!r} is back in the list."
        if undo
        else f"Put study {name!r} away. See it with: luthier list --archived",
        err=True,
    )


@click.command(epilog='Examples:  luthier note svc "scaled inputs"      luthier note svc 33 "overfits"')
@click.argument("name")
@click.argument("words", nargs=-1, required=True, metavar="[TRIAL] TEXT")
@store_option
def note(name: str, words: tuple[str, ...], store: str | None) -> None:
    """Keep a note with a study, or with one of its trials, in place of the one before; an empty TEXT takes it away."""
    *rest, text = words
    if len(rest) > 1 or not all(word.isdecimal() for word in rest):
        raise click.UsageError(
            f"the note has {len(words)} parts. Give it as one, in quotes, after the study and, if it is about one, the trial's number."
        )
    trial = int(rest[0]) if rest else None
    study = _open(name, store)
    try:
        study.note(text, trial)
    finally:
        study.close()
    what = f"study {name!r}" if trial is None else f"trial {trial} of study {name!r}"
    click.echo(f"{'Noted on' if text.strip() else 'Took the note away from'} {what}.", err=True)


@click.command(
    epilog="Examples:  luthier tag svc 33 +keep      luthier tag svc 33 +keep -bad      luthier tag svc 33",
    context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]},  # -h may begin a tag
)
@click.argument("name")
@click.argument("trial", type=int)
@click.argument("changes", nargs=-1, metavar="[+TAG|-TAG]...")
@store_option
def tag(name: str, trial: int, changes: tuple[str, ...], store: str | None) -> None:
    """Put tags on a trial with +TAG, take them off with -TAG; without either print those it has."""
    for change in changes:
        if change[0] not in "+-":
            raise click.UsageError(f"{change!r} is neither +TAG nor -TAG. Say +{change} to put it on.")
    study = _open(name, store)
    try:
        on = [change[1:] for change in changes if change[0] == "+"]
        study.tag(trial, *on, off=[change[1:] for change in changes if change[0] == "-"])
        tags = study.remarks.tags.get(trial, frozenset())
    finally:
        study.close()
    click.echo(" ".join(sorted(tags)))


def _open(name: str, store: str | None) -> Study:
    from luthier.api import load

    return load(name, store, readonly=False)
