"""What the chosen trial will really score: the best of many scores was lucky, and by how much is found by choosing again.

Rows are drawn with replacement, a trial is chosen by its loss on them by the same rule, and scored on the rows that were not
drawn; the mean over hundreds of such samples is what choosing like this comes to (bootstrap bias-corrected cross-validation, Tsamardinos et
al. 2018). No model is fitted again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from luthier.analysis.measures import Scored, Sums
from luthier.analysis.select import Rule, apart, best, guarded
from luthier.errors import LuthierError

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

WIDER = 1.3
"""Intervals are so much wider than rows drawn independently would have them: models of different folds share training rows,
and the model that will be used is fitted on others. Measured: docs/benchmarks.md."""
ALPHA = 0.15
"""How often the default configuration may be given up where no other is better. As there mostly is a better one, the choice is
worse far less often. Measured as well."""
CELLS = 4_000_000
"""Samples are drawn by so many weights of rows at a time."""
LEFT_OUT = math.exp(-1)
"""The share of the rows that a sample does not hold."""


@dataclass(frozen=True, slots=True)
class Honest:
    """The loss that the chosen trial is to be expected to have on new data, and what it seemed to have.

    `value` is the honest loss, `low` to `high` hold the truth with a probability of about 95%. `raw` is the loss by which the trial
    was chosen, and `optimism` what must be added to it. `chosen` is the index of the trial. All losses are scores that are lower the
    better; `signed(-1)` turns them into scores that are greater the better.
    """

    value: float
    low: float
    high: float
    optimism: float
    raw: float
    replicates: int
    chosen: int

    def signed(self, sign: int) -> Honest:
        """Times 1 or -1: in units of a metric whose loss is `sign` times the metric."""
        if sign > 0:
            return self
        return replace(
            self,
            value=-self.value,
            low=-self.high,
            high=-self.low,
            optimism=-self.optimism,
            raw=-self.raw,
        )


def honest(
    losses: NDArray[np.floating],
    default: int | None = None,
    *,
    rng: np.random.Generator,
    groups: NDArray[np.int_] | None = None,
    folds: NDArray[np.int_] | None = None,
    rule: Rule = best,
    replicates: int = 500,
) -> Honest:
    """The honest loss of what `rule` chooses among trials, from the loss of every row, shape (rows, trials), NaN in rows that a
    trial did not see because it was stopped.

    The loss of a trial is the mean over `folds`, the fold of each row, of the mean of its rows, as cross-validations report it;
    without `folds` that over all rows. Rows of one of the `groups` are drawn together: give groups where rows are
    related, and the row itself as the group where repeats have scored it several times. `default` is the trial that stays
    chosen unless another is better by more than noise says (`needed`).

    What a stopped trial would have had on the rest is how far it is behind the best complete trial, on the rows that both have; this is
    so much uncertain as if it had them all. It may be chosen in a sample, as it might have been on other data, but not in fact.

    Raises LuthierError where no trial has all rows.
    """
    return honest_of(
        Sums.of(losses, folds),
        default,
        rng=rng,
        groups=groups,
        rule=rule,
        replicates=replicates,
        most=losses.shape[1],
    )


def honest_of(
    scored: Scored,
    default: int | None = None,
    *,
    rng: np.random.Generator,
    groups: NDArray[np.int_] | None = None,
    rule: Rule = best,
    reported: Floats | None = None,
    replicates: int = 200,
    most: int = 50,
) -> Honest:
    """The same for any score, of trials `measured` by their predictions; for the `most` best trials alone, and the default.

    Scores that are no means of rows, as r2 and F1, are computed over the rows of all folds together. That is nearer to what they are on
    new data than their mean over folds, which has the bias of a small sample: r2 of 20 rows is too low. Ranking scores are those of rows of the
    same fold. So where the study chose by means over folds, give them as `reported`, the loss of each trial: among
    these the trial is chosen, and `raw` is one of them.
    """
    rows, trials = scored.known.shape
    complete = scored.known.all(axis=0)
    if not complete.any():
        raise LuthierError(
            f"none of {trials} trials has predictions for all of {rows} rows, so there is none to choose. "
            "Give the rows that the folds test, and at least one trial that ran them all."
        )
    field = _field(scored, most, default)
    inside, outside = np.full((2, replicates, trials), np.inf)
    for part, counts in samples(rows, groups, replicates, rng):
        inside[part, field.kept] = field.losses(counts)
        outside[part, field.kept] = field.losses((counts == 0).astype(np.float64))
    undefined = np.isnan(inside).any(axis=1) | np.isnan(outside).any(axis=1)  # as where a class is missing
    defined = np.flatnonzero(np.logical_not(undefined))
    if len(defined) == 0:
        raise LuthierError(
            f"the score is undefined on every resample of the {rows} rows. Choose another score, or give more rows."
        )
    inside, outside = inside[defined], outside[defined]
    errors = _errors(inside, field.kept)
    if default is not None and scored.known[:, default].all():
        rule = guarded(rule, default, needed(inside, field.whole, errors, default))
    reported = field.whole if reported is None else reported
    # A trial may have been told to stop in its last fold: it has all rows, and yet no result.
    able = complete & ~np.isnan(reported)
    chosen = int(rule(np.where(able, reported, np.inf)[None], errors)[0])
    return summed_up(left_out(outside, field.whole, rule(inside, errors)), float(reported[chosen]), chosen)


def left_out(outside: Floats, whole: Floats, choices: Indices) -> Floats:
    """The losses of the `choices` on the rows that each sample leaves out, from those of all trials, shape (samples, trials),
    and those on the `whole` data.

    Few rows are left out, and a score that is no mean of rows is another on few rows: by how much, the mean
    over all samples tells of each trial, chosen or not. For means of rows that difference is chance alone, and taken out too.
    """
    samples, trials = np.arange(len(choices)), np.unique(choices)
    drift = np.zeros(len(whole))
    drift[trials] = whole[trials] - outside[:, trials].mean(axis=0)
    return np.asarray(outside[samples, choices] + drift[choices])


def summed_up(values: Floats, raw: float, chosen: int) -> Honest:
    """From the losses of what was chosen in each sample, on the rows that it leaves out."""
    value = float(values.mean())
    # What is left out varies as rows without replacement do: by (1 - share) / share of the variance of a mean over all.
    scale = WIDER * math.sqrt(LEFT_OUT / (1 - LEFT_OUT))
    low, high = value + scale * (np.quantile(values, (0.025, 0.975)) - value)
    return Honest(value, float(low), float(high), value - raw, raw, len(values), chosen)


def needed(inside: Floats, whole: Floats, errors: Floats, default: int, alpha: float = ALPHA) -> float:
    """How many standard errors a trial must be better than the `default` one, so that the best of as many trials, alike as
    they are, is so by chance with a probability of `alpha`.

    The quantile of the greatest gain in samples where no trial really has any (the reality check, White 2000, studentised
    as in Hansen 2005). `inside` are the losses of samples, shape (samples, trials), `whole` those of the data as they are.
    """
    others = np.isfinite(inside).all(axis=0) & (errors[default] > 0)
    if not others.any():
        return 0.0
    gains = (inside[:, [default]] - inside[:, others]) - (whole[default] - whole[others])
    return max(0.0, float(np.quantile((gains / errors[default, others]).max(axis=1), 1 - alpha)))


@dataclass(frozen=True, slots=True)
class _Field:
    """The trials that are looked at, `kept`, with the losses of the `whole` data, and the best complete one."""

    scored: Scored
    kept: Indices
    whole: Floats
    leader: Indices

    def losses(self, counts: Floats) -> Floats:
        return _filled(self.scored, counts, self.kept, self.leader)


def _field(scored: Scored, most: int, default: int | None) -> _Field:
    rows, trials = scored.known.shape
    once, complete = np.ones((1, rows)), np.flatnonzero(scored.known.all(axis=0))
    leader = complete[[int(np.argmin(scored.losses(once, complete)[0]))]]
    whole = _filled(scored, once, np.arange(trials), leader)[0]
    kept = [trial for trial in np.argsort(whole, kind="stable")[:most] if np.isfinite(whole[trial])]
    return _Field(
        scored, np.union1d(kept, [] if default is None else [default]).astype(np.intp), whole, leader
    )


def _filled(scored: Scored, counts: Floats, trials: Indices, leader: Indices) -> Floats:
    """The losses of `trials`, also of those that lack rows: the leader's, and how far they are behind it where both are known.

    The mean over fewer rows is more uncertain than one over all; its deviations are scaled down to what they would be.
    """
    known = scored.known[:, trials]
    complete = known.all(axis=0)
    found = np.empty((len(counts), len(trials)))
    found[:, complete] = scored.losses(counts, trials[complete])
    parts: dict[bytes, list[int]] = {}
    for place in np.flatnonzero(~complete):
        parts.setdefault(known[:, place].tobytes(), []).append(int(place))
    base = scored.losses(counts, leader) if parts else found
    for places in parts.values():
        rows = known[:, places[0]].astype(np.float64)
        if not rows.any():
            found[:, places] = np.inf
            continue
        both = np.concatenate([trials[places], leader])
        behind = scored.losses(np.concatenate([rows[None], counts * rows]), both)
        behind = behind[:, :-1] - behind[:, -1:]
        drift = np.nan_to_num(behind[1:] - behind[0])  # of samples that hold none of the rows
        found[:, places] = base + behind[0] + math.sqrt(rows.mean()) * drift
    return found


def _errors(inside: Floats, kept: Indices) -> Floats:
    """Of the differences between trials, as the samples show them; NaN for trials not kept."""
    errors = np.full((inside.shape[1],) * 2, np.nan)
    errors[np.ix_(kept, kept)] = apart(np.cov(inside[:, kept], rowvar=False).reshape(len(kept), -1))
    return errors


def samples(
    rows: int, groups: NDArray[np.int_] | None, replicates: int, rng: np.random.Generator
) -> Iterator[tuple[slice, Floats]]:
    """How often each row, or each of the groups, is drawn, shape (samples, rows); some samples at a time."""
    of = None if groups is None else np.unique(groups, return_inverse=True)[1]
    size = rows if of is None else int(of.max()) + 1
    step = max(1, CELLS // rows)
    for start in range(0, replicates, step):
        many = min(step, replicates - start)
        drawn = rng.integers(size, size=(many, size)) + size * np.arange(many)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=many * size).reshape(many, size).astype(np.float64)
        yield slice(start, start + many), counts if of is None else counts[:, of]
