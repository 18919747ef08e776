"""What every test relies on: reproducible random examples and an environment without surprises."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

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
