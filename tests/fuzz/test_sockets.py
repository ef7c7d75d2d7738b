# SPDX-License-Identifier: Apache-2.0
"""Malformed frames and messages on the WebSocket: each ends as docs/api.md says, and alone."""

import asyncio
import json
import os
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from raw_socket import BINARY, CLOSE, PING, PONG, TEXT, RawSocket, frame
from sidecar_rig import eventually
from world import ALL, Survivor

from cluster.waiting import patience_s
from mt5_sidecar.api.ws import commands
from mt5_sidecar.streams.codes import Close

EXAMPLES = int(os.environ.get("MT5_FUZZ_EXAMPLES", "40"))
# Our own answer to a close frame repeats its code, whatever the client chose.
DOCUMENTED = {code.value for code in Close}
PATHS = ("/ws", "/ws/status", "/ws/broadcast")
MESSAGE_BYTES = 64 * 1024
ENDS_WITHIN_S = 25.0

fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize="MT5_FUZZ_SEED" not in os.environ,
    suppress_health_check=list(HealthCheck),
)

frames = st.builds(
    frame,
    st.binary(max_size=300),
    opcode=st.integers(0, 15),
    fin=st.booleans(),
    rsv=st.integers(0, 7),
    masked=st.booleans(),
    length=st.none() | st.integers(0, 130) | st.just(1 << 40) | st.just((1 << 64) - 1),
)
bytes_of_any_kind = st.lists(frames | st.binary(max_size=100), min_size=1, max_size=6)


@fuzzed
@given(parts=bytes_of_any_kind, path=st.sampled_from(PATHS))
async def test_bytes_of_any_kind_end_their_own_connection_at_most(
    survivor: Survivor, parts: list[bytes], path: str
) -> None:
    async with RawSocket(survivor.port, ALL, path) as socket:
        for part in parts:
            await socket.write(part)
        socket.ends()
        async with asyncio.timeout(patience_s(ENDS_WITHIN_S)):
            code = await socket.close_code()

    chosen = {int.from_bytes(data[i : i + 2]) for data in parts for i in range(len(data))}
    assert code is None or code in DOCUMENTED | {1000, 1005} | chosen
    await survivor.is_unharmed()


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(b"x" * (MESSAGE_BYTES + 1)), Close.TOO_BIG),
        (frame(b"", length=(1 << 64) - 1), Close.TOO_BIG),
        (frame(b"x" * 40_000, fin=False) + frame(b"x" * 40_000, opcode=0), Close.TOO_BIG),
        (frame(b"\xff\xfe"), Close.NOT_TEXT),
        (frame(b'{"type":"heart', fin=False) + frame(b"\xc3", opcode=0), Close.NOT_TEXT),
        (frame(b"{}", opcode=3), Close.NOT_A_FRAME),
        (frame(b"{}", rsv=4), Close.NOT_A_FRAME),
        (frame(b"{}", opcode=PING, fin=False), Close.NOT_A_FRAME),
        (frame(b"x" * 126, opcode=PING), Close.NOT_A_FRAME),
        (frame(b"{}", opcode=0), Close.NOT_A_FRAME),
        (frame(b"{}", fin=False) + frame(b"{}"), Close.NOT_A_FRAME),
        (frame(b"\x01", opcode=CLOSE), Close.NOT_A_FRAME),
        (frame(b"\x00\x00", opcode=CLOSE), Close.NOT_A_FRAME),
        (frame(b"{}") * 60, Close.TOO_MANY_MESSAGES),
    ],
)
async def test_what_is_no_frame_is_closed_with_its_documented_code(
    survivor: Survivor, sent: bytes, code: int
) -> None:
    async with RawSocket(survivor.port, ALL) as socket:
        await socket.write(sent)
        async with asyncio.timeout(patience_s(ENDS_WITHIN_S)):
            assert await socket.close_code() == code

    await survivor.is_unharmed()


