"""Where models are kept: `<home>/models/NAME/1/`, `2/`, ..., each written whole or not at all.

A version is filled in a folder that nobody looks at and then renamed to the next number that never was one. Nothing in a
version changes afterwards; the hash of every file is in its model.json, and that is signed. What changes - which version
is in use, who looked at which test data - is in the log beside them.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from luthier.clock import Clock, SystemClock
from luthier.errors import ModelError, did_you_mean
from luthier.estimators.data import Data
from luthier.files import folder_of
from luthier.models import log
from luthier.models.card import card
from luthier.models.files import FILES, dump, restore
from luthier.models.log import Event
from luthier.models.manifest import FORMAT, describe, installed, plain
from luthier.models.signing import SIGNATURE, sign, verified

MANIFEST = "model.json"
CARD = "CARD.md"
HELD = "held.npz"


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One saved model. `manifest` is its model.json; `problem` says why that cannot be read, where it cannot.

    `signed`: it was made with this machine's key, and its model.json is as it was. `champion`: it is the one that is used
    where no version is named.
    """

    name: str
    version: int
    path: Path
    manifest: Mapping[str, Any] = field(default_factory=dict, compare=False)
    problem: str | None = None
    signed: bool = field(default=False, compare=False)
    champion: bool = field(default=False, compare=False)

    @property
    def what(self) -> str:
        """As a sentence names it."""
        return f"model {self.name!r}, version {self.version},"


def save_model(
    home: Path | str,
    name: str,
    estimator: Any,
    *,
    meta: Mapping[str, Any],
    data: Any,
    format: str = "skops",  # noqa: A002 - the word people use for it
    held: bytes | None = None,
    clock: Clock | None = None,
) -> ModelVersion:
    """Keep a fitted estimator as the next version of `name`, with a manifest, a card and a signature.

    `meta` is what is known of its making, as JSON: study, trial, params, scores, estimator, task, cv, splits. `data` is
    the `Data` that it was fitted on, or rows like those it reads; `held` what was predicted for rows that were locked away
    (`held.pack`). Before anything is written it is loaded again and must
    predict the same. A trial that is a version already is not saved again: that version is returned.

    The first version of a model is its champion; a later one is promoted by `challenge` or `promote`. Raises ModelError
    where the estimator cannot be saved so that it will load.
    """
    folder = _folder(home, name)
    content = dump(estimator, format)
    rows = data.X[:5] if isinstance(data, Data) else data[:5]
    _check_same(estimator, restore(content, format, trust=True), rows)
    clock = clock or SystemClock()
    created = datetime.fromtimestamp(clock.now(), UTC).isoformat(timespec="seconds")
    manifest = describe(name, estimator, meta, data, format, created)
    files = {FILES[format]: content} | ({} if held is None else {HELD: held})
    return show_model(home, name, _add(folder, manifest, files, clock))


def adopt(
    home: Path | str, manifest: Mapping[str, Any], content: bytes, *, clock: Clock | None = None
) -> ModelVersion:
    """Keep a model that was made elsewhere, as skops holds it, as the next version of its name, signed here from now on.

    For what a person has decided to trust: nothing is loaded to find out. One that there is already is not kept twice. Raises ModelError.
    """
    name = str(manifest["name"])
    folder = _folder(home, name)
    written = {key: value for key, value in manifest.items() if key not in ("exported", "files", "version")}
    manifest = {**written, "serializer": "skops"}
    version = _add(folder, manifest, {FILES["skops"]: content}, clock or SystemClock())
    return show_model(home, name, version)


def _add(folder: Path, manifest: Mapping[str, Any], files: Mapping[str, bytes], clock: Clock) -> int:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with log.locked(folder):
            return _added(folder, manifest, files, clock)
    except OSError as error:
        raise ModelError(
            f"the model cannot be written to {str(folder)!r}: {error.strerror or error}."
        ) from error


def _added(folder: Path, manifest: Mapping[str, Any], files: Mapping[str, bytes], clock: Clock) -> int:
    events = log.read(folder)
    there = _made_from(folder, events, manifest.get("origin"))
    if there is not None:
        return there
    _sweep(folder, events)
    champion = _logged_champion(folder, events, clock)
    version = _write(folder, events, manifest, files)
    log.append(folder, Event("saved", version, about={"origin": manifest.get("origin")}), clock)
    if champion is None:
        log.append(folder, Event("promoted", version, about={"why": "there was no other"}), clock)
    return version


