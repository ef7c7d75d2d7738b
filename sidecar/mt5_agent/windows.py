# SPDX-License-Identifier: Apache-2.0
"""WM_CLOSE, which a terminal takes as a person's click and saves what it has.

Elsewhere than on Windows nothing is done: there the image has a command of its own.
"""

import sys

_WM_CLOSE = 0x0010


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
