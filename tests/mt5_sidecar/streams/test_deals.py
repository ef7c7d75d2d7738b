# SPDX-License-Identifier: Apache-2.0
import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from account_records import ACCOUNT, blank, position
from scripted_broker import ScriptedBroker
from sidecar_rig import Rig, eventually, heard

from mt5_agent import protocol
from mt5_agent.protocol import records
from mt5_sidecar.errors import TerminalUnavailable
from mt5_sidecar.streams.deals import FURTHER_S, DealWatch

NOW_MS = 1_795_000_000_000
ZONE_S = 7200
BROKER_MS = NOW_MS + ZONE_S * 1000


def deal(ticket: int, *, after_ms: int = 0) -> records.Deal:
    made: records.Deal = blank(
        records.Deal, ticket=ticket, symbol="EURUSD", time_msc=BROKER_MS + after_ms
    )
    return made


# None of them is the default.
REST_S, OVERLAP_S = 0.7, 1200


class Connection:
    connected = True
    utc_offset_s: int | None = ZONE_S


class Terminal:
    """Has a history; counts how often it was read."""

    def __init__(self) -> None:
        self.connection: Any = Connection()
        self.deals: list[records.Deal] = []
        self.looks = 0
        self.from_s = 0
        """Since when it was read last."""
        self.away = False

    async def call(self, _: str, from_s: int, to_s: int) -> list[records.Deal]:
        self.looks += 1
        self.from_s = from_s
        if self.away:
            raise TerminalUnavailable("away")
        assert from_s < to_s
        return list(self.deals)


class Watch:
    """A watch whose waits are over at once."""

    def __init__(self, *, set_by_ms: int = 0) -> None:
        self.terminal = Terminal()
        self.told: list[int] = []
        self.waits: list[float] = []
        self.long: Callable[[], Awaitable[object]] | None = None
        """What the wait for the last look is, if it is to last."""
        self.set_by_ms = set_by_ms
        """How far the machine's clock is from the time."""
        self.watch = DealWatch(
            self.terminal,  # type: ignore[arg-type]
            interval_s=REST_S,
            overlap_s=OVERLAP_S,
            tell=lambda d: self.told.append(d.ticket),
            clock=lambda: NOW_MS + self.set_by_ms,
            sleep=self._sleep,
        )

    async def looked(self) -> None:
        self.watch.look()
        await eventually(lambda: self.watch._looking is None)

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        if self.long is not None and seconds == FURTHER_S[-1]:
            await self.long()
        await asyncio.sleep(0)


async def test_what_was_there_before_is_no_news_and_what_comes_is_told_once_in_order() -> None:
    seen = Watch()
    seen.terminal.deals = [deal(1, after_ms=-1)]
    await seen.looked()

    seen.terminal.deals += [deal(3, after_ms=20), deal(2, after_ms=10)]
    await seen.looked()
    await seen.looked()

    assert seen.told == [2, 3]


async def test_a_move_is_looked_at_again_because_history_lags() -> None:
    seen = Watch()

    await seen.looked()

    assert seen.waits == [REST_S, FURTHER_S[0], REST_S, FURTHER_S[1], REST_S]
    assert seen.terminal.looks == 3


async def test_a_move_amid_the_wait_for_a_last_look_is_not_left_waiting() -> None:
    seen = Watch()
    await seen.looked()
    never = asyncio.Event()
    seen.long = never.wait
    seen.watch.look()
    await eventually(lambda: seen.waits[-1] == FURTHER_S[-1])

    seen.terminal.deals = [deal(1, after_ms=5)]
    seen.watch.look()
    await eventually(lambda: seen.told == [1])

    await seen.watch.stop()


async def test_an_agent_that_says_how_it_is_is_worth_one_look(
    rig: Rig, broker: ScriptedBroker
) -> None:
    deals = rig.context.feed.deals
    await deals.stop()
    deals._sleep = lambda _seconds: asyncio.sleep(0)
    await eventually(lambda: deals._looking is None)
    before = _looks(rig)

    for said in (1, 2, 3):
        broker.agent.says("Connected", last_contact_ms=said)
        await eventually(lambda: _looks(rig) == before + said)  # noqa: B023  awaited here
        await eventually(lambda: deals._looking is None)

    assert _looks(rig) == before + 3


