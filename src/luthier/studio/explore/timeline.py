"""When trials ran: a lane for each place at which one can run, with a bar for each trial, or how busy the lanes were."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from luthier.analysis.course import lanes, without_breaks
from luthier.studio.columns import CODES, STATES, Floats, Numbers
from luthier.studio.explore.panel import Panel
from luthier.studio.looking import Shown
from luthier.studio.words import say
from luthier.study import State
from luthier.summary import duration, is_at_work, plural

BARS = 2_000
"""Up to so many trials in the window each is a bar."""
STRIP = 240
"""The strip has so many pieces."""
KEPT = 8
"""So many studies are kept in memory."""
FEW_LANES = 8
"""Of up to so many lanes it is said how busy each was."""
LANES = 40
"""More lanes are drawn together, some at a time."""


@dataclass(frozen=True, slots=True)
class Spans:
    """The trials that started, in that order, in seconds of work: breaks in which nothing ran are left out. `end` of one that runs is now."""

    numbers: Numbers
    lane: Numbers
    start: Floats
    end: Floats
    state: NDArray[np.int8]
    breaks: float

    @property
    def whole(self) -> float:
        """The length of it all."""
        return float(self.end.max()) if len(self.end) else 0.0


@dataclass(slots=True)
class Timelines:
    """The latest spans of each study, as of a cursor."""

    _kept: dict[tuple[str, float], tuple[int, float, Spans]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, shown: Shown, now: float) -> Spans:
        """The spans of a study now; while nothing runs they are what they were."""
        key, cursor = (shown.name, shown.row.created), shown.columns.cursor
        with self._lock:
            there = self._kept.get(key)
            if there and there[0] == cursor and (there[1] == now or not shown.counts[State.RUNNING]):
                return there[2]
            found = spans(shown, now)
            self._kept[key] = (cursor, now, found)
            while len(self._kept) > KEPT:
                self._kept.pop(next(iter(self._kept)))
            return found


def spans(shown: Shown, now: float) -> Spans:
    """When the trials of a study ran."""
    columns = shown.columns
    with columns.still:
        times = columns.times
        started, ended, state = times[0].copy(), times[1].copy(), times[2].copy()
    there = np.flatnonzero(~np.isnan(started) & (state != CODES[State.WAITING]))
    there = there[np.argsort(started[there], kind="stable")]
    open_ended = state[there] == CODES[State.RUNNING]
    start = started[there]
    if not is_at_work(shown.row, now):  # what nobody works on runs no more
        now = max(shown.row.active or 0.0, float(np.nanmax(ended, initial=0.0)))
    until = np.maximum(
        np.where(open_ended, max(now, float(start.max(initial=0.0))), np.nan_to_num(ended[there])), start
    )
    lane = lanes(start.tolist(), np.where(open_ended, math.inf, until).tolist())
    if not len(there):
        return Spans(there, there, start, until, state[there], 0.0)
    at, breaks = without_breaks(list(zip(start.tolist(), until.tolist(), strict=True)))
    moved = np.array(at)
    return Spans(there, np.array(lane, dtype=np.intp), moved[:, 0], moved[:, 1], state[there], breaks)


def timeline(shown: Shown, found: Spans, low: float | None, high: float | None, kept: Numbers) -> Panel:
    """What ran in a window, in seconds of work since the beginning."""
    if not len(found.numbers):
        return Panel(say("timeline.none"), {"empty": True})
    whole = found.whole
    low = min(max(low or 0.0, 0.0), whole)
    high = whole if high is None or high <= low else min(high, whole)
    inside = (found.end >= low) & (found.start <= high)
    n_lanes = int(found.lane.max()) + 1
    here = np.flatnonzero(inside)
    busy = _busy(found, low, high, n_lanes)
    share = busy / max(high - low, 1e-9)
    unit, word = next((u, w) for u, w in ((3600, "h"), (60, "min"), (1, "s")) if high - low > 3 * u or u == 1)
    chart = {
        "from": round(low, 3),
        "to": round(high, 3),
        "whole": round(whole, 3),
        "unit": unit,
        "word": word,
        "lanes": n_lanes,
        "states": [str(state) for state in STATES],
        "ended": len(here),
    }
    notes = [say("timeline.lanes")]
    if len(here) <= BARS:
        fits = np.isin(found.numbers[here], kept)
        chart["bars"] = [
            [
                int(found.lane[i]),
                round(float(found.start[i]), 3),
                round(float(found.end[i]), 3),
                int(found.state[i]),
                int(found.numbers[i]),
                int(fit),
            ]
            for i, fit in zip(here, fits, strict=True)
        ]
        head = [
            say("explore.trial"),
            say("timeline.lane"),
            say("timeline.start"),
            say("timeline.end"),
            say("board.state"),
        ]
        rows = [
            [
                int(found.numbers[i]),
                int(found.lane[i]) + 1,
                f"{found.start[i]:.3f}",
                "" if found.state[i] == CODES[State.RUNNING] else f"{found.end[i]:.3f}",
                str(STATES[found.state[i]]),
            ]
            for i in here
        ]
        trials = [int(found.numbers[i]) for i in here]
    else:
        together = math.ceil(n_lanes / LANES)
        chart["strip"], chart["together"] = _strip(found, low, high, n_lanes, together), together
        notes.insert(0, say("timeline.strip", n=f"{len(here):,}"))
        if together > 1:
            notes.insert(1, say("timeline.together", n=together))
        counts = np.bincount(found.lane[here], minlength=n_lanes)
        head = [say("timeline.lane"), say("timeline.trials"), say("timeline.busy"), say("timeline.share")]
        rows = [[i + 1, int(counts[i]), f"{busy[i]:.3f}", f"{share[i]:.4f}"] for i in range(n_lanes)]
        trials = []
    if found.breaks:
        notes.append(say("timeline.breaks", time=duration(found.breaks)))
    sentence = say(
        "timeline.summary",
        trials=plural(len(here), "trial"),
        lanes=plural(n_lanes, "place").replace("places", "places at once").replace("1 place", "one place"),
        time=duration(high - low),
        share=f"{float(share.mean()):.0%}",
    )
    if 1 < n_lanes <= FEW_LANES:
        each = ", ".join(f"{i + 1}: {part:.0%}" for i, part in enumerate(share))
        sentence += " " + say("timeline.each", each=each)
    elif n_lanes > 1:
        least = int(share.argmin())
        sentence += " " + say("timeline.least", lane=least + 1, share=f"{share[least]:.0%}")
    running = shown.counts[State.RUNNING]
    if running:
        sentence += " " + say("timeline.running", n=plural(running, "trial"))
    return Panel(sentence, chart, head, rows, notes, trials)


def _busy(found: Spans, low: float, high: float, n: int) -> Floats:
    """How many seconds of the window each lane was busy."""
    part = np.clip(np.minimum(found.end, high) - np.maximum(found.start, low), 0.0, None)
    return np.asarray(np.bincount(found.lane, part, minlength=n), np.float64)


def _strip(found: Spans, low: float, high: float, n: int, together: int) -> list[list[int]]:
    """How busy each group of lanes was in each piece of the window, in hundredths."""
    edges = np.linspace(low, high, STRIP + 1)
    rows = np.zeros((math.ceil(n / together), STRIP))
    order = np.argsort(found.lane, kind="stable")
    for lane, members in enumerate(np.split(order, np.cumsum(np.bincount(found.lane, minlength=n))[:-1])):
        start, end = found.start[members], found.end[members]
        before = np.concatenate([[0.0], np.cumsum(end - start)])
        k = np.searchsorted(start, edges, side="right")
        last = np.maximum(k - 1, 0)
        worked = np.where(k > 0, before[last] + np.minimum(edges - start[last], end[last] - start[last]), 0.0)
        rows[lane // together] += np.diff(worked)
    size = np.minimum(together, n - together * np.arange(len(rows)))[:, None]
    return [
        [round(100 * float(v)) for v in row]
        for row in np.clip(rows / size / max((high - low) / STRIP, 1e-12), 0, 1)
    ]
