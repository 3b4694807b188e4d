"""An estimator fitted and scored fold by fold just as scikit-learn's own searches do it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from luthier.errors import ObjectiveError
from luthier.estimators.distributions import Translation
from luthier.objectives.context import Context
from luthier.objectives.folds import Fold, Predictions, in_numbers, over_folds, remembered

TIMES = ("fit_time", "score_time")
TRAIN = "train_"


@dataclass(frozen=True, eq=False)
class EstimatorTask:
    """Scores `estimator` with a trial's parameters on every split; what can be a table, a target, a scorer and a parameter for
    scikit-learn can be one here. `metric` is the name of the score to be optimised, among several or by itself.

    Reports are folds, with all scores, those on the training rows (`train_...`) if asked for, and the times of fitting and scoring.
    With `first`, `metric` is the first of what a callable scores, whatever its name there. `also` are methods of which the answers are kept besides those that the scores ask for. A fit that fails scores `error_score`; where every fit of a trial does, and that is no number, the trial fails.
    """

    estimator: Any
    X: Any
    y: Any
    splits: Sequence[tuple[Any, Any]]
    scorer: Any
    metric: str
    translation: Translation
    fit_params: Mapping[str, Any] = field(default_factory=dict)
    score_params: Mapping[str, Any] = field(default_factory=dict)
    error_score: Any = math.nan
    train_scores: bool = False
    verbose: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    classes: Any = None
    predictions: Predictions | None = None
    also: tuple[str, ...] = ()
    first: bool = False
    raised: list[BaseException] = field(default_factory=list)

    def keeping(self, predictions: Predictions, groups: Any = None) -> EstimatorTask:
        """The same, which keeps what was predicted for the rows left out; scores that weigh rows are not to be had from that."""
        if self.y is not None and not self.score_params:
            predictions.begin(self.y, groups, classes=self.classes is not None)
        return replace(self, predictions=predictions)

    def __call__(self, trial: Context) -> dict[str, float]:
        """The mean of every score over the splits."""
        metrics = over_folds(trial, len(self.splits), partial(self._fold, trial), self.predictions)
        if math.isnan(metrics[self.metric]):
            errors = [self.error(trial.number, fold) for fold in range(len(self.splits))]
            if errors[0] and all(errors):
                raise ObjectiveError(f"every fit failed: {errors[0].strip().splitlines()[-1]}")
        return metrics

    def error(self, trial: int, fold: int, score: float = math.nan) -> str | None:
        """The traceback of a fit that failed; of one with a `score` that no failure has there is none, which takes no looking."""
        if self.predictions is None or not (math.isnan(score) or score == self.error_score):
            return None
        return self.predictions.error(trial, fold)

    def _fold(self, trial: Context, number: int) -> Fold:
        from sklearn import config_context
        from sklearn.base import clone
        from sklearn.model_selection._validation import _fit_and_score

        train, test = self.splits[number]
        outputs: dict[str, Any] = {}
        with config_context(**self.settings):
            estimator = clone(self.estimator)
            try:
                found = _fit_and_score(
                    estimator,
                    self.X,
                    self.y,
                    scorer=_remembering(self.scorer, outputs, self.also),
                    train=train,
                    test=test,
                    verbose=self.verbose,
                    parameters=self.translation.params(trial.params),
                    fit_params=self.fit_params,
                    score_params=self.score_params,
                    return_train_score=self.train_scores,
                    return_times=True,
                    split_progress=(number, len(self.splits)),
                    error_score=self.error_score,
                )
                metrics = self._metrics(found)
            except Exception as error:
                self.raised.append(error)
                raise
        return Fold(
            metrics,
            in_numbers(outputs, self.classes, getattr(estimator, "classes_", None)),
            found["fit_error"],
        )

    def _metrics(self, found: Mapping[str, Any]) -> dict[str, float]:
        metrics = self._named(found["test_scores"])
        if self.train_scores:
            metrics |= {TRAIN + name: value for name, value in self._named(found["train_scores"]).items()}
        return metrics | {name: float(found[name]) for name in TIMES}

    def _named(self, scores: Any) -> dict[str, float]:
        if not isinstance(scores, Mapping):
            return {self.metric: float(scores)}
        named = {str(name): float(value) for name, value in scores.items()}
        if self.metric in named:
            return named
        if not self.first:
            raise ValueError(
                "For multi-metric scoring, the parameter refit must be set to a scorer key or a callable to refit an estimator "
                f"with the best parameter setting on the whole data. {self.metric!r} was passed, and there is: {', '.join(named)}."
            )
        return {self.metric: next(iter(named.values())), **named}


def _remembering(scorer: Any, outputs: dict[str, Any], also: Sequence[str]) -> Any:
    """The scorer, which writes down what the estimator predicted when it was first asked: for the rows left out."""
    from sklearn.metrics._scorer import _MultimetricScorer

    asked: list[Any] = []

    def remember(estimator: Any, *args: Any, **more: Any) -> Any:
        if asked:
            return scorer(estimator, *args, **more)
        asked.append(estimator)
        with remembered(estimator) as found:
            scores = scorer(estimator, *args, **more)
            for method in also:
                if hasattr(estimator, method):
                    getattr(estimator, method)(args[0])
        outputs.update(found)
        return scores

    class Several(_MultimetricScorer):  # type: ignore[misc]
        """What tells scikit-learn that a dict of scores is to come."""

        def __call__(self, estimator: Any, *args: Any, **more: Any) -> Any:
            return remember(estimator, *args, **more)

    if isinstance(scorer, _MultimetricScorer):
        return Several(scorers=scorer._scorers, raise_exc=scorer._raise_exc)
    return remember
