# SPDX-License-Identifier: Apache-2.0
"""What only Windows has: jobs, so that no process outlives the supervisor, and WM_CLOSE, which a
terminal takes as a person's click and saves what it has.

Elsewhere both do nothing: there the kernel's parent-death signal (`processes`) and the image's own
command do the same. ctypes is loaded on Windows alone; it would cost each account some memory.
"""

import sys
from typing import Any

_EXTENDED_LIMITS = 9
_KILL_ON_CLOSE = 0x2000
_WM_CLOSE = 0x0010
_kept: list[Any] = []
"""The job's handle. It is never closed: when this process ends, Windows closes it, and ends all
that is in the job."""


def bind_children() -> None:
    """Have Windows end every process that this one will have started, when this one ends.

    Those that the worker starts (the package may start a terminal) are in the job, too.

    Raises:
        OSError: Windows does not do it.
    """
    if sys.platform != "win32":
        return
    import ctypes
    from ctypes import wintypes

    class Limits(ctypes.Structure):  # JOBOBJECT_EXTENDED_LIMIT_INFORMATION
        _fields_ = (
            ("times", ctypes.c_int64 * 2),
            ("flags", wintypes.DWORD),
            ("working_set", ctypes.c_size_t * 2),
            ("processes", wintypes.DWORD),
            ("affinity", ctypes.c_size_t),
            ("classes", wintypes.DWORD * 2),
            ("io", ctypes.c_uint64 * 6),
            ("memory", ctypes.c_size_t * 4),
        )

    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    kernel.CreateJobObjectW.restype = wintypes.HANDLE
    kernel.GetCurrentProcess.restype = wintypes.HANDLE
    kernel.SetInformationJobObject.argtypes = [
        *(wintypes.HANDLE, ctypes.c_int, ctypes.c_void_p, wintypes.DWORD)
    ]
    kernel.AssignProcessToJobObject.argtypes = [wintypes.HANDLE, wintypes.HANDLE]
    job = kernel.CreateJobObjectW(None, None)
    limits = Limits(flags=_KILL_ON_CLOSE)
    bound = (
        job
        and kernel.SetInformationJobObject(
            job, _EXTENDED_LIMITS, ctypes.byref(limits), ctypes.sizeof(limits)
        )
        and kernel.AssignProcessToJobObject(job, kernel.GetCurrentProcess())
    )
    if not bound:
        raise ctypes.WinError(ctypes.get_last_error())
    _kept.append(job)


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
