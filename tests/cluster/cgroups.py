# SPDX-License-Identifier: Apache-2.0
"""Control groups of a node: one below the root of each hierarchy, and gone when the node is.

The node sees its own group as the root (a cgroup namespace), so whatever kubelet and containerd
make is inside it. Hosts have either version 1, a hierarchy per controller, or version 2.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cluster.waiting import wait_for

ROOT: Final = Path("/sys/fs/cgroup")
_UNIFIED_MARK: Final = ROOT / "cgroup.controllers"


@dataclass(frozen=True)
class Hierarchy:
    """A mounted hierarchy of version 1: its mount option, and the directory it is mounted on."""

    option: str
    mount: Path


def unified() -> bool:
    """Tell whether this host has version 2 alone."""
    return _UNIFIED_MARK.exists()


def hierarchies(mounts: str) -> list[Hierarchy]:
    """Return the hierarchies of version 1 in the text of `/proc/mounts`."""
    found = []
    for line in mounts.splitlines():
        _, place, kind, options, *_ = line.split()
        if kind == "cgroup":
            chosen = [word for word in options.split(",") if word not in _GENERAL_OPTIONS]
            named = any(word.startswith("name=") for word in chosen)
            found.append(Hierarchy(",".join((["none"] if named else []) + chosen), Path(place)))
    return found


def join(name: str) -> None:
    """Make the group `name` in every hierarchy, and move this process into it."""
    for place in _places():
        group = place / name
        group.mkdir(exist_ok=True)
        _copy_cpuset(place, group)
        (group / "cgroup.procs").write_text(str(os.getpid()))


def remove(name: str, *, timeout_s: float = 20) -> None:
    """Remove the group `name` and all below it, as soon as no process is in there any more.

    Raises:
        NotReady: some process did not go within `timeout_s`.
    """
    groups = [place / name for place in _places() if (place / name).exists()]
    wait_for(
        lambda: all(map(_removed, groups)),
        what=f"the processes in the control group {name} to end",
        timeout_s=timeout_s,
    )


def delegate() -> None:
    """Let this group's children have all controllers; to be called inside, as its only process."""
    if not unified():
        return
    init = ROOT / "init"  # version 2 allows processes only in leaves
    init.mkdir(exist_ok=True)
    for pid in (ROOT / "cgroup.procs").read_text().split():
        (init / "cgroup.procs").write_text(pid)
    controllers = (ROOT / "cgroup.controllers").read_text().split()
    (ROOT / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in controllers))


_GENERAL_OPTIONS: Final = {"rw", "ro", "nosuid", "nodev", "noexec", "relatime", "xattr"}


def _places() -> list[Path]:
    if unified():
        return [ROOT]
    return [each.mount for each in hierarchies(Path("/proc/mounts").read_text())]


def _copy_cpuset(parent: Path, group: Path) -> None:
    # Version 1 lets nobody in before these are set.
    for file in ("cpuset.cpus", "cpuset.mems"):
        if (parent / file).exists() and not unified():
            (group / file).write_text((parent / file).read_text())


def _removed(group: Path) -> bool:
    for child in _deepest_first(group):
        with contextlib.suppress(OSError):  # still in use: the caller tries again
            child.rmdir()
    return not group.exists()


def _deepest_first(group: Path) -> Iterator[Path]:
    for directory, _, _ in os.walk(group, topdown=False):
        yield Path(directory)
