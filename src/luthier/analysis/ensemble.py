"""An ensemble from the predictions that a study made anyway: models are added to a mean, one after another, while it gains."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from luthier.analysis.honest import Honest, left_out, samples, summed_up
from luthier.analysis.measures import Scored
from luthier.errors import LuthierError

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
Array = NDArray[Any]
Measured = Callable[[Array], Scored]
"""From predictions, shape (models, rows, outputs), to their scores: `measured` but for the predictions."""

GAIN = 0.1
"""In standard errors of the gain: a step that gains less is not taken."""
LOOKS = 50
"""The resamples that tell the standard error."""


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Trials by their index with the weight of each, which add up to 1, and the loss of their mean prediction."""

    weights: dict[int, float]
    loss: float


def greedy(
    measure: Measured, predictions: Array, *, rng: np.random.Generator, size: int = 25, pool: int = 50
) -> Ensemble:
    """The mean of up to `size` of the `pool` best trials, with replacement: it starts with the best, and takes the
    one that leaves the lowest loss (Caruana et al. 2004), of equal ones what it has already, until a step gains less than
    a tenth of the standard error of the gain.

    `predictions` have shape (trials, rows, outputs); trials that lack rows are left out, and those that predict
    the same are one. Takes size x pool x rows. Raises LuthierError where no trial has all rows.
    """
    trials, models = _pool(measure, predictions, pool)
    once = np.ones(predictions.shape[1])
    members, loss = _grow(measure, models, once, _looks(len(once), rng), size)
    weights = {int(trials[model]): many / len(members) for model, many in Counter(members).items()}
    return Ensemble(weights, loss)


def honest_greedy(
    measure: Measured,
    predictions: Array,
    *,
    rng: np.random.Generator,
    groups: NDArray[np.int_] | None = None,
    size: int = 25,
    pool: int = 50,
    replicates: int = 50,
) -> tuple[Honest, Honest]:
    """The honest loss of what `greedy` comes to, and that of the single best trial, on the same resamples.

    Ensembles are grown on the rows that were drawn and scored on those that were not. `chosen` of both is the best
    trial, with which the ensemble starts.
    """
    trials, models = _pool(measure, predictions, pool)
    rows = predictions.shape[1]
    once, looks = np.ones(rows), _looks(rows, rng)
    scored, every = measure(models), np.arange(len(models))
    only = every[:1]
    inside, outside, together = [], [], []
    for _, drawn in samples(rows, groups, replicates, rng):
        for counts in drawn:
            left = (counts == 0).astype(np.float64)[None]
            inside.append(scored.losses(counts[None], every)[0])
            outside.append(scored.losses(left, every)[0])
            members, _ = _grow(measure, models, counts, looks, size)
            mean = models[members].mean(axis=0, keepdims=True)
            together.append(float(measure(mean).losses(left, only)[0, 0]))
    whole = scored.losses(once[None], every)[0]
    alone = left_out(np.array(outside), whole, np.argmin(inside, axis=1))
    first = int(trials[0])
    _, loss = _grow(measure, models, once, looks, size)
    drift = whole[0] - np.mean(outside, axis=0)[0]
    return summed_up(np.array(together) + drift, loss, first), summed_up(alone, float(whole[0]), first)


def _pool(measure: Measured, predictions: Array, pool: int) -> tuple[Indices, Array]:
    """The best complete trials that do not predict the same, the best first."""
    complete = np.flatnonzero(~np.isnan(predictions).any(axis=(1, 2)))
    if len(complete) == 0:
        raise LuthierError(
            f"none of {len(predictions)} trials has predictions for all rows, so there is nothing to combine."
        )
    scored = measure(predictions[complete])
    losses = scored.losses(np.ones((1, predictions.shape[1])), np.arange(len(complete)))[0]
    found: dict[bytes, int] = {}
    for trial in complete[np.argsort(losses, kind="stable")]:
        found.setdefault(predictions[trial].tobytes(), int(trial))
        if len(found) == pool:
            break
    kept = np.array(list(found.values()))
    return kept, predictions[kept]


def _looks(rows: int, rng: np.random.Generator) -> Floats:
    return np.concatenate([part for _, part in samples(rows, None, LOOKS, rng)])


def _grow(
    measure: Measured, models: Array, counts: Floats, looks: Floats, size: int
) -> tuple[list[int], float]:
    """The models taken, in their order, and the loss of their mean on rows that count so often."""
    every = np.arange(len(models))
    weights = np.concatenate([counts[None], counts * looks])
    members: list[int] = []
    total = np.zeros(models.shape[1:])
    current = np.full(len(weights), np.inf)
    for step in range(1, size + 1):
        scored = measure((total + models) / step)
        losses = scored.losses(counts[None], every)[0]
        least = np.flatnonzero(losses <= np.nanmin(losses) + 1e-12 * abs(np.nanmin(losses)))
        used = [model for model in least if model in members]
        model = int((used or least)[0])
        after = scored.losses(weights, np.array([model]))[:, 0]
        gains = current - after
        if members and not gains[0] > GAIN * np.nanstd(gains[1:]) + 1e-12 * abs(after[0]):
            break
        members.append(model)
        total, current = total + models[model], after
    return members, float(current[0])
