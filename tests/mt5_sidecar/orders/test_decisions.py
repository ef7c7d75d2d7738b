# SPDX-License-Identifier: Apache-2.0
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from order_world.records import made

from mt5_agent.protocol import Deal, Order, Position
from mt5_sidecar.orders import (
    Ask,
    CancelOrder,
    CloseBy,
    ClosePosition,
    ModifyOrder,
    ModifyPosition,
    NewOrder,
    OrderSettings,
)
from mt5_sidecar.orders.decisions import as_said, decide
from mt5_sidecar.orders.errors import NotACandidate, NotAmbiguous, Settling
from mt5_sidecar.orders.outcomes import Verdict, Wait
from mt5_sidecar.orders.records import Record, draft
from mt5_sidecar.orders.sight import Sight

SENT_MS = 1_000_000_000
PROOF_MS = SENT_MS + 25_000
SETTINGS = OrderSettings(call_timeout_s=10.0, settle_s=15.0)


def sent(
    ask: Ask | None = None, *, context: dict[str, float] | None = None, **request: Any
) -> Record:
    record = draft("1", "k", ask or market())
    return msgspec.structs.replace(
        record, state="sent", sent_ms=SENT_MS, request=request, context=context or {}
    )


def market(**fields: Any) -> Ask:
    usual: dict[str, Any] = {
        "symbol": "EURUSD", "side": "buy", "type": "market", "volume": Decimal("0.1"),
    }  # fmt: skip
    return Ask("order", NewOrder(**{**usual, **fields}))


def sight(*, at_ms: int = PROOF_MS, connected_ms: int = 0, **seen: Any) -> Sight:
    return Sight(taken_ms=at_ms, connected_ms=connected_ms, utc_offset_s=0, **seen)


def order(**fields: Any) -> Order:
    usual: dict[str, Any] = {
        "ticket": 5, "symbol": "EURUSD", "type": 0, "state": 4, "volume_initial": 0.1, "reason": 3,
        "time_setup_msc": SENT_MS,
    }  # fmt: skip
    return made(Order, **{**usual, **fields})


def outcome(decision: Verdict | Wait) -> str:
    return decision.reason if isinstance(decision, Wait) else decision.outcome


def test_an_intent_that_was_never_sent_needs_no_look() -> None:
    record = msgspec.structs.replace(sent(), state="intent")

    assert outcome(decide(record, sight(at_ms=0), SETTINGS)) == "NotSent"


def test_absence_is_believed_after_call_timeout_and_settle_time_only() -> None:
    assert outcome(decide(sent(), sight(at_ms=PROOF_MS - 1), SETTINGS)) == "Settling"
    assert outcome(decide(sent(), sight(at_ms=PROOF_MS), SETTINGS)) == "NotSent"


def test_the_clock_of_absence_starts_when_the_call_ended_or_the_sidecar_came_back() -> None:
    # The write of "sent" may take long on a sick disk: the call began after it.
    record = msgspec.structs.replace(sent(), ended_ms=SENT_MS + 10_000)

    assert outcome(decide(record, sight(at_ms=PROOF_MS + 9_999), SETTINGS)) == "Settling"
    assert outcome(decide(record, sight(at_ms=PROOF_MS + 10_000), SETTINGS)) == "NotSent"


def test_absence_is_believed_of_a_terminal_that_was_connected_for_the_settle_time_only() -> None:
    late = PROOF_MS + 60_000

    assert outcome(decide(sent(), sight(at_ms=late, connected_ms=late - 14_999), SETTINGS)) == (
        "Settling"
    )
    assert outcome(decide(sent(), sight(at_ms=late, connected_ms=late - 15_000), SETTINGS)) == (
        "NotSent"
    )


def test_a_history_that_lacks_a_known_order_proves_nothing_until_patience_ends() -> None:
    short = sight(whole=False)
    much_later = sight(at_ms=SENT_MS + 600_000, whole=False)

    assert outcome(decide(sent(), short, SETTINGS)) == "HistoryIncomplete"
    assert outcome(decide(sent(), much_later, SETTINGS)) == "NotSent"


def test_a_market_order_that_the_broker_still_holds_is_waited_for() -> None:
    record = sent()
    held = order(state=0, comment=record.token)

    assert outcome(decide(record, sight(orders=(held,)), SETTINGS)) == "Executing"