def _logged_champion(folder: Path, events: Sequence[Event], clock: Clock) -> int | None:
    """The champion; in a folder from before there was a log, or from elsewhere, the log begins with it."""
    champion = champion_of(folder, events)
    if champion is not None and not events:
        log.append(folder, Event("promoted", champion, about={"why": "it was the latest"}), clock)
    return champion


def load_model(home: Path | str, name: str, version: int | None = None, *, trust: bool = False) -> Any:
    """The fitted estimator: the champion, or the version asked for.

    Its bytes are checked against the hash in model.json, its types against Luthier's own list, before anything is made of
    them. `trust=True` says that you know who made it: it is needed for a model that was not signed on this machine, and for one
    that was saved with joblib. Raises ModelError.
    """
    return load_version(show_model(home, name, version), trust=trust)


def load_version(model: ModelVersion, *, trust: bool = False) -> Any:
    """The fitted estimator of a version that `show_model` found."""
    content = content_of(model)
    if not model.signed and not trust:
        raise ModelError(
            f"{model.what} {unsigned(model)} Predict with it in a process of its own, as `luthier models predict` and predict() "
            "do; if you know who made it, load it with trust=True."
        )
    warn_of_versions(model)
    return restore(content, model.manifest["serializer"], trust=trust, what=model.what.rstrip(","))


def unsigned(model: ModelVersion) -> str:
    """Why a version counts as made elsewhere."""
    if (model.path / SIGNATURE).exists():
        return f"was not made on this machine, or its {MANIFEST} has changed: its signature is not that of the key here."
    return "is not signed, so nobody can say where it was made."


def content_of(model: ModelVersion) -> bytes:
    """The bytes of the estimator, as the manifest describes them; raises ModelError where they have changed."""
    if model.problem:
        raise ModelError(model.problem)
    serializer = str(model.manifest.get("serializer"))
    file = FILES.get(serializer)
    if file is None:
        raise ModelError(
            f"{model.what} is in the format {serializer!r}, which this Luthier does not read. Upgrade Luthier."
        )
    return checked(model, file)


def checked(model: ModelVersion, file: str) -> bytes:
    """The bytes of a file of a version; raises ModelError where they are not those that were saved."""
    try:
        content = (model.path / file).read_bytes()
    except OSError as error:
        raise ModelError(f"{model.what} cannot be read: {error.strerror or error}.") from error
    if hashlib.sha256(content).hexdigest() != model.manifest.get("files", {}).get(file):
        raise ModelError(
            f"{model.what} has changed since it was saved: {file} does not have the hash that {MANIFEST} gives. "
            "Save the model again from its study."
        )
    return content


def list_models(home: Path | str) -> list[ModelVersion]:
    """Every version of every model, by name and number."""
    root = Path(home) / "models"
    names = sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    return [model for name in names for model in _versions(root / name)]


def versions_of(home: Path | str, name: str) -> list[ModelVersion]:
    """The versions of one model, by number; raises ModelError where there is none."""
    folder = _folder(home, name)
    if not numbers_of(folder, log.read(folder)):
        show_model(home, name)
    return _versions(folder)


def _versions(folder: Path) -> list[ModelVersion]:
    events = log.read(folder)
    champion = champion_of(folder, events)
    return [_read(folder / str(n), champion == n) for n in numbers_of(folder, events)]


def show_model(home: Path | str, name: str, version: int | None = None) -> ModelVersion:
    """One version and all that is written about it: the champion, or the one asked for. Raises ModelError."""
    folder = _folder(home, name)
    events = log.read(folder)
    numbers = numbers_of(folder, events)
    if not numbers:
        known = sorted({model.name for model in list_models(home)})
        near = did_you_mean(name, known) or (" There are none yet: a study saves one." if not known else "")
        gone = f" Its {len(_deleted(events))} versions were deleted." if events else ""
        raise ModelError(f"there is no model {name!r} in {str(folder.parent)!r}.{gone or near}")
    champion = champion_of(folder, events)
    if version is None and champion is None:
        raise ModelError(
            f"model {name!r} has no champion, since the last one was deleted. Name a version, or promote one of "
            f"{_listed(numbers)}: luthier models promote {name} --version {numbers[-1]} --force"
        )
    if version is not None and version not in numbers:
        gone = " It was deleted." if version in _deleted(events) else ""
        raise ModelError(f"model {name!r} has no version {version}.{gone} There is: {_listed(numbers)}.")
    number = version or champion
    model = _read(folder / str(number), champion == number)
    if model.problem:
        raise ModelError(model.problem)
    return model


