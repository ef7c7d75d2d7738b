# SPDX-License-Identifier: Apache-2.0
"""Debian packages that a real node and image builds need; only what is missing is installed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cluster.command import run
from cluster.errors import Unsupported
from cluster.paths import system_program

# A program, or a file, by which one sees that the package is there.
NODE: Final[Mapping[str, str]] = {
    "containerd": "containerd",
    "runc": "runc",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "mount": "mount",
    "cc": "gcc",
    "/usr/include/stdlib.h": "libc6-dev",
}
_POLICY: Final = Path("/usr/sbin/policy-rc.d")
_OURS: Final = "# Written by MT5 Bridge's test cluster while it installs packages; may be removed."
REDIS: Final[Mapping[str, str]] = {"redis-server": "redis-server"}
CURL: Final[Mapping[str, str]] = {"curl": "curl"}
BUILDER: Final[Mapping[str, str]] = {
    "debootstrap": "debootstrap",
    "buildah": "buildah",
    "runc": "runc",
}


def missing(signs: Mapping[str, str]) -> list[str]:
    """Return the packages of `signs` that are not installed."""
    return [package for sign, package in signs.items() if not _there(sign)]


def ensure(signs: Mapping[str, str]) -> None:
    """Install the packages of `signs` that are missing.

    Raises:
        Unsupported: some are missing, and we are not root or this is not Debian.
        CommandFailed: apt-get failed.
    """
    _remove_forgotten_policy()
    wanted = missing(signs)
    if not wanted:
        return
    if os.geteuid() != 0 or system_program("apt-get") is None:
        raise Unsupported(f"please install {' '.join(wanted)} (as root, on Debian, we would)")
    print(f"installing {' '.join(wanted)} (usually 30 s) ...", file=sys.stderr, flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update", "--quiet"], env=environment)
    options = ["--yes", "--no-install-recommends", "--no-upgrade"]
    with _no_service_started():
        run(["apt-get", "install", *options, *wanted], env=environment)


def _remove_forgotten_policy() -> None:
    # A run that was killed within apt-get left it; daemons could not be started any more.
    if os.geteuid() == 0 and _POLICY.exists() and _OURS in _POLICY.read_text():
        _POLICY.unlink()


@contextmanager
def _no_service_started() -> Iterator[None]:
    """Keep the packages' own daemons from starting; we run our own, and leave none behind.

    Source: Debian Policy 9.3.3.1, invoke-rc.d asks /usr/sbin/policy-rc.d; 101 means: forbidden.
    """
    if _POLICY.exists():  # the machine's own policy
        yield
        return
    _POLICY.write_text(f"#!/bin/sh\n{_OURS}\nexit 101\n")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink()


def _there(sign: str) -> bool:
    return Path(sign).exists() if sign.startswith("/") else system_program(sign) is not None
