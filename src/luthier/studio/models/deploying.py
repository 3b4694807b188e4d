"""The deployed model as the studio shows it, and keeps it alive: asked once a second at most, whoever looks."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

from luthier.clock import Clock, SystemClock
from luthier.errors import LuthierError
from luthier.serving.deployments import Deployment, Deployments, State
from luthier.studio.models.views import address, moment_of
from luthier.studio.web import complain
from luthier.studio.words import say
from luthier.summary import plural

EVERY_SECONDS = 1.0
LOG_LINES = 20


class Deploying:
    """What is deployed, and how it is. Any thread may ask."""

    def __init__(self, home: Path, clock: Clock | None = None) -> None:
        self.of = Deployments(home)
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._state: tuple[float, State | None] = (0.0, None)

    def current(self) -> Deployment | None:
        """What is deployed."""
        return self.of.current()

    def state(self) -> State | None:
        """How it is; up to a second old."""
        with self._lock:
            now = self._clock.now()
            if now - self._state[0] >= EVERY_SECONDS:
                self._state = (now, self.of.state())
            return self._state[1]

    def changed(self) -> None:
        """Something was done: what is known is old."""
        with self._lock:
            self._state = (0.0, None)

    def glance(self) -> list[Any]:
        """Another list whenever there is something new to see."""
        state = self.state()
        if state is None:
            return []
        seen = state.metrics or {}
        inner = (state.health or {}).get("restarts")
        counted = [seen.get("requests"), seen.get("errors"), seen.get("per_second")]
        return [state.model, state.version, state.status, state.restarts, inner, *counted]

    async def supervise(self) -> None:
        """See to it that what is deployed runs, until cancelled."""
        while True:
            try:
                said = await asyncio.to_thread(self.of.supervise)
                if said:
                    self.changed()
            except LuthierError:
                pass  # the panel says so
            except Exception as error:
                complain(error)
            await asyncio.sleep(EVERY_SECONDS)

    def panel(self) -> dict[str, Any]:
        """How the deployed model is, for people."""
        state = self.state()
        if state is None:
            return {"on": None, "previous": self._previous()}
        seen, health = state.metrics or {}, state.health or {}
        latency = seen.get("latency_ms") or {}
        return {
            "on": {
                "name": state.model,
                "version": state.version,
                "href": address(state.model, state.version),
                "status": state.status,
                "url": state.url,
                "since": moment_of(state.since),
                "requests": plural(seen.get("requests", 0), "request"),
                "rate": f"{seen.get('per_second') or 0.0:.2g}",
                "p50": _milliseconds(latency.get("p50")),
                "p95": _milliseconds(latency.get("p95")),
                "refused": seen.get("refused", 0),
                "errors": seen.get("errors", 0),
                "restarts": [
                    *_restarts("models.serving.restarts", state.restarts, state.last_restart),
                    *_restarts("models.serving.inner", health.get("restarts", 0), health.get("last_restart")),
                ],
                "error": state.last_error,
                "log": "\n".join(state.log[-LOG_LINES:]),
            },
            "previous": self._previous(),
        }

    def _previous(self) -> dict[str, Any] | None:
        before = self.of.previous()
        return None if before is None else {"name": before[0], "version": before[1]}


def _restarts(key: str, count: int, last: Any) -> list[str]:
    if not count:
        return []
    times = plural(count, "time")
    at, why = (str((last or {}).get(part, "–")) for part in ("at", "why"))
    return [say(key, times=times, at=at.replace("T", " ").replace("+00:00", " UTC"), why=why)]


def _milliseconds(value: float | None) -> str:
    return "" if value is None else f"{value:.3g} ms"
