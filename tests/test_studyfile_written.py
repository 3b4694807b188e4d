"""Study files: validation as a table, None, and studies written as TOML and as Python."""

from __future__ import annotations

import math
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

import luthier as lt
from luthier.errors import InvalidStudy
from luthier.objectives.crossval import CrossValidation
from luthier.space import Choice, Const
from luthier.studyfile import (
    StudyFile,
    Validation,
    absolute,
    from_given,
    read,
    space_given,
    to_python,
    to_toml,
)
from tests.space.strategies import spaces

HERE = Path("/somewhere/study.toml")
TREE = {"estimator": "sklearn.tree:DecisionTreeClassifier", "data": "iris", "maximize": "accuracy"}
RICH: dict[str, Any] = {
    **TREE,
    "name": 'rf "2" é\x7f\n\\',
    "cv": {"share": 0.25},
    "holdout": 0.2,
    "scoring": ["f1_macro"],
    "params": {"max_features": None, "class_weight": {"a b": 2.0}, "min_samples_leaf": 2},
    "algorithm": {"name": "grid", "levels": 3, "skip": [{"criterion": "gini", "max_depth": None}]},
    "stopping": ["median", {"name": "race"}],
    "workers": 2,
    "trial_memory": "2 GB",
    "space": {
        "max_depth": {"choice": [1, "sqrt", None, 0.5, True, 1.0]},
        "criterion": {"choice": ["gini", "entropy"]},
        "splitter": {"const": None},
        "min_samples_split": {"int": [2, 9], "log": True, "when": {"max_depth": [1, None]}},
        "ccp alpha": {"float": [1e-9, 1e22], "log": True},
    },
    "budget": {"trials": 3, "seconds": "auto"},
    "models": {"best": 2, "thresholds": {"accuracy": 0.5}},
}


def cross_validation(**changes: Any) -> CrossValidation:
    made = from_given({**TREE, **changes}, HERE).objective()
    assert isinstance(made, CrossValidation)
    return made


# --- validation --------------------------------------------------------------------------------


def test_a_share_is_kept_back_once_of_every_class_alike() -> None:
    made = cross_validation(cv={"share": 0.2})
    ((train, test),) = made.splits
    assert (len(train), len(test)) == (120, 30)
    assert np.bincount(np.asarray(made.data.y)[test]).tolist() == [10, 10, 10]
    assert not np.array_equal(np.sort(test), test), "in random order"
    plain = cross_validation(cv={"share": 0.2, "stratified": False})
    assert np.bincount(np.asarray(made.data.y)[plain.splits[0][1]]).tolist() != [10, 10, 10]


def test_folds_are_what_a_number_makes_unless_something_else_is_said() -> None:
    usual = cross_validation(cv=4)
    assert cross_validation(cv={"folds": 4}).splits_hash == usual.splits_hash
    assert (
        cross_validation(cv={"folds": 4, "shuffle": True, "stratified": True}).splits_hash
        == usual.splits_hash
    )
    in_order = cross_validation(cv={"folds": 3, "shuffle": False, "stratified": False})
    assert in_order.splits[0][1].tolist() == list(range(50))


def test_rows_of_a_group_stay_together_and_their_column_is_no_feature(tmp_path: Path) -> None:
    rows = [f"{i},{i % 7},{'abcdefgh'[i % 8]},{i // 3 % 2}" for i in range(80)]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,who,y", *rows]))
    about = {"data": str(tmp_path / "t.csv"), "target": "y"}
    for cv in (
        {"folds": 4, "groups": "who"},
        {"share": 0.25, "groups": "who"},
        {"folds": 2, "groups": "who", "stratified": False},
    ):
        made = cross_validation(**about, cv=cv, holdout=0.25)
        assert list(made.data.X.columns) == ["a", "b"]
        for train, test in made.splits:
            assert not {int(row) % 8 for row in train} & {int(row) % 8 for row in test}
            assert made.locked is not None
            assert not {int(row) % 8 for row in made.locked} & {int(row) % 8 for row in (*train, *test)}
    with pytest.raises(InvalidStudy, match=r"cv\.groups is \"whom\".*who"):
        cross_validation(**about, cv={"folds": 4, "groups": "whom"})
    with pytest.raises(InvalidStudy, match="have no names"):
        cross_validation(cv={"folds": 4, "groups": "who"})


def test_in_order_of_time_a_fold_trains_on_what_came_before_and_the_last_rows_are_locked() -> None:
    made = cross_validation(
        estimator="sklearn.linear_model:Ridge",
        data="diabetes",
        maximize="r2",
        cv={"folds": 3, "time": True},
        holdout=0.1,
    )
    assert all(train.max() < test.min() for train, test in made.splits)
    assert made.locked is not None
    assert made.locked.tolist() == list(range(442 - 45, 442))
    assert max(test.max() for _, test in made.splits) < made.locked.min()


