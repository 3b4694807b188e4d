from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Luthier

Study = Callable[..., str]


def test_importance_is_a_table_with_errors_and_bars(luthier: Luthier, study: Study) -> None:
    luthier("run", study(trials=15))
    said = luthier("importance", "first")
    assert said.code == 0
    head, line, rest = said.out.splitlines()
    assert head.split() == ["parameter", "share"]
    assert line.startswith("x ")
    assert " ± " in line
    assert "█" in line
    assert rest.startswith("(only together)")
    (found,) = luthier("importance", "first", "--json").json
    assert found["parameter"] == "x"
    assert 0.9 < found["share"] <= 1.0 + 1e-9


@pytest.mark.parametrize("form", ["html", "svg", "png"])
def test_plot_writes_a_file_in_the_form_of_its_suffix(
    luthier: Luthier, study: Study, folder: Path, form: str
) -> None:
    luthier("run", study(trials=12))
    said = luthier("plot", "first", "slice", "-o", f"x.{form}", "--params", "x")
    assert (said.code, said.out) == (0, "")
    assert said.err.strip() == f"wrote x.{form}"
    assert (folder / f"x.{form}").stat().st_size > 1000


def test_what_cannot_be_drawn_is_said(luthier: Luthier, study: Study, folder: Path) -> None:
    luthier("run", study(trials=4))
    for args, told in [
        (["first", "slices", "-o", "x.svg"], "there is no plot 'slices'. Did you mean 'slice'?"),
        (["first", "slice", "-o", "x.svg"], "4 of 4 trials completed with a value"),
        (["first", "history", "-o", "x.pdf"], "plots are written as .html, .svg or .png"),
        (["frist", "history", "-o", "x.svg"], "frist"),
    ]:
        said = luthier("plot", *args)
        assert said.code == 2
        assert told in said.err
    said = luthier("importance", "first")
    assert said.code == 2
    assert "at least 10" in said.err
    assert not list(folder.glob("x.*"))


def test_the_store_may_be_elsewhere(luthier: Luthier, study: Study, folder: Path) -> None:
    luthier("run", study(trials=3), "--store", "other.db")
    assert luthier("plot", "first", "history", "-o", "h.svg", "--store", "other.db").code == 0
    assert (folder / "h.svg").exists()
