# SPDX-License-Identifier: Apache-2.0
"""The supervisor's process: settings, logs, signals."""

import asyncio
import json
import logging
import os
import signal
import sys
import threading
import time
from types import FrameType

from mt5_agent import job, windows
from mt5_agent import settings as agent_settings
from mt5_agent.supervisor import Supervisor

_BAD_USAGE = 64  # EX_USAGE of sysexits.h


class _Lines(logging.Formatter):
    """One JSON object a line; no record of ours ever holds a secret."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "told", {}),
        }
        if record.exc_info:
            fields["error"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)


def main() -> int:
    """Run the agent; return the process's exit code."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_Lines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    try:
        settings = agent_settings.load(os.environ)
    except agent_settings.BadSetting as error:
        logging.getLogger(__name__).error("%s", error)  # noqa: TRY400  (the sentence is enough)
        return _BAD_USAGE
    windows.end_at_crashes()
    try:
        job.bind_children(settings.job_memory_limit_bytes)
    except OSError as error:
        logging.getLogger(__name__).warning("children may outlive this process: %s", error)
    for name in agent_settings.unknown(os.environ):
        logging.getLogger(__name__).warning("%s is not a setting of the agent", name)
    asyncio.run(_run(settings))
    return 0


async def _run(settings: agent_settings.Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    over = threading.Event()

    def end() -> None:
        loop.call_soon_threadsafe(stop.set)  # also on Windows, which has no add_signal_handler

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        end()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    windows.at_end(end, over)
    try:
        await Supervisor(settings).run(stop)
    finally:
        over.set()
