"""The pages of explore, curves and timeline, their parts, the numbers of their charts, and the same as CSV."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from zlib import crc32

from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from luthier.analysis.filtering import Filter
from luthier.errors import InvalidFilter
from luthier.optimizers.gp.threads import one_thread
from luthier.studio.columns import Numbers
from luthier.studio.explore import models, trials
from luthier.studio.explore.asked import AXES, SLICES, VIEWS, Asked, changes
from luthier.studio.explore.axes import axis_of, keys, telling
from luthier.studio.explore.curves import Courses, curves
from luthier.studio.explore.models import Models
from luthier.studio.explore.panel import MOST_ROWS, Panel
from luthier.studio.explore.timeline import Timelines, timeline
from luthier.studio.looking import Shown, filtered, read_filter
from luthier.studio.web import complain, get, may, numbers, path_of, see, sendable
from luthier.studio.words import say
from luthier.study import State

if TYPE_CHECKING:
    from luthier.studio.app import Studio

MODELLED = ("slice", "contour", "importance")
PAGES = (*VIEWS, "curves", "timeline")
AT_HAND = 12
"""So many panels are kept: a page asks for the chart, the words and the table of each."""
SMALL = 5_000
"""Up to so many trials a page brings its panel with it; else it is fetched after."""
BUSY, REST_SECONDS, MOST_RESTS = 4, 5.0, 500
"""A panel that took a while to make is made anew only after four times as long, or five seconds."""
TICK = 2.0
"""A timeline of running trials is this many seconds old at most."""


class Explore:
    """The handlers of these addresses."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._models = Models()
        self._courses, self._timelines = Courses(), Timelines()
        self._panels: dict[tuple[Any, ...], Panel] = {}
        self._rest: dict[tuple[str, str, str], tuple[int, float]] = {}
        self._lock = threading.Lock()
        # Models take a second: one thread of their own fits them, one at a time, and nobody else waits for it.
        self._modelling = ThreadPoolExecutor(1, "luthier-models")

    def routes(self) -> list[Route]:
        """Every address."""
        study = "/s/{study}"
        return [
            get(f"{study}/explore", self.page),
            get(f"{study}/explore/part", self.part),
            get(f"{study}/explore/trial-{{number:int}}.json", self.trial),
            get(f"{study}/explore/{{view}}.json", self.numbers),
            get(f"{study}/explore/{{view}}.csv", self.csv),
            get(f"{study}/curves", self.page),
            get(f"{study}/timeline", self.page),
        ]

    # --- what is asked ---------------------------------------------------------------------------

    def _view(self, request: Request) -> str:
        last = request.url.path.rstrip("/").rpartition("/")[2]
        if last in ("curves", "timeline"):
            return last
        view = request.path_params.get("view") or request.query_params.get("view", "")
        if "view" in request.path_params and view not in PAGES:
            raise HTTPException(404)
        return view if view in PAGES else VIEWS[0]

    async def page(self, request: Request) -> Response:
        view = self._view(request)
        shown = await asyncio.to_thread(self._studio.shown, request)
        asked = Asked.of(request.query_params)
        base = path_of("s", shown.name)
        where = f"{base}/{view}" if view in ("curves", "timeline") else f"{base}/explore"
        if changes(request.query_params):
            asked = await asyncio.to_thread(asked.changed, shown, request.query_params)
            return see(f"{where}{asked.query}")
        known = view in ("curves", "timeline") or len(shown) <= SMALL or shown.columns.known >= len(shown)
        part = await self._part(request, shown, view, asked) if known and view not in MODELLED else None
        about = {
            "study": shown.name,
            "tab": f"/{view}" if view in ("curves", "timeline") else "/explore",
            "seq": shown.columns.cursor,
            "said": None,
            "head": await asyncio.to_thread(self._studio.head, request, shown),
            "base": base,
            "where": where,
            "view": view,
            "part": part,
            "asked": asked,
            "query": asked.query,
            **await asyncio.to_thread(self._controls, shown, view, asked),
        }
        return self._studio.page(request, f"explore/{'explore' if view in VIEWS else view}.html", about)

    def _controls(self, shown: Shown, view: str, asked: Asked) -> dict[str, Any]:
        """What the fields of a page show."""
        error = None
        try:
            found = read_filter(shown, asked.f)
        except InvalidFilter as problem:
            error, found = str(problem), Filter(shown.spec.problem)
        columns = shown.columns
        axes = self._fields(shown, view, asked, found)
        names = [axis["key"] for axis in axes]
        rest = [name for name in columns.varying if name not in names]
        return {
            "error": error,
            "views": [
                (name, say(f"explore.view.{name}"), Asked(name, asked.f, asked.sel).query) for name in VIEWS
            ],
            "choices": [("", say("explore.foremost")), *((name, name) for name in columns.varying)]
            if view == "contour"
            else keys(columns),
            "pairs": asked.pairs,
            "axes": axes,
            "rest": rest[:200],
            "brushable": view == "parallel",
            "x": asked.x if asked.x or view != "scatter" else self._foremost(shown),
            "y": asked.y if asked.y or view != "scatter" else "score",
            "color": asked.color or "score",
            "total": len(shown),
        }

    def _fields(self, shown: Shown, view: str, asked: Asked, found: Filter) -> list[dict[str, Any]]:
        """The axes, as fields. None where they cannot be read: the panel then says why, and the page around it stands."""
        if view not in ("parallel", "slice"):
            return []
        try:
            shown.learn()
            return [
                {
                    "key": axis.key,
                    "title": axis.title,
                    "levels": axis.levels[:60],
                    "brush": {"low": "", "high": "", "chosen": []} | (axis.brush(found) or {}),
                }
                for axis in asked.axes_in(shown.columns, AXES if view == "parallel" else SLICES)
            ]
        except Exception as problem:
            complain(problem)
            return []

    def _foremost(self, shown: Shown) -> str:
        """The parameter that tells most, which a scatter begins with."""
        try:
            return (telling(shown.columns) or ["number"])[0]
        except Exception as problem:
            complain(problem)
            return "number"

    # --- panels ----------------------------------------------------------------------------------

    async def part(self, request: Request) -> Response:
        shown = await asyncio.to_thread(self._studio.shown, request)
        return HTMLResponse(
            await self._part(request, shown, self._view(request), Asked.of(request.query_params))
        )

    async def _part(self, request: Request, shown: Shown, view: str, asked: Asked) -> Markup:
        base = path_of("s", shown.name)
        small = "small" in request.query_params
        url = f"{base}/explore/part{_with_view(asked, view)}"
        try:
            panel, _ = await self._panel(shown, view, asked)
        except Exception as problem:
            error = problem

            def failed() -> dict[str, Any]:
                raise error

            return self._studio.part("panel", may(request), url, failed)
        return self._studio.part(
            "panel",
            may(request),
            url,
            lambda: {
                "base": base,
                "panel": panel,
                "view": view,
                "rows": panel.rows[: 20 if small else MOST_ROWS],
                "csv": None if small else f"{base}/explore/{view}.csv{asked.query}",
                "more": f"{base}/explore{_with_view(asked, view)}" if small else None,
                "select": bool(panel.trials) and not small,
                "asked": asked,
            },
        )

    async def numbers(self, request: Request) -> Response:
        shown = await asyncio.to_thread(self._studio.shown, request)
        view, asked = self._view(request), Asked.of(request.query_params)
        panel, version = await self._panel(shown, view, asked)
        return await asyncio.to_thread(numbers, request, version, lambda: panel.chart)

    async def csv(self, request: Request) -> Response:
        shown = await asyncio.to_thread(self._studio.shown, request)
        view = self._view(request)
        panel, _ = await self._panel(shown, view, Asked.of(request.query_params))
        text = await asyncio.to_thread(lambda: panel.csv)
        return Response(
            sendable(text),
            media_type="text/csv",
            headers={"content-disposition": f'attachment; filename="{view}.csv"'},
        )

    def trial(self, request: Request) -> Response:
        """A trial in a few words, for who points at it."""
        shown = self._studio.shown(request)
        number = request.path_params["number"]
        found = shown.trial(number)
        text = [f"#{number} {found.state}"]
        value = shown.columns.values[number] if number < len(shown) else float("nan")
        if value == value:
            text[0] += f" · {shown.spec.problem.objective.metric} {value:.5g}"
        shown.learn()
        params = models.params_of(shown.columns, number) if number < shown.columns.known else {}
        text += [f"{name} {value}"[:60] for name, value in list(params.items())[:12]]
        return JSONResponse({"text": "\n".join(text)}, headers={"cache-control": "no-cache"})

    async def _panel(self, shown: Shown, view: str, asked: Asked) -> tuple[Panel, str]:
        rest = self._rest.get((shown.name, view, asked.query))
        if (
            rest is not None and rest[0] != shown.columns.cursor
        ):  # a study that runs: not all of the time goes into this
            await asyncio.sleep(min(REST_SECONDS, max(0.0, rest[1] - self._studio.shelf.clock.now())))
        if view not in MODELLED:
            return await asyncio.to_thread(self._draw, shown, view, asked)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._modelling, self._modelled, shown, view, asked)

    def _modelled(self, shown: Shown, view: str, asked: Asked) -> tuple[Panel, str]:
        with one_thread():
            return self._draw(shown, view, asked)

    def _draw(self, shown: Shown, view: str, asked: Asked) -> tuple[Panel, str]:
        try:
            found = read_filter(shown, asked.f)
        except InvalidFilter as error:
            return Panel(say("explore.nofilter", error=error), {"empty": True}), "unread"
        clock = self._studio.shelf.clock
        began = clock.now()
        fitted, at = None, float(shown.columns.cursor)
        if view in MODELLED:
            fitted, at = self._models.of(shown, found.text, lambda: filtered(shown, found.text))
        elif view in ("curves", "timeline") and shown.counts[State.RUNNING]:
            at += clock.now() // TICK / 1e12
        key = (
            shown.name,
            shown.row.created,
            at,
            shown.columns.cursor if view == "slice" else 0,
            view,
            asked.query,
        )
        version = f"{at}-{crc32(repr(key).encode()):x}"
        with self._lock:
            if key in self._panels:
                return self._panels[key], version
        panel = self._made(shown, view, asked, found, fitted)
        now = clock.now()
        self._rest[shown.name, view, asked.query] = (shown.columns.cursor, now + BUSY * (now - began))
        while len(self._rest) > MOST_RESTS:
            self._rest.pop(next(iter(self._rest)), None)
        if panel.chart.get("empty") and not panel.rows and view in ("parallel", "scatter"):
            remedy = "explore.empty.filter" if found.terms and len(shown) else "explore.empty.wait"
            panel = Panel(say("explore.empty", remedy=say(remedy)), panel.chart)
        with self._lock:
            self._panels[key] = panel
            while len(self._panels) > AT_HAND:
                self._panels.pop(next(iter(self._panels)))
        return panel, version

    def _made(
        self, shown: Shown, view: str, asked: Asked, found: Filter, fitted: models.Fitted | None
    ) -> Panel:
        columns = shown.columns
        if view in VIEWS:
            shown.learn()
        kept = self._kept(shown, found)
        now = self._studio.shelf.clock.now()
        if view == "curves":
            return curves(shown, self._courses, kept, asked.sel, asked.by, now)
        if view == "timeline":
            spans = self._timelines.of(shown, now // TICK * TICK)
            return timeline(shown, spans, asked.low, asked.high, kept)
        with columns.still:
            if view == "scatter":
                first = (telling(columns) or ["number"])[0]
                wanted = ((asked.x, first), (asked.y, "score"), (asked.color, "score"))
                x, y, color = (axis_of(columns, key) or axis_of(columns, other) for key, other in wanted)
                if not (x and y and color):
                    raise HTTPException(404)
                return trials.scatter(columns, x, y, color, kept, found, asked.sel)
            if view == "parallel":
                return trials.parallel(columns, asked.axes_in(columns), kept, found, asked.sel)
        assert fitted is not None
        if view == "importance":
            return models.importance(fitted)
        if view == "slice":
            axes = [axis for axis in asked.axes_in(columns, SLICES) if axis.kind == "param"]
            return models.slices(columns, fitted, axes[:12], kept, asked.sel)
        return models.contour(columns, fitted, models.pair(fitted, asked.x, asked.y), kept, asked.sel)

    def _kept(self, shown: Shown, found: Filter) -> Numbers:
        return filtered(shown, found.text)


def _with_view(asked: Asked, view: str) -> str:
    pairs = [("view", view), *((name, value) for name, value in asked.pairs if name != "view")]
    return f"?{urlencode(pairs)}"
