"""The process that a model is loaded in, to predict until its parent lets go of it: rows in, JSON or CSV out, bounded memory.

It knows no keys and opens no files but those of libraries. The main thread predicts; a second one reads what the parent sends, and
at the end of that the process ends, whatever it is at.
"""

from __future__ import annotations

import gc
import json
import math
import os
import queue
import socket
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from luthier.analysis.table import csv_rows
from luthier.errors import LuthierError
from luthier.models.answers import Answers, ask
from luthier.models.apart import limit
from luthier.models.files import restore
from luthier.serving.wire import LENGTHS, as_json, pack

Message = tuple[dict[str, Any], bytes]
OUT_OF_MEMORY = 77
"""The exit code after a MemoryError: what is left of the process is not relied on."""


@dataclass(frozen=True, slots=True)
class Model:
    """A fitted estimator and how its rows and answers look."""

    estimator: Any
    about: Mapping[str, Any]

    def answer(self, asked: Mapping[str, Any], numbers: bytes) -> tuple[int, bytes]:
        """The status and the body for these rows."""
        X = self._table(int(asked["rows"]), numbers, asked["others"])
        try:
            found = ask(self.estimator, X, decisions=False)
        except MemoryError:
            raise
        except (ValueError, TypeError, OverflowError) as error:
            return 422, as_json({"error": self._unread(error, X)})
        except Exception as error:
            return 500, as_json({"error": f"the model failed: {type(error).__name__}: {error}"})
        return 200, (self._csv if asked["as"] == "csv" else self._json)(found)

    def warm_up(self) -> None:
        """Predict once, so that the first who asks need not wait for what libraries put off; the row is none that anybody sent."""
        row = self.about["example"]
        kinds = dict(self.about["inputs"])
        numbers = np.array(
            [math.nan if row[name] is None else row[name] for name in kinds if kinds[name] == "number"],
            dtype=float,
        )
        others = [[row[name]] for name in kinds if kinds[name] != "number"]
        self.answer({"rows": 1, "others": others, "as": "json"}, numbers.tobytes())

    def _table(self, rows: int, content: bytes, others: list[list[Any]]) -> Any:
        """The rows as the model was fitted: an array, or a frame with its columns in their order."""
        columns: list[tuple[str, str]] = self.about["inputs"]
        wide = sum(kind == "number" for _, kind in columns)
        numbers = np.frombuffer(content).reshape(rows, wide).copy()
        if self.about["container"] != "frame":
            return numbers
        import pandas as pd

        if not others:
            return pd.DataFrame(numbers, columns=[name for name, _ in columns])
        left, right = iter(numbers.T), iter(others)
        return pd.DataFrame(
            {
                name: next(left) if kind == "number" else pd.Series(_with_gaps(next(right)), dtype=object)
                for name, kind in columns
            }
        )

    def _unread(self, error: Exception, X: Any) -> str:
        gaps = _gaps(X, [name for name, _ in self.about["inputs"]])
        if gaps:
            return f"there is no value in {', '.join(map(repr, gaps[:10]))} in some rows, and the model was fitted on a table without gaps. Fill them."
        return f"the model cannot read the rows: {str(error)[:500]}"

    def _values(self, found: Answers) -> list[Any]:
        classes = self.about["classes"]
        if self.about["coded"]:
            return [classes[int(value)] for value in found.values]
        return found.values.tolist()  # type: ignore[no-any-return]

    def _json(self, found: Answers) -> bytes:
        said = {
            "model": self.about["model"],
            "version": self.about["version"],
            "predictions": self._values(found),
        }
        said["classes"] = self.about["classes"]
        chances = found.probabilities if self.about["classes"] is not None else None
        said["probabilities"] = None if chances is None else np.asarray(chances).tolist()
        try:
            return as_json(said)
        except ValueError:  # a number that JSON does not have
            return as_json(_without_constants(said))

    def _csv(self, found: Answers) -> bytes:
        classes = self.about["classes"]
        columns, cells = ["prediction"], [self._values(found)]
        if classes is not None and found.probabilities is not None:
            columns += [f"probability_{label}" for label in classes]
            cells += np.asarray(found.probabilities).T.tolist()
        return csv_rows([columns, *zip(*cells, strict=True)]).encode("utf-8", "replace")


def _with_gaps(values: list[Any]) -> list[Any]:
    return [math.nan if value is None else value for value in values]


def _gaps(X: Any, names: list[str]) -> list[str]:
    empty: Any = np.isnan(X).any(axis=0) if isinstance(X, np.ndarray) else X.isna().any(axis=0).to_numpy()
    return [name for name, gap in zip(names, empty, strict=True) if gap]


def _without_constants(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_constants(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_constants(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# --- the process -------------------------------------------------------------------------------


def main(descriptor: int, memory: int) -> int:
    """Answer on the socket `descriptor` with at most `memory` bytes of address space; the exit code."""
    limit(memory)
    line = socket.socket(fileno=descriptor)
    line.setblocking(True)
    asked: queue.SimpleQueue[Message] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(line, asked), daemon=True).start()
    try:
        model = _load(*asked.get())
    except MemoryError:
        line.sendall(pack({"problem": f"the model does not fit into {memory / 2**30:.1f} GiB of memory."}))
        return OUT_OF_MEMORY
    except LuthierError as error:
        line.sendall(pack({"problem": str(error)}))
        return 1
    model.warm_up()
    gc.freeze()
    line.sendall(pack({"ready": True}))
    while True:
        about, numbers = asked.get()
        try:
            status, body = model.answer(about, numbers)
        except MemoryError:
            del numbers
            text = f"these rows need more than the {memory / 2**30:.1f} GiB of memory that the model may have. Send fewer at once."
            line.sendall(pack({"id": about["id"], "status": 503, "last": True}, as_json({"error": text})))
            return OUT_OF_MEMORY
        line.sendall(pack({"id": about["id"], "status": status}, body))


def _load(about: dict[str, Any], content: bytes) -> Model:
    model = Model(restore(content, about["serializer"], trust=about["trust"], what=about["what"]), about)
    if about["container"] == "frame":
        import pandas  # noqa: F401 - now, and not when the first rows arrive
    return model


def _listen(line: socket.socket, asked: queue.SimpleQueue[Message]) -> None:
    """Put what arrives in the queue; end the process when nothing more will."""
    try:
        with line.makefile("rb") as stream:
            while len(lengths := stream.read(LENGTHS.size)) == LENGTHS.size:
                head, content = LENGTHS.unpack(lengths)
                asked.put((json.loads(stream.read(head)), stream.read(content)))
    finally:
        os._exit(0)  # the parent is gone, or wants us gone


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
