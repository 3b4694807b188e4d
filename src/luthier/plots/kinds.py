"""The kinds of plot: how the trials of a study become a picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from luthier.analysis import Contour, Forest, Slice, contour_of, distribution, slice_of, timeline
from luthier.analysis import importance as importance_of
from luthier.analysis.course import without_breaks
from luthier.analysis.table import number
from luthier.errors import InvalidParams, InvalidStudy, LuthierError, UnknownName, did_you_mean
from luthier.expected import best_of
from luthier.plots.picture import (
    BLUE,
    FAINT,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    SHADES,
    VERMILION,
    Axis,
    Band,
    Bars,
    Field,
    Line,
    Mark,
    Panel,
    Picture,
    Points,
    Symbol,
    Words,
)
from luthier.plots.scales import View, parameter_axis, ticks, titled, written
from luthier.space import Choice, Int, Parameter
from luthier.study import History, State, Trial
from luthier.summary import duration, plural, shortened, worth

Floats = NDArray[np.float64]
MOST_SLICES = 6
OFF = -0.16
"""Where a parameter is drawn that does not exist in a trial, below all of its values."""


# --- how it went -------------------------------------------------------------------------------


def history(trials: History) -> Picture:
    """Every trial's value by its number, the best so far, and the trials that came to nothing."""
    view = _view(trials)
    done = [t for t in trials if math.isfinite(trials.value(t))]
    good = [t for t in done if trials.feasible(t)]
    marks: list[Mark] = [
        *_values(trials, view, [t for t in done if not trials.feasible(t)], "breaks a constraint", "ring"),
        *_values(trials, view, good, "completed", "dot"),
    ]
    if len(good) > 1:
        running = np.minimum.accumulate([view.sign * trials.value(t) for t in good]) * view.sign
        x = [*(t.number for t in good), len(trials) - 1]
        label = "best value seen so far" if trials.problem.objective.noisy else "best so far"
        marks.append(Line(x, view.clip([*running, running[-1]]), INK, width=1.5, step=True, label=label))
    first = trials[0]
    if first.tag.get("by") == "defaults" and first in done:
        level = view.clip([trials.value(first)] * 2)
        marks.append(
            Line([0, len(trials) - 1], level, GREY, width=1.2, dashed=True, label="the estimator's defaults")
        )
    lost: list[tuple[str, str, Symbol, list[Trial]]] = [
        ("stopped", PURPLE, "triangle", [t for t in trials if t.state is State.STOPPED]),
        ("failed", VERMILION, "cross", [t for t in trials if t.state is State.FAILED]),
        (
            "no value",
            GREY,
            "cross",
            [t for t in trials if t.state is State.COMPLETED and not math.isfinite(trials.value(t))],
        ),
    ]
    for word, colour, symbol, those in lost:
        texts = [f"#{t.number} {word}: {shortened(t.reason or '', 80)}".rstrip(": ") for t in those]
        if those:
            x, y = [t.number for t in those], [view.at_edge(0.1)] * len(those)
            label = f"{word} ({len(those)})"
            marks.append(Points(x, y, colour, symbol, 7, 0.9, label=label, texts=texts))
    marks += _best(trials, lambda t: (t.number, float(view.clip([trials.value(t)])[0])))
    lost_some = any(those for *_, those in lost)
    goal = "lower" if view.sign > 0 else "higher"
    return Picture(
        f"{view.metric}, trial by trial",
        (Panel(Axis("trial"), view.axis(worst=0.16 if lost_some else 0.05), tuple(marks)),),
        _said(f"{goal.capitalize()} is better.", view.note),
    )


def _values(trials: History, view: View, of: Sequence[Trial], label: str, symbol: Symbol) -> list[Mark]:
    if not of:
        return []
    y = view.clip([trials.value(t) for t in of])
    texts = [_told(trials, t) for t in of]
    colour = BLUE if symbol == "dot" else GREY
    return [Points([t.number for t in of], y, colour, symbol, 6, 0.6, label=label, texts=texts)]


