# SPDX-License-Identifier: Apache-2.0
"""Trades over WebSocket: `trading_signal` and `mt5_command`, with the same keys as HTTP."""

from typing import Final

import msgspec
from msgspec import UNSET

from mt5_sidecar.api.context import Context
from mt5_sidecar.api.context.sockets import Socket
from mt5_sidecar.api.requests.middleware import limit_of
from mt5_sidecar.api.requests.problems import document
from mt5_sidecar.api.trading.asks import Fields, taken_text, taken_ticket, wanted
from mt5_sidecar.api.trading.trades import carry_out, demand_trading, ended, refusals
from mt5_sidecar.api.ws import commands
from mt5_sidecar.api.ws.said import TradeFailed, TradeTold
from mt5_sidecar.auth.principal import Principal, Scope
from mt5_sidecar.errors import BridgeError
from mt5_sidecar.logs import logger
from mt5_sidecar.orders import Outcome
from mt5_sidecar.orders.bodies import Operation
from mt5_sidecar.orders.errors import OrderError

TradeResult = TradeTold | TradeFailed

# The parameter of `order_outcome`: whose outcome. A trade brings its key as `client_order_id`.
OUTCOME_OF: Final = "key"

TRADES: Final[dict[str, Operation]] = {
    "order_send": "order",
    "order_modify": "modify_order",
    "order_cancel": "cancel_order",
    "position_modify": "modify_position",
    "position_close": "close_position",
    "position_close_by": "close_by",
}


async def signal(context: Context, socket: Socket, said: commands.TradingSignal) -> TradeResult:
    """Send an order; the answer is what became of it, or the problem."""
    return await trade(context, socket, "order", said.data)


async def trade(
    context: Context, socket: Socket, operation: Operation, params: Fields
) -> TradeResult:
    """Carry out a trade; the answer is what became of it, or the problem."""
    try:
        with refusals(context):
            context.access.demand(socket.principal, Scope.TRADE)
            outcome = await _carried_out(context, socket, operation, dict(params))
    except (OrderError, BridgeError) as error:
        log_refusal(socket.principal, error)
        return failed(error)
    return told(outcome)


def log_refusal(principal: Principal, error: BridgeError | OrderError) -> None:
    """Leave the line that every refusal leaves, over HTTP as over WebSocket."""
    problem, limit = type(error).__name__, limit_of(error)
    logger.info("refused", route="ws", problem=problem, subject=principal.subject, **limit)


async def outcome_of(context: Context, params: Fields) -> TradeResult:
    """Return what became of the key in `params`."""
    try:
        key = taken_text(dict(params), OUTCOME_OF) or ""
        return told(await context.office.desk.outcome(key))
    except (OrderError, BridgeError) as error:
        return failed(error)


def told(outcome: Outcome) -> TradeTold:
    """Return an outcome, and whether the trade was carried out; the problem where it was not."""
    error = ended(outcome)
    problem = UNSET if error is None else document(error)
    ok = error is None and outcome.outcome != "Unknown"
    return TradeTold(ok=ok, problem=problem, **msgspec.structs.asdict(outcome))


def failed(error: BridgeError | OrderError) -> TradeFailed:
    """Return that nothing was sent now. What became of the key before, an error does not know."""
    return TradeFailed(ok=False, problem=document(error))


async def _carried_out(
    context: Context, socket: Socket, operation: Operation, params: Fields
) -> Outcome:
    account_id = context.settings.account_id
    try:
        ticket = 0 if operation == "order" else taken_ticket(params)
        asked = wanted(operation, params, account_id=account_id, header=None, ticket=ticket)
    except (OrderError, BridgeError):
        demand_trading(context)
        raise
    return await carry_out(context, socket.principal, asked)
