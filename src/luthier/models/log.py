"""What happened to the versions of a model, in the order it did: `log.jsonl`, one JSON object a line, only ever added to.

A version never changes; which one is in use, and who has looked at what test data, does. A line is written under a lock,
flushed to the disk before anybody acts on it, and counts once it ends: what a crash left half written is cut off by the
next one to write.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from luthier.clock import Clock, SystemClock
from luthier.errors import ModelError

LOG = "log.jsonl"
LOCK = ".lock"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a version: `what` is saved, challenged, promoted, rolled back, looked, noted, deployed,
    undeployed, "rolled back deployment" or deleted.
    """

    what: str
    version: int
    at: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Nobody else writes to this model meanwhile, in whatever process; waits for whoever does. Not to be nested."""
    with (folder / LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def append(folder: Path, event: Event, clock: Clock | None = None) -> Event:
    """Add an event, stamped with the time; it is on the disk when this returns. The caller holds the lock."""
    now = datetime.fromtimestamp((clock or SystemClock()).now(), UTC).isoformat(timespec="seconds")
    stamped = Event(event.what, event.version, now, event.about)
    line = json.dumps(
        {"at": now, "what": event.what, "version": event.version, "about": event.about},
        ensure_ascii=False,
        allow_nan=False,
    )
    path = folder / LOG
    new = not path.exists()
    with path.open("ab+") as file:
        file.seek(0)
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)
        file.write(line.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    if new:
        sync_folder(folder)
    return stamped


def read(folder: Path) -> list[Event]:
    """All events, oldest first; none where there is no log. Raises ModelError for a line that is none."""
    try:
        content = (folder / LOG).read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ModelError(f"{str(folder / LOG)!r} cannot be read: {error.strerror or error}.") from error
    lines = content[: content.rfind(b"\n") + 1].splitlines()
    return [_event(folder, n, line) for n, line in enumerate(lines, 1)]


def sync_folder(folder: Path) -> None:
    """What was made, renamed or removed in the folder is so after a power cut, too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _event(folder: Path, number: int, line: bytes) -> Event:
    try:
        said = json.loads(line)
        return Event(str(said["what"]), int(said["version"]), str(said["at"]), dict(said["about"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"line {number} of {str(folder / LOG)!r} is damaged ({error}). Take it out by hand if the rest is as you know it."
        ) from error