def test_an_order_that_moved_to_history_during_the_look_is_found_there() -> None:
    record = sent()
    before = order(state=1, comment=record.token, volume_current=0.1)
    after = order(comment=record.token)

    found = decide(record, sight(orders=(before,), past_orders=(after,)), SETTINGS)

    assert outcome(found) == "Done"


def test_a_waiting_order_that_ended_during_the_look_is_told_as_history_has_it() -> None:
    record = sent(market(type="limit", price=Decimal(1)))
    waiting = {"type": 2, "comment": record.token, "volume_current": 0.1}
    before, after = order(state=1, **waiting), order(state=2, **waiting)

    found = decide(record, sight(orders=(before,), past_orders=(after,)), SETTINGS)

    assert isinstance(found, Verdict)
    assert (found.outcome, found.reason) == ("Placed", "CanceledSince")


def test_a_waiting_order_that_the_broker_rejected_was_never_placed() -> None:
    record = sent(market(type="limit", price=Decimal(1)))
    past = order(type=2, state=5, comment=record.token, volume_current=0.1)

    found = decide(record, sight(past_orders=(past,)), SETTINGS)

    assert isinstance(found, Verdict)
    assert (found.outcome, found.reason) == ("Refused", "Rejected")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"state": 4}, "Done"),
        ({"state": 4, "volume_current": 0.06}, "Partial"),
        ({"state": 2, "volume_current": 0.06}, "Partial"),
        ({"state": 2, "volume_current": 0.1}, "Refused"),
        ({"state": 5, "volume_current": 0.1}, "Refused"),
    ],
)
def test_a_past_market_order_tells_by_its_state(fields: dict[str, Any], expected: str) -> None:
    record = sent()
    past = order(comment=record.token, **fields)

    assert outcome(decide(record, sight(past_orders=(past,)), SETTINGS)) == expected


@pytest.mark.parametrize("state", [1, 2, 6])
def test_a_waiting_order_was_placed_though_it_ended_since(state: int) -> None:
    record = sent(market(type="limit", price=Decimal(1)))
    waiting = order(type=2, state=state, volume_current=0.1, magic=record.magic)

    for seen in ({"orders": (waiting,)}, {"past_orders": (waiting,)}):
        assert outcome(decide(record, sight(**seen), SETTINGS)) == "Placed"


def test_price_and_deal_come_from_the_deals_weighted_by_lots() -> None:
    record = sent()
    deals = (
        made(Deal, ticket=11, order=5, volume=0.03, price=1.2),
        made(Deal, ticket=10, order=5, volume=0.01, price=1.0),
    )

    found = decide(record, sight(past_orders=(order(comment=record.token),), deals=deals), SETTINGS)

    assert isinstance(found, Verdict)
    assert (found.deal, found.price, found.volume) == (10, Decimal("1.15"), Decimal("0.1"))


def test_a_stop_of_the_same_position_is_not_taken_for_the_order() -> None:
    record = sent()
    stop = order(ticket=6, type=1, magic=record.magic, position_id=99, comment="[sl 1.0]")

    assert outcome(decide(record, sight(past_orders=(stop,)), SETTINGS)) == "NotSent"


def test_the_magic_finds_what_lost_its_comment() -> None:
    record = sent()

    for seen in (
        {"past_orders": (order(magic=record.magic),)},
        {"deals": (made(Deal, order=5, symbol="EURUSD", magic=record.magic, volume=0.1),)},
        {"positions": (made(Position, ticket=5, symbol="EURUSD", magic=record.magic),)},
    ):
        found = decide(record, sight(**seen), SETTINGS)
        assert isinstance(found, Verdict)
        assert (found.outcome, found.evidence) == ("Done", "magic")


SHAPED = sent(market(magic=7), symbol="EURUSD", type=0, volume=0.1)


def test_the_one_order_of_its_shape_is_it_when_the_caller_chose_the_magic() -> None:
    found = decide(SHAPED, sight(past_orders=(order(magic=7),)), SETTINGS)

    assert isinstance(found, Verdict)
    assert (found.outcome, found.evidence, found.order) == ("Done", "shape", 5)


