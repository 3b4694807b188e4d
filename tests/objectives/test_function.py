import math
import sys
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from luthier.errors import ObjectiveError
from luthier.executors import Job
from luthier.executors.worker import JobContext
from luthier.objectives import Context, as_task, import_objective, metrics_of
from luthier.space import Choice, Float, Int, Params, Space

SPACE = Space(
    lr=Float(0.1, 1.0),
    layers=Int(1, 6),
    optimizer=Choice("adam", "sgd"),
    momentum=Float(0.0, 0.99, when={"optimizer": "sgd"}),
)
ADAM: Params = {"lr": 0.5, "layers": 2, "optimizer": "adam"}
SGD: Params = {"lr": 0.5, "layers": 2, "optimizer": "sgd", "momentum": 0.9}


def call(function: Any, params: Mapping[str, Any] = ADAM, space: Space = SPACE) -> Any:
    context = JobContext(Job(0, 1, params, 0), lambda report: None)
    return as_task(function, space, ["loss"])(context)["loss"]


def refusal(function: Any, space: Space = SPACE) -> str:
    with pytest.raises(ObjectiveError) as caught:
        as_task(function, space, ["loss"])
    return str(caught.value)


# --- shapes that are understood ------------------------------------------------------------------


def by_name(lr: float, layers: int, optimizer: str, momentum: float | None = None) -> float:
    return layers if momentum is None else momentum


class Trainer:
    def train(self, lr: float, layers: int, optimizer: str, momentum: float = -1.0) -> float:
        return momentum

    def __call__(self, trial: Context) -> float:
        return float(trial.params["layers"])  # type: ignore[arg-type]


def test_a_function_may_take_the_parameters_by_name() -> None:
    assert call(by_name) == 2.0
    assert call(by_name, SGD) == 0.9


@pytest.mark.parametrize(
    "function",
    [
        lambda trial: trial.params["layers"],
        lambda t: t.params["layers"],
        lambda t, verbose=False: t.params["layers"],
        lambda trial, layers: layers + 0 * trial.number,
        lambda lr, layers, optimizer, trial, momentum=0: layers + 0 * trial.number,
        lambda trial, **params: params["layers"],
        lambda **params: params["layers"],
        lambda lr, **params: params["layers"],
        lambda *, layers, **params: layers,
        lambda lr, layers, optimizer, momentum=None, data=None: layers,
        partial(lambda data, lr, layers, optimizer, momentum=None: layers, "the data"),
        partial(lambda lr, layers, optimizer, data, momentum=None: layers, data="the data"),
        partial(lambda data, trial: trial.params["layers"], "the data"),
        Trainer(),
    ],
)
def test_every_natural_shape_works(function: Callable[..., Any]) -> None:
    assert call(function) == 2.0


def test_bound_methods_work() -> None:
    assert call(Trainer().train) == -1.0
    assert call(Trainer().train, SGD) == 0.9


def test_an_annotation_tells_the_trial_from_a_parameter() -> None:
    def quoted(t: "Context", lr: float) -> float:
        return lr + t.number

    def plain(lr: float, info: Context) -> float:
        return lr + info.number

    assert call(quoted) == 0.5
    assert call(plain) == 0.5


def test_a_parameter_of_the_space_called_trial_is_a_parameter() -> None:
    assert call(lambda trial: 2 * trial, {"trial": 0.25}, Space(trial=Float(0, 1))) == 0.5


def test_one_parameter_of_a_space_of_one_is_that_parameter() -> None:
    assert call(lambda x: 2 * x, {"x": 0.25}, Space(x=Float(0, 1))) == 0.5


def test_names_that_are_no_identifiers_can_be_taken_as_keywords() -> None:
    space = Space({"a b": Float(0, 1)})
    assert call(lambda **params: params["a b"], {"a b": 0.5}, space) == 0.5
    assert "read trial.params" in refusal(lambda x, y: x, Space({"a b": Float(0, 1), "x": 1, "y": 2}))


# --- shapes that are refused at once -------------------------------------------------------------


def test_a_conditional_parameter_needs_a_default() -> None:
    said = refusal(lambda lr, layers, optimizer, momentum: 0.0)
    assert "needs 'momentum', which exists only where optimizer is 'sgd'" in said
    assert "momentum=None" in said


def test_a_parameter_that_the_space_lacks_is_named_with_the_near_one() -> None:
    said = refusal(lambda lr, layer, optimizer, momentum=None: 0.0)
    assert "needs 'layer', which is not in the space. Did you mean 'layers'?" in said


def test_a_parameter_that_the_function_lacks_is_named_with_the_near_one() -> None:
    said = refusal(lambda lr, optimizer, momentum=None, layrs=2: 0.0)
    assert "does not take 'layers', which is in the space. Did you mean 'layrs'?" in said
    assert "does not take 'layers'" in refusal(lambda lr, optimizer, momentum=None: 0.0)


def test_a_single_misspelt_parameter_is_not_taken_for_the_trial() -> None:
    assert "Did you mean 'layers'?" in refusal(lambda layer: 0.0)


def test_positional_only_parameters_cannot_be_passed_by_name() -> None:
    def function(lr: float, /, **params: float) -> float:
        return lr

    assert "Drop the '/'" in refusal(function)


@pytest.mark.parametrize("thing", [None, 3, "train", {"loss": 1}, [by_name]])
def test_what_cannot_be_called_is_no_objective(thing: object) -> None:
    assert "cannot be called. Pass a function: def train(trial): ..." in refusal(thing)


def test_a_function_whose_parameters_cannot_be_read_is_refused() -> None:
    assert "Wrap it in a function" in refusal(max)


