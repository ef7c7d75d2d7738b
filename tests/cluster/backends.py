# SPDX-License-Identifier: Apache-2.0
"""Clusters that run pods: ours, one by kind, or one that is there already.

Our own needs root and no Docker; kind needs Docker; the existing one is whatever the current
kubeconfig points to, and only gets what a test applies to it.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, Protocol

from cluster.command import run, succeeds
from cluster.errors import Unsupported
from cluster.kubectl import Kubectl
from cluster.local import LocalCluster


class Cluster(Protocol):
    """What tests and the demo may expect of a cluster that runs pods."""

    @property
    def kubeconfig(self) -> Path:
        """Return its administrator's kubeconfig file."""

    @property
    def kubectl(self) -> Kubectl:
        """Return kubectl on it."""

    def start(self) -> None:
        """Start it, if it is not there, and wait until it runs pods."""

    def stop(self) -> None:
        """Remove it, if we made it."""

    def load(self, *archives: Path) -> None:
        """Make the images in OCI archives known to its nodes."""


def node_backend(kind: str, directory: Path) -> Cluster:
    """Return the cluster that `kind` asks for: `existing`, `kind`, or ours for an empty one.

    Raises:
        Unsupported: there is no such kind of cluster, or not on this machine.
    """
    match kind:
        case "" | "local":
            return LocalCluster(directory, with_node=True)
        case "kind":
            return KindCluster(directory)
        case "existing":
            return ExistingCluster()
        case _:
            raise Unsupported(f"CLUSTER={kind!r}: say local, kind or existing")


class ExistingCluster:
    """The cluster of the current kubeconfig; nothing of it is started or stopped."""

    def __init__(self) -> None:
        default = str(Path.home() / ".kube" / "config")
        self.kubeconfig = Path(os.environ.get("KUBECONFIG") or default)
        self.kubectl = Kubectl(self.kubeconfig)

    def start(self) -> None:
        """Check that it answers."""
        if not self.kubeconfig.exists():
            raise Unsupported(f"no kubeconfig at {self.kubeconfig}: set KUBECONFIG")
        self.kubectl("get", "--raw=/readyz")

    def stop(self) -> None:
        """Leave it as it is."""

    def load(self, *archives: Path) -> None:
        """Refuse: how images get to its nodes, only its owner knows."""
        if archives:
            raise Unsupported("CLUSTER=existing: push the images where its nodes pull from")


class KindCluster:
    """A cluster in Docker, made by pytest-kind; a `kind` in the search path is used if it is there.

    Raises:
        Unsupported: Docker does not answer.
    """

    def __init__(self, directory: Path) -> None:
        if shutil.which("docker") is None or not succeeds(["docker", "info"]):
            raise Unsupported(
                "CLUSTER=kind needs a running Docker; without CLUSTER, root is enough"
            )
        # Here, because pytest-kind brings a client library that our own cluster does not need.
        from pytest_kind import KindCluster as PytestKindCluster

        directory.mkdir(parents=True, exist_ok=True)
        kind = shutil.which("kind")
        self._kind: Any = PytestKindCluster(
            directory.name,
            kubeconfig=directory / "kubeconfig",
            kind_path=Path(kind) if kind else None,
        )

    @property
    def kubeconfig(self) -> Path:
        """Return its administrator's kubeconfig file."""
        return Path(self._kind.kubeconfig_path)

    @property
    def kubectl(self) -> Kubectl:
        """Return kubectl on it."""
        return Kubectl(self.kubeconfig)

    def start(self) -> None:
        """Create it, and wait until it runs pods."""
        self._kind.create()
        self.kubectl(
            "wait", "--for=condition=Ready", "--timeout=120s", "nodes", "--all", timeout_s=130
        )

    def stop(self) -> None:
        """Delete it."""
        self._kind.delete()

    def load(self, *archives: Path) -> None:
        """Make the images in OCI archives known to its node."""
        for archive in archives:
            name = self._kind.name
            run([self._kind.kind_path, "load", "image-archive", archive, "--name", name])
