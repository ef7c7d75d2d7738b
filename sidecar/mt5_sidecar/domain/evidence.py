# SPDX-License-Identifier: Apache-2.0
"""What the broker did to this account on this platform, over a bounded window.

Pure: the clock is the caller's, and what is remembered is one `Record`, which can be kept in a
file. The operator decides from it where an account may run, so it must survive both containers,
and must neither invent uptime nor forget a kick.
"""

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from mt5_agent.protocol import Evidence
from mt5_sidecar.domain.connection import LOGGED_OUT, SECRET_MISSING, Connection

VERSION: Final = 1
BUCKETS: Final = 96
"""The window forgets in so many steps."""
LONGEST_LOOK_MS: Final = 30_000
"""A longer silence between two looks was not watched: the sidecar was down, or the clock jumped. No
knob: evidence of all accounts is weighed together, and must mean the same."""

DataKind = Literal["account", "ticks"]

# Name in our answer, and the agent's counter that it sums up.
_COUNTERS: Final = {
    "drops": "drops",
    "logins": "logins",
    "logins_refused": "logins_refused",
    "authorised_then_lost": "authorised_then_lost",
    "never_synchronised_ms": "unsynchronised_ms",
    "fresh_starts": "terminal_starts",
    "worker_restarts": "worker_restarts",
    "terminal_restarts": "terminal_restarts",
}
_OBSERVED: Final = "observed_ms"
_CONNECTED: Final = "connected_ms"
_INVALID: Final = "invalid_data"


class Bucket(msgspec.Struct, kw_only=True):
    """What was counted from `begin_ms` on; a count that is not there is 0."""

    begin_ms: int
    counts: dict[str, int] = {}
    reasons: dict[str, int] = {}


