"""How long the default algorithm thinks, beside Optuna's GPSampler in the same process, on one BLAS thread.

Must hold, 10 parameters: with 100 finished trials at most a fifteenth of GPSampler, in mixed and conditional spaces a tenth; with
10,000 the 95th percentile is at most 3 times the median with 300.

    python benchmarks/ask_time.py [--algorithm gp] [--asks 20] [--no-optuna]
"""

# ruff: noqa: E402 - the number of threads is set before NumPy is loaded
from __future__ import annotations

import argparse
import math
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
from luthier_adapter import Tuner

from luthier.study import State, Trial

Parameters = list[dict[str, Any]]


def number(name: str, low: float, high: float, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": "float", "low": low, "high": high, "log": False, "cond": None, **more}


NUMERIC: Parameters = [number(f"x{i}", 1e-3 if i % 2 else 0.0, 1.0, log=bool(i % 2)) for i in range(10)]
MIXED: Parameters = [
    *(number(f"x{i}", 1e-3, 1.0, log=True) for i in range(4)),
    *(number(f"n{i}", 1, 200, type="int", log=True) for i in range(2)),
    {"name": "solver", "type": "cat", "choices": ["adam", "sgd", "lbfgs"], "cond": None},
    {"name": "shape", "type": "cat", "choices": ["flat", "deep"], "cond": None},
    number("momentum", 0.0, 0.99, cond=("solver", ["sgd"])),
    number("width", 8, 256, type="int", log=True, cond=("shape", ["deep"])),
]


def loss(config: Mapping[str, Any]) -> float:
    """Smooth, and different in every branch."""
    total = 0.0
    for i, (name, value) in enumerate(sorted(config.items())):
        x = len(value) if isinstance(value, str) else math.log(value + 1e-3)
        total += (x + 1.0 + 0.3 * i) ** 2 / (1 + i) + 0.1 * math.sin(3 * x) + 0.01 * len(name)
    return total


def luthier_times(parameters: Parameters, algorithm: str, finished: int, asks: int) -> list[float]:
    """The seconds of each ask, from `finished` finished trials on; up to 100 are its own, the rest are random."""
    tuner = Tuner(parameters, 1, algorithm)
    rng = np.random.default_rng(0)
    spare = Tuner(parameters, 2, "random")
    while tuner.number < finished - 100:
        trial = Trial(tuner.number, spare.problem.space.sample(rng), State.RUNNING, 1)
        tuner.number += 1
        tuner.end(trial, loss(trial.params))
    return times(tuner.ask, tuner.tell, finished - tuner.number, asks)


def times(
    ask: Callable[[], dict[str, Any]], tell: Callable[[dict[str, Any], float], None], before: int, asks: int
) -> list[float]:
    seconds = []
    for i in range(before + asks):
        start = time.perf_counter()
        config = ask()
        end = time.perf_counter()
        tell(config, loss(config))
        if i >= before:
            seconds.append(end - start)
    return seconds


def optuna_times(parameters: Parameters, finished: int, asks: int) -> list[float]:
    import optuna
    import torch

    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.GPSampler(seed=1, deterministic_objective=False))
    trials: list[Any] = []

    def ask() -> dict[str, Any]:
        trials.append(trial := study.ask())
        config: dict[str, Any] = {}
        for p in parameters:
            if p["cond"] and config.get(p["cond"][0]) not in p["cond"][1]:
                continue
            if p["type"] == "cat":
                config[p["name"]] = trial.suggest_categorical(p["name"], p["choices"])
            elif p["type"] == "int":
                config[p["name"]] = trial.suggest_int(p["name"], p["low"], p["high"], log=p["log"])
            else:
                config[p["name"]] = trial.suggest_float(p["name"], p["low"], p["high"], log=p["log"])
        return config

    def tell(_: dict[str, Any], value: float) -> None:
        study.tell(trials[-1], value)

    return times(ask, tell, finished, asks)


def shown(name: str, seconds: Sequence[float]) -> str:
    ms = sorted(1e3 * s for s in seconds)
    return (
        f"{name:34s} median {statistics.median(ms):8.1f} ms   p95 {ms[math.ceil(0.95 * len(ms)) - 1]:8.1f} ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--algorithm", default="auto")
    parser.add_argument("--asks", type=int, default=20)
    parser.add_argument("--no-optuna", action="store_true")
    given = parser.parse_args()
    if not given.no_optuna and find_spec("torch") is None:
        print("without Optuna's GPSampler, which needs torch: pip install torch")
        given.no_optuna = True
    for name, parameters in (("10 numbers", NUMERIC), ("mixed and conditional", MIXED)):
        mine = luthier_times(parameters, given.algorithm, 100, given.asks)
        print(shown(f"luthier, {name}, 100", mine), flush=True)
        if not given.no_optuna:
            theirs = optuna_times(parameters, 100, given.asks)
            print(shown(f"optuna GPSampler, {name}, 100", theirs))
            print(f"  ratio of medians {statistics.median(theirs) / statistics.median(mine):.1f}", flush=True)
    few = luthier_times(MIXED, given.algorithm, 300, 2 * given.asks)
    print(shown("luthier, mixed, 300", few), flush=True)
    many = luthier_times(MIXED, given.algorithm, 10_000, 2 * given.asks)
    print(shown("luthier, mixed, 10,000", many))
    print(
        f"  p95 at 10,000 to median at 300: {sorted(many)[math.ceil(0.95 * len(many)) - 1] / statistics.median(few):.2f}"
    )


if __name__ == "__main__":
    main()
