# SPDX-License-Identifier: Apache-2.0
"""The sidecar's loopback door: strangers, agents that break the protocol, terminals that lie."""

import asyncio
from typing import Any, get_type_hints

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from sidecar_rig import eventually
from world import ALL, Survivor

import nonsense_frames
from cluster.waiting import patience_s
from mt5_agent import protocol
from mt5_agent.protocol import records
from nonsense_frames import frames, values

ENDS_WITHIN_S = 15.0
READS = ("/api/status", "/api/account", "/api/positions", "/api/orders", "/api/ticks",
         "/api/symbols/EURUSD", "/api/history?days=1", "/api/performance/metrics")  # fmt: skip
# What a fault of ours looks like to a client, whatever the terminal says.
FAULTS = (0, 500)

fuzzed = nonsense_frames.fuzzed(examples=25)
nonsense = st.lists(frames(protocol.FromAgent) | st.binary(max_size=50), max_size=5)


async def says(survivor: Survivor, *parts: bytes) -> None:
    """Say `parts` on a connection of one's own, hang up, and see the sidecar do so too."""
    reader, writer = await asyncio.open_connection("127.0.0.1", survivor.rig.settings.agent_port)
    try:
        for part in parts:
            writer.write(part)
        writer.write_eof()
        async with asyncio.timeout(patience_s(ENDS_WITHIN_S)):
            while await reader.read(65_536):
                pass
    except (OSError, RuntimeError):
        pass
    finally:
        writer.transport.abort()


def hello(survivor: Survivor) -> bytes:
    return protocol.encode(
        protocol.Hello(
            version=protocol.VERSION,
            oldest_version=protocol.OLDEST_VERSION,
            token=(survivor.rig.folder / "agent/token").read_text(),
            epoch="e2",
            versions=protocol.Versions(),
            max_in_flight=8,
        )
    )


async def reads_answer(survivor: Survivor) -> None:
    for path in READS:
        assert (await survivor.rig.get(path, key=ALL)).status not in FAULTS, path


@fuzzed
@given(parts=nonsense)
async def test_a_stranger_gets_nowhere_and_the_agent_stays(
    survivor: Survivor, parts: list[bytes]
) -> None:
    connections = len(survivor.sidecar.said("agent_connected"))

    await says(survivor, *parts)

    assert len(survivor.sidecar.said("agent_connected")) == connections
    assert (await survivor.rig.ops("/readyz")).status == 200
    await survivor.is_unharmed()


@fuzzed
@given(parts=nonsense)
async def test_an_agent_that_breaks_the_protocol_is_sent_away_and_the_next_one_serves(
    survivor: Survivor, parts: list[bytes]
) -> None:
    # Cut: the sidecar need not wait for the rest of a frame that never comes.
    await says(survivor, hello(survivor), *parts)

    await reads_answer(survivor)
    assert survivor.sidecar.process.returncode is None
    await survivor.connect()
    await survivor.is_unharmed()


def lying(kind: Any) -> st.SearchStrategy[Any]:
    """Return records of `kind` whose types are right and whose values need not be."""
    fields = {n: _EXTREMES[t] for n, t in get_type_hints(kind).items() if t in _EXTREMES}
    return st.builds(kind, **fields)


moments = st.sampled_from([0, 1, -1, 2**31, 2**40, 2**62, -(2**62), 1_795_255_200_000])
_EXTREMES: dict[Any, st.SearchStrategy[Any]] = {
    int: moments | st.integers(-(2**63), 2**63 - 1),
    float: st.floats() | st.sampled_from([1e308, -1e308, 5e-324, 0.1]),
    str: st.text(max_size=20) | st.sampled_from(["EURUSD", '"', "\x00", "</script>"]),
    bool: st.booleans(),
}
snapshots = st.one_of(
    st.tuples(st.just("account"), lying(records.AccountInfo)),
    st.tuples(st.just("positions"), st.lists(lying(records.Position), max_size=3)),
    st.tuples(st.just("orders"), st.lists(lying(records.Order), max_size=3)),
    st.tuples(st.just("ticks"), st.fixed_dictionaries({"EURUSD": lying(records.Tick)})),
)
states = st.builds(
    protocol.State,
    state=st.just("Connected"),
    login_id=st.just(2),
    last_contact_ms=_EXTREMES[int],
    since_ms=_EXTREMES[int],
    utc_offset_s=st.none() | _EXTREMES[int],
    evidence=st.builds(protocol.Evidence, last_healthy_ms=_EXTREMES[int]),
    polls=st.dictionaries(
        st.sampled_from(sorted(protocol.POLLS)) | st.text(max_size=9),
        st.lists(_EXTREMES[int], max_size=4).map(tuple),
        max_size=3,
    ),
)


@fuzzed
@given(shown=st.lists(snapshots, max_size=4), state=states)
async def test_what_a_terminal_says_of_the_account_is_never_a_fault_of_ours(
    survivor: Survivor, shown: list[tuple[Any, Any]], state: protocol.State
) -> None:
    agent = survivor.rig.agent
    agent.send(state)
    for kind, data in shown:
        agent.shows(kind, data)

    await reads_answer(survivor)
    assert (await survivor.rig.ops("/internal/state")).status not in FAULTS
    assert not agent.closed.is_set()
    agent.says("Connected")
    agent.shows_everything()
    await survivor.is_unharmed()


@fuzzed
@given(
    answers=st.lists(
        st.builds(
            protocol.Answer,
            id=st.integers(-(2**63), 2**63 - 1) | st.integers(0, 40),
            outcome=st.sampled_from(["done", "failed", "not_sent", "unknown"]),
            result=values.map(lambda v: msgspec.Raw(msgspec.msgpack.encode(v))),
        ),
        max_size=6,
    )
)
async def test_answers_that_nobody_waits_for_and_results_of_another_kind_harm_nobody(
    survivor: Survivor, answers: list[protocol.Answer]
) -> None:
    agent = survivor.rig.agent
    result = answers[0].result if answers else msgspec.Raw(b"\x93\x01\x02\x03")
    agent.replies["symbol_info"] = lambda request: protocol.Answer(
        id=request.id, outcome="done", result=result
    )
    for answer in answers:
        agent.send(answer)

    await reads_answer(survivor)
    assert not agent.closed.is_set()
    await survivor.is_unharmed()


async def test_half_a_hello_holds_no_place_for_longer_than_the_hello_may_take(
    survivor: Survivor,
) -> None:
    port = survivor.rig.settings.agent_port
    writers = [(await asyncio.open_connection("127.0.0.1", port))[1] for _ in range(50)]
    for writer in writers:
        writer.write(b"\xff\x0f\x00\x00" + b"x" * 100)

    ended = "agent_connection_ended"
    await eventually(lambda: len(survivor.sidecar.said(ended)) >= len(writers), timeout_s=20)
    await survivor.is_unharmed()
    for writer in writers:
        writer.close()
