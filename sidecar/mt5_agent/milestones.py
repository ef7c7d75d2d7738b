# SPDX-License-Identifier: Apache-2.0
"""How far log-ins came, counted from the journal: pure, the clock is the caller's.

Two things that a poll cannot see are counted here: a link that was lost for less than a poll's
interval, and a broker that authorises an account and never lets it synchronise (MT5.md 4, row 8).
"""

from mt5_agent.journal_lines import AUTHORIZED, FAILED, LOST, NO_CONNECTION, SYNCHRONIZED


class Milestones:
    """Counts over the agent's life; each line once, oldest first."""

    def __init__(self) -> None:
        """Begin with an account that is not authorised."""
        self.authorised_then_lost = 0
        self._authorised = False
        self._waits_since_ms: int | None = None
        self._waited_ms = 0

    def heard(self, line: str, now_ms: int) -> None:
        """Take in a line of the journal that was written about `now_ms`."""
        if AUTHORIZED.search(line):
            self._authorised = True
            self._synchronised(now_ms)
            self._waits_since_ms = now_ms
        elif SYNCHRONIZED.search(line):
            self._synchronised(now_ms)
        elif LOST.search(line):
            self.authorised_then_lost += self._authorised
            self.ended(now_ms)
        elif FAILED.search(line) or NO_CONNECTION.search(line):
            self.ended(now_ms)

    def ended(self, now_ms: int) -> None:
        """Note that the account is authorised no more: lost, refused, or its terminal ended."""
        self._authorised = False
        self._synchronised(now_ms)

    def unsynchronised_ms(self, now_ms: int) -> int:
        """Return how long accounts were authorised and not synchronised, until now."""
        return self._waited_ms + self.waits_ms(now_ms)

    def waits_ms(self, now_ms: int) -> int:
        """Return for how long the account has been authorised and not synchronised; 0: it is not
        so."""
        return 0 if self._waits_since_ms is None else max(0, now_ms - self._waits_since_ms)

    def _synchronised(self, now_ms: int) -> None:
        self._waited_ms = self.unsynchronised_ms(now_ms)
        self._waits_since_ms = None
