"""docs/commands.md says what is so, and its examples run."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from luthier.cli.main import main
from luthier.studyfile import read

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return [text for name, text in found if name == language]


@pytest.mark.parametrize("name", ["command", "script"])
def test_the_examples_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for file in (f"{name}.toml", "train.sh", "script.py"):
        shutil.copy(ROOT / "examples" / file, tmp_path)
    result = CliRunner().invoke(main, ["run", f"{name}.toml", "--trials", "2"])
    assert result.exit_code == 0, result.output
    assert "has no placeholder" not in result.output
    assert CliRunner().invoke(main, ["logs", name, "1"]).exit_code == 0


def test_the_python_of_the_page_runs_by_hand(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("LUTHIER_PARAMS", raising=False)
    monkeypatch.delenv("LUTHIER_METRICS", raising=False)
    (code,) = blocks("python")
    exec(compile(code, "commands.md", "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out.startswith("luthier: step=0 loss=1.0081\n")


def test_the_study_files_of_the_page_are_understood(tmp_path: Path) -> None:
    study, command, metrics = blocks("toml")
    path = tmp_path / "study.toml"
    path.write_text(study)
    assert read(path).command is not None
    head, _, rest = study.partition("\n\n")
    path.write_text('minimize = "loss"\n' + command + "\n" + rest + metrics)
    found = read(path).command
    assert found is not None
    assert (found.grace, found.shell, found.params) == (30, True, "file")
    assert set(found.metrics) == {"loss", "accuracy", "auc", "f1", "time"}
    assert 'command = "python train.py' in head
