# SPDX-License-Identifier: Apache-2.0
"""From the terminal to the board: records become JSON here, once, whoever reads it."""

from collections.abc import Callable
from typing import Any, Final

from mt5_agent import protocol
from mt5_sidecar.domain import past_views, views
from mt5_sidecar.domain.clock import now_ms
from mt5_sidecar.domain.encoding import encode
from mt5_sidecar.logs import logger
from mt5_sidecar.metrics import Metrics
from mt5_sidecar.settings import Settings
from mt5_sidecar.streams.board import Board
from mt5_sidecar.streams.channels import ACCOUNT_KEY, Channel
from mt5_sidecar.streams.contracts import ContractCache
from mt5_sidecar.streams.deals import DealWatch
from mt5_sidecar.streams.freshness import Freshness
from mt5_sidecar.streams.hub import Hub
from mt5_sidecar.streams.position_bodies import PositionBodies
from mt5_sidecar.streams.status import Status, status
from mt5_sidecar.terminal.terminal import Terminal

CHANNEL_OF: Final[dict[protocol.SnapshotKind, Channel]] = {
    "account": "account_info",
    "positions": "positions",
    "orders": "orders",
    "ticks": "tick_data",
}
# Without these nothing is known of the account; a price may be long in coming.
WHOLE: Final = frozenset[Channel]({"account_info", "positions", "orders"})
# Used until the account itself has been seen.
MONEY_DIGITS: Final = 2


