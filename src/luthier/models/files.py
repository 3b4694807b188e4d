"""An estimator as bytes and back, without running code: skops with our own list of types.

joblib is there for what skops cannot hold, and asks for trust at loading, because loading a pickle is running a program.
"""

from __future__ import annotations

import io
from typing import Any

from luthier.errors import MissingExtra, ModelError
from luthier.models.trusted import TRUSTED

FILES = {"skops": "model.skops", "joblib": "model.joblib"}


def dump(estimator: Any, format: str) -> bytes:  # noqa: A002 - the word people use for it
    """The estimator as bytes that `restore` reads; raises ModelError where it would not."""
    if format == "joblib":
        import joblib

        buffer = io.BytesIO()
        joblib.dump(estimator, buffer)
        return buffer.getvalue()
    if format != "skops":
        raise ModelError(
            f"the format {format!r} is not known. Use 'skops', or 'joblib' for what skops cannot hold."
        )
    skops = _skops()
    try:
        content: bytes = skops.dumps(estimator)
    except Exception as error:
        raise ModelError(
            f"{type(estimator).__name__} cannot be saved with skops: {error}. {_OTHERWISE}"
        ) from error
    _check_types(content, "the model holds", _OTHERWISE)
    return content


def restore(content: bytes, format: str, *, trust: bool = False, what: str = "the model") -> Any:  # noqa: A002
    """The estimator; raises ModelError for types that are not on our list, and for joblib without `trust`."""
    if format == "joblib":
        if not trust:
            raise ModelError(
                f"{what} was saved with joblib, and loading it runs whatever code is in the file. "
                "If you made the file yourself, load it with trust=True."
            )
        import joblib

        return joblib.load(io.BytesIO(content))
    if format != "skops":
        raise ModelError(
            f"{what} is in the format {format!r}, which this Luthier does not read. Upgrade Luthier."
        )
    types = _check_types(content, f"{what} holds", "Do not load it unless you know where it comes from.")
    try:
        return _skops().loads(content, trusted=types)
    except ModuleNotFoundError as error:
        raise ModelError(
            f"{what} needs {error.name}, which is not installed. Install it and load again."
        ) from error
    except MemoryError:
        raise  # of the process that a stranger's model is read in
    except Exception as error:
        raise ModelError(
            f"{what} cannot be restored: {error}. Was it saved with other library versions?"
        ) from error


def types_in(content: bytes) -> list[str]:
    """The types in a skops file that skops does not trust by itself, all on our list; raises ModelError for others."""
    return sorted(_check_types(content, "the model holds", _OTHERWISE))


_OTHERWISE = (
    "Save it with format='joblib', which runs code when it is loaded, or use an estimator without them."
)


def _check_types(content: bytes, holds: str, remedy: str) -> list[str]:
    try:
        found: list[str] = _skops().get_untrusted_types(data=content)
    except MemoryError:
        raise  # of the process that a stranger's model is read in
    except Exception as error:
        raise ModelError(
            f"this is no skops file: {str(error).rstrip('.') or type(error).__name__}."
        ) from error
    unknown = sorted(set(found) - TRUSTED)
    if unknown:
        raise ModelError(f"{holds} types that Luthier does not trust: {', '.join(unknown)}. {remedy}")
    return found


def _skops() -> Any:
    try:
        import skops.io
    except ModuleNotFoundError:
        raise MissingExtra("skops", "sklearn", "saving and loading models") from None
    return skops.io
