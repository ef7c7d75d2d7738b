# SPDX-License-Identifier: Apache-2.0
"""One version back: the two images of a pod are updated separately.

`frames/v1.json` was recorded with the code of version 1 and is never written again. When version 3
comes, record `frames/v2.json` with the code before, and let version 1 go.
"""

import base64
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mt5_agent import protocol

RECORDED = json.loads((Path(__file__).parent / "frames" / "v1.json").read_bytes())
DECODERS = {
    "from_agent": protocol.decode_from_agent,
    "from_sidecar": protocol.decode_from_sidecar,
}
CASES = [(side, record) for side in DECODERS for record in RECORDED[side]]
TAGS_OF_AGENT = {"hello", "state", "snapshot", "answer", "goodbye"}


def body(record: dict[str, Any]) -> bytes:
    return base64.b64decode(record["frame"])[4:]


def fields(record: dict[str, Any]) -> Any:
    return msgspec.msgpack.decode(body(record))


def test_the_recorded_version_is_the_oldest_spoken_and_one_back():
    assert RECORDED["version"] == protocol.OLDEST_VERSION
    assert protocol.VERSION - protocol.OLDEST_VERSION <= 1


@pytest.mark.parametrize(("side", "record"), CASES)
def test_a_recorded_frame_means_what_it_meant(side, record):
    message = DECODERS[side](body(record))

    assert type(message).__name__ == record["type"]
    seen = msgspec.to_builtins(message, builtin_types=(msgspec.Raw,))
    meant = {name: value for name, value in record["fields"].items() if value is not None}
    for name, value in meant.items():
        assert includes(seen.get(name, default(message, name)), value), name


@pytest.mark.parametrize(("side", "record"), CASES)
def test_what_an_older_side_reads_is_still_written(side, record):
    again = msgspec.msgpack.decode(protocol.encode(DECODERS[side](body(record)))[4:])

    assert includes(again, fields(record))


def includes(now: Any, before: Any) -> bool:
    """Say whether `now` has all that `before` had; fields that came since do not matter."""
    if isinstance(before, dict):
        return all(includes(now.get(name, empty(v)), v) for name, v in before.items())
    return bool(list(now) == list(before)) if isinstance(before, list) else bool(now == before)


def empty(value: Any) -> Any:
    return type(value)()  # fields that hold their default are left out


def default(message: Any, name: str) -> Any:
    return msgspec.to_builtins(getattr(message, name))


async def test_an_older_sidecar_understands_all_that_this_agent_says(made_agent, sidecar):
    sidecar.version = 1
    await made_agent.start()
    await sidecar.joined()
    sidecar.login()
    await sidecar.serves()
    await sidecar.ask("order_send", {"action": 1, "symbol": "EURUSD", "volume": 1, "type": 0})
    await sidecar.ask("copy_ticks_from", "EURUSD", 1_790_000_000, 8_000, -1)
    await made_agent.end()

    told = [msgspec.msgpack.decode(one, ext_hook=None) for one in sidecar.bodies]
    assert {message["t"] for message in told} == TAGS_OF_AGENT  # and no `part`
    required = {
        tag: set.intersection(*(set(fields(r)) for r in RECORDED["from_agent"] if tag_of(r) == tag))
        for tag in TAGS_OF_AGENT
    }
    for message in told:
        assert required[message["t"]] <= message.keys()


def tag_of(record: dict[str, Any]) -> str:
    return str(fields(record)["t"])
