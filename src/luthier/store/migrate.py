"""The version of a store's schema: checked when it is opened, moved on where it is old."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy.schema import CreateIndex, CreateTable

from luthier.errors import StoreVersionError, StudyNotFound
from luthier.store.connections import Connections
from luthier.store.dialects import Connection, Dialect
from luthier.store.statements import Statements
from luthier.store.tables import schema

VERSION = 1

Upgrade = Callable[[Connection, Dialect], None]
UPGRADES: Mapping[int, Upgrade] = {}
"""By n, what turns version n into version n + 1. Every released version keeps a file in tests/upgrade/."""


def prepare(
    connections: Connections,
    statements: Statements,
    upgrades: Mapping[int, Upgrade] = UPGRADES,
    version: int = VERSION,
) -> None:
    """Make the tables where there are none, upgrade old ones; raises StoreVersionError for what is not ours to touch,
    StudyNotFound for what is empty and only looked at.
    """
    dialect = connections.dialect
    with connections.read() as connection:
        found = _version(connection, dialect, statements, version)
    if found == version:
        return
    if dialect.readonly:
        if found is None:
            raise StudyNotFound(f"there is no study in {dialect.place} yet: it is empty.")
        raise StoreVersionError(
            f"the store {dialect.place} has format {found} and this Luthier works with {version}. Open it once "
            "for writing, which upgrades it."
        )
    if found is None:
        connections.look(dialect.set_up, {})
    with connections.write() as connection:
        connection.execute(dialect.alone)
        found = _version(connection, dialect, statements, version)  # another process may have been faster
        if found is None:
            _create(connection, dialect)
            connection.execute(statements.first_version, {"version": version})
            return
        for step in range(found, version):
            upgrades[step](connection, dialect)
            connection.execute(statements.next_version, {"new_version": step + 1})


def _version(connection: Connection, dialect: Dialect, statements: Statements, known: int) -> int | None:
    tables = {name for (name,) in connection.execute(dialect.tables).fetchall()}
    if "schema_version" not in tables:
        foreign = tables if dialect.owns_all else tables & set(schema.tables)
        if foreign:
            listed = ", ".join(sorted(foreign)[:5])
            raise StoreVersionError(
                f"{dialect.place} is the database of another program: it has the tables {listed}. "
                "Give the studies a database of their own."
            )
        return None
    rows = connection.execute(statements.version).fetchall()
    found = rows[0][0] if len(rows) == 1 else None
    if not isinstance(found, int):
        raise StoreVersionError(
            f"{dialect.place} is not a store of Luthier's: its schema_version says {rows}. Use another one."
        )
    if found > known:
        raise StoreVersionError(
            f"the store {dialect.place} has format {found}, made by a newer Luthier; this one reads up to {known}. "
            "Upgrade with: pip install -U luthier"
        )
    return found


def _create(connection: Connection, dialect: Dialect) -> None:
    for table in schema.sorted_tables:
        connection.execute(str(CreateTable(table).compile(dialect=dialect.compiler)))
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            connection.execute(str(CreateIndex(index).compile(dialect=dialect.compiler)))
