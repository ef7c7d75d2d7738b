# SPDX-License-Identifier: Apache-2.0
"""The project's images, built for a cluster on this machine."""

from __future__ import annotations

from collections.abc import Iterable

from cluster.images import Image, build_image
from cluster.paths import REPOSITORY

NAMES = ("operator", "sidecar", "router", "redis")


def build(names: Iterable[str] = NAMES) -> dict[str, Image]:
    """Return our images by name; what the cache holds is not built again."""
    return {
        name: build_image(
            f"localhost/mt5-bridge/{name}",
            dockerfile=REPOSITORY / "images" / name / "Dockerfile",
            context=REPOSITORY,
        )
        for name in names
    }
