# SPDX-License-Identifier: Apache-2.0
import time
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from operator_caller import OPERATOR, jwks, public, token
from sidecar_rig import KEY, POD_UID, Rig

STRANGER = Ed25519PrivateKey.generate()


def unsigned() -> str:
    return token("", algorithm="none")


def hmac_with_the_public_key() -> str:
    # PyJWT refuses to make it with a PEM; the raw public bytes are what an attacker has, too.
    return token(public(OPERATOR), algorithm="HS256")


FORGED = {
    "nothing": lambda: "",
    "an API key": lambda: KEY,
    "alg none": unsigned,
    "HMAC with the public key": hmac_with_the_public_key,
    "a stranger's signature": lambda: token(STRANGER),
    "an unknown key id": lambda: token(kid="k2"),
    "another pod": lambda: token(aud="another-pod"),
    "no audience": lambda: token(aud=None),
    "another issuer": lambda: token(iss="somebody"),
    "no issuer": lambda: token(iss=None),
    "expired": lambda: token(exp=time.time() - 60),
    "no end": lambda: token(exp=None),
    "too long a life": lambda: token(exp=time.time() + 3600),
    "cut short": lambda: token()[:-4],
    "garbage": lambda: "a.b.c",
}


@pytest.fixture
async def operated(bridge: Rig) -> Rig:
    bridge.put("access/operator.jwks.json", jwks(OPERATOR))
    bridge.look()
    return bridge


async def ask(rig: Rig, bearer: str) -> Any:
    return await rig.ops("/internal/state", headers={"Authorization": f"Bearer {bearer}"})


async def test_the_operator_reads_the_state_that_it_was_promised(operated: Rig) -> None:
    answer = await ask(operated, token())

    assert answer.status == 200
    seen = answer.json
    assert {name: seen[name] for name in ("account_id", "login", "server", "pod_uid", "slot")} == {
        "account_id": "10001",
        "login": 10001,
        "server": "Simulator-Demo",
        "pod_uid": POD_UID,
        "slot": "a",
    }
    assert (seen["state"], seen["reason"], seen["connected"]) == ("Connected", "", True)
    assert (seen["credentials"], seen["trade_allowed"]) == ("Valid", True)
    assert (seen["trade_message"], seen["selftest"]) == ("", "")
    assert set(seen["files"]) == {"credentials", "account", "access"}
    assert all(seen["files"].values())
    assert seen["versions"]["backend"] == "scripted"
    assert seen["evidence"]["logins"] == 1
    assert seen["last_contact"].endswith("Z")
    bearer = {"Authorization": f"Bearer {token()}"}
    orders = await operated.ops("/internal/orders", headers=bearer)
    assert seen["orders"] == orders.json


@pytest.mark.parametrize("forged", FORGED)
async def test_nobody_else_does(operated: Rig, forged: str) -> None:
    answer = await ask(operated, FORGED[forged]())

    assert (answer.status, answer.problem) == (401, "/problems/unauthenticated")


async def test_a_rotated_key_is_taken_over_without_a_restart(operated: Rig) -> None:
    operated.put("access/operator.jwks.json", jwks(STRANGER, "k2"))
    operated.look()

    assert (await ask(operated, token(STRANGER, kid="k2"))).status == 200
    assert (await ask(operated, token())).status == 401


async def test_without_published_keys_nobody_reads_the_state(bridge: Rig) -> None:
    assert (await ask(bridge, token())).status == 401
