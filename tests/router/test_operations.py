# SPDX-License-Identifier: Apache-2.0
"""Settings, logs, metrics, and a graceful end."""

from __future__ import annotations

import asyncio
import signal
from functools import partial

import aiohttp
import pytest

from cluster.waiting import patience_s
from router.conftest import MakeRouter
from router.programs import end
from router.proxy import Router
from router.redis_server import RedisServer
from router.upstream import Upstream
from router.waiting import until

pytestmark = pytest.mark.service

SECRET = "mt5_demo_CANARY0123456789"


async def test_no_key_is_ever_logged(
    router: Router, redis: RedisServer, upstream: Upstream
) -> None:
    headers = {"X-API-Key": SECRET, "Authorization": f"Bearer {SECRET}", "Cookie": SECRET}
    query = f"?token={SECRET}&api_key={SECRET}"
    paths = ["/accounts/10001/api/x", "/accounts/10002/api/x", "/nothing", "/accounts/777/x"]
    for path in paths:
        await router.ask(path + query, headers=headers)
    upstream.behave = "die"
    for method in ("GET", "POST"):
        await router.ask("/accounts/10001/api/x" + query, method, headers=headers)
    await upstream.close()
    await router.ask("/accounts/10001/api/x" + query, headers=headers)
    await router.raw(f"GET /accounts/10001/%zz{query} HTTP/1.1".encode())
    last = await router.ask("/accounts/10001/api/last" + query, headers=headers)

    line = await router.logged(last.headers["X-Request-Id"])
    assert line["path"] == "/accounts/10001/api/last"
    assert line["problem"] == "account-unreachable"
    assert SECRET not in router.output()
    assert SECRET not in router.errors()


async def test_the_log_tells_account_path_status_and_times(router: Router) -> None:
    answer = await router.ask("/accounts/10001/api/account?x=1", headers={"X-Request-Id": "abc"})

    assert answer.status == 200
    line = await router.logged('"abc"')
    assert line["account"] == "10001"
    assert (line["method"], line["status"]) == ("GET", 200)
    assert line["path"] == "/accounts/10001/api/account"
    assert float(line["seconds"]) >= 0
    assert line["upstream_status"] == "200"


async def test_metrics_count_what_happened(router: Router) -> None:
    for _ in range(3):
        await router.ask("/accounts/10001/api/account")
    await router.ask("/accounts/10001/api/order", "POST", json={})
    await router.ask("/accounts/777/api/account")

    expected = {
        'mt5_router_requests_total{kind="read",status="200"}': 3,
        'mt5_router_requests_total{kind="write",status="200"}': 1,
        'mt5_router_problems_total{type="account-unknown"}': 1,
        'mt5_router_upstream_seconds_count{kind="read"}': 3,
        'mt5_router_upstream_seconds_bucket{kind="read",le="+Inf"}': 3,
    }
    for name, value in expected.items():
        await until(partial(_is, router, name, value), what=f"{name} to be {value}")
    assert await router.metric("mt5_router_routes") == 2
    assert await router.metric("mt5_router_connections_limit") == 2 * 8192
    # Those of this test, but for the one that asks.
    open_, idle = [await router.metric(f"mt5_router_connections{n}") for n in ("", "_idle")]
    assert open_ > idle >= 1
    assert await router.metric("mt5_router_redis_connected") == 1
    assert 0 <= await router.metric("mt5_router_last_resync_age_seconds") < 60


@pytest.mark.parametrize(("kind", "method"), [("read", "GET"), ("write", "POST")])
async def test_the_histogram_holds_what_the_log_tells(
    router: Router, kind: str, method: str
) -> None:
    took_s = []
    for number in range(3):
        told = {"X-Request-Id": f"timed-{number}"}
        await router.ask("/accounts/10001/api/account", method, headers=told)
        took_s.append(float((await router.logged(f'"timed-{number}"'))["upstream_s"]))

    name = "mt5_router_upstream_seconds"
    counted = partial(_is, router, f'{name}_count{{kind="{kind}"}}', len(took_s))
    await until(counted, what="all to be counted")
    assert await router.metric(f'{name}_sum{{kind="{kind}"}}') == pytest.approx(sum(took_s))
    for bound in ("0.001", "0.01", "0.1", "10"):
        within = len([each for each in took_s if each <= float(bound)])
        assert await router.metric(f'{name}_bucket{{kind="{kind}",le="{bound}"}}') == within


async def _is(router: Router, metric: str, value: float) -> bool:
    return await router.metric(metric) == value


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
async def test_a_stopping_router_lets_requests_and_sockets_finish(
    router: Router, upstream: Upstream, number: signal.Signals
) -> None:
    async with router.session.ws_connect(router.url + "/ws/account/10001") as socket:
        await socket.receive_str()

        router.signal(number)
        await until(lambda: _refuses(router), what="new connections to be refused")
        await socket.send_str("one more")
        assert await socket.receive_str() == "echo one more"

    assert await router.ended() == 0


async def _refuses(router: Router) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", router.port)
    except OSError:
        return True
    writer.close()
    return False


async def test_sockets_that_outlast_the_drain_are_closed(
    make_router: MakeRouter, redis: RedisServer, upstream: Upstream
) -> None:
    await redis.put("10001", upstream.address)
    await redis.complete()
    router = await make_router(REDIS_URL=redis.url, DRAIN_TIMEOUT_S=1)
    await until(router.ready, what="ready")
    async with router.session.ws_connect(router.url + "/ws/account/10001") as socket:
        await socket.receive_str()

        router.signal(signal.SIGTERM)

        message = await socket.receive(timeout=patience_s(10))
        assert message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE)
    assert await router.ended() == 0


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("READ_TIMEOUT_S", "60; evil on"),
        ("WORKERS", "auto"),
        ("BIND_ADDRESS", "0.0.0.0:80 ssl"),
        ("REDIS_URL", "http://redis:6379"),
        ("REDIS_URL", "redis://:password@redis:6379/0"),
        ("RESYNC_INTERVAL_S", "-1"),
    ],
)
async def test_a_bad_setting_is_named_and_stops_the_start(setting: str, value: str) -> None:
    router = Router(**{setting: value})
    process = router.launch()
    try:
        assert await router.ended() != 0
        assert f"MT5_ROUTER_{setting}" in router.errors()
        assert "password@" not in router.errors()
    finally:
        end(process)
        await router.close()


async def test_a_router_writes_nothing_outside_its_run_directory(router: Router) -> None:
    answer = await router.ask("/accounts/10001/api/order", "POST", json={"x": "y" * 60_000})

    assert answer.status == 200
    assert {file.name for file in router.directory.iterdir()} == {
        "home", "routes", "run", "stderr", "stdout",
    }  # fmt: skip
    assert router.opened_for_writing() <= {router.directory / "stdout", router.directory / "stderr"}
