"""A process and all that it started: who they are, how much memory they hold, and ending them.

Belonging is seen in three ways: by parents, by the session, which stays when a parent dies, and by a mark, a variable of
the environment that children inherit, by which Linux tells those too that left the session and lost their parent.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc")
ROUNDS = 5
"""How often to look again for processes that were started while others were being ended."""


class _Process(NamedTuple):
    parent: int
    session: int
    resident_bytes: int
    alive: bool


def resident_bytes(roots: Iterable[int]) -> dict[int, int]:
    """The memory in use (resident set) of each root with its family; shared pages count once per process."""
    table = _processes()
    return {
        root: sum(table[pid].resident_bytes for pid in _family([root], table) if pid in table)
        for root in roots
    }


def others(leader: int, mark: str | None = None) -> set[int]:
    """The living processes of the family of `leader`, apart from itself. `mark` is "NAME=value"."""
    table = _processes()
    found = {pid for pid in _family([leader], table) if pid in table and table[pid].alive}
    return (found | _marked(mark, table)) - {leader, os.getpid()}


def kill(leader: int, mark: str | None = None) -> None:
    """End the process group of `leader`, and all of its family that left the group, at once.

    To be called before `leader` is waited for: until then its id cannot be given to a stranger.
    """
    me, known = os.getpid(), {leader}
    for _ in range(ROUNDS):
        table = _processes()
        found = {*_family(known, table), *_marked(mark, table)} - {me}
        new = found - known
        for pid in new:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if leader != me:
            _kill_group(leader)
        if not new:
            break
        known |= new
    _kill_group(leader)  # last: the caller may be the leader


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _family(roots: Iterable[int], table: dict[int, _Process]) -> list[int]:
    """`roots` and the processes below them or in their sessions, in that order."""
    followers: dict[int, list[int]] = {}
    for pid, process in table.items():
        for leader in {process.parent, process.session} - {0, pid}:
            followers.setdefault(leader, []).append(pid)
    found = dict.fromkeys(roots)
    queue = list(found)
    for pid in queue:
        new = [other for other in followers.get(pid, ()) if other not in found]
        found.update(dict.fromkeys(new))
        queue += new
    return queue


def _marked(mark: str | None, table: Iterable[int]) -> set[int]:
    """The processes that have `mark` in the environment they were started with, where the system tells."""
    if mark is None or not _PROC.joinpath("self", "environ").exists():
        return set()
    wanted, found = b"\0" + mark.encode() + b"\0", set()
    for pid in table:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123
            if wanted in b"\0" + file.read() + b"\0":
                found.add(pid)
    return found


def _processes() -> dict[int, _Process]:
    """Every process by its id."""
    return _from_proc() if _PROC.joinpath("self", "stat").exists() else _from_ps()


def _from_proc() -> dict[int, _Process]:
    page = os.sysconf("SC_PAGE_SIZE")
    table = {}
    for name in os.listdir(_PROC):  # noqa: PTH208 - a third of the time of iterdir
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
                    # The command, in parentheses, may hold spaces and parentheses itself.
                    fields = file.read().rpartition(b")")[2].split()
            except OSError:
                continue  # it has ended meanwhile
            table[int(name)] = _Process(
                int(fields[1]), int(fields[3]), int(fields[21]) * page, fields[0] not in (b"Z", b"X")
            )
    return table


def _from_ps() -> dict[int, _Process]:
    """Where there is no /proc; a process group stands in for the session, which not every `ps` knows."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,pgid=,rss=,state="],
        capture_output=True,
        text=True,
        check=False,
        timeout=10,
    ).stdout
    rows = (line.split() for line in listed.splitlines())
    return {
        int(row[0]): _Process(int(row[1]), int(row[2]), int(row[3]) * 1024, not row[4].startswith("Z"))
        for row in rows
        if len(row) == 5
    }
