# SPDX-License-Identifier: Apache-2.0
"""The streams' document is one, whole, and true. That each message conforms, `Rig.ws` checks."""

import json
import re
from pathlib import Path
from typing import Any, get_args

import jsonschema_rs
import pytest
from sidecar_rig import Rig, api_key, heard, key_record
from stream_schema import Undescribed, check, validators

from mt5_sidecar.api.operations import OPERATIONS
from mt5_sidecar.api.schemas.asyncapi import ANSWERED, EVENTS, REPLIES, described_streams
from mt5_sidecar.api.ws import commands

OFFICIAL = json.loads((Path(__file__).parent / "asyncapi/3.0.0.json").read_text())
DOCS = (Path(__file__).parents[3] / "docs/api.md").read_text()


@pytest.fixture
def document() -> Any:
    return json.loads(described_streams(OPERATIONS))


def test_the_document_is_asyncapi_3(document: Any) -> None:
    assert [
        str(error) for error in jsonschema_rs.validator_for(OFFICIAL).iter_errors(document)
    ] == []

    document["operations"]["ws.tell"]["action"] = "publish"
    assert not jsonschema_rs.validator_for(OFFICIAL).is_valid(document)


async def test_it_is_served_to_everybody(rig: Rig, document: Any) -> None:
    assert (await rig.get("/asyncapi.json", key=None)).json == document


def test_its_references_lead_somewhere(document: Any) -> None:
    for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document))):
        found = document
        for name in reference.split("/"):
            found = found[name]


def test_every_stream_and_message_is_in_it(document: Any) -> None:
    streams = {operation.path for operation in OPERATIONS if operation.websocket}
    assert {channel["address"] for channel in document["channels"].values()} == streams

    tags = {str(kind.__struct_config__.tag) for kind in get_args(commands.Incoming)}
    heard_there = {name.partition("hear_")[2] for name in document["operations"] if "hear_" in name}
    assert heard_there == tags
    assert set(ANSWERED) == tags - {"heartbeat_response"}
    assert set(ANSWERED.values()) <= set(REPLIES)


def test_every_message_that_a_stream_says_is_in_the_docs() -> None:
    for name in validators():
        assert f"`{name}`" in DOCS, name
    for name in EVENTS:
        rows = re.findall(rf"^\| `{name}` \|.*never conflated \|$", DOCS, re.MULTILINE)
        assert len(rows) == 1, name


@pytest.mark.parametrize(
    "changed",
    [
        {"type": "nowhere"},
        {"seq": "1"},
        {"seq": None},
        {"data": {"seq": 1}},
        {"data": {"seq": -0.5}, "more": 1},
    ],
)
def test_a_message_that_is_not_described_is_noticed(changed: dict[str, Any]) -> None:
    status = {
        "state": "Connected", "reason": "", "message": "", "connected": True,
        "since": "2026-11-21T10:00:00.000Z", "stale": False, "stale_since": None,
    }  # fmt: skip
    said = {"type": "status", "timestamp": "", "seq": 1, "event": 1, "data": status}
    check(said)

    with pytest.raises(Undescribed):
        check(said | changed)


async def test_each_command_is_answered_as_described(rig: Rig) -> None:
    await rig.trades()
    rig.put_keys([key_record("all", accounts=["10001"], scopes=["read", "trade", "admin"])])
    rig.look()
    socket = await rig.ws("/ws/broadcast", key=api_key("all"))
    data: dict[str, Any] = {
        "broadcast": {"words": "hello"},
        "mt5_command": {"command": "positions_get"},
        "tick_data": {"symbol": "EURUSD"},
        "trading_signal": {"symbol": "EURUSD"},
    }

    for asked, answer in ANSWERED.items():
        await socket.send(json.dumps({"type": asked, "id": asked, "data": data.get(asked, {})}))
        assert (await heard(socket, answer))["id"] == asked
