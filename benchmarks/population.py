"""Population based training against random search at equal cost, on trainings whose best settings change as they go on.

    python benchmarks/population.py                     # ten seeds, five minutes
    python benchmarks/population.py --seeds 3 --epochs 30

A small network in NumPy (64-64-10, ReLU, softmax) learns scikit-learn's digits by stochastic gradient descent on batches of 16, with a
learning rate, momentum, weight decay and input noise to be found: 500 images to train on, 650 to choose by, 647 looked at once. A
rate that is right at the beginning never lets the weights settle, and one that is right at the end takes too long to get there: the
best training has a schedule. Every method gets as many epochs in all. Split, batches and first weights go by the seed of
the study, so that methods meet the same.

Must hold: the median loss of PBT below that of random search. Over random's: the geometric mean of the ratio, and one standard error
to either side.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import luthier as lt
from luthier.optimizers import PB2, PBT

Floats = NDArray[np.float64]
SPACE = lt.Space(
    rate=lt.Float(1e-4, 1.0, log=True),
    momentum=lt.Float(0.0, 0.99, log="reverse"),
    decay=lt.Float(1e-6, 1e-1, log=True),
    noise=lt.Float(0.0, 0.5),
)
BATCH, HIDDEN = 16, 64


@dataclass
class Network:
    """Weights, and how they last moved."""

    weights: list[Floats]
    moved: list[Floats]

    @classmethod
    def new(cls, rng: np.random.Generator) -> Network:
        shapes = [(64, HIDDEN), (HIDDEN,), (HIDDEN, 10), (10,)]
        weights = [rng.standard_normal(s) * (np.sqrt(2.0 / s[0]) if len(s) > 1 else 0.0) for s in shapes]
        return cls(weights, [np.zeros(s) for s in shapes])

    def scores(self, images: Floats) -> tuple[Floats, Floats]:
        w1, b1, w2, b2 = self.weights
        hidden = np.maximum(images @ w1 + b1, 0.0)
        return hidden, hidden @ w2 + b2

    def step(self, x: Floats, y: NDArray[np.int64], rate: float, momentum: float, decay: float) -> None:
        hidden, scores = self.scores(x)
        by_scores = np.exp(scores - log_sums(scores)[:, None])
        by_scores[np.arange(len(y)), y] -= 1.0
        by_scores /= len(y)
        by_hidden = (by_scores @ self.weights[2].T) * (hidden > 0.0)
        slopes = [x.T @ by_hidden, by_hidden.sum(axis=0), hidden.T @ by_scores, by_scores.sum(axis=0)]
        for i, slope in enumerate(slopes):
            slope += decay * self.weights[i]
            self.moved[i] = momentum * self.moved[i] - rate * slope
            self.weights[i] += self.moved[i]

    def loss(self, x: Floats, y: NDArray[np.int64]) -> float:
        """The log loss; what overflowed is as bad as it gets."""
        _, scores = self.scores(x)
        value = float(np.mean(log_sums(scores) - scores[np.arange(len(y)), y]))
        return value if np.isfinite(value) else 1e6


def log_sums(scores: Floats) -> Floats:
    top = scores.max(axis=1)
    return np.asarray(top + np.log(np.exp(scores - top[:, None]).sum(axis=1)))


@dataclass
class Digits:
    """The task, split by a seed; counts the epochs that it is asked for."""

    seed: int
    spent: int = 0
    x: list[Floats] = field(default_factory=list)
    y: list[NDArray[np.int64]] = field(default_factory=list)

    def __post_init__(self) -> None:
        from sklearn.datasets import load_digits

        images, labels = load_digits(return_X_y=True)
        order = np.random.default_rng(self.seed).permutation(len(labels))
        for part in np.split(order, [500, 1150]):
            self.x.append(images[part] / 16.0)
            self.y.append(labels[part])

    def __call__(self, trial: lt.Context) -> dict[str, float]:
        """Train up to `trial.fidelity` epochs, from the checkpoint where there is one."""
        rate, momentum, decay, noise = (float(trial.params[name]) for name in SPACE)  # type: ignore[arg-type]
        epoch, network = 0, Network.new(np.random.default_rng([self.seed, 1]))
        if trial.restored is not None:
            with np.load(trial.restored) as kept:
                epoch, arrays = int(kept["epoch"]), [kept[f"a{i}"] for i in range(8)]
            network = Network(arrays[:4], arrays[4:])
        end = int(trial.fidelity or 0)
        spent = end - epoch
        self.spent += spent
        with np.errstate(all="ignore"):
            while epoch < end:
                rng = np.random.default_rng([self.seed, 2, epoch])
                epoch += 1
                for part in np.array_split(rng.permutation(500), 500 // BATCH):
                    seen = self.x[0][part] + noise * rng.standard_normal((len(part), 64))
                    network.step(seen, self.y[0][part], rate, momentum, decay)
            losses = {name: network.loss(self.x[i], self.y[i]) for name, i in (("loss", 1), ("test", 2))}
        path = trial.workdir / "network.npz"
        kept = {f"a{i}": a for i, a in enumerate([*network.weights, *network.moved])}
        np.savez(path, epoch=epoch, **kept)
        trial.checkpoint(path)
        return {**losses, "spent": spent}


class Method(NamedTuple):
    """How to look for the best training: `by` says what ends the study when all epochs are used."""

    name: str
    algorithm: Callable[[int], object]
    by: str


METHODS = (
    Method("random", lambda members: "random", "trials"),
    Method("auto, every trial in full", lambda members: "gp", "trials"),
    Method("auto, trials pause and go on", lambda members: "auto", "cost"),
    Method("pbt", lambda members: PBT(population=members), "itself"),
    Method("pb2", lambda members: PB2(population=members), "itself"),
)


def best(method: Method, seed: int, epochs: int, members: int) -> tuple[float, float]:
    """The loss of the best training among members * epochs epochs, by the rows it was chosen by and on fresh ones."""
    task, allowed = Digits(seed), members * epochs
    budgets: dict[str, Any] = {
        "trials": {"trials": members},
        "cost": {"cost": {"spent": allowed}},
        "itself": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        study = lt.tune(
            task,
            SPACE,
            minimize="loss",
            fidelity=lt.Fidelity("epochs", 1, epochs, resumes=method.by != "trials"),
            algorithm=method.algorithm(members),
            stopping="none",
            seed=seed,
            name="digits",
            store=str(Path(folder) / "studies.db"),
            progress=False,
            **budgets[method.by],
        )
        found = study.best.metrics
        study.close()
    over = epochs if method.by == "cost" else 0  # by the trial with which the budget is used up
    assert allowed <= task.spent <= allowed + over, f"{method.name} took {task.spent} epochs"
    return found["loss"], found["test"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--members", type=int, default=10)
    args = parser.parse_args()
    print(f"{args.members} x {args.epochs} epochs each, {args.seeds} seeds\n")
    print(
        "| method | median loss | quartiles | on fresh rows | over random's, mean | better than random | s a study |"
    )
    print("|---|---|---|---|---|---|---|")
    chance = None
    for method in METHODS:
        began = perf_counter()
        losses, fresh = np.array(
            [best(method, seed, args.epochs, args.members) for seed in range(args.seeds)]
        ).T
        seconds = (perf_counter() - began) / args.seeds
        chance = losses if chance is None else chance
        low, high = np.quantile(losses, [0.25, 0.75])
        over = np.log(losses / chance)
        error = over.std(ddof=1) / np.sqrt(len(over)) if len(over) > 1 else 0.0
        print(
            f"| {method.name} | {np.median(losses):.4f} | {low:.4f} to {high:.4f} | {np.median(fresh):.4f} | "
            f"{np.exp(over.mean()):.2f} ({np.exp(over.mean() - error):.2f} to {np.exp(over.mean() + error):.2f}) | "
            f"{(over < 0).sum()} of {len(over)} | {seconds:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
