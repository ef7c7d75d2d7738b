# SPDX-License-Identifier: Apache-2.0
import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from sidecar_rig import OWN, Rig, api_key, heard, key_record
from structlog.testing import capture_logs

from cluster.waiting import patience_s
from mt5_sidecar.api.limits import requests
from mt5_sidecar.api.limits.requests import Limits
from mt5_sidecar.errors import TooManyRequests

RigWith = Callable[..., Awaitable[Rig]]
OTHER = key_record("other", accounts=["10001"], scopes=["read"])
RARELY = {"key_requests_per_s": 0.01, "key_request_burst": 2}


async def test_a_key_that_asks_too_much_is_told_when_to_come_back_and_others_are_not(
    rig_with: RigWith,
) -> None:
    rig = await rig_with(**RARELY)
    rig.put_keys([OWN, OTHER])
    rig.look()

    statuses = [(await rig.get("/api/status")).status for _ in range(2)]
    refused = await rig.get("/api/status")

    assert statuses == [200, 200]
    assert (refused.status, refused.problem) == (429, "/problems/too-many-requests")
    assert refused.json["limit"] == "key"
    assert 0 < int(refused.headers["Retry-After"]) <= 100
    assert (await rig.get("/api/status", key=api_key("other"))).status == 200


async def test_all_keys_together_have_a_limit_too(rig_with: RigWith) -> None:
    rig = await rig_with(account_requests_per_s=0.01, account_request_burst=1)
    rig.put_keys([OWN, OTHER])
    rig.look()

    assert (await rig.get("/api/status")).status == 200
    refused = await rig.get("/api/status", key=api_key("other"))

    assert (refused.status, refused.json["limit"]) == (429, "account")


async def test_who_is_not_let_in_costs_the_account_nothing(rig_with: RigWith) -> None:
    rig = await rig_with(account_requests_per_s=0.01, account_request_burst=1)

    for _ in range(5):
        assert (await rig.get("/api/status", key=api_key("unknown"))).status == 401

    assert (await rig.get("/api/status")).status == 200


async def test_keys_of_other_accounts_cost_themselves_and_never_the_account(
    rig_with: RigWith,
) -> None:
    rig = await rig_with(account_requests_per_s=0.01, account_request_burst=1, **RARELY)
    rig.put_keys([OWN, key_record("foreign", accounts=["20002"], scopes=["read"])])
    rig.look()

    foreign = [(await rig.get("/api/status", key=api_key("foreign"))).status for _ in range(3)]
    no_scope = await rig.request("POST", "/api/order", json={})

    assert (foreign, no_scope.status) == ([403, 403, 429], 403)
    assert (await rig.get("/api/status")).status == 200


async def test_messages_of_a_stream_count_and_the_stream_goes_on(rig_with: RigWith) -> None:
    rig = await rig_with(**RARELY)
    socket = await rig.ws()

    for _ in range(2):
        await socket.send(json.dumps({"type": "heartbeat", "id": 1}))
    first = await heard(socket, "heartbeat_response")
    refused = await heard(socket, "error")

    assert first["id"] == refused["id"] == 1
    assert refused["data"]["type"] == "/problems/too-many-requests"


async def test_a_rate_of_0_is_no_limit(rig_with: RigWith) -> None:
    rig = await rig_with(key_requests_per_s=0, account_requests_per_s=0, key_request_burst=1)

    assert {(await rig.get("/api/status")).status for _ in range(5)} == {200}


async def test_tokens_come_back_with_time(rig: Rig) -> None:
    now_s = 0.0
    settings = rig.settings.model_copy(update=RARELY | {"account_requests_per_s": 0.0})
    taken = Limits(settings, clock=lambda: now_s)
    taken.take("a")
    taken.take("a")
    with pytest.raises(TooManyRequests) as refused:
        taken.take("a")

    now_s += refused.value.extra["retry_after_s"]

    taken.take("a")


async def test_the_table_of_callers_is_bounded(rig: Rig) -> None:
    taken = Limits(rig.settings)

    for number in range(requests.MOST_CALLERS + 10):
        taken._caller(f"jwt:{number}")

    assert len(taken._callers) == requests.MOST_CALLERS


async def test_a_header_that_is_too_long_is_refused_and_the_next_request_is_served(
    rig_with: RigWith,
) -> None:
    rig = await rig_with(header_limit_bytes=1024)
    await rig.connected()

    fits = await rig.get("/api/account", headers={"X-Filler": "x" * 900})
    with capture_logs() as lines:
        too_long = await rig.get("/api/account", headers={"X-Filler": "x" * 1100})
        path_too_long = await rig.get(f"/api/account?fields={'x' * 1100}")

    assert [fits.status, too_long.status, path_too_long.status] == [200, 400, 400]
    assert "x" * 20 not in str(lines)  # it may hold a key
    assert (await rig.get("/api/account")).status == 200


async def test_a_body_that_is_too_large_is_a_problem_and_nothing_is_sent(rig_with: RigWith) -> None:
    rig = await rig_with(body_limit_bytes=1024)
    broker = await rig.trades()
    order = {"symbol": "EURUSD", "side": "buy", "type": "market", "volume": "0.10"}

    fits = await rig.trade("POST", "/api/order", "k1", json=order)
    too_large = await rig.trade("POST", "/api/order", "k2", json=order | {"comment": "x" * 1100})

    assert fits.status == 200, fits.body
    assert (too_large.status, too_large.problem) == (413, "/problems/body-too-large")
    assert len(broker.sent) == 1
    assert (await rig.get("/api/order/k2")).status == 404


@pytest.mark.parametrize("said", [b"", b"GET /api/health HTTP/1.1\r\nX-A: a"])
async def test_who_never_says_a_whole_request_is_sent_away(rig_with: RigWith, said: bytes) -> None:
    rig = await rig_with(connection_idle_timeout_s=0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.sidecar.api_port)
    writer.write(said)

    async with asyncio.timeout(patience_s(5)):
        rest = await reader.read()

    writer.close()
    assert rest == b""
