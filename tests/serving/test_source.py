"""What may be served: ours, whole, and nothing that runs code when it is loaded."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

from luthier.errors import ModelError
from luthier.models import export_model, predict, save_model
from luthier.models.signing import key_file
from luthier.serving.source import bundle, find, kept
from tests.models.fruit import keep, table
from tests.serving.conftest import Served

FILES = (
    "model.json",
    "model.skops",
    "MODEL_CARD.md",
    "predict.py",
    "server.py",
    "requirements.txt",
    "Dockerfile",
    "input_example.json",
)


@pytest.fixture
def folder(exported: Path, tmp_path: Path) -> Path:
    """A bundle as a folder, to change."""
    with zipfile.ZipFile(exported) as archive:
        archive.extractall(tmp_path)
    return tmp_path / "fruit-1"


def zipped(folder: Path, path: Path, root: str = "any/") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, root + file.relative_to(folder).as_posix())
    return path


def test_a_name_is_a_kept_model_and_a_path_a_bundle(
    home: Path, exported: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (find("fruit", home).version, find("fruit", home, 2).version) == (1, 2)
    for path in (
        exported,
        folder,
        zipped(folder, folder.parent / "again.zip"),
        zipped(folder, folder.parent / "flat.zip", ""),
    ):
        found = find(str(path), home)
        assert (found.name, found.version) == ("fruit", 1)
        assert found.read() == (folder / "model.skops").read_bytes()
    monkeypatch.chdir(folder.parent)
    assert find("fruit-1", home).name == "fruit"
    folder.rename("fruit")
    assert find("fruit", home, 2).version == 2  # a kept model comes first
    with pytest.raises(ModelError, match="holds one version"):
        find(str(exported), home, 1)
    with pytest.raises(ModelError, match="there is no model 'fruid'"):
        find("fruid", home)
    with pytest.raises(ModelError, match="there is no bundle"):
        find("fruit.gone.zip", home)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("as_zip", [False, True])
def test_a_bundle_with_any_file_changed_or_gone_is_refused(folder: Path, name: str, as_zip: bool) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-2] + b" " + content[-1:])
    for gone in (False, True):
        if gone:
            (folder / name).unlink()
        path = zipped(folder, folder.parent / f"{gone}.zip") if as_zip else folder
        with pytest.raises(ModelError, match=re.escape(name)):
            bundle(path)


def test_the_files_of_steps_of_our_own_are_checked_too(tmp_path: Path, home: Path) -> None:
    """They are in the list of hashes like all others."""
    manifest = json.loads((export_model(home, "fruit", tmp_path / "out") / "model.json").read_text())
    assert set(FILES) - {"model.json"} <= manifest["files"].keys()


def test_a_bundle_of_somebody_else_takes_trust_and_is_checked_all_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LUTHIER_KEY", "the key of another machine")
    with pytest.raises(
        ModelError, match=r"was not made on this machine, or its model\.json has changed.*--trust"
    ):
        bundle(folder)
    assert bundle(folder, trust=True).name == "fruit"
    (folder / "SIGNATURE").unlink()
    with pytest.raises(ModelError, match="is not signed"):
        bundle(folder)
    (folder / "model.skops").write_bytes(b"else")
    with pytest.raises(ModelError, match="does not have the hash"):
        bundle(folder, trust=True)


def test_a_manifest_of_somebody_who_means_harm_is_refused(folder: Path) -> None:
    good = json.loads((folder / "model.json").read_text())
    outside = folder.parent / "secret"
    outside.write_text("x")
    (folder / "link").symlink_to(outside)
    for change in (
        {"files": {"../secret": "00"}},
        {"files": {str(outside): "00"}},
        {"files": {"link": "00"}},
        {"inputs": [7]},
        {"inputs": None},
        {"inputs": [{"name": "a", "type": "number", "range": ["x", {}]}]},
        {"inputs": [{"name": "a", "type": "text", "levels": 7}]},
        {"version": "x"},
        {"format": "x"},
        {"format": 99},
        {"serializer": "joblib"},
        {"output": []},
    ):
        (folder / "model.json").write_text(json.dumps({**good, **change}))
        with pytest.raises(ModelError):
            bundle(folder, trust=True)
    for text in ("", "[]", "{", "[" * 100_000, "\x00"):
        (folder / "model.json").write_text(text)
        with pytest.raises(ModelError):
            bundle(folder, trust=True)


def test_an_archive_that_is_none_of_ours_is_refused(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "odd.zip"
    path.write_bytes(b"no archive")
    with pytest.raises(ModelError, match="cannot be read"):
        bundle(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/b.txt", "x")
    with pytest.raises(ModelError, match=r"has no model\.json"):
        bundle(path)
    zipped(folder, path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../../escape", "x")
    with pytest.raises(ModelError, match="names that none of ours have"):
        bundle(path)
    zipped(folder, path)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("any/predict.py", "x")
    with pytest.raises(ModelError, match="names that none of ours have"):
        bundle(path)
    whole = zipped(folder, path).read_bytes()
    for cut in range(0, len(whole), len(whole) // 40):
        path.write_bytes(whole[:cut] + bytes([whole[cut] ^ 0xFF]) + whole[cut + 1 :])
        try:
            found = bundle(path)
        except ModelError:
            continue
        assert found.read() == (folder / "model.skops").read_bytes()  # it was no byte of a file


def test_what_is_changed_while_it_is_served_is_not_loaded_again(folder: Path) -> None:
    source = bundle(folder)
    (folder / "model.skops").write_bytes(b"else")
    with pytest.raises(ModelError, match="changed while it was served"):
        source.read()


def test_a_kept_model_that_is_not_ours_or_runs_code_takes_trust(tmp_path: Path) -> None:
    model = keep(tmp_path)
    (model.path / "SIGNATURE").unlink()
    with pytest.raises(ModelError, match=r"is not signed.*--trust"):
        kept(tmp_path, "fruit")
    assert kept(tmp_path, "fruit", trust=True).trust
    tree = DecisionTreeClassifier().fit(np.eye(4), [0, 1, 0, 1])
    save_model(tmp_path, "tree", tree, meta={}, data=np.eye(4), format="joblib")
    with pytest.raises(ModelError, match=r"saved with joblib, and loading that runs whatever code.*--trust"):
        kept(tmp_path, "tree")


class Trap:
    """Runs code when it is loaded."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, (f"open({self.mark!r}, 'w').close()",)


