"""Who made a model, and what is done with one of somebody else's."""

import json
import os
import shutil
import stat
import subprocess
import sys

import numpy as np
import pytest
from sklearn.tree import DecisionTreeClassifier

from luthier.errors import DataError, ModelError
from luthier.models import answers, list_models, load_model, predict, save_model, score_model, show_model
from luthier.models.signing import key_file, sign, verified
from tests.models.fruit import TRAIN, data, keep, table


def test_the_key_is_made_on_first_use_and_nobody_else_can_read_it(tmp_path):
    assert not key_file().exists()
    keep(tmp_path)
    assert stat.S_IMODE(key_file().stat().st_mode) == 0o600
    key = key_file().read_bytes()
    assert len(key) == 64
    keep(tmp_path, 1)
    assert key_file().read_bytes() == key
    assert [path.name for path in key_file().parent.iterdir()] == ["key"]


def test_processes_that_make_a_key_at_once_get_the_same(tmp_path):
    code = "from luthier.models.signing import sign; print(sign(b'x'))"
    children = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for _ in range(3)]
    assert len({child.communicate()[0] for child in children}) == 1


def test_a_key_that_others_can_read_is_no_key(tmp_path):
    keep(tmp_path)
    key_file().chmod(0o644)
    with pytest.raises(ModelError, match=r"others on this machine can read the key .* chmod 600"):
        show_model(tmp_path, "fruit")


def test_a_model_that_cannot_be_signed_is_saved_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", "/dev/null")
    with pytest.warns(UserWarning, match="not signed, and will count as made elsewhere"):
        keep(tmp_path)
    assert not list_models(tmp_path)[0].signed


def test_the_environment_may_bring_the_key_that_machines_share(tmp_path, monkeypatch):
    monkeypatch.setenv("LUTHIER_KEY", "the key of our team")
    keep(tmp_path)
    assert not key_file().exists()
    assert show_model(tmp_path, "fruit").signed
    monkeypatch.setenv("LUTHIER_KEY", "a key of another team")
    assert not show_model(tmp_path, "fruit").signed
    monkeypatch.setenv("LUTHIER_KEY", "short")
    with pytest.raises(ModelError, match="has 5 characters, which can be guessed"):
        show_model(tmp_path, "fruit")


def test_a_signature_is_of_these_bytes_with_this_key(monkeypatch):
    assert verified(b"x", sign(b"x"))
    assert not verified(b"y", sign(b"x"))
    assert not verified(b"x", None)
    assert not verified(b"x", "ä")
    signature = sign(b"x")
    key_file().unlink()
    assert not verified(b"x", signature)


def test_a_changed_manifest_or_a_folder_that_was_moved_is_not_what_was_signed(tmp_path):
    saved = keep(tmp_path)
    shutil.copytree(saved.path, saved.path.parent / "7")
    assert not show_model(tmp_path, "fruit", 7).signed
    manifest = json.loads((saved.path / "model.json").read_text())
    (saved.path / "model.json").write_text(json.dumps(manifest | {"study": "another"}))
    with pytest.raises(ModelError, match=r"was not made on this machine, or its model\.json has changed"):
        load_model(tmp_path, "fruit", 1)


def foreign(tmp_path, **more):
    saved = keep(tmp_path, **more)
    (saved.path / "SIGNATURE").write_text("somebody else's")
    return saved


def test_a_model_made_elsewhere_answers_the_same_from_a_process_of_its_own(tmp_path):
    keep(tmp_path)
    new = table(40, 1)
    here = predict(tmp_path, "fruit", new)
    foreign(tmp_path)
    apart = predict(tmp_path, "fruit", new)
    assert apart.values.tolist() == here.values.tolist()
    assert np.array_equal(apart.probabilities, here.probabilities)
    assert score_model(tmp_path, "fruit", data(40, 1)).rows == 40
    with pytest.raises(ModelError, match="trust=True"):
        load_model(tmp_path, "fruit")
    assert load_model(tmp_path, "fruit", trust=True).predict(TRAIN.X).shape == (90,)
    new.loc[1, "weight"] = np.nan
    with pytest.raises(DataError, match="gaps in column 'weight'"):
        predict(tmp_path, "fruit", new)


def test_what_a_model_made_elsewhere_may_use_is_limited(tmp_path, monkeypatch):
    foreign(tmp_path, estimator=DecisionTreeClassifier())
    monkeypatch.setattr(answers, "MEMORY", 100 * 2**20)
    with pytest.raises(ModelError, match="the process that it was loaded in died"):
        predict(tmp_path, "fruit", table(5, 1))
    monkeypatch.setattr(answers, "MEMORY", 4 * 2**30)
    monkeypatch.setattr(answers, "SECONDS", 0.01)
    with pytest.raises(ModelError, match=r"did not answer within 0\.01 s"):
        predict(tmp_path, "fruit", table(5, 1))


def test_the_process_of_its_own_knows_no_keys(monkeypatch):
    monkeypatch.setenv("LUTHIER_KEY", "the key of our team")
    monkeypatch.setenv("LUTHIER_STORE", "postgresql://me:secret@host/db")
    assert not any("secret" in value or "our team" in value for value in answers.environment().values())


def test_joblib_made_elsewhere_is_not_even_loaded_apart(tmp_path):
    model = DecisionTreeClassifier().fit(np.eye(4), [0, 1, 0, 1])
    saved = save_model(tmp_path, "tree", model, meta={}, data=np.eye(4), format="joblib")
    (saved.path / "SIGNATURE").unlink()
    with pytest.raises(ModelError, match="is not signed, so nobody can say where it was made"):
        predict(tmp_path, "tree", np.eye(4))
    assert predict(tmp_path, "tree", np.eye(4), trust=True).values.tolist() == [0, 1, 0, 1]
    assert os.environ.get("LUTHIER_KEY") is None
