"""What leaves the studio as a file: over HTTP, with real stores."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import quote

import pytest

import luthier as lt
from luthier.analysis.table import unspoiled
from luthier.onepage import report
from luthier.store.url import open_store
from luthier.studio.export import handlers
from luthier.study import Completed, Failed, Objective, Problem, Proposal, Record
from tests.studio.conftest import Book, Served

EVIL = '=HYPERLINK("http://x")'


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize(
    ("cell", "safe"),
    [
        ("=1+1", "'=1+1"), ("+cmd", "'+cmd"), ("-cmd", "'-cmd"), ("@sum", "'@sum"), ("\t=1", "'\t=1"), ("\r=1", "'\r=1"), ("＝1", "'＝1"),
        ("-1.5e3", "-1.5e3"), ("+2", "+2"), ("-inf", "-inf"), ("-", "'-"), ("a=b", "a=b"), ("", ""), (-1.5, -1.5), (None, None), ("-1-1", "'-1-1"),
    ],
)  # fmt: skip
def test_no_spreadsheet_takes_a_cell_for_a_formula(cell: object, safe: object) -> None:
    assert unspoiled(cell) == safe


@pytest.fixture
def nasty(book: Book) -> str:
    """Formulas, quotes, line ends and odd numbers, in names, values and reasons."""
    space = lt.Space(**{"=x": lt.Float(0, 1), "kind": lt.Choice(EVIL, "a,b", None, True, 1)})
    name = book.study('a "b", é', problem=Problem(space, (Objective("loss", "min"),)))
    for value, kind in ((0.5, EVIL), (math.inf, "a,b"), (math.nan, None), (-0.5, 1), (0.1, True)):
        (trial,) = book.store.propose(name, [Proposal({"=x": 0.5, "kind": kind})], claim=("w", 60.0))
        book.store.record(name, [Record(trial.number, 1, Completed({"loss": value, "+more": 1.0}))])
    (trial,) = book.store.propose(name, [Proposal({"=x": 0.25, "extra": -7})], claim=("w", 60.0))
    book.store.record(name, [Record(trial.number, 1, Failed('@bad\n"quoted"'))])
    return name


def test_csv_has_a_column_for_all_that_occurs_and_no_formula(studio: Served, nasty: str) -> None:
    answer = studio.get(f"/s/{quote(nasty)}/export/trials.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"].endswith("filename*=UTF-8''a%20%22b%22%2C%20%C3%A9.csv")
    rows = rows_of(answer.text)
    assert list(rows[0])[:9] == [
        "number",
        "state",
        "fidelity",
        "parent",
        "params.=x",
        "params.kind",
        "params.extra",
        "metrics.loss",
        "metrics.+more",
    ]
    assert [row["params.kind"] for row in rows] == [f"'{EVIL}", "a,b", "", "1", "True", ""]
    assert [row["metrics.loss"] for row in rows] == ["0.5", "inf", "nan", "-0.5", "0.1", ""]
    assert (rows[5]["reason"], rows[5]["params.extra"]) == ('\'@bad\n"quoted"', "-7")
    assert not [cell for row in rows for cell in row.values() if cell[:1] in ("=", "@", "+")]


def test_the_command_line_writes_the_same(studio: Served, nasty: str, place: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "luthier", "trials", nasty, "--csv", "--store", str(place)],
        capture_output=True,
        check=True,
    )
    assert rows_of(done.stdout.decode()) == rows_of(studio.get(f"/s/{quote(nasty)}/export/trials.csv").text)


def test_json_lines_keep_kinds_and_say_odd_numbers(studio: Served, nasty: str) -> None:
    answer = studio.get(f"/s/{quote(nasty)}/export/trials.jsonl")
    rows = [json.loads(line) for line in answer.text.splitlines()]
    assert [row["params"].get("kind") for row in rows] == [EVIL, "a,b", None, 1, True, None]
    assert [row["metrics"].get("loss") for row in rows] == [0.5, "Infinity", "NaN", -0.5, 0.1, None]


def test_parquet_holds_the_same_columns(studio: Served, nasty: str) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    answer = studio.get(f"/s/{quote(nasty)}/export/trials.parquet")
    table = parquet.read_table(io.BytesIO(answer.body))
    assert table.column("params.kind").to_pylist() == [EVIL, "a,b", None, "1", "True", None]
    assert table.column("params.extra").to_pylist() == [None] * 5 + [-7]
    assert str(table.schema.field("params.=x").type) == "double"
    assert [str(v) for v in table.column("metrics.loss").to_pylist()] == [
        "0.5",
        "inf",
        "nan",
        "-0.5",
        "0.1",
        "None",
    ]


def test_an_export_keeps_to_the_filter_of_the_page(studio: Served, first: str) -> None:
    rows = rows_of(studio.get("/s/first/export/trials.csv?f=" + quote("state:completed loss<0.45")).text)
    assert [row["number"] for row in rows] == ["1", "3"]
    wrong = studio.get("/s/first/export/trials.csv?f=" + quote("nothing>1"))
    assert (wrong.status, "nothing" in wrong.text) == (422, True)


def test_a_study_without_trials_is_a_head_and_no_more(studio: Served, book: Book) -> None:
    book.study("none")
    assert studio.get("/s/none/export/trials.csv").text.count("\n") == 1
    assert studio.get("/s/none/export/trials.jsonl").body == b""
    assert studio.get("/s/none/export/trials.parquet").status == 200
    for odd in ("trials.exe", "trials.", "other.csv", "../../first"):
        assert studio.get(f"/s/none/export/{odd}").status == 404, odd


def resident(field: str) -> int:
    """Kilobytes that this process has in memory (VmRSS), or had at most (VmHWM)."""
    return int(re.findall(rf"{field}:\s+(\d+)", Path("/proc/self/status").read_text())[0])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read off /proc")
def test_twenty_thousand_trials_leave_in_pieces(studio: Served, book: Book) -> None:
    name = book.study("big")
    n = 20_000
    for low in range(0, n, 5_000):
        points = [Proposal({"x": i / n, "n": i % 100 + 1, "kind": "a"}) for i in range(low, low + 5_000)]
        book.store.propose(name, points, claim=("w", 600.0))
        book.store.record(
            name, [Record(i, 1, Completed({"loss": float(i), "note": 1.0})) for i in range(low, low + 5_000)]
        )
    assert "20,000" in studio.get("/s/big/part/head").text
    before, most, done = resident("VmRSS"), 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.02):
            most = max(most, resident("VmRSS"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.monotonic()
    reply = studio.get("/s/big/export/trials.csv")
    took = time.monotonic() - began
    done.set()
    watcher.join()
    assert reply.body.count(b"\n") == n + 1
    assert most - before < 40_000, (
        f"{most - before} kB more for {len(reply.body):,} bytes in {took:.1f} s"
    )  # 20,000 whole trials are 60 MB


# --- the report --------------------------------------------------------------------------------


def test_the_report_is_one_page_without_scripts_or_addresses(studio: Served, first: str, book: Book) -> None:
    book.store.remember("first", {"note": "<b>note</b>", "tag 1 keep": True})
    answer = studio.get("/s/first/export/report.html")
    assert (answer.status, answer.headers["content-disposition"].startswith("attachment")) == (200, True)
    for said in (
        "&lt;b&gt;note",
        "0.300 ± 0.058",
        "ValueError: no way 12",
        "data:image/svg+xml;base64,",
        "To do it again",
        "keep",
    ):
        assert said in answer.text
    assert not re.findall(r"<script|javascript:|https?://|<b>note", answer.text)
    assert "default-src 'none'" in answer.text


def test_reports_are_made_one_at_a_time_whatever_the_study_is_called(
    studio: Served, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    book.study("-o --help")
    assert "No trial has a value yet" in studio.get(f"/s/{quote('-o --help')}/export/report.html").text
    monkeypatch.setattr(handlers, "WAIT_SECONDS", 0.05)
    begun, go_on = threading.Event(), threading.Event()

    def slow(arguments: list[str], url: str | None) -> None:
        begun.set()
        go_on.wait(20)
        Path(arguments[2]).write_text("made")

    monkeypatch.setattr(handlers, "_run", slow)
    first = threading.Thread(target=studio.get, args=(f"/s/{quote('-o --help')}/export/report.html",))
    first.start()
    assert begun.wait(20)
    answer = studio.get(f"/s/{quote('-o --help')}/export/report.html")
    go_on.set()
    first.join()
    assert (answer.status, "Another report" in answer.text) == (503, True)


def test_the_report_of_a_study_without_trials_says_so(book: Book, place: Path) -> None:
    book.study("none")
    study = lt.load("none", str(place))
    text = report(study)
    study.close()
    assert "No trial has a value yet" in text
    assert "Nothing failed" in text


def test_the_command_line_writes_the_report_and_says_where_it_cannot(
    nasty: str, place: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "luthier", "report", nasty, "--store", str(place), "-o"]
    done = subprocess.run([*command, str(tmp_path / "r.html")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, f"wrote {tmp_path / 'r.html'}\n")
    assert "HYPERLINK(&quot;" in (tmp_path / "r.html").read_text()
    wrong = subprocess.run(
        [*command, str(tmp_path / "no/r.html")], capture_output=True, text=True, check=False
    )
    assert (wrong.returncode, "Choose another file" in wrong.stderr) == (2, True)


# --- the database ------------------------------------------------------------------------------


def test_the_owner_gets_a_whole_copy_of_the_store(
    studio: Served, book: Book, first: str, tmp_path: Path
) -> None:
    answer = studio.get("/export/database")
    assert answer.headers["content-disposition"].startswith('attachment; filename="studies.db"')
    copy = tmp_path / "copy.db"
    copy.write_bytes(answer.body)
    assert sqlite3.connect(copy).execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    opened = open_store(str(copy))
    assert str(opened.changed("first").trials) == str(book.store.changed("first").trials)
    opened.close()
    assert studio.call("/export/database", token=studio.viewer).status == 403
