"""A study that is being set up: the fields of a form, and what they come to.

The form is the truth. `Draft.of` reads its fields, from a browser or a file, and gives the study as `luthier.studyfile` takes it
(`given`), and what is wrong with which field (`problems`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from luthier.errors import DataError, InvalidSpace, LuthierError, UnknownName
from luthier.estimators import Description, Hyperparameter
from luthier.estimators.domain import domain_text
from luthier.estimators.params import as_scalar
from luthier.space import Choice, Const, Float, Int, Parameter, Scalar, Space, When, same, size
from luthier.studio.drafts import catalogue, values
from luthier.studio.drafts.catalogue import FRONT, Entry, described
from luthier.studio.drafts.scores import Score, Strategy, scores_for, strategy
from luthier.studio.drafts.tables import LAST, Table, Tables, Task, task_of
from luthier.studio.drafts.values import Typed
from luthier.studio.words import say
from luthier.studyfile import space_given
from luthier.summary import plural

MODES = ("single", "multiple", "range")
VALIDATIONS = ("folds", "share", "groups", "time")
SAVES = ("best", "top", "all", "none")
UNITS = {"seconds": 1, "minutes": 60, "hours": 3600}
FEW_TRIALS = 60
"""So many trials where nobody says how many, and the space has no end."""
WHOLE_GRID = 100
"""Up to so many combinations are all tried, as the default algorithm would, each once and nothing else."""
MOST_TRIALS = 1_000_000
MOST_WORKERS = 256
NAME = re.compile(r"[^\x00-\x1f\x7f/\\]{1,200}")
FIRST = "sklearn.ensemble:RandomForestClassifier"
Fields = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a field; `missing` where nothing was said yet, which is only wrong when the study is to begin."""

    text: str
    missing: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One hyperparameter in the table: how its values are given, and what they come to.

    `param` is what is searched, None of a single value; `value` that value, and `changed` whether it is another than the default's.
    """

    about: Hyperparameter
    mode: str
    single: Typed
    multiple: str
    several: tuple[Typed, ...]
    low: str
    high: str
    step: str
    log: bool
    param: Parameter | None = None
    changed: bool = False

    @property
    def name(self) -> str:
        """The hyperparameter's."""
        return self.about.name

    @property
    def choices(self) -> tuple[Scalar, ...] | None:
        """The names it can have, where they are few and all."""
        return values.choices(self.about.domain)

    @property
    def modes(self) -> tuple[str, ...]:
        """The modes that make sense."""
        return MODES if values.ranged(self.about.domain) and self.choices is None else MODES[:2]

    @property
    def front(self) -> bool:
        """Whether it is shown at once: it matters, it is searched by default, people ask for it, or it was changed."""
        about = self.about
        return about.rank is not None or about.recommended is not None or about.name in FRONT or self.touched

    @property
    def touched(self) -> bool:
        """Whether it is not simply at its default."""
        return self.changed or self.mode != "single"


@dataclass(frozen=True, slots=True)
class Draft:
    """A form, read."""

    fields: Fields
    given: Mapping[str, Any]
    problems: Mapping[str, Problem]
    table: Table | None
    task: Task | None
    entry: Entry | None
    description: Description | None
    rows: tuple[Row, ...]
    scores: tuple[Score, ...]
    primary: Score
    strategy: Strategy
    folds: int
    space: Space | None

    @classmethod
    def of(cls, fields: Fields, tables: Tables, taken: Iterable[str] = ()) -> Draft:
        """What the fields say; `taken` are names that other studies have. Never raises for what a form may hold."""
        return _Reading(fields, tables, frozenset(taken)).draft()

    def __getitem__(self, name: str) -> str:
        """A field as it is shown: what was said, or the default."""
        return self.fields.get(name, DEFAULTS.get(name, ""))

    def is_on(self, name: str) -> bool:
        """Whether a box is ticked."""
        return _ticked(self.fields, name)

    @property
    def ready(self) -> bool:
        """Whether the study can begin."""
        return not self.problems

    @property
    def size(self) -> int | None:
        """How many combinations there are at most; None where they have no end."""
        return 1 if self.space is None else size(self.space)

    @property
    def whole(self) -> bool:
        """Whether every combination is tried."""
        return bool(self.given.get("algorithm", {}) and _name_of(self.given["algorithm"]) == "grid")

    @property
    def fixed(self) -> Mapping[str, Scalar]:
        """The values of what is not searched, where they are others than the defaults."""
        return cast("Mapping[str, Scalar]", self.given.get("params", {}))


