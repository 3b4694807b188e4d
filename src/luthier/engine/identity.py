"""Who holds a lease: a name for this process that others on the same machine can tell to be dead."""

from __future__ import annotations

import os
import re
import socket
from itertools import count
from pathlib import Path

_serial = count()


def new_worker() -> str:
    """A name that nobody else has: machine, process, when the process started, and a serial number."""
    return name_of(os.getpid(), next(_serial))


def name_of(pid: int, serial: int = 0) -> str:
    """A name for a process of this machine, by which `is_gone` tells it from a later one with its number."""
    return f"{_machine()}/{pid}/{_started(pid)}/{serial}"


def is_gone(worker: str) -> bool:
    """Whether `worker` was a process of this machine that is no more. False where that cannot be known."""
    pid = pid_of(worker)
    if pid is None:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False  # alive, and somebody else's
    return _started(pid) != worker.split("/")[2]  # the number went to another process


def pid_of(worker: str) -> int | None:
    """The number of a process of this machine, which may be gone. None for another machine's, and for a name that nobody was given here:
    to send a signal to such a number would meet somebody else, or with 0 and below everybody.
    """
    match worker.split("/"):
        case [machine, number, _, _] if machine == _machine() and re.fullmatch("[1-9][0-9]{0,8}", number):
            return int(number)
    return None


def _machine() -> str:
    """The host, and on Linux the namespace in which its process numbers mean something."""
    try:
        namespace = f".{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        namespace = ""
    return socket.gethostname().replace("/", "-") + namespace


def _started(pid: int) -> str:
    """When the process started, in the kernel's ticks; '' where that cannot be read. A zombie has ended: 'dead'."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "dead" if fields[0] in "ZX" else fields[19]
