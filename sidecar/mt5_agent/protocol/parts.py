# SPDX-License-Identifier: Apache-2.0
"""Large answers travel in parts, so that an order's answer never waits behind a year of history.

Pure: answers in, messages out, and back. Spoken from version 2 on.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from mt5_agent.protocol.frames import MAX_FRAME_BYTES, ProtocolError
from mt5_agent.protocol.messages import Answer, Fault, Part

FIRST_VERSION: Final = 2
"""The first version with parts; a side that speaks an older one is told to ask for less."""
PART_BYTES: Final = 256 * 1024
"""Of a result in one message: some milliseconds of a loopback, and little to hold."""
MAX_ANSWER_BYTES: Final = 32 * 1024 * 1024
"""Largest result; more is an error of the one who asked for so much."""

_INVALID_PARAMS: Final = -2
_AROUND_BYTES: Final = 1024
"""Of a frame around its result."""
_NIL: Final = msgspec.Raw(b"\xc0")


def cut(answer: Answer, version: int) -> Iterator[Part | Answer]:
    """Yield `answer` as messages of `version`: its parts in order, and itself last."""
    data = memoryview(answer.result)
    if version < FIRST_VERSION:
        yield answer if len(data) <= MAX_FRAME_BYTES - _AROUND_BYTES else _too_large(answer)
        return
    if len(data) <= PART_BYTES:
        yield answer
        return
    begins = range(0, len(data), PART_BYTES)
    for begin in begins:
        yield Part(id=answer.id, data=bytes(data[begin : begin + PART_BYTES]))
    yield msgspec.structs.replace(answer, result=_NIL, parts=len(begins))


class Assembly:
    """Puts parts together again: one side's answers that are not whole yet."""

    def __init__(self, *, most_bytes: int = MAX_ANSWER_BYTES) -> None:
        """Hold at most `most_bytes`, over all answers."""
        self._most_bytes = most_bytes
        self._parts: dict[int, list[bytes]] = {}
        self._held_bytes = 0

    def add(self, part: Part) -> None:
        """Keep `part`.

        Raises:
            ProtocolError: More is held than any answer may have.
        """
        self._held_bytes += len(part.data)
        if self._held_bytes > self._most_bytes:
            raise ProtocolError(f"parts of more than {self._most_bytes} bytes")
        self._parts.setdefault(part.id, []).append(part.data)

    def whole(self, answer: Answer) -> Answer:
        """Return `answer` with the result that came in parts, if it did.

        Raises:
            ProtocolError: Parts are missing: what is there must not pass for all.
        """
        parts = self._parts.get(answer.id, [])
        self.forget(answer.id)
        if len(parts) != answer.parts:
            raise ProtocolError(f"{len(parts)} parts of {answer.parts} came")
        if not parts:
            return answer
        return msgspec.structs.replace(answer, result=msgspec.Raw(b"".join(parts)), parts=0)

    def forget(self, number: int) -> None:
        """Drop what came of answer `number`: nobody waits for it."""
        self._held_bytes -= sum(map(len, self._parts.pop(number, ())))


def _too_large(answer: Answer) -> Answer:
    size_bytes = len(bytes(answer.result))
    text = f"an answer of {size_bytes} bytes is too large: ask for less, or update the sidecar"
    return Answer(id=answer.id, outcome="failed", fault=Fault(_INVALID_PARAMS, text))
