"""What a draft comes to: combinations, fits, time and disk."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from luthier.errors import LuthierError
from luthier.files import size
from luthier.space import Int
from luthier.studio.drafts import counting, estimate
from luthier.studio.drafts.counting import Count
from luthier.studio.drafts.draft import Draft
from luthier.studio.words import say
from luthier.summary import duration

MANY_FITS = 1_000
LONG_SECONDS = 3600.0
AT_HAND = 64
WAIT_SECONDS = 0.15
"""So long an answer waits for the estimator to be asked which combinations it takes; after that the page asks again."""
PATIENCE_SECONDS = 20.0
FILE = "study.toml"


@dataclass(frozen=True, slots=True)
class Reckoning:
    """What a draft comes to. `trials` is how many are tried, None where something else than a number ends the study; `pending` says
    that the estimator is still being asked which combinations it takes.
    """

    count: Count
    trials: int | None
    folds: int
    refits: int | None
    pending: bool = False
    fit_seconds: float | None = None
    seconds: tuple[float, float] | None = None
    bytes: tuple[float, float] | None = None
    trouble: str | None = None

    @property
    def fits(self) -> int | None:
        """How many fits the trials take at most."""
        return None if self.trials is None else self.trials * self.folds

    @property
    def large(self) -> str | None:
        """Why one might think twice; None where there is no need."""
        if self.seconds is not None and self.seconds[1] > LONG_SECONDS:
            return say("drafts.large.time", time=duration(LONG_SECONDS))
        if self.fits is not None and self.fits > MANY_FITS:
            return say("drafts.large.fits", fits=f"{self.fits:,}")
        return None

    def study(self, draft: Draft) -> dict[str, Any]:
        """The study file: of a grid, with what is left out of it."""
        given = dict(draft.given)
        if draft.whole and draft.space is not None:
            options: dict[str, Any] = {}
            widest = max((p.size for p in draft.space.values() if isinstance(p, Int)), default=0)
            if widest > 10:
                options["levels"] = -(
                    -widest // 2
                )  # a grid takes all of a range that has at most twice as many values
            if self.count.skip:
                options["skip"] = self.count.skip
            if options:
                given["algorithm"] = {"name": "grid", **options}
            if self.trials:  # it ends by itself then, but so the study knows how far it is
                given["budget"] = {**draft.given.get("budget", {}), "trials": self.trials}
        return given


class Reckonings:
    """Reckonings of drafts, and what was measured for them. `workers` is how many trials run at once where a draft does not say."""

    def __init__(self, workers: int = 1) -> None:
        self._workers = workers
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(1, "luthier-count")
        self._asked: OrderedDict[str, Future[Count]] = OrderedDict()
        self._measured: OrderedDict[str, estimate.Measured | str] = OrderedDict()

    def of(self, draft: Draft, wait: float = WAIT_SECONDS) -> Reckoning:
        """What it comes to, as far as that is known after so many seconds."""
        count, pending = self._count(draft, wait)
        trials = _trials(draft, count.valid)
        models = _refits(draft)
        found = Reckoning(count, trials, draft.folds, models, pending)
        measured = self._measured.get(_key(draft))
        if isinstance(measured, str):
            return replace(found, trouble=measured)
        if measured is None:
            return found
        spread = _spread(draft)
        workers = int(draft.given.get("workers", self._workers))
        seconds = None if found.fits is None else estimate.estimate(found.fits, measured, workers, spread)
        saved = models if models is not None else trials
        kept = None if not saved else estimate.disk(measured, saved, spread)
        return replace(found, fit_seconds=measured.fit_seconds, seconds=seconds, bytes=kept)

    def _count(self, draft: Draft, wait: float) -> tuple[Count, bool]:
        if draft.space is None or draft.entry is None:
            return Count(draft.size, draft.size), False
        kind = "classification" if draft.entry.kind == "classifier" else "regression"
        task = draft.task
        classes = len(task.classes) if task is not None and task.classes is not None else 2
        arguments: dict[str, Any] = {"data_kind": kind, "classes": max(2, min(classes, 10))}
        about = draft.entry.path, dict(draft.fixed), draft.space
        key = repr((about, sorted(arguments.items())))
        asked = self._ask(key, lambda: counting.combinations(*about, **arguments))
        with suppress(NotYet, CancelledError):
            return asked.result(wait), False
        return counting.combinations(*about, **arguments, check=False), True

    def _ask(self, key: str, question: Callable[[], Count]) -> Future[Count]:
        """What was asked, or is asked now: nobody waits any more for what was not begun yet."""
        with self._lock:
            asked = self._asked.get(key)
            if asked is None:
                for other, waiting in list(self._asked.items()):
                    if waiting.cancel():
                        del self._asked[other]
                asked = self._asked[key] = self._pool.submit(question)
            while len(self._asked) > AT_HAND:
                self._asked.popitem(last=False)
            self._asked.move_to_end(key)
            return asked

    def measure(self, draft: Draft, home: Path) -> None:
        """Fit the default once, in a process of its own; what comes of it is in the next reckoning."""
        found: estimate.Measured | str
        try:
            found = estimate.measure(self.of(draft).study(draft), home / FILE)
        except LuthierError as error:
            found = str(error)
        with self._lock:
            self._measured[_key(draft)] = found
            while len(self._measured) > AT_HAND:
                self._measured.popitem(last=False)


def _key(draft: Draft) -> str:
    """What a measurement is of: everything that a fit at the defaults depends on."""
    about = ("estimator", "data", "target", "preprocess", "params", "cv", "holdout")
    return json.dumps([draft.given.get(name) for name in about], default=repr)


def _spread(draft: Draft) -> tuple[float, float]:
    if draft.space is None or draft.entry is None:
        return estimate.ROUGH
    return estimate.spread(draft.entry.path, draft.fixed, draft.space)


def _trials(draft: Draft, valid: int | None) -> int | None:
    said = cast("int | None", cast("Mapping[str, Any]", draft.given.get("budget", {})).get("trials"))
    if draft.whole and valid is not None:
        return valid if said is None else min(valid, said)
    return said


def _refits(draft: Draft) -> int | None:
    """How many models are fitted anew at the end; None where nobody can say."""
    models = cast("Mapping[str, Any]", draft.given.get("models", {}))
    return None if models.get("all") else cast("int", models.get("best", 1))


def size_text(sizes: tuple[float, float]) -> str:
    """Bytes, at least and at most, in words; two digits, since they are an estimate."""
    low, high = (size(float(f"{number:.2g}")) for number in sizes)
    return low if low == high else f"{low} – {high}"
