"""SQLite and PostgreSQL, as far as they differ: how to connect, to begin a transaction, and what their errors mean."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, cast
from urllib.parse import quote

from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql import psycopg as postgresql
from sqlalchemy.engine import URL
from sqlalchemy.engine import Dialect as Compiler

from luthier.errors import MissingExtra, StoreError, StoreUnavailable, StoreVersionError

LOCK_SECONDS = 30.0
CONNECT_SECONDS = 10
SQLITE_ERRORS = (sqlite3.Error,)


class Cursor(Protocol):
    """What both drivers' cursors can do."""

    rowcount: int

    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...
    def executemany(self, sql: str, rows: Any, /) -> object: ...


class Connection(Protocol):
    """What both drivers' connections can do, without the transactions they would begin by themselves."""

    def execute(self, sql: str, values: Mapping[str, Any] = ..., /) -> Cursor: ...
    def cursor(self) -> Cursor: ...
    def close(self) -> None: ...


class Dialect(Protocol):
    """What a store asks of its kind of database."""

    @property
    def place(self) -> str:
        """Where the data is, for messages; without a password."""
        ...

    @property
    def readonly(self) -> bool: ...

    @property
    def shared(self) -> bool:
        """Whether a second connection sees the same data. Not so in memory."""
        ...

    compiler: ClassVar[Compiler]
    begin_read: ClassVar[str]
    begin_write: ClassVar[str]
    set_up: ClassVar[str]
    """What is to be said to a new database, outside of a transaction."""
    tables: ClassVar[str]
    """The names of the tables that are there."""
    alone: ClassVar[str]
    """Makes others that want to create tables wait until the transaction ends."""
    owns_all: ClassVar[bool]
    """Whether tables of other programs have no business here."""

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What the driver raises."""
        ...

    def connect(self) -> Connection: ...

    def explain(self, error: Exception) -> StoreError:
        """The error as a sentence with a remedy."""
        ...


@dataclass(frozen=True, slots=True)
class SQLite:
    """A file, or with `path=None` the memory of this process.

    Times are computed in Python: SQLite before 3.42 knows no fractions of seconds.
    """

    path: Path | None
    readonly: bool = False
    timeout: float = LOCK_SECONDS
    synchronous: Literal["normal", "full"] = "normal"

    compiler: ClassVar[Compiler] = sqlite.dialect(paramstyle="named")
    begin_read: ClassVar[str] = "BEGIN"
    begin_write: ClassVar[str] = "BEGIN IMMEDIATE"  # else two readers that turn writers lock each other out
    set_up: ClassVar[str] = "PRAGMA journal_mode = wal"
    tables: ClassVar[str] = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    alone: ClassVar[str] = "SELECT 1"  # BEGIN IMMEDIATE has done it
    owns_all: ClassVar[bool] = True

    @property
    def place(self) -> str:
        return "memory" if self.path is None else str(self.path)

    @property
    def shared(self) -> bool:
        return self.path is not None

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        return SQLITE_ERRORS

    def connect(self) -> Connection:
        if self.path is None:
            return self._open(":memory:")
        name = f"file:{quote(str(self.path.absolute()))}"
        if self.readonly:
            return self._open(f"{name}?mode=ro")
        connection = self._open(f"{name}?mode=rwc")
        try:
            connection.execute(f"PRAGMA synchronous = {self.synchronous}")
            connection.execute("PRAGMA cache_size = -16000")  # KiB
            # Every checkpoint waits for the disk: 16 MB of log between two, not 4.
            connection.execute("PRAGMA wal_autocheckpoint = 4000")
        except BaseException:
            connection.close()
            raise
        return connection

    def _open(self, name: str) -> Connection:
        # isolation_level=None: the driver begins nothing by itself.
        connection = sqlite3.connect(
            name, uri=True, timeout=self.timeout, isolation_level=None, check_same_thread=False
        )
        return cast("Connection", connection)

    def explain(self, error: Exception) -> StoreError:
        code = getattr(error, "sqlite_errorname", "")
        place = self.place
        match "_".join(code.split("_")[:2]):
            case "SQLITE_BUSY" | "SQLITE_LOCKED":
                return StoreUnavailable(
                    f"the database {place} has been locked by another program for more than {self.timeout:g} s. "
                    "Close what holds it, or allow more time with sqlite:///...?timeout=SECONDS."
                )
            case "SQLITE_READONLY" | "SQLITE_PERM" | "SQLITE_AUTH":
                return StoreUnavailable(
                    f"the database {place} cannot be written to: {error}. "
                    "Give yourself the right to write the file and its folder, or use another store."
                )
            case "SQLITE_FULL":
                return StoreUnavailable(
                    f"the disk is full: nothing more can be written to {place}. What was recorded is safe; "
                    "make room and go on."
                )
            case "SQLITE_CANTOPEN":
                return StoreUnavailable(f"the database {place} cannot be opened: {self._why_not(error)}")
            case "SQLITE_NOTADB":
                return StoreVersionError(
                    f"{place} is not a database. Give the path of a new file, or of one that Luthier made."
                )
            case "SQLITE_CORRUPT":
                return StoreUnavailable(
                    f"the database {place} is damaged: {error}. Go back to a copy, or save what can be read with: "
                    f"sqlite3 {place} .recover"
                )
            case "SQLITE_IOERR":
                return StoreUnavailable(
                    f"the disk failed under {place}: {error} ({code}). Check its room and health, and go on."
                )
        return StoreError(f"the database {place} refused: {error} ({code or type(error).__name__}).")

    def _why_not(self, error: Exception) -> str:
        path = self.path
        if path is None:
            return f"{error}."
        if path.is_dir():
            return "it is a folder. Give a file in it."
        if not path.parent.is_dir():
            return f"there is no folder {path.parent}. Make it first."
        return (
            f"{error}. Check your rights to the file and to its folder: SQLite writes beside the file, also to read. "
            "A copy elsewhere can always be read."
        )


@dataclass(frozen=True, slots=True)
class PostgreSQL:
    """A server, reached with psycopg 3.

    A transaction that writes locks its study's row first, so writers of one study take turns, and READ
    COMMITTED shows each of them all that the one before has written. `SKIP LOCKED` would gain nothing.
    """

    url: URL
    readonly: bool = False
    timeout: float = LOCK_SECONDS

    compiler: ClassVar[Compiler] = postgresql.dialect()  # type: ignore[no-untyped-call]
    begin_read: ClassVar[str] = (
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"  # one snapshot for all of it
    )
    begin_write: ClassVar[str] = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
    set_up: ClassVar[str] = "SELECT 1"
    tables: ClassVar[str] = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
    alone: ClassVar[str] = "SELECT pg_advisory_xact_lock(7817428)"  # any number will do, if always the same
    owns_all: ClassVar[bool] = False

    @property
    def place(self) -> str:
        return self.url.render_as_string(hide_password=True)

    @property
    def shared(self) -> bool:
        return True

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        return (_psycopg().Error,)

    def connect(self) -> Connection:
        where = self.url.translate_connect_args(username="user", database="dbname")
        options = {"connect_timeout": CONNECT_SECONDS, **self.url.query}
        connection = cast("Connection", _psycopg().connect(autocommit=True, **where, **options))
        connection.execute(f"SET lock_timeout = {round(self.timeout * 1000)}")  # milliseconds
        return connection

    def explain(self, error: Exception) -> StoreError:
        said = " ".join(str(error).split()).rstrip(".?")
        match getattr(error, "sqlstate", None):
            case None | "08000" | "08003" | "08006" | "57P01" | "57P02" | "57P03":
                return StoreUnavailable(
                    f"the database server at {self.place} does not answer: {said}. Check that it runs, and the "
                    "host, port, user and database in the URL."
                )
            case "28000" | "28P01" | "3D000":
                return StoreUnavailable(
                    f"the database server refused to open {self.place}: {said}. Check the user, the password and "
                    "the database in the URL."
                )
            case "25006" | "42501":
                return StoreUnavailable(
                    f"the database {self.place} cannot be written to: {said}. Ask for the right to write, or use "
                    "another store."
                )
            case "53100" | "53200" | "53300":
                return StoreUnavailable(
                    f"the database server at {self.place} is full: {said}. What was recorded is safe; make room "
                    "and go on."
                )
            case "55P03" | "57014":
                return StoreUnavailable(
                    f"the study has been locked by another program on {self.place} for more than {self.timeout:g} s. "
                    "See what holds it in pg_stat_activity, and try again."
                )
        return StoreError(f"the database {self.place} refused: {said}.")


def _psycopg() -> Any:
    try:
        import psycopg
    except ImportError:
        raise MissingExtra("psycopg", "postgres", "a store on PostgreSQL") from None
    return psycopg
