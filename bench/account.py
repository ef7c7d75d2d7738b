# SPDX-License-Identifier: Apache-2.0
"""The account that everybody serves: 28 fields, and 20 positions on five symbols."""

from typing import Any, Final

from mt5_agent.protocol import records

POSITIONS: Final = 20
SYMBOLS: Final = ("EURUSD", "GBPUSD", "USDJPY", "XAUUSD", "AUDUSD")
# 2026-11-21 10:00:00 on the broker's clock.
_BROKER_S: Final = 1_795_255_200


def blank(kind: Any, **values: Any) -> Any:
    """Return a record whose other fields are zero, False or empty."""
    zeros = {name: type_() for name, type_ in kind.__annotations__.items()}
    return kind(**(zeros | values))


ACCOUNT: Final[records.AccountInfo] = blank(
    records.AccountInfo,
    login=10001,
    name="Benchmark",
    server="Simulator-Demo",
    company="Simulated Markets Ltd",
    currency="USD",
    currency_digits=2,
    leverage=100,
    balance=10000.0,
    equity=10012.53,
    profit=12.53,
    margin=432.1,
    margin_free=9580.43,
    margin_level=2317.18,
    trade_allowed=True,
)


def positions(step: int = 0) -> list[records.Position]:
    """Return the positions; another `step` moves price and profit of each."""
    return [_position(number, step) for number in range(POSITIONS)]


def _position(number: int, step: int) -> records.Position:
    made: records.Position = blank(
        records.Position,
        ticket=100_000_000 + number,
        identifier=100_000_000 + number,
        symbol=SYMBOLS[number % len(SYMBOLS)],
        type=number % 2,
        volume=round(0.01 * (number + 1), 2),
        price_open=1.08 + number / 1000,
        price_current=round(1.085 + (step + number) % 1000 / 100_000, 5),
        sl=1.07,
        tp=1.1,
        swap=-0.12,
        profit=round((step + number) % 100_000 / 100, 2),
        time=_BROKER_S,
        time_msc=_BROKER_S * 1000 + number,
        time_update=_BROKER_S,
        time_update_msc=_BROKER_S * 1000 + number,
        magic=7,
        comment="grid step 3",
    )
    return made


def symbol_info(name: str) -> records.SymbolInfo:
    """Return a contract of five digits, with volume steps of 0.01 lots."""
    made: records.SymbolInfo = blank(
        records.SymbolInfo, name=name, digits=5, volume_step=0.01, volume_min=0.01, bid=1.085
    )
    return made


def tick() -> records.Tick:
    """Return prices of the moment when the positions were opened."""
    made: records.Tick = blank(
        records.Tick, bid=1.085, ask=1.0852, time=_BROKER_S, time_msc=_BROKER_S * 1000
    )
    return made
