# SPDX-License-Identifier: Apache-2.0
"""An issuer of JWTs, its keys, and those who only pretend to be it."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm

ISSUER, AUDIENCE = "https://issuer.example", "mt5-bridge"
SECRET = b"canary-shared-secret-of-32-bytes"
OURS = {"jwt_issuer": ISSUER, "jwt_audience": AUDIENCE}
KEYS = {kid: rsa.generate_private_key(65537, 2048) for kid in ("one", "two")}


def jwks(*kids: str) -> str:
    keys = [{**json.loads(RSAAlgorithm.to_jwk(KEYS[kid].public_key())), "kid": kid} for kid in kids]
    return json.dumps({"keys": keys})


def claims(**changed: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "user-1",
        "exp": int(time.time()) + 300,
        "mt5_accounts": ["10001"],
        "mt5_scopes": ["read"],
    }
    return {name: value for name, value in (usual | changed).items() if value is not None}


def token(*, kid: str = "one", **changed: Any) -> str:
    return jwt.encode(claims(**changed), KEYS[kid], "RS256", {"kid": kid})


def unsigned(header: dict[str, Any], **changed: Any) -> str:
    parts = [header, claims(**changed)]
    texts = [base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=") for p in parts]
    return b".".join([*texts, b"AAAA"]).decode()


def public_key_as_secret() -> str:
    pem = KEYS["one"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    header = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"one"}').rstrip(b"=")
    body = base64.urlsafe_b64encode(json.dumps(claims()).encode()).rstrip(b"=")
    mac = hmac.digest(pem, header + b"." + body, hashlib.sha256)
    return b".".join([header, body, base64.urlsafe_b64encode(mac).rstrip(b"=")]).decode()


def by_another_kind_of_key() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    return jwt.encode(claims(), key, "ES256", {"kid": "one"})


FORGED = {
    "no signature": lambda: unsigned({"alg": "none", "kid": "one"}),
    "a wrong signature": lambda: unsigned({"alg": "RS256", "kid": "one"}),
    "the public key as a secret": public_key_as_secret,
    "a key of another kind": by_another_kind_of_key,
    "an unknown key": lambda: token(kid="two"),
    "another key under a known name": lambda: jwt.encode(
        claims(), KEYS["two"], "RS256", {"kid": "one"}
    ),
    "no key named": lambda: jwt.encode(claims(), KEYS["one"], "RS256"),
    "a key in its header": lambda: jwt.encode(
        claims(),
        KEYS["two"],
        "RS256",
        {"jwk": json.loads(RSAAlgorithm.to_jwk(KEYS["two"].public_key()))},
    ),
    "nonsense": lambda: "a.b.c",
}
