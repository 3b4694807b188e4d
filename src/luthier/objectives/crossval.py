"""CrossValidation: an estimator as an objective, scored fold by fold on splits that never change.

The splits are made once, when the objective is, so that all trials of a study are compared on the same rows: their
scores differ by the parameters alone, and differences between trials may be tested fold by fold, in pairs.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from luthier.clock import SystemClock
from luthier.errors import DataError, InvalidStudy, MissingExtra, ObjectiveError, did_you_mean
from luthier.estimators.data import Data, check_folds, take_rows
from luthier.estimators.named import as_estimator, estimator_path, library
from luthier.estimators.params import check_names, set_params
from luthier.estimators.prepare import Preprocess, preparation
from luthier.estimators.recommended import own_point, recommended_space, some
from luthier.objectives.context import Context
from luthier.objectives.folds import Fold, Predictions, in_numbers, over_folds, remembered
from luthier.objectives.splits import (
    Indices,
    first_line,
    locked,
    pack_splits,
    part_of,
    reshuffled,
    split,
    unpack_splits,
)
from luthier.space import Params, Scalar, Space
from luthier.study import Fidelity, Objective, StudySpec, Trial

ROWS, FOLDS = "rows", "folds"
"""What a training may be measured in, besides a parameter of the estimator."""

Scoring = str | Sequence[str] | Mapping[str, Any] | Callable[..., float] | None


class CrossValidation:
    """The mean cross-validated scores of `estimator` on X and y, as a task that `tune` takes.

    `estimator` is an instance, a class or a path such as "sklearn.svm:SVC"; X may be a `Data`, which brings its y.
    `cv` is a number of folds (stratified for classifiers, shuffled with `seed`; by groups where `groups` are given), a
    scikit-learn splitter, or pairs of train and test indices. `scoring` names one of scikit-learn's scorers or several,
    or maps names to scorers; by default accuracy for classifiers, r2 for regressors.

    `preprocess` says what is put in front of the estimator so that it reads the table well: "auto", "none", a mapping of columns to
    kinds, or a transformer (`preparation`). `holdout` is a share of the rows to lock away, in order of time the last ones: no fold trains or tests on them, and
    `Study.look` scores the result on them.

    Each fold is a report, with the fold's number as the step; an attempt that was lost is gone on with after its last report.
    `predictions` says where to keep what was predicted for the rows left out, if at all. The result is the mean over the folds of every score, and
    `fit_seconds`, the mean time of a fit. Whatever the estimator draws at random is drawn from `seed`, in every trial alike.

    Raises InvalidStudy, InvalidParams and DataError for what cannot be scored.
    """

    reports_folds = True
    """Steps are folds, and say nothing of how far a training went."""

    def __init__(
        self,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        cv: Any = 5,
        scoring: Scoring = None,
        groups: Any = None,
        preprocess: Preprocess = "auto",
        holdout: float | None = None,
        name: str | None = None,
        seed: int = 0,
    ) -> None:
        try:
            import sklearn  # noqa: F401
        except ModuleNotFoundError:
            raise MissingExtra("scikit-learn", "sklearn", "CrossValidation") from None
        if isinstance(X, Data):
            self.data = X
        elif y is None:
            raise DataError("there is no y. Give the target: CrossValidation(estimator, X, y).")
        else:
            self.data = Data.of(X, y, name=name or "data")
        self.seed = seed
        given = as_estimator(estimator)
        self.estimator = _seeded(given, seed)
        self.path = estimator_path(self.estimator)
        self.classifier = _is_classifier(self.estimator, self.path, self.data)
        self.preparation = preparation(self.estimator, self.data.X, self.data.y, preprocess)
        self._given = repr_of(given)
        self._groups, self._cv = groups, cv
        if groups is not None and len(groups) != self.data.rows:
            raise InvalidStudy(
                f"there are {len(groups)} groups for {self.data.rows} rows. Give one group per row."
            )
        self.locked: Indices | None = None
        kept: Indices | None = None
        if holdout is not None:
            kept, self.locked = locked(holdout, self.data.y, groups, seed, self.classifier, cv)
        self._splits, self.cv, self._by_chance = split(cv, self.data.y, groups, seed, self.classifier, kept)
        if self.classifier:
            check_folds(self.data.y, self._splits)
        self._implied = scoring is None
        self.scorers = _scorers(self._default_metric() if scoring is None else scoring)
        self._classes = np.unique(np.asarray(self.data.y)) if self.classifier else None
        self.predictions: Predictions | None = None
        self._fidelity: Fidelity | None = None

    # --- what it is --------------------------------------------------------------------------

    @property
    def folds(self) -> int:
        """How many fits a trial takes."""
        return len(self._splits)

    @property
    def splits(self) -> list[tuple[Indices, Indices]]:
        """Train and test rows of every fold."""
        return list(self._splits)

    @property
    def splits_hash(self) -> str:
        """SHA-256 of the splits: equal hashes mean that scores may be compared fold by fold."""
        digest = hashlib.sha256()
        for indices in (part for pair in self._splits for part in pair):
            digest.update(len(indices).to_bytes(8, "little"))
            digest.update(indices.astype("<i8").tobytes())
        return digest.hexdigest()

    @property
    def packed_splits(self) -> str:
        """The splits as text, to be kept with the study."""
        return pack_splits(self._splits)

    def with_splits(self, packed: str) -> CrossValidation:
        """The same cross-validation on the splits that a study was begun with, where its own were drawn by chance: by a
        splitter that shuffles with no fixed seed.
        """
        if not self._by_chance:
            return self
        splits = unpack_splits(packed)
        if max(int(part.max()) for split in splits for part in split) >= self.data.rows:
            return self  # other data, which is said elsewhere
        other = copy(self)
        other._splits = splits
        return other

    @property
    def about(self) -> dict[str, Any]:
        """What the study is about, as JSON; two studies with the same may be compared."""
        return {
            "estimator": self.path,
            "fixed": self._given,
            "data": self.data.name,
            "rows": self.data.rows,
            "columns": self.data.columns,
            "classes": None if self._classes is None else len(self._classes),
            "fingerprint": self.data.fingerprint,
            "cv": self.cv,
            "folds": self.folds,
            "splits": self.splits_hash,
            **({} if self.locked is None else {"locked": len(self.locked)}),
            "scoring": sorted(self.scorers),
            "estimator_seed": self.seed,
        }

    def default_objective(self) -> Objective:
        """What to optimise where nothing else is asked for: the first of `scoring`, else accuracy or r2."""
        first = next(iter(self.scorers))
        return Objective(first, "min" if self.scorers[first][1] < 0 else "max")

    def fresh(self) -> CrossValidation:
        """The same cross-validation on other splits of the same kind, to confirm on. Raises InvalidStudy where there are no others."""
        other = copy(self)
        seed = self.seed + 1
        rows = None if self.locked is None else np.setdiff1d(np.arange(self.data.rows), self.locked)
        cv = self._cv if isinstance(self._cv, int | np.integer) else reshuffled(self._cv, seed)
        other.predictions = None
        other._splits, other.cv, _ = split(cv, self.data.y, self._groups, seed, self.classifier, rows)
        return other

    def look(self, params: Params) -> dict[str, float]:
        """Every score on the rows that are locked away, of the estimator fitted to all others."""
        if self.locked is None:
            raise InvalidStudy(
                "no rows are locked away. Lock some: CrossValidation(estimator, X, y, holdout=0.2)."
            )
        return self._score(self._fit_without(self.locked, params), self.locked, "the locked rows")

    def held_back(self, params: Params) -> tuple[Any, Any, Any]:
        """The estimator fitted to all rows but those that are locked away, and X and y of those."""
        assert self.locked is not None
        return self._fit_without(self.locked, params), *self._rows(self.locked)

    def _fit_without(self, locked: Indices, params: Params) -> Any:
        rest = np.setdiff1d(np.arange(self.data.rows), locked)
        return self._fit(self.in_full(params), rest)[0]

    def keeping(self, folder: Path) -> CrossValidation:
        """The same cross-validation, which keeps in `folder` what it predicts for the rows left out."""
        other = copy(self)
        other.predictions = Predictions(folder)
        other.predictions.begin(self.data.y, self._groups, classes=self.classifier)
        return other

    def scored_by(self, metrics: Sequence[str]) -> CrossValidation:
        """The same cross-validation with these metrics among its scores.

        A metric is the name of one of scikit-learn's scorers, or a loss by its plain name: "log_loss" is reported as
        it is, to be minimised, where scikit-learn has neg_log_loss.
        """
        wanted = [metric for metric in metrics if metric not in self.scorers and metric != "fit_seconds"]
        other = copy(self)
        kept = {} if self._implied and wanted else self.scorers
        other.scorers = {**kept, **_scorers(wanted)}
        other._implied = False
        return other

    def space(self) -> Space:
        """The recommended space of the estimator, with ranges that follow the data where they depend on it; without what the fidelity
        limits.
        """
        smallest = min((train for train, _ in self._splits), key=len)
        space = recommended_space(self.estimator, self._numbers(some(smallest, self.data.columns)))
        if self._fidelity is None or self._fidelity.name not in space:
            return space
        return Space({name: space[name] for name in space if name != self._fidelity.name})

    def defaults(self, space: Space) -> dict[str, Scalar]:
        """The estimator's own values of the parameters of the space, whether or not the space allows them.

        Constants have the value that the space gives them; what is no scalar is left out, and so stays as
        it is. gamma="scale" of an SVM becomes the number that it stands for on these rows.
        """
        return own_point(self.estimator, space, lambda: self._numbers(None))

    def trained_by(self, fidelity: Fidelity) -> CrossValidation:
        """The same cross-validation, whose trials are not all trained in full: on a part of the "rows" of each fold, a number or a share
        of them; on the first "folds"; or with less of a parameter of the estimator that is not in the space: "n_estimators".

        Raises InvalidStudy or InvalidParams for a fidelity that means nothing here.
        """
        most = min(len(train) for train, _ in self._splits)
        if fidelity.resumes:
            raise InvalidStudy(
                "a cross-validation leaves no checkpoints to go on from. Leave out resumes=True: trials are fitted again from the start."
            )
        if fidelity.name == FOLDS and fidelity.high != self.folds:
            raise InvalidStudy(
                f"the fidelity goes up to {fidelity.high:g} folds, and there are {self.folds}. Use Fidelity('folds', 1, {self.folds})."
            )
        if fidelity.name == ROWS and fidelity.high not in (1, most):
            raise InvalidStudy(
                f"the fidelity goes up to {fidelity.high:g} rows, and a fold is fitted to {most}. Use a share of them, Fidelity('rows', 0.1, 1), "
                f"or Fidelity('rows', {max(most // 10, 1)}, {most})."
            )
        if fidelity.name not in (FOLDS, ROWS):
            check_names(self.estimator, [fidelity.name])
        other = copy(self)
        other._fidelity = fidelity
        return other

    def check(self, space: Mapping[str, Any]) -> None:
        """Raise InvalidParams, with the near name, for a name in the space that is no parameter of the estimator."""
        check_names(self.estimator, space)

    # --- what it does ------------------------------------------------------------------------

    def __call__(self, trial: Context) -> dict[str, float]:
        """Fit and score every fold; the mean of every score."""
        fidelity, folds, rows = self._fidelity, self.folds, None
        params = self.in_full(trial.params)
        amount = None if fidelity is None else trial.fidelity
        if fidelity is not None and amount is not None and not fidelity.full(amount):
            if fidelity.name == FOLDS:
                folds = int(amount)
            elif fidelity.name == ROWS:
                rows = amount / fidelity.high
            else:
                params = {**params, fidelity.name: amount}
        return over_folds(trial, folds, partial(self._fold, params, share=rows), self.predictions)

    def in_full(self, params: Params) -> Params:
        """The parameters of a training in full: with the most of what the fidelity limits."""
        fidelity = self._fidelity
        if fidelity is None or fidelity.name in (FOLDS, ROWS):
            return params
        return {**params, fidelity.name: fidelity.near(fidelity.high)}

    def _fold(self, params: Params, number: int, share: float | None = None) -> Fold:
        train, test = self._splits[number]
        if share is not None:
            train = part_of(train, share, self.data.y if self.classifier else None, [self.seed, number])
        fitted, seconds = self._fit(params, train)
        with remembered(fitted) as outputs:
            scores = self._score(fitted, test, f"fold {number}")
        seen = getattr(fitted, "classes_", None) if self.classifier else None
        return Fold({**scores, "fit_seconds": seconds}, in_numbers(outputs, self._classes, seen))

    def refit(self, params: Params) -> Any:
        """The estimator with these parameters, fitted on all rows."""
        return self._fit(self.in_full(params), None)[0]

    def build(self, params: Params) -> Any:
        """The unfitted estimator with these parameters, and the preprocessing that the data needs in front of it."""
        return self.preparation.around(set_params(self.estimator, params))

    def card(self, spec: StudySpec, best: Trial) -> dict[str, Any]:
        """What `save_model` is to write about the model: where it comes from, how it was scored, what it reads."""
        return {
            "data": self.data,
            "meta": {
                **made_by(spec, best),
                "estimator": self.path,
                "fixed": self._given,
                "prepared": self.preparation.to_json(),
                "task": "classification" if self.classifier else "regression",
                "cv": self.cv,
                "splits": self.splits_hash,
                "seed": self.seed,
            },
        }

    def _fit(self, params: Params, rows: Indices | None) -> tuple[Any, float]:
        X, y = self._rows(rows)
        model = self.build(params)
        clock = SystemClock()
        start = clock.now()
        with _quiet():
            model.fit(X, y)
        return model, clock.now() - start

    def _score(self, fitted: Any, rows: Indices, where: str) -> dict[str, float]:
        from sklearn.metrics import check_scoring

        X, y = self._rows(rows)
        # Of several scorers each prediction is made once.
        scorer = check_scoring(fitted, scoring={name: scorer for name, (scorer, _) in self.scorers.items()})
        try:
            with _quiet():
                raw = scorer(fitted, X, y)
        except Exception as error:
            raise ObjectiveError(
                f"{_names(self.scorers)} cannot be computed for {self.path} on {where}: {first_line(error)}. "
                "Choose a score that the estimator and the data allow."
            ) from error
        scores = {name: sign * float(raw[name]) for name, (_, sign) in self.scorers.items()}
        for name, value in scores.items():
            if math.isnan(value):
                raise ObjectiveError(
                    f"the score {name!r} of {where} is not a number: it is undefined for these {len(rows)} test rows. "
                    "Choose another score, or fewer folds."
                )
        return scores

    def _numbers(self, rows: Indices | None) -> Any:
        """These rows, or all, as the estimator gets to see them, behind the preprocessing that the data needs."""
        return self.preparation.transformed(*self._rows(rows))

    def _rows(self, rows: Indices | None) -> tuple[Any, Any]:
        """X and y of these rows, or of all."""
        if rows is None:
            return self.data.X, self.data.y
        return take_rows(self.data.X, rows), take_rows(self.data.y, rows)

    def _default_metric(self) -> str:
        from sklearn.base import is_regressor

        if not self.classifier and not is_regressor(self.estimator):
            raise InvalidStudy(
                f"{self.path} is neither a classifier nor a regressor, so there is no score by default. Give scoring=."
            )
        return "accuracy" if self.classifier else "r2"


def made_by(spec: StudySpec, trial: Trial) -> dict[str, Any]:
    """What a model's manifest says of the trial that it is from."""
    return {
        "study": spec.name,
        "trial": trial.number,
        "params": dict(trial.params),
        "scores": _scores(trial),
        "objective": [{"metric": o.metric, "goal": o.goal} for o in spec.problem.objectives],
        "algorithm": spec.algorithm.name,
    }


