"""What every test relies on: reproducible random examples and an environment without surprises."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

from tests import needs

# A setting of the machine must not change what a test finds, in this process or in its children.
for variable in [name for name in os.environ if name.startswith("MAINSPRING_")]:
    del os.environ[variable]
os.umask(0o022)

# No deadline: a busy machine is not a failure. A failing example prints what replays it; on a build
# machine (CI is set) every run draws the same examples.
settings.register_profile(
    "mainspring",
    deadline=None,
    print_blob=True,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("mainspring")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With CI set, a test that is skipped fails."""
    report = yield
    needs.strictly(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """With CI set, a file that is skipped fails."""
    report = yield
    needs.strictly(report)
    return report
