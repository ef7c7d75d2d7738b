# SPDX-License-Identifier: Apache-2.0
"""Tell what is being done and how long it usually takes."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def step(what: str, *, usually: str) -> Iterator[None]:
    """Print `what` when it begins and its duration when it ends well."""
    print(f"==> {what} (usually {usually})", file=sys.stderr, flush=True)
    began = time.monotonic()
    yield
    print(f"    done in {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)
