# SPDX-License-Identifier: Apache-2.0
"""What one key may have of what all keys of the account share.

A key that is alone may have most of it. The rest is kept for keys that have little, so that none
can shut the others out.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shares:
    """Of `most` in all the last `kept` are for keys that have at most `each`."""

    most: int
    kept: int
    each: int

    def allow(self, *, all_keys: int, this_key: int) -> bool:
        """Tell whether there may be so many of all keys, of which so many are one key's."""
        return all_keys <= self.most - self.kept or (
            all_keys <= self.most and this_key <= self.each
        )


def shares(most: int, *, kept_ratio: float, kept_keys: int) -> Shares:
    """Return how `most` is shared: `kept_ratio` of it is kept for so many keys."""
    kept = int(most * kept_ratio)
    # Up: what is kept must be of use to somebody.
    return Shares(most=most, kept=kept, each=-(-kept // kept_keys))
