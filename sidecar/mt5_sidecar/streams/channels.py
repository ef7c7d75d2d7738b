# SPDX-License-Identifier: Apache-2.0
"""The channels that a client may have, and what it chose."""

from dataclasses import dataclass
from typing import Final, Literal, get_args

Channel = Literal["account_info", "positions", "orders", "tick_data"]

CHANNELS: Final[tuple[Channel, ...]] = get_args(Channel)

# The account is one thing; the other channels are collections.
ACCOUNT_KEY: Final = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """Channels, and the symbols whose ticks are wanted; None is every watched symbol."""

    channels: frozenset[Channel] = frozenset(CHANNELS)
    symbols: frozenset[str] | None = None

    def adding(self, channels: frozenset[Channel], symbols: frozenset[str] | None) -> "Choice":
        """Return the choice with more in it."""
        return Choice(self.channels | channels, _joined(self, channels, symbols))

    def without(self, channels: frozenset[Channel], symbols: frozenset[str] | None) -> "Choice":
        """Return the choice with less in it: symbols alone leave the channel on."""
        if symbols is None:
            return Choice(self.channels - channels, self.symbols)
        left = (self.symbols or frozenset()) - symbols
        kept = self.channels if left else self.channels - {"tick_data"}
        return Choice(kept - (channels - {"tick_data"}), left)


def _joined(
    before: Choice, channels: frozenset[Channel], symbols: frozenset[str] | None
) -> frozenset[str] | None:
    if "tick_data" not in channels:
        return before.symbols
    if symbols is None or "tick_data" not in before.channels:
        return symbols
    return None if before.symbols is None else before.symbols | symbols
