# SPDX-License-Identifier: Apache-2.0
"""From an idempotency key to what is written on the order: one token, one magic.

The token is the order's comment; the magic is used where the caller gives none. A broker may
rewrite a comment, but nobody rewrites a magic, so either alone finds the order again.
"""

import base64
import hashlib
import re
from typing import Final

from mt5_sidecar.orders.errors import BadKey

PREFIX: Final = "mt5b-"
# Magics of ours lie in [2^52, 2^53): a JSON number of JavaScript holds them exactly.
FIRST_OWN_MAGIC: Final = 2**52

_KEY: Final = re.compile(r"[\x21-\x7e]{1,128}")
_STEPS: Final = frozenset({".", ".."})
# Ten characters, 50 bits of the hash, must be left of a comment that a broker cut.
_TOKEN: Final = re.compile(r"mt5b-[a-z2-7]{10,24}")
_CUT_LENGTH: Final = len(PREFIX) + 10


def checked_key(key: str) -> str:
    """Return `key`: 1 to 128 visible ASCII characters, and no step of a path.

    Raises:
        BadKey: It is not.
    """
    if not _KEY.fullmatch(key):
        raise BadKey("an idempotency key has 1 to 128 visible ASCII characters")
    if key in _STEPS:
        # Clients and proxies take it out of `/api/order/{key}`: nobody could ask for its outcome.
        raise BadKey(f"{key!r} cannot be asked for by its path: use a UUID")
    return key


def token_of(account_id: str, key: str) -> str:
    """Return the order's comment: 29 characters, 120 bits of a hash."""
    # Source: MT5.md 3.5: the package refuses a comment of 30 characters.
    text = base64.b32encode(_digest(account_id, key)[:15]).decode().lower()
    return PREFIX + text


def magic_of(account_id: str, key: str) -> int:
    """Return the order's magic where the caller gives none: 52 bits of the hash."""
    rest = int.from_bytes(_digest(account_id, key)[15:23], "big")
    return FIRST_OWN_MAGIC | (rest % FIRST_OWN_MAGIC)


def carries(comment: str, token: str) -> bool:
    """Tell whether `comment` has `token` in it, whole or cut at its end by the broker."""
    if token in comment:
        return True
    found = _TOKEN.search(comment)
    return found is not None and token.startswith(found[0]) and comment.endswith(found[0])


def is_token(comment: str) -> bool:
    """Tell whether `comment` has a token of any key: then it is that key's order and no other's."""
    return _TOKEN.search(comment) is not None


def start_of(comment: str) -> str:
    """Return what is left of the token in `comment` wherever it was cut; "" where there is none."""
    found = _TOKEN.search(comment)
    return found[0][:_CUT_LENGTH] if found else ""


def _digest(account_id: str, key: str) -> bytes:
    return hashlib.sha256(f"{account_id}\0{key}".encode()).digest()