def history_of(home: Path | str, name: str) -> list[Event]:
    """What happened to the versions of a model, oldest first: saved, challenged, promoted, looked at, deleted."""
    return log.read(_folder(home, name))


def tell(
    home: Path | str, name: str, version: int, what: str, about: Mapping[str, Any], clock: Clock | None = None
) -> None:
    """Write into a model's log what became of a version elsewhere: "deployed", "undeployed". Raises ModelError where there is no log."""
    folder = _folder(home, name)
    clock = clock or SystemClock()
    try:
        with log.locked(folder):
            _logged_champion(folder, log.read(folder), clock)
            log.append(folder, Event(what, version, about=plain(about)), clock)
    except OSError as error:
        raise ModelError(
            f"what happens to model {name!r} cannot be written to {str(folder)!r}: {error.strerror or error}."
        ) from error


def delete_model(
    home: Path | str,
    name: str,
    version: int | None = None,
    *,
    force: bool = False,
    clock: Clock | None = None,
) -> list[int]:
    """Delete a version, or with None all of them; answers with their numbers, which are never used again.

    The champion goes only with `force`, or together with all others; whichever was champion before it is so again. Raises
    ModelError.
    """
    folder = _folder(home, name)
    if version is not None and version not in numbers_of(folder, log.read(folder)):
        show_model(home, name, version)  # which says what there is; one that is damaged can be deleted
    with log.locked(folder):
        events = log.read(folder)
        numbers = numbers_of(folder, events)
        doomed = numbers if version is None else [version]
        if not numbers:
            show_model(home, name)
        if version is not None and champion_of(folder, events) == version and not force:
            others = [n for n in numbers if n != version]
            remedy = f"promote another ({_listed(others)}) first, or delete it" if others else "Delete it"
            raise ModelError(
                f"version {version} of model {name!r} is its champion, the one that is used. {remedy[0].upper()}"
                f"{remedy[1:]} with --force."
            )
        for number in doomed:  # written first: what a crash leaves of the folder is no version any more
            log.append(folder, Event("deleted", number), clock)
        _sweep(folder, log.read(folder))
    return doomed


# --- what the folders and the log say ----------------------------------------------------------


def numbers_of(folder: Path, events: Iterable[Event], but: int | None = None) -> list[int]:
    """The numbers of the versions that are there, without one."""
    deleted = _deleted(events)
    return [n for n in _numbered(folder) if n not in deleted and n != but]


def champion_of(folder: Path, events: Sequence[Event]) -> int | None:
    """The version in use: the one promoted last, of those that are there. Without a log, in a folder that came from
    elsewhere, it is the latest.
    """
    numbers = numbers_of(folder, events)
    if not events:
        return max(numbers, default=None)
    stack = [number for number in reign(events) if number in numbers]
    return stack[-1] if stack else None


def reign(events: Iterable[Event]) -> list[int]:
    """The champions one after the other, the present one last; whoever was rolled back or deleted is none of them."""
    stack: list[int] = []
    for event in events:
        match event.what:
            case "promoted":
                stack = [n for n in stack if n != event.version] + [event.version]
            case "rolled back" | "deleted":
                stack = [n for n in stack if n != event.version]
    return stack


def origins(home: Path | str, name: str) -> dict[str, int]:
    """The trials that were ever saved, by `origin`, with their versions; those that were deleted, too."""
    folder = _folder(home, name)
    return {
        event.about["origin"]: event.version
        for event in log.read(folder)
        if event.what == "saved" and event.about.get("origin")
    }


def _made_from(folder: Path, events: Sequence[Event], origin: str | None) -> int | None:
    if origin is None:
        return None
    for number in numbers_of(folder, events):
        if _read(folder / str(number), champion=False).manifest.get("origin") == origin:
            return number
    return None


def _deleted(events: Iterable[Event]) -> set[int]:
    return {event.version for event in events if event.what == "deleted"}


