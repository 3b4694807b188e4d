"""Contracts: what every plug-in part promises, as tests that its author runs. Needs pytest."""

import pytest

pytest.register_assert_rewrite("luthier.testing")  # so that a failing contract shows the values
