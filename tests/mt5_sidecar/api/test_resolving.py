# SPDX-License-Identifier: Apache-2.0
"""A person's word for an ambiguous outcome, over HTTP."""

import time
from collections.abc import Awaitable, Callable

import pytest
from account_records import order
from scripted_broker import ScriptedBroker
from sidecar_rig import OWN, TRADER, Answer, Rig, api_key, eventually, key_record
from structlog.testing import capture_logs

from mt5_sidecar.orders import office

RigWith = Callable[..., Awaitable[Rig]]

BUY = {"symbol": "EURUSD", "side": "buy", "type": "market", "volume": "0.10", "magic": 7}
WHERE = "/api/order/k%2F1/resolve"


async def say(rig: Rig, said: object, *, key: str = "ops", path: str = WHERE) -> Answer:
    return await rig.request("POST", path, key=api_key(key), json={"order": said})


async def ambiguous(rig: Rig, broker: ScriptedBroker) -> None:
    """Lose the answer to an order, and show two that it could be."""
    resolver = key_record("ops", accounts=["10001"], scopes=["resolve"])
    rig.put_keys([OWN, TRADER, resolver])
    rig.look()
    broker.silent = True
    await rig.trade("POST", "/api/order", "k/1", json=BUY)
    now_s = int(time.time()) + (rig.context.terminal.connection.utc_offset_s or 0)
    shape = {"type": 0, "state": 4, "magic": 7, "volume_initial": 0.1, "symbol": "EURUSD"}
    times = {"time_setup_msc": now_s * 1000, "time_done": now_s}
    broker.past_orders = [order(ticket, reason=3, **shape, **times) for ticket in (7, 8)]
    desk = rig.context.office.desk
    await eventually(lambda: desk.unknown == {"k/1": "Ambiguous"})


async def test_who_may_says_which_order_it_is_and_the_log_says_who(
    rig_with: RigWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(office, "AFTER_TIMEOUT_S", 0)
    rig = await rig_with(order_reconcile_interval_s=0.01, order_settle_s=0.01, call_timeout_s=0.5)
    broker = await rig.trades()
    await ambiguous(rig, broker)
    gauge = rig.context.metrics.orders.ambiguous
    assert gauge.collect()[0].samples[0].value == 1
    waits = await rig.get("/api/order/k%2F1")
    assert "7, 8" in waits.json["detail"]

    refused = await say(rig, 8, key="trader")
    assert (refused.status, refused.problem) == (403, "/problems/forbidden")
    for wrong in ("8", "any", None, 0, -1, 1.5):
        assert (await say(rig, wrong)).problem == "/problems/bad-body"
    unknown = await say(rig, 8, path="/api/order/other/resolve")
    assert (unknown.status, unknown.problem) == (404, "/problems/key-unknown")
    await eventually_said(rig, 9, status=422)

    with capture_logs() as logs:
        told = await say(rig, 8)
        late = await say(rig, "none")

    assert (told.status, told.json["outcome"], told.json["order"]) == (200, "Done", 8)
    assert (told.json["evidence"], told.json["final"]) == ("person", True)
    assert (late.status, late.problem) == (409, "/problems/not-ambiguous")
    audit = [line for line in logs if line["event"] == "resolution"]
    assert [(line["subject"], line["key"], line["said"]) for line in audit] == [
        ("key:ops", "k/1", "8"),
        ("key:ops", "k/1", "none"),
    ]
    assert [audit[0]["outcome"], audit[1]["problem"]] == ["Done", "not-ambiguous"]
    assert gauge.collect()[0].samples[0].value == 0
    assert rig.context.metrics.orders.outcomes.labels("order", "Done")._value.get() == 1
    assert len(broker.sent) == 1


async def eventually_said(rig: Rig, said: object, *, status: int) -> None:
    """Say it until all that it could be must be shown."""
    while (answer := await say(rig, said)).status == 503:
        assert answer.problem == "/problems/settling"
    assert answer.status == status
    assert answer.json["candidates"] == [7, 8]