def _scores(trial: Trial) -> dict[str, Any]:
    """Every score of a trial as a model's manifest has it: the mean, its standard error, the folds."""
    found = {}
    for name, mean in trial.metrics.items():
        folds = [float(value) for value in trial.reported(name).values()]
        found[name] = {"mean": float(mean), "se": standard_error(folds), "folds": folds}
    return found


def standard_error(values: Sequence[float]) -> float | None:
    """Of the mean of the folds; None for fewer than two."""
    return float(np.std(values, ddof=1) / math.sqrt(len(values))) if len(values) > 1 else None


def repr_of(estimator: Any) -> str:
    """The estimator on one line, with the parameters that differ from their defaults."""
    if isinstance(estimator, type):
        estimator = estimator()
    if library(estimator) == "catboost":
        inner = ", ".join(f"{name}={value!r}" for name, value in sorted(estimator.get_params().items()))
        return f"{type(estimator).__name__}({inner})"
    try:
        text = estimator.__repr__(N_CHAR_MAX=10_000)
    except TypeError:
        text = repr(estimator)
    return " ".join(text.split())


# --- estimators --------------------------------------------------------------------------------

_SILENT: dict[str, dict[str, Any]] = {
    "catboost": {"verbose": False, "allow_writing_files": False},
    "lightgbm": {"verbosity": -1},
}


