# SPDX-License-Identifier: Apache-2.0
"""Which clusters there are, and whose: one directory each, and a mark of who made it."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from cluster import process
from cluster.paths import clusters


@dataclass(frozen=True)
class Wish:
    """What a cluster is to consist of, beside the control plane."""

    node: bool = False
    kwok: bool = True


def directory(name: str) -> Path:
    """Return the directory of the cluster `name`."""
    return clusters() / name


def write_wish(place: Path, wish: Wish) -> None:
    """Record what the cluster in `place` is to consist of."""
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    (place / "wish.json").write_text(json.dumps(asdict(wish)))


def wish(place: Path) -> Wish | None:
    """Return what the cluster in `place` is to consist of; None if it is not up."""
    file = place / "wish.json"
    return Wish(**json.loads(file.read_text())) if file.exists() else None


def own(place: Path) -> None:
    """Mark the cluster in `place` as one that is to end with this process."""
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    (place / "owner").write_text(Path(f"/proc/{os.getpid()}/stat").read_text())


def orphans() -> list[Path]:
    """Return the directories of clusters whose owner died without ending them."""
    return [file.parent for file in sorted(clusters().glob("*/owner")) if not _lives(file)]


def forget_old_logs(*, keep: int = 4) -> None:
    """Remove what ended test clusters left, their logs, except those of the last `keep`."""
    ended = [place for place in clusters().glob("test-*") if _only_logs(place)]
    for place in sorted(ended, key=lambda place: place.stat().st_mtime)[:-keep]:
        shutil.rmtree(place, ignore_errors=True)


def _only_logs(place: Path) -> bool:
    return {entry.name for entry in place.iterdir()} <= {"logs"}


def _lives(owner: Path) -> bool:
    recorded = process.identity(owner.read_text())
    return recorded is not None and process.living(recorded.pid) == recorded
