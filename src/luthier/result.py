"""What a study has come to: which trial to take, and the score that it will really have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from luthier.analysis.compare import closest, contenders
from luthier.analysis.ensemble import greedy, honest_greedy
from luthier.analysis.honest import Honest, honest_of
from luthier.analysis.measures import MEASURES, RANKINGS, Scored, Sums, measured
from luthier.analysis.select import Rule, best, shrunken, simplest
from luthier.errors import InvalidStudy, LuthierError
from luthier.estimators.complexity import complexity_of
from luthier.expected import predict
from luthier.objectives.folds import Predictions
from luthier.objectives.splits import overlap, unpack_splits
from luthier.study import History, Objective, State, StudySpec, Trial

Floats = NDArray[np.float64]
Splits = Sequence[tuple[Any, Any]]
Select = Literal["best", "1se", "posterior"]
ROOM = 100_000_000
"""Predictions are looked at together up to so many; of more, from many rows, the choice has next to no optimism."""
OF_VALUES = ("r2", "explained_variance", "mean_", "median_", "root_mean_", "max_error", "neg_", "d2_")
"""How the names of scores begin that are of values, not of classes."""
FINALISTS = 8
"""So many trials at most are confirmed."""
PROBABILITIES = frozenset({"log_loss", "brier_score", *RANKINGS})


class Judged(Protocol):
    """A study, as far as its result depends on it."""

    @property
    def spec(self) -> StudySpec: ...
    @property
    def history(self) -> History: ...
    @property
    def facts(self) -> Mapping[str, Any]: ...
    @property
    def predictions(self) -> Predictions: ...


@dataclass(frozen=True, slots=True)
class Result:
    """The trial to take, in units of the metric; print it for sentences.

    `raw` is the score by which the trial was chosen, `honest` the one to be expected on new data: `low` to `high` hold it with a
    probability of about 95%. `optimism` is by how much the trial seems better than it is, being the best of many. `best` is the
    trial with the best raw score. `plausible` are the trials that cannot be told from the best, of `candidates` with all
    folds. `default` is the configuration to be beaten, where it was evaluated in the space: it stays chosen unless another is
    better by more than noise. `rows` says whether all this is from the predictions for every row, or from the scores of folds alone.
    """

    trial: Trial
    metric: str
    select: Select
    raw: float
    honest: float
    low: float
    high: float
    optimism: float
    best: Trial
    plausible: tuple[int, ...]
    candidates: int
    default: Trial | None
    rows: bool

    def __str__(self) -> str:
        said = [
            f"Trial {self.trial.number}: {self.metric} {self.raw:.4g} on its folds; {self.honest:.4g} is to be expected on new data, "
            f"between {self.low:.4g} and {self.high:.4g} (95%)."
        ]
        if len(self.plausible) > 1:
            said.append(f"{len(self.plausible)} of {self.candidates} trials cannot be told from the best.")
        if self.default is not None and self.trial == self.default and self.best != self.trial:
            said.append(
                f"These are the defaults, which stay: trial {self.best.number} ({self.best.metrics[self.metric]:.4g}) is "
                "not better by more than noise."
            )
        elif self.trial != self.best:
            said.append(
                f"The best raw score is {self.best.metrics[self.metric]:.4g}, of trial {self.best.number}."
            )
        if not self.rows:
            said.append(
                "From the scores of the folds alone, as no predictions were kept for this score: a rough estimate."
            )
        return " ".join(said)


def result_of(
    study: Judged, select: Select = "best", complexity: str | None = None, guard: bool = True
) -> Result:
    """The result of a study of a cross-validation.

    `select` is the rule: "best" takes the best score, "1se" the simplest trial that is not behind it by more than the standard error
    of their difference - `complexity` names a parameter that makes the estimator more complex the greater it is, or with a
    minus ("-alpha") the smaller; by default it goes by what is known of the estimator's parameters, else by the time of
    fitting -, "posterior" the best of what the trials' own scores and a model of all of them agree on. With `guard`, the defaults
    stay chosen unless they are beaten. Raises LuthierError where no trial has all its folds.
    """
    if select not in get_args(Select):
        raise InvalidStudy(f"select is {select!r}. Use one of: {', '.join(map(repr, get_args(Select)))}.")
    spec, history = study.spec, study.history
    objective = spec.problem.objective
    rivals, splits = _rivals(study)
    trials = _with_stopped(rivals, history)
    default = _default(trials)
    scored, groups, rows = _scored(study, trials, objective, splits)
    reported = np.array([objective.sign * history.value(trial) for trial in trials])
    plain = isinstance(scored, Sums) and scored.loss is None  # means of rows are quick
    found: Honest = honest_of(
        scored,
        default if guard else None,
        replicates=500 if plain else 200,
        most=len(trials) if plain else 50,
        rng=np.random.default_rng(spec.seed),
        groups=groups,
        rule=_rule(select, trials, history, complexity),
        reported=reported,
    ).signed(objective.sign)
    alike = closest(rivals, objective, overlap(splits))
    return Result(
        trial=trials[found.chosen],
        metric=objective.metric,
        select=select,
        raw=found.raw,
        honest=found.value,
        low=found.low,
        high=found.high,
        optimism=objective.sign * (found.value - found.raw),
        best=rivals[0],
        plausible=tuple(trial.number for trial in alike),
        candidates=len(rivals),
        default=None if default is None else trials[default],
        rows=rows,
    )


def _default(trials: Sequence[Trial]) -> int | None:
    """The place of the trial with the estimator's own parameters, if it has all folds."""
    for place, trial in enumerate(trials):
        if trial.tag.get("by") == "defaults" and trial.state is State.COMPLETED:
            return place
    return None


