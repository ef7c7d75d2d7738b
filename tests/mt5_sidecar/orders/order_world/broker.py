# SPDX-License-Identifier: Apache-2.0
"""The broker: a hedging or netting book that carries out requests, and remembers each under its
own tag."""

import random
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from order_world.records import Deal, Order, OrderSendResult, Position, made, send_result

DEAL, PENDING, SLTP, MODIFY, REMOVE, CLOSE_BY = 1, 5, 6, 7, 8, 10
ENTRY_IN, ENTRY_OUT, ENTRY_INOUT, ENTRY_OUT_BY = 0, 1, 2, 3
ORDER_TYPE_CLOSE_BY = 8
COMMENTS = ("keep", "cut", "drop", "mixed")


def tag_of(request: dict[str, Any]) -> tuple[Any, ...]:
    """Return what a client made unique in this request, and the order core never looks at."""
    match request["action"]:
        case 1 if request["position"]:
            return ("close", request["deviation"])
        case 1 | 5:
            return ("order", round(request["tp"], 5))
        case 10:
            return ("close_by", request["position"], request["position_by"])
        case _:
            return ("remove", request["order"])


@dataclass
class Broker:
    """`comments`: what it does to comments. Times are broker milliseconds.

    `netting`: one position a symbol. An opposite deal reduces it, closes it, or turns it round:
    then its ticket is the new order's, and its identifier stays. Source: MT5.md 5.
    """

    random: random.Random
    comments: str = "keep"
    offset_s: int = 0
    netting: bool = False
    tickets: int = 1000
    now_ms: int = 0
    orders: dict[int, Order] = field(default_factory=dict)
    positions: dict[int, Position] = field(default_factory=dict)
    past: dict[int, Order] = field(default_factory=dict)
    deals: list[Deal] = field(default_factory=list)
    executed: dict[tuple[Any, ...], list[int]] = field(default_factory=lambda: defaultdict(list))
    filled: dict[tuple[Any, ...], float] = field(default_factory=dict)
    """Lots that each market order and close was filled with."""
    taken: set[tuple[Any, ...]] = field(default_factory=set)
    """Market orders and closes that were told to be taken, and may have been rejected since."""
    spoilt: list[str] = field(default_factory=list)
    """What no client asks for: changes of more than one thing, closes of more than is held."""

    def execute(self, request: dict[str, Any], *, partial: bool = False) -> OrderSendResult:
        """Carry out `request`, or refuse it."""
        match request["action"]:
            case 1 if request["position"]:
                return self._close(request)
            case 1:
                return self._open(request, partial=partial)
            case 5:
                return self._place(request)
            case 6:
                return self._protect(request)
            case 10:
                return self._close_by(request)
            case _:
                return self._change(request)

    def begin(self, request: dict[str, Any]) -> OrderSendResult:
        """Take a market order or a close and be slow about it: `finish` ends it. What is neither
        is carried out at once."""
        if request["action"] != DEAL:
            return self.execute(request)
        if request["position"] and (refused := self._unclosable(request)):
            return send_result(refused)
        order = replace(self._order(request), state=0)
        self.orders[order.ticket] = order
        self.taken.add(tag_of(request))
        return send_result(10008, order=order.ticket, volume=request["volume"])

    def finish(self, ticket: int, request: dict[str, Any], *, fill: bool) -> None:
        """Fill the order that `begin` took, or reject it."""
        order = self.orders.pop(ticket, None)
        if order is None:
            return
        if fill and not (request["position"] and self._unclosable(request)):
            self._carry_out(order, request)
        else:
            self.past[ticket] = replace(order, state=5)

    def executing(self, symbol: str, side: int) -> float:
        """Return the lots of market orders and closes of one side that `begin` took."""
        taken = [o for o in self.orders.values() if (o.symbol, o.type) == (symbol, side)]
        return sum(order.volume_current for order in taken)

    def trade_by_hand(
        self, symbol: str, side: int, volume: float, *, magic: int, reason: int
    ) -> int:
        """Trade as a person or a robot elsewhere does: in the book, without a tag of ours."""
        order = self._order(
            {"symbol": symbol, "type": side, "volume": volume, "magic": magic, "comment": ""},
            reason=reason,
        )
        self._fill(order, volume)
        return order.ticket

    def stop_out(self, ticket: int) -> None:
        """Close a position by its stop: the order inherits the magic, and says so."""
        held = self.positions.pop(ticket)
        order = made(
            Order, ticket=self._ticket(), type=1 - held.type, symbol=held.symbol, magic=held.magic,
            volume_initial=held.volume, position_id=held.identifier, comment="[sl 1.0]", state=4,
            reason=4, time_setup_msc=self._time(),
        )  # fmt: skip
        self._book(order, held.volume, entry=1, position=held.identifier)

    def trigger(self, ticket: int) -> None:
        """Fill a waiting order."""
        order = self.orders.pop(ticket)
        self._fill(order, order.volume_initial)

    def _open(self, request: dict[str, Any], *, partial: bool) -> OrderSendResult:
        volume = request["volume"]
        part = round(volume / 2, 2)
        filled = part if partial and part >= 0.01 else volume
        order = self._order(request)
        deal = self._fill(order, filled)
        self._made(request, order.ticket, filled)
        code = 10009 if filled == volume else 10010
        return send_result(code, deal=deal, order=order.ticket, volume=filled, price=1.1)

    def _place(self, request: dict[str, Any]) -> OrderSendResult:
        order = self._order(request)
        self.orders[order.ticket] = order
        self.executed[tag_of(request)].append(order.ticket)
        return send_result(10009, order=order.ticket, volume=request["volume"])

    def _close(self, request: dict[str, Any]) -> OrderSendResult:
        if refused := self._unclosable(request):
            return send_result(refused)
        order = self._order(request)
        deal = self._carry_out(order, request)
        return send_result(
            10009, deal=deal, order=order.ticket, volume=request["volume"], price=1.1
        )

    def _unclosable(self, request: dict[str, Any]) -> int:
        held = self.positions.get(request["position"])
        if held is None:
            return 10036
        return 10038 if request["volume"] > held.volume + 1e-9 else 0

    def _carry_out(self, order: Order, request: dict[str, Any]) -> int:
        self._made(request, order.ticket, order.volume_initial)
        if not request["position"]:
            return self._fill(order, order.volume_initial)
        held = self.positions.pop(request["position"])
        left = round(held.volume - request["volume"], 2)
        if left > 0:
            self.positions[held.ticket] = replace(held, volume=left)
        done = replace(order, state=4, volume_current=0.0, position_id=held.identifier)
        return self._book(done, request["volume"], entry=1, position=held.identifier)

    def _close_by(self, request: dict[str, Any]) -> OrderSendResult:
        pair = [self.positions.get(request[name]) for name in ("position", "position_by")]
        one, other = pair
        if one is None or other is None or one.type == other.type:
            return send_result(10036)
        volume = min(one.volume, other.volume)
        plain = {"type": ORDER_TYPE_CLOSE_BY, "symbol": one.symbol, "volume": volume}
        order = replace(
            self._order(request | plain, position_id=one.identifier), state=4, volume_current=0.0
        )
        for held in (one, other):
            left = round(held.volume - volume, 2)
            del self.positions[held.ticket]
            if left > 0:
                self.positions[held.ticket] = replace(held, volume=left)
            deal = self._book(order, volume, entry=ENTRY_OUT_BY, position=held.identifier)
        self._made(request, order.ticket, volume)
        return send_result(10009, deal=deal, order=order.ticket, volume=volume, price=1.1)

    def _protect(self, request: dict[str, Any]) -> OrderSendResult:
        held = self.positions.get(request["position"])
        if held is None:
            return send_result(10036)
        changed = replace(held, sl=request["sl"], tp=request["tp"])
        self._note_change("sltp", held, changed, ("sl", "tp"))
        self.positions[held.ticket] = changed
        return send_result(10009)

    def _note_change(self, kind: str, before: Any, after: Any, names: Iterable[str]) -> None:
        """Remember what became different, each under what a client made unique."""
        old = {name: round(getattr(before, name), 5) for name in names}
        new = {name: round(getattr(after, name), 5) for name in names}
        different = [name for name in old if old[name] != new[name]]
        for name in different:
            self.executed[kind, name, new[name]].append(before.ticket)
        if len(different) > 1:
            self.spoilt.append(f"{kind} of {before.ticket}: {old} became {new}")

    def _change(self, request: dict[str, Any]) -> OrderSendResult:
        order = self.orders.get(request["order"])
        if order is None:
            return send_result(10035)
        if request["action"] == REMOVE:
            self.executed[tag_of(request)].append(order.ticket)
            self.orders.pop(order.ticket)
            self.past[order.ticket] = replace(order, state=2, time_done_msc=self._time())
            return send_result(10009, order=order.ticket)
        names = {
            "price": "price_open",
            "stoplimit": "price_stoplimit",
            "expiration": "time_expiration",
        }
        wanted = {
            names.get(n, n): request[n] for n in ("price", "stoplimit", "sl", "tp", "expiration")
        }
        # A client names one end; its kind and its moment are two fields of one change.
        changed = replace(order, **wanted, type_time=request["type_time"])
        self._note_change("modify", order, changed, wanted)
        self.orders[order.ticket] = changed
        return send_result(10009, order=order.ticket)

    def _order(self, request: dict[str, Any], *, reason: int = 3, position_id: int = 0) -> Order:
        return made(
            Order, ticket=self._ticket(), type=request["type"], symbol=request["symbol"],
            magic=request["magic"], volume_initial=request["volume"], reason=reason,
            volume_current=request["volume"], comment=self._rewritten(request["comment"]),
            price_open=request.get("price", 0.0), sl=request.get("sl", 0.0), state=1,
            tp=request.get("tp", 0.0), time_setup_msc=self._time(), position_id=position_id,
            price_stoplimit=request.get("stoplimit", 0.0),
            type_time=request.get("type_time", 0), time_expiration=request.get("expiration", 0),
            time_setup=self._time() // 1000,
        )  # fmt: skip

    def _fill(self, order: Order, volume: float) -> int:
        left = round(order.volume_initial - volume, 2)
        state = 4 if not left else 2
        held = self._held(order.symbol)
        identifier = held.identifier if held else order.ticket
        done = replace(order, state=state, volume_current=left, position_id=identifier)
        entry = self._net(order, volume, held) if held else self._opened(order, volume)
        return self._book(done, volume, entry=entry, position=identifier)

    def _held(self, symbol: str) -> Position | None:
        if not self.netting:
            return None
        return next((p for p in self.positions.values() if p.symbol == symbol), None)

    def _opened(self, order: Order, volume: float, *, identifier: int = 0) -> int:
        self.positions[order.ticket] = made(
            Position, ticket=order.ticket, identifier=identifier or order.ticket,
            type=order.type % 2, magic=order.magic, volume=volume, symbol=order.symbol,
            comment=order.comment, price_open=1.1, sl=order.sl, tp=order.tp,
        )  # fmt: skip
        return ENTRY_IN

    def _net(self, order: Order, volume: float, held: Position) -> int:
        if held.type == order.type % 2:
            more = round(held.volume + volume, 2)
            self.positions[held.ticket] = replace(held, volume=more)
            return ENTRY_IN
        left = round(held.volume - volume, 2)
        del self.positions[held.ticket]
        if left < 0:
            self._opened(order, -left, identifier=held.identifier)
            return ENTRY_INOUT
        if left > 0:
            self.positions[held.ticket] = replace(held, volume=left)
        return ENTRY_OUT

    def _made(self, request: dict[str, Any], ticket: int, volume: float) -> None:
        self.executed[tag_of(request)].append(ticket)
        self.filled[tag_of(request)] = volume

    def _book(self, order: Order, volume: float, *, entry: int, position: int) -> int:
        self.past[order.ticket] = order
        deal = made(
            Deal, ticket=self._ticket(), order=order.ticket, type=order.type % 2, entry=entry,
            magic=order.magic, position_id=position, volume=volume, price=1.1,
            symbol=order.symbol, comment=order.comment, time_msc=self._time(),
        )  # fmt: skip
        self.deals.append(deal)
        return deal.ticket

    def _rewritten(self, comment: str) -> str:
        how = self.comments
        if how == "mixed":
            how = self.random.choice(COMMENTS[:3])
        return {"keep": comment, "cut": comment[:16], "drop": "web-gateway"}[how]

    def _time(self) -> int:
        return self.now_ms + self.offset_s * 1000

    def _ticket(self) -> int:
        self.tickets += 1
        return self.tickets
