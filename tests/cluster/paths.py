# SPDX-License-Identifier: Apache-2.0
"""Where things are kept. Nothing is written outside the cache directory and the kernel's own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parents[2]
TOOLS: Final = REPOSITORY / "tools"


def cache() -> Path:
    """Return the user's cache directory of this project; `MT5_BRIDGE_CACHE` overrides it."""
    if own := os.environ.get("MT5_BRIDGE_CACHE"):
        return Path(own).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "mt5-bridge"


def clusters() -> Path:
    """Return the directory with one directory per cluster that exists or left logs."""
    return cache() / "clusters"


def system_program(name: str) -> str | None:
    """Return where the system keeps `name`; also looks where Debian hides it from plain users."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
