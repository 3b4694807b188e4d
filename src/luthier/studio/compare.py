"""Trials beside each other, also of several studies, and studies beside each other: what differs, and whether that is more than noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from luthier.analysis.compare import Comparison, compare
from luthier.analysis.table import number as written
from luthier.analysis.table import uncertainty
from luthier.errors import LuthierError, StudyNotFound
from luthier.files import size
from luthier.space.space import scale_text, values_text
from luthier.studio import views
from luthier.studio.charts import curve
from luthier.studio.looking import Shelf, Shown
from luthier.studio.web import get, numbers
from luthier.studio.words import say
from luthier.study import Objective, Trial
from luthier.summary import budgeted, called, duration, overlap_in_facts, score, setting, shortened

if TYPE_CHECKING:
    from luthier.studio.app import Studio

MOST_TRIALS = 12
MOST_STUDIES = 8
HASHES, FEW_LETTERS = ("fingerprint", "splits"), 14
"""Settings that only say whether they are the same, and of how many letters so much can be seen."""
LETTERS = 200
MOST_STEPS = 200


@dataclass(frozen=True, slots=True)
class One:
    """A trial of a study."""

    shown: Shown
    trial: Trial

    @property
    def key(self) -> str:
        """As in an address."""
        return f"{self.shown.name}:{self.trial.number}"


@dataclass(frozen=True, slots=True)
class Cell:
    """What a table says of one of those that are compared, and whether it is another thing than the first one's."""

    text: str
    differs: bool = False


