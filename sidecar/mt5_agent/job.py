# SPDX-License-Identifier: Apache-2.0
"""Windows' job objects: no process outlives the supervisor, and how much memory they all use.

What cgroup and parent-death signal are on Linux. Elsewhere than on Windows nothing is done and
nothing known. ctypes is loaded on Windows alone; it would cost each account some memory.
"""

import sys
from typing import Any

_EXTENDED_LIMITS = 9
_PROCESS_LIST = 3
_KILL_ON_CLOSE = 0x2000
_JOB_MEMORY = 0x0200
_QUERY_LIMITED = 0x1000
_MOST_PROCESSES = 512
"""A terminal and its helpers are a handful."""
_kept: list[Any] = []
"""Our job. Its handle is never closed: when this process ends, Windows closes it, and ends all that
is in the job."""


def bind_children(limit_bytes: int = 0) -> None:
    """Have Windows end every process that this one will have started, when this one ends.

    Those that the worker starts (the package may start a terminal) are in the job, too.
    `limit_bytes`: more memory than that Windows gives to none of them; 0: no limit of our own.

    Raises:
        OSError: Windows does not do it.
    """
    if sys.platform == "win32":
        _kept.append(_Job(limit_bytes))


def memory() -> tuple[int, int] | None:
    """Return how much memory all processes of our job use, and the limit, 0 for none; None where
    there is no job. What counts is what was promised to them (commit), as Windows counts."""
    if sys.platform != "win32" or not _kept:
        return None
    return _kept[0].used_bytes(), _kept[0].limit_bytes


if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    class _Limits(ctypes.Structure):  # JOBOBJECT_EXTENDED_LIMIT_INFORMATION
        _fields_ = (
            ("times", ctypes.c_int64 * 2),
            ("flags", wintypes.DWORD),
            ("working_set", ctypes.c_size_t * 2),
            ("processes", wintypes.DWORD),
            ("affinity", ctypes.c_size_t),
            ("classes", wintypes.DWORD * 2),
            ("io", ctypes.c_uint64 * 6),
            ("process_bytes", ctypes.c_size_t),
            ("job_bytes", ctypes.c_size_t),
            ("peaks_bytes", ctypes.c_size_t * 2),
        )

    class _Processes(ctypes.Structure):  # JOBOBJECT_BASIC_PROCESS_ID_LIST
        _fields_ = (
            ("assigned", wintypes.DWORD),
            ("listed", wintypes.DWORD),
            ("pids", ctypes.c_size_t * _MOST_PROCESSES),
        )

    class _Counters(ctypes.Structure):  # PROCESS_MEMORY_COUNTERS
        _fields_ = (
            ("size_bytes", wintypes.DWORD),
            ("faults", wintypes.DWORD),
            ("pools_bytes", ctypes.c_size_t * 6),
            ("commit_bytes", ctypes.c_size_t),  # PagefileUsage; before Windows 8 it was zero
            ("peak_bytes", ctypes.c_size_t),
        )

    def _kernel() -> Any:
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        for name in ("CreateJobObjectW", "GetCurrentProcess", "OpenProcess"):
            getattr(kernel, name).restype = wintypes.HANDLE
        information = [wintypes.HANDLE, ctypes.c_int, ctypes.c_void_p, wintypes.DWORD]
        kernel.SetInformationJobObject.argtypes = information
        kernel.QueryInformationJobObject.argtypes = [*information, ctypes.c_void_p]
        kernel.AssignProcessToJobObject.argtypes = [wintypes.HANDLE, wintypes.HANDLE]
        kernel.K32GetProcessMemoryInfo.argtypes = [
            *(wintypes.HANDLE, ctypes.c_void_p, wintypes.DWORD)
        ]
        kernel.CloseHandle.argtypes = [wintypes.HANDLE]
        return kernel

    class _Job:
        def __init__(self, limit_bytes: int) -> None:
            self._kernel = _kernel()
            # Before ours is around us: a container's limit is one of the job that it is.
            around = self._asked(None, _EXTENDED_LIMITS, _Limits())
            container = around.job_bytes if around and around.flags & _JOB_MEMORY else 0
            given = [limit for limit in (limit_bytes, container) if limit]
            self.limit_bytes = min(given, default=0)
            limits = _Limits(flags=_KILL_ON_CLOSE)
            if limit_bytes:
                limits.flags |= _JOB_MEMORY
                limits.job_bytes = limit_bytes
            self._handle = self._kernel.CreateJobObjectW(None, None)
            bound = (
                self._handle
                and self._kernel.SetInformationJobObject(
                    self._handle, _EXTENDED_LIMITS, ctypes.byref(limits), ctypes.sizeof(limits)
                )
                and self._kernel.AssignProcessToJobObject(
                    self._handle, self._kernel.GetCurrentProcess()
                )
            )
            if not bound:
                raise ctypes.WinError(ctypes.get_last_error())

        def used_bytes(self) -> int:
            found = self._asked(self._handle, _PROCESS_LIST, _Processes())
            return sum(map(self._commit_bytes, found.pids[: found.listed])) if found else 0

        def _commit_bytes(self, pid: int) -> int:
            process = self._kernel.OpenProcess(_QUERY_LIMITED, False, pid)  # noqa: FBT003
            if not process:
                return 0  # it has ended
            counters = _Counters(size_bytes=ctypes.sizeof(_Counters))
            known = self._kernel.K32GetProcessMemoryInfo(
                process, ctypes.byref(counters), counters.size_bytes
            )
            self._kernel.CloseHandle(process)
            return int(counters.commit_bytes) if known else 0

        def _asked(self, job: Any, kind: int, answer: Any) -> Any:
            size = ctypes.sizeof(answer)
            known = self._kernel.QueryInformationJobObject(
                job, kind, ctypes.byref(answer), size, None
            )
            return answer if known else None
