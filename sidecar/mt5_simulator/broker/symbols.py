# SPDX-License-Identifier: Apache-2.0
"""What can be traded: a small market of invented prices around real magnitudes."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Symbol:
    """A contract. Prices in `currency_profit` per unit; volumes in lots of `contract_size`
    units."""

    name: str
    description: str
    path: str
    digits: int
    base_price: float
    spread_points: int
    contract_size: float
    currency_base: str
    currency_profit: str
    margin_rate: float
    """Margin per notional value."""
    calc_mode: int = 0
    volume_min: float = 0.01
    volume_max: float = 100.0
    volume_step: float = 0.01
    depth_lots: float = 100.0
    """What the market takes at once: of a larger market order IOC gets this part, FOK nothing."""
    swap_long: float = -0.7
    """Points a night, for each of both sides."""
    swap_short: float = -0.3
    swing: float = 0.02
    """How far the price wanders from its base, as a share of it."""

    @property
    def point(self) -> float:
        """Return the smallest price step."""
        return 10.0**-self.digits


def _forex(name: str, description: str, digits: int, price: float, spread: int) -> Symbol:
    return Symbol(
        name=name,
        description=description,
        path=f"Forex\\Majors\\{name}",
        digits=digits,
        base_price=price,
        spread_points=spread,
        contract_size=100_000.0,
        currency_base=name[:3],
        currency_profit=name[3:6],
        margin_rate=0.01,
    )


def _cfd(name: str, description: str, path: str, digits: int, price: float, spread: int) -> Symbol:
    return Symbol(
        name=name,
        description=description,
        path=f"{path}\\{name}",
        digits=digits,
        base_price=price,
        spread_points=spread,
        contract_size={"XAUUSD": 100.0, "US500": 10.0}.get(name, 1.0),
        currency_base="USD" if name == "US500" else name[:3],
        currency_profit="USD",
        margin_rate=0.02,
        calc_mode=4,  # SYMBOL_CALC_MODE_CFDLEVERAGE
        depth_lots=2.0 if name == "BTCUSD" else 100.0,
        swing=0.05,
    )


HANGING: Final = "HANGS"
"""On `Simulator-Hangs`, a call that names this symbol never answers."""
HANGING_ORDERS: Final = "HANGSORDER"
"""There, only `order_send` that names this one never answers, so that a whole order can hang."""

MARKET: Final[Mapping[str, Symbol]] = MappingProxyType(
    {
        symbol.name: symbol
        for symbol in (
            _forex("EURUSD", "Euro vs US Dollar", 5, 1.0850, 8),
            _forex("GBPUSD", "Great Britain Pound vs US Dollar", 5, 1.2700, 12),
            _forex("USDJPY", "US Dollar vs Japanese Yen", 3, 151.50, 9),
            _forex("USDCHF", "US Dollar vs Swiss Franc", 5, 0.8820, 12),
            _forex("AUDUSD", "Australian Dollar vs US Dollar", 5, 0.6550, 10),
            _cfd("XAUUSD", "Gold vs US Dollar", "Metals", 2, 2650.00, 25),
            _cfd("US500", "S&P 500 Index", "Indices", 1, 5900.0, 5),
            _cfd("BTCUSD", "Bitcoin vs US Dollar", "Crypto", 2, 91_000.00, 1500),
        )
    }
)
_HANGING: Final = MappingProxyType(
    {
        name: _forex(name, description, 5, 1.0, 10)
        for name, description in (
            (HANGING, "A symbol whose calls never answer"),
            (HANGING_ORDERS, "A symbol whose orders never answer"),
        )
    }
)


def market(*, hangs: bool) -> Mapping[str, Symbol]:
    """Return the symbols of a server."""
    return MappingProxyType({**MARKET, **_HANGING}) if hangs else MARKET
