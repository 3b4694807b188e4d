"""LuthierSearchCV beside the searches of scikit-learn and Optuna; its overhead with two workers; the memory of a large matrix.

    python benchmarks/sklearn_search.py [--parts search overhead memory] [--quick] [--datasets NAME...] [--seeds 0,1,2,3,4] [--out FILE]

*search*: how long and how many fits it takes to a mean over the folds at least as good as what RandomizedSearchCV (60 candidates) and
HalvingRandomSearchCV end with. Must hold: at most a third of their wall time and fits in the median, no more in 90% of the cases;
at most 0.6 of the fits that OptunaSearchCV, and Optuna with its WilcoxonPruner, need to the same score.

The space is the recommended one, for the others as distributions and lists of the same ranges; the folds are the same five. A fit is that of a
fold. What halving ends with was scored on few rows, so its winner is scored on all rows first, which is not counted. A score is reached by a
candidate all of whose folds were run; one that is not reached in 120 candidates counts as infinitely late. Time is of the wall and of the CPU:
on a machine that is shared the second says more. Everything runs in this process, one after the other.

*overhead*: two workers and fits of 50 ms; at most a tenth of the time must go into anything else than the fits.
*memory*: a matrix of 500 MB and two workers; besides the caller's own there must be one copy on the machine.

Optuna is left out where it is not installed: pip install optuna optuna-integration.
"""

# ruff: noqa: E402 - the number of threads is set before NumPy is loaded
from __future__ import annotations

import argparse
import gc
import json
import math
import os
import re
import statistics
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np
import pandas as pd
from sklearn import datasets as ds
from sklearn.base import BaseEstimator, ClassifierMixin, clone, is_classifier
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import ElasticNet, LogisticRegression
from sklearn.metrics import get_scorer
from sklearn.model_selection import (
    HalvingRandomSearchCV,
    KFold,
    RandomizedSearchCV,
    StratifiedKFold,
    cross_val_score,
)
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from luthier.estimators.recommended import recommended_space
from luthier.sklearn import LuthierSearchCV
from luthier.space import Choice, Const, Float, Int, Parameter, Space
from luthier.study import State

FOLDS = 5
RANDOM = 60
MOST = 120
CLOSE = 1e-9
"""Means of the same folds differ by this much by the order in which they are added up."""


# --- what is searched --------------------------------------------------------------------------


def standard(X: Any) -> Any:
    """Columns of mean 0 and variance 1."""
    return (X - X.mean(axis=0)) / np.where(X.std(axis=0) > 0, X.std(axis=0), 1.0)


def some(load: Callable[..., Any], rows: int | None = None) -> Callable[[], tuple[Any, Any]]:
    """A data set that ships with scikit-learn, or some rows of it."""

    def made() -> tuple[Any, Any]:
        X, y = load(return_X_y=True)
        kept = np.random.default_rng(0).permutation(len(X))[:rows]
        return standard(X[kept]), y[kept]

    return made


def generated(make: Callable[..., Any], **options: Any) -> Callable[[], tuple[Any, Any]]:
    """One that scikit-learn generates."""

    def made() -> tuple[Any, Any]:
        X, y = make(random_state=0, **options)
        return standard(X), y

    return made


DATA: dict[str, tuple[Callable[[], tuple[Any, Any]], str]] = {
    "breast_cancer": (some(ds.load_breast_cancer, 300), "accuracy"),
    "wine": (some(ds.load_wine), "balanced_accuracy"),
    "digits": (some(ds.load_digits, 300), "accuracy"),
    "diabetes": (some(ds.load_diabetes), "r2"),
    "noisy": (
        generated(ds.make_classification, n_samples=300, n_informative=5, flip_y=0.1, class_sep=0.7),
        "roc_auc",
    ),
    "friedman": (generated(ds.make_friedman1, n_samples=250, noise=1.0), "neg_root_mean_squared_error"),
    "moons": (generated(ds.make_moons, n_samples=300, noise=0.3), "accuracy"),
}
ESTIMATORS: dict[str, tuple[Any, Any]] = {
    "svm": (SVC(), SVR()),
    "tree": (DecisionTreeClassifier(random_state=0), DecisionTreeRegressor(random_state=0)),
    "linear": (LogisticRegression(max_iter=200), ElasticNet()),
    "forest": (
        ExtraTreesClassifier(n_estimators=10, random_state=0),
        ExtraTreesRegressor(n_estimators=10, random_state=0),
    ),
    "neighbors": (KNeighborsClassifier(), KNeighborsRegressor()),
}


