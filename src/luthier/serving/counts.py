"""What became of the requests: how many, how fast, and what went wrong last. Of what was in them nothing is kept."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

REMEMBERED = 1000
"""Requests whose latencies count."""
WINDOW_SECONDS = 60


@dataclass(slots=True)
class Counts:
    """Since the start, but for the rate (the last minute) and the latencies (the last 1,000 answers)."""

    started: float
    requests: int = 0
    rows: int = 0
    refused: int = 0
    errors: int = 0
    last_error: dict[str, Any] | None = None
    _latencies: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    _seconds: deque[list[int]] = field(default_factory=lambda: deque(maxlen=WINDOW_SECONDS + 1))
    """Each second in which there were requests, and how many."""

    def add(self, now: float, status: int, milliseconds: float, rows: int = 0, error: str = "") -> None:
        """One more request. A refusal (4xx) is the caller's doing, an error (5xx) ours."""
        self.requests += 1
        second = int(now)
        if not self._seconds or self._seconds[-1][0] != second:
            self._seconds.append([second, 0])
        self._seconds[-1][1] += 1
        if status < 400:
            self.rows += rows
            self._latencies.append(milliseconds)
        elif status < 500:
            self.refused += 1
        else:
            self.errors += 1
            self.last_error = {"at": stamp(now), "status": status, "error": error}

    def to_json(self, now: float) -> dict[str, Any]:
        """As GET /metrics shows it."""
        recent = sum(count for second, count in self._seconds if now - WINDOW_SECONDS < second <= now)
        past = min(max(now - self.started, 1.0), WINDOW_SECONDS)
        return {
            "requests": self.requests,
            "rows": self.rows,
            "refused": self.refused,
            "errors": self.errors,
            "per_second": round(recent / past, 3),
            "latency_ms": {"p50": self._quantile(0.5), "p95": self._quantile(0.95)},
            "last_error": self.last_error,
        }

    def _quantile(self, share: float) -> float | None:
        found = sorted(self._latencies)
        return round(found[min(int(share * len(found)), len(found) - 1)], 3) if found else None


def stamp(now: float) -> str:
    """A time for people and programs: ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")
