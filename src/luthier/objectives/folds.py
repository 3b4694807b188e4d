"""One trial over the folds of a cross-validation, and what its estimators predicted on the rows they had not seen.

The folds that an attempt finished before it was lost are not fitted again: their scores were reported, and their predictions
are in a file each.
"""

from __future__ import annotations

import io
import math
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import cached_property, wraps
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from luthier.errors import Stop
from luthier.objectives.context import Context

Outputs = Mapping[str, NDArray[Any]]
"""What an estimator predicted, by method: `predict` (labels as codes), `predict_proba` (a column for each class),
`decision_function`; shape (rows,) or (rows, columns).
"""
METHODS = ("predict", "predict_proba", "decision_function")


@dataclass(frozen=True, slots=True)
class Fold:
    """What came of a fit: its scores and times, and what it predicted on the rows left out; `error` where it failed."""

    metrics: Mapping[str, float]
    outputs: Outputs | None = None
    error: str | None = None


def over_folds(
    trial: Context, folds: int, evaluate: Callable[[int], Fold], predictions: Predictions | None = None
) -> dict[str, float]:
    """Evaluate and report the folds that no earlier attempt has finished; the mean of each metric over all of them."""
    scores: list[Mapping[str, float]] = []
    for number in range(folds):
        known = trial.earlier.get(number)
        if known is None or (scores and known.keys() != scores[0].keys()):
            fold = evaluate(number)
            if predictions is not None:  # first, so that what is reported is whole
                predictions.write(trial.number, number, fold)
            # Told to stop in its last fold, a trial has come to its result all the same.
            with suppress(Stop) if number == folds - 1 else nullcontext():
                trial.report(number, fold.metrics)
            known = fold.metrics
        scores.append(known)
    names = dict.fromkeys(name for fold in scores for name in fold)
    return {name: math.fsum(fold.get(name, math.nan) for fold in scores) / folds for name in names}


# --- what was predicted ------------------------------------------------------------------------


@contextmanager
def remembered(estimator: Any) -> Iterator[dict[str, NDArray[Any]]]:
    """What the estimator's methods answer when they are first called; each is asked once for one table.

    A scorer calls what it needs, so remembering costs nothing; what methods ask of each other is not kept. Estimators whose
    methods cannot be replaced are left alone.
    """
    outputs: dict[str, NDArray[Any]] = {}
    within: list[str] = []
    replaced = []
    for method in METHODS:
        try:
            original = getattr(estimator, method, None)
            if callable(original) and method not in vars(estimator):
                setattr(estimator, method, _once(original, method, outputs, within))
                replaced.append(method)
        except (AttributeError, TypeError):
            continue
    try:
        yield outputs
    finally:
        for method in replaced:
            delattr(estimator, method)


def _once(
    original: Callable[..., Any], name: str, outputs: dict[str, NDArray[Any]], within: list[str]
) -> Callable[..., Any]:
    """A method that answers from memory what it was asked first, by somebody other than the methods `within` a call."""
    first: list[Any] = []

    @wraps(original)
    def method(X: Any, *args: Any, **more: Any) -> Any:
        if args or more or within:
            return original(X, *args, **more)
        if first and first[0] is X:
            return first[1]
        within.append(name)
        try:
            answer = original(X)
        finally:
            within.pop()
        if not first:
            first.extend((X, answer))
            with suppress(ValueError, TypeError):  # of several targets, in different shapes
                outputs[name] = np.asarray(answer)
        return answer

    return method


def in_numbers(outputs: Outputs, classes: NDArray[Any] | None, seen: NDArray[Any] | None) -> Outputs:
    """The outputs with labels as `Predictions` keeps them, and a column for each of the sorted `classes` of all rows, of
    which the estimator may have `seen` only some.
    """
    if classes is None:
        return {name: values for name, values in outputs.items() if values.dtype.kind in "iufb"}
    numbers: dict[str, NDArray[Any]] = {}
    for name, values in outputs.items():
        if name == "predict" and classes.dtype.kind not in "iuf":
            values = np.searchsorted(classes.astype(str), values.astype(str))
        if (
            name == "predict_proba"
            and seen is not None
            and values.shape[1:] == (len(seen),) != (len(classes),)
        ):
            whole = np.zeros((len(values), len(classes)))
            whole[:, np.searchsorted(classes, seen)] = values
            values = whole
        if values.dtype.kind in "iufb":
            numbers[name] = values
    return numbers


