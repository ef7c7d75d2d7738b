# SPDX-License-Identifier: Apache-2.0
"""A terminal whose calls go wrong in every way that the real one's can."""

import asyncio
import heapq
import random
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from mt5_sidecar.domain.connection import Connection
from mt5_sidecar.errors import TerminalRefused, TerminalTimeout, TerminalUnavailable
from order_world.broker import DEAL, Broker
from order_world.records import account_info, send_result, symbol_info

CALL_MS = 10_000
SETTLE_MS = 15_000
# History tells of an order this much later; lateness and lag together stay within the settle time.
LAG_MS = 2_000
# A position is shown as the last trades left it this much later; after a restart all are.
SHOWN_MS = 3_000
PLAN_MS = 1_000
AMBIGUOUS_CODES = (10011, 10012, 10031, 10099)
AMBIGUOUS_FAULTS = (-1, -10000, -10001, -10002, -10005)
NOT_SENT_FAULTS = (-2, -8, -10004)
REFUSALS = (10004, 10006, 10013, 10018, 10019, 10020, 10024, 10028)


class Killed(BaseException):
    """The sidecar's process is gone at this very point."""


class World:
    """The clock, what happens later, and the link between terminal and broker."""

    def __init__(
        self,
        seed: int,
        *,
        comments: str = "keep",
        offset_s: int | None = 0,
        netting: bool = False,
    ) -> None:
        self.random = random.Random(seed)  # noqa: S311  a replayable world
        self.broker = Broker(self.random, comments, offset_s or 0, netting)
        self.offset_s = offset_s
        self.now_ms = 1_800_000_000_000
        self.broker.now_ms = self.now_ms
        self.set_by_ms = 0
        self.since_ms = self.now_ms - 3_600_000
        self.connected = True
        self.history_ready_ms = 0
        self._later: list[tuple[int, int, Callable[[], object]]] = []

    def clock(self) -> int:
        """Return UTC milliseconds, as the pod's clock has them; `set_by_ms`: wrongly."""
        return self.now_ms + self.set_by_ms

    def set_clock(self, by_ms: int) -> None:
        """Set the pod's clock: no connection is of a time to come (`terminal.Terminal.refresh`)."""
        self.set_by_ms = by_ms
        self.since_ms = min(self.since_ms, self.clock())

    def advance(self, ms: int) -> None:
        """Let time pass; what was due in it happens when it was due."""
        until_ms = self.now_ms + ms
        while self._later and self._later[0][0] <= until_ms:
            due_ms, _, happen = heapq.heappop(self._later)
            self.now_ms = self.broker.now_ms = max(self.now_ms, due_ms)
            happen()
        self.now_ms = self.broker.now_ms = until_ms

    def later(self, ms: int, happen: Callable[[], object]) -> None:
        """Have something happen after `ms`."""
        heapq.heappush(self._later, (self.now_ms + ms, len(self._later), happen))

    def lose_link(self, ms: int) -> None:
        """Lose the broker for `ms`; history loads anew afterwards."""
        self.connected = False
        self.since_ms = self.clock()
        self.later(ms, self._find_link)

    def restore(self) -> None:
        """Have the link back now."""
        if not self.connected:
            self._find_link()

    def _find_link(self) -> None:
        self.connected = True
        self.since_ms = self.clock()
        self.history_ready_ms = self.now_ms + self.random.randrange(SETTLE_MS - 1000)


