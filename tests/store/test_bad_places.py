"""Stores that cannot be opened, written or read: a sentence each, and nothing lost."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from luthier.clock import SystemClock
from luthier.errors import (
    LuthierError,
    MissingExtra,
    StoreError,
    StoreUnavailable,
    StoreVersionError,
    StudyNotFound,
)
from luthier.store.dialects import Connection, PostgreSQL, SQLite
from luthier.store.sql import SQLStore
from luthier.store.url import home, open_store
from luthier.study import Completed, Proposal, Record, State
from luthier.testing.stores import a_spec, by_number, points

Script = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with a study of three trials."""
    path = tmp_path / "studies.db"
    make(path)
    return path


def make(path: Path) -> None:
    store = open_store(str(path))
    store.create(a_spec())
    store.propose("first", points(3))
    store.close()


def three_trials(path: Path) -> bool:
    store = open_store(str(path), readonly=True)
    try:
        return len(store.changed("first").trials) == 3
    finally:
        store.close()


# --- files that are something else ----------------------------------------------------------------------------


def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("x,y\n1,2\n" * 200)
    for readonly in (False, True):
        with pytest.raises(StoreVersionError, match=r"notes\.txt is not a database"):
            open_store(str(path), readonly=readonly)
    assert path.read_text() == "x,y\n1,2\n" * 200
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


def test_the_database_of_another_program_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE places (url)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    for readonly in (False, True):
        with pytest.raises(StoreVersionError, match="another program: it has the tables places"):
            open_store(str(path), readonly=readonly)
    assert path.read_bytes() == before


