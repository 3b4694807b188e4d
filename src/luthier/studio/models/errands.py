"""What takes its time with a model and is not waited for by a page: one errand of a kind for a version at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from luthier.errors import LuthierError
from luthier.studio.web import complain

Key = tuple[str, int, str]


@dataclass(frozen=True, slots=True)
class Errand:
    """Something that is being done with a version, or that was not possible: then `problem` says why."""

    what: str
    problem: str | None = None


class Errands:
    """The errands of a studio, by name and version. Any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now: dict[Key, Errand] = {}
        self.serial = 0
        """Another number whenever one begins or ends."""

    def of(self, name: str, version: int) -> Errand | None:
        """What is being done with a version, or went wrong last. It may be tested and deployed at the same time."""
        found = [
            errand
            for key, errand in list(self._now.items())
            if key[:2] == (name, version) and key[2] != "save"
        ]
        going = [errand for errand in found if errand.problem is None]
        return next(reversed(going or found), None)

    def now(self, what: str) -> list[tuple[str, int, Errand]]:
        """All errands of a kind: name, version, and how it goes."""
        return [(*key[:2], errand) for key, errand in list(self._now.items()) if errand.what == what]

    def begin(self, name: str, version: int, what: str, do: Callable[[], object]) -> bool:
        """Do it in a thread; False where it is being done already, with this version; or, to save it, with this trial of a study."""
        key = (name, version, what)
        with self._lock:
            known = self._now.get(key)
            if known is not None and known.problem is None:
                return False
            self._now.pop(key, None)  # the latest is the last
            self._now[key] = Errand(what)
            self.serial += 1
        threading.Thread(target=self._do, args=(key, what, do), daemon=True).start()
        return True

    def _do(self, key: Key, what: str, do: Callable[[], object]) -> None:
        problem = None
        try:
            do()
        except Exception as error:
            complain(error)
            problem = str(error) if isinstance(error, LuthierError) else f"{type(error).__name__}: {error}"
        with self._lock:
            if problem is None:
                self._now.pop(key)
            else:
                self._now[key] = Errand(what, problem)
            self.serial += 1