class Compare:
    """The handlers of these addresses."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    def routes(self) -> list[Route]:
        """Every address."""
        return [
            get("/compare", self.page),
            get("/compare/curves.json", self.curves),
            get("/compare/best.json", self.best),
        ]

    def page(self, request: Request) -> Response:
        """Trials (`t`) or studies (`s`), or how one comes to see some."""
        shelf = self._studio.shelf
        if request.query_params.getlist("t"):
            found, missing = trials_of(shelf, request.query_params.getlist("t"))
            if found:
                about = trials(shelf, found, request.query_params) | {"missing": missing}
                return self._studio.page(request, "compare/trials.html", about)
        else:
            those, missing = studies_of(shelf, request.query_params.getlist("s"))
            if those:
                return self._studio.page(
                    request, "compare/studies.html", studies(those) | {"missing": missing}
                )
        return self._studio.page(request, "compare/none.html", {"missing": missing})

    def curves(self, request: Request) -> Response:
        """What the trials reported of a metric, over each other."""
        found, _ = trials_of(self._studio.shelf, request.query_params.getlist("t"))
        metric = request.query_params.get("m", "")
        version = "-".join(str(one.trial.seq) for one in found)
        return numbers(request, version, lambda: overlaid(found, metric))

    def best(self, request: Request) -> Response:
        """The best so far of studies, over each other."""
        found, _ = studies_of(self._studio.shelf, request.query_params.getlist("s"))
        version = "-".join(str(shown.columns.cursor) for shown in found)
        by_time = request.query_params.get("by") == "time"
        return numbers(request, version, lambda: raced(race(found), by_time))


# --- what is asked for -------------------------------------------------------------------------


def trials_of(shelf: Shelf, asked: Sequence[str]) -> tuple[list[One], list[str]]:
    """The trials that an address names, NAME:12 each or several with commas between, once each; and what cannot be found."""
    names = shelf.names()
    keys = dict.fromkeys(
        key for text in asked for key in _parted(text, lambda k: k.rpartition(":")[0] in names)
    )
    found, missing = [], []
    for key in keys:
        study, _, number = key.rpartition(":")
        try:
            shown = shelf.study(study)
            found.append(One(shown, shown.trial(views.whole(number, -1))))
        except StudyNotFound as error:
            missing.append(str(error))
    if len(found) > MOST_TRIALS:
        missing.append(say("compare.many", most=MOST_TRIALS, n=len(found)))
    return found[:MOST_TRIALS], missing


def studies_of(shelf: Shelf, asked: Sequence[str]) -> tuple[list[Shown], list[str]]:
    """The studies that an address names, as `trials_of`."""
    names = shelf.names()
    found, missing = [], []
    for name in dict.fromkeys(name for text in asked for name in _parted(text, lambda key: key in names)):
        try:
            found.append(shelf.study(name))
        except StudyNotFound as error:
            missing.append(str(error))
    if len(found) > MOST_STUDIES:
        missing.append(say("compare.many", most=MOST_STUDIES, n=len(found)))
    return found[:MOST_STUDIES], missing


def _parted(text: str, known: Callable[[str], bool]) -> list[str]:
    """The parts between commas, but for a name that has commas in it."""
    return [text] if known(text) else [part.strip() for part in text.split(",") if part.strip()]


# --- trials ------------------------------------------------------------------------------------


def trials(shelf: Shelf, found: Sequence[One], query: Mapping[str, str]) -> dict[str, Any]:
    """The page of trials: `base` is the one that the others are compared with, `m` the metric; with `all` what is the same is shown too."""
    base = next((one for one in found if one.key == query.get("base")), found[0])
    ordered = [base, *(one for one in found if one is not base)]
    objective = base.shown.spec.problem.objective
    metrics = list(
        dict.fromkeys([objective.metric, *(name for one in ordered for name in one.trial.metrics)])
    )
    metric = query.get("m", "") if query.get("m", "") in metrics else objective.metric
    goal = next((o for o in base.shown.spec.problem.objectives if o.metric == metric), None)
    across = len({one.shown.name for one in ordered}) > 1
    folds = [_folds(one.trial, metric) for one in ordered]
    whole = query.get("all") == "1"
    rows = [row for row in _params(ordered) if whole or row["differs"]]

    def address(**changes: str) -> str:
        given = {"base": base.key, "m": metric, "all": "1" if whole else "", **changes}
        parts = [("t", one.key) for one in found] + [(k, v) for k, v in given.items() if v]
        return f"/compare?{urlencode(parts)}"

    return {
        "heads": [_head(one, across, address(base=one.key), one is base) for one in ordered],
        "metric": metric,
        "metrics": [(name, address(m=name), name == metric) for name in metrics],
        "params": rows,
        "same": sum(not row["differs"] for row in _params(ordered)),
        "toggle": address(all="" if whole else "1"),
        "whole": whole,
        "scores": _scores(ordered, metrics),
        "facts": _facts(shelf, ordered),
        "folds": _dots(folds),
        "verdicts": [_verdict(base, one, goal, metric, across) for one in ordered[1:]],
        "curves": f"/compare/curves.json?{urlencode([*(('t', one.key) for one in ordered), ('m', metric)])}",
        "summary": _curves_in_words(ordered, metric),
        "steps": _curves_as_table(ordered, metric),
        "link": address(),
    }


def _head(one: One, across: bool, address: str, is_base: bool) -> dict[str, Any]:
    return {
        "study": one.shown.name,
        "number": one.trial.number,
        "name": _name(one, across),
        "state": str(one.trial.state),
        "base": is_base,
        "make_base": address,
    }


def _name(one: One, across: bool) -> str:
    return f"{one.shown.name} #{one.trial.number}" if across else f"#{one.trial.number}"


def _params(found: Sequence[One]) -> list[dict[str, Any]]:
    """A row for each parameter that any of them has; what differs is what differs from the first."""
    names = dict.fromkeys(name for one in found for name in one.trial.params)
    return [_row(name, [_literal(one.trial.params, name) for one in found]) for name in names]


def _literal(params: Mapping[str, Any], name: str) -> str:
    return shortened(repr(params[name]), LETTERS) if name in params else say("trial.unused")


def _row(label: str, texts: Sequence[str]) -> dict[str, Any]:
    cells = [Cell(text, text != texts[0]) for text in texts]
    return {"label": label, "cells": cells, "differs": any(cell.differs for cell in cells)}


def _scores(found: Sequence[One], metrics: Sequence[str]) -> list[dict[str, Any]]:
    rows = []
    for name in metrics:
        first = found[0].trial.metrics.get(name, math.nan)
        cells = []
        for one in found:
            value = one.trial.metrics.get(name)
            text = say("none") if value is None else written(value, uncertainty(one.trial, name))
            change = math.nan if value is None or one is found[0] else value - first
            cells.append((text, f"{change:+.3g}" if math.isfinite(change) else ""))
        rows.append({"label": name, "cells": cells})
    return rows


def _facts(shelf: Shelf, found: Sequence[One]) -> list[dict[str, Any]]:
    rows = [
        _row(say("board.time"), ["" if (s := one.trial.seconds) is None else duration(s) for one in found])
    ]
    taken = [shelf.files(one.shown.name)[one.trial.number].bytes for one in found]
    if any(taken):
        rows.append(_row(say("trial.files"), [size(each) if each else "" for each in taken]))
    models = [_models(shelf, one) for one in found]
    if any(models):
        rows.append(_row(say("compare.model"), models))
    return rows


def _models(shelf: Shelf, one: One) -> str:
    """The versions of the study's model that were made from this trial, with their sizes."""
    from luthier.models.registry import versions_of

    found: list[str] = []
    try:
        versions = versions_of(shelf.home, one.shown.name)
    except LuthierError:  # there are none
        return ""
    for version in versions:
        if version.manifest.get("trial") == one.trial.number:
            taken = sum(path.stat().st_size for path in version.path.iterdir() if path.is_file())
            found.append(say("compare.version", version=version.version, size=size(taken)))
    return ", ".join(found)


