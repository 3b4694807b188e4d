"""Studies as TOML files: read, checked key by key, and turned into what `tune` takes.

name = "svc"
estimator = "sklearn.svm:SVC"    # or function = "train:train", or command = "python train.py --C {C}"
data = "digits"                  # a bundled data set, or a CSV, Parquet, .npy or .npz file
maximize = "accuracy"

[space.C]
float = [1e-3, 1e3]
log = true

[budget]
trials = 60
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, time
from pathlib import Path
from typing import Any, Literal

from luthier import plugins
from luthier.api import as_moment
from luthier.clock import SystemClock
from luthier.errors import InvalidSpace, InvalidStudy, LuthierError, did_you_mean
from luthier.estimators import BUNDLED, as_estimator, load_data, set_params
from luthier.files import Files
from luthier.models import Keep
from luthier.models.keep import NOTES
from luthier.objectives.command import Command
from luthier.objectives.crossval import CrossValidation
from luthier.objectives.function import import_objective
from luthier.objectives.metrics import Json, MLflow, Pattern, Source, TensorBoard
from luthier.space import Choice, Const, Float, Int, LogNormal, Normal, Space
from luthier.stopping.base import StoppingPolicy
from luthier.study import Budget, Fidelity, Named

UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
UNITS |= {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}
AUTO = "auto"
TIMES = {"seconds": 1, "minutes": 60, "hours": 3600}
WORDS = ("auto", "none")
"""What preprocess may be, apart from kinds by column and the path of a transformer."""
BUDGET = (
    "trials",
    *TIMES,
    "failures",
    "until",
    "cost",
    "currency",
    "deadline",
)  # and target, which means the data's at the top


@dataclass(frozen=True, slots=True)
class StudyFile:
    """What a study file says. Paths in it are absolute; `space` is None where the recommended one is meant."""

    path: Path
    name: str
    estimator: str | None = None
    function: str | None = None
    command: Command | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    data: str | None = None
    target: str | None = None
    drop: tuple[str, ...] = ()
    preprocess: str | Mapping[str, str] = "auto"
    cv: int | None = None
    scoring: tuple[str, ...] = ()
    minimize: tuple[str, ...] = ()
    maximize: tuple[str, ...] = ()
    noisy: bool = False
    algorithm: Named = field(default_factory=lambda: Named("auto"))
    stopping: Named | None = None
    fidelity: Fidelity | None = None
    workers: int = 1
    seed: int = 0
    deterministic: bool | int = False
    trial_seconds: float | None = None
    trial_memory: float | None = None
    store: str | None = None
    models: Keep | None = None
    files: Files | None = None
    space: Space | None = None
    budget: Budget = field(default_factory=Budget)

    def objective(self) -> Callable[..., Any] | CrossValidation | Command:
        """The function, imported, the command, or the estimator with its data; raises a LuthierError where there is none."""
        if self.command is not None:
            return self.command
        if self.function is not None:
            return self._function(self.function)
        assert self.estimator is not None  # _agree saw to it
        assert self.data is not None
        estimator = set_params(as_estimator(self.estimator), self.params)
        data = load_data(self.data, self.target, drop=self.drop)
        metrics = list(dict.fromkeys((*self.minimize, *self.maximize, *self.scoring)))
        asked = _preprocess(self.preprocess, self.path.parent)
        more = {} if asked == "auto" else {"preprocess": asked}
        return CrossValidation(
            estimator,
            data,
            cv=5 if self.cv is None else self.cv,
            scoring=metrics or None,
            seed=self.seed,
            **more,
        )

    def _function(self, reference: str) -> Callable[..., Any]:
        return import_objective(_beside(reference, self.path.parent))

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of `tune`, apart from the objective."""
        budget = {f.name: getattr(self.budget, f.name) for f in fields(self.budget)}
        cost, currency = budget.pop("cost"), budget.pop("currency")
        budget["cost"] = None if cost is None else {currency: cost}
        return {
            "space": self.space,
            "minimize": self.minimize or None,
            "maximize": self.maximize or None,
            "noisy": self.noisy,
            "algorithm": plugins.algorithm(self.algorithm),
            "stopping": None if self.stopping is None else _policy(self.stopping),
            "fidelity": self.fidelity,
            "workers": self.workers,
            "seed": self.seed,
            "deterministic": self.deterministic,
            "trial_seconds": self.trial_seconds,
            "trial_memory": self.trial_memory,
            "name": self.name,
            "store": self.store,
            "keep": self.models,
            "files": self.files,
            **budget,
        }