DEFAULTS: Mapping[str, str] = {
    "estimator": FIRST,
    "preprocess": "auto",
    "cv": "folds",
    "folds": "5",
    "share": "20",
    "holdout": "20",
    "strategy": "auto",
    "unit": "minutes",
    "rows": "10",
    "seed": "0",
    "save": "best",
    "top": "5",
    "shuffle": "on",
    "stratified": "on",
    "show": "fitting",
}
"""What a field says where nobody said anything."""
SENT = "form"
"""The field that a form brings with it, so that a box that is not ticked can be told from one that was never shown."""


def _ticked(fields: Fields, name: str) -> bool:
    return name in fields if SENT in fields else fields.get(name, DEFAULTS.get(name, "")) == "on"


def _name_of(algorithm: Any) -> str:
    return str(algorithm["name"] if isinstance(algorithm, Mapping) else algorithm)


@dataclass(slots=True)
class _Reading:
    """One reading of a form: the study grows key by key, and the problems beside it."""

    fields: Fields
    tables: Tables
    taken: frozenset[str]
    given: dict[str, Any] = field(default_factory=dict)
    problems: dict[str, Problem] = field(default_factory=dict)

    def draft(self) -> Draft:
        table, task = self._data()
        entry = self._estimator(task)
        description = None if entry is None else self._described(entry, task)
        rows = self._rows(description)
        space = self._space(rows)
        self._fixed(rows)
        folds = self._validation(entry, table)
        scores, primary = self._scores(entry, task)
        self._models(scores)
        chosen = self._search(space, folds)
        self._budget(space)
        self._name(entry, table)
        return Draft(
            fields=self.fields,
            given={key: self.given[key] for key in ORDER if key in self.given},
            problems=self.problems,
            table=table,
            task=task,
            entry=entry,
            description=description,
            rows=rows,
            scores=scores,
            primary=primary,
            strategy=chosen,
            folds=folds,
            space=space,
        )

    # --- how a field is read ---------------------------------------------------------------------

    def _text(self, name: str) -> str:
        return self.fields.get(name, DEFAULTS.get(name, "")).strip()

    def _wrong(self, name: str, text: str, *, missing: bool = False) -> None:
        self.problems.setdefault(name, Problem(text, missing))

    def _whole(self, name: str, low: int, high: int) -> int | None:
        """A whole number within these ends; None where there is none, or it is wrong."""
        text = self._text(name)
        if not text:
            return None
        found = values.scalar(text.replace(",", ""))
        if not isinstance(found, int) or isinstance(found, bool) or not low <= found <= high:
            self._wrong(name, say("drafts.whole", value=_cut(text), low=f"{low:,}", high=f"{high:,}"))
            return None
        return found

    def _number(
        self, name: str, low: float = -math.inf, high: float = math.inf, *, ends: bool = True
    ) -> float | None:
        """A number within these ends, or between them."""
        text = self._text(name)
        if not text:
            return None
        found = values.scalar(text)
        if values.is_number(found):
            number = cast("int | float", found)
            if math.isfinite(number) and (low <= number <= high if ends else low < number < high):
                return number
        limits = (
            say("drafts.number.any")
            if low == -math.inf
            else say("drafts.number.limits", low=f"{low:g}", high=f"{high:g}")
        )
        if low > -math.inf and high == math.inf:
            limits = say("drafts.number.above", low=f"{low:g}")
        self._wrong(name, say("drafts.number", value=_cut(text), limits=limits))
        return None

    def _one_of(self, name: str, known: Iterable[str]) -> str:
        said = self._text(name)
        return said if said in tuple(known) else DEFAULTS[name]

    # --- 1 data ----------------------------------------------------------------------------------

    def _data(self) -> tuple[Table | None, Task | None]:
        name = self._text("data")
        if not name:
            self._wrong("data", say("drafts.data.none"), missing=True)
            return None, None
        try:
            table = self.tables.table(name)
        except DataError as error:
            self._wrong("data", str(error))
            return None, None
        self.given["data"] = table.source
        share = self._number("holdout", 0, 90)
        if share:
            self.given["holdout"] = share / 100
        if table.brings_target:
            return table, task_of(table, "")
        target = self._text("target") or (LAST if LAST in table.targets else "")
        if len(table.targets) == 1:
            target = table.targets[0]
        if not target:
            self._wrong("target", say("drafts.target.none"), missing=True)
            return table, None
        try:
            task = task_of(table, target)
        except DataError as error:
            self._wrong("target", str(error))
            return table, None
        self.given["target"] = target
        return table, task

    # --- 2 estimator -----------------------------------------------------------------------------

    def _estimator(self, task: Task | None) -> Entry | None:
        try:
            entry = catalogue.entry(self._text("estimator"))
        except UnknownName as error:
            self._wrong("estimator", str(error))
            return None
        self.given["estimator"] = entry.path
        if self._text("preprocess") == "none":
            self.given["preprocess"] = "none"
        if task is not None:
            if entry.kind == "classifier" and task.classes is None:
                self._wrong("estimator", say("drafts.estimator.classifier", name=entry.name))
            elif entry.kind == "regressor" and task.classes and isinstance(task.classes[0], str | bool):
                self._wrong("estimator", say("drafts.estimator.regressor", name=entry.name))
        return entry

    def _described(self, entry: Entry, task: Task | None) -> Description | None:
        try:
            return described(entry.path, task)
        except LuthierError as error:
            self._wrong("estimator", str(error))
            return None

    # --- 3 hyperparameters -----------------------------------------------------------------------

    def _rows(self, description: Description | None) -> tuple[Row, ...]:
        return tuple(self._row(about) for about in description or ())

    def _row(self, about: Hyperparameter) -> Row:
        name, domain = about.name, about.domain
        said = self.fields.get(f"single.{name}", "").strip()
        own = default_of(about)
        single = values.one(said, name, domain) if said else Typed(default_text(about), own)
        listed = self.fields.get(f"multiple.{name}", "").strip()
        several = values.several(listed, name, domain) if listed else ()
        low, high, step = (self.fields.get(f"{end}.{name}", "").strip() for end in ("low", "high", "step"))
        log = f"log.{name}" in self.fields
        row = Row(about, "single", single, listed, several, low, high, step, log)
        mode = self.fields.get(f"mode.{name}", "single")
        if mode not in row.modes:
            mode = "single"
        param: Parameter | None = None
        changed = False
        match mode:
            case "single":
                changed = bool(said) and not (said == default_text(about) or same(single.value, own))
                if changed and single.problem:
                    self._wrong(f"single.{name}", single.problem)
            case "multiple":
                param = self._choice(about, several)
            case "range":
                param = self._range(about, row)
        return Row(about, mode, single, listed, several, low, high, step, log, param, changed)

    def _choice(self, about: Hyperparameter, several: tuple[Typed, ...]) -> Parameter | None:
        name, at = about.name, f"multiple.{about.name}"
        wrong = next((one.problem for one in several if one.problem), None)
        if wrong is not None:
            self._wrong(at, wrong)
        if not several:
            self._wrong(at, say("drafts.value.empty", name=name), missing=True)
        if wrong is not None or not several:
            return None
        given = [one.value for one in several]
        if len(given) == 1:
            return Const(given[0])
        try:
            return _ordered(given, about.recommended)
        except InvalidSpace as error:
            self._wrong(at, str(error))
            return None

    def _range(self, about: Hyperparameter, row: Row) -> Parameter | None:
        name, found = about.name, {}
        for end in ("low", "high", "step"):
            text = getattr(row, end)
            if not text and end != "step":
                self._wrong(f"{end}.{name}", say(f"drafts.range.{end}", name=name), missing=True)
                return None
            if not text:
                continue
            value = values.scalar(text)
            refused = values.refusal(value, name, about.domain) if end != "step" else None
            if not values.is_number(value) or refused:
                self._wrong(
                    f"{end}.{name}",
                    refused or say("drafts.number", value=_cut(text), limits=say("drafts.number.any")),
                )
                return None
            found[end] = cast("int | float", value)
        whole = values.is_whole(about.domain) or (
            all(isinstance(value, int) for value in found.values()) and _likes_whole(about)
        )
        step = {"step": found["step"]} if "step" in found else {}
        try:
            kind = Int if whole else Float
            return cast(
                "Parameter",
                kind(cast(Any, found["low"]), cast(Any, found["high"]), log=row.log, **cast(Any, step)),
            )
        except InvalidSpace as error:
            self._wrong(f"low.{name}", f"{name}: {error}")
            return None

    def _space(self, rows: tuple[Row, ...]) -> Space | None:
        """What is searched, each under the conditions that go with what is recommended."""
        searched: dict[str, Parameter] = {
            row.name: row.param for row in rows if row.param is not None and not isinstance(row.param, Const)
        }
        if not searched:
            if not any(at.startswith(("multiple.", "low.", "high.")) for at in self.problems):
                self._wrong("space", say("drafts.space.none"), missing=True)
            return None
        for row in rows:
            if row.name in searched:
                searched[row.name] = _conditioned(row, searched)
        try:
            space = Space(searched)
        except InvalidSpace as error:
            self._wrong("space", str(error))
            return None
        self.given["space"] = space_given(space)
        return space

    def _fixed(self, rows: tuple[Row, ...]) -> None:
        params: dict[str, Scalar] = {}
        for row in rows:
            if isinstance(row.param, Const):
                params[row.name] = row.param.value
            elif row.changed and row.single.problem is None:
                params[row.name] = row.single.value
        if params:
            self.given["params"] = params

    # --- 4 validation and scores -----------------------------------------------------------------

    def _validation(self, entry: Entry | None, table: Table | None) -> int:
        """Say how rows are split; how many fits a trial takes."""
        cv = self._one_of("cv", VALIDATIONS)
        classifier = entry is not None and entry.kind == "classifier"
        if cv == "share":
            share = self._number("share", 0, 95, ends=False)
            if share is None and "share" not in self.problems:
                self._wrong("share", say("drafts.share.none"))
            stratified = {} if _ticked(self.fields, "stratified") or not classifier else {"stratified": False}
            self.given["cv"] = {"share": 0.2 if share is None else share / 100} | stratified
            return 1
        folds = self._whole("folds", 2, 1000)
        if folds is None:
            if "folds" not in self.problems:
                self._wrong("folds", say("drafts.folds.none"))
            return 5
        if table is not None and folds > table.rows:
            self._wrong("folds", say("drafts.folds.many", folds=folds, rows=table.rows))
        given: dict[str, Any] = {"folds": folds}
        if cv == "time":
            given["time"] = True
        elif cv == "groups":
            given["groups"] = self._groups(table)
        if cv in ("folds", "groups"):
            if classifier and not _ticked(self.fields, "stratified"):
                given["stratified"] = False
            if not _ticked(self.fields, "shuffle"):
                given["shuffle"] = False
        self.given["cv"] = folds if given == {"folds": folds} else given
        return folds

    def _groups(self, table: Table | None) -> str:
        column = self._text("groups")
        if table is not None and (table.brings_target or not hasattr(table.head, "columns")):
            self._wrong("groups", say("drafts.groups.nameless", name=table.name))
        elif not column:
            self._wrong("groups", say("drafts.groups.none"), missing=True)
        elif column == self.given.get("target"):
            self._wrong("groups", say("drafts.groups.target", column=column))
        elif table is not None and column not in table.columns:
            self._wrong("groups", say("drafts.target.missing", target=column, name=table.name))
        return column or "?"

    def _scores(self, entry: Entry | None, task: Task | None) -> tuple[tuple[Score, ...], Score]:
        """The scores that fit, and the one to go by."""
        known = scores_for("classifier" if entry is None else entry.kind, task is not None and task.binary)
        names = {score.name: score for score in known}
        primary = names.get(self._text("primary"), known[0])
        self.given["minimize" if primary.less else "maximize"] = primary.name
        also = [
            name for name in values.pieces(self._text("scores")) if name in names and name != primary.name
        ]
        if also:
            self.given["scoring"] = also
        return known, primary

    def _models(self, scores: tuple[Score, ...]) -> None:
        save = self._one_of("save", SAVES)
        models: dict[str, Any] = {}
        match save:
            case "top":
                top = self._whole("top", 1, 1000)
                if top is None and "top" not in self.problems:
                    self._wrong("top", say("drafts.top.none"))
                models["best"] = top or 1
            case "all":
                models["all"] = True
            case "none":
                models["best"] = 0
        used = {*self.given.get("scoring", ()), self.given.get("maximize"), self.given.get("minimize")}
        limits = {}
        for score in scores:
            limit = self._number(f"threshold.{score.name}") if score.name in used else None
            if limit is not None:
                limits[score.name] = limit
        if limits and save != "none":
            models["thresholds"] = limits
        if models:
            self.given["models"] = models

    # --- 5 strategy and budget -------------------------------------------------------------------

    def _search(self, space: Space | None, folds: int) -> Strategy:
        chosen = strategy(self._text("strategy"))
        points = None if space is None else size(space)
        if chosen.name == "grid" and space is not None and points is None:
            self._wrong("strategy", say("drafts.grid.endless", names=", ".join(continuous(space))))
        if chosen.name == "grid" and points is not None and points > MOST_TRIALS:
            self._wrong(
                "strategy", say("drafts.grid.large", n=plural(points, "combination"), most=f"{MOST_TRIALS:,}")
            )
        whole = chosen.name == "auto" and points is not None and points <= WHOLE_GRID
        self.given["algorithm"] = "grid" if whole else chosen.algorithm
        if chosen.deepens:
            share = self._number("rows", 0, 100, ends=False)
            if share is None and "rows" not in self.problems:
                self._wrong("rows", say("drafts.rows.none"))
            self.given["fidelity"] = {"rows": [(share or 10) / 100, 1]}
        elif _ticked(self.fields, "race") and folds > 1:
            self.given["stopping"] = "race"
        workers = self._whole("workers", 1, MOST_WORKERS)
        if workers is not None:
            self.given["workers"] = workers
        seed = self._whole("seed", 0, 2**31 - 1)
        if seed:
            self.given["seed"] = seed
        limit = self._number("trial_seconds", 0, ends=False)
        if limit is not None:
            self.given["trial_seconds"] = limit
        return chosen

    def _budget(self, space: Space | None) -> None:
        budget: dict[str, Any] = {}
        trials = self._whole("trials", 1, MOST_TRIALS)
        if trials is not None:
            budget["trials"] = trials
        time = self._number("time", 0, ends=False)
        if time is not None:
            budget[self._one_of("unit", UNITS)] = time
        if _ticked(self.fields, "noise"):
            budget["until"] = "noise"
        target = self._number("reach")
        if target is not None:
            budget["target"] = target
        ends_itself = self.given["algorithm"] == "grid"
        if (
            not ends_itself
            and not budget.keys() & {"trials", *UNITS, "until"}
            and "trials" not in self.problems
        ):
            points = None if space is None else size(space)
            budget["trials"] = FEW_TRIALS if points is None else min(FEW_TRIALS, points)
        if budget:
            self.given["budget"] = budget

    # --- its name --------------------------------------------------------------------------------

    def _name(self, entry: Entry | None, table: Table | None) -> None:
        name = self._text("name")
        if not name:
            self.given["name"] = suggested(entry, table, self.taken)
        elif name in self.taken:
            self._wrong("name", say("drafts.name.taken", name=name, other=free(name, self.taken)))
        elif not NAME.fullmatch(name) or name.startswith(".") or len(name.encode("utf-8", "replace")) > 200:
            self._wrong("name", say("drafts.name.wrong"))
        self.given.setdefault("name", name)


