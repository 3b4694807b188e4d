"""The deployed model of a home: one at a time, in a process of its own that outlives whoever started it.

`<home>/serving/` holds what there is to know: `deployment.json` (which model, which port, which process, what was deployed before),
`token` (0600; it stays, so that what calls the model goes on doing so), `log` of the process, `log.jsonl` with what happened. Whoever
opens the home later adopts the process by that: its name says when it started, so a reused number is not taken for it.
"""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from luthier.clock import Clock, SystemClock
from luthier.engine.identity import is_gone, name_of, pid_of
from luthier.errors import LuthierError, ModelError
from luthier.models import log, show_model
from luthier.models.log import Event
from luthier.models.registry import tell
from luthier.serving.counts import stamp
from luthier.serving.serve import PORT, TRIED

HOST = "127.0.0.1"
LOAD_SECONDS = 310
LISTEN_SECONDS = 20
END_SECONDS = 12
ASK_SECONDS = 1.0
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
STEADY_SECONDS = 60
TAIL_LINES = 40

_children: dict[str, subprocess.Popen[bytes]] = {}
"""Processes that this one started, by name: they are waited for when they end, and known by how they did."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """A model that is to be served, at `url`, since when."""

    model: str
    version: int
    port: int
    since: str

    @property
    def url(self) -> str:
        """Where it answers, on this machine."""
        return f"http://{HOST}:{self.port}"


@dataclass(frozen=True, slots=True)
class State:
    """How a deployment is. `alive`: its process is there; `health` and `metrics` are what it says itself, None where it does not answer.

    `restarts` counts those of the process that listens, `health["restarts"]` those of the model's own process since then; `last_error` is a
    sentence about what went wrong last, and `log` the last lines that the process wrote.
    """

    model: str
    version: int
    port: int
    url: str
    since: str
    restarts: int
    alive: bool
    health: Mapping[str, Any] | None
    metrics: Mapping[str, Any] | None
    last_restart: Mapping[str, str] | None
    last_error: str | None
    log: tuple[str, ...]

    @property
    def status(self) -> str:
        """One word: "ok", "starting" or "down"."""
        if self.health is not None:
            return str(self.health["status"])
        return "starting" if self.alive else "down"


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is in deployment.json. `before` are the models deployed earlier, the latest last."""

    model: str = ""
    version: int = 0
    port: int = 0
    since: str = ""
    wanted: bool = False
    process: str | None = None
    began: float = 0.0
    restarts: int = 0
    last_restart: Mapping[str, str] | None = None
    pauses: int = 0
    before: tuple[tuple[str, int], ...] = ()


