# SPDX-License-Identifier: Apache-2.0
"""One listener: what it chose, how far it has heard, and whether it keeps up."""

from typing import Protocol

from mt5_sidecar.streams.channels import Channel, Choice, shared
from mt5_sidecar.streams.places import Place


class Wire(Protocol):
    """The way to a listener. Nothing here may wait."""

    def send(self, frame: bytes) -> None:
        """Hand over one whole frame."""

    def pending_bytes(self) -> int:
        """Return what was handed over and has not left yet."""

    def close(self, code: int, reason: str) -> None:
        """End it: say why, and do not wait for the other side."""


class Client:
    """A listener's place in the stream.

    There is no queue of state: a client that cannot take more keeps its `seq`, and what it gets
    later is the difference to the board as it is then. That is the whole of conflation.
    """

    __slots__ = (
        "choice",
        "closed",
        "interval_ms",
        "passed_seq",
        "place",
        "resumed",
        "seq",
        "stalled_s",
        "wants",
        "wire",
    )

    def __init__(
        self,
        wire: Wire,
        choice: Choice,
        *,
        interval_ms: int,
        seq: int,
        place: Place | None = None,
    ) -> None:
        self.wire = wire
        self.place = place or Place("")
        """By which it may come back."""
        self.choose(choice)
        self.interval_ms = interval_ms
        self.seq = seq
        """Everything up to here has been handed over."""
        self.wants: frozenset[Channel] | None = None
        """Channels to be sent in full with the next flush, not as changes."""
        self.stalled_s: float | None = None
        """Since when its buffer is full, on the loop's clock."""
        self.passed_seq = seq
        """Everything up to here has been handed over, or put off and counted."""
        self.resumed = False
        """It goes on from where it was, and missed nothing."""
        self.closed = False

    def resume(self, held: Choice, *, seq: int) -> None:
        """Be where it was: at `seq`, with all of `held`; what it lacks comes in full."""
        self.seq = self.passed_seq = seq
        self.wants = self.choice.lacking(held) or None
        self.resumed = True
        self.place.holds(self.choice.within(held), since=seq)

    def told(self, seq: int) -> None:
        """Note that everything up to `seq` has been handed over, what it wanted in full as well."""
        self.seq = self.passed_seq = seq
        if self.wants is not None:
            self.place.holds(self.choice, since=seq)
            self.wants = None

    def choose(self, choice: Choice) -> None:
        """Let `choice` be what it hears."""
        self.choice = shared(choice)

    def close(self, code: int, reason: str) -> None:
        """End the connection, once."""
        if not self.closed:
            self.closed = True
            self.wire.close(code, reason)
