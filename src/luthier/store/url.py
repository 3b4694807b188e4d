"""Where studies are kept: a path, a URL, memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from luthier.clock import Clock, SystemClock
from luthier.errors import StoreUnavailable, StudyNotFound, did_you_mean
from luthier.store.base import Store
from luthier.store.dialects import LOCK_SECONDS, Dialect, PostgreSQL, SQLite
from luthier.store.sql import SQLStore

DEFAULT = ".luthier/studies.db"
VARIABLE = "LUTHIER_STORE"
MEMORY = ("memory", ":memory:", "sqlite://", "sqlite:///:memory:")


def open_store(url: str | None = None, *, readonly: bool = False, clock: Clock | None = None) -> Store:
    """Open a store: a path ("x/studies.db"), "sqlite:///path", "postgresql://user@host/database" or "memory".

    With no `url` it is the one that the environment's LUTHIER_STORE names, else `.luthier/studies.db`. SQLite
    takes `?timeout=` (seconds to wait for a lock, 30) and `?synchronous=full` (survives a power cut, at a tenth
    of the speed). Files and tables are made where they are missing, unless `readonly`: then looking cannot
    lock or change anything. Raises StoreUnavailable, StoreVersionError, MissingExtra, and
    StudyNotFound where there is nothing to read.
    """
    dialect = _dialect(_named(url), readonly)
    if isinstance(dialect, SQLite) and dialect.path is not None:
        _find(dialect.path, readonly)
    return SQLStore(dialect, clock or SystemClock())


def home(url: str | None = None) -> Path:
    """The folder beside the store where models and work directories live: that of the file, else `.luthier`."""
    dialect = _dialect(_named(url), readonly=True)
    if isinstance(dialect, SQLite) and dialect.path is not None:
        return dialect.path.parent
    return Path(DEFAULT).parent


def file_of(url: str | None = None) -> Path | None:
    """The file that a store is; None for one on a server or in memory, and where there is no file yet."""
    dialect = _dialect(_named(url), readonly=True)
    if not isinstance(dialect, SQLite) or dialect.path is None or not dialect.path.is_file():
        return None
    return dialect.path


def copy_of(url: str | None, target: Path) -> None:
    """Write all that a store in a file holds at one moment to another file, while others go on writing to it.

    Raises StoreUnavailable where the store is no file, or the copy cannot be made.
    """
    dialect = _dialect(_named(url), readonly=True)
    if not isinstance(dialect, SQLite) or dialect.path is None:
        raise StoreUnavailable(
            f"the store {dialect.place} is on a server. Copy it there: pg_dump --format=custom --file=studies.dump DATABASE"
        )
    try:
        connection = dialect.connect()
        try:
            connection.execute("VACUUM INTO :target", {"target": str(target)})
        finally:
            connection.close()
    except dialect.errors as error:
        raise dialect.explain(error) from error


def place(url: str | None = None) -> str:
    """Where a store is, for people: a path, or a URL without a password."""
    return _dialect(_named(url), readonly=True).place


def _named(url: str | os.PathLike[str] | None) -> str:
    return os.fspath(url) if url is not None else os.environ.get(VARIABLE) or DEFAULT


def _dialect(url: str, readonly: bool) -> Dialect:
    if url in MEMORY:
        return SQLite(None)
    if "://" not in url:
        return SQLite(Path(url).expanduser(), readonly)
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise StoreUnavailable(
            f"the store {url!r} is no URL. Use a path, sqlite:///path, postgresql://user@host/database or memory."
        ) from None
    match parsed.get_backend_name():
        case "sqlite":
            return _sqlite(url, parsed, readonly)
        case "postgresql" | "postgres":
            return PostgreSQL(parsed.set(drivername="postgresql+psycopg"), readonly)
        case other:
            raise StoreUnavailable(
                f"studies cannot be kept in {other!r}. Use sqlite:///path or postgresql://..."
            )


def _sqlite(url: str, parsed: URL, readonly: bool) -> SQLite:
    settings: dict[str, Any] = {"timeout": LOCK_SECONDS, "synchronous": "normal"}
    for name, value in parsed.query.items():
        if name not in settings:
            raise StoreUnavailable(
                f"the store {url!r} has the unknown option {name!r}.{did_you_mean(name, settings)}"
            )
        settings[name] = value
    try:
        settings["timeout"] = float(settings["timeout"])
    except (TypeError, ValueError):
        raise StoreUnavailable(
            f"the store {url!r} has timeout {settings['timeout']!r}. Use a number of seconds."
        ) from None
    if settings["synchronous"] not in ("normal", "full"):
        raise StoreUnavailable(
            f"the store {url!r} has synchronous {settings['synchronous']!r}. Use normal or full."
        )
    if parsed.host or parsed.port:
        raise StoreUnavailable(f"the store {url!r} names a host. A path takes three slashes: sqlite:///path.")
    path = None if parsed.database in (None, "", ":memory:") else Path(str(parsed.database)).expanduser()
    return SQLite(path, readonly and path is not None, **settings)


def _find(path: Path, readonly: bool) -> None:
    try:
        if readonly:
            if not path.exists():
                raise StudyNotFound(
                    f"there is no store at {path} yet; the first study with a name makes it. If it is elsewhere, say "
                    f"where with --store or the environment's {VARIABLE}."
                )
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreUnavailable(
            f"the folder of the store {path} cannot be used: {error}. Use another one."
        ) from error
