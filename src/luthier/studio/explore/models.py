"""What a model says of the trials: importance, slices, contour - by the same forest as `luthier.analysis`, on all of them or on a sample.

Fitting takes a second, so it is done in one thread, one at a time, and what was fitted is kept until the trials are others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from luthier.analysis import Forest, Importance, Slice, contour_of, slice_of
from luthier.analysis import importance as importance_of
from luthier.analysis.table import number as written
from luthier.errors import LuthierError
from luthier.space import Choice, Int, Params, Scalar
from luthier.studio.columns import Columns, Floats, Numbers
from luthier.studio.explore.axes import Axis, axis_of, of_parameter
from luthier.studio.explore.panel import Panel, axis_json, best_first, shades, thousandths
from luthier.studio.explore.trials import BEST_POINTS, POINTS, density
from luthier.studio.looking import Shown
from luthier.studio.words import say
from luthier.study import History, State, Trial

SAMPLE = 10_000
"""A forest is grown on so many trials at most."""
FEWEST = 10
UNSURE = 30
"""Of fewer trials importance is a guess, and so are shares whose error is as large."""
KEPT = 12
DOTS = 400
ACROSS, UP = 40, 30


@dataclass(frozen=True, slots=True)
class Fitted:
    """What was learnt: from `n` of `of` trials that completed with a value. `why` says what is missing where nothing was."""

    n: int
    of: int
    forest: Forest | None = None
    shares: tuple[Importance, ...] = ()
    history: History | None = None
    why: str = ""
    state: str = "fine"


@dataclass(slots=True)
class Models:
    """The latest models, by study and filter. Ask in the one thread that is there for it."""

    _kept: dict[tuple[str, float, str], tuple[int, Fitted]] = field(default_factory=dict)

    def of(self, shown: Shown, f: str, kept: Callable[[], Numbers]) -> tuple[Fitted, int]:
        """The model of some trials of a study, and as of which cursor."""
        key, cursor = (shown.name, shown.row.created, f), shown.columns.cursor
        there = self._kept.pop(key, None)
        if there is None or there[0] != cursor:
            there = (cursor, fit(shown, kept()))
        self._kept[key] = there  # the latest last
        while len(self._kept) > KEPT:
            self._kept.pop(next(iter(self._kept)))
        return there[1], there[0]


def fit(shown: Shown, kept: Numbers) -> Fitted:
    """Learn from some trials of a study: from all that completed with a value, or of many from a sample of them."""
    columns = shown.columns
    shown.learn()
    with columns.still:
        scored = kept[~np.isnan(columns.values[kept])]
        numbers = scored
        if len(scored) > SAMPLE:
            numbers = np.sort(np.random.default_rng(0).choice(scored, SAMPLE, replace=False))
        history = history_of(columns, numbers)
    if len(scored) < FEWEST:
        return Fitted(
            len(scored), len(scored), why=say("explore.few", n=len(scored), least=FEWEST), state="few"
        )
    try:
        with np.errstate(over="raise", invalid="ignore"):
            forest = Forest.of(history)
            shares = tuple(importance_of(history, forest=forest))
        return Fitted(len(numbers), len(scored), forest, shares, history)
    except LuthierError as error:
        return Fitted(len(numbers), len(scored), why=str(error), state="few")
    except ArithmeticError:  # values of 1e308, whose squares have no number
        return Fitted(len(numbers), len(scored), why=say("explore.extreme"), state="few")


def history_of(columns: Columns, numbers: Numbers) -> History:
    """The completed trials as a history, numbered from 0: all that an analysis of parameters and values needs."""
    space, metric = columns.problem.space, columns.problem.objective.metric
    fidelity = columns.problem.fidelity
    full = None if fidelity is None else float(fidelity.high)
    found: dict[str, list[Scalar]] = {}
    absent: Any = object()
    for name in columns.varying:
        parameter, values = space[name], columns.param(name)[numbers].tolist()
        if isinstance(parameter, Choice):
            found[name] = [absent if v != v else parameter.values[int(v)] for v in values]
        elif isinstance(parameter, Int):
            found[name] = [absent if v != v else int(v) for v in values]
        else:
            found[name] = [absent if v != v else v for v in values]
    fixed = {name: p.at(0.5) for name, p in space.items() if name not in found}
    scores = columns.values[numbers].tolist()
    trials = []
    for i, score in enumerate(scores):
        params: dict[str, Scalar] = {
            name: values[i] for name, values in found.items() if values[i] is not absent
        }
        if fixed:
            params |= {name: fixed[name] for name in space.active(params | fixed) if name in fixed}
        trials.append(Trial(i, params, State.COMPLETED, 1, full, metrics={metric: score}, ended=0.0))
    history = History(columns.problem)
    history.merge(trials, len(trials))
    return history


# --- panels --------------------------------------------------------------------------------------


def sampled(fitted: Fitted) -> list[str]:
    """What a model is based on, where that is not everything."""
    if fitted.n < fitted.of:
        return [say("explore.sample", n=f"{fitted.n:,}", of=f"{fitted.of:,}")]
    return []


def importance(fitted: Fitted) -> Panel:
    """Which share of the variance of the score each parameter explains by itself."""
    head = [say("explore.parameter"), say("explore.share"), say("explore.error")]
    if fitted.forest is None:
        return Panel(fitted.why, {"empty": True}, head, state=fitted.state)
    shares = fitted.shares
    together = max(0.0, 1 - sum(item.share for item in shares))
    top = shares[0]
    sentence = say("explore.importance", name=top.parameter, share=f"{top.share:.0%}", n=f"{fitted.n:,}")
    notes = sampled(fitted)
    if fitted.n < UNSURE or top.error > top.share / 2:
        notes.insert(0, say("explore.unsure", n=f"{fitted.n:,}"))
    chart = {
        "names": [item.parameter for item in shares[:30]],
        "shares": [round(item.share, 4) for item in shares[:30]],
        "errors": [round(item.error, 4) for item in shares[:30]],
        "together": round(together, 4),
        "ended": fitted.n,
    }
    rows = [[item.parameter, f"{item.share:.4f}", f"{item.error:.4f}"] for item in shares]
    rows.append([say("explore.together"), f"{together:.4f}", ""])
    return Panel(sentence, chart, head, rows, [*notes, say("explore.importance.how")])


def slices(
    columns: Columns, fitted: Fitted, axes: Sequence[Axis], kept: Numbers, selected: Sequence[int]
) -> Panel:
    """The score along each parameter: the trials, and what is to be expected on average over the other parameters."""
    score = axis_of(columns, "score")
    assert score is not None
    goodness, shade = shades(columns)
    numbers = np.arange(len(columns))
    height = score.at(columns.values)
    here = kept[~np.isnan(height[kept])]
    many = len(here) > POINTS
    marked = [n for n in selected if n < len(columns) and not np.isnan(height[n])]
    dots = np.unique(
        np.concatenate([best_first(columns, here, BEST_POINTS) if many else here, np.array(marked, np.intp)])
    )
    panels, rows = [], []
    for axis in axes:
        values = columns.param(axis.name)
        place = axis.spread(values, numbers)
        part: dict[str, Any] = {"axis": axis_json(axis), "places": thousandths(place[dots])}
        if many:
            inside = here[~np.isnan(values[here])]
            part["density"] = density(axis.at(values[inside]), height[inside], goodness[inside], ACROSS, UP)
        if fitted.forest is not None and fitted.history is not None and axis.kind == "param":
            told = slice_of(fitted.history, axis.name, forest=fitted.forest)
            part["model"] = _expected(told, axis, score)
            rows += [
                [axis.name, str(value), written(float(mean)), written(float(sd))]
                for value, mean, sd in zip(told.values, told.mean, told.sd, strict=True)
            ]
        panels.append(part)
    chart = {
        "score": axis_json(score),
        "panels": panels,
        "numbers": dots.tolist(),
        "heights": thousandths(height[dots]),
        "shades": shade[dots].tolist(),
        "selected": marked,
        "cells": [ACROSS, UP],
        "ended": len(dots),
        "empty": not len(dots) or not panels,
    }
    notes = [note for note in (score.note,) if note]
    if many:
        notes.insert(0, say("explore.density", shown=BEST_POINTS, n=f"{len(here):,}"))
    if fitted.why:
        notes.append(fitted.why)
    sentence = say("explore.slice.none")
    if len(here):
        sentence = say(
            "explore.slice",
            n=f"{len(here):,}",
            metric=score.title,
            axes=", ".join(axis.name for axis in axes) or "–",
        )
    head = [say("explore.parameter"), say("explore.value"), say("explore.expected"), say("explore.sd")]
    return Panel(sentence, chart, head, rows, [*notes, *sampled(fitted)])


def _expected(told: Slice, axis: Axis, score: Axis) -> dict[str, Any]:
    places = told.parameter.to_unit(list(told.values))
    mean, low, high = (score.at(v) for v in (told.mean, told.mean - told.sd, told.mean + told.sd))
    return {
        "places": thousandths(places),
        "mean": thousandths(mean),
        "low": thousandths(low),
        "high": thousandths(high),
        "line": not axis.levels or getattr(told.parameter, "ordered", False),
    }


def pair(fitted: Fitted, x: str, y: str) -> tuple[str, str] | None:
    """The two parameters that are asked for, else the two that matter most of those that exist together."""
    if fitted.forest is None:
        return None
    order = [item.parameter for item in fitted.shares]
    if x in order and y in order and x != y:
        return x, y
    if x in order or y in order:
        one = x if x in order else y
        order = [one, *(name for name in order if name != one)]
    for a, b in combinations(order, 2):
        if not np.isnan(fitted.forest.marginal(a, b)).all():
            return a, b
    return None


def contour(
    columns: Columns, fitted: Fitted, names: tuple[str, str] | None, kept: Numbers, selected: Sequence[int]
) -> Panel:
    """What the model expects over two parameters, on average over the others, and the trials on top."""
    head = [say("explore.first"), say("explore.second"), say("explore.expected"), say("explore.sd")]
    if names is None or fitted.forest is None or fitted.history is None:
        return Panel(fitted.why or say("explore.nopair"), {"empty": True}, head, state=fitted.state)
    try:
        found = contour_of(fitted.history, *names, forest=fitted.forest)
    except LuthierError as error:
        return Panel(str(error), {"empty": True}, head)
    axes = [of_parameter(name, parameter) for name, parameter in zip(names, found.parameters, strict=True)]
    score = axis_of(columns, "score")
    assert score is not None
    sign = columns.problem.objective.sign
    finite = found.mean[np.isfinite(found.mean)]
    low, high = float(finite.min()), float(finite.max())
    worth = (found.mean - low) / (high - low) if high > low else np.full(found.mean.shape, 0.5)
    shade = np.where(np.isnan(worth), -1, np.round((1 - worth if sign > 0 else worth) * 20)).astype(int)
    numbers = np.arange(len(columns))
    values = [columns.param(name) for name in names]
    places = [axes[0].spread(values[0], numbers), axes[1].spread(values[1], numbers * 7 + 3)]
    here = kept[~np.isnan(values[0][kept]) & ~np.isnan(values[1][kept])]
    marked = [n for n in selected if n < len(columns) and not np.isnan(places[0][n] + places[1][n])]
    dots = np.unique(np.concatenate([_some(columns, here, DOTS), np.array(marked, np.intp)]))
    at = [np.asarray(p.to_unit(list(v))) for p, v in zip(found.parameters, found.values, strict=True)]
    goal = np.nanargmin(found.mean * sign)
    i, j = np.unravel_index(int(goal), found.mean.shape)
    chart = {
        "x": axis_json(axes[0]),
        "y": axis_json(axes[1]),
        "edges": [[round(float(v), 4) for v in _edges(places)] for places in at],
        "shades": shade.tolist(),
        "scale": [written(low), written(high)],
        "metric": columns.problem.objective.metric,
        "goal": columns.problem.objective.goal,
        "numbers": dots.tolist(),
        "places": [thousandths(place[dots]) for place in places],
        "selected": marked,
        "ended": len(dots),
    }
    sentence = say(
        "explore.contour",
        metric=columns.problem.objective.metric,
        x=names[0],
        y=names[1],
        best=written(float(found.mean[i, j])),
        at=f"{names[0]} = {axes[0].text(_value(found.values[0][i], axes[0]))}, "
        f"{names[1]} = {axes[1].text(_value(found.values[1][j], axes[1]))}",
    )
    notes = sampled(fitted)
    if len(dots) < len(here):
        notes.append(say("explore.dots", shown=f"{len(dots):,}", n=f"{len(here):,}"))
    if np.isnan(found.mean).any():
        notes.append(say("explore.apart"))
    rows = [
        [str(a), str(b), written(float(found.mean[i, j])), written(float(found.sd[i, j]))]
        for i, a in enumerate(found.values[0])
        for j, b in enumerate(found.values[1])
        if not np.isnan(found.mean[i, j])
    ]
    return Panel(sentence, chart, head, rows, notes)


def _value(value: Scalar, axis: Axis) -> float:
    return float(axis.levels.index(str(value))) if axis.levels else float(value)  # type: ignore[arg-type]


def _some(columns: Columns, here: Numbers, most: int) -> Numbers:
    """Half of them the best, half evenly from all."""
    if len(here) <= most:
        return here
    evenly = here[np.linspace(0, len(here) - 1, most // 2).astype(np.intp)]
    return np.unique(np.concatenate([best_first(columns, here, most // 2), evenly]))


def _edges(units: Floats) -> Floats:
    between = (units[1:] + units[:-1]) / 2
    return np.concatenate([[0.0], between, [1.0]])


def params_of(columns: Columns, number: int) -> Params:
    """The parameters of a trial in words, from the columns."""
    found = {}
    for name in columns.varying:
        value = float(columns.param(name)[number])
        axis = of_parameter(name, columns.problem.space[name])
        if value == value:
            found[name] = axis.text(value)
    return found
