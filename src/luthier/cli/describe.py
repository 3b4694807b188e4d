"""`luthier describe`: what can be tuned in an estimator."""

from __future__ import annotations

import click

from luthier.cli.output import json_option, out, print_json


@click.command(epilog="Example:  luthier describe sklearn.svm:SVC")
@click.argument("estimator")
@json_option
def describe(estimator: str, as_json: bool) -> None:
    """Every hyperparameter of an estimator.

    They are read from ESTIMATOR itself: each with its default, the range that is searched where a study gives no space, what it
    allows, and a sentence. Those known to matter come first, with their rank.
    """
    from luthier.estimators import describe

    found = describe(estimator)
    if as_json:
        print_json(found.to_json())
        return
    console = out()
    if console.is_terminal:
        console.soft_wrap = False
        console.print(found)
    else:
        click.echo(found.to_text(1000))  # lines stay lines when they are piped
