"""Exported folders run where there is no Luthier."""

import hashlib
import http.client
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import ExtraTreesRegressor, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from luthier.errors import DataError, ModelError
from luthier.estimators.data import Data
from luthier.models import export_model, predict, save_model, score_model
from luthier.models.signing import verified
from luthier.objectives.crossval import CrossValidation
from tests.models.fruit import TRAIN, data, keep, table


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> "Bare":
    return Bare(tmp_path_factory.mktemp("bare"))


class Bare:
    """Python with what a requirements.txt names and what that needs, and nothing else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(
        self, exported: Path, *args: object, script: str = "predict.py"
    ) -> subprocess.CompletedProcess[str]:
        with self.start(exported, *args, script=script) as process:
            out, err = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, out.decode(), err.decode())

    def start(self, exported: Path, *args: object, script: str, **env: str) -> subprocess.Popen[bytes]:
        for line in (exported / "requirements.txt").read_text().splitlines():
            if not line.startswith("#"):
                name, _, version = line.partition("==")
                assert importlib.metadata.version("xgboost-cpu" if name == "xgboost" else name) == version
                self._install("xgboost-cpu" if name == "xgboost" else name)
        assert not (self.folder / "luthier").exists()
        return subprocess.Popen(
            [sys.executable, "-S", "-W", "error", exported / script, *map(str, args)],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(self.folder),
                "OMP_NUM_THREADS": "1",
                **env,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.folder,
        )

    def _install(self, name: str) -> None:
        found = importlib.metadata.distribution(name)
        tops = {file.parts[0] for file in found.files or () if file.parts[0] not in ("..", "__pycache__")}
        for top in tops:
            if not (self.folder / top).exists():
                (self.folder / top).symlink_to(str(found.locate_file(top)))
        for needed in found.requires or ():
            if ";" not in needed:
                self._install(re.split(r"[^\w.-]", needed)[0])


@contextmanager
def closing_with(end: Callable[[], None]) -> Iterator[None]:
    try:
        yield
    finally:
        end()


def same(home: Path, name: str, source: Path, target: Path) -> None:
    expected = predict(home, name, source)
    found = pd.read_csv(target)
    if expected.classes is None:
        assert np.allclose(found["prediction"], expected.values)
    else:
        assert found["prediction"].astype(str).tolist() == [str(value) for value in expected.values.tolist()]
    if expected.probabilities is not None:
        assert list(found.columns)[1:] == [f"probability_{label}" for label in expected.classes]
        assert np.allclose(found.iloc[:, 1:], expected.probabilities)


@pytest.mark.parametrize("estimator", [RandomForestClassifier(5), SVC(), "xgboost:XGBClassifier"])
def test_an_exported_folder_predicts_the_same_without_luthier(tmp_path, bare, estimator):
    if isinstance(estimator, str):
        pytest.importorskip("xgboost")
    keep(tmp_path, estimator=estimator)
    folder = export_model(tmp_path, "fruit", tmp_path / "out")
    new = table(30, 1)[["weight", "sold", "colour", "size"]]
    new.loc[3, "colour"] = "green"
    new.to_csv(tmp_path / "in.csv", index=False)
    said = bare(folder, tmp_path / "in.csv", tmp_path / "out.csv")
    assert (said.returncode, said.stdout) == (0, ""), said.stderr
    assert said.stderr.startswith("Wrote 30 predictions to ")
    same(tmp_path, "fruit", tmp_path / "in.csv", tmp_path / "out.csv")


def test_a_regression_of_arrays_is_exported_too(tmp_path, bare):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    model = ExtraTreesRegressor(5, random_state=0).fit(X, X[:, 0])
    save_model(tmp_path, "line", model, meta={"task": "regression"}, data=Data.of(X, X[:, 0]))
    folder = export_model(tmp_path, "line", tmp_path / "out")
    assert "pandas" not in (folder / "requirements.txt").read_text()
    pd.DataFrame(rng.normal(size=(9, 3)), columns=["x0", "x1", "x2"]).to_csv(
        tmp_path / "in.csv", sep=";", index=False
    )
    assert bare(folder, tmp_path / "in.csv", tmp_path / "out.csv").returncode == 0
    same(tmp_path, "line", tmp_path / "in.csv", tmp_path / "out.csv")
    assert json.loads((folder / "input_example.json").read_text())[0].keys() == {"x0", "x1", "x2"}


def test_steps_of_our_own_go_with_the_model(tmp_path, bare):
    made = table(60).assign(day=pd.date_range("2024-01-01", periods=60).astype(str), note="")
    made["bought"] = pd.to_datetime(made.pop("day"))
    made = made.drop(columns="note")
    task = CrossValidation(LogisticRegression(), made.drop(columns="sold"), made["sold"], cv=2)
    save_model(tmp_path, "dated", task.refit({}), meta={"task": "classification"}, data=task.data)
    folder = export_model(tmp_path, "dated", tmp_path / "out")
    assert (folder / "luthier" / "estimators" / "columns.py").is_file()
    assert not (folder / "luthier" / "api.py").exists()
    made.to_csv(tmp_path / "in.csv", index=False)
    said = bare(folder, tmp_path / "in.csv", tmp_path / "out.csv")
    assert said.returncode == 0, said.stderr
    same(tmp_path, "dated", tmp_path / "in.csv", tmp_path / "out.csv")


def test_what_an_exported_folder_cannot_read_it_says(tmp_path, bare):
    keep(tmp_path, estimator=DecisionTreeClassifier())
    folder = export_model(tmp_path, "fruit", tmp_path / "out")
    wrong = table(5, 1).astype({"size": object})
    wrong.drop(columns="colour").to_csv(tmp_path / "lacks.csv", index=False)
    wrong.loc[2, "size"] = "large"
    wrong.to_csv(tmp_path / "text.csv", index=False)
    said = bare(folder, tmp_path / "lacks.csv", tmp_path / "no.csv")
    assert (said.returncode, "lacks columns that the model reads: colour." in said.stderr) == (1, True)
    said = bare(folder, tmp_path / "text.csv", tmp_path / "no.csv")
    assert "column 'size' holds 'large' in line 4" in said.stderr
    (folder / "model.skops").write_bytes(b"else")
    assert "not the file that was exported" in bare(folder, tmp_path / "text.csv", tmp_path / "no.csv").stderr
    assert not (tmp_path / "no.csv").exists()


def test_an_exported_folder_answers_requests_without_luthier(tmp_path, bare):
    keep(tmp_path)
    folder = export_model(tmp_path, "fruit", tmp_path / "out")
    assert bare(folder, tmp_path / "in.csv", script="server.py").stderr.startswith("server.py: set TOKEN")
    token = "a token that nobody guesses"
    with bare.start(folder, "0", script="server.py", TOKEN=token) as server, closing_with(server.terminate):
        address = urlsplit(server.stdout.readline().decode().strip())

        def ask(body, **headers):
            connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
            with closing(connection):
                sent = {"authorization": f"Bearer {token}", "content-type": "application/json", **headers}
                connection.request("POST", "/predict", body, sent)
                answer = connection.getresponse()
                return answer.status, json.loads(answer.read())

        rows = table(10, 1).drop(columns="sold")
        expected = predict(tmp_path, "fruit", rows)
        status, said = ask(json.dumps({"rows": rows.to_dict("records")}))
        assert (status, said["model"], said["version"]) == (200, "fruit", 1)
        assert (said["predictions"], said["classes"]) == (expected.values.tolist(), ["no", "yes"])
        assert np.allclose(said["probabilities"], expected.probabilities)
        row = rows.iloc[0].to_dict()
        assert ask(json.dumps({"rows": [row]}), authorization="Bearer x")[0] == 401
        assert ask(json.dumps({"rows": [row]}), **{"content-type": "text/plain"})[0] == 415
        assert "in row 1" in ask(json.dumps({"rows": [{**row, "size": "large"}]}))[1]["error"]
        for body in (
            "{",
            "[]",
            "null",
            "{}",
            '{"rows": []}',
            '{"rows": [{"size": NaN}]}',
            '{"rows": [{}]}',
            "[" * 10**5,
        ):
            assert ask(body)[0] == 422, body
        assert ask("", **{"content-length": "8000001"})[0] == 413


def test_every_file_is_hashed_and_the_manifest_signed(tmp_path):
    keep(tmp_path)
    score_model(tmp_path, "fruit", data(40, 1))
    folder = export_model(tmp_path, "fruit", tmp_path / "out")
    manifest = (folder / "model.json").read_bytes()
    files = json.loads(manifest)["files"]
    assert verified(manifest, (folder / "SIGNATURE").read_text())
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert there == {*files, "model.json", "SIGNATURE"}
    for name, digest in files.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    card = (folder / "MODEL_CARD.md").read_text()
    assert card.startswith(
        '---\nlibrary_name: "sklearn"\npipeline_tag: "tabular-classification"\n---\n\n# fruit, version 1'
    )
    assert "| fruit 1, 40 rows | 1 |" in card
    assert "FROM python:3." in (folder / "Dockerfile").read_text()
    example = json.loads((folder / "input_example.json").read_text())
    assert example[0]["colour"] in ("red", "blue")


def test_a_zip_holds_one_folder(tmp_path):
    keep(tmp_path)
    path = export_model(tmp_path, "fruit", tmp_path / "fruit.zip")
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert {name.partition("/")[0] for name in archive.namelist()} == {"fruit-1"}
        assert "fruit-1/predict.py" in archive.namelist()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fruit.zip", "models"]


def test_what_cannot_be_exported_says_why_and_leaves_nothing(tmp_path):
    saved = keep(tmp_path)
    (tmp_path / "taken").mkdir()
    with pytest.raises(ModelError, match="exists already"):
        export_model(tmp_path, "fruit", tmp_path / "taken")
    tree = DecisionTreeClassifier().fit(np.eye(4), [0, 1, 0, 1])
    save_model(tmp_path, "tree", tree, meta={}, data=np.eye(4), format="joblib")
    with pytest.raises(ModelError, match="saved with joblib"):
        export_model(tmp_path, "tree", tmp_path / "out")
    (saved.path / "SIGNATURE").unlink()
    with pytest.raises(ModelError, match="would be signed on this machine"):
        export_model(tmp_path, "fruit", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["models", "taken"]
    assert export_model(tmp_path, "fruit", tmp_path / "out", trust=True).is_dir()


# --- ONNX --------------------------------------------------------------------------------------


def test_onnx_is_added_if_it_says_the_same_about_every_row(tmp_path):
    pytest.importorskip("skl2onnx")
    runtime = pytest.importorskip("onnxruntime")
    keep(tmp_path, estimator=RandomForestClassifier(5))
    folder = export_model(tmp_path, "fruit", tmp_path / "out", onnx=TRAIN)
    found = json.loads((folder / "model.json").read_text())["exported"]["onnx"]
    assert (found["rows"], found["labels_that_differ"]) == (90, 0)
    assert found["max_difference"] < 1e-5
    new = table(20, 1)
    session = runtime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    feed = {
        name: new[name].to_numpy(dtype=object if name == "colour" else np.float32).reshape(-1, 1)
        for name in found["inputs"]
    }
    assert session.run(None, feed)[0].tolist() == predict(tmp_path, "fruit", new).values.tolist()


def test_onnx_that_says_something_else_is_refused_with_numbers(tmp_path):
    pytest.importorskip("skl2onnx")
    pytest.importorskip("onnxruntime")
    X = 1e8 + np.arange(40.0).reshape(-1, 1)  # in single precision neighbours are the same
    line = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, np.arange(40) > 20)
    save_model(tmp_path, "fine", line, meta={"task": "classification"}, data=Data.of(X, np.arange(40) > 20))
    with pytest.raises(
        ModelError,
        match=r"\d+ of 40 rows get another label, and the largest difference of a probability is 0\.\d+, and 0\.0001 is allowed",
    ):
        export_model(tmp_path, "fine", tmp_path / "out", onnx=Data.of(X, np.arange(40) > 20))
    assert not (tmp_path / "out").exists()
    save_model(
        tmp_path,
        "line",
        Ridge(alpha=0).fit(X, X[:, 0] - 1e8),
        meta={"task": "regression"},
        data=Data.of(X, X[:, 0]),
    )
    with pytest.raises(
        ModelError, match="says something else as ONNX: on 40 rows, the largest difference of a prediction"
    ):
        export_model(tmp_path, "line", tmp_path / "out", onnx=Data.of(X, X[:, 0]))


def test_what_has_no_converter_says_so(tmp_path):
    pytest.importorskip("skl2onnx")
    pytest.importorskip("onnxruntime")
    pytest.importorskip("xgboost")
    keep(tmp_path, estimator="xgboost:XGBClassifier")
    with pytest.raises(ModelError, match="cannot be converted to ONNX: "):
        export_model(tmp_path, "fruit", tmp_path / "out", onnx=TRAIN)
    with pytest.raises(DataError, match="no file"):
        export_model(tmp_path, "fruit", tmp_path / "out", onnx="gone.csv")
