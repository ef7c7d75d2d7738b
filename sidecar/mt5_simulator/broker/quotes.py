# SPDX-License-Identifier: Apache-2.0
"""Prices: a wandering line that is a pure function of server, symbol and time.

Pure, so that two terminals of one server, or one terminal killed and started again, see one market.
It is open around the clock: a demo has to move on a Sunday too.
"""

from dataclasses import dataclass
from typing import Final

from mt5_simulator.broker.clock import broker_ms
from mt5_simulator.broker.noise import mixed, seed_of, share, wave
from mt5_simulator.broker.symbols import Symbol

SLOT_MS: Final = 200
"""A symbol ticks at most once in a slot, and in about two of three."""

TICK_SHARE: Final = 0.66
_TIDES: Final[tuple[tuple[int, float], ...]] = (
    # (period in ms, share of the swing): four times faster moves half as far, as a random walk
    # does; a majors' pair so moves a point or two in a second and some twenty in a minute
    (64 * 86_400_000, 0.5),
    (16 * 86_400_000, 0.3),
    (4 * 86_400_000, 0.25),
    (86_400_000, 0.2),
    (21_600_000, 0.12),
    (5_400_000, 0.06),
    (1_350_000, 0.03),
    (337_500, 0.016),
    (84_000, 0.008),
    (21_000, 0.004),
    (5_250, 0.002),
    (1_300, 0.001),
    (400, 0.0006),
)


@dataclass(frozen=True, slots=True)
class Quote:
    """A tick. `utc_ms` is when it came; the broker's own time is `broker_ms(utc_ms)`."""

    utc_ms: int
    bid: float
    ask: float

    @property
    def time_msc(self) -> int:
        """Return the tick's time on the broker's clock."""
        return broker_ms(self.utc_ms)


def quote(server: str, symbol: Symbol, utc_ms: int) -> Quote:
    """Return the last tick at or before `utc_ms`."""
    seed = seed_of(f"{server}/{symbol.name}")
    slot = utc_ms // SLOT_MS
    when_ms = _tick_ms(seed, slot)
    while when_ms is None or when_ms > utc_ms:
        slot -= 1
        when_ms = _tick_ms(seed, slot)
    return _priced(seed, symbol, when_ms)


def ticks_after(server: str, symbol: Symbol, begin_ms: int, end_ms: int, count: int) -> list[Quote]:
    """Return the first `count` ticks from `begin_ms` to `end_ms`, both included."""
    seed = seed_of(f"{server}/{symbol.name}")
    found: list[Quote] = []
    for slot in range(begin_ms // SLOT_MS, end_ms // SLOT_MS + 1):
        if len(found) >= count:
            break
        when_ms = _tick_ms(seed, slot)
        if when_ms is not None and begin_ms <= when_ms <= end_ms:
            found.append(_priced(seed, symbol, when_ms))
    return found


def _tick_ms(seed: int, slot: int) -> int | None:
    if share(seed, slot, 1) > TICK_SHARE:
        return None
    return slot * SLOT_MS + mixed(seed, slot, 2) % SLOT_MS


def _priced(seed: int, symbol: Symbol, when_ms: int) -> Quote:
    drift = sum(
        height * wave(seed + tide, when_ms / period_ms)
        for tide, (period_ms, height) in enumerate(_TIDES)
    )
    bid = round(symbol.base_price * (1 + symbol.swing * drift), symbol.digits)
    widened = symbol.spread_points + mixed(seed, when_ms) % max(symbol.spread_points // 4, 1)
    return Quote(when_ms, bid, round(bid + widened * symbol.point, symbol.digits))
