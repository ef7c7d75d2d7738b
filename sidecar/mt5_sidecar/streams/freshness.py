# SPDX-License-Identifier: Apache-2.0
"""Since when what is shown is as the terminal has it, or is so no more.

Ages are by two clocks, and the larger one counts. The machine's may be set back while the terminal
is silent: by it, what is dead for an hour would be of this second. The one that nobody sets stands
still while the machine is paused.
"""

import time
from collections.abc import Callable

from mt5_sidecar.domain.clock import now_ms


class Freshness:
    """When the terminal answered last, and since when that is too long ago."""

    def __init__(
        self,
        *,
        limit_s: float,
        clock: Callable[[], int] = now_ms,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit_s = limit_s
        self._clock = clock
        self._monotonic = monotonic
        self._contact_s = float("-inf")
        self._said_ms = 0
        self._stale_s = monotonic()
        self._was_current = False
        self.contact_ms = 0
        """When the terminal was last heard of; 0 for never."""
        self.stale_since_ms: int | None = clock()
        """None while what is shown is current."""

    @property
    def age_s(self) -> float:
        """For how long it may be otherwise than shown."""
        if self.stale_since_ms is None:
            return self._age_s(self._contact_s, self.contact_ms)
        return self._age_s(self._stale_s, self.stale_since_ms)

    def heard(self, utc_ms: int) -> None:
        """Note that the terminal answered at `utc_ms`, by the machine's clock of that moment."""
        contact_s = self._monotonic_of(utc_ms)
        if contact_s > self._contact_s:
            self._contact_s = contact_s
            self.contact_ms = min(utc_ms, self._clock())

    def said(self, utc_ms: int) -> None:
        """Note the same of who repeats it until the terminal answers again; 0 is never."""
        # The same words again are no new answer, whatever the clock says by now.
        if utc_ms and utc_ms != self._said_ms:
            self._said_ms = utc_ms
            self.heard(utc_ms)

    def review(self, *, shown: bool, healthy_ms: int) -> None:
        """Decide whether what is shown is current. `shown`: all of it is, and the account is
        connected; `healthy_ms`: when it last was, as the agent says, 0 for never."""
        # Of a clock that was set back no time may be to come.
        self.contact_ms = min(self.contact_ms, self._clock())
        if shown and self._age_s(self._contact_s, self.contact_ms) <= self._limit_s:
            self._was_current = True
            self.stale_since_ms = None
        elif self.stale_since_ms is None:
            self.stale_since_ms, self._stale_s = self.contact_ms, self._contact_s
        else:
            self._stay_stale(min(self.stale_since_ms, self._clock()), healthy_ms)

    def _stay_stale(self, since_ms: int, healthy_ms: int) -> None:
        # What the agent shows to a sidecar that has just begun may be of long ago.
        if healthy_ms and not self._was_current and healthy_ms < since_ms:
            since_ms, self._stale_s = healthy_ms, self._monotonic_of(healthy_ms)
        self.stale_since_ms = since_ms

    def _age_s(self, since_s: float, since_ms: int) -> float:
        return max(self._monotonic() - since_s, (self._clock() - since_ms) / 1000)

    def _monotonic_of(self, utc_ms: int) -> float:
        return self._monotonic() - max(0, self._clock() - utc_ms) / 1000
