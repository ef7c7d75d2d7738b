# SPDX-License-Identifier: Apache-2.0
"""The symbols that clients have had put into Market Watch.

Nothing takes one out again, lest a trade miss it, and each costs the terminal memory: so there are
so many, and no more.
"""

from collections.abc import Iterable

from mt5_sidecar.api.limits.shares import demand_share
from mt5_sidecar.errors import TooManySymbols
from mt5_sidecar.settings import Settings


class Selected:
    """All that were ever selected for a read or a stream, while this sidecar lives."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._by: dict[str, str] = {}
        """By name, whose key was the first."""

    def take(self, subject: str, names: Iterable[str]) -> None:
        """Return if `names` may be selected for `subject`.

        Raises:
            TooManySymbols: With those that were selected before they are too many.
        """
        added = dict.fromkeys(set(names) - self._by.keys(), subject)
        if added:
            demand_share(
                self._settings,
                TooManySymbols,
                "selected_symbols",
                most=self._settings.selected_symbols,
                all_keys=len(self._by) + len(added),
                this_key=list(self._by.values()).count(subject) + len(added),
            )
            self._by |= added
