"""Which version is used, and what it takes for another to take its place.

A new best score is mostly luck where two models are close, and what is in use should not change by luck. So a challenger
is promoted only if it is better than the champion with a probability of 95%, both being scored on the same data:

* on the folds of a cross-validation, where both have the same ones: the Bayesian correlated t-test of `analysis.compare`,
  on the paired differences, with the variance corrected for the training rows that folds share;
* on test data that a person names: the share of bootstrap samples of its rows in which the challenger scores better.

A person may promote what they like with `force`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from luthier.analysis.compare import compare
from luthier.analysis.table import number
from luthier.clock import Clock
from luthier.errors import LuthierError, ModelError
from luthier.estimators.data import Data
from luthier.models import log
from luthier.models.log import Event
from luthier.models.looks import Seen, count_look, resampled, scoring_of, sign_of, unseen
from luthier.models.predict import answers_for
from luthier.models.registry import (
    ModelVersion,
    champion_of,
    history_of,
    numbers_of,
    reign,
    show_model,
    versions_of,
)
from luthier.study import Objective, Report, State, Trial

CONFIDENCE = 0.95
RULE = f"a challenger is promoted when it is better than the champion with a probability of {CONFIDENCE:.0%}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a challenger, `why` in a sentence, and the `numbers`: difference, probability, folds or rows."""

    model: str
    version: int
    champion: int | None
    promoted: bool
    why: str
    numbers: Mapping[str, Any] = field(default_factory=dict)


def challenge(home: Path | str, name: str, version: int, *, clock: Clock | None = None) -> Verdict:
    """Promote a version if its folds show it to be better than the champion; the answer is kept in the log.

    What was judged once against a champion is not judged again.
    """
    challenger = show_model(home, name, version)
    if challenger.champion:
        return _settled(challenger)
    champion = _champion(home, name)
    if champion is not None:
        for event in reversed(history_of(home, name)):
            known = event.about.get("champion") == champion.version
            if event.what == "challenged" and event.version == version and known:
                return Verdict(
                    name, version, champion.version, False, event.about["why"], event.about["numbers"]
                )
    verdict = _by_folds(challenger, champion)
    _keep(challenger, verdict, clock)
    return verdict


def promote(
    home: Path | str,
    name: str,
    version: int,
    data: Data | str | None = None,
    target: str | None = None,
    *,
    metric: str | None = None,
    force: bool = False,
    trust: bool = False,
    clock: Clock | None = None,
) -> Verdict:
    """Make a version the champion if it is better: by its folds, or by `data` that neither was made from, where given.

    On `data` both are scored by `metric`, by default that of the study, and a look is counted for each. `force` promotes
    it whatever the numbers say. Raises ModelError and DataError.
    """
    challenger = show_model(home, name, version)
    if challenger.champion:
        return _settled(challenger)
    champion = _champion(home, name)
    if data is not None and champion is not None:
        verdict = _by_rows(challenger, champion, data, target, metric, trust, clock)
    else:
        verdict = _by_folds(challenger, champion)
    if force and not verdict.promoted:
        why = f"version {version} was promoted because somebody said so. By the numbers: {verdict.why}"
        verdict = Verdict(name, version, verdict.champion, True, why, verdict.numbers)
    _keep(challenger, verdict, clock)
    return verdict


def rollback(home: Path | str, name: str, *, clock: Clock | None = None) -> int:
    """Make the champion before this one champion again, and say which it is; raises ModelError where there is none."""
    present = show_model(home, name)
    folder = present.path.parent
    with log.locked(folder):
        events = log.read(folder)
        there = numbers_of(folder, events)
        before = [n for n in reign(events) if n in there and n != present.version]
        if not before:
            raise ModelError(
                f"version {present.version} of model {name!r} is the first champion that there still is; there is none to go "
                f"back to. Promote another: luthier models promote {name} --version N --force"
            )
        log.append(folder, Event("rolled back", present.version, about={"to": before[-1]}), clock)
    return before[-1]


# --- the rule ----------------------------------------------------------------------------------


def _by_folds(challenger: ModelVersion, champion: ModelVersion | None) -> Verdict:
    if champion is None:
        why = f"version {challenger.version} is promoted: there was no champion."
        return Verdict(challenger.name, challenger.version, None, True, why)
    against = _unlike(challenger, champion)
    objective = _objective(challenger)
    try:
        if against or objective is None:
            raise LuthierError(against)
        found = compare(
            _as_trial(challenger),
            _as_trial(champion),
            objective,
            margin=0.0,
            overlap=challenger.manifest.get("overlap"),
        )
    except LuthierError:
        why = against or "their scores are not known fold by fold"
        return _verdict(
            challenger,
            champion,
            f"cannot be compared with version {champion.version}: {why}. Compare them on rows that neither was made from: "
            f"luthier models promote {challenger.name} --version {challenger.version} --data test.csv",
        )
    chance = found.a_better
    measured = f"on the {found.folds} folds that both were scored on"
    numbers = {
        "metric": found.metric,
        "difference": found.difference,
        "error": found.error,
        "probability": chance,
        "folds": found.folds,
    }
    return _verdict(
        challenger, champion, _say(found.difference, found.error, found.metric, measured, chance), numbers
    )