@pytest.mark.parametrize(("placed", "triggered"), [(6, 2), (7, 3)])
def test_a_stop_limit_order_whose_trigger_was_reached_has_its_shape(
    placed: int, triggered: int
) -> None:
    side = "sell" if placed % 2 else "buy"
    limits = {"price": Decimal("1.1"), "stop_limit_price": Decimal("1.1")}
    ask = market(type="stop_limit", side=side, magic=7, **limits)
    record = sent(ask, symbol="EURUSD", type=placed, volume=0.1)
    waiting = {"magic": 7, "state": 1, "volume_current": 0.1}

    for kind in (placed, triggered):
        found = decide(record, sight(orders=(order(type=kind, **waiting),)), SETTINGS)
        assert outcome(found) == "Placed"
    other = order(type=triggered + 2, **waiting)
    assert outcome(decide(record, sight(orders=(other,)), SETTINGS)) == "NotSent"


def test_two_orders_of_its_shape_are_left_to_a_person() -> None:
    two = (order(magic=7), order(ticket=6, magic=7))

    assert outcome(decide(SHAPED, sight(past_orders=two), SETTINGS)) == "Ambiguous"


def test_what_was_filled_before_the_rest_was_rejected_is_told() -> None:
    part = order(comment=draft("1", "k", market()).token, state=5, volume_current=0.04)

    decided = decide(sent(volume=0.1), sight(past_orders=(part,)), SETTINGS)

    assert isinstance(decided, Verdict)
    assert (decided.outcome, decided.volume) == ("Partial", Decimal("0.06"))


TWO = (order(magic=7), order(ticket=6, magic=7))


def said(seen: Sight, ticket: int) -> Verdict:
    return as_said(SHAPED, seen, SETTINGS, order=ticket, by="key:ops")


def test_a_person_says_which_of_two_orders_it_is() -> None:
    seen = sight(past_orders=TWO)

    named, none = said(seen, 6), said(seen, 0)

    assert (named.outcome, named.order, named.volume) == ("Done", 6, Decimal("0.1"))
    assert (none.outcome, none.order, none.reason) == ("NotSent", 0, "")
    for verdict in (named, none):
        assert (verdict.evidence, verdict.said_by, verdict.final) == ("person", "key:ops", True)
        assert "of 5, 6" in verdict.detail


def test_a_person_may_name_only_what_a_look_has_found() -> None:
    other_key = order(ticket=8, magic=7)
    seen = sight(past_orders=(*TWO, other_key), claimed=frozenset({8}))

    for ticket in (7, 8):
        with pytest.raises(NotACandidate) as refused:
            said(seen, ticket)
        assert refused.value.extra["candidates"] == (5, 6)


@pytest.mark.parametrize(
    "seen",
    [
        sight(),
        sight(past_orders=TWO[:1]),
        sight(past_orders=(*TWO, order(ticket=9, comment=SHAPED.token, magic=7))),
        sight(orders=(order(magic=7, state=0, comment=SHAPED.token),)),
    ],
    ids=["absent", "one of its shape", "our mark", "our mark, not decided"],
)
def test_where_a_look_tells_it_nobody_may_say_otherwise(seen: Sight) -> None:
    for ticket in (0, 5):
        with pytest.raises(NotAmbiguous):
            said(seen, ticket)


@pytest.mark.parametrize(
    "seen",
    [
        sight(at_ms=PROOF_MS - 1, past_orders=TWO),
        sight(connected_ms=PROOF_MS - 14_999, past_orders=TWO),
        sight(past_orders=TWO, whole=False),
    ],
    ids=["too early", "just connected", "history lacks orders"],
)
def test_nobody_may_say_while_more_such_orders_may_appear(seen: Sight) -> None:
    for ticket in (0, 5):
        with pytest.raises(Settling):
            said(seen, ticket)


def test_an_order_that_the_broker_has_not_decided_on_cannot_be_named_yet() -> None:
    undecided = order(ticket=6, magic=7, state=0, volume_current=0.1)
    seen = sight(orders=(undecided,), past_orders=TWO[:1])

    with pytest.raises(Settling):
        said(seen, 6)
    assert said(seen, 5).order == 5


@pytest.mark.parametrize(
    "fields",
    [
        {"magic": 8},
        {"magic": 7, "symbol": "GBPUSD"},
        {"magic": 7, "volume_initial": 0.2},
        {"magic": 7, "type": 1},
        {"magic": 7, "reason": 1},
        {"magic": 7, "comment": "mt5b-aaaaaaaaaaaaaaaaaaaaaaaa"},
        {"magic": 7, "time_setup_msc": SENT_MS - 400_000},
    ],
)
def test_orders_of_another_shape_are_others(fields: dict[str, Any]) -> None:
    other = order(**fields)

    assert outcome(decide(SHAPED, sight(past_orders=(other,)), SETTINGS)) == "NotSent"


