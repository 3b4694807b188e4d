"""The studio on a study of 100,000 trials of 8 parameters: how much it sends, how long it takes, how much memory it needs.

A studio of its own is started on a store that is made for it. Must hold: every answer at most 100 KB compressed; a page of the leaderboard in
100 ms at any rank and in any order; numbers of charts in 150 ms; the first chart in a browser 1.5 s after navigation; the server under 300 MB; a
trial of another process heard of within a second. With `--optuna`, optuna-dashboard shows the same trials in the same browser, and must send ten
times as much and take five times as long. Its database is made by Optuna where there is none, which takes half an hour for 100,000 trials.

    python benchmarks/studio.py [--trials 100000] [--runs 15] [--no-browser] [--optuna optuna.db]

Needs the group `bench` and Chromium for what a browser measures.
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

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
FIRST_CHART_MS, LESS_DATA, SOONER = 1500, 10, 5
MOST_SECONDS = 600
VIEWS = ("parallel", "scatter", "slice", "contour", "importance", "curves", "timeline")
MODELLED = ("slice", "contour", "importance")


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


# --- in a browser --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class First:
    """The first chart of a page: when it was there, in milliseconds after navigation, and how many bytes had come until then.

    Where it was not there in ten minutes, that is `late`, and both are what they were by then.
    """

    milliseconds: float
    bytes: int
    late: bool = False


def first_chart(address: str, page_path: str, there: str, login: str | None = None) -> First:
    """Open a page in a browser that has nothing in its cache, and wait until the script `there` is true; it gives the time of the
    chart where the page says it, else true.
    """
    from playwright.sync_api import TimeoutError as Late
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    received: dict[str, int] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
        if login is not None:
            page.goto(login)
            page.goto("about:blank")
        page.set_default_timeout(MOST_SECONDS * 1000)
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        session.send("Network.setCacheDisabled", {"cacheDisabled": True})

        def count(event: dict[str, Any]) -> None:
            received[event["requestId"]] = received.get(event["requestId"], 0) + event["encodedDataLength"]

        session.on("Network.dataReceived", count)
        began = time.perf_counter()
        page.goto(f"{address}{page_path}", wait_until="commit")
        try:
            said = page.wait_for_function(there, polling=50).json_value()
        except Late:
            said = None
        took = (time.perf_counter() - began) * 1000
        at = said if isinstance(said, int | float) and not isinstance(said, bool) else took
        found = First(at, sum(received.values()), late=said is None)
        browser.close()
    return found


OURS = "() => performance.getEntriesByName('luthier-chart')[0]?.startTime ?? false"
THEIRS = "() => document.querySelectorAll('.js-plotly-plot .plot-container .trace, .js-plotly-plot .gl-canvas').length > 0"


@contextmanager
def dashboard(path: Path) -> Iterator[str]:
    """optuna-dashboard on a database."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        str(Path(sys.executable).with_name("optuna-dashboard")),
        f"sqlite:///{path}",
        "--port",
        str(port),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(300):
                with socket.socket() as there:
                    if there.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def fill_optuna(store: Store, path: Path) -> int:
    """The same trials as Optuna has them, by its own means; those that are there are not made again. How many there are."""
    import optuna
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    spread: dict[str, Any] = {f"x{i}": FloatDistribution(1e-4, 1, log=True) for i in range(5)}
    spread |= {"n": IntDistribution(1, 1000), "kind": CategoricalDistribution(["a", "b", "c"])}
    spread |= {"flag": CategoricalDistribution([True, False])}
    study = optuna.create_study(storage=f"sqlite:///{path}", study_name="large", load_if_exists=True)
    there = study._storage.get_n_trials(study._study_id)
    total = sum(store.study("large").counts.values())
    for low in range(there, total, AT_ONCE):
        made = []
        for trial in store.trials("large", range(low, min(low + AT_ONCE, total))):
            about: dict[str, Any] = {"params": dict(trial.params), "distributions": spread}
            about |= (
                {"value": trial.metrics["loss"]} if trial.metrics else {"state": optuna.trial.TrialState.FAIL}
            )
            made.append(optuna.trial.create_trial(**about))
        study.add_trials(made)
        print(f"\rOptuna: {low + len(made):,} of {total:,} trials", end="", file=sys.stderr)
    return max(there, total)


def in_a_browser(store: Store, path: Path, optuna_path: Path | None, runs: int) -> list[str]:
    """What does not hold of the first chart."""
    broken = []
    with studio(path) as (login, _):
        address = login.partition("/login")[0]
        Client(login).get("/s/large")
        found = {}
        for what, where in (("a study", "/s/large"), ("explore", "/s/large/explore")):
            every = [first_chart(address, where, OURS, login) for _ in range(runs)]
            found[what] = First(median(one.milliseconds for one in every), max(one.bytes for one in every))
            print(
                f"first chart of {what:10} {found[what].milliseconds:7.0f} ms   {found[what].bytes / 1000:7.0f} KB"
            )
            if found[what].milliseconds > FIRST_CHART_MS:
                broken.append(f"first chart of {what} after {found[what].milliseconds:.0f} ms")
    if optuna_path is not None:
        total = fill_optuna(store, optuna_path)
        with dashboard(optuna_path) as address:
            theirs = first_chart(address, "/dashboard/studies/1", THEIRS)
        print(
            f"optuna-dashboard, {total:,} trials {theirs.milliseconds:7.0f} ms   {theirs.bytes / 1000:7.0f} KB"
        )
        ours = found["a study"]
        less, sooner = theirs.bytes / ours.bytes, theirs.milliseconds / ours.milliseconds
        print(f"that is {less:.1f} times the data and {sooner:.1f} times the time")
        broken += [f"only {less:.1f} times less data"] * (less < LESS_DATA)
        broken += [f"only {sooner:.1f} times sooner"] * (sooner < SOONER)
    return broken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument(
        "--runs", type=int, default=15, help="how often each address is asked for; medians are reported"
    )
    parser.add_argument("--no-browser", dest="browser", action="store_false", help="measure no browser")
    parser.add_argument("--optuna", type=Path, help="compare with optuna-dashboard on this database")
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
        "leaderboard by x0": ("/s/large/part/board?by=x0", BOARD_MS),
        "leaderboard by -x0, middle": (f"/s/large/part/board?by=-x0&from={last // 2}", BOARD_MS),
        "leaderboard, filtered": ("/s/large/part/board?f=x0:1e-3..1e-2+kind:a", BOARD_MS),
        "failures": ("/s/large/part/failures", None),
        "trial": (f"/s/large/t/{given.trials // 2}", None),
        **{f"{view}, numbers": (f"/s/large/explore/{view}.json", CHART_MS) for view in VIEWS},
        **{f"{view}, in words": (f"/s/large/explore/part?view={view}", None) for view in VIEWS},
        "parallel, brushed": ("/s/large/explore/parallel.json?f=x0:1e-3..1e-1", CHART_MS),
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
            for view in (*VIEWS, "parallel", "scatter"):
                fresh, _, _ = client.get(f"/s/large/explore/{view}.json?sel=1")
                print(f"{view + ', asked for the first time':40} {fresh:7.0f} ms")
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
        if given.browser:
            broken += in_a_browser(store, path, given.optuna, min(given.runs, 5))
        store.close()
    broken += [f"heard after {max(late):.0f} ms"] * (max(late) > 1000) + [f"{most:.0f} MB"] * (
        most > MEMORY_MB
    )
    print("does not hold: " + "; ".join(broken) if broken else "all of it holds")
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
