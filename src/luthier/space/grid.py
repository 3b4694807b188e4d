"""Points: all points of a space as a sequence, numbered without being made.

Each point is a number in a mixed radix: every active parameter is a digit, and a parameter that exists under
conditions has a digit only where they hold. So only valid points are counted, none twice, and a grid of 10^12 points
costs no more than one of ten.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

from luthier.errors import InvalidParams, InvalidSpace, did_you_mean
from luthier.space.parameters import Int, Scalar, When
from luthier.space.space import Space

_Seen = frozenset[tuple[str, int]]
"""Which kind of value each parameter has that others still depend on; absent where it does not exist."""


def size(space: Space) -> int | None:
    """How many distinct points the space has; None where there is no end of them."""
    if any(parameter.size is None for parameter in space.values()):
        return None
    return Points(space).size


class Points(Sequence[dict[str, Scalar]]):
    """Every point of `space`, with a continuous Float at `levels` values spread over its scale.

    An Int with more than twice `levels` values is thinned out to that many, but keeps those that conditions ask
    for. Without
    `levels` nothing is thinned out, and a continuous Float raises InvalidSpace. Points that have all the values of a mapping
    in `skip` are left out; they have no number. `size` is the number of points as an
    int of any size; `len` fails, as for a range, above 2^63.
    """

    def __init__(
        self, space: Space, levels: int | None = None, skip: Sequence[Mapping[str, Scalar]] = ()
    ) -> None:
        if levels is not None and levels < 1:
            raise InvalidSpace(f"levels is {levels}. Use at least 1.")
        self.space = space
        self.levels = levels
        rules = [_rule(space, given) for given in skip]
        names = _families(space)
        self._blocks = {name: _blocks(space, name, levels, rules) for name in space}
        self._digits = tuple(_digit(space, name, self._blocks) for name in names)
        self._refused: list[list[int]] = [
            [] for _ in names
        ]  # the rules that come true at this place, if at all
        asking: dict[str, int] = {}  # the last place at which it matters which kind of value a parameter has
        for place, digit in enumerate(self._digits):
            asking |= dict.fromkeys(digit.parents, place)
        for number, rule in enumerate(rules):
            last = max(names.index(name) for name in rule)
            self._refused[last].append(number)
            asking |= {name: max(last, asking.get(name, -1)) for name in rule}
        self._rules = rules
        self._last_use = {name: asking.get(name, -1) for name in space}
        self._counts = self._counted()
        self.size = self._counts[0][frozenset()]

    def __len__(self) -> int:
        return self.size

    @overload
    def __getitem__(self, index: int) -> dict[str, Scalar]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Scalar]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Scalar] | list[dict[str, Scalar]]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self.size))]
        rest = index + self.size if index < 0 else index
        if not 0 <= rest < self.size:
            raise IndexError(f"point {index} of a grid of {self.size}")
        params: dict[str, Scalar] = {}
        seen: _Seen = frozenset()
        for place, digit in enumerate(self._digits):
            if not self.space.exists(digit.name, params):
                seen = self._after(place, seen, None)
                continue
            for kind, block in enumerate(digit.blocks):
                if self._refuses(place, seen, kind):
                    continue
                after = self._after(place, seen, kind)
                below = self._counts[place + 1][after]
                if rest < block.size * below:
                    params[digit.name] = block.nth(rest // below)
                    rest, seen = rest % below, after
                    break
                rest -= block.size * below
        return {name: params[name] for name in self.space if name in params}

    def _counted(self) -> list[dict[_Seen, int]]:
        """For each place, and whatever may have been seen before it, the number of ways to fill the digits from there."""
        reached: list[set[_Seen]] = [{frozenset()}]
        for place in range(len(self._digits)):
            reached.append(
                {self._after(place, seen, kind) for seen in reached[-1] for kind in self._ways(place, seen)}
            )
        counts: list[dict[_Seen, int]] = [{frozenset(): 1}]
        for place, digit in reversed(list(enumerate(self._digits))):
            below = counts[0]
            here = {
                seen: sum(
                    digit.choices(kind) * below[self._after(place, seen, kind)]
                    for kind in self._ways(place, seen)
                )
                for seen in reached[place]
            }
            counts.insert(0, here)
        return counts

    def _ways(self, place: int, seen: _Seen) -> Sequence[int | None]:
        ways = self._digits[place].ways(seen)
        if not self._refused[place]:
            return ways
        return [kind for kind in ways if kind is None or not self._refuses(place, seen, kind)]

    def _refuses(self, place: int, seen: _Seen, kind: int) -> bool:
        """Whether a point with this kind of value at that place, and what was seen before it, is to be skipped."""
        if not self._refused[place]:
            return False
        known = {**dict(seen), self._digits[place].name: kind}
        return any(
            all(
                name in known and ("", number) in self._blocks[name][known[name]].meets
                for name in self._rules[number]
            )
            for number in self._refused[place]
        )

    def _after(self, place: int, seen: _Seen, kind: int | None) -> _Seen:
        now = seen if kind is None else seen | {(self._digits[place].name, kind)}
        return frozenset((name, k) for name, k in now if self._last_use[name] > place)


@dataclass(frozen=True)
class _Block:
    """Values that mean the same to every condition, which are those in `meets`: (name, number of its condition); or no name, and
    the number of a rule of what to skip.
    """

    size: int
    nth: Callable[[int], Scalar]
    meets: frozenset[tuple[str, int]]


@dataclass(frozen=True)
class _Digit:
    """A parameter's values in blocks; `parents` says for each parent in which of its blocks this parameter exists."""

    name: str
    blocks: tuple[_Block, ...]
    parents: dict[str, set[int]]

    def ways(self, seen: _Seen) -> Sequence[int | None]:
        """The numbers of the blocks to choose from; only None where the parameter does not exist."""
        known = dict(seen)
        exists = all(known.get(parent) in blocks for parent, blocks in self.parents.items())
        return range(len(self.blocks)) if exists else (None,)

    def choices(self, kind: int | None) -> int:
        return 1 if kind is None else self.blocks[kind].size


