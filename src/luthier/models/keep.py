"""Which of a study's trials become models: a policy, and what it comes to."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from luthier.analysis.table import number
from luthier.errors import InvalidStudy, did_you_mean
from luthier.expected import best_of, ranking
from luthier.models.champions import Verdict, challenge
from luthier.models.held import pack, seal
from luthier.models.manifest import origin
from luthier.models.notes import NOTES
from luthier.models.registry import (
    ModelVersion,
    history_of,
    model_name,
    numbers_of,
    origins,
    save_model,
    show_model,
)
from luthier.objectives.crossval import CrossValidation
from luthier.objectives.splits import overlap
from luthier.study import History, Objective, State, StudySpec, Trial
from luthier.study.pareto import front

NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Keep:
    """What is saved of a study: the best trial, the `best` k of them, those that none betters in all objectives (`pareto`),
    or `all` that completed. Of these only the ones that reach every threshold: `thresholds={"recall": 0.9}`.

    A threshold is a least value where more of the score is better, else a largest one. `notes` go on the card of
    every model: intended_use, limits, licence, contact. `best=0` saves no model.
    """

    best: int = 1
    pareto: bool = False
    all: bool = False
    thresholds: Mapping[str, float] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.best, bool) or not isinstance(self.best, int) or self.best < 0:
            raise InvalidStudy(
                f"best is {self.best!r}. Use the number of models to keep, such as 3, or 0 for none."
            )
        for name, value in self.thresholds.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
                raise InvalidStudy(
                    f"the threshold of {name!r} is {value!r}. Use the value that a model must reach to be kept, such as 0.9."
                )
        for name, text in self.notes.items():
            if name not in NOTES or not isinstance(text, str):
                raise InvalidStudy(
                    f"the note {name!r} has no place on a card. There is: {', '.join(NOTES)}, each a text."
                )

    def to_json(self) -> dict[str, Any]:
        """The policy, without the notes."""
        return {
            "best": self.best,
            "pareto": self.pareto,
            "all": self.all,
            "thresholds": {name: float(value) for name, value in self.thresholds.items()},
        }

    def check(self, scores: Collection[str]) -> None:
        """Raise InvalidStudy for a threshold of a score that is none of these."""
        for metric in self.thresholds:
            if metric not in scores:
                near = did_you_mean(metric, scores) or f" There is: {', '.join(sorted(scores))}."
                raise InvalidStudy(
                    f"there is a threshold of {metric!r} for models, which is not among the scores.{near} Add it with "
                    "scoring=, or leave the threshold out."
                )


@dataclass(frozen=True, slots=True)
class Chosen:
    """The trials to keep, the best first; and of the completed others why not, by number."""

    trials: tuple[Trial, ...]
    reasons: Mapping[int, str]

    def __iter__(self) -> Iterator[Trial]:
        return iter(self.trials)

    def __len__(self) -> int:
        return len(self.trials)


def chosen(
    keep: Keep, history: History, goals: Mapping[str, str] = NOTHING, best: Trial | None = None
) -> Chosen:
    """What the policy makes of a history.

    `goals` says of scores that are no objectives whether they are to be minimised ("min"); the others are
    maximised. `best` is the trial to go by, `best_of(history)` unless given: it comes first. Thresholds are looked at
    before anything is counted, so the best three are three that reach them. Of trials with the same parameters one is kept.
    Raises InvalidStudy for a threshold of a score that no trial has.
    """
    problem = history.problem
    goals = {**goals, **{objective.metric: objective.goal for objective in problem.objectives}}
    completed = [trial for trial in history if trial.state is State.COMPLETED]
    if completed:
        keep.check({metric for trial in completed for metric in trial.metrics})
    reasons: dict[int, str] = {}
    able: list[Trial] = []
    seen: dict[str, int] = {}
    for trial in _ranked(history, completed, best or best_of(history)):
        missed = _missed(keep.thresholds, trial, goals)
        if not problem.space.allows(trial.params):
            reasons[trial.number] = "it lies outside the space"
        elif problem.fidelity is not None and not problem.fidelity.full(trial.fidelity):
            reasons[trial.number] = "it was not trained in full"
        elif not math.isfinite(history.value(trial)):
            reasons[trial.number] = f"it has no {problem.objective.metric}"
        elif missed:
            reasons[trial.number] = missed
        elif (key := problem.space.key(trial.params)) in seen:
            reasons[trial.number] = f"it has the parameters of #{seen[key]}"
        else:
            seen[key] = trial.number
            able.append(trial)
    if keep.all:
        return Chosen(tuple(able), reasons)
    first = {trial.number for trial in able[: keep.best]}
    best_in_something = {trial.number for trial in front(able, problem.objectives)} if keep.pareto else set()
    for place, trial in enumerate(able, 1):
        if trial.number not in first | best_in_something:
            beaten = " and another is better in every objective" if keep.pareto else ""
            reasons[trial.number] = (
                f"it is number {place} of those that could be kept, {keep.best} are{beaten}"
            )
    return Chosen(tuple(trial for trial in able if trial.number not in reasons), reasons)


@dataclass(frozen=True, slots=True)
class Kept:
    """What was saved of a study: `new` versions; `versions`, the version of each trial that is kept; the `verdict` on the
    best of them as the model to use; and why other trials were not kept.
    """

    new: tuple[ModelVersion, ...]
    versions: Mapping[int, int]
    best: ModelVersion | None
    verdict: Verdict | None
    reasons: Mapping[int, str]
    keep: Keep = field(default_factory=Keep)

    def fact(self) -> dict[str, Any]:
        """As the study remembers it, in JSON: of the reasons those of the first twenty."""
        model = None
        if self.best is not None:
            model = {
                "trial": self.best.manifest["trial"],
                "version": self.best.version,
                "path": str(self.best.path),
                "promoted": self.verdict is None or self.verdict.promoted,
                "why": self.verdict.why if self.verdict else None,
            }
        return {
            "model": model,
            "models": [{"trial": trial, "version": version} for trial, version in self.versions.items()],
            "not_kept": {str(trial): why for trial, why in list(self.reasons.items())[:20]},
            "keep": self.keep.to_json() | {"left_out": len(self.reasons)},
        }


def keep_models(
    home: Path | str,
    objective: CrossValidation,
    spec: StudySpec,
    history: History,
    keep: Keep,
    *,
    best: Trial | None = None,
    saying: Callable[[str], AbstractContextManager[Any]] = lambda text: nullcontext(),
) -> Kept:
    """Refit what the policy chooses on all rows and save each as a version of the model of the study's name.

    A trial that was ever saved is not saved again, also where its version was deleted. The best challenges the
    champion (`luthier.models.challenge`). `saying` is entered with what is being done.
    """
    goals = {name: "min" if sign < 0 else "max" for name, (_, sign) in objective.scorers.items()}
    found = chosen(keep, history, goals | {"fit_seconds": "min"}, best)
    name = model_name(spec.name)
    known = origins(home, name)
    live = numbers_of(Path(home) / "models" / name, history_of(home, name))
    new, versions, reasons = [], {}, dict(found.reasons)
    for trial in found:
        about = _about(objective, spec, history, trial, keep.notes)
        version = known.get(origin(about["meta"], about["data"]) or "")
        if version is None:
            with saying(f"{spec.name}: refitting #{trial.number} on all rows"):
                saved = _refitted(home, objective, name, trial, about)
            new.append(saved)
            version = saved.version
        elif version not in live:
            reasons[trial.number] = f"it was version {version}, which was deleted"
            continue
        versions[trial.number] = version
    front_runner = next(iter(versions.values()), None)
    verdict = None if front_runner is None else challenge(home, name, front_runner)
    shown = None if front_runner is None else show_model(home, name, front_runner)
    return Kept(tuple(new), versions, shown, verdict, reasons, keep)


def keep_trial(
    home: Path | str,
    objective: CrossValidation,
    spec: StudySpec,
    history: History,
    trial: Trial,
    notes: Mapping[str, str] = NOTHING,
) -> ModelVersion:
    """Refit one trial on all rows and save it as a version, whatever a policy says; if there is one of it, that is returned.

    The champion stays: `promote` decides about it. Raises InvalidStudy for a trial that no model can be made of.
    """
    if trial.state is not State.COMPLETED:
        raise InvalidStudy(
            f"#{trial.number} is {trial.state}, and a model is made of a trial that completed."
        )
    found = chosen(Keep(all=True), history, best=trial)
    if trial.number in found.reasons:
        raise InvalidStudy(f"#{trial.number} cannot be a model: {found.reasons[trial.number]}.")
    about = _about(objective, spec, history, trial, notes)
    return _refitted(home, objective, model_name(spec.name), trial, about)


def _about(
    objective: CrossValidation, spec: StudySpec, history: History, trial: Trial, notes: Mapping[str, str]
) -> dict[str, Any]:
    """What `save_model` is to write about the trial."""
    about = objective.card(spec, trial)
    about["meta"] |= {"tried": history.ended, "overlap": overlap(objective.splits), **notes}
    return about


def _refitted(
    home: Path | str, objective: CrossValidation, name: str, trial: Trial, about: Mapping[str, Any]
) -> ModelVersion:
    held = seal(objective, trial.params)
    sealed = None if held is None else pack(held)
    return save_model(home, name, objective.refit(trial.params), held=sealed, **about)


def _ranked(history: History, completed: list[Trial], best: Trial | None) -> list[Trial]:
    """By what is expected where the objective is noisy, else by value; feasible before infeasible; the best first."""
    objective = history.problem.objective
    expected = {point.trial.number: point.mean for point in ranking(history)}

    def order(trial: Trial) -> tuple[bool, bool, float, int]:
        value = objective.sign * expected.get(trial.number, history.value(trial))
        feasible = history.feasible(trial)
        first = best is not None and trial.number == best.number
        return (not first, not feasible, math.inf if math.isnan(value) else value, trial.number)

    return sorted(completed, key=order)


def _missed(thresholds: Mapping[str, float], trial: Trial, goals: Mapping[str, str]) -> str | None:
    for metric, threshold in thresholds.items():
        value = trial.metrics.get(metric, math.nan)
        judged = Objective(metric, "min" if goals.get(metric) == "min" else "max")
        if not judged.reached(value, threshold):
            side = "above" if judged.goal == "min" else "below"
            return f"its {metric} of {number(value)} is {side} the threshold of {threshold:g}"
    return None
