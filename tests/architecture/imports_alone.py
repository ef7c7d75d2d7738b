# SPDX-License-Identifier: Apache-2.0
"""Import each module named on standard input in a process that has none of our others.

A program, run by test_rooms.py. Each import is in a fork of a process that has loaded the libraries
and nothing of ours, so that only those are paid for once. Prints what went wrong, as JSON.
"""

import gc
import importlib
import json
import os
import sys
import traceback
import warnings
from typing import Final

OURS: Final = ("mt5_operator", "mt5_sidecar", "mt5_agent", "mt5_simulator")
# What takes long. Nothing may depend on this list: it only makes it faster.
SLOW: Final = (
    "aiohttp.web",
    "jwt",
    "kopf",
    "kubernetes.aio.client",
    "kubernetes.aio.leaderelection.leaderelection",
    "msgspec.inspect",
    "prometheus_client",
    "pydantic_settings",
    "redis.asyncio",
    "structlog",
)


def main() -> None:
    """Answer for all modules on standard input."""
    gc.disable()  # in a fork it would copy all the pages that it looks at, and frees nothing
    for name in SLOW:
        importlib.import_module(name)
    json.dump({name: failure(name) for name in sys.stdin.read().split()}, sys.stdout)


def failure(name: str) -> str:
    """Return how the import of a module alone fails; empty if it does not."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        told = _tried(name)
        with os.fdopen(writing, "w") as pipe:
            pipe.write(told)
        os._exit(0 if not told else 1)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told = pipe.read()
    _, status = os.waitpid(child, 0)
    return told or ("" if status == 0 else f"ended with {status}")


def _tried(name: str) -> str:
    there = [one for one in sys.modules if one.partition(".")[0] in OURS]
    if there:
        return f"not alone: {there}"
    try:
        importlib.import_module(name)
    except BaseException:  # noqa: BLE001 - a module that calls sys.exit fails as well
        return traceback.format_exc()
    return ""


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # of a fork beside threads of libraries: there are none yet
    main()
