# SPDX-License-Identifier: Apache-2.0
"""Stands for the package in P5: 20 positions, at once. So what is measured is the way, not the
call. Plain Python: Windows Python reads it, too."""

from collections import namedtuple
from typing import Any

__version__ = "5.0.6231"
LOGIN = 10001
POSITIONS = 20

TradePosition = namedtuple(
    "TradePosition",
    "ticket time time_msc time_update time_update_msc type magic identifier reason volume "
    "price_open sl tp price_current swap profit symbol comment external_id",
)
_ACCOUNT = (LOGIN, 0, 100, 200, 0, True, True, 2, 2, False, *(0.0,) * 14, "", "", "USD", "")
_FLAGS = (False, False, True, False, True, *(False,) * 5)
_TERMINAL = (*_FLAGS, 5000, 100_000, 0, 1, 0.0, 0.0, "", "", "", "", "", "")
_HELD = tuple(
    TradePosition(
        *(number, 1_795_255_200, 1_795_255_200_000, 1_795_255_200, 1_795_255_200_000),
        *(0, 7, number, 3, 0.1, 1.085, 1.08, 1.09, 1.0851, -0.07, 1.25, "EURUSD", "comment", ""),
    )
    for number in range(10**8, 10**8 + POSITIONS)
)


def initialize(*_args: Any, **_settings: Any) -> bool:
    return True


def last_error() -> tuple[int, str]:
    return 1, "Success"


def account_info() -> Any:
    return _ACCOUNT


def terminal_info() -> Any:
    return _TERMINAL


def positions_get(**_filter: Any) -> Any:
    return _HELD


def orders_get(**_filter: Any) -> Any:
    return ()


def symbol_select(_symbol: str, _enable: bool = True) -> bool:  # noqa: FBT001, FBT002
    return True


def symbol_info_tick(_symbol: str) -> Any:
    return None


def shutdown() -> None:
    return None