def timeline_of(trials: History) -> Picture:
    """When each trial ran, one line for each place at which a trial can run."""
    spans = timeline(trials)
    if not spans:
        raise LuthierError("no trial has started yet, so there is no timeline to draw.")
    latest = max([s.ended or s.started for s in spans] + [s.started for s in spans])
    at, left_out = without_breaks([(s.started, s.ended or latest) for s in spans])
    whole = max(end for _, end in at)
    unit, word = next(
        (u, w) for u, w in ((3600, "hours"), (60, "minutes"), (1, "seconds")) if whole > 3 * u or u == 1
    )
    looks = {
        State.COMPLETED: (BLUE, "completed"),
        State.STOPPED: (PURPLE, "stopped"),
        State.FAILED: (VERMILION, "failed"),
        State.RUNNING: (ORANGE, "running"),
    }
    best = best_of(trials)
    groups: dict[tuple[str, str], list[int]] = {}
    for i, s in enumerate(spans):
        look = (GREEN, "the best") if best is not None and s.number == best.number else looks[s.state]
        groups.setdefault(look, []).append(i)
    marks = []
    for (colour, label), members in groups.items():
        texts = [
            f"#{spans[i].number} {spans[i].state}, {duration((spans[i].ended or latest) - spans[i].started)}"
            for i in members
        ]
        start, end = ([at[i][side] / unit for i in members] for side in (0, 1))
        marks.append(
            Bars([spans[i].lane + 1 for i in members], start, end, colour, 0.75, label=label, texts=texts)
        )
    lanes = 1 + max(s.lane for s in spans)
    y = Axis(
        "slot", ticks=tuple((i + 1, str(i + 1)) for i in range(lanes)), span=(lanes + 0.6, 0.4), grid=False
    )
    note = f"Breaks in which nothing ran, {duration(left_out)} in all, are left out." if left_out else ""
    return Picture(
        "When each trial ran",
        (Panel(Axis(f"{word} of work"), y, tuple(marks)),),
        note,
        size=(8.0, min(8.0, 2.4 + 0.35 * lanes)),
    )


def distribution_of(trials: History) -> Picture:
    """What share of the trials is at least as good as a value."""
    view = _view(trials)
    found = distribution(trials)
    values, share = found.values, found.share
    if view.sign < 0:
        share = 1 - np.concatenate([[0.0], share[:-1]])
    texts = [f"{number(v)}: {s:.0%}" for v, s in zip(values, share, strict=True)]
    marks: list[Mark] = [
        Line(view.clip(values), share, BLUE, step=True, texts=texts),
        Points(view.clip(values), share, BLUE, size=4, opacity=0.5, texts=texts),
    ]
    by_value = dict(zip(values.tolist(), share.tolist(), strict=True))
    marks += _best(
        trials,
        lambda t: (float(view.clip([trials.value(t)])[0]), by_value[trials.value(t)]),
    )
    side = "at most" if view.sign > 0 else "at least"
    y = Axis(
        f"share of trials with {side} that value",
        span=(-0.03, 1.05),
        ticks=tuple((i / 5, f"{i * 20}%") for i in range(6)),
    )
    x = view.axis()
    return Picture(
        f"How {view.metric} is distributed over {plural(len(values), 'trial')}",
        (Panel(x, y, tuple(marks)),),
        view.note,
    )


# --- what mattered -----------------------------------------------------------------------------


def importance(trials: History) -> Picture:
    """Which parameters explain how much of the objective's variance."""
    found = importance_of(trials)
    together = max(0.0, 1 - sum(item.share for item in found))
    names = [shortened(item.parameter, 30) for item in found] + ["only together"]
    shares = [item.share for item in found] + [together]
    errors = [item.error for item in found]
    heights = list(range(1, len(names) + 1))
    n = len(found)
    texts = [f"{item.parameter}: {item.share:.1%} ± {item.error:.1%}" for item in found]
    labels = [f"{item.share:.0%} ± {item.error:.0%}" for item in found] + [f"{together:.0%}"]
    ends = [share + error for share, error in zip(shares, [*errors, 0.0], strict=True)]
    marks: tuple[Mark, ...] = (
        Bars(heights[:n], [0.0] * n, shares[:n], BLUE, 0.62, texts=texts, errors=errors),
        Bars(
            heights[n:], [0.0], shares[n:], FAINT, 0.62, texts=["effects that parameters have only together"]
        ),
        Words([end + 0.012 for end in ends], heights, labels),
    )
    y = Axis(
        ticks=tuple(zip(map(float, heights), names, strict=True)), span=(len(names) + 0.6, 0.4), grid=False
    )
    top = min(1.25, 1.18 * max(ends) + 0.08)
    step = 0.2 if top > 0.5 else 0.1
    x = Axis(
        f"share of the variance of {trials.problem.objective.metric}",
        span=(0, top),
        ticks=tuple((i * step, f"{i * step:.0%}") for i in range(int(min(top, 1.0) / step + 1e-9) + 1)),
    )
    return Picture(
        "Which parameters mattered",
        (Panel(x, y, marks),),
        "Each by itself, over the whole space (functional ANOVA); ± is one standard error.",
        size=(8.0, min(10.0, 1.9 + 0.36 * len(names))),
    )


