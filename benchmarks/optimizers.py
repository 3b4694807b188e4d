"""How few trainings each algorithm needs: regret and rank after 25, 50 and 100 trials, thinking time, and calibration.

    python benchmarks/optimizers.py [--algorithms gp,random] [--seeds 1,2,3] [--tasks NAME...] [--trials 100] [--own]
                                    [--workers 1,8,16]

Where the folder shared/bench lies beside this repository its tasks are used, and the runs of other optimisers that are
recorded there are compared with; otherwise functions like those of BBOB, and models of scikit-learn that are trained.
Regret is (best so far - best known) / (median of random points - best known), averaged over seeds, then over tasks; rank is the
mean over tasks of the rank of that average. Calibration is the share of held-out random points that lie within the 90% interval
which the Gaussian process gives after 50 trials. Workers are simulated: each trial takes between half and one and a half
units of time, drawn by the seed, and a free worker asks at once, knowing what runs but not how it ends.
"""

# ruff: noqa: E402 - the number of threads is set before NumPy is loaded
from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np
from luthier_adapter import Tuner

from luthier.optimizers.gp.optimizer import GP, Process
from luthier.study import Trial

SHARED = Path(__file__).resolve().parents[2] / "shared" / "bench"
AT = (25, 50, 100)
Config = Mapping[str, Any]


class Function:
    """A task of our own: `params` as the adapter takes them, and a loss."""

    def __init__(self, params: list[dict[str, Any]], loss: Callable[[Config], float]) -> None:
        self.params = params
        self.loss = loss

    def __call__(self, config: Config) -> float:
        return self.loss(config)


def number(name: str, low: float, high: float, kind: str = "float", log: bool = False) -> dict[str, Any]:
    return {"name": name, "type": kind, "low": low, "high": high, "log": log, "cond": None}


