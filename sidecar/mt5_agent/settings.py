# SPDX-License-Identifier: Apache-2.0
"""Settings: `MT5_AGENT_` and the field's name in capitals. A plain dataclass: Windows Python
carries msgspec only.

No setting is a secret: the token comes from a file, the password over the wire.
"""

import math
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path, PureWindowsPath
from typing import Any, Final, Literal

from mt5_agent.commands import BadCommand, filled, words

PREFIX: Final = "MT5_AGENT_"
_PROGRAM: Final = "terminal64.exe"

Backend = Literal["simulator", "metatrader5"]
Platform = Literal["Linux", "Windows"]


class BadSetting(Exception):
    """A setting is missing, not of its type, or not within its bounds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the agent was told at its start."""

    backend: Backend
    """`simulator`, or `metatrader5` for the real package and terminal."""
    platform: Platform = "Linux"
    """`Linux` means Wine to a real terminal."""
    data_dir: Path = Path("/var/lib/mt5/terminal")
    """The terminal's data directory: journal and settings of the terminal."""
    sidecar_address: str = "127.0.0.1:8082"
    token_file: Path = Path("/run/mt5/agent/token")
    welcome_timeout_s: float = field(default=5.0, metadata={"least": 0.1})
    """How long a sidecar may take to answer our Hello."""
    sidecar_backoff_max_s: float = field(default=2.0, metadata={"least": 0.1})
    """Longest wait before the sidecar is tried again: it is in the same pod, so there is no crowd
    to be gentle with."""

    terminal_command: str = ""
    """Starts the terminal and stays while it runs; `{ini}` is the start file, and a word with it is
    left out when there is none. Empty: the backend's own way."""
    terminal_stop_command: str = ""
    """Asks the terminal with the process number `{pid}` to close. Empty: its stdin is closed;
    on Windows WM_CLOSE is sent, too."""
    terminal_kill_command: str = ""
    """Ends every terminal of this container, also one that `initialize` started: run before each
    start and after the stop."""
    terminal_ini: str = ""
    """Where a real terminal's start file is written while it starts and logs in; empty: none."""
    terminal_missing_hint: str = ""
    """What to do when there is no terminal64.exe."""
    selftest_file: str = ""
    """What the image found about itself before the agent started."""
    terminal_path: str = ""
    """terminal64.exe as the package names it; empty: `<data_dir>/terminal64.exe`."""
    command_timeout_s: float = field(default=20.0, metadata={"least": 0.1})
    """How long the commands that close and kill may take."""
    worker_command: str = ""
    """Python that runs `-m mt5_agent.worker`; under Wine, Windows Python. Empty: this Python."""

    poll_interval_s: float = 0.5
    """Between two looks at account, positions and orders."""
    tick_interval_s: float = 0.25
    """Between two looks at the ticks of watched symbols."""
    heartbeat_s: float = 5.0
    """Between two State messages when nothing changes."""

    login_timeout_s: float = 0.0
    """How long the package waits for a log-in; 0: 8 for the simulator, 60 for a real terminal."""
    worker_start_timeout_s: float = field(default=60.0, metadata={"least": 1.0})
    """How long a worker may take to import the package: 2.6 s under Wine with a cold server (MT5.md
    0)."""
    terminal_startup_s: float = 10.0
    """A terminal so young may not serve its pipe yet: `initialize` is asked again at once."""
    silence_s: float = 0.0
    """A log-in without a word in the journal for so long: the terminal does not know the server. 0:
    3 or 30."""
    call_patience_s: float = field(default=2.0, metadata={"most": 2.0})
    """A call past its deadline is given up at once, and its worker killed when it ran at least so
    long. No more than 2: by then the sidecar counts on it that no order is still being sent."""
    poll_deadline_s: float = 10.0
    """A look that takes longer means a terminal that hangs."""
    backoff_s: float = 0.5
    """First wait before something is started again; doubles up to `backoff_max_s`."""
    backoff_max_s: float = 30.0
    steady_s: float = field(default=60.0, metadata={"least": 1.0})
    """What ran so long was well: the next start or log-in is quick again."""
    grace_s: float = 0.0
    """From SIGTERM to the end; what is still alive then is killed. 0: 20 for the simulator, 120 for
    a real terminal, which saves what it has before it closes."""
    upkeep_interval_s: float = 30.0
    """Between two looks at memory, old journals, and whether a fresh start may help."""
    unanswered_s: float = 0.0
    """A terminal that runs and has not answered for so long is started afresh. 0: 60 for the
    simulator, 300 for a real terminal, whose first start takes minutes."""
    planned_restart_interval_s: float = 900.0
    """Between two planned restarts of the terminal, and before the first."""
    memory_soft_limit_bytes: int = 0
    """A container that uses more has its terminal restarted as planned. 0: 90 % of its limit."""
    job_memory_limit_bytes: int = 0
    """On Windows: more than this the terminal and all beside it never get. 0: the container's own
    limit."""
    cgroup_dir: Path = Path("/sys/fs/cgroup")
    """Where the container's memory is read."""
    log_keep_days: float = 14.0
    """Older journals of the terminal are removed."""
    log_keep_bytes: int = 128 * 1024 * 1024
    """So much of them is kept, the newest first."""
    max_in_flight: int = 64
    """Requests that may wait; one more is answered `not_sent`."""

    @property
    def login_deadline_s(self) -> float:
        """Return the package's own timeout for a log-in."""
        return self.login_timeout_s or self._by_backend(simulator=8, real=60)

    @property
    def silence_limit_s(self) -> float:
        """Return how long a journal may be silent during a log-in."""
        return self.silence_s or self._by_backend(simulator=3, real=30)

    @property
    def attach_margin_s(self) -> float:
        """Return how much longer than its timeout `initialize` may block.

        Source: MT5.md 0: 100.4 s on a terminal that does not serve its pipe, whatever the timeout.
        """
        return self._by_backend(simulator=5, real=105)

    @property
    def grace_limit_s(self) -> float:
        """Return how long a stop may take."""
        return self.grace_s or self._by_backend(simulator=20, real=120)

    @property
    def unanswered_limit_s(self) -> float:
        """Return how long a terminal may leave everything unanswered."""
        return self.unanswered_s or self._by_backend(simulator=60, real=300)

    @property
    def program(self) -> str:
        """Return the path that `initialize` is given: always one, or two terminals get
        cross-wired."""
        return self.terminal_path or str(self.data_dir / _PROGRAM)

    @property
    def program_file(self) -> Path:
        """Return where this process finds the program: under Wine, `program` is Windows' name."""
        path = PureWindowsPath(self.program)
        if os.name == "nt" or not path.drive:
            return Path(self.program)
        outside = path.drive.upper() != "Z:"  # Z: is the root of Linux
        return self.data_dir / _PROGRAM if outside else Path("/", *path.parts[1:])

    def terminal_argv(self, ini: str = "") -> list[str]:
        """Return the command that starts the terminal, from the start file `ini` if there is
        one."""
        if self.terminal_command:
            return filled(words(self.terminal_command), ini=ini)
        if self.backend == "metatrader5":
            return filled([self.program, "/portable", "/config:{ini}"], ini=ini)
        simulator = [sys.executable, "-m", "mt5_simulator.terminal"]
        return [*simulator, "--data-dir", str(self.data_dir), "--platform", self.platform]

    @property
    def worker_argv(self) -> list[str]:
        """Return the command that starts a worker."""
        python = words(self.worker_command) or [sys.executable]
        return [*python, "-m", "mt5_agent.worker", self.backend]

    def _by_backend(self, *, simulator: float, real: float) -> float:
        return simulator if self.backend == "simulator" else real


