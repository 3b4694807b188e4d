"""Racing: the share of folds run and the regret of the rules that give up a cross-validation early.

    python benchmarks/racing.py [--proposals random|default|live] [--keep FOLDER] [--rules NAME...] [--pairs NAME...]

26 pairs of a data set (shipped with scikit-learn, or generated) and a quick estimator, recommended spaces, 10 folds. `random`: the rules
see configurations drawn at random, in random orders, one trial at a time. `default`: they see, in its order, what the default
algorithm proposes when no rule is at work. `live`: it is told what the rule makes of its trials, and proposes accordingly; with
`tune` itself in the place of the short loop used here if --tune is given. Every fold is scored once and kept in FOLDER.
Regret is the difference of the final mean to that of the best of the same configurations, in units of the score; live there is also that to
the best of the pair that was ever scored, which depends on the luck of the search.

Must hold: random at most half of the folds, with the default algorithm at most .65, each fewer than the forgiving rule and the Wilcoxon
test at no more regret; regret at most 1e-4 in the median; a check below 50 microseconds.

The forgiving rule is that of the paper (E. Bergman, L. Purucker, F. Hutter, AutoML 2024): the mean so far is worse than the incumbent's
worst fold. The test is Optuna's WilcoxonPruner: paired, one-sided, p below 0.1, never the one with the best mean so far.
"""

# ruff: noqa: E402 - the number of threads is set before NumPy is loaded
from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np

import luthier as lt
from luthier import plugins
from luthier.engine.mind import Mind
from luthier.space import Int, Params, Scalar, Space
from luthier.stopping import Race, StoppingPolicy
from luthier.store.base import Changes
from luthier.study import (
    Budget,
    History,
    Named,
    Objective,
    Problem,
    Proposal,
    Report,
    State,
    StudySpec,
    Trial,
)

FOLDS = 10
Folds = list[float]


# --- the rules -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Forgiving:
    """Stops what is on average worse than the incumbent's worst fold."""

    def judge(self, trial: Trial, history: History) -> str | None:
        best = history.best()
        if best is None:
            return None
        mine, theirs = losses(trial, history), losses(best, history)
        return "worse" if statistics.fmean(mine) > max(theirs) else None

    expected = Race.expected  # the optimiser is told the same, so that the rules alone are compared


@dataclass(frozen=True)
class Wilcoxon:
    """Stops what is worse than the incumbent in a paired one-sided test."""

    p: float = 0.1
    startup: int = 2

    def judge(self, trial: Trial, history: History) -> str | None:
        best = history.best()
        # No fewer than four differences can be significant.
        if best is None or len(trial.reports) < 4 or history.counts[State.COMPLETED] < self.startup:
            return None
        mine, theirs = losses(trial, history), losses(best, history)
        apart = [a - b for a, b in zip(mine, theirs, strict=False)]
        if sum(apart) <= 0 or not any(apart):
            return None
        return "worse" if chance(apart) < self.p else None

    expected = Race.expected


def chance(apart: Folds) -> float:
    """That of such a sum of ranks, or a greater one, where all signs are as likely: what scipy.stats.wilcoxon(apart,
    alternative="greater", zero_method="zsplit") gives for up to 13 pairs, in a hundredth of the time.
    """
    from scipy.stats import rankdata

    ranks, signs = rankdata(np.abs(apart)), np.sign(apart)
    ranks = ranks[signs != 0]
    seen = ranks @ signs[signs != 0]
    sums = np.array([-1, 1])[np.indices([2] * len(ranks)).reshape(len(ranks), -1)].T @ ranks
    return float(np.mean(sums >= seen - 1e-9))


def losses(trial: Trial, history: History) -> Folds:
    """The trial's folds so far, the less the better."""
    objective = history.problem.objective
    return [objective.sign * score for score in trial.reported(objective.metric).values()]


RULES: dict[str, StoppingPolicy | None] = {
    "none": None,
    "forgiving": Forgiving(),
    "wilcoxon": Wilcoxon(),
    "race": Race(),
}


# --- what is cross-validated ---------------------------------------------------------------------


