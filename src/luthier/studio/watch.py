"""How pages hear that something changed: one poller for each topic while anybody listens, whatever the number of listeners.

What is sent says only *that* there is something new; pages then fetch what they show.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from luthier.studio.words import say

POLL_SECONDS = 0.25
GAP_SECONDS = 0.4
"""The least time between two messages to one page."""
BEAT_SECONDS = 15.0
MOST_LISTENERS = 200
"""So many pages may listen at once; each holds a connection."""
Look = Callable[[], Mapping[str, Any]]


@dataclass(eq=False, slots=True)
class Topic:
    """Something that is looked at over and over as long as somebody listens. `look` runs in a thread."""

    look: Look
    said: str = ""
    serial: int = 0
    listeners: set[asyncio.Event] = field(default_factory=set)
    task: asyncio.Task[None] | None = None

    async def follow(self) -> None:
        while True:
            said = await asyncio.to_thread(self._ask)
            if said != self.said:
                self.said, self.serial = said, self.serial + 1
                for listener in self.listeners:
                    listener.set()
            await asyncio.sleep(POLL_SECONDS)

    def _ask(self) -> str:
        try:
            return json.dumps(self.look())
        except Exception as error:  # a store that is away for a moment comes back; pages are told meanwhile
            return json.dumps({"error": str(error)})


class Watch:
    """The topics of one studio."""

    def __init__(self) -> None:
        self._topics: dict[str, Topic] = {}
        self._closed = False

    @property
    def polled(self) -> list[str]:
        """The topics that somebody listens to."""
        return sorted(self._topics)

    def events(self, name: str, look: Look) -> Response:
        """What `listen` says, as an answer to a page; raises HTTPException (503) where too many listen already."""
        if sum(len(topic.listeners) for topic in self._topics.values()) >= MOST_LISTENERS:
            raise HTTPException(503, say("live.many"))
        return StreamingResponse(
            self.listen(name, look), media_type="text/event-stream", headers={"x-accel-buffering": "no"}
        )

    async def listen(self, name: str, look: Look) -> AsyncIterator[bytes]:
        """Messages of a topic as server-sent events: at once how things stand, then whenever they changed."""
        topic = self._topics.setdefault(name, Topic(look))
        changed = asyncio.Event()
        topic.listeners.add(changed)
        if topic.task is None:
            topic.task = asyncio.create_task(topic.follow())
        elif topic.said:
            changed.set()
        try:
            yield b"retry: 1000\n\n"
            while not self._closed:
                try:
                    await asyncio.wait_for(changed.wait(), BEAT_SECONDS)
                except TimeoutError:
                    yield b": still here\n\n"
                    continue
                if self._closed:
                    return
                changed.clear()
                yield f"id: {topic.serial}\nevent: changed\ndata: {topic.said}\n\n".encode()
                await asyncio.sleep(GAP_SECONDS)
        finally:
            topic.listeners.discard(changed)
            if not topic.listeners:
                self._topics.pop(name, None)
                topic.task.cancel()
                with suppress(asyncio.CancelledError):
                    await topic.task

    def close(self) -> None:
        """Let every listener go."""
        self._closed = True
        for topic in self._topics.values():
            for listener in topic.listeners:
                listener.set()
