"""What the page of a trial has besides what happened: its files, the trials nearest to it, what people say of it."""

from __future__ import annotations

import math
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from luthier.analysis.table import number as written
from luthier.files import is_within, size
from luthier.space import Choice, Parameter, Scalar
from luthier.studio.looking import Shelf, Shown
from luthier.studio.words import say
from luthier.study import Trial
from luthier.summary import plural, setting, shortened

Floats = NDArray[np.float64]
NEAREST = 5
MOST_FILES = 200
MOST_DIFFERENCES = 4


# --- files -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that a trial handed over: its name within the trial's artifacts, with / between folders, and how large it is."""

    name: str
    path: Path
    bytes: int

    @property
    def size(self) -> str:
        """For people."""
        return size(self.bytes)


def artifacts(shelf: Shelf, study: str, number: int) -> list[Kept]:
    """The files among a trial's artifacts, in order, at most so many. What is a link, a pipe or a device is none of them: it could lead
    anywhere.
    """
    files, found = shelf.files(study), list[Kept]()
    for path in files[number].artifacts.values():
        if not is_within(path.parent, files.root):
            return []
        for file in _files(path):
            found.append(Kept(file.relative_to(path.parent).as_posix(), file, file.lstat().st_size))
            if len(found) == MOST_FILES:
                return found
    return found


def _files(path: Path) -> Iterator[Path]:
    try:
        mode = path.lstat().st_mode
        inner = sorted(path.iterdir()) if stat.S_ISDIR(mode) else []
    except OSError:  # it is being replaced
        return
    if stat.S_ISREG(mode):
        yield path
    for each in inner:
        yield from _files(each)


def files(shelf: Shelf, study: str, number: int) -> dict[str, Any] | None:
    """The checkpoints and artifacts of a trial, for its page; None where it has none."""
    kept, listed = shelf.files(study)[number], artifacts(shelf, study, number)
    if not kept.checkpoints and not kept.artifacts:
        return None
    return {
        "total": size(kept.bytes),
        "checkpoints": [
            say("trial.checkpoint", attempt=found.attempt)
            if found.step is None
            else say("trial.checkpoint.step", step=f"{found.step:,}", attempt=found.attempt)
            for found in kept.checkpoints[-MOST_FILES:]
        ],
        "artifacts": listed,
        "part": len(listed) == MOST_FILES,
    }


# --- the nearest -------------------------------------------------------------------------------


def nearest(shown: Shown, number: int) -> dict[str, Any]:
    """The trials with a value whose parameters are the most like those of this one, and how they differ."""
    shown.learn()
    found, columns, objective = shown.trial(number), shown.columns, shown.spec.problem.objective
    with columns.still:
        known = min(columns.known, len(columns))
        apart = np.zeros(known)
        for name in columns.varying:
            apart += _apart(shown.spec.problem.space[name], columns.param(name)[:known], number)
        apart[~np.isfinite(columns.values[:known])] = math.inf
        if number < known:
            apart[number] = math.inf
        order = np.lexsort((np.arange(known), apart))[:NEAREST]
        numbers = [int(i) for i in order if math.isfinite(apart[i])]
    here = found.metrics.get(objective.metric, math.nan)
    return {
        "rows": [_near(found, other, objective.metric, here) for other in shown.trials(numbers)],
        "metric": objective.metric,
    }


def _apart(parameter: Parameter, values: Floats, number: int) -> Floats:
    """How far each value is from that of the trial, from 0 to 1 (Gower's distance); 1 where only one of the two has a value."""
    if number >= len(values):
        return np.zeros(len(values))
    if isinstance(parameter, Choice):
        differ = (values != values[number]) & ~(np.isnan(values) & np.isnan(values[number]))
        return np.asarray(differ, np.float64)
    log = getattr(parameter, "log", False)
    with np.errstate(all="ignore"):
        scaled = np.log(values) if log is True else np.log1p(-values) if log == "reverse" else values
        low, high = (
            (float(end) for end in (np.nanmin(scaled), np.nanmax(scaled)))
            if np.isfinite(scaled).any()
            else (0.0, 0.0)
        )
        far = (
            np.abs(scaled - scaled[number]) / (high - low)
            if math.isfinite(high - low) and high > low
            else np.zeros(len(values))
        )
    missing = np.isnan(scaled)
    alone = (missing != missing[number]).astype(np.float64)
    return np.asarray(np.where(missing | missing[number], alone, far))


def _near(found: Trial, other: Trial, metric: str, here: float) -> dict[str, Any]:
    names = dict.fromkeys([*found.params, *other.params])
    differ = [name for name in names if not _same(found.params.get(name), other.params.get(name))]
    said = ", ".join(
        f"{name} {shortened(setting(other.params[name]), 40) if name in other.params else say('none')}"
        for name in differ[:MOST_DIFFERENCES]
    )
    more = len(differ) - MOST_DIFFERENCES
    return {
        "number": other.number,
        "score": written(other.metrics[metric]),
        "change": f"{other.metrics[metric] - here:+.3g}" if math.isfinite(here) else say("none"),
        "differs": (f"{said}, {say('trial.near.more', n=plural(more, 'other'))}" if more > 0 else said)
        or say("trial.near.same"),
    }


def _same(a: Scalar | None, b: Scalar | None) -> bool:
    return type(a) is type(b) and repr(a) == repr(b)


# --- what people say ---------------------------------------------------------------------------


def remarks(shown: Shown, number: int) -> dict[str, Any]:
    """The note and the tags of a trial, and the tags that others have."""
    said = shown.remarks
    tags = sorted(said.tags.get(number, ()))
    return {
        "note": said.notes.get(number, ""),
        "tags": tags,
        "other_tags": [tag for tag in said.by_tag if tag not in tags][:50],
    }