def _policy(named: Named) -> StoppingPolicy | Literal["none"]:
    return "none" if named.name == "none" else plugins.policy(named)


def _beside(reference: str, folder: Path) -> str:
    """module:name, or file.py:name, as a file beside the study file where there is one."""
    module, _, name = reference.rpartition(":")
    beside = folder / f"{module.replace('.', '/')}.py"
    if not module.endswith(".py") and beside.is_file():
        return f"{beside}:{name}"
    return f"{folder / module}:{name}" if module.endswith(".py") else reference


def _preprocess(said: str | Mapping[str, str], folder: Path) -> Any:
    """What CrossValidation takes: a word, kinds by column, or the transformer that a class or function makes."""
    if not isinstance(said, str) or said in WORDS:
        return said
    made = import_objective(_beside(said, folder))()
    if hasattr(made, "fit") and hasattr(made, "transform"):
        return made
    raise InvalidStudy(
        f"preprocess is {said!r}, which makes a {type(made).__name__} and no transformer: it has no fit and transform."
    )


def read(path: str | Path, overrides: Mapping[str, Any] | None = None) -> StudyFile:
    """The study in a file. `overrides` (name, store, workers, trials, seconds) replace what it says, where not None; trials or
    seconds in numbers are used up, whatever the file says of noise.

    Raises InvalidStudy and InvalidSpace, naming the file and the key, for anything it cannot mean.
    """
    path = Path(path)
    try:
        return _study(path.absolute(), _load(path), overrides or {})
    except (InvalidStudy, InvalidSpace) as error:
        raise type(error)(f"{path}: {error}") from None


