# SPDX-License-Identifier: Apache-2.0
"""A sidecar that breaks the protocol, or asks for what nobody can do: the agent outlives it.

If it ended, so would the terminal: its account would be away for as long as a log-in takes.
"""

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import nonsense_frames
from cluster.waiting import patience_s
from mt5_agent import protocol
from nonsense_frames import frames, values

SERVES_WITHIN_S = 30.0
LOGIN = 10001

fuzzed = nonsense_frames.fuzzed(examples=15)

numbers = st.integers(-(2**63), 2**64 - 1) | st.sampled_from([0, 1, 50, 2**31, 2**63 - 1])
requests = st.builds(
    protocol.Request,
    id=st.integers(-(2**63), 2**63 - 1),
    call=st.sampled_from(sorted(protocol.PRIORITY_OF)) | st.text(max_size=12),
    args=st.lists(values, max_size=4).map(tuple),
    kwargs=st.dictionaries(
        st.sampled_from(["ticket", "symbol", "group", "position"]) | st.text(max_size=5), values,
        max_size=3,
    ),
    deadline_ms=st.sampled_from([-1, 0, 1, 100, 2**31, 2**63 - 1]),
    traceparent=st.text(max_size=60),
)  # fmt: skip
meant = st.one_of(
    requests,
    st.builds(protocol.Watch, symbols=st.lists(st.text(max_size=40), max_size=5).map(tuple)),
    st.builds(protocol.Logout),
    st.builds(
        protocol.Login,
        login_id=numbers,
        login=numbers,
        server=st.text(max_size=70) | st.sampled_from(["Simulator-Demo", "../x", "a\r\n[Common]"]),
        password=st.text(max_size=20),
        symbols=st.lists(st.text(max_size=40), max_size=3).map(tuple),
    ),
)


async def is_unharmed(agent: Any, sidecar: Any) -> None:
    """Fail unless the same agent joins a good sidecar, logs in and serves."""
    sidecar.hang_up()
    await sidecar.joined()
    sidecar.login()
    async with asyncio.timeout(patience_s(SERVES_WITHIN_S)):
        while not await serves(sidecar):
            pass
    assert agent.process.returncode is None


async def serves(sidecar: Any) -> bool:
    # `Connected` may still be said of another log-in, which what was asked for has begun.
    await sidecar.becomes("Connected")
    answer = await sidecar.ask("account_info")
    return (
        answer.outcome == "done" and protocol.decode_result("account_info", answer).login == LOGIN
    )


@fuzzed
@given(parts=st.lists(frames(protocol.FromSidecar), min_size=1, max_size=4))
async def test_a_sidecar_that_breaks_the_protocol_ends_its_own_connection_only(
    agent: Any, sidecar: Any, parts: list[bytes]
) -> None:
    await sidecar.joined()
    sidecar.login()
    await sidecar.serves()
    terminal = agent.children()["terminal"]

    for part in parts:
        sidecar._writer.write(part)

    await is_unharmed(agent, sidecar)
    # A log-in that a half-right message undid is made again in the same terminal.
    assert agent.children()["terminal"] == terminal


@fuzzed
@given(asked=st.lists(meant, min_size=1, max_size=6))
async def test_an_agent_that_is_asked_for_what_cannot_be_goes_on(
    agent: Any, sidecar: Any, asked: list[Any]
) -> None:
    await sidecar.joined()
    for message in asked:
        sidecar.send(message)

    await is_unharmed(agent, sidecar)


async def test_every_request_is_answered_however_strange(agent: Any, sidecar: Any) -> None:
    sidecar.login()
    await sidecar.serves()
    strange: list[tuple[str, tuple[Any, ...]]] = [
        ("symbol_info", ("\x00" * 40,)), ("symbol_info", ()), ("symbol_info", (1.5, None)),
        ("positions_get", ("EURUSD",)), ("copy_rates_from_pos", ("EURUSD", 1, -5, 10)),
        ("copy_rates_range", ("EURUSD",)), ("order_send", ({"action": 99},)),
        ("order_send", ({"action": 1, "volume": float("nan")},)), ("order_send", ([],)),
        ("history_deals_get", (float("inf"), 5)), ("order_calc_profit", (0, "EURUSD", {})),
        ("login", (1,)), ("shutdown", ()), ("__import__", ("os",)), ("", ()),
    ]  # fmt: skip

    numbers = [sidecar.request(call, *args, within_s=5) for call, args in strange]
    answers = [await sidecar.answer(number) for number in numbers]

    assert not [a for a in answers if a.outcome == "unknown"]
    assert [a.outcome for a in answers[-4:]] == ["not_sent"] * 4
    await sidecar.serves()
