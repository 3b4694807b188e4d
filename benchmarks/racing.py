"""Racing: the share of folds run and the regret of the rules that give up a cross-validation early.

    python benchmarks/racing.py [--configs 40] [--orders 100] [--pairs NAME...] [--confidence 0.9,0.95,0.99] [--improving]

Random configurations from the recommended spaces, 10 folds, on data sets that ship with scikit-learn: every fold of every
configuration is run once, then the rules see them in random orders, one trial at a time; with --improving in orders from worst to best
with noise, as a good optimiser proposes them. Regret is the difference of the final mean to the best one's, in units of the score.
Must hold: at most half of the folds, and fewer than the forgiving rule and the Wilcoxon test at no more regret; regret
at most 1e-4 in the median; a check below 50 microseconds.

The forgiving rule is that of the paper (E. Bergman, L. Purucker, F. Hutter, AutoML 2024): the mean so far is worse than the incumbent's
worst fold. The test is Optuna's WilcoxonPruner: paired, one-sided, p below 0.1, never the one with the best mean so far.
"""

# ruff: noqa: E402 - the number of threads is set before NumPy is loaded
from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np
from numpy.typing import NDArray

from luthier.objectives.crossval import CrossValidation
from luthier.space import Int, Space
from luthier.stopping import Race, StoppingPolicy
from luthier.study import History, Objective, Problem, Report, State, Trial

FOLDS = 10
Table = NDArray[np.float64]


@dataclass(frozen=True)
class Forgiving:
    """Stops what is on average worse than the incumbent's worst fold."""

    def judge(self, trial: Trial, history: History) -> str | None:
        best = history.best()
        if best is None:
            return None
        mean = statistics.fmean(report.metrics["score"] for report in trial.reports)
        return "worse" if mean < min(report.metrics["score"] for report in best.reports) else None


@dataclass(frozen=True)
class Wilcoxon:
    """Stops what is worse than the incumbent in a paired one-sided test."""

    p: float = 0.1
    startup: int = 2

    def judge(self, trial: Trial, history: History) -> str | None:
        from scipy.stats import wilcoxon

        best = history.best()
        # No fewer than four differences can be significant.
        if best is None or len(trial.reports) < 4 or history.counts[State.COMPLETED] < self.startup:
            return None
        apart = [
            mine.metrics["score"] - theirs.metrics["score"]
            for mine, theirs in zip(trial.reports, best.reports, strict=False)
        ]
        if sum(apart) >= 0 or not any(apart):
            return None
        return "worse" if wilcoxon(apart, alternative="less", zero_method="zsplit").pvalue < self.p else None


def play(table: Table, order: Sequence[int], policy: StoppingPolicy | None) -> tuple[float, float, float]:
    """Share of folds run, regret, seconds per check."""
    rows, folds = table.shape
    history = History(Problem(Space(row=Int(0, rows - 1)), (Objective("score", "max"),)))
    run = checks = 0
    spent = 0.0
    for number, row in enumerate(order):
        trial = Trial(number, {"row": int(row)}, State.RUNNING, 1)
        for fold, score in enumerate(table[row].tolist()):
            trial = replace(trial, reports=(*trial.reports, Report(fold, {"score": score})))
            run += 1
            if policy is None or fold == folds - 1:
                continue
            start = time.perf_counter()
            reason = policy.judge(trial, history)
            spent += time.perf_counter() - start
            checks += 1
            if reason is not None:
                ended = replace(trial, state=State.STOPPED, reason=reason)
                break
        else:
            mean = float(table[row].mean())
            ended = replace(trial, state=State.COMPLETED, metrics={"score": mean})
        history.merge([ended], number + 1)
    best = history.best()
    assert best is not None
    top = float(table.mean(axis=1).max())
    regret = (top - best.metrics["score"]) / max(1.0, abs(top))  # an absolute error has a scale of its own
    return run / table.size, regret, spent / max(checks, 1)