def load(environment: Mapping[str, str]) -> Settings:
    """Return the settings in `environment`.

    Raises:
        BadSetting: One is missing, not of its type, or not within its bounds.
    """
    known = {each.name: each for each in fields(Settings)}
    given: dict[str, Any] = {}
    for key, text in environment.items():
        if not key.startswith(PREFIX):
            continue
        name = key.removeprefix(PREFIX).lower()
        if name not in known:
            continue  # `unknown` tells of it
        given[name] = _value(key, known[name].type, text)
        _demand_within(key, given[name], **known[name].metadata)
    if "backend" not in given:
        raise BadSetting(f"{PREFIX}BACKEND is missing: simulator or metatrader5")
    return Settings(**given)


def unknown(environment: Mapping[str, str]) -> list[str]:
    """Return the names that look like settings and are none.

    To be logged and not refused: Kubernetes makes such variables for a Service called `mt5-agent`.
    """
    names = {PREFIX + each.name.upper() for each in fields(Settings)}
    return sorted(key for key in environment if key.startswith(PREFIX) and key not in names)


def _value(key: str, kind: Any, text: str) -> Any:
    if kind in {Backend, Platform} and text not in kind.__args__:
        raise BadSetting(f"{key} is {text!r}, expected one of {', '.join(kind.__args__)}")
    if kind in {Backend, Platform}:
        return text
    try:
        if key.endswith("_COMMAND"):
            words(text)
        return kind(text)
    except BadCommand as error:
        raise BadSetting(f"{key} is {text!r}, expected a command: {error}") from error
    except ValueError as error:
        raise BadSetting(f"{key} is {text!r}, expected {kind.__name__}") from error


def _demand_within(key: str, value: Any, *, least: float = 0, most: float = math.inf) -> None:
    # Not a number is within nothing.
    if isinstance(value, int | float) and not (least <= value <= most and math.isfinite(value)):
        at_most = "" if most == math.inf else f" and at most {most:g}"
        raise BadSetting(f"{key} is {value}, expected at least {least:g}{at_most}")
