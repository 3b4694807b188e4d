"""Models to try out, each in a process of its own with limits: the one that `luthier serve` would answer from.

It is started when a model is first asked, kept for the next question, and ended when nobody asked for some minutes.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from luthier.clock import Clock, SystemClock
from luthier.serving.predictor import Predictor
from luthier.serving.rows import Refused, Rows, Table
from luthier.serving.source import Source, kept

AT_ONCE = 2
"""So many models are kept ready."""
IDLE_SECONDS = 300.0
REMEMBERED = 16
REMEMBERED_BYTES = 32_000_000
SHOWN = 20


@dataclass(frozen=True, slots=True)
class Said:
    """What was asked of a version, and what it answered: of a row its `answer`, of a table the `csv`; or why not."""

    name: str
    version: int
    given: Mapping[str, str] = field(default_factory=dict)
    answer: Mapping[str, Any] | None = None
    csv: bytes = b""
    count: int = 0
    problem: str | None = None

    @property
    def head(self) -> list[list[str]]:
        """The first lines of the CSV: names, then rows."""
        text = self.csv[:200_000].decode(errors="replace")
        rows = [row for row, _ in zip(csv.reader(io.StringIO(text)), range(SHOWN + 1), strict=False)]
        return [*rows[:1], *([_short(cell) for cell in row] for row in rows[1:])]


def _short(cell: str) -> str:
    """A number with as many digits as one reads; all of them are in the file."""
    try:
        return f"{float(cell):.5g}" if "." in cell else cell
    except ValueError:
        return cell


@dataclass(slots=True)
class _Ready:
    predictor: Predictor
    source: Source
    task: asyncio.Task[None] | None
    asked: float


class Trying:
    """Asks models; everything on the event loop of the server."""

    def __init__(self, home: Path, clock: Clock | None = None) -> None:
        self._home = home
        self._clock = clock or SystemClock()
        self._ready: OrderedDict[tuple[str, int], _Ready] = OrderedDict()
        self._said: OrderedDict[str, Said] = OrderedDict()
        self._turn = asyncio.Lock()
        self._sweeper: asyncio.Task[None] | None = None

    async def row(
        self, name: str, version: int, names: list[str], texts: list[str], given: Mapping[str, str]
    ) -> str:
        """Predict one row; the answer is remembered under the key that is returned."""
        try:
            status, body, _ = await self._ask(
                name, version, lambda rows: rows.from_texts(names, [texts]), "json"
            )
            answer = json.loads(body)
            problem = answer.get("error") if status != 200 else None
            said = Said(name, version, given, None if problem else answer, problem=problem)
        except Refused as refused:
            said = Said(name, version, given, problem=str(refused))
        return self._remember(said)

    async def table(self, name: str, version: int, content: bytes) -> str:
        """Predict the rows of a CSV; the answer is remembered under the key that is returned."""
        try:
            status, body, count = await self._ask(name, version, lambda rows: rows.from_csv(content), "csv")
            said = (
                Said(name, version, csv=body, count=count)
                if status == 200
                else Said(name, version, problem=str(json.loads(body).get("error")))
            )
        except Refused as refused:
            said = Said(name, version, problem=str(refused))
        return self._remember(said)

    def said(self, key: str | None) -> Said | None:
        """What was answered, if it is still remembered."""
        return self._said.get(key or "")

    async def close(self) -> None:
        """End all processes."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for key in list(self._ready):
            await self._end(key)

    # --- small steps -----------------------------------------------------------------------------

    async def _ask(
        self, name: str, version: int, read: Callable[[Rows], Table], as_: str
    ) -> tuple[int, bytes, int]:
        source = await asyncio.to_thread(kept, self._home, name, version)
        table = await asyncio.to_thread(read, Rows.of(source.manifest))
        predictor = await self._predictor(source)
        return *await predictor.ask(table, as_), table.rows

    async def _predictor(self, source: Source) -> Predictor:
        key = (source.name, source.version)
        async with self._turn:
            found = self._ready.get(key)
            if found is not None and (
                found.source.manifest != source.manifest or not found.predictor.is_ready
            ):
                await self._end(key)
                found = None
            if found is None:
                while len(self._ready) >= AT_ONCE:
                    await self._end(next(iter(self._ready)))
                predictor = Predictor(source)
                await predictor.start()
                found = _Ready(predictor, source, asyncio.create_task(predictor.run()), self._clock.now())
                self._ready[key] = found
            found.asked = self._clock.now()
            self._ready.move_to_end(key)
            if self._sweeper is None:
                self._sweeper = asyncio.create_task(self._sweep())
            return found.predictor

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(IDLE_SECONDS / 10)
            async with self._turn:
                for key, ready in list(self._ready.items()):
                    if self._clock.now() - ready.asked > IDLE_SECONDS:
                        await self._end(key)

    async def _end(self, key: tuple[str, int]) -> None:
        ready = self._ready.pop(key)
        if ready.task is not None:
            ready.task.cancel()
            with suppress(asyncio.CancelledError):
                await ready.task
        await ready.predictor.close()

    def _remember(self, said: Said) -> str:
        key = secrets.token_urlsafe(8)
        self._said[key] = said
        while (
            len(self._said) > REMEMBERED
            or sum(len(one.csv) for one in self._said.values()) > REMEMBERED_BYTES
        ):
            if len(self._said) == 1:
                break
            self._said.popitem(last=False)
        return key
