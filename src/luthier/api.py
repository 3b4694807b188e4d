"""The front door: tune(), load() and Study."""

from __future__ import annotations

import shutil
import sys
import tempfile
import traceback
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, time, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from luthier import plugins, preflight
from luthier.analysis import (
    Comparison,
    Contour,
    Importance,
    Slice,
    compare,
    contour_of,
    importance,
    plausible,
    slice_of,
)
from luthier.analysis.filtering import parse
from luthier.analysis.table import rows, to_pandas
from luthier.clock import SystemClock
from luthier.engine.asking import Asker, OpenTrial
from luthier.engine.engine import Engine, Watcher
from luthier.engine.mind import Mind, replay
from luthier.engine.plan import End
from luthier.engine.rules import Rules
from luthier.enough import Forecast, forecast
from luthier.errors import InvalidStudy, LuthierError, ObjectiveFailed, SpecMismatch, Stop, StoreError
from luthier.estimators.outline import changed, outline
from luthier.executors import Executor, Inline, Processes
from luthier.executors.worker import stop_behind
from luthier.expected import best_of, predict
from luthier.files import Files, StudyFiles, folder_of
from luthier.models import Keep, Kept, ModelVersion, delete_model, keep_models, keep_trial
from luthier.models.registry import model_name
from luthier.objectives.command import Command
from luthier.objectives.context import Task
from luthier.objectives.crossval import CrossValidation
from luthier.objectives.folds import Predictions
from luthier.objectives.function import as_task, metrics_of
from luthier.onepage import save_report
from luthier.optimizers import Auto, FreezeThaw
from luthier.optimizers.base import Algorithm, begin, pauses, total
from luthier.plots import Plots
from luthier.progress import display, saying
from luthier.result import (
    Blend,
    Confirmation,
    Result,
    Select,
    blend_of,
    confirmed,
    finalists,
    result_of,
)
from luthier.space import Scalar, Space
from luthier.stopping import mild
from luthier.stopping.base import Checking, StoppingPolicy
from luthier.store.base import Store, StudyRow
from luthier.store.url import home, open_store
from luthier.study import (
    Budget,
    Completed,
    Failed,
    Fidelity,
    History,
    Lost,
    Objective,
    Problem,
    Proposal,
    Schedule,
    State,
    Stopped,
    StudySpec,
    Trial,
    schedule_of,
)
from luthier.study.pareto import front
from luthier.study.remarks import Remarks, archived, noted, tagged
from luthier.summary import (
    ALIVE_SECONDS,
    is_at_work,
    overlap_in_facts,
    overlap_of,
    plural,
    trial_of,
    worth,
)

Metric = str | Sequence[str] | None
Stopping = str | StoppingPolicy | Sequence[str | StoppingPolicy] | None
MEMORY = "memory"