def test_an_order_that_belongs_to_another_key_is_not_taken_by_its_shape() -> None:
    seen = sight(past_orders=(order(magic=7),), claimed=frozenset({5}))

    assert outcome(decide(SHAPED, seen, SETTINGS)) == "NotSent"


CLOSE = sent(Ask("close_position", ClosePosition(), 7), volume=0.1, context={"identifier": 7})


def test_a_close_is_found_by_its_deal_on_that_position() -> None:
    deal = made(Deal, order=5, entry=1, position_id=7, magic=CLOSE.magic, volume=0.1)
    other = msgspec.structs.replace(deal, position_id=8)

    assert outcome(decide(CLOSE, sight(deals=(deal,)), SETTINGS)) == "Done"
    assert outcome(decide(CLOSE, sight(deals=(other,)), SETTINGS)) == "NotSent"


def test_a_close_of_a_turned_netting_position_is_found_by_its_identifier() -> None:
    record = msgspec.structs.replace(CLOSE, context={"identifier": 3})
    deal = made(Deal, order=5, entry=1, position_id=3, magic=CLOSE.magic, volume=0.1)

    assert outcome(decide(record, sight(deals=(deal,)), SETTINGS)) == "Done"


def test_a_close_of_an_earlier_life_is_found_whatever_its_positions_identifier() -> None:
    record = msgspec.structs.replace(CLOSE, context={})
    deal = made(Deal, order=5, entry=1, position_id=3, magic=CLOSE.magic, volume=0.1)

    assert outcome(decide(record, sight(deals=(deal,)), SETTINGS)) == "Done"


def test_a_position_alone_tells_that_it_was_made_and_not_how_much() -> None:
    record = sent()
    held = made(Position, ticket=5, identifier=5, symbol="EURUSD", comment=record.token, volume=0.3)

    early = decide(record, sight(at_ms=PROOF_MS - 1, positions=(held,)), SETTINGS)
    late = decide(record, sight(positions=(held,)), SETTINGS)

    assert outcome(early) == "Settling"
    assert isinstance(late, Verdict)
    assert (late.outcome, late.order, late.position, late.volume) == ("Done", 5, 5, None)


@pytest.mark.parametrize(("hedging", "order"), [(1, 3), (0, 5), (None, 0)])
def test_a_position_names_the_order_that_made_it_or_none(hedging: int | None, order: int) -> None:
    record = sent(context={} if hedging is None else {"hedging": hedging})
    held = made(Position, ticket=5, identifier=3, symbol="EURUSD", comment=record.token)

    found = decide(record, sight(positions=(held,)), SETTINGS)

    assert isinstance(found, Verdict)
    assert found.order == order


def test_half_of_a_close_is_partial() -> None:
    deal = made(Deal, order=5, entry=1, position_id=7, magic=CLOSE.magic, volume=0.05)

    assert outcome(decide(CLOSE, sight(deals=(deal,)), SETTINGS)) == "Partial"


def test_a_first_deal_whose_order_is_not_shown_yet_is_not_all_of_it() -> None:
    deal = made(Deal, order=5, entry=1, position_id=7, magic=CLOSE.magic, volume=0.05)
    whole = msgspec.structs.replace(deal, volume=0.1)
    early = PROOF_MS - 1

    assert outcome(decide(CLOSE, sight(at_ms=early, deals=(deal,)), SETTINGS)) == "Settling"
    assert outcome(decide(CLOSE, sight(at_ms=early, deals=(whole,)), SETTINGS)) == "Done"


@pytest.mark.parametrize("state", [0, 1])
def test_a_close_that_is_not_executed_names_no_position_and_is_ours(state: int) -> None:
    """MQL5 reference, ORDER_POSITION_ID: set as soon as the order is executed."""
    waiting = order(state=state, magic=CLOSE.magic, position_id=0, volume_current=0.1)

    assert outcome(decide(CLOSE, sight(orders=(waiting,)), SETTINGS)) == "Executing"


@pytest.mark.parametrize("state", [0, 7])
def test_a_waiting_order_that_the_broker_has_not_accepted_is_not_placed(state: int) -> None:
    record = sent(market(type="limit", price=Decimal(1)))
    ours = order(state=state, type=2, comment=record.token, volume_current=0.1)
    taken = msgspec.structs.replace(ours, state=1)

    assert outcome(decide(record, sight(orders=(ours,)), SETTINGS)) == "Executing"
    assert outcome(decide(record, sight(orders=(taken,)), SETTINGS)) == "Placed"