def _digit(space: Space, name: str, blocks: dict[str, tuple[_Block, ...]]) -> _Digit:
    parents: dict[str, set[int]] = {}
    for number, condition in enumerate(space.conditions(name)):
        meeting = {k for k, block in enumerate(blocks[condition.parent]) if (name, number) in block.meets}
        parents[condition.parent] = parents.get(condition.parent, meeting) & meeting
    return _Digit(name, blocks[name], parents)


def _rule(space: Space, given: Mapping[str, Scalar]) -> dict[str, When]:
    """What is to be skipped, as a condition on each of its parameters."""
    if not given:
        raise InvalidSpace("a point to skip has no values, so every point would be skipped. Leave it out.")
    for name, value in given.items():
        if name not in space:
            raise InvalidSpace(f"{name!r} in skip is no parameter of the space.{did_you_mean(name, space)}")
        try:
            space[name].check(value)
        except InvalidParams as error:
            raise InvalidSpace(f"parameter {name!r} in skip {error}.") from None
    return {name: When(name, (value,)) for name, value in given.items()}


def _blocks(
    space: Space, name: str, levels: int | None, rules: Sequence[Mapping[str, When]]
) -> tuple[_Block, ...]:
    parameter = space[name]
    asked = {
        (child, number): condition
        for child in space
        for number, condition in enumerate(space.conditions(child))
        if condition.parent == name
    }
    asked |= {("", number): rule[name] for number, rule in enumerate(rules) if name in rule}
    if levels is None and parameter.size is None:
        raise InvalidSpace(
            f"parameter {name!r} is continuous: {parameter!r}. Say with how many levels, or give a step."
        )
    listed: Sequence[Scalar] | None = None
    if levels is not None and (parameter.size is None or isinstance(parameter, Int)):
        listed = parameter.grid(levels)
    thinned = listed is not None and len(listed) != parameter.size
    if not asked and not thinned:
        return (_Block(parameter.size or 0, parameter.nth, frozenset()),)
    values = listed if listed is not None else parameter.grid(parameter.size or 1)
    if thinned and isinstance(parameter, Int):
        wanted = {
            value
            for (child, _), condition in asked.items()
            for value in condition.values
            if child and isinstance(value, int)
        }
        values = sorted({*(value for value in values if isinstance(value, int)), *wanted})
    groups: dict[frozenset[tuple[str, int]], list[Scalar]] = {}
    for value in values:
        meets = frozenset(key for key, condition in asked.items() if condition.holds({name: value}))
        groups.setdefault(meets, []).append(value)
    return tuple(_Block(len(group), group.__getitem__, meets) for meets, group in groups.items())


def _families(space: Space) -> list[str]:
    """The names, parents before children, and each followed at once by what depends on it: the fewer families are
    open at a time, the fewer states there are to count.
    """
    order: dict[str, None] = {}

    def place(name: str) -> None:
        if name not in order and all(condition.parent in order for condition in space.conditions(name)):
            order[name] = None
            for child in children[name]:
                place(child)

    children: dict[str, list[str]] = {name: [] for name in space}
    for name in space:
        for condition in space.conditions(name):
            children[condition.parent].append(name)
    for name in space:
        place(name)
    return list(order)