def slices(trials: History, *names: str) -> Picture:
    """The objective along parameters - without names, along the six that matter most - over all values of the others."""
    forest = Forest.of(trials)
    chosen = (
        _names(trials, names) or [i.parameter for i in importance_of(trials, forest=forest)][:MOST_SLICES]
    )
    view = _view(trials)
    panels = [
        _slice_panel(trials, view, slice_of(trials, name, forest=forest), i) for i, name in enumerate(chosen)
    ]
    columns = min(3, len(panels)) if len(panels) != 4 else 2
    lines = math.ceil(len(panels) / columns)
    panels = [
        panel if i % columns == 0 else replace(panel, y=replace(panel.y, title=""))
        for i, panel in enumerate(panels)
    ]
    return Picture(
        f"{view.metric} along {'each parameter' if len(panels) > 1 else chosen[0]}",
        tuple(panels),
        _said(
            "The line is what to expect on average over the other parameters, ± one standard deviation.",
            view.note,
        ),
        columns,
        (8.0 if columns == 1 else 3.5 * columns + 0.8, 4.8 if lines == 1 else 2.9 * lines + 1.2),
    )


def _slice_panel(trials: History, view: View, found: Slice, place: int) -> Panel:
    p, seen = found.parameter, found.observed
    x = p.to_unit(found.values)
    mean, low, high = (view.clip(v) for v in (found.mean, found.mean - found.sd, found.mean + found.sd))
    texts = [
        f"{found.name} {written(v)}: {number(m)} ± {number(s)}"
        for v, m, s in zip(found.values, found.mean, found.sd, strict=True)
    ]
    points = [_told(trials, trials[n]) for n in seen.numbers]
    spread = _spread(p, p.to_unit(seen.at[0]), seen.numbers)
    marks: list[Mark] = [
        Points(
            spread,
            view.clip(seen.objective),
            GREY,
            size=4.5,
            opacity=0.5,
            texts=points,
            label=None if place else "trials",
        )
    ]
    expected = None if place else "expected"
    if isinstance(p, Choice) and not p.ordered:
        marks.append(Points(x, mean, BLUE, size=9, opacity=1, errors=found.sd, label=expected, texts=texts))
    else:
        marks.append(Band(x, low, high, BLUE))
        marks.append(Line(x, mean, BLUE, 2.2, label=expected, texts=texts))
    where = dict(zip(seen.numbers, spread.tolist(), strict=True))
    marks += _best(
        trials,
        lambda t: (where[t.number], float(view.clip([trials.value(t)])[0])) if t.number in where else None,
        label=not place,
    )
    return Panel(parameter_axis(found.name, p), view.axis(), tuple(marks))


