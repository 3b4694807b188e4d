"""Values of hyperparameters as people type them: None, True, 5, 0.1, sqrt, a list of them, 50..400x2; and whether they are allowed."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from luthier.errors import InvalidParams
from luthier.estimators.domain import Domain, Kind, Options, Range, domain_text
from luthier.estimators.params import decoded
from luthier.space import Scalar, same
from luthier.studio.words import say

MOST = 500
"""So many values one hyperparameter may have."""
WORDS: dict[str, Scalar] = {"none": None, "true": True, "false": False}
WHOLE = re.compile(r"[+-]?\d+(_\d+)*")
NUMBER = re.compile(r"[+-]?(\d[\d_]*\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf|nan")
SPAN = re.compile(r"(?P<low>[^.]+(?:\.\d+)?)\.\.(?P<high>[^x/]+)(?:(?P<how>[x/])(?P<by>.+))?")
SEPARATORS = ",;\n\t"


@dataclass(frozen=True, slots=True)
class Typed:
    """One value: how it is written, what it is, and the sentence that refuses it, if any does."""

    text: str
    value: Scalar = None
    problem: str | None = None

    @property
    def kind(self) -> str:
        """The word for its type."""
        return kind_of(self.value)


def kind_of(value: object) -> str:
    """The word for the type of a value: None, bool, int, float or str."""
    return "None" if value is None else type(value).__name__


def written(value: Scalar) -> str:
    """The text that `scalar` reads as this value; text in quotes only where it has to be."""
    if not isinstance(value, str):
        return repr(value)
    plain = value and value == value.strip() and not any(sign in value for sign in f"{SEPARATORS}'\"")
    return value if plain and ".." not in value and isinstance(_bare(value), str) else json.dumps(value)


def scalar(text: str, domain: Domain = ()) -> Scalar:
    """The value that a text means; one of the domain's own options where it is spelt like it."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        try:
            found = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            return text[1:-1]
        return found if isinstance(found, str) else text[1:-1]
    names = {option for part in domain if isinstance(part, Options) for option in part.values}
    return text if text in names else _bare(text)


def _bare(text: str) -> Scalar:
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    if WHOLE.fullmatch(text):
        return int(text) if len(text) <= 400 else text
    if NUMBER.fullmatch(text.lower()):
        try:
            return float(text)
        except ValueError:
            return text
    return text


def one(text: str, name: str, domain: Domain) -> Typed:
    """The single value of a hyperparameter."""
    value = scalar(text, domain)
    return Typed(written(value), value, refusal(value, name, domain))


def several(text: str, name: str, domain: Domain) -> tuple[Typed, ...]:
    """The values of a list, spans such as 5..13/2 written out, each value once."""
    found: list[Typed] = []
    for piece in pieces(text):
        try:
            values = list(_expanded(piece, domain))
        except ValueError as error:
            found.append(Typed(piece, piece, str(error)))
            continue
        for value in values:
            if not any(same(value, known.value) for known in found):
                found.append(Typed(written(value), value, refusal(value, name, domain)))
        if len(found) > MOST:
            return (*found[:MOST], Typed("…", "…", say("drafts.value.many", most=MOST)))
    return tuple(found)


def listed(values: Iterable[Scalar]) -> str:
    """The text that `several` reads as these values."""
    return ", ".join(map(written, values))


def pieces(text: str) -> Iterator[str]:
    """The parts of a list, at commas, semicolons, tabs and ends of lines outside quotes."""
    piece, quote = "", ""
    for sign in text:
        if quote:
            piece += sign
            quote = "" if sign == quote else quote
        elif sign in SEPARATORS:
            yield from filter(None, [piece.strip()])
            piece = ""
        else:
            quote = sign if sign in "'\"" and not piece.strip() else ""
            piece += sign
    yield from filter(None, [piece.strip()])


def _expanded(piece: str, domain: Domain) -> Iterator[Scalar]:
    found = SPAN.fullmatch(piece)
    if found is None or piece[0] in "'\"":
        yield scalar(piece, domain)
        return
    low, high = _number(piece, found["low"]), _number(piece, found["high"])
    by = _number(piece, found["by"]) if found["how"] else Decimal(1)
    geometric = found["how"] == "x"
    if low > high or (geometric and (by <= 1 or low <= 0)) or (not geometric and by <= 0):
        raise ValueError(say("drafts.value.span", text=piece))
    whole = all(number == number.to_integral_value() for number in (low, by))
    at, count = low, 0
    while at <= high:
        count += 1
        if count > MOST:
            raise ValueError(say("drafts.value.many", most=MOST))
        yield int(at) if whole else float(at)
        at = at * by if geometric else at + by


def _number(piece: str, text: str) -> Decimal:
    try:
        found = Decimal(text.strip())
    except InvalidOperation:
        raise ValueError(say("drafts.value.span", text=piece)) from None
    if not found.is_finite() or abs(found.adjusted()) > 300:
        raise ValueError(say("drafts.value.span", text=piece))
    return found


# --- what is allowed ---------------------------------------------------------------------------


def refusal(value: Scalar, name: str, domain: Domain) -> str | None:
    """The sentence that refuses a value; None where it is allowed, or nothing is known."""
    if not domain or any(_allows(part, value) for part in domain) or _is_coded(name, value):
        return None
    return say("drafts.value.refused", name=name, value=repr(value), allowed=domain_text(domain))


def _allows(part: Range | Options | Kind, value: Scalar) -> bool:
    match part:
        case Options():
            return any(same(value, option) for option in part.values)
        case Kind():
            return part.word == "any" or (part.word == "str" and isinstance(value, str))
        case Range():
            return is_number(value) and _inside(part, value)


def is_number(value: object) -> bool:
    """Whether it is an int or a float, and no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _inside(part: Range, value: Scalar) -> bool:
    if part.type == "int" and not isinstance(value, int):
        return False
    assert isinstance(value, int | float)
    left, right = part.closed in ("both", "left"), part.closed in ("both", "right")
    over = part.low is None or value > part.low or (left and value == part.low)
    under = part.high is None or value < part.high or (right and value == part.high)
    return over and under and value == value


def _is_coded(name: str, value: Scalar) -> bool:
    """Whether it stands for something that is no scalar: "50,50" for layers of these sizes."""
    try:
        return decoded(name, value) is not value
    except InvalidParams:
        return False


def choices(domain: Domain) -> tuple[Scalar, ...] | None:
    """The values, where they are few names and truth values and nothing else can be typed; else None."""
    if not domain or any(isinstance(part, Range) or _is_open(part) for part in domain):
        return None
    options = [value for part in domain if isinstance(part, Options) for value in part.values]
    return tuple(options) if options else None


def _is_open(part: Range | Options | Kind) -> bool:
    return isinstance(part, Kind) and part.word in ("any", "str")


def suggestions(domain: Domain) -> tuple[Scalar, ...]:
    """What can be named besides numbers: the options of a domain that has others too."""
    return tuple(value for part in domain if isinstance(part, Options) for value in part.values)


def ranged(domain: Domain) -> bool:
    """Whether numbers between two ends make sense."""
    return not domain or any(isinstance(part, Range) or _is_open(part) for part in domain)


def is_whole(domain: Domain) -> bool:
    """Whether of numbers only whole ones are allowed."""
    kinds = {part.type for part in domain if isinstance(part, Range)}
    return kinds == {"int"}
