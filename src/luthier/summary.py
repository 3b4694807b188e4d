"""What a study has come to, for people to read and as JSON: where it stands, what is best, whether that is more than noise.

All of it is drawn from what the store holds, so that a study looks the same while it runs, at its end and a year later.
"""

from __future__ import annotations

import math
import re
import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from luthier.analysis.compare import Comparison, closest, compare, contenders
from luthier.analysis.table import number, rows, uncertainty
from luthier.clock import SystemClock
from luthier.engine.plan import SHARE, Situation, ending
from luthier.enough import SAYS, forecast, least
from luthier.errors import InvalidStudy, LuthierError
from luthier.estimators.prepare import Prepared
from luthier.expected import Expected, best_of, ranking
from luthier.files import StudyFiles, TrialFiles, meter
from luthier.objectives.splits import overlap as overlap_in
from luthier.objectives.splits import unpack_splits
from luthier.result import Judged, Result, result_of
from luthier.space import Params
from luthier.store.base import Reader, StudyRow
from luthier.study import Budget, Fidelity, History, Named, Objective, State, StudySpec, Trial
from luthier.study.codec import budget_to_json
from luthier.study.remarks import Remarks

ALIVE_SECONDS = 15.0
"""An engine gives a sign of life every two seconds; after so many without one nobody is at work."""


class Looked(Judged, Protocol):
    """A study to look at: `luthier.Study`, or anything else that knows as much."""

    @property
    def row(self) -> StudyRow: ...
    @property
    def home(self) -> Path: ...
    @property
    def files(self) -> StudyFiles: ...


class Tally(Protocol):
    """What of a history says where a study stands."""

    def __len__(self) -> int: ...
    @property
    def ended(self) -> int: ...
    @property
    def counts(self) -> Mapping[State, int]: ...
    def best(self) -> Trial | None: ...
    def cost(self, currency: str, now: float) -> float: ...


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a study stands, in one word, and why.

    The word is complete, running, stopped, interrupted, failed, or open, where there is more to do and nobody does it.
    """

    word: str
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """The value of a trial's objective, with the standard error over its folds where it has some."""

    number: int
    value: float
    error: float | None

    def __str__(self) -> str:
        return number(self.value, self.error)


@dataclass(frozen=True, slots=True)
class Gain:
    """What the best trial is better by than the defaults, in the direction of the goal.

    `error` is the corrected standard error of the paired differences, fold by fold; `real` whether the gain is more than
    noise (see `compare`), None where there are no folds to tell by.
    """

    value: float
    error: float | None
    real: bool | None


Row = tuple[str, str]
"""A label, or nothing, and the text beside it."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What to say at the end: a sentence, and rows below it."""

    head: str
    rows: tuple[Row, ...]

    def __str__(self) -> str:
        return "\n".join([self.head, *layout(self.rows)])


# --- what it has come to -----------------------------------------------------------------------


def standing(spec: StudySpec, history: Tally, row: StudyRow, now: float | None = None) -> Standing:
    """Where a study stands; `now` in seconds since 1970."""
    now = SystemClock().now() if now is None else now
    if is_at_work(row, now):
        return Standing("running", None if row.stop is None else f"asked to stop: {row.stop}")
    end = ending(
        Situation(
            budget=spec.budget,
            objective=spec.problem.objective,
            total=len(history),
            ended=history.ended,
            failed=history.counts[State.FAILED],
            waiting=history.counts[State.WAITING],
            running=0,
            slots=1,
            seconds=row.seconds,
            best=history.best(),
            cost=0.0 if spec.budget.cost is None else history.cost(spec.budget.currency, now),
            now=now,
        )
    )
    word, _, why = (row.ended or "").partition(": ")
    if end is not None and end.answered:
        return Standing("complete", end.why)
    if word == "exhausted" or (word == "complete" and _is_enough(why, spec, history, row)):
        return Standing("complete", why)
    if word in ("failed", "stopped", "interrupted"):
        return Standing(word, why)
    if row.ended is None and row.active is not None:
        return Standing("interrupted", "whoever worked on it is gone")
    return Standing("open", why or None)


def _is_enough(why: str, spec: StudySpec, history: Tally, row: StudyRow) -> bool:
    """Whether a study that ended since more trials were not worth it would do so still: without working it out again."""
    budget = spec.budget
    used = history.ended >= least(spec.problem, budget) and row.seconds >= SHARE * (budget.seconds or 0.0)
    return budget.until is not None and used and why.startswith(SAYS)


def is_at_work(row: StudyRow, now: float | None = None) -> bool:
    """Whether somebody works on the study, as far as can be told."""
    now = SystemClock().now() if now is None else now
    return row.ended is None and row.active is not None and now - row.active < ALIVE_SECONDS


