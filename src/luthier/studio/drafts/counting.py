"""How many combinations a table of hyperparameters makes, and which of them an estimator does not take."""

from __future__ import annotations

import atexit
import itertools
import json
import os
import select
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from timeit import default_timer
from typing import Any, Literal

from luthier.space import Choice, Const, Float, Int, Parameter, Points, Scalar, Space, same
from luthier.space.codec import space_to_json

Task = Literal["classification", "regression"]
Point = Mapping[str, Scalar]
MOST_TRIED = 200
"""So many combinations are tried out at most."""
MOST_VALUES = 2_000
MOST_RULES = 60
SECONDS = 8.0
GRACE_SECONDS = 6.0
END_SECONDS = 1.0
LIFE_SECONDS = 1_800.0
KEPT = 256


@dataclass(frozen=True, slots=True)
class Invalid:
    """Values that an estimator does not take, alone or together, why, and how many combinations that takes away from the rest."""

    params: Point
    why: str
    n: int


@dataclass(frozen=True, slots=True)
class Count:
    """How many combinations there are, and how many are left of them; None where a range makes their number endless.

    `checked` says whether combinations were tried out: all kinds of them, on a tiny table. Where not, `valid` may be too many.
    """

    total: int | None
    valid: int | None
    invalid: tuple[Invalid, ...] = ()
    checked: bool = False

    @property
    def skip(self) -> list[dict[str, Scalar]]:
        """What `Grid(skip=...)` is to leave out."""
        return [dict(invalid.params) for invalid in self.invalid if invalid.n]


def combinations(
    estimator: str,
    params: Mapping[str, Any],
    space: Space,
    data_kind: Task = "classification",
    *,
    classes: int = 2,
    levels: int | None = None,
    check: bool = True,
) -> Count:
    """Count the combinations of a space, `params` being fixed; a continuous range has `levels` values, or no end of them.

    Without `check` nothing is tried out, and the answer is there at once. Raises InvalidSpace for levels that are none.
    """
    total = _size(space, levels)
    if not check:
        return Count(total, total)
    try:
        asked = json.dumps([estimator, params, space_to_json(space), data_kind, classes, levels])
    except (TypeError, ValueError):  # values that no other process can be told of
        return Count(total, total)
    found = _known.get(asked)
    if found is None:
        found = _counted(_Question(estimator, params, space, data_kind, classes), total, levels)
        _known.keep(asked, found)
    return found


def warm() -> None:
    """Start the process that tries combinations out, so that it is ready when it is asked."""
    _process.warm()


def close() -> None:
    """End that process; it is started again when it is needed."""
    _process.close()


def _size(space: Space, levels: int | None, skip: Sequence[Point] = ()) -> int | None:
    if levels is None and any(parameter.size is None for parameter in space.values()):
        return None
    return Points(space, levels, skip).size


# --- what is asked -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Question:
    estimator: str
    params: Mapping[str, Any]
    space: Space
    task: Task
    classes: int

    def values(self) -> list[tuple[str, Scalar]]:
        """Every value that is listed, and the ends of ranges."""
        found: list[tuple[str, Scalar]] = []
        for name, parameter in self.space.items():
            found += [(name, value) for value in _listed(parameter)]
        return found[:MOST_VALUES]

    def kinds(self, without: Sequence[tuple[str, Scalar]]) -> dict[str, list[list[Scalar]]]:
        """The values of every parameter in groups that mean the same as far as words go: numbers of a type are one."""
        parents = {condition.parent for name in self.space for condition in self.space.conditions(name)}
        found: dict[str, list[list[Scalar]]] = {}
        for name, parameter in self.space.items():
            values = [v for v in _listed(parameter) if not any(n == name and same(v, w) for n, w in without)]
            if name in parents:
                found[name] = [[value] for value in values]
                continue
            groups: dict[object, list[Scalar]] = {}
            for value in values:
                is_number = isinstance(value, int | float) and not isinstance(value, bool)
                groups.setdefault(type(value) if is_number else (type(value), value), []).append(value)
            found[name] = list(groups.values())
        return found

    def to_json(self, points: Sequence[tuple[Point, Point]], values: Sequence[tuple[str, Scalar]]) -> str:
        """A line for the process that answers it."""
        return json.dumps(
            {
                "estimator": self.estimator,
                "params": self.params,
                "values": values,
                "points": points,
                "task": self.task,
                "classes": self.classes,
                "seconds": SECONDS,
            }
        )


def _listed(parameter: Parameter) -> list[Scalar]:
    match parameter:
        case Choice():
            return list(parameter.values)
        case Const():
            return [parameter.value]
        case Float() | Int():
            return [parameter.at(0.0), parameter.at(1.0)]


def _counted(question: _Question, total: int | None, levels: int | None) -> Count:
    space, values = question.space, question.values()
    told = _process.ask(question.to_json([], values))
    if told is None or len(told["values"]) < len(values):
        return Count(total, total)
    refused = [(named, why) for named, why in zip(values, told["values"], strict=True) if why is not None]
    kinds = question.kinds([named for named, _ in refused])
    rules: list[tuple[Point, str]] = [({name: value}, why) for (name, value), why in refused]
    checked, points = True, _points(space, kinds)
    if points is None:
        checked = False
    elif any(len(groups) > 1 for groups in kinds.values()):
        split = [_parted(point, kinds) for point in points]
        told = _process.ask(question.to_json(split, []))
        checked = told is not None and told["error"] is None and len(told["points"]) == len(points)
        if told is not None and checked:
            words = [part for part, _ in split]
            rules += _spread(_rules(words, told["points"]), kinds)
    return _summed(space, total, levels, rules, checked)


