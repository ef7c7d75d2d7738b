# SPDX-License-Identifier: Apache-2.0
"""The description says what answers have: parameters, problems' fields, headers."""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from scripted_broker import NO_MONEY, ScriptedBroker
from sidecar_rig import Answer, Rig

import mt5_sidecar
from mt5_sidecar.api.schemas.openapi import PROBLEM

RigWith = Callable[..., Awaitable[Rig]]
BUY = {"symbol": "EURUSD", "side": "buy", "type": "market", "volume": "0.10"}
# What a client acts on; the rest is HTTP's own.
TOLD = {"ETag", "Location", "Retry-After", "WWW-Authenticate", "X-Request-Id"}


async def responses(rig: Rig, method: str, path: str) -> dict[str, Any]:
    document = (await rig.get("/openapi.json")).json
    found: dict[str, Any] = document["paths"][path][method.lower()]["responses"]
    return found


async def described(rig: Rig, answer: Answer, method: str, path: str) -> dict[str, Any]:
    """Return the description of an answer, all of whose headers it has."""
    found: dict[str, Any] = (await responses(rig, method, path))[str(answer.status)]
    assert {name for name in TOLD if name in answer.headers} == set(found["headers"])
    return found


async def test_what_is_required_is_said_to_be(rig: Rig) -> None:
    paths = (await rig.get("/openapi.json")).json["paths"]

    needed = {p["name"] for p in paths["/api/rates"]["get"]["parameters"] if p["required"]}

    assert needed == {"symbol"}


async def test_headers_of_answers_are_described(rig_with: RigWith) -> None:
    rig = await rig_with(key_requests_per_s=0.01, key_request_burst=3)
    await rig.connected()

    read = await rig.get("/api/positions")
    kept = await rig.get("/api/positions", headers={"If-None-Match": read.headers["ETag"]})
    await rig.get("/api/positions")
    many = await rig.get("/api/positions")
    nobody = await rig.get("/api/positions", key="mt5_x_y")

    assert [a.status for a in (read, kept, many, nobody)] == [200, 304, 429, 401]
    for answer in (read, kept, many, nobody):
        await described(rig, answer, "GET", "/api/positions")


async def test_headers_and_problems_of_trades_are_described(
    rig: Rig, broker: ScriptedBroker
) -> None:
    broker.retcode = NO_MONEY
    refused = await rig.trade("POST", "/api/order", "k1", json=BUY)
    broken = await rig.trade("POST", "/api/order", "k2", json=BUY | {"volume": "0.015"})
    broker.silent = True
    unknown = await rig.trade("POST", "/api/order", "k3", json=BUY)
    alike = await rig.trade("POST", "/api/order", "k4", json=BUY)

    assert [a.status for a in (refused, broken, unknown, alike)] == [409, 422, 202, 409]
    found = await described(rig, unknown, "POST", "/api/order")
    assert "/Outcome" in str(found["content"])
    for answer in (broken, alike):
        await described(rig, answer, "POST", "/api/order")
        assert set(answer.json) <= set(PROBLEM["properties"])
    outcome = (await rig.get("/openapi.json")).json["components"]["schemas"]["Outcome"]
    assert set(refused.json) <= {*PROBLEM["properties"], *outcome["properties"]}
    assert refused.json["outcome"] in PROBLEM["properties"]["outcome"]["enum"]


def test_every_field_that_an_error_is_raised_with_is_described() -> None:
    folder = Path(mt5_sidecar.__file__).parent
    raised = re.compile(r"raise \w+\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)")
    texts = [text for path in folder.rglob("*.py") for text in raised.findall(path.read_text())]

    named = {name for text in texts for name in re.findall(r"[(,\s](\w+)=(?!=)", text)}

    assert {"limit", "retry_after_s", "allowed"} <= named
    assert named <= set(PROBLEM["properties"])


@pytest.mark.parametrize("name", ["retcode", "retcode_name", "limit", "allowed", "retry_after_s"])
async def test_problems_have_what_a_program_acts_on(rig: Rig, name: str) -> None:
    problem = (await rig.get("/openapi.json")).json["components"]["schemas"]["Problem"]

    assert name in problem["properties"]
