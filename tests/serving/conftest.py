"""Real models on real ports: one that is served for all tests, and a way to talk to it as raw as can be."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from threadpoolctl import threadpool_limits

from luthier.models import export_model, save_model
from luthier.objectives.crossval import CrossValidation
from luthier.serving.door import Door
from luthier.serving.serve import Opened, open_server
from luthier.serving.source import Source, kept
from tests.calling import Answer, call
from tests.impatient import impatient
from tests.models.fruit import keep

ROW = {"size": 3.5, "colour": "red", "weight": 100}


@dataclass
class Served:
    """A model that is served, and how to call it."""

    opened: Opened
    log: list[str] = field(default_factory=list)

    @property
    def port(self) -> int:
        assert self.opened.socket is not None
        return int(self.opened.socket.getsockname()[1])

    def call(
        self,
        path: str,
        method: str = "GET",
        body: bytes | None = None,
        token: str | None = "",
        **headers: str,
    ) -> Answer:
        """A request with exactly these headers, besides a Host, a length and, unless it is None, a token."""
        owner = None if token is None else token or self.opened.keys.owner
        return call(self.port, path, method, body, owner, headers)

    def get(self, path: str) -> Answer:
        return self.call(path)

    def predict(self, *rows: Any, **headers: str) -> Answer:
        return self.send(json.dumps({"rows": rows}).encode(), **headers)

    def send(self, body: bytes, content_type: str = "application/json", **headers: str) -> Answer:
        return self.call("/predict", "POST", body, content_type=content_type, **headers)


@contextmanager
def serving(source: Source, *, memory: int | None = None, **door: Any) -> Iterator[Served]:
    log: list[str] = []
    opened = open_server(source, Door(port=0, **door), log=log.append, memory=memory)
    ready = threading.Event()
    thread = threading.Thread(target=lambda: opened.run(began=lambda _: ready.set()), daemon=True)
    thread.start()
    assert ready.wait(60)
    with pytest.MonkeyPatch.context() as patch:
        impatient(patch)
        yield Served(opened, log)
        opened.close()
        thread.join(20)
    assert not thread.is_alive()


@pytest.fixture(scope="session", autouse=True)
def key_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The key of whoever runs the tests is none of their business; little models are fitted on one thread."""
    with pytest.MonkeyPatch.context() as patch, threadpool_limits(1):
        patch.delenv("LUTHIER_KEY", raising=False)
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With two versions of a model that tells which fruit is sold."""
    folder = tmp_path_factory.mktemp("home")
    keep(folder, 0)
    keep(folder, 1)
    return folder


@pytest.fixture(scope="session")
def served(home: Path) -> Iterator[Served]:
    with serving(kept(home, "fruit")) as found:
        yield found


def odd_table(rows: int = 60, seed: int = 0) -> pd.DataFrame:
    """Dates, truths, categories that are numbers, texts without end, and gaps."""
    rng = np.random.default_rng(seed)
    made = pd.DataFrame(
        {
            "when": pd.date_range("2024-01-01", periods=rows, freq="h"),
            "paid": rng.random(rows) < 0.5,
            "zone": pd.Categorical(rng.choice([10, 20, 30], rows)),
            "note": [f"text {i}" for i in range(rows)],
            "price": np.where(rng.random(rows) < 0.2, np.nan, rng.normal(size=rows)),
            "class": rng.choice(["a", "b", None], rows),
        }
    )
    made["sold"] = np.where(made["paid"], 5.0, 1.0) + rng.normal(0, 0.1, rows)
    return made


@pytest.fixture(scope="session")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A model of a table that has everything in it."""
    folder = tmp_path_factory.mktemp("odd")
    table = odd_table()
    task = CrossValidation(Ridge(), table.drop(columns="sold"), table["sold"], cv=2)
    save_model(folder, "odd", task.refit({}), meta={"task": "regression"}, data=task.data)
    with serving(kept(folder, "odd")) as found:
        yield found


@pytest.fixture(scope="session")
def exported(home: Path) -> Path:
    """A bundle, as a .zip; nobody changes it."""
    return export_model(home, "fruit", home / "exports" / "fruit.zip")


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """Serve a source until the test ends."""
    from contextlib import ExitStack

    with ExitStack() as stack:
        yield lambda source, **more: stack.enter_context(serving(source, **more))
