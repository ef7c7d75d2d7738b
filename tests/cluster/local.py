# SPDX-License-Identifier: Apache-2.0
"""Our own cluster: the control plane, and a real node if wanted."""

from __future__ import annotations

import os
from pathlib import Path

from cluster.control_plane import ControlPlane
from cluster.errors import Unsupported
from cluster.kubectl import Kubectl
from cluster.node import Node
from cluster.process import Program


class LocalCluster:
    """A control plane and perhaps a node, started and ended together."""

    def __init__(
        self,
        directory: Path,
        *,
        with_node: bool = False,
        with_kwok: bool = True,
        outlives_us: bool = False,
    ) -> None:
        self.control_plane = ControlPlane(directory, with_kwok=with_kwok, outlives_us=outlives_us)
        self.node = Node(self.control_plane)
        self._with_node = with_node

    @property
    def kubeconfig(self) -> Path:
        """Return the administrator's kubeconfig file."""
        return self.control_plane.kubeconfig

    @property
    def kubectl(self) -> Kubectl:
        """Return kubectl on this cluster."""
        return self.control_plane.kubectl

    def start(self) -> None:
        """Start what does not run yet, and wait until the cluster answers and runs pods."""
        if os.geteuid() != 0:
            raise Unsupported("the test cluster makes network devices: run it as root")
        self.control_plane.start()
        if self._with_node:
            self.node.start()

    def stop(self) -> None:
        """End everything and leave only logs behind."""
        self.node.stop()
        self.control_plane.stop()

    def programs(self) -> list[Program]:
        """Return what should run, to look at, stop or start."""
        node = self.node.programs() if self._with_node else []
        return self.control_plane.programs() + node

    def load(self, *archives: Path) -> None:
        """Make the images in OCI archives known to the node."""
        if not self._with_node:
            raise Unsupported("this cluster has no real node: python -m cluster up --node")
        self.node.load(*archives)
