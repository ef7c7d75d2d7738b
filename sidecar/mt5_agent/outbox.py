# SPDX-License-Identifier: Apache-2.0
"""Answers on their way out: small ones at once, large ones a part at a time between them."""

from collections import deque
from collections.abc import Iterator

from mt5_agent.protocol import PART_BYTES, Answer, Part, cut


class Outbox:
    """What one sidecar has asked for and not taken yet; never more than `most` answers for long."""

    def __init__(self, *, most: int) -> None:
        """Be full with more than `most` answers."""
        self._most = most
        self._answers: deque[Answer] = deque()
        self._large: deque[Iterator[Part | Answer]] = deque()

    def put(self, answer: Answer) -> None:
        """Line `answer` up."""
        self._answers.append(answer)

    def clear(self) -> None:
        """Forget all of it: who asked is gone."""
        self._answers.clear()
        self._large.clear()

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing waits here."""
        return not self._answers and not self._large

    @property
    def is_full(self) -> bool:
        """Tell whether so much waits here that no more may be asked."""
        return len(self._answers) + len(self._large) > self._most

    def small(self, version: int) -> Iterator[Part | Answer]:
        """Yield what goes out now; of a large answer that is its first message."""
        while self._answers:
            messages = cut(self._answers.popleft(), version)
            first = next(messages)
            if isinstance(first, Part):
                self._large.append(messages)
            yield first

    def part(self) -> Part | Answer | None:
        """Return the next message of the oldest large answer; None when there is none."""
        while self._large:
            message = next(self._large[0], None)
            if message is not None:
                return message
            self._large.popleft()
        return None


def is_large(answer: Answer) -> bool:
    """Tell whether `answer` must not go out in one piece before what is small."""
    return len(memoryview(answer.result)) > PART_BYTES
