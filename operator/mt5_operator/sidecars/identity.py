# SPDX-License-Identifier: Apache-2.0
"""The operator's key pair and installation id, kept in one Secret of its own namespace."""

from __future__ import annotations

import base64
import hashlib
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import jwt
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mt5_operator import names
from mt5_operator.cluster.api import Api
from mt5_operator.cluster.kinds import SECRET
from mt5_operator.errors import Conflict, NotFound
from mt5_operator.names import Key
from mt5_operator.spec.parse import Manifest

# What sidecars take at most (docs/internals.md), and so no setting.
LIFETIME_S: Final = 60
_KEY: Final = "private.pem"
_INSTALLATION: Final = "installation"


@dataclass(frozen=True)
class Identity:
    """Who this installation is. Never printed."""

    key: Ed25519PrivateKey = field(repr=False)
    installation: str

    @property
    def jwk(self) -> dict[str, str]:
        """Return the public key as sidecars read it."""
        raw = self.key.public_key().public_bytes(form.Encoding.Raw, form.PublicFormat.Raw)
        kid = hashlib.sha256(raw).hexdigest()[:16]
        return {"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": _base64url(raw)}

    def token(self, audience: str, *, clock: Callable[[], float] = time.time) -> str:
        """Return proof of who calls, for the one pod whose uid is `audience`."""
        now = int(clock())
        claims = {
            "iss": names.TOKEN_ISSUER,
            "aud": audience,
            "iat": now,
            # A little less than allowed, for clocks that differ.
            "exp": now + LIFETIME_S - 5,
        }
        headers = {"kid": self.jwk["kid"]}
        return jwt.encode(claims, self.key, algorithm="EdDSA", headers=headers)


async def identity(
    api: Api, namespace: str, *, installation: Callable[[], Awaitable[str]]
) -> Identity:
    """Return the identity of this installation, making it at the first start.

    Where its Secret was deleted, to have another key, it is still the `installation` that it was.
    """
    key = Key(namespace, names.OPERATOR_KEY)
    try:
        return _read(await api.get(SECRET, key))
    except NotFound:
        pass
    try:
        return _read(await api.create(SECRET, _new(key, await installation())))
    except Conflict:  # another replica was faster
        return _read(await api.get(SECRET, key))


def _new(key: Key, installation: str) -> Manifest:
    pem = Ed25519PrivateKey.generate().private_bytes(
        form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()
    )
    values = {_KEY: pem, _INSTALLATION: (installation or str(uuid.uuid4())).encode()}
    return {
        "metadata": {
            "name": key.name,
            "namespace": key.namespace,
            "labels": {names.MANAGED_BY: names.MANAGER},
        },
        "type": "Opaque",
        "data": {name: base64.b64encode(value).decode() for name, value in values.items()},
    }


def _read(secret: Manifest) -> Identity:
    values = {name: base64.b64decode(value) for name, value in secret["data"].items()}
    key = form.load_pem_private_key(values[_KEY], password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise TypeError(f"Secret {names.OPERATOR_KEY} holds no Ed25519 key: delete it")
    return Identity(key, values[_INSTALLATION].decode())


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
