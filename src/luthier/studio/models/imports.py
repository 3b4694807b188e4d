"""Bundles from elsewhere: put aside, looked at, and then kept or thrown away by a person. Nothing of one is unpacked or loaded before.

Names, sizes and hashes of the files are checked by what serves bundles; types are looked at in a process that knows no keys.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from luthier.errors import ModelError
from luthier.files.study import size
from luthier.models.aside import Aside
from luthier.models.registry import ModelVersion, adopt
from luthier.serving.source import Source, bundle
from luthier.studio.models import views
from luthier.studio.models.cabinet import Shown
from luthier.studio.words import say

MOST_BYTES = 40 << 20
MOST_UNPACKED = 512 << 20
"""The studio reads the model as a whole, to look at its types: of zeros a file of this size would hold 40 GB."""
MOST_WAITING = 20
KEY = re.compile(r"[0-9a-f]{16}x")
"""Ends in a letter, so that it is no number of a version."""


class Imports:
    """The bundles that wait below a home, and what becomes of them."""

    def __init__(self, home: Path, aside: Aside) -> None:
        self._home = home
        self._folder = home / "imports"
        self._aside = aside
        self._known: dict[str, list[str]] = {}
        """Types by the hash of what they are the types of."""

    def receive(self, content: IO[bytes]) -> str:
        """Put a bundle aside; its key. Raises ModelError for what is none."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for key in self.waiting()[MOST_WAITING - 1 :]:
            self._path(key).unlink(missing_ok=True)
        key = f"{secrets.token_hex(8)}x"
        path = self._folder / f"{key}.zip"
        try:
            with path.open("xb") as file:
                shutil.copyfileobj(content, file)
            self._checked(key)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return key

    def waiting(self) -> list[str]:
        """The keys of those that nobody decided about yet, the latest first."""
        try:
            found = [path for path in self._folder.glob("*.zip") if KEY.fullmatch(path.stem)]
            return [path.stem for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)]
        except OSError:
            return []

    def look(self, key: str) -> dict[str, Any]:
        """What it says of itself, its files, its types."""
        source, shown = self._checked(key)
        sizes = [(name, size(count)) for name, count in _sizes(self._path(key))]
        return {
            "key": key,
            "name": source.name,
            "version": source.version,
            "ours": shown.model.signed,
            "line": views.line(shown),
            "lineage": views.lineage(shown, ())["steps"],
            "inputs": views.inputs(shown),
            "files": sizes,
            **self._types(source),
        }

    def keep(self, key: str) -> str:
        """Make a version of it, signed here; its address."""
        source, _ = self._checked(key)
        content = source.read()
        if source.about["coded"]:
            content = self._in_a_file(
                content,
                lambda file: self._aside(
                    "label", keys=False, file=file, to=f"{file}.new", classes=source.about["classes"]
                ),
            )
        model = adopt(self._home, source.manifest, content)
        self.drop(key)
        return views.address(model.name, model.version)

    def drop(self, key: str) -> str:
        """Throw it away; where to go then."""
        self._path(key).unlink(missing_ok=True)
        return "/models"

    def _types(self, source: Source) -> dict[str, Any]:
        content = source.read()
        key = hashlib.sha256(content).hexdigest()
        try:
            if key not in self._known:
                self._in_a_file(content, lambda file: self._learn(key, file))
        except ModelError as error:
            return {"types": [], "wrong": say("models.import.types.bad", error=error)}
        return {"types": self._known[key], "wrong": None}

    def _learn(self, key: str, file: str) -> None:
        self._known[key] = self._aside("types_of", keys=False, file=file)

    def _in_a_file(self, content: bytes, do: Callable[[str], object]) -> bytes:
        """Do something with it in a file; what is then in the file NAME.new, else the same."""
        with tempfile.TemporaryDirectory(prefix="luthier-") as folder:
            path = Path(folder) / "model.skops"
            path.write_bytes(content)
            do(str(path))
            new = Path(f"{path}.new")
            return new.read_bytes() if new.exists() else content

    def _checked(self, key: str) -> tuple[Source, Shown]:
        """The bundle, if all that the pages show of a model can be shown of it: who made it may mean harm."""
        path = self._path(key)
        if not path.is_file():
            raise ModelError(say("models.import.gone"))
        source = bundle(path, trust=True, most=MOST_UNPACKED)
        model = ModelVersion(
            source.name, source.version, path, source.manifest, signed=source.manifest == _ours(path)
        )
        shown = Shown(model, (), path.stat().st_size, None)
        try:
            for look in (views.line, views.scores, views.inputs, views.fields, views.card, views.since):
                look(shown)
            views.lineage(shown, ())
            views.metrics([shown])
            views.over_time([shown], None)
            views.curl(shown, views.ELSEWHERE)
        except Exception as error:
            raise ModelError(
                say("models.import.damaged", error=f"{type(error).__name__}: {error}")
            ) from error
        return source, shown

    def _path(self, key: str) -> Path:
        if not KEY.fullmatch(key):
            raise ModelError(say("models.import.gone"))
        return self._folder / f"{key}.zip"


def _ours(path: Path) -> Any:
    """The manifest, if the bundle was exported with the key of this machine."""
    try:
        return bundle(path, most=MOST_UNPACKED).manifest
    except ModelError:
        return None


def _sizes(path: Path) -> list[tuple[str, int]]:
    with zipfile.ZipFile(path) as archive:
        return [(entry.filename, entry.file_size) for entry in archive.infolist() if not entry.is_dir()][:200]
