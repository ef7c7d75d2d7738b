# SPDX-License-Identifier: Apache-2.0
"""What clients are told of the connection; one type for HTTP and streams."""

import msgspec

from mt5_sidecar.domain.clock import utc_iso
from mt5_sidecar.domain.connection import Connection, StateName


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How the account is connected. `reason` is a word of docs/reasons.md, empty while fine."""

    state: StateName
    reason: str
    message: str
    connected: bool
    since: str
    stale: bool
    stale_since: str | None


def status(seen: Connection, *, since_ms: int, stale_since_ms: int | None) -> Status:
    """Return the status that `seen` amounts to."""
    return Status(
        state=seen.state,
        reason=seen.reason,
        message=seen.message,
        connected=seen.connected,
        since=utc_iso(since_ms),
        stale=stale_since_ms is not None,
        stale_since=None if stale_since_ms is None else utc_iso(stale_since_ms),
    )