class Record(msgspec.Struct, kw_only=True):
    """All that is remembered. Times are UTC milliseconds."""

    version: int = VERSION
    login: int
    server: str
    platform: str
    begun_ms: int
    buckets: list[Bucket] = []
    epoch: str = ""
    seen: Evidence = Evidence()
    """The agent's counters at the last look, which count from its start: `epoch`."""
    looked_ms: int = 0
    wanted: bool = False
    connected: bool = False
    steady_since_ms: int | None = None
    last_healthy_ms: int = 0
    had_rights: bool = False
    flagged: bool = False
    valid: tuple[DataKind, ...] = ()


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The window in numbers, as docs/internals.md has them."""

    begin_ms: int
    observed_s: float
    fresh_starts: int
    logins: int
    logins_refused: int
    drops: int
    authorised_then_lost: int
    never_synchronised_s: float
    worker_restarts: int
    terminal_restarts: int
    reasons: dict[str, int]
    account_flagged: bool
    valid_data: bool | None
    last_healthy_ms: int
    uptime_ratio: float


class EvidenceWindow:
    """Counts what it is shown."""

    def __init__(self, record: Record, *, window_s: float, steady_s: float) -> None:
        """Go on with `record`; call an account healthy that stayed connected for `steady_s`."""
        record.wanted = record.connected = False  # nobody watched while this was not running
        self.record = record
        self._window_ms, self._steady_ms = int(window_s * 1000), int(steady_s * 1000)
        self._bucket_ms = max(1, self._window_ms // BUCKETS)

    def look(self, now_ms: int, connection: Connection, epoch: str) -> bool:
        """Take in how the account is now; `epoch` is of the agent that says so.

        Returns:
            Whether anything was counted but time.
        """
        self._spend(now_ms)
        counted = self._count(now_ms, connection.evidence, epoch)
        record = self.record
        record.wanted = _is_wanted(connection)
        self._note_health(now_ms, connection, dropped="drops" in counted)
        record.connected = connection.connected
        return bool(counted)

    def note_rights(self, *, allowed: bool) -> None:
        """Note whether the broker lets the account trade, also by programs."""
        self.record.flagged = not allowed and (self.record.had_rights or self.record.flagged)
        self.record.had_rights = self.record.had_rights or allowed

    def note_data(self, now_ms: int, kind: DataKind, *, valid: bool) -> None:
        """Note whether account or ticks made sense."""
        if not valid:
            self._add(now_ms, _INVALID, 1)
        elif kind not in self.record.valid:
            self.record.valid = (*self.record.valid, kind)

    def summary(self, now_ms: int, *, wants_ticks: bool) -> Summary:
        """Return the window's counts; without `wants_ticks` the account alone shows valid data."""
        buckets = self._kept(now_ms)
        observed_ms, connected_ms = _total(buckets, _OBSERVED), _total(buckets, _CONNECTED)
        counts = {name: _total(buckets, name) for name in _COUNTERS}
        never_synchronised_ms = counts.pop("never_synchronised_ms")
        return Summary(
            **counts,
            begin_ms=max(self.record.begun_ms, now_ms - self._window_ms),
            observed_s=observed_ms / 1000,
            never_synchronised_s=never_synchronised_ms / 1000,
            reasons=_reasons(buckets),
            account_flagged=self.record.flagged,
            valid_data=self._valid(buckets, wants_ticks=wants_ticks),
            last_healthy_ms=self.record.last_healthy_ms,
            uptime_ratio=connected_ms / observed_ms if observed_ms else 0.0,
        )

    def _spend(self, now_ms: int) -> None:
        record = self.record
        spent_ms = now_ms - record.looked_ms
        record.looked_ms = now_ms
        if not 0 <= spent_ms <= LONGEST_LOOK_MS:
            record.steady_since_ms = None
            return
        if record.wanted:
            self._add(now_ms, _OBSERVED, spent_ms)
            if record.connected:
                self._add(now_ms, _CONNECTED, spent_ms)

    def _count(self, now_ms: int, told: Evidence, epoch: str) -> set[str]:
        record = self.record
        if not epoch:
            return set()  # no agent spoke yet
        if epoch != record.epoch:
            record.epoch, record.seen = epoch, Evidence()
        more = {
            name: getattr(told, theirs) - getattr(record.seen, theirs)
            for name, theirs in _COUNTERS.items()
        }
        for name, by in more.items():
            if by > 0:
                self._add(now_ms, name, by)
        counted = {name for name, by in more.items() if by > 0}
        for reason, times in told.reasons.items():
            if (by := times - record.seen.reasons.get(reason, 0)) > 0:
                reasons = self._bucket(now_ms).reasons
                reasons[reason] = reasons.get(reason, 0) + by
                counted.add(reason)
        record.seen = _most(record.seen, told)
        return counted - {"never_synchronised_ms"}

    def _note_health(self, now_ms: int, connection: Connection, *, dropped: bool) -> None:
        record = self.record
        if dropped or not connection.connected:
            record.steady_since_ms = None
        if not connection.connected:
            return
        if record.steady_since_ms is None:
            record.steady_since_ms = now_ms
        if now_ms - record.steady_since_ms >= self._steady_ms:
            record.last_healthy_ms = now_ms

    def _valid(self, buckets: Iterable[Bucket], *, wants_ticks: bool) -> bool | None:
        if _total(buckets, _INVALID):
            return False
        needed = {"account", "ticks"} if wants_ticks else {"account"}
        return True if needed <= set(self.record.valid) else None

    def _add(self, now_ms: int, name: str, by: int) -> None:
        counts = self._bucket(now_ms).counts
        counts[name] = counts.get(name, 0) + by

    def _bucket(self, now_ms: int) -> Bucket:
        buckets = self.record.buckets
        if not buckets or not 0 <= now_ms - buckets[-1].begin_ms < self._bucket_ms:
            buckets.append(Bucket(begin_ms=now_ms))
            self.record.buckets = self._kept(now_ms)
        return self.record.buckets[-1]

    def _kept(self, now_ms: int) -> list[Bucket]:
        # A clock that was set back leaves buckets of the future: they are as good as lost.
        oldest_ms = now_ms - self._window_ms
        return [b for b in self.record.buckets if oldest_ms < b.begin_ms <= now_ms]


def _is_wanted(connection: Connection) -> bool:
    return connection.state != "Refused" and connection.reason not in (LOGGED_OUT, SECRET_MISSING)


def _most(seen: Evidence, told: Evidence) -> Evidence:
    """Return the larger of each counter: what an agent says before it knows is all zeros."""
    counters = {name: max(getattr(seen, name), getattr(told, name)) for name in _COUNTERS.values()}
    reasons = {
        reason: max(seen.reasons.get(reason, 0), told.reasons.get(reason, 0))
        for reason in (*seen.reasons, *told.reasons)
    }
    return msgspec.structs.replace(seen, **counters, reasons=reasons)


def _total(buckets: Iterable[Bucket], name: str) -> int:
    return sum(bucket.counts.get(name, 0) for bucket in buckets)


def _reasons(buckets: Iterable[Bucket]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for bucket in buckets:
        for reason, times in bucket.reasons.items():
            totals[reason] = totals.get(reason, 0) + times
    return dict(sorted(totals.items()))
