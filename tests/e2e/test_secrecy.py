# SPDX-License-Identifier: Apache-2.0
"""A password and a key are planted; nothing that leaves a process may hold them."""

import pytest
from e2e_world import World

pytestmark = pytest.mark.e2e

CANARY = "canary-c0ffee-password"
REFUSED = "canary-dec0de-refused"


def test_the_password_is_nowhere_but_in_its_secret(world: World) -> None:
    account = world.apply_account(secret={"password": CANARY})
    world.wait_ready(account.name)
    assert world.get(f"/accounts/{account.id}/api/account").status == 200

    for place, text in world.everything_said(account):
        assert CANARY not in text, place
        assert world.key not in text, place


def test_a_refused_password_is_nowhere_but_in_its_secret_either(world: World) -> None:
    account = world.apply_account(server="Simulator-BadPassword", secret={"password": REFUSED})
    world.wait_container_running(account.name)
    world.wait_reason(account.name, "BadCredentials")

    for place, text in world.everything_said(account):
        assert REFUSED not in text, place
        assert world.key not in text, place


def test_the_agents_container_holds_no_secret_file(world: World) -> None:
    account = world.ready_account()
    pod = world.kubectl.get("pod", f"{account.name}-a-0")
    assert pod is not None

    terminal = pod["spec"]["containers"][0]

    assert terminal["name"] == "terminal"
    mounted = {mount["name"] for mount in terminal["volumeMounts"]}
    assert "credentials" not in mounted
    assert "access" not in mounted


def test_pods_fit_the_restricted_profile(world: World) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    world.kubectl.patch("namespace", world.namespace, {"metadata": {"labels": labels}})

    account = world.ready_account()

    assert world.get(f"/accounts/{account.id}/api/status").status == 200
