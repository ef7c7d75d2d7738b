# SPDX-License-Identifier: Apache-2.0
"""Is one of these orders ours? Token first, magic next, the shape last; never a guess."""

from collections.abc import Iterable
from decimal import Decimal

from mt5_agent.protocol import Deal, Order, Position
from mt5_sidecar.orders import constants as mt5
from mt5_sidecar.orders.keys import carries, is_token
from mt5_sidecar.orders.outcomes import Evidence
from mt5_sidecar.orders.records import SENT_OFFSET, Record
from mt5_sidecar.orders.sight import Sight
from mt5_sidecar.orders.symbols import decimal

CLOCK_TOLERANCE_MS = 300_000
# What is older than this before the sending has the mark of an earlier use of the key, which was
# forgotten since. More than any zone of a broker and error of its estimate, less than the shortest
# time for which a key is kept (a day).
MARK_TOLERANCE_MS = 18 * 3_600_000
# A person's phone, a stop or a stop-out made the others.
OUR_REASONS = (mt5.ORDER_REASON_CLIENT, mt5.ORDER_REASON_EXPERT)


def mark(record: Record, comment: str, magic: int) -> Evidence | None:
    """Return by which of our marks something is ours, None when it has neither."""
    if carries(comment, record.token):
        return "token"
    if record.own_magic and magic == record.magic:
        return "magic"
    return None


def marked_orders(record: Record, orders: Iterable[Order]) -> list[tuple[Order, Evidence]]:
    """Return the orders that `record` made, by token or magic.

    Stops and take-profits inherit the magic of their position, but trade the other way.
    """
    young = (order for order in orders if _of_this_use(record, order.time_setup_msc))
    seen = ((order, mark(record, order.comment, order.magic)) for order in young)
    return [(order, by) for order, by in seen if by and _same_target(record, order)]


def marked_deals(record: Record, deals: Iterable[Deal]) -> list[tuple[Deal, Evidence]]:
    """Return the deals that `record` made, by token or magic."""
    young = (deal for deal in deals if _of_this_use(record, deal.time_msc))
    seen = ((deal, mark(record, deal.comment, deal.magic)) for deal in young)
    return [(deal, by) for deal, by in seen if by and _same_way(record, deal)]


def marked_positions(
    record: Record, positions: Iterable[Position]
) -> list[tuple[Position, Evidence]]:
    """Return the positions that `record` opened; a close opens none."""
    if record.operation != "order":
        return []
    young = (held for held in positions if _of_this_use(record, _changed_ms(record, held)))
    seen = ((held, mark(record, held.comment, held.magic)) for held in young)
    way = (_side(record), _symbol(record))
    return [(held, by) for held, by in seen if by and (held.type, held.symbol) == way]


def lookalikes(record: Record, sight: Sight, *, proof_ms: int) -> list[Order]:
    """Return orders that could be `record`'s by their shape alone, and belong to no other key.

    Only where the caller chose the magic: then a rewritten comment leaves nothing else.
    """
    if record.own_magic or record.operation != "order":
        return []
    fits = {
        order.ticket: order
        for order in sight.all_orders
        if _same_shape(record, order) and order.ticket not in sight.claimed
    }
    return [order for order in fits.values() if _in_time(record, sight, order, proof_ms)]


def deals_of(orders: Iterable[int], deals: Iterable[Deal]) -> list[Deal]:
    """Return the deals of these order tickets, oldest first."""
    tickets = frozenset(orders)
    return sorted((d for d in deals if d.order in tickets), key=lambda deal: deal.ticket)


def mean_price(deals: Iterable[Deal]) -> Decimal | None:
    """Return the price of several deals, weighted by their lots."""
    lots = [(decimal(deal.volume), decimal(deal.price)) for deal in deals]
    volume = sum((lot for lot, _ in lots), Decimal(0))
    if not volume:
        return None
    price = sum((lot * price for lot, price in lots), Decimal(0)) / volume
    return price.quantize(Decimal("1e-8")).normalize() + 0


def _of_this_use(record: Record, time_ms: int) -> bool:
    # 0: not told, or sent in an earlier life and nobody knows when. Then the mark alone decides:
    # an order that is taken for ours is not sent again, the other way round it would be.
    if not (time_ms and record.sent_ms):
        return True
    return time_ms >= record.sent_ms - MARK_TOLERANCE_MS


def _changed_ms(record: Record, held: Position) -> int:
    # A netting position was opened by some order and has had others' since.
    return held.time_msc if record.context.get("hedging") else held.time_update_msc


def _same_target(record: Record, order: Order) -> bool:
    if record.operation == "close_position":
        # An order has the position's identifier from its execution on (MQL5 reference,
        # ORDER_POSITION_ID). Until then, and where it is rejected, the mark says enough.
        return not order.position_id or _is_target(record, order.position_id)
    if record.operation == "close_by":
        return True
    return order.type % 2 == _side(record) and order.symbol == _symbol(record)


def _same_way(record: Record, deal: Deal) -> bool:
    if record.operation == "close_position":
        return _is_target(record, deal.position_id) and deal.entry != mt5.DEAL_ENTRY_IN
    if record.operation == "close_by":
        return deal.entry == mt5.DEAL_ENTRY_OUT_BY
    return deal.type == _side(record) and deal.symbol == _symbol(record)


def _is_target(record: Record, position_id: int) -> bool:
    # History names positions by their identifier; that of a netting position which was turned
    # round is not its ticket. Where it was not noted (another life's close), the mark says enough:
    # no other trade has the magic of a close.
    identifier = record.context.get("identifier")
    return identifier is None or position_id in (record.ask.ticket, int(identifier))


def _symbol(record: Record) -> str:
    return getattr(record.ask.body, "symbol", "")


def _side(record: Record) -> int:
    return 0 if getattr(record.ask.body, "side", "") == "buy" else 1


def _same_shape(record: Record, order: Order) -> bool:
    wanted = record.request
    return (
        order.symbol == wanted.get("symbol")
        and order.type in (wanted.get("type"), mt5.TRIGGERED.get(int(wanted.get("type", -1))))
        and order.magic == record.magic
        and decimal(order.volume_initial) == decimal(float(wanted.get("volume", 0.0)))
        and order.reason in OUR_REASONS
        and not is_token(order.comment)
    )


def _in_time(record: Record, sight: Sight, order: Order, proof_ms: int) -> bool:
    if sight.utc_offset_s is None:
        return True
    # An order keeps the time of the clock that the broker had: it may be on summer time since.
    offsets_s = {sight.utc_offset_s, int(record.context.get(SENT_OFFSET, sight.utc_offset_s))}
    since_sent = (order.time_setup_msc - record.sent_ms - offset_s * 1000 for offset_s in offsets_s)
    window = range(-CLOCK_TOLERANCE_MS, proof_ms + CLOCK_TOLERANCE_MS)
    return any(ms in window for ms in since_sent)
