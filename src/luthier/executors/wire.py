"""Messages on a socket between a pool and its worker: length-prefixed pickles of our own plain types."""

from __future__ import annotations

import pickle
import struct
from dataclasses import dataclass
from typing import Any

_LENGTH = struct.Struct(">Q")
MARK = "LUTHIER_WORKER"
"""The variable by which a worker, and all that was started in it, can be told from others."""


@dataclass(frozen=True, slots=True)
class Setup:
    """To a worker, first: what it needs to know of its parent. Temporary folders go below `scratch`."""

    argv: list[str]
    objective: str
    scratch: str


@dataclass(frozen=True, slots=True)
class Ready:
    """From a worker, once: the objective is loaded, jobs begin from now on."""


@dataclass(frozen=True, slots=True)
class StopJob:
    """To a worker: the job is to end, for this reason."""

    number: int
    attempt: int
    reason: str


@dataclass(frozen=True, slots=True)
class Leave:
    """To an idle worker: nothing more will come."""


def pack(message: object) -> bytes:
    """A message as it goes over the wire."""
    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(data)) + data


class Unpacker:
    """Puts messages together again from whatever pieces arrive."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, piece: bytes) -> list[Any]:
        """The messages that `piece` completes, in order."""
        self._data += piece
        messages, start = [], 0
        while len(self._data) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._data, start)
            end = start + _LENGTH.size + length
            if len(self._data) < end:
                break
            messages.append(pickle.loads(memoryview(self._data)[start + _LENGTH.size : end]))  # ours
            start = end
        if start:
            del self._data[:start]
        return messages
