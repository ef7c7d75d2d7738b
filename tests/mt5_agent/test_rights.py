# SPDX-License-Identifier: Apache-2.0
"""Who forbids programs to trade: MT5.md 4, rows 9 and 10."""

import msgspec
import pytest

from mt5_agent.protocol import AccountInfo, TerminalInfo
from mt5_agent.rights import no_trading

_OF = {bool: False, int: 0, float: 0.0, str: ""}


def made(kind, **given):
    names = {field.name: _OF[field.type] for field in msgspec.structs.fields(kind)}
    return kind(**{**names, **given})


ABLE = {"trade_allowed": True, "tradeapi_disabled": False}
RIGHTS = {"trade_allowed": True, "trade_expert": True}


@pytest.mark.parametrize(
    ("terminal", "account", "word"),
    [
        (ABLE, RIGHTS, ""),
        (ABLE, None, ""),  # not known yet
        ({**ABLE, "tradeapi_disabled": True}, RIGHTS, "Python API"),
        ({**ABLE, "trade_allowed": False}, RIGHTS, "AutoTrading"),
        ({**ABLE, "trade_allowed": False}, None, "AutoTrading"),
        (ABLE, {**RIGHTS, "trade_allowed": False}, "investor"),
        (ABLE, {**RIGHTS, "trade_expert": False}, "no program"),
        # The nearest first: what a person can mend in the terminal hides what the broker says.
        ({**ABLE, "trade_allowed": False}, {**RIGHTS, "trade_allowed": False}, "AutoTrading"),
    ],
)
def test_who_forbids_it_is_named(terminal, account, word):
    seen = account and made(AccountInfo, **account)

    why = no_trading(made(TerminalInfo, **terminal), seen)

    assert bool(why) is bool(word)
    assert word in why
