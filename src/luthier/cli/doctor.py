"""`luthier doctor`: look a study over before it is run."""

from __future__ import annotations

import click

from luthier.cli.output import json_option, print_json, print_rows, store_option


@click.command(epilog="Example:  luthier doctor study.toml --try")
@click.argument("file", metavar="STUDY.toml")
@click.option(
    "--try",
    "attempt",
    is_flag=True,
    help="Call a function, or run a command, once, too, to see what it returns and how long it takes.",
)
@click.option("--no-fit", is_flag=True, help="Do not fit the estimator on one fold to estimate the time.")
@store_option
@json_option
@click.pass_context
def doctor(
    ctx: click.Context, file: str, attempt: bool, no_fit: bool, store: str | None, as_json: bool
) -> None:
    """Look a study over before it is run.

    Says what would go wrong, how many trials and fits the study means, and about how long it would take.

    Exits with 2 where something is wrong.
    """
    from luthier.cli.main import OK, USAGE
    from luthier.errors import LuthierError
    from luthier.preflight import Finding, examine
    from luthier.studyfile import read

    study = read(file, {"store": store})
    try:
        findings = examine(
            study.objective(),
            study.space,
            metrics=study.minimize + study.maximize,
            fidelity=study.fidelity,
            budget=study.budget,
            workers=study.workers,
            trial_memory=study.trial_memory,
            name=study.name,
            store=study.store,
            fit=not no_fit,
            call=attempt,
        )
    except LuthierError as error:  # there is no objective to look at
        findings = [Finding("error", str(error))]
    wrong = sum(finding.level == "error" for finding in findings)
    if as_json:
        print_json([{"level": finding.level, "text": finding.text} for finding in findings])
    else:
        verdict = f"{wrong} of {len(findings)} checks failed" if wrong else f"Ready: luthier run {file}"
        print_rows(verdict, [(finding.level, finding.text) for finding in findings])
    ctx.exit(USAGE if wrong else OK)