def _folds(trial: Trial, metric: str) -> list[float]:
    if uncertainty(trial, metric) is None:
        return []
    return [value for _, value in sorted(trial.reported(metric).items())]


def _dots(folds: Sequence[Sequence[float]]) -> list[dict[str, Any]] | None:
    """The scores of the folds on one scale, from 0 to 1; None where nobody has some."""
    every = [value for values in folds for value in values]
    if not every:
        return None
    low, high = min(every), max(every)
    wide = high - low if 0 < high - low < math.inf else math.inf
    return [
        {
            "text": " ".join(f"{value:.4g}" for value in values),
            "dots": [(value - low) / wide if wide < math.inf else 0.5 for value in values],
        }
        for values in folds
    ]


def _verdict(base: One, one: One, goal: Objective | None, metric: str, across: bool) -> dict[str, Any]:
    """Whether the two can be told apart, as `luthier compare` says it, or why that cannot be said."""
    name = _name(one, across)
    if goal is None:
        return {"name": name, "text": say("compare.nogoal", metric=metric), "more": None, "apart": None}
    if one.shown is not base.shown and (why := _not_alike(base.shown, one.shown, metric)):
        return {"name": name, "text": why, "more": None, "apart": None}
    try:
        found = compare(one.trial, base.trial, goal, overlap=overlap_in_facts(base.shown.facts()))
    except LuthierError as error:
        return {"name": name, "text": str(error), "more": None, "apart": None}
    text = found.told(_name(one, True), _name(base, True)) if across else str(found)
    return {"name": name, "text": text, "more": _interval(found), "apart": found.apart}


def _interval(found: Comparison) -> str:
    return say(
        "compare.interval",
        folds=found.folds,
        difference=f"{found.difference:+.3g}",
        low=f"{found.low:+.3g}",
        high=f"{found.high:+.3g}",
        p=f"{found.p:.2g}",
    )


def _not_alike(a: Shown, b: Shown, metric: str) -> str | None:
    """Why the scores of two studies cannot be compared fold by fold, where they cannot."""
    if metric not in [objective.metric for objective in b.spec.problem.objectives]:
        return say("compare.othermetric", name=b.name, metric=metric)
    ours, theirs = a.facts(), b.facts()
    if "splits" not in ours or "splits" not in theirs:
        return say("compare.nosplits")
    if ours["splits"] != theirs["splits"] or ours.get("data") != theirs.get("data"):
        return say("compare.othersplits", a=a.name, b=b.name)
    return None


