"""Work with models in a process of its own, for whoever must not load any: a server that people look at with browsers.

The process gets what is asked as JSON, knows nothing but what it needs, and has little memory and time. What it says is JSON, or a file
that the caller named.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from luthier.errors import LuthierError, ModelError
from luthier.models.answers import MEMORY, SECONDS, death, environment
from luthier.models.apart import limit
from luthier.models.manifest import plain
from luthier.models.signing import VARIABLE

KEYS = ("XDG_CONFIG_HOME", VARIABLE)
"""What a process needs besides to know which models were made here."""


class Aside:
    """Runs one process for each thing that is asked, `at_once` of them; `close` ends those that still run.

    Raises ModelError with what the process said, or how it died. Any thread may ask.
    """

    def __init__(self, at_once: int = 2) -> None:
        self._turn = threading.Semaphore(at_once)
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._closed = False

    def __call__(self, do: str, *, seconds: int = SECONDS, keys: bool = True, **asked: Any) -> Any:
        """What `DOES[do]` answers to what is asked; without `keys` the process does not know ours."""
        with self._turn, tempfile.TemporaryDirectory(prefix="luthier-") as folder:
            said = Path(folder) / "said.json"
            child = self._start(said, seconds, keys)
            try:
                _, stderr = child.communicate(json.dumps({"do": do, **asked}).encode(), timeout=seconds)
            except subprocess.TimeoutExpired:
                raise ModelError(
                    f"this took longer than {seconds} s, and was ended. Give fewer rows, or use the command line."
                ) from None
            finally:
                self._end(child)
            if child.returncode or not said.exists():
                raise ModelError(
                    f"the process that the model was loaded in died ({death(child.returncode, stderr)}). Its limits are "
                    f"{MEMORY >> 30} GiB of memory and {seconds} s; the command line has none."
                )
            answer = json.loads(said.read_bytes())
        if "error" in answer:
            raise ModelError(answer["error"])
        return answer["said"]

    def _start(self, said: Path, seconds: int, keys: bool) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._closed:
                raise ModelError("the studio is being closed.")
            known = {name: os.environ[name] for name in KEYS if keys and name in os.environ}
            command = [sys.executable, "-P", "-W", "ignore", "-m", "luthier.models.aside"]
            child = subprocess.Popen(
                [*command, str(said), str(MEMORY), str(seconds)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=environment() | known,
                start_new_session=True,
            )
            self._running.add(child)
            return child

    def _end(self, child: subprocess.Popen[bytes]) -> None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)  # with whatever it started
        child.wait()
        with self._lock:
            self._running.discard(child)

    def close(self) -> None:
        """End what runs; what is asked from now on is refused."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for child in running:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)


# --- in the process ----------------------------------------------------------------------------


def test(home: str, name: str, version: int, data: str | None, target: str | None) -> dict[str, Any]:
    """Score a version, and count the look."""
    from luthier.models.looks import score_model

    look = score_model(home, name, data, target, version=version)
    return {"data": look.data, "rows": look.rows, "looks": look.looks, "scores": look.scores}


def decide(home: str, name: str, version: int, data: str, target: str | None) -> str:
    """Promote a version if it is better on these rows; says what was decided."""
    from luthier.models.champions import promote

    return promote(home, name, version, data, target).why


def export(home: str, name: str, version: int, to: str, onnx: str | None) -> None:
    """Write the bundle."""
    from luthier.models.export import export_model

    export_model(home, name, to, version, onnx=onnx)


def types(home: str, name: str, version: int) -> list[str]:
    """The types that the saved model is made of, beyond numbers and arrays; raises ModelError for one that is not on our list."""
    from luthier.models.files import types_in
    from luthier.models.registry import content_of, show_model

    return types_in(content_of(show_model(home, name, version)))


def types_of(file: str) -> list[str]:
    """The same of the bytes in a file, whoever made them."""
    from luthier.models.files import types_in

    return types_in(Path(file).read_bytes())


def label(file: str, to: str, classes: list[Any]) -> None:
    """Give a classifier of an export, which knows only the numbers of its classes, its labels back."""
    import numpy as np

    from luthier.estimators.labels import Labelled
    from luthier.models.files import dump, restore

    inner = restore(Path(file).read_bytes(), "skops", what="the model of the bundle")
    made = Labelled(inner)
    made.classifier_, made.classes_ = inner, np.asarray(classes)
    Path(to).write_bytes(dump(made, "skops"))


DOES: Mapping[str, Callable[..., Any]] = {
    "test": test,
    "decide": decide,
    "export": export,
    "types": types,
    "types_of": types_of,
    "label": label,
}


def main(path: str, memory: int, seconds: int) -> None:
    """Answer what is asked on stdin with JSON in the file at `path`."""
    asked = json.load(sys.stdin)
    limit(memory, seconds)
    said: dict[str, Any]
    try:
        said = {"said": plain(DOES[asked.pop("do")](**asked))}
    except LuthierError as error:
        said = {"error": str(error)}
    except MemoryError:
        said = {"error": f"this takes more than {memory >> 30} GiB of memory. Use the command line."}
    Path(path).write_text(json.dumps(said), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
