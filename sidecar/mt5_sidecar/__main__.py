# SPDX-License-Identifier: Apache-2.0
"""`python -m mt5_sidecar`: settings from files and environment, until SIGTERM."""

import asyncio
import gc
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

# isort: off
from mt5_sidecar import lean  # noqa: F401  the first: it decides how much the others load

# isort: on
from mt5_sidecar.logs import configure_logs, logger
from mt5_sidecar.reading import Reading, read_again
from mt5_sidecar.settings import BadSettings

if TYPE_CHECKING:
    from mt5_sidecar.app import Sidecar

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def main() -> int:
    """Run a sidecar until it is told to stop."""
    reading = Reading()
    # Meanwhile; nothing of it is needed to say that the settings are bad.
    from mt5_sidecar.app import Sidecar

    try:
        settings = reading.end()
    except BadSettings as error:
        configure_logs("info")
        logger.error("bad_settings", faults=error.faults)
        return 2
    configure_logs(settings.log_level)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(serve(Sidecar(settings, again=read_again)))
    return 0


async def serve(sidecar: "Sidecar") -> None:
    """Start, wait for a signal, stop."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        _on_signal(loop, number, told.set)
    await sidecar.start()
    # What is here now stays: the collector need not go through it again and again.
    gc.collect()
    gc.freeze()
    await told.wait()
    await sidecar.stop()


def _on_signal(loop: asyncio.AbstractEventLoop, number: int, act: Callable[[], None]) -> None:
    if sys.platform == "win32":
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(act))
    else:
        loop.add_signal_handler(number, act)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    # Windows has no uvloop.
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop


if __name__ == "__main__":
    raise SystemExit(main())