ORDER = (
    "name", "estimator", "data", "target", "preprocess", "params", "space", "cv", "holdout", "maximize", "minimize", "scoring",
    "algorithm", "fidelity", "stopping", "budget", "workers", "seed", "trial_seconds", "models",
)  # fmt: skip


def default_of(about: Hyperparameter) -> Scalar:
    """The default as a value of the table; None where it is no scalar."""
    value = as_scalar(about.name, about.default)
    return value if value is None or isinstance(value, bool | int | float | str) else None


def default_text(about: Hyperparameter) -> str:
    """The default as it is typed, or where it is no scalar as Python shows it."""
    value = as_scalar(about.name, about.default)
    if value is None or isinstance(value, bool | int | float | str):
        return values.written(value)
    return str(about.to_json()["default_text"])


def recommended_fields(about: Hyperparameter) -> dict[str, str]:
    """The fields that search a hyperparameter as recommended; empty where nothing is."""
    name, found = about.name, about.recommended
    match found:
        case None:
            return {}
        case Const():
            return {f"mode.{name}": "single", f"single.{name}": values.written(found.value)}
        case Choice():
            return {f"mode.{name}": "multiple", f"multiple.{name}": values.listed(found.values)}
    fields = {f"mode.{name}": "range", f"low.{name}": repr(found.low), f"high.{name}": repr(found.high)}
    if found.log:
        fields[f"log.{name}"] = "on"
    if found.step not in (None, 1):
        fields[f"step.{name}"] = repr(found.step)
    return fields