def score(trial: Trial, objective: Objective) -> Score:
    """The trial's value of the objective."""
    value = trial.metrics.get(objective.metric, math.nan)
    return Score(trial.number, value, uncertainty(trial, objective.metric))


def defaults(spec: StudySpec, history: History | Sequence[Trial]) -> Trial | None:
    """The trial of the estimator as it comes, if there was one and it completed."""
    if "estimator" not in spec.about or not len(history):
        return None
    first = history[0]
    return first if first.tag.get("by") == "defaults" and first.state is State.COMPLETED else None


def gain(best: Trial, other: Trial, objective: Objective, overlap: float | None = None) -> Gain:
    """What `best` is better by, and whether the folds agree on it; `overlap` as in `compare`."""
    name, sign = objective.metric, -objective.sign
    if uncertainty(best, name) is None or uncertainty(other, name) is None:
        value = sign * (best.metrics.get(name, math.nan) - other.metrics.get(name, math.nan))
        return Gain(value, None, None)
    found = compare(best, other, objective, overlap=overlap)
    return Gain(found.difference, found.error, found.winner == best.number)


def overlap_of(study: Looked) -> float | None:
    """How many test rows there are to a training row in the study's splits; None where it has none."""
    return overlap_in_facts(study.facts)


def overlap_in_facts(facts: Mapping[str, Any]) -> float | None:
    """The same, from what was found out about a study."""
    packed = facts.get("splits")
    return None if packed is None else overlap_in(unpack_splits(packed))


def alike(history: History, overlap: float | None) -> tuple[list[Trial], int]:
    """The trials that cannot be told from the best by their folds, the best first, and of how many they are; none where there
    are not two with folds to choose among, or the best is an expectation.
    """
    objective = history.problem.objective
    trials = [] if objective.noisy else contenders(history)
    return (closest(trials, objective, overlap) if len(trials) > 1 else []), len(trials)


def trial_of(study: Looked, number: int) -> Trial:
    """A trial by its number; raises InvalidStudy where there is none."""
    history = study.history
    if not 0 <= number < len(history):
        there = f"It has trials 0 to {len(history) - 1}." if len(history) else "It has none yet."
        raise InvalidStudy(f"study {study.spec.name!r} has no trial {number}. {there}")
    return history[number]


def worth(history: History, trial: Trial) -> str:
    """The objective in a listing of the best: expected, where it is noisy, else measured."""
    for point in ranking(history):
        if point.trial.number == trial.number:
            return number(point.mean, point.sd)
    return str(score(trial, history.problem.objective))


def ranked(history: History, n: int) -> list[Trial]:
    """The `n` best completed trials in the space, the best first; of a noisy objective one for each of the `n` points with
    the best expectation.
    """
    points = ranking(history)
    if points:
        return [point.trial for point in points[:n]]
    objective, allows = history.problem.objective, history.problem.space.allows
    completed = (t for t in history if t.state is State.COMPLETED and not math.isnan(history.value(t)))
    order = sorted(
        completed, key=lambda t: (not history.feasible(t), objective.sign * history.value(t), t.number)
    )
    return list(islice((t for t in order if allows(t.params)), n))


# --- in words ----------------------------------------------------------------------------------


def summarize(study: Looked, *, again: bool = False, store: str | None = None) -> Summary:
    """What is to be said when work on a study ends; `again` where there was nothing left to do. `store` is where the next
    commands find it, if not in the default place.
    """
    spec, history, row = study.spec, study.history, study.row
    where = standing(spec, history, row)
    lines = (
        *_best(spec, history, overlap_of(study), honest(study)),
        *_foreseen(history, row),
        *_model(study),
        *_files(study),
        *_next(study, where, store),
    )
    return Summary(_head(spec, history, row, where, again), lines)


def _head(spec: StudySpec, history: History, row: StudyRow, where: Standing, again: bool) -> str:
    n = len(history) if spec.budget.trials is None else spec.budget.trials
    if again and where.word == "complete":
        count = f"{history.ended} of {n} trials" if history.ended <= n else plural(history.ended, "trial")
        return f"{spec.name} is complete ({count}); {_goes_on(spec, history)}"
    done = f"{plural(history.ended, 'trial')} in {duration(row.seconds)}"
    left = "" if spec.budget.trials is None else f" of {spec.budget.trials}"
    some = f"{history.ended}{left} trials in {duration(row.seconds)}"
    told = _told(history)
    match where.word:
        case "complete":
            ends = spec.budget.trials is None or history.ended < spec.budget.trials
            return f"Done: {done}{told}." + (f" The end: {where.why}." if ends and where.why else "")
        case "stopped":
            return f"Stopped after {some}{told}: {where.why}."
        case "interrupted":
            return f"Interrupted after {some}{told}; nothing is lost."
        case word:
            return f"{word.capitalize()}: {some}{told}." + (f" {where.why}." if where.why else "")


