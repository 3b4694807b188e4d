"""Where models are kept: `<home>/models/NAME/1/`, `2/`, ..., each written whole or not at all.

A version is filled in a folder that nobody looks at and then renamed to the next free number. Renaming onto a folder
that exists fails, so two processes that save at once get two versions. Nothing in a version changes afterwards; the hash
of every file is in its model.json.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from luthier.clock import Clock, SystemClock
from luthier.errors import ModelError, did_you_mean
from luthier.estimators.data import Data, is_frame
from luthier.models.card import card
from luthier.models.files import FILES, dump, restore
from luthier.space.codec import scalar_to_json

FORMAT = 1
MANIFEST = "model.json"
CARD = "CARD.md"
LIBRARIES = {
    "sklearn": "scikit-learn",
    "xgboost": "xgboost",
    "lightgbm": "lightgbm",
    "catboost": "catboost",
    "skops": "skops",
    "numpy": "numpy",
    "pandas": "pandas",
}


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One saved model. `manifest` is its model.json; `problem` says why that cannot be read, where it cannot."""

    name: str
    version: int
    path: Path
    manifest: Mapping[str, Any] = field(default_factory=dict, compare=False)
    problem: str | None = None


def save_model(
    home: Path | str,
    name: str,
    estimator: Any,
    *,
    meta: Mapping[str, Any],
    data: Any,
    format: str = "skops",  # noqa: A002 - the word people use for it
    clock: Clock | None = None,
) -> ModelVersion:
    """Keep a fitted estimator as the next version of `name`, with a manifest and a card.

    `meta` is what is known of its making, as JSON: study, trial, params, scores, estimator, task, cv, splits. `data` is
    the `Data` that it was fitted on, or rows like those it reads. Before anything is written it is loaded again and must
    predict the same. Raises ModelError where it cannot be saved so that it will load.
    """
    folder = _folder(home, name)
    content = dump(estimator, format)
    rows = data.X[:5] if isinstance(data, Data) else data[:5]
    _check_same(estimator, restore(content, format, trust=True), rows)
    manifest = {
        "format": FORMAT,
        "name": name,
        "version": 0,
        "created": datetime.fromtimestamp((clock or SystemClock()).now(), UTC).isoformat(timespec="seconds"),
        **meta,
        "serializer": format,
        "data": _data(data),
        "container": "frame" if is_frame(rows) else "array",
        "inputs": _inputs(data),
        "output": _output(estimator, meta.get("task")),
        "libraries": _libraries(estimator),
        "python": platform.python_version(),
        "luthier": _version("luthier"),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _write(folder, _plain(manifest), FILES[format], content)
    except OSError as error:
        raise ModelError(
            f"the model cannot be written to {str(folder)!r}: {error.strerror or error}."
        ) from error


def load_model(home: Path | str, name: str, version: int | None = None, *, trust: bool = False) -> Any:
    """The fitted estimator: the latest version, or the one asked for.

    Its bytes are checked against the hash in model.json, its types against Luthier's own list, before anything is made of
    them. `trust=True` is needed for a model that was saved with joblib. Raises ModelError.
    """
    return load_version(show_model(home, name, version), trust=trust)


def load_version(model: ModelVersion, *, trust: bool = False) -> Any:
    """The fitted estimator of a version that `show_model` found."""
    what = f"model {model.name!r}, version {model.version},"
    if model.problem:
        raise ModelError(model.problem)
    serializer = str(model.manifest.get("serializer"))
    file = FILES.get(serializer)
    if file is None:
        raise ModelError(
            f"{what} is in the format {serializer!r}, which this Luthier does not read. Upgrade Luthier."
        )
    try:
        content = (model.path / file).read_bytes()
    except OSError as error:
        raise ModelError(f"{what} cannot be read: {error.strerror or error}.") from error
    if hashlib.sha256(content).hexdigest() != model.manifest.get("files", {}).get(file):
        raise ModelError(
            f"{what} has changed since it was saved: {file} does not have the hash that {MANIFEST} gives. "
            "Save the model again from its study."
        )
    _warn_of_versions(what, model.manifest.get("libraries", {}))
    return restore(content, serializer, trust=trust, what=what.rstrip(","))


def list_models(home: Path | str) -> list[ModelVersion]:
    """Every version of every model, by name and number."""
    root = Path(home) / "models"
    names = sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    return [_read(root / name / str(number)) for name in names for number in _numbers(root / name)]


def show_model(home: Path | str, name: str, version: int | None = None) -> ModelVersion:
    """One version and all that is written about it: the latest, or the one asked for. Raises ModelError."""
    folder = _folder(home, name)
    numbers = _numbers(folder)
    if not numbers:
        known = sorted({model.name for model in list_models(home)})
        near = did_you_mean(name, known) or (" There are none yet: a study saves one." if not known else "")
        raise ModelError(f"there is no model {name!r} in {str(folder.parent)!r}.{near}")
    if version is not None and version not in numbers:
        there = ", ".join(map(str, numbers))
        raise ModelError(f"model {name!r} has no version {version}. There is: {there}.")
    model = _read(folder / str(version or numbers[-1]))
    if model.problem:
        raise ModelError(model.problem)
    return model


# --- folders -----------------------------------------------------------------------------------


def _folder(home: Path | str, name: str) -> Path:
    if not re.fullmatch(r"[^\W.][^/\\\0]{0,199}", name):
        raise ModelError(
            f"{name!r} is no name for a model. Begin with a letter or digit, and use no slashes."
        )
    return Path(home) / "models" / name


def _numbers(folder: Path) -> list[int]:
    if not folder.is_dir():
        return []
    return sorted(int(path.name) for path in folder.iterdir() if re.fullmatch(r"[1-9]\d*", path.name))


def _write(folder: Path, manifest: dict[str, Any], file: str, content: bytes) -> ModelVersion:
    """Fill a hidden folder, then rename it to the next free number."""
    hidden = Path(tempfile.mkdtemp(prefix=".new-", dir=folder))
    try:
        hidden.chmod(0o755)
        _write_file(hidden / file, content)
        version = max(_numbers(folder), default=0)
        while True:
            version += 1
            manifest = {**manifest, "version": version}
            text = card(manifest).encode()
            manifest["files"] = {
                file: hashlib.sha256(content).hexdigest(),
                CARD: hashlib.sha256(text).hexdigest(),
            }
            _write_file(hidden / CARD, text)
            _write_file(
                hidden / MANIFEST,
                json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False).encode(),
            )
            if _rename(hidden, folder / str(version)):
                return ModelVersion(str(manifest["name"]), version, folder / str(version), manifest)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def _write_file(path: Path, content: bytes) -> None:
    with path.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())


