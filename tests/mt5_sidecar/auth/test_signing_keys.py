# SPDX-License-Identifier: Apache-2.0
"""Which keys of a JWK set sign tokens, and that one of them spoils no other."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from issuer import KEYS, OURS, jwks
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from structlog.testing import capture_logs

from mt5_sidecar.auth.signing_keys import SigningKeys, parse_jwks
from mt5_sidecar.settings_model import load

[ONE] = json.loads(jwks("one"))["keys"]
[TWO] = json.loads(jwks("two"))["keys"]
PRIVATE = json.loads(RSAAlgorithm.to_jwk(KEYS["two"]))
SMALL = {"kty": "RSA", "kid": "two", "n": "_" * 170, "e": "AQAB"}
P384 = json.loads(ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP384R1()).public_key()))


NO_SIGNERS: dict[str, Any] = {
    "for encryption": TWO | {"use": "enc"},
    "to encrypt": TWO | {"key_ops": ["encrypt"]},
    "for an algorithm of encryption": TWO | {"alg": "RSA-OAEP"},
    "for an algorithm that we do not take": TWO | {"alg": "PS256"},
    "of several algorithms": TWO | {"alg": ["RS256"]},
    "without a name": TWO | {"kid": ["two"]},
    "that cannot be": TWO | {"e": "AQ"},
    "of nothing": {"kty": "RSA", "kid": "two"},
    "secret": {"kty": "oct", "kid": "two", "k": "c2VjcmV0" * 8},
    "private": PRIVATE,
    "small": SMALL,
    "of another curve": P384,
    "no object": "two",
    "null": None,
}


@pytest.mark.parametrize("kind", NO_SIGNERS)
def test_a_key_that_signs_no_tokens_is_passed_over(kind: str) -> None:
    content = json.dumps({"keys": [NO_SIGNERS[kind], ONE]})

    with capture_logs() as lines:
        assert list(parse_jwks(content.encode())) == ["one"]

    assert [line["number"] for line in lines] == [0]
    # Whoever reads the log must not get what somebody published by mistake.
    assert PRIVATE["d"] not in str(lines)


def test_each_kind_of_key_is_for_its_own_algorithm() -> None:
    curve = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key())
    edwards = OKPAlgorithm.to_jwk(ed25519.Ed25519PrivateKey.generate().public_key())
    keys = [
        json.loads(curve) | {"kid": "curve"},
        json.loads(edwards) | {"kid": "edwards"},
        ONE | {"use": "sig", "key_ops": ["verify"], "alg": "RS256"},
        TWO | {"use": None, "key_ops": None, "alg": None, "kid": None},
    ]

    found = parse_jwks(json.dumps({"keys": keys}).encode())

    algorithms = {kid: signer.key.algorithm_name for kid, signer in found.items()}
    assert algorithms == {"curve": "ES256", "edwards": "EdDSA", "one": "RS256", "": "RS256"}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"keys": []}', '{"keys": [{}]}', "[" * 100_000])
def test_what_is_no_set_of_keys_is_none(text: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError, RecursionError)):
        parse_jwks(text.encode())


async def test_a_key_that_is_not_known_has_the_set_read_as_often_as_is_set() -> None:
    settings = load(
        account_id="10001",
        login=10001,
        server="Simulator-Demo",
        **OURS,
        jwt_jwks_url="https://issuer.example/jwks",
        jwt_jwks_retry_interval_s=30,
    )
    clock_s, asked = [1000.0], []

    async def fetch(url: str) -> bytes:
        asked.append(url)
        return jwks("one").encode()

    keys = SigningKeys(settings, fetch, clock=lambda: clock_s[0])
    await keys.current()

    clock_s[0] += 29
    too_soon = await keys.again()
    clock_s[0] += 1
    later = await keys.again()

    assert (too_soon, later, len(asked)) == (False, True, 2)