def contour(trials: History, *names: str) -> Picture:
    """The objective over two parameters - without names, the two that matter most - over all values of the others."""
    forest = Forest.of(trials)
    a, b = _pair(trials, forest, names)
    found = contour_of(trials, a, b, forest=forest)
    view = _view(trials)
    p, q = found.parameters
    seen = found.observed
    x = _spread(p, p.to_unit(seen.at[0]), seen.numbers)
    y = _spread(q, q.to_unit(seen.at[1]), tuple(n * 7 + 3 for n in seen.numbers))
    where = {n: (float(u), float(v)) for n, u, v in zip(seen.numbers, x, y, strict=True)}
    shades = SHADES[::-1] if view.sign > 0 else SHADES
    marks: list[Mark] = [
        Field(
            _edges(p.to_unit(found.values[0])),
            _edges(q.to_unit(found.values[1])),
            *_shown(view, found),
            shades,
        ),
        Points(
            x, y, INK, "ring", 5, 0.8, texts=[_told(trials, trials[n]) for n in seen.numbers], label="trials"
        ),
        *_best(trials, lambda t: where.get(t.number)),
    ]
    apart = " Grey: the two do not exist together there." if np.isnan(found.mean).any() else ""
    return Picture(
        f"{view.metric} over {a} and {b}",
        (
            Panel(
                parameter_axis(a, p, room=0.0, grid=False),
                parameter_axis(b, q, room=0.0, grid=False),
                tuple(marks),
            ),
        ),
        f"What to expect on average over the other parameters; brighter is better.{apart}",
        size=(7.5, 5.6),
    )


def parallel(trials: History) -> Picture:
    """Every trial as a line through its parameters to its value, the better the brighter."""
    view = _view(trials)
    space = trials.problem.space
    names = [name for name, p in space.items() if p.size != 1]
    last = len(names)
    shown = [t for t in trials if t.state.ended]
    height = np.array([[_height(space[n], t, n) for n in names] + [OFF] for t in shown])
    values = np.array([trials.value(t) for t in shown])
    valued = np.isfinite(values)
    height[valued, last] = view.unit(values[valued])
    lost = np.array([t.state is State.FAILED for t in shown])
    marks: list[Mark] = (
        [Line(*_joined(height[lost]), VERMILION, 0.9, 0.5, dashed=True, label="failed")] if lost.any() else []
    )
    stopped = ~valued & ~lost
    if stopped.any():
        marks.append(Line(*_joined(height[stopped]), GREY, 0.9, 0.5, label="stopped or without a value"))
    order = np.flatnonzero(valued)[np.argsort(-view.sign * values[valued], kind="stable")]  # the worst first
    for shade, members in zip(SHADES, np.array_split(order, len(SHADES)), strict=True):
        if len(members):
            marks.append(Line(*_joined(height[members]), shade, 1.1, 0.35 if len(order) > 100 else 0.6))
            marks.append(
                Points(
                    [last] * len(members),
                    height[members, last],
                    shade,
                    size=4,
                    opacity=0.9,
                    texts=[_told(trials, shown[i]) for i in members],
                )
            )
    best = best_of(trials)
    if best is not None:
        row = height[[shown.index(best)]]
        marks.append(Line(*_joined(row), INK, 2.6, label=f"best (#{best.number})"))
    conditional = any(space.conditions(name) for name in names)
    bottom = OFF if conditional or not valued.all() else 0.0
    for i, axis in enumerate([*(ticks(space[name]) for name in names), view.ticks()]):
        marks.append(Line([i, i], [0, 1], INK, 1.0))
        marks.append(Words([i] * len(axis), [place for place, _ in axis], [text for _, text in axis], size=8))
    off = [i for i, name in enumerate(names) if space.conditions(name)]
    marks.append(Words([*off], [OFF] * len(off), ["not active"] * len(off), colour=GREY, size=8))
    if not valued.all():
        marks.append(Words([last], [OFF], ["no value"], colour=GREY, size=8))
    width = min(18.0, max(8.0, 1.35 * (last + 1.5)))
    inch = last / (width - 1.2)
    heads = [
        (float(i), titled(n if len(n) <= 18 else f"…{n[-17:]}", space[n]).replace(" (", "\n("))
        for i, n in enumerate(names)
    ]
    heads.append((float(last), view.title.replace(" (", "\n(")))
    x = Axis(ticks=tuple(heads), span=(-0.4 * inch, last + 0.8 * inch), grid=False)
    y = Axis(ticks=(), span=(bottom - 0.06, 1.06), grid=False)
    return Picture(
        f"The {plural(len(shown), 'trial')}, from parameters to {view.metric}",
        (Panel(x, y, tuple(marks)),),
        _said("The brighter the better.", view.note),
        size=(width, 5.2),
    )


def _height(p: Parameter, trial: Trial, name: str) -> float:
    if name not in trial.params:
        return OFF
    try:
        p.check(trial.params[name])
    except InvalidParams:  # an estimator's defaults may lie outside
        return math.nan
    return float(_spread(p, p.to_unit([trial.params[name]]), (trial.number,))[0])