# --- results -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [0.5, np.float32(0.5), np.array(0.5), Fraction(1, 2), {"loss": 0.5}, {"loss": np.float64(0.5)}],
)
def test_one_number_or_a_mapping_is_a_result(value: object) -> None:
    metrics = metrics_of(value, ["loss"])
    assert metrics == {"loss": 0.5}
    assert type(metrics["loss"]) is float


def test_other_metrics_are_kept() -> None:
    result = {"loss": 1, "accuracy": np.int64(2), "converged": True}
    assert metrics_of(result, ["loss"]) == {"loss": 1.0, "accuracy": 2.0, "converged": 1.0}


def test_not_a_number_and_infinity_are_numbers() -> None:
    assert math.isnan(metrics_of(math.nan, ["loss"])["loss"])
    assert metrics_of({"loss": -np.inf}, ["loss"]) == {"loss": -math.inf}


@pytest.mark.parametrize(
    ("result", "objectives", "says"),
    [
        (None, ["loss"], "the objective returned nothing; return {'loss': ...}."),
        (None, ["a", "b"], "return {'a': ..., 'b': ...}."),
        (0.5, ["a", "b"], "returned 0.5, and the study has 2 objectives; return {'a': ..., 'b': ...}."),
        ("0.5", ["loss"], "the metric 'loss' is '0.5' (str). Use one number."),
        ((0.5, 0.6), ["loss"], "the metric 'loss' is (0.5, 0.6) (tuple)"),
        (np.array([0.5]), ["loss"], "the metric 'loss' is array([0.5]) (ndarray)"),
        (1j, ["loss"], "the metric 'loss' is 1j (complex)"),
        (10**400, ["loss"], "(int). Use one number"),
        (True, ["loss"], "returned True, which is not a number"),
        ({"loss": np.bool_(True)}, ["loss"], "which is not a number"),
        ({"loss": None}, ["loss"], "the metric 'loss' is None"),
        ({"loss": 1.0, "note": "x"}, ["loss"], "the metric 'note' is 'x'"),
        ({1: 1.0}, ["loss"], "a metric named 1"),
        ({}, ["loss"], "returned an empty mapping; return {'loss': ...}."),
        (
            {"acuracy": 1.0},
            ["accuracy"],
            "'acuracy' but not 'accuracy', which this study optimises. Did you mean 'acuracy'?",
        ),
        (
            {"f1": 1.0},
            ["loss"],
            "returned 'f1' but not 'loss', which this study optimises. Return {'loss': ...}",
        ),
    ],
)
def test_nonsense_is_refused_with_a_sentence(result: object, objectives: list[str], says: str) -> None:
    with pytest.raises(ObjectiveError) as caught:
        metrics_of(result, objectives)
    assert says in str(caught.value)


def test_a_task_checks_all_objectives_of_its_study() -> None:
    task = as_task(lambda trial: {"a": 1.0}, SPACE, ["a", "b"])
    with pytest.raises(ObjectiveError, match="'a' but not 'b'"):
        task(JobContext(Job(0, 1, ADAM, 0), lambda report: None))


# --- by name -------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def refused(reference: str) -> str:
    with pytest.raises(ObjectiveError) as caught:
        import_objective(reference)
    return str(caught.value)


def test_a_function_is_found_in_the_current_folder(folder: Path) -> None:
    (folder / "lt_train.py").write_text("def train(trial): return 1\nclass Best:\n  def fit(trial): return 2")
    assert import_objective("lt_train:train")(None) == 1
    assert import_objective("lt_train:Best.fit")(None) == 2


def test_a_function_is_found_by_the_path_of_its_file(folder: Path) -> None:
    (folder / "deep").mkdir()
    (folder / "deep" / "lt_fit.py").write_text("import lt_beside\ndef train(trial): return lt_beside.X")
    (folder / "deep" / "lt_beside.py").write_text("X = 3")
    assert import_objective("deep/lt_fit.py:train")(None) == 3
    assert import_objective(f"{folder}/deep/lt_fit:train")(None) == 3


def test_what_is_not_there_is_named_with_the_near_thing(folder: Path) -> None:
    (folder / "lt_train.py").write_text("def train(trial): return 1\nDATA = 3")
    assert "there is no module 'lt_trian'" in refused("lt_trian:train")
    assert "Did you mean 'lt_train'?" in refused("lt_trian:train")
    assert "'lt_train' has no function 'trian'. Did you mean 'train'?" in refused("lt_train:trian")
    assert "lt_train.py" in refused("./lt_tran.py:train")
    assert "there is no module 'lt_pkg'" in refused("lt_pkg.inner:train")
    assert "is 3, which cannot be called" in refused("lt_train:DATA")
    assert "Write 'module:function'" in refused("lt_train")
    assert "Write 'module:function'" in refused("lt_train:")


def test_a_module_that_breaks_on_import_says_where(folder: Path) -> None:
    (folder / "lt_broken.py").write_text("\nx = 1 / 0")
    (folder / "lt_needy.py").write_text("import no_such_library")
    (folder / "lt_leaves.py").write_text("raise SystemExit(2)")
    (folder / "lt_typo.py").write_text("def train(:")
    assert "'lt_broken' cannot be imported: ZeroDivisionError" in refused("lt_broken:train")
    assert "lt_broken.py, line 2)" in refused("lt_broken:train")
    assert "No module named 'no_such_library'" in refused("lt_needy:train")
    assert "cannot be imported: SystemExit: 2" in refused("lt_leaves:train")
    assert "SyntaxError" in refused("lt_typo:train")


def test_a_file_named_like_an_imported_module_is_refused(folder: Path) -> None:
    (folder / "json.py").write_text("def train(trial): return 1")
    assert "Rename the file." in refused("json.py:train")