def overlaid(found: Sequence[One], metric: str) -> dict[str, Any]:
    """The learning curves of trials, each reduced; nothing where what they reported were folds, or nothing."""
    across = len({one.shown.name for one in found}) > 1
    drawn = [(one, curve(one.trial, metric)) for one in found]
    lines = [
        {"name": _name(one, across), "points": one_curve["points"]}
        for one, one_curve in drawn
        if one_curve["kind"] == "curve" and one_curve["steps"] > 1
    ]
    return {"metric": metric, "lines": lines, "x": say("trial.step"), "empty": not lines}


def _curves_in_words(found: Sequence[One], metric: str) -> str | None:
    """A sentence for the chart, and with it whether there is one."""
    data = overlaid(found, metric)
    if data["empty"]:
        return None
    ends = [
        say(
            "compare.curve", name=line["name"], last=say("none") if last is None else f"{last:.4g}", step=step
        )
        for line in data["lines"]
        for step, last in line["points"][-1:]
    ]
    return "; ".join(ends) + "."


def _curves_as_table(found: Sequence[One], metric: str) -> dict[str, Any]:
    """The curves step by step, a column for each; of many steps some, evenly."""
    lines = overlaid(found, metric)["lines"]
    values = [dict(line["points"]) for line in lines]
    steps = sorted({step for points in values for step in points})
    kept = steps[:: max(1, -(-len(steps) // MOST_STEPS))]
    rows = [
        (step, ["" if (v := points.get(step)) is None else f"{v:.6g}" for points in values]) for step in kept
    ]
    return {"names": [line["name"] for line in lines], "rows": rows}


# --- studies -----------------------------------------------------------------------------------


def studies(found: Sequence[Shown]) -> dict[str, Any]:
    """The page of studies: their bests, what was asked of them, and whether their bests can be told apart."""
    query = urlencode([("s", shown.name) for shown in found])
    settings = [_row(label, texts) for label, texts in _settings(found)]
    drawn = race(found)
    bests = [shown.best() for shown in found]
    return {
        "names": [shown.name for shown in found],
        "states": [views.stands(shown).word for shown in found],
        "results": [
            {"label": label, "cells": [Cell(text) for text in texts]}
            for label, texts in _results(found, bests)
        ],
        "settings": [row for row in settings if row["differs"]],
        "same": [row for row in settings if not row["differs"]],
        "verdicts": _bests_apart(found, bests),
        "left_out": drawn["left_out"],
        "empty": drawn["empty"],
        "chart": f"/compare/best.json?{query}",
        "metric": drawn["metric"],
        "table": [
            (
                line["name"],
                [
                    (f"{place:,}", f"{value:.6g}", duration(seconds) if seconds is not None else "")
                    for place, seconds, value in line["points"]
                ],
            )
            for line in drawn["lines"]
        ],
        "trials": f"/compare?{urlencode([('t', f'{shown.name}:{best.number}') for shown, best in zip(found, bests, strict=True) if best is not None])}"
        if any(best is not None for best in bests)
        else None,
    }


def _results(found: Sequence[Shown], bests: Sequence[Trial | None]) -> list[tuple[str, list[str]]]:
    objectives = [shown.spec.problem.objective for shown in found]
    best = [
        say("none") if trial is None else f"{objective.metric} {score(trial, objective)} (#{trial.number})"
        for trial, objective in zip(bests, objectives, strict=True)
    ]
    return [
        (say("list.best"), best),
        (say("list.trials"), [f"{shown.ended:,}" for shown in found]),
        (say("list.time"), [duration(shown.row.seconds) for shown in found]),
    ]


def _settings(found: Sequence[Shown]) -> list[tuple[str, list[str]]]:
    """What was asked of each study, a label and a text for each."""
    specs = [shown.spec for shown in found]
    rows: list[tuple[str, list[str]]] = [
        (
            say("compare.goal"),
            [", ".join(f"{o.goal} {o.metric}" for o in spec.problem.objectives) for spec in specs],
        ),
        (say("compare.search"), [called(spec.algorithm) for spec in specs]),
        (
            say("compare.stopping"),
            [say("none") if spec.stopping is None else called(spec.stopping) for spec in specs],
        ),
        (say("compare.budget"), [budgeted(spec.budget) for spec in specs]),
        (say("compare.seed"), [str(spec.seed) for spec in specs]),
    ]
    about = dict.fromkeys(key for spec in specs for key in spec.about)
    names = dict.fromkeys(name for spec in specs for name in spec.problem.space)
    rows += [(str(key), [_about(spec.about, key) for spec in specs]) for key in about]
    rows += [(name, [_range(spec.problem.space, name) for spec in specs]) for name in names]
    return rows


def _about(about: Mapping[str, Any], key: str) -> str:
    if key not in about:
        return say("none")
    return shortened(setting(about[key]), FEW_LETTERS if key in HASHES else LETTERS)


def _range(space: Any, name: str) -> str:
    if name not in space:
        return say("none")
    return shortened(f"{values_text(space[name])} {scale_text(space[name])}".strip(), LETTERS)


def _bests_apart(found: Sequence[Shown], bests: Sequence[Trial | None]) -> list[dict[str, Any]]:
    """Of each study but the first whether its best can be told from the first one's."""
    ours = next(((shown, best) for shown, best in zip(found, bests, strict=True) if best is not None), None)
    if ours is None or len(found) < 2:
        return []
    base = One(*ours)
    return [
        _verdict(
            base,
            One(shown, best),
            base.shown.spec.problem.objective,
            base.shown.spec.problem.objective.metric,
            True,
        )
        for shown, best in zip(found, bests, strict=True)
        if best is not None and shown is not base.shown
    ]


def race(found: Sequence[Shown]) -> dict[str, Any]:
    """The best so far of each study: corners of place, seconds since its first trial began, and value. Studies of another metric or
    another direction than the first are left out, and named.
    """
    if not found:
        return {"metric": "", "goal": "", "lines": [], "left_out": [], "empty": True}
    objective = found[0].spec.problem.objective
    alike = [
        s
        for s in found
        if (o := s.spec.problem.objective).metric == objective.metric and o.goal == objective.goal
    ]
    lines = [{"name": shown.name, "points": _corners(shown)} for shown in alike]
    return {
        "metric": objective.metric,
        "goal": objective.goal,
        "lines": lines,
        "left_out": [shown.name for shown in found if shown not in alike],
        "empty": not any(line["points"] for line in lines),
    }


def raced(data: Mapping[str, Any], by_time: bool) -> dict[str, Any]:
    """As the chart draws it: the value by the number of trials, or by time."""
    lines = [
        {
            "name": line["name"],
            "points": [
                (seconds if by_time else place, value)
                for place, seconds, value in line["points"]
                if seconds is not None or not by_time
            ],
        }
        for line in data["lines"]
    ]
    x = say("compare.seconds" if by_time else "best.label.x")
    return {"metric": data["metric"], "lines": lines, "x": x, "step": True, "empty": data["empty"]}


def _corners(shown: Shown) -> list[tuple[int, float | None, float]]:
    columns = shown.columns
    with columns.still:
        gains, finished = columns.gains, columns.finished
        values = columns.values[finished]
        started, ended, _ = columns.times
        begun = float(np.nanmin(started)) if np.isfinite(started).any() else math.nan
        places = dict.fromkeys([*map(int, gains), len(finished) - 1]) if len(gains) else {}
        points = []
        for i in places:
            best = values[gains[np.searchsorted(gains, i, side="right") - 1]]
            seconds = float(ended[finished[i]]) - begun
            if np.isfinite(best):
                points.append(
                    (int(i) + 1, round(seconds, 3) if math.isfinite(seconds) else None, float(f"{best:.6g}"))
                )
    return points
