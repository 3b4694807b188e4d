"""`luthier serve` as people use it."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from sklearn.tree import DecisionTreeClassifier

from luthier.cli.main import main
from luthier.models import predict
from luthier.serving.child import Model
from tests.models.fruit import table


def luthier(*args: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, [str(arg) for arg in args])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def test_it_prints_where_and_how_and_ends_with_ctrl_c(home: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "luthier",
        "serve",
        "fruit",
        "--port",
        "0",
        "--store",
        home / "studies.db",
    ]
    front = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with front:
        assert front.stdout is not None
        assert front.stderr is not None
        address = front.stdout.readline().strip()
        token, line, about = (front.stderr.readline().strip() for _ in range(3))
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", address)
        assert token.startswith("token:")
        assert about == "fruit, version 1, is served. Ctrl-C ends it."
        words = shlex.split(line)
        assert words[-1] == f"{address}/predict"
        answer = subprocess.run([*words, "--silent", "--fail"], capture_output=True, check=True).stdout
        assert json.loads(answer)["predictions"][0] in ("yes", "no")
        front.send_signal(signal.SIGINT)
        rest = front.stderr.read()
        assert front.wait(20) == 0
    assert re.fullmatch(r"\S+ POST /predict 200 \d+\.\d ms\n", rest), rest


def test_a_file_goes_in_and_predictions_come_out(
    home: Path, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("luthier.serving.batch.MOST_ROWS", 8)  # in three parts
    monkeypatch.setattr("luthier.serving.rows.MOST_ROWS", 8)
    rows = table(20, 4)
    rows.to_csv(tmp_path / "in.csv", index=False)
    code, said = luthier("serve", exported, "--batch", tmp_path / "in.csv", tmp_path / "out.csv")
    assert (code, said) == (0, f"Wrote 20 predictions of fruit, version 1, to {tmp_path / 'out.csv'}.\n")
    found = pd.read_csv(tmp_path / "out.csv")
    assert found["prediction"].tolist() == predict(home, "fruit", rows).values.tolist()
    rows.loc[4, "size"] = None
    rows.astype({"size": object}).fillna({"size": "large"}).to_csv(tmp_path / "in.csv", index=False)
    code, said = luthier("serve", exported, "--batch", tmp_path / "in.csv", tmp_path / "none.csv")
    assert code == 2
    assert "row 5: 'size' is 'large', and the model reads a number there." in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]


def test_texts_that_a_spreadsheet_would_run_come_out_as_texts() -> None:
    frame = pd.DataFrame({"a": [0.0, 1.0] * 4})
    labels = ["=HYPERLINK(1)", "+x"] * 4
    about = {"classes": labels[:2], "coded": False, "container": "frame", "inputs": [("a", "number")]}
    model = Model(DecisionTreeClassifier().fit(frame, labels), about)
    status, body = model.answer({"rows": 2, "others": [], "as": "csv"}, frame[:2].to_numpy().tobytes())
    assert status == 200
    assert [line.split(",")[0] for line in body.decode().splitlines()[1:]] == ["'=HYPERLINK(1)", "'+x"]


def test_what_cannot_be_served_is_said_in_a_sentence(home: Path, tmp_path: Path) -> None:
    store = ("--store", home / "studies.db")
    assert luthier("serve", "fruid", *store) == (
        2,
        f"luthier: error: there is no model 'fruid' in '{home / 'models'}'. Did you mean 'fruit'?\n",
    )
    code, said = luthier("serve", "fruit", *store, "--host", "0.0.0.0")
    assert (code, "--token-file" in said) == (2, True)
    code, said = luthier("serve", "fruit", *store, "--version", 9)
    assert (code, "has no version 9" in said) == (2, True)
    code, said = luthier("serve", "fruit", *store, "--batch", tmp_path / "gone.csv", tmp_path / "out.csv")
    assert (code, "gone.csv" in said) == (2, True)
    (tmp_path / "token").write_text("x" * 40)
    os.chmod(tmp_path / "token", 0o644)  # noqa: PTH101
    code, said = luthier("serve", "fruit", *store, "--token-file", tmp_path / "token")
    assert (code, "chmod 600" in said) == (2, True)
