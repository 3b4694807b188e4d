"""The command line as people use it: in a folder of their own, with study files beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from luthier.cli.main import main

_serial = count()


@dataclass(frozen=True)
class Said:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out, parse_constant=_refuse)


def _refuse(constant: str) -> Any:
    raise AssertionError(f"{constant} is no JSON")


Luthier = Callable[..., Said]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LUTHIER_STORE", raising=False)
    return tmp_path


@pytest.fixture
def luthier(folder: Path) -> Luthier:
    def call(*args: str, typed: str | None = None) -> Said:
        result = CliRunner().invoke(main, list(args), input=typed)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Said(result.exit_code, result.stdout, result.stderr)

    return call


FUNCTION = """
name = "{name}"
function = "{module}:train"
minimize = "loss"
[space.x]
float = [0, 1]
[budget]
trials = {trials}
"""


@pytest.fixture
def study(folder: Path) -> Callable[..., str]:
    """Writes a study of a function and answers with the file's name; modules are not imported twice, so each is new."""

    def write(
        body: str = "return {'loss': (x - 0.3) ** 2}", *, name: str = "first", trials: int = 5, more: str = ""
    ) -> str:
        module = f"objective_{next(_serial)}"
        (folder / f"{module}.py").write_text(f"def train(x, trial):\n    {body}\n")
        (folder / f"{name}.toml").write_text(FUNCTION.format(name=name, module=module, trials=trials) + more)
        return f"{name}.toml"

    return write


@pytest.fixture
def estimator(folder: Path) -> str:
    """A study file that tunes a real estimator, quickly."""
    (folder / "knn.toml").write_text(
        """
        name = "knn"
        estimator = "sklearn.neighbors:KNeighborsClassifier"
        data = "iris"
        cv = 3
        maximize = "accuracy"
        scoring = ["balanced_accuracy"]
        [space.n_neighbors]
        int = [1, 20]
        [budget]
        trials = 4
        """
    )
    return "knn.toml"