def model_name(study: str) -> str:
    """The name of a study's model: the study's, or where no folder can be called so, the beginning of it and a checksum."""
    return folder_of(Path(), "models", study).name


def _folder(home: Path | str, name: str) -> Path:
    if model_name(name) != name:
        raise ModelError(
            f"{name!r} is no name for a model. Use one that does not begin with a dot, has no slashes, and takes at most 255 bytes."
        )
    return Path(home) / "models" / name


def _numbered(folder: Path) -> list[int]:
    if not folder.is_dir():
        return []
    return sorted(int(path.name) for path in folder.iterdir() if re.fullmatch(r"[1-9]\d*", path.name))


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


def _write(
    folder: Path, events: Sequence[Event], manifest: Mapping[str, Any], files: Mapping[str, bytes]
) -> int:
    """Fill a hidden folder, then rename it to the next number that never was one."""
    hidden = Path(tempfile.mkdtemp(prefix=".new-", dir=folder))
    try:
        hidden.chmod(0o755)
        for file, content in files.items():
            write_file(hidden / file, content)
        version = max([*_numbered(folder), *(event.version for event in events)], default=0)
        while True:
            version += 1
            text = card({**manifest, "version": version}).encode()
            hashes = {file: _hash(content) for file, content in files.items()} | {CARD: _hash(text)}
            write_file(hidden / CARD, text)
            write_manifest(hidden, {**manifest, "version": version, "files": hashes})
            if _rename(hidden, folder / str(version)):
                return version
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """model.json and its signature; unsigned, with a warning, where there can be no key: the model is worth more."""
    content = json.dumps(plain(manifest), indent=2, ensure_ascii=False, allow_nan=False).encode()
    write_file(folder / MANIFEST, content)
    try:
        write_file(folder / SIGNATURE, sign(content).encode() + b"\n")
    except ModelError as error:
        warnings.warn(f"the model is not signed, and will count as made elsewhere: {error}", stacklevel=5)


def write_file(path: Path, content: bytes) -> None:
    """On the disk when this returns."""
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
    log.sync_folder(final.parent)
    return True


def _sweep(folder: Path, events: Iterable[Event]) -> None:
    """Remove what was deleted, and what processes left that were killed while they wrote. The caller holds the lock."""
    for number in _deleted(events).intersection(_numbered(folder)):
        (folder / str(number)).rename(tempfile.mkdtemp(prefix=".gone-", dir=folder))
    for path in (*folder.glob(".gone-*"), *folder.glob(".new-*")):
        shutil.rmtree(path, ignore_errors=True)
    log.sync_folder(folder)


def _read(path: Path, champion: bool) -> ModelVersion:
    name, version = path.parent.name, int(path.name)
    what = f"model {name!r}, version {version},"
    try:
        content = (path / MANIFEST).read_bytes()
        signature = path / SIGNATURE
        signed = verified(content, signature.read_text("ascii", "replace") if signature.exists() else None)
        manifest = json.loads(content)
        number = manifest["format"]
        # A signed folder that was moved is not what was signed.
        signed = signed and (manifest["name"], manifest["version"]) == (name, version)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return ModelVersion(
            name,
            version,
            path,
            problem=f"{what} cannot be read: {MANIFEST} is damaged ({error}).",
            champion=champion,
        )
    problem = None
    if not isinstance(number, int) or number > FORMAT:
        problem = f"{what} has format {number}, and this Luthier reads up to {FORMAT}. Upgrade with: pip install -U luthier"
    return ModelVersion(name, version, path, manifest, problem, signed, champion)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# --- checks ------------------------------------------------------------------------------------


def warn_of_versions(model: ModelVersion) -> None:
    """Warn of libraries whose major or minor version is another one than when the model was saved."""
    for name, version in model.manifest.get("libraries", {}).items():
        here = installed(name)
        if here is not None and here.split(".")[:2] != version.split(".")[:2]:
            warnings.warn(
                f"{model.what} was saved with {name} {version}, and this is {here}; it may predict otherwise.",
                stacklevel=4,
            )


def _check_same(saved: Any, loaded: Any, rows: Any) -> None:
    if not np.array_equal(np.asarray(saved.predict(rows)), np.asarray(loaded.predict(rows))):
        raise ModelError(
            f"{type(saved).__name__} does not predict the same once saved and loaded, so it was not saved. "
            "Report this, with the estimator and its version."
        )