def _told(history: History) -> str:
    counts = history.counts
    parts = [f"{counts[state]} {state}" for state in (State.STOPPED, State.FAILED) if counts[state]]
    return f", {', '.join(parts)}" if parts else ", none failed" if history.ended else ""


def _goes_on(spec: StudySpec, history: History) -> str:
    budget = spec.budget
    if budget.trials is not None and history.ended >= budget.trials:
        return f"--trials {2 * max(budget.trials, history.ended)} goes on."
    if budget.seconds is not None and budget.until is None:
        return f"--seconds {2 * budget.seconds:g} goes on."
    if budget.until is not None:
        return f"--trials {2 * history.ended} goes on."
    return "a larger budget goes on."


def honest(study: Looked) -> Result | None:
    """What score the best trial will really have; None where it was not cross-validated, or is judged by several scores."""
    if len(study.spec.problem.objectives) > 1 or "splits" not in study.facts:
        return None
    try:
        return result_of(study, guard=False)
    except LuthierError:  # none has all its folds yet
        return None


def _best(
    spec: StudySpec, history: History, overlap: float | None, expected: Result | None = None
) -> list[Row]:
    best, objective = best_of(history), spec.problem.objective
    if best is None:
        return [("best", "nothing completed with a value"), *_failures(history)]
    start = defaults(spec, history)
    lines: list[Row] = [("best", f"#{best.number}   {objective.metric} {worth(history, best)}")]
    lines += _beside(history, best)
    lines += [("", f"{other.metric} {score(best, other)}") for other in spec.problem.objectives[1:]]
    if start is not None:
        lines.append(("", _compared(best, start, objective, overlap)))
    lines.append(("", changed(best.params, None if start is None else start.params)))
    if expected is not None and expected.trial == best:
        error = (expected.high - expected.low) / 4
        places = (expected.honest, expected.low, expected.high)
        mean, low, high = (number(value, error).partition(" ")[0] for value in places)
        lines.append(("expect", f"{mean} on new data, between {low} and {high} (95%)"))
    return [*lines, *_alike(history, overlap), *_failures(history)]


def _alike(history: History, overlap: float | None) -> list[Row]:
    """How many the best may be one of."""
    found, n = alike(history, overlap)
    if not found:
        return []
    whole = "" if n == history.ended else " with all folds"
    if len(found) == 1:
        return [
            ("alike", f"none of the other {n - 1}{whole}: #{found[0].number} is better by more than noise")
        ]
    some = " ".join(f"#{trial.number}" for trial in found[:5])
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return [("alike", f"{len(found)} of {n}{whole} cannot be told apart from the best: {some}{more}")]


def _beside(history: History, best: Trial) -> list[Row]:
    """What was measured at the point with the best expectation, and the best measurement if that is another's."""
    points, lucky = ranking(history), history.best()
    if not points or lucky is None:
        return []
    seen = points[0].seen
    low, high = number(min(seen)), number(max(seen))
    told = f"seen once: {low}" if len(seen) == 1 else f"seen {len(seen)} times: {low} to {high}"
    lines: list[Row] = [("", f"is what one more trial there is expected to give; {told}")]
    if history.problem.space.key(lucky.params) != history.problem.space.key(best.params):
        lines.append(("", f"the best value seen is {number(history.value(lucky))}, of #{lucky.number}"))
    return lines


def _compared(best: Trial, start: Trial, objective: Objective, overlap: float | None) -> str:
    """The best beside the defaults, and whether that is more than noise."""
    if start.number == best.number:
        return "these are the defaults; nothing was better"
    found = gain(best, start, objective, overlap)
    amount = abs(found.value)
    difference = number(amount, found.error) if found.error is not None else f"{amount:.4g}"
    beside = f"defaults {score(start, objective)}"
    if found.value < 0:
        return f"{beside}, better by {difference}; but they lie outside the space"
    verdict = {True: "more than the noise", False: "within noise of the defaults", None: "noise unknown"}
    return f"{beside}; better by {difference}, {verdict[found.real]}"


def _failures(history: History) -> list[Row]:
    failed = (
        [trial for trial in history if trial.state is State.FAILED] if history.counts[State.FAILED] else []
    )
    if not failed:
        return []
    return [("failed", f"#{failed[0].number} first: {shortened(failed[0].reason or '', 100)}")]


