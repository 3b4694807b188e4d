"""Studies that the studio starts: each is `luthier run` in a process of its own, which neither a closed browser nor a studio that is
killed stops.

In the folder of a study's files, `work/NAME` beside the store, are `study.toml`, what is run; `studio.log`, what it printed; and
`studio.lock`, which the process holds for as long as it lives: so another studio sees that too, and no study is started twice.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any

from luthier.errors import InvalidStudy, LuthierError, StudyNotFound
from luthier.files import folder_of, opened
from luthier.studio.commands import command, complaint, environment
from luthier.studio.looking import Shelf
from luthier.studio.views import stands
from luthier.studio.words import say
from luthier.study import Budget
from luthier.studyfile import absolute, from_given, keep, kept, kept_path

LOG, LOCK = "studio.log", "studio.lock"
LOG_BYTES = 64_000
NEWS_SECONDS = 5.0
GOES_ON = ("paused", "stopped", "interrupted", "open")
"""How a study stands that may be gone on with."""
LONGEST_NAME = 200


class Works:
    """Starts studies of one store, and knows of those that were started."""

    def __init__(self, shelf: Shelf, workers: int = 1) -> None:
        self._shelf = shelf
        self.workers = workers
        """How many trials to run at once, where nothing else is said."""
        self._looking = threading.Lock()  # who looks whether a lock is free holds it for a moment

    # --- starting --------------------------------------------------------------------------------

    def start(self, name: str, given: Mapping[str, Any]) -> None:
        """Begin a study: `given` is a study file as `tomllib` reads it; paths in it are taken from the current folder.

        Returns as soon as its process is started. Raises InvalidStudy or InvalidSpace, with a sentence, for what cannot be a study, and
        where there is one of that name.
        """
        _check_name(name)
        if name in self._shelf.names():
            raise InvalidStudy(say("works.exists", name=name))
        for key in ("function", "command"):
            if given.get(key) is not None:
                raise InvalidStudy(say("works.code", what=key))
        said = {**absolute(given, Path.cwd()), "name": name}
        said.setdefault("workers", self.workers)
        preprocess = said.get("preprocess")
        if isinstance(preprocess, str) and ":" in preprocess:
            raise InvalidStudy(say("works.code", what="preprocess"))
        from_given(said, kept_path(self._shelf.home, name)).arguments()
        self._spawn(name, said)

    def resume(self, name: str) -> None:
        """Go on with a study, within the budget that it has by now. Raises InvalidStudy where that cannot be."""
        if not self.can_resume(name):
            raise InvalidStudy(say("works.cannot", name=name))
        given = dict(self._own(name) or {})
        given["budget"] = budget_given(self._shelf.study(name).spec.budget)
        self._spawn(name, given)

    def resumed(self, name: str) -> bool:
        """Go on with a study if that can be; whether it does."""
        try:
            self.resume(name)
        except LuthierError:
            return False
        return True

    def can_resume(self, name: str) -> bool:
        """Whether the studio can go on with a study: there is a file of it that was left here, nobody works on it, and it is not complete."""
        try:
            shown = self._shelf.study(name)
        except StudyNotFound:
            return False
        return stands(shown).word in GOES_ON and not self.working(name) and self._own(name) is not None

    def _spawn(self, name: str, given: Mapping[str, Any]) -> None:
        file = kept_path(self._shelf.home, name).absolute()
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with self._looking:
                lock = _lock(file.parent)
            if lock is None:
                raise InvalidStudy(say("works.busy", name=name))
            try:
                keep(self._shelf.home, name, given)
                process = self._run(name, file, lock)
            finally:
                os.close(lock)  # the process has one of its own
        except OSError as error:
            raise InvalidStudy(say("works.disk", name=name, error=error)) from error
        threading.Thread(target=process.wait, daemon=True).start()  # so that no zombie is left of it

    def _run(self, name: str, file: Path, lock: int) -> subprocess.Popen[bytes]:
        (file.parent / LOG).unlink(missing_ok=True)  # it might be a link
        with (file.parent / LOG).open("xb") as log:
            return subprocess.Popen(
                command("run", str(file), f"--name={name}", "--no-progress"),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[lock],
                start_new_session=True,
                env=environment(self._shelf.url) | {"PYTHONUNBUFFERED": "1"},
            )

    # --- looking ---------------------------------------------------------------------------------

    def _own(self, name: str) -> dict[str, Any] | None:
        """What it says, if it was left by us: what is gone on with runs what the file says."""
        return kept(self._shelf.home, name, ours=True)

    def given(self, name: str) -> dict[str, Any] | None:
        """What the study file of a study says; None where there is none."""
        return kept(self._shelf.home, name)

    def working(self, name: str) -> bool:
        """Whether somebody works on a study, or is about to: a process that was started here, or by the store, anybody."""
        return self.alive(name) or self._active(name)

    def alive(self, name: str) -> bool:
        """Whether there is a process that a studio started for this study."""
        with self._looking:
            return _is_locked(self._folder(name))

    def _active(self, name: str) -> bool:
        try:
            return self._shelf.study(name).standing.word == "running"
        except LuthierError:
            return False

    def stands(self, name: str) -> dict[str, Any]:
        """What a study's page says of its process."""
        alive = self.alive(name)
        return {
            "process": {
                "alive": alive,
                "begins": alive and self._begins(name),
                "resumable": not alive and self.can_resume(name),
                "trouble": self.failure(name),
            }
        }

    def _begins(self, name: str) -> bool:
        """Whether the process of a study has not come to its first trial yet, rather than that its last one is over."""
        try:
            started = kept_path(self._shelf.home, name).stat().st_mtime
            active = self._shelf.study(name).row.active
        except (OSError, StudyNotFound):
            return True
        return active is None or active < started

    def log(self, name: str, most: int = LOG_BYTES) -> str:
        """The end of what its process printed; empty where it printed nothing, or there was none."""
        try:
            with opened(self._folder(name) / LOG, self._folder(name)) as file:
                file.seek(max(0, file.seek(0, 2) - most))
                return file.read(most).decode(errors="replace")
        except OSError:
            return ""

    def failure(self, name: str) -> str | None:
        """Why the process of a study ended without an answer, in a sentence; None where it lives, or all is well."""
        if self.alive(name) or not self._is_news(name):
            return None
        printed = self.log(name)
        if said := complaint(printed):
            return said
        lines = [line.strip() for line in printed.splitlines() if line.strip()]
        if any(line.startswith("Traceback ") for line in lines):
            return say("works.broke", error=lines[-1])
        if name not in self._shelf.names():
            return say("works.died")
        return None

    def _is_news(self, name: str) -> bool:
        """Whether nobody worked on the study since its process wrote the log."""
        try:
            written = (self._folder(name) / LOG).stat().st_mtime
            active = self._shelf.study(name).row.active
        except OSError:
            return False
        except StudyNotFound:
            return True
        return active is None or active <= written + NEWS_SECONDS

    def close(self) -> None:
        """The studio ends; studies go on."""

    def _folder(self, name: str) -> Path:
        return folder_of(self._shelf.home, "work", name)


def budget_given(budget: Budget) -> dict[str, Any]:
    """A budget as a study file writes it."""
    found = {f.name: value for f in fields(budget) if (value := getattr(budget, f.name)) is not None}
    if budget.cost is None:
        del found["currency"]
    if budget.deadline is not None:
        found["deadline"] = datetime.fromtimestamp(budget.deadline).isoformat()
    return found


def _check_name(name: str) -> None:
    """Raise InvalidStudy for a name that a new study had better not have."""
    wrong = (
        not re.match(r"[^\W.]", name)  # as for models, which are called like their study
        or any(c in "/\\" or not c.isprintable() for c in name)
        or len(name.encode("utf-8", "surrogatepass")) > LONGEST_NAME
    )
    if wrong:
        raise InvalidStudy(say("works.name", name=name[:40], most=LONGEST_NAME))


def _lock(folder: Path) -> int | None:
    """The lock of a study, taken, as a file that is open; None where a process has it."""
    import fcntl

    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock


def _is_locked(folder: Path) -> bool:
    """Whether a process has the lock of a study."""
    import fcntl

    try:
        lock = os.open(folder / LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False