def test_a_postgresql_with_tables_of_the_same_name_is_left_as_it_is(fresh_postgres: str) -> None:
    import psycopg

    with psycopg.connect(fresh_postgres.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("CREATE TABLE unrelated (x int)")
        open_store(fresh_postgres).close()
        connection.execute("DROP TABLE schema_version")
    with pytest.raises(StoreVersionError, match="another program"):
        open_store(fresh_postgres)


def test_an_empty_file_becomes_a_store_but_not_by_looking(tmp_path: Path) -> None:
    path = tmp_path / "studies.db"
    path.touch()
    with pytest.raises(StudyNotFound, match="empty"):
        open_store(str(path), readonly=True)
    assert path.stat().st_size == 0
    make(path)
    assert three_trials(path)


def test_a_store_from_a_newer_version_names_both_versions_and_the_remedy(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("UPDATE schema_version SET version = 99")
    connection.commit()
    connection.close()
    for readonly in (False, True):
        with pytest.raises(StoreVersionError, match=r"format 99.* up to 1\. .*pip install -U luthier"):
            open_store(str(path), readonly=readonly)


def test_a_version_that_makes_no_sense_is_not_ours(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM schema_version")
    connection.commit()
    connection.close()
    with pytest.raises(StoreVersionError, match="not a store of Luthier's"):
        open_store(str(path))


def test_a_damaged_file_says_so(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)  # all but the first page
    path.write_bytes(data)
    with pytest.raises(StoreUnavailable, match=r"damaged: .*recover"):
        open_store(str(path)).study("first")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="it is a folder"):
        open_store(str(tmp_path))


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable, match="cannot be used"):
        open_store(str(tmp_path / "file" / "studies.db"))


# --- nothing there --------------------------------------------------------------------------------------------


def test_looking_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(StudyNotFound, match=r"no store at .*studies\.db yet"):
        open_store(str(tmp_path / "new" / "studies.db"), readonly=True)
    assert list(tmp_path.iterdir()) == []


def test_a_store_open_for_reading_refuses_to_write(path: Path) -> None:
    store = open_store(str(path), readonly=True)
    with pytest.raises(StoreUnavailable, match="for reading only"):
        store.propose("first", points(1))
    with pytest.raises(StoreUnavailable, match="for reading only"):
        store.create(a_spec("second"))
    assert store.create(a_spec()) is False
    assert store.claim("first", "w", 0, 1.0) == []
    assert store.reap("first", attempts=1) == 0
    store.close()
    assert three_trials(path)


# --- no right to write ----------------------------------------------------------------------------------------

TRY = """
import os, pwd, sys
from luthier.errors import LuthierError
from luthier.store.url import open_store
from luthier.testing.stores import a_spec, points

if os.geteuid() == 0:  # permissions do not bind root: be nobody
    user = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
try:
    store = open_store(sys.argv[1], readonly="readonly" in sys.argv)
    print(len(store.changed("first").trials), "trials")
    if "readonly" not in sys.argv:
        store.propose("first", points(1))
except LuthierError as error:
    print(type(error).__name__, error)
"""


def test_a_read_only_file_can_be_read_but_not_written(open_folder: Path, script: Script) -> None:
    path = open_folder / "studies.db"
    make(path)
    path.chmod(0o444)
    open_folder.chmod(0o777)
    said, _ = script(TRY, str(path)).communicate()
    assert said.startswith("3 trials\nStoreUnavailable")
    assert "cannot be written to" in said
    said, _ = script(TRY, str(path), "readonly").communicate()
    assert said == "3 trials\n"
    assert three_trials(path)


def test_a_read_only_folder_says_so(open_folder: Path, script: Script) -> None:
    path = open_folder / "studies.db"
    make(path)
    path.chmod(0o666)
    open_folder.chmod(0o555)
    said, _ = script(TRY, str(path)).communicate()
    assert said.startswith("StoreUnavailable")
    assert "rights" in said or "right to write" in said
    said, _ = script(TRY, str(path), "readonly").communicate()
    assert said == "3 trials\n" or said.startswith("StoreUnavailable")
    said, _ = script(TRY, str(open_folder / "new.db")).communicate()
    assert said.startswith("StoreUnavailable")
    said, _ = script(TRY, str(open_folder / "new" / "new.db")).communicate()
    assert said.startswith("StoreUnavailable")
    assert "cannot be used" in said
    assert three_trials(path)


# --- full -----------------------------------------------------------------------------------------------------


class SmallDisk(SQLite):
    """A disk on which a database may have 30 pages."""

    def connect(self) -> Connection:
        connection = super().connect()
        connection.execute("PRAGMA max_page_count = 30")
        return connection


def test_a_full_disk_loses_nothing_that_was_recorded(tmp_path: Path) -> None:
    path = tmp_path / "studies.db"
    store = SQLStore(SmallDisk(path), SystemClock())
    store.create(a_spec())
    done = 0

    def go_on() -> None:
        nonlocal done
        while True:
            (trial,) = store.propose("first", [Proposal({"x": "long" * 300})], claim=("w", 60.0))
            store.record("first", [Record(trial.number, 1, Completed({"loss": 1.0}))])
            done += 1

    with pytest.raises(StoreUnavailable, match=r"disk is full.*make room and go on"):
        go_on()
    assert done > 3
    assert store.study("first").counts[State.COMPLETED] == done
    store.close()
    bigger = open_store(str(path))
    assert [t.number for t in by_number(bigger, "first") if t.state is State.COMPLETED] == list(range(done))
    assert bigger.propose("first", points(1), claim=("w", 60.0))
    bigger.close()


# --- locked ---------------------------------------------------------------------------------------------------

LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


def lock(script: Script, path: Path) -> subprocess.Popen[str]:
    process = script(LOCK, str(path))
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    return process


def test_a_database_locked_by_another_program_says_so_and_goes_on_afterwards(
    path: Path, script: Script
) -> None:
    url = f"sqlite:///{path}?timeout=0.2"
    opened_before = open_store(url)
    other = lock(script, path)
    for store in (opened_before, open_store(url)):
        with pytest.raises(StoreUnavailable, match=r"locked by another program for more than 0\.2 s"):
            store.propose("first", points(1))
        assert len(store.changed("first").trials) == 3
    other.kill()
    other.wait()
    for store in (opened_before, open_store(url)):
        assert len(store.propose("first", points(1))) == 1
        store.close()


def test_a_new_database_locked_by_another_program_says_so(tmp_path: Path, script: Script) -> None:
    path = tmp_path / "studies.db"
    lock(script, path)
    with pytest.raises(StoreUnavailable, match="locked by another program"):
        open_store(f"sqlite:///{path}?timeout=0.2")


def test_a_study_locked_on_the_server_says_so_and_goes_on_afterwards(fresh_postgres: str) -> None:
    import psycopg

    store = SQLStore(PostgreSQL(make_url(fresh_postgres), timeout=0.1), SystemClock())
    store.create(a_spec())
    with psycopg.connect(fresh_postgres.replace("+psycopg", "")) as other:
        other.execute("SELECT * FROM studies FOR UPDATE")
        with pytest.raises(StoreUnavailable, match=r"locked by another program .* for more than 0\.1 s"):
            store.propose("first", points(1))
        assert store.changed("first").trials == []
    assert len(store.propose("first", points(1))) == 1
    store.close()


# --- servers --------------------------------------------------------------------------------------------------


def test_a_server_that_does_not_answer_says_so_without_the_password(postgres_url: str) -> None:
    with pytest.raises(StoreUnavailable, match="does not answer") as caught:
        open_store("postgresql://me:secret@127.0.0.1:1/studies")
    assert "secret" not in str(caught.value)


def test_a_database_that_the_server_lacks_says_so(postgres_url: str) -> None:
    with pytest.raises(StoreUnavailable, match=r'database "nothere" does not exist'):
        open_store(postgres_url.replace("/postgres", "/nothere"))


def test_a_server_without_the_right_to_write_says_so(fresh_postgres: str) -> None:
    store = open_store(fresh_postgres)
    store.create(a_spec())
    store.close()
    store = open_store(f"{fresh_postgres}%20-cdefault_transaction_read_only%3Don")
    assert store.study("first").name == "first"
    assert store.propose("first", points(1))  # we say READ WRITE, which the default does not forbid
    store.close()


def test_postgresql_without_psycopg_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtra, match=r"luthier\[postgres\]"):
        open_store("postgresql://127.0.0.1/studies")