TAGS = [str(kind.__struct_config__.tag) for kind in commands.Incoming.__args__]
numbers = st.sampled_from([0, -1, 1.5, 2**31, 2**63, 2**64, 2**70, -(2**70)]) | st.floats(
    allow_nan=False, allow_infinity=False
)
leaves = st.none() | st.booleans() | numbers | st.text(max_size=30)
anything = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)
SYMBOLS = st.sampled_from(["EURUSD", "XAUUSD", "", "A,B", "x" * 30, "\x00", "é"]) | st.text()
KNOWN = {
    "channels": st.lists(st.sampled_from(["positions", "tick_data", "nowhere"])),
    "symbols": st.lists(SYMBOLS, max_size=4),
    "symbol": SYMBOLS,
    "interval_ms": st.integers(-1, 60_001),
    "command": st.sampled_from(["order_send", "position_close", "order_outcome", "ticks", ""]),
    "params": st.dictionaries(
        st.sampled_from(["client_order_id", "ticket", "symbol", "side", "volume", "key"]), anything
    ),
}
meant = st.fixed_dictionaries({}, optional={n: s | anything for n, s in KNOWN.items()})
messages = st.fixed_dictionaries(
    {"type": st.sampled_from(TAGS) | st.text(max_size=10) | anything},
    optional={"id": anything, "data": meant | anything, "timestamp": anything},
)
NOT_JSON = (
    b"", b"{", b"[]", b"null", b"NaN", b'{"type": NaN}', b'{"type":"heartbeat","data":Infinity}',
    b'{"type":"heartbeat","data":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    b'{"type":"heartbeat","id":"\\ud800"}', b'{"type":"heartbeat","data":1e999}',
    b'{"type":"heartbeat","id":' + b"9" * 60_000 + b"}", b'{"type":"heartbeat"}{"type":"orders"}',
    b'{"type":"heartbeat","type":"orders","type":7}', b"\xef\xbb\xbf{}", b"\x00" * 1000,
)  # fmt: skip
texts = st.builds(lambda m: json.dumps(m).encode(), messages) | st.sampled_from(NOT_JSON)


@fuzzed
@given(sent=st.lists(texts, min_size=1, max_size=12), opcode=st.sampled_from([TEXT, BINARY]))
async def test_a_message_that_means_nothing_is_told_so_and_the_stream_goes_on(
    survivor: Survivor, sent: list[bytes], opcode: int
) -> None:
    async with RawSocket(survivor.port, ALL) as socket:
        for text in sent:
            await socket.write(frame(text, opcode=opcode))
        await socket.write(frame(b'{"type":"heartbeat","id":"the last"}') + frame(b"", opcode=PONG))
        await socket.write(frame(b"\x03\xe8", opcode=CLOSE))
        async with asyncio.timeout(patience_s(ENDS_WITHIN_S)):
            answers = await socket.frames()

    said = [msgspec.json.decode(data) for opcode, data in answers if opcode == TEXT]
    assert [one["type"] for one in said if one.get("id") == "the last"] == ["heartbeat_response"]
    assert answers[-1] == (CLOSE, b"\x03\xe8")
    refused = [one["data"]["status"] for one in said if one["type"] == "error"]
    assert 500 not in refused
    await survivor.is_unharmed()


async def test_a_client_that_asks_and_never_reads_costs_bounded_memory_and_is_closed(
    survivor: Survivor,
) -> None:
    question: dict[str, Any] = {"type": "heartbeat", "data": "x" * 60_000}
    asked = frame(json.dumps(question).encode())

    async with RawSocket(survivor.port, ALL) as socket:
        for _ in range(30):
            await socket.write(asked)
        await survivor.is_unharmed()
        async with RawSocket(survivor.port, ALL) as other:
            for _ in range(3000):
                await other.write(frame(b"x" * 125, opcode=PING))
            await survivor.is_unharmed()

    await survivor.witness.send('{"type": "positions"}')
    await eventually(lambda: "positions_processed" in {one["type"] for one in survivor.told})
