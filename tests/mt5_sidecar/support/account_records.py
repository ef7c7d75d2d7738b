# SPDX-License-Identifier: Apache-2.0
"""Records as a terminal would give them; only what a test names matters."""

from typing import Any

import msgspec

from mt5_agent.protocol import records

# 2026-11-21 10:00:00 on a broker's clock two hours ahead of UTC, as MetaTrader writes it.
BROKER_S = 1_795_255_200
BROKER_MS = BROKER_S * 1000


def blank(kind: Any, **values: Any) -> Any:
    """Return a record whose other fields are zero, False or empty."""
    kinds = {n: kind_ for n, kind_ in kind.__annotations__.items() if n not in values}
    zeros = {name: type_() for name, type_ in kinds.items()}
    return kind(**(zeros | values))


ACCOUNT = blank(
    records.AccountInfo,
    login=10001,
    currency="USD",
    currency_digits=2,
    balance=10000.0,
    equity=10012.5,
    margin_level=0.1 + 0.2,
    leverage=100,
)


def symbol_info(name: str, *, digits: int = 5) -> records.SymbolInfo:
    """Return a contract with volume steps of 0.01 lots."""
    info: records.SymbolInfo = blank(
        records.SymbolInfo, name=name, digits=digits, volume_step=0.01, volume_min=0.01, bid=1.085
    )
    return info


EURUSD = msgspec.structs.replace(symbol_info("EURUSD"), select=True)


def tick(bid: float, ask: float) -> records.Tick:
    """Return prices at BROKER_S."""
    made: records.Tick = blank(records.Tick, bid=bid, ask=ask, time=BROKER_S, time_msc=BROKER_MS)
    return made


def position(ticket: int, **values: Any) -> records.Position:
    """Return a long position of EURUSD."""
    given = {"symbol": "EURUSD", "volume": 0.1, "price_open": 1.08, "price_current": 1.085}
    times = {"time": BROKER_S, "time_msc": BROKER_MS}
    made: records.Position = blank(records.Position, ticket=ticket, **(given | times | values))
    return made


def order(ticket: int, **values: Any) -> records.Order:
    """Return a pending buy limit of EURUSD."""
    given = {"symbol": "EURUSD", "type": 2, "state": 1, "volume_initial": 0.1, "price_open": 1.07}
    made: records.Order = blank(records.Order, ticket=ticket, **(given | values))
    return made
