"""Honesty: what the chosen configuration scores on new data, beside what the study says of it.

    python benchmarks/honesty.py [--studies 240] [--first 0] [--keep FOLDER]

Each study: generated data of 100 to 2,000 rows, in a quarter of them y is independent of X; a quick estimator of scikit-learn over its
recommended space; the defaults and 30 to 45 proposals, at random or (a third of the studies) by the default algorithm; 5 folds, every other study raced. The best
configurations are fitted on all rows and scored on an untouched test set. Reported of what the study chooses, with and without the guard of the
default configuration: raw and honest score minus the test score of the models of the folds, which is what a cross-validation estimates
("folded"), and honest minus that of the model fitted on all rows, which has seen a quarter more; how often the interval holds the latter,
and how often the choice is worse by it than the default.

Must hold: honest - test within 0.005 in the mean, coverage of the 95% interval 90 to 99%, worse than the default in fewer than 5% of studies;
0.2 s for 5,000 rows and 200 trials. How the constants of luthier.analysis.honest were chosen: docs/benchmarks.md.
"""

# ruff: noqa: E402 - the number of threads is set before NumPy is loaded
from __future__ import annotations

import argparse
import os
import pickle
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np
from numpy.typing import NDArray

import luthier
from luthier.analysis.honest import Honest, honest, honest_of
from luthier.analysis.measures import Sums, measured
from luthier.objectives.crossval import CrossValidation

Floats = NDArray[np.float64]
FOLDS = 5
TESTED = 15
"""So many of the best configurations of a study are scored on the test set, and the default."""
SORTS = ("null", "linear", "curved", "noisy")
"""Of problems, in turn."""


@dataclass(frozen=True)
class Case:
    """An estimator and the score it is tuned for."""

    make: Callable[[], Any]
    metric: str
    most: int
    """Rows, so that it stays quick."""
    test: int


@dataclass(frozen=True)
class Played:
    """A study that has ended: all predictions, and what each complete configuration scores on the test set (else NaN)."""

    seed: int
    case: str
    metric: str
    sort: str
    raced: bool
    algorithm: str
    y: NDArray[Any]
    folds: NDArray[np.intp]
    predictions: Floats
    scores: Floats
    """The mean of the folds."""
    test: Floats
    """Of the configuration fitted on all rows."""
    folded: Floats
    """The mean of the models of the folds, of the default and the best: what a cross-validation is about."""


class Keeping(CrossValidation):
    """A cross-validation that keeps the predictions of every trial; one for all trials, in their order."""

    kept: list[Floats]

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.kept = []

    def __call__(self, trial: Any) -> dict[str, float]:
        X, y = self.data.X, np.asarray(self.data.y)
        self.kept.append(np.full((len(y), 2 if self.classifier else 1), np.nan))
        (metric,) = self.scorers
        scores = []
        for fold, (train, test) in enumerate(self.splits):
            model = self.build(trial.params).fit(X[train], y[train])
            self.kept[-1][test] = predictions(model, X[test], self.classifier)
            scores.append(score(metric, y[test], self.kept[-1][test]))
            trial.report(fold, {metric: scores[-1]})
        return {metric: float(np.mean(scores))}


def cases() -> dict[str, Case]:
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
    from sklearn.svm import SVC
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    def logistic() -> Any:
        return LogisticRegression(max_iter=200)

    return {
        "logistic accuracy": Case(logistic, "accuracy", 2000, 10_000),
        "knn accuracy": Case(KNeighborsClassifier, "accuracy", 1000, 4_000),
        "tree accuracy": Case(DecisionTreeClassifier, "accuracy", 2000, 10_000),
        "svc accuracy": Case(SVC, "accuracy", 400, 4_000),
        "logistic log_loss": Case(logistic, "neg_log_loss", 2000, 10_000),
        "ridge r2": Case(Ridge, "r2", 2000, 10_000),
        "tree r2": Case(DecisionTreeRegressor, "r2", 2000, 10_000),
        "knn r2": Case(KNeighborsRegressor, "r2", 1000, 4_000),
        "logistic roc_auc": Case(logistic, "roc_auc", 2000, 10_000),
        "tree roc_auc": Case(DecisionTreeClassifier, "roc_auc", 2000, 10_000),
    }


