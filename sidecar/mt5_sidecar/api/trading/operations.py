# SPDX-License-Identifier: Apache-2.0
"""The operations that trade, and those that tell what became of a trade."""

from http import HTTPStatus
from typing import Final

from mt5_sidecar.api import answers
from mt5_sidecar.api.requests.operation import Operation
from mt5_sidecar.api.trading.asks import BODY_OF
from mt5_sidecar.api.trading.http import check, outcome, resolve, trade
from mt5_sidecar.auth.principal import Scope
from mt5_sidecar.orders import NewOrder, Outcome
from mt5_sidecar.orders.bodies import Operation as Kind
from mt5_sidecar.orders.bodies import Resolution


def _trade(
    method: str, path: str, kind: Kind, summary: str, *aliases: str, query: tuple[str, ...] = ()
) -> Operation:
    return Operation(
        method=method,
        path=path,
        handler=trade(kind, query=query),
        summary=summary,
        scope=Scope.TRADE,
        answers=Outcome,
        accepts=BODY_OF[kind],
        keyed=True,
        query=query,
        aliases=aliases,
    )


TRADES: Final = (
    _trade("POST", "/api/order", "order", "Send an order", "/order"),
    _trade("PATCH", "/api/orders/{ticket}", "modify_order", "Change a pending order"),
    _trade("DELETE", "/api/orders/{ticket}", "cancel_order", "Cancel a pending order"),
    _trade("PATCH", "/api/positions/{ticket}", "modify_position", "Change stops"),
    _trade(
        "DELETE",
        "/api/positions/{ticket}",
        "close_position",
        "Close a position, or a part of it",
        # A body of DELETE is lost by some proxies, and without its volume all of it is closed.
        query=("volume",),
    ),
    _trade(
        "POST",
        "/api/positions/{ticket}/close-by",
        "close_by",
        "Close a position by an opposite one",
    ),
    Operation(
        method="POST",
        path="/api/order/check",
        handler=check,
        summary="Margin and retcode, without sending",
        scope=Scope.TRADE,
        answers=answers.CheckAnswer,
        accepts=NewOrder,
    ),
    Operation(
        method="GET",
        path="/api/order/{key}",
        handler=outcome,
        summary="The outcome of an idempotency key",
        may=frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}),
        answers=Outcome,
    ),
    Operation(
        method="POST",
        path="/api/order/{key}/resolve",
        handler=resolve,
        summary="Say which order an ambiguous outcome is, or that none is; nothing is sent",
        scope=Scope.RESOLVE,
        answers=Outcome,
        accepts=Resolution,
        may=frozenset({HTTPStatus.CONFLICT}),
    ),
)