def parameter_fields(name: str, parameter: Parameter) -> dict[str, str]:
    """The fields that search a parameter as given, whatever is recommended."""
    return recommended_fields(Hyperparameter(name, None, False, (), "", "", parameter))


def row_fields(name: str) -> tuple[str, ...]:
    """The names of a hyperparameter's fields."""
    return tuple(f"{part}.{name}" for part in ("mode", "single", "multiple", "low", "high", "log", "step"))


def continuous(space: Space) -> list[str]:
    """The parameters that have no end of values."""
    return [
        name for name in space if isinstance(space[name], Float) and cast("Float", space[name]).size is None
    ]


def suggested(entry: Entry | None, table: Table | None, taken: Iterable[str]) -> str:
    """A name for the study that is free."""
    data = "" if table is None else table.name.rpartition("/")[2].partition(".")[0]
    return free("-".join(filter(None, [data, "" if entry is None else entry.name])) or "study", taken)


def free(name: str, taken: Iterable[str]) -> str:
    """The name, with a number behind it where it is taken."""
    known, number = set(taken), 2
    if name not in known:
        return name
    while f"{name}-{number}" in known:
        number += 1
    return f"{name}-{number}"


def allowed_text(about: Hyperparameter) -> str:
    """What is allowed, in words."""
    return domain_text(about.domain) or about.type


