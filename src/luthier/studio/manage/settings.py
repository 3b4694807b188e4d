"""How the studio is set up: facts for the page of settings."""

from __future__ import annotations

import os
import platform
import shutil
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import Request

from luthier.files import meter, size
from luthier.store.url import file_of
from luthier.studio.frame import CHOICES
from luthier.studio.looking import Shelf
from luthier.studio.web import may
from luthier.studio.words import say
from luthier.summary import near

if TYPE_CHECKING:
    from luthier.studio.app import Studio

PACKAGES = (
    "luthier",
    "numpy",
    "scikit-learn",
    "pandas",
    "pyarrow",
    "matplotlib",
    "starlette",
    "uvicorn",
    "sqlalchemy",
    "psycopg",
)
MOST_FILES = 50_000
"""So many files are counted below the store's folder; then the sum is a lower bound."""


def settings(studio: Studio, request: Request) -> dict[str, Any]:
    """What the page shows; addresses with tokens only to the owner."""
    owner = may(request) and not studio.settings.readonly
    address = f"{request.url.scheme}://{request.headers.get('host', '')}"
    return {
        "choices": {name: CHOICES[name] for name in ("theme", "keys")},
        "store": store(studio.shelf),
        "versions": versions(),
        "viewer": f"{address}/login?token={studio.settings.keys.viewer}" if owner else None,
        "hosts": sorted(studio.settings.hosts),
        "copy": owner and file_of(studio.shelf.url) is not None,
    }


def store(shelf: Shelf) -> list[tuple[str, str]]:
    """Where things are, and what they take."""
    rows = []
    file = file_of(shelf.url)
    if file is not None:
        taken = sum(_bytes(file.with_name(file.name + end)) for end in ("", "-wal"))
        rows.append((say("settings.database"), size(taken)))
    rows.append((say("settings.home"), near(shelf.home)))
    work, whole = _within(shelf.home / "work")
    models, all_models = _within(shelf.home / "models")
    rows.append((say("settings.work"), size(work) if whole else say("settings.over", size=size(work))))
    rows.append(
        (say("settings.models"), size(models) if all_models else say("settings.over", size=size(models)))
    )
    place = next((folder for folder in (shelf.home, *shelf.home.absolute().parents) if folder.is_dir()), None)
    if place is not None:
        disk = shutil.disk_usage(place)
        rows.append(
            (
                say("settings.disk"),
                say("settings.free", free=size(disk.free), used=meter(disk.used, disk.total)),
            )
        )
    return rows


def versions() -> list[tuple[str, str]]:
    """What is installed, of what matters here."""
    found = [("Python", platform.python_version())]
    for name in PACKAGES:
        try:
            found.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            found.append((name, say("settings.missing")))
    return found


def _bytes(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def _within(folder: Path) -> tuple[int, bool]:
    """What the files below a folder take, and whether all were counted."""
    total = count = 0
    for root, _, names in os.walk(folder):
        for name in names:
            total += _bytes(Path(root, name))
            count += 1
            if count == MOST_FILES:
                return total, False
    return total, True
