# SPDX-License-Identifier: Apache-2.0
"""The channels that a client may have, and what it chose."""

from functools import lru_cache
from typing import Final, Literal, NamedTuple, get_args

Channel = Literal["account_info", "positions", "orders", "tick_data"]

CHANNELS: Final[tuple[Channel, ...]] = get_args(Channel)

# The account is one thing; the other channels are collections.
ACCOUNT_KEY: Final = ""

# Events of the account itself; the others tell of its connection.
ACCOUNT_EVENTS: Final = frozenset({"deal", "order_outcome"})


class Choice(NamedTuple):
    """Channels, and the symbols whose ticks are wanted; None is every watched symbol.

    A tuple: with each change it is looked up for every client, which no Python code may cost.
    """

    channels: frozenset[Channel] = frozenset(CHANNELS)
    symbols: frozenset[str] | None = None
    account: bool = True
    """False: hears of the connection only, no event of the account either."""

    def hears(self, event: str) -> bool:
        """Say whether events of this type are for its client."""
        return self.account or event not in ACCOUNT_EVENTS

    def lacking(self, held: "Choice") -> frozenset[Channel]:
        """Return the channels of which something is in this choice and not in `held`."""
        channels = self.channels - held.channels
        if held.symbols is None or (self.symbols is not None and self.symbols <= held.symbols):
            return channels
        return channels | (self.channels & {"tick_data"})

    def within(self, held: "Choice") -> "Choice":
        """Return what of this choice is in `held`, as far as whole channels go."""
        return self._replace(channels=self.channels - self.lacking(held))

    def adding(self, channels: frozenset[Channel], symbols: frozenset[str] | None) -> "Choice":
        """Return the choice with more in it."""
        return Choice(self.channels | channels, _joined(self, channels, symbols), account=True)

    def without(self, channels: frozenset[Channel], symbols: frozenset[str] | None) -> "Choice":
        """Return the choice with less in it: symbols alone leave the channel on."""
        if symbols is None:
            return self._replace(channels=self.channels - channels)
        left = (self.symbols or frozenset()) - symbols
        kept = self.channels if left else self.channels - {"tick_data"}
        return self._replace(channels=kept - (channels - {"tick_data"}), symbols=left)


@lru_cache(maxsize=256)
def shared(choice: Choice) -> Choice:
    """Return one that is equal, and mostly the same one for all who chose alike: it is at hand when
    hundreds of clients are told of a change."""
    return choice


def _joined(
    before: Choice, channels: frozenset[Channel], symbols: frozenset[str] | None
) -> frozenset[str] | None:
    if "tick_data" not in channels:
        return before.symbols
    if symbols is None or "tick_data" not in before.channels:
        return symbols
    return None if before.symbols is None else before.symbols | symbols
