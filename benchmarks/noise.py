"""What an optimiser returns when scores are noisy: the true regret of its choice, not of its luckiest measurement.

    python benchmarks/noise.py [--seeds 1,2,3] [--noise 0.1] [--peers optuna-tpe,optuna-gp] [--tasks NAME...]

On the surrogates of shared/bench, or on our own functions where that folder is not there; Gaussian noise of so many standard
deviations of random points is added to each loss. Luthier returns `study.best`, the peers (of shared/bench/peers.py, where
they are installed) their best measurement, as they do for their users.
"""

# ruff: noqa: E402 - the number of threads is set before NumPy is loaded
from __future__ import annotations

import argparse
import os
import sys
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np
from luthier_adapter import Tuner, parameter
from optimizers import available

from luthier.expected import best_of
from luthier.space import Space
from luthier.study import History, Trial

AT = (25, 50, 100)


class Noisy:
    """A task with noise; `truths` are the losses without it."""

    def __init__(self, task: Any, noise: float, seed: int) -> None:
        self.params = task.params
        self.task = task
        self.noise = noise
        self.rng = np.random.default_rng([seed, 7])
        self.truths: list[float] = []

    def __call__(self, config: Mapping[str, Any]) -> float:
        self.truths.append(float(self.task(config)))
        return self.truths[-1] + self.noise * float(self.rng.standard_normal())


def by_luthier(task: Noisy, algorithm: str, seed: int) -> list[float]:
    """The true loss of what is returned after each number of trials in `AT`."""
    tuner = Tuner(task.params, seed, algorithm, noisy=True)
    history, found = History(tuner.problem), []
    for i in range(AT[-1]):
        trial: Trial = tuner.begin()
        history.merge([tuner.end(trial, task(trial.params))], i + 1)
        if i + 1 in AT:
            best = best_of(history)
            assert best is not None
            found.append(task.truths[best.number])
    return found


def by_peer(task: Noisy, peer: str, seed: int) -> list[float]:
    """The same of one of shared/bench, whose best measurement is taken."""
    import peers  # type: ignore[import-not-found]

    optimizer, seen = peers.make(peer, task, seed, AT[-1]), []
    for _ in range(AT[-1]):
        config = optimizer.ask()
        seen.append(task(config))
        optimizer.tell(config, seen[-1])
    return [task.truths[int(np.argmin(seen[:n]))] for n in AT]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--algorithms", default="auto")
    parser.add_argument("--peers", default="")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--noise", type=float, default=0.1)
    parser.add_argument("--tasks", nargs="*")
    given = parser.parse_args()
    tasks, recorded = available()
    names = given.tasks or [n for n in tasks if not n.startswith(("bbob:", "real"))] or list(tasks)
    regrets: dict[str, dict[str, list[list[float]]]] = defaultdict(lambda: defaultdict(list))
    for name in names:
        task = tasks[name]()
        space = Space({p["name"]: parameter(p) for p in task.params})
        rng = np.random.default_rng(0)
        chance = [float(task(space.sample(rng))) for _ in range(200)]
        noise = given.noise * float(np.std(chance))
        losses: dict[str, list[list[float]]] = defaultdict(list)
        for seed in map(int, given.seeds.split(",")):
            for algorithm in given.algorithms.split(","):
                losses[f"luthier-{algorithm}"].append(by_luthier(Noisy(task, noise, seed), algorithm, seed))
            for peer in filter(None, given.peers.split(",")):
                losses[peer].append(by_peer(Noisy(task, noise, seed), peer, seed))
        known = [min(run["ys"]) for run in recorded if run["task"] == name]
        best = min([*known, min(chance), *(min(row) for rows in losses.values() for row in rows)])
        for who, rows in losses.items():
            regrets[who][name] = [
                [(y - best) / (float(np.median(chance)) - best) for y in row] for row in rows
            ]
            print(
                f"{name} {who}: {np.mean(regrets[who][name], axis=0).round(4)}", file=sys.stderr, flush=True
            )
    print(f"true regret of what is returned after {AT} trials; {len(names)} tasks, noise {given.noise:g} sd")
    for who, found in regrets.items():
        mean = np.mean([np.mean(rows, axis=0) for rows in found.values()], axis=0)
        print(f"{who:18s}" + "".join(f"  {r:.4f}" for r in mean))


if __name__ == "__main__":
    main()
