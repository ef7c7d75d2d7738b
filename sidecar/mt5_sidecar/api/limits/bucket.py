# SPDX-License-Identifier: Apache-2.0
"""A token bucket: so many at once, so many a second."""

from dataclasses import dataclass


@dataclass(slots=True)
class Bucket:
    """Tokens that come back with time; the clock is the caller's."""

    per_s: float
    burst: float
    tokens: float
    at_s: float

    @property
    def wait_s(self) -> float:
        """Return how long it takes until the next token is there."""
        return max(0.0, (1 - self.tokens) / self.per_s)

    def take(self, now_s: float) -> bool:
        """Take a token; say whether there was one."""
        tokens = self.tokens + (now_s - self.at_s) * self.per_s
        # Not `min`: this is asked for every request, and a call costs more than the sum.
        tokens = self.burst if tokens > self.burst else tokens
        self.at_s = now_s
        enough = tokens >= 1
        self.tokens = tokens - 1 if enough else tokens
        return enough
