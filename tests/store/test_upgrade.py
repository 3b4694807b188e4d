"""Databases of every released version can be opened and gone on with."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest

from luthier.clock import VirtualClock
from luthier.errors import StoreVersionError
from luthier.store import migrate
from luthier.store.connections import Connections
from luthier.store.dialects import Connection, Dialect, SQLite
from luthier.store.statements import Statements
from luthier.store.url import open_store
from luthier.study import Completed, Proposal, Record, Report, State
from luthier.testing.stores import by_number, events
from tests.upgrade.make import FOLDER, first, make, second

FROZEN = sorted(FOLDER.glob("v*.db"))


def test_there_is_a_frozen_file_of_this_version() -> None:
    assert FOLDER / f"v{migrate.VERSION}.db" in FROZEN


@pytest.mark.parametrize("frozen", FROZEN, ids=lambda path: path.stem)
def test_an_old_database_reads_as_it_was_written(frozen: Path, tmp_path: Path) -> None:
    path = tmp_path / "studies.db"
    shutil.copy(frozen, path)
    store = open_store(str(path), clock=VirtualClock(1_700_000_100.0))
    assert [row.name for row in store.studies()] == ["größer", "first"]
    assert store.spec("first") == first()
    assert store.spec("größer") == second()
    assert store.facts("first") == {"splits": {"folds": [0, 1, 1]}}
    assert store.study("first").seconds == 2.0
    assert events(store, "first") == [
        "created",
        "begun",
        "stopped",
        "failed",
        "lost",
        "claimed",
        "stop requested",
    ]

    done, stopped, failed, again, asked, running, waiting = by_number(store, "first")
    assert (done.state, done.fidelity, done.seen) == (State.COMPLETED, 27.0, 1)
    assert done.params == {"lr": 0.001, "layers": 2, "optimizer": "adam"}
    assert (done.metrics["loss"], done.metrics["best"]) == (0.25, -math.inf)
    assert math.isnan(done.metrics["size"])
    assert done.reports[0] == Report(1, {"loss": 0.5, "größe": math.inf})
    assert math.isnan(done.reports[1].metrics["loss"])
    assert (done.created, done.started, done.ended) == (1_700_000_000.0, 1_700_000_000.0, 1_700_000_002.0)
    assert (stopped.state, stopped.reason, stopped.parent) == (State.STOPPED, "worse than the median", 0)
    assert stopped.tag == {"rung": 1}
    assert (failed.state, failed.reason) == (State.FAILED, "ValueError: no")
    assert failed.traceback == "Traceback (most recent call last): ..."
    assert (again.state, again.attempt, again.worker) == (State.RUNNING, 2, "other")
    assert (asked.state, asked.stop, asked.reports) == (
        State.RUNNING,
        "enough",
        (Report(1, {"loss": 0.125}),),
    )
    assert (running.state, running.worker) == (State.RUNNING, "engine")
    assert (waiting.state, waiting.attempt) == (State.WAITING, 0)

    assert store.reap("first", attempts=2) == 3  # long ago
    (new,) = store.propose("first", [Proposal({"lr": 0.1})], expect=7, claim=("new", 60.0))
    store.record("first", [Record(new.number, 1, Completed({"loss": 1.0}))])
    assert by_number(store, "first")[7].state is State.COMPLETED
    store.close()


def test_the_schema_of_this_version_is_that_of_its_frozen_file(tmp_path: Path) -> None:
    """Else somebody changed tables.py without a new version."""
    make(tmp_path / "now.db")
    shutil.copy(FOLDER / f"v{migrate.VERSION}.db", tmp_path / "then.db")
    assert schema_of(tmp_path / "now.db") == schema_of(tmp_path / "then.db")


def schema_of(path: Path) -> list[tuple[str, str]]:
    connection = SQLite(path).connect()
    rows = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"
    ).fetchall()
    connection.close()
    return rows


# --- the way of upgrades, tried with two that do not exist yet -------------------------------------------------


def add_colour(connection: Connection, dialect: Dialect) -> None:
    connection.execute("ALTER TABLE studies ADD COLUMN colour TEXT")


def paint(connection: Connection, dialect: Dialect) -> None:
    connection.execute("UPDATE studies SET colour = 'red'")


def fail(connection: Connection, dialect: Dialect) -> None:
    raise RuntimeError("half way")


def upgrade(path: Path, *steps: migrate.Upgrade, readonly: bool = False) -> None:
    dialect = SQLite(path, readonly)
    connections = Connections(dialect)
    try:
        upgrades = dict(enumerate(steps, start=1))
        migrate.prepare(connections, Statements(dialect.compiler), upgrades, version=1 + len(steps))
    finally:
        connections.close()


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return Path(shutil.copy(FOLDER / "v1.db", tmp_path / "studies.db"))


def test_upgrades_are_done_in_order_and_once(old: Path) -> None:
    for _ in range(2):
        upgrade(old, add_colour, paint)
    connection = SQLite(old).connect()
    assert connection.execute("SELECT DISTINCT colour FROM studies").fetchall() == [("red",)]
    assert connection.execute("SELECT version FROM schema_version").fetchall() == [(3,)]
    connection.close()
    with pytest.raises(StoreVersionError, match="newer"):
        open_store(str(old))


def test_an_upgrade_that_fails_changes_nothing(old: Path) -> None:
    before = schema_of(old)
    with pytest.raises(RuntimeError, match="half way"):
        upgrade(old, add_colour, fail)
    assert schema_of(old) == before
    open_store(str(old)).close()


def test_looking_does_not_upgrade(old: Path) -> None:
    with pytest.raises(
        StoreVersionError, match=r"has format 1 and this Luthier works with 2\. Open it once for writing"
    ):
        upgrade(old, add_colour, readonly=True)
    open_store(str(old)).close()


def test_a_new_database_is_of_the_newest_version(tmp_path: Path) -> None:
    upgrade(tmp_path / "new.db", fail)  # nothing to upgrade
    with pytest.raises(StoreVersionError, match="format 2"):
        open_store(str(tmp_path / "new.db"))
