# SPDX-License-Identifier: Apache-2.0
import asyncio

from scripted_broker import ScriptedBroker
from sidecar_rig import Rig, eventually

BUY = {"symbol": "EURUSD", "side": "buy", "type": "market", "volume": "0.1"}


async def test_the_counters_tell_reads_calls_answers_and_sign_ins(bridge: Rig) -> None:
    for _ in range(4):
        await bridge.get("/api/account")
    await bridge.get("/api/symbols/EURUSD")
    await bridge.get("/api/account", key="nobody")
    await bridge.get("/nowhere", key=None)

    told = (await bridge.get("/api/performance/metrics")).json

    assert told["cache_hit_rate"] == 0.75
    assert told["cache_bodies"] == 1
    assert told["snapshots"]["account_info"]["items"] == 1
    assert told["snapshots"]["account_info"]["age_s"] > 0
    assert told["agent_calls"]["symbol_info"] >= 1
    assert told["agent_calls_by_outcome"]["done"] >= 1
    assert told["agent_call_seconds_mean_by_call"]["symbol_info"] > 0
    assert told["agent_calls_waiting"] == 0
    assert told["agent_connections"] == 1
    assert told["terminal_events"]["logins"] == 1
    assert told["http_requests_by_status"] == {"200": 5, "401": 1, "404": 1}
    assert 0 < told["http_request_seconds_p50"] <= told["http_request_seconds_p95"]
    # The request that asks is counted as let in already.
    assert told["sign_ins"] == {"accepted": 6, "unauthenticated": 1}
    assert told["uptime_s"] > 0


async def test_the_counters_tell_what_became_of_trades(rig: Rig, broker: ScriptedBroker) -> None:
    await rig.trade("POST", "/api/order", "k1", json=BUY)
    await rig.trade("POST", "/api/order", None, json=BUY)

    told = (await rig.get("/api/performance/metrics")).json

    assert told["orders"] == {"Done": 1}
    assert told["orders_refused"] == {"bad-key": 1}
    assert (told["orders_waiting"], told["orders_unknown"]) == (0, 0)
    assert told["journal_write_seconds_mean"] > 0


async def test_a_call_without_an_answer_shows_as_waiting(rig: Rig, broker: ScriptedBroker) -> None:
    broker.holds = True
    trade = asyncio.create_task(rig.trade("POST", "/api/order", "k1", json=BUY))
    await eventually(lambda: broker.held)

    told = (await rig.get("/api/performance/metrics")).json
    broker.answers()

    assert (await trade).status == 200
    assert (told["agent_calls_waiting"], told["orders_waiting"]) == (1, 1)


async def test_the_brokers_clock_is_a_metric_once_it_is_known(rig: Rig) -> None:
    name = "mt5_sidecar_broker_utc_offset_seconds"
    before = (await rig.ops("/metrics")).body.decode()

    await rig.connected()

    after = (await rig.ops("/metrics")).body.decode()
    assert f"{name} NaN" in before
    assert f"{name} 7200.0" in after