@dataclass(frozen=True)
class Problem:
    """An estimator on a data set, with the folds and the space that all are given."""

    estimator: Any
    X: Any
    y: Any
    scoring: str
    seed: int

    @property
    def cv(self) -> Any:
        kind = StratifiedKFold if is_classifier(self.estimator) else KFold
        return kind(FOLDS, shuffle=True, random_state=self.seed)

    @property
    def space(self) -> Space:
        smallest = min((train for train, _ in self.cv.split(self.X, self.y)), key=len)
        return recommended_space(self.estimator, self.X[smallest])


def problem(data: str, estimator: str, seed: int) -> Problem:
    load, scoring = DATA[data]
    X, y = load()
    classifier, regressor = ESTIMATORS[estimator]
    return Problem(classifier if y.dtype.kind in "iu" else regressor, X, y, scoring, seed)


# --- the same ranges for others ----------------------------------------------------------------


@dataclass(frozen=True)
class LogIntegers:
    """Whole numbers by their logarithm, of which scipy.stats has no distribution."""

    low: int
    high: int

    def rvs(self, random_state: Any = None) -> int:
        from scipy.stats import loguniform

        drawn = loguniform(self.low - 0.5, self.high + 0.5).rvs(random_state=random_state)
        return int(np.clip(np.rint(drawn), self.low, self.high))


def distribution(parameter: Parameter) -> Any:
    """As scikit-learn's searches take it."""
    from scipy.stats import loguniform, randint, uniform

    match parameter:
        case Float():
            low, high = parameter.low, parameter.high
            return loguniform(low, high) if parameter.log else uniform(low, high - low)
        case Int():
            if parameter.log:
                return LogIntegers(parameter.low, parameter.high)
            return randint(parameter.low, parameter.high + 1)
        case Choice():
            return list(parameter.values)
        case Const():
            return [parameter.value]


def distributions(space: Space) -> list[dict[str, Any]]:
    """A dict for every combination of values on which conditions depend."""
    parents = list(dict.fromkeys(when.parent for parameter in space.values() for when in parameter.when))
    found = []
    for values in product(*(space[parent].values for parent in parents)):  # type: ignore[union-attr]
        point = dict(zip(parents, values, strict=True))
        found.append(
            {
                name: [point[name]] if name in point else distribution(parameter)
                for name, parameter in space.items()
                if all(point[when.parent] in when.values for when in parameter.when)
            }
        )
    return found


# --- contenders --------------------------------------------------------------------------------


@dataclass
class Clocked:
    """A scorer that writes down when it has scored a fold: seconds of the wall and of the CPU."""

    scoring: str
    marks: list[tuple[float, float]] = field(default_factory=list)
    began: tuple[float, float] = (0.0, 0.0)

    def begin(self) -> Clocked:
        self.began = now()
        return self

    def __call__(self, estimator: Any, X: Any, y: Any) -> float:
        score = float(get_scorer(self.scoring)(estimator, X, y))
        self.marks.append(now())
        return score

    def __deepcopy__(self, memo: Any) -> Clocked:
        return self  # a search that clones its scorer is to be clocked all the same

    def cost(self, fits: int | None = None) -> Cost:
        """Of the first so many fits; of all that was done."""
        end = now() if fits is None else self.marks[fits - 1]
        count = len(self.marks) if fits is None else fits
        return Cost(count, end[0] - self.began[0], end[1] - self.began[1])


def now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


@dataclass(frozen=True)
class Cost:
    """What it took to a score, or to the end."""

    fits: float = math.inf
    wall: float = math.inf
    cpu: float = math.inf
    candidate: int | None = None
    """The number of the candidate that reached the score."""


def reached(clock: Clocked, candidates: Sequence[Sequence[float]], target: float) -> Cost:
    """What it took until a candidate with all folds had this mean; `candidates` are the scores of their folds, in order."""
    fits = 0
    for number, scores in enumerate(candidates):
        fits += len(scores)
        if len(scores) == FOLDS and statistics.fmean(scores) >= target - CLOSE:
            return replace(clock.cost(fits), candidate=number)
    return Cost()


