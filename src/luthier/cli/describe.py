"""`luthier params`: what can be tuned in an estimator."""

from __future__ import annotations

import click

from luthier.cli.output import json_option, out, print_json


@click.command(epilog="Example:  luthier params sklearn.svm:SVC")
@click.argument("estimator")
@json_option
def params(estimator: str, as_json: bool) -> None:
    """List the hyperparameters of an estimator.

    They are read from ESTIMATOR itself. Each comes with its default, its type and the values it allows, and the range that is searched where a study gives no
    space, if there is one.
    """
    from rich.table import Table

    from luthier.errors import LuthierError
    from luthier.estimators import as_estimator, estimator_path, hyperparameters, recommended_space
    from luthier.space.parameters import Parameter
    from luthier.summary import plain

    made = as_estimator(estimator)
    searched: dict[str, Parameter] = {}
    try:
        searched = dict(recommended_space(made))
    except LuthierError as error:
        unknown = str(error)
    else:
        unknown = ""
    # What is searched comes first, in the order of importance.
    order = {name: i for i, name in enumerate(searched)}
    found = sorted(hyperparameters(made), key=lambda p: order.get(p.name, len(order)))
    if as_json:
        print_json(
            [
                {
                    "name": p.name,
                    "default": _plain_default(plain(p.default)),
                    "type": p.type,
                    "allowed": p.allowed,
                    "recommended": repr(searched[p.name]) if p.name in searched else None,
                    "doc": p.doc,
                }
                for p in found
            ]
        )
        return
    console = out()
    console.soft_wrap = False
    if not console.is_terminal:
        console.width = 400
    table = Table(
        "name",
        "default",
        "type",
        "recommended",
        "allowed",
        box=None,
        pad_edge=False,
        header_style="bright_black",
    )
    for p in found:
        recommended = repr(searched[p.name]) if p.name in searched else ""
        table.add_row(p.name, repr(p.default), p.type, recommended, p.allowed)
    console.print(
        f"{estimator_path(made)}: {len(found)} hyperparameters, {len(searched)} of them searched by default"
    )
    console.print(table)
    if unknown:
        click.echo(unknown, err=True)


def _plain_default(value: object) -> object:
    """A default as JSON; one that JSON has no word for (a function, an estimator) as Python prints it."""
    return value if value is None or isinstance(value, bool | int | float | str | list) else repr(value)