def pairs() -> dict[str, Callable[[], lt.CrossValidation]]:
    """Data set and estimator, small enough for thousands of fits."""
    from sklearn import datasets as ds
    from sklearn.ensemble import (
        ExtraTreesClassifier,
        ExtraTreesRegressor,
        RandomForestClassifier,
        RandomForestRegressor,
    )
    from sklearn.linear_model import ElasticNet, LogisticRegression, Ridge
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
    from sklearn.svm import SVC, SVR
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    def clusters() -> Any:
        return ds.make_classification(300, 12, n_informative=4, flip_y=0.1, random_state=0)

    sets: dict[str, Callable[[], Any]] = {
        "iris": lambda: ds.load_iris(return_X_y=True),
        "wine": lambda: ds.load_wine(return_X_y=True),
        "cancer": lambda: ds.load_breast_cancer(return_X_y=True),
        "digits": lambda: _part(ds.load_digits(return_X_y=True), 400),
        "diabetes": lambda: ds.load_diabetes(return_X_y=True),
        "clusters": clusters,
        "moons": lambda: ds.make_moons(300, noise=0.3, random_state=0),
        "friedman": lambda: ds.make_friedman1(300, noise=1.0, random_state=0),
        "sparse": lambda: ds.make_regression(150, 30, n_informative=6, noise=40.0, random_state=0),
    }

    def of(data: str, estimator: Any, scoring: str) -> Callable[[], lt.CrossValidation]:
        def make() -> lt.CrossValidation:
            X, y = sets[data]()
            X = (X - X.mean(axis=0)) / np.where(X.std(axis=0) > 0, X.std(axis=0), 1.0)
            return lt.CrossValidation(estimator, X, y, cv=FOLDS, scoring=scoring)

        return make

    logistic, few = LogisticRegression(max_iter=100), {"n_estimators": 15}
    return {
        "cancer-svc": of("cancer", SVC(), "accuracy"),
        "cancer-logistic": of("cancer", logistic, "log_loss"),
        "cancer-knn": of("cancer", KNeighborsClassifier(), "roc_auc"),
        "cancer-tree": of("cancer", DecisionTreeClassifier(), "accuracy"),
        "wine-svc": of("wine", SVC(), "accuracy"),
        "wine-tree": of("wine", DecisionTreeClassifier(), "balanced_accuracy"),
        "wine-logistic": of("wine", logistic, "log_loss"),
        "digits-svc": of("digits", SVC(), "accuracy"),
        "digits-trees": of("digits", ExtraTreesClassifier(**few), "accuracy"),
        "digits-knn": of("digits", KNeighborsClassifier(), "accuracy"),
        "diabetes-svr": of("diabetes", SVR(), "r2"),
        "diabetes-ridge": of("diabetes", Ridge(), "r2"),
        "diabetes-tree": of("diabetes", DecisionTreeRegressor(), "neg_mean_absolute_error"),
        "diabetes-knn": of("diabetes", KNeighborsRegressor(), "r2"),
        "diabetes-forest": of("diabetes", RandomForestRegressor(**few), "r2"),
        "iris-logistic": of("iris", logistic, "accuracy"),
        "iris-tree": of("iris", DecisionTreeClassifier(), "accuracy"),
        "clusters-svc": of("clusters", SVC(), "roc_auc"),
        "clusters-knn": of("clusters", KNeighborsClassifier(), "f1"),
        "clusters-forest": of("clusters", RandomForestClassifier(**few), "accuracy"),
        "moons-svc": of("moons", SVC(), "accuracy"),
        "moons-tree": of("moons", DecisionTreeClassifier(), "log_loss"),
        "friedman-svr": of("friedman", SVR(), "neg_root_mean_squared_error"),
        "friedman-trees": of("friedman", ExtraTreesRegressor(**few), "r2"),
        "sparse-elastic": of("sparse", ElasticNet(), "r2"),
        "sparse-knn": of("sparse", KNeighborsRegressor(), "r2"),
    }


def _part(Xy: tuple[Any, Any], rows: int) -> tuple[Any, Any]:
    kept = np.random.default_rng(0).permutation(len(Xy[0]))[:rows]
    return Xy[0][kept], Xy[1][kept]


class Scores:
    """The score of each fold of each configuration of a pair, found once."""

    def __init__(self, pair: str, folder: str | None) -> None:
        self.pair = pair
        self._make = pairs()[pair]
        self._task: lt.CrossValidation | None = None
        self._path = None if folder is None else Path(folder) / f"{pair}.json"
        self._known: dict[str, Folds] = {}
        self._new = 0
        if self._path is not None and self._path.exists():
            self._known = json.loads(self._path.read_text())

    @property
    def task(self) -> lt.CrossValidation:
        if self._task is None:
            self._task = self._make()
        return self._task

    @property
    def space(self) -> Space:
        return Space({name: p for name, p in self.task.space().items() if name != "n_estimators"})

    def __call__(self, params: Params) -> Folds:
        key = json.dumps(dict(params), sort_keys=True)
        if key not in self._known:
            found: Folds = []
            (metric,) = self.task.scorers
            self.task(_Reporting(params, lambda _, metrics: found.append(metrics[metric])))  # type: ignore[arg-type]
            self._known[key] = found
            self._new += 1
        return self._known[key]

    def top(self) -> float:
        """The least loss of all."""
        sign = self.task.default_objective().sign
        return min(sign * math.fsum(folds) / FOLDS for folds in self._known.values())

    def best(self, history: History) -> float:
        """The least loss of the configurations of a study, whether or not they ran to their end."""
        objective, space = history.problem.objective, history.problem.space
        allowed = [t for t in history if space.allows(t.params)]
        return min(objective.sign * math.fsum(self(t.params)) / FOLDS for t in allowed)

    def keep(self) -> None:
        if self._path is not None and self._new:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text(json.dumps(self._known))
            self._new = 0