def _seeded(estimator: Any, seed: int) -> Any:
    """A clone whose open random states are `seed`, and which does not print."""
    from sklearn.base import clone

    made = clone(estimator)
    values = made.get_params(deep=True)
    states = {
        n: seed for n, value in values.items() if n.rpartition("__")[2] == "random_state" and value is None
    }
    made.set_params(**states)
    for prefix, owner in [
        ("", made),
        *((f"{n}__", v) for n, v in values.items() if hasattr(v, "get_params")),
    ]:
        silent = _SILENT.get(library(owner), {})
        given = owner.get_params()
        if not any(name in given for name in ("verbose", "verbosity", "silent", "logging_level")):
            made.set_params(**{prefix + name: value for name, value in silent.items()})
    return made


def _is_classifier(estimator: Any, path: str, data: Data) -> bool:
    from sklearn.base import is_classifier, is_regressor
    from sklearn.utils.multiclass import type_of_target

    kind = np.asarray(data.y).dtype.kind
    if is_regressor(estimator) and kind not in "iufb":
        raise DataError(
            f"the target of {data.name} is text, and {path} is a regressor, which predicts numbers. Use a classifier."
        )
    if not is_classifier(estimator):
        return False
    if type_of_target(data.y) == "continuous":
        values = len(np.unique(np.asarray(data.y)))
        raise DataError(
            f"the target of {data.name} has {values} different real values, and {path} is a classifier. Use a regressor."
        )
    if len(np.unique(np.asarray(data.y))) < 2:
        raise DataError(f"the target of {data.name} has one class only; there is nothing to tell apart.")
    return True


