"""The list of studies, a study, its trials: their pages, what is live on them, and what may be asked of a study."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from luthier.engine.plan import PAUSED
from luthier.studio import charts, views
from luthier.studio.looking import Shown
from luthier.studio.manage import trial as about
from luthier.studio.manage.again import why_not
from luthier.studio.manage.listing import Query, listing
from luthier.studio.models import saving
from luthier.studio.web import done, form_of, get, may, numbers, path_of, post, see
from luthier.studio.words import say
from luthier.summary import budgeted, is_at_work

if TYPE_CHECKING:
    from luthier.studio.app import Studio

MOST_TRIALS = 1_000_000


class Studies:
    """The handlers of these addresses."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    def routes(self) -> list[Route]:
        """Every address."""
        study, trial = "/s/{study}", "/s/{study}/t/{number:int}"
        return [
            get("/", self.studies),
            get("/part", self.studies_part),
            get("/events", self.list_events),
            get(study, self.study),
            get(f"{study}/part/{{part}}", self.study_part),
            get(f"{study}/events", self.study_events),
            get(f"{study}/best.json", self.best_numbers),
            get(f"{study}/trials", self.trials),
            get(f"{study}/failures", self.failures),
            get(trial, self.trial),
            get(f"{trial}/part", self.trial_part),
            get(f"{trial}/curve.json", self.curve_numbers),
            post(f"{study}/pause", self.pause),
            post(f"{study}/stop", self.stop),
            post(f"{study}/add", self.add),
            post(f"{trial}/stop", self.stop_trial),
        ]

    def studies(self, request: Request) -> Response:
        about = {"part": self._list(request), "said": done(request)}
        return self._studio.page(request, "studies.html", about)

    def studies_part(self, request: Request) -> Response:
        return HTMLResponse(self._list(request))

    def _list(self, request: Request) -> Markup:
        query = Query.of(request.query_params)
        url = f"/part{query.address.removeprefix('/')}"
        return self._studio.part("list", may(request), url, lambda: listing(self._studio.shelf, query))

    def study(self, request: Request) -> Response:
        shown = self._studio.shown(request)
        parts = {name: self._part(request, shown, name) for name in ("head", "best", "top", "workers")}
        about = {
            "study": shown.name,
            "tab": "",
            "seq": shown.columns.cursor,
            "said": done(request),
        }
        return self._studio.page(request, "study.html", about | parts)

    def study_part(self, request: Request) -> Response:
        return HTMLResponse(self._part(request, self._studio.shown(request), request.path_params["part"]))

    def _part(self, request: Request, shown: Shown, name: str) -> Markup:
        looks: dict[str, Callable[[], Mapping[str, Any]]] = {
            "best": lambda: views.best(shown),
            "top": lambda: views.board(shown, n=views.FEW),
            "board": lambda: views.board(shown, views.Listing.of(request.query_params)),
            "workers": lambda: views.workers(shown),
            "failures": lambda: views.failures(shown) | {"why_not": why_not(shown)},
            "words": lambda: views.in_words(self._studio.shelf, shown),
        }
        if name == "head":
            return self._studio.head(request, shown)
        if name not in looks:
            raise HTTPException(404)
        base = path_of("s", shown.name)
        query = views.Listing.of(request.query_params).query if name == "board" else ""
        look = looks[name]
        return self._studio.part(
            name,
            may(request),
            f"{base}/part/{name}{query}",
            lambda: {"study": shown.name, "base": base, **look()},
        )

    def trials(self, request: Request) -> Response:
        return self._tab(request, "/trials", "board")

    def failures(self, request: Request) -> Response:
        return self._tab(request, "/failures", "failures")

    def _tab(self, request: Request, tab: str, part: str) -> Response:
        shown = self._studio.shown(request)
        about = {
            "study": shown.name,
            "tab": tab,
            "seq": shown.columns.cursor,
            "said": None,
            "head": self._part(request, shown, "head"),
            "part": self._part(request, shown, part),
        }
        return self._studio.page(request, "tab.html", about)

    def trial(self, request: Request) -> Response:
        shown, number = self._studio.shown(request), request.path_params["number"]
        shown.trial(number)
        values = {
            "study": shown.name,
            "number": number,
            "said": done(request),
            "part": self._trial(request, shown, number),
            "remarks": about.remarks(shown, number),
        }
        return self._studio.page(request, "trial.html", values)

    def trial_part(self, request: Request) -> Response:
        return HTMLResponse(self._trial(request, self._studio.shown(request), request.path_params["number"]))

    def _trial(self, request: Request, shown: Shown, number: int) -> Markup:
        base = path_of("s", shown.name)

        def look() -> dict[str, Any]:
            best = shown.best()
            return {
                "study": shown.name,
                "base": base,
                "remarks": about.remarks(shown, number),
                "files": about.files(self._studio.shelf, shown.name, number),
                "rival": None if best is None or best.number == number else best.number,
                **saving.of_trial(self._studio.shelf, shown, shown.trial(number)),
                **views.trial(self._studio.shelf, shown, number),
            }

        return self._studio.part("trial", may(request), f"{base}/t/{number}/part", look)

    # --- numbers of charts -----------------------------------------------------------------------

    def best_numbers(self, request: Request) -> Response:
        shown = self._studio.shown(request)
        return numbers(request, f"{shown.columns.cursor}", lambda: charts.best_so_far(shown.columns))

    def curve_numbers(self, request: Request) -> Response:
        shown = self._studio.shown(request)
        found = shown.trial(request.path_params["number"])
        metric = shown.spec.problem.objective.metric
        return numbers(request, f"{found.seq}", lambda: charts.curve(found, metric))

    # --- what is live ----------------------------------------------------------------------------

    async def study_events(self, request: Request) -> Response:
        name = request.path_params["study"]
        await asyncio.to_thread(self._studio.shelf.study, name)

        def look() -> dict[str, Any]:
            begun = self._studio.works.alive(name)
            return {**views.glance(self._studio.shelf.study(name)), "process": begun}

        return self._studio.watch.events(f"study {name}", look)

    async def list_events(self, request: Request) -> Response:
        def look() -> dict[str, Any]:
            return {
                shown.name: [shown.columns.cursor, views.stands(shown).word]
                for shown in self._studio.shelf.studies()
            }

        return self._studio.watch.events("list", look)

    # --- what changes something ------------------------------------------------------------------

    async def pause(self, request: Request) -> Response:
        return await self._ask_to_stop(request, PAUSED, "paused")

    async def stop(self, request: Request) -> Response:
        return await self._ask_to_stop(request, "asked to, in the studio", "stopped")

    async def _ask_to_stop(self, request: Request, reason: str, said: str) -> Response:
        await form_of(request)
        shown = await asyncio.to_thread(self._studio.shown, request)

        def ask() -> str:
            if not is_at_work(shown.row, self._studio.shelf.clock.now()):
                return "idle"
            with self._studio.shelf.writing() as store:
                store.request_stop(shown.name, None, reason)
            return said

        return see(f"{path_of('s', shown.name)}?said={await asyncio.to_thread(ask)}")

    async def add(self, request: Request) -> Response:
        form = await form_of(request)
        shown = await asyncio.to_thread(self._studio.shown, request)
        more = views.whole(form.get("more"), 0)
        if not 1 <= more <= MOST_TRIALS:
            raise HTTPException(422, say("add.wrong"))

        def ask() -> str:
            budget = shown.spec.budget
            if budget.trials is None and budget.until is None:
                raise HTTPException(422, say("add.none", budget=budgeted(budget)))
            # As with `luthier run --trials`: a number is meant as said, whatever else would end the study.
            larger = replace(budget, trials=max(budget.trials or 0, shown.ended) + more, until=None)
            with self._studio.shelf.writing() as store:
                store.set_budget(shown.name, larger)
            if is_at_work(shown.row, self._studio.shelf.clock.now()):
                return "added"
            return "added.resumed" if self._studio.works.resumed(shown.name) else "added.idle"

        return see(f"{path_of('s', shown.name)}?said={await asyncio.to_thread(ask)}")

    async def stop_trial(self, request: Request) -> Response:
        await form_of(request)
        shown = await asyncio.to_thread(self._studio.shown, request)
        number = request.path_params["number"]

        def ask() -> str:
            if shown.trial(number).state.ended:
                return "trial.over"
            with self._studio.shelf.writing() as store:
                store.request_stop(shown.name, number, "asked to, in the studio")
            return "trial"

        return see(f"{path_of('s', shown.name)}/t/{number}?said={await asyncio.to_thread(ask)}")
