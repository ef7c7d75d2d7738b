# SPDX-License-Identifier: Apache-2.0
"""The image of a pod's own container, which Kubernetes' users usually pull from a registry."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Final

from cluster.command import run
from cluster.paths import cache

IMAGE: Final = "docker.io/test-cluster/pause:1"
_SOURCE: Final = Path(__file__).with_name("pause.c")


def archive() -> Path:
    """Return an archive with the image; compiles it first if the cache has none.

    Raises:
        Unsupported: there is no C compiler.
        CommandFailed: it could not compile ten lines.
    """
    digest = hashlib.sha256(_SOURCE.read_bytes() + IMAGE.encode()).hexdigest()[:16]
    target = cache() / "images" / f"pause-{digest}.tar"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        program = target.with_suffix(".program")
        run(["cc", "-static", "-Os", "-s", "-o", program, _SOURCE])
        draft = target.with_suffix(".draft")
        draft.write_bytes(image_archive(IMAGE, program.read_bytes()))
        draft.rename(target)
        program.unlink()
    return target


def image_archive(image: str, program: bytes) -> bytes:
    """Return an archive, as `docker save` makes one, of an image that is one static program."""
    layer = _tar({"pause": program})
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": ["/pause"], "User": "65535:65535"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [image], "Layers": ["layer.tar"]}]
    return _tar(
        {
            "manifest.json": json.dumps(manifest).encode(),
            "config.json": json.dumps(config).encode(),
            "layer.tar": layer,
        }
    )


def _tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
