# SPDX-License-Identifier: Apache-2.0
from decimal import Decimal
from typing import Any

import pytest
from order_world.records import send_result

from mt5_sidecar.errors import TerminalRefused, TerminalTimeout, TerminalUnavailable
from mt5_sidecar.orders import Ask, CancelOrder, CloseBy, ClosePosition, ModifyPosition, NewOrder
from mt5_sidecar.orders.records import Record, draft
from mt5_sidecar.orders.retcodes import RETCODES
from mt5_sidecar.orders.verdicts import from_error, from_result

ORDER = Ask("order", NewOrder(symbol="EURUSD", side="buy", type="market", volume=Decimal(1)))
CLOSE = Ask("close_position", ClosePosition(), 7)
MODIFY = Ask("modify_position", ModifyPosition(sl=Decimal(1)), 7)
CLOSE_BY = Ask("close_by", CloseBy(position_by=8), 7)
CANCEL = Ask("cancel_order", CancelOrder(), 7)


def sent(ask: Ask = ORDER, **request: Any) -> Record:
    record = draft("1", "k", ask)
    return Record(
        key="k", ask=ask, fingerprint="", token=record.token, magic=record.magic, state="sent",
        request={"action": 1, **request}, context={"hedging": 1},
    )  # fmt: skip


AMBIGUOUS = (10011, 10012, 10031)
LATER = (10004, 10020, 10021, 10024, 10028)
MADE = {10008: "Placed", 10009: "Done", 10010: "Partial"}


@pytest.mark.parametrize("retcode", sorted(RETCODES))
def test_every_retcode_of_a_new_order_says_made_refused_or_unknown(retcode: int) -> None:
    verdict = from_result(sent(), send_result(retcode, order=5, deal=6))

    if retcode in MADE:
        assert (verdict.outcome, verdict.order, verdict.final) == (MADE[retcode], 5, True)
    elif retcode in AMBIGUOUS:
        assert (verdict.outcome, verdict.final, verdict.retcode) == ("Unknown", False, retcode)
    else:
        assert (verdict.outcome, verdict.order, verdict.final) == ("Refused", 0, True)
        assert verdict.retry == (retcode in LATER)


@pytest.mark.parametrize("retcode", [0, 1, 10005, 10037, 10047, 99999])
def test_a_retcode_that_nobody_documents_proves_nothing(retcode: int) -> None:
    assert from_result(sent(), send_result(retcode)).outcome == "Unknown"


def test_a_waiting_order_that_was_taken_is_placed_not_done() -> None:
    assert from_result(sent(action=5), send_result(10009, order=5)).outcome == "Placed"


@pytest.mark.parametrize(
    ("ask", "retcode", "outcome", "reason"),
    [
        (MODIFY, 10025, "Done", ""),
        (CLOSE, 10036, "Done", "AlreadyClosed"),
        (MODIFY, 10036, "Refused", ""),
        (CANCEL, 10025, "Unknown", "LookingForIt"),
        (ORDER, 10025, "Refused", ""),
        (ORDER, 10036, "Refused", ""),
        # One of the pair is closed; which one, and whether the other is, it does not say.
        (CLOSE_BY, 10036, "Refused", ""),
        (CLOSE_BY, 10025, "Unknown", "LookingForIt"),
        (CLOSE, 10025, "Unknown", "LookingForIt"),
    ],
)
def test_what_already_is_as_asked_is_done(
    ask: Ask, retcode: int, outcome: str, reason: str
) -> None:
    verdict = from_result(sent(ask, action=6), send_result(retcode))

    assert (verdict.outcome, verdict.reason) == (outcome, reason)


@pytest.mark.parametrize(("volume", "outcome"), [(1.0, "Done"), (0.3, "Partial"), (0.0, "Done")])
def test_less_than_was_asked_for_is_not_done(volume: float, outcome: str) -> None:
    verdict = from_result(sent(volume=1.0), send_result(10009, order=5, deal=6, volume=volume))

    assert verdict.outcome == outcome


@pytest.mark.parametrize("ask", [ORDER, CLOSE])
def test_a_market_order_without_its_deal_is_taken_and_may_yet_be_rejected(ask: Ask) -> None:
    verdict = from_result(sent(ask, volume=1.0), send_result(10009, order=5, volume=1.0))

    assert (verdict.outcome, verdict.order) == ("Placed", 5)


def test_a_change_that_is_done_has_no_deal() -> None:
    assert from_result(sent(MODIFY, action=6), send_result(10009)).outcome == "Done"


@pytest.mark.parametrize(
    ("request_", "outcome"),
    [
        ({"action": 1, "type_filling": 1}, "Partial"),
        ({"action": 1, "type_filling": 2}, "Placed"),
        ({"action": 5, "type_filling": 2}, "Placed"),
    ],
)
def test_a_part_is_partial_only_where_the_rest_is_canceled(
    request_: dict[str, Any], outcome: str
) -> None:
    answer = send_result(10010, order=5, deal=6, volume=0.3)

    verdict = from_result(sent(volume=1.0, **request_), answer)

    assert (verdict.outcome, verdict.volume) == (outcome, Decimal("0.3"))


def test_on_a_hedging_account_the_position_has_its_orders_ticket() -> None:
    assert from_result(sent(), send_result(10009, order=5)).position == 5


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (TerminalUnavailable("no agent"), "NotSent"),
        (TerminalRefused("x", code=-2), "NotSent"),
        (TerminalRefused("x", code=-8), "NotSent"),
        (TerminalRefused("x", code=-10004), "NotSent"),
        (TerminalRefused("x", code=-1), "Unknown"),
        (TerminalRefused("x", code=-10001), "Unknown"),
        (TerminalRefused("x", code=-10002), "Unknown"),
        (TerminalRefused("x", code=-10005), "Unknown"),
        (TerminalRefused("x", code=0), "Unknown"),
        (TerminalRefused("x"), "Unknown"),
        (TerminalTimeout("killed"), "Unknown"),
        (TimeoutError(), "Unknown"),
        (ConnectionResetError(), "Unknown"),
        (ValueError("nonsense"), "Unknown"),
    ],
)
def test_no_answer_is_not_no(error: Exception, outcome: str) -> None:
    assert from_error(error).outcome == outcome
