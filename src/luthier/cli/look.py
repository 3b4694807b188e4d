"""`luthier list`, `show` and `trials`: what there is, and what came out."""

from __future__ import annotations

import csv
from typing import Any

import click

from luthier.cli.output import json_option, out, print_json, print_rows, print_table, store_option


@click.command("list", epilog="Example:  luthier list --json")
@click.option("--archived", is_flag=True, help="List also studies that were put away.")
@store_option
@json_option
def list_studies(archived: bool, store: str | None, as_json: bool) -> None:
    """List every study: where it stands, its trials, its best."""
    from luthier.errors import StudyNotFound
    from luthier.store.url import open_store
    from luthier.study.remarks import Remarks
    from luthier.summary import line_cells, line_of, line_to_json

    try:
        opened = open_store(store, readonly=True)
    except StudyNotFound as error:
        if store is not None:
            raise
        if as_json:
            print_json([])
        else:
            click.echo(f"No studies yet: {error}", err=True)
        return
    try:
        rows = opened.studies()
        away = {row.name for row in rows if Remarks.of(opened.facts(row.name)).archived is not None}
        lines = [line_of(opened, row) for row in rows if archived or row.name not in away]
    finally:
        opened.close()
    if as_json:
        print_json([{**line_to_json(line), "archived": line[0].name in away} for line in lines])
        return
    if lines:
        print_table(
            ("name", "state", "trials", "best", "time", "began"),
            [line_cells(line) for line in lines],
            styled=1,
        )
    elif not away:
        click.echo("No studies yet. Make one: luthier run study.toml", err=True)
    if len(lines) < len(rows):
        click.echo(f"{len(away)} archived; see them too with: luthier list --archived", err=True)


@click.command(epilog="Examples:  luthier show svc      luthier show svc 33")
@click.argument("name")
@click.argument("trial", type=int, required=False)
@store_option
@json_option
def show(name: str, trial: int | None, store: str | None, as_json: bool) -> None:
    """Show a study, or one of its trials.

    Of a study: where it stands, the question, the best. Of a trial: what was tried, why, and what came of it.
    """
    from luthier.api import load
    from luthier.summary import describe, files_to_json, reports_to_json, seen_by, to_json, trial_to_json

    study = load(name, store)
    try:
        if trial is None:
            if as_json:
                print_json({**to_json(study), "top": [trial_to_json(t) for t in _top(study)]})
            else:
                found = describe(study, store=store)
                print_rows(found.head, found.rows)
            return
        shown = _trial(study, trial)
        seen = seen_by(study.store, study.name, shown, len(study.history))
        if as_json:
            more: dict[str, Any] = {
                "reports": reports_to_json(shown),
                "traceback": shown.traceback,
                "had_seen": seen,
            }
            more["files"] = files_to_json(study.files[trial])
            said = study.remarks
            more |= {"tags": sorted(said.tags.get(trial, ())), "note": said.notes.get(trial)}
            print_json({"study": name, **trial_to_json(shown), **more})
        else:
            _print_trial(study, shown, seen)
    finally:
        study.close()


def _top(study: Any) -> list[Any]:
    from luthier.summary import ranked

    return ranked(study.history, 5)


def _trial(study: Any, number: int) -> Any:
    from luthier.summary import trial_of

    return trial_of(study, number)


def _print_trial(study: Any, trial: Any, seen: int) -> None:
    from luthier.files import folder_of
    from luthier.summary import describe_trial, program, remarked

    found = describe_trial(study.spec, trial, seen, study.files[trial.number])
    log = folder_of(study.home, "work", study.name) / str(trial.number) / str(trial.attempt) / "output.log"
    printed = [("log", f"{program()} logs {study.name} {trial.number}")] if log.is_file() else []
    print_rows(found.head, [*found.rows, *remarked(study.remarks, trial.number), *printed])
    if trial.traceback:
        out().print()
        out().print(trial.traceback.rstrip(), markup=False)


@click.command(epilog="Examples:  luthier compare svc 12 3      luthier compare svc 12 3 --margin 0.005")
@click.argument("name")
@click.argument("a", type=int)
@click.argument("b", type=int)
@click.option(
    "--margin",
    type=float,
    metavar="M",
    help="A difference of the metric that does not matter. [default: a tenth of the scores' standard error]",
)
@store_option
@json_option
def compare(name: str, a: int, b: int, margin: float | None, store: str | None, as_json: bool) -> None:
    """Say which of two trials is better, and whether that is more than noise.

    A and B are compared fold by fold. As JSON: the difference (positive where A is better), its standard error, t, p, the 95%
    interval, the margin, and the probabilities that A is better by more than the margin, neither is, and B is.
    """
    from dataclasses import asdict

    from luthier.api import load
    from luthier.summary import comparison_rows, plain

    study = load(name, store)
    try:
        found = study.compare(a, b, margin)
        if as_json:
            print_json(
                plain({"study": name, **asdict(found), "winner": found.winner, "sentence": str(found)})
            )
        else:
            print_rows(f"{name}   {found}", comparison_rows(study.history, found))
    finally:
        study.close()


