# SPDX-License-Identifier: Apache-2.0
"""What the agent tells of itself: its looks by their time, its calls in the log by their trace."""

import asyncio
import json
from functools import partial

import msgspec
import pytest

from mt5_agent import link as link_module
from mt5_agent import protocol
from mt5_agent.backoff import Backoff
from mt5_agent.link import Link
from mt5_agent.settings import Settings

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_a_state_tells_how_long_each_look_took(sidecar, agent):
    sidecar.login()
    await sidecar.serves()

    await sidecar.until(lambda: any("terminal_info" in told.polls for told in sidecar.states))

    times_us = [us for told in sidecar.states for times in told.polls.values() for us in times]
    assert all(0 < us < 10_000_000 for us in times_us)


async def test_prices_that_never_rest_do_not_keep_the_state_from_being_told(sidecar, made_agent):
    # Ticks come ten times as often as the sign of life is due.
    made_agent.environment["MT5_AGENT_TICK_INTERVAL_S"] = "0.02"
    made_agent.environment["MT5_AGENT_HEARTBEAT_S"] = "0.2"
    await made_agent.start()
    await sidecar.joined()
    sidecar.login()
    await sidecar.serves()
    told = len(sidecar.states)

    await sidecar.until(lambda: len(sidecar.states) >= told + 5)

    assert len({state.last_contact_ms for state in sidecar.states[told:]}) > 1


async def test_a_trade_is_in_the_log_with_the_clients_trace(sidecar, agent):
    sidecar.login()
    await sidecar.serves()
    nonsense = {"action": 1, "symbol": "NONE", "volume": 0.1, "comment": "canary-of-a-request"}
    for trace in (TRACE, ""):
        request = protocol.Request(
            id=900 + len(trace), call="order_send", args=(nonsense,), traceparent=trace
        )
        sidecar.send(request)
        await sidecar.answer(request.id)
    await agent.end()

    lines = [json.loads(line) for line in agent.log.splitlines() if "order_send" in line]
    assert [line.get("traceparent") for line in lines] == [TRACE, None]
    assert "canary-of-a-request" not in agent.log


async def test_a_call_without_an_answer_is_in_the_log_and_a_read_is_not(sidecar, agent):
    sidecar.login(server="Simulator-Hangs")
    await sidecar.serves()
    sidecar.send(protocol.Request(id=901, call="account_info", traceparent=TRACE))
    await sidecar.answer(901)
    request = protocol.Request(
        id=902, call="symbol_info", args=("HANGS",), deadline_ms=300, traceparent=TRACE
    )
    sidecar.send(request)
    assert (await sidecar.answer(902)).outcome == "unknown"
    await agent.end()

    lines = [json.loads(line) for line in agent.log.splitlines() if TRACE in line]
    assert [(line["level"], line["message"].partition(" after")[0]) for line in lines] == [
        ("warning", "symbol_info: unknown")
    ]


class Source:
    """Has seen positions, and is connected since."""

    def hello(self) -> dict[str, object]:
        return {"epoch": "e", "versions": protocol.Versions(), "max_in_flight": 1}

    def state(self) -> protocol.State:
        return protocol.State(state="Connected")

    def polls(self) -> dict[str, tuple[int, ...]]:
        return {}

    def take(self) -> list[protocol.Snapshot]:
        none = msgspec.Raw(msgspec.msgpack.encode([]))
        return [protocol.Snapshot(kind="positions", version=1, utc_ms=0, monotonic_ns=0, data=none)]


class Wire:
    """Keeps what it is to send."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def write(self, message: object) -> None:
        self.told.append(message)


async def test_what_was_seen_is_told_before_the_state_that_calls_it_current():
    link, wire = Link(Source(), Settings(backend="simulator")), Wire()

    link._tell_news(wire)

    assert [type(message) for message in wire.told] == [protocol.Snapshot, protocol.State]


async def test_a_sidecar_that_answers_nothing_is_given_up_after_as_long_as_is_set():
    class Deaf(Wire):
        async def first(self):
            await asyncio.Event().wait()

    link = Link(Source(), Settings(backend="simulator", welcome_timeout_s=0.01))

    async with asyncio.timeout(4):  # less than the default would take
        with pytest.raises(TimeoutError):
            await link._greet(Deaf(), "token")


async def test_a_sidecar_is_tried_again_at_least_as_often_as_is_set(tmp_path, monkeypatch):
    waits = []

    async def sleep(seconds):
        waits.append(seconds)
        if len(waits) == 12:
            raise asyncio.CancelledError

    monkeypatch.setattr(link_module, "Backoff", partial(Backoff, sleep=sleep))
    (tmp_path / "token").write_text("token")
    nobody = {"token_file": tmp_path / "token", "sidecar_address": "127.0.0.1:1"}
    link = Link(Source(), Settings(backend="simulator", sidecar_backoff_max_s=30, **nobody))

    with pytest.raises(asyncio.CancelledError):
        await link.run()

    assert 30 * 0.8 <= waits[-1] <= 30 * 1.2