class Terminal:
    """What a desk holds. `fault` is how the next send ends, `quiet` makes all calls good."""

    def __init__(self, world: World) -> None:
        self.world = world
        if world.set_by_ms:
            # A new process counts its own connection, on the clock as it is now.
            world.since_ms = world.clock()
        self.quiet = False
        self.dead = False
        self.fault: str | None = None
        self.calls: list[str] = []
        self.before: dict[int, Any] = {}
        """Positions before the last trade, which are shown until `late_until_ms`."""
        self.late_until_ms = self.deals = self.looked_at = self.looked_ms = 0

    @property
    def connection(self) -> Connection:
        state = "Connected" if self.world.connected else "Disconnected"
        return Connection(state=state, utc_offset_s=self.world.offset_s)

    @property
    def since_ms(self) -> int:
        return self.world.since_ms

    def unavailable(self) -> TerminalUnavailable:
        return TerminalUnavailable("away", reason="Disconnected")

    async def call(self, call: str, /, *args: Any, **kwargs: Any) -> Any:
        if self.dead:
            raise Killed
        await asyncio.sleep(0)
        self.calls.append(call)
        self.world.advance(self.world.random.randrange(5))
        if not self.world.connected:
            raise self.unavailable()
        if call == "order_send":
            return await self._send(*args)
        self._may_fail()
        return getattr(self, f"_{call}")(*args, **kwargs)

    def _may_fail(self) -> None:
        if not self.quiet and self.world.random.random() < 0.01:
            self.world.advance(CALL_MS)
            raise TerminalTimeout("no answer")

    async def _send(self, request: dict[str, Any]) -> Any:
        fault = self.fault or self._any_fault()
        self.fault = None
        await asyncio.sleep(0)
        if not self._is_late():
            # What was shown once is never shown older again.
            self.before, self.late_until_ms = dict(self.world.broker.positions), 0
        if not self.quiet and self.world.random.random() < 0.3:
            self.late_until_ms = self.world.now_ms + self.world.random.randrange(SHOWN_MS)
        self._judge_close(request)
        try:
            return getattr(self, f"_send_{fault}")(request)
        finally:
            self.deals = len(self.world.broker.deals)

    def _is_late(self) -> bool:
        # Nobody could know of what others trade while it is not shown: that shows all.
        same = self.deals == len(self.world.broker.deals)
        return same and self.world.now_ms < self.late_until_ms

    def _judge_close(self, request: dict[str, Any]) -> None:
        broker = self.world.broker
        held = broker.positions.get(request["position"])
        if held is None or not broker.netting or request["action"] != DEAL:
            return
        # What happened since the last look, nobody could know; what others did since the desk
        # made its plan (`plan_max_age_s`), it need not.
        ours = self.deals == len(broker.deals)
        known = self.looked_at == len(broker.deals) and (
            ours or self.world.now_ms - self.looked_ms > PLAN_MS
        )
        # What is being executed is seen among the orders, whenever one looks.
        much = request["volume"] + broker.executing(held.symbol, 1 - held.type)
        if known and much > held.volume + 1e-9:
            broker.spoilt.append(f"a close of {held.ticket} would have turned it round")

    def _any_fault(self) -> str:
        if self.quiet or self.world.random.random() < 0.6:
            return "good"
        return self.world.random.choice(FAULTS)

    # Each way a send can end.

    def _send_good(self, request: dict[str, Any]) -> Any:
        return self.world.broker.execute(request)

    def _send_partial(self, request: dict[str, Any]) -> Any:
        return self.world.broker.execute(request, partial=True)

    def _send_placed(self, request: dict[str, Any]) -> Any:
        done = self.world.broker.execute(request)
        return send_result(10008, order=done.order) if done.retcode == 10009 else done

    def _send_refused(self, _request: dict[str, Any]) -> Any:
        return send_result(self.world.random.choice(REFUSALS))

    def _send_lost_before(self, _request: dict[str, Any]) -> Any:
        raise self._lost()

    def _send_lost_after(self, request: dict[str, Any]) -> Any:
        self.world.broker.execute(request, partial=self.world.random.random() < 0.3)
        raise self._lost()

    def _send_lost_late(self, request: dict[str, Any]) -> Any:
        # Counted from the sending: the call itself takes CALL_MS.
        late_ms = self.world.random.randrange(CALL_MS + SETTLE_MS - LAG_MS)
        self.world.later(late_ms, lambda: self.world.broker.execute(request))
        raise self._lost()

    def _send_lost_slow(self, request: dict[str, Any]) -> Any:
        # The broker has it, and takes longer than the settle time.
        self._begin(request)
        raise self._lost()

    def _send_taken(self, request: dict[str, Any]) -> Any:
        # It is answered before it is executed, with or without a word of that.
        answer = self._begin(request)
        if request["action"] != DEAL or answer.retcode != 10008:
            return answer
        return replace(answer, retcode=self.world.random.choice((10008, 10009)))

    def _begin(self, request: dict[str, Any]) -> Any:
        broker, fill = self.world.broker, self.world.random.random() < 0.5
        answer, slow_ms = broker.begin(request), self.world.random.randrange(60_000)
        if request["action"] == DEAL and answer.order:
            self.world.later(slow_ms, lambda: broker.finish(answer.order, request, fill=fill))
        return answer

    def _send_ambiguous_before(self, _request: dict[str, Any]) -> Any:
        return send_result(self.world.random.choice(AMBIGUOUS_CODES))

    def _send_ambiguous_after(self, request: dict[str, Any]) -> Any:
        self.world.broker.execute(request)
        return send_result(self.world.random.choice(AMBIGUOUS_CODES))

    def _send_ambiguous_late(self, request: dict[str, Any]) -> Any:
        late_ms = self.world.random.randrange(SETTLE_MS)
        self.world.later(late_ms, lambda: self.world.broker.execute(request))
        return send_result(self.world.random.choice(AMBIGUOUS_CODES))

    def _send_fault_before(self, _request: dict[str, Any]) -> Any:
        raise TerminalRefused("fault", code=self.world.random.choice(AMBIGUOUS_FAULTS))

    def _send_fault_after(self, request: dict[str, Any]) -> Any:
        self.world.broker.execute(request)
        raise TerminalRefused("fault", code=self.world.random.choice(AMBIGUOUS_FAULTS))

    def _send_not_sent(self, _request: dict[str, Any]) -> Any:
        raise TerminalRefused("fault", code=self.world.random.choice(NOT_SENT_FAULTS))

    def _send_queue_full(self, _request: dict[str, Any]) -> Any:
        raise TerminalUnavailable("queue full", reason="NotSent")

    def _send_nonsense(self, request: dict[str, Any]) -> Any:
        self.world.broker.execute(request)
        return None

    def _send_killed_before(self, _request: dict[str, Any]) -> Any:
        self.dead = True
        raise Killed

    def _send_killed_after(self, request: dict[str, Any]) -> Any:
        self.world.broker.execute(request)
        self.dead = True
        raise Killed

    def _send_killed_late(self, request: dict[str, Any]) -> Any:
        # The agent still has the request, and the worker may begin it until its deadline.
        late_ms = self.world.random.randrange(CALL_MS + SETTLE_MS - LAG_MS)
        self.world.later(late_ms, lambda: self.world.broker.execute(request))
        self.dead = True
        raise Killed

    def _lost(self) -> TerminalTimeout:
        self.world.advance(CALL_MS)
        if self.world.random.random() < 0.5:
            # The worker was killed: a new one logs in.
            self.world.lose_link(self.world.random.randrange(100, 20_000))
        return TerminalTimeout("the worker was killed")

    # Reads.

    def _account_info(self) -> Any:
        return account_info(hedging=not self.world.broker.netting)

    def _symbol_info(self, name: str) -> Any:
        return symbol_info(name)

    def _orders_get(self, *, ticket: int = 0, symbol: str = "") -> Any:
        return [
            o
            for o in self.world.broker.orders.values()
            if (not ticket or o.ticket == ticket) and (not symbol or o.symbol == symbol)
        ]

    def _positions_get(self, *, ticket: int = 0, symbol: str = "") -> Any:
        if self.looked_at != len(self.world.broker.deals):
            self.looked_at, self.looked_ms = len(self.world.broker.deals), self.world.now_ms
        shown = self.before if self._is_late() else self.world.broker.positions
        return [
            p
            for p in shown.values()
            if (not ticket or p.ticket == ticket) and (not symbol or p.symbol == symbol)
        ]

    def _history_orders_get(self, from_s: int = 0, to_s: int = 0, *, ticket: int = 0) -> Any:
        past = self.world.broker.past
        if ticket:
            return [past[ticket]] if ticket in past else []
        return [o for o in past.values() if self._shown(o.time_setup_msc, from_s, to_s)]

    def _history_deals_get(self, from_s: int, to_s: int) -> Any:
        deals = self.world.broker.deals
        return [d for d in deals if self._shown(d.time_msc, from_s, to_s)]

    def _shown(self, time_msc: int, from_s: int, to_s: int) -> bool:
        if self.world.now_ms < self.world.history_ready_ms:
            return False
        age_ms = self.world.now_ms + self.world.broker.offset_s * 1000 - time_msc
        return age_ms >= LAG_MS and from_s <= time_msc // 1000 <= to_s


FAULTS = tuple(
    name.removeprefix("_send_")
    for name in vars(Terminal)
    if name.startswith("_send_") and name not in ("_send_good",)
)
LOST = tuple(name for name in FAULTS if name.startswith(("lost", "ambiguous", "fault", "killed")))
