"""The built-in stores, held to the contract."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from luthier.clock import VirtualClock
from luthier.store.base import Store
from luthier.store.url import open_store
from luthier.testing.stores import StoreContract


class TestInMemory(StoreContract):
    @pytest.fixture
    def store(self, clock: VirtualClock) -> Iterator[Store]:
        store = open_store("memory", clock=clock)
        yield store
        store.close()


class TestSQLiteFile(StoreContract):
    @pytest.fixture
    def store(self, clock: VirtualClock, tmp_path: Path) -> Iterator[Store]:
        store = open_store(str(tmp_path / "deep" / "er" / "studies.db"), clock=clock)
        yield store
        store.close()


class TestPostgreSQL(StoreContract):
    @pytest.fixture
    def store(self, clock: VirtualClock, fresh_postgres: str) -> Iterator[Store]:
        store = open_store(fresh_postgres, clock=clock)
        yield store
        store.close()
