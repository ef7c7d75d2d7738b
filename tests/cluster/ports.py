# SPDX-License-Identifier: Apache-2.0
"""Ports for what a test starts."""

from __future__ import annotations

import fcntl
import functools
import itertools
import os
import random
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

# Below what Linux gives to whoever connects or asks for any port (`ip_local_port_range`): between
# the answer and the program that listens there, nobody gets one of these by chance.
_OURS: Final = range(20_000, 30_000)
# A byte for each port, locked by the process that was given it; the kernel lets go at its end.
_TABLE: Final = Path(tempfile.gettempdir(), f"mt5-bridge-test-ports-{os.getuid()}")


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on.

    Nobody else is given it while this process lives, whatever else tests at the same time.
    """
    return next(port for port in _candidates() if _ours_alone(port) and _unheard(port))


@functools.cache
def _candidates() -> Iterator[int]:
    begin = random.randrange(len(_OURS))  # noqa: S311
    return itertools.cycle([*_OURS[begin:], *_OURS[:begin]])


@functools.cache
def _table() -> int:
    # Never closed: closing any descriptor of a file gives up all its locks.
    return os.open(_TABLE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _ours_alone(port: int) -> bool:
    try:
        fcntl.lockf(_table(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False  # another process has it
    return True


def _unheard(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
