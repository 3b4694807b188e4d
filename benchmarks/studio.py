"""The studio on a study of 100,000 trials of 8 parameters: how much it sends, how long it takes, how much memory it needs.

A studio of its own is started on a store that is made for it. Must hold: every answer at most 100 KB compressed; a page of the leaderboard in
100 ms at any rank; numbers of charts in 150 ms; the server under 300 MB; a trial of another process heard of within a second.

    python benchmarks/studio.py [--trials 100000] [--runs 15]
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np

import luthier as lt
from luthier.store.base import Store
from luthier.store.url import open_store
from luthier.study import Budget, Completed, Failed, Named, Objective, Problem, Proposal, Record, StudySpec

SPACE = lt.Space(
    {f"x{i}": lt.Float(1e-4, 1, log=True) for i in range(5)}
    | {"n": lt.Int(1, 1000), "kind": lt.Choice("a", "b", "c"), "flag": lt.Choice(True, False)}
)
AT_ONCE = 2_000
LIMIT_KB, BOARD_MS, CHART_MS, MEMORY_MB = 100, 100, 150, 300


def fill(store: Store, trials: int) -> None:
    """A study as an engine with 2,000 workers would leave it."""
    rng = np.random.default_rng(0)
    store.create(
        StudySpec(
            "large",
            Problem(SPACE, (Objective("loss", "min"),)),
            Named("random"),
            budget=Budget(trials=trials),
        )
    )
    for start in range(0, trials, AT_ONCE):
        n = min(AT_ONCE, trials - start)
        points = [_point(row) for row in rng.random((n, len(SPACE)))]
        made = store.propose(
            "large", [Proposal(point, tag={"by": "random"}) for point in points], claim=("w", 1e9)
        )
        store.record(
            "large", [Record(trial.number, 1, _outcome(trial.number, trial.params, rng)) for trial in made]
        )


def _point(units: np.ndarray) -> dict[str, lt.space.Scalar]:
    return SPACE.at(dict(zip(SPACE, map(float, units), strict=True)))


def _outcome(number: int, params: object, rng: np.random.Generator) -> Completed | Failed:
    if rng.random() < 0.01:
        return Failed(f"ValueError: no convergence after {number} steps", "Traceback ...")
    values = [value for value in dict(params).values() if isinstance(value, float)]  # type: ignore[call-overload]
    return Completed({"loss": float(np.sum((np.log(values) + 3) ** 2) + rng.normal())})


class Client:
    """A browser, as far as this is about bytes and time: one connection, compressed answers."""

    def __init__(self, address: str) -> None:
        found = re.fullmatch(r"http://([^:]+):(\d+)/login\?token=(.*)", address)
        assert found is not None
        self._connection = http.client.HTTPConnection(found[1], int(found[2]), timeout=120)
        self._headers = {"authorization": f"Bearer {found[3]}", "accept-encoding": "gzip"}

    def get(self, path: str) -> tuple[float, int, bytes]:
        """Milliseconds, bytes on the wire, the answer."""
        began = time.perf_counter()
        self._connection.request("GET", path, headers=self._headers)
        answer = self._connection.getresponse()
        body = answer.read()
        took = (time.perf_counter() - began) * 1000
        assert answer.status == 200, (path, answer.status, body[:200])
        text = gzip.decompress(body) if answer.getheader("content-encoding") == "gzip" else body
        return took, len(body), text

    def events(self, path: str) -> http.client.HTTPResponse:
        self._connection.request("GET", path, headers=self._headers)
        return self._connection.getresponse()


@contextmanager
def studio(store: Path) -> Iterator[tuple[str, int]]:
    command = [
        sys.executable,
        "-m",
        "luthier",
        "studio",
        "--store",
        str(store),
        "--port",
        "0",
        "--no-browser",
    ]
    with subprocess.Popen(command, stdout=-1, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip(), process.pid
        finally:
            process.terminate()


def memory(pid: int, what: str) -> float:
    """VmRSS or VmHWM, the most there was, in MB."""
    found = re.search(rf"{what}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1000 if found else float("nan")


def heard(store: Store, address: str) -> list[float]:
    """Milliseconds from the commit of a trial to the end of the answer with the new leaderboard."""
    listener, client, late = Client(address), Client(address), []
    events = listener.events("/s/large/events")

    def until(ended: int) -> None:
        while True:
            line = events.readline()
            if line.startswith(b"data: ") and json.loads(line[6:])["ended"] >= ended:
                return

    total = sum(n for state, n in store.study("large").counts.items() if state.ended)
    until(total)
    for i in range(10):
        (trial,) = store.propose("large", [Proposal(_point(np.full(len(SPACE), 0.5)))], claim=("w", 60.0))
        time.sleep(0.3 + 0.07 * i)
        store.record("large", [Record(trial.number, 1, Completed({"loss": -float(i)}))])
        began = time.perf_counter()
        until(total + i + 1)
        _, _, text = client.get("/s/large/part/top")
        assert f"#{trial.number}<" in text.decode()
        late.append((time.perf_counter() - began) * 1000)
    return late


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument(
        "--runs", type=int, default=15, help="how often each address is asked for; medians are reported"
    )
    given = parser.parse_args()
    last = given.trials - given.trials // 50
    paths = {
        "list": ("/", None),
        "study, whole page": ("/s/large", None),
        "best so far, numbers": ("/s/large/best.json", CHART_MS),
        "best so far, in words": ("/s/large/part/best", None),
        "leaderboard, rank 1": ("/s/large/part/board?from=1", BOARD_MS),
        "leaderboard, middle": (f"/s/large/part/board?from={last // 2}", BOARD_MS),
        "leaderboard, end": (f"/s/large/part/board?from={last}", BOARD_MS),
        "failures": ("/s/large/part/failures", None),
        "trial": (f"/s/large/t/{given.trials // 2}", None),
    }
    broken: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "studies.db"
        store = open_store(str(path))
        began = time.perf_counter()
        fill(store, given.trials)
        print(
            f"{given.trials:,} trials made in {time.perf_counter() - began:.0f} s, {path.stat().st_size / 1e6:.0f} MB"
        )
        with studio(path) as (address, pid):
            client = Client(address)
            cold, _, _ = client.get("/s/large")
            chart, _, _ = client.get("/s/large/best.json")
            print(f"first page of a fresh studio   {cold:7.0f} ms, its chart's numbers {chart:.0f} ms more")
            for label, (where, limit) in paths.items():
                found = [client.get(where) for _ in range(given.runs)]
                took, size = median(t for t, _, _ in found), max(n for _, n, _ in found)
                print(
                    f"{label:30} {took:7.1f} ms   {size / 1000:7.1f} KB   ({len(found[0][2]) / 1000:.0f} KB before compression)"
                )
                if size > LIMIT_KB * 1000:
                    broken.append(f"{label}: {size / 1000:.0f} KB")
                if limit is not None and took > limit:
                    broken.append(f"{label}: {took:.0f} ms")
            late = heard(store, address)
            print(
                f"heard of a new trial, and leaderboard fetched: median {median(late):.0f} ms, at most {max(late):.0f} ms"
            )
            now, most = memory(pid, "VmRSS"), memory(pid, "VmHWM")
            print(f"memory of the studio: {now:.0f} MB, at most {most:.0f} MB (must stay under {MEMORY_MB})")
        store.close()
    broken += [f"heard after {max(late):.0f} ms"] * (max(late) > 1000) + [f"{most:.0f} MB"] * (
        most > MEMORY_MB
    )
    print("does not hold: " + "; ".join(broken) if broken else "all of it holds")
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