# --- scores ------------------------------------------------------------------------------------


def _scorers(scoring: Any) -> dict[str, tuple[Any, int]]:
    """Metric -> (scikit-learn's scorer, the sign that makes of it what the metric's name says)."""
    if isinstance(scoring, str):
        return {scoring: _scorer(scoring)}
    if isinstance(scoring, Mapping):
        return {str(name): _scorer(scorer) for name, scorer in scoring.items()}
    if callable(scoring):
        return {getattr(scoring, "__name__", "score"): (scoring, 1)}
    return {name: _scorer(name) for name in scoring}


def _scorer(name: Any) -> tuple[Any, int]:
    from sklearn.metrics import get_scorer, get_scorer_names

    if callable(name):
        return name, 1
    known = get_scorer_names()
    if name in known:
        return get_scorer(name), 1
    if f"neg_{name}" in known:
        return get_scorer(f"neg_{name}"), -1
    plain = [*known, *(other.removeprefix("neg_") for other in known)]
    raise InvalidStudy(
        f"{name!r} is no score that scikit-learn knows.{did_you_mean(name, plain)} "
        "sklearn.metrics.get_scorer_names() lists them."
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep still about what a search provokes by design: fits that did not converge, scores of empty classes."""
    from sklearn.exceptions import ConvergenceWarning, UndefinedMetricWarning

    with warnings.catch_warnings():
        for category in (ConvergenceWarning, UndefinedMetricWarning, RuntimeWarning):
            warnings.simplefilter("ignore", category)
        yield


def _names(scorers: Mapping[str, Any]) -> str:
    return " or ".join(repr(name) for name in scorers)