class _Reporting:
    """As much of a context as a cross-validation asks for."""

    def __init__(self, params: Params, report: Callable[[int, Mapping[str, float]], None]) -> None:
        self.params = params
        self.report = report
        self.earlier: Mapping[int, Mapping[str, float]] = {}


# --- playing -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Played:
    """Share of folds run, regret in units of the score - to the best of the configurations it saw, and to the best of the pair -
    and seconds of processor time per check.
    """

    share: float
    regret: float
    behind: float
    check: float

    @classmethod
    def mean(cls, all_: Sequence[Played]) -> Played:
        return cls(*map(statistics.fmean, zip(*map(astuple, all_), strict=True)))

    @classmethod
    def median(cls, all_: Sequence[Played]) -> Played:
        return cls(*map(statistics.median, zip(*map(astuple, all_), strict=True)))

    def cell(self, shares: int, regrets: int, live: bool) -> str:
        """Of a table; the regrets in 1e-4."""
        behind = f" / {1e4 * self.behind:.{regrets}f}" if live else ""
        return f" {self.share:.{shares}f} / {1e4 * self.regret:.{regrets}f}{behind} "


def study(mind: Mind, trials: int, folds_of: Callable[[int, Params], Folds]) -> tuple[float, float]:
    """Work through `trials` trials as an engine with one worker does; seconds of processor time per check, and the least loss."""
    history, objective = mind.history, mind.spec.problem.objective
    spent = checks = 0.0
    for number in range(trials):
        proposals = mind.think(1)
        if not proposals:
            break
        trial = Trial(number, proposals[0].params, State.RUNNING, 1, tag=proposals[0].tag, seen=number)
        scores, reason = folds_of(number, trial.params), None
        for fold, score in enumerate(scores):
            trial = replace(trial, reports=(*trial.reports, Report(fold, {objective.metric: score})))
            if mind.policy is None or fold == FOLDS - 1:
                continue
            start = time.process_time()
            reason = mind.policy.judge(trial, history)
            spent, checks = spent + time.process_time() - start, checks + 1
            if reason is not None:
                break
        if reason is None:
            mean = math.fsum(scores) / FOLDS
            trial = replace(trial, state=State.COMPLETED, metrics={objective.metric: mean})
        else:
            trial = replace(trial, state=State.STOPPED, reason=reason)
        mind.learn(Changes([replace(trial, seq=number + 1)], number + 1, None, 0.0, Budget(trials=trials)))
    best = history.best()
    assert best is not None
    return spent / max(checks, 1), objective.sign * best.metrics[objective.metric]


def replayed(order: Sequence[Folds], objective: Objective, policy: StoppingPolicy | None) -> Played:
    """A study whose configurations come in this order, whatever the rule makes of them."""
    space = Space(row=Int(0, 10**6))
    rows = tuple(Proposal({"row": row}) for row in range(len(order)))
    spec = StudySpec("replayed", Problem(space, (objective,)), Named("random"), start=rows)
    mind = Mind.start(spec, plugins.algorithm("random"), policy)
    check, loss = study(mind, len(order), lambda number, _: order[number])
    top = min(objective.sign * math.fsum(folds) / FOLDS for folds in order)
    lost = regret(loss, top)
    return Played(run(mind.history), lost, lost, check)


def proposed(
    scores: Scores, policy: StoppingPolicy | None, trials: int, seed: int
) -> tuple[History, float, float]:
    """A study of the default algorithm; its history, seconds of processor time per check, and the least loss."""
    space, task = scores.space, scores.task
    start = (Proposal(task.defaults(space), tag={"by": "defaults"}),)
    problem = Problem(space, (task.default_objective(),))
    spec = StudySpec("live", problem, Named("auto"), seed=seed, start=start)
    mind = Mind.start(spec, plugins.algorithm("auto"), policy)
    check, loss = study(mind, trials, lambda _, params: scores(params))
    scores.keep()
    return mind.history, check, loss


