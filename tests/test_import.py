"""`import luthier` is light, and offers what it says."""

import subprocess
import sys

import luthier

HEAVY = ("sklearn", "pandas", "scipy.stats", "sqlalchemy", "starlette", "fastapi", "rich", "click")


def test_importing_luthier_loads_nothing_heavy() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", "import luthier, sys; print(*sys.modules)"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert [name for name in loaded if name.startswith(HEAVY)] == []


def test_every_public_name_is_there() -> None:
    for name in luthier.__all__:
        assert getattr(luthier, name) is not None
        assert name in dir(luthier)


def test_a_wrong_name_is_an_attribute_error() -> None:
    assert not hasattr(luthier, "tun")
