# SPDX-License-Identifier: Apache-2.0
"""Large answers go in parts and come back whole, or not at all; small ones overtake them."""

import asyncio

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mt5_agent import protocol
from mt5_agent.outbox import Outbox
from mt5_agent.protocol import MAX_FRAME_BYTES, PART_BYTES, Answer, Assembly, Part, cut

MOST_REQUESTS = 20_000
TICKS = 8_000  # more than one part holds


def answer(size_bytes: int, number: int = 1) -> Answer:
    data = msgspec.msgpack.encode(bytes(size_bytes))
    return Answer(id=number, outcome="done", result=msgspec.Raw(data), duration_us=7)


def assembled(messages) -> Answer:
    assembly = Assembly()
    *parts, last = messages
    for part in parts:
        assembly.add(part)
    return assembly.whole(last)


@settings(deadline=None, max_examples=30)  # two cores, many processes
@given(st.integers(0, 5 * PART_BYTES), st.sampled_from([1, 2]))
def test_what_is_cut_comes_back_whole(size_bytes, version):
    whole = answer(size_bytes)

    messages = [
        protocol.decode_from_agent(protocol.encode(message)[4:]) for message in cut(whole, version)
    ]

    back = assembled(messages)
    assert bytes(back.result) == bytes(whole.result)
    assert (back.id, back.outcome, back.duration_us) == (1, "done", 7)
    assert (len(messages) == 1) is (version == 1 or len(bytes(whole.result)) <= PART_BYTES)


def test_to_an_older_sidecar_too_much_is_an_error_of_its_question():
    (told,) = cut(answer(MAX_FRAME_BYTES), 1)

    assert (told.outcome, told.fault.code) == ("failed", -2)
    assert "too large" in told.fault.text


def test_a_part_that_is_missing_is_never_passed_over():
    first, _, *rest = cut(answer(3 * PART_BYTES), 2)

    with pytest.raises(protocol.ProtocolError, match="parts"):
        assembled([first, *rest])


def test_an_answer_without_its_announced_parts_is_refused():
    with pytest.raises(protocol.ProtocolError):
        Assembly().whole(Answer(id=1, outcome="done", parts=2))
    assembly = Assembly()
    assembly.add(Part(id=1, data=b"x"))
    with pytest.raises(protocol.ProtocolError):
        assembly.whole(Answer(id=1, outcome="done"))


def test_parts_without_an_end_are_refused_before_they_fill_the_memory():
    assembly = Assembly(most_bytes=1000)
    assembly.add(Part(id=1, data=bytes(600)))

    with pytest.raises(protocol.ProtocolError):
        assembly.add(Part(id=2, data=bytes(600)))


def test_what_nobody_waits_for_makes_room():
    assembly = Assembly(most_bytes=1000)
    for number in range(10):
        assembly.add(Part(id=number, data=bytes(600)))
        assembly.forget(number)


def test_a_small_answer_overtakes_a_large_one():
    outbox = Outbox(most=10)
    outbox.put(answer(3 * PART_BYTES, number=1))
    first = list(outbox.small(2))
    outbox.put(answer(5, number=2))

    then = list(outbox.small(2))
    rest = list(iter(outbox.part, None))

    assert [type(m).__name__ for m in first] == ["Part"]
    assert [(type(m).__name__, m.id) for m in then] == [("Answer", 2)]
    assert assembled([*first, *rest]).id == 1


def test_an_outbox_is_full_until_something_was_taken():
    outbox = Outbox(most=1)
    outbox.put(answer(5))
    assert not outbox.is_full

    outbox.put(answer(5))
    assert outbox.is_full

    list(outbox.small(2))
    assert outbox.is_empty


@pytest.mark.parametrize("version", [1, 2])
async def test_a_large_answer_of_a_real_agent(made_agent, sidecar, version):
    sidecar.version = version
    await made_agent.start()
    await sidecar.joined()
    sidecar.login()
    await sidecar.serves()

    told = await sidecar.ask("copy_ticks_from", "EURUSD", 1_790_000_000, TICKS, -1, within_s=18)

    assert told.outcome == "done", told.fault
    columns = protocol.decode_result("copy_ticks_from", told)
    assert {len(column) for column in columns.values()} == {TICKS}
    assert bool(sidecar.parts) is (version == 2)


async def test_a_sidecar_that_takes_no_answers_may_ask_no_more(agent, sidecar):
    sidecar.login()
    await sidecar.serves()
    sidecar.reads.clear()
    number = 0

    async def ask_on() -> None:
        nonlocal number
        while True:
            number = sidecar.request("x" * 4000)  # its refusal is as long
            await sidecar.drain()

    asking = asyncio.ensure_future(ask_on())
    before = -1
    while before != number:  # until nothing moves any more
        before = number
        await asyncio.sleep(0.5)
    assert number < MOST_REQUESTS
    asking.cancel()
    sidecar.reads.set()

    await sidecar.until(lambda: number in sidecar.answers)
    await sidecar.serves()
    assert {a.outcome for a in sidecar.answers.values()} <= {"done", "not_sent"}
