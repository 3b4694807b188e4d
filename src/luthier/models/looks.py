"""Scores of models on rows that the search never saw, computed when somebody asks, and counted.

A test set is honest once. Who picks the model that looks best on it has made it part of the search, so every look is
written down before it is shown, and shown with how many there were.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from luthier.clock import Clock
from luthier.errors import DataError, MissingExtra, ModelError, did_you_mean
from luthier.estimators import BUNDLED, load_data
from luthier.estimators.data import Data
from luthier.models import log
from luthier.models.answers import Answers
from luthier.models.held import Held, unpack
from luthier.models.log import Event
from luthier.models.predict import answers_for
from luthier.models.registry import HELD, ModelVersion, checked, show_model

Floats = NDArray[np.float64]
Score = Callable[[Any], float]

RESAMPLES = 500
"""Of the rows of a test set, for an interval; with replacement."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The rows that somebody looks at."""

    name: str
    rows: int
    fingerprint: str

    @classmethod
    def of(cls, data: Data) -> Seen:
        """Those of a table."""
        return cls(data.name, data.rows, data.fingerprint)


@dataclass(frozen=True, slots=True)
class Look:
    """The scores of a version on test data: metric -> (score, low, high), the latter two a 95% interval.

    `looks` counts how often these very rows were used to look at a version of this model, this time included.
    """

    model: str
    version: int
    data: str
    rows: int
    scores: Mapping[str, tuple[float, float, float]]
    looks: int


def score_model(
    home: Path | str,
    name: str,
    data: Data | str | None = None,
    target: str | None = None,
    *,
    version: int | None = None,
    scoring: Sequence[str] | None = None,
    trust: bool = False,
    clock: Clock | None = None,
) -> Look:
    """Score the champion, or a version, on data that was not used to find or fit it; the look is counted.

    Without `data` it is the rows that its study locked away (`CrossValidation(..., holdout=0.2)`), and what is scored there is
    the same estimator fitted to all others. Else it is a `Data`, a table in a file or a bundled data set; `target` its column to predict, by default the one that the
    model was fitted to. `scoring` names scores of scikit-learn, by default those that the study had. The interval is that of
    500 bootstrap samples of the rows. Raises DataError, also where these are the rows the model was fitted on.
    """
    model = show_model(home, name, version)
    metrics = list(scoring) if scoring else _metrics(model)
    for metric in metrics:
        sign_of(metric)
    if data is None:
        held = held_of(model)
        seen, found, y = Seen(held.data, len(held.y), held.fingerprint), held.answers, held.y
    else:
        data = unseen(model, data, target)
        seen, found, y = Seen.of(data), answers_for(model, data.X, trust=trust)[0], data.y
    scores = {metric: _interval(scoring_of(metric, found, y), seen.rows) for metric in metrics}
    looks = count_look(model, seen, {metric: list(said) for metric, said in scores.items()}, clock)
    return Look(model.name, model.version, seen.name, seen.rows, scores, looks)


def held_of(model: ModelVersion) -> Held:
    """What was predicted for the rows that the model's study locked away; to be shown to nobody who has not counted a look.

    Raises ModelError where there are none, or where this is not what was saved.
    """
    if HELD not in model.manifest.get("files", {}):
        raise ModelError(
            f"no rows were held back when {model.what} was made, so there is nothing to test it on. Name test data; or hold rows "
            "back from the start: CrossValidation(..., holdout=0.2)."
        )
    classes = model.manifest["output"].get("classes")
    return unpack(checked(model, HELD), None if classes is None else tuple(classes))


def looks_at(events: Iterable[Event], fingerprint: str) -> int:
    """How often versions of a model were looked at on these rows."""
    return sum(event.what == "looked" and event.about.get("fingerprint") == fingerprint for event in events)


def count_look(model: ModelVersion, data: Seen, scores: Mapping[str, Any], clock: Clock | None = None) -> int:
    """Write a look down, and say how many there were at these rows with it."""
    folder = model.path.parent
    about = {"data": data.name, "rows": data.rows, "fingerprint": data.fingerprint, "scores": scores}
    try:
        with log.locked(folder):
            log.append(folder, Event("looked", model.version, about=about), clock)
            return looks_at(log.read(folder), data.fingerprint)
    except OSError as error:
        raise ModelError(
            f"the look cannot be counted in {str(folder)!r} ({error.strerror or error}), so no score is shown. Make the folder "
            "writable."
        ) from error


