# SPDX-License-Identifier: Apache-2.0
"""What of a symbol's contract decides how its numbers are written."""

from dataclasses import dataclass
from decimal import Decimal

from mt5_agent.protocol import SymbolInfo
from mt5_sidecar.domain.numbers import digits_of, fixed, plain


@dataclass(frozen=True, slots=True)
class Contract:
    """A symbol's digits; None where the terminal has not told yet."""

    price_digits: int | None = None
    volume_digits: int | None = None

    def price(self, value: float) -> Decimal | None:
        """Return a price as the broker quotes it."""
        return plain(value) if self.price_digits is None else fixed(value, self.price_digits)

    def volume(self, lots: float) -> Decimal | None:
        """Return lots as the symbol's step has them."""
        return plain(lots) if self.volume_digits is None else fixed(lots, self.volume_digits)


UNKNOWN_CONTRACT = Contract()


def contract(info: SymbolInfo) -> Contract:
    """Return the contract that `info` describes."""
    return Contract(price_digits=info.digits, volume_digits=digits_of(info.volume_step))
