"""The studies of a store as the studio sees them: columns kept up to date, whole trials fetched a page at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from luthier import api
from luthier.analysis.filtering import Filter, parse
from luthier.clock import Clock, SystemClock
from luthier.engine.identity import is_gone
from luthier.errors import LuthierError, StoreError, StoreUnavailable, StudyNotFound, did_you_mean
from luthier.files import StudyFiles, folder_of, opened
from luthier.space import Params
from luthier.store.base import Store, StudyRow
from luthier.store.url import home, open_store, place
from luthier.studio.columns import Columns, Numbers
from luthier.study import State, StudySpec, Trial
from luthier.study.remarks import Remarks
from luthier.summary import Standing, Summary, describe, is_at_work, standing

AT_ONCE = 10_000
"""So many trials are read at a time: few enough to hold in memory beside all else."""
AT_A_TIME = 5_000
"""Parameters are read by so many trials, so that nobody else waits for long."""
IN_WORDS = 2_000
"""Up to so many trials a study is described in full, by models that take all of them."""
AT_HAND = 8
"""So many studies are kept whole, with all their trials, to be described again when they change."""
PATIENCE = 5.0
"""The least number of seconds between two descriptions of a study that runs."""


class TooMany(Exception):
    """The study has too many trials for what was asked."""


@contextmanager
def _reading() -> Iterator[None]:
    """Whoever wrote a store may have meant harm: where there is something that Luthier does not write, that is said."""
    try:
        yield
    except LuthierError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        why = f"{type(error).__name__}: {str(error)[:200]}"
        raise StoreError(
            f"this study cannot be read: its store holds what Luthier does not write there ({why}). Was it changed, or is it damaged?"
        ) from error


class Shown:
    """One study: what is known of it as of the last `refresh`. Any thread may ask."""

    @_reading()
    def __init__(self, store: Store, name: str, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.RLock()
        self._learning = threading.Lock()
        self._best: tuple[int, Trial | None] = (-1, None)
        self._remarks: tuple[int, Remarks] = (-1, Remarks())
        self.name = name
        self.spec: StudySpec = store.spec(name)
        self.row: StudyRow = store.study(name)
        self.columns = Columns(self.spec.problem, self.spec.budget.currency)

    @_reading()
    def refresh(self, cursor: int | None) -> bool:
        """Take in what changed since the last time, if the study's `cursor` is another now; whether it is."""
        with self._lock:
            if cursor == self.columns.cursor:
                return False
            spec, row = self._store.spec(self.name), self._store.study(self.name)
            if row.created != self.row.created:
                raise StudyNotFound(f"study {self.name!r} was deleted, and made anew.")
            self.spec, self.row = spec, row
            # Trials that change while these are read are read again next time: their cursor is later than this one.
            cursor = self.row.seq
            for low in range(0, max(1, sum(self.row.counts.values())), AT_ONCE):
                self.columns.merge(self._store.brief(self.name, self.columns.cursor, low, low + AT_ONCE))
            self.columns.cursor = cursor
            return True

    @_reading()
    def learn(self) -> None:
        """Take in the parameters of the trials that are known without them."""
        with self._learning:
            while (low := self.columns.known) < (until := len(self.columns)):
                self.columns.learn(self._store.params(self.name, low, min(until, low + AT_A_TIME)))

    # --- where it stands: what `luthier.summary.standing` asks for ------------------------------

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def counts(self) -> Mapping[State, int]:
        """Trials by state."""
        return self.columns.counts

    @property
    def ended(self) -> int:
        """How many trials ended."""
        return sum(n for state, n in self.counts.items() if state.ended)

    def best(self) -> Trial | None:
        """The best trial that was seen, of those that lie in the space."""
        with self._lock:
            if self._best[0] != self.columns.cursor:
                self._best = (self.columns.cursor, self._find_best())
            return self._best[1]

    def _find_best(self) -> Trial | None:
        order, allows = self.columns.order, self.spec.problem.space.allows
        for start in range(0, len(order), 50):
            for trial in self.trials([int(n) for n in order[start : start + 50]]):
                if allows(trial.params):
                    return trial
        return None

    def cost(self, currency: str, now: float) -> float:
        """What the trials cost so far, in the currency of the budget."""
        return self.columns.cost(now)

    @property
    def standing(self) -> Standing:
        """Where the study stands now."""
        now = self._clock.now()
        row = self.row
        if is_at_work(
            row, now
        ):  # or was, a moment ago: a process of this machine that is no more need not be waited for
            holders = self._store.workers(self.name)
            if holders and all(map(is_gone, holders)):
                row = replace(row, active=0.0)
        return standing(self.spec, self, row, now)

    # --- whole trials ----------------------------------------------------------------------------

    @_reading()
    def trials(self, numbers: Sequence[int]) -> list[Trial]:
        """Those trials, whole."""
        return self._store.trials(self.name, numbers)

    def trial(self, number: int) -> Trial:
        """One trial; raises StudyNotFound where there is none."""
        for trial in self.trials([number]) if 0 <= number < 2**31 else []:
            return trial
        raise StudyNotFound(f"study {self.name!r} has no trial {number}; it has {len(self)}.")

    @_reading()
    def params(self, low: int, high: int) -> Sequence[Params]:
        """The parameters of trials `low` to `high`, the latter left out."""
        return self._store.params(self.name, low, high)

    @_reading()
    def metrics(self) -> list[str]:
        """Every metric that was measured at the end of a trial, in the order in which they were."""
        found: dict[str, None] = {}
        for low in range(0, len(self), AT_ONCE):
            for brief in self._store.brief(self.name, 0, low, low + AT_ONCE):
                found.update(dict.fromkeys(brief.metrics))
        return list(found)

    @_reading()
    def facts(self) -> Mapping[str, object]:
        """What was found out about the study besides its trials."""
        return self._store.facts(self.name)

    @property
    def remarks(self) -> Remarks:
        """What people say about the study and its trials; read once after each change."""
        with self._lock:
            if self._remarks[0] != self.columns.cursor:
                self._remarks = (self.columns.cursor, Remarks.of(self.facts()))
            return self._remarks[1]


