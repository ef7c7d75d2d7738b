# SPDX-License-Identifier: Apache-2.0
"""Kubeconfig files: who one is, and where the cluster is."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import yaml

from cluster.certificates import Pair


def kubeconfig(*, server: str, cluster: str, authority: bytes, client: Pair) -> dict[str, Any]:
    """Return a kubeconfig with everything in it, so that the file can be copied anywhere."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": cluster,
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": cluster}}],
        "clusters": [
            {
                "name": cluster,
                "cluster": {"server": server, "certificate-authority-data": _text(authority)},
            }
        ],
        "users": [
            {
                "name": cluster,
                "user": {
                    "client-certificate-data": _text(client.certificate.read_bytes()),
                    "client-key-data": _text(client.key.read_bytes()),
                },
            }
        ],
    }


def write(path: Path, content: dict[str, Any]) -> Path:
    """Write a kubeconfig that only its owner can read, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(content))
    return path


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
