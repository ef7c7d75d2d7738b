# SPDX-License-Identifier: Apache-2.0
"""Frames that nobody should send, for both ends of the agent's protocol: half-right messages, wrong
lengths, no messages at all."""

import os
import struct
from typing import Any, Final, get_args

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from mt5_agent import protocol

DEEP: Final = b"\x91" * 5000 + b"\xc0"
HUGE: Final = protocol.MAX_FRAME_BYTES


def fuzzed(*, examples: int) -> settings:
    """Return Hypothesis' settings: the same each time, unless MT5_FUZZ_SEED asks for others."""
    return settings(
        max_examples=int(os.environ.get("MT5_FUZZ_EXAMPLES", examples)),
        deadline=None,
        database=None,
        derandomize="MT5_FUZZ_SEED" not in os.environ,
        suppress_health_check=list(HealthCheck),
    )


leaves = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=9)
    | st.binary(max_size=20)
)  # fmt: skip
values = st.recursive(
    leaves, lambda i: st.lists(i, max_size=4) | st.dictionaries(st.text(max_size=8), i, max_size=4)
)
lies = st.none() | st.integers(0, 400) | st.sampled_from([HUGE, HUGE + 1, 2**31, 2**32 - 1])
"""Lengths that a frame claims; none is the true one."""


def framed(body: bytes, length: int | None = None) -> bytes:
    """Return `body` as a frame that claims `length`."""
    return struct.pack("<I", len(body) if length is None else length) + body


def frames(messages: Any) -> st.SearchStrategy[bytes]:
    """Return frames with the right tags of a union of messages and other fields, and worse."""
    kinds = get_args(messages)
    maps = st.builds(
        lambda tag, fields: {"t": tag, **fields},
        st.sampled_from([str(kind.__struct_config__.tag) for kind in kinds]) | leaves,
        st.dictionaries(
            st.sampled_from(sorted({name for kind in kinds for name in kind.__struct_fields__})),
            values,
            max_size=6,
        ),
    )
    bodies = st.binary(max_size=200) | (maps | values).map(msgspec.msgpack.encode) | st.just(DEEP)
    return st.builds(framed, bodies, lies)
