"""TOML tables: every value of the type that its key asks for, or a sentence that says what to write instead."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from luthier.errors import InvalidStudy, did_you_mean

UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
UNITS |= {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}


@dataclass(frozen=True, slots=True)
class Table:
    """A TOML table and the path that leads to it; every answer is of the type its name says, or None."""

    at: str
    given: Mapping[str, Any]

    def text(self, key: str) -> str | None:
        value = self.given.get(key)
        if value is None or (isinstance(value, str) and value.strip()):
            return value
        raise self.wrong(key, f'a text in quotes, as in {key} = "..."')

    def whole(self, key: str, *, at_least: int) -> int | None:
        value = self.given.get(key)
        if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= at_least):
            return value
        raise self.wrong(key, f"a whole number of at least {at_least}, as in {key} = {max(at_least, 2)}")

    def positive(self, key: str) -> float | None:
        value = self.given.get(key)
        if value is None or (is_number(value) and value > 0):
            return value
        raise self.wrong(key, f"a number above 0, as in {key} = 30")

    def number(self, key: str) -> float | None:
        value = self.given.get(key)
        if value is None or is_number(value):
            return value
        raise self.wrong(key, f"a number, as in {key} = 0.95")

    def truth(self, key: str) -> bool:
        value = self.given.get(key, False)
        if isinstance(value, bool):
            return value
        raise self.wrong(key, f"true or false, as in {key} = true")

    def names(self, key: str) -> tuple[str, ...]:
        value = self.given.get(key, [])
        listed = [value] if isinstance(value, str) else value
        if isinstance(listed, list) and all(isinstance(name, str) and name.strip() for name in listed):
            return tuple(listed)
        raise self.wrong(key, f'the name of a metric, or a list of names, as in {key} = "accuracy"')

    def table(self, key: str) -> dict[str, Any]:
        value = self.given.get(key, {})
        if isinstance(value, dict):
            return value
        raise self.wrong(key, f"a table, as in [{self.at}{key}]")

    def wrong(self, key: str, remedy: str) -> InvalidStudy:
        return InvalidStudy(f"{self.at}{key} is {say(self.given[key])}. Use {remedy}.")


def say(value: Any) -> str:
    """A value as TOML writes it, or near enough."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return f'"{value}"'
        case _:
            return repr(value)


def is_number(value: Any) -> bool:
    """Whether it is a number, and no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def only(at: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raise InvalidStudy for a key that is not among the known ones."""
    known = list(known)
    for key in given:
        if key not in known:
            near = did_you_mean(key, known) or f" There is: {', '.join(known)}."
            raise InvalidStudy(f"unknown key {at + key!r}.{near}")


def as_bytes(key: str, value: Any) -> float:
    """A size in bytes, or with a unit: 2e9, "2 GB", "512 MiB"."""
    if is_number(value) and value > 0:
        return float(value)
    found = re.fullmatch(r"\s*([0-9.]+)\s*([a-zA-Z]*)\s*", value) if isinstance(value, str) else None
    try:
        size = float(found[1]) * UNITS[found[2].lower()] if found else 0.0
    except (KeyError, ValueError):
        size = 0.0
    if size > 0:
        return size
    raise InvalidStudy(
        f'{key} is {say(value)}. Use a number of bytes or a size with a unit, as in {key.rpartition(".")[2]} = "2 GB".'
    )


def plain(value: Any) -> Any:
    """The value with None where it says `{ none = true }`: TOML has no word for it."""
    match value:
        case {"none": True, **others} if not others:
            return None
        case dict():
            return {key: plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [plain(inner) for inner in value]
        case _:
            return value
