"""What is served: a kept model, or an exported bundle. Whose it is and whether it is whole is known before anything is made of it.

The rule of studio.md 4.2: the signature is ours, the hashes match, the types are on our list (looked at where it is loaded, in a process
with limits). Nothing of a bundle is unpacked: its files are read from the folder or the .zip.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from luthier.errors import ModelError
from luthier.models.export import MODEL
from luthier.models.manifest import FORMAT
from luthier.models.registry import (
    MANIFEST,
    ModelVersion,
    content_of,
    list_models,
    show_model,
    unsigned,
    warn_of_versions,
)
from luthier.models.signing import SIGNATURE, verified
from luthier.serving.rows import Rows

MOST_BYTES = 8 * 2**30
MOST_MANIFEST = 16 * 2**20
"""Of the text files, before they are read as a whole."""
MOST_FILES = 1000


@dataclass(frozen=True, slots=True)
class Source:
    """A model that may be loaded; `read` answers with its bytes, checked against their hash each time."""

    name: str
    version: int
    manifest: Mapping[str, Any] = field(repr=False)
    read: Callable[[], bytes] = field(repr=False, compare=False)
    trust: bool = False

    @property
    def about(self) -> dict[str, Any]:
        """All that the process has to know that loads it."""
        output = self.manifest["output"]
        return {
            "model": self.name,
            "version": self.version,
            "what": f"model {self.name!r}, version {self.version}",
            "serializer": self.manifest["serializer"],
            "trust": self.trust,
            "coded": bool((self.manifest.get("exported") or {}).get("coded")),
            "classes": output.get("classes"),
            "container": self.manifest["container"],
            "example": dict(Rows.of(self.manifest).example),
            "inputs": [(column["name"], column["type"]) for column in self.manifest["inputs"]],
        }


def find(model: str, home: Path | str, version: int | None = None, *, trust: bool = False) -> Source:
    """The kept model of that name, or the bundle at that path. Raises ModelError where it is not ours and `trust` is not given."""
    path = Path(model).expanduser()
    is_path = path.suffix == ".zip" or len(path.parts) > 1
    known = not is_path and any(kept.name == model for kept in list_models(home))
    if not known and (is_path or path.is_dir()):
        if version is not None:
            raise ModelError(
                f"{model!r} is an exported bundle, which holds one version. Leave --version out."
            )
        return bundle(path, trust=trust)
    return kept(home, model, version, trust=trust)


def kept(home: Path | str, name: str, version: int | None = None, *, trust: bool = False) -> Source:
    """A model of the registry: its champion, or that version."""
    model = show_model(home, name, version)
    if not trust and not model.signed:
        raise ModelError(
            f"{model.what} {unsigned(model)} It is not served; if you know who made it, say so with --trust."
        )
    serializer = str(model.manifest["serializer"])
    if not trust and serializer != "skops":
        raise ModelError(
            f"{model.what} was saved with {serializer}, and loading that runs whatever code is in the file. It is not served; if you "
            "know who made it, say so with --trust."
        )
    warn_of_versions(model)
    content_of(model)
    return Source(name, model.version, model.manifest, lambda: content_of(model), trust)


def bundle(path: Path, *, trust: bool = False, most: int = MOST_BYTES) -> Source:
    """A folder or .zip that `luthier models export` wrote, every file of it checked; unpacked a .zip has at most so many bytes."""
    files = _Files.of(path, most)
    content = files.read(MANIFEST)
    what = f"the bundle {str(path)!r}"
    signature = files.read(SIGNATURE).decode("ascii", "replace") if SIGNATURE in files else None
    if not verified(content, signature) and not trust:
        why = (
            "is not signed"
            if signature is None
            else f"was not made on this machine, or its {MANIFEST} has changed"
        )
        raise ModelError(f"{what} {why}. It is not served; if you know who made it, say so with --trust.")
    manifest = _understood(content, what)
    for name, digest in manifest["files"].items():
        if name not in files:
            raise ModelError(f"{what} lacks {name}, which its {MANIFEST} names. Export the model again.")
        if files.digest(name) != digest:
            raise ModelError(
                f"{what} has changed since it was exported: {name} does not have the hash that {MANIFEST} gives. Export the model again."
            )
    if manifest["serializer"] != "skops" or MODEL not in manifest["files"]:
        raise ModelError(f"{what} holds no {MODEL}. Only models saved with skops are served from a bundle.")

    def read() -> bytes:
        found = files.read(MODEL, MOST_BYTES)
        if hashlib.sha256(found).hexdigest() != manifest["files"][MODEL]:
            raise ModelError(f"{what} has changed while it was served: {MODEL} is another file.")
        return found

    name, version = str(manifest["name"]), int(manifest["version"])
    warn_of_versions(ModelVersion(name, version, path, manifest))
    return Source(name, version, manifest, read, trust)


def _understood(content: bytes, what: str) -> dict[str, Any]:
    """The manifest of somebody who may mean harm, if they are trusted: of the shape that the rest relies on."""
    try:
        manifest = json.loads(content)
        number = manifest["format"]
        sound = isinstance(number, int) and all(
            isinstance(manifest[key], kind) for key, kind in _SHAPE.items()
        )
        Rows.of(manifest).schema()
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        sound, number, manifest = False, 0, {}
    if not sound:
        raise ModelError(f"{what} cannot be read: its {MANIFEST} is damaged. Export the model again.")
    if number > FORMAT:
        raise ModelError(
            f"{what} has format {number}, and this Luthier reads up to {FORMAT}. Upgrade with: pip install -U luthier"
        )
    found: dict[str, Any] = manifest
    return found


_SHAPE: dict[str, type] = {
    "name": str,
    "version": int,
    "files": dict,
    "inputs": list,
    "output": dict,
    "serializer": str,
    "container": str,
    "created": str,
}


@dataclass(frozen=True, slots=True)
class _Files:
    """The files of a bundle by their names below its root."""

    path: Path
    sizes: Mapping[str, int]
    root: str | None
    """The folder inside the .zip, with its slash; None for a folder."""

    @classmethod
    def of(cls, path: Path, most: int) -> _Files:
        try:
            if path.is_dir():
                found = [file for file in path.rglob("*") if file.is_file() and not file.is_symlink()]
                return cls(
                    path, {file.relative_to(path).as_posix(): file.stat().st_size for file in found}, None
                )
            with zipfile.ZipFile(path) as archive:
                return cls(path, *_listed(archive, path, most))
        except FileNotFoundError:
            raise ModelError(
                f"there is no bundle {str(path)!r}. Paths are taken from {Path.cwd()}; `luthier models export` makes one."
            ) from None
        except (OSError, zipfile.BadZipFile) as error:
            raise ModelError(f"the bundle {str(path)!r} cannot be read: {error}.") from None

    def __contains__(self, name: str) -> bool:
        return name in self.sizes

    def read(self, name: str, most: int = MOST_MANIFEST) -> bytes:
        """A file as a whole, if it is no larger than it may be."""
        if name not in self.sizes:
            raise ModelError(
                f"{str(self.path)!r} is no bundle: it has no {name}. `luthier models export` makes one."
            )
        if self.sizes[name] > most:
            raise ModelError(
                f"{name} of the bundle {str(self.path)!r} has {self.sizes[name]:,} bytes, which is too large."
            )
        return b"".join(self._pieces(name))

    def digest(self, name: str) -> str:
        """Its SHA-256."""
        found = hashlib.sha256()
        for piece in self._pieces(name):
            found.update(piece)
        return found.hexdigest()

    def _pieces(self, name: str) -> Any:
        try:
            if self.root is None:
                with (self.path / name).open("rb") as file:
                    yield from iter(lambda: file.read(2**20), b"")
            else:
                with zipfile.ZipFile(self.path) as archive, archive.open(self.root + name) as entry:
                    yield from iter(lambda: entry.read(2**20), b"")
        except (OSError, zipfile.BadZipFile, KeyError, RuntimeError, NotImplementedError, EOFError) as error:
            raise ModelError(f"{name} of the bundle {str(self.path)!r} cannot be read: {error}.") from None
        except Exception as error:
            if type(error).__module__ not in ("zlib", "lzma"):
                raise
            raise ModelError(f"{name} of the bundle {str(self.path)!r} is damaged: {error}.") from None


def _listed(archive: zipfile.ZipFile, path: Path, most: int) -> tuple[dict[str, int], str]:
    """Sizes by name below the one folder of a .zip, and that folder."""
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    names = [entry.filename for entry in entries]
    top = next((name for name in names if name.endswith(MANIFEST) and name.count("/") <= 1), None)
    if top is None:
        raise ModelError(
            f"{str(path)!r} is no bundle: it has no {MANIFEST}. `luthier models export` makes one."
        )
    root = top.removesuffix(MANIFEST)
    odd = [name for name in names if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts]
    if odd or len(set(names)) < len(names) or len(names) > MOST_FILES:
        raise ModelError(f"{str(path)!r} is no bundle of ours: its files have names that none of ours have.")
    if sum(entry.file_size for entry in entries) > most or any(
        os.sep != "/" and os.sep in name for name in names
    ):
        raise ModelError(f"{str(path)!r} is too large for a bundle.")
    return {
        entry.filename.removeprefix(root): entry.file_size
        for entry in entries
        if entry.filename.startswith(root)
    }, root