class Feed:
    """Keeps the board as the terminal is (terminal.Audience)."""

    def __init__(
        self,
        settings: Settings,
        terminal: Terminal,
        board: Board,
        metrics: Metrics,
        *,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._settings = settings
        self._terminal = terminal
        self._board = board
        self._metrics = metrics.account
        self._clock = clock
        self._records: dict[Channel, Any] = {}
        self._positions = PositionBodies()
        self._connected = False
        self._unshown: set[Channel] = set()
        """What is too large for the agent to tell: until it tells it again, ours is of before."""
        self._complete_for = (0, frozenset[Channel]())
        """An agent's connection, and what of the account came over it."""
        self.freshness = Freshness(limit_s=settings.stale_after_s, clock=clock)
        self._zone_s: int | None = terminal.connection.utc_offset_s
        self.contracts = ContractCache(
            terminal, self._render_all, again_s=settings.unknown_symbol_retry_s
        )
        self.deals = DealWatch(
            terminal,
            interval_s=settings.deals_interval_s,
            overlap_s=settings.deals_overlap_s,
            tell=self._dealt,
            clock=clock,
        )
        self.changed_ms: dict[Channel, int] = {}
        if self._zone_s is not None:
            self._metrics.broker_utc_offset_s.set(self._zone_s)
        self._told: Status = self.status
        self.hub = Hub(settings, board, metrics.streams, status=self.status_json, clock=clock)
        terminal.tell(self)

    @property
    def zone_s(self) -> int | None:
        """The broker's clock minus UTC; None until known."""
        return self._zone_s

    @property
    def contact_ms(self) -> int:
        """When the terminal was last heard of; 0 for never."""
        return self.freshness.contact_ms

    @property
    def stale_since_ms(self) -> int | None:
        """Since when the board may be otherwise than the account; None: it is current."""
        return self.freshness.stale_since_ms

    @property
    def status(self) -> Status:
        """What clients are told of the connection."""
        return status(
            self._terminal.connection,
            since_ms=self._terminal.since_ms,
            stale_since_ms=self.stale_since_ms,
        )

    def status_json(self) -> bytes:
        """The same, encoded."""
        return encode(self.status)

    def snapshot(self, snapshot: protocol.Snapshot) -> None:
        """Take in one part of the account."""
        channel = CHANNEL_OF[snapshot.kind]
        records = protocol.decode_snapshot(snapshot)
        self.freshness.heard(snapshot.utc_ms)
        self._unshown.discard(channel)
        if channel == "tick_data":
            self._records[channel] = self._watched(self._records.get(channel, {}) | records)
        else:
            self._records[channel] = records
        if self._render(channel, records):
            self.changed_ms[channel] = snapshot.utc_ms
            self.hub.changed()
        self._note_come(channel)
        # Clients first: nobody waits for what follows.
        self.deals.seen(channel, records)
        self._metrics.taken_in(snapshot.kind)

    def forget_unwatched(self) -> None:
        """Show no price of a symbol that nobody watches any more: it would be told as current for
        as long as no watched symbol moves, and nothing comes in for it again."""
        ticks = self._records.get("tick_data", {})
        watched = self._watched(ticks)
        if len(watched) < len(ticks):
            self._records["tick_data"] = watched
            if self._board.retain("tick_data", watched):
                self.changed_ms["tick_data"] = self._clock()
                self.hub.changed()

    def tick_json(self, symbol: str, tick: protocol.Tick) -> bytes:
        """Return a tick as clients see it, for a symbol that nobody watches."""
        return self._ticks({symbol: tick})[symbol]

    def traded(self, outcome: object) -> None:
        """Tell everybody who has the account what became of a trade."""
        self._happened("order_outcome", outcome)
        self.deals.look()

    @property
    def money_digits(self) -> int:
        """Digits of the account's currency."""
        info: protocol.AccountInfo | None = self._records.get("account_info")
        return info.currency_digits if info else MONEY_DIGITS

    @property
    def positions(self) -> list[protocol.Position]:
        """The open positions as last seen."""
        seen: list[protocol.Position] = self._records.get("positions", [])
        return seen

    def connection_changed(self) -> None:
        """Tell clients when the terminal went away or came back; learn the broker's zone."""
        self.freshness.said(self._terminal.connection.last_contact_ms)
        zone_s, again = self._terminal.connection.utc_offset_s, self._is_back()
        if zone_s is not None and zone_s != self._zone_s:
            self._zone_s, again = zone_s, True
            self._metrics.broker_utc_offset_s.set(zone_s)
        if again:
            self._render_all()
        unshown = {CHANNEL_OF[kind] for kind in self._terminal.connection.unshown}
        if not unshown <= self._unshown:
            logger.warning("account_too_large", parts=sorted(unshown))
            self._unshown |= unshown
        self.deals.glance()
        self.review()

    def review(self) -> None:
        """Decide whether the board is current; to be called every second or so."""
        self.forget_unwatched()
        self._know_of_no_prices()
        connection = self._terminal.connection
        self.freshness.review(
            shown=connection.connected and self._is_complete() and not self._unshown,
            healthy_ms=connection.evidence.last_healthy_ms,
        )
        self._metrics.connected.set(connection.connected)
        self._metrics.stale.set(self.stale_since_ms is not None)
        self._metrics.unshown.set(len(self._unshown))
        if self.status != self._told:
            self._told = self.status
            self._happened("status", self._told)

    def _know_of_no_prices(self) -> None:
        # Of what nobody watches no look ever tells: none are known, not "not connected".
        if self._terminal.symbols or self._board.version("tick_data"):
            return
        if self._terminal.connection.connected:
            self.changed_ms["tick_data"] = self._clock()
            self._board.replace("tick_data", {})
            self.hub.changed()

    def _dealt(self, deal: protocol.Deal) -> None:
        contract, zone_s = self.contracts.get(deal.symbol), self._zone_s
        digits = self.money_digits
        self._happened("deal", past_views.deal(deal, contract, money_digits=digits, zone_s=zone_s))

    def _happened(self, type_: str, what: object) -> None:
        self._board.happened(type_, encode(what))
        self.hub.changed(urgent=True)

    def _is_back(self) -> bool:
        """Say whether the account is connected again: what came before could not be asked for the
        digits of its symbols."""
        before, self._connected = self._connected, self._terminal.connection.connected
        return self._connected and not before

    def _note_come(self, channel: Channel) -> None:
        agent, come = self._complete_for
        before = come if agent == self._terminal.agents else frozenset[Channel]()
        self._complete_for = (self._terminal.agents, before | {channel})
        if not before >= WHOLE and self._is_complete():
            self.review()

    def _is_complete(self) -> bool:
        """Say whether all of the account has come since the agent connected: of what was there
        before, nobody knows whether it still is."""
        agent, come = self._complete_for
        return agent == self._terminal.agents and come >= WHOLE

    def _render_all(self) -> None:
        # A list: every channel is to be rendered, not only up to the first that changed.
        changed = [self._render(channel, records) for channel, records in self._records.items()]
        if any(changed):
            self.hub.changed()

    def _render(self, channel: Channel, records: Any) -> bool:
        if channel == "tick_data":
            gone = self._board.retain(channel, self._records[channel])
            return self._board.update(channel, self._ticks(self._watched(records))) or gone
        return self._board.replace(channel, self._bodies(channel, records))

    def _watched(self, ticks: dict[str, protocol.Tick]) -> dict[str, protocol.Tick]:
        watched = frozenset(self._terminal.symbols)
        return {symbol: tick for symbol, tick in ticks.items() if symbol in watched}

    def _bodies(self, channel: Channel, records: Any) -> dict[str, bytes]:
        if channel == "account_info":
            return {ACCOUNT_KEY: encode(views.account(records))}
        if channel == "positions":
            return self._positions.bodies(
                records, self.contracts.get, money_digits=self.money_digits, zone_s=self._zone_s
            )
        return {str(o.ticket): self._order(o) for o in records}

    def _order(self, order: protocol.Order) -> bytes:
        contract = self.contracts.get(order.symbol)
        return encode(views.order(order, contract, zone_s=self._zone_s))

    def _ticks(self, ticks: dict[str, protocol.Tick]) -> dict[str, bytes]:
        zone_s, get = self._zone_s, self.contracts.get
        return {s: encode(views.tick(s, t, get(s), zone_s=zone_s)) for s, t in ticks.items()}