def tune(
    objective: Callable[..., Any] | CrossValidation | Command,
    space: Space | Mapping[str, Any] | None = None,
    *,
    minimize: Metric = None,
    maximize: Metric = None,
    noisy: bool = False,
    trials: int | None = None,
    seconds: float | Literal["auto"] | None = None,
    target: float | None = None,
    failures: int | None = None,
    until: Literal["noise"] | float | None = None,
    cost: Mapping[str, float] | None = None,
    deadline: str | datetime | float | None = None,
    algorithm: str | Algorithm = "auto",
    stopping: Stopping = None,
    fidelity: Fidelity | None = None,
    start: Sequence[Mapping[str, Scalar]] = (),
    workers: int = 1,
    executor: Executor | None = None,
    trial_seconds: float | None = None,
    trial_memory: float | None = None,
    deterministic: bool | int = False,
    seed: int = 0,
    name: str | None = None,
    store: str | None = None,
    keep: Keep | None = None,
    files: Files | None = None,
    progress: bool | Watcher = True,
    rules: Rules | None = None,
) -> Study:
    """Find the best parameters of `objective` within a budget, and return the study.

    `objective` is a function - of a `trial`, or of the parameters by name - that returns the metric or a
    dict of metrics, a `CrossValidation` of an estimator, which brings a space of its own, or a `Command`, any program. The budget is any of
    `trials` (exactly so many), `seconds` of work on the study, a `target` value, and `failures`. With a `name` the study
    is kept in the store, and the same call goes on where it stopped.

    `until="noise"` ends it sooner: when the most that more trials could gain is less than the noise of the cross-validation
    (one standard error of the best trial), after 20 trials or more and a fifth of the budget; without folds the noise of a measurement of
    a `noisy` objective is taken, else a hundredth of what separates the best trial from the median one. `seconds="auto"`
    means the same without a limit of time: trials alone end it, from the thousandth on once 30 or more were in vain. A study that
    ended so goes on with a budget in numbers, as `trials=100`.

    `until=0.001` ends it when the most that more trials could gain is less than that. `cost={"dollars": 25}` ends it when all trials
    together cost so much by a metric that they return or report, `cost={"seconds": 3600}` after so many seconds of workers. `deadline="18:00"`, or
    a datetime, ends it then, with the best found by that time.

    `noisy` says that the same parameters measured again give another value: points may then be tried again, and the best is
    the one with the best expectation, not the one that was lucky (`Study.best`). A `target` is reached by a value seen.

    `stopping` gives running trials up early: "race", or `Race(...)`, those of a `CrossValidation` whose first folds show that they
    will not become the best; or by the curves that trials report: "asha", `MedianStopping(delay=5)` and others (docs/stopping.md). A list
    means any of them. Where trials run beside each other, how far they got depends on the timing.

    `fidelity` says what a training is measured in, `Fidelity("epochs", 1, 81)`, and that trials need not be trained in full: the function
    is told how far to train (`trial.fidelity`, or a parameter called "epochs"), and reports at steps of that unit. By default the
    first trials pause at a sixth of a training, and only promising ones go on; of the others the worst third at a sixth and at a half is stopped
    (`stopping` may say otherwise; "none" stops nothing), and the model learns from how far each got. `Fidelity(..., resumes=True)` is for functions that
    leave a checkpoint and go on from `trial.restored`; others start over. The best is one that was trained in full. `algorithm="pbt"` and "pb2" change parameters while trials are trained
    (docs/population.md); they need no budget.

    `workers` above 1 run in processes of their own, as they do where a trial is limited by `trial_seconds`
    or `trial_memory` (bytes). `deterministic` makes the study independent of the timing of workers: proposals are made
    in batches of that many (True: as many as there are workers).

    `keep` says which trials of a named study of a `CrossValidation` are refitted and saved as versions of its model when it ends:
    the best, unless `Keep(best=3)`, `Keep(pareto=True)`, thresholds or the like are given. `Keep(best=0)` saves none.

    `files` says which checkpoints of trials (`trial.checkpoint`) are kept, and how much room they and artifacts (`trial.save`)
    may take: the last one of each trial, without a limit, unless `Files(keep="best", quota=10e9)` or the like is given.

    Raises InvalidStudy, InvalidSpace, ObjectiveError for a question that cannot be asked, SpecMismatch where `name`
    belongs to another one, and ObjectiveFailed when the first trials all fail in the same way.
    """
    limited = trial_seconds is not None or trial_memory is not None
    if executor is None:  # a command can be stopped, between its reports too, where it runs in a worker
        inline = workers == 1 and not limited and not isinstance(objective, Command)
        executor = Inline() if inline else Processes(workers, trial_seconds, trial_memory)
    chosen = plugins.algorithm(algorithm)
    if isinstance(objective, CrossValidation) and fidelity is not None and isinstance(chosen, Auto):
        chosen = FreezeThaw()  # its reports are folds, so nothing can be stopped by how far it was trained
    objectives = _objectives(minimize, maximize, noisy)
    unstopped = stopping is None and len(objectives) < 2  # of several, nobody said which one to go by
    if unstopped and fidelity is not None and not pauses(chosen):
        stopping = mild(fidelity)
    budget = as_budget(trials, seconds, failures, target, until, cost, deadline)
    before, facts = earlier(name, store)
    table: dict[str, Any] = {}
    points: list[Proposal] = []
    if isinstance(objective, CrossValidation):
        objectives = objectives or (replace(objective.default_objective(), noisy=noisy),)
        objective = objective.scored_by([o.metric for o in objectives])
        if fidelity is not None:
            objective = objective.trained_by(fidelity)
        space = objective.space() if space is None else _space(space)
        objective.check(space)
        table = _table(name, facts, objective, say=bool(progress))
        if "splits" in facts:
            objective = objective.with_splits(facts["splits"])
        if not _is_grid(chosen):
            points.append(Proposal(objective.defaults(space), tag={"by": "defaults"}))
        task: Task = objective
        about = objective.about
    elif space is None:
        raise InvalidStudy(
            "no space is given. Say what may be chosen: tune(train, Space(lr=Float(1e-5, 1e-1)), ...)."
        )
    else:
        space = _space(space)
        metrics = [o.metric for o in objectives]
        if isinstance(objective, Command):
            task = objective = objective.measured_by(metrics, None if fidelity is None else fidelity.name)
            for note in objective.check(space):
                if progress:
                    _say_once(note)
            about = objective.about
        else:
            task = as_task(objective, space, metrics, None if fidelity is None else fidelity.name)
            about = {"function": _path(objective)}
    for point in start:
        space.check(point)
    problem = Problem(space, objectives, fidelity=fidelity)
    points += begin(chosen, problem, start)
    own = total(chosen, problem)
    if own is not None and budget.trials is not None and budget.trials < own:
        raise InvalidStudy(
            f"{chosen!r} takes {own} trials, and trials={budget.trials} ends it before a training is complete. "
            "Leave trials out: the study ends by itself."
        )
    if budget.endless and own is None and not _is_grid(chosen) and before.endless:
        raise InvalidStudy(
            "the study would never end. Give it a budget: trials=100, seconds=600, seconds='auto' or target=0.01."
        )
    if deterministic and stopping is not None and not isinstance(executor, Inline):
        raise InvalidStudy(
            "a deterministic study cannot stop trials that run in processes: how far they got by then depends on the timing. "
            "Leave out deterministic= or stopping=, or use one worker."
        )
    if keep is not None and isinstance(objective, CrossValidation):
        keep.check((*objective.scorers, "fit_seconds"))
    preflight.check(task, space, executor)
    study = Study(
        space,
        minimize=[o.metric for o in objectives if o.goal == "min"],
        maximize=[o.metric for o in objectives if o.goal == "max"],
        noisy=noisy,
        algorithm=chosen,
        name=name,
        store=store,
        seed=seed,
        start=points,
        batch=(executor.slots if deterministic is True else int(deterministic)) or None,
        stopping=stopping,
        fidelity=fidelity,
        budget=budget,
        about=about,
        files=files,
    )
    if name is None and progress:
        _say_once(
            "the study has no name: it lives in memory and is gone with this process. name='...' keeps it."
        )
    if isinstance(objective, CrossValidation):
        if "splits" not in facts:
            study.store.remember(study.name, {"splits": objective.packed_splits, **table})
        task = objective.keeping(study.keep_predictions(new="splits" not in facts))
    end = study.work(task, executor, progress=progress, rules=rules)
    if isinstance(objective, CrossValidation) and name is not None and end.word != "interrupted":
        study.save_models(objective, keep, progress=progress)
    return study