def _joined(rows: Floats) -> tuple[Floats, Floats]:
    """Lines one after the other, with gaps between them."""
    n, k = rows.shape
    x = np.tile(np.append(np.arange(k, dtype=np.float64), np.nan), n)
    return x, np.hstack([rows, np.full((n, 1), np.nan)]).ravel()


# --- parts of them -----------------------------------------------------------------------------


def _view(trials: History) -> View:
    if not np.isfinite(trials.values).any():
        raise LuthierError("no trial has completed with a value yet, so there is nothing to draw.")
    return View(trials.problem.objective, trials.values)


def _told(trials: History, trial: Trial) -> str:
    """A trial in a line, for who points at it."""
    params = ", ".join(f"{name} {written(value)}" for name, value in trial.params.items())
    return f"#{trial.number}  {number(trials.value(trial))}<br>{params}"


def _best(
    trials: History, at: Callable[[Trial], tuple[float, float] | None], *, label: bool = True
) -> list[Mark]:
    best = best_of(trials)
    place = None if best is None else at(best)
    if best is None or place is None or not math.isfinite(trials.value(best)):
        return []
    told = f"best: {worth(trials, best)} (#{best.number})" if label else None
    return [Points([place[0]], [place[1]], ORANGE, "star", 15, 1.0, label=told, texts=[_told(trials, best)])]


def _spread(p: Parameter, units: Floats, numbers: Sequence[int]) -> Floats:
    """Places of trials, those at the same value of few a little apart: by their number, so always the same way."""
    if not isinstance(p, Choice | Int) or p.size is None or p.size > 12:
        return units
    apart = (np.asarray(numbers) * 0.6180339887) % 1 - 0.5
    return units + apart * 0.5 / p.size


def _shown(view: View, found: Contour) -> tuple[Floats, str]:
    """The values of a contour as they are told apart best, and what they are."""
    if not view.log:
        return found.mean, view.metric
    return np.log10(np.maximum(found.mean, view.low)), f"log10 of {view.metric}"


def _edges(units: Floats) -> Floats:
    between = (units[1:] + units[:-1]) / 2
    return np.concatenate([[0.0], between, [1.0]])


def _said(*sentences: str) -> str:
    return " ".join(s for s in sentences if s)


def _names(trials: History, names: Sequence[str]) -> list[str]:
    space = trials.problem.space
    for name in names:
        if name not in space:
            raise InvalidParams(f"{name!r} is not a parameter of this study.{did_you_mean(name, space)}")
        if space[name].size == 1:
            raise InvalidParams(
                f"{name!r} is fixed at {space[name].at(0.5)!r}, so there is nothing to draw along it."
            )
    return list(dict.fromkeys(names))


def _pair(trials: History, forest: Forest, names: Sequence[str]) -> tuple[str, str]:
    if names:
        if len(names) != 2:
            raise InvalidStudy(
                f"a contour takes two parameters, not {len(names)} ({', '.join(names)}). Name two, or none for those that "
                "matter most."
            )
        _names(trials, names)
        return names[0], names[1]
    order = [item.parameter for item in importance_of(trials, forest=forest)]
    for a, b in combinations(order, 2):
        if not np.isnan(forest.marginal(a, b)).all():
            return a, b
    raise InvalidStudy("a contour takes two parameters that exist together, and this study has none such.")


KINDS: Mapping[str, Callable[..., Picture]] = {
    "history": history,
    "parallel": parallel,
    "slice": slices,
    "contour": contour,
    "importance": importance,
    "timeline": timeline_of,
    "distribution": distribution_of,
}
OF_PARAMETERS = ("slice", "contour")


def picture(trials: History, kind: str, names: Sequence[str] = ()) -> Picture:
    """The picture of that kind; `names` are the parameters that a slice or contour is along."""
    if kind not in KINDS:
        raise UnknownName(f"there is no plot {kind!r}.{did_you_mean(kind, KINDS)}")
    if names and kind not in OF_PARAMETERS:
        raise InvalidStudy(
            f"a plot of kind {kind!r} is about all parameters. Leave the names out, or draw a slice."
        )
    return KINDS[kind](trials, *names)
