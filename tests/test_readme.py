"""The tour in the README works as written, in an empty folder."""

import re
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    return [text for name, text in found if name == language]


def test_the_python_of_the_tour_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = "\n".join(blocks("python"))
    exec(compile(code, "README.md", "exec"), {"__name__": "__main__"})
    assert (tmp_path / ".luthier/studies.db").exists()
    assert (tmp_path / ".luthier/models/wine/1/model.skops").exists()


def test_the_study_file_of_the_tour_runs_and_its_commands_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from click.testing import CliRunner

    from luthier.cli.main import main

    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.toml").write_text(blocks("toml")[0])
    for line in blocks("")[1].splitlines():
        words = line.partition("#")[0].split()
        if {"predict", "test"} & set(words):
            continue  # needs a table of the user's own
        for name in re.findall(r"`luthier ([^`]*)`", line):
            result = CliRunner().invoke(main, name.split())
            assert result.exit_code == 0, result.output
        result = CliRunner().invoke(main, words[1:])
        assert result.exit_code == 0, result.output
