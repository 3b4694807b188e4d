"""Which rows train and which test, in every fold; which are locked away; and splits as text, as a study keeps them."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from luthier.errors import InvalidStudy

Indices = NDArray[np.int32]
Splits = tuple[tuple[Indices, Indices], ...]


def split(
    cv: Any, y: Any, groups: Any, seed: int, classifier: bool, within: Indices | None = None
) -> tuple[Splits, str, bool]:
    """The splits of all rows, or of those `within`; what they are in words, and whether they would be others if made again.

    Raises InvalidStudy for a `cv` that is none, or that the rows do not allow.
    """
    rows = np.arange(len(y)) if within is None else within
    y, groups = np.asarray(y)[rows], None if groups is None else np.asarray(groups)[rows]
    splitter, words = _splitter(cv, len(rows), groups, seed, classifier)
    try:
        pairs, again = (list(splitter.split(np.zeros((len(rows), 1)), y, groups)) for _ in range(2))
    except ValueError as error:
        raise InvalidStudy(f"the data cannot be split as cv={cv!r} asks: {first_line(error)}.") from None
    if not pairs:
        raise InvalidStudy(f"cv={cv!r} gives no split. Give at least one pair of train and test rows.")
    by_chance = not all(np.array_equal(a[1], b[1]) for a, b in zip(pairs, again, strict=True))
    checked = (_checked(train, test, len(rows)) for train, test in pairs)
    return tuple((_of(rows, train), _of(rows, test)) for train, test in checked), words, by_chance


def locked(
    share: float, y: Any, groups: Any, seed: int, classifier: bool, cv: Any = None
) -> tuple[Indices, Indices]:
    """The rows to search on, and a `share` of them to be locked away: whole groups, if there are any, else the same share of
    every class; where `cv` goes by time, the last ones.
    """
    from sklearn.model_selection import GroupShuffleSplit, ShuffleSplit, StratifiedShuffleSplit

    if not 0 < share < 1:
        raise InvalidStudy(f"holdout is {share!r}. Use the share of the rows to lock away, such as 0.2.")
    if is_in_time(cv):
        first = len(y) - math.ceil(share * len(y))
        if first < 1:
            raise InvalidStudy(f"a share of {share:g} of {len(y)} rows leaves none to search on.")
        return np.arange(first, dtype=np.int32), np.arange(first, len(y), dtype=np.int32)
    kind = GroupShuffleSplit if groups is not None else StratifiedShuffleSplit if classifier else ShuffleSplit
    try:
        pairs = kind(1, test_size=share, random_state=seed).split(np.zeros((len(y), 1)), y, groups)
        kept, away = next(iter(pairs))
    except ValueError as error:
        raise InvalidStudy(
            f"a share of {share:g} of the rows cannot be locked away: {first_line(error)}."
        ) from None
    return np.sort(kept).astype(np.int32), np.sort(away).astype(np.int32)


def reshuffled(cv: Any, seed: int) -> Any:
    """The splitter with other folds of the same kind. Raises InvalidStudy for one that does not shuffle by nature, as those of
    time series and given pairs.
    """
    if not hasattr(cv, "random_state") or is_in_time(cv):
        raise InvalidStudy(f"{cv!r} has one way to split only, so nothing can be confirmed on fresh splits.")
    other = copy(cv)
    if hasattr(other, "shuffle"):
        other.shuffle = True
    other.random_state = seed
    return other


def is_in_time(cv: Any) -> bool:
    """Whether a splitter takes the rows to be in the order of time."""
    return type(cv).__name__ == "TimeSeriesSplit"


def _splitter(cv: Any, rows: int, groups: Any, seed: int, classifier: bool) -> tuple[Any, str]:
    from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

    if isinstance(cv, bool) or cv is None:
        raise InvalidStudy(
            f"cv is {cv!r}. Give a number of folds such as 5, a splitter, or pairs of indices."
        )
    if isinstance(cv, int | np.integer):
        if cv < 2:
            raise InvalidStudy(f"cv is {cv}. Cross-validation needs at least 2 folds.")
        if groups is not None and len(groups) != rows:
            raise InvalidStudy(f"there are {len(groups)} groups for {rows} rows. Give one group per row.")
        made = {
            (False, False): KFold,
            (False, True): StratifiedKFold,
            (True, False): GroupKFold,
            (True, True): StratifiedGroupKFold,
        }[groups is not None, classifier]
        kind = ("stratified " if classifier else "") + ("by groups, " if groups is not None else "")
        words = f"{cv}-fold {kind}".rstrip(", ")
        return made(n_splits=int(cv), shuffle=True, random_state=seed), f"{words}, shuffled with seed {seed}"
    if hasattr(cv, "split"):
        return cv, _in_words(cv)
    try:
        pairs = [(np.asarray(train), np.asarray(test)) for train, test in cv]
    except (TypeError, ValueError):
        raise InvalidStudy(
            f"cv is {cv!r}. Give a number of folds such as 5, a splitter, or pairs of train and test indices."
        ) from None
    return _Pairs(pairs), f"{len(pairs)} given splits"


def _in_words(cv: Any) -> str:
    """A splitter as people say it: one that keeps a share of the rows back once, else its repr on one line."""
    kinds = {"ShuffleSplit": "", "StratifiedShuffleSplit": "stratified, ", "GroupShuffleSplit": "by groups, "}
    kind, share = kinds.get(type(cv).__name__), getattr(cv, "test_size", None)
    seed = getattr(cv, "random_state", None)
    if (
        kind is None
        or getattr(cv, "n_splits", 0) != 1
        or not isinstance(share, float)
        or not isinstance(seed, int)
    ):
        return " ".join(repr(cv).split())
    return f"{100 * share:.4g}% of the rows kept back, {kind}drawn with seed {seed}"


def overlap(splits: Sequence[tuple[Any, Any]]) -> float:
    """How many test rows there are to a training row: 1/(K-1) for K folds."""
    return sum(len(test) for _, test in splits) / sum(len(train) for train, _ in splits)


def pack_splits(splits: Sequence[tuple[Any, Any]]) -> str:
    """Splits as text, as a study keeps them."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, *(part for split in splits for part in split))
    return base64.b64encode(buffer.getvalue()).decode()


