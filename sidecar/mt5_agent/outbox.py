# SPDX-License-Identifier: Apache-2.0
"""Answers on their way out: small ones at once, large ones a part at a time between them."""

import asyncio
from collections import deque
from collections.abc import Iterator

from mt5_agent.protocol import Answer, Part, cut


class Outbox:
    """What one sidecar has asked for and not taken yet; never more than `most` answers for long."""

    def __init__(self, *, most: int) -> None:
        """Let `room` wait while more than `most` answers are here."""
        self._most = most
        self._answers: deque[Answer] = deque()
        self._large: deque[Iterator[Part | Answer]] = deque()
        self._room = asyncio.Event()
        self._room.set()

    def put(self, answer: Answer) -> None:
        """Line `answer` up."""
        self._answers.append(answer)
        self._measure()

    def clear(self) -> None:
        """Forget all of it: who asked is gone."""
        self._answers.clear()
        self._large.clear()
        self._measure()

    async def room(self) -> None:
        """Wait until so much was taken that more may be asked."""
        await self._room.wait()

    def small(self, version: int) -> Iterator[Part | Answer]:
        """Yield what goes out now; of a large answer that is its first message."""
        while self._answers:
            messages = cut(self._answers.popleft(), version)
            first = next(messages)
            if isinstance(first, Part):
                self._large.append(messages)
            self._measure()
            yield first

    def part(self) -> Part | Answer | None:
        """Return the next message of the oldest large answer; None when there is none."""
        while self._large:
            message = next(self._large[0], None)
            if message is not None:
                return message
            self._large.popleft()
            self._measure()
        return None

    def _measure(self) -> None:
        if len(self._answers) + len(self._large) > self._most:
            self._room.clear()
        else:
            self._room.set()
