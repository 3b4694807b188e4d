"""What each part of a page shows, as plain data for its template. The words and numbers are those of `luthier.summary`."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import numpy as np

from luthier.analysis.failures import Failure
from luthier.analysis.failures import failures as grouped
from luthier.analysis.filtering import Kind
from luthier.analysis.table import number as written
from luthier.analysis.table import uncertainty
from luthier.engine.plan import PAUSED
from luthier.errors import InvalidFilter
from luthier.space import Choice
from luthier.studio.charts import MOST_FAILURES, TOP, best_so_far, curve
from luthier.studio.columns import CODES, Numbers
from luthier.studio.looking import Shelf, Shown, TooMany, filtered
from luthier.studio.words import say
from luthier.study import Metrics, State, Trial
from luthier.summary import (
    Standing,
    budgeted,
    defaults,
    describe_trial,
    duration,
    plural,
    program,
    score,
    score_and_folds,
    setting,
    shortened,
    who,
)

ORDERS = ("score", "newest")
PAGE = 50
FEW = 10
WIDE = 8
"""So many parameters have a column in the leaderboard."""
LONGEST_FILTER = 4_000
MOST_FAILED = 1_000
BESIDE = 200
"""So many good trials are compared with those that failed."""
MOST_WORKERS = 50
MOST_ROWS = 200
LOG_BYTES = 64_000
TRACE_LETTERS = 8_000
VALUE_LETTERS = 2_000
CELL_LETTERS = 100
MOST_GROUPS = 40
ELSEWHERE = ("params", "artifact", "checkpoint")
"""What the page of a trial says in tables of their own."""


def stands(shown: Shown) -> Standing:
    """Where a study stands; here one that was stopped to pause is called so."""
    standing = shown.standing
    return Standing(PAUSED) if standing == Standing("stopped", PAUSED) else standing


def line(shown: Shown) -> dict[str, Any]:
    """A study in the list."""
    counts, standing, best = shown.counts, stands(shown), shown.best()
    objective, budget = shown.spec.problem.objective, shown.spec.budget
    return {
        "name": shown.name,
        "word": standing.word,
        "why": standing.why,
        "metric": objective.metric,
        "best": None if best is None else str(score(best, objective)),
        "ended": shown.ended,
        "total": budget.trials,
        "failed": counts[State.FAILED],
        "stopped": counts[State.STOPPED],
        "time": duration(shown.row.seconds) if shown.row.seconds >= 0.1 else None,
        "last": moment(shown.row.active or shown.row.created),
    }


def glance(shown: Shown) -> dict[str, Any]:
    """What a page is told when something changed: enough to say it aloud, never the data."""
    best = shown.best()
    return {
        "seq": shown.columns.cursor,
        "state": stands(shown).word,
        "ended": shown.ended,
        "failed": shown.counts[State.FAILED],
        "best": None if best is None else f"{score(best, shown.spec.problem.objective)} (#{best.number})",
    }


def head(shown: Shown) -> dict[str, Any]:
    """Where a study stands, and what may be asked of it."""
    found = line(shown)
    total = shown.spec.budget.trials
    failed = shown.columns.numbers(State.FAILED)
    all_failed = shown.ended > 0 and len(failed) == shown.ended
    return found | {
        "counts": [(str(state), n) for state, n in shown.counts.items() if n],
        "note": shown.remarks.note,
        "away": shown.remarks.archived is not None,
        "progress": say("study.progress", ended=f"{shown.ended:,}", total=f"{total:,}")
        if total is not None
        else say("study.progress.open", ended=f"{shown.ended:,}"),
        "share": None if not total else min(1.0, shown.ended / total),
        "budget": budgeted(shown.spec.budget),
        "why": None
        if found["word"] == "complete" and total is not None and shown.ended >= total
        else found["why"],
        "running": found["word"] == "running",
        "resume": found["word"] in (PAUSED, "stopped", "interrupted", "open"),
        "first_failure": _first_failure(shown.trial(int(failed[0]))) if all_failed else None,
    }


def _first_failure(failed: Trial) -> dict[str, Any]:
    return {"number": failed.number, "text": ending(failed.traceback or failed.reason or "", TRACE_LETTERS)}


def best(shown: Shown) -> dict[str, Any]:
    """The chart of the best so far, as a sentence and a table."""
    columns, objective = shown.columns, shown.spec.problem.objective
    with columns.still:
        gains, finished = columns.gains, columns.finished
        rows = [(int(i) + 1, written(float(columns.values[finished[i]])), int(finished[i])) for i in gains]
        chart = best_so_far(columns)
    notes = [say("best.noisy")] if objective.noisy else []
    if "density" in chart:
        notes.append(say("best.many", top=TOP, n=f"{len(finished):,}"))
    if chart["off"]:
        notes.append(say("best.off", n=f"{chart['off']:,}"))
    if chart["failures"] > MOST_FAILURES:
        notes.append(say("best.crosses", shown=MOST_FAILURES, n=f"{chart['failures']:,}"))
    summary = say("best.nothing")
    if rows:
        place, value, number = rows[-1]
        since = len(finished) - place
        summary = say(
            "best.summary", value=value, number=number, place=f"{place:,}", ended=f"{len(finished):,}"
        )
        summary += " " + (say("best.last", ago=plural(since, "trial")) if since else say("best.newest"))
    return {
        "goal": say(f"best.{objective.goal}", metric=objective.metric),
        "summary": summary,
        "notes": notes,
        "rows": rows[-MOST_ROWS:][::-1],
        "chart": chart,
    }


@dataclass(frozen=True, slots=True)
class Dot:
    """A fold's score in a small picture: where, from 0 to 1."""

    x: float