def randomized(task: Problem) -> tuple[float, Cost, Cost]:
    """The best mean; what the whole search took, and what it took until it had that."""
    clock = Clocked(task.scoring)
    search = RandomizedSearchCV(
        task.estimator,
        distributions(task.space),
        n_iter=RANDOM,
        cv=task.cv,
        scoring=clock.begin(),
        refit=False,
        random_state=task.seed,
    ).fit(task.X, task.y)
    whole = clock.cost()
    table = np.column_stack([search.cv_results_[f"split{k}_test_score"] for k in range(FOLDS)])
    return search.best_score_, whole, reached(clock, table.tolist(), search.best_score_)


def halving(task: Problem) -> tuple[float, Cost]:
    """The mean of its winner on all rows; what the search took."""
    clock = Clocked(task.scoring)
    search = HalvingRandomSearchCV(
        task.estimator,
        distributions(task.space),
        cv=task.cv,
        scoring=clock.begin(),
        refit=False,
        random_state=task.seed,
        return_train_score=False,
    ).fit(task.X, task.y)
    whole = clock.cost()
    winner = clone(task.estimator).set_params(**search.best_params_)
    return float(cross_val_score(winner, task.X, task.y, cv=task.cv, scoring=task.scoring).mean()), whole


class UntilReached(LuthierSearchCV):
    """Ends where somebody who looks at it would end it."""

    target = math.inf

    def _start(self, *args: Any) -> Any:
        study, todo = super()._start(*args)
        study.store.set_budget(study.name, replace(study.spec.budget, target=self.target))
        return study, todo


def luthier(task: Problem, targets: Sequence[float], **options: Any) -> tuple[list[Cost], Any]:
    """What it took to each of the scores, and the search."""
    clock = Clocked(task.scoring)
    search = UntilReached(
        task.estimator,
        trials=MOST,
        cv=task.cv,
        scoring=clock.begin(),
        refit=False,
        random_state=task.seed,
        **options,
    )
    search.target = max(targets) - CLOSE
    search.fit(task.X, task.y)
    folds = [list(trial.reported("score").values()) for trial in search.study_.trials]
    return [reached(clock, folds, target) for target in targets], search


def optuna_search(task: Problem, target: float) -> Cost | None:
    """OptunaSearchCV, which knows no conditions: None for a space with some."""
    import optuna
    from optuna_integration import OptunaSearchCV

    if any(parameter.when for parameter in task.space.values()):
        return None
    clock = Clocked(task.scoring)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=task.seed))

    def enough(study: Any, trial: Any) -> None:
        if trial.value is not None and trial.value >= target - CLOSE:
            study.stop()

    search = OptunaSearchCV(
        clone(task.estimator),
        {name: for_optuna(parameter) for name, parameter in task.space.items()},
        cv=task.cv,
        n_trials=MOST,
        scoring=clock.begin(),
        refit=False,
        study=study,
        callbacks=[enough],
        random_state=task.seed,
    )
    search.fit(task.X, task.y)
    table = [[trial.value] * FOLDS for trial in study.trials]
    return reached(clock, table, target)


def for_optuna(parameter: Parameter) -> Any:
    from optuna import distributions as of

    match parameter:
        case Float():
            return of.FloatDistribution(parameter.low, parameter.high, log=parameter.log)
        case Int():
            return of.IntDistribution(parameter.low, parameter.high, log=parameter.log)
        case Choice():
            return of.CategoricalDistribution(parameter.values)
        case Const():
            return of.CategoricalDistribution([parameter.value])


def optuna_wilcoxon(task: Problem, target: float) -> Cost:
    """Optuna's own way to give up folds, as its documentation has it: what was pruned is told as its mean so far."""
    import optuna

    clock = Clocked(task.scoring).begin()
    candidates: list[list[float]] = []
    space, splits = task.space, list(task.cv.split(task.X, task.y))

    def objective(trial: Any) -> float:
        params: dict[str, Any] = {}
        for name in space.order:
            if space.exists(name, params):
                params[name] = trial._suggest(name, for_optuna(space[name]))
        scores: list[float] = []
        candidates.append(scores)
        for number, (train, test) in enumerate(splits):
            model = clone(task.estimator).set_params(**params).fit(task.X[train], task.y[train])
            scores.append(clock(model, task.X[test], task.y[test]))
            trial.report(scores[-1], number)
            if trial.should_prune():
                break
        return statistics.fmean(scores)

    def enough(study: Any, trial: Any) -> None:
        if len(candidates[-1]) == FOLDS and trial.value >= target - CLOSE:
            study.stop()

    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=task.seed),
        pruner=optuna.pruners.WilcoxonPruner(),
    )
    study.optimize(objective, n_trials=MOST, callbacks=[enough])
    return reached(clock, candidates, target)


