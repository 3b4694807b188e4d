"""Where values go on an axis, and what is written there."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from luthier.plots.picture import Axis
from luthier.space import Choice, Const, Float, Int, Parameter, Scalar
from luthier.study import Objective

Floats = NDArray[np.float64]
Ticks = tuple[tuple[float, str], ...]
FAR = 1e100
"""Values that are larger are drawn at the edge: what is reckoned with them would be beyond all numbers. So are those below 1 / FAR, where
a scale is logarithmic."""


def parameter_axis(name: str, parameter: Parameter, *, room: float = 0.03, grid: bool = True) -> Axis:
    """The axis of a parameter: its unit interval, with its values written on it and some room at the ends."""
    return Axis(titled(name, parameter), ticks=ticks(parameter), span=(-room, 1 + room), grid=grid)


def titled(name: str, parameter: Parameter) -> str:
    """The name, and the scale where it is not the plain one."""
    if isinstance(parameter, Float | Int) and parameter.log:
        return f"{name} (log of 1 − value)" if parameter.log == "reverse" else f"{name} (log scale)"
    if isinstance(parameter, Float | Int) and parameter.prior is not None:
        return f"{name} (by its prior)"
    return name


def ticks(parameter: Parameter) -> Ticks:
    """Places on the unit interval, and the round values that are there."""
    match parameter:
        case Choice():
            values: Sequence[Scalar] = parameter.values
        case Const():
            values = [parameter.value]
        case Int() if parameter.size <= 8:
            values = [parameter.nth(i) for i in range(parameter.size)]
        case Float() | Int() if parameter.prior is not None:
            quantiles = parameter.from_unit([0.05, 0.25, 0.5, 0.75, 0.95])
            rounded = [float(f"{value:.2g}") if isinstance(value, float) else value for value in quantiles]
            values = list(dict.fromkeys(rounded))
        case _:
            values = _round_values(parameter)
    places = parameter.to_unit(list(values))
    return tuple((float(place), written(value)) for place, value in zip(places, values, strict=True))


def _round_values(p: Float | Int) -> list[Scalar]:
    if p.log == "reverse":
        far, near = -math.log10(1 - p.low), -math.log10(1 - p.high)
        found = [1 - 10.0**-k for k in range(math.ceil(far - 1e-9), math.floor(near + 1e-9) + 1)]
    elif p.log:
        found = decades(p.low, p.high)
    else:
        found = even(p.low, p.high)
    if len(found) < 2:
        found = [p.low, p.high]
    return [round(v) for v in found] if isinstance(p, Int) else list(found)


def even(low: float, high: float, n: int = 5) -> list[float]:
    """About `n` round numbers between two."""
    rough = high / n - low / n  # the difference itself may be beyond all numbers
    if not rough > 0:
        return [low]
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{k * step:.12g}") for k in range(first, last + 1)]


def decades(low: float, high: float) -> list[float]:
    """Round numbers on a logarithmic scale: powers of ten, and what is between where those are few."""
    wide = math.log10(high) - math.log10(low)
    factors = (1, 2, 5) if wide < 2.5 else (1,)
    every = max(1, math.ceil(wide / 6))
    first, last = math.floor(math.log10(low)), min(math.ceil(math.log10(high)), 308)
    found = [f * 10.0**k for k in range(first, last + 1) if k % every == 0 for f in factors]
    return [float(f"{v:.12g}") for v in found if low * (1 - 1e-9) <= v <= high * (1 + 1e-9)]


def written(value: object, length: int = 16) -> str:
    """A value, short enough to stand at an axis."""
    if isinstance(value, float):
        text = f"{value:.4g}"
        if "e" in text:  # 1e-05 is 1e-5 to a person
            base, _, power = text.partition("e")
            return f"{base}e{int(power)}"
        return text
    text = str(value)
    return text if len(text) <= length else text[: length - 1] + "…"


class View:
    """The axis of the objective: logarithmic where losses span more than an order of magnitude and a half, and cut off where a few
    values are so bad that nothing else could be told apart; those are drawn at its edge.
    """

    def __init__(self, objective: Objective, values: Floats) -> None:
        self.sign, self.metric = objective.sign, objective.metric
        values = values[np.isfinite(values)]
        near = np.clip(values, -FAR, FAR)
        most = np.quantile(near, [0.0, 0.9]) if len(near) else np.zeros(2)
        self.log = bool(self.sign > 0 and 0 < 50 * most[0] < most[1])
        self.low, self.high = self._ends(near)
        self.span = (self._at(-0.05), self._at(1.05))
        self.beyond = int(np.sum((values < self.low) | (values > self.high)))

    def _ends(self, values: Floats) -> tuple[float, float]:
        if not len(values):
            return 0.0, 1.0
        scaled = self.sign * (np.log10(np.maximum(values, 1 / FAR)) if self.log else values)
        q1, q3 = np.quantile(scaled, [0.25, 0.75])
        fence = q3 + 5 * (q3 - q1)
        worst = scaled[scaled <= fence].max() if q3 > q1 else scaled.max()
        ends = sorted(self.sign * end for end in (scaled.min(), worst))
        if ends[0] == ends[1]:
            room = 0.05 * abs(ends[0]) or 0.5
            ends = [ends[0] - room, ends[1] + room]
        low, high = ([10.0**end for end in ends]) if self.log else ends
        return low, high

    def _at(self, unit: float) -> float:
        if self.log:
            return float(self.low * (self.high / self.low) ** unit)
        return self.low + unit * (self.high - self.low)

    def at_edge(self, place: float) -> float:
        """A place beyond the worst end, by this share of the whole."""
        return self._at(1 + place if self.sign > 0 else -place)

    def clip(self, values: Sequence[float] | Floats) -> Floats:
        """The values, those beyond the ends on them."""
        return np.clip(np.asarray(values, dtype=np.float64), self.low, self.high)

    def unit(self, values: Sequence[float] | Floats) -> Floats:
        """Where the values are between the ends, from 0 to 1."""
        low, high, values = self.low, self.high, self.clip(values)
        if self.log:
            low, high, values = math.log(low), math.log(high), np.log(values)
        return (values - low) / (high - low)

    def ticks(self) -> Ticks:
        """Round values between the ends, on the unit interval."""
        found = decades(self.low, self.high) if self.log else even(self.low, self.high)
        return tuple(zip(self.unit(found).tolist(), map(written, found), strict=True))

    def axis(self, *, worst: float = 0.05) -> Axis:
        """The axis, with some room beyond the worst end."""
        best = self._at(-0.05 if self.sign > 0 else 1.05)
        ends = sorted((best, self.at_edge(worst)))
        ticks = tuple((v, written(v)) for v in decades(self.low, self.high)) if self.log else None
        return Axis(self.title, log=self.log, ticks=ticks, span=(ends[0], ends[1]))

    @property
    def title(self) -> str:
        """The metric and its scale."""
        return f"{self.metric} (log scale)" if self.log else self.metric

    @property
    def note(self) -> str:
        """What is not where it should be."""
        if not self.beyond:
            return ""
        trials = "1 trial is" if self.beyond == 1 else f"{self.beyond} trials are"
        return f"{trials} far worse than the rest and drawn at the edge."
