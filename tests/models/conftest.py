from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny fits are slower on many threads than on one, most of all where other tests run beside them."""
    with threadpool_limits(1):
        yield


@pytest.fixture(autouse=True)
def key_of_its_own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key of whoever runs the tests is none of their business."""
    monkeypatch.delenv("LUTHIER_KEY", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
