# SPDX-License-Identifier: Apache-2.0
"""Wrong input: named within ten seconds, healed within ten, without touching the object."""

import json

import pytest
from e2e_world import World

from cluster.errors import CommandFailed

pytestmark = pytest.mark.e2e

SEEN_S = 10
HEALED_S = 10


def test_a_missing_secret_is_named_and_its_creation_heals(world: World) -> None:
    account = world.apply_account(secret=None)
    trouble = world.wait_reason(account.name, "SecretMissing", timeout_s=SEEN_S)
    assert account.secret in trouble["message"]

    world.secret(account.secret)

    # A pod has to be started for this one: the ten seconds are for the reason to go.
    world.wait_reason_gone(account.name, "SecretMissing", timeout_s=HEALED_S)
    world.wait_ready(account.name)


def test_a_secret_without_the_key_is_named(world: World) -> None:
    account = world.apply_account(secret={"passwort": "typo"})

    trouble = world.wait_reason(account.name, "SecretMissing", timeout_s=SEEN_S)

    assert "password" in trouble["message"]


def test_a_wrong_password_is_named_and_a_right_one_heals(world: World) -> None:
    account = world.apply_account(server="Simulator-BadPassword", secret={"password": "wrong"})
    # Until the pod runs nobody can know it: the ten seconds begin with the pod.
    world.wait_container_running(account.name)
    trouble = world.wait_reason(account.name, "BadCredentials", timeout_s=SEEN_S)
    assert account.secret in trouble["message"]
    before = world.account(account.name)["metadata"]["generation"]

    world.secret(account.secret, {"password": "right-password"})

    world.wait_ready(account.name, timeout_s=HEALED_S)
    assert world.account(account.name)["metadata"]["generation"] == before


@pytest.mark.parametrize(
    ("server", "reason"),
    [("Simulator-NoSuchServer", "ServerUnknown"), ("Simulator-Unreachable", "BrokerUnreachable")],
)
def test_a_server_that_does_not_answer_is_named(world: World, server: str, reason: str) -> None:
    account = world.apply_account(server=server)
    world.wait_container_running(account.name)

    trouble = world.wait_reason(account.name, reason, timeout_s=30)

    assert server in trouble["message"]
    answer = world.get(f"/accounts/{account.id}/api/account")
    assert answer.status == 503
    assert json.loads(answer.body)["reason"] == reason


def test_of_two_accounts_with_one_id_the_older_keeps_it(world: World) -> None:
    first = world.ready_account()
    second = world.apply_account(account_id=first.id)
    world.wait_reason(second.name, "AccountIdConflict", timeout_s=SEEN_S)
    assert world.get(f"/accounts/{first.id}/api/account").status == 200

    world.kubectl.delete("mt5account", first.name)

    world.wait_ready(second.name)
    world.until(lambda: world.get(f"/accounts/{first.id}/api/account").status == 200, "its route")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"login": -1}, "login"),
        ({"brokerCompatability": "Linux"}, "brokerCompatability"),
        ({"server": ""}, "server"),
    ],
)
def test_a_wrong_manifest_is_refused_in_words(
    world: World, change: dict[str, object], word: str
) -> None:
    manifest = world.manifest()
    manifest["spec"] |= change

    with pytest.raises(CommandFailed, match=word):
        world.kubectl.apply(manifest)


def test_an_immutable_field_says_what_to_do_instead(world: World) -> None:
    account = world.ready_account()
    manifest = account.manifest | {"spec": account.manifest["spec"] | {"login": 4711}}

    with pytest.raises(CommandFailed, match=r"login cannot be changed.*create a new one"):
        world.kubectl.apply(manifest)
