# SPDX-License-Identifier: Apache-2.0
"""A symbol's limits in decimals, so that 0.1 + 0.2 lots are 0.3."""

from dataclasses import dataclass
from decimal import Decimal

from mt5_agent.protocol import SymbolInfo
from mt5_sidecar.domain.numbers import plain
from mt5_sidecar.orders import constants as mt5
from mt5_sidecar.orders.errors import NoPrice


@dataclass(frozen=True, slots=True, kw_only=True)
class Symbol:
    """What an order must fit. Volumes in lots, levels in points, modes as the package has them."""

    name: str
    digits: int
    point: Decimal
    tick_size: Decimal
    volume_min: Decimal
    volume_max: Decimal
    volume_step: Decimal
    volume_limit: Decimal
    stops_level: int
    freeze_level: int
    trade_mode: int
    execution: int
    order_mode: int
    filling_mode: int
    expiration_mode: int
    bid: Decimal
    ask: Decimal

    @property
    def stops_distance(self) -> Decimal:
        """Return how far from the price a stop or a pending price must be."""
        return self.stops_level * self.point

    @property
    def freeze_distance(self) -> Decimal:
        """Return how near to the price an order or a stop can no longer be changed."""
        return self.freeze_level * self.point

    @property
    def has_price(self) -> bool:
        """Tell whether the market has said a price; the book of an exchange may have one side."""
        if self.execution == mt5.SYMBOL_TRADE_EXECUTION_EXCHANGE:
            return self.bid > 0 or self.ask > 0
        return self.bid > 0 and self.ask > 0

    def price(self, *, buying: bool) -> Decimal:
        """Return at what it can be bought, or sold, now.

        Raises:
            NoPrice: Nobody is on the other side.
        """
        price = self.ask if buying else self.bid
        if price <= 0:
            raise NoPrice(f"nobody {'sells' if buying else 'buys'} {self.name}", retry_after_s=1)
        return price


def symbol(info: SymbolInfo) -> Symbol:
    """Return the limits that `info` tells."""
    point = decimal(info.point)
    return Symbol(
        name=info.name,
        digits=info.digits,
        point=point,
        tick_size=decimal(info.trade_tick_size) or point,
        volume_min=decimal(info.volume_min),
        volume_max=decimal(info.volume_max),
        volume_step=decimal(info.volume_step),
        volume_limit=decimal(info.volume_limit),
        stops_level=info.trade_stops_level,
        freeze_level=info.trade_freeze_level,
        trade_mode=info.trade_mode,
        execution=info.trade_exemode,
        order_mode=info.order_mode,
        filling_mode=info.filling_mode,
        expiration_mode=info.expiration_mode,
        bid=decimal(info.bid),
        ask=decimal(info.ask),
    )


def decimal(value: float) -> Decimal:
    """Return a float of the package as the decimal that it stands for; 0 where it is none."""
    return plain(value) or Decimal(0)
