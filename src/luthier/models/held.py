"""What a configuration predicts for the rows that its study locked away, sealed beside the model until somebody looks.

The model that is kept is fitted to all rows, so it has seen these. What is sealed was said by the same estimator, with the same
parameters, fitted to all other rows. It is made when the model is kept, where estimator and data are at hand, so that a look
later needs neither of them, and loads no model.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np

from luthier.errors import ModelError
from luthier.models.answers import Answers, ask
from luthier.objectives.crossval import CrossValidation
from luthier.space import Params

PARTS = ("values", "probabilities", "decisions")


@dataclass(frozen=True, slots=True)
class Held:
    """Answers for rows that were locked away, and their true values `y`; `data` names them, `fingerprint` tells them apart."""

    answers: Answers
    y: Any
    data: str
    fingerprint: str


def seal(objective: CrossValidation, params: Params) -> Held | None:
    """Fit once more, without the rows that are locked away, and ask about them; None where there are none."""
    if objective.locked is None:
        return None
    fitted, X, y = objective.held_back(params)
    content = f"{objective.data.fingerprint} {objective.locked.tolist()}"
    fingerprint = hashlib.sha256(content.encode()).hexdigest()
    return Held(ask(fitted, X), np.asarray(y), f"the part of {objective.data.name} held back", fingerprint)


def pack(held: Held) -> bytes:
    """As bytes, which hold no code."""
    parts = {name: getattr(held.answers, name) for name in PARTS} | {"y": held.y}
    arrays = {name: _plain(part) for name, part in parts.items() if part is not None}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, data=held.data, fingerprint=held.fingerprint, **arrays)
    return buffer.getvalue()


def unpack(content: bytes, classes: tuple[Any, ...] | None) -> Held:
    """From bytes; raises ModelError for bytes that `pack` did not write."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as found:
            parts = {name: found[name] for name in PARTS if name in found}
            return Held(
                Answers(**parts, classes=classes), found["y"], str(found["data"]), str(found["fingerprint"])
            )
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise ModelError(f"what was predicted for the rows held back cannot be read: {error}.") from error


def _plain(values: Any) -> Any:
    """Without objects, which would have to be pickled."""
    found = np.asarray(values)
    return found.astype(str) if found.dtype.kind == "O" else found
