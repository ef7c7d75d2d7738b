# SPDX-License-Identifier: Apache-2.0
"""What may be said on a stream, by whom: what `welcome` lists."""

from typing import Final

from mt5_sidecar.api.context import Context
from mt5_sidecar.api.ws.dialogue import OUTCOME, READS
from mt5_sidecar.api.ws.trades import TRADES
from mt5_sidecar.auth.principal import Principal, Scope

_READING: Final = frozenset(
    {"resume", "subscribe", "unsubscribe", "heartbeat"}
    | set(READS.values())
    | {f"mt5_command:{name}" for name in (OUTCOME, *READS)}
)
_TRADING: Final = frozenset({"trading_signal", *(f"mt5_command:{name}" for name in TRADES)})
_TELLING: Final = frozenset({"heartbeat", "broadcast"})


def features(context: Context, caller: Principal) -> list[str]:
    """Return the messages that `caller` may send now, commands behind a colon."""
    wanted = {Scope.READ: _READING, Scope.ADMIN: _TELLING}
    if context.terminal.account_file.trading.enabled:
        wanted[Scope.TRADE] = _TRADING
    account_id = context.settings.account_id
    mine = [said for scope, said in wanted.items() if caller.may(scope, account_id=account_id)]
    return sorted(frozenset().union(*mine))