def data(sort: str, rows: int, classify: bool, seed: int) -> tuple[Floats, NDArray[Any]]:
    """Columns of which a third matter, some correlated; the problem follows from the seed, not from `rows`."""
    rng = np.random.default_rng([seed, 7])
    columns = int(rng.integers(4, 20))
    mix = np.eye(columns) + 0.4 * rng.normal(size=(columns, columns)) / np.sqrt(columns)
    weights = rng.normal(size=columns) * (np.arange(columns) < max(2, columns // 3))
    weights /= np.linalg.norm(weights)
    hidden = rng.normal(size=(columns, 3)) * (np.arange(columns) < max(2, columns // 3))[:, None]
    noise = {"null": 1.0, "linear": 0.5, "curved": 0.4, "noisy": 2.5}[sort] * rng.uniform(0.5, 1.5)
    X = rng.normal(size=(rows, columns)) @ mix
    signal = X @ weights
    if sort == "curved":
        signal = 0.3 * signal + np.sin(1.5 * X @ hidden / np.linalg.norm(hidden, axis=0)).sum(axis=1)
    if sort == "null":
        signal = 0 * signal
    y = signal + noise * rng.normal(size=rows)
    return X, ((y > 0.3 * (sort != "null")).astype(np.intp) if classify else y)


def play(seed: int) -> Played:
    """A study, from its data to the test scores."""
    known = cases()
    name = list(known)[seed // 2 % len(known)]
    case = known[name]
    rng = np.random.default_rng([seed, 1])
    classify = case.metric != "r2"
    rows = int(np.exp(rng.uniform(np.log(100), np.log(case.most))))
    sort = SORTS[int(rng.integers(len(SORTS)))]
    raced, algorithm = bool(rng.integers(2)), ("random", "random", "auto")[int(rng.integers(3))]
    X, y = data(sort, rows + case.test, classify, seed)
    X_test, y_test = X[rows:], y[rows:]
    X, y = X[:rows], y[:rows]
    task = Keeping(case.make(), X, y, cv=FOLDS, scoring=case.metric, seed=seed)
    folds = np.empty(rows, dtype=np.intp)
    for fold, (_, test) in enumerate(task.splits):
        folds[test] = fold
    study = luthier.tune(
        task,
        trials=int(rng.integers(30, 46)),
        algorithm=algorithm,
        stopping="race" if raced else None,
        seed=seed,
        progress=False,
    )
    scores = np.array([trial.metrics.get(case.metric, np.nan) for trial in study.trials])
    tested = np.full(len(scores), np.nan)
    complete = np.flatnonzero(~np.isnan(scores))
    # What may be chosen; the others would take most of the time.
    for number in {0, *complete[np.argsort(-scores[complete], kind="stable")][:TESTED]}:
        model = task.build(study.trials[number].params).fit(X, y)
        tested[number] = score(case.metric, y_test, predictions(model, X_test, classify))
    folded = np.full(len(scores), np.nan)
    first = int(
        np.argmax(scores >= np.nanmax(scores) - 1e-12 * np.nanmax(np.abs(scores)))
    )  # as `best` has it
    for number in {0, first}:
        fitted = [task.build(study.trials[number].params).fit(X[train], y[train]) for train, _ in task.splits]
        on_test = [predictions(model, X_test, classify) for model in fitted]
        folded[number] = np.mean([score(case.metric, y_test, prediction) for prediction in on_test])
    return Played(
        seed, name, case.metric, sort, raced, algorithm, y, folds, np.array(task.kept), scores, tested, folded
    )


def predictions(model: Any, X: Floats, classify: bool) -> Floats:
    if not classify:
        return np.asarray(model.predict(X))[:, None]
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(X))
    return np.asarray(model.predict(X)[:, None] == np.arange(2), dtype=np.float64)


def score(metric: str, y: NDArray[Any], prediction: Floats) -> float:
    scored = measured(metric, y, prediction[None])
    return -float(scored.losses(np.ones((1, len(y))), np.zeros(1, dtype=np.intp))[0, 0])


def judged(played: Played, default: int | None) -> Honest:
    """What the study says, as a score."""
    scored = measured(played.metric, played.y, played.predictions, played.folds)
    rows = isinstance(scored, Sums) and scored.loss is None
    more: dict[str, Any] = {"replicates": 500, "most": len(played.scores)} if rows else {}
    rng = np.random.default_rng([played.seed, 2])
    return honest_of(scored, default, rng=rng, reported=-played.scores, **more).signed(-1)


def report(studies: Sequence[Played], default: int | None) -> None:
    """A line for each metric, and more for what may make a difference."""
    found = [(played, judged(played, default)) for played in studies]
    groups: list[tuple[str, Callable[[Played], bool]]] = [("all", lambda played: True)]
    groups += [(m, lambda p, m=m: p.metric == m) for m in sorted({p.metric for p in studies})]  # type: ignore[misc]
    groups += [(s, lambda p, s=s: p.sort == s) for s in SORTS]  # type: ignore[misc]
    groups += [("raced", lambda p: p.raced), ("not raced", lambda p: not p.raced)]
    groups += [("random", lambda p: p.algorithm == "random"), ("auto", lambda p: p.algorithm == "auto")]
    groups += [("below 400 rows", lambda p: len(p.y) < 400), ("from 400", lambda p: len(p.y) >= 400)]
    print(
        f"{'':16}{'studies':>8}{'raw-folded':>12}{'honest-folded':>18}{'honest-test':>13}{'covered':>9}{'width':>7}{'worse':>7}{'gain':>9}"
    )
    for name, belongs in groups:
        mine = [(played, what) for played, what in found if belongs(played)]
        if not mine:
            continue
        truth, folded = (
            np.array([of[what.chosen] for of, (_, what) in zip(scores, mine, strict=True)])
            for scores in ([played.test for played, _ in mine], [played.folded for played, _ in mine])
        )
        gain = truth - np.array([played.test[0] for played, _ in mine])
        raw = np.array([what.raw for _, what in mine]) - folded
        values = np.array([what.value for _, what in mine])
        error = (values - folded).std() / np.sqrt(len(mine))
        covered = np.mean([what.low <= t <= what.high for (_, what), t in zip(mine, truth, strict=True)])
        width = np.median([what.high - what.low for _, what in mine])
        print(
            f"{name:16}{len(mine):8}{raw.mean():+12.4f}{(values - folded).mean():+11.4f} ±{error:.4f}"
            f"{(values - truth).mean():+12.4f}{covered:9.1%}{width:7.3f}{np.mean(gain < 0):7.1%}{gain.mean():+9.4f}"
        )


def speed() -> float:
    """Seconds of the processor for 5,000 rows and 200 trials, the best of five."""
    losses = (np.random.default_rng(0).random((5000, 200)) < 0.3).astype(np.float64)
    times = []
    for _ in range(5):
        start = time.process_time()
        honest(losses, 0, rng=np.random.default_rng(1))
        times.append(time.process_time() - start)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=240)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="a folder in which studies are kept and found again")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    studies = []
    start = time.perf_counter()
    for seed in range(args.first, args.first + args.studies):
        path = args.keep / f"{seed}.pickle" if args.keep else None
        if path is not None and path.exists():
            studies.append(pickle.loads(path.read_bytes()))
            continue
        studies.append(play(seed))
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(pickle.dumps(studies[-1]))
    print(
        f"{len(studies)} studies in {time.perf_counter() - start:.0f} s; 5,000 rows x 200 trials: {speed():.3f} s"
    )
    for halves, name in (((0,), "even seeds"), ((1,), "odd seeds"), ((0, 1), "all seeds")):
        mine = [played for played in studies if played.seed % 2 in halves]
        for default, words in ((None, "best"), (0, "best, unless the default is as good")):
            print(f"\n{name}: {words}")
            report(mine, default)


if __name__ == "__main__":
    main()
