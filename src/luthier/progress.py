"""What people see while a study runs: one live line on a terminal, now and then a plain one where there is none, a
display that updates in place in a notebook. All of it goes to stderr; stdout is for results.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from html import escape
from importlib import import_module
from time import monotonic  # noqa: TID251 - how often to draw is nobody's decision
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from luthier.engine.engine import Status, Watcher
from luthier.engine.rules import Rules
from luthier.expected import best_of
from luthier.study import History, State, StudySpec
from luthier.summary import (
    Looked,
    changed,
    defaults,
    duration,
    plural,
    ranked,
    score,
    setting,
    standing,
    worth,
)

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

FRAMES_PER_SECOND = 8
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 10.0
"""Seconds between plain lines: the first few come soon, to show that it works."""
NOTEBOOK_PAUSE = 0.5


def display(study: Looked, progress: bool | Watcher) -> AbstractContextManager[Watcher | None]:
    """Something to watch a study with while the context lasts: what `progress` asks for, in the way this place allows.

    The watcher is called in every turn of the engine, thousands of times a second, and costs a microsecond unless
    there is something to draw.
    """
    if progress is False:
        return nullcontext(None)
    if progress is not True:
        return nullcontext(progress)
    if _in_notebook():
        return _notebook(study)
    if not sys.stderr.isatty():
        return _telling(_plain(study, sys.stderr))
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    return _telling(_live(study, console) if console.is_interactive else _plain(study, sys.stderr))


@contextmanager
def _telling(display: AbstractContextManager[Watcher]) -> Iterator[Watcher]:
    """The same, which says of the first trial that fails why it did, at once: the others may take hours to fail as well."""
    before: set[int] | None = None
    told = False

    def watch(history: History, status: Status) -> None:
        nonlocal before, told
        if before is None:
            before = {trial.number for trial in history if trial.state is State.FAILED}
        elif not told and history.counts[State.FAILED] > len(before):
            told = True
            failed = next(t for t in history if t.state is State.FAILED and t.number not in before)
            print(f"luthier: trial {failed.number} failed: {failed.reason}", file=sys.stderr, flush=True)
        inner(history, status)

    with display as inner:
        yield watch


@contextmanager
def saying(text: str, progress: bool | Watcher) -> Iterator[None]:
    """Say what is being waited for, where there is no study at work to watch."""
    if progress is not True or _in_notebook():
        yield
    elif sys.stderr.isatty():
        from rich.console import Console

        with Console(stderr=True, highlight=False).status(text):
            yield
    else:
        print(text, file=sys.stderr, flush=True)
        yield


# --- what there is to say ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class View:
    """What the display says, worked out from the history: `done` is the part of the budget that is used, if that is known."""

    done: float | None
    count: str
    best: str
    busy: str
    failed: str
    rate: str
    left: str
    ending: str | None

    @property
    def parts(self) -> list[str]:
        """The phrases, in order, without the empty ones."""
        found = [self.best, self.busy, self.failed, self.rate, self.left]
        return [part for part in found if part]

    def __str__(self) -> str:
        return ", ".join([f"{self.count} trials", *self.parts, *([self.ending] if self.ending else [])])


def view(spec: StudySpec, history: History, status: Status, began: tuple[float, int]) -> View:
    """What to say now. `began` are the seconds worked and the trials ended when this display began: what others did
    before says nothing about the rate.
    """
    budget, objective = spec.budget, spec.problem.objective
    best = history.best()
    word = "best seen" if objective.noisy else "best"  # whatever it costs to look deeper is for the end
    found = "" if best is None else f"{word} {objective.metric} {score(best, objective)} (#{best.number})"
    ended, failed = history.ended, history.counts[State.FAILED]
    elapsed, made = status.seconds - began[0], ended - began[1]
    rate = made / elapsed if made > 0 and elapsed > 0 else 0.0
    parts, lefts = [0.0], []
    if budget.trials is not None:
        parts.append(ended / budget.trials)
        if rate:
            lefts.append((budget.trials - ended) / rate)
    if budget.seconds is not None:
        parts.append(status.seconds / budget.seconds)
        lefts.append(budget.seconds - status.seconds)
    known = budget.trials is not None or budget.seconds is not None
    return View(
        done=min(1.0, max(parts)) if known else None,
        count=f"{ended}" if budget.trials is None else f"{ended}/{budget.trials}",
        best=found,
        busy=f"{status.running} of {status.slots} busy"
        if status.running < status.slots
        else f"{status.slots} busy",
        failed=f"{failed} failed" if failed else "",
        rate=_rate(rate),
        left="" if status.ending or not lefts else f"{duration(max(0.0, min(lefts)))} left",
        ending=_waiting(status),
    )


def _rate(rate: float) -> str:
    if rate <= 0:
        return ""
    return f"{rate:.3g} trials/s" if rate >= 1 else f"{duration(1 / rate)} a trial"


def _waiting(status: Status) -> str | None:
    """Why it is ending, and what is being waited for."""
    if status.ending is None or not status.running:
        return status.ending
    running = plural(status.running, "running trial")
    if status.ending.startswith("interrupted"):
        return f"interrupted: waiting up to {Rules().grace:g} s for {running}; Ctrl-C again stops at once"
    return f"{status.ending}; waiting for {running}"


class _Latest:
    """What the watcher saw last. Kept as it is, and looked at only when something is drawn."""

    __slots__ = ("began", "seen", "spec", "when", "worked")

    def __init__(self, spec: StudySpec) -> None:
        self.spec = spec
        self.began: tuple[float, int] | None = None
        self.seen: tuple[History, Status] | None = None
        self.when = 0.0
        self.worked = False  # a study that was complete to begin with needs no display

    def __call__(self, history: History, status: Status) -> None:
        if self.began is None:
            self.began = (status.seconds, history.ended)
        self.worked = self.worked or status.running > 0
        self.seen = (history, status)
        self.when = monotonic()

    def view(self) -> View | None:
        """What there is to say; None before the first turn."""
        if self.seen is None or self.began is None:
            return None
        history, status = self.seen
        # While the engine waits for its only worker, this process, nobody else moves the time on.
        seconds = status.seconds + monotonic() - self.when
        return view(
            self.spec, history, Status(seconds, status.running, status.slots, status.ending), self.began
        )

    def last(self, history: History, seconds: float) -> View | None:
        """What there is to say when all is over; None where nothing was done."""
        if self.seen is None or self.began is None or not self.worked:
            return None
        seen = view(self.spec, history, Status(seconds, 0, self.seen[1].slots), self.began)
        return replace(seen, busy="", left=duration(seconds), ending=None)


# --- a terminal --------------------------------------------------------------------------------


@contextmanager
def _live(study: Looked, console: Console) -> Iterator[Watcher]:
    from rich.live import Live

    latest = _Latest(study.spec)
    final: View | None = None
    live = Live(
        console=console,
        get_renderable=lambda: _line(final or latest.view(), console.width),
        refresh_per_second=FRAMES_PER_SECOND,  # drawn by a thread of its own
        # What the objective prints in this process goes above the line, unless stdout leads elsewhere.
        redirect_stdout=sys.stdout.isatty(),
        redirect_stderr=True,
    )

    def watch(history: History, status: Status) -> None:
        latest(history, status)
        if latest.worked and not live.is_started:
            live.start(refresh=True)

    try:
        yield watch
    finally:
        if live.is_started:
            final = latest.last(study.history, study.row.seconds)
            live.stop()


def _line(view: View | None, width: int) -> RenderableType:
    from rich.text import Text

    if view is None:
        return Text("")
    room = width - 6  # a Ctrl-C leaves a ^C at the end
    parts = _fitting(view, room)
    line = Text("  ", no_wrap=True, overflow="ellipsis")
    space_left = room - len(SPACE.join(parts)) - len(SPACE)
    if view.done is not None and space_left >= LEAST_BAR - len(SPACE):
        line.append_text(_bar(view.done, min(30, space_left)))
        line.append(SPACE)
    for i, part in enumerate(parts):
        style = (
            "bold green" if part == view.best else "red" if part == view.failed else "bold" if i == 0 else ""
        )
        line.append(part, style)
        line.append(SPACE)
    line.rstrip()
    if view.ending:
        line.append(f"\n  {view.ending}", "yellow")
    return line


SPACE = "   "
LEAST_BAR = 13


def _fitting(view: View, width: int) -> list[str]:
    """The phrases that fit on a line, dropping those that can best be done without."""
    parts = [f"{view.count} trials", *view.parts]
    for dispensable in (view.rate, view.busy, view.left):
        if len(SPACE.join(parts)) + LEAST_BAR > width and dispensable:
            parts.remove(dispensable)
    return parts


def _bar(done: float, width: int) -> Text:
    from rich.text import Text

    full = round(done * width)
    return Text("━" * full, "green").append("━" * (width - full), "bright_black")


# --- no terminal -------------------------------------------------------------------------------


@contextmanager
def _plain(study: Looked, file: IO[str]) -> Iterator[Watcher]:
    latest = _Latest(study.spec)
    pause, due = FIRST_PAUSE, monotonic() + FIRST_PAUSE
    said: str | None = None

    def watch(history: History, status: Status) -> None:
        nonlocal pause, due, said
        latest(history, status)
        urgent = status.ending is not None and said != status.ending
        if (latest.when < due or not latest.worked) and not (urgent and status.running):
            return
        said = status.ending
        pause = min(LONGEST_PAUSE, pause * 1.25)
        due = latest.when + pause
        print(f"{study.spec.name}: {latest.view()}", file=file, flush=True)

    try:
        yield watch
    finally:
        final = latest.last(study.history, study.row.seconds)
        if final is not None:
            print(f"{study.spec.name}: {final}", file=file, flush=True)


# --- a notebook --------------------------------------------------------------------------------


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


@contextmanager
def _notebook(study: Looked) -> Iterator[Watcher]:
    display_module: Any = import_module("IPython.display")
    latest = _Latest(study.spec)
    handle = display_module.display(display_module.HTML(""), display_id=True)
    due = 0.0

    def watch(history: History, status: Status) -> None:
        nonlocal due
        latest(history, status)
        if latest.when >= due:
            due = latest.when + NOTEBOOK_PAUSE
            handle.update(display_module.HTML(_drawn(study.spec, history, str(latest.view()))))

    try:
        yield watch
    finally:
        handle.update(display_module.HTML(html(study)))


def html(study: Looked) -> str:
    """A study for a notebook: where it stands, the best, how the best grew, the five best trials. Plain HTML, no scripts."""
    spec, history, row = study.spec, study.history, study.row
    where = standing(spec, history, row)
    words = [where.word, plural(history.ended, "trial"), duration(row.seconds)]
    if history.counts[State.FAILED]:
        words.append(f"{history.counts[State.FAILED]} failed")
    return _drawn(spec, history, ", ".join(words))


def _drawn(spec: StudySpec, history: History, words: str) -> str:
    best, objective = best_of(history), spec.problem.objective
    parts = [f"<strong>{escape(spec.name)}</strong> {escape(words)}"]
    if best is not None:
        start = defaults(spec, history)
        found = f"best {objective.metric} {worth(history, best)} (#{best.number})"
        told = changed(best.params, None if start is None else start.params)
        parts += [
            f"{escape(found)} {_spark(history)}",
            f"<code>{escape(told)}</code>",
            _table(history),
        ]
    return "<div>" + "".join(f"<div>{part}</div>" for part in parts) + "</div>"


def _table(history: History) -> str:
    """The five best trials."""
    objective, names = history.problem.objective, list(history.problem.space)
    head = "".join(f"<th>{escape(text)}</th>" for text in ("#", objective.metric, *names))
    lines = []
    for trial in ranked(history, 5):
        cells = [str(trial.number), worth(history, trial)]
        cells += [setting(trial.params[name]) if name in trial.params else "" for name in names]
        lines.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _spark(history: History, width: int = 160, height: int = 24) -> str:
    """How the best value grew with the trials, as a small line."""
    sign = history.problem.objective.sign
    losses = sign * history.values
    best = np.fmin.accumulate(losses)
    known = np.flatnonzero(np.isfinite(best))
    if len(known) < 2:
        return ""
    chosen = known[np.unique(np.linspace(0, len(known) - 1, 200).astype(int))]
    values = sign * best[chosen]
    low, high = values.min(), values.max()
    x = 1 + (width - 2) * (chosen - chosen[0]) / (chosen[-1] - chosen[0])
    y = height - 1 - (height - 2) * (values - low) / ((high - low) or 1.0)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    return (
        f'<svg width="{width}" height="{height}" role="img" aria-label="the best value so far, by trial">'
        f'<polyline points="{points}" fill="none" stroke="currentColor" stroke-width="1.5"/></svg>'
    )
