# SPDX-License-Identifier: Apache-2.0
"""The messages. Maps on the wire with a tag `t`; unknown fields are ignored, new fields get a
default."""

from typing import Any, Final, Literal

import msgspec

VERSION: Final = 2
"""Raise when a message changes its meaning or a new one comes; a new optional field needs no new
version. 2: `Part`."""

OLDEST_VERSION: Final = 1
"""The oldest version still spoken: one back, because the two images are updated separately."""

StateName = Literal[
    "TerminalStarting", "WaitingForLogin", "LoggingIn", "Connected", "Disconnected", "Refused"
]
"""`WaitingForLogin`: terminal and worker run, no `Login` came yet, or a `Logout` did. `Refused`:
waits for a new `Login`."""

Outcome = Literal["done", "failed", "not_sent", "unknown"]
"""What became of a call.

done      the package answered
failed    the package answered None or False; `Fault.code` is its last_error
not_sent  the call was never made (not logged in, queue full, deadline passed while waiting,
stopping) unknown   the call was made and no answer came: it may have happened
"""

SnapshotKind = Literal["account", "positions", "orders", "ticks"]


class Message(msgspec.Struct, frozen=True, tag_field="t", omit_defaults=True, kw_only=True):
    """What every message has in common."""


class Versions(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Who runs: empty or 0 while not known."""

    agent: str = ""
    backend: str = ""
    platform: str = ""
    package: str = ""
    python: str = ""
    terminal_build: int = 0


class Evidence(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Counts since the agent started; times are UTC milliseconds, 0 for never.

    `docs/internals.md` says what each counts; `reasons` counts failed attempts and lost links.
    """

    logins: int = 0
    drops: int = 0
    worker_restarts: int = 0
    terminal_restarts: int = 0
    last_healthy_ms: int = 0
    terminal_starts: int = 0
    logins_refused: int = 0
    authorised_then_lost: int = 0
    unsynchronised_ms: int = 0
    reasons: dict[str, int] = {}


class Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why there is no result. `code` is the package's last_error, 0 when the agent itself says
    so."""

    code: int
    text: str = ""


# From the agent


class Hello(Message, frozen=True, tag="hello"):
    """First message on a connection. `epoch` names this life of the agent: snapshot versions
    restart with it."""

    version: int
    oldest_version: int
    token: str
    epoch: str
    versions: Versions
    max_in_flight: int

    def __repr__(self) -> str:
        """Show who speaks, never the token."""
        return f"Hello(version={self.version}, epoch={self.epoch!r}, versions={self.versions})"


class State(Message, frozen=True, tag="state"):
    """How the account's connection is. Sent after `Welcome`, at each change and every few seconds.

    `reason` is a word of docs/reasons.md, empty while Connected and nothing is wrong; `message`
    says what to do. Times are UTC milliseconds.
    """

    state: StateName
    reason: str = ""
    message: str = ""
    login: int = 0
    server: str = ""
    login_id: int = 0
    since_ms: int = 0
    last_contact_ms: int = 0
    versions: Versions = Versions()
    evidence: Evidence = Evidence()
    trade_allowed: bool | None = None
    utc_offset_s: int | None = None
    journal: tuple[str, ...] = ()
    trade_message: str = ""
    """Why `trade_allowed` is False, and what to do."""
    selftest: str = ""
    """What the image found wrong about itself at its start; empty: nothing."""
    utc_offset_sure: bool = False
    """Ticks that came over some seconds agree on `utc_offset_s`; otherwise a single one said so."""
    polls: dict[str, tuple[int, ...]] = {}
    """Microseconds that each look took since the last State, waiting included, by what was asked:
    names of `POLLS`."""
    unshown: tuple[SnapshotKind, ...] = ()
    """What is too large for a Snapshot, so that none of it is sent until it is smaller."""


class Snapshot(Message, frozen=True, tag="snapshot"):
    """One poll's result, sent only when it differs from the last: `version` counts the differences
    of its kind.

    `decode_snapshot` reads `data`: AccountInfo, list[Position], list[Order], or for ticks
    dict[symbol, Tick] of the symbols that changed (all of them in the first after `Welcome`).
    """

    kind: SnapshotKind
    version: int
    utc_ms: int
    monotonic_ns: int
    data: msgspec.Raw


class Answer(Message, frozen=True, tag="answer"):
    """The end of request `id`. `decode_result(call, answer)` reads it; empty unless `outcome` is
    done."""

    id: int
    outcome: Outcome
    result: msgspec.Raw = msgspec.Raw(b"\xc0")
    fault: Fault | None = None
    duration_us: int = 0
    parts: int = 0
    """So many `Part`s with this id came before, and are the result."""


class Part(Message, frozen=True, tag="part"):
    """A piece of the result of request `id`, in order; `Answer.parts` ends them. From version 2
    on."""

    id: int
    data: bytes


class Goodbye(Message, frozen=True, tag="goodbye"):
    """Last message of either end: why it closes."""

    reason: str


# From the sidecar


class Welcome(Message, frozen=True, tag="welcome"):
    """The answer to a good `Hello`: the version that both speak from here on."""

    version: int
    sidecar: str = ""


class Login(Message, frozen=True, tag="login"):
    """Log in and stay logged in. Answered by `State` messages that carry `login_id`.

    The same login, server and password as now in use change nothing, so it is right to send it on
    every connection.
    """

    login_id: int
    login: int
    server: str
    password: str
    symbols: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Show whose login, never the password."""
        return f"Login(login_id={self.login_id}, login={self.login}, server={self.server!r})"


class Logout(Message, frozen=True, tag="logout"):
    """Forget the password and end the session; the terminal keeps running."""


class Watch(Message, frozen=True, tag="watch"):
    """Poll ticks of exactly these symbols from now on; each is put into Market Watch."""

    symbols: tuple[str, ...]


class Request(Message, frozen=True, tag="request"):
    """Make one call of `PRIORITY_OF`. `deadline_ms` counts from arrival and covers waiting and
    call."""

    id: int
    call: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    deadline_ms: int = 10_000
    traceparent: str = ""
    """The W3C trace that the call belongs to, for the agent's log; empty for none."""


FromAgent = Hello | State | Snapshot | Part | Answer | Goodbye
FromSidecar = Welcome | Login | Logout | Watch | Request | Goodbye
