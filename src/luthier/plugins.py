"""Names and what they stand for: algorithms and stopping policies, built in, installed or the user's own.

A name is that of a built-in, one that an installed package announces as an entry point in the group
`luthier.algorithms` or `luthier.policies`, or "module:Class" for a class that nobody announced. The options of a
thing are the fields of its dataclass. Nothing is imported before it is asked for.

To announce an algorithm, in the package's pyproject.toml:

    [project.entry-points."luthier.algorithms"]
    mine = "my_package.mine:Mine"
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any, Generic, TypeVar, cast

from luthier.errors import InvalidStudy, UnknownName, did_you_mean
from luthier.optimizers.base import Algorithm
from luthier.stopping.base import StoppingPolicy
from luthier.stopping.combine import AnyOf
from luthier.study import Named

T = TypeVar("T")
Json = Any


@dataclass(frozen=True)
class Kind(Generic[T]):
    """A kind of thing that goes by name: what it is called, its verb, its entry points and what is built in."""

    word: str
    verb: str
    group: str
    builtin: Mapping[str, str]

    def names(self) -> dict[str, str]:
        """Every name there is and the "module:Class" it stands for, built-ins first."""
        known = dict(self.builtin)
        for name, value in _announced(self.group, _places()):
            if known.get(name, value) != value:
                raise InvalidStudy(
                    f"the {self.word} {value} wants the name {name!r}, which {known[name]} has. "
                    f"Uninstall one of the two packages, or ask its authors for another name."
                )
            known[name] = value
        return known

    def make(self, given: str | Named | T) -> T:
        """The thing that a name, a name with options, or the thing itself stands for.

        Raises UnknownName, or InvalidStudy for options that it does not have or refuses.
        """
        if isinstance(given, str):
            given = Named(given)
        if isinstance(given, Named):
            return self._made(self._class(given.name), given)
        if isinstance(given, type) or not hasattr(given, self.verb):
            call = f" Write {given.__name__}()." if isinstance(given, type) else ""
            raise UnknownName(f"{given!r} is no {self.word}.{call or did_you_mean(given, self.names())}")
        return given

    def named(self, thing: T) -> Named:
        """The thing as data, from which `make` makes an equal one; raises InvalidStudy where that is not possible."""
        cls = type(thing)
        if not is_dataclass(thing):
            raise InvalidStudy(
                f"the {self.word} {thing!r} cannot be stored. Make {cls.__name__} a dataclass."
            )
        path = f"{cls.__module__}:{cls.__qualname__}"
        # Where it is defined and where it is announced from may differ, as for a class that a package re-exports.
        found = (name for name, value in self.names().items() if value == path or _same_class(value, cls))
        name = next(found, path)
        if ":" in name and not _same_class(name, cls):
            raise InvalidStudy(
                f"the {self.word} {cls.__qualname__} cannot be found again by name. Define it at the top of a module."
            )
        options = {
            field.name: getattr(thing, field.name)
            for field in fields(thing)
            if field.init
            and not (field.metadata.get("later") and getattr(thing, field.name) == field.default)
        }
        for held in _holding(type(thing)) & options.keys():
            options[held] = self._written(options[held])
        try:
            json.dumps(options, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise InvalidStudy(
                f"{thing!r} has options that are no JSON ({error}). Use numbers, strings and lists."
            ) from None
        return Named(name, options)

    def _written(self, held: T | Sequence[T]) -> Json:
        """Things that a thing is made of, as study files write them: a table of the name and the options."""
        if isinstance(held, Sequence):
            return [self._written(one) for one in held]
        named = self.named(held)
        if "name" in named.options:
            raise InvalidStudy(
                f"the {self.word} {named.name!r} has an option called 'name', and cannot be part of another one. Rename the option."
            )
        return {"name": named.name, **named.options}

    def _held(self, at: str, written: Any) -> Any:
        """What `_written` wrote, or the name alone, or a thing itself: made."""
        if isinstance(written, Sequence) and not isinstance(written, str):
            return [self._held(at, one) for one in written]
        if isinstance(written, Mapping):
            if not isinstance(written.get("name"), str):
                raise InvalidStudy(
                    f"{at} is {dict(written)}, which does not say the name of a {self.word}. Write {{ name = ..., and its options }}."
                )
            written = Named(written["name"], {key: value for key, value in written.items() if key != "name"})
        return self.make(written)

    def _class(self, name: str) -> type[T]:
        known = self.names()
        path = known.get(name, name)
        if ":" not in path:
            raise UnknownName(f"no {self.word} is called {name!r}.{did_you_mean(name, known)}")
        try:
            found = _load(path)
        except (ImportError, AttributeError, ValueError) as error:
            raise UnknownName(
                f"the {self.word} {name!r} cannot be imported: {error}. Check the spelling of 'module:Class'."
            ) from error
        if not (isinstance(found, type) and is_dataclass(found) and hasattr(found, self.verb)):
            raise UnknownName(
                f"{name!r} is no {self.word}: it must be a dataclass with a method {self.verb!r}."
            )
        return cast("type[T]", found)

    def _made(self, cls: type[T], named: Named) -> T:
        known = [field.name for field in fields(cls) if field.init]  # type: ignore[arg-type]
        for option in named.options:
            if option not in known:
                hint = did_you_mean(option, known) or " It has no options."
                raise InvalidStudy(f"{named.name} has no option {option!r}.{hint}")
        options = dict(named.options)
        for held in _holding(cls) & options.keys():
            options[held] = self._held(held, options[held])
        try:
            return cls(**options)
        except TypeError as error:
            raise InvalidStudy(f"{named.name} cannot be made with {dict(named.options)}: {error}.") from error


def _holding(cls: type) -> set[str]:
    """The fields that hold things of the same kind (`HOLDS_POLICIES`, `HOLDS_ALGORITHM`)."""
    return {field.name for field in fields(cls) if field.metadata.get("holds")}


@lru_cache(maxsize=16)
def _announced(group: str, places: tuple[object, ...]) -> tuple[tuple[str, str], ...]:
    """Names and paths in the entry points of what is installed; looking through all of it takes 20 ms."""
    from importlib.metadata import entry_points

    return tuple(sorted((point.name, point.value) for point in entry_points(group=group)))


def _places() -> tuple[object, ...]:
    """Where things are installed, and when the last one was."""
    found: list[object] = []
    for entry in sys.path:
        with suppress(OSError, TypeError):
            found += entry, os.stat(entry or ".").st_mtime_ns  # noqa: PTH116 - a tenth of the time of a Path
    return tuple(found)


def _load(path: str) -> Any:
    module, _, name = path.partition(":")
    thing: Any = import_module(module)
    for part in name.split("."):
        thing = getattr(thing, part)
    return thing


def _same_class(path: str, cls: type) -> bool:
    """Whether the path leads to the class; only paths that end in its name are followed."""
    if path.rpartition(":")[2].rpartition(".")[2] != cls.__name__:
        return False
    try:
        return _load(path) is cls
    except (ImportError, AttributeError, ValueError):
        return False


ALGORITHMS: Kind[Algorithm] = Kind(
    "algorithm",
    "start",
    "luthier.algorithms",
    {
        "auto": "luthier.optimizers.auto:Auto",
        "random": "luthier.optimizers.random:Random",
        "sobol": "luthier.optimizers.quasirandom:Sobol",
        "grid": "luthier.optimizers.grid:Grid",
        "evolution": "luthier.optimizers.evolution:Evolution",
        "gp": "luthier.optimizers.gp.optimizer:GP",
        "tpe": "luthier.optimizers.tpe:TPE",
        "cmaes": "luthier.optimizers.cmaes:CMAES",
        "de": "luthier.optimizers.de:DE",
        "freeze-thaw": "luthier.optimizers.thaw:FreezeThaw",
        "pbt": "luthier.optimizers.population:PBT",
        "pb2": "luthier.optimizers.pb2:PB2",
        "replay": "luthier.optimizers.replay:Replay",
        "asha": "luthier.optimizers.halving:ASHA",
        "hyperband": "luthier.optimizers.halving:Hyperband",
        "bohb": "luthier.optimizers.halving:BOHB",
        "dehb": "luthier.optimizers.dehb:DEHB",
    },
)

POLICIES: Kind[StoppingPolicy] = Kind(
    "stopping policy",
    "judge",
    "luthier.policies",
    {
        "race": "luthier.stopping.race:Race",
        "asha": "luthier.stopping.halving:Halving",
        "bandit": "luthier.stopping.bandit:Bandit",
        "median": "luthier.stopping.median:MedianStopping",
        "truncation": "luthier.stopping.truncation:Truncation",
        "percentile": "luthier.stopping.percentile:Percentile",
        "threshold": "luthier.stopping.threshold:Threshold",
        "plateau": "luthier.stopping.plateau:Plateau",
        "wilcoxon": "luthier.stopping.wilcoxon:Wilcoxon",
        "curve": "luthier.stopping.curve:Curve",
        "any": "luthier.stopping.combine:AnyOf",
        "all": "luthier.stopping.combine:AllOf",
        "after": "luthier.stopping.combine:After",
        "patience": "luthier.stopping.combine:Patience",
    },
)


def algorithm(given: str | Named | Algorithm) -> Algorithm:
    """The algorithm that a name, a name with options, or an algorithm stands for.

    Raises UnknownName, or InvalidStudy for options that it does not have or refuses.
    """
    return ALGORITHMS.make(given)


def policy(given: str | Named | StoppingPolicy | Sequence[str | Named | StoppingPolicy]) -> StoppingPolicy:
    """The stopping policy that a name, a name with options, or a policy stands for; a list means any of them. Raises as `algorithm` does."""
    if isinstance(given, str) or not isinstance(given, Sequence):
        return POLICIES.make(given)
    made = [POLICIES.make(one) for one in given]
    return made[0] if len(made) == 1 else AnyOf(made)


def named(thing: Algorithm | StoppingPolicy) -> Named:
    """An algorithm or a policy as data: its name and all its options. Raises InvalidStudy where that is not possible."""
    kind: Kind[Any] = ALGORITHMS if hasattr(thing, "start") else POLICIES
    return kind.named(thing)
