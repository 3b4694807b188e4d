"""Pictures as PNG and SVG files, drawn by Matplotlib, which needs neither a browser nor a screen."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from luthier.errors import MissingExtra
from luthier.plots.picture import (
    FAINT,
    GREY,
    INK,
    Axis,
    Band,
    Bars,
    Field,
    Line,
    Mark,
    Panel,
    Picture,
    Points,
    Words,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SYMBOLS = {"dot": "o", "ring": "o", "cross": "x", "triangle": "^", "star": "*"}
STYLE: dict[Any, Any] = {
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 10,
    "grid.color": "#ECECEC",
    "svg.fonttype": "path",
    "svg.hashsalt": "luthier",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
}


MANY = 2_000
"""So many points of one kind are one picture inside an SVG, not as many shapes."""


def save(picture: Picture, path: Path, form: str) -> None:
    """Write the picture to a file as 'png' or 'svg'. Raises MissingExtra without Matplotlib."""
    write(picture, path, form)


def write(picture: Picture, target: Path | BinaryIO, form: str) -> None:
    """Write the picture as 'png' or 'svg'. Raises MissingExtra without Matplotlib."""
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("matplotlib", "plot", f"A plot as {form.upper()}") from None

    with mpl.rc_context(STYLE):
        rows = math.ceil(len(picture.panels) / picture.columns)
        figure = Figure(figsize=picture.size, layout="constrained")
        grid = figure.subplots(rows, picture.columns, squeeze=False)
        for axes, panel in zip(grid.flat, picture.panels, strict=False):
            _draw(axes, panel, picture.size[0] / picture.columns)
        for axes in list(grid.flat)[len(picture.panels) :]:
            axes.remove()
        _head(figure, picture)
        figure.savefig(target, format=form, dpi=150, metadata={"Date": None} if form == "svg" else None)


def _head(figure: Any, picture: Picture) -> None:
    """Title and sentence at the top left, the legend below the panels."""
    first = figure.axes[0]
    title = f"{picture.title}\n" if picture.note else picture.title
    figure.suptitle(title, x=0.01, ha="left", weight="bold", size=13)
    if picture.note:
        note = first.annotate(
            picture.note, (0.01, 1), (0, -25), xycoords="figure fraction", textcoords="offset points",
            size=9, color=GREY, va="top", annotation_clip=False,
        )  # fmt: skip
        note.set_in_layout(False)  # the second line of the title keeps its place
    handles, labels = first.get_legend_handles_labels()
    if handles:
        below = {
            "loc": "outside lower center",
            "ncols": min(4, len(handles)),
            "frameon": False,
            "fontsize": 9,
        }
        figure.legend(handles, labels, **below)


def _draw(axes: Axes, panel: Panel, width: float) -> None:
    """Draw a panel about so many inches wide."""
    axes.set_axisbelow(True)
    _axis(axes, panel.x, "x", width)
    _axis(axes, panel.y, "y", width)
    for depth, mark in enumerate(panel.marks):
        _mark(axes, mark, 3 + depth / 100)
    if panel.title:
        axes.set_title(panel.title)


def _axis(axes: Axes, axis: Axis, side: str, width: float) -> None:
    from matplotlib.ticker import NullLocator

    which: Any = getattr(axes, f"{side}axis")
    getattr(axes, f"set_{side}label")(axis.title)
    if axis.log:
        getattr(axes, f"set_{side}scale")("log")
    if axis.span is not None:
        getattr(axes, f"set_{side}lim")(*axis.span)
    if axis.ticks is not None:
        which.set_minor_locator(NullLocator())
        which.set_ticks([place for place, _ in axis.ticks], [text for _, text in axis.ticks])
        if not axis.ticks:
            axes.spines["left" if side == "y" else "bottom"].set_visible(False)
        letters = sum(2 + max(map(len, text.split("\n"))) for _, text in axis.ticks)
        crowded = side == "x" and letters > 10 * width
        if crowded:
            axes.tick_params(axis="x", rotation=30)
            for label in which.get_ticklabels():
                label.set_ha("right")
    if axis.grid:
        which.grid(True)


def _mark(axes: Axes, mark: Mark, depth: float) -> None:
    match mark:
        case Points():
            _points(axes, mark, depth)
        case Line():
            axes.plot(
                mark.x,
                mark.y,
                color=mark.colour,
                linewidth=mark.width,
                alpha=mark.opacity,
                linestyle=(0, (4, 3)) if mark.dashed else "-",
                drawstyle="steps-post" if mark.step else "default",
                label=mark.label,
                zorder=depth,
                solid_joinstyle="round",
            )
        case Band():
            axes.fill_between(
                mark.x,
                mark.low,
                mark.high,
                color=mark.colour,
                alpha=0.18,
                linewidth=0,
                label=mark.label,
                zorder=depth,
            )
        case Bars():
            wide = np.subtract(mark.end, mark.start)
            axes.barh(
                mark.y, wide, mark.thick, mark.start, color=mark.colour, edgecolor="white", linewidth=0.5, label=mark.label, zorder=depth,
                xerr=mark.errors, error_kw={"ecolor": INK, "elinewidth": 1.2, "capsize": 3},
            )  # fmt: skip
        case Field():
            from matplotlib.colors import LinearSegmentedColormap

            shades = LinearSegmentedColormap.from_list("shades", list(mark.shades))
            axes.set_facecolor(FAINT)
            mesh = axes.pcolormesh(
                mark.x,
                mark.y,
                np.ma.masked_invalid(mark.values.T),
                cmap=shades,
                zorder=depth,
                rasterized=True,
            )
            bar = axes.figure.colorbar(mesh, ax=axes, pad=0.02)
            bar.set_label(mark.title)
            bar.outline.set_visible(False)
        case Words():
            _words(axes, mark)


def _points(axes: Axes, mark: Points, depth: float) -> None:
    filled = mark.symbol not in ("ring", "cross")
    edge = INK if mark.symbol == "star" else "white" if filled else mark.colour
    look: dict[str, Any] = (
        {"c": mark.colour}
        if mark.symbol == "cross"
        else {"facecolors": mark.colour if filled else "none", "edgecolors": edge}
    )
    if mark.errors is not None:
        axes.errorbar(
            mark.x,
            mark.y,
            yerr=mark.errors,
            fmt="none",
            ecolor=mark.colour,
            elinewidth=1.8,
            capsize=4,
            zorder=depth,
        )
    axes.scatter(
        mark.x, mark.y, s=mark.size**2, marker=SYMBOLS[mark.symbol], alpha=mark.opacity, linewidths=0.8 if filled else 1.3,
        label=mark.label, zorder=depth, clip_on=False, rasterized=len(mark.x) > MANY, **look,
    )  # fmt: skip


def _words(axes: Axes, mark: Words) -> None:
    from matplotlib.patheffects import withStroke

    align = {"right": "left", "centre": "center", "left": "right"}[mark.side]
    for x, y, text in zip(mark.x, mark.y, mark.words, strict=True):
        axes.annotate(
            text, (x, y), (4 if mark.side == "right" else 0, 0), textcoords="offset points", ha=align, va="center",
            size=mark.size, color=mark.colour, zorder=9, path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )  # fmt: skip
