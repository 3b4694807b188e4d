"""How long a study will take, and how much disk: from one fit that was measured, as a range."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from luthier.errors import InvalidStudy
from luthier.executors.processes import cores
from luthier.space import Choice, Const, Float, Int, Parameter, Space
from luthier.studio.looking import Shown
from luthier.studio.words import say
from luthier.study import State
from luthier.studyfile import from_given, to_toml

LIMIT_SECONDS = 60.0
SCALES = ("n_estimators", "iterations", "num_boost_round")
"""Hyperparameters that a fit takes twice as long with when they are twice as large."""
BOOSTED = "HistGradientBoosting"
"""Whose `max_iter` is the number of trees."""
ROUGH = (0.7, 1.5)
"""What other hyperparameters, and one measurement, may make of it."""
OVERHEAD_SECONDS = 0.02
STARTING_SECONDS = (1.0, 8.0)
"""Until the first fit begins: a process for the study, and those of its workers, read the data and import the library."""
SPREAD_OBSERVED = (0.8, 1.3)
LATEST = 20
FIRST = 3
"""After so many trials what they took is known better than from one fit."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one fit took, in seconds, and how large the model is, in bytes; `of_trials` where trials said so, not a trial fit."""

    fit_seconds: float
    model_bytes: int | None
    folds: int
    of_trials: int = 0


def measure(given: Mapping[str, Any], path: Path, limit: float = LIMIT_SECONDS) -> Measured:
    """Fit one fold at the defaults, in a process of its own that ends after `limit` seconds.

    Raises InvalidStudy or InvalidSpace, with a sentence, where that does not go, or takes longer.
    """
    study = from_given(given, path)
    if study.estimator is None:
        raise InvalidStudy(say("estimate.estimators"))
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "luthier.studio.drafts.measuring", str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
    )
    try:
        out, _ = child.communicate(to_toml(given).encode(), timeout=limit)
    except subprocess.TimeoutExpired:
        raise InvalidStudy(say("estimate.long", seconds=f"{limit:g}")) from None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
    told: dict[str, Any] = json.loads(out) if out else {"error": say("estimate.died")}
    if "error" in told:
        raise InvalidStudy(told["error"])
    return Measured(told["fit_seconds"] + told["score_seconds"], told["model_bytes"], told["folds"])


def observed(shown: Shown) -> Measured | None:
    """What the trials of a study took, once there are a few: the median."""
    if shown.counts[State.COMPLETED] < FIRST:
        return None
    folds = int(shown.spec.about.get("folds", 1))
    trials = shown.trials([int(number) for number in shown.columns.finished[-LATEST:]])
    times = [seconds for trial in trials if (seconds := trial.seconds) is not None]
    return Measured(median(times) / folds, None, folds, len(times)) if times else None


def left(shown: Shown) -> tuple[float, float] | None:
    """How many seconds a study that runs still takes, at least and at most; None where its trials do not tell."""
    total, running = shown.spec.budget.trials, shown.counts[State.RUNNING]
    found = observed(shown) if total is not None and running else None
    if found is None or total is None or total <= shown.ended:
        return None
    seconds = (total - shown.ended) * found.fit_seconds * found.folds / running
    return SPREAD_OBSERVED[0] * seconds, SPREAD_OBSERVED[1] * seconds


def spread(estimator: str, params: Mapping[str, Any], space: Space) -> tuple[float, float]:
    """How many times as long as at the defaults the shortest and the longest fit in the space may take, by what is known to scale."""
    low, high = ROUGH
    for name, parameter in space.items():
        usual = _default(estimator, params, name) if _scales(estimator, name) else None
        if usual:
            numbers = _numbers(parameter)
            low, high = (low * min(numbers) / usual, high * max(numbers) / usual) if numbers else (low, high)
    return low, high


def estimate(
    fits: int, measured: Measured, workers: int, spread: tuple[float, float] = ROUGH
) -> tuple[float, float]:
    """Seconds that so many fits take, at least and at most. `spread` is left out where trials were observed."""
    beside = max(1, min(workers, cores()))
    if measured.of_trials:
        spread = SPREAD_OBSERVED
    trials = -(-fits // measured.folds)
    each = fits * measured.fit_seconds / beside
    rest = trials * OVERHEAD_SECONDS
    least, most = STARTING_SECONDS
    return least + each * spread[0] + rest, most + each * spread[1] + rest


def disk(
    measured: Measured, models: int, spread: tuple[float, float] = (1.0, 1.0)
) -> tuple[float, float] | None:
    """Bytes that so many models take, at least and at most; None where no model was measured."""
    if measured.model_bytes is None:
        return None
    low, high = (models * measured.model_bytes * factor for factor in spread)
    return low, high


def _scales(estimator: str, name: str) -> bool:
    last = name.rpartition("__")[2]
    return last in SCALES or (last == "max_iter" and BOOSTED in estimator)


def _default(estimator: str, params: Mapping[str, Any], name: str) -> float | None:
    from luthier.estimators import as_estimator, set_params
    from luthier.estimators.params import default_params

    value = default_params(set_params(as_estimator(estimator), params)).get(name)
    return (
        float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else None
    )


def _numbers(parameter: Parameter) -> list[float]:
    values: tuple[Any, ...]
    match parameter:
        case Float() | Int():
            values = parameter.low, parameter.high
        case Choice():
            values = parameter.values
        case Const():
            values = (parameter.value,)
    return [
        float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)
    ]
