"""What a model says about rows: in this process where the model was made on this machine, else in a child with limits.

The child is no sandbox: it keeps code that was never in the file from being reached by way of a bug in a parser from
taking this process down, and bounds its memory and time. What it says comes back as JSON, which is no code either.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from luthier.errors import ModelError
from luthier.models.files import restore
from luthier.models.registry import ModelVersion, content_of, unsigned, warn_of_versions

MEMORY = 4 * 2**30
"""Bytes of address space that the child may have, besides ten times the rows and the file."""
SECONDS = 300
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV")


@dataclass(frozen=True, slots=True)
class Answers:
    """A value per row; `probabilities`, shape (rows, classes), and `decisions` where the model gives them. `classes` are
    those of a classifier, else None.
    """

    values: Any
    probabilities: Any = None
    decisions: Any = None
    classes: tuple[Any, ...] | None = None


def answers(model: ModelVersion, X: Any, *, trust: bool = False) -> Answers:
    """What the model says about X. Raises ModelError where it cannot be loaded or its process dies, and ValueError, in
    the estimator's words, where it cannot read X.
    """
    content = content_of(model)
    serializer = str(model.manifest["serializer"])
    what = model.what.rstrip(",")
    warn_of_versions(model)
    if model.signed or trust:
        return _with_classes(model, ask(restore(content, serializer, trust=trust, what=what), X))
    if serializer != "skops":
        raise ModelError(
            f"{model.what} {unsigned(model)} It was saved with {serializer}, and loading that runs whatever code is in the "
            "file. If you know who made it, say so with trust=True (--trust)."
        )
    return _with_classes(model, _apart(model, content, X))


def _with_classes(model: ModelVersion, found: Answers) -> Answers:
    classes = model.manifest["output"].get("classes")
    return replace(found, classes=None if classes is None else tuple(classes))


def ask(estimator: Any, X: Any, *, decisions: bool = True) -> Answers:
    """All that the fitted estimator has to say about X; its decision function only if asked for."""
    values = np.asarray(estimator.predict(X))
    if values.ndim == 2 and values.shape[1] == 1:  # CatBoost, for several classes
        values = values[:, 0]
    probabilities = estimator.predict_proba(X) if hasattr(estimator, "predict_proba") else None
    decided = decisions and hasattr(estimator, "decision_function")
    return Answers(values, probabilities, estimator.decision_function(X) if decided else None)


def _apart(model: ModelVersion, content: bytes, X: Any) -> Answers:
    asked = pickle.dumps({"content": content, "what": model.what.rstrip(","), "X": X})
    with tempfile.TemporaryDirectory(prefix="luthier-") as folder:
        said = Path(folder) / "said.json"
        limits = [str(said), str(MEMORY + 10 * len(asked)), str(SECONDS)]
        try:
            child = subprocess.run(  # noqa: PLW1510 - how it ended is looked at below
                [sys.executable, "-P", "-W", "ignore", "-m", "luthier.models.apart", *limits],
                input=asked,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                cwd=folder,
                env=environment(),
                timeout=SECONDS,
                start_new_session=True,
            )
        except subprocess.TimeoutExpired:
            raise ModelError(
                f"{model.what} was not made on this machine, and did not answer within {SECONDS} s in a process of its own, "
                "which was ended. Give fewer rows; or, if you know who made it, trust=True (--trust)."
            ) from None
        if child.returncode or not said.exists():
            raise ModelError(
                f"{model.what} was not made on this machine, and the process that it was loaded in died "
                f"({death(child.returncode, child.stderr)}). Do not load it unless you know where it comes from."
            )
        return _understood(model, json.loads(said.read_bytes()), X)


def environment() -> dict[str, str]:
    """What a process may know that a model is loaded in: no keys, no passwords; the way to Luthier and the libraries."""
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    paths = [Path(__file__).parents[2], *(Path(path).absolute() for path in given if path)]
    return {
        **passed,
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


def death(code: int, stderr: bytes) -> str:
    """How a process ended: by which signal, or with which last word."""
    lines = stderr.decode(errors="replace").strip().splitlines()
    if code < 0:
        return signal.Signals(-code).name
    return lines[-1][:200] if lines else f"exit code {code}"


def _understood(model: ModelVersion, said: Any, X: Any) -> Answers:
    match said:
        case {"model_error": str(text)}:
            raise ModelError(text)
        case {"value_error": str(text)}:
            raise ValueError(text)
        case {"values": list(values), "probabilities": probabilities, "decisions": decisions} if (
            len(values) == X.shape[0]
        ):
            return Answers(
                np.asarray(values),
                None if probabilities is None else np.asarray(probabilities),
                None if decisions is None else np.asarray(decisions),
            )
    raise ModelError(f"{model.what} did not answer for each row. Do not use it.")
