# SPDX-License-Identifier: Apache-2.0
"""The last look at account, positions, orders and ticks: one poll, shared by all, told only when it
differs.

Compared and passed on as bytes: the supervisor makes no object per row.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from mt5_agent.protocol import MAX_SNAPSHOT_BYTES, Snapshot, SnapshotKind


@dataclass(slots=True)
class _Entry:
    data: bytes = b""
    version: int = 0
    utc_ms: int = 0
    monotonic_ns: int = 0
    told: bool = True


@dataclass(slots=True)
class _Ticks:
    entry: _Entry = field(default_factory=_Entry)
    last: dict[str, bytes] = field(default_factory=dict)
    untold: set[str] = field(default_factory=set)


class Board:
    """Holds the newest snapshots. What nobody took yet is replaced, not queued."""

    def __init__(
        self, changed: Callable[[], None], *, most_bytes: int = MAX_SNAPSHOT_BYTES
    ) -> None:
        """Call `changed` whenever there is something to take; hold no look above `most_bytes`."""
        self._changed = changed
        self._most_bytes = most_bytes
        self._unshown: set[SnapshotKind] = set()
        self._entries: dict[SnapshotKind, _Entry] = {}
        self._ticks = _Ticks()

    def put(self, kind: SnapshotKind, data: msgspec.Raw) -> None:
        """Note a look at `kind`."""
        entry = self._entries.setdefault(kind, _Entry())
        raw = bytes(data)
        if len(raw) > self._most_bytes:
            # Nor is the look before it told any more: it is not what the account has now.
            entry.data, entry.told = b"", True
            self._unshown.add(kind)
            return
        self._unshown.discard(kind)
        if raw == entry.data:
            return
        entry.data = raw
        self._touch(entry)

    @property
    def unshown(self) -> tuple[SnapshotKind, ...]:
        """What was too large when it was last looked at."""
        return tuple(sorted(self._unshown))

    def put_ticks(self, ticks: Mapping[str, msgspec.Raw]) -> set[str]:
        """Note a look at the watched symbols; return those that moved since an earlier look."""
        new, before = {name: bytes(raw) for name, raw in ticks.items()}, self._ticks.last
        moved = {name for name, raw in new.items() if before.get(name) != raw}
        self._ticks.last = new
        self._ticks.untold = (self._ticks.untold & new.keys()) | moved
        if moved:
            self._touch(self._ticks.entry)
        return moved & before.keys()

    def keep_ticks(self, names: Iterable[str]) -> None:
        """Forget the prices of other symbols than these: the sidecar does so as well, so one that
        is watched again is told again, whether or not it moved."""
        kept = self._ticks.last.keys() & set(names)
        self._ticks.last = {name: raw for name, raw in self._ticks.last.items() if name in kept}
        self._ticks.untold &= kept

    def clear(self) -> None:
        """Forget the account: nothing of it may be told to the next."""
        for entry in self._entries.values():
            entry.data, entry.told = b"", True
        self._unshown.clear()
        self._ticks.last, self._ticks.untold = {}, set()
        self._ticks.entry.told = True

    def retell(self) -> None:
        """Hold all of it ready again, for a sidecar that has nothing."""
        for entry in self._entries.values():
            entry.told = not entry.data
        self._ticks.untold = set(self._ticks.last)
        self._ticks.entry.told = not self._ticks.last
        self._changed()

    def take(self) -> list[Snapshot]:
        """Return what was not told yet, and count it as told."""
        taken = [
            _snapshot(kind, entry, entry.data)
            for kind, entry in self._entries.items()
            if not entry.told
        ]
        ticks = self._ticks
        if not ticks.entry.told:
            moved = {name: msgspec.Raw(ticks.last[name]) for name in sorted(ticks.untold)}
            taken.append(_snapshot("ticks", ticks.entry, msgspec.msgpack.encode(moved)))
            ticks.untold = set()
        for entry in (*self._entries.values(), ticks.entry):
            entry.told = True
        return taken

    def _touch(self, entry: _Entry) -> None:
        entry.version += 1
        entry.utc_ms = time.time_ns() // 1_000_000
        entry.monotonic_ns = time.monotonic_ns()
        entry.told = False
        self._changed()


def _snapshot(kind: SnapshotKind, entry: _Entry, data: bytes) -> Snapshot:
    return Snapshot(
        kind=kind,
        version=entry.version,
        utc_ms=entry.utc_ms,
        monotonic_ns=entry.monotonic_ns,
        data=msgspec.Raw(data),
    )