def _model(study: Looked) -> list[Row]:
    model = study.facts.get("model")
    if not model:
        return [("model", f"none kept: #{n}, {why}") for n, why in study.facts.get("not_kept", {}).items()][
            :1
        ]
    n = study.spec.about.get("rows")
    refitted = f"#{model['trial']} refitted on all {n:,} rows" if n else f"#{model['trial']} refitted"
    rows = [("model", f"{near(Path(model['path']))}   {refitted}; its card is CARD.md")]
    return rows if model.get("promoted", True) else [*rows, ("", str(model["why"]))]


def _files(study: Looked) -> list[Row]:
    """How much checkpoints and artifacts take, where there are any."""
    used, quota = study.files.used, study.files.settings.quota
    if not used:
        return []
    full = "" if quota is None or used <= quota else ", and what is left is not removed by itself"
    return [("files", f"{meter(used, quota)}{full}")]


def _next(study: Looked, where: Standing, store: str | None) -> list[Row]:
    name, best = study.spec.name, best_of(study.history)
    commands: list[tuple[str, str]] = []
    if best is not None:
        parts = "fold by fold" if "estimator" in study.spec.about else "step by step"
        commands.append((f"luthier show {name} {best.number}", f"why this one was tried, and {parts}"))
    elif study.history.counts[State.FAILED]:
        first = next(trial for trial in study.history if trial.state is State.FAILED)
        commands.append((f"luthier show {name} {first.number}", "the first failure, with its traceback"))
    if study.facts.get("model"):
        commands.append((f"luthier models predict {name} new.csv", "predictions for new rows"))
    commands.append((f"luthier trials {name}", "every trial"))
    commands = [(f"{program()}{command.removeprefix('luthier')}", why) for command, why in commands]
    if store is not None:
        commands = [(f"{command} --store {shlex.quote(store)}", why) for command, why in commands]
    if where.word not in ("complete", "running"):
        commands.insert(0, ("the same command", "goes on where it stopped"))
    width = max(len(command) for command, _ in commands)
    return [("next" if i == 0 else "", f"{c.ljust(width)}   {why}") for i, (c, why) in enumerate(commands)]


def program() -> str:
    """What to type for `luthier` here: by its path where it is installed beside this Python but not on the PATH."""
    beside = Path(sys.executable).parent / "luthier"
    if shutil.which("luthier") is None and beside.exists():
        return shlex.quote(near(beside))
    return "luthier"


