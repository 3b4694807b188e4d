"""Wilcoxon: gives up a trial that is worse than the best one on the folds or instances that both have, by a signed-rank test."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from luthier.stopping.settings import judged, metric_of, number, objective_of, rhythm, whole
from luthier.stopping.tracks import Track, field_of, nth
from luthier.study import Goal, History, Problem, Trial

EXACT = 50
"""Up to so many pairs the test is exact; SciPy's is too, but above 13 of them only without ties."""


@dataclass(frozen=True, slots=True)
class Wilcoxon:
    """Optuna's WilcoxonPruner: stop a trial that is worse than the best completed one with a p-value below `p`.

    Each report is a fold or an instance, its step says which, and the result is their mean; they may come in any order. The one-sided Wilcoxon signed-rank
    test compares the trial and the best one (by result) in pairs on the steps that both have, differences of zero split between the two sides, from `startup` pairs on,
    2 at least. A trial whose mean so far is as good as that of the best is never stopped. Every look is a test of its own, so that more
    than `p` of the trials that are no worse will be stopped; for folds of a cross-validation `Race` looks at how large the differences
    are, too, and is right more often (docs/benchmarks.md). A score that is no number is worse than all that are (Optuna
    does not stop such trials).

    It looks at every report whose number, from 1, is a multiple of `interval` and at least `delay`.
    """

    p: float = 0.1
    startup: int = 2
    interval: int = 1
    delay: int = 0
    metric: str | None = None
    goal: Goal | None = None

    def __post_init__(self) -> None:
        number("p", self.p, "a probability from 0 to 1, as in p=0.1", low=0, high=1)
        whole("startup", self.startup, 0)
        rhythm(self.interval, self.delay)
        judged(self.metric, self.goal)

    def check(self, problem: Problem) -> None:
        """Raise InvalidStudy where it is not clear what to go by."""
        objective_of(problem, self.metric, self.goal)

    def judge(self, trial: Trial, history: History) -> str | None:
        """Why, with the p-value and the mean difference; None where it may be chance."""
        n = nth(trial, metric_of(history.problem, self.metric))
        if n == 0 or n % self.interval or n < self.delay:
            return None
        field = field_of(history, self.metric, self.goal)
        if field.leader is None:
            return None
        _, best = field.leader
        mine = field.track(trial)
        apart = _apart(mine, best)
        if len(apart) < max(2, self.startup) or mine.mean(len(mine)) <= best.mean(len(best)):
            return None
        chance = p_greater(apart)
        if not chance < self.p:
            return None
        mean = math.fsum(apart) / len(apart)
        said = f"{mean:.3g} behind" if math.isfinite(mean) else "without a number somewhere, and so behind"
        return f"after {len(apart)} pairs {said} trial {best.number} (p = {chance:.2g} by Wilcoxon's test)"


def _apart(mine: Track, best: Track) -> list[float]:
    """By how much the trial is behind, on the steps that both have and the best has a number for."""
    theirs = dict(zip(best.steps, best.losses, strict=True))
    return [
        loss - theirs[step]
        for step, loss in zip(mine.steps, mine.losses, strict=True)
        if math.isfinite(theirs.get(step, math.inf))
    ]


def p_greater(apart: list[float]) -> float:
    """The p-value of the one-sided signed-rank test that the differences are symmetric around zero, or less.

    F. Wilcoxon, Biometrics Bulletin 1, 1945; zeros are ranked, and half of their ranks counts for either side.
    """
    n, sizes = len(apart), sorted(map(abs, apart))
    doubled: dict[float, int] = {}  # twice the mean rank of those of a size
    ties, first = 0, 1
    for size, group in groupby(sizes):
        count = sum(1 for _ in group)
        doubled[size] = 2 * first + count - 1
        ties += count**3 - count
        first += count
    plus = sum(doubled[d] for d in apart if d > 0)
    if n <= EXACT:
        ranks = tuple(sorted(doubled[abs(d)] for d in apart if d))
        return float(_tails(ranks)[plus])
    plus += sum(doubled[0.0] for d in apart if d == 0) / 2  # type: ignore[assignment]
    variance = (n * (n + 1) * (2 * n + 1) - ties / 2) / 24
    if not variance:
        return 1.0
    z = (plus / 2 - n * (n + 1) / 4 - 0.5) / math.sqrt(variance)
    return math.erfc(z / math.sqrt(2)) / 2


@lru_cache(maxsize=128)
def _tails(ranks: tuple[int, ...]) -> NDArray[np.float64]:
    """The probability that the sum of ranks with a plus is at least so much, for each sum, where each has one with probability 1/2."""
    chances = np.zeros(sum(ranks) + 1)
    chances[0] = 1.0
    for rank in ranks:
        shifted = np.zeros_like(chances)
        shifted[rank:] = chances[: len(chances) - rank]
        chances = (chances + shifted) / 2
    return np.cumsum(chances[::-1])[::-1]
