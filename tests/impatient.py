"""Servers that end at once: uvicorn looks only every tenth of a second whether it is to end, and hundreds of tests would wait for that."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

LOOK = 0.01
"""Seconds between two looks."""


class _Asyncio:
    """What uvicorn takes for asyncio."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, LOOK))


def impatient(patch: pytest.MonkeyPatch) -> None:
    """Servers of this process end at once, as long as the patch is there."""
    patch.setattr("uvicorn.server.asyncio", _Asyncio())
