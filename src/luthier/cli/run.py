"""`luthier run`: tune what a study file describes."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from luthier.cli.output import json_option, print_json, print_rows, store_option

if TYPE_CHECKING:
    from pathlib import Path

    from luthier.studyfile import StudyFile
    from luthier.summary import Standing


def _seconds(ctx: click.Context, param: click.Parameter, value: str | None) -> float | str | None:
    """A number, or "auto"."""
    if value is None or value == "auto":
        return value
    return click.FLOAT(value, param, ctx)


@click.command(epilog="Example:  luthier run study.toml --trials 80 --workers 4")
@click.argument("file", metavar="STUDY.toml")
@click.option("--trials", type=click.IntRange(1), help="How many trials in all, whatever the file says.")
@click.option(
    "--seconds", callback=_seconds, help="How long to work on the study in all; auto: while it pays."
)
@click.option("--deadline", help='When to be done: "18:00", or a date and a time.')
@click.option("--workers", type=click.IntRange(1), help="How many trials to run at once.")
@click.option("--name", help="Another name for the study.")
@click.option("--no-progress", is_flag=True, help="Print nothing but the result.")
@store_option
@json_option
@click.pass_context
def run(
    ctx: click.Context,
    file: str,
    trials: int | None,
    seconds: float | str | None,
    deadline: str | None,
    workers: int | None,
    name: str | None,
    no_progress: bool,
    store: str | None,
    as_json: bool,
) -> None:
    """Tune what STUDY.toml describes, and keep everything.

    Run again, it goes on where it stopped. Ctrl-C once stops in order, twice at once. The result goes to stdout, all
    else to stderr.
    """
    from luthier.api import tune
    from luthier.errors import LuthierError
    from luthier.studyfile import read
    from luthier.summary import standing, summarize, to_json

    study_file = read(
        file,
        {
            "trials": trials,
            "seconds": seconds,
            "deadline": deadline,
            "workers": workers,
            "name": name,
            "store": store,
        },
    )
    before = _before(study_file)
    objective, arguments = study_file.objective(), study_file.arguments()
    complete = before is not None and before.word == "complete"
    if not no_progress and not complete:
        print_rows(*_header(study_file, objective), err=True)
    if before is None:
        _keep(study_file)
    try:
        study = tune(objective, **arguments, progress=not no_progress)
    except LuthierError:
        if _before(study_file) is None:  # it was refused, and nothing is left of it
            _forget(study_file)
        raise
    try:
        if as_json:
            print_json(to_json(study))
        else:
            found = summarize(study, again=complete, store=study_file.store)
            if not no_progress and not complete:
                click.echo(err=True)
            print_rows(found.head, found.rows)
        where = standing(study.spec, study.history, study.row)
        ctx.exit(_code(where.word, study.history.best() is not None))
    finally:
        study.close()


def _keep(study: StudyFile) -> None:
    """Leave a copy of the study file among the files of a new study, so that the studio can go on with it."""
    from luthier.store.url import home
    from luthier.studyfile import absolute, keep, load

    if _copy(study) is None:
        return
    given = {**absolute(load(study.path), study.path.parent), "name": study.name, "workers": study.workers}
    with suppress(OSError):  # which is no reason not to run it
        keep(home(study.store), study.name, given)


def _forget(study: StudyFile) -> None:
    """Take the copy away again, and the folders that were made for it."""
    copy = _copy(study)
    if copy is None:
        return
    with suppress(OSError):
        copy.unlink(missing_ok=True)
        for folder in copy.parents[:3]:  # of the study, of all work, beside the store: those that are empty
            folder.rmdir()


def _copy(study: StudyFile) -> Path | None:
    """Where the copy is; None where it is what runs, since the studio has started it."""
    from luthier.store.url import home
    from luthier.studyfile import kept_path

    copy = kept_path(home(study.store), study.name)
    return None if copy.absolute() == study.path else copy


def _header(study: StudyFile, objective: Any) -> tuple[str, list[tuple[str, str]]]:
    """What is going to happen."""
    from luthier.objectives.command import Command
    from luthier.objectives.crossval import CrossValidation
    from luthier.store.url import home
    from luthier.study import Objective
    from luthier.summary import (
        asked,
        deepened,
        duration,
        moment,
        plural,
        prepared,
        shortened,
        until_in_words,
    )

    goals = [Objective(metric, "min", study.noisy) for metric in study.minimize]
    goals += [Objective(metric, "max", study.noisy) for metric in study.maximize]
    space, folds, whose = study.space, 0, ""
    rows: list[tuple[str, str]] = []
    about: dict[str, Any] = {"function": study.function}
    if isinstance(objective, Command):
        about = objective.about
    if isinstance(objective, CrossValidation):
        goals = goals or [replace(objective.default_objective(), noisy=study.noisy)]
        about, folds = objective.about, objective.folds
        in_front = objective.preparation
        rows = prepared(in_front.to_json()) or [("prepared", str(in_front))]
        if space is None:
            space, whose = objective.space(), ", recommended for this estimator"
    budget, names = study.budget, list(space or ())
    ends = (
        []
        if budget.trials is None
        else [plural(budget.trials, "trial") + (f" of {folds} fits" if folds else "")]
    )
    ends += [] if budget.seconds is None else [duration(budget.seconds)]
    ends += [] if budget.cost is None else [f"{budget.cost:g} {budget.currency} of trials"]
    ends += [] if budget.deadline is None else [f"until {moment(budget.deadline)}"]
    ends += until_in_words(budget)
    return f"Tuning {asked(about, goals)}", [
        *rows,
        (
            "space",
            f"{plural(len(names), 'parameter')}{whose}: {shortened(', '.join(names), 40 if whose else 70)}",
        ),
        *deepened(study.fidelity),
        ("budget", f"{' or '.join(ends) or 'none'} on {plural(study.workers, 'worker')}"),
        ("study", f"{study.name}, kept in {home(study.store)}; Ctrl-C stops it, the same command goes on"),
        ("", ""),
    ]


def _before(study: StudyFile) -> Standing | None:
    """Where the study stands already, measured by the budget of the file; None where there is no such study."""
    from luthier.errors import StudyNotFound
    from luthier.store.url import open_store
    from luthier.summary import line_of, standing

    try:
        store = open_store(study.store, readonly=True)
    except StudyNotFound:
        return None
    try:
        row, spec, history, _ = line_of(store, store.study(study.name))
    except StudyNotFound:
        return None
    finally:
        store.close()
    budget = spec.budget if study.budget.endless else study.budget
    return standing(replace(spec, budget=budget), history, row)


def _code(word: str, found: bool) -> int:
    from luthier.cli.main import INTERRUPTED, NOTHING, OK, UNFINISHED

    if word == "interrupted":
        return INTERRUPTED
    if word != "complete":
        return UNFINISHED
    return OK if found else NOTHING