@pytest.mark.parametrize(("state", "expected"), [(4, "Done"), (0, "Executing"), (1, "Executing")])
def test_an_order_of_ours_in_history_is_never_absent(state: int, expected: str) -> None:
    record = sent()
    ours = order(state=state, comment=record.token, volume_current=0.1)

    assert outcome(decide(record, sight(past_orders=(ours,)), SETTINGS)) == expected


@pytest.mark.parametrize("state", [8, 9])
@pytest.mark.parametrize("ask", [Ask("cancel_order", CancelOrder(), 5), None])
def test_a_target_that_the_broker_works_on_proves_nothing(state: int, ask: Ask | None) -> None:
    change = Ask("modify_order", ModifyOrder(price=Decimal(2)), 5)
    record = sent(ask or change, price=2.0, context={"price": 1.0})
    seen = sight(orders=(order(state=state, price_open=1.0),))

    assert outcome(decide(record, seen, SETTINGS)) == "Executing"


def test_two_positions_closed_by_each_other_show_in_their_deals() -> None:
    record = sent(Ask("close_by", CloseBy(position_by=8), 7))
    halves = tuple(made(Deal, order=5, entry=3, position_id=p, volume=0.1) for p in (7, 8))

    assert outcome(decide(record, sight(deals=halves), SETTINGS)) == "Done"
    assert outcome(decide(record, sight(deals=halves[:1]), SETTINGS)) == "NotSent"


STOPS = sent(
    Ask("modify_position", ModifyPosition(sl=Decimal(2)), 7),
    context={"sl": 1.0, "tp": 0.0},
    sl=2.0,
    tp=0.0,
)


@pytest.mark.parametrize(
    ("sl", "early", "late"),
    [(2.0, "Done", "Done"), (1.0, "Settling", "NotSent"), (1.5, "Settling", "Unknown")],
)
def test_moved_stops_show_in_the_position(sl: float, early: str, late: str) -> None:
    seen = (made(Position, ticket=7, sl=sl),)

    assert outcome(decide(STOPS, sight(at_ms=SENT_MS, positions=seen), SETTINGS)) == early
    assert outcome(decide(STOPS, sight(positions=seen), SETTINGS)) == late


def test_a_target_that_is_gone_leaves_what_nobody_can_know() -> None:
    found = decide(STOPS, sight(), SETTINGS)

    assert isinstance(found, Verdict)
    assert (found.outcome, found.final, found.reason) == ("Unknown", True, "TargetGone")
    assert outcome(decide(STOPS, sight(at_ms=SENT_MS), SETTINGS)) == "Settling"


def test_a_changed_order_shows_in_its_prices_even_after_its_end() -> None:
    record = sent(
        Ask("modify_order", ModifyOrder(price=Decimal(2)), 5), context={"price": 1.0}, price=2.0
    )

    for field in ("orders", "past_orders"):
        moved = sight(**{field: (order(price_open=2.0),)})
        same = sight(**{field: (order(price_open=1.0),)})
        assert outcome(decide(record, moved, SETTINGS)) == "Done"
        assert outcome(decide(record, same, SETTINGS)) == "NotSent"


def test_a_removal_shows_in_what_became_of_the_order() -> None:
    record = sent(Ask("cancel_order", CancelOrder(), 5))

    canceled, filled = sight(past_orders=(order(state=2),)), sight(past_orders=(order(state=4),))
    waiting, rest = sight(orders=(order(state=1),)), sight(past_orders=(order(state=3),))

    assert outcome(decide(record, canceled, SETTINGS)) == "Done"
    assert outcome(decide(record, rest, SETTINGS)) == "Done"
    assert outcome(decide(record, filled, SETTINGS)) == "NotSent"
    assert outcome(decide(record, waiting, SETTINGS)) == "NotSent"


DAY_MS = 86_400_000


@pytest.mark.parametrize("hedging", [0, 1])
def test_the_mark_of_a_use_that_was_forgotten_is_no_evidence_of_the_next(hedging: int) -> None:
    """The key's first order still stands when the key is used again, and that answer is lost."""
    record = sent(context={"hedging": hedging})
    old_ms = SENT_MS - DAY_MS
    first = order(comment=record.token, magic=record.magic, time_setup_msc=old_ms)
    deal = made(
        Deal, ticket=6, order=5, symbol="EURUSD", volume=0.1, time_msc=old_ms,
        comment=record.token, magic=record.magic,
    )  # fmt: skip
    held = made(
        Position, ticket=5, identifier=5, symbol="EURUSD", volume=0.1, time_msc=old_ms,
        time_update_msc=old_ms, comment=record.token, magic=record.magic,
    )  # fmt: skip

    seen = sight(past_orders=(first,), deals=(deal,), positions=(held,))

    assert outcome(decide(record, seen, SETTINGS)) == "NotSent"