def rotated(kind: str, dimensions: int) -> Function:
    """A function like one of BBOB's: shifted, rotated, in [-5, 5]."""
    rng = np.random.default_rng(len(kind) + dimensions)
    shift = rng.uniform(-3, 3, dimensions)
    turn, _ = np.linalg.qr(rng.standard_normal((dimensions, dimensions)))

    def loss(config: Config) -> float:
        x = turn @ (np.array([config[f"x{i}"] for i in range(dimensions)]) - shift)
        if kind == "ellipsoid":
            return float((10.0 ** (4 * np.arange(dimensions) / (dimensions - 1)) * x**2).sum())
        if kind == "rastrigin":
            return float(10 * dimensions + (x**2 - 10 * np.cos(2 * math.pi * x)).sum())
        x = x + 1.0
        return float((100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum())

    return Function([number(f"x{i}", -5.0, 5.0) for i in range(dimensions)], loss)


def forest() -> Function:
    params = [
        number("max_features", 0.05, 1.0),
        number("min_samples_leaf", 1, 50, "int", log=True),
        number("max_depth", 1, 30, "int", log=True),
        {"name": "criterion", "type": "cat", "choices": ["gini", "entropy"], "cond": None},
    ]

    def loss(config: Config) -> float:
        from sklearn.datasets import load_breast_cancer
        from sklearn.ensemble import ExtraTreesClassifier
        from sklearn.model_selection import cross_val_score

        model = ExtraTreesClassifier(n_estimators=20, random_state=0, **config)
        x, y = load_breast_cancer(return_X_y=True)
        return float(-cross_val_score(model, x, y, cv=3, scoring="neg_log_loss").mean())

    return Function(params, loss)


def machine() -> Function:
    params: list[dict[str, Any]] = [
        {"name": "kernel", "type": "cat", "choices": ["rbf", "poly", "linear"], "cond": None},
        number("C", 1e-3, 1e4, log=True),
        number("gamma", 1e-5, 10.0, log=True) | {"cond": ("kernel", ["rbf", "poly"])},
        number("degree", 2, 5, "int") | {"cond": ("kernel", ["poly"])},
    ]

    def loss(config: Config) -> float:
        from sklearn.datasets import load_wine
        from sklearn.model_selection import cross_val_score
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from sklearn.svm import SVC

        model = make_pipeline(StandardScaler(), SVC(random_state=0, max_iter=20_000, **config))
        x, y = load_wine(return_X_y=True)
        return float(1.0 - cross_val_score(model, x, y, cv=5).mean())

    return Function(params, loss)


OWN: dict[str, Callable[[], Function]] = {
    "bbob-like ellipsoid": lambda: rotated("ellipsoid", 5),
    "bbob-like rastrigin": lambda: rotated("rastrigin", 5),
    "bbob-like rosenbrock": lambda: rotated("rosenbrock", 5),
    "real forest": forest,
    "real svc": machine,
}


def available() -> tuple[dict[str, Callable[[], Any]], list[dict[str, Any]]]:
    """The tasks by name, and what is recorded of other optimisers on them."""
    missing = [name for name in ("onnxruntime", "cocoex") if find_spec(name) is None]
    if SHARED.exists() and missing:
        print(f"only our own tasks: those of shared/bench need {' and '.join(missing)}", file=sys.stderr)
    if not SHARED.exists() or missing:
        return dict(OWN), []
    sys.path.insert(0, str(SHARED))
    import tasks  # type: ignore[import-not-found]

    recorded = [
        json.loads(line)
        for file in sorted((SHARED / "results").glob("*.jsonl"))
        for line in file.read_text().splitlines()
    ]
    return {name: partial(tasks.get, name) for name in tasks.names()}, recorded


def played(
    task: Any, algorithm: str, seed: int, trials: int, workers: int = 1
) -> tuple[list[float], float, list[Trial], Tuner]:
    """The loss of every trial as they end, the median of the last 20 asks in ms, the trials and the tuner."""
    tuner = Tuner(task.params, seed, algorithm)
    durations = np.random.default_rng(seed).uniform(0.5, 1.5, trials)
    busy: list[tuple[float, Trial]] = []
    losses, asks, told = [], [], []
    now = 0.0
    for asked in range(trials + workers):
        if asked < trials:
            start = time.perf_counter()
            trial = tuner.begin([trial for _, trial in busy])
            asks.append(time.perf_counter() - start)
            busy.append((now + float(durations[asked]), trial))
        if busy and (len(busy) == workers or asked >= trials):
            busy.sort(key=lambda pair: pair[0])
            now, trial = busy.pop(0)
            losses.append(float(task(dict(trial.params))))
            told.append(tuner.end(trial, losses[-1]))
    return losses, 1e3 * float(np.median(asks[-20:])), told, tuner


def covered(task: Any, tuner: Tuner, told: Sequence[Trial], points: int = 100) -> float:
    """The share of held-out points within the 90% interval after 50 trials."""
    process = Process(tuner.problem, GP())
    process.tell(told[:50])
    rng = np.random.default_rng(12345)
    configs = [tuner.problem.space.sample(rng) for _ in range(points)]
    mean, sd = process.predict(configs)
    truth = np.array([float(task(config)) for config in configs])
    return float(np.mean(np.abs(truth - mean) <= 1.645 * sd))


def report(runs: Sequence[Mapping[str, Any]], tasks: Sequence[str]) -> None:
    """The table, of everyone who ran on all of the tasks."""
    curves: dict[tuple[str, str], list[list[float]]] = defaultdict(list)
    for run in runs:
        if run["task"] in tasks and len(run["ys"]) >= AT[-1]:
            curves[run["peer"], run["task"]].append(list(np.minimum.accumulate(run["ys"])))
    peers = [p for p in dict.fromkeys(p for p, _ in curves) if all((p, t) in curves for t in tasks)]
    best = {t: min(min(run["ys"]) for run in runs if run["task"] == t) for t in tasks}
    chance = {
        t: float(
            np.median([y for run in runs if run["task"] == t and run["peer"] == "random" for y in run["ys"]])
        )
        for t in tasks
    }
    regret = {
        (p, t): [
            float(np.mean([(c[k - 1] - best[t]) / max(chance[t] - best[t], 1e-300) for c in curves[p, t]]))
            for k in AT
        ]
        for p in peers
        for t in tasks
    }
    print(f"{'':18s}" + "".join(f"  regret@{k:<4d} rank@{k:<4d}" for k in AT) + "  seeds")
    rows = []
    for p in peers:
        ranks = [
            [
                1.0
                + sum(regret[q, t][i] < regret[p, t][i] for q in peers)
                + 0.5 * sum(regret[q, t][i] == regret[p, t][i] for q in peers if q != p)
                for t in tasks
            ]
            for i in range(len(AT))
        ]
        cells = [(np.mean([regret[p, t][i] for t in tasks]), np.mean(ranks[i])) for i in range(len(AT))]
        rows.append((float(cells[-1][1]), p, cells, min(len(curves[p, t]) for t in tasks)))
    for _, p, cells, seeds in sorted(rows):
        print(f"{p:18s}" + "".join(f"  {r:11.4f} {k:9.2f}" for r, k in cells) + f"  {seeds:5d}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--algorithms", default="auto,gp,random")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--tasks", nargs="*")
    parser.add_argument("--workers", default="1", help="how many trials run at once, several to compare")
    parser.add_argument("--own", action="store_true", help="our own tasks, also where shared/bench is there")
    given = parser.parse_args()
    tasks, recorded = (dict(OWN), []) if given.own else available()
    names = given.tasks or list(tasks)
    runs = list(recorded)
    asks: dict[str, list[float]] = defaultdict(list)
    coverage: dict[str, list[float]] = defaultdict(list)
    for algorithm, workers in product(given.algorithms.split(","), map(int, given.workers.split(","))):
        peer = f"luthier-{algorithm}" if recorded else algorithm
        peer += f" x{workers}" if workers > 1 else ""
        for seed in map(int, given.seeds.split(",")):
            for name in names:
                task = tasks[name]()
                losses, ask, told, tuner = played(task, algorithm, seed, given.trials, workers)
                runs.append({"peer": peer, "task": name, "seed": seed, "ys": losses})
                asks[peer].append(ask)
                if algorithm == "gp" and workers == 1:
                    coverage[name].append(covered(task, tuner, told))
                print(
                    f"{peer} {name} {seed}: best {min(losses):.6g}, ask {ask:.1f} ms",
                    file=sys.stderr,
                    flush=True,
                )
    for family in sorted({name.partition(":")[0].split()[0].split("_")[0] for name in names}):
        mine = [name for name in names if name.startswith(family)]
        print(f"\n{family}: {len(mine)} tasks")
        report(runs, mine)
    print(f"\nall: {len(names)} tasks")
    report(runs, names)
    print(
        "\nask, median of the last 20, over runs: "
        + ", ".join(f"{p} {np.median(a):.1f} ms" for p, a in asks.items())
    )
    if coverage:
        print("\n90% intervals after 50 trials hold of 100 random points, by task:")
        for name, found in coverage.items():
            print(f"  {name:24s} {np.mean(found):.0%}")
        print(f"  {'all':24s} {np.mean([c for found in coverage.values() for c in found]):.0%}")


if __name__ == "__main__":
    main()
