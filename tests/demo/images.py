# SPDX-License-Identifier: Apache-2.0
"""The project's images, built for a cluster on this machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cluster.images import Image, build_image
from cluster.paths import REPOSITORY

NAMES = ("operator", "sidecar", "router", "redis")


def build(
    names: Iterable[str] = NAMES, *, arguments: Mapping[str, str] | None = None
) -> dict[str, Image]:
    """Return our images by name; what the cache holds is not built again.

    Other build `arguments` make other images.
    """
    return {
        name: build_image(
            f"localhost/mt5-bridge/{name}",
            dockerfile=REPOSITORY / "images" / name / "Dockerfile",
            context=REPOSITORY,
            arguments=arguments,
        )
        for name in names
    }
