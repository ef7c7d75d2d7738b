# SPDX-License-Identifier: Apache-2.0
"""What every plan has in common: a plan, the terms it is made under, and how a stop changes."""

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final

from mt5_sidecar.orders import constants as mt5
from mt5_sidecar.orders.netting import HELD
from mt5_sidecar.orders.records import MtRequest
from mt5_sidecar.orders.rules import modes
from mt5_sidecar.orders.symbols import Symbol

ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What will be sent, and what must be remembered of the account as it is now."""

    request: MtRequest
    context: dict[str, float] = field(default_factory=dict)

    def on_lots(self, held: Decimal) -> "Plan":
        """Return it with the lots of its symbol that a netting account showed."""
        return replace(self, context={**self.context, HELD: float(held)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What of the account decides how a request is written."""

    hedging: bool
    utc_offset_s: int | None
    deviation_points: int
    now_s: int
    """UTC."""

    @property
    def context(self) -> dict[str, float]:
        """Return what must be remembered of it."""
        return {"hedging": int(self.hedging)}


def changed(asked: object, before: Decimal) -> Decimal:
    """Return what a PATCH field leaves: absent keeps `before`, null is 0."""
    if isinstance(asked, Decimal):
        return asked
    return ZERO if asked is None else before


def check_stop_modes(sl: Decimal | None, tp: Decimal | None, symbol: Symbol) -> None:
    """Let pass stops that the symbol may have; 0 is none.

    Raises:
        BrokenLimit: `order_mode`.
    """
    for name, stop, bit in (("sl", sl, mt5.SYMBOL_ORDER_SL), ("tp", tp, mt5.SYMBOL_ORDER_TP)):
        if stop:
            modes.check_order_mode(name, bit, symbol)


def deviation(asked: int | None, terms: Terms) -> int:
    """Return the slippage in points that the caller allows, or that is usual here."""
    return terms.deviation_points if asked is None else asked
