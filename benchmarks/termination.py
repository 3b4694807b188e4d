"""Until noise: after how many trials a study ends by itself, and what it misses of 100.

    python benchmarks/termination.py [--seeds 1-3] [--pairs NAME...] [--keep FOLDER]

The default algorithm on recommended spaces, 5 folds, data sets that ship with scikit-learn: each study goes to 100 trials, and
`until="noise"` is asked where it would have ended. Loss is how far the best score by then is behind the best of 100, in corrected
standard errors of the latter. --keep holds the studies in a store, so that another round need not fit anything again.
"""

# ruff: noqa: E402 - the number of threads is set before NumPy is loaded
from __future__ import annotations

import argparse
import os
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np

import luthier as lt
from luthier.enough import EVERY, Looks, least
from luthier.objectives.splits import overlap, unpack_splits
from luthier.study import Budget, Objective, State, Trial

TRIALS = 100


@dataclass(frozen=True)
class Ended:
    """Trials used, what they miss in standard errors and in the score, and milliseconds of processor time for looking, per trial."""

    trials: int
    errors: float
    loss: float
    thought: float


def pairs() -> dict[str, Callable[[], tuple[lt.CrossValidation, lt.Space]]]:
    """Data set and estimator, small enough for hundreds of fits."""
    from sklearn import datasets as ds
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
    from sklearn.svm import SVC, SVR

    def of(load: Any, rows: int | None, estimator: Any) -> Callable[[], tuple[lt.CrossValidation, lt.Space]]:
        def make() -> tuple[lt.CrossValidation, lt.Space]:
            X, y = load(return_X_y=True)
            X = (X - X.mean(axis=0)) / np.where(X.std(axis=0) > 0, X.std(axis=0), 1.0)
            if rows is not None:
                kept = np.random.default_rng(0).permutation(len(X))[:rows]
                X, y = X[kept], y[kept]
            objective = lt.CrossValidation(estimator, X, y, cv=5, seed=0)
            few = {"n_estimators": lt.Int(5, 40)}
            return objective, lt.Space({k: few.get(k, v) for k, v in objective.space().items()})

        return make

    classifiers = {
        "logistic": LogisticRegression(max_iter=100),
        "svc": SVC(),
        "knn": KNeighborsClassifier(),
        "forest": RandomForestClassifier(n_estimators=20),
    }
    regressors = {
        "ridge": Ridge(),
        "svr": SVR(),
        "knn": KNeighborsRegressor(),
        "forest": RandomForestRegressor(n_estimators=20),
    }
    sets = {
        "wine": (ds.load_wine, None, classifiers),
        "breast_cancer": (ds.load_breast_cancer, None, classifiers),
        "digits": (ds.load_digits, 600, classifiers),
        "diabetes": (ds.load_diabetes, None, regressors),
    }
    return {
        f"{data}-{kind}": of(load, rows, estimator)
        for data, (load, rows, estimators) in sets.items()
        for kind, estimator in estimators.items()
    }


def ended(study: lt.Study) -> Ended:
    """Where the study would have ended."""
    problem, trials = study.spec.problem, study.history.finished()
    shared = overlap(unpack_splits(study.facts["splits"]))
    looks = Looks(problem, least(problem, Budget(until="noise")), shared)
    start = time.process_time()
    used, why = 0, None
    while used < len(trials) and why is None:
        used += EVERY
        why = looks.follow(trials[:used])
    thought = 1e3 * (time.process_time() - start) / used
    objective = problem.objective
    sooner, later = (_best(trials[:n], objective, study.space) for n in (used, len(trials)))
    scores = list(later.reported(objective.metric).values())
    error = float(np.sqrt((1 / len(scores) + shared) * np.var(scores, ddof=1)))
    loss = objective.sign * (sooner.metrics[objective.metric] - later.metrics[objective.metric])
    return Ended(used, loss / error if error > 0 else 0.0, loss, thought)


def _best(trials: Sequence[Trial], objective: Objective, space: lt.Space) -> Trial:
    completed = [t for t in trials if t.state is State.COMPLETED and space.allows(t.params)]
    return min(completed, key=lambda t: objective.sign * t.metrics[objective.metric])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", default="1-3")
    parser.add_argument("--pairs", nargs="*")
    parser.add_argument("--keep", help="a folder for the studies")
    asked = parser.parse_args()
    first, _, last = asked.seeds.partition("-")
    seeds = range(int(first), int(last or first) + 1)
    warnings.filterwarnings("ignore")
    print("| pair | trials | loss, standard errors | loss, score | ms a trial |\n|---|---|---|---|---|")
    everything: list[Ended] = []
    for pair, make in pairs().items():
        if asked.pairs and pair not in asked.pairs:
            continue
        found = []
        for seed in seeds:
            kept = {"name": f"{pair}-{seed}", "store": f"{asked.keep}/studies.db"} if asked.keep else {}
            objective, space = make()
            study = lt.tune(objective, space, trials=TRIALS, seed=seed, progress=False, **kept)
            found.append(ended(study))
            study.close()
        print(_row(pair, found), flush=True)
        everything += found
    print(_row(f"**all {len(everything)}**", everything))
    used = [e.trials for e in everything]
    print(f"\ntrials: {min(used)} to {max(used)}; loss above one standard error: ", end="")
    print(f"{sum(e.errors > 1 for e in everything)} of {len(everything)}")


def _row(name: str, found: Sequence[Ended]) -> str:
    used = statistics.fmean(e.trials for e in found)
    errors, loss = [e.errors for e in found], statistics.fmean(e.loss for e in found)
    thought = statistics.median(e.thought for e in found)
    return f"| {name} | {used:.0f} | {statistics.fmean(errors):.2f} (max {max(errors):.2f}) | {loss:.4f} | {thought:.0f} |"


if __name__ == "__main__":
    main()
