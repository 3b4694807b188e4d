"""Which trials are meant: one short language for the studio, the command line and Python.

    score>0.8 lr:1e-4..1e-2 kernel:rbf,poly state:completed number:100.. -solver:lbfgs

Terms stand side by side, and all must hold. What is compared is `score` (the first objective), `state`, `number`, `seconds`,
`tag`, a parameter or a metric (`params.state` and `metrics.score` where one has such a name); a name or value with blanks or signs goes in double
quotes. After a colon come values and ranges, `1..5`, `..5` and `1..`, ends included, of which one must fit; a minus excludes one, or before a name
all of the term. `none` is a number that is missing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from luthier.errors import InvalidFilter, did_you_mean
from luthier.space import Choice, Const, Parameter, Params, Scalar
from luthier.space.parameters import number_text
from luthier.study import History, Problem, State, Trial

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Kind = Literal["score", "state", "number", "seconds", "tag", "param", "metric"]

STATES = tuple(State)
OWN: tuple[Kind, ...] = ("score", "state", "number", "seconds", "tag")
_QUOTED = r'"(?:[^"]|"")*"'
_TERM = re.compile(
    rf'\s*(?P<minus>-)?(?P<key>{_QUOTED}|[^\s:<>=!",]+)\s*(?P<sign>:|>=|<=|!=|>|<|=)\s*(?P<rest>(?:{_QUOTED}|[^\s"])+)'
)
_ITEM = re.compile(rf"-?(?:{_QUOTED}|[^,\"])+")
_PLAIN = re.compile(r'[^\s:<>=!",-][^\s:<>=!",]*')


class Table(Protocol):
    """What is asked of many trials at once, an entry for each; NaN where there is none."""

    def __len__(self) -> int: ...
    def own(self, kind: Kind) -> Floats:
        """The score, number, seconds, or the place of the state among `STATES`."""
        ...

    def param(self, name: str) -> Floats:
        """The values of a parameter, as `coded` has them."""
        ...

    def metric(self, name: str) -> Floats:
        """What was measured at the end."""
        ...

    def tagged(self, word: str) -> Mask:
        """Which of them people gave that tag."""
        ...


@dataclass(frozen=True, slots=True)
class Span:
    """Values from `low` to `high`; those at the ends too, unless `apart`. NaN stands for what is missing."""

    low: float
    high: float
    apart: bool = False

    def holds(self, values: Floats) -> Mask:
        """Which of them lie in it."""
        if math.isnan(self.low):
            return np.isnan(values)
        if self.apart:
            return (values > self.low) & (values < self.high)
        return (values >= self.low) & (values <= self.high)


@dataclass(frozen=True, slots=True)
class Term:
    """One condition: the values fit one of the `spans`, if there are some, and none of `without`; or, `negated`, they do not."""

    text: str
    kind: Kind
    name: str
    spans: tuple[Span, ...] = ()
    without: tuple[Span, ...] = ()
    words: tuple[tuple[str, bool], ...] = ()
    negated: bool = False

    def mask(self, table: Table) -> Mask:
        """Which rows of a table it holds for."""
        found = self._tagged(table) if self.kind == "tag" else self._placed(self._values(table))
        return ~found if self.negated else found

    def _values(self, table: Table) -> Floats:
        match self.kind:
            case "param":
                return table.param(self.name)
            case "metric":
                return table.metric(self.name)
            case _:
                return table.own(self.kind)

    def _placed(self, values: Floats) -> Mask:
        fits = _any(self.spans, values) if self.spans else np.ones(len(values), dtype=np.bool_)
        return fits & ~_any(self.without, values)

    def _tagged(self, table: Table) -> Mask:
        wanted = [table.tagged(word) for word, excluded in self.words if not excluded]
        excluded = [table.tagged(word) for word, excluded in self.words if excluded]
        none = np.zeros(len(table), dtype=np.bool_)
        fits = np.logical_or.reduce(wanted) if wanted else ~none
        return fits & ~(np.logical_or.reduce(excluded) if excluded else none)


def _any(spans: Sequence[Span], values: Floats) -> Mask:
    found = np.zeros(len(values), dtype=np.bool_)
    for span in spans:
        found |= span.holds(values)
    return found


@dataclass(frozen=True, slots=True)
class Filter:
    """Conditions that all must hold; none allow every trial."""

    problem: Problem
    terms: tuple[Term, ...] = ()

    @property
    def text(self) -> str:
        """As it is written."""
        return " ".join(term.text for term in self.terms)

    @property
    def asks_params(self) -> bool:
        """Whether a parameter is looked at."""
        return any(term.kind == "param" for term in self.terms)

    @property
    def asks_tags(self) -> bool:
        """Whether a tag is looked at."""
        return any(term.kind == "tag" for term in self.terms)

    def mask(self, table: Table) -> Mask:
        """Which rows of a table are meant."""
        found = np.ones(len(table), dtype=np.bool_)
        for term in self.terms:
            found &= term.mask(table)
        return found

    def allows(self, trial: Trial, tags: Collection[str] = ()) -> bool:
        """Whether this trial is meant."""
        marked = {tag: {trial.number} for tag in tags}
        return bool(self.mask(Listed(self.problem, [trial], marked))[0])

    def pick(self, trials: Sequence[Trial], tags: Mapping[str, Collection[int]] | None = None) -> list[Trial]:
        """Those of the trials that are meant. `tags` says for each which trials, by number, people gave it."""
        kept = self.mask(Listed(self.problem, trials, tags))
        return [trial for trial, keep in zip(trials, kept, strict=True) if keep]

    def on(self, kind: Kind, name: str) -> list[Term]:
        """The terms about a column."""
        return [term for term in self.terms if (term.kind, term.name) == (kind, name)]

    def but(self, kind: Kind, name: str, text: str = "") -> str:
        """The text with other words, or none, about a column."""
        others = [term.text for term in self.terms if (term.kind, term.name) != (kind, name)]
        return " ".join([*others, text] if text else others)


@dataclass(frozen=True, slots=True)
class Listed:
    """Whole trials as a table."""

    problem: Problem
    trials: Sequence[Trial]
    tags: Mapping[str, Collection[int]] | None = None
    _history: History = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_history", History(self.problem))

    def __len__(self) -> int:
        return len(self.trials)

    def own(self, kind: Kind) -> Floats:
        match kind:
            case "state":
                found: Iterable[float | None] = (STATES.index(trial.state) for trial in self.trials)
            case "number":
                found = (trial.number for trial in self.trials)
            case "seconds":
                found = (trial.seconds for trial in self.trials)
            case _:
                found = (self._history.value(trial) for trial in self.trials)
        return np.array(list(found), dtype=np.float64)

    def param(self, name: str) -> Floats:
        return coded(self.problem.space[name], name, [trial.params for trial in self.trials])

    def metric(self, name: str) -> Floats:
        return np.array([trial.metrics.get(name, math.nan) for trial in self.trials], dtype=np.float64)

    def tagged(self, word: str) -> Mask:
        of = (self.tags or {}).get(word, ())
        return np.array([trial.number in of for trial in self.trials], dtype=np.bool_)


def coded(parameter: Parameter, name: str, rows: Sequence[Params]) -> Floats:
    """The values of a parameter as numbers: of a choice its place among the values. NaN where it does not exist, or is no value
    of that kind, as the defaults of an estimator may be.
    """
    if isinstance(parameter, Choice):
        places: dict[tuple[type, object], float] = {
            (type(value), value): float(i) for i, value in enumerate(parameter.values)
        }
        missing = object()
        given = (row.get(name, missing) for row in rows)
        return np.array([places.get((type(value), value), math.nan) for value in given], dtype=np.float64)
    values = [row.get(name) for row in rows]
    if not {type(value) for value in values} <= {int, float}:
        values = [value if type(value) in (int, float) else math.nan for value in values]
    try:
        return np.array(values, dtype=np.float64)
    except OverflowError:  # whole numbers have no end
        return np.array([_within_floats(value) for value in values], dtype=np.float64)


def _within_floats(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except OverflowError:
        return math.nan


def parse(text: str, problem: Problem, metrics: Iterable[str] = ()) -> Filter:
    """What a filter says; `metrics` are those that were seen besides the objectives and constraints. Raises InvalidFilter."""
    known = {objective.metric for objective in problem.objectives}
    known |= {constraint.metric for constraint in problem.constraints} | set(metrics)
    at, terms = 0, []
    text = text.rstrip()
    while at < len(text):
        match = _TERM.match(text, at)
        if match is None:
            raise InvalidFilter(
                f"{text[at:].strip()[:60]!r} is no condition. Write NAME:VALUE, NAME:1..5 or NAME>1, with blanks in between "
                f"and names of blanks or signs in double quotes; for example: score>0.8 state:completed"
            )
        terms.append(_term(match, problem, known))
        at = match.end()
    return Filter(problem, tuple(terms))


def written(kind: Kind, name: str, values: str) -> str:
    """A term, as somebody would write it."""
    prefix = {"param": "params.", "metric": "metrics."}.get(kind, "") if name in OWN and kind != name else ""
    return f"{quoted(prefix + name)}:{values}"


def quoted(text: str) -> str:
    """A name or value, in quotes where it needs them."""
    return text if _PLAIN.fullmatch(text) and ".." not in text else '"' + text.replace('"', '""') + '"'


def range_text(low: float | None, high: float | None) -> str:
    """A range with its ends, if it has them."""
    return "..".join("" if end is None else number_text(end) for end in (low, high))


def _bare(text: str) -> str:
    return text[1:-1].replace('""', '"') if len(text) > 1 and text[0] == text[-1] == '"' else text


def _term(match: re.Match[str], problem: Problem, metrics: Collection[str]) -> Term:
    key, sign, rest = _bare(match["key"]), match["sign"], match["rest"]
    text, negated = match[0].strip(), match["minus"] is not None
    kind, name = _column(key, problem, metrics)
    items = _ITEM.findall(rest)
    if not items:
        raise InvalidFilter(f"{text!r} says no value. Write one after the {sign}")
    if kind == "tag":
        if sign not in (":", "=", "!="):
            raise InvalidFilter(f"a tag is there or not; write {key}:{items[0]}, not {text!r}.")
        words = tuple((_bare(item.removeprefix("-")), item.startswith("-")) for item in items)
        return Term(text, kind, name, words=words, negated=negated != (sign == "!="))
    if sign in (">", "<", ">=", "<="):
        spans = _compared(kind, name, problem, sign, rest, text)
        return Term(text, kind, name, spans, negated=negated)
    fits: list[Span] = []
    without: list[Span] = []
    for item in items:
        excluded = item.startswith("-") and not _whole(kind, name, problem, item)
        into = without if excluded else fits
        into += _spans(kind, name, problem, item[1:] if excluded else item, text)
    return Term(text, kind, name, tuple(fits), tuple(without), negated=negated != (sign == "!="))


def _column(key: str, problem: Problem, metrics: Collection[str]) -> tuple[Kind, str]:
    for own in OWN:
        if key == own:
            return own, own
    prefix, _, rest = key.partition(".")
    name = rest if prefix == "params" and rest in problem.space else key
    if name in problem.space:
        if isinstance(problem.space[name], Const):
            raise InvalidFilter(
                f"{name!r} is fixed at {problem.space[name].at(0.5)!r}, so it parts no trials. Leave it out."
            )
        return "param", name
    name = rest if prefix == "metrics" and rest in metrics else key
    if name in metrics:
        return "metric", name
    there = [*OWN, *problem.space, *sorted(metrics)]
    raise InvalidFilter(f"{key!r} is no parameter or metric of this study.{did_you_mean(key, there)}")


def _whole(kind: Kind, name: str, problem: Problem, item: str) -> bool:
    """Whether the minus before an item is that of a number, or of a value."""
    if kind == "state":
        return False
    if _choice(kind, name, problem) and _value_of(problem.space[name], item) is not None:
        return True
    low, dots, _ = item.partition("..")
    return _number(low) is not None and (bool(dots) or not _choice(kind, name, problem))


def _number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return None if math.isnan(found) else found


def _compared(kind: Kind, name: str, problem: Problem, sign: str, rest: str, text: str) -> tuple[Span, ...]:
    number = _number(_bare(rest))
    if kind == "state" or number is None:
        raise InvalidFilter(
            f"{text!r} compares with no number. Write a number after the {sign}, or {name}:VALUE."
        )
    ends = (number, math.inf) if sign[0] == ">" else (-math.inf, number)
    span = Span(*ends, apart=len(sign) == 1)
    if sign == ">":  # infinity is more than any number, and not an end
        span = Span(math.nextafter(number, math.inf), math.inf)
    elif sign == "<":
        span = Span(-math.inf, math.nextafter(number, -math.inf))
    return _codes(problem.space[name], name, span, text) if _choice(kind, name, problem) else (span,)


def _choice(kind: Kind, name: str, problem: Problem) -> bool:
    return kind == "param" and isinstance(problem.space[name], Choice)


def _spans(kind: Kind, name: str, problem: Problem, item: str, text: str) -> tuple[Span, ...]:
    """Of a value, or of a range of numbers."""
    word = _bare(item)
    if kind == "state":
        if word not in list(STATES):
            raise InvalidFilter(f"{word!r} is no state.{did_you_mean(word, STATES)}")
        code = float(STATES.index(State(word)))
        return (Span(code, code),)
    choice = _choice(kind, name, problem)
    if choice and (found := _value_of(problem.space[name], word)) is not None:
        return (Span(found, found),)
    low, dots, high = word.partition("..")
    if dots and item == word:
        ends = [math.inf * side if not end else _number(end) for end, side in ((low, -1), (high, 1))]
        if None in ends or not (low or high):
            raise InvalidFilter(
                f"{word!r} is no range of numbers. Write it as {name}:1..5, {name}:1.. or {name}:..5"
            )
        span = Span(float(ends[0] or 0.0), float(ends[1] or 0.0))
        if span.low > span.high:
            raise InvalidFilter(f"the range {word} begins above its end. Write {name}:{high}..{low}")
        return _codes(problem.space[name], name, span, text) if choice else (span,)
    if choice:
        values = getattr(problem.space[name], "values", ())
        raise InvalidFilter(f"{name!r} is never {word!r}.{did_you_mean(word, values)}")
    if word.lower() == "none":
        return (Span(math.nan, math.nan),)
    number = _number(word)
    if number is None:
        raise InvalidFilter(
            f"{word!r} is no number, and {name!r} is one. Write {name}:0.5, {name}:0.1..0.5 or {name}>0.1"
        )
    return (Span(number, number),)


def _some(values: Sequence[Scalar]) -> str:
    return ", ".join(map(str, values[:20])) + (", …" if len(values) > 20 else "")


def _value_of(parameter: Parameter, word: str) -> float | None:
    values = getattr(parameter, "values", ())
    for same in (str, repr, lambda value: str(value).casefold()):
        wanted = word.casefold() if same not in (str, repr) else word
        for i, value in enumerate(values):
            if same(value) == wanted:
                return float(i)
    return None


def _codes(parameter: Parameter, name: str, span: Span, text: str) -> tuple[Span, ...]:
    """The places of those values of a choice that are numbers in the span."""
    values = getattr(parameter, "values", ())
    numbers = [
        float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
        for value in values
    ]
    if all(map(math.isnan, numbers)):
        raise InvalidFilter(f"{text!r} compares with a number, and {name!r} is one of: {_some(values)}.")
    inside = span.holds(np.array(numbers))
    found = tuple(Span(float(i), float(i)) for i in np.flatnonzero(inside))
    return found or (Span(-1.0, -1.0),)  # none of them
