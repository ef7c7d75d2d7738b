# SPDX-License-Identifier: Apache-2.0
"""Runs in Windows Python: a container's end is told as Windows tells it, and waited for; and the
mode for crashes. On Windows children have that from their parent; Wine does not pass it on."""

import ctypes
import json
import threading

from mt5_agent import windows

CTRL_C, SHUTDOWN = 0, 6


def main() -> None:
    """Be told of two ends, and start a child."""
    told, over = threading.Event(), threading.Event()
    windows.at_end(told.set, over)
    (handler,) = windows._kept
    at_once = handler(CTRL_C) and told.is_set()
    told.clear()
    end = threading.Thread(target=handler, args=(SHUTDOWN,))
    end.start()
    heard = told.wait(60)
    waits = end.is_alive()
    over.set()
    end.join(60)
    windows.end_at_crashes()
    mode = ctypes.windll.kernel32.GetErrorMode()  # type: ignore[attr-defined, unused-ignore]
    seen = {"at_once": bool(at_once), "heard": heard, "waits": waits, "ended": not end.is_alive()}
    print(json.dumps({**seen, "mode": mode}))  # noqa: T201 -- its one output


main()
