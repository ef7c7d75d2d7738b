# SPDX-License-Identifier: Apache-2.0
"""Runs as `sitecustomize` of a Windows Python named terminal64.exe: a terminal with a window and a
journal, and without any other ability. It ends when its window is closed, as the real one does, or
crashes when `STUB_CRASHES` is set."""

import ctypes
import datetime
import os
import pathlib
import sys
from ctypes import wintypes

SHOWN = 0x10CF0000  # WS_OVERLAPPEDWINDOW | WS_VISIBLE


def journal(text: str) -> None:
    """Append a line as the terminal does: UTF-16LE, tab-separated."""
    now = datetime.datetime.now(datetime.UTC)
    logs = pathlib.Path(sys.executable).parent / "logs"
    logs.mkdir(exist_ok=True)
    with (logs / f"{now:%Y%m%d}.log").open("a", encoding="utf-16-le", newline="\r\n") as file:
        file.write(f"AA\t0\t{now:%H:%M:%S.%f}\tTerminal\t{text}\n")


def main() -> None:
    """Show a window until it is closed."""
    user32 = ctypes.windll.user32  # type: ignore[attr-defined, unused-ignore]
    user32.CreateWindowExW.restype = wintypes.HWND
    window = user32.CreateWindowExW(
        0, "STATIC", "stub", SHOWN, 0, 0, 200, 100, None, None, None, None
    )
    journal(f"started {' '.join(sys.orig_argv[1:])} window {bool(window)}")
    if os.environ.get("STUB_CRASHES"):
        # A thread of its own at no address: an exception in this one would become Python's.
        nowhere = ctypes.c_void_p(16)
        ctypes.windll.kernel32.CreateThread(None, 0, nowhere, None, 0, None)  # type: ignore[attr-defined, unused-ignore]
    message = wintypes.MSG()
    while user32.IsWindow(wintypes.HWND(window)):
        if user32.GetMessageW(ctypes.byref(message), None, 0, 0) > 0:
            user32.DispatchMessageW(ctypes.byref(message))
    journal("stopped")
    os._exit(0)


main()