def _by_rows(
    challenger: ModelVersion,
    champion: ModelVersion,
    data: Data | str,
    target: str | None,
    metric: str | None,
    trust: bool,
    clock: Clock | None,
) -> Verdict:
    objective = _objective(challenger)
    metric = metric or (objective.metric if objective else None)
    if metric is None:
        metric = "accuracy" if challenger.manifest["output"]["type"] == "class" else "r2"
    sign = sign_of(metric)
    data = unseen(challenger, data, target)
    unseen(champion, data, target)
    scores = [
        scoring_of(metric, answers_for(model, data.X, trust=trust)[0], data.y)
        for model in (challenger, champion)
    ]
    values = [score(np.arange(data.rows)) for score in scores]
    # The same samples for both: rows that are hard are so for both.
    differences = sign * (resampled(scores[1], data.rows) - resampled(scores[0], data.rows))
    known = differences[np.isfinite(differences)]
    chance = float(np.mean(known > 0) + np.mean(known == 0) / 2) if known.size else 0.5
    looks = 0
    for model, value in zip((challenger, champion), values, strict=True):
        looks = count_look(model, Seen.of(data), {metric: [value]}, clock)
    error = float(known.std()) if known.size else None
    difference = sign * (values[1] - values[0])
    numbers = {
        "metric": metric,
        "difference": difference,
        "error": error,
        "probability": chance,
        "rows": data.rows,
        "looks": looks,
    }
    where = f"on the {data.rows} rows of {data.name}"
    return _verdict(challenger, champion, _say(difference, error, metric, where, chance), numbers)


def _say(difference: float, error: float | None, metric: str, where: str, chance: float) -> str:
    if difference == 0 and not error:
        return f"has the same {metric} as the champion {where}"
    word = "better" if difference >= 0 else "worse"
    return f"is {word} by {number(abs(difference), error)} in {metric} {where}; that makes it the better one with a probability of {_percent(chance)}"


def _percent(chance: float) -> str:
    """Never rounded to what it is not: 94.96% is not 95%."""
    return f"{np.floor(1000 * chance) / 10:g}%"


def _verdict(
    challenger: ModelVersion, champion: ModelVersion, words: str, numbers: Mapping[str, Any] | None = None
) -> Verdict:
    numbers = numbers or {}
    promoted = numbers.get("probability", 0.0) >= CONFIDENCE
    takes = "" if promoted or not numbers else f" It takes {CONFIDENCE:.0%}."
    decision = "is promoted" if promoted else f"is not promoted, and version {champion.version} stays in use"
    why = f"version {challenger.version} {decision}: it {words}.{takes}"
    return Verdict(challenger.name, challenger.version, champion.version, promoted, why, numbers)


def _unlike(a: ModelVersion, b: ModelVersion) -> str | None:
    """Why the scores of two versions are not of the same data; None where they are."""
    mine, theirs = (model.manifest.get("data") or {} for model in (a, b))
    if mine.get("fingerprint") is None or mine.get("fingerprint") != theirs.get("fingerprint"):
        return "they were scored on other data"
    if a.manifest.get("splits") is None or a.manifest.get("splits") != b.manifest.get("splits"):
        return "they were scored on other splits of the data"
    objective = _objective(a)
    if objective is None:
        return "it is not known what was optimised"
    if objective.metric not in (b.manifest.get("scores") or {}):
        return f"version {b.version} has no {objective.metric}"
    return None


def _objective(model: ModelVersion) -> Objective | None:
    for objective in model.manifest.get("objective") or []:
        return Objective(objective["metric"], objective["goal"])
    return None


def _as_trial(model: ModelVersion) -> Trial:
    """The version as a trial, which its folds are those of."""
    scores = model.manifest.get("scores") or {}
    known = {name: said["folds"] for name, said in scores.items() if said.get("folds")}
    folds = min(map(len, known.values()), default=0)
    reports = tuple(Report(i, {name: values[i] for name, values in known.items()}) for i in range(folds))
    means = {name: said["mean"] for name, said in scores.items()}
    return Trial(model.version, {}, State.COMPLETED, reports=reports, metrics=means)


def _champion(home: Path | str, name: str) -> ModelVersion | None:
    return next((model for model in versions_of(home, name) if model.champion), None)


def _settled(model: ModelVersion) -> Verdict:
    why = f"version {model.version} is the champion already."
    return Verdict(model.name, model.version, model.version, True, why)


def _keep(challenger: ModelVersion, verdict: Verdict, clock: Clock | None) -> None:
    folder = challenger.path.parent
    about = {"champion": verdict.champion, "why": verdict.why, "numbers": dict(verdict.numbers)}
    with log.locked(folder):
        if champion_of(folder, log.read(folder)) != verdict.champion:
            raise ModelError(
                f"the champion of model {challenger.name!r} changed while version {challenger.version} was compared with it. "
                "Promote it again."
            )
        log.append(
            folder,
            Event("promoted" if verdict.promoted else "challenged", challenger.version, about=about),
            clock,
        )