def test_a_pickle_is_never_loaded_without_trust(tmp_path: Path, folder: Path) -> None:
    """Not as a kept model, nor in a bundle, nor under another name; even where it is trusted, a bundle holds none."""
    import joblib

    mark = tmp_path / "ran"
    joblib.dump(Trap(str(mark)), folder / "model.joblib")
    shutil.copy(folder / "model.joblib", folder / "model.skops")
    with pytest.raises(ModelError):
        bundle(folder)
    with pytest.raises(ModelError):
        bundle(folder, trust=True)
    tree = DecisionTreeClassifier().fit(np.eye(4), [0, 1, 0, 1])
    saved = save_model(tmp_path, "tree", tree, meta={}, data=np.eye(4), format="joblib")
    joblib.dump(Trap(str(mark)), saved.path / "model.joblib")
    for trust in (False, True):
        with pytest.raises(ModelError):
            kept(tmp_path, "tree", trust=trust)
    assert not mark.exists()
    assert key_file().exists()


def test_a_bundle_and_a_trusted_joblib_predict_as_the_model_does(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    keep(tmp_path, estimator=RandomForestClassifier(5, random_state=0))
    export_model(tmp_path, "fruit", tmp_path / "out")
    rows = table(20, 3).drop(columns="sold")
    expected = predict(tmp_path, "fruit", rows).values.tolist()
    said = serve(bundle(tmp_path / "out")).predict(*rows.to_dict("records")).json
    assert (said["predictions"], said["classes"]) == (expected, ["no", "yes"])
    tree = DecisionTreeClassifier().fit(np.eye(4), [0, 1, 0, 1])
    save_model(tmp_path, "tree", tree, meta={"task": "classification"}, data=np.eye(4), format="joblib")
    said = serve(kept(tmp_path, "tree", trust=True)).predict({f"x{i}": i == 1 for i in range(4)}).json
    assert said["predictions"] == [1]


def test_labels_that_a_library_wants_as_numbers_come_back_as_they_were(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    pytest.importorskip("xgboost")
    keep(tmp_path, estimator="xgboost:XGBClassifier")
    export_model(tmp_path, "fruit", tmp_path / "out")
    assert serve(bundle(tmp_path / "out")).predict({"size": 9, "colour": "red", "weight": 100}).json[
        "predictions"
    ] == ["yes"]
