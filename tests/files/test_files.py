"""Checkpoints and artifacts of studies: gone on from, kept, thrown away."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import luthier as lt
from luthier.errors import InvalidStudy
from luthier.executors import Executor
from luthier.study import Fidelity, History, Objective, Problem, Proposal, State, Trial
from luthier.study.trial import Report

SPACE = lt.Space(x=lt.Int(0, 100))


def store(folder: Path) -> str:
    return str(folder / "s.db")


def texts(study: lt.Study) -> dict[int, list[str]]:
    """What is in the checkpoints, by trial."""
    return {found.number: [c.path.read_text() for c in found.checkpoints] for found in study.files}


def epochs(trial: lt.Context) -> float:
    """Five steps, each written down where it was really run."""
    ran = Path(os.environ["LUTHIER_RAN"])
    state = trial.workdir / "state.txt"
    done = [] if trial.restored is None else trial.restored.read_text().split()
    assert trial.restored_step == (int(done[-1]) if done else None)
    for step in range(len(done) + 1, 6):
        with ran.open("a") as file:
            file.write(f"{trial.number}.{step} ")
        trial.report(step, loss=1 / step)
        if step == 4 and trial.attempt == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        done.append(str(step))
        state.write_text(" ".join(done))
        trial.checkpoint(state)
    trial.save("last", state)
    return 0.0


def test_a_killed_trial_goes_on_from_its_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LUTHIER_RAN", str(tmp_path / "ran"))
    study = lt.tune(
        epochs,
        SPACE,
        minimize="loss",
        trials=2,
        executor=lt.Processes(1),
        name="a",
        store=store(tmp_path),
        progress=False,
    )
    assert [trial.attempt for trial in study.trials] == [2, 2]
    assert (tmp_path / "ran").read_text().split() == [
        f"{n}.{step}" for n in (0, 1) for step in (1, 2, 3, 4, 4, 5)
    ]
    assert [report.step for report in study.trials[0].reports] == [
        1,
        2,
        3,
        4,
        5,
    ]  # the fourth twice, and no error
    assert texts(study) == {0: ["1 2 3 4 5"], 1: ["1 2 3 4 5"]}
    assert study.files[1].artifacts["last"].read_text() == "1 2 3 4 5"
    assert study.files[1].checkpoint is not None
    assert study.files.used == 4 * len("1 2 3 4 5")


# --- promotion -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Grow:
    """Every trial goes on from the one before."""

    def start(self, problem: Problem) -> Growing:
        return Growing()


class Growing:
    def __init__(self) -> None:
        self.ended = 0

    def tell(self, trials: Sequence[Trial]) -> None:
        self.ended += len(trials)

    def ask(self, pending: Sequence[Trial], rng: np.random.Generator) -> Proposal | None:
        if pending:
            return None
        parent = self.ended - 1 if self.ended else None
        return Proposal({"x": self.ended}, fidelity=float(self.ended + 1), parent=parent)


def grown(trial: lt.Context) -> float:
    first = trial.restored_step or 0
    for step in range(first + 1, int(trial.fidelity or 0) + 1):
        trial.report(step, loss=0.0)
    path = trial.workdir / "state.txt"
    path.write_text(("" if trial.restored is None else trial.restored.read_text()) + str(trial.number))
    trial.checkpoint(path, move=True)
    return float(first)


@pytest.mark.parametrize("kept", [False, True], ids=["in memory", "kept"])
@pytest.mark.parametrize("executor", [lt.Inline(), lt.Processes(2)], ids=["inline", "processes"])
def test_a_promoted_trial_goes_on_from_the_checkpoint_of_its_parent(
    tmp_path: Path, executor: Executor, kept: bool
) -> None:
    study = lt.tune(
        grown,
        SPACE,
        minimize="loss",
        trials=4,
        algorithm=Grow(),
        executor=executor,
        name="a" if kept else None,
        store=store(tmp_path) if kept else None,
        progress=False,
    )
    assert [trial.metrics["loss"] for trial in study.trials] == [0.0, 1.0, 2.0, 3.0]
    assert texts(study) == {0: ["0"], 1: ["01"], 2: ["012"], 3: ["0123"]}


def test_a_promoted_trial_goes_on_from_its_parent_when_people_ask_and_tell(tmp_path: Path) -> None:
    for url, name in (("memory", None), (store(tmp_path), "a")):
        study = lt.Study(SPACE, minimize="loss", algorithm=Grow(), name=name, store=url)
        folders = []
        for _ in range(3):
            trial = study.ask()
            study.tell(trial, grown(trial))  # type: ignore[arg-type]
            folders.append(trial.workdir)
        assert texts(study) == {0: ["0"], 1: ["01"], 2: ["012"]}
        assert [trial.metrics["loss"] for trial in study.trials] == [0.0, 1.0, 2.0]
        study.close()


def test_a_trial_given_back_goes_on_for_whoever_asks_next(tmp_path: Path) -> None:
    study = lt.Study(SPACE, minimize="loss", name="a", store=store(tmp_path))
    trial = study.ask()
    trial.report(7, loss=1.0)
    (trial.workdir / "w").write_text("seven")
    trial.checkpoint(trial.workdir / "w")
    study.close()
    again = lt.load("a", store(tmp_path), readonly=False)
    trial = again.ask()
    assert (trial.number, trial.attempt, trial.restored_step) == (0, 2, 7)
    assert trial.restored is not None
    assert trial.restored.read_text() == "seven"
    again.close()


# --- where ----------------------------------------------------------------------------------------


def test_a_study_in_memory_makes_a_folder_only_for_what_is_kept_and_removes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def train(trial: lt.Context) -> float:
        if trial.params["x"] == 100:
            (trial.workdir / "a").write_text("x")
            trial.checkpoint(trial.workdir / "a")
        return 0.0

    study = lt.tune(train, lt.Space(x=lt.Int(0, 9)), minimize="loss", trials=3, progress=False)
    more = lt.tune(train, SPACE, minimize="loss", trials=1, start=[{"x": 100}], progress=False)
    (folder,) = tmp_path.iterdir()
    assert folder == more.files.root
    assert folder.stat().st_mode & 0o777 == 0o700
    assert texts(study) == {}
    del study, more
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_a_new_study_does_not_go_on_from_files_of_an_old_one_of_its_name(tmp_path: Path) -> None:
    def train(trial: lt.Context) -> float:
        assert trial.restored is None
        (trial.workdir / "a").write_text("x")
        trial.checkpoint(trial.workdir / "a")
        return 0.0

    for _ in range(2):
        study = lt.tune(
            train, SPACE, minimize="loss", trials=1, name="a", store=store(tmp_path), progress=False
        )
        assert study.trials[0].state is State.COMPLETED
        study.close()
        for path in tmp_path.glob("s.db*"):
            path.unlink()


def test_a_thread_left_behind_hands_nothing_over(tmp_path: Path) -> None:
    held: list[lt.Context] = []

    def train(trial: lt.Context) -> float:
        held.append(trial)
        return 0.0

    study = lt.tune(train, SPACE, minimize="loss", trials=1, name="a", store=store(tmp_path), progress=False)
    (tmp_path / "late").write_text("x")
    with pytest.raises(lt.Stop):
        held[0].checkpoint(tmp_path / "late")
    with pytest.raises(lt.Stop):
        held[0].save("late", tmp_path / "late")
    assert texts(study) == {}


# --- what is kept ---------------------------------------------------------------------------------


def three_steps(trial: lt.Context) -> float:
    """Three checkpoints of 1,000 bytes and an artifact of 100."""
    x = int(trial.params["x"] or 0)
    state = trial.workdir / "state"
    for step in (1, 2, 3):
        trial.report(step, loss=x)
        state.write_text(f"{step}" * 1000)
        trial.checkpoint(state)
    state.write_text("a" * 100)
    trial.save("artifact", state)
    if x == 50:
        raise ValueError("failed after all")
    return x


ORDER = [{"x": x} for x in (5, 3, 50, 9, 1, 7)]  # trial 4 is the best, then 1, 0, 5, 3; 2 fails


def kept(folder: Path, files: lt.Files | None) -> tuple[dict[int, list[int | None]], set[int], lt.Study]:
    """Steps of checkpoints by trial, and trials with an artifact."""
    study = lt.tune(
        three_steps,
        SPACE,
        minimize="loss",
        trials=6,
        start=ORDER,
        name="a",
        store=store(folder),
        files=files,
        progress=False,
    )
    found = {f.number: [c.step for c in f.checkpoints] for f in study.files if f.checkpoints}
    return found, {f.number for f in study.files if f.artifacts}, study


def test_the_last_checkpoint_of_each_trial_is_kept_unless_told_otherwise(tmp_path: Path) -> None:
    found, artifacts, study = kept(tmp_path, None)
    assert found == {n: [3] for n in range(6)}
    assert artifacts == set(range(6))
    assert study.files.used == 6 * 1100


def test_all_checkpoints_may_be_kept(tmp_path: Path) -> None:
    assert kept(tmp_path, lt.Files("all"))[0] == {n: [1, 2, 3] for n in range(6)}


def test_the_checkpoints_of_the_best_trials_may_be_kept(tmp_path: Path) -> None:
    found, artifacts, _ = kept(tmp_path, lt.Files("best", best=2))
    assert found == {1: [3], 4: [3]}
    assert artifacts == set(range(6))


def test_beyond_the_quota_the_worst_go_first_and_the_best_stay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found, artifacts, study = kept(tmp_path, lt.Files(best=2, quota=3500))
    assert found == {1: [3], 4: [3]}
    assert artifacts == set(range(6))
    assert study.files.used == 2600
    assert capsys.readouterr().err == ""


def test_beyond_the_quota_older_checkpoints_go_before_last_ones(tmp_path: Path) -> None:
    found, _, study = kept(tmp_path, lt.Files("all", best=1, quota=9000))
    assert found[4] == [1, 2, 3]
    assert all(steps[-1] == 3 for steps in found.values())
    assert 8000 <= study.files.used <= 9000


def test_a_quota_that_cannot_be_kept_is_said_once_and_costs_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found, artifacts, study = kept(tmp_path, lt.Files(best=3, quota=1150))
    assert found == {0: [3], 1: [3], 4: [3]}
    assert artifacts == {0, 1, 4}
    said = capsys.readouterr().err
    assert said.count("luthier: checkpoints and artifacts take") == 1
    assert "of 1.15 kB, and what is left belongs to running trials and the best 3" in said
    assert study.files.used == 3300


def test_settings_stay_with_the_study_and_may_be_changed(tmp_path: Path) -> None:
    kept(tmp_path, lt.Files("all", quota=1e9))[2].close()
    assert lt.load("a", store(tmp_path)).files.settings == lt.Files("all", quota=1e9)
    kept(tmp_path, None)[2].close()
    assert lt.load("a", store(tmp_path)).files.settings == lt.Files("all", quota=1e9)
    found, _, study = kept(tmp_path, lt.Files("best", best=1))
    assert found == {4: [3]}
    assert study.files.settings == lt.Files("best", best=1)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"keep": "lst"}, "Did you mean 'last'?"),
        ({"best": 0}, "Use a whole number of at least 1"),
        ({"quota": "10 GB"}, "Use a number of bytes, as 10e9"),
        ({"quota": -1}, "Use a number of bytes"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidStudy, match=says):
        lt.Files(**settings)  # type: ignore[arg-type]


# --- whose files are needed, decided from a history ------------------------------------------------------


def history_of(trials: Sequence[Trial], fidelity: Fidelity | None = None) -> History:
    history = History(Problem(SPACE, (Objective("loss", "min"),), fidelity=fidelity))
    history.merge(trials, 1)
    return history


def ended(number: int, loss: float, **more: object) -> Trial:
    state = more.pop("state", State.COMPLETED)
    return Trial(number, {"x": number}, state, 1, metrics={"loss": loss}, **more)  # type: ignore[arg-type]


def test_what_may_yet_be_gone_on_from_is_needed() -> None:
    from luthier.files.choose import needed

    at = {"fidelity": 3.0}
    trials = [
        ended(0, 1.0, **at),
        ended(1, 2.0, **at),
        ended(2, 3.0, state=State.FAILED, **at),
        ended(3, 1.0, fidelity=9.0, parent=0),
        Trial(4, {"x": 4}, State.RUNNING, 1, fidelity=9.0, parent=1),
        ended(5, 4.0, **at),
        ended(6, 5.0),
    ]
    history = history_of(trials, Fidelity("epochs", 1, 9))
    assert needed(history, promotable=False) == {1, 4}
    assert needed(history, promotable=True) == {1, 4, 5}


def test_of_a_population_the_last_of_each_line_are_needed() -> None:
    from luthier.files.choose import needed

    trials = [ended(0, 1.0), ended(1, 2.0), ended(2, 1.0, parent=0), ended(3, 1.0, parent=0)]
    assert needed(history_of(trials), promotable=True) == {1, 2, 3}
    assert needed(history_of([ended(0, 1.0)]), promotable=True) == set()


def test_of_members_is_needed_what_whoever_is_behind_may_go_on_from() -> None:
    from luthier.files.choose import needed

    def member(number: int, member: int, generation: int, **more: object) -> Trial:
        tag = {"member": member, "generation": generation}
        return ended(number, 1.0, fidelity=3.0 * (generation + 1), tag=tag, **more)

    trials = [
        member(0, 0, 0),
        member(1, 1, 0),  # its place was taken: nobody will go on from here
        member(2, 0, 1, parent=0),
        member(3, 1, 1, parent=0),
        member(4, 0, 2, parent=2),
        member(5, 1, 1, parent=0, state=State.FAILED),
        Trial(6, {"x": 6}, State.RUNNING, 1, fidelity=9.0, parent=3, tag={"member": 1, "generation": 2}),
    ]
    fidelity = Fidelity("epochs", 1, 12, resumes=True)
    assert needed(history_of(trials, fidelity), promotable=True) == {2, 3, 4, 6}
    assert needed(history_of(trials[:3], fidelity), promotable=True) == {0, 1, 2}


def test_the_worst_come_first() -> None:
    from luthier.files.choose import worst_first

    said = (Report(1, {"loss": 0.1}), Report(2, {"loss": 0.5}))
    trials = [
        ended(0, 0.3, fidelity=9.0),
        ended(1, 0.1, fidelity=3.0),
        Trial(2, {"x": 2}, State.STOPPED, 1, fidelity=9.0, reports=said),
        Trial(3, {"x": 3}, State.STOPPED, 1, fidelity=9.0),
        Trial(4, {"x": 4}, State.FAILED, 1),
        ended(5, 0.2, fidelity=9.0),
    ]
    order = worst_first(trials, history_of(trials, Fidelity("epochs", 1, 9)))
    assert [trial.number for trial in order] == [4, 3, 2, 1, 0, 5]


KILLS_ITS_ENGINE = """
import os, signal, sys, threading
from pathlib import Path
import luthier as lt

def train(trial):
    first = (trial.restored_step or 0) + 1
    for step in range(first, 6):
        with open("ran", "a") as file:
            file.write(f"{step} ")
        trial.report(step, loss=step)
        (trial.workdir / "w").write_text(str(step))
        trial.checkpoint(trial.workdir / "w", move=True)
        if step == 3 and trial.attempt == 1:
            os.kill(os.getppid(), signal.SIGKILL)
            threading.Event().wait()
    return first

study = lt.tune(train, lt.Space(x=lt.Float(0, 1)), minimize="loss", trials=1, executor=lt.Processes(1), name="a",
                store="s.db", progress=False)
print(study.trials[0].metrics["loss"], study.trials[0].attempt, study.files[0].checkpoint.read_text())
"""


def test_a_study_whose_engine_was_killed_goes_on_from_the_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "study.py").write_text(KILLS_ITS_ENGINE)
    root = Path(__file__).parents[2] / "src"
    command = [sys.executable, "study.py"]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    killed = subprocess.run(command, cwd=tmp_path, env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    again = subprocess.run(
        command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True, timeout=60
    )
    assert again.stdout.split() == ["4.0", "2", "5"]
    assert (tmp_path / "ran").read_text().split() == ["1", "2", "3", "4", "5"]
