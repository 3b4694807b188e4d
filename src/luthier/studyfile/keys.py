"""What the keys of a study file mean, apart from the space, the command and the validation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime, time
from pathlib import Path
from typing import Any

from luthier.api import as_moment
from luthier.clock import SystemClock
from luthier.errors import InvalidStudy
from luthier.estimators import BUNDLED
from luthier.files import Files
from luthier.models import Keep
from luthier.models.notes import NOTES
from luthier.study import Budget, Fidelity, Named
from luthier.studyfile.tables import Table, as_bytes, is_number, only, plain, say

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


def beside(reference: str, folder: Path) -> str:
    """module:name, or file.py:name, as a file beside the study file where there is one."""
    module, _, name = reference.rpartition(":")
    beside = folder / f"{module.replace('.', '/')}.py"
    if not module.endswith(".py") and beside.is_file():
        return f"{beside}:{name}"
    return f"{folder / module}:{name}" if module.endswith(".py") else reference


def located(data: str | None, folder: Path) -> str | None:
    """Where the data is: bundled sets go by name, files are looked for beside the study file."""
    if data is None or data in BUNDLED:
        return data
    path = Path(data).expanduser()
    beside = folder / path
    if len(path.parts) == 1 and not path.suffix and not beside.exists():
        return data  # a misspelt name of a bundled set is said so by load_data
    return str(beside)


def with_data(given: dict[str, Any]) -> dict[str, Any]:
    """The same with [data] taken apart: source, target, drop, preprocess may stand there or at the top."""
    inside = given.get("data")
    if not isinstance(inside, dict):
        return given
    only("data.", inside, ["source", "target", "drop", "preprocess"])
    twice = next((key for key in inside if key in given), None)
    if twice is not None:
        raise InvalidStudy(f"{twice} is given at the top and in [data]. Give it once.")
    if "source" not in inside:
        raise InvalidStudy(
            '[data] does not say what to read. Write source = "table.csv", or a bundled data set.'
        )
    found = {key: value for key, value in inside.items() if key != "source"}
    return {**given, "data": inside["source"], **found}


def target_of(value: Any, folder: Path) -> str | None:
    """A column, by name or, of an array, by number, or a file of its own beside the study file."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    target = Table("", {"target": value}).text("target")
    return (
        str(folder / Path(target).expanduser()) if target is not None and target.endswith(".npy") else target
    )


def preprocessing(value: Any) -> str | Mapping[str, str]:
    """What `preprocess` says: a word, a transformer by its path, or kinds by column."""
    if isinstance(value, str) and (value in WORDS or ":" in value):
        return value
    if isinstance(value, dict) and all(isinstance(kind, str) for kind in value.values()):
        return value
    raise InvalidStudy(
        f'preprocess is {say(value)}. Use "auto", "none", a transformer as in "prepare.py:make", or kinds of columns: '
        '[preprocess] and below it zip = "category".'
    )


def _named(key: str, value: Any, name: str, other: str) -> Named:
    """A name, or a table of a name and options; `name` and `other` are for the example."""
    if isinstance(value, str) and value.strip():
        return Named(value)
    if isinstance(value, dict) and isinstance(value.get("name"), str):
        return Named(value["name"], {key: plain(option) for key, option in value.items() if key != "name"})
    raise InvalidStudy(
        f'{key} is {say(value)}. Use a name, as in {key} = "{name}", or a table: {{ name = "{other}", ... }}.'
    )


def stopping_of(value: Any) -> Named:
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
        f"stopping.{name} is {say(options)}. Use a table of options, as in {name} = {{ delay = 2 }}, or true for none."
    )


def algorithm_of(value: Any, folder: Path) -> Named:
    """An algorithm; the schedule of a replay may be in a file of its own."""
    named = _named("algorithm", value, "random", "evolution")
    written = named.options.get("schedule")
    if not isinstance(written, str):
        return named
    try:
        schedule = json.loads((folder / written).read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidStudy(
            f"algorithm.schedule is {say(written)}, which cannot be read: {error.strerror}. `luthier schedule NAME --json > {written}` "
            "writes one."
        ) from None
    except ValueError:
        raise InvalidStudy(f"algorithm.schedule is {say(written)}, which is no JSON.") from None
    return Named(named.name, {**named.options, "schedule": schedule})


def deterministic_of(value: Any) -> bool | int:
    """What `deterministic` says."""
    if isinstance(value, bool) or (isinstance(value, int) and value >= 1):
        return value
    raise InvalidStudy(
        f"deterministic is {say(value)}. Use true, false, or the number of trials in a batch, as in deterministic = 4."
    )


def files_of(given: dict[str, Any]) -> Files:
    """Which checkpoints of trials are kept, and how much room they may take."""
    only("files.", given, [f.name for f in fields(Files)])
    table = Table("files.", given)
    said: dict[str, Any] = {"keep": table.text("keep"), "best": table.whole("best", at_least=1)}
    said["quota"] = as_bytes("files.quota", given["quota"]) if "quota" in given else None
    return Files(**{name: value for name, value in said.items() if value is not None})


def models_of(given: dict[str, Any]) -> Keep:
    """What is kept when the study ends."""
    only("models.", given, [*(f.name for f in fields(Keep) if f.name != "notes"), *NOTES])
    table = Table("models.", given)
    best = table.whole("best", at_least=0)
    return Keep(
        best=1 if best is None else best,
        pareto=table.truth("pareto"),
        all=table.truth("all"),
        thresholds=table.table("thresholds"),
        notes={name: text for name in NOTES if (text := table.text(name)) is not None},
    )


def budget_of(given: dict[str, Any]) -> Budget:
    """What the study may cost."""
    only("budget.", given, [*BUDGET, "target"])
    table = Table("budget.", given)
    until: Any = given.get("until")
    if until not in (None, "noise") and not (is_number(until) and until > 0):
        raise table.wrong("until", 'until = "noise", or a gain that is too little, as in until = 0.001')
    if "currency" in given and "cost" not in given:
        raise InvalidStudy("budget.currency says what the cost is counted in. Say how much: cost = 25.")
    if given.get("seconds") == AUTO:
        until, table = "noise", Table("budget.", {**given, "seconds": None})
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
        deadline=deadline_of(given.get("deadline")),
    )


def deadline_of(value: Any) -> float | None:
    """A time of the day, or a moment, in quotes or as TOML has them."""
    if isinstance(value, time):
        value = value.isoformat()
    if value is not None and not isinstance(value, str | datetime):
        raise InvalidStudy(f'budget.deadline is {say(value)}. Use deadline = "18:00", or a date and a time.')
    return as_moment(value, SystemClock().now())


def fidelity_of(given: dict[str, Any]) -> Fidelity:
    """`epochs = [1, 81]`, and how."""
    settings = ("log", "factor", "resumes")
    names = [key for key in given if key not in settings]
    if len(names) != 1:
        said = f"names {' and '.join(names)}" if names else "does not say what a training is measured in"
        raise InvalidStudy(f"[fidelity] {said}. Name one thing and its ends, as in epochs = [1, 81].")
    (name,), table = names, Table("fidelity.", given)
    ends = given[name]
    if not (isinstance(ends, list) and len(ends) == 2 and all(is_number(end) for end in ends)):
        raise table.wrong(name, f"the low and the high end, as in {name} = [1, 81]")
    (low, high), factor = ends, table.number("factor")
    log = table.truth("log") if "log" in given else True
    return Fidelity(name, low, high, log, 3 if factor is None else factor, table.truth("resumes"))
