# SPDX-License-Identifier: Apache-2.0
"""What one key may have of what all keys of the account share: streams, and symbols.

A key that is alone may have most of it. The rest is kept for keys that have little, so that none
can shut the others out.
"""

from mt5_sidecar.errors import Unavailable
from mt5_sidecar.settings import Settings


def demand_share(
    settings: Settings,
    refusal: type[Unavailable],
    what: str,
    *,
    most: int,
    all_keys: int,
    this_key: int,
) -> None:
    """Return if there may be `all_keys` of `most`, of which `this_key` are one key's.

    Raises:
        Unavailable: A `refusal`: too many of them all, or of this key.
    """
    kept = int(most * settings.kept_ratio)
    # Up: what is kept must be of use to somebody.
    each = -(-kept // settings.kept_keys)
    if all_keys > most:
        raise refusal(
            f"all keys of this account together have {most} {_in_words(what)}",
            limit=what,
            allowed=most,
        )
    if all_keys > most - kept and this_key > each:
        raise refusal(
            f"the last {kept} of {most} {_in_words(what)} are kept for keys with fewer: give some"
            f" back, or have at most {each}",
            limit=f"key_{what}",
            allowed=each,
        )


def _in_words(what: str) -> str:
    return what.replace("_", " ")