@click.command(epilog="Examples:  luthier result svc      luthier result svc --select 1se --complexity C")
@click.argument("name")
@click.option(
    "--select",
    type=click.Choice(["best", "1se", "posterior"]),
    default="best",
    show_default=True,
    help="The best score; the simplest not worse by more than noise; the best of scores and a model.",
)
@click.option(
    "--complexity", metavar="P", help="For 1se: the parameter that makes it more complex; -P: less."
)
@click.option(
    "--no-guard", is_flag=True, help="Give the defaults up even where they are not beaten by more than noise."
)
@store_option
@json_option
def result(
    name: str, select: Any, complexity: str | None, no_guard: bool, store: str | None, as_json: bool
) -> None:
    """Say which trial to take, and which score it will really have.

    The best of many trials was lucky too. By how much is found by choosing again on resampled rows, from the predictions that
    were kept for the rows left out.
    """
    from luthier.api import load
    from luthier.summary import plain, result_rows, result_to_json

    study = load(name, store)
    try:
        found = study.result(select, complexity=complexity, guard=not no_guard)
        if as_json:
            print_json(plain({"study": name, **result_to_json(found)}))
        else:
            print_rows(f"{name}   {found}", result_rows(study.history, found))
    finally:
        study.close()


@click.command(epilog="Examples:  luthier schedule net      luthier schedule net 97 --json > winner.json")
@click.argument("name")
@click.argument("trial", type=int, required=False)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, a column for every parameter.")
@store_option
@json_option
def schedule(name: str, trial: int | None, as_csv: bool, store: str | None, as_json: bool) -> None:
    """Show with which parameters a training was led, from step to step.

    It is the training that ended in TRIAL, by default the best. As JSON: a list of objects with from, to, params and trial, which
    the algorithm "replay" takes as its option schedule.
    """
    from luthier.analysis.table import csv_rows
    from luthier.api import load
    from luthier.errors import InvalidStudy
    from luthier.summary import plain

    if as_csv and as_json:
        raise InvalidStudy("--csv and --json are both given. Choose one.")
    study = load(name, store)
    try:
        found = study.schedule(trial)
    finally:
        study.close()
    if as_json:
        print_json(plain(found.to_json()))
    elif as_csv:
        click.echo(csv_rows(csv.reader(found.to_csv().splitlines())), nl=False)
    else:
        head, *lines = csv.reader(found.to_csv().splitlines())
        print_table(head, [[_cut(cell) for cell in line] for line in lines])


def _cut(cell: str) -> str:
    """A number in a table: four digits."""
    try:
        return f"{float(cell):.4g}"
    except ValueError:
        return cell


@click.command(epilog="Example:  luthier replay svc 33")
@click.argument("name")
@click.argument("trial", type=int)
@store_option
@json_option
@click.pass_context
def replay(ctx: click.Context, name: str, trial: int, store: str | None, as_json: bool) -> None:
    """Make the decision that led to a trial once more.

    Says what is proposed from what was known at that time, and exits with 1 if that is not what is recorded: because
    trials were added by hand, or another version of the algorithm is installed.
    """
    from luthier.api import load
    from luthier.summary import plain, settings

    study = load(name, store)
    try:
        recorded = _trial(study, trial)
        proposal = study.replay(trial)
    finally:
        study.close()
    params = None if proposal is None else dict(proposal.params)
    same = proposal is not None and (proposal.params, proposal.tag) == (recorded.params, recorded.tag)
    if as_json:
        print_json(plain({"same": same, "recorded": dict(recorded.params), "proposed": params}))
    else:
        told = "the same proposal as is recorded" if same else "another proposal than is recorded"
        lines = [
            ("recorded", settings(recorded.params)),
            ("proposed", settings(params) if params else "nothing"),
        ]
        print_rows(f"{name} #{trial}   {told}", lines[1:] if same else lines)
    ctx.exit(0 if same else 1)


@click.command(
    epilog="Examples:  luthier trials svc      luthier trials svc --csv > trials.csv      "
    "luthier trials svc --filter 'score>0.9 kernel:rbf'"
)
@click.argument("name")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, a column for every parameter and metric.")
@click.option(
    "--filter",
    "text",
    default="",
    help="Only those that fit, as in the studio: score>0.8 lr:1e-4..1e-2 kernel:rbf,poly state:completed tag:keep.",
)
@store_option
@json_option
def trials(name: str, as_csv: bool, text: str, store: str | None, as_json: bool) -> None:
    """List the trials of a study, in order.

    As JSON: a list of objects with number, state, fidelity, parent, params, metrics, reason, created, started, ended (UTC) and seconds.
    """
    from luthier.analysis.table import Names, csv_text, rows
    from luthier.api import load
    from luthier.errors import InvalidStudy
    from luthier.summary import plain, trial_cells, trial_columns

    if as_csv and as_json:
        raise InvalidStudy("--csv and --json are both given. Choose one.")
    study = load(name, store)
    try:
        found = study.where(text)
    finally:
        study.close()
    if as_json:
        print_json(plain(rows(found)))
    elif as_csv:
        names = Names.of(found, first=study.spec.problem.space)
        for piece in csv_text([found], names):
            click.echo(piece, nl=False)
    else:
        print_table(trial_columns(study.spec), [trial_cells(study.spec, trial) for trial in found], styled=1)
