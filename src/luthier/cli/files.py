"""`luthier files`: what is kept of trials, and where."""

from __future__ import annotations

import click

from luthier.cli.output import json_option, print_json, print_rows, print_table, store_option
from luthier.files import TrialFiles, meter, size


@click.command(epilog="Examples:  luthier files svc      luthier files svc 33")
@click.argument("name")
@click.argument("trial", type=int, required=False)
@store_option
@json_option
def files(name: str, trial: int | None, store: str | None, as_json: bool) -> None:
    """List the checkpoints and artifacts of a study, or of one of its trials.

    As JSON: what is used and the quota, in bytes, and an object for each trial with its checkpoints (attempt, step, path; the last
    one last) and artifacts (path by name).
    """
    from luthier.api import load
    from luthier.summary import files_rows, files_to_json, trial_of

    study = load(name, store)
    try:
        kept, quota = study.files, study.files.settings.quota
        found = list(kept) if trial is None else [kept[trial_of(study, trial).number]]
    finally:
        study.close()
    used = sum(of_trial.bytes for of_trial in found)
    if as_json:
        print_json({"study": name, "used": used, "quota": quota, "trials": [files_to_json(f) for f in found]})
    elif trial is not None:
        print_rows(f"{name} #{trial}   {size(used) if used else 'no files'}", files_rows(found[0]))
    elif not found:
        click.echo(f"No trial of {name!r} has kept a checkpoint or an artifact.", err=True)
    else:
        rows = [
            (
                f"#{f.number}",
                size(f.bytes),
                "" if not f.checkpoints else _steps(f),
                " ".join(f.artifacts),
            )
            for f in found
        ]
        print_table(
            ("trial", "takes", "checkpoints", "artifacts"), [*rows, ("all", meter(used, quota), "", "")]
        )


def _steps(kept: TrialFiles) -> str:
    """The steps of the checkpoints, the last one last."""
    steps = ["start" if found.step is None else str(found.step) for found in kept.checkpoints]
    return ("step " if len(steps) == 1 else "steps ") + " ".join(
        steps if len(steps) < 7 else [*steps[:2], "...", *steps[-2:]]
    )