def _rule(select: Select, trials: Sequence[Trial], history: History, complexity: str | None) -> Rule:
    if select == "1se":
        return simplest(complexity_of(trials, complexity))
    if select == "posterior":
        mean, sd = predict(history, [trial.params for trial in trials])
        return shrunken(history.problem.objective.sign * mean, sd)
    return best


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What the trials that could not be told from the best came to on splits that none of them was chosen by; print it for a sentence.

    `fresh` are their scores there, without those that a race ended; `trial` has the best mean of both scores, `both`.
    """

    trial: Trial
    metric: str
    both: float
    fresh: Mapping[int, float]

    def __str__(self) -> str:
        others = ", ".join(f"#{number} {score:.4g}" for number, score in self.fresh.items())
        return f"Trial {self.trial.number} is confirmed: {self.metric} {self.both:.4g} over both kinds of splits. On the fresh ones: {others}."


def finalists(study: Judged, share: float) -> list[Trial]:
    """The trials that cannot be told from the best, the best first: between 2 and 8, as many as all their folds are no more than
    a `share` of the fits that the study has made.
    """
    if not 0 < share <= 1:
        raise InvalidStudy(
            f"share is {share!r}. Use the share of the fits that confirming may take, such as 0.15."
        )
    rivals, splits = _rivals(study)
    fits = sum(len(trial.reports) for trial in study.history)
    many = max(2, min(FINALISTS, int(share * fits / len(splits))))
    return closest(rivals, study.spec.problem.objective, overlap(splits))[:many]


def confirmed(study: Judged, again: History) -> Confirmation:
    """The finalists of the study once they were tried again, as the first trials of the other `history`."""
    objective = study.spec.problem.objective
    fresh: dict[int, float] = {}
    both: dict[int, float] = {}
    for trial in again:
        if trial.state is State.COMPLETED and (first := trial.tag.get("of")) is not None:
            number = int(first)
            fresh[number] = again.value(trial)
            both[number] = (fresh[number] + study.history.value(study.history[number])) / 2
    if not both:
        raise LuthierError("none of the finalists completed on the fresh splits; the first one stays chosen.")
    chosen = min(both, key=lambda number: objective.sign * both[number])
    return Confirmation(study.history[chosen], objective.metric, both[chosen], fresh)


# --- an ensemble -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Blend:
    """The mean of what several trials predict, in units of the metric; print it for a sentence.

    `weights` are those of the trials by their number and add up to 1. `honest` is the score to be expected of the ensemble, with
    `low` to `high`, and `single` that of the best trial alone: `better` says whether the ensemble is worth having.
    """

    weights: Mapping[int, float]
    metric: str
    raw: float
    honest: float
    low: float
    high: float
    single: float
    better: bool

    def __str__(self) -> str:
        members = ", ".join(f"{weight:.0%} trial {number}" for number, weight in self.weights.items())
        verdict = "better than" if self.better else "no better than"
        return (
            f"{self.metric} {self.honest:.4g} is to be expected of the ensemble, between {self.low:.4g} and {self.high:.4g} (95%), "
            f"{verdict} the {self.single:.4g} of its best member alone: {members}."
        )


def blend_of(study: Judged, size: int = 25) -> Blend:
    """The ensemble of up to `size` trials, with repetition, that predicts best what was left out (`luthier.analysis.ensemble`).

    Raises LuthierError where no probabilities or values were kept: a cross-validation keeps what its scores asked for.
    """
    objective = study.spec.problem.objective
    rivals, splits = _rivals(study)
    whole = sorted(rivals, key=_number)
    metric = objective.metric.removeprefix("neg_")
    found = _cells(study.predictions, whole, objective, splits, ("predict_proba",))
    if found is None:
        raise LuthierError(
            f"study {study.spec.name!r} has no predictions to be averaged: probabilities, or values, scored by a score that scikit-learn "
            "knows. Score by log_loss or roc_auc, or search with refit='ensemble', which keeps probabilities."
        )

    def measure(predictions: Floats) -> Scored:
        return measured(metric, found.y, predictions, found.folds)

    rng = np.random.default_rng(study.spec.seed)
    made = greedy(measure, found.table, rng=rng, size=size)
    rng = np.random.default_rng(study.spec.seed)
    together, alone = honest_greedy(measure, found.table, rng=rng, groups=found.groups, size=size)
    sign = objective.sign
    honest = together.signed(sign)
    weights = {
        whole[place].number: weight for place, weight in sorted(made.weights.items(), key=lambda w: -w[1])
    }
    return Blend(
        weights,
        objective.metric,
        raw=sign * made.loss,
        honest=honest.value,
        low=honest.low,
        high=honest.high,
        single=sign * alone.value,
        better=len(weights) > 1 and together.value < alone.value,
    )


# --- scores of rows ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Cells:
    """What trials predicted for the rows that were left out, shape (trials, cells, outputs), and what is true of these; `groups` are
    those that belong together.
    """

    y: NDArray[Any]
    folds: NDArray[Any]
    groups: NDArray[Any] | None
    table: Floats


def _rivals(study: Judged) -> tuple[list[Trial], Splits]:
    """The trials with all folds, the best first, and the splits."""
    rivals, packed = contenders(study.history), study.facts.get("splits")
    if study.spec.about.get("folds") == 1:
        raise LuthierError(
            f"study {study.spec.name!r} was scored on one split, and from that nobody can tell how much of the best score is luck. "
            "Use several folds (cv=5), or lock rows away (holdout=0.2) and look at them once."
        )
    if not rivals or packed is None:
        raise LuthierError(
            f"study {study.spec.name!r} has no trial with all folds of a cross-validation yet, so there is no result to be honest about."
        )
    return rivals, unpack_splits(packed)


def _with_stopped(rivals: Sequence[Trial], history: History) -> list[Trial]:
    """All among which was chosen, by number: the rivals, and those that were stopped on the way."""
    allows = history.problem.space.allows
    stopped = [t for t in history if t.state is State.STOPPED and t.reports and allows(t.params)]
    return sorted([*rivals, *stopped], key=_number)


def _number(trial: Trial) -> int:
    return trial.number


def _scored(
    study: Judged, trials: Sequence[Trial], objective: Objective, splits: Splits
) -> tuple[Scored, Any, bool]:
    """The trials by the rows that were left out, and which of these belong together; by their folds where nothing else is known."""
    metric = objective.metric.removeprefix("neg_")
    methods = ("predict_proba", "decision_function") if metric in PROBABILITIES else ("predict",)
    found = _cells(study.predictions, trials, objective, splits, methods)
    if found is not None:
        return measured(metric, found.y, found.table, found.folds), found.groups, True
    scores = [trial.reported(objective.metric) for trial in trials]
    table = np.array([[objective.sign * mine.get(k, np.nan) for mine in scores] for k in range(len(splits))])
    return Sums.of(table), None, False


def _cells(
    kept: Predictions, trials: Sequence[Trial], objective: Objective, splits: Splits, methods: Sequence[str]
) -> _Cells | None:
    """None where the score is not known, or the predictions of completed trials were not kept whole."""
    metric = objective.metric.removeprefix("neg_")
    if not (metric in MEASURES or metric in RANKINGS) or not _goes_this_way(objective) or not kept.kept:
        return None
    y, classes = kept.target, kept.classes
    if (classes is None) != metric.startswith(OF_VALUES):
        return None
    size = sum(len(test) for _, test in splits) * (1 if classes is None else len(classes))
    if size * len(trials) > ROOM:
        return None
    outputs = [_outputs(kept, trial.number, splits, classes, methods) for trial in trials]
    shapes = {found.shape for found in outputs if found is not None}
    if y.ndim != 1 or len(shapes) != 1:
        return None
    missing = np.full(next(iter(shapes)), np.nan)
    table = np.stack([missing if found is None else found for found in outputs])
    completed = [place for place, trial in enumerate(trials) if trial.state is State.COMPLETED]
    if np.isnan(table[completed]).any():
        return None
    cells = np.concatenate([test for _, test in splits])
    folds = np.repeat(np.arange(len(splits)), [len(test) for _, test in splits])
    repeated = len(np.unique(cells)) < len(cells)
    groups = (
        cells if kept.groups is None and repeated else None if kept.groups is None else kept.groups[cells]
    )
    return _Cells((y if classes is None else np.searchsorted(classes, y))[cells], folds, groups, table)


def _outputs(
    kept: Predictions, trial: int, splits: Splits, classes: NDArray[Any] | None, methods: Sequence[str]
) -> Floats | None:
    """What a trial predicted by the first of the methods that there is, shape (cells, outputs): an output for each class."""
    for method in methods if classes is not None else ("predict",):
        cells: Floats | None = kept.cells(trial, method, splits)
        if cells is None:
            continue
        if method == "predict" and classes is not None:
            return np.where(np.isnan(cells)[:, None], np.nan, cells[:, None] == classes)
        if cells.ndim == 1:
            return np.stack([-cells, cells], axis=1) if method == "decision_function" else cells[:, None]
        return cells
    return None


def _goes_this_way(objective: Objective) -> bool:
    """Whether the objective is to be optimised in the direction that its name says."""
    from sklearn.metrics import get_scorer_names

    loss = f"neg_{objective.metric}" in get_scorer_names()
    return loss == (objective.goal == "min")
