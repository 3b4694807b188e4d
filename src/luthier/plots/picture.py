"""A picture as data: panels, each with two axes and marks on them. Whoever can draw these few marks can draw any plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Numbers = Sequence[float] | Floats

# Okabe and Ito's colours, which people who see fewer of them can tell apart.
BLUE, SKY, ORANGE, VERMILION, PURPLE, GREEN = "#0072B2", "#56B4E9", "#E69F00", "#D55E00", "#CC79A7", "#009E73"
INK, GREY, FAINT = "#333333", "#8C8C8C", "#D9D9D9"
SHADES = ("#440154", "#472D7B", "#3B528B", "#2C728E", "#21918C", "#28AE80", "#5EC962", "#ADDC30", "#FDE725")
"""Viridis, dark to bright: even steps of lightness, so that it reads in grey too."""

Symbol = Literal["dot", "ring", "cross", "triangle", "star"]


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis: `ticks` are places and what to write there, where the numbers themselves are not meant; `span` its ends."""

    title: str = ""
    log: bool = False
    ticks: tuple[tuple[float, str], ...] | None = None
    span: tuple[float, float] | None = None
    grid: bool = True


@dataclass(frozen=True, slots=True)
class Points:
    """Symbols; `texts` are shown when one points at them, `names` are written beside them."""

    x: Numbers
    y: Numbers
    colour: str = BLUE
    symbol: Symbol = "dot"
    size: float = 6.0
    opacity: float = 0.75
    label: str | None = None
    texts: Sequence[str] = ()
    names: Sequence[str] = ()
    errors: Numbers | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A line, broken where there is NaN; of `step`s that hold until the next point."""

    x: Numbers
    y: Numbers
    colour: str = BLUE
    width: float = 1.8
    opacity: float = 1.0
    step: bool = False
    dashed: bool = False
    label: str | None = None
    texts: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Band:
    """What lies between two lines."""

    x: Numbers
    low: Numbers
    high: Numbers
    colour: str = BLUE
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Bars:
    """Lying bars from `start` to `end` at the heights `y`."""

    y: Numbers
    start: Numbers
    end: Numbers
    colour: str = BLUE
    thick: float = 0.7
    label: str | None = None
    texts: Sequence[str] = ()
    errors: Numbers | None = None


@dataclass(frozen=True, slots=True)
class Field:
    """Colours for a grid of values, of shape (cells along x, cells along y), whose cells have these edges."""

    x: Numbers
    y: Numbers
    values: Floats
    title: str
    shades: Sequence[str] = SHADES


@dataclass(frozen=True, slots=True)
class Words:
    """Words at places; `side` is where they stand."""

    x: Numbers
    y: Numbers
    words: Sequence[str]
    side: Literal["right", "centre", "left"] = "right"
    colour: str = INK
    size: float = 9.0


Mark = Points | Line | Band | Bars | Field | Words


@dataclass(frozen=True, slots=True)
class Panel:
    """Marks over a pair of axes, drawn in the order given."""

    x: Axis
    y: Axis
    marks: tuple[Mark, ...]
    title: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """Panels side by side, so many in a row, under a title and a sentence. `size` in inches."""

    title: str
    panels: tuple[Panel, ...]
    note: str = ""
    columns: int = 1
    size: tuple[float, float] = field(default=(8.0, 4.8))
