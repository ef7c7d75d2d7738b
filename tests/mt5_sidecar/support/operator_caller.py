# SPDX-License-Identifier: Apache-2.0
"""The operator's key pair and tokens, as `/internal/*` wants them."""

import base64
import json
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sidecar_rig import POD_UID, Rig

OPERATOR = Ed25519PrivateKey.generate()


def public(key: Ed25519PrivateKey) -> str:
    return base64.urlsafe_b64encode(key.public_key().public_bytes_raw()).decode().rstrip("=")


def jwks(key: Ed25519PrivateKey = OPERATOR, kid: str = "k1") -> str:
    return json.dumps({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": public(key)}]})


def token(key: Any = OPERATOR, *, algorithm: str = "EdDSA", kid: str = "k1", **claims: Any) -> str:
    good = {"iss": "mt5-bridge-operator", "aud": POD_UID, "exp": time.time() + 30}
    kept = {name: value for name, value in (good | claims).items() if value is not None}
    return jwt.encode(kept, key, algorithm=algorithm, headers={"kid": kid})


async def internal_state(rig: Rig) -> dict[str, Any]:
    """Return what the operator reads of `rig`, over HTTP."""
    answer = await rig.ops("/internal/state", headers={"Authorization": f"Bearer {token()}"})
    assert answer.status == 200, answer.body
    state: dict[str, Any] = answer.json
    return state
