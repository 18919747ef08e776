"""The cores that a process may use, read from folders that look like a kernel's."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring._adapters.surroundings.cores import cores_of, quotas, usable_cores
from mainspring._bootstrap.workspace import open_workspace


def kernel(root, memberships, **files):
    """A root folder with /proc/self/cgroup and some files of /sys/fs/cgroup."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text("".join(f"{line}\n" for line in memberships))
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


V2, V1 = "cpu_dot_max", ("cpu_dot_cfs_quota_us", "cpu_dot_cfs_period_us")


def v1(folder, quota, period="100000"):
    return {f"{folder}{V1[0]}": quota, f"{folder}{V1[1]}": period}


@pytest.mark.parametrize(
    ("memberships", "files", "cores"),
    [
        # A container of version 2 sees itself as the root of its namespace.
        (["0::/"], {V2: "200000 100000"}, 2),
        (["0::/"], {V2: "max 100000"}, 16),
        (["0::/"], {V2: "50000 100000"}, 1),
        (["0::/"], {V2: "350000 100000"}, 3),
        # A service on a host: the tightest group above it counts.
        (["0::/a/b"], {f"a__b__{V2}": "max 100000", f"a__{V2}": "400000 100000"}, 4),
        (["0::/a/b"], {f"a__b__{V2}": "100000 50000", f"a__{V2}": "400000 100000"}, 2),
        # Version 1, in a container that is told its path on the host.
        (["4:cpu,cpuacct:/docker/x", "0::/"], v1("cpu,cpuacct__", "300000"), 3),
        (["4:cpu,cpuacct:/docker/x"], v1("cpu__docker__x__", "250000"), 2),
        (["1:cpu:/"], v1("cpu__", "-1"), 16),
        (["1:cpuset:/", "2:memory:/x"], v1("cpu__", "100000"), 16),
        # Both at once, as systemd's hybrid hierarchy has it.
        (["1:cpu:/", "0::/u"], {**v1("cpu__", "800000"), f"unified__u__{V2}": "500000 100000"}, 5),
        # What makes no sense limits nothing.
        (["0::/"], {V2: "0 0"}, 16),
        (["0::/"], {V2: "nonsense"}, 16),
        (["0::/../../etc"], {V2: "200000 100000"}, 2),
        (["no colons", "0::"], {V2: "200000 100000"}, 2),
        (["1:cpu:/"], v1("cpu__", "200000", "0"), 16),
    ],
)
def test_the_tightest_quota_around_the_process_counts(tmp_path, memberships, files, cores):
    """Both versions of cgroups, in containers and on hosts; never more than it may run on."""
    root = kernel(tmp_path, memberships, **files)
    assert usable_cores(root, affinity=16) == cores
    assert usable_cores(root, affinity=1) == 1


def test_without_cgroups_it_is_what_the_process_may_run_on(tmp_path):
    """As on a system that has none."""
    assert list(quotas(tmp_path)) == []
    assert usable_cores(tmp_path) == len(os.sched_getaffinity(0))


@given(st.integers(1, 512), st.lists(st.floats(0.001, 512), max_size=5))
def test_there_is_always_a_core_and_never_more_than_granted(affinity, granted):
    """Whole ones, within every limit unless that leaves none."""
    cores = cores_of(affinity, granted)
    assert cores >= 1
    assert cores == 1 or all(cores <= limit for limit in (affinity, *granted))
    assert cores + 1 > min([affinity, *granted])


def test_a_workspace_uses_them(tmp_path):
    """For training, queries and whole datasets, unless the setting says otherwise."""
    with open_workspace(tmp_path) as workspace:
        assert workspace.threads == workspace.cores == usable_cores()
    with open_workspace(tmp_path, given={"threads": 7}) as workspace:
        assert workspace.threads == 7