def _rename(hidden: Path, final: Path) -> bool:
    """False where the number is taken."""
    try:
        hidden.rename(final)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    folder = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return True


def _read(path: Path) -> ModelVersion:
    name, version = path.parent.name, int(path.name)
    what = f"model {name!r}, version {version},"
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        number = manifest["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return ModelVersion(
            name, version, path, problem=f"{what} cannot be read: {MANIFEST} is damaged ({error})."
        )
    if not isinstance(number, int) or number > FORMAT:
        problem = f"{what} has format {number}, and this Luthier reads up to {FORMAT}. Upgrade with: pip install -U luthier"
        return ModelVersion(name, version, path, manifest, problem)
    return ModelVersion(name, version, path, manifest)


# --- what is written about a model -------------------------------------------------------------


def _data(data: Any) -> dict[str, Any]:
    if not isinstance(data, Data):
        return {"columns": int(data.shape[1])}
    return {
        "name": data.name,
        "rows": data.rows,
        "columns": data.columns,
        "target": data.target,
        "dropped": data.dropped,
        "fingerprint": data.fingerprint,
    }


def _inputs(data: Any) -> list[dict[str, Any]]:
    X = data.X if isinstance(data, Data) else data
    if is_frame(X):
        return [{"name": str(column), "type": _column_type(X[column])} for column in X.columns]
    names = (data.feature_names if isinstance(data, Data) else None) or [None] * X.shape[1]
    return [{"name": f"x{i}" if name is None else name, "type": "number"} for i, name in enumerate(names)]


def _column_type(column: Any) -> str:
    if getattr(column.dtype, "kind", "O") in "iufb":
        return "number"
    return "text" if all(isinstance(value, str) for value in column.dropna().unique()) else "category"


def _output(estimator: Any, task: Any) -> dict[str, Any]:
    classes = getattr(estimator, "classes_", None)
    if task == "regression" or classes is None:
        return {"type": "number"}
    return {"type": "class", "classes": np.asarray(classes).tolist()}


def _libraries(estimator: Any) -> dict[str, str]:
    used = {"sklearn", "skops", "numpy"} | {module.partition(".")[0] for module in _modules(estimator)}
    versions = {LIBRARIES[name]: _version(LIBRARIES[name]) for name in LIBRARIES if name in used}
    return {name: version for name, version in versions.items() if version}


def _modules(estimator: Any) -> Iterator[str]:
    yield type(estimator).__module__
    for value in estimator.get_params(deep=True).values():
        if hasattr(value, "get_params"):
            yield type(value).__module__


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        if distribution == "xgboost":
            return _version("xgboost-cpu")
        return None


def _warn_of_versions(what: str, saved: Mapping[str, str]) -> None:
    for name, version in saved.items():
        here = _version(name)
        if here is not None and here.split(".")[:2] != version.split(".")[:2]:
            warnings.warn(
                f"{what} was saved with {name} {version}, and this is {here}; it may predict otherwise.",
                stacklevel=4,
            )


def _check_same(saved: Any, loaded: Any, rows: Any) -> None:
    if not np.array_equal(np.asarray(saved.predict(rows)), np.asarray(loaded.predict(rows))):
        raise ModelError(
            f"{type(saved).__name__} does not predict the same once saved and loaded, so it was not saved. "
            "Report this, with the estimator and its version."
        )


def _plain(value: Any) -> Any:
    """As JSON has it: no NumPy types, no infinities, no tuples."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(inner) for inner in value]
    if value is None or isinstance(value, bool | int | float | str):
        return scalar_to_json(value)
    return str(value)