def load(name: str, store: str | None = None, *, readonly: bool = True) -> Study:
    """Open a study again: to look at it, or with `readonly=False` to ask and tell."""
    return Study.open(open_store(store, readonly=readonly), name, store, readonly=readonly)


def delete_study(name: str, store: str | None = None, *, models: bool = False) -> str:
    """Delete a study, its trials and their files for ever, and say what was deleted. Its saved models stay, unless `models`.

    Raises InvalidStudy while somebody works on it.
    """
    opened = open_store(store)
    try:
        row = opened.study(name)
        check_idle(row)
        opened.delete(name)
    finally:
        opened.close()
    for part in ("work", "predictions"):
        shutil.rmtree(folder_of(home(store), part, name), ignore_errors=True)
    said = f"Deleted study {name!r} and its {plural(sum(row.counts.values()), 'trial')}."
    versions = versions_of(name, store)
    if versions and models:
        delete_model(home(store), model_name(name))
        return f"{said} Deleted {plural(versions, 'version')} of its model."
    if versions:
        return f"{said} Its model stays in {home(store) / 'models' / model_name(name)} ({plural(versions, 'version')})."
    return said


def check_idle(row: StudyRow) -> None:
    """Raise InvalidStudy where somebody works on the study, or did until a moment ago."""
    if is_at_work(row):
        raise InvalidStudy(
            f"somebody is working on study {row.name!r}. Stop it first with `luthier stop {row.name}`; where its process was "
            f"killed, wait {ALIVE_SECONDS:g} seconds."
        )


def versions_of(name: str, store: str | None = None) -> int:
    """How many versions of the study's model are saved."""
    folder = home(store) / "models" / model_name(name)
    try:
        return sum(1 for path in folder.iterdir() if path.name[:1].isdecimal())
    except OSError:  # there is none
        return 0


