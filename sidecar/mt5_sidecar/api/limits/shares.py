# SPDX-License-Identifier: Apache-2.0
"""What one key may have of what all keys of the account share: streams, and symbols.

Of trades that wait, the desk itself sees to it (`orders.desk`): a key that is known is answered.
"""

from mt5_sidecar.domain.shares import shares
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
    of = shares(most, kept_ratio=settings.kept_ratio, kept_keys=settings.kept_keys)
    if of.allow(all_keys=all_keys, this_key=this_key):
        return
    if all_keys > most:
        raise refusal(
            f"all keys of this account together have {most} {_in_words(what)}",
            limit=what,
            allowed=most,
        )
    raise refusal(
        f"the last {of.kept} of {most} {_in_words(what)} are kept for keys with fewer: give some"
        f" back, or have at most {of.each}",
        limit=f"key_{what}",
        allowed=of.each,
    )


def _in_words(what: str) -> str:
    return what.replace("_", " ")
