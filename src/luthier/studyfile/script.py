"""A study file as the Python script that a person would write for the same study."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from luthier import plugins
from luthier.estimators import as_estimator, estimator_path
from luthier.estimators.params import decoded
from luthier.objectives.command import Command
from luthier.space import Space
from luthier.study import Named
from luthier.studyfile.keys import AUTO
from luthier.studyfile.spaces import space_given
from luthier.studyfile.study import StudyFile, from_given
from luthier.studyfile.validation import Validation

WIDTH = 96
INDENT = "    "
PACKAGES = ("luthier.optimizers", "luthier.stopping")


def to_python(given: Mapping[str, Any], path: Path | None = None) -> str:
    """A script that asks the same as a study file of this table, at `path` (else in the current folder).

    Raises as `from_given` does.
    """
    study = from_given(given, path or Path.cwd() / "study.toml")
    return _Script(study, given).text()


@dataclass(frozen=True, slots=True)
class Call:
    """A call, or a literal of several parts: what stands before them, the parts, what stands behind."""

    before: str
    parts: tuple[tuple[str, Any], ...]
    after: str = ")"

    def flat(self) -> str:
        """On one line."""
        return self.before + ", ".join(name + _flat(part) for name, part in self.parts) + self.after


def _flat(part: Any) -> str:
    return part.flat() if isinstance(part, Call) else str(part)


def _lines(name: str, part: Any, indent: str, after: str = "") -> Iterator[str]:
    """The code, a part on each line where it is too long for one."""
    flat = f"{indent}{name}{_flat(part)}{after}"
    if len(flat) <= WIDTH or not isinstance(part, Call) or not part.parts:
        yield flat
        return
    yield f"{indent}{name}{part.before}"
    for inner, one in part.parts:
        yield from _lines(inner, one, indent + INDENT, ",")
    yield f"{indent}{part.after}{after}"


def _call(function: str, /, *values: Any, **named: Any) -> Call:
    parts = [("", value) for value in values]
    return Call(f"{function}(", (*parts, *((f"{key}=", value) for key, value in named.items())))


def _literal(value: Any) -> Any:
    """Values as Python writes them."""
    match value:
        case Mapping():
            return Call("{", tuple((f"{_literal(key)}: ", _literal(one)) for key, one in value.items()), "}")
        case list():
            return Call("[", tuple(("", _literal(one)) for one in value), "]")
        case float() if value != value or value in (float("inf"), -float("inf")):
            return f'float("{value}")'
        case str():
            return _text(value)
        case _:
            return repr(value)


def _text(value: str) -> str:
    """As repr has it, in double quotes where that takes no more backslashes."""
    plain = repr(value)
    return f'"{plain[1:-1]}"' if plain[0] == "'" and '"' not in plain and "\\'" not in plain else plain


@dataclass(slots=True)
class _Script:
    study: StudyFile
    given: Mapping[str, Any]
    imports: dict[str, set[str]] = field(default_factory=dict)
    before: list[str] = field(default_factory=list)
    """Lines ahead of the study."""

    def text(self) -> str:
        call = _call("lt.tune", self._objective(), **self._arguments())
        body = [*self.before, *_lines("study = ", call, ""), "", "print(study.best)"]
        own = "\n".join(_sorted(self.imports))
        return f"{own}\n\n" + "\n".join(body) + "\n"

    # --- what is tuned ---------------------------------------------------------------------------

    def _objective(self) -> Any:
        if self.study.command is not None:
            return self._command(self.study.command)
        if self.study.function is not None:
            return self._function(self.study.function)
        return self._estimator()

    def _function(self, reference: str) -> str:
        where, _, name = reference.rpartition(":")
        if where.endswith(".py"):
            file = Path(where) if Path(where).is_absolute() else self.study.path.parent / where
            self._import("sys")
            self.before += [
                f"sys.path.insert(0, {_text(str(file.parent))})",
                f"from {file.stem} import {name}",
                "",
            ]
            return name
        if (beside := self.study.path.parent / f"{where.replace('.', '/')}.py").is_file():
            return self._function(f"{beside}:{name}")
        return self._from(where, name)

    def _command(self, command: Command) -> Call:
        known = {f.name: f.default for f in fields(command) if f.init}
        options = {
            name: getattr(command, name)
            for name, default in known.items()
            if name != "command" and getattr(command, name) != default and getattr(command, name) != {}
        }
        if "metrics" in options:
            sources = options["metrics"].items()
            options["metrics"] = Call(
                "{", tuple((f"{_text(name)}: ", f"lt.{source!r}") for name, source in sources), "}"
            )
        written = {
            name: value if isinstance(value, Call) else _literal(str(value) if name == "cwd" else value)
            for name, value in options.items()
        }
        return _call("lt.Command", _literal(command.command), **written)

    def _estimator(self) -> Call:
        study = self.study
        assert study.estimator is not None  # from_given saw to it
        assert study.data is not None
        estimator = as_estimator(study.estimator)
        module, _, name = estimator_path(estimator).partition(":")
        nested = {key: value for key, value in study.params.items() if "__" in key}
        own = {key: _plain(decoded(key, value)) for key, value in study.params.items() if "__" not in key}
        made = _call(self._from(module, name), **own)
        if nested:
            made = Call(
                f"{made.flat()}.set_params(",
                tuple((f"{key}=", _plain(value)) for key, value in nested.items()),
            )
        options: dict[str, Any] = {}
        loaded = _call(self._from("luthier.estimators", "load_data"), _text(study.data))
        if study.target is not None:
            loaded = Call(loaded.before, (*loaded.parts, ("", _text(study.target))))
        if study.drop:
            loaded = Call(loaded.before, (*loaded.parts, ("drop=", _literal(list(study.drop)))))
        features: list[Any] = [loaded]
        if isinstance(study.cv, Validation):
            if study.cv.groups is not None:
                self.before += [*_lines("data = ", loaded, ""), ""]
                column = _text(study.cv.groups)
                features = [f"data.X.drop(columns={column})", "data.y"]
                options |= {"name": "data.name", "groups": f"data.X[{column}].to_numpy()"}
            splitter = study.cv.splitter(estimator, study.seed)
            options["cv"] = splitter if isinstance(splitter, int) else self._splitter(splitter)
        elif study.cv not in (None, 5):
            options["cv"] = study.cv
        metrics = list(dict.fromkeys((*study.minimize, *study.maximize, *study.scoring)))
        options |= {"scoring": _literal(metrics)} if metrics else {}
        options |= {"preprocess": self._preprocess()} if study.preprocess != "auto" else {}
        options |= {"holdout": study.holdout} if study.holdout is not None else {}
        options |= {"seed": study.seed} if study.seed else {}
        return _call("lt.CrossValidation", made, *features, **options)

    def _splitter(self, splitter: Any) -> str:
        self._from("sklearn.model_selection", type(splitter).__name__)
        return " ".join(repr(splitter).split()).replace(", train_size=None", "")

    def _preprocess(self) -> Any:
        said = self.study.preprocess
        return f"{self._function(said)}()" if isinstance(said, str) and ":" in said else _literal(said)

    # --- how -------------------------------------------------------------------------------------

    def _arguments(self) -> dict[str, Any]:
        study = self.study
        found: dict[str, Any] = {} if study.space is None else {"space": _space(study.space)}
        for key in ("minimize", "maximize"):
            names = getattr(study, key)
            found |= {key: _literal(names[0] if len(names) == 1 else list(names))} if names else {}
        found |= {"noisy": True} if study.noisy else {}
        found |= self._budget()
        if study.algorithm != Named("auto"):
            found["algorithm"] = self._named(plugins.ALGORITHMS, study.algorithm)
        if study.stopping is not None:
            found["stopping"] = self._stopping(study.stopping)
        if study.fidelity is not None:
            found["fidelity"] = f"lt.{study.fidelity!r}"
        for key, usual in {
            "workers": 1,
            "trial_seconds": None,
            "trial_memory": None,
            "deterministic": False,
            "seed": 0,
        }.items():
            if getattr(study, key) != usual:
                found[key] = _literal(getattr(study, key))
        found["name"] = _text(study.name)
        found |= {"store": _text(study.store)} if study.store is not None else {}
        if study.models is not None:
            found["keep"] = _made(self._from("luthier.models", "Keep"), study.models)
        if study.files is not None:
            found["files"] = _made("lt.Files", study.files)
        return found

    def _budget(self) -> dict[str, Any]:
        said = {key: value for key, value in self.given.get("budget", {}).items() if value is not None}
        budget = self.study.budget
        found = {key: getattr(budget, key) for key in ("trials", "seconds", "target", "failures", "until")}
        if said.get("seconds") == AUTO:
            found |= {"seconds": AUTO, "until": None}
        found["cost"] = None if budget.cost is None else {budget.currency: budget.cost}
        found["deadline"] = None if budget.deadline is None else str(said["deadline"])
        return {key: _literal(value) for key, value in found.items() if value is not None}

    def _stopping(self, named: Named) -> Any:
        if named.name == "none":
            return '"none"'
        if named.name == "any" and list(named.options) == ["policies"]:  # which a list means, too
            return self._several(plugins.POLICIES, named.options["policies"], inner=False)
        return self._named(plugins.POLICIES, named)

    def _named(self, kind: plugins.Kind[Any], named: Named, inner: bool = False) -> Any:
        """An algorithm or a policy: by name alone where that goes, or made of its class."""
        kind.make(named)  # an option that it does not have is said here
        if not named.options and not inner:
            return _text(named.name)
        module, _, name = kind.names().get(named.name, named.name).partition(":")
        package = ".".join(module.split(".")[:2])
        module = package if package in PACKAGES else module
        options = {key: self._option(kind, value) for key, value in named.options.items()}
        return _call(self._from(module, name), **options)

    def _several(self, kind: plugins.Kind[Any], held: Sequence[Any], inner: bool) -> Call:
        return Call("[", tuple(("", self._named(kind, _as_named(one), inner)) for one in held), "]")

    def _option(self, kind: plugins.Kind[Any], value: Any) -> Any:
        if isinstance(value, Mapping) and isinstance(value.get("name"), str):
            return self._named(kind, _as_named(value), inner=True)
        if isinstance(value, list) and value and isinstance(value[0], Mapping) and "name" in value[0]:
            return self._several(kind, value, inner=True)
        return _literal(value)

    def _from(self, module: str, name: str) -> str:
        self.imports.setdefault(module, set()).add(name)
        return name

    def _import(self, module: str) -> None:
        self.imports.setdefault(module, set())


def _made(name: str, thing: Any) -> Call:
    """A dataclass, with the fields that differ from their defaults."""
    usual = type(thing)()
    given = {
        f.name: getattr(thing, f.name)
        for f in fields(thing)
        if getattr(thing, f.name) != getattr(usual, f.name)
    }
    return _call(name, **{key: _literal(value) for key, value in given.items()})


def _plain(value: Any) -> Any:
    return repr(value) if isinstance(value, tuple) else _literal(value)


def _as_named(value: Mapping[str, Any]) -> Named:
    return Named(value["name"], {key: one for key, one in value.items() if key != "name"})


def _space(space: Space) -> Call:
    given = space_given(space)
    return Call("{", tuple((f"{_text(name)}: ", _parameter(one)) for name, one in given.items()), "}")


def _parameter(given: Mapping[str, Any]) -> Any:
    """A parameter, from the table that says it in a study file."""
    kind, value = next(iter(given.items()))
    more = {key: _literal(option) for key, option in given.items() if key not in (kind, "prior")}
    if kind in ("choice", "const") and not more and value is not None:
        return _literal(value)
    if "prior" in given:
        ((word, numbers),) = given["prior"].items()
        more = {
            "prior": _call("lt.Normal" if word == "normal" else "lt.LogNormal", *map(repr, numbers)),
            **more,
        }
    values = [_literal(one) for one in value] if kind in ("float", "int") else [_literal(value)]
    return _call(f"lt.{kind.capitalize()}", *values, **more)


def _sorted(imports: Mapping[str, set[str]]) -> Iterator[str]:
    """The imports as people order them."""
    lines = [
        f"from {module} import {', '.join(sorted(names))}"
        for module, names in sorted(imports.items())
        if names
    ]
    standard = [f"import {module}" for module, names in sorted(imports.items()) if not names]
    if standard:
        yield from [*standard, ""]
    yield "import luthier as lt"
    yield from lines