@dataclass(frozen=True, slots=True)
class Listing:
    """Which trials to list: from which place on (counted from 0), in which order, in which state, and which fit a filter.

    `by` is "score", "newest", or a column - a parameter, a metric, "seconds" - with a minus where the largest come first.
    """

    start: int = 0
    by: str = "score"
    state: State | None = None
    f: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Listing:
        """From the address of a page; what makes no sense there is left out."""
        by, state = query.get("by", ""), query.get("state", "")
        return cls(
            whole(query.get("from"), 1) - 1,
            by[:400] or ORDERS[0],
            State(state) if state in list(State) else None,
            query.get("f", "").strip()[:LONGEST_FILTER],
        )

    def at(self, start: int) -> Listing:
        return replace(self, start=start)

    def ordered(self, by: str) -> Listing:
        return replace(self, start=0, by=by)

    def only(self, state: State | None) -> Listing:
        return replace(self, start=0, state=state)

    @property
    def query(self) -> str:
        """As in an address."""
        given = {
            "by": self.by if self.by != ORDERS[0] else "",
            "state": self.state or "",
            "f": self.f,
            "from": self.start + 1,
        }
        kept = {name: value for name, value in given.items() if value not in ("", 1)}
        return f"?{urlencode(kept)}" if kept else ""


@dataclass(frozen=True, slots=True)
class Order:
    """Trials in an order: by which column, and whether the largest come first; `error` is why a filter cannot be read."""

    numbers: Numbers
    by: str = "score"
    name: str = ""
    falling: bool = False
    metric: bool = False
    error: str | None = None


def order_of(shown: Shown, listing: Listing) -> Order:
    """The trials of a listing. What is no column is the score."""
    columns, error, kept = shown.columns, None, None
    if listing.f:
        try:
            kept = filtered(shown, listing.f)
        except InvalidFilter as problem:
            error = str(problem)
    found = Order(np.empty(0, np.intp), ORDERS[0] if listing.by not in ORDERS else listing.by, error=error)
    falling, key = listing.by.startswith("-"), listing.by.removeprefix("-")
    metric = key.removeprefix("metrics.")
    if listing.by not in ORDERS:
        if key in columns.varying:
            shown.learn()
            found = replace(found, by=listing.by, name=key, falling=falling)
        elif key == "seconds" or metric in columns.metrics:
            found = replace(found, by=listing.by, name=metric, falling=falling, metric=key != "seconds")
    with columns.still:
        if found.name:
            kind: Kind = (
                "metric" if found.metric else "seconds" if found.name not in columns.varying else "param"
            )
            numbers = columns.sorted(kind, found.name, falling)
        else:
            numbers = columns.listed(found.by, None)
        if listing.state is not None:
            numbers = numbers[columns.times[2][numbers] == CODES[listing.state]]
        if kept is not None:
            fits = np.zeros(len(columns), dtype=np.bool_)
            fits[kept[kept < len(columns)]] = True
            numbers = numbers[fits[numbers]]
    return replace(found, numbers=numbers)