class Study:
    """A study: what was asked, what was tried, what is best.

    Made by `tune` and `load`, or directly by people who own their loop:

        study = Study(space, minimize="loss", name="mine")
        trial = study.ask()
        study.tell(trial, train(**trial.params))

    Any number of processes may ask and tell one named study. A trial whose process dies is given to another.
    """

    def __init__(
        self,
        space: Space | Mapping[str, Any],
        *,
        minimize: Metric = None,
        maximize: Metric = None,
        noisy: bool = False,
        algorithm: str | Algorithm = "auto",
        trials: int | None = None,
        name: str | None = None,
        store: str | None = None,
        seed: int = 0,
        start: Sequence[Proposal] = (),
        batch: int | None = None,
        stopping: Stopping = None,
        fidelity: Fidelity | None = None,
        budget: Budget | None = None,
        about: Mapping[str, Any] | None = None,
        files: Files | None = None,
    ) -> None:
        url = store if name is not None else MEMORY
        budget = budget or Budget(trials=trials)
        problem = Problem(_space(space), _objectives(minimize, maximize, noisy), fidelity=fidelity)
        policy = None if stopping in (None, "none") else plugins.policy(stopping)
        if isinstance(policy, Checking):
            policy.check(problem)
        spec = StudySpec(
            name=name or "study",
            problem=problem,
            algorithm=plugins.named(plugins.algorithm(algorithm)),
            stopping=None if policy is None else plugins.named(policy),
            budget=budget,
            seed=seed,
            batch=batch,
            start=tuple(start),
            about=about or {},
        )
        opened = open_store(url)
        new = opened.create(spec)
        if not new and not budget.endless and opened.spec(spec.name).budget != budget:
            opened.set_budget(spec.name, budget)
        if files is not None and Files.of(opened.facts(spec.name).get("files")) != files:
            opened.remember(spec.name, {"files": files.to_json()})
        self._set_up(opened, spec.name, url, readonly=False)
        if new:
            self.files.clear()

    @classmethod
    def open(cls, store: Store, name: str, url: str | None, *, readonly: bool) -> Study:
        """The study of that name in an open store; raises StudyNotFound."""
        study = cls.__new__(cls)
        study._set_up(store, name, url, readonly=readonly)
        return study

    def _set_up(self, store: Store, name: str, url: str | None, *, readonly: bool) -> None:
        self.store = store
        self.spec = store.spec(name)
        self._url = url
        self._readonly = readonly
        self._scratch: Path | None = None
        self._overlap = partial(_overlap, store, name)
        algorithm = plugins.algorithm(self.spec.algorithm)
        mind = Mind.start(self.spec, algorithm, self._policy, self._overlap)
        self.files = self._study_files()
        self._asker = Asker(store, mind, SystemClock(), Rules(), self.files)

    # --- looking -----------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The study's name."""
        return self.spec.name

    @property
    def space(self) -> Space:
        """What may be chosen."""
        return self.spec.problem.space

    @property
    def predictions(self) -> Predictions:
        """What the estimators of a `CrossValidation` predicted on the rows left out, in files."""
        if self._scratch is not None:
            return Predictions(self._scratch)
        return Predictions(folder_of(self.home, "predictions", self.name))

    def keep_predictions(self, new: bool) -> Path:
        """The folder for `predictions`: beside the store, without what another study of this name may have left, or for a
        study in memory a temporary one that lives as long as this object.
        """
        if self._url == MEMORY and self._scratch is None:
            self._scratch = Path(tempfile.mkdtemp(prefix="luthier-"))
            weakref.finalize(self, shutil.rmtree, self._scratch, ignore_errors=True)
        folder = self.predictions.folder
        if new:
            shutil.rmtree(folder, ignore_errors=True)
        return folder

    def _study_files(self) -> StudyFiles:
        """Beside the store, or for a study in memory among the temporary files as long as this object lives."""
        settings = Files.of(self.store.facts(self.name).get("files"))
        if self._url != MEMORY:
            return StudyFiles(folder_of(self.home, "work", self.name), settings, say=_say_once)
        root = Path(tempfile.gettempdir()) / f"luthier-{uuid4().hex}"  # made when there is something to keep
        weakref.finalize(self, shutil.rmtree, root, ignore_errors=True)
        return StudyFiles(root, settings, lasting=False, say=_say_once)

    @property
    def home(self) -> Path:
        """The folder beside the store in which models and work directories are."""
        return home(self._url)

    @property
    def history(self) -> History:
        """All trials as of now."""
        return self._asker.look()[0]

    @property
    def trials(self) -> list[Trial]:
        """All trials, by number."""
        return list(self.history)

    def where(self, text: str) -> list[Trial]:
        """The trials that a filter means, by number: `study.where("score>0.8 lr:1e-4..1e-2 state:completed tag:keep")`.

        It is the language of `luthier trials --filter` and of the studio. Raises InvalidFilter where it cannot be read.
        """
        trials = self.trials
        seen = {metric for trial in trials for metric in trial.metrics}
        return parse(text, self.spec.problem, seen).pick(trials, self.remarks.by_tag)

    @property
    def best(self) -> Trial:
        """The completed trial with the best value of the (first) objective; of a noisy objective the first trial of the
        point with the best expected value, which `predict` gives.
        """
        return self._found(best_of(self.history))

    @property
    def best_seen(self) -> Trial:
        """The completed trial with the best value of the (first) objective, by luck or not."""
        return self._found(self.history.best())

    def _found(self, trial: Trial | None) -> Trial:
        if trial is None:
            raise LuthierError(f"study {self.name!r} has no completed trial with a value yet.")
        return trial

    @property
    def front(self) -> list[Trial]:
        """With several objectives: the completed trials that none betters in all of them."""
        return front(self.trials, self.spec.problem.objectives)

    @property
    def row(self) -> StudyRow:
        """Counts, times, and why the last engine ended."""
        return self.store.study(self.name)

    @property
    def facts(self) -> dict[str, Any]:
        """What was found out besides the trials: where the model is, versions."""
        return self.store.facts(self.name)

    @property
    def complete(self) -> bool:
        """Whether the question is answered: the budget is used up, or nothing is left to try."""
        end = self._asker.end()
        if end is not None:
            return end.answered
        return (self.row.ended or "").startswith("exhausted")  # only who asks an optimiser finds that out

    @property
    def remarks(self) -> Remarks:
        """What people say about it: its note, notes and tags of trials, whether it is put away."""
        return Remarks.of(self.facts)

    def note(self, text: str, trial: int | None = None) -> None:
        """Keep a text with the study, or with one of its trials, in the place of the one that was there; an empty one takes it away."""
        self._say(noted(self._known(trial), text))

    def tag(self, trial: int, *tags: str, off: Sequence[str] = ()) -> None:
        """Put tags on a trial, and take those in `off` from it."""
        self._known(trial)
        said = [tagged(trial, tag) for tag in tags] + [tagged(trial, tag, on=False) for tag in off]
        self._say({key: value for fact in said for key, value in fact.items()})

    def archive(self, undo: bool = False) -> None:
        """Put the study away: lists leave it out from now on. Nothing else changes, and `undo` takes it back."""
        self._say(archived(None if undo else SystemClock().now()))

    def _known(self, trial: int | None) -> int | None:
        return None if trial is None else trial_of(self, trial).number

    def _say(self, facts: Mapping[str, Any]) -> None:
        self._writable()
        self.store.remember(self.name, facts)

    def report(self, path: str | Path) -> None:
        """Write the study as one HTML file that opens without a network: words, charts, the best trials, failures, how to do it again."""
        save_report(self, Path(path), store=None if self._url == MEMORY else self._url)

    def to_pandas(self) -> Any:
        """A DataFrame with a row per trial: number, state, parameters, metrics, reason, times."""
        return to_pandas(rows(self.history))

    # --- what it means -----------------------------------------------------------------------

    def importance(self) -> list[Importance]:
        """Which share of the objective's variance over the space each parameter explains by itself, the most important
        first, with its standard error. Raises LuthierError below ten completed trials, as `slice` and `contour` do.
        """
        return importance(self.history)

    def compare(self, a: Trial | int, b: Trial | int, margin: float | None = None) -> Comparison:
        """Which of two trials of this study is better, fold by fold, and whether that is more than noise; print it for a
        sentence. Differences up to `margin`, in units of the metric, do not matter. Raises LuthierError where the two have
        no folds in common.
        """
        first, second = (trial_of(self, trial) if isinstance(trial, int) else trial for trial in (a, b))
        objective = self.spec.problem.objective
        return compare(first, second, objective, margin=margin, overlap=overlap_of(self))

    def plausible(self, alpha: float = 0.05) -> list[Trial]:
        """The trials that cannot be told from the best by their folds, the best first: the one that truly is best is among
        them with a probability of at least 1 - `alpha`. Raises LuthierError where no trial was scored fold by fold.
        """
        return plausible(self.history, alpha, overlap_of(self))

    def result(self, select: Select = "best", *, complexity: str | None = None, guard: bool = True) -> Result:
        """Which trial of a cross-validation to take, and the score that it will really have; print it for sentences.

        `select` is "best", "1se" (the simplest that is not worse than the best by more than noise; `complexity` names a
        parameter, "-alpha" the smaller the more complex) or "posterior" (the best of what the scores and a model of them
        agree on). With `guard` the defaults, where they lie in the space, stay unless they are beaten by more than noise.
        """
        return result_of(self, select, complexity, guard)

    def confirm(
        self,
        task: Task,
        executor: Executor | None = None,
        *,
        share: float = 0.15,
        progress: bool | Watcher = False,
    ) -> Confirmation:
        """Try the trials that cannot be told from the best once more, on splits that none of them was chosen by, and say which has the
        best mean: `study.confirm(objective.fresh())`.

        That takes no more than `share` of the fits made so far, but always the two best. It is a study of its own, named
        NAME.confirmN, so it survives a crash as any other, and the race of this study ends what cannot win there either.
        """
        self._writable()
        objective = self.spec.problem.objective
        points = [
            Proposal(trial.params, tag={"by": "finalist", "of": trial.number})
            for trial in finalists(self, share)
        ]
        other = Study(
            self.space,
            minimize=objective.metric if objective.goal == "min" else None,
            maximize=objective.metric if objective.goal == "max" else None,
            algorithm="random",
            name=None if self._url == MEMORY else f"{self.name}.confirm{self.history.ended}",
            store=self._url,
            seed=self.spec.seed,
            start=points,
            stopping=self._policy,
            budget=Budget(trials=len(points)),
            about={**self.spec.about, "confirms": self.name},
        )
        try:
            other.work(task, executor or Inline(), progress=progress)
            return confirmed(self, other.history)
        finally:
            other.close()

    def look(self, objective: CrossValidation) -> dict[str, float]:
        """The scores of the result on the rows that are locked away (`CrossValidation(..., holdout=0.2)`). Each trial is scored there
        once; how many were is kept with the study, for every further look makes the scores worth less: `study.facts["looks"]`.
        """
        chosen = self.result().trial
        looks = dict(self.facts.get("looks", {}))
        if str(chosen.number) not in looks:
            looks[str(chosen.number)] = objective.look(chosen.params)
            self._writable()
            self.store.remember(self.name, {"looks": looks})
        if len(looks) > 1:
            _say_once(
                f"the locked rows of {self.name!r} have been looked at {len(looks)} times: the more often, the less they tell."
            )
        return dict(looks[str(chosen.number)])

    def blend(self, size: int = 25) -> Blend:
        """The mean of what up to `size` trials predict that is best on the rows left out, and whether it is honestly better than the best
        trial alone; print it for a sentence. Raises LuthierError where no probabilities, or values, were kept.
        """
        return blend_of(self, size)

    def predict(self, params: Mapping[str, Scalar]) -> tuple[float, float]:
        """What the (first) objective is to be expected at a point of the space, and its standard deviation, noise included:
        by the default algorithm's Gaussian process. Raises LuthierError until two trials have different values.
        """
        mean, sd = predict(self.history, [params])
        return float(mean[0]), float(sd[0])

    def schedule(self, trial: Trial | int | None = None) -> Schedule:
        """With which parameters the training was led that ended in a trial, by default the best, from step to step: where it went on
        from another one's checkpoint (`parent`), with those of that one before. `Replay(study.schedule())` trains so again.

        Raises LuthierError where the study has no fidelity.
        """
        fidelity = self.spec.problem.fidelity
        if fidelity is None:
            raise LuthierError(
                f"study {self.name!r} has no fidelity, so each of its trials is a training with the same parameters all along: "
                "its `params`."
            )
        wanted = self.best.number if trial is None else trial if isinstance(trial, int) else trial.number
        return schedule_of(self.trials, trial_of(self, wanted).number, fidelity.high)

    def forecast(self, trials: int) -> Forecast | None:
        """What so many more trials are expected to gain over the best so far, in units of the objective; print it. None where nobody
        can tell: several objectives, no two different values yet, more than a thousand trials.
        """
        return forecast(self.history, trials)

    def slice(self, name: str) -> Slice:
        """The objective along one parameter, on average over the others: values, mean, standard deviation, trials."""
        return slice_of(self.history, name)

    def contour(self, a: str, b: str) -> Contour:
        """The objective over two parameters, on average over the others."""
        return contour_of(self.history, a, b)

    @property
    def plot(self) -> Plots:
        """Plots of the trials as of now: `study.plot.importance()`. Needs the extra 'plot'."""
        return Plots(lambda: self.history)

    def replay(self, number: int) -> Proposal | None:
        """The decision that led to a trial, made once more from what was known at that time; equal to what is recorded
        where all is as it should be.
        """
        algorithm = plugins.algorithm(self.spec.algorithm)
        return replay(self.spec, algorithm, self.trials, number, self._policy)

    def __repr__(self) -> str:
        history = self.history
        best = best_of(history)
        metric = self.spec.problem.objective.metric
        found = (
            "nothing completed yet"
            if best is None
            else f"best {metric} {worth(history, best)} (#{best.number})"
        )
        return f"<Study {self.name!r}: {history.ended} of {len(history)} trials ended, {found}>"

    def _repr_html_(self) -> str:
        from luthier.progress import html

        return html(self)

    # --- asking and telling ------------------------------------------------------------------

    def ask(self) -> OpenTrial:
        """The next trial to run: one that waits for another attempt, else a new one. Raises StudyEnded where the
        budget is used up or nothing is left to try.
        """
        self._writable()
        return self._asker.ask()

    def tell(
        self,
        trial: OpenTrial | int,
        result: float | Mapping[str, float] | None = None,
        *,
        error: str | None = None,
    ) -> None:
        """Say how a trial ended: its metrics, a bare number for the objective, or the `error` it failed with.

        Telling a trial that was meanwhile given to somebody else changes nothing, and is kept in the log as late.
        """
        if (result is None) == (error is None):
            raise InvalidStudy("tell needs either a result or error='...': tell(trial, 0.3).")
        if error is not None:
            self._asker.tell(trial, Failed(error))
        else:
            self._asker.tell(
                trial, Completed(metrics_of(result, [o.metric for o in self.spec.problem.objectives]))
            )

    @contextmanager
    def trial(self) -> Iterator[OpenTrial]:
        """`with study.trial() as t:` asks, and tells by itself: what was assigned to `t.result`, else the last
        report; an exception makes it a failed trial, and goes on; an interrupt gives the trial back.
        """
        trial = self.ask()
        before = sys.exception()
        try:
            yield trial
        except Stop as stop:
            self._asker.tell(trial, Stopped(str(stop)))
        except Exception as error:
            if (wrapped := stop_behind(error, before)) is not None:
                self._asker.tell(trial, Stopped(str(wrapped)))
                return
            self._asker.tell(trial, Failed(f"{type(error).__name__}: {error}", traceback.format_exc()))
            raise
        except BaseException as error:
            self._asker.tell(trial, Lost(type(error).__name__))
            raise
        else:
            result = trial.result if trial.result is not None else trial.last
            if result is None:
                self.tell(trial, error="nothing was reported, and t.result was not set")
            else:
                self.tell(trial, result)

    def stop(self, number: int | None = None, reason: str = "asked to") -> None:
        """Ask a trial, or the whole study, to end; whoever works on it sees it within a second."""
        self._writable()
        self.store.request_stop(self.name, number, reason)

    # --- working -----------------------------------------------------------------------------

    def work(
        self, task: Task, executor: Executor, *, progress: bool | Watcher = True, rules: Rules | None = None
    ) -> End:
        """Work on the study with a pool of workers until it ends, and say why it did.

        Raises ObjectiveFailed when the first trials all fail in the same way.
        """
        self._writable()
        with display(self, progress) as watcher:
            engine = Engine(
                self.store,
                self.spec,
                task,
                executor,
                algorithm=plugins.algorithm(self.spec.algorithm),
                policy=self._policy,
                clock=SystemClock(),
                files=self.files,
                watcher=watcher,
                rules=rules,
                overlap=self._overlap,
            )
            end = engine.run()
        self.spec = self.store.spec(self.name)
        if end.word == "failed":
            failed = next(trial for trial in self.trials if trial.state is State.FAILED)
            raise ObjectiveFailed(f"{end.why}\n{failed.traceback or ''}".rstrip())
        return end

    def save_models(
        self, objective: CrossValidation, keep: Keep | None = None, *, progress: bool | Watcher = False
    ) -> Kept:
        """Refit the trials that `keep` chooses, by default the best, on all rows, and save each as a version of the model unless
        it is one already. The best of them challenges the version in use.
        """
        kept = keep_models(
            self.home,
            objective,
            self.spec,
            self.history,
            keep or Keep(),
            saying=lambda text: saying(text, progress),
        )
        fact = kept.fact()
        if any(self.facts.get(key) != value for key, value in fact.items()):
            self.store.remember(self.name, fact)
        return kept

    def save_model(self, objective: CrossValidation, trial: Trial | int) -> ModelVersion:
        """Refit a trial on all rows and save it as a version of the model, whatever was to be kept; the version in use stays.

        `objective` is what the study tuned. Raises SpecMismatch for other data, InvalidStudy for a trial that did not complete.
        """
        self._writable()
        number = trial if isinstance(trial, int) else trial.number
        problem, facts = self.spec.problem, self.facts
        objective = objective.scored_by([one.metric for one in problem.objectives])
        if problem.fidelity is not None:
            objective = objective.trained_by(problem.fidelity)
        _table(self.name, facts, objective, say=False)
        if "splits" in facts:
            objective = objective.with_splits(facts["splits"])
        saved = keep_trial(self.home, objective, self.spec, self.history, trial_of(self, number))
        others = [one for one in facts.get("models", []) if one["trial"] != number]
        reasons = {key: why for key, why in facts.get("not_kept", {}).items() if key != str(number)}
        kept = [*others, {"trial": number, "version": saved.version}]
        self.store.remember(self.name, {"models": kept, "not_kept": reasons})
        return saved

    @property
    def _policy(self) -> StoppingPolicy | None:
        return None if self.spec.stopping is None else plugins.policy(self.spec.stopping)

    def close(self) -> None:
        """Let go of the store; trials asked for and not told are given back."""
        self._asker.close()
        self.store.close()

    def _writable(self) -> None:
        if self._readonly:
            raise StoreError(
                f"study {self.name!r} was opened to look at. Open it with load({self.name!r}, readonly=False)."
            )