class Deployments:
    """What a studio does with the deployed model of its home. Several may, of one home: what changes something waits for its turn."""

    def __init__(self, home: Path | str, *, clock: Clock | None = None) -> None:
        self.home = Path(home).absolute()
        self.folder = self.home / "serving"
        self._clock = clock or SystemClock()

    # --- looking -----------------------------------------------------------------------------------

    def current(self) -> Deployment | None:
        """What is deployed, whether or not it is well just now."""
        kept = self._read()
        return _deployment(kept) if kept.wanted else None

    def previous(self) -> tuple[str, int] | None:
        """The model and version that `roll_back` would deploy."""
        return next(iter(self._there(self._read().before)), None)

    def state(self) -> State | None:
        """How it is; asks it, for a second at most. None where nothing is deployed."""
        kept = self._read()
        if not kept.wanted:
            return None
        alive = kept.process is not None and not is_gone(kept.process)
        health = self._ask(kept.port, "/healthz") if alive else None
        if health is not None and (health.get("model"), health.get("version")) != (kept.model, kept.version):
            health = None  # somebody else has the port
        metrics = self._ask(kept.port, "/metrics") if health is not None else None
        lines = self._tail()
        return State(
            kept.model,
            kept.version,
            kept.port,
            _deployment(kept).url,
            kept.since,
            kept.restarts,
            alive,
            health,
            metrics,
            kept.last_restart,
            _last_error(alive, kept, health, metrics, lines),
            lines,
        )

    def events(self) -> list[Event]:
        """What happened, oldest first: deployed, undeployed, rolled back deployment, restarted; `about["model"]` is the model."""
        return log.read(self.folder)

    def token(self) -> str:
        """What whoever asks the model sends as a bearer."""
        return self._token_file().read_text(encoding="ascii").strip()

    # --- changing ----------------------------------------------------------------------------------

    def deploy(self, name: str, version: int | None = None) -> Deployment:
        """Serve this version, or the champion, instead of what is served now; answers once it is.

        What is served goes on until the new one is loaded, and stays where that fails. Raises ModelError.
        """
        found = show_model(self.home, name, version)
        with self._locked():
            kept = self._read()
            if kept.wanted and (kept.model, kept.version) == (name, found.version) and self._is_alive(kept):
                return _deployment(kept)
            before = tuple(other for other in _pushed(kept) if other != (name, found.version))
            return self._deploy(kept, name, found.version, before)

    def stop(self) -> None:
        """Serve nothing. Raises ModelError where nothing is served."""
        with self._locked():
            kept = self._read()
            if not kept.wanted:
                raise ModelError("no model is deployed, so there is none to stop.")
            # Written first: should we be killed here, nobody starts it again.
            self._write(replace(kept, wanted=False, before=_pushed(kept)))
            self._end(kept)
            self._write(replace(kept, wanted=False, process=None, before=_pushed(kept)))
            self._tell("undeployed", kept.model, kept.version, {})

    def roll_back(self) -> Deployment:
        """Serve again what was served before. Raises ModelError where there was nothing, or it is deleted."""
        with self._locked():
            kept = self._read()
            before = self._there(kept.before)
            if not before:
                raise ModelError(
                    "no other model was deployed before"
                    + (" that is still there." if kept.before else ".")
                    + " Deploy one: it takes the place of this one."
                )
            name, version = before[0]
            rest = kept.before[: _last(kept.before, (name, version))]
            return self._deploy(kept, name, version, rest, rolled_back=kept.wanted)

    def supervise(self) -> str | None:
        """Start the process again if it is gone. To be called every second or so; does nothing while another one changes something.

        Answers with a sentence where it did.
        """
        if not (self.folder / "deployment.json").exists():
            return None  # and makes no folder where nothing was ever deployed
        with suppress(BlockingIOError), self._locked(wait=False):
            kept = self._read()
            if not kept.wanted:
                return None
            now = self._clock.now()
            if self._is_alive(kept):
                if kept.pauses and now - kept.began > STEADY_SECONDS:
                    self._write(replace(kept, pauses=0))
                return None
            pause = min(FIRST_PAUSE * 2**kept.pauses, LONGEST_PAUSE)
            if kept.pauses and 0 <= now - kept.began < pause:  # a clock that was set back stops nothing
                return None
            return self._restart(kept, now)
        return None

    # --- small steps -------------------------------------------------------------------------------

    def _deploy(
        self,
        kept: _Kept,
        name: str,
        version: int,
        before: tuple[tuple[str, int], ...],
        *,
        rolled_back: bool = False,
    ) -> Deployment:
        port = self._port(kept)
        child = self._start(name, version, port, held=True)
        process = name_of(child.pid)
        try:
            _heard(child, "loaded", LOAD_SECONDS)
            self._end(kept)
            now = self._clock.now()
            made = _Kept(name, version, port, stamp(now), True, process, now, before=before)
            self._write(made)  # before it listens: should we be killed now, whoever comes next knows of it
            assert child.stdin is not None
            child.stdin.write(b"listen\n")
            child.stdin.flush()
            _heard(child, "listening", LISTEN_SECONDS)
        except BaseException as error:
            child.kill()
            child.wait()
            self._write(kept)
            if kept.wanted and not self._is_alive(kept):
                self._restart(kept, self._clock.now())
            if isinstance(error, ModelError | OSError):
                raise ModelError(f"version {version} of model {name!r} is not deployed: {error}") from error
            raise
        finally:
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()
        _children[process] = child
        replaced = [kept.model, kept.version] if kept.wanted else None
        if kept.wanted:
            what = "rolled back deployment" if rolled_back else "undeployed"
            self._tell(what, kept.model, kept.version, {"for": [name, version]})
        self._tell("deployed", name, version, {"port": port, "instead_of": replaced})
        return _deployment(made)

    def _restart(self, kept: _Kept, now: float) -> str:
        why = self._why(kept)
        port = self._port(kept)
        child = self._start(kept.model, kept.version, port, held=False)
        process = name_of(child.pid)
        _children[process] = child
        last = {"at": stamp(now), "why": why}
        self._write(
            replace(
                kept,
                port=port,
                process=process,
                began=now,
                restarts=kept.restarts + 1,
                last_restart=last,
                pauses=kept.pauses + 1,
            )
        )
        self._event("restarted", kept.model, kept.version, {"why": why, "port": port})
        return f"the process of model {kept.model!r}, version {kept.version}, {why}; it is started again."

    def _start(self, name: str, version: int, port: int, *, held: bool) -> subprocess.Popen[bytes]:
        self._make_token()
        settings = {
            "home": str(self.home),
            "model": name,
            "version": version,
            "port": port,
            "token_file": str(self._token_file()),
            "log": str(self._log_file()),
            "held": held,
        }
        pipe = subprocess.PIPE if held else subprocess.DEVNULL
        with _private(self._log_file(), "ab") as errors:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "luthier.serving.front", json.dumps(settings)],
                stdin=pipe,
                stdout=pipe,
                stderr=errors,
                cwd=self.home,
                start_new_session=True,
            )

    def _end(self, kept: _Kept) -> None:
        """End the process of a deployment; at once, if it does not end in order."""
        if kept.process is None:
            return
        if is_gone(kept.process):
            self._reap(kept.process)
            return
        pid = pid_of(kept.process)
        if pid is None:
            return  # of another machine, or container: the number is somebody else's here
        for kind, seconds in ((signal.SIGTERM, END_SECONDS), (signal.SIGKILL, 5)):
            with suppress(ProcessLookupError):
                os.kill(pid, kind)
            until = self._clock.now() + seconds
            while self._clock.now() < until:
                if is_gone(kept.process):
                    self._reap(kept.process)
                    return
                self._clock.sleep(0.02)
        raise ModelError(f"the process {pid} of model {kept.model!r} cannot be ended.")

    def _is_alive(self, kept: _Kept) -> bool:
        return kept.process is not None and not is_gone(kept.process)

    def _why(self, kept: _Kept) -> str:
        code = None if kept.process is None else self._reap(kept.process)
        if code is None:
            return "was gone"
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"

    def _reap(self, process: str) -> int | None:
        """How a process that we started ended."""
        child = _children.pop(process, None)
        return None if child is None else child.wait()

    def _port(self, kept: _Kept) -> int:
        """The one it had, where it is free or ours; else the next that is."""
        if kept.port and self._is_alive(kept):
            return kept.port
        for port in [*([kept.port] if kept.port else []), *range(PORT, PORT + TRIED), 0]:
            with socket.socket() as trying:
                trying.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    trying.bind((HOST, port))
                    trying.listen()
                except OSError:
                    continue
                return int(trying.getsockname()[1])
        raise ModelError(f"no port of {HOST} is free.")

    def _there(self, before: tuple[tuple[str, int], ...]) -> list[tuple[str, int]]:
        """Those that are not deleted, the latest first."""
        found = []
        for name, version in reversed(before):
            with suppress(LuthierError):
                show_model(self.home, name, version)
                found.append((name, version))
        return found

    def _tell(self, what: str, name: str, version: int, about: Mapping[str, Any]) -> None:
        """Write it down here and in the model's own log."""
        self._event(what, name, version, about)
        with suppress(ModelError):  # its folder may be gone
            tell(self.home, name, version, what, about, self._clock)

    def _event(self, what: str, name: str, version: int, about: Mapping[str, Any]) -> None:
        log.append(self.folder, Event(what, version, about={"model": name, **about}), self._clock)

    def _ask(self, port: int, path: str) -> dict[str, Any] | None:
        connection = http.client.HTTPConnection(HOST, port, timeout=ASK_SECONDS)
        try:
            connection.request("GET", path, headers={"authorization": f"Bearer {self.token()}"})
            said = json.loads(connection.getresponse().read(100_000))
            return said if isinstance(said, dict) and "model" in said else None
        except (OSError, ValueError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def _tail(self) -> tuple[str, ...]:
        try:
            with self._log_file().open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - 20_000))
                return tuple(file.read().decode("utf-8", "replace").splitlines()[-TAIL_LINES:])
        except OSError:
            return ()

    # --- files -------------------------------------------------------------------------------------

    @contextmanager
    def _locked(self, *, wait: bool = True) -> Iterator[None]:
        """Nobody else changes what is deployed meanwhile; raises BlockingIOError where somebody does and we are not to wait."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = _private(self.folder / "lock", "a")
        except OSError as error:
            raise ModelError(
                f"nothing can be deployed or stopped here: {str(self.folder)!r} cannot be written to ({error.strerror or error})."
            ) from error
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            yield

    def _read(self) -> _Kept:
        path = self.folder / "deployment.json"
        try:
            said = json.loads(path.read_bytes())
            before = tuple((str(name), int(version)) for name, version in said.pop("before"))
            kept = _Kept(**said, before=before)
            _check(kept)
            return kept
        except FileNotFoundError:
            return _Kept()
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ModelError(
                f"{str(path)!r} is damaged ({error}), so it is not known what is deployed. Delete it, and deploy again."
            ) from error

    def _write(self, kept: _Kept) -> None:
        new = self.folder / ".deployment.json"
        with _private(new, "w") as file:
            json.dump(asdict(kept), file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.folder / "deployment.json")

    def _make_token(self) -> None:
        path = self._token_file()
        if path.exists():
            return
        new = self.folder / f".token-{secrets.token_hex(4)}"
        with _private(new, "x") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
        new.replace(path)

    def _token_file(self) -> Path:
        return self.folder / "token"

    def _log_file(self) -> Path:
        return self.folder / "log"


def _private(path: Path, mode: str) -> Any:
    """The file opened; nobody else may read it if it is made. A link is not followed."""
    return open(path, mode, opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW, 0o600))


def _deployment(kept: _Kept) -> Deployment:
    return Deployment(kept.model, kept.version, kept.port, kept.since)


def _check(kept: _Kept) -> None:
    """Raise TypeError for values that are of another kind: the file may be anybody's."""
    for name, kind in _KINDS.items():
        value = getattr(kept, name)
        if not isinstance(value, kind):
            raise TypeError(f"{name} is {str(value)[:100]!r}")
    if not 0 <= kept.port < 2**16:
        raise TypeError(f"port is {kept.port}")