def unseen(model: ModelVersion, data: Data | str, target: str | None) -> Data:
    """The data to test on; raises DataError where it is that which the model was fitted on, or has other labels."""
    if not isinstance(data, Data):
        known = model.manifest.get("data", {}).get("target")
        data = load_data(data, target or (None if data in BUNDLED else known))
    if data.fingerprint == model.manifest.get("data", {}).get("fingerprint"):
        raise DataError(
            f"{data.name} holds the rows that {model.what} was fitted on, so a score on them says nothing. Give rows that were "
            "not used for it."
        )
    classes = model.manifest["output"].get("classes")
    labels = set(np.asarray(data.y).tolist())
    if classes is not None and not labels & set(classes):
        raise DataError(
            f"the target of {data.name} has the labels {_some(labels)}, and {model.what} knows {_some(classes)}. Is it the right "
            "column? Name it with target= (--target)."
        )
    return data


# --- scores ------------------------------------------------------------------------------------


def sign_of(metric: str) -> int:
    """1 where less is better, -1 where more is; raises DataError where there is no such score."""
    return _scorer(metric)[1]


def scoring_of(metric: str, found: Answers, y: Any) -> Score:
    """The score over any of the rows that were answered for, by their numbers. Raises DataError where it is not defined.

    A loss goes by its plain name, as in a study: log_loss for scikit-learn's neg_log_loss.
    """
    scorer = _scorer(metric)[0]
    said, y = _stand_in(found), np.asarray(y)

    def score(rows: Any) -> float:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of classes without a row, in resamples
                return float(scorer(said, rows, y[rows]))
        except (ValueError, AttributeError, TypeError) as error:
            raise DataError(f"{metric} cannot be computed of these rows: {error}") from error

    return score


def _scorer(metric: str) -> tuple[Any, int]:
    """scikit-learn's scorer, in the direction of the metric's name, and the sign of that direction."""
    try:
        from sklearn.metrics import get_scorer, get_scorer_names
    except ModuleNotFoundError:
        raise MissingExtra("scikit-learn", "sklearn", "testing a model") from None
    known = get_scorer_names()
    if metric in known:
        return get_scorer(metric), -1
    if f"neg_{metric}" in known:
        negative = get_scorer(f"neg_{metric}")
        return (lambda *given: -negative(*given)), 1
    near = did_you_mean(metric, [*known, *(other.removeprefix("neg_") for other in known)])
    raise DataError(f"{metric!r} is no score that scikit-learn knows.{near} Name another with scoring=.")


def _stand_in(found: Answers) -> Any:
    """An estimator whose answers are known already: what it is asked for is the numbers of rows."""
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

    class Said(RegressorMixin if found.classes is None else ClassifierMixin, BaseEstimator):  # type: ignore[misc]
        def predict(self, rows: Any) -> Any:
            return found.values[rows]

    for name, values in (("predict_proba", found.probabilities), ("decision_function", found.decisions)):
        if values is not None:
            setattr(Said, name, _giving(name, values))
    said = Said()
    if found.classes is not None:
        said.classes_ = np.asarray(found.classes)
    return said


def _giving(name: str, values: Any) -> Any:
    def give(self: Any, rows: Any) -> Any:
        return values[rows]

    give.__name__ = name  # which scorers look at
    return give


def _metrics(model: ModelVersion) -> list[str]:
    """The scores of its study that can be computed again, else accuracy or r2."""
    known = []
    for metric in model.manifest.get("scores") or {}:
        try:
            sign_of(metric)
        except DataError:
            continue  # fit_seconds, or a scorer of the user's own
        known.append(metric)
    return known or ["accuracy" if model.manifest["output"]["type"] == "class" else "r2"]


def _interval(score: Score, rows: int) -> tuple[float, float, float]:
    values = resampled(score, rows)
    low, high = np.nanquantile(values, [0.025, 0.975]) if np.isfinite(values).any() else (np.nan, np.nan)
    return score(np.arange(rows)), float(low), float(high)


def resampled(of: Score, rows: int) -> Floats:
    """A figure of bootstrap samples of the rows, always the same samples; NaN where it is not defined for one."""
    rng = np.random.default_rng(rows)
    values = []
    for _ in range(RESAMPLES):
        try:
            values.append(of(rng.integers(0, rows, rows)))
        except DataError:
            values.append(np.nan)
    return np.array(values, dtype=np.float64)


def _some(labels: Iterable[Any]) -> str:
    listed = sorted(map(repr, labels))
    return ", ".join(listed[:5]) + (", ..." if len(listed) > 5 else "")
