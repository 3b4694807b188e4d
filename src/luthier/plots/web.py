"""Pictures as Plotly figures: for notebooks, and for HTML files that need nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

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
    Picture,
    Points,
    Words,
)

SYMBOLS = {
    "dot": "circle",
    "ring": "circle-open",
    "cross": "x-thin",
    "triangle": "triangle-up",
    "star": "star",
}
INCH = 100


def to_plotly(picture: Picture) -> Any:
    """The picture as a plotly.graph_objects.Figure. Raises MissingExtra without Plotly."""
    try:
        import plotly.graph_objects as go
        from plotly.subplots import make_subplots
    except ImportError:
        raise MissingExtra("plotly", "plot", "A plot in a notebook or as HTML") from None

    rows = math.ceil(len(picture.panels) / picture.columns)
    figure = make_subplots(
        rows,
        picture.columns,
        horizontal_spacing=0.22 / picture.columns,
        vertical_spacing=0.32 / rows if rows > 1 else 0.0,
    )
    for i, panel in enumerate(picture.panels):
        place = {"row": i // picture.columns + 1, "col": i % picture.columns + 1}
        for mark in panel.marks:
            for trace in _traces(go, mark):
                figure.add_trace(trace, **place)
            if isinstance(mark, Words):
                _write(figure, mark, place)
        figure.update_xaxes(**_axis(panel.x), **place)
        figure.update_yaxes(**_axis(panel.y), **place)
        if any(isinstance(mark, Field) for mark in panel.marks):
            figure.update_layout(plot_bgcolor=FAINT)
    note = (
        f"<br><span style='font-size:13px;font-weight:normal;color:{GREY}'>{_text(picture.note)}</span>"
        if picture.note
        else ""
    )
    figure.update_layout(
        template="plotly_white",
        title={
            "text": f"<b>{_text(picture.title)}</b>{note}",
            "x": 0.01,
            "xanchor": "left",
            "y": 0.97,
            "yanchor": "top",
        },
        width=picture.size[0] * INCH,
        height=picture.size[1] * INCH + 60,
        margin={"l": 60, "r": 30, "t": 90, "b": 60},
        legend={
            "orientation": "h",
            "yref": "container",
            "y": 0.0,
            "yanchor": "bottom",
            "x": 0.5,
            "xanchor": "center",
        },
        font={"color": INK},
        hoverlabel={"align": "left"},
        barmode="overlay",
    )
    return figure


def to_html(picture: Picture) -> str:
    """The picture as a page that works without a network."""
    figure = to_plotly(picture)
    html: str = figure.to_html(include_plotlyjs=True, full_html=True, config={"displaylogo": False})
    return html


def _axis(axis: Axis) -> dict[str, Any]:
    found: dict[str, Any] = {
        "title": {"text": _text(axis.title), "standoff": 8},
        "showgrid": axis.grid,
        "zeroline": False,
        "automargin": True,
        "ticks": "outside" if axis.ticks != () else "",
    }
    if axis.log:
        found["type"] = "log"
    if axis.span is not None:
        found["range"] = [math.log10(end) for end in axis.span] if axis.log else list(axis.span)
    if axis.ticks is not None:
        found |= {
            "tickvals": [place for place, _ in axis.ticks],
            "ticktext": [_text(text) for _, text in axis.ticks],
        }
    return found


def _traces(go: Any, mark: Mark) -> list[Any]:
    look: dict[str, Any]
    errors: dict[str, Any] | None
    match mark:
        case Points():
            edge = INK if mark.symbol == "star" else "white"
            line = (
                {"width": 0.8, "color": edge}
                if mark.symbol in ("dot", "star", "triangle")
                else {"width": 1.8, "color": mark.colour}
            )
            errors = None if mark.errors is None else {"array": list(mark.errors), "color": mark.colour}
            look = {
                "color": mark.colour,
                "size": mark.size * 1.33,
                "symbol": SYMBOLS[mark.symbol],
                "line": line,
            }
            return [
                go.Scatter(
                    x=list(mark.x),
                    y=list(mark.y),
                    mode="markers",
                    marker=look,
                    opacity=mark.opacity,
                    error_y=errors,
                    cliponaxis=False,
                    **_said(mark.label, mark.texts),
                )
            ]
        case Line():
            look = {
                "color": mark.colour,
                "width": mark.width,
                "shape": "hv" if mark.step else "linear",
                "dash": "dash" if mark.dashed else "solid",
            }
            return [
                go.Scatter(
                    x=list(mark.x),
                    y=list(mark.y),
                    mode="lines",
                    line=look,
                    opacity=mark.opacity,
                    connectgaps=False,
                    **_said(mark.label, mark.texts),
                )
            ]
        case Band():
            x = [*mark.x, *list(mark.x)[::-1]]
            y = [*mark.low, *list(mark.high)[::-1]]
            look = {"width": 0}
            return [
                go.Scatter(
                    x=x,
                    y=y,
                    fill="toself",
                    mode="lines",
                    line=look,
                    fillcolor=_faint(mark.colour),
                    **_said(mark.label, ()),
                )
            ]
        case Bars():
            wide = np.subtract(mark.end, mark.start).tolist()
            errors = (
                None if mark.errors is None else {"array": list(mark.errors), "color": INK, "thickness": 1.3}
            )
            return [
                go.Bar(
                    y=list(mark.y),
                    x=wide,
                    base=list(mark.start),
                    width=mark.thick,
                    orientation="h",
                    marker={"color": mark.colour, "line": {"color": "white", "width": 0.5}},
                    error_x=errors,
                    **_said(mark.label, mark.texts),
                )
            ]
        case Field():
            n = len(mark.shades) - 1
            scale = [[i / n, shade] for i, shade in enumerate(mark.shades)]
            bar = {"title": {"text": _text(mark.title), "side": "right"}, "outlinewidth": 0}
            return [
                go.Heatmap(
                    x=list(mark.x),
                    y=list(mark.y),
                    z=mark.values.T,
                    colorscale=scale,
                    colorbar=bar,
                    hoverinfo="z",
                    hoverongaps=False,
                )
            ]
        case Words():
            return []  # annotations, not traces


def _write(figure: Any, mark: Words, place: dict[str, int]) -> None:
    look: dict[str, Any] = {
        "showarrow": False,
        "yanchor": "middle",
        "borderpad": 0,
        "bgcolor": "rgba(255,255,255,0.7)",
    }
    look["font"] = {"size": mark.size * 1.3, "color": mark.colour}
    anchor, shift = {"right": ("left", 4), "centre": ("center", 0), "left": ("right", -4)}[mark.side]
    for x, y, text in zip(mark.x, mark.y, mark.words, strict=True):
        figure.add_annotation(x=x, y=y, text=_text(text), xanchor=anchor, xshift=shift, **look, **place)


def _said(label: str | None, texts: Sequence[str]) -> dict[str, Any]:
    """The legend and what is shown when one points there."""
    found: dict[str, Any] = {"name": _text(label or ""), "showlegend": label is not None}
    if len(texts):
        return {
            **found,
            "hovertext": ["<br>".join(map(_text, text.split("<br>"))) for text in texts],
            "hoverinfo": "text",
        }
    return {**found, "hoverinfo": "skip"}


def _text(text: str) -> str:
    return escape(text, quote=False).replace("\n", "<br>")


def _faint(colour: str) -> str:
    r, g, b = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({r},{g},{b},0.18)"
