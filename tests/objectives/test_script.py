"""Two lines of Python inside a script: `luthier.params` and `luthier.report`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import luthier
from luthier.errors import ObjectiveError

SCRIPT = """
import luthier
p = luthier.params(lr=0.01, depth=3)
for step in range(2):
    luthier.report(step, loss=p.lr * p["depth"])
luthier.report(loss=p.lr, depth=p.depth)
print(dict(p), len(p))
"""


def run(env: dict[str, str]) -> str:
    return subprocess.run(
        [sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True, env={**os.environ, **env}
    ).stdout


def test_run_by_hand_it_has_its_defaults_and_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LUTHIER_PARAMS", raising=False)
    monkeypatch.delenv("LUTHIER_METRICS", raising=False)
    assert run({}).splitlines() == [
        "luthier: step=0 loss=0.03",
        "luthier: step=1 loss=0.03",
        "luthier: loss=0.01 depth=3.0",
        "{'lr': 0.01, 'depth': 3} 2",
    ]


def test_as_a_trial_it_has_the_trials_parameters_and_reports_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "params.json").write_text('{"lr": 0.5, "more": "x"}')
    env = {
        "LUTHIER_PARAMS": str(tmp_path / "params.json"),
        "LUTHIER_METRICS": str(tmp_path / "metrics.jsonl"),
    }
    assert run(env).splitlines() == ["{'lr': 0.5, 'depth': 3, 'more': 'x'} 3"]
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines == [{"step": 0, "loss": 1.5}, {"step": 1, "loss": 1.5}, {"loss": 0.5, "depth": 3.0}]


def test_a_script_with_the_two_lines_is_tuned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(SCRIPT)
    study = luthier.tune(
        luthier.Command([sys.executable, "train.py"], params="file"),
        luthier.Space(lr=luthier.Float(0.1, 1)),
        minimize="loss",
        trials=2,
        progress=False,
    )
    for trial in study.trials:
        assert trial.metrics["loss"] == trial.params["lr"]
        assert trial.reported("loss") == dict.fromkeys((0, 1), trial.params["lr"] * 3)


def test_what_is_wrong_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LUTHIER_PARAMS", raising=False)
    with pytest.raises(AttributeError, match="there is no parameter 'lrr'"):
        _ = luthier.params(lr=1).lrr
    with pytest.raises(ObjectiveError, match="report was given the step 'a'"):
        luthier.report("a", loss=1)  # type: ignore[arg-type]
    with pytest.raises(ObjectiveError, match="report names no metric"):
        luthier.report(3)
    with pytest.raises(ObjectiveError, match="the metric 'loss' is 'low'"):
        luthier.report(3, loss="low")  # type: ignore[arg-type]
    monkeypatch.setenv("LUTHIER_PARAMS", str(tmp_path / "gone.json"))
    with pytest.raises(ObjectiveError, match="To run the script by hand, unset LUTHIER_PARAMS"):
        luthier.params(lr=1)