_KINDS: Mapping[str, Any] = {
    "model": str, "version": int, "port": int, "since": str, "wanted": bool, "process": str | None, "began": int | float,
    "restarts": int, "last_restart": dict | None, "pauses": int,
}  # fmt: skip


def _pushed(kept: _Kept) -> tuple[tuple[str, int], ...]:
    """What was deployed before, once this is, too."""
    if not kept.wanted:
        return kept.before
    mine = (kept.model, kept.version)
    return (*(other for other in kept.before if other != mine), mine)[-50:]


def _last(values: tuple[tuple[str, int], ...], value: tuple[str, int]) -> int:
    return len(values) - 1 - values[::-1].index(value)


def _heard(child: subprocess.Popen[bytes], wanted: str, seconds: float) -> None:
    """Wait for a word of a process that is being started; raises ModelError with what it says instead."""
    assert child.stdout is not None
    ready, _, _ = select.select([child.stdout], [], [], seconds)
    line = child.stdout.readline() if ready else b""
    if not ready:
        raise ModelError(f"it was not {wanted} within {seconds} s.")
    if not line:
        raise ModelError(f"its process ended with code {child.wait()} before it was {wanted}.")
    said = json.loads(line)
    if wanted not in said:
        raise ModelError(str(said.get("problem", said)))


def _last_error(
    alive: bool,
    kept: _Kept,
    health: Mapping[str, Any] | None,
    metrics: Mapping[str, Any] | None,
    lines: tuple[str, ...],
) -> str | None:
    if not alive:
        return lines[-1] if lines else "its process is gone."
    if metrics is not None and metrics.get("last_error"):
        return str(metrics["last_error"]["error"])
    if health is not None and health.get("last_restart"):
        return f"the model's process died: {health['last_restart']['why']}."
    if kept.last_restart is not None:
        return f"its process {kept.last_restart['why']}."
    return None