def near(path: Path) -> str:
    """The path as one would type it here."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


# --- to look at --------------------------------------------------------------------------------


def asked(about: Mapping[str, Any], objectives: Sequence[Objective]) -> str:
    """What is tuned, on what, for what."""
    words = {"min": "minimise", "max": "maximise"}
    goal = ", ".join(f"{words[o.goal]} {'noisy ' if o.noisy else ''}{o.metric}" for o in objectives)
    if "estimator" in about:
        classes = f", {about['classes']} classes" if about.get("classes") else ""
        data = f"{about['data']} ({about['rows']:,} rows, {plural(about['columns'], 'column')}{classes})"
        cv = re.split("[,(]", str(about["cv"]))[0]
        return f"{about['estimator'].rpartition(':')[2]} on {data}, {cv}, {goal}"
    what = about.get("function", shortened(" ".join(about.get("command", "").split()), 100) or None)
    return goal if what is None else f"{what}, {goal}"


def prepared(rows: Sequence[Mapping[str, Any]] | None) -> list[Row]:
    """What is put between the table and the estimator, column by column, and why; `rows` as `Preparation.to_json` has them."""
    return [("prepared" if i == 0 else "", str(Prepared.of(row))) for i, row in enumerate(rows or ())]


def describe(study: Looked, *, store: str | None = None) -> Summary:
    """A study at a glance: where it stands, the question, the best, and what to do next; `store` as in `summarize`."""
    spec, history, row = study.spec, study.history, study.row
    where = standing(spec, history, row)
    counts = ", ".join(f"{n} {state}" for state, n in history.counts.items() if n) or "none yet"
    lines: list[Row] = [("question", asked(spec.about, spec.problem.objectives))]
    lines += [
        ("space" if i == 0 else "", line)
        for i, line in enumerate(spec.problem.space.describe().splitlines()[1:])
    ]
    lines += [
        *prepared(study.facts.get("prepared")),
        *deepened(spec.problem.fidelity),
        ("search", f"{called(spec.algorithm)}, seed {spec.seed}"),
        *([] if spec.stopping is None else [("stopping", called(spec.stopping))]),
        ("budget", budgeted(spec.budget)),
        ("trials", f"{counts}, in {duration(row.seconds)}"),
        *_best(spec, history, overlap_of(study), honest(study)),
        *_foreseen(history, row),
        *_top(spec, history),
        *_model(study),
        *_files(study),
        *remarked(Remarks.of(study.facts)),
        *_next(study, where, store),
    ]
    return Summary(f"{spec.name}   {where.word}" + (f": {where.why}" if where.why else ""), tuple(lines))


def called(named: Named) -> str:
    """An algorithm with the options it was given."""
    options = ", ".join(f"{name}={value!r}" for name, value in named.options.items() if value is not None)
    return f"{named.name}({options})" if options else named.name


def budgeted(budget: Budget) -> str:
    """A budget in words."""
    parts = [] if budget.trials is None else [plural(budget.trials, "trial")]
    parts += [] if budget.seconds is None else [duration(budget.seconds)]
    parts += [] if budget.cost is None else [f"{budget.cost:g} {budget.currency} of trials"]
    parts += [] if budget.deadline is None else [f"until {moment(budget.deadline)}"]
    parts += until_in_words(budget)
    parts += [] if budget.target is None else [f"until {budget.target:g} is reached"]
    parts += [] if budget.failures is None else [f"until {plural(budget.failures, 'trial')} failed"]
    return " or ".join(parts) or "none: it goes on until nothing is left to try or somebody stops it"


def until_in_words(budget: Budget) -> list[str]:
    """Which gain is too little to go on, as a part of a sentence."""
    if budget.until is None:
        return []
    return [f"until gains are below {'the noise' if budget.until == 'noise' else format(budget.until, 'g')}"]


def deepened(fidelity: Fidelity | None) -> list[Row]:
    """How far trials are trained, and what becomes of those that are not trained in full."""
    if fidelity is None:
        return []
    what = "trials pause and go on" if fidelity.resumes else "a trial is trained in one go"
    return [("fidelity", f"{fidelity.name} from {fidelity.low:g} to {fidelity.high:g}; {what}")]


def _foreseen(history: History, row: StudyRow) -> list[Row]:
    """What going on is expected to gain, in a unit of time that is not much longer than the study was."""
    exhausted = (row.ended or "").startswith("exhausted")  # it will not go on
    if history.ended < 10 or not row.seconds > 0 or exhausted:
        return []
    unit, seconds = next(((u, s) for u, s in UNITS if s <= row.seconds), ("minute", 60.0))
    expected = forecast(history, round(history.ended / row.seconds * seconds))
    if expected is None:
        return []
    about = f"the next {unit}, about {plural(expected.trials, 'trial')},"
    return [("forecast", f"{about} is expected to gain {expected}")]


def _top(spec: StudySpec, history: History) -> list[Row]:
    """The five best, where there is more than one to compare."""
    top = ranked(history, 5)
    if len(top) < 2:
        return []
    marks = [f"#{trial.number}" for trial in top]
    scores = [worth(history, trial) for trial in top]
    wide = max(map(len, marks)), max(map(len, scores))
    return [
        (
            "top" if i == 0 else "",
            f"{mark.ljust(wide[0])}   {value.ljust(wide[1])}   {settings(trial.params)}",
        )
        for i, (trial, mark, value) in enumerate(zip(top, marks, scores, strict=True))
    ]


def files_rows(kept: TrialFiles) -> list[Row]:
    """What is kept of a trial, and where."""
    rows: list[Row] = []
    for checkpoint in kept.checkpoints:
        step = "before the first report" if checkpoint.step is None else f"step {checkpoint.step}"
        rows.append(("checkpoint", f"{step}   {near(checkpoint.path)}"))
    return rows + [("artifact", f"{name}   {near(path)}") for name, path in kept.artifacts.items()]


def files_to_json(kept: TrialFiles) -> dict[str, Any]:
    """What is kept of a trial, for programs."""
    return {
        "number": kept.number,
        "bytes": kept.bytes,
        "checkpoints": [
            {"attempt": found.attempt, "step": found.step, "path": str(found.path)}
            for found in kept.checkpoints
        ],
        "artifacts": {name: str(path) for name, path in kept.artifacts.items()},
    }


def describe_trial(spec: StudySpec, trial: Trial, seen: int, kept: TrialFiles | None = None) -> Summary:
    """All that is known of a trial, but for its traceback. `seen` is how many trials had ended when it was proposed, `kept` what
    there is of its files.
    """
    objective = spec.problem.objective
    lines: list[Row] = [(name, score_and_folds(trial, name)) for name in trial.metrics]
    if not trial.metrics and trial.reports:
        lines.append((objective.metric, _so_far(spec, trial, objective.metric) or "not reported"))
    lines.append(("params", settings(trial.params)))
    if spec.problem.fidelity is not None:
        amount, name = spec.problem.amount(trial.fidelity), spec.problem.fidelity.name
        since = "" if trial.parent is None else f", going on from trial {trial.parent}"
        lines.append(("trained", f"to {amount:g} {name}{since}"))
    lines.append(("proposed", _proposed(trial, seen)))
    if trial.worker is not None:
        lines.append(("worker", who(trial.worker)))
    if trial.started is not None:
        lines.append(
            ("started", datetime.fromtimestamp(trial.started, UTC).strftime("%Y-%m-%d %H:%M:%S UTC"))
        )
    if trial.stop is not None and not trial.state.ended:
        lines.append(("asked", f"to stop: {trial.stop}"))
    if trial.reason:
        lines.append(("reason", trial.reason))
    lines += [] if kept is None else files_rows(kept)
    took = f" in {duration(trial.seconds)}" if trial.seconds is not None else ""
    attempt = f"   attempt {trial.attempt}" if trial.attempt > 1 else ""
    return Summary(f"{spec.name} #{trial.number}   {trial.state}{took}{attempt}", tuple(lines))


def remarked(said: Remarks, number: int | None = None) -> list[Row]:
    """What people say of a trial, or with None of the study."""
    note = said.note if number is None else said.notes.get(number, "")
    tags = () if number is None else sorted(said.tags.get(number, ()))
    return [
        *([("tags", " ".join(tags))] if tags else []),
        *(("note" if i == 0 else "", line) for i, line in enumerate(note.splitlines())),
    ]


def _so_far(spec: StudySpec, trial: Trial, metric: str) -> str:
    """What was reported by a trial without a result: every fold of a cross-validation, or the ends of a learning curve."""
    folds, scores = spec.about.get("folds"), trial.reported(metric).values()
    if isinstance(folds, int) and 0 < len(scores) <= min(folds, 20):
        return f"{len(scores)} of {folds} folds " + " ".join(f"{score:.4g}" for score in scores)
    return _steps(trial, metric).strip()


def _steps(trial: Trial, metric: str) -> str:
    """What was reported on the way: every fold, or the ends of a learning curve."""
    values = list(trial.reported(metric).items())
    if not values:
        return ""
    if uncertainty(trial, metric) is not None and len(values) <= 20:
        return "   folds " + " ".join(f"{value:.4g}" for _, value in values)
    (first, start), (last, end) = values[0], values[-1]
    return f"   {plural(len(values), 'report')}: {start:.4g} at step {first}" + (
        f", {end:.4g} at step {last}" if len(values) > 1 else ""
    )


def comparison_rows(history: History, found: Comparison) -> list[Row]:
    """What there is to say of two trials besides the sentence."""
    chances = [
        (f"#{found.a} is better", found.a_better),
        ("no difference that matters", found.equivalent),
        (f"#{found.b} is better", found.b_better),
    ]
    return [
        *((f"#{n}", score_and_folds(history[n], found.metric)) for n in dict.fromkeys((found.a, found.b))),
        ("noise", f"p {found.p:.2g}; with 95% #{found.a} is better by {found.low:.3g} to {found.high:.3g}"),
        ("margin", f"{found.margin:.3g}, below which a difference does not matter"),
        ("chances", "   ".join(f"{what} {chance:.0%}" for what, chance in chances)),
    ]


def result_rows(history: History, found: Result) -> list[Row]:
    """The trials that could be it: the one chosen, the best, the defaults, those that cannot be told from the best."""
    numbers = dict.fromkeys([found.trial.number, found.best.number, *found.plausible[:5]])
    if found.default is not None:
        numbers.setdefault(found.default.number)
    start = None if found.default is None else found.default.params
    objective = history.problem.objective
    return [
        (
            f"#{n}",
            f"{score(history[n], objective)}   {changed(history[n].params, None if n == _of(found.default) else start)}",
        )
        for n in numbers
    ]


def _of(trial: Trial | None) -> int | None:
    return None if trial is None else trial.number


def result_to_json(found: Result) -> dict[str, Any]:
    """The result of a study, for programs."""
    return {
        "trial": trial_to_json(found.trial),
        "select": found.select,
        "metric": found.metric,
        "raw": found.raw,
        "honest": found.honest,
        "low": found.low,
        "high": found.high,
        "optimism": found.optimism,
        "best": found.best.number,
        "default": _of(found.default),
        "plausible": list(found.plausible),
        "candidates": found.candidates,
        "from_rows": found.rows,
        "sentence": str(found),
    }


def score_and_folds(trial: Trial, metric: str) -> str:
    """A trial's value of a metric, and what it reported on the way."""
    if metric not in trial.metrics:
        return f"{trial.state}{_steps(trial, metric)}"
    return number(trial.metrics[metric], uncertainty(trial, metric)) + _steps(trial, metric)