def board(shown: Shown, listing: Listing = Listing(), n: int = PAGE) -> dict[str, Any]:
    """A page of the table of trials."""
    found = order_of(shown, listing)
    order, start = found.numbers, listing.start
    counts = shown.counts
    last_page = max(0, (len(order) - 1) // n * n)
    start = max(0, start if start < len(order) else last_page)
    trials = shown.trials([int(i) for i in order[start : start + n]])
    problem = shown.spec.problem
    objective = problem.objective
    metrics = [o.metric for o in problem.objectives]
    names = list(problem.space)
    shows = names[:WIDE]
    if found.name in names and found.name not in shows:
        shows = [found.name, *shows[:-1]]
    extra = [found.name] if found.metric and found.name not in metrics else []
    folds = [_folds(trial, objective.metric) for trial in trials]
    every = [value for values in folds for value in values]
    low, high = (min(every), max(every)) if every else (0.0, 1.0)
    rows = [
        {
            "rank": start + i + 1,
            "number": trial.number,
            "scores": [
                *(str(score(trial, o)) if o.metric in trial.metrics else "" for o in problem.objectives),
                *(written(trial.metrics[name]) if name in trial.metrics else "" for name in extra),
            ],
            "folds": " ".join(f"{value:.4g}" for value in values),
            "dots": [
                Dot((value - low) / (high - low) if 0 < high - low < math.inf else 0.5) for value in values
            ],
            "state": str(trial.state),
            "time": "" if trial.seconds is None else duration(trial.seconds),
            "params": [_cell(trial, name) for name in shows],
            "notes": _remarks(shown, trial),
        }
        for i, (trial, values) in enumerate(zip(trials, folds, strict=True))
    ]
    return {
        "metrics": [*metrics, *extra],
        "names": shows,
        "hidden": max(0, len(names) - WIDE),
        "spread": bool(every),
        "rows": rows,
        "first": start + 1,
        "last": start + len(rows),
        "total": len(order),
        "previous": listing.at(max(0, start - n)).query if start else None,
        "next": listing.at(start + n).query if start + n < len(order) else None,
        "ranked": found.by == "score",
        "by": found.by,
        "state": listing.state,
        "f": listing.f,
        "clear": replace(listing, start=0, f="").query,
        "error": found.error,
        "sorts": _sorts(listing, found, [*metrics, *extra], shows, shown.columns.varying)
        if n == PAGE
        else {},
        "orders": [
            *((say(f"board.by.{by}"), listing.ordered(by).query, by == found.by) for by in ORDERS),
            *([(say("board.by.column", name=found.name), listing.query, True)] if found.name else []),
        ],
        "states": [
            (
                say("board.every") if state is None else f"{state} {counts[state]:,}",
                listing.only(state).query,
                state == listing.state,
            )
            for state in (None, *(state for state in State if counts[state] or state == listing.state))
        ],
    }


def _sorts(
    listing: Listing, found: Order, metrics: Sequence[str], names: Sequence[str], varying: Sequence[str]
) -> dict[str, tuple[str, str | None]]:
    """For each column that trials can be put in order by: where that is to be had, and how it is now."""
    keys = {f"metric {name}": f"metrics.{name}" for name in metrics}
    keys |= {f"param {name}": name for name in names if name in varying} | {"seconds": "seconds"}
    answers = {}
    for column, key in keys.items():
        here = found.by.removeprefix("-") == key
        state = ("descending" if found.falling else "ascending") if here else None
        answers[column] = (listing.ordered(f"-{key}" if here and not found.falling else key).query, state)
    return answers


def _cell(trial: Trial, name: str) -> str:
    return shortened(setting(trial.params[name]), CELL_LETTERS) if name in trial.params else ""


def _remarks(shown: Shown, trial: Trial) -> list[str]:
    problem = shown.spec.problem
    notes = [] if problem.feasible(trial.metrics) else [say("board.infeasible")]
    return notes if problem.space.allows(trial.params) else [*notes, say("board.outside")]


def _folds(trial: Trial, metric: str) -> list[float]:
    """The scores of the folds, where there are some."""
    if uncertainty(trial, metric) is None:
        return []
    return [value for _, value in sorted(trial.reported(metric).items())]


def workers(shown: Shown) -> dict[str, Any]:
    """The trials that run, and who has them."""
    running = shown.columns.numbers(State.RUNNING)
    trials = shown.trials([int(n) for n in running[:MOST_WORKERS]])
    metric = shown.spec.problem.objective.metric
    return {
        "rows": [
            {
                "number": trial.number,
                "who": who(trial.worker or ""),
                "since": None if trial.started is None else moment(trial.started),
                "far": score_and_folds(trial, metric) if trial.reports else "",
                "stop": trial.stop,
            }
            for trial in trials
            if trial.state is State.RUNNING
        ],
        "more": max(0, len(running) - MOST_WORKERS),
    }


def failure_groups(shown: Shown) -> tuple[list[Failure], list[Trial], int]:
    """The latest failures in groups, those trials, and with how many good ones they were compared."""
    numbers = shown.columns.numbers(State.FAILED)
    failed = shown.trials([int(n) for n in numbers[-MOST_FAILED:]])
    fine = shown.trials([int(n) for n in shown.columns.numbers(State.COMPLETED)[-BESIDE:]]) if failed else []
    return grouped(failed, fine), failed, len(fine)


def failures(shown: Shown) -> dict[str, Any]:
    """What failed, in groups."""
    numbers = shown.columns.numbers(State.FAILED)
    found, failed, fine = failure_groups(shown)
    traces = {trial.number: trial.traceback for trial in failed}
    groups = [
        {
            "n": len(group.numbers),
            "what": shortened(group.what, 300),
            "where": group.where,
            "first": group.numbers[0],
            "last": group.numbers[-1],
            "without": [
                (
                    f"{name} = {shortened(setting(value), CELL_LETTERS)}",
                    urlencode({"from": shown.name, "without": name, "value": repr(value)}),
                )
                for name, value in group.shared
                if isinstance(shown.spec.problem.space.get(name), Choice)
            ],
            "trace": ending(traces[group.numbers[0]] or "", TRACE_LETTERS),
            "shared": say(
                "failures.shared",
                values=shortened(
                    ", ".join(f"{name} = {setting(value)}" for name, value in group.shared), VALUE_LETTERS
                ),
                n=fine,
            )
            if group.shared
            else None,
        }
        for group in found[:MOST_GROUPS]
    ]
    counted = plural(len(found), "group")
    return {
        "groups": groups,
        "head": say("failures.head", failed=f"{len(numbers):,}", n=f"{len(shown):,}", groups=counted),
        "more": say("failures.more", n=f"{len(found) - MOST_GROUPS:,}") if len(found) > MOST_GROUPS else None,
        "part": say("failures.part", n=f"{MOST_FAILED:,}") if len(numbers) > MOST_FAILED else None,
    }


def in_words(shelf: Shelf, shown: Shown) -> dict[str, Any]:
    """What `luthier show` says."""
    try:
        found = shelf.in_words(shown.name)
    except TooMany:
        return {"rows": [], "many": say("words.many", n=f"{len(shown):,}")}
    labels = [label for label, _ in found.rows]
    before = (
        labels.index("next") if "next" in labels else len(labels)
    )  # commands for a terminal; the last there is
    return {"rows": found.rows[:before], "many": None}


def trial(shelf: Shelf, shown: Shown, number: int) -> dict[str, Any]:
    """All that is known of a trial."""
    found, spec = shown.trial(number), shown.spec
    first = found if number == 0 else shown.trial(0)
    start = defaults(spec, [first])
    base = start or (first if number else None)
    log = shelf.log(shown.name, found, LOG_BYTES)
    metric = spec.problem.objective.metric
    store = [] if shelf.url is None else ["--store", shelf.url]
    facts = describe_trial(spec, found, shown.columns.ended_by(found.seen), shelf.files(shown.name)[number])
    return {
        "number": number,
        "state": str(found.state),
        "best": (top := shown.best()) is not None and top.number == number,
        "score": str(score(found, spec.problem.objective)) if metric in found.metrics else None,
        "metric": metric,
        "facts": [
            (label, ending(text, TRACE_LETTERS)) for label, text in facts.rows if label not in ELSEWHERE
        ],
        "took": None if found.seconds is None else duration(found.seconds),
        "attempt": found.attempt,
        "params": _params(found.params, None if base is None else base.params),
        "against": None if base is None else say("trial.default" if start is not None else "trial.first"),
        "reports": reports(found, metric),
        "traceback": ending(found.traceback, 4 * TRACE_LETTERS) if found.traceback else None,
        "log": log[0] if log else None,
        "log_size": say("trial.log.tail", shown=f"{LOG_BYTES:,}", n=f"{log[1]:,}")
        if log and log[1] > LOG_BYTES
        else None,
        "log_bytes": log[1] if log else 0,
        "running": found.state is State.RUNNING,
        "open": not found.state.ended,
        "previous": number - 1 if number else None,
        "next": number + 1 if number + 1 < len(shown) else None,
        "command": shlex.join([*program().split(), "replay", shown.name, str(number), *store]),
    }


def _params(params: Any, base: Any) -> list[dict[str, Any]]:
    names = [*params, *(name for name in base or {} if name not in params)]
    return [
        {
            "name": name,
            "value": shortened(repr(params[name]), VALUE_LETTERS) if name in params else None,
            "base": shortened(repr(base[name]), VALUE_LETTERS) if base is not None and name in base else None,
            "differs": base is not None and _differs(params, base, name),
        }
        for name in names
    ]


def _differs(params: Metrics, base: Metrics, name: str) -> bool:
    """1, 1.0 and True are three values; what only one of the two has differs."""
    if name not in params or name not in base:
        return True
    a, b = params[name], base[name]
    return type(a) is not type(b) or repr(a) != repr(b)


def reports(found: Trial, metric: str) -> dict[str, Any] | None:
    """What a trial reported on the way, as a sentence and a table."""
    drawn = curve(found, metric)
    points: Sequence[tuple[int, float | None]] = [(step, value) for step, value in drawn["points"]]
    if not points:
        return None
    values = [value for _, value in points if value is not None]
    low, high = (written(min(values)), written(max(values))) if values else (say("none"), say("none"))
    ends = [say("none") if value is None else written(value) for value in (points[0][1], points[-1][1])]
    told = {
        "metric": metric,
        "n": drawn["steps"],
        "low": low,
        "high": high,
        "first": ends[0],
        "last": ends[1],
    }
    told["mean"] = "" if drawn["mean"] is None else written(drawn["mean"])
    return {
        "kind": drawn["kind"],
        "title": say(f"trial.{drawn['kind']}"),
        "head": say("trial.fold" if drawn["kind"] == "folds" else "trial.step"),
        "summary": say(f"trial.{drawn['kind']}.summary", **told),
        "rows": [
            (step, say("none") if value is None else f"{value:.6g}") for step, value in points[:MOST_ROWS]
        ],
        "part": say("trial.part", shown=min(MOST_ROWS, len(points)), n=drawn["steps"])
        if drawn["steps"] > min(MOST_ROWS, len(points))
        else None,
        "chart": drawn,
    }


def ending(text: str, length: int) -> str:
    """The end of a long text, which is where a traceback says what went wrong."""
    return text if len(text) <= length else "…" + text[1 - length :]


def whole(text: str | None, otherwise: int) -> int:
    """A whole number that somebody typed."""
    try:
        return int(text or "") if len(text or "") < 12 else otherwise
    except ValueError:
        return otherwise


def moment(seconds: float) -> dict[str, str]:
    """A time for a <time> element: for machines, and in words for who has no script."""
    at = datetime.fromtimestamp(seconds, UTC)
    return {"iso": at.isoformat(timespec="milliseconds"), "text": at.strftime("%Y-%m-%d %H:%M:%S UTC")}
