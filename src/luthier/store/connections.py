"""Connections to one database, lent to whichever thread asks, each for one transaction.

Connections stay open between transactions: opening one costs more than most transactions.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

from luthier.errors import StoreUnavailable
from luthier.store.dialects import Connection, Dialect


class Connections:
    """All connections of one store. Errors of the database leave here as Luthier's."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self._closed = False
        self._start()

    def _start(self) -> None:
        self._pid = os.getpid()
        self._idle: list[Connection] = []
        # Writers of one process take turns here: SQLite would let them wait by looking again and again.
        self._writing = threading.Lock()
        # The one connection to a database in memory is also for one thread at a time.
        self._reading = nullcontext() if self.dialect.shared else self._writing
        weakref.finalize(self, _close_all, self._idle, self._pid)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database, whatever others write meanwhile."""
        with self._reading, self._transaction(self.dialect.begin_read) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is written down whole, or not at all."""
        if self.dialect.readonly:
            raise StoreUnavailable(
                f"the store {self.dialect.place} was opened for reading only. Open it without readonly=True to change it."
            )
        with self._writing, self._transaction(self.dialect.begin_write) as connection:
            yield connection

    def look(self, sql: str, values: Mapping[str, Any]) -> list[Any]:
        """The rows of one statement that reads, which is its own transaction."""
        with self._reading:
            connection, rows = self._first(sql, values)
            self._idle.append(connection)
            return rows

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Connection]:
        connection, _ = self._first(begin, None)
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException as error:
            self._undo(connection)
            if isinstance(error, self.dialect.errors):
                raise self.dialect.explain(error) from error
            raise
        self._idle.append(connection)

    def _first(self, sql: str, values: Mapping[str, Any] | None) -> tuple[Connection, list[Any]]:
        """Run the first statement on a connection that works. One that lay idle may have died: try a new one then."""
        try:
            while True:
                connection, used = self._take()
                try:
                    if values is None:
                        connection.execute(sql)
                        return connection, []
                    return connection, connection.execute(sql, values).fetchall()
                except BaseException as error:
                    if not self.dialect.shared:
                        self._undo(connection)
                        raise
                    with suppress(*self.dialect.errors):
                        connection.close()
                    if not used or not isinstance(error, self.dialect.errors) or _locked(error):
                        raise
        except self.dialect.errors as error:
            raise self.dialect.explain(error) from error

    def _take(self) -> tuple[Connection, bool]:
        if self._closed:
            raise StoreUnavailable(f"the store {self.dialect.place} was closed. Open it again.")
        if os.getpid() != self._pid:
            self._leave_to_parent()
        try:
            return self._idle.pop(), True
        except IndexError:
            return self.dialect.connect(), False

    def _leave_to_parent(self) -> None:
        if not self.dialect.shared:
            raise StoreUnavailable(
                "a store in memory belongs to the process that made it. Use a file or a server to share studies."
            )
        self._parents = self._idle  # kept, as closing them here would hurt the parent's transactions
        self._start()

    def _undo(self, connection: Connection) -> None:
        try:
            connection.execute("ROLLBACK")
        except self.dialect.errors:
            if self.dialect.shared:
                with suppress(*self.dialect.errors):
                    connection.close()
                return
        self._idle.append(connection)

    def close(self) -> None:
        """Let go of all connections."""
        self._closed = True
        _close_all(self._idle, self._pid)


def _locked(error: Exception) -> bool:
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def _close_all(idle: list[Connection], pid: int) -> None:
    if os.getpid() == pid:
        while idle:
            with suppress(Exception):
                idle.pop().close()