@pytest.mark.parametrize(
    ("cv", "said"),
    [
        (1, "cv is 1"),
        (True, "cv is true"),
        ("five", 'cv is "five"'),
        ({}, "neither folds nor share"),
        ({"folds": 5, "share": 0.2}, "both folds and share"),
        ({"share": 1.0}, "cv.share is 1.0"),
        ({"share": 0.2, "shuffle": False}, "cv.shuffle is false"),
        ({"folds": 1}, "cv.folds is 1"),
        ({"fold": 5}, "unknown key 'cv.fold'"),
        ({"folds": 5, "time": True, "groups": "x"}, "cv.groups does not"),
        ({"folds": 5, "shuffle": "yes"}, "cv.shuffle"),
        ({"share": 0.2, "groups": "x", "stratified": True}, "cannot be stratified"),
    ],
)
def test_a_validation_that_means_nothing_is_refused_in_a_sentence_that_names_the_key(
    cv: Any, said: str
) -> None:
    with pytest.raises(InvalidStudy) as caught:
        from_given({**TREE, "cv": cv}, HERE)
    assert said in str(caught.value)


def test_a_regressor_has_no_classes_to_stratify_by() -> None:
    with pytest.raises(InvalidStudy, match="no classifier"):
        cross_validation(
            estimator="sklearn.linear_model:Ridge",
            data="diabetes",
            maximize="r2",
            cv={"folds": 3, "stratified": True},
        )
    with pytest.raises(InvalidStudy, match="holdout is 2"):
        from_given({**TREE, "holdout": 2}, HERE)
    with pytest.raises(InvalidStudy, match="holdout belongs to an estimator"):
        from_given({"function": "a:b", "minimize": "x", "space": {"x": 1}, "holdout": 0.1}, HERE)


# --- None --------------------------------------------------------------------------------------


def test_none_can_be_said_for_a_parameter_and_among_others_in_its_place() -> None:
    text = """
    estimator = "sklearn.tree:DecisionTreeClassifier"
    data = "iris"
    params = { max_features = { none = true } }
    [space]
    max_depth = [1, "sqrt", { none = true }, 0.5]
    splitter = { const = { none = true } }
    min_samples_leaf = { int = [1, 5], when = { max_depth = { none = true } } }
    """
    study = from_given(tomllib.loads(text), HERE)
    assert study.params == {"max_features": None}
    assert study.space is not None
    assert study.space["max_depth"] == Choice(1, "sqrt", None, 0.5)
    assert study.space["splitter"] == Const(None)
    assert study.space.conditions("min_samples_leaf")[0].values == (None,)


# --- written -----------------------------------------------------------------------------------


def test_a_study_file_that_is_written_means_the_same_and_is_pleasant_to_read() -> None:
    text = to_toml(RICH)
    assert from_given(tomllib.loads(text), HERE) == from_given(RICH, HERE)
    assert "cv = { share = 0.25 }" in text
    assert 'max_depth = [1, "sqrt", { none = true }, 0.5, true, 1.0]' in text
    assert text.index("estimator") < text.index("[space]") < text.index("[budget]")
    assert to_toml(tomllib.loads(text)) == text


values = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
)  # fmt: skip


@drawn(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
        st.lists(values, max_size=4),
        max_size=3,
    ),
    spaces(most=4),
)
def test_whatever_is_written_is_read_as_it_was(params: dict[str, Any], space: lt.Space) -> None:
    given = {**TREE, "params": params, "space": space_given(space)}
    found = from_given(tomllib.loads(to_toml(given)), HERE)
    assert repr(found.params) == repr(params)
    assert found.space == space


def test_what_cannot_be_written_down_is_refused() -> None:
    with pytest.raises(InvalidStudy, match="cannot be written"):
        to_toml({**TREE, "params": {"a": object()}})
    with pytest.raises(InvalidStudy, match="Unicode"):
        to_toml({**TREE, "name": "\ud800"})
    assert math.isinf(tomllib.loads(to_toml({"a": math.inf}))["a"])


def test_paths_are_whole_ones_when_a_study_file_is_to_be_read_from_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "prepare.py").touch()
    given = absolute(
        {
            **TREE,
            "data": {"source": "t.csv", "target": "y.npy"},
            "preprocess": "prepare:make",
            "store": "x.db",
        },
        tmp_path,
    )
    assert given["data"] == str(tmp_path / "t.csv")
    assert given["target"] == str(tmp_path / "y.npy")
    assert given["preprocess"] == f"{tmp_path / 'prepare.py'}:make"
    assert "store" not in given
    assert absolute(given, Path("/other")) == given
    assert absolute({**TREE, "command": "python train.py"}, tmp_path)["command"] == {
        "run": "python train.py",
        "cwd": str(tmp_path),
    }
    assert absolute(TREE, tmp_path)["data"] == "iris"