def _objectives(minimize: Metric, maximize: Metric, noisy: bool) -> tuple[Objective, ...]:
    """What is asked for, in the order minimise, maximise."""
    asked = [(minimize, "min"), (maximize, "max")]
    return tuple(
        Objective(metric, "min" if goal == "min" else "max", noisy)
        for metrics, goal in asked
        for metric in ([metrics] if isinstance(metrics, str) else metrics or [])
    )


def _space(given: Space | Mapping[str, Any]) -> Space:
    return given if isinstance(given, Space) else Space(given)


def as_budget(
    trials: int | None,
    seconds: float | Literal["auto"] | None,
    failures: int | None = None,
    target: float | None = None,
    until: Literal["noise"] | float | None = None,
    cost: Mapping[str, float] | None = None,
    deadline: str | datetime | float | None = None,
) -> Budget:
    """The budget in the words of `tune`: `seconds="auto"` is until noise."""
    if cost is not None and (not isinstance(cost, Mapping) or len(cost) != 1):
        raise InvalidStudy(
            f"cost is {cost!r}. Say what it is counted in and how much: cost={{'seconds': 3600}} or cost={{'dollars': 25}}."
        )
    currency, limit = next(iter(cost.items())) if cost else ("seconds", None)
    if isinstance(seconds, str):
        if seconds != "auto":
            raise InvalidStudy(f"seconds is {seconds!r}. Use a number above 0, or 'auto'.")
        seconds, until = None, "noise"
    return Budget(
        trials, seconds, failures, target, until, limit, currency, as_moment(deadline, SystemClock().now())
    )


