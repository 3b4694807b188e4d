"""What all tests share: Hypothesis's settings and a real PostgreSQL."""

import os

from hypothesis import HealthCheck, settings

from tests.postgres import postgres_url

__all__ = ["postgres_url"]

# A busy machine is not a bug: no deadline per example, and slow generation is no failure.
settings.register_profile("luthier", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("luthier")

# Models that tests save are signed with a key of their own, not with that of whoever runs them.
os.environ["LUTHIER_KEY"] = "of the tests of Luthier"
