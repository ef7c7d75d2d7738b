# SPDX-License-Identifier: Apache-2.0
"""What each trade retcode and last_error says about whether an order was made.

Sources: the MetaTrader5 5.0.6231 wheel (names and values, MT5.md 3.6); MT5.md section 5 (classes).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

from mt5_sidecar.orders.outcomes import Reason

Class = Literal["made", "partial", "no_changes", "gone", "refused", "later", "ambiguous"]
"""What the broker's answer proves.

made        the order was taken: placed or done
partial     done in part
no_changes  the account already is as asked
gone        the position was closed already
refused     not made, and will not be if asked again like this
later       not made; a new request, perhaps at a new price, may be
ambiguous   the answer does not prove either
"""

# 10046 HEDGE_PROHIBITED is sent by servers, though the package has no name for it.
RETCODES: Final[Mapping[int, tuple[str, Class]]] = MappingProxyType(
    {
        10004: ("REQUOTE", "later"),
        10006: ("REJECT", "refused"),
        10007: ("CANCEL", "refused"),
        10008: ("PLACED", "made"),
        10009: ("DONE", "made"),
        10010: ("DONE_PARTIAL", "partial"),
        10011: ("ERROR", "ambiguous"),
        10012: ("TIMEOUT", "ambiguous"),
        10013: ("INVALID", "refused"),
        10014: ("INVALID_VOLUME", "refused"),
        10015: ("INVALID_PRICE", "refused"),
        10016: ("INVALID_STOPS", "refused"),
        10017: ("TRADE_DISABLED", "refused"),
        10018: ("MARKET_CLOSED", "refused"),
        10019: ("NO_MONEY", "refused"),
        10020: ("PRICE_CHANGED", "later"),
        10021: ("PRICE_OFF", "later"),
        10022: ("INVALID_EXPIRATION", "refused"),
        10023: ("ORDER_CHANGED", "refused"),
        10024: ("TOO_MANY_REQUESTS", "later"),
        10025: ("NO_CHANGES", "no_changes"),
        10026: ("SERVER_DISABLES_AT", "refused"),
        10027: ("CLIENT_DISABLES_AT", "refused"),
        10028: ("LOCKED", "later"),
        10029: ("FROZEN", "refused"),
        10030: ("INVALID_FILL", "refused"),
        10031: ("CONNECTION", "ambiguous"),
        10032: ("ONLY_REAL", "refused"),
        10033: ("LIMIT_ORDERS", "refused"),
        10034: ("LIMIT_VOLUME", "refused"),
        10035: ("INVALID_ORDER", "refused"),
        10036: ("POSITION_CLOSED", "gone"),
        10038: ("INVALID_CLOSE_VOLUME", "refused"),
        10039: ("CLOSE_ORDER_EXIST", "refused"),
        10040: ("LIMIT_POSITIONS", "refused"),
        10041: ("REJECT_CANCEL", "refused"),
        10042: ("LONG_ONLY", "refused"),
        10043: ("SHORT_ONLY", "refused"),
        10044: ("CLOSE_ONLY", "refused"),
        10045: ("FIFO_CLOSE", "refused"),
        10046: ("HEDGE_PROHIBITED", "refused"),
    }
)

NOT_SENT_FAULTS: Final[Mapping[int, Reason]] = MappingProxyType(
    {
        -2: "E_INVALID_PARAMS",
        -8: "E_AUTO_TRADING_DISABLED",
        -10004: "E_INTERNAL_FAIL_CONNECT",
    }
)
"""last_error of an order_send that certainly left nothing behind; any other is ambiguous."""


def retcode_name(retcode: int) -> str:
    """Return the retcode's name as the package has it, without `TRADE_RETCODE_`."""
    return RETCODES[retcode][0] if retcode in RETCODES else str(retcode)


def retcode_class(retcode: int) -> Class:
    """Return what `retcode` proves; one that nobody has documented proves nothing."""
    return RETCODES[retcode][1] if retcode in RETCODES else "ambiguous"