def _looks(rig: Rig) -> int:
    asked = rig.agent.heard_of(protocol.Request)
    return sum(request.call == "history_deals_get" for request in asked)


async def test_old_deals_that_load_late_are_no_news() -> None:
    seen = Watch()
    await seen.looked()

    seen.terminal.deals = [deal(1, after_ms=-3_600_000), deal(2, after_ms=5)]
    await seen.looked()

    assert seen.told == [2]


async def test_history_is_read_again_from_so_long_before_the_newest_deal() -> None:
    seen = Watch()
    seen.terminal.deals = [deal(1)]
    await seen.looked()
    await seen.looked()

    assert seen.terminal.from_s == BROKER_MS // 1000 - OVERLAP_S


async def test_deals_made_while_the_terminal_was_away_are_told_when_it_is_back() -> None:
    seen = Watch()
    await seen.looked()
    seen.terminal.away = True
    await seen.looked()

    seen.terminal.away = False
    seen.terminal.deals = [deal(1, after_ms=5)]
    await seen.looked()

    assert seen.told == [1]


async def test_deals_made_before_the_terminal_was_there_at_all_are_told_when_it_is() -> None:
    seen = Watch()
    seen.terminal.away = True
    await seen.looked()

    seen.terminal.away = False
    seen.terminal.deals = [deal(1, after_ms=-60_000), deal(2, after_ms=60_000)]
    await seen.looked()

    assert seen.told == [2]


async def test_a_first_look_tells_nothing_while_the_brokers_clock_is_unknown() -> None:
    seen = Watch()
    seen.terminal.connection.utc_offset_s = None
    seen.terminal.deals = [deal(1, after_ms=60_000)]
    await seen.looked()

    seen.terminal.deals += [deal(2, after_ms=60_001)]
    await seen.looked()

    assert seen.told == [2]


async def test_a_clock_that_was_ahead_at_the_start_hides_no_deals() -> None:
    seen = Watch(set_by_ms=3_600_000)
    await seen.looked()

    seen.set_by_ms = 0
    seen.terminal.deals = [deal(1, after_ms=5000)]
    await seen.looked()

    assert seen.told == [1]


async def test_a_history_that_is_loaded_anew_is_no_news() -> None:
    seen = Watch()
    await seen.looked()
    seen.terminal.deals = [deal(1, after_ms=5), deal(2, after_ms=10)]
    await seen.looked()

    # A terminal that was restarted: nothing at first, then a part, then all and one more.
    whole, seen.terminal.deals = seen.terminal.deals, []
    await seen.looked()
    seen.terminal.deals = whole[1:]
    await seen.looked()
    seen.terminal.deals = [*whole, deal(3, after_ms=15)]
    await seen.looked()

    assert seen.told == [1, 2, 3]


async def test_a_price_moves_nothing_and_a_volume_does() -> None:
    seen = Watch()
    seen.watch.seen("positions", [position(1)])
    await eventually(lambda: seen.watch._looking is None)
    before = seen.terminal.looks

    seen.watch.seen("positions", [position(1, profit=5.0, price_current=1.09)])
    same = seen.terminal.looks
    seen.watch.seen("positions", [position(1, volume=0.2)])
    await eventually(lambda: seen.watch._looking is None)

    assert same == before
    assert seen.terminal.looks > before


async def test_streams_hear_of_a_deal_as_an_event(rig: Rig, broker: ScriptedBroker) -> None:
    await eventually(lambda: rig.context.feed.deals._known is not None)
    socket = await rig.ws()
    made = rig.context.feed.deals._started_s() + ZONE_S + 1
    broker.deals = [
        blank(
            records.Deal, ticket=5, symbol="EURUSD", price=1.0852, volume=0.1, entry=1,
            time=made, time_msc=made * 1000,
        )
    ]  # fmt: skip

    broker.agent.shows("account", msgspec.structs.replace(ACCOUNT, balance=10_001.0))
    event = await heard(socket, "deal")

    assert (event["data"]["ticket"], event["data"]["entry_name"]) == (5, "out")
    assert event["event"] > 0


async def test_settings_say_how_often_and_how_far_back_deals_are_looked_for(
    rig_with: Callable[..., Awaitable[Rig]],
) -> None:
    deals = (await rig_with(deals_interval_s=3, deals_overlap_s=900)).context.feed.deals

    assert (deals._interval_s, deals._overlap_s) == (3, 900)
