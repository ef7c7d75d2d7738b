# SPDX-License-Identifier: Apache-2.0
"""Frames and messages: nothing that arrives can do more than close the connection."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mt5_agent import protocol

SECRET = "canary-41"


def test_every_call_has_a_result_type():
    assert protocol.RESULT_TYPES.keys() == protocol.PRIORITY_OF.keys()


@settings(deadline=None)  # two cores, many processes
@given(st.binary(max_size=300))
def test_noise_is_refused_and_nothing_else(data):
    frames = protocol.Frames(max_bytes=256)
    try:
        for body in frames.feed(data):
            protocol.decode_from_agent(body)
            protocol.decode_from_sidecar(body)
    except protocol.ProtocolError:
        pass


@settings(deadline=None)  # two cores, many processes
@given(st.lists(st.binary(max_size=40), max_size=5), st.data())
def test_frames_survive_any_cut(bodies, data):
    stream = b"".join(len(body).to_bytes(4, "little") + body for body in bodies)
    frames, found, begin = protocol.Frames(), [], 0

    while begin < len(stream):
        end = data.draw(st.integers(begin + 1, len(stream)))
        found += frames.feed(stream[begin:end])
        begin = end

    assert found == bodies


def test_a_field_of_a_later_version_is_ignored():
    body = msgspec.msgpack.encode({"t": "welcome", "version": 1, "later": [1, {"a": 2}]})

    assert protocol.decode_from_sidecar(body) == protocol.Welcome(version=1)


def test_an_announced_giant_is_refused_before_it_is_read():
    with pytest.raises(protocol.ProtocolError):
        list(protocol.Frames().feed((2**31).to_bytes(4, "little")))


def test_a_result_of_the_wrong_type_is_refused():
    answer = protocol.Answer(id=1, outcome="done", result=msgspec.Raw(b"\xa1x"))

    with pytest.raises(protocol.ProtocolError):
        protocol.decode_result("positions_total", answer)


def test_secrets_are_not_in_the_text_of_messages():
    login = protocol.Login(login_id=1, login=1, server="s", password=SECRET)
    hello = protocol.Hello(
        version=1,
        oldest_version=1,
        token=SECRET,
        epoch="e",
        versions=protocol.Versions(),
        max_in_flight=1,
    )

    assert SECRET not in f"{login!r} {login} {hello!r} {hello}"