ORIGINS = {
    "start": "as a point to start from",
    "defaults": "as what the estimator does by itself",
    "retry": "once more, by hand",
}


def _proposed(trial: Trial, seen: int) -> str:
    tag = dict(trial.tag)
    by, why = tag.pop("by", None), tag.pop("why", None)
    told = ORIGINS.get(str(by), f"by {by or 'somebody'}")
    told += f": {why}" if why else ""
    more = ", ".join(f"{name} {setting(value)}" for name, value in tag.items())
    return f"{told}{f' ({more})' if more else ''}; had seen {plural(seen, 'trial')}"


def who(worker: str) -> str:
    """The engine that had the trial: machine and process."""
    machine, _, rest = worker.partition("/")
    pid = rest.partition("/")[0]
    return f"process {pid} on {machine.rpartition('.')[0] or machine}" if pid else worker


def seen_by(store: Reader, name: str, trial: Trial, total: int) -> int:
    """How many trials had ended when `trial` was proposed: those that have not changed since."""
    return max(0, total - len(store.changed(name, trial.seen).trials))


# --- lists -------------------------------------------------------------------------------------

Line = tuple[StudyRow, StudySpec, History, Standing]


def line_of(store: Reader, row: StudyRow) -> Line:
    """All that the list of studies needs of one."""
    spec, changes = store.spec(row.name), store.changed(row.name)
    history = History(spec.problem)
    history.merge(changes.trials, changes.cursor)
    return row, spec, history, standing(spec, history, row)


