from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.cli.conftest import Luthier

Study = Callable[..., str]
BODY = """
    for step in (1, 2):
        trial.report(step, loss=x)
        (trial.workdir / "model.txt").write_text("m" * 1500)
        trial.checkpoint(trial.workdir / "model.txt")
    trial.save("scores", trial.workdir / "model.txt")
    return x"""


def test_what_is_kept_of_trials_is_shown(luthier: Luthier, study: Study, folder: Path) -> None:
    file = folder / study(BODY, name="kept", trials=3)
    file.write_text(file.read_text() + '\n[files]\nkeep = "best"\nbest = 1\nquota = "10 GB"\n')
    said = luthier("run", file.name)
    assert said.code == 0, said.err
    assert "files  " in said.out
    assert "6 kB of 10 GB" in said.out
    assert "6 kB of 10 GB" in luthier("show", "kept").out

    listed = luthier("files", "kept")
    assert listed.out.splitlines()[0].split() == ["trial", "takes", "checkpoints", "artifacts"]
    assert listed.out.splitlines()[-1].split() == ["all", "6", "kB", "of", "10", "GB"]
    assert listed.out.count("step 2") == 1
    found = luthier("files", "kept", "--json").json
    assert (found["used"], found["quota"]) == (6000, 10e9)
    (best,) = (trial for trial in found["trials"] if trial["checkpoints"])
    assert best["number"] == luthier("show", "kept", "--json").json["best"]["number"]
    assert Path(best["checkpoints"][0]["path"]).read_text() == "m" * 1500

    one = luthier("show", "kept", str(best["number"])).out
    assert "checkpoint   step 2   " in one
    assert "artifact     scores   " in one
    assert (
        best["checkpoints"][0]["path"].rpartition("work/")[2]
        in luthier("files", "kept", str(best["number"])).out
    )
    other = next(trial["number"] for trial in found["trials"] if not trial["checkpoints"])
    assert "checkpoint" not in luthier("show", "kept", str(other)).out
    assert luthier("show", "kept", str(other), "--json").json["files"]["checkpoints"] == []


def test_a_study_without_files_says_nothing_of_them(luthier: Luthier, study: Study) -> None:
    assert "files" not in luthier("run", study(name="none")).out
    assert "No trial of 'none' has kept" in luthier("files", "none").err
    assert "none #0   no files" in luthier("files", "none", "0").out
    assert luthier("files", "none", "--json").json == {
        "study": "none",
        "used": 0,
        "quota": None,
        "trials": [],
    }


def test_what_a_study_file_says_of_files_is_checked(luthier: Luthier, study: Study, folder: Path) -> None:
    file = folder / study(name="wrong")
    before = file.read_text()
    for line, says in {
        'keep = "some"': "files are kept 'some'",
        'quota = "10 parsecs"': 'files.quota is "10 parsecs". Use a number of bytes or a size with a unit, as in quota',
        "kep = 3": "unknown key 'files.kep'",
        "best = 0": "files.best is 0",
    }.items():
        file.write_text(f"{before}\n[files]\n{line}\n")
        said = luthier("run", file.name)
        assert said.code == 2
        assert says in said.err, said.err