def test_a_netting_position_that_an_older_order_opened_shows_a_newer_one() -> None:
    record = sent(context={"hedging": 0})
    held = made(
        Position, ticket=5, identifier=4, symbol="EURUSD", volume=0.2, time_msc=SENT_MS - DAY_MS,
        time_update_msc=SENT_MS, comment=record.token, magic=record.magic,
    )  # fmt: skip

    assert outcome(decide(record, sight(positions=(held,)), SETTINGS)) == "Done"


@pytest.mark.parametrize("time_ms", [0, SENT_MS - 12 * 3_600_000])
def test_a_mark_with_no_time_or_one_of_a_far_zone_is_evidence(time_ms: int) -> None:
    record = sent()
    ours = order(comment=record.token, magic=record.magic, time_setup_msc=time_ms)

    assert outcome(decide(record, sight(past_orders=(ours,)), SETTINGS)) != "NotSent"


def half(order_ticket: int, position: int) -> Deal:
    return made(
        Deal, ticket=order_ticket * 10 + position, order=order_ticket, position_id=position,
        entry=3, symbol="EURUSD", volume=0.1, price=1.1, time_msc=SENT_MS,
    )  # fmt: skip


def test_two_positions_that_were_closed_by_others_were_not_closed_by_each_other() -> None:
    record = sent(Ask("close_by", CloseBy(position_by=2), 1))
    others = (half(50, 1), half(50, 3), half(51, 2), half(51, 4))

    assert outcome(decide(record, sight(deals=others), SETTINGS)) == "NotSent"
    ours = decide(record, sight(deals=(*others, half(52, 1), half(52, 2))), SETTINGS)
    assert isinstance(ours, Verdict)
    assert (ours.outcome, ours.order) == ("Done", 52)


def test_two_positions_that_another_key_closed_by_each_other_were_not_closed_by_this_one() -> None:
    record = sent(Ask("close_by", CloseBy(position_by=2), 1))
    halves = (half(52, 1), half(52, 2))

    claimed = sight(deals=halves, claimed=frozenset({52}))
    assert outcome(decide(record, claimed, SETTINGS)) == "NotSent"


def test_an_end_of_a_day_is_that_day_whichever_moment_of_it_the_server_says() -> None:
    day_s = 86_400 * 20_000
    record = sent(
        Ask("modify_order", ModifyOrder(expiration="2024-10-04"), 5), type_time=3, expiration=day_s
    )
    ends = order(state=1, type_time=3, time_expiration=day_s + 86_399)
    later = order(state=1, type_time=3, time_expiration=day_s + 86_400)

    assert outcome(decide(record, sight(orders=(ends,)), SETTINGS)) == "Done"
    assert outcome(decide(record, sight(orders=(later,)), SETTINGS)) == "Unknown"


def test_when_an_order_of_today_ends_is_the_servers_to_say() -> None:
    day_s = 86_400 * 20_000
    asked = Ask("modify_order", ModifyOrder(sl=Decimal("1.05")), 5)
    record = sent(asked, type_time=1, expiration=0, sl=1.05)
    of_today = order(state=1, type_time=1, time_expiration=day_s, sl=1.05)

    assert outcome(decide(record, sight(orders=(of_today,)), SETTINGS)) == "Done"


def test_a_waiting_order_that_is_filled_in_part_still_waits() -> None:
    """Told `Partial`, its client would send the rest again (docs/orders.md)."""
    record = sent(market(type="limit", price=Decimal(1)))
    half_filled = order(state=3, type=2, comment=record.token, volume_current=0.06)
    ended = msgspec.structs.replace(half_filled, state=2)

    assert outcome(decide(record, sight(orders=(half_filled,)), SETTINGS)) == "Placed"
    assert outcome(decide(record, sight(past_orders=(ended,)), SETTINGS)) == "Partial"
    seen = sight(orders=(half_filled,), past_orders=(ended,))
    assert outcome(decide(record, seen, SETTINGS)) == "Partial"