def tuned(
    scores: Scores, policy: StoppingPolicy | None, trials: int, seed: int
) -> tuple[History, float, float]:
    """The same by `tune` itself, which fits every fold that it asks for."""
    found = lt.tune(scores.task, scores.space, trials=trials, seed=seed, stopping=policy, progress=False)
    objective = found.spec.problem.objective
    return found.history, 0.0, objective.sign * found.best.metrics[objective.metric]


def run(history: History) -> float:
    """The share of the folds that were run."""
    return sum(len(trial.reports) for trial in history) / (FOLDS * len(history))


def regret(loss: float, top: float) -> float:
    """In units of the score; an error has a scale of its own."""
    return (loss - top) / max(1.0, abs(top))


def at_random(scores: Scores, configs: int, orders: int, seed: int) -> list[list[Folds]]:
    """Random configurations in random orders."""
    rng, space = np.random.default_rng(seed), scores.space
    table = [scores({**space.sample(rng)}) for _ in range(configs)]
    scores.keep()
    return [[table[i] for i in np.random.default_rng([seed, n]).permutation(configs)] for n in range(orders)]


def by_default(scores: Scores, trials: int, seeds: Sequence[int]) -> list[list[Folds]]:
    """What the default algorithm proposes when every trial runs all its folds."""
    return [[scores(trial.params) for trial in proposed(scores, None, trials, seed)[0]] for seed in seeds]


# --- the tables ----------------------------------------------------------------------------------


def rows(
    args: argparse.Namespace, rules: Mapping[str, StoppingPolicy | None], pair: str
) -> dict[str, Played]:
    """What each rule comes to on a pair."""
    scores = Scores(pair, args.keep)
    seeds = range(1, args.seeds + 1)
    if args.proposals == "live":
        live = tuned if args.tune else proposed
        found = {rule: [live(scores, rules[rule], args.trials, seed) for seed in seeds] for rule in rules}
        top = scores.top()
        return {
            rule: Played.mean(
                [
                    Played(run(h), regret(loss, scores.best(h)), regret(loss, top), check)
                    for h, check, loss in all_
                ]
            )
            for rule, all_ in found.items()
        }
    if args.proposals == "random":
        orders = at_random(scores, args.configs, args.orders, args.seed)
    else:
        orders = by_default(scores, args.trials, seeds)
    objective = scores.task.default_objective()
    return {
        rule: Played.mean([replayed(order, objective, policy) for order in orders])
        for rule, policy in rules.items()
    }


def main() -> None:
    known = list(pairs())
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--proposals", choices=("random", "default", "live"), default="random")
    parser.add_argument("--keep", help="a folder for the scores")
    parser.add_argument("--configs", type=int, default=60)
    parser.add_argument("--orders", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1, help="of the random configurations")
    parser.add_argument("--trials", type=int, default=50, help="of the default algorithm")
    parser.add_argument("--seeds", type=int, default=2, help="of the default algorithm: how many")
    parser.add_argument("--pairs", nargs="*", default=known, choices=known)
    parser.add_argument(
        "--half", choices=("first", "second"), help="of the pairs: the constants were chosen on the first"
    )
    parser.add_argument("--rules", nargs="*", default=["forgiving", "wilcoxon", "race"], choices=list(RULES))
    parser.add_argument(
        "--race", nargs="*", default=[], help="settings of other races, as confidence=0.9,startup=3"
    )
    parser.add_argument("--tune", action="store_true")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    rules = {rule: RULES[rule] for rule in args.rules}
    for text in args.race:
        settings: dict[str, Scalar] = {
            k: json.loads(v) for k, _, v in (s.partition("=") for s in text.split(","))
        }
        rules[text] = Race(**settings)  # type: ignore[arg-type]
    taken = {None: args.pairs, "first": args.pairs[:13], "second": args.pairs[13:]}[args.half]
    live = args.proposals == "live"
    print(
        "folds run / mean regret"
        + " / to the best of the pair" * live
        + ", in 1e-4 of the score\n\n| |"
        + "|".join(rules)
        + "|\n"
        + "|---" * (len(rules) + 1)
        + "|"
    )
    every: dict[str, list[Played]] = {rule: [] for rule in rules}
    for pair in taken:
        found = rows(args, rules, pair)
        for rule, played in found.items():
            every[rule].append(played)
        print(
            f"| {pair} |" + "|".join(p.cell(2, 1, live) for p in found.values()) + "|",
            flush=True,
        )
    means = [Played.mean(all_) for all_ in every.values()]
    print("| **mean** |" + "|".join(p.cell(3, 2, live) for p in means) + "|")
    medians = [Played.median(all_) for all_ in every.values()]
    print("| **median** |" + "|".join(p.cell(3, 2, live) for p in medians) + "|")
    print("| microseconds a check |" + "|".join(f" {1e6 * p.check:.0f} " for p in means) + "|")


if __name__ == "__main__":
    main()
