# SPDX-License-Identifier: Apache-2.0
"""The symbols that clients have had put into Market Watch.

Nothing takes one out again, lest a trade miss it, and each costs the terminal memory: so there are
so many, and no more.
"""

from collections.abc import Iterable

from mt5_sidecar.errors import TooManySymbols
from mt5_sidecar.settings import Settings


class Selected:
    """All that were ever selected for a read or a stream, while this sidecar lives."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._names: set[str] = set()

    def take(self, names: Iterable[str]) -> None:
        """Return if `names` may be selected.

        Raises:
            TooManySymbols: With those that were selected before they are too many.
        """
        wanted, most = self._names.union(names), self._settings.selected_symbols
        if len(wanted) > max(most, len(self._names)):
            raise TooManySymbols(
                f"{len(self._names)} symbols were selected in the terminal for clients already",
                limit="selected_symbols",
                allowed=most,
            )
        self._names = wanted
