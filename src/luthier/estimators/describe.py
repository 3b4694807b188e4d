"""`luthier.describe`: every hyperparameter of an estimator, for people who are about to tune it.

Names and defaults are read from the estimator and its signature, types and allowed values from its own checks or a snapshot
(`luthier.estimators.snapshots`), the sentence about each from its docstring. What is recommended is what `recommended_space`
searches, and which parameters matter most is what `importance` knows.
"""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from luthier.errors import InvalidStudy, UnknownName, did_you_mean
from luthier.estimators.docstrings import parameter_docs
from luthier.estimators.domain import Domain, domain_text, domain_to_json, type_text
from luthier.estimators.named import as_estimator, estimator_path, library, load_estimator
from luthier.estimators.params import is_estimator, signature
from luthier.estimators.recommended import importance, recommended_space
from luthier.estimators.snapshots import domains, library_defaults, version
from luthier.space import Choice, Const, Parameter, Space, When
from luthier.space.codec import parameter_to_json
from luthier.space.space import condition_text, scale_text, values_text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType

_STEPS = ("steps", "transformers", "estimators", "transformer_list")


@dataclass(frozen=True, slots=True)
class Hyperparameter:
    """One parameter of an estimator, for people.

    `default` is the value it has unless somebody says otherwise - None as well where the caller has to say, and then `required`.
    `domain` is what is allowed, as far as it is known; `doc` the first sentence of the documentation; `recommended` what is
    searched where a study gives no space, None where it is not searched; `rank` its place among the parameters
    known to matter, 1 for the most important, None where nothing is known.
    """

    name: str
    default: Any
    required: bool
    domain: Domain
    type: str
    doc: str
    recommended: Parameter | None = None
    rank: int | None = None

    @property
    def allowed(self) -> str:
        """What is allowed, in words: "float > 0"; empty where nothing is known."""
        return domain_text(self.domain)

    @property
    def range(self) -> str:
        """What is recommended, in words: "0.001 to 1000"; empty where nothing is."""
        return "" if self.recommended is None else values_text(self.recommended)

    @property
    def scale(self) -> str | None:
        """How what is recommended is spread: "linear" or "log"; None for a choice."""
        return None if isinstance(self.recommended, None | Choice | Const) else scale_text(self.recommended)

    @property
    def condition(self) -> str:
        """Where it is searched at all, in words: "penalty is 'elasticnet'"; empty where it always is."""
        conditions = () if self.recommended is None else cast("tuple[When, ...]", self.recommended.when)
        return " and ".join(map(condition_text, conditions))

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON: `default` where JSON has a word for it, and `default_text`, as Python writes it."""
        return {
            "name": self.name,
            "default": _plain(self.default),
            "default_text": _default_text(self),
            "required": self.required,
            "type": self.type,
            "allowed": self.allowed,
            "domain": domain_to_json(self.domain),
            "doc": self.doc,
            "recommended": None if self.recommended is None else parameter_to_json(self.recommended),
            "range": self.range,
            "scale": self.scale,
            "condition": self.condition,
            "rank": self.rank,
        }


@dataclass(frozen=True, slots=True)
class Description:
    """The hyperparameters of an estimator: those that matter first, then what else is searched, then all others.

    Print it for a table. `note` says why nothing is recommended, where nothing is.
    """

    estimator: str
    library: str
    version: str
    parameters: tuple[Hyperparameter, ...]
    note: str = field(default="", repr=False)

    @property
    def space(self) -> Space | None:
        """What is recommended, as a space; None where nothing is."""
        searched = {p.name: p.recommended for p in self.parameters if p.recommended is not None}
        return Space(searched) if searched else None

    def __getitem__(self, name: str) -> Hyperparameter:
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        known = [parameter.name for parameter in self.parameters]
        raise UnknownName(f"{name!r} is not a parameter of {self.estimator}.{did_you_mean(name, known)}")

    def __iter__(self) -> Iterator[Hyperparameter]:
        return iter(self.parameters)

    def __len__(self) -> int:
        return len(self.parameters)

    def __str__(self) -> str:
        import shutil

        return self.to_text(shutil.get_terminal_size((100, 24)).columns)

    def to_text(self, width: int) -> str:
        """The table, in lines of at most so many characters; from 120 on with the sentences."""
        return _text(self, width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        return _rich(self, options.max_width)

    def _repr_html_(self) -> str:
        return _html(self)

    @property
    def title(self) -> str:
        """One line about the whole: sklearn.svm:SVC (sklearn 1.9.1): 15 hyperparameters, 4 recommended to search."""
        searched = sum(p.recommended is not None for p in self.parameters)
        count = f"{len(self.parameters)} hyperparameter{'' if len(self.parameters) == 1 else 's'}"
        known = f" ({self.library} {self.version})" if self.version else ""
        return f"{self.estimator}{known}: {count}, {searched or 'none'} of them searched by default"

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {
            "estimator": self.estimator,
            "library": self.library,
            "version": self.version,
            "note": self.note,
            "parameters": [parameter.to_json() for parameter in self.parameters],
        }


def describe(estimator: Any, X: Any = None) -> Description:
    """Every hyperparameter of an estimator, a class, a path such as "sklearn.svm:SVC" or a pipeline (`svc__C`): default, type,
    allowed values, what it is for, what is recommended to search, on which scale, and how important it is.

        print(luthier.describe("sklearn.svm:SVC"))
        luthier.describe(SVC)["gamma"].recommended

    With the rows `X` that will be trained on, recommended ranges follow them, as those of a study do. Raises UnknownName,
    MissingExtra and ObjectiveError for what is no estimator.
    """
    cls, made = _made(estimator)
    owner = cls if made is None else made
    found = list(_of_class(cls) if made is None else _of_instance(made))
    searched, note = _searched(made, X)
    ranked = () if made is None else importance(made)
    ranks = {name: i for i, name in enumerate(ranked, start=1)}
    order = {name: i for i, name in enumerate(dict.fromkeys([*ranked, *searched]))}
    found = [replace(p, recommended=searched.get(p.name), rank=ranks.get(p.name)) for p in found]
    found.sort(key=lambda p: order.get(p.name, len(order)))
    name = library(owner)
    return Description(estimator_path(owner), name, version(name), tuple(found), note)


def _made(estimator: Any) -> tuple[type[Any], Any]:
    """The class and an instance, None of a class that is not to be had without arguments, such as Pipeline."""
    if isinstance(estimator, str):
        estimator = load_estimator(estimator)
    if not (inspect.isclass(estimator) and hasattr(estimator, "get_params")):
        made = as_estimator(estimator)
        return type(made), made
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a class is deprecated is no reason not to describe it
        try:
            return estimator, estimator()
        except TypeError:
            return estimator, None


def _searched(made: Any, X: Any) -> tuple[Mapping[str, Parameter], str]:
    if made is None:
        return {}, ""
    try:
        return recommended_space(made, X), ""
    except InvalidStudy as error:
        return {}, str(error)


# --- one estimator after another ---------------------------------------------------------------


def _of_class(cls: type[Any]) -> Iterator[Hyperparameter]:
    return _listed(cls, signature(cls), "")


def _of_instance(estimator: Any, prefix: str = "") -> Iterator[Hyperparameter]:
    values = {**signature(estimator), **estimator.get_params(deep=False)}
    steps = _steps(estimator)
    if steps:
        values = {name: value for name, value in values.items() if name not in _STEPS}
    for parameter in _listed(type(estimator), values, prefix):
        yield parameter
        if is_estimator(parameter.default):
            yield from _of_instance(parameter.default, f"{parameter.name}__")
    for name, step in steps:
        yield from _of_instance(step, f"{prefix}{name}__")


def _listed(cls: type[Any], values: Mapping[str, Any], prefix: str) -> Iterator[Hyperparameter]:
    known, docs, filled = domains(cls), parameter_docs(cls), library_defaults(library(cls))
    for name, value in values.items():
        if isinstance(value, str) and value == "deprecated":
            continue
        required = value is inspect.Parameter.empty
        default = filled.get(name) if value is None else None if required else value
        domain = known.get(name, ())
        words, doc = docs.get(name, ("", ""))
        kind = type_text(domain) or words or ("" if default is None else type(default).__name__)
        yield Hyperparameter(prefix + name, default, required, domain, kind, doc)


def _steps(estimator: Any) -> list[tuple[str, Any]]:
    shallow, deep = estimator.get_params(deep=False), estimator.get_params(deep=True)
    return [
        (name, value)
        for name, value in deep.items()
        if name not in shallow and "__" not in name and is_estimator(value)
    ]


# --- how it looks ------------------------------------------------------------------------------

_HEAD = ("rank", "name", "default", "recommended", "allowed", "what it is")
_STYLE = {"what it is": "bright_black"}
_WIDE = 120
"""A terminal of so many columns has room for the sentences as well."""


def _row(p: Hyperparameter) -> tuple[str, ...]:
    recommended = p.range
    if p.scale == "log":  # linear is what one expects
        recommended += ", log"
    if p.condition:
        recommended += f", where {p.condition}"
    rank = "" if p.rank is None else str(p.rank)
    return rank, p.name, _default_text(p), recommended, p.allowed or p.type, p.doc


def _rich(description: Description, width: int) -> Iterator[RenderableType]:
    from rich.table import Table
    from rich.text import Text

    columns = len(_HEAD) if width >= _WIDE else len(_HEAD) - 1
    table = Table(box=None, pad_edge=False, header_style="bright_black", padding=(0, 2, 0, 0))
    for i, head in enumerate(_HEAD[:columns]):
        if head != "rank" or any(p.rank is not None for p in description):
            table.add_column(head, no_wrap=i < 2, overflow="fold", style=_STYLE.get(head))
    for p in description:
        bold = "" if p.recommended is None else "bold"
        cells = [
            Text(cell, bold if head == "name" else "") for cell, head in zip(_row(p), _HEAD, strict=True)
        ]
        table.add_row(*cells[:columns][-len(table.columns) :])
    yield Text(description.title, "bold")
    yield table
    if description.note:
        yield Text(description.note, "bright_black")


def _text(description: Description, width: int) -> str:
    from rich.console import Console

    console = Console(width=width, color_system=None, force_jupyter=False, legacy_windows=False)
    with console.capture() as captured:
        console.print(description)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def _html(description: Description) -> str:
    from html import escape

    def row(tag: str, cells: tuple[str, ...], bold: bool = False) -> str:
        styles = (
            {"name": f"white-space:nowrap;font-weight:{'bold' if bold else 'normal'};"} if tag == "td" else {}
        )
        inside = "".join(
            f"<{tag} style='{styles.get(head, '')}text-align:left;vertical-align:top'>{escape(cell)}</{tag}>"
            for cell, head in zip(cells, _HEAD, strict=True)
        )
        return f"<tr>{inside}</tr>"

    rows = [row("td", _row(p), p.recommended is not None) for p in description]
    note = f"<p>{escape(description.note)}</p>" if description.note else ""
    head = f"<thead>{row('th', _HEAD)}</thead>"
    return (
        f"<p><b>{escape(description.title)}</b></p><table>{head}<tbody>{''.join(rows)}</tbody></table>{note}"
    )


def _default_text(p: Hyperparameter) -> str:
    if p.required:
        return "(required)"
    if callable(p.default) and not is_estimator(p.default):
        return str(getattr(p.default, "__name__", type(p.default).__name__))
    text = " ".join(repr(p.default).split())
    return text if len(text) <= 60 else f"{text[:59]}…"


def _plain(value: Any) -> Any:
    """As JSON; None where that has no word for it. NaN and infinities are strings, as everywhere in our JSON."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            if math.isfinite(value):
                return value
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case _:
            return None