@dataclass(frozen=True)
class Predictions:
    """The predictions of a study's trials in a folder: `y.npz`, and `TRIAL-FOLD.npz` for each fit.

    Numbers are kept in single precision and labels as the places of `classes`, which is all that scores and averages need.
    """

    folder: Path

    def begin(self, y: Any, groups: Any = None, *, classes: bool = False) -> None:
        """Keep the target, whether it holds `classes`, and the groups of rows that belong together, if nothing is kept yet."""
        if self.kept:
            return
        values = np.asarray(y)
        parts = {"y": values}
        if values.dtype.kind not in "iuf":
            parts = {"y": np.unique(values.astype(str), return_inverse=True)[1]}
        if classes:
            parts["classes"] = np.unique(parts["y"])
        if groups is not None:
            parts["groups"] = np.unique(np.asarray(groups), return_inverse=True)[1]
        self._save("y", parts)

    @property
    def kept(self) -> bool:
        """Whether anything was kept."""
        return (self.folder / "y.npz").exists()

    @cached_property
    def target(self) -> NDArray[Any]:
        """The target; labels that are no numbers as their places among the sorted ones."""
        with np.load(self.folder / "y.npz", allow_pickle=False) as stored:
            return np.asarray(stored["y"])

    @cached_property
    def classes(self) -> NDArray[Any] | None:
        """The different values of the target where these are classes."""
        with np.load(self.folder / "y.npz", allow_pickle=False) as stored:
            return np.asarray(stored["classes"]) if "classes" in stored else None

    @cached_property
    def groups(self) -> NDArray[Any] | None:
        """The group of each row, by number, where the splits kept groups together."""
        with np.load(self.folder / "y.npz", allow_pickle=False) as stored:
            return np.asarray(stored["groups"]) if "groups" in stored else None

    def write(self, trial: int, fold: int, result: Fold) -> None:
        """Keep what a fit predicted, whole or not at all."""
        parts: dict[str, NDArray[Any]] = dict(result.outputs or {})
        if result.error is not None:
            parts["error"] = np.array(result.error)
        self._save(f"{trial}-{fold}", {name: _compact(values) for name, values in parts.items()})

    def read(self, trial: int, fold: int) -> Outputs | None:
        """What a fit predicted; None where nothing was kept of it."""
        try:
            with np.load(self.folder / f"{trial}-{fold}.npz", allow_pickle=False) as stored:
                return {name: np.asarray(stored[name]) for name in stored.files if name != "error"}
        except (OSError, ValueError, zipfile.BadZipFile):
            return None

    def error(self, trial: int, fold: int) -> str | None:
        """The traceback of a fit that failed."""
        try:
            with np.load(self.folder / f"{trial}-{fold}.npz", allow_pickle=False) as stored:
                return str(stored["error"]) if "error" in stored else None
        except (OSError, ValueError, zipfile.BadZipFile):
            return None

    def cells(
        self, trial: int, method: str, splits: Sequence[tuple[Any, NDArray[Any]]]
    ) -> NDArray[np.float64] | None:
        """What was predicted for the rows that the folds leave out, fold after fold; NaN for folds that were not run. Shape (cells,)
        or (cells, columns); a row that is left out several times is several cells. None where no fold has it.
        """
        found = [self.read(trial, fold) or {} for fold in range(len(splits))]
        shapes = {fold[method].shape[1:] for fold in found if method in fold}
        if len(shapes) != 1:
            return None
        (shape,) = shapes
        parts = [
            fold[method].astype(np.float64)
            if method in fold and len(fold[method]) == len(test)
            else np.full((len(test), *shape), np.nan)
            for fold, (_, test) in zip(found, splits, strict=True)
        ]
        return np.concatenate(parts)

    def _save(self, name: str, parts: Mapping[str, NDArray[Any]]) -> None:
        # In memory first: a zip is written in many small steps, which take ten times as long in a file.
        content = io.BytesIO()
        np.savez(content, **parts)  # type: ignore[arg-type]
        hidden = self.folder / f".{name}-{os.getpid()}.npz"
        try:
            hidden.write_bytes(content.getbuffer())
        except FileNotFoundError:
            self.folder.mkdir(parents=True, exist_ok=True)
            hidden.write_bytes(content.getbuffer())
        hidden.replace(self.folder / f"{name}.npz")


def _compact(values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype.kind == "f":
        return values.astype(np.float32)
    if values.dtype.kind in "iu" and values.size:
        most = int(max(values.max(), -1 - values.min()))
        return values.astype(np.min_scalar_type(-1 - most if values.min() < 0 else most))
    return values
