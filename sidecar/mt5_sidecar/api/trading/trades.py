# SPDX-License-Identifier: Apache-2.0
"""The one way from a client to the desk: asked, counted, and written into the audit log."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from mt5_sidecar.api.context import Context
from mt5_sidecar.api.requests.problems import slug
from mt5_sidecar.api.trading.asks import Wanted
from mt5_sidecar.auth.principal import Principal
from mt5_sidecar.errors import (
    BridgeError,
    OrderNotSent,
    OrderRefused,
    OutcomeUnknowable,
    TradeEnded,
    TradingDisabled,
)
from mt5_sidecar.logs import logger
from mt5_sidecar.orders import Ask, Outcome
from mt5_sidecar.orders.bodies import Resolution
from mt5_sidecar.orders.errors import OrderError

_ENDS: Final[dict[str, type[TradeEnded]]] = {
    "Refused": OrderRefused,
    "NotSent": OrderNotSent,
    "Unknown": OutcomeUnknowable,
}
# What of a body the audit log shows: never the client's own words.
_AUDITED: Final = ("symbol", "side", "type", "volume", "price", "sl", "tp", "position_by")


def demand_trading(context: Context) -> None:
    """Return if the account may trade at all; raise `TradingDisabled` if not."""
    if not context.terminal.account_file.trading.enabled:
        raise TradingDisabled("spec.trading.enabled of this account is false")


async def carry_out(context: Context, caller: Principal, wanted: Wanted) -> Outcome:
    """Return what became of the trade; one line in the log, whatever it was.

    Raises:
        OrderError, BridgeError: Nothing was sent.
    """
    started_s = time.perf_counter()
    try:
        outcome = await context.office.desk.submit(wanted.key, wanted.ask, by=caller.subject)
    except (OrderError, BridgeError) as error:
        _audit(caller, wanted, problem=slug(type(error)), limit=error.extra.get("limit"))
        raise
    seconds = round(time.perf_counter() - started_s, 4)
    _audit(caller, wanted, **_result(outcome), seconds=seconds)
    return outcome


async def resolve(context: Context, caller: Principal, key: str, said: Resolution) -> Outcome:
    """Return what became of `key` by the caller's word; one line in the log, whatever it was.

    Raises:
        OrderError: Nothing was changed.
    """
    what = {"subject": caller.subject, "key": key, "said": str(said.order)}
    try:
        order = 0 if said.order == "none" else said.order
        outcome = await context.office.desk.resolve(key, order, by=caller.subject)
    except OrderError as error:
        logger.info("resolution", **what, problem=slug(type(error)))
        raise
    logger.info("resolution", **what, **_result(outcome))
    return outcome


@contextlib.contextmanager
def refusals(context: Context) -> Iterator[None]:
    """Count what is refused inside."""
    try:
        yield
    except (OrderError, BridgeError) as error:
        context.metrics.orders.refusals.labels(slug(type(error))).inc()
        raise


def ended(outcome: Outcome) -> TradeEnded | None:
    """Return the error that tells of an outcome by which nothing was made, None for the others."""
    kind = _ENDS.get(outcome.outcome)
    if kind is None or not outcome.final:
        return None
    told = {name: value for name, value in msgspec.structs.asdict(outcome).items() if value != ""}
    detail = told.pop("detail", "") or outcome.retcode_name or outcome.reason
    return kind(detail, **told)


def describe(ask: Ask) -> dict[str, Any]:
    """Return what the log shows of a trade."""
    shown = {name: getattr(ask.body, name, None) for name in _AUDITED}
    return {name: str(value) for name, value in shown.items() if _given(value)}


def _given(value: Any) -> bool:
    return value is not None and value is not msgspec.UNSET


def _result(outcome: Outcome) -> dict[str, Any]:
    return {
        "outcome": outcome.outcome,
        "retcode": outcome.retcode,
        "order": outcome.order,
        "deal": outcome.deal,
        "replayed": outcome.replayed,
    }


def _audit(caller: Principal, wanted: Wanted, **what: Any) -> None:
    logger.info(
        "trade",
        subject=caller.subject,
        operation=wanted.ask.operation,
        key=wanted.key,
        ticket=wanted.ask.ticket or None,
        asked=describe(wanted.ask),
        **what,
    )
