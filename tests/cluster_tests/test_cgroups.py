# SPDX-License-Identifier: Apache-2.0
"""Hierarchies of control groups are read from the kernel's own list."""

from __future__ import annotations

from pathlib import Path

from cluster.cgroups import Hierarchy, hierarchies

MOUNTS = """\
tmpfs /sys/fs/cgroup tmpfs rw,relatime,mode=755 0 0
cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,nosuid,nodev,noexec,relatime,cpu,cpuacct 0 0
cgroup /sys/fs/cgroup/systemd cgroup rw,relatime,xattr,name=systemd 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0
"""


def test_each_hierarchy_has_the_options_that_mount_it_again() -> None:
    assert hierarchies(MOUNTS) == [
        Hierarchy("cpu,cpuacct", Path("/sys/fs/cgroup/cpu,cpuacct")),
        Hierarchy("none,name=systemd", Path("/sys/fs/cgroup/systemd")),
    ]
