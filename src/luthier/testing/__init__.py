"""Contracts: what every plug-in part promises, as tests that its author runs. Needs pytest."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from luthier.testing.executors import ExecutorContract
    from luthier.testing.optimizers import OptimizerContract
    from luthier.testing.stores import StoreContract

__all__ = ["ExecutorContract", "OptimizerContract", "StoreContract"]

_HOMES = {"ExecutorContract": "executors", "OptimizerContract": "optimizers", "StoreContract": "stores"}

# So that a contract that is not met shows the values.
pytest.register_assert_rewrite(*(f"{__name__}.{home}" for home in _HOMES.values()))


def __getattr__(name: str) -> Any:
    """Each contract when it is asked for: who tests an optimiser needs no store."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
