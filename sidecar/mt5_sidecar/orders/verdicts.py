# SPDX-License-Identifier: Apache-2.0
"""From the terminal's answer, or the lack of one, to a verdict. No answer is not "no"."""

from mt5_agent.protocol import OrderSendResult
from mt5_sidecar.errors import TerminalRefused, TerminalUnavailable
from mt5_sidecar.orders import constants as mt5
from mt5_sidecar.orders.outcomes import Reason, Verdict, Word
from mt5_sidecar.orders.records import Record
from mt5_sidecar.orders.retcodes import (
    NOT_SENT_FAULTS,
    Class,
    retcode_class,
    retcode_name,
)
from mt5_sidecar.orders.symbols import decimal
from mt5_sidecar.orders.targets import CHANGES


def from_result(record: Record, result: OrderSendResult) -> Verdict:
    """Return what the broker's answer to `record` says."""
    kind = _class_of(record, result.retcode)
    if kind == "ambiguous":
        return unknown(f"the broker answered {retcode_name(result.retcode)}", result.retcode)
    word = _word(record, result, kind)
    carried_out = word in ("Done", "Partial", "Placed")
    return Verdict(
        outcome=word,
        retcode=result.retcode,
        order=result.order if carried_out else 0,
        deal=result.deal if carried_out else 0,
        position=_position(record, result.order) if carried_out else 0,
        volume=decimal(result.volume) if carried_out and result.volume else None,
        price=decimal(result.price) if carried_out and result.price else None,
        reason="AlreadyClosed" if kind == "gone" and word == "Done" else "",
        detail="" if carried_out else result.comment,
        retry=kind == "later",
    )


def from_error(error: Exception) -> Verdict:
    """Return what an order_send that raised `error` says: only proof makes it NotSent."""
    if isinstance(error, TerminalUnavailable):
        return not_sent("NotCalled", error.detail, evidence_of_call=False)
    if isinstance(error, TerminalRefused):
        code = int(error.extra.get("code", 0))
        if code in NOT_SENT_FAULTS:
            return not_sent(NOT_SENT_FAULTS[code], error.detail, evidence_of_call=True)
        return unknown(f"last_error {code}: {error.detail}")
    return unknown(f"{type(error).__name__}: {error}")


def not_sent(reason: Reason, detail: str = "", *, evidence_of_call: bool) -> Verdict:
    """Return that nothing was made; `evidence_of_call`: because the package said so."""
    return Verdict(
        outcome="NotSent",
        evidence="answer" if evidence_of_call else "never_called",
        reason=reason,
        detail=detail,
        retry=True,
    )


def unknown(detail: str, retcode: int = 0) -> Verdict:
    """Return that it is not known, and why; somebody will look."""
    return Verdict(
        outcome="Unknown",
        evidence="none",
        final=False,
        retcode=retcode,
        reason="LookingForIt",
        detail=detail,
    )


def _class_of(record: Record, retcode: int) -> Class:
    kind = retcode_class(retcode)
    if kind == "no_changes" and record.operation not in CHANGES:
        # A new order changes nothing; of an order to remove or a position to close it would say
        # that they are as before: somebody must look.
        return "refused" if record.operation == "order" else "ambiguous"
    if kind == "gone" and record.operation != "close_position":
        # Of a pair to be closed by each other one is gone, and the other may well be open.
        return "refused"
    return kind


def _word(record: Record, result: OrderSendResult, kind: Class) -> Word:
    if kind not in ("made", "partial"):
        return "Done" if kind in ("no_changes", "gone") else "Refused"
    waits = record.request.get("action") == mt5.TRADE_ACTION_PENDING
    if waits or retcode_name(result.retcode) == "PLACED" or _not_dealt(record, result, kind):
        return "Placed"
    if kind == "partial" or _filled_less(record, result):
        return "Placed" if _rest_waits(record) else "Partial"
    return "Done"


def _not_dealt(record: Record, result: OrderSendResult, kind: Class) -> bool:
    # Source: MQL5 reference, OrderSend, note: of a market order success only says that it was
    # taken for execution; the deal is told where the server knows it by then. It may be rejected.
    deals = record.request.get("action") == mt5.TRADE_ACTION_DEAL
    return deals and kind == "made" and not result.deal


def _filled_less(record: Record, result: OrderSendResult) -> bool:
    # A broker that fills a part of an IOC order and calls it done: `Done` means all of it.
    wanted = float(record.request.get("volume", 0.0))
    return 0 < decimal(result.volume) < decimal(wanted)


def _rest_waits(record: Record) -> bool:
    # Source: metatrader5.com help, "Fill policy", Return: what is left is not canceled. Told
    # `Partial`, a client would send it again.
    return record.request.get("type_filling") == mt5.ORDER_FILLING_RETURN


def _position(record: Record, order: int) -> int:
    if position := int(record.request.get("position", 0)):
        return position
    # Source: MQL5 reference, POSITION_TICKET: the ticket of the order that opened it.
    opens = record.request.get("action") == mt5.TRADE_ACTION_DEAL and record.context.get("hedging")
    return order if opens else 0