def as_moment(deadline: str | datetime | float | None, now: float) -> float | None:
    """A deadline in seconds since 1970: a time of the day means the next one, here; a datetime without a zone is meant here too."""
    if deadline is None or (isinstance(deadline, int | float) and not isinstance(deadline, bool)):
        return deadline
    moment: datetime | None = deadline if isinstance(deadline, datetime) else None
    if isinstance(deadline, str):
        with suppress(ValueError):
            moment = datetime.fromisoformat(deadline.strip())
        with suppress(ValueError):
            today = datetime.fromtimestamp(now)
            at = time.fromisoformat(deadline.strip())
            moment = datetime.combine(today.date(), at)
            moment += timedelta(days=moment.timestamp() <= now)
    if moment is None:
        raise InvalidStudy(
            f"the deadline is {deadline!r}. Use a time of the day, '18:00', or a moment, '2026-12-31 18:00'."
        )
    return moment.timestamp()


def _overlap(store: Store, name: str) -> float | None:
    return overlap_in_facts(store.facts(name))


def _is_grid(algorithm: str | Algorithm) -> bool:
    return plugins.named(plugins.algorithm(algorithm)).name == "grid"


def earlier(name: str | None, store: str | None) -> tuple[Budget, dict[str, Any]]:
    """The budget and the facts of the study that goes on with this call; of none, if it is new."""
    try:
        study = load(name, store) if name is not None else None
    except (
        StoreError
    ):  # no such study, or no store yet; anything else is said when the study is opened to write
        study = None
    if study is None:
        return Budget(), {}
    try:
        return study.spec.budget, study.facts
    finally:
        study.close()


