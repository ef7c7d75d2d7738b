# SPDX-License-Identifier: Apache-2.0
"""What Windows must be told: WM_CLOSE, which a terminal takes as a person's click and saves what it
has; that a crash is an end; and when the container ends, to wait.

Elsewhere than on Windows nothing is done: there the image has ways of its own.
"""

import sys
import threading
from collections.abc import Callable
from typing import Any

_ENDS = (2, 5, 6)  # CTRL_CLOSE_EVENT, _LOGOFF_EVENT, _SHUTDOWN_EVENT
_kept: list[Any] = []
_WM_CLOSE = 0x0010
_NO_FAULT_DIALOGS = 0x8003  # SEM_FAILCRITICALERRORS, _NOGPFAULTERRORBOX, _NOOPENFILEERRORBOX


def end_at_crashes() -> None:
    """Have this process and its children end when they crash: no dialog that nobody answers, and
    no dump by Windows, which would hold the password."""
    if sys.platform == "win32":
        import ctypes

        ctypes.WinDLL("kernel32").SetErrorMode(_NO_FAULT_DIALOGS)


def at_end(stop: Callable[[], None], over: threading.Event) -> None:
    """Call `stop` when the container or the console ends, in a thread of Windows.

    Python knows only Ctrl+C and Ctrl+Break. Of the other ends a process is told by a call, and is
    ended when that returns: so it does when `over` is set, or Windows loses its patience.
    """
    if sys.platform != "win32":
        return
    import ctypes
    from ctypes import wintypes

    def told(event: int) -> bool:
        stop()
        if event in _ENDS:
            over.wait()
        return True

    handler = ctypes.WINFUNCTYPE(wintypes.BOOL, wintypes.DWORD)(told)
    _kept.append(handler)  # Windows keeps its address alone
    ctypes.WinDLL("kernel32").SetConsoleCtrlHandler(handler, True)  # noqa: FBT003


def ask_to_close(pid: int) -> int:
    """Send WM_CLOSE to each top-level window of process `pid`; return how many there were."""
    if sys.platform != "win32":
        return 0
    import ctypes
    from ctypes import wintypes

    user = ctypes.WinDLL("user32", use_last_error=True)
    visit = ctypes.WINFUNCTYPE(wintypes.BOOL, wintypes.HWND, wintypes.LPARAM)
    user.EnumWindows.argtypes = [visit, wintypes.LPARAM]
    user.GetWindowThreadProcessId.argtypes = [wintypes.HWND, ctypes.POINTER(wintypes.DWORD)]
    user.PostMessageW.argtypes = [wintypes.HWND, wintypes.UINT, wintypes.WPARAM, wintypes.LPARAM]
    told = 0

    def close(window: int, _: int) -> bool:
        nonlocal told
        owner = wintypes.DWORD()
        user.GetWindowThreadProcessId(window, ctypes.byref(owner))
        if owner.value == pid and user.PostMessageW(window, _WM_CLOSE, 0, 0):
            told += 1
        return True

    user.EnumWindows(visit(close), 0)
    return told
