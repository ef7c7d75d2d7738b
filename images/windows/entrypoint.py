# SPDX-License-Identifier: Apache-2.0
"""The first process of the terminal's container on Windows: self-test, restore the terminal, and
become the agent.

It becomes the agent, and starts none: Windows tells the first process of the container's end, and
is done when that one has ended. The script runs under Windows Python, whose `_pth` is its path.
"""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
SELFTEST_S: Final = 300.0
"""Windows PowerShell compiles a program for the self-test; a node that starts many pods is slow."""
DEFAULTS: Final = {
    "MT5_AGENT_BACKEND": "metatrader5",
    "MT5_AGENT_PLATFORM": "Windows",
    "MT5_AGENT_DATA_DIR": "/var/lib/mt5/terminal",
}


def environment(given: Mapping[str, str], *, private: Path, report: Path) -> dict[str, str]:
    """Return the agent's settings that follow from this image; what is given wins.

    Without a start file a terminal that never logged in stops at a window, and lets no program
    trade.
    """
    data = Path(given.get("MT5_AGENT_DATA_DIR", DEFAULTS["MT5_AGENT_DATA_DIR"])).absolute()
    own = {
        "MT5_AGENT_SELFTEST_FILE": str(report),
        "MT5_AGENT_TERMINAL_PATH": str(data / "terminal64.exe"),
        "MT5_AGENT_TERMINAL_INI": str(private / "start.ini"),
    }
    return {**DEFAULTS, **own, **given, "MT5_AGENT_DATA_DIR": str(data)}


def private_folder() -> Path:
    """Return a folder that its owner alone opens, for the start file with the password.

    Windows has no volume in memory: this one ends with the container, and the agent removes the
    file when the log-in has ended.
    """
    folder = Path(tempfile.gettempdir()).absolute() / "private"
    folder.mkdir(exist_ok=True)
    # S-1-3-4: whoever owns the file. Nothing is inherited from above.
    only_owner = ["/inheritance:r", "/grant:r", "*S-1-3-4:(OI)(CI)F"]
    command = ["icacls.exe", folder, *only_owner]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 -- Windows' own
    return folder


def selftest(root: Path) -> str:
    """Return what the self-test says, one line of JSON in ASCII; that it could not run is a
    finding, too."""
    script = ["-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-File"]
    command = ["powershell.exe", *script, root / "bin" / "selftest.ps1", "-Root", root]
    try:
        done = subprocess.run(  # noqa: S603 -- ours
            command, capture_output=True, check=True, timeout=SELFTEST_S
        )
        # PowerShell writes in the console's code page, and escapes no letter of it.
        return json.dumps(json.loads(done.stdout.decode("ascii", errors="replace")))
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        finding = {"name": "selftest", "ok": False, "detail": str(error)}
        return json.dumps({"ok": False, "findings": [finding]})


def make_no_reports() -> None:
    """Turn off Windows' crash reports: they hold the memory of a terminal, and so its password."""
    if sys.platform != "win32":
        return
    import winreg

    path = r"Software\Microsoft\Windows\Windows Error Reporting"
    with winreg.CreateKey(winreg.HKEY_CURRENT_USER, path) as key:
        winreg.SetValueEx(key, "Disabled", 0, winreg.REG_DWORD, 1)


def main(root: Path) -> None:
    """Prepare, and become the agent."""
    sys.path.insert(0, str(root / "bin"))
    import start  # of the Wine image: the same rules, program files as in the image, data kept

    report = Path(tempfile.gettempdir()).absolute() / "mt5-selftest.json"
    found = selftest(root)
    print(found, flush=True)  # noqa: T201 -- a line of the log
    report.write_text(found, encoding="ascii")
    make_no_reports()
    os.environ.update(environment(os.environ, private=private_folder(), report=report))
    data = Path(os.environ["MT5_AGENT_DATA_DIR"])
    data.mkdir(parents=True, exist_ok=True)
    start.restore(root / "terminal", data)
    runpy.run_module("mt5_agent", run_name="__main__")


if __name__ == "__main__":
    main(ROOT)