def _table(
    name: str | None, facts: Mapping[str, Any], objective: CrossValidation, *, say: bool
) -> dict[str, Any]:
    """What to remember of the table and of what is put in front of the estimator, to say later what is different.

    Raises SpecMismatch where the study was begun with another table, or with this one prepared otherwise.
    """
    data, found = objective.data, objective.preparation
    other = ""
    if "data" in facts and (differs := changed(facts["data"], data)):
        other = f"other data: {differs}"
    elif facts.get("prepared", found.to_json()) != found.to_json():
        other = f"the data prepared otherwise; now it would be so:\n{found}\n"
    if other:
        raise begun_with(name, other)
    for note in found.notes if say else ():
        _say_once(note)
    return {"data": outline(data), "prepared": found.to_json()}


def begun_with(name: str | None, other: str) -> SpecMismatch:
    """What to raise where a study was begun with something else than it is gone on with."""
    return SpecMismatch(
        f"study {name!r} was begun with {other}. Use another name, or `luthier delete {name}` to start over."
    )


def _path(function: Callable[..., Any]) -> str:
    """The function's name, as the store shows it and tells studies apart by it."""
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    module = getattr(function, "__module__", None) or type(function).__module__
    return f"{module}:{name}"


_said: set[str] = set()


def _say_once(text: str) -> None:
    if text not in _said:
        _said.add(text)
        print(f"luthier: {text}", file=sys.stderr)