def _load(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        near = did_you_mean(path.name, [other.name for other in path.absolute().parent.glob("*.toml")])
        raise InvalidStudy(f"there is no such file.{near}") from None
    except OSError as error:
        raise InvalidStudy(f"the file cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise InvalidStudy("the file is not text in UTF-8, so it is no TOML. Save it as UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        raise InvalidStudy(f"the file is not valid TOML: {error}.") from None


def _study(path: Path, given: dict[str, Any], overrides: Mapping[str, Any]) -> StudyFile:
    given = _with_data(given)
    keys = [*(f.name for f in fields(StudyFile) if f.name != "path"), "metrics"]
    for key in BUDGET:
        if key in given:
            raise InvalidStudy(f"{key!r} belongs to the budget. Write it below [budget].")
    _only("", given, keys)
    one = {name: value for name, value in overrides.items() if value is not None}
    table = _Table("", given)
    study = StudyFile(
        path=path,
        name=table.text("name") or path.stem,
        estimator=table.text("estimator"),
        function=table.text("function"),
        command=_command(given, path.parent),
        params=table.table("params"),
        data=_located(table.text("data"), path.parent),
        target=_target(given.get("target"), path.parent),
        drop=table.names("drop"),
        preprocess=_preprocessing(given.get("preprocess", "auto")),
        cv=table.whole("cv", at_least=2),
        scoring=table.names("scoring"),
        minimize=table.names("minimize"),
        maximize=table.names("maximize"),
        noisy=table.truth("noisy"),
        algorithm=_algorithm(given.get("algorithm", "auto"), path.parent),
        stopping=None if "stopping" not in given else _stopping(given["stopping"]),
        fidelity=None if "fidelity" not in given else _fidelity(table.table("fidelity")),
        workers=table.whole("workers", at_least=1) or 1,
        seed=table.whole("seed", at_least=0) or 0,
        deterministic=_deterministic(given.get("deterministic", False)),
        trial_seconds=table.positive("trial_seconds"),
        trial_memory=None if "trial_memory" not in given else _bytes("trial_memory", given["trial_memory"]),
        store=table.text("store"),
        models=None if "models" not in given else _models(table.table("models")),
        files=None if "files" not in given else _files(table.table("files")),
        space=None if "space" not in given else _space(table.table("space")),
        budget=_budget(table.table("budget")),
    )
    budget: dict[str, Any] = {name: one.pop(name) for name in ("trials", "seconds") if name in one}
    if budget:
        budget["until"] = None
    if "deadline" in one:
        budget["deadline"] = _deadline(one.pop("deadline"))
    if budget.get("seconds") == AUTO:
        budget |= {"seconds": None, "until": "noise"}
    study = replace(study, budget=replace(study.budget, **budget), **one)
    _agree(study)
    return study


def _agree(study: StudyFile) -> None:
    """Refuse what single keys cannot be blamed for."""
    kinds = ("estimator", "function", "command")
    given = [kind for kind in kinds if getattr(study, kind) is not None]
    if len(given) != 1:
        which = " and ".join(given) + " are" if given else "none of them is"
        raise InvalidStudy(
            f'a study tunes an estimator, a function or a command, and {which} given. Write estimator = "sklearn.svm:SVC", '
            'function = "train:train" or command = "python train.py --lr {lr}".'
        )
    if study.estimator is None:
        kind = given[0]
        if study.space is None:
            raise InvalidStudy(
                f"a {kind} needs a space. Say what may be chosen: [space.lr] with float = [1e-5, 1e-1]."
            )
        if not study.minimize and not study.maximize:
            raise InvalidStudy('no objective is given. Write minimize = "loss" or maximize = "accuracy".')
        for key in ("data", "target", "drop", "preprocess", "cv", "scoring", "params", "models"):
            if getattr(study, key) not in (None, (), {}, "auto"):
                raise InvalidStudy(
                    f"{key} belongs to an estimator, and this study tunes a {kind}. Leave it out."
                )
    elif study.data is None:
        raise InvalidStudy(
            'an estimator needs data. Write data = "table.csv" and target = "column", or a bundled data set: '
            f"{', '.join(BUNDLED)}."
        )


# --- values ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Table:
    """A TOML table and the path that leads to it; every answer is of the type its name says, or None."""

    at: str
    given: Mapping[str, Any]

    def text(self, key: str) -> str | None:
        value = self.given.get(key)
        if value is None or (isinstance(value, str) and value.strip()):
            return value
        raise self.wrong(key, f'a text in quotes, as in {key} = "..."')

    def whole(self, key: str, *, at_least: int) -> int | None:
        value = self.given.get(key)
        if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= at_least):
            return value
        raise self.wrong(key, f"a whole number of at least {at_least}, as in {key} = {max(at_least, 2)}")

    def positive(self, key: str) -> float | None:
        value = self.given.get(key)
        if value is None or (_is_number(value) and value > 0):
            return value
        raise self.wrong(key, f"a number above 0, as in {key} = 30")

    def number(self, key: str) -> float | None:
        value = self.given.get(key)
        if value is None or _is_number(value):
            return value
        raise self.wrong(key, f"a number, as in {key} = 0.95")

    def truth(self, key: str) -> bool:
        value = self.given.get(key, False)
        if isinstance(value, bool):
            return value
        raise self.wrong(key, f"true or false, as in {key} = true")

    def names(self, key: str) -> tuple[str, ...]:
        value = self.given.get(key, [])
        listed = [value] if isinstance(value, str) else value
        if isinstance(listed, list) and all(isinstance(name, str) and name.strip() for name in listed):
            return tuple(listed)
        raise self.wrong(key, f'the name of a metric, or a list of names, as in {key} = "accuracy"')

    def table(self, key: str) -> dict[str, Any]:
        value = self.given.get(key, {})
        if isinstance(value, dict):
            return value
        raise self.wrong(key, f"a table, as in [{self.at}{key}]")

    def wrong(self, key: str, remedy: str) -> InvalidStudy:
        return InvalidStudy(f"{self.at}{key} is {_say(self.given[key])}. Use {remedy}.")


def _say(value: Any) -> str:
    """A value as TOML writes it, or near enough."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return f'"{value}"'
        case _:
            return repr(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _only(at: str, given: Iterable[str], known: Iterable[str]) -> None:
    known = list(known)
    for key in given:
        if key not in known:
            near = did_you_mean(key, known) or f" There is: {', '.join(known)}."
            raise InvalidStudy(f"unknown key {at + key!r}.{near}")


def _located(data: str | None, folder: Path) -> str | None:
    """Where the data is: bundled sets go by name, files are looked for beside the study file."""
    if data is None or data in BUNDLED:
        return data
    path = Path(data).expanduser()
    beside = folder / path
    if len(path.parts) == 1 and not path.suffix and not beside.exists():
        return data  # a misspelt name of a bundled set is said so by load_data
    return str(beside)


def _with_data(given: dict[str, Any]) -> dict[str, Any]:
    """The same with [data] taken apart: source, target, drop, preprocess may stand there or at the top."""
    inside = given.get("data")
    if not isinstance(inside, dict):
        return given
    _only("data.", inside, ["source", "target", "drop", "preprocess"])
    twice = next((key for key in inside if key in given), None)
    if twice is not None:
        raise InvalidStudy(f"{twice} is given at the top and in [data]. Give it once.")
    if "source" not in inside:
        raise InvalidStudy(
            '[data] does not say what to read. Write source = "table.csv", or a bundled data set.'
        )
    found = {key: value for key, value in inside.items() if key != "source"}
    return {**given, "data": inside["source"], **found}


def _target(value: Any, folder: Path) -> str | None:
    """A column, by name or, of an array, by number, or a file of its own beside the study file."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    target = _Table("", {"target": value}).text("target")
    return (
        str(folder / Path(target).expanduser()) if target is not None and target.endswith(".npy") else target
    )


def _preprocessing(value: Any) -> str | Mapping[str, str]:
    if isinstance(value, str) and (value in WORDS or ":" in value):
        return value
    if isinstance(value, dict) and all(isinstance(kind, str) for kind in value.values()):
        return value
    raise InvalidStudy(
        f'preprocess is {_say(value)}. Use "auto", "none", a transformer as in "prepare.py:make", or kinds of columns: '
        '[preprocess] and below it zip = "category".'
    )


def _named(key: str, value: Any, name: str, other: str) -> Named:
    """A name, or a table of a name and options; `name` and `other` are for the example."""
    if isinstance(value, str) and value.strip():
        return Named(value)
    if isinstance(value, dict) and isinstance(value.get("name"), str):
        return Named(value["name"], {key: option for key, option in value.items() if key != "name"})
    raise InvalidStudy(
        f'{key} is {_say(value)}. Use a name, as in {key} = "{name}", or a table: {{ name = "{other}", ... }}.'
    )


def _stopping(value: Any) -> Named:
    """A policy; or several, of which any may stop a trial: a list, or [stopping] with a line for each."""
    if isinstance(value, dict) and value and not isinstance(value.get("name"), str):
        value = [_line(name, options) for name, options in value.items()]
    if not isinstance(value, list):
        return _named("stopping", value, "race", "race")
    if not value:
        raise InvalidStudy(
            'stopping is an empty list. Name a policy, as in stopping = ["median"], or leave it out.'
        )
    policies = [_named("stopping", one, "race", "race") for one in value]
    if len(policies) == 1:
        return policies[0]
    return Named("any", {"policies": [{"name": one.name, **one.options} for one in policies]})


def _line(name: str, options: Any) -> dict[str, Any]:
    if options is True:
        return {"name": name}
    if isinstance(options, dict):
        return {"name": name, **options}
    raise InvalidStudy(
        f"stopping.{name} is {_say(options)}. Use a table of options, as in {name} = {{ delay = 2 }}, or true for none."
    )


def _algorithm(value: Any, folder: Path) -> Named:
    """An algorithm; the schedule of a replay may be in a file of its own."""
    named = _named("algorithm", value, "random", "evolution")
    written = named.options.get("schedule")
    if not isinstance(written, str):
        return named
    try:
        schedule = json.loads((folder / written).read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidStudy(
            f"algorithm.schedule is {_say(written)}, which cannot be read: {error.strerror}. `luthier schedule NAME --json > {written}` "
            "writes one."
        ) from None
    except ValueError:
        raise InvalidStudy(f"algorithm.schedule is {_say(written)}, which is no JSON.") from None
    return Named(named.name, {**named.options, "schedule": schedule})


def _deterministic(value: Any) -> bool | int:
    if isinstance(value, bool) or (isinstance(value, int) and value >= 1):
        return value
    raise InvalidStudy(
        f"deterministic is {_say(value)}. Use true, false, or the number of trials in a batch, as in deterministic = 4."
    )


def _bytes(key: str, value: Any) -> float:
    """A size in bytes, or with a unit: 2e9, "2 GB", "512 MiB"."""
    if _is_number(value) and value > 0:
        return float(value)
    found = re.fullmatch(r"\s*([0-9.]+)\s*([a-zA-Z]*)\s*", value) if isinstance(value, str) else None
    try:
        size = float(found[1]) * UNITS[found[2].lower()] if found else 0.0
    except (KeyError, ValueError):
        size = 0.0
    if size > 0:
        return size
    raise InvalidStudy(
        f'{key} is {_say(value)}. Use a number of bytes or a size with a unit, as in {key.rpartition(".")[2]} = "2 GB".'
    )


def _files(given: dict[str, Any]) -> Files:
    """Which checkpoints of trials are kept, and how much room they may take."""
    _only("files.", given, [f.name for f in fields(Files)])
    table = _Table("files.", given)
    said: dict[str, Any] = {"keep": table.text("keep"), "best": table.whole("best", at_least=1)}
    said["quota"] = _bytes("files.quota", given["quota"]) if "quota" in given else None
    return Files(**{name: value for name, value in said.items() if value is not None})


def _models(given: dict[str, Any]) -> Keep:
    """What is kept when the study ends."""
    _only("models.", given, [*(f.name for f in fields(Keep) if f.name != "notes"), *NOTES])
    table = _Table("models.", given)
    best = table.whole("best", at_least=0)
    return Keep(
        best=1 if best is None else best,
        pareto=table.truth("pareto"),
        all=table.truth("all"),
        thresholds=table.table("thresholds"),
        notes={name: text for name in NOTES if (text := table.text(name)) is not None},
    )


def _budget(given: dict[str, Any]) -> Budget:
    _only("budget.", given, [*BUDGET, "target"])
    table = _Table("budget.", given)
    until: Any = given.get("until")
    if until not in (None, "noise") and not (_is_number(until) and until > 0):
        raise table.wrong("until", 'until = "noise", or a gain that is too little, as in until = 0.001')
    if "currency" in given and "cost" not in given:
        raise InvalidStudy("budget.currency says what the cost is counted in. Say how much: cost = 25.")
    if given.get("seconds") == AUTO:
        until, table = "noise", _Table("budget.", {**given, "seconds": None})
    times = {unit: table.positive(unit) for unit in TIMES}
    seconds = sum(number * TIMES[unit] for unit, number in times.items() if number is not None)
    return Budget(
        trials=table.whole("trials", at_least=1),
        seconds=seconds or None,
        failures=table.whole("failures", at_least=1),
        target=table.number("target"),
        until=until,
        cost=table.positive("cost"),
        currency=table.text("currency") or "seconds",
        deadline=_deadline(given.get("deadline")),
    )


def _deadline(value: Any) -> float | None:
    """A time of the day, or a moment, in quotes or as TOML has them."""
    if isinstance(value, time):
        value = value.isoformat()
    if value is not None and not isinstance(value, str | datetime):
        raise InvalidStudy(f'budget.deadline is {_say(value)}. Use deadline = "18:00", or a date and a time.')
    return as_moment(value, SystemClock().now())


def _fidelity(given: dict[str, Any]) -> Fidelity:
    """`epochs = [1, 81]`, and how."""
    settings = ("log", "factor", "resumes")
    names = [key for key in given if key not in settings]
    if len(names) != 1:
        said = f"names {' and '.join(names)}" if names else "does not say what a training is measured in"
        raise InvalidStudy(f"[fidelity] {said}. Name one thing and its ends, as in epochs = [1, 81].")
    (name,), table = names, _Table("fidelity.", given)
    ends = given[name]
    if not (isinstance(ends, list) and len(ends) == 2 and all(_is_number(end) for end in ends)):
        raise table.wrong(name, f"the low and the high end, as in {name} = [1, 81]")
    (low, high), factor = ends, table.number("factor")
    log = table.truth("log") if "log" in given else True
    return Fidelity(name, low, high, log, 3 if factor is None else factor, table.truth("resumes"))


# --- commands ----------------------------------------------------------------------------------

SOURCES: dict[str, tuple[type[Source], tuple[str, ...]]] = {
    "pattern": (Pattern, ()),
    "json": (Json, ("file", "step")),
    "mlflow": (MLflow, ("folder",)),
    "tensorboard": (TensorBoard, ("folder",)),
}


def _command(given: Mapping[str, Any], folder: Path) -> Command | None:
    """`command = "..."`, or [command] with `run` and how; it runs in the study file's folder."""
    if "command" not in given:
        if "metrics" in given:
            raise InvalidStudy('metrics say how a command is read. Name what to optimise: minimize = "loss".')
        return None
    said = given["command"]
    table = said if isinstance(said, dict) else {"run": said}
    _only("command.", table, ["run", "shell", "params", "cwd", "env", "grace"])
    if "run" not in table:
        raise InvalidStudy('[command] does not say what to run. Write run = "python train.py --lr {lr}".')
    read = _Table("command.", table)
    grace = read.number("grace")
    return Command(
        table["run"],
        metrics={name: _source(name, value) for name, value in _Table("", given).table("metrics").items()},
        params=read.text("params") or "arguments",  # type: ignore[arg-type]
        shell=read.truth("shell"),
        cwd=folder / Path(read.text("cwd") or "").expanduser(),
        env=read.table("env"),
        grace=5.0 if grace is None else grace,
    )


def _source(name: str, value: Any) -> Source:
    """A regular expression, or a table that says where the metric is read."""
    if isinstance(value, str):
        return Pattern(value)
    kinds = [kind for kind in SOURCES if kind in value] if isinstance(value, dict) else []
    if len(kinds) != 1 or not isinstance(value[kinds[0]], str):
        raise InvalidStudy(
            f'metrics.{name} is {_say(value)}. Use a regular expression, as in metrics.{name} = "{name}=([0-9.]+)", or a table: '
            f'{{ tensorboard = "val/{name}" }}, {{ mlflow = "{name}" }} or {{ json = "{name}", file = "log.jsonl" }}.'
        )
    kind, options = SOURCES[kinds[0]]
    _only(f"metrics.{name}.", value, [kinds[0], *options])
    more = {option: text for option in options if (text := _Table(f"metrics.{name}.", value).text(option))}
    if kind is Json and "file" not in more:
        raise InvalidStudy(
            f'metrics.{name} does not say in which file. Write {{ json = "{value["json"]}", file = "log.jsonl" }}, '
            "a path from the work folder on."
        )
    return kind(value[kinds[0]], **more)


# --- the space ---------------------------------------------------------------------------------

KINDS: dict[str, tuple[str, ...]] = {
    "float": ("log", "step", "prior", "when"),
    "int": ("log", "step", "prior", "when"),
    "choice": ("ordered", "weights", "none", "when"),
    "const": ("when",),
}
PRIORS: dict[str, type[Normal] | type[LogNormal]] = {"normal": Normal, "lognormal": LogNormal}


def _space(given: dict[str, Any]) -> Space:
    return Space({name: _parameter(name, value) for name, value in given.items()})


def _parameter(name: str, value: Any) -> Any:
    if not isinstance(value, dict):
        return value  # a list is a choice, a scalar a constant, as in Python
    at = f"space.{name}"
    kinds = [kind for kind in KINDS if kind in value]
    if len(kinds) != 1:
        said = f"says {' and '.join(kinds)}" if kinds else "says no kind" + _misspelt(value)
        raise InvalidStudy(
            f"{at} {said}. Give one of float = [low, high], int = [low, high], choice = [...], const = ..."
        )
    kind = kinds[0]
    _only(f"{at}.", value, [kind, *KINDS[kind]])
    try:
        return _of_kind(at, kind, value)
    except InvalidSpace as error:
        raise InvalidSpace(f"{at}: {error}") from None
    except (TypeError, ValueError) as error:
        if isinstance(error, LuthierError):
            raise
        raise InvalidStudy(f"{at} cannot be understood: {error}.") from None


def _misspelt(value: dict[str, Any]) -> str:
    known = [key for keys in KINDS.values() for key in keys]
    unknown = [key for key in value if key not in known]
    return f", and has the unknown key {unknown[0]!r}" if unknown else ""


def _of_kind(at: str, kind: str, value: dict[str, Any]) -> Any:
    when = value.get("when", {})
    if not isinstance(when, dict):
        raise InvalidStudy(f'{at}.when is {_say(when)}. Write when = {{ parent = ["value"] }}.')
    match kind:
        case "const":
            return Const(value["const"], when=when)
        case "choice":
            return _choice(at, value, when)
        case _:
            return _range(at, kind, value, when)


def _choice(at: str, value: dict[str, Any], when: dict[str, Any]) -> Choice:
    listed = value["choice"]
    if not isinstance(listed, list):
        raise InvalidStudy(f'{at}.choice is {_say(listed)}. Use a list, as in choice = ["a", "b"].')
    if value.get("none", False):  # TOML has no word for None
        listed = [None, *listed]
    return Choice(listed, ordered=bool(value.get("ordered", False)), weights=value.get("weights"), when=when)


def _range(at: str, kind: str, value: dict[str, Any], when: dict[str, Any]) -> Float | Int:
    bounds = value[kind]
    prior = _prior(at, value.get("prior"))
    if bounds == [] and prior is not None and kind == "float":
        bounds = [-float("inf"), float("inf")]
    if not (isinstance(bounds, list) and len(bounds) == 2 and all(_is_number(bound) for bound in bounds)):
        example = "[1e-3, 1e3]" if kind == "float" else "[1, 10]"
        raise InvalidStudy(
            f"{at}.{kind} is {_say(bounds)}. Use the low and the high end: {kind} = {example}."
        )
    more = {key: value[key] for key in ("log", "step") if key in value}
    return (Float if kind == "float" else Int)(*bounds, prior=prior, when=when, **more)


def _prior(at: str, value: Any) -> Normal | LogNormal | None:
    if value is None:
        return None
    example = "prior = { normal = [mu, sigma] } or { lognormal = [mu, sigma] }"
    if not isinstance(value, dict) or len(value) != 1 or next(iter(value)) not in PRIORS:
        raise InvalidStudy(f"{at}.prior is {_say(value)}. Write {example}.")
    ((kind, numbers),) = value.items()
    if not (isinstance(numbers, list) and len(numbers) == 2 and all(_is_number(n) for n in numbers)):
        raise InvalidStudy(f"{at}.prior is {_say(value)}. Write {example}.")
    return PRIORS[kind](*numbers)