def unpack_splits(packed: str) -> tuple[tuple[Indices, Indices], ...]:
    """The splits that `pack_splits` made text of."""
    with np.load(io.BytesIO(base64.b64decode(packed)), allow_pickle=False) as stored:
        parts = [stored[name] for name in stored.files]
    return tuple(zip(parts[::2], parts[1::2], strict=True))


class _Pairs:
    """Given index pairs, as a splitter."""

    def __init__(self, pairs: Sequence[tuple[Any, Any]]) -> None:
        self._pairs = pairs

    def split(self, X: Any, y: Any, groups: Any) -> Iterator[tuple[Any, Any]]:
        return iter(self._pairs)


def _checked(train: Any, test: Any, rows: int) -> tuple[Indices, Indices]:
    parts = []
    for part, name in ((np.asarray(train), "train"), (np.asarray(test), "test")):
        if part.dtype.kind == "b":
            part = np.flatnonzero(part)
        if part.size == 0:
            raise InvalidStudy(f"a split has no {name} rows. Give at least one on each side.")
        if part.dtype.kind not in "iu" or part.ndim != 1 or part.min() < 0 or part.max() >= rows:
            raise InvalidStudy(f"a split's {name} rows must be whole numbers from 0 to {rows - 1}.")
        parts.append(part.astype(np.int32))
    return parts[0], parts[1]


def _of(rows: Any, places: Indices) -> Indices:
    return np.asarray(rows[places], dtype=np.int32)


def first_line(error: BaseException) -> str:
    """What an error says, without its details and its full stop."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def part_of(rows: Indices, share: float, y: Any, seed: Sequence[int]) -> Indices:
    """Such a share of the rows, in random order: of each class in `y`, where there are classes, at least one. A larger share holds a
    smaller one.
    """
    order = rows[np.random.default_rng(seed).permutation(len(rows))]
    if y is None:
        return np.sort(order[: max(1, math.ceil(share * len(order)))])
    classes = np.unique(np.asarray(y)[order], return_inverse=True)[1]
    parts = [order[classes == one] for one in range(classes.max() + 1)]
    return np.sort(np.concatenate([part[: max(1, math.ceil(share * len(part)))] for part in parts]))