def read_filter(shown: Shown, text: str) -> Filter:
    """A filter of this study's trials. Raises InvalidFilter."""
    return parse(text, shown.spec.problem, shown.columns.metrics)


def filtered(shown: Shown, text: str) -> Numbers:
    """The trials that a filter means, by number. Raises InvalidFilter."""
    columns, found = shown.columns, read_filter(shown, text)
    if found.asks_params:
        shown.learn()
    with columns.still:
        columns.tags = shown.remarks.by_tag if found.asks_tags else {}
        return np.flatnonzero(found.mask(columns))


@dataclass(slots=True)
class _Told:
    """What was said of a study in words, and as of when."""

    study: api.Study
    of: Shown
    cursor: int = -1
    until: float = 0.0
    summary: Summary | None = None


class Shelf:
    """All studies of one store, opened to look at; each is read once and then followed."""

    def __init__(self, url: str | None, clock: Clock | None = None) -> None:
        self.url = url
        self.clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._store: Store | None = None
        self._file: tuple[int, int] | None = None
        self._shown: dict[str, Shown] = {}
        self._told: dict[str, _Told] = {}
        self._telling = threading.Lock()

    @property
    def home(self) -> Path:
        """The folder beside the store."""
        return home(self.url)

    def store(self) -> Store:
        """The store; raises StudyNotFound while there is none."""
        with self._lock:
            file = _file(self.url)
            if (
                self._store is not None and file != self._file
            ):  # another file by now: the old one would be shown for ever
                self._store.close()
                self._store = None
                self._shown.clear()
            if self._store is None:
                self._store, self._file = open_store(self.url, readonly=True, clock=self.clock), file
            return self._store

    @contextmanager
    def writing(self) -> Iterator[Store]:
        """The store, opened to change something."""
        self.store()  # nothing is made where nothing was
        opened = open_store(self.url, clock=self.clock)
        try:
            yield opened
        finally:
            opened.close()

    def names(self) -> dict[str, int]:
        """The cursor of every study; empty where there is no store yet."""
        try:
            return self.store().cursors()
        except StudyNotFound:
            return {}

    def study(self, name: str) -> Shown:
        """A study as it is now; raises StudyNotFound."""
        return self._study(name, self.names())

    def _study(self, name: str, cursors: Mapping[str, int]) -> Shown:
        if name not in cursors:
            self._forget(name)
            raise StudyNotFound(
                f"there is no study {name!r} in {place(self.url)}.{did_you_mean(name, cursors)}"
            )
        shown = self._shown.get(name) or self._make(name)
        try:
            shown.refresh(cursors[name])
        except StudyNotFound:  # it was deleted; if there is another one of that name, that is meant
            self._forget(name)
            shown = self._make(name)
            shown.refresh(cursors[name])
        return shown

    def _make(self, name: str) -> Shown:
        made = Shown(self.store(), name, self.clock)
        with self._lock:
            return self._shown.setdefault(name, made)

    def studies(self) -> list[Shown]:
        """Every study, the latest first. One that was deleted meanwhile is left out."""
        cursors, found = self.names(), []
        for name in cursors:
            with suppress(StudyNotFound):
                found.append(self._study(name, cursors))
        return sorted(found, key=lambda shown: (-shown.row.created, shown.name))

    def _forget(self, name: str) -> None:
        with self._lock:
            self._shown.pop(name, None)

    def files(self, name: str) -> StudyFiles:
        """The files of a study's trials."""
        return StudyFiles(folder_of(self.home, "work", name))

    def log(self, name: str, trial: Trial, most: int, after: int = 0) -> tuple[str, int] | None:
        """The end of what a trial printed, after so many bytes, and how many bytes that is in all; None where it printed nothing."""
        folder = folder_of(self.home, "work", name)
        path = folder / str(trial.number) / str(max(trial.attempt, 1)) / "output.log"
        try:
            with opened(path, folder) as file:
                size = file.seek(0, 2)
                file.seek(min(size, max(after, size - most)))
                return file.read(most).decode(errors="replace"), size
        except OSError:
            return None

    def in_words(self, name: str) -> Summary:
        """What `luthier show` says of a study; while it runs, some seconds old, so that saying it takes a tenth of a core at most.

        Raises TooMany for a study with too many trials: this fits models to all of them.
        """
        shown = self.study(name)
        if len(shown) > IN_WORDS:
            raise TooMany
        with self._telling:  # one at a time
            told = self._told.pop(name, None)
            if told is None or told.of is not shown:
                told = _Told(api.load(name, self.url), shown)
            self._told[name] = told  # the latest last
            while len(self._told) > AT_HAND:
                self._told.pop(next(iter(self._told))).study.close()
            now = self.clock.now()
            if told.summary is None or (told.cursor != shown.columns.cursor and now >= told.until):
                told.cursor, told.study.spec = shown.columns.cursor, shown.spec
                told.summary = describe(told.study, store=self.url)
                took = self.clock.now() - now
                told.until = now + took + max(PATIENCE, 9 * took)
            return told.summary

    def close(self) -> None:
        """Let go of the store."""
        with self._lock:
            if self._store is not None:
                self._store.close()
        for told in self._told.values():
            with suppress(StoreUnavailable):
                told.study.close()


def _file(url: str | None) -> tuple[int, int] | None:
    """Which file a store is; None where there is none, or it is on a server."""
    try:
        found = Path(place(url)).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
