# SPDX-License-Identifier: Apache-2.0
from typing import Any

import pytest
from order_world.terminal import Terminal, World

from mt5_sidecar.orders import OrderSettings
from mt5_sidecar.orders.looking import Looker
from mt5_sidecar.orders.sight import Sight

HOUR_MS = 3_600_000


def terminal(**world: Any) -> Terminal:
    made = Terminal(World(1, **world))
    made.quiet = True
    return made


async def look(terminal: Terminal, **asked: Any) -> Sight | None:
    looker = Looker(terminal, OrderSettings(), terminal.world.clock)
    return await looker.look(from_ms=terminal.world.now_ms - HOUR_MS, **asked)


async def test_orders_are_looked_for_along_the_way_that_they_move() -> None:
    quiet = terminal()

    await look(quiet)

    assert quiet.calls == ["orders_get", "positions_get", "history_orders_get", "history_deals_get"]


@pytest.mark.parametrize("offset_s", [0, 10_800, -18_000, None])
async def test_an_order_is_in_the_window_whatever_the_brokers_clock(offset_s: int | None) -> None:
    quiet = terminal(offset_s=offset_s)
    quiet.world.broker.trade_by_hand("EURUSD", 0, 0.1, magic=0, reason=0)
    quiet.world.advance(10_000)

    seen = await look(quiet)

    assert seen is not None
    assert len(seen.past_orders) == 1


async def test_a_link_that_breaks_during_the_look_makes_it_worthless() -> None:
    quiet = terminal()
    read = quiet._history_deals_get

    def broken(from_s: int, to_s: int) -> Any:
        found = read(from_s, to_s)
        quiet.world.lose_link(0)
        quiet.world.advance(1)
        return found

    quiet._history_deals_get = broken  # type: ignore[method-assign]

    assert await look(quiet) is None
    assert quiet.world.connected


async def test_without_a_link_nothing_is_looked_at() -> None:
    away = terminal()
    away.world.lose_link(1000)

    assert await look(away) is None
    assert away.calls == []


async def test_a_history_without_the_last_known_order_is_not_whole() -> None:
    quiet = terminal()
    quiet.world.broker.trade_by_hand("EURUSD", 0, 0.1, magic=0, reason=0)
    ticket = next(iter(quiet.world.broker.past))
    quiet.world.advance(10_000)

    whole, short = await look(quiet, known=[1, ticket]), await look(quiet, known=[ticket, 1])

    assert whole is not None
    assert short is not None
    assert (whole.whole, short.whole) == (True, False)
