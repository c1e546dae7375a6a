"""Profiles of the property tests: dev, ci (chosen by itself where CI is set), soak (``HYPOTHESIS_PROFILE=soak``).

``mutants``: as dev, but the same examples each time, and none is made smaller: all that counts is that one fails.
"""

import gc
import os

import pytest
from hypothesis import HealthCheck, Phase, settings

pytest_plugins = ["tests.servers"]

settings.register_profile("dev", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("dev"), max_examples=120, derandomize=True)
settings.register_profile("soak", parent=settings.get_profile("dev"), max_examples=20_000)
settings.register_profile(
    "mutants",
    parent=settings.get_profile("dev"),
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))


@pytest.hookimpl(optionalhook=True)  # tests/mutation runs without xdist
def pytest_xdist_auto_num_workers() -> int:
    """Two more than there are cores: half of the tests wait for sockets and processes most of their time."""
    return (os.cpu_count() or 1) + 2


def pytest_collection_finish() -> None:
    """The collector does not look at modules and tests again and again: a tenth of all time would go there."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 10, 10)
