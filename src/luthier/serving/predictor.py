"""The process with the model, from the side of the one that listens: started, asked, and started again when it has died.

Requests go down a socket one after the other and are answered in that order. What was on its way to a process that dies is answered
with 503: it may be the very request that killed it, so it is not sent again.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from luthier.clock import Clock, SystemClock
from luthier.errors import ModelError
from luthier.models.answers import MEMORY, environment
from luthier.serving.child import OUT_OF_MEMORY
from luthier.serving.counts import stamp
from luthier.serving.rows import Refused, Table
from luthier.serving.source import Source
from luthier.serving.wire import LENGTHS, MOST_BYTES, pack

ANSWER_SECONDS = 60
LOAD_SECONDS = 300
PATIENCE_SECONDS = 10
"""How long a request waits for a process that is being started."""
MOST_WAITING = 100
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 30.0
STEADY_SECONDS = 60
"""A process that lived so long did not die of its start: the pause begins anew."""


@dataclass(frozen=True, slots=True)
class Death:
    """When the process died, and of what."""

    at: str
    why: str


class Predictor:
    """Keeps one process with the model alive while `run` runs; `ask` asks it."""

    def __init__(
        self,
        source: Source,
        *,
        memory: int | None = None,
        clock: Clock | None = None,
        log: Callable[[str], None] | None = None,
    ) -> None:
        self._source = source
        self._memory = memory
        self._clock = clock or SystemClock()
        self._log = log or (lambda line: None)
        self._ids = itertools.count()
        self._waiting: dict[int, asyncio.Future[tuple[int, bytes]]] = {}
        self._ready = asyncio.Event()
        self._writer: asyncio.StreamWriter | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._ending: str | None = None
        self.since: str | None = None
        self.restarts = 0
        self.last_restart: Death | None = None
        self.problem: str | None = None
        """Why it cannot be started, where it cannot."""

    @property
    def is_ready(self) -> bool:
        """Whether it can be asked now."""
        return self._ready.is_set()

    @property
    def pid(self) -> int | None:
        """The process with the model."""
        return None if self._process is None else self._process.pid

    async def ask(self, table: Table, as_: str = "json") -> tuple[int, bytes]:
        """The status and the body for these rows; raises Refused where the process is not there to answer."""
        if len(self._waiting) >= MOST_WAITING:
            raise Refused(503, f"{MOST_WAITING} requests are waiting already. Try again in a second.")
        if not self.is_ready:
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await self._ready.wait()
        if not self.is_ready or self._writer is None:
            why = f": {self.problem}" if self.problem else ""
            raise Refused(
                503,
                f"the model's process is being started. Try again in a few seconds{why}.".replace("..", "."),
            )
        number = next(self._ids)
        future: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        asked = {"id": number, "rows": table.rows, "others": table.others, "as": as_}
        try:
            self._writer.write(pack(asked, table.numbers.tobytes()))
            with suppress(ConnectionError):  # that it died is seen by `run`, which knows of what
                await self._writer.drain()
            async with asyncio.timeout(ANSWER_SECONDS):
                return await future
        except TimeoutError:
            self._end(f"a request took longer than {ANSWER_SECONDS} s")
            raise Refused(
                503,
                f"the prediction took longer than {ANSWER_SECONDS} s, so the model's process was ended and is started again. Send fewer rows.",
            ) from None
        finally:
            self._waiting.pop(number, None)

    async def start(self) -> None:
        """The first start. Raises ModelError where the model cannot be loaded."""
        await self._start()

    async def run(self) -> None:
        """Watch over the process until cancelled, starting it where it is not there; ends it then."""
        pause, begun = FIRST_PAUSE, self._clock.now()
        try:
            while True:
                try:
                    if self._process is None:
                        begun = self._clock.now()
                        await self._start()
                    why = await self._read()
                except (ModelError, OSError) as error:
                    why = self.problem = str(error)
                self._gone(why)
                if self._clock.now() - begun > STEADY_SECONDS:
                    pause = FIRST_PAUSE
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
        finally:
            await self.close()

    async def close(self) -> None:
        """End the process."""
        self._ready.clear()
        process, self._process = self._process, None
        if self._writer is not None:
            self._writer.close()
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    # --- small steps -----------------------------------------------------------------------------

    async def _start(self) -> None:
        content = await asyncio.to_thread(self._source.read)
        memory = self._memory or MEMORY + 10 * len(content)
        ours, theirs = socket.socketpair()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-W", "ignore", "-m", "luthier.serving.child"),
                *(str(theirs.fileno()), str(memory)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                env=environment(),
                cwd="/",
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is for us, who end it in order
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._reader, self._writer = await asyncio.open_unix_connection(sock=ours)
        self._ending = None
        try:
            async with asyncio.timeout(LOAD_SECONDS):
                self._writer.write(pack(self._source.about, content))
                del content
                said, _ = await self._message()
        except TimeoutError:
            await self._lost()
            raise ModelError(f"the model did not load within {LOAD_SECONDS} s.") from None
        except (ConnectionError, asyncio.IncompleteReadError):
            raise ModelError(f"the process that the model is loaded in died: {await self._lost()}.") from None
        if "problem" in said:
            await self._lost()
            raise ModelError(str(said["problem"]))
        self.problem = None
        self.since = stamp(self._clock.now())
        self._ready.set()

    async def _read(self) -> str:
        """Hand answers to those who wait for them, until the process ends: of what."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                said, body = await self._message()
                if said.get("last"):
                    self._ready.clear()
                future = self._waiting.get(said["id"])
                if future is not None and not future.done():
                    future.set_result((said["status"], body))
        self._ready.clear()
        return await self._lost()

    async def _message(self) -> tuple[dict[str, Any], bytes]:
        head, size = LENGTHS.unpack(await self._reader.readexactly(LENGTHS.size))
        if head > MOST_BYTES or size > MOST_BYTES:
            self._end("it sent more than an answer can be")
            raise ConnectionError
        said = json.loads(await self._reader.readexactly(head))
        return said, await self._reader.readexactly(size)

    async def _lost(self) -> str:
        """See the process off, and say how it ended."""
        assert self._process is not None
        self._ready.clear()
        process, self._process = self._process, None
        if self._writer is not None:
            self._writer.close()
        try:
            async with asyncio.timeout(1):
                code = await process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            code = await process.wait()
        return self._ending or _death(code)

    def _end(self, why: str) -> None:
        self._ending = why
        self._ready.clear()
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()

    def _gone(self, why: str) -> None:
        self.restarts += 1
        self.last_restart = Death(stamp(self._clock.now()), why)
        self._log(f"{self.last_restart.at} the model's process is started again: {why}")
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(
                    Refused(
                        503,
                        f"the model's process died while it was asked ({why}), and is started again. Try again in a few seconds.",
                    )
                )


def _death(code: int) -> str:
    if code == -signal.SIGKILL:
        return "killed (SIGKILL), as the system does when memory runs out"
    if code < 0:
        return f"ended by {signal.Signals(-code).name}"
    return "out of memory" if code == OUT_OF_MEMORY else f"ended with code {code}"
