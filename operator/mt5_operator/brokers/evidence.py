# SPDX-License-Identifier: Apache-2.0
"""What one sidecar counted of its broker's behaviour, and what came to it between two looks."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

# MT5.md 4, rows 1 to 7, 9 and 10: causes that another platform would not mend, in words of
# docs/reasons.md. BrokerUnreachable is not among them: a kick ends in it too (see `tally`).
INNOCENT: Final = (
    "AgentMissing",
    "AlgoTradingDisabled",
    "BadCredentials",
    "NeedsInteraction",
    "SecretMissing",
    "ServerUnknown",
    "TerminalFault",
    "TerminalMissing",
    "TerminalOutdated",
    "WineFault",
)
# What lost links and failed tries are called when the broker did not answer in words.
UNREACHABLE: Final = ("BrokerUnreachable", "PlatformRejected")


class Evidence(msgspec.Struct, frozen=True):
    """`evidence` of `/internal/state`; docs/internals.md tells what each field counts."""

    platform: str = ""
    window_s: float = 86_400
    since: datetime | None = None
    observed_s: float = 0
    uptime_ratio: float = 0
    fresh_starts: int = 0
    logins: int = 0
    logins_refused: int = 0
    drops: int = 0
    authorised_then_lost: int = 0
    never_synchronised_s: float = 0
    reasons: dict[str, int] = {}
    account_flagged: bool = False
    valid_data: bool | None = None
    last_healthy: datetime | None = None

    @property
    def connected_s(self) -> float:
        """Return the connected part of the observed seconds."""
        return self.observed_s * self.uptime_ratio

    @property
    def innocent(self) -> dict[str, int]:
        """Return how often each cause was met that is not the platform's."""
        return {word: times for word, times in self.reasons.items() if word in INNOCENT}


class Counts(msgspec.Struct, frozen=True):
    """What came to a sidecar's counters."""

    observed_s: float = 0
    connected_s: float = 0
    logins: int = 0
    drops: int = 0
    kicks: int = 0
    starts: int = 0
    unsynchronised_s: float = 0
    # Failed tries and lost links whose reason is the way to the broker.
    unreachable: int = 0

    def __add__(self, other: Counts) -> Counts:
        mine, theirs = msgspec.structs.astuple(self), msgspec.structs.astuple(other)
        return Counts(*(a + b for a, b in zip(mine, theirs, strict=True)))


NOTHING: Final = Counts()


def counts(told: Evidence) -> Counts:
    """Return all that a sidecar counted."""
    return Counts(
        told.observed_s,
        told.connected_s,
        told.logins,
        told.drops,
        told.authorised_then_lost,
        told.fresh_starts,
        told.never_synchronised_s,
        sum(told.reasons.get(word, 0) for word in UNREACHABLE),
    )


def more(now: Evidence, before: Evidence) -> Counts:
    """Return what came between two looks at the same record.

    A sidecar forgets what is older than its window, so a counter may fall; that is no news.
    """
    new, old = msgspec.structs.astuple(counts(now)), msgspec.structs.astuple(counts(before))
    return Counts(*(max(0, a - b) for a, b in zip(new, old, strict=True)))