def line_cells(line: Line) -> tuple[str, ...]:
    """A study as a line of a table: name, state, trials, best, time, when it was made."""
    row, spec, history, where = line
    best, trials = best_of(history), spec.budget.trials
    return (
        row.name,
        where.word,
        str(history.ended) if trials is None else f"{history.ended}/{trials}",
        "" if best is None else f"{spec.problem.objective.metric} {worth(history, best)}",
        duration(row.seconds),
        datetime.fromtimestamp(row.created, UTC).strftime("%Y-%m-%d %H:%M"),
    )


def line_to_json(line: Line) -> dict[str, Any]:
    """A study as an object of a list."""
    row, spec, history, where = line
    best, seen = best_of(history), history.best()
    return dict(
        plain(
            {
                "name": row.name,
                "state": where.word,
                "reason": where.why,
                "counts": {str(state): n for state, n in history.counts.items()},
                "budget": budget_to_json(spec.budget),
                "objectives": [asdict(o) for o in spec.problem.objectives],
                "best": None if best is None else trial_to_json(best),
                "best_seen": None if seen is None else trial_to_json(seen),
                "seconds": row.seconds,
                "created": datetime.fromtimestamp(row.created, UTC).isoformat(),
            }
        )
    )


def trial_columns(spec: StudySpec) -> tuple[str, ...]:
    """The head of a table of trials."""
    fidelity = spec.problem.fidelity
    deep = [] if fidelity is None else [fidelity.name, "from"]
    metrics = (objective.metric for objective in spec.problem.objectives)
    return ("#", "state", *deep, *metrics, "time", *spec.problem.space, "reason")


def trial_cells(spec: StudySpec, trial: Trial) -> tuple[str, ...]:
    """A trial as a line of that table."""
    metrics = (trial.metrics.get(o.metric) for o in spec.problem.objectives)
    amount, parent = spec.problem.amount(trial.fidelity), trial.parent
    deep = [f"{amount:g}", "" if parent is None else f"#{parent}"] if spec.problem.fidelity else []
    return (
        str(trial.number),
        str(trial.state),
        *deep,
        *("" if value is None else f"{value:.5g}" for value in metrics),
        "" if trial.seconds is None else duration(trial.seconds),
        *(setting(trial.params[name]) if name in trial.params else "" for name in spec.problem.space),
        shortened(trial.reason or "", 60),
    )


# --- parts of sentences ------------------------------------------------------------------------


def layout(rows: Iterable[Row]) -> list[str]:
    """Rows as lines, the labels in a column of their own."""
    listed = list(rows)
    width = max((len(label) for label, _ in listed), default=0)
    return [f"  {label.ljust(width)}   {text}".rstrip() for label, text in listed]