def pairs() -> dict[str, Callable[[], CrossValidation]]:
    """Data set and estimator, small enough for hundreds of fits."""
    from sklearn import datasets as ds
    from sklearn.ensemble import ExtraTreesClassifier, RandomForestRegressor
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
    from sklearn.svm import SVC, SVR
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    def of(load: Any, estimator: Any, scoring: str, rows: int | None = None) -> Callable[[], CrossValidation]:
        def make() -> CrossValidation:
            X, y = load(return_X_y=True)
            X = (X - X.mean(axis=0)) / np.where(X.std(axis=0) > 0, X.std(axis=0), 1.0)
            if rows is not None:
                kept = np.random.default_rng(0).permutation(len(X))[:rows]
                X, y = X[kept], y[kept]
            return CrossValidation(estimator, X, y, cv=FOLDS, scoring=scoring)

        return make

    bc, wine, digits, diabetes = (
        ds.load_breast_cancer,
        ds.load_wine,
        ds.load_digits,
        ds.load_diabetes,
    )
    few = {"n_estimators": 30}
    return {
        "breast_cancer-svc": of(bc, SVC(), "accuracy"),
        "breast_cancer-logistic": of(bc, LogisticRegression(max_iter=200), "log_loss"),
        "breast_cancer-knn": of(bc, KNeighborsClassifier(), "roc_auc"),
        "breast_cancer-tree": of(bc, DecisionTreeClassifier(), "accuracy"),
        "wine-svc": of(wine, SVC(), "accuracy"),
        "wine-tree": of(wine, DecisionTreeClassifier(), "balanced_accuracy"),
        "wine-logistic": of(wine, LogisticRegression(max_iter=200), "log_loss"),
        "digits-svc": of(digits, SVC(), "accuracy", 600),
        "digits-trees": of(digits, ExtraTreesClassifier(**few), "accuracy", 600),
        "digits-knn": of(digits, KNeighborsClassifier(), "accuracy", 900),
        "diabetes-svr": of(diabetes, SVR(), "r2"),
        "diabetes-ridge": of(diabetes, Ridge(), "r2"),
        "diabetes-tree": of(diabetes, DecisionTreeRegressor(), "neg_mean_absolute_error"),
        "diabetes-knn": of(diabetes, KNeighborsRegressor(), "r2"),
        "diabetes-forest": of(diabetes, RandomForestRegressor(**few), "r2"),
    }


def scores(task: CrossValidation, configs: int, seed: int) -> Table:
    """The score of each fold of random configurations, the greater the better."""
    space, rng = task.space(), np.random.default_rng(seed)
    (metric,) = task.scorers
    sign = -1.0 if task.default_objective().goal == "min" else 1.0
    rows = []
    for _ in range(configs):
        found: list[float] = []

        def report(_step: int, metrics: Mapping[str, float], found: list[float] = found) -> None:
            found.append(sign * metrics[metric])

        params = {**space.sample(rng)}
        if "n_estimators" in params:
            params["n_estimators"] = 30
        task(_Reported(params, report))  # type: ignore[arg-type]
        rows.append(found)
    return np.array(rows)


class _Reported:
    """As much of a context as a cross-validation asks for."""

    def __init__(self, params: Mapping[str, Any], report: Callable[..., None]) -> None:
        self.params = params
        self.report = report


def orders(table: Table, count: int, improving: bool, seed: int) -> list[NDArray[np.intp]]:
    """In which configurations come: at random, or from worst to best with noise of half their spread."""
    rng = np.random.default_rng([seed, 1])
    if not improving:
        return [rng.permutation(len(table)) for _ in range(count)]
    ranks = table.mean(axis=1).argsort().argsort()
    return [np.argsort(ranks + rng.normal(0, len(table) / 4, len(table))) for _ in range(count)]


def main() -> None:
    known = pairs()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configs", type=int, default=40)
    parser.add_argument("--orders", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pairs", nargs="*", default=list(known), choices=list(known))
    parser.add_argument("--confidence", default="0.95")
    parser.add_argument("--improving", action="store_true")
    args = parser.parse_args()
    rules: dict[str, StoppingPolicy] = {"forgiving": Forgiving(), "Wilcoxon": Wilcoxon()}
    rules |= {f"race {c}": Race(confidence=float(c)) for c in args.confidence.split(",")}
    print("folds run / mean regret, in 1e-4 of the score")
    print(f"{'':24}" + "".join(f"{rule:>16}" for rule in rules))
    every: dict[str, list[tuple[float, float, float]]] = {rule: [] for rule in rules}
    for pair in args.pairs:
        table = scores(known[pair](), args.configs, args.seed)
        ways = orders(table, args.orders, args.improving, args.seed)
        cells = []
        for rule, policy in rules.items():
            # The test takes most of the time, and its share is known well enough from fewer orders.
            seen = [play(table, way, policy) for way in (ways[:10] if rule == "Wilcoxon" else ways)]
            mean = tuple(statistics.fmean(column) for column in zip(*seen, strict=True))
            every[rule].append((mean[0], mean[1], mean[2]))
            cells.append(f"{mean[0]:.2f} / {1e4 * mean[1]:.1f}")
        print(f"{pair:24}" + "".join(f"{cell:>16}" for cell in cells), flush=True)
    for what, column, scale in (("mean share", 0, 1), ("mean regret", 1, 1e4), ("us per check", 2, 1e6)):
        means = [scale * statistics.fmean(row[column] for row in every[rule]) for rule in rules]
        print(f"{what:24}" + "".join(f"{mean:16.2f}" for mean in means))
    medians = [1e4 * statistics.median(row[1] for row in every[rule]) for rule in rules]
    print(f"{'median regret':24}" + "".join(f"{median:16.2f}" for median in medians))


if __name__ == "__main__":
    main()
