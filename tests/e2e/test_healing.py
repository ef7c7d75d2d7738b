# SPDX-License-Identifier: Apache-2.0
"""A terminal whose profile is ruined gets a clean one on a real volume; its journal stays."""

from __future__ import annotations

import json
from typing import Any

import pytest
from e2e_world import Account, World

pytestmark = pytest.mark.e2e

# The ladder's third rung alone, and in seconds.
IMPATIENT = {
    "MT5_OPERATOR_HEAL_LADDER": '["CleanProfile"]',
    "MT5_OPERATOR_HEAL_AFTER_S": "5",
    "MT5_OPERATOR_HEAL_GRACE_S": "1",
}
HEALED_S = 120.0
DATA = "/var/lib/mt5/terminal"
# Where the terminal wants a directory for its logs, there is a file: it cannot start any more.
_RUIN = f"rm -rf {DATA}/logs && touch {DATA}/logs"


def test_a_ruined_profile_is_replaced_by_a_clean_one_and_no_order_is_forgotten(
    world: World,
) -> None:
    account = world.trader(storage=True)
    before = world.insist(account, "kept", volume="0.02")
    first = _pod(world, account)["metadata"]["uid"]
    assert _profiles(world, account) == {"journal", "terminal"}

    # Impatient only from here: a first start on a busy machine may well take longer than that.
    with world.operators_with(IMPATIENT):
        _ruin(world, account)
        _heals(world, account, first)

    # The old profile is gone from the volume; the journal is where it was, and knows the order.
    assert _profiles(world, account) == {"journal", "terminal-1"}
    again = world.until(lambda: _again(world, account), "the answer again", timeout_s=HEALED_S)
    assert again == before | {"replayed": True}
    assert world.bought(account, 0.02) == [before["order"]]
    assert world.restarts(f"{account.name}-a-0") == 0


def _ruin(world: World, account: Account) -> None:
    pod = f"{account.name}-a-0"
    world.kubectl.exec(pod, ["sh", "-c", _RUIN], container="terminal")
    assert world.kill_in_pod(pod, "terminal", "mt5_simulator.terminal")


def _heals(world: World, account: Account, first: str) -> None:
    world.until(
        lambda: _healing(world, account).get("profile") == 1, "the step", timeout_s=HEALED_S
    )
    world.until(
        lambda: _pod(world, account).get("metadata", {}).get("uid", first) != first,
        "a new pod",
        timeout_s=HEALED_S,
    )
    world.wait_ready(account.name, timeout_s=HEALED_S)


def _pod(world: World, account: Account) -> dict[str, Any]:
    return world.kubectl.get("pod", f"{account.name}-a-0") or {}


def _healing(world: World, account: Account) -> dict[str, Any]:
    found: dict[str, Any] = world.account(account.name)["status"].get("healing", {})
    return found


def _again(world: World, account: Account) -> dict[str, Any] | None:
    answer = world.order(account, "kept", volume="0.02")
    return json.loads(answer.body) if answer.status == 200 else None


def _profiles(world: World, account: Account) -> set[str]:
    """Return what is on the account's volume, as another pod on its node sees it."""
    pod = _pod(world, account)
    (claim,) = (each for each in pod["spec"]["volumes"] if "persistentVolumeClaim" in each)
    world.kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "looks"},
            "spec": {
                "nodeName": pod["spec"]["nodeName"],
                "restartPolicy": "Never",
                "securityContext": pod["spec"]["securityContext"],
                "containers": [
                    {
                        "name": "looks",
                        "image": pod["spec"]["containers"][0]["image"],
                        "imagePullPolicy": "Never",
                        "command": ["ls", "/volume"],
                        "volumeMounts": [{"name": claim["name"], "mountPath": "/volume"}],
                    }
                ],
                "volumes": [claim],
            },
        }
    )
    world.kubectl.wait_for(
        "pod", "looks", lambda found: found["status"]["phase"] == "Succeeded", timeout_s=60
    )
    seen = set(world.kubectl.logs("looks").split())
    world.kubectl.delete("pod", "looks")
    return seen
