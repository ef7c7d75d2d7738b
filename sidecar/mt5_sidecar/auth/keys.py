# SPDX-License-Identifier: Apache-2.0
"""API keys: the table of hashes that the operator publishes, and the check against it.

A key is `mt5_<id>_<43 characters of base64url>`: 256 random bits, so a plain SHA-256 is
enough, and the table is no secret.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Final

import msgspec

from mt5_sidecar.auth.principal import Principal
from mt5_sidecar.errors import AccessUnavailable, Unauthenticated

KEY: Final = re.compile(r"mt5_(?P<id>[a-z0-9]{1,32})_[A-Za-z0-9_-]{43}")
# What an unknown id is compared with, so that its answer takes as long as a known one's.
NO_HASH: Final = "0" * 64


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One key: whose grant it carries, and the hash that proves it."""

    id: str
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-fA-F]{64}$")]
    accounts: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    expires: datetime | None = None

    def principal(self) -> Principal:
        """Return the caller that a proof of this key makes."""
        proof = self.sha256.lower()
        return Principal(f"key:{self.id}", self.accounts, self.scopes, self.expires, proof)


class _KeysFile(msgspec.Struct, frozen=True):
    keys: list[msgspec.Raw]


Keys = Mapping[str, Principal]
"""Who each key's proof makes the caller, by the key's id: `proof` is the hash of the whole key."""


def parse_keys(content: bytes | None, *, unreadable: Callable[[], None]) -> Keys | None:
    """Return the key table by id, None where no file is.

    An entry that cannot be read opens nothing and spoils no other; `unreadable` is called for
    it. Were the whole table refused, the one before would live on, withdrawn keys included.

    Raises:
        msgspec.MsgspecError: the file is there and is no table at all.
    """
    if content is None:
        return None
    keys = {}
    for raw in msgspec.json.decode(content, type=_KeysFile).keys:
        try:
            record = msgspec.json.decode(raw, type=KeyRecord)
        except (msgspec.MsgspecError, ValueError):
            unreadable()
        else:
            keys[record.id] = record.principal()
    return keys


def still_valid(principal: Principal, keys: Keys | None, *, now: datetime) -> Principal:
    """Return the grant that the key of an open connection carries now.

    Raises:
        Unauthenticated: the key is gone, was replaced, or its time is over.
    """
    known = (keys or {}).get(principal.subject.removeprefix("key:"))
    if known is None or known.proof != principal.proof:
        raise Unauthenticated("the API key was withdrawn")
    return _unexpired(known, now)


def authenticate(presented: str, keys: Keys | None, *, now: datetime) -> Principal:
    """Return who `presented` proves to be.

    Raises:
        AccessUnavailable: there is no key table, so nobody can be let in.
        Unauthenticated: not a key, not a known one, or one whose time is over.
    """
    if keys is None:
        raise AccessUnavailable("no key table is mounted; see MT5Account's condition PodReady")
    match = KEY.fullmatch(presented)
    known = keys.get(match["id"]) if match else None
    # Bytes that are no UTF-8 come as lone surrogates, in a key that can be nobody's.
    digest = hashlib.sha256(presented.encode(errors="replace")).hexdigest()
    proved = hmac.compare_digest(digest, known.proof if known else NO_HASH)
    if known is None or not proved:
        raise Unauthenticated("the API key is not known here")
    return _unexpired(known, now)


def _unexpired(principal: Principal, now: datetime) -> Principal:
    if principal.ended(now):
        raise Unauthenticated("the API key has expired")
    return principal
