"""A study file as a whole: read, checked, and turned into what `tune` takes."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from luthier import plugins
from luthier.errors import InvalidSpace, InvalidStudy, did_you_mean
from luthier.estimators import BUNDLED, as_estimator, load_data, set_params
from luthier.files import Files
from luthier.models import Keep
from luthier.objectives.command import Command
from luthier.objectives.crossval import CrossValidation
from luthier.objectives.function import import_objective
from luthier.space import Space
from luthier.stopping.base import StoppingPolicy
from luthier.study import Budget, Fidelity, Named
from luthier.studyfile.commands import command_of
from luthier.studyfile.keys import (
    AUTO,
    BUDGET,
    WORDS,
    algorithm_of,
    beside,
    budget_of,
    deadline_of,
    deterministic_of,
    fidelity_of,
    files_of,
    located,
    models_of,
    preprocessing,
    stopping_of,
    target_of,
    with_data,
)
from luthier.studyfile.spaces import space_of
from luthier.studyfile.tables import Table, as_bytes, only, plain
from luthier.studyfile.validation import Validation, share_of, validation_of


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
    cv: int | Validation | None = None
    holdout: float | None = None
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
        data, cv, groups = load_data(self.data, self.target, drop=self.drop), self.cv or 5, None
        if isinstance(cv, Validation):
            data, groups = cv.apart(data)
            cv = cv.splitter(estimator, self.seed)
        metrics = list(dict.fromkeys((*self.minimize, *self.maximize, *self.scoring)))
        asked = _preprocess(self.preprocess, self.path.parent)
        more = {} if asked == "auto" else {"preprocess": asked}
        return CrossValidation(
            estimator,
            data,
            cv=cv,
            groups=groups,
            holdout=self.holdout,
            scoring=metrics or None,
            seed=self.seed,
            **more,
        )

    def _function(self, reference: str) -> Callable[..., Any]:
        return import_objective(beside(reference, self.path.parent))

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


def _preprocess(said: str | Mapping[str, str], folder: Path) -> Any:
    """What CrossValidation takes: a word, kinds by column, or the transformer that a class or function makes."""
    if not isinstance(said, str) or said in WORDS:
        return said
    made = import_objective(beside(said, folder))()
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
        return from_given(load(path), path.absolute(), overrides)
    except (InvalidStudy, InvalidSpace) as error:
        raise type(error)(f"{path}: {error}") from None


def from_given(given: Mapping[str, Any], path: Path, overrides: Mapping[str, Any] | None = None) -> StudyFile:
    """The study that a table means, as `tomllib` reads it from a file at `path`; paths in it are taken from that file's folder.

    None may stand wherever `{ none = true }` may. Raises as `read` does, without the name of the file.
    """
    return _study(path, {key: value for key, value in given.items() if value is not None}, overrides or {})


def load(path: Path) -> dict[str, Any]:
    """The table in a file, whatever it says; raises InvalidStudy where it is no TOML."""
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
    given = with_data(given)
    keys = [*(f.name for f in fields(StudyFile) if f.name != "path"), "metrics"]
    for key in BUDGET:
        if key in given:
            raise InvalidStudy(f"{key!r} belongs to the budget. Write it below [budget].")
    only("", given, keys)
    one = {name: value for name, value in overrides.items() if value is not None}
    table = Table("", given)
    study = StudyFile(
        path=path,
        name=table.text("name") or path.stem,
        estimator=table.text("estimator"),
        function=table.text("function"),
        command=command_of(given, path.parent),
        params=plain(table.table("params")),
        data=located(table.text("data"), path.parent),
        target=target_of(given.get("target"), path.parent),
        drop=table.names("drop"),
        preprocess=preprocessing(given.get("preprocess", "auto")),
        cv=None if "cv" not in given else validation_of(given["cv"]),
        holdout=share_of(table, "holdout"),
        scoring=table.names("scoring"),
        minimize=table.names("minimize"),
        maximize=table.names("maximize"),
        noisy=table.truth("noisy"),
        algorithm=algorithm_of(given.get("algorithm", "auto"), path.parent),
        stopping=None if "stopping" not in given else stopping_of(given["stopping"]),
        fidelity=None if "fidelity" not in given else fidelity_of(table.table("fidelity")),
        workers=table.whole("workers", at_least=1) or 1,
        seed=table.whole("seed", at_least=0) or 0,
        deterministic=deterministic_of(given.get("deterministic", False)),
        trial_seconds=table.positive("trial_seconds"),
        trial_memory=None if "trial_memory" not in given else as_bytes("trial_memory", given["trial_memory"]),
        store=table.text("store"),
        models=None if "models" not in given else models_of(table.table("models")),
        files=None if "files" not in given else files_of(table.table("files")),
        space=None if "space" not in given else space_of(table.table("space")),
        budget=budget_of(table.table("budget")),
    )
    budget: dict[str, Any] = {name: one.pop(name) for name in ("trials", "seconds") if name in one}
    if budget:
        budget["until"] = None
    if "deadline" in one:
        budget["deadline"] = deadline_of(one.pop("deadline"))
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
        for key in ("data", "target", "drop", "preprocess", "cv", "holdout", "scoring", "params", "models"):
            if getattr(study, key) not in (None, (), {}, "auto"):
                raise InvalidStudy(
                    f"{key} belongs to an estimator, and this study tunes a {kind}. Leave it out."
                )
    elif study.data is None:
        raise InvalidStudy(
            'an estimator needs data. Write data = "table.csv" and target = "column", or a bundled data set: '
            f"{', '.join(BUNDLED)}."
        )
