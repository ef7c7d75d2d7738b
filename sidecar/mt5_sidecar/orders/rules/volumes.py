# SPDX-License-Identifier: Apache-2.0
"""How many lots. Nothing is rounded: another size than asked for is another order."""

from collections.abc import Iterable
from decimal import Decimal

from mt5_agent.protocol import Order, Position
from mt5_sidecar.orders.errors import BrokenLimit
from mt5_sidecar.orders.symbols import Symbol, decimal

INVALID_VOLUME = 10014
LIMIT_VOLUME = 10034
INVALID_CLOSE_VOLUME = 10038


def check_volume(volume: Decimal, symbol: Symbol) -> None:
    """Let pass what lies within the symbol's bounds and on its steps.

    Raises:
        BrokenLimit: `volume_min`, `volume_max` or `volume_step`.
    """
    if volume <= 0 or volume < symbol.volume_min:
        raise _broken("volume_min", volume, f"at least {symbol.volume_min}")
    if symbol.volume_max and volume > symbol.volume_max:
        raise _broken("volume_max", volume, f"at most {symbol.volume_max}")
    if not on_step(volume, symbol):
        raise _broken("volume_step", volume, f"a multiple of {symbol.volume_step}")


def on_step(volume: Decimal, symbol: Symbol) -> bool:
    """Tell whether `volume` is on the steps, counted from zero or from the smallest volume.

    Brokers count either way where the two differ (MQL5 reference, SYMBOL_VOLUME_STEP; MT5.md 5).
    """
    step = symbol.volume_step
    return not step or volume % step == 0 or (volume - symbol.volume_min) % step == 0


def check_volume_limit(volume: Decimal, held: Decimal, symbol: Symbol) -> None:
    """Let pass what keeps the sum of one direction within `volume_limit`; 0 is no limit.

    Raises:
        BrokenLimit: `volume_limit`.
    """
    if symbol.volume_limit and held + volume > symbol.volume_limit:
        allowed = f"at most {max(symbol.volume_limit - held, Decimal(0))} more"
        raise BrokenLimit("volume_limit", value=volume, allowed=allowed, retcode=LIMIT_VOLUME)


def held_volume(
    symbol: str, *, buying: bool, positions: Iterable[Position], orders: Iterable[Order]
) -> Decimal:
    """Return the lots of open positions and waiting orders of one direction."""
    side = 0 if buying else 1
    open_lots = sum(
        decimal(p.volume) for p in positions if p.symbol == symbol and p.type % 2 == side
    )
    waiting = sum(
        decimal(o.volume_current) for o in orders if o.symbol == symbol and o.type % 2 == side
    )
    return Decimal(open_lots + waiting)


def check_close_volume(volume: Decimal, held: Decimal, symbol: Symbol) -> None:
    """Let pass all of a position, or a part on the symbol's steps.

    Raises:
        BrokenLimit: `position_volume`, or as `check_volume`.
    """
    if volume > held:
        raise BrokenLimit(
            "position_volume",
            value=volume,
            allowed=f"at most {held}",
            retcode=INVALID_CLOSE_VOLUME,
        )
    if volume != held:
        check_volume(volume, symbol)


def _broken(limit: str, volume: Decimal, allowed: str) -> BrokenLimit:
    return BrokenLimit(limit, value=volume, allowed=allowed, retcode=INVALID_VOLUME)