def installed() -> tuple[bool, bool]:
    """Whether OptunaSearchCV and Optuna are there to compare with."""
    search, itself = (find_spec(name) is not None for name in ("optuna_integration", "optuna"))
    if itself:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
    else:
        print("Optuna is left out: it is not installed (pip install optuna).")
    if not search:
        print("OptunaSearchCV is left out: it is not installed (pip install optuna-integration).")
    return search and itself, itself


# --- the comparison ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One problem, searched by all."""

    data: str
    estimator: str
    seed: int
    random_score: float
    random: Cost
    random_had_it: Cost
    to_random: Cost
    halving_score: float
    halving: Cost
    to_halving: Cost
    optuna_search: Cost | None
    optuna_wilcoxon: Cost | None
    trials: int
    stopped: int


def compare(data: str, estimator: str, seed: int, with_search: bool, with_optuna: bool) -> Case:
    task = problem(data, estimator, seed)
    best, whole, had_it = randomized(task)
    score, cost = halving(task)
    (to_random, to_halving), search = luthier(task, [best, score])
    states = [trial.state for trial in search.study_.trials]
    return Case(
        data,
        estimator,
        seed,
        best,
        whole,
        had_it,
        to_random,
        score,
        cost,
        to_halving,
        optuna_search(task, best) if with_search else None,
        optuna_wilcoxon(task, best) if with_optuna else None,
        len(states),
        states.count(State.STOPPED),
    )


Ratio = Callable[[Case], float]


def ratio(ours: str, theirs: str, what: str) -> Ratio:
    """Ours over theirs; NaN where neither got there, or they were not asked."""

    def of(case: Case) -> float:
        other = getattr(case, theirs)
        if other is None:
            return math.nan
        a, b = getattr(getattr(case, ours), what), getattr(other, what)
        return math.nan if a == b == math.inf else a / b

    return of


RATIOS: dict[str, Ratio] = {
    "RandomizedSearchCV, fits": ratio("to_random", "random", "fits"),
    "RandomizedSearchCV, wall": ratio("to_random", "random", "wall"),
    "RandomizedSearchCV, CPU": ratio("to_random", "random", "cpu"),
    "the same until it had it, fits": ratio("to_random", "random_had_it", "fits"),
    "HalvingRandomSearchCV, fits": ratio("to_halving", "halving", "fits"),
    "HalvingRandomSearchCV, wall": ratio("to_halving", "halving", "wall"),
    "HalvingRandomSearchCV, CPU": ratio("to_halving", "halving", "cpu"),
    "OptunaSearchCV, fits": ratio("to_random", "optuna_search", "fits"),
    "OptunaSearchCV, CPU": ratio("to_random", "optuna_search", "cpu"),
    "Optuna, WilcoxonPruner, fits": ratio("to_random", "optuna_wilcoxon", "fits"),
    "Optuna, WilcoxonPruner, CPU": ratio("to_random", "optuna_wilcoxon", "cpu"),
}


def finite(values: Sequence[float]) -> str:
    middle = statistics.median(values) if values else math.nan
    return "never" if middle == math.inf else f"{middle:.2f}"