# --- names of places ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://localhost/x", "cannot be kept in 'mysql'"),
        ("sqlite:///x.db?tiemout=3", "Did you mean 'timeout'"),
        ("sqlite:///x.db?timeout=soon", "Use a number of seconds"),
        ("sqlite:///x.db?synchronous=off", "Use normal or full"),
        ("sqlite://x.db", "three slashes"),
        ("http:/x://", "no URL|cannot be kept"),
    ],
)
def test_a_url_that_means_nothing_is_refused_with_a_remedy(url: str, said: str) -> None:
    with pytest.raises(StoreError, match=said):
        open_store(url)


def test_without_a_url_it_is_the_environments_or_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LUTHIER_STORE", raising=False)
    open_store().close()
    assert (tmp_path / ".luthier" / "studies.db").exists()
    assert home() == Path(".luthier")
    monkeypatch.setenv("LUTHIER_STORE", "sqlite:///there/s.db")
    open_store().close()
    assert (tmp_path / "there" / "s.db").exists()
    assert home() == Path("there")


def test_home_is_beside_the_file_or_in_the_working_folder(tmp_path: Path) -> None:
    assert home("x/y.db") == Path("x")
    assert home("y.db") == Path()
    assert home(f"sqlite:///{tmp_path}/y.db?timeout=3") == tmp_path
    for url in ("memory", ":memory:", "sqlite://", "postgresql://host/db"):
        assert home(url) == Path(".luthier")


def test_odd_characters_in_a_path_are_no_options(tmp_path: Path) -> None:
    path = tmp_path / "a?mode=memory#50% ö.db"
    make(path)
    assert path.exists()
    assert three_trials(path)


def test_full_synchronization_is_an_option(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/s.db?synchronous=full")
    store.create(a_spec())
    assert len(store.propose("first", points(2))) == 2
    store.close()


def test_a_store_that_nobody_closed_closes_quietly(tmp_path: Path) -> None:
    open_store(str(tmp_path / "s.db")).create(a_spec())
    open_store("memory")


def test_a_fact_that_json_cannot_hold_is_refused_by_name(path: Path) -> None:
    store = open_store(str(path))
    with pytest.raises(LuthierError, match="the fact 'model' cannot be kept"):
        store.remember("first", {"model": object()})
    store.close()
