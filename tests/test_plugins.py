import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from luthier import plugins
from luthier.errors import InvalidStudy, UnknownName
from luthier.optimizers import Auto, Evolution, Grid, Optimizer, Random, Sobol
from luthier.study import History, Named, Problem, Trial


@dataclass(frozen=True)
class Mine:
    """An algorithm of the user's own."""

    greed: float = 0.5
    names: tuple[str, ...] = ()
    callback: Any = field(default=None, repr=False)

    def start(self, problem: Problem) -> Optimizer:
        return Random().start(problem)


@dataclass(frozen=True)
class Patience:
    """A policy of the user's own."""

    steps: int = 3

    def judge(self, trial: Trial, history: History) -> str | None:
        return None


class NoData:
    def start(self, problem: Problem) -> Optimizer:
        return Random().start(problem)


def test_every_built_in_goes_by_its_name() -> None:
    found = {name: plugins.algorithm(name) for name in ("auto", "random", "sobol", "grid", "evolution")}
    assert list(found.values()) == [Auto(), Random(), Sobol(), Grid(), Evolution()]
    assert set(found) <= set(plugins.ALGORITHMS.names())
    for name, algorithm in found.items():
        assert plugins.named(algorithm).name == name


def test_options_are_the_fields() -> None:
    assert plugins.algorithm(Named("grid", {"levels": 3})) == Grid(levels=3)
    assert plugins.named(Grid(levels=3)) == Named("grid", {"levels": 3})
    assert plugins.algorithm(Grid(levels=3)) == Grid(levels=3)


def test_a_class_that_nobody_announced_goes_by_its_place() -> None:
    named = plugins.named(Mine(greed=0.1))
    assert named == Named(f"{__name__}:Mine", {"greed": 0.1, "names": (), "callback": None})
    assert plugins.algorithm(named) == Mine(greed=0.1)
    assert plugins.policy(plugins.named(Patience(5))) == Patience(5)


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ("evolutoin", UnknownName, "Did you mean 'evolution'?"),
        ("zzz", UnknownName, "There is: auto, random, sobol, grid, evolution"),
        ("no_such_module:Mine", UnknownName, "no_such_module"),
        (f"{__name__}:Nine", UnknownName, "Nine"),
        ("math:sqrt", UnknownName, "must be a dataclass with a method 'start'"),
        (":", UnknownName, "cannot be imported"),
        (
            Named("evolution", {"populaton": 3}),
            InvalidStudy,
            "no option 'populaton'. Did you mean 'population'?",
        ),
        (Named("random", {"depth": 3}), InvalidStudy, "It has no options."),
        (Named("evolution", {"population": 1}), InvalidStudy, "population is 1"),
        (Named("evolution", {"population": 5}), InvalidStudy, "sample is 10 of a population of 5"),
        (Named("grid", {"levels": 2.5}), InvalidStudy, "levels is 2.5"),
        (Evolution, UnknownName, "Write Evolution()."),
        (3, UnknownName, "3 is no algorithm"),
    ],
)
def test_what_cannot_be_meant_is_refused(given: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error) as found:
        plugins.algorithm(given)
    assert says in str(found.value)


def test_a_policy_is_no_algorithm() -> None:
    with pytest.raises(UnknownName, match="no stopping policy"):
        plugins.policy("random")
    with pytest.raises(UnknownName, match="is no stopping policy"):
        plugins.policy(Random())  # type: ignore[arg-type]


def test_what_cannot_be_stored_is_refused() -> None:
    @dataclass(frozen=True)
    class Local(Mine):
        pass

    with pytest.raises(InvalidStudy, match="top of a module"):
        plugins.named(Local())
    with pytest.raises(InvalidStudy, match="no JSON"):
        plugins.named(Mine(callback=print))
    with pytest.raises(InvalidStudy, match="Make NoData a dataclass"):
        plugins.named(NoData())


def announce(folder: Path, name: str) -> None:
    info = folder / "my_tuning-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-tuning\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[luthier.algorithms]\n{name} = {__name__}:Mine\n")


def test_an_installed_package_announces_its_algorithm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    announce(tmp_path, "mine")
    monkeypatch.syspath_prepend(tmp_path)
    assert plugins.algorithm("mine") == Mine()
    assert plugins.named(Mine()).name == "mine"


def test_a_package_may_not_take_a_name_that_is_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    announce(tmp_path, "random")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InvalidStudy, match=r"wants the name 'random', which luthier\.optimizers"):
        plugins.algorithm("random")


def test_asking_for_one_algorithm_imports_no_slow_library() -> None:
    code = (
        "import sys; from luthier import plugins; plugins.named(plugins.algorithm('auto')); "
        "assert not {'scipy.stats', 'sklearn', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
