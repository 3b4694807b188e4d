"""The page "New study": its form, what is told about it while it is filled in, drafts, and the beginning of a study."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from luthier.errors import LuthierError
from luthier.studio.drafts import views
from luthier.studio.drafts.actions import acted, adapted
from luthier.studio.drafts.cloning import draft_of, left_out
from luthier.studio.drafts.draft import Draft, suggested
from luthier.studio.drafts.filling import filled
from luthier.studio.drafts.kept import Drawer
from luthier.studio.drafts.reckoning import PATIENCE_SECONDS, Reckoning, Reckonings
from luthier.studio.drafts.tables import Tables
from luthier.studio.views import moment
from luthier.studio.web import fields_of, get, may, path_of, post, see
from luthier.studio.words import WORDS, say

if TYPE_CHECKING:
    from luthier.studio.app import Studio

MOST_BYTES = 512_000
MOST_FIELDS = 4_000
PARTS = ("data", "estimators", "table", "count", "scores", "search", "summary", "code")
LIVE = ("count", "split", "summary", "code")
"""Parts that follow every change; the others have fields in them, and change only with what is chosen."""
FOLLOWING = {
    "data": PARTS,
    "target": PARTS,
    "estimator": ("estimators", "table", "scores", "search", *LIVE),
    "preprocess": ("estimators", *LIVE),
}
LINKED = ("data", "target", "estimator")
"""What an address may fill in."""


class Drafts:
    """The handlers of these addresses."""

    def __init__(self, studio: Studio, root: Path | None = None) -> None:
        self._studio = studio
        self._tables = Tables(root or Path.cwd())
        self._reckonings = Reckonings(studio.settings.workers)

    def routes(self) -> list[Route]:
        """Every address."""
        return [
            get("/new", self.new),
            post("/new/count", self.count),
            post("/new/measure", self.measure),
            post("/new/save", self.save),
            post("/new/forget", self.forget),
            post("/new/run", self.run),
        ]

    @property
    def _drawer(self) -> Drawer:
        return Drawer(self._studio.shelf.home / "drafts")

    def _draft(self, fields: Mapping[str, str]) -> Draft:
        return Draft.of(fields, self._tables, self._taken())

    def _taken(self) -> set[str]:
        return set(self._studio.shelf.names())

    # --- the page --------------------------------------------------------------------------------

    def new(self, request: Request) -> Response:
        """The form: blank, a draft, a study to be cloned, or what the address says."""
        query = request.query_params
        number = query.get("draft", "")
        fields = self._drawer.read(number) if number else None
        if number and fields is None:
            return see("/new")
        said = query.get("said", "")
        if fields is None and "from" in query:
            fields = self._cloned(
                query["from"], query.get("trial", ""), query.get("without", ""), query.get("value", "")
            )
            said = said or ("cloned" if "estimator" in fields else "cloned.not")
        if fields is None:
            fields = {name: query[name] for name in LINKED if name in query}
        draft = self._draft(fields)
        return self._page(request, draft, number or Drawer.name(), said=said)

    def _cloned(self, name: str, trial: str, without: str, value: str) -> dict[str, str]:
        number = int(trial) if trial.isdecimal() and len(trial) < 10 else None
        failed = None if name in self._studio.shelf.names() else self._studio.works.given(name)
        given = draft_of(self._studio.shelf, name, number) if failed is None else failed
        return filled(left_out(given, without, value) if without else given, self._tables)

    def _page(
        self,
        request: Request,
        draft: Draft,
        number: str,
        *,
        said: str = "",
        refused: Iterable[tuple[str, str]] = (),
        status: int = 200,
    ) -> Response:
        refused = list(refused)
        about = {
            "parts": self._parts(request, draft, self._reckonings.of(draft), PARTS, complete=bool(refused)),
            "id": number,
            "kept": [
                {"id": one.id, "title": one.title, "saved": moment(one.saved)}
                for one in self._drawer.all()
                if one.listed
            ],
            "refused": refused,
            "said": WORDS.get(f"said.{said}"),
        }
        return self._studio.page(request, "drafts/new.html", about, status)

    def _parts(
        self,
        request: Request,
        draft: Draft,
        reckoned: Reckoning,
        names: Iterable[str],
        *,
        complete: bool = False,
    ) -> dict[str, Markup]:
        problems = views.problems(draft, complete=complete)
        looks: dict[str, Callable[[], Mapping[str, Any]]] = {
            "data": lambda: views.data(draft, self._tables),
            "estimators": lambda: views.estimators(draft),
            "table": lambda: views.table(draft),
            "count": lambda: views.count(draft, reckoned),
            "scores": lambda: views.scores(draft),
            "search": lambda: views.search(draft, reckoned, self._taken(), self._studio.settings.workers),
            "split": lambda: views.split(draft),
            "summary": lambda: views.summary(draft, reckoned),
            "code": lambda: views.code(draft, reckoned),
        }
        return {name: self._part(request, name, looks[name], problems) for name in names}

    def _part(
        self, request: Request, name: str, look: Callable[[], Mapping[str, Any]], problems: Mapping[str, str]
    ) -> Markup:
        return self._studio.part(
            f"drafts/{name}", may(request), "/new", lambda: {"problems": problems, **look()}
        )

    # --- while it is filled in -------------------------------------------------------------------

    async def count(self, request: Request) -> Response:
        """What a change comes to; the draft is kept by the way."""
        return await asyncio.to_thread(self._counted, request, await self._fields(request))

    def _counted(self, request: Request, fields: dict[str, str]) -> Response:
        changed, do = fields.get("changed", ""), fields.get("do", "")
        draft = self._changed(fields)
        names = PARTS if do else FOLLOWING.get(changed, LIVE)
        kept = self._keep(fields.get("draft", ""), draft)
        return JSONResponse(self._told(request, draft, names) | {"kept": kept})

    def _told(self, request: Request, draft: Draft, names: Iterable[str]) -> dict[str, Any]:
        """What the page's script puts in its place."""
        reckoned = self._reckonings.of(draft)
        return {
            "parts": self._parts(request, draft, reckoned, names),
            "problems": views.problems(draft),
            "chips": {
                row.name: {"text": row.multiple, "list": views.chips(row)}
                for row in draft.rows
                if row.several
            },
            "kinds": {row.name: row.single.kind for row in draft.rows},
            "hints": views.hints(draft, reckoned, self._taken()),
            "pending": reckoned.pending,
            "touched": [row.name for row in draft.rows if row.touched],
        }

    def _changed(self, fields: Mapping[str, str]) -> Draft:
        """The draft after the button or the choice that sent it."""
        draft = self._draft(fields)
        if "do" in fields:
            return self._draft(acted(draft, fields["do"]))
        if fields.get("changed") in ("data", "target"):
            first = {
                name: text
                for name, text in fields.items()
                if fields["changed"] != "data" or name not in ("target", "groups")
            }
            draft = self._draft(first)
            return self._draft(adapted(first, fields["changed"], draft))
        return draft

    def _keep(self, number: str, draft: Draft, *, listed: bool = True) -> bool:
        title = draft.fields.get("name", "").strip() or suggested(draft.entry, draft.table, ())
        return self._drawer.write(number, title[:200], draft.fields, listed=listed)

    async def _fields(self, request: Request) -> dict[str, str]:
        """The form: boxes of one name are a list of values."""
        given = await fields_of(request, MOST_BYTES, MOST_FIELDS)
        return {
            name: ", ".join(texts) if name.startswith("multiple.") or name == "scores" else texts[-1]
            for name, texts in given.items()
        }

    async def measure(self, request: Request) -> Response:
        """Fit the default once, in a process of its own, and say what all of it would take."""
        fields = await self._fields(request)

        def look() -> Response:
            draft = self._draft(fields)
            if "estimator" not in draft.problems and draft.task is not None:
                self._reckonings.measure(draft, self._studio.shelf.home)
            if "json" in request.headers.get("accept", ""):
                return JSONResponse({})
            self._keep(fields.get("draft", ""), draft)
            return see(f"/new?draft={fields.get('draft', '')}#summary-title")

        return await asyncio.to_thread(look)

    # --- drafts ----------------------------------------------------------------------------------

    async def save(self, request: Request) -> Response:
        """Keep the draft, after the button that sent it."""
        fields = await self._fields(request)

        def write() -> Response:
            number = fields.get("draft", "")
            kept = self._keep(number, self._changed(fields))
            if not kept:
                return self._page(request, self._changed(fields), number or Drawer.name(), said="keptnot")
            said = "&said=kept" if "keep" in fields else ""
            return see(f"/new?draft={number}{said}{'#hyperparameters' if 'do' in fields else ''}")

        return await asyncio.to_thread(write)

    async def forget(self, request: Request) -> Response:
        """Delete a draft."""
        fields = await self._fields(request)
        await asyncio.to_thread(self._drawer.forget, fields.get("draft", ""))
        return see("/new")

    # --- the study begins ------------------------------------------------------------------------

    async def run(self, request: Request) -> Response:
        """Begin the study, or say what is still in the way."""
        return await asyncio.to_thread(self._run, request, await self._fields(request))

    def _run(self, request: Request, fields: dict[str, str]) -> Response:
        draft = self._draft(fields)
        refuse = partial(self._page, request, draft, fields.get("draft") or Drawer.name(), status=422)
        if draft.problems:
            return refuse(refused=[(views.place(at), problem.text) for at, problem in draft.problems.items()])
        reckoned = self._reckonings.of(draft, PATIENCE_SECONDS)
        if reckoned.large and "sure" not in fields:
            return refuse(refused=[("sure", say("drafts.sure.first", why=reckoned.large))])
        try:
            given = reckoned.study(draft)
            self._studio.works.start(str(given["name"]), given)
        except LuthierError as error:
            return refuse(refused=[("run", str(error))])
        self._keep(fields.get("draft", ""), draft, listed=False)  # for whoever goes back to it
        return see(path_of("s", str(given["name"]), "starting"))
