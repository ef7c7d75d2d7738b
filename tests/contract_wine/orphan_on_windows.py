# SPDX-License-Identifier: Apache-2.0
"""Runs in Windows Python: a supervisor with a job is killed, and one without; who is left?"""

import ctypes
import json
import subprocess
import sys
from ctypes import wintypes

CHILD = "import time; time.sleep(300)"
# Prints the child's number, then is killed.
SUPERVISOR = """
import subprocess, sys
from mt5_agent import job
if sys.argv[1] == "with": job.bind_children()
null = subprocess.DEVNULL
child = subprocess.Popen([sys.executable, "-c", sys.argv[2]], stdin=null, stdout=null, stderr=null)
print(child.pid, flush=True)
child.wait()
"""
SYNCHRONIZE, TERMINATE, TIMED_OUT = 0x00100000, 1, 0x102
LEFT_MS = 3000
kernel = ctypes.WinDLL("kernel32", use_last_error=True)
kernel.OpenProcess.restype = wintypes.HANDLE
kernel.WaitForSingleObject.argtypes = [wintypes.HANDLE, wintypes.DWORD]
kernel.TerminateProcess.argtypes = [wintypes.HANDLE, wintypes.UINT]


def orphan(job: str) -> tuple[bool, str]:
    """Kill a supervisor; say whether its child ran before, and what became of it."""
    words = [sys.executable, "-c", SUPERVISOR, job, CHILD]
    null = subprocess.DEVNULL
    with subprocess.Popen(words, stdin=null, stdout=subprocess.PIPE, stderr=null) as supervisor:
        assert supervisor.stdout
        child = kernel.OpenProcess(SYNCHRONIZE | TERMINATE, 0, int(supervisor.stdout.readline()))
        ran = kernel.WaitForSingleObject(child, 0) == TIMED_OUT
        supervisor.kill()
    gone = kernel.WaitForSingleObject(child, LEFT_MS) != TIMED_OUT
    kernel.TerminateProcess(child, 1)
    return ran, "gone" if gone else "left"


def main() -> None:
    """Try both."""
    ran, with_job = orphan("with")
    _, without = orphan("without")
    print(json.dumps({"ran": ran, "with_job": with_job, "without": without}))  # noqa: T201


main()
