# SPDX-License-Identifier: Apache-2.0
import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from sidecar_rig import KEY, Rig, heard
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from mt5_agent import protocol
from mt5_sidecar.tracing import Tracing, of_caller, trace_id

RigWith = Callable[..., Awaitable[Rig]]
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CALLER = {"traceparent": f"00-{TRACE}-{PARENT}-01"}


@pytest.fixture
async def collector() -> AsyncIterator[Any]:
    """What an OpenTelemetry collector is sent."""
    told = SimpleNamespace(spans=[], resource={}, url="")

    async def take(request: web.Request) -> web.Response:
        export = ExportTraceServiceRequest.FromString(await request.read())
        for part in export.resource_spans:
            told.resource = {a.key: a.value.string_value for a in part.resource.attributes}
            told.spans += [span for scope in part.scope_spans for span in scope.spans]
        return web.Response()

    app = web.Application()
    app.router.add_post("/v1/traces", take)
    async with TestServer(app) as server:
        told.url = str(server.make_url("/v1/traces"))
        yield told


async def test_a_request_and_its_calls_are_spans_of_the_callers_trace(
    rig_with: RigWith, collector: Any
) -> None:
    rig = await rig_with(otlp_endpoint=collector.url)
    await rig.connected()
    await rig.get("/api/symbols/EURUSD", headers=CALLER)
    await rig.get("/api/account", key="nobody", headers=CALLER)
    await rig.sidecar.stop()

    ours = [span for span in collector.spans if span.trace_id.hex() == TRACE]
    request, call, refused = (
        next(span for span in ours if span.name == name)
        for name in ("GET /api/symbols/{symbol}", "MetaTrader5.symbol_info", "GET /api/account")
    )
    assert request.parent_span_id.hex() == PARENT
    assert call.parent_span_id == request.span_id
    codes = {a.key: a.value.int_value for a in refused.attributes}
    assert codes["http.response.status_code"] == 401
    assert collector.resource["service.name"] == "mt5-bridge-sidecar"
    assert KEY not in str(collector.spans)


async def test_a_message_of_a_stream_is_a_span(rig_with: RigWith, collector: Any) -> None:
    rig = await rig_with(otlp_endpoint=collector.url)
    await rig.connected()
    stream = await rig.ws()
    await stream.send('{"type": "heartbeat"}')
    await heard(stream, "heartbeat_response")
    await rig.sidecar.stop()

    assert "WS heartbeat" in {span.name for span in collector.spans}


async def test_what_the_caller_does_not_sample_is_not_sent(
    rig_with: RigWith, collector: Any
) -> None:
    rig = await rig_with(otlp_endpoint=collector.url, trace_sample_ratio=0)
    await rig.get("/api/health")
    await rig.get("/api/health", headers={"traceparent": f"00-{TRACE}-{PARENT}-00"})
    await rig.get("/api/status", headers=CALLER)
    await rig.sidecar.stop()

    assert [span.name for span in collector.spans] == ["GET /api/status"]


async def test_a_collector_that_is_away_holds_nobody_up(rig_with: RigWith) -> None:
    rig = await rig_with(otlp_endpoint="http://127.0.0.1:9/v1/traces", otlp_timeout_s=1)

    assert (await rig.get("/api/health")).status == 200


async def test_a_collector_that_does_not_answer_holds_no_end_up(rig_with: RigWith) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/v1/traces"
        rig = await rig_with(otlp_endpoint=url, otlp_timeout_s=20, otlp_flush_timeout_s=0.1)
        await rig.get("/api/health")

        async with asyncio.timeout(2.5):  # less than the default would take
            await rig.sidecar.stop()


async def test_without_the_extra_there_is_a_line_and_no_trace(
    rig_with: RigWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)

    with capture_logs() as lines:
        rig = await rig_with(otlp_endpoint="http://127.0.0.1:9/v1/traces")

    assert [line["event"] for line in lines if line["log_level"] == "error"] == ["tracing_off"]
    assert (await rig.get("/api/health")).status == 200


async def test_log_lines_name_the_callers_trace_without_any_collector(bridge: Rig) -> None:
    with capture_logs(processors=[merge_contextvars]) as lines:
        await bridge.get("/api/account", key="nobody", headers=CALLER)
        await bridge.get("/api/account", key="nobody")

    traced, untraced = (line for line in lines if line["event"] == "refused")
    assert traced["trace_id"] == TRACE
    assert "trace_id" not in untraced


@pytest.mark.parametrize(
    "header",
    [
        "",
        "x",
        f"00-{TRACE}-{PARENT}",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
    ],
)
def test_a_header_that_names_no_trace_is_none(header: str) -> None:
    assert trace_id(header) == ""


def traces(rig: Rig, call: str) -> list[str]:
    """Return the `traceparent` of each request of `call` that the agent was sent."""
    asked = rig.agent.heard_of(protocol.Request)
    return [request.traceparent for request in asked if request.call == call]


async def test_the_callers_trace_goes_on_to_the_agent_and_to_no_other_call(bridge: Rig) -> None:
    async with aiohttp.ClientSession() as session:  # one connection, so one task serves all three
        for headers in (CALLER, {}, {"traceparent": "nonsense"}):
            url = f"http://127.0.0.1:{bridge.sidecar.api_port}/api/symbols/EURUSD"
            async with session.get(url, headers={"X-API-Key": KEY, **headers}) as answer:
                assert answer.status == 200

    assert traces(bridge, "symbol_info")[-3:] == [CALLER["traceparent"], "", ""]


async def test_with_spans_the_agent_is_told_of_the_calls_own(
    rig_with: RigWith, collector: Any
) -> None:
    rig = await rig_with(otlp_endpoint=collector.url)
    await rig.connected()
    await rig.get("/api/symbols/EURUSD", headers=CALLER)
    told = traces(rig, "symbol_info")[-1]
    await rig.sidecar.stop()

    call = next(
        span
        for span in collector.spans
        if span.name == "MetaTrader5.symbol_info" and span.trace_id.hex() == TRACE
    )
    assert told == f"00-{TRACE}-{call.span_id.hex()}-01"


def test_a_callers_trace_ends_with_what_was_done_for_it() -> None:
    with of_caller(CALLER["traceparent"]):
        assert Tracing().here() == CALLER["traceparent"]

    assert Tracing().here() == ""