def table(cases: Sequence[Case]) -> None:
    """A row for each pair, then what it comes to."""
    print(
        "\nmedian over seeds: fits and CPU / the search's; fits to RandomizedSearchCV's score; candidates to it; not reached"
    )
    print(
        "| | random: fits | CPU | halving: fits | CPU | ours | OptunaSearchCV | WilcoxonPruner | at | never |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for pair in dict.fromkeys((case.data, case.estimator) for case in cases):
        own = [case for case in cases if (case.data, case.estimator) == pair]
        cells = [
            finite([RATIOS[f"{name}, {what}"](case) for case in own])
            for name in ("RandomizedSearchCV", "HalvingRandomSearchCV")
            for what in ("fits", "CPU")
        ]
        for who in ("to_random", "optuna_search", "optuna_wilcoxon"):
            costs = [getattr(case, who) for case in own]
            known = [cost.fits for cost in costs if cost is not None]
            cells.append(finite(known).removesuffix(".00") if known else "-")
        at = [math.inf if c.to_random.candidate is None else c.to_random.candidate for c in own]
        never = sum(case.to_random.candidate is None for case in own)
        print(f"| {' '.join(pair)} | {' | '.join(cells)} | {finite(at).removesuffix('.00')} | {never} |")
    print("\n| ours over theirs | median | 75% | 90% | at most a third | at most the same | cases |")
    print("|---|---|---|---|---|---|---|")
    for name, of in RATIOS.items():
        values = sorted(value for case in cases if not math.isnan(value := of(case)))
        if not values:
            continue
        quantiles = [values[min(len(values) - 1, int(q * len(values)))] for q in (0.5, 0.75, 0.9)]
        shares = [sum(value <= most + 1e-12 for value in values) / len(values) for most in (1 / 3, 1)]
        cells = [*(f"{q:.2f}" for q in quantiles), *(f"{share:.0%}" for share in shares), str(len(values))]
        print(f"| {name} | {' | '.join(cells)} |")
    for name in ("to_random", "to_halving", "optuna_search", "optuna_wilcoxon"):
        costs = [cost for case in cases if (cost := getattr(case, name)) is not None]
        if costs:
            never = sum(cost.fits == math.inf for cost in costs)
            first = sum(cost.candidate == 0 for cost in costs)
            print(
                f"{name}: not reached in {MOST} candidates in {never} of {len(costs)}; by the first candidate in {first}"
            )
    print(f"folds: {sum(c.stopped for c in cases)} of {sum(c.trials for c in cases)} trials were stopped")


def search_part(args: argparse.Namespace) -> None:
    pairs = [(data, estimator) for data in args.datasets for estimator in args.estimators]
    beside = (False, False) if args.no_optuna else installed()
    cases = []
    for seed, (data, estimator) in product(args.seeds, pairs):
        cases.append(compare(data, estimator, seed, *beside))
        if args.out:
            with open(args.out, "a") as file:  # noqa: PTH123
                print(json.dumps(asdict(cases[-1])), file=file)
        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    table(cases)


# --- overhead ----------------------------------------------------------------------------------

FIT_SECONDS = 0.05


class Waiting(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Takes its time, and no CPU, so that nothing but the search is measured on a machine with other work."""

    def __init__(self, a: float = 0.5, b: float = 0.5, seconds: float = FIT_SECONDS) -> None:
        self.a = a
        self.b = b
        self.seconds = seconds

    def fit(self, X: Any, y: Any) -> Waiting:
        self.classes_ = np.unique(y)
        time.sleep(self.seconds)
        return self

    def predict(self, X: Any) -> Any:
        return np.zeros(len(X), dtype=int)


def flat(estimator: Any, X: Any, y: Any) -> dict[str, float]:
    """A score without noise, and when it was scored."""
    return {"value": -((estimator.a - 0.3) ** 2) - (estimator.b - 0.6) ** 2, "moment": time.time()}


def overhead_part(args: argparse.Namespace) -> None:
    """Seconds that a search with two workers takes beyond those of its fits, half of them each."""
    X, y = np.zeros((200, 5)), np.arange(200) % 2
    trials = 8 if args.quick else 40
    print(f"\n{trials * FOLDS} fits of {FIT_SECONDS * 1000:.0f} ms, 2 workers: seconds")
    print(
        "| | wall | fits / 2 | to the first fit | after the last | beyond, between | share of the wall time | between |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for algorithm in ("random", "auto"):
        search = LuthierSearchCV(
            Waiting(),
            {"a": Float(0, 1), "b": Float(0, 1)},
            trials=trials,
            algorithm=algorithm,
            cv=FOLDS,
            scoring=flat,
            race=False,
            refit="value",
            n_jobs=2,
        )
        began, start = time.time(), time.perf_counter()
        search.fit(X, y)
        wall = time.perf_counter() - start - search.refit_time_
        table = search.cv_results_
        fits = sum((table["mean_fit_time"] + table["mean_score_time"]) * FOLDS) / 2
        moments = np.array([table[f"split{k}_test_moment"] for k in range(FOLDS)]) - began
        first, last = moments.min() - FIT_SECONDS, wall - moments.max()
        between = wall - fits - first - last
        cells = (wall, fits, first, last, between)
        shares = (1 - fits / wall, between / (moments.max() - first))
        numbers = [*(f"{cell:.2f}" for cell in cells), *(f"{share:.1%}" for share in shares)]
        print(f"| {algorithm} | {' | '.join(numbers)} |")


# --- memory ------------------------------------------------------------------------------------

MATRIX_MB = 500
PARTS_OF_IT = 10


class Summing(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Looks at the rows that it is given."""

    def __init__(self, a: float = 0.5) -> None:
        self.a = a

    def fit(self, X: Any, y: Any) -> Summing:
        self.classes_ = np.array([0, 1])
        self.sum_ = float(np.asarray(X).sum())
        return self

    def predict(self, X: Any) -> Any:
        return np.zeros(len(X), dtype=int)


def held(process: int | str = "self") -> dict[str, float]:
    """MB of a process: all that it can see, its share of that, what is its own alone and in no file."""
    text = Path(f"/proc/{process}/smaps_rollup").read_text()
    found = {name: int(kB) / 1e3 for name, kB in re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE)}
    return {"rss": found["Rss"], "pss": found["Pss"], "anonymous": found["Anonymous"]}


def measured(estimator: Any, X: Any, y: Any) -> dict[str, float]:
    return {"value": estimator.a, **held(), "process": os.getpid()}


class Machine:
    """The most that this process and its children held together while it was looked at; shared pages count once."""

    def __init__(self) -> None:
        self.most = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        while not self._over.wait(0.05):
            family = [os.getpid(), *_children()]
            with suppress(OSError):
                self.most = max(self.most, sum(held(process)["pss"] for process in family))

    def __enter__(self) -> Machine:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def _children() -> list[int]:
    tasks = Path("/proc/self/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def memory_part(args: argparse.Namespace) -> None:
    """What two workers hold of a matrix; the rows of a fold, a tenth to learn from and a tenth to score on, are theirs alone."""
    if not Path("/proc/self/smaps_rollup").exists():
        print("memory is left out: it can be told on Linux alone.")
        return
    mb = 64 if args.quick else MATRIX_MB
    rows = mb * 125
    print(f"\nMB, a matrix of {mb} MB and 2 workers (rows of a fold: {2 * mb / PARTS_OF_IT:.0f} each)")
    print("| | this process before | its peak | workers: in no file | seen | all together |")
    print("|---|---|---|---|---|---|")
    y = np.arange(rows) % 2
    cuts = np.array_split(np.arange(rows), PARTS_OF_IT)
    folds = [(cuts[k], cuts[k - 1]) for k in range(PARTS_OF_IT)]
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("array", "data frame", "mapped from a file"):
            X: Any = np.random.default_rng(0).random((rows, 1000))
            if kind == "data frame":
                X = pd.DataFrame(X, columns=[f"c{i}" for i in range(1000)], copy=False)
            elif kind == "mapped from a file":
                np.save(Path(folder) / "X.npy", X)
                X = np.load(Path(folder) / "X.npy", mmap_mode="r")
            gc.collect()
            before = held()["rss"]
            Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
            with Machine() as machine:
                search = LuthierSearchCV(
                    Summing(),
                    {"a": Float(0, 1)},
                    trials=6,
                    algorithm="random",
                    cv=folds,
                    scoring=measured,
                    race=False,
                    refit=lambda results: 0,
                    n_jobs=2,
                )
                search.fit(X, y)
            peak = int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0]) / 1e3
            table = search.cv_results_
            most = [
                max(max(table[f"split{k}_test_{what}"]) for k in range(PARTS_OF_IT))
                for what in ("anonymous", "rss")
            ]
            cells = (before, peak, *most, machine.most)
            print(f"| {kind} | {' | '.join(f'{cell:.0f}' for cell in cells)} |")
            del X, search


PARTS: Mapping[str, Callable[[argparse.Namespace], None]] = {
    "search": search_part,
    "overhead": overhead_part,
    "memory": memory_part,
}


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="*", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--datasets", nargs="*", default=[*DATA][:6], choices=list(DATA))
    parser.add_argument("--estimators", nargs="*", default=[*ESTIMATORS][:4], choices=list(ESTIMATORS))
    parser.add_argument("--seeds", type=numbers, default=[0, 1, 2, 3, 4])
    parser.add_argument("--quick", action="store_true", help="two data sets, one seed")
    parser.add_argument("--no-optuna", action="store_true")
    parser.add_argument("--out", help="a file for the numbers of each case, as lines of JSON")
    args = parser.parse_args()
    if args.quick:
        args.datasets, args.seeds = args.datasets[:2], args.seeds[:1]
    warnings.simplefilter("ignore")
    for part in args.parts:
        start = time.perf_counter()
        PARTS[part](args)
        print(f"{part}: {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