# --- as Python ---------------------------------------------------------------------------------

TABLE = "\n".join(["a,b,who,y", *(f"{i},{i % 7},{'abcdefgh'[i % 8]},{i // 3 % 2}" for i in range(80))])
STUDIES: dict[str, dict[str, Any]] = {
    "grid": {
        **TREE,
        "params": {"max_features": None, "min_samples_leaf": 2},
        "cv": {"share": 0.2},
        "scoring": ["f1_macro"],
        "algorithm": {"name": "grid", "skip": [{"max_depth": None}]},
        "space": {"max_depth": {"choice": [1, 2, None]}, "criterion": ["gini", "entropy"]},
        "models": {"best": 0},
        "seed": 3,
    },
    "groups": {
        **TREE,
        "data": "table.csv",
        "target": "y",
        "cv": {"folds": 3, "groups": "who"},
        "stopping": ["median", "race"],
        "space": {"min_samples_leaf": {"int": [1, 9], "log": True}, "max_depth": {"choice": [2, None]},
                  "ccp_alpha": {"float": [1e-6, 0.1], "log": True, "when": {"max_depth": [None]}}},
        "budget": {"trials": 2, "until": "noise"},
        "trial_seconds": 20,
    },
    "function": {
        "function": "train:train",
        "minimize": ["loss"],
        "algorithm": {"name": "evolution", "population": 10},
        "space": {"x": {"float": [], "prior": {"normal": [0, 1]}}, "word": "a \"b\" 'c'"},
        "budget": {"trials": 2},
    },
    "command": {
        "command": {"run": "{python} -c 'print(\"loss=0.5\")'", "params": "environment", "env": {"A": "1"}},
        "metrics": {"loss": "loss=([0-9.]+)"},
        "minimize": "loss",
        "space": {"x": {"float": [0, 1], "step": 0.5}},
        "budget": {"trials": 2, "deadline": "2099-01-01 10:00"},
    },
}  # fmt: skip


BOTH = """
import os, runpy, sys
from luthier.cli.main import main
for name in sys.argv[1:]:
    print(f"--- {name}", file=sys.stderr, flush=True)
    os.chdir(name)
    os.environ["LUTHIER_STORE"] = "a.db"
    runpy.run_path("script.py", run_name="__main__")
    os.environ["LUTHIER_STORE"] = "b.db"
    main(["run", "study.toml"], standalone_mode=False)
    sys.modules.pop("train", None)
    os.chdir("..")
"""
"""Runs studies in folders of their own, as scripts and from the command line: in one process, as it takes long to begin one."""


def test_the_script_asks_what_the_study_file_asks(tmp_path: Path) -> None:
    for name, given in STUDIES.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / "table.csv").write_text(TABLE)
        (folder / "train.py").write_text("def train(x, word):\n    return x * x\n")
        (folder / "study.toml").write_text(to_toml({**given, "name": name}))
        (folder / "script.py").write_text(to_python({**given, "name": name}, folder / "study.toml"))
    done = subprocess.run(
        [sys.executable, "-c", BOTH, *STUDIES], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for name in STUDIES:
        one, other = (lt.load(name, str(tmp_path / name / store)) for store in ("a.db", "b.db"))
        assert one.spec == other.spec, name
        assert [trial.params for trial in one.trials] == [trial.params for trial in other.trials], name
        one.close()
        other.close()


def test_the_script_is_short_and_has_no_line_that_is_too_long() -> None:
    text = to_python(STUDIES["grid"] | {"name": "grid"})
    assert max(map(len, text.splitlines())) <= 100
    assert text.count("\n") < 40
    compile(text, "script", "exec")
    rich = to_python({**RICH, "name": "rich"})
    compile(rich, "script", "exec")


def test_a_study_file_knows_what_its_validation_is(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(to_toml({**TREE, "cv": {"folds": 5, "shuffle": False}}))
    study = read(tmp_path / "a.toml")
    assert isinstance(study, StudyFile)
    assert study.cv == Validation(folds=5, shuffle=False)


def test_what_is_left_open_is_not_written() -> None:
    given = {
        **TREE,
        "target": None,
        "cv": {"folds": 5, "groups": None},
        "budget": {"trials": None, "seconds": 5},
        "models": {"best": None},
    }
    text = to_toml(given)
    assert "none" not in text
    assert from_given(tomllib.loads(text), HERE) == from_given(given, HERE)
    assert from_given(given, HERE).cv == 5
