"""What an endpoint costs: requests a second and latencies of a served model, beside the bare `predict` of the same model.

Models are fitted here, kept and served as `luthier serve` does, on loopback: a linear one and a forest, of 13 columns of numbers. A request
is a prediction with probabilities. The overhead is the median latency less that of the bare model, which is asked in this process for the
same rows, as a data frame that is made of the same JSON.

On a machine that others use, too, look at the processor time of a request in each process, which they do not change much.

    python benchmarks/serving.py [--seconds 3]
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from luthier.estimators.data import Data
from luthier.models import load_model, save_model

MODELS = {
    "linear": lambda: make_pipeline(StandardScaler(), LogisticRegression()),
    "forest": lambda: RandomForestClassifier(100, random_state=0),
}
ROWS = (1, 1000)
CLIENTS = 4


class Client:
    """One connection that stays open."""

    def __init__(self, address: str, token: str) -> None:
        found = re.fullmatch(r"http://([^:]+):(\d+)", address)
        assert found is not None
        self._connection = http.client.HTTPConnection(found[1], int(found[2]), timeout=60)
        self._connection.connect()
        self._headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}

    def predict(self, body: bytes) -> None:
        self._connection.request("POST", "/predict", body, self._headers)
        answer = self._connection.getresponse()
        said = answer.read()
        assert answer.status == 200, said


@contextmanager
def served(home: Path, name: str) -> Iterator[tuple[int, Callable[[], Client]]]:
    command = [
        sys.executable,
        "-m",
        "luthier",
        "serve",
        name,
        "--port",
        "0",
        "--store",
        str(home / "studies.db"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        address = process.stdout.readline().strip()
        token = process.stderr.readline().split()[-1]
        threading.Thread(target=process.stderr.read, daemon=True).start()  # nobody reads the access log
        yield process.pid, lambda: Client(address, token)
        process.terminate()


def timed(ask: Callable[[], object], seconds: float) -> np.ndarray:
    """Milliseconds of each call, for so long."""
    for _ in range(5):
        ask()
    found = []
    end = time.perf_counter() + seconds
    while (begun := time.perf_counter()) < end:
        ask()
        found.append(1000 * (time.perf_counter() - begun))
    return np.array(found)


def at_once(new: Callable[[], Client], body: bytes, seconds: float) -> float:
    """Requests a second of several clients."""
    counts: list[int] = []

    def work(client: Client) -> None:
        counts.append(len(timed(lambda: client.predict(body), seconds)))

    threads = [threading.Thread(target=work, args=(new(),)) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / seconds


def bare(model: object, body: bytes) -> Callable[[], object]:
    def ask() -> object:
        X = pd.DataFrame(json.loads(body)["rows"])
        return model.predict(X), model.predict_proba(X)  # type: ignore[attr-defined]

    return ask


def used(pid: int) -> tuple[float, float]:
    """Milliseconds of a processor that the front and the model's process have had so far."""
    task = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return _used(pid), sum(_used(int(child)) for child in task)


def _used(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return 1000 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(home: Path, name: str, X: pd.DataFrame, seconds: float) -> None:
    model = load_model(home, name)
    with served(home, name) as (pid, new):
        for rows in ROWS:
            records = X.sample(rows, replace=True, random_state=0).to_dict("records")
            body = json.dumps({"rows": records}).encode()
            alone = timed(bare(model, body), seconds)
            client = new()
            before = used(pid)
            asked = timed(lambda c=client, b=body: c.predict(b), seconds)  # type: ignore[misc]
            front, child = (
                (after - earlier) / (len(asked) + 5) for after, earlier in zip(used(pid), before, strict=True)
            )
            cost = np.median(asked) - np.median(alone)
            print(
                f"{name:8} {rows:5} rows  bare {np.median(alone):8.2f} ms   served p50 {np.median(asked):8.2f} p95 "
                f"{np.quantile(asked, 0.95):8.2f} ms   overhead {cost:6.2f} ms   {len(asked) / seconds:7.0f} requests/s, "
                f"{CLIENTS} clients {at_once(new, body, seconds):7.0f}   processor: front {front:.2f} ms, model {child:.2f} ms a request"
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=3.0)
    seconds = parser.parse_args().seconds
    X, y = load_wine(return_X_y=True, as_frame=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, make in MODELS.items():
            save_model(folder, name, make().fit(X, y), meta={"task": "classification"}, data=Data.of(X, y))
            measure(Path(folder), name, X, seconds)


if __name__ == "__main__":
    main()
