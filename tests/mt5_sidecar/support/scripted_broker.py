# SPDX-License-Identifier: Apache-2.0
"""The trading half of a scripted agent: it takes orders, and answers them as the test says."""

from typing import Any

from account_records import blank
from scripted_agent import ScriptedAgent, done

from mt5_agent import protocol
from mt5_agent.protocol import records

DONE, REQUOTE, NO_MONEY = 10009, 10004, 10019
HEDGING = 2

EURUSD = blank(
    records.SymbolInfo, name="EURUSD", select=True, visible=True, digits=5, point=0.00001,
    trade_tick_size=0.00001, volume_min=0.01, volume_max=100.0, volume_step=0.01, trade_mode=4,
    trade_exemode=2, order_mode=127, filling_mode=3, expiration_mode=15, bid=1.085, ask=1.0852,
)  # fmt: skip


class ScriptedBroker:
    """What the agent's terminal trades with."""

    def __init__(self, agent: ScriptedAgent) -> None:
        self.agent = agent
        self.sent: list[dict[str, Any]] = []
        self.retcode = DONE
        self.silent = False
        self.held: list[protocol.Request] = []
        self.holds = False
        self.past_orders: list[records.Order] = []
        self.deals: list[records.Deal] = []
        agent.symbols["EURUSD"] = EURUSD
        agent.replies |= {
            "account_info": lambda r: done(r, blank(records.AccountInfo, margin_mode=HEDGING)),
            "order_send": self._send,
            "order_check": self._check,
            "positions_get": lambda r: done(r, self._found(agent.positions, r)),
            "orders_get": lambda r: done(r, self._found(agent.orders, r)),
            "history_orders_get": lambda r: done(r, self._within(r, self.past_orders)),
            "history_deals_get": lambda r: done(r, self._within(r, self.deals)),
        }

    def answers(self) -> None:
        """Answer what was held back."""
        while self.held:
            self.agent.send(self._result(self.held.pop(0)))

    def _send(self, request: protocol.Request) -> protocol.Answer | None:
        self.sent.append(request.args[0])
        if self.holds:
            self.held.append(request)
            return None
        if self.silent:
            fault = protocol.Fault(0, "the worker was ended during this call")
            return protocol.Answer(id=request.id, outcome="unknown", fault=fault)
        return self._result(request)

    def _result(self, request: protocol.Request) -> protocol.Answer:
        wanted = request.args[0]
        number = 100 + len(self.sent)
        made = self.retcode == DONE
        return done(
            request,
            blank(
                records.OrderSendResult,
                retcode=self.retcode,
                order=number if made else 0,
                deal=number + 100 if made else 0,
                volume=wanted.get("volume", 0.0),
                price=1.0852,
                request=blank(records.TradeRequest),
            ),
        )

    def _check(self, request: protocol.Request) -> protocol.Answer:
        request_seen = blank(records.TradeRequest)
        result = blank(
            records.OrderCheckResult, margin=108.52, balance=10000.0, request=request_seen
        )
        return done(request, result)

    def _found(self, all_: list[Any], request: protocol.Request) -> list[Any]:
        ticket = request.kwargs.get("ticket")
        return [one for one in all_ if ticket in (None, one.ticket)]

    def _within(self, request: protocol.Request, all_: list[Any]) -> list[Any]:
        if not request.args:
            return [one for one in all_ if one.ticket == request.kwargs.get("ticket")]
        from_s, to_s = request.args[:2]
        return [one for one in all_ if from_s <= _time_s(one) <= to_s]


def _time_s(one: Any) -> int:
    return int(one.time_done if isinstance(one, records.Order) else one.time)