def _points(space: Space, kinds: Mapping[str, Sequence[Sequence[Scalar]]]) -> list[Point] | None:
    """A point of every kind; None where there are too many."""
    if any(not groups for groups in kinds.values()):
        return []  # every value of it is refused
    some: dict[str, Any] = {
        name: Choice([group[0] for group in groups], when=space.conditions(name))
        for name, groups in kinds.items()
    }
    points = Points(Space(some))
    return None if points.size > MOST_TRIED else list(points)


def _parted(point: Point, kinds: Mapping[str, Sequence[Sequence[Scalar]]]) -> tuple[Point, Point]:
    """What is told apart, and the rest: numbers that stand for all numbers."""
    words = {name: value for name, value in point.items() if len(kinds[name]) > 1 or _is_word(value)}
    return words, {name: value for name, value in point.items() if name not in words}


def _is_word(value: Scalar) -> bool:
    return isinstance(value, bool | str | None)


def _rules(points: Sequence[Point], failed: Sequence[str | None]) -> list[tuple[Point, str]]:
    """The fewest values that always fail together, such that every point that failed has some of them."""
    found: list[tuple[Point, str]] = []
    for point, why in zip(points, failed, strict=True):
        if why is not None and not any(_has(point, rule) for rule, _ in found):
            found.append((_least(point, points, failed), why))
    return found


def _least(point: Point, points: Sequence[Point], failed: Sequence[str | None]) -> Point:
    for size in range(1, min(len(point), 4)):
        for names in itertools.combinations(point, size):
            rule = {name: point[name] for name in names}
            if all(why is not None for other, why in zip(points, failed, strict=True) if _has(other, rule)):
                return rule
    return point


def _has(point: Point, rule: Point) -> bool:
    return all(name in point and same(point[name], value) for name, value in rule.items())


def _spread(
    rules: Sequence[tuple[Point, str]], kinds: Mapping[str, Sequence[Sequence[Scalar]]]
) -> Iterator[tuple[Point, str]]:
    """Rules for every value that one stood for."""
    for rule, why in rules:
        meant = [
            next(group for group in kinds[name] if same(group[0], value)) for name, value in rule.items()
        ]
        for values in itertools.product(*meant):
            yield dict(zip(rule, values, strict=True)), why


def _summed(
    space: Space, total: int | None, levels: int | None, rules: Sequence[tuple[Point, str]], checked: bool
) -> Count:
    found: list[Invalid] = []
    left = total
    skip: list[Point] = []
    for rule, why in rules[:MOST_RULES]:
        listed = all(isinstance(space[name], Choice | Const) for name in rule)
        after = _size(space, levels, [*skip, rule]) if listed else left
        n = 0 if left is None or after is None else left - after
        if listed:
            skip.append(rule)
        found.append(Invalid(rule, why, n))
        left = after
    return Count(total, left, tuple(found), checked and len(rules) <= MOST_RULES)


# --- who answers -------------------------------------------------------------------------------


@dataclass(slots=True)
class _Known:
    """Answers that were given, the latest last."""

    answers: OrderedDict[str, Count] = field(default_factory=OrderedDict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, asked: str) -> Count | None:
        with self.lock:
            if asked in self.answers:
                self.answers.move_to_end(asked)
            return self.answers.get(asked)

    def keep(self, asked: str, count: Count) -> None:
        with self.lock:
            self.answers[asked] = count
            while len(self.answers) > KEPT:
                self.answers.popitem(last=False)


@dataclass(slots=True)
class _Process:
    """The process of `trying`, which is kept for the next question; one at a time."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    child: subprocess.Popen[bytes] | None = None
    born: float = 0.0

    def warm(self) -> None:
        with self.lock:
            self._start()

    def ask(self, question: str) -> dict[str, Any] | None:
        """The answer; None where there was none in time."""
        with self.lock:
            child = self._start()
            assert child.stdin is not None
            assert child.stdout is not None
            try:
                child.stdin.write(question.encode() + b"\n")
                child.stdin.flush()
                line = _line(child.stdout.fileno(), default_timer() + SECONDS + GRACE_SECONDS)
                told: dict[str, Any] = json.loads(line)
            except (OSError, ValueError):
                self._end()
                return None
            return told

    def _start(self) -> subprocess.Popen[bytes]:
        if self.child is not None and (
            self.child.poll() is not None or default_timer() - self.born > LIFE_SECONDS
        ):
            self._end()
        if self.child is None:
            self.child = subprocess.Popen(
                [sys.executable, "-P", "-m", "luthier.studio.drafts.trying"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
                start_new_session=True,
            )
            self.born = default_timer()
        return self.child

    def _end(self) -> None:
        child, self.child = self.child, None
        if child is None:
            return
        assert child.stdin is not None
        assert child.stdout is not None
        with suppress(OSError):
            child.stdin.close()  # which an idle one takes as its end, and leaves no folder behind
        try:
            child.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        child.stdout.close()

    def close(self) -> None:
        child = self.child
        if child is not None and self.lock.locked():
            child.kill()  # whoever waits for an answer need not wait longer
        with self.lock:
            self._end()


def _line(pipe: int, until: float) -> bytes:
    """A line from a pipe; raises TimeoutError, or ValueError where it ends before."""
    read = bytearray()
    while not read.endswith(b"\n"):
        if not select.select([pipe], [], [], max(0.0, until - default_timer()))[0]:
            raise TimeoutError
        part = os.read(pipe, 65536)
        if not part:
            raise ValueError("the process has ended")
        read += part
    return bytes(read)


_known = _Known()
_process = _Process()
atexit.register(close)
