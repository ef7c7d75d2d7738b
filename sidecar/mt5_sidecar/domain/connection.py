# SPDX-License-Identifier: Apache-2.0
"""How the account's connection is: one pure function of what agent and files say."""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from mt5_agent.protocol import Evidence, SnapshotKind, State, Versions

StateName = Literal[
    "AgentMissing", "TerminalStarting", "LoggingIn", "Connected", "Disconnected", "Refused"
]
Credentials = Literal["Unknown", "Valid", "Invalid", "Missing"]

# The operator knows this word; the message says who wanted it.
LOGGED_OUT: Final = "Disconnected"
SECRET_MISSING: Final = "SecretMissing"  # noqa: S105  a reason, not a secret
AGENT_MISSING: Final = "AgentMissing"
BAD_CREDENTIALS: Final = "BadCredentials"


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the account's connection at one moment."""

    state: StateName
    reason: str = ""
    message: str = ""
    credentials: Credentials = "Unknown"
    last_contact_ms: int = 0
    utc_offset_s: int | None = None
    utc_offset_sure: bool = False
    trade_allowed: bool | None = None
    trade_message: str = ""
    selftest: str = ""
    unshown: tuple[SnapshotKind, ...] = ()
    versions: Versions = Versions()
    evidence: Evidence = Evidence()

    @property
    def connected(self) -> bool:
        """Logged in and synchronised."""
        return self.state == "Connected"


def connection(
    agent: State | None,
    *,
    password_mounted: bool,
    login_id: int,
    logged_out: bool = False,
    utc_offset_s: int | None = None,
) -> Connection:
    """Return what the agent's last words and the mounted password amount to.

    `agent` is None while no agent is connected; `login_id` is of the login last sent to it;
    `logged_out`: an admin wants it so, and what the agent says meanwhile does not matter;
    `utc_offset_s`: the broker's clock minus UTC where it is configured, whatever the agent says.
    """
    seen = _connection(
        agent, password_mounted=password_mounted, login_id=login_id, logged_out=logged_out
    )
    if utc_offset_s is None:
        return seen
    return msgspec.structs.replace(seen, utc_offset_s=utc_offset_s, utc_offset_sure=True)


def _connection(
    agent: State | None, *, password_mounted: bool, login_id: int, logged_out: bool
) -> Connection:
    if agent is None:
        return _without_agent(password_mounted=password_mounted)
    state = _state_name(agent)
    if not password_mounted and state != "Connected":
        return _waiting_for_secret(agent, state)
    if logged_out:
        return _logged_out(agent)
    return Connection(
        state=state,
        reason=agent.reason,
        message=agent.message or _too_large(agent.unshown),
        credentials=_credentials(agent, login_id, password_mounted=password_mounted),
        last_contact_ms=agent.last_contact_ms,
        utc_offset_s=agent.utc_offset_s,
        utc_offset_sure=agent.utc_offset_sure,
        trade_allowed=agent.trade_allowed,
        trade_message=agent.trade_message,
        versions=agent.versions,
        selftest=agent.selftest,
        unshown=agent.unshown,
        evidence=agent.evidence,
    )


def _too_large(unshown: Sequence[str]) -> str:
    if not unshown:
        return ""
    return (
        f"the account has more {' and '.join(unshown)} than can be shown (some 40,000): those that"
        " are told are of before; close or cancel some"
    )


def _state_name(agent: State) -> StateName:
    return "TerminalStarting" if agent.state == "WaitingForLogin" else agent.state


def _credentials(agent: State, login_id: int, *, password_mounted: bool) -> Credentials:
    if not password_mounted:
        return "Missing"
    if agent.login_id != login_id:
        return "Unknown"
    if agent.state == "Refused" and agent.reason == BAD_CREDENTIALS:
        return "Invalid"
    proved = agent.state == "Connected" or agent.evidence.logins > 0
    return "Valid" if proved and agent.state in ("Connected", "Disconnected") else "Unknown"


def _without_agent(*, password_mounted: bool) -> Connection:
    if not password_mounted:
        return Connection(
            state="AgentMissing",
            reason=SECRET_MISSING,
            message=_MISSING_TEXT,
            credentials="Missing",
        )
    text = "the terminal container has not connected to the sidecar yet, or lost it"
    return Connection(state="AgentMissing", reason=AGENT_MISSING, message=text)


def _logged_out(agent: State) -> Connection:
    return Connection(
        state="Disconnected",
        reason=LOGGED_OUT,
        message="an admin has logged the account out: POST /api/connect logs in again",
        last_contact_ms=agent.last_contact_ms,
        utc_offset_s=agent.utc_offset_s,
        utc_offset_sure=agent.utc_offset_sure,
        versions=agent.versions,
        selftest=agent.selftest,
        evidence=agent.evidence,
    )


def _waiting_for_secret(agent: State, state: StateName) -> Connection:
    return Connection(
        state=state,
        reason=SECRET_MISSING,
        message=_MISSING_TEXT,
        credentials="Missing",
        last_contact_ms=agent.last_contact_ms,
        versions=agent.versions,
        selftest=agent.selftest,
        evidence=agent.evidence,
    )


_MISSING_TEXT: Final = (
    "no password is mounted: create the Secret of spec.credentialsSecretRef with that key"
)