def _likes_whole(about: Hyperparameter) -> bool:
    """Whether whole ends mean whole numbers: of what may be an int or a float."""
    if not about.domain:
        return isinstance(about.default, int) and not isinstance(about.default, bool)
    return any(getattr(part, "type", "") == "int" for part in about.domain)


def _conditioned(row: Row, searched: Mapping[str, Parameter]) -> Parameter:
    """The parameter, under the conditions that are recommended with it, of those that still can hold."""
    param = cast("Parameter", row.param)
    if row.about.recommended is None:
        return param
    when: dict[str, list[Scalar]] = {}
    for condition in cast("tuple[When, ...]", row.about.recommended.when):
        parent = searched.get(condition.parent)
        if isinstance(parent, Choice):
            kept = [
                value for value in parent.values if any(same(value, allowed) for allowed in condition.values)
            ]
            if kept and len(kept) < len(parent.values):
                when[condition.parent] = kept
    if not when:
        return param
    match param:
        case Choice():
            return Choice(param.values, ordered=param.ordered, when=when)
        case Int():
            return Int(param.low, param.high, log=param.log, step=param.step, when=when)
        case Float():
            return Float(param.low, param.high, log=param.log, step=param.step, when=when)
    return param


def _ordered(given: list[Scalar], recommended: Parameter | None) -> Choice:
    """A choice of these values, in order where they have one: numbers do, and what is recommended may."""
    if isinstance(recommended, Choice) and recommended.ordered:
        places = [
            next((i for i, value in enumerate(recommended.values) if same(value, one)), -1) for one in given
        ]
        if min(places) >= 0:
            return Choice([recommended.values[place] for place in sorted(places)], ordered=True)
    if len(given) > 2 and all(values.is_number(value) for value in given):
        return Choice(sorted(given, key=cast(Any, float)), ordered=True)
    return Choice(given)


def _cut(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:59]}…")
