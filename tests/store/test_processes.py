"""Several processes on one store, and what a killed one leaves behind."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

from luthier.store.url import open_store
from luthier.study import Report, State
from luthier.testing.stores import a_spec, by_number, points

Script = Callable[..., "subprocess.Popen[str]"]

BUSY = """
import sys
from luthier.store.url import open_store
from luthier.study import Completed, Record, Report
from luthier.testing.stores import a_spec, points

url, worker = sys.argv[1:]
store = open_store(url)
print(store.create(a_spec()))
for _ in range(20):
    store.propose("first", points(2))
    for trial in store.claim("first", worker, 3, 60.0):
        store.record("first", [Record(trial.number, 1, Report(1, {"loss": 0.5}))])
        store.record("first", [Record(trial.number, 1, Completed({"loss": trial.number}))])
        print(trial.number)
store.close()
"""


def the_same_from_many(url: str, script: Script) -> None:
    processes = [script(BUSY, url, f"w{i}") for i in range(4)]
    out = [process.communicate()[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, out
    assert sorted(words[0] for words in out) == ["False", "False", "False", "True"]
    assert sorted(int(word) for words in out for word in words[1:]) == list(range(160))
    store = open_store(url)
    trials = by_number(store, "first")
    assert [(t.number, t.state, t.metrics) for t in trials] == [
        (i, State.COMPLETED, {"loss": i}) for i in range(160)
    ]
    assert all(t.reports == (Report(1, {"loss": 0.5}),) for t in trials)
    store.close()


def test_processes_that_open_an_empty_file_at_once_share_it(tmp_path: Path, script: Script) -> None:
    the_same_from_many(str(tmp_path / "new" / "studies.db"), script)


def test_processes_that_open_an_empty_postgresql_at_once_share_it(
    fresh_postgres: str, script: Script
) -> None:
    the_same_from_many(fresh_postgres, script)


MIDWAY = """
import sys, time
from luthier.store.url import open_store
from luthier.testing.stores import a_spec, points

store = open_store(sys.argv[1])
store.create(a_spec())
store.propose("first", points(3))
with store._turn("first") as turn:
    turn.connection.execute("DELETE FROM trials")
    turn.connection.execute("UPDATE studies SET trials = 99")
    turn.connection.execute("PRAGMA cache_spill = 1")
    print("in the middle", flush=True)
    time.sleep(100)
"""


def test_a_writer_killed_in_the_middle_has_written_nothing(tmp_path: Path, script: Script) -> None:
    path = tmp_path / "studies.db"
    writer = script(MIDWAY, str(path))
    assert writer.stdout is not None
    assert writer.stdout.readline() == "in the middle\n"
    reader = open_store(str(path), readonly=True)
    assert len(reader.changed("first").trials) == 3
    reader.close()
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert path.with_name("studies.db-wal").exists()  # the dead writer's
    store = open_store(f"sqlite:///{path}?timeout=0.2")
    assert len(store.changed("first").trials) == 3
    assert [t.number for t in store.propose("first", points(1))] == [3]
    store.close()


def test_what_a_killed_writer_had_recorded_is_there(tmp_path: Path, script: Script) -> None:
    path = tmp_path / "studies.db"
    writer = script(
        BUSY.replace("range(20)", "range(10**9)").replace("number)\n", "number, flush=True)\n"),
        str(path),
        "w",
    )
    assert writer.stdout is not None
    writer.stdout.readline()
    said = [int(writer.stdout.readline()) for _ in range(300)]
    writer.send_signal(signal.SIGKILL)
    said += [int(line) for line in writer.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    store = open_store(str(path))
    trials = by_number(store, "first")
    assert {t.number for t in trials if t.state is State.COMPLETED} >= set(said)
    assert [t.number for t in trials] == list(range(len(trials)))
    store.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


FORK = """
import os, sys
from luthier.errors import StoreUnavailable
from luthier.store.url import open_store
from luthier.testing.stores import a_spec, points

store = open_store(sys.argv[1])
store.create(a_spec())
store.propose("first", points(1))
child = os.fork()
if child == 0:
    try:
        store.propose("first", points(2))
        print("proposed", flush=True)
    except StoreUnavailable as error:
        print(error, flush=True)
    os._exit(0)
os.waitpid(child, 0)
print(len(store.propose("first", points(1))), len(store.changed("first").trials))
"""


def test_a_forked_child_may_use_the_store_too(tmp_path: Path, script: Script) -> None:
    out, _ = script(FORK, str(tmp_path / "studies.db")).communicate()
    assert out.split() == ["proposed", "1", "4"]


def test_a_forked_child_may_use_postgresql_too(fresh_postgres: str, script: Script) -> None:
    out, _ = script(FORK, fresh_postgres).communicate()
    assert out.split() == ["proposed", "1", "4"]


def test_a_store_in_memory_says_that_it_cannot_be_forked(script: Script) -> None:
    out, _ = script(FORK, "memory").communicate()
    assert "belongs to the process that made it" in out


def test_a_reader_follows_another_process(tmp_path: Path, script: Script) -> None:
    path = str(tmp_path / "studies.db")
    open_store(path).close()
    writer = script(BUSY, path, "w")
    reader = open_store(path, readonly=True)
    seen: set[int] = set()
    cursor = 0
    while len(seen) < 40:
        if not reader.studies():
            assert writer.poll() in (None, 0), writer.communicate()
            continue
        changes = reader.changed("first", cursor)
        cursor = changes.cursor
        seen |= {t.number for t in changes.trials if t.state is State.COMPLETED}
    assert writer.wait() == 0, writer.communicate()
    reader.close()


def test_a_server_that_went_away_and_came_back_is_found_again(fresh_postgres: str) -> None:
    import psycopg

    store = open_store(fresh_postgres)
    store.create(a_spec())
    with psycopg.connect(fresh_postgres.replace("+psycopg", ""), autocommit=True) as other:
        for use in (
            lambda: store.propose("first", points(1)),
            lambda: store.study("first"),
            lambda: store.changed("first"),
        ):
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            use()
    assert len(store.changed("first").trials) == 1
    store.close()
