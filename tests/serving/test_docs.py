"""docs/models.md shows what is so."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from luthier.estimators import load_data
from luthier.models import save_model
from luthier.objectives.crossval import CrossValidation
from luthier.serving.source import kept
from tests.serving.conftest import Served

PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.search(
        rf"^```{language}\n(.*?)^```$", PAGE.partition("## Served")[2], re.DOTALL | re.MULTILINE
    )
    assert found is not None
    return found[1]


@pytest.fixture
def iris(serve: Callable[..., Served], tmp_path: Path) -> Served:
    task = CrossValidation(LogisticRegression(max_iter=1000), load_data("iris"), cv=3)
    save_model(tmp_path, "iris", task.refit({}), meta={"task": "classification"}, data=task.data)
    return serve(kept(tmp_path, "iris"))


def test_the_request_of_the_page_gets_the_answer_of_the_page(iris: Served) -> None:
    words = shlex.split(block("sh"))
    headers = dict(word.split(": ", 1) for word in words if re.match(r"[A-Z][\w-]+: ", word))
    assert headers == {"Authorization": "Bearer $TOKEN", "Content-Type": "application/json"}
    said = iris.send(words[words.index("-d") + 1].encode()).json
    shown = json.loads(block("json"))
    assert np.allclose(said.pop("probabilities"), shown.pop("probabilities"), atol=0.01)
    assert said == shown
