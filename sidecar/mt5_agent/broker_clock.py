# SPDX-License-Identifier: Apache-2.0
"""Which zone the broker's clock is in, from the times of ticks: pure, both clocks are the caller's.

A tick's time is the broker's clock when it was made, but a tick that is new to us may be old: the
last one of a symbol that was just selected, or of before a lost link. What is live shows by this:
between two live ticks the broker's clock went on as much as ours. Ours is the monotonic one, which
nobody sets; the machine's UTC is asked for the difference alone, so that the offset follows at once
when it is corrected.
"""

from dataclasses import dataclass
from typing import Final

_QUARTER_MS: Final = 900_000
_FARTHEST_MS: Final = 14 * 3_600_000
"""No zone is further from UTC."""
_OFF_MS: Final = 60_000
"""So far broker's and machine's clocks may be wrong against each other, beside the zone."""
_FRESH_MS: Final = 10_000
"""As far as that a tick is believed alone, until two agree."""
_JITTER_MS: Final = 2_500
"""Live ticks come with this difference, and that of the looks' interval."""
_NOW_MS: Final = 60_000
"""Which of several streams is live is judged by those that came within so long."""
_KEPT_MS: Final = 900_000
_MOST_STREAMS: Final = 16


@dataclass(frozen=True, slots=True)
class Zone:
    """The broker's clock minus UTC; None while no tick said so."""

    offset_s: int | None = None
    sure: bool = False
    """Ticks agreed on it. Otherwise one said so."""


@dataclass(slots=True)
class _Stream:
    """Ticks between which both clocks went on alike."""

    ahead_ms: int
    """The broker's clock minus our monotonic one, by the first of them: what drifts is none."""
    first_ms: int
    last_ms: int


class BrokerClock:
    """What ticks have said so far."""

    def __init__(self, *, interval_ms: int) -> None:
        """Begin with nothing known; ticks are looked for every `interval_ms`."""
        self.zone = Zone()
        self._alike_ms = _JITTER_MS + interval_ms
        self._streams: list[_Stream] = []

    def ticked(self, tick_ms: int, *, utc_ms: int, monotonic_ms: int) -> Zone:
        """Take in the time of a tick that was seen to come; return what is known by now."""
        self._join(tick_ms - monotonic_ms, monotonic_ms)
        agreed = [stream for stream in self._streams if self._is_live(stream, monotonic_ms)]
        if agreed:
            # Nothing comes from the future: the others are late.
            ahead_ms = max(stream.ahead_ms for stream in agreed) + monotonic_ms - utc_ms
            self.zone = _zone(ahead_ms, off_ms=_OFF_MS, sure=True) or Zone(self.zone.offset_s)
        elif not self.zone.sure and (guess := _zone(tick_ms - utc_ms, off_ms=_FRESH_MS)):
            self.zone = max(self.zone, guess, key=_offset_s)
        return self.zone

    def _join(self, ahead_ms: int, now_ms: int) -> None:
        kept = [stream for stream in self._streams if now_ms - stream.last_ms <= _KEPT_MS]
        for stream in kept:
            if abs(stream.ahead_ms - ahead_ms) <= self._alike_ms:
                stream.last_ms = now_ms
                break
        else:
            kept.append(_Stream(ahead_ms, now_ms, now_ms))
        kept.sort(key=lambda stream: stream.last_ms)
        self._streams = kept[-_MOST_STREAMS:]

    def _is_live(self, stream: _Stream, now_ms: int) -> bool:
        # Old ticks that come in one go are alike at once, but not for long.
        lasted_ms = stream.last_ms - stream.first_ms
        return lasted_ms >= 2 * self._alike_ms and now_ms - stream.last_ms <= _NOW_MS


def _zone(ahead_ms: int, *, off_ms: int, sure: bool = False) -> Zone | None:
    offset_ms = round(ahead_ms / _QUARTER_MS) * _QUARTER_MS
    if abs(ahead_ms - offset_ms) > off_ms or abs(offset_ms) > _FARTHEST_MS:
        return None
    return Zone(offset_ms // 1000, sure)


def _offset_s(zone: Zone) -> float:
    return float("-inf") if zone.offset_s is None else zone.offset_s