def setting(value: object) -> str:
    """A parameter's value, short."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def settings(params: Params) -> str:
    """Parameters on one line."""
    return "   ".join(f"{name} {setting(value)}" for name, value in params.items()) or "no parameters"


def changed(params: Params, start: Params | None) -> str:
    """Parameters on one line, those at their default last and in brackets."""
    if start is None:
        return settings(params)
    same = {name: value for name, value in params.items() if name in start and start[name] == value}
    differ = {name: value for name, value in params.items() if name not in same}
    if not differ:
        return "(every one at its default)"
    if len(same) > 2:
        rest = f"   (the other {len(same)} at their default)"
    else:
        rest = "".join(f"   ({name} {setting(value)}, the default)" for name, value in same.items())
    return settings(differ) + rest


UNITS = (("week", 604800.0), ("day", 86400.0), ("hour", 3600.0), ("minute", 60.0))


def moment(seconds: float) -> str:
    """A time, here, from seconds since 1970: 2026-12-31 18:00."""
    return datetime.fromtimestamp(seconds).isoformat(" ", "minutes")


def duration(seconds: float) -> str:
    """How long, to about two digits: 28 ms, 0.4 s, 49 s, 3 min 20 s, 1 h 05 min."""
    if seconds < 0.0995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def plural(n: int, noun: str) -> str:
    """1 trial, 2 trials."""
    return f"{n:,} {noun}" + ("" if n == 1 else "s")


def shortened(text: str, length: int) -> str:
    """The first line, cut where it is too long."""
    line = text.strip().splitlines()[0] if text.strip() else ""
    return line if len(line) <= length else line[: length - 1] + "…"


# --- as JSON -----------------------------------------------------------------------------------


def to_json(study: Looked) -> dict[str, Any]:
    """What a study has come to, for programs. NaN and infinities are the strings "NaN", "Infinity", "-Infinity"."""
    spec, history, row = study.spec, study.history, study.row
    best, start, objective = best_of(history), defaults(spec, history), spec.problem.objective
    seen, points = history.best(), ranking(history)
    where = standing(spec, history, row)
    shared, on_new_data = overlap_of(study), honest(study)
    found = None if best is None or start is None else gain(best, start, objective, shared)
    return dict(
        plain(
            {
                "name": spec.name,
                "state": where.word,
                "reason": where.why,
                "objectives": [asdict(o) for o in spec.problem.objectives],
                "budget": budget_to_json(spec.budget),
                "algorithm": {"name": spec.algorithm.name, "options": dict(spec.algorithm.options)},
                "seed": spec.seed,
                "space": {name: repr(parameter) for name, parameter in spec.problem.space.items()},
                "about": dict(spec.about),
                "counts": {str(state): n for state, n in history.counts.items()},
                "ended": history.ended,
                "seconds": row.seconds,
                "created": datetime.fromtimestamp(row.created, UTC).isoformat(),
                "best": None
                if best is None
                else {
                    **trial_to_json(best),
                    "error": score(best, objective).error,
                    "expected": _expected_to_json(points[0]) if points else None,
                },
                "best_seen": None
                if seen is None
                else {**trial_to_json(seen), "error": score(seen, objective).error},
                "defaults": None
                if start is None
                else {**trial_to_json(start), "error": score(start, objective).error},
                "gain": None if found is None else asdict(found),
                "expected_on_new_data": None
                if on_new_data is None or best is None or on_new_data.trial != best
                else {
                    "mean": on_new_data.honest,
                    "low": on_new_data.low,
                    "high": on_new_data.high,
                    "optimism": on_new_data.optimism,
                },
                "plausible": [trial.number for trial in alike(history, shared)[0]] or None,
                "prepared": study.facts.get("prepared"),
                "model": study.facts.get("model"),
                "files": {"used": study.files.used, "quota": study.files.settings.quota},
            }
        )
    )


def _expected_to_json(point: Expected) -> dict[str, Any]:
    return {"mean": point.mean, "sd": point.sd, "seen": list(point.seen)}


def trial_to_json(trial: Trial) -> dict[str, Any]:
    """A trial, for programs: the row of a table of trials, and how it came about. Times are in UTC, ISO 8601."""
    more = {"attempt": trial.attempt, "worker": trial.worker, "tag": dict(trial.tag)}
    return dict(plain({**rows([trial])[0], **more}))


def reports_to_json(trial: Trial) -> list[dict[str, Any]]:
    """What a trial reported, step by step."""
    return list(plain([{"step": report.step, "metrics": dict(report.metrics)} for report in trial.reports]))


def plain(value: Any) -> Any:
    """The same for JSON, which has no NaN and no infinities: they become strings."""
    match value:
        case float() if not math.isfinite(value):
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        case Mapping():
            return {str(key): plain(inner) for key, inner in value.items()}
        case str():
            return value
        case Sequence():
            return [plain(inner) for inner in value]
        case _:
            return value
