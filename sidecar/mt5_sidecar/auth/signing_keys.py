# SPDX-License-Identifier: Apache-2.0
"""The keys that sign JWTs: a mounted file, or the issuer's URL, read again when they rotate.

With a URL the last good set stays in use while the issuer does not answer. A token whose key is
not known has the set read again, but not more often than `jwt_jwks_retry_interval_s`: strangers
choose key ids.
"""

import asyncio
import hashlib
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mt5_sidecar.files import WatchedFile
from mt5_sidecar.logs import logger
from mt5_sidecar.settings import Settings

# Source: RFC 7518 section 3.2: a key of the hash's size or larger.
LEAST_SECRET_BYTES: Final = 32
SECRET_ALGORITHMS: Final = ("HS256",)
# Pinned: a token does not choose how it is checked (`none`, HMAC with a public key).
PUBLIC_ALGORITHMS: Final = ("RS256", "ES256", "EdDSA")

Fetch = Callable[[str], Awaitable[bytes]]


class Unfit(ValueError):
    """A key that we do not take; says why without quoting it."""


@dataclass(frozen=True, slots=True)
class Signer:
    """What one signature is checked against."""

    key: Any
    """A `jwt.PyJWK`, which knows the one algorithm that it is for, or a shared secret."""
    proof: str
    """Its fingerprint: another key under the same name is another signer."""


Keys = Mapping[str, Signer]
"""Signers by `kid`; a shared secret is under its own fingerprint."""


class SigningKeys:
    """What tokens are checked against now."""

    def __init__(
        self,
        settings: Settings,
        fetch: Fetch,
        *,
        on_fetched: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = settings.jwt_jwks_url
        self._cache_s = settings.jwt_jwks_cache_s
        self._again_s = settings.jwt_jwks_retry_interval_s
        self._fetch = fetch
        self._on_fetched = on_fetched
        self._clock = clock
        self._fetched: Keys = {}
        self._tried_s = float("-inf")
        self._reading: asyncio.Task[None] | None = None
        self.unread = False
        """The issuer did not answer with a set of keys when it was asked last."""
        self.file = _file(settings)
        self.secret = settings.jwt_secret_file is not None
        self.algorithms = SECRET_ALGORITHMS if self.secret else PUBLIC_ALGORITHMS

    @property
    def enabled(self) -> bool:
        """Say whether tokens are taken at all."""
        return self.file is not None or bool(self._url)

    @property
    def keys(self) -> Keys:
        """The keys in use."""
        return self._fetched if self.file is None else self.file.value

    async def current(self) -> None:
        """Return when the keys are as fresh as settings want; old ones are used meanwhile."""
        if not self._url or self._clock() - self._tried_s < self._cache_s:
            return
        self._read()
        if not self._fetched and self._reading is not None:
            await asyncio.shield(self._reading)

    def keep_fresh(self) -> None:
        """Begin to read the keys again once they are old: whoever opened a stream by one that is
        withdrawn may never come with a token again. Before a first token nothing is read."""
        if (self._fetched or self.unread) and self._clock() - self._tried_s >= self._cache_s:
            self._read()

    async def again(self) -> bool:
        """Read the keys again for a key that is not among them; say whether that was done."""
        if not self._url:
            return False
        # What another token has had read is as good: none is refused for coming second.
        if self._reading is None and self._clock() - self._tried_s < self._again_s:
            return False
        self._read()
        if self._reading is not None:
            await asyncio.shield(self._reading)
        return True

    async def stop(self) -> None:
        """Read no more."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    def _read(self) -> None:
        if self._reading is None:
            self._tried_s = self._clock()
            self._reading = asyncio.create_task(self._reads())

    async def _reads(self) -> None:
        try:
            self._fetched = parse_jwks(await self._fetch(self._url))
            self.unread = False
            self._on_fetched()
        except Exception as error:  # noqa: BLE001  whatever the issuer's answer was
            self.unread = True
            logger.error("jwks_not_read", error=type(error).__name__, why=_told(error))
        finally:
            self._reading = None


def _told(error: Exception) -> str:
    # Of the parsers and of `Fetch`; what others say may quote a key or an address.
    return str(error) if isinstance(error, ValueError | OSError) else ""


def parse_jwks(content: bytes | None) -> Keys:
    """Return the keys of a JWK set that sign tokens, by `kid`; none where there is no file.

    Raises:
        ValueError, KeyError, TypeError, RecursionError: It is not a JWK set, or has no such key.
    """
    if content is None:
        return {}
    keys = {}
    for number, jwk in enumerate(json.loads(content)["keys"]):
        try:
            keys[_kid(jwk)] = _signer(jwk)
        except Exception as error:  # noqa: BLE001  of any parser: it spoils no other
            why = str(error) if isinstance(error, Unfit) else type(error).__name__
            logger.warning("jwk_skipped", number=number, why=why)
    if not keys:
        raise ValueError("no key of the set signs tokens")
    return keys


def _kid(jwk: dict[str, Any]) -> str:
    kid = jwk.get("kid") or ""
    if not isinstance(kid, str):
        raise TypeError("the key's name is no text")
    return kid


def _signer(jwk: dict[str, Any]) -> Signer:
    import jwt  # 9 MB that an account without tokens need not hold
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = jwt.PyJWK(jwk)
    # Who publishes the private half has published it to everybody.
    if "d" in jwk or key.algorithm_name not in PUBLIC_ALGORITHMS or not _verifies(jwk):
        raise Unfit(f"not a public key for one of {', '.join(PUBLIC_ALGORITHMS)}")
    if weak := key.Algorithm.check_key_length(key.key):
        raise Unfit(weak)
    public = key.key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return Signer(key, hashlib.sha256(public).hexdigest())


def _verifies(jwk: dict[str, Any]) -> bool:
    # Source: RFC 7517 sections 4.2 and 4.3; who says neither allows both.
    return (jwk.get("use") or "sig") == "sig" and "verify" in (jwk.get("key_ops") or ("verify",))


def parse_secret(content: bytes | None) -> Keys:
    """Return the shared secret; none where there is no file.

    Raises:
        ValueError: It is too short to be one.
    """
    if content is None:
        return {}
    secret = content.rstrip(b"\r\n")
    if len(secret) < LEAST_SECRET_BYTES:
        raise ValueError(f"a shared secret has at least {LEAST_SECRET_BYTES} bytes")
    proof = hashlib.sha256(secret).hexdigest()[:16]
    return {proof: Signer(secret, proof)}


def _file(settings: Settings) -> WatchedFile[Keys] | None:
    path: Path | None = settings.jwt_secret_file
    if path is not None:
        return WatchedFile(path, parse_secret)
    path = settings.jwt_jwks_file
    return None if path is None else WatchedFile(path, parse_jwks)
