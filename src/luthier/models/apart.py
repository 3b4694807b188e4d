"""The process in which a model is loaded that was not made on this machine: rows in, JSON out, little memory, little time."""

from __future__ import annotations

import json
import pickle
import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np

from luthier.errors import ModelError
from luthier.models.answers import ask
from luthier.models.files import restore


def main(path: str, memory: int, seconds: int) -> None:
    """Answer what is asked on stdin with JSON in the file at `path`."""
    asked = pickle.load(sys.stdin.buffer)  # our parent's words; the model in it is bytes, read by skops below
    limit(memory, seconds)
    said: dict[str, Any]
    try:
        found = ask(restore(asked["content"], "skops", what=asked["what"]), asked["X"])
        parts = {"values": found.values, "probabilities": found.probabilities, "decisions": found.decisions}
        said = {name: None if part is None else np.asarray(part).tolist() for name, part in parts.items()}
    except ModelError as error:
        said = {"model_error": str(error)}
    except ValueError as error:
        said = {"value_error": str(error)}
    Path(path).write_text(json.dumps(said), encoding="utf-8")


def limit(memory: int, seconds: int | None = None) -> None:
    """No more bytes of address space than `memory` for this process, no more of the processor's time, no dumps of what it holds."""
    limits = {
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_FSIZE: memory,
        resource.RLIMIT_CORE: 0,
    }
    for kind, most in limits.items():
        if most is None:
            continue
        hard = resource.getrlimit(kind)[1]
        limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
        try:
            resource.setrlimit(kind, (limit, limit))
        except (OSError, ValueError):  # not every system bounds the address space
            continue


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
