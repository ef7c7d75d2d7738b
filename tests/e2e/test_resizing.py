# SPDX-License-Identifier: Apache-2.0
"""Other resources come to a running account from a real kubelet: nobody moves, nothing breaks."""

from __future__ import annotations

from typing import Any

import pytest
from e2e_world import Account, World

pytestmark = pytest.mark.e2e

MORE = {"requests": {"cpu": "40m", "memory": "96Mi"}, "limits": {"cpu": "900m", "memory": "320Mi"}}
LESS = {"requests": {"cpu": "10m", "memory": "48Mi"}, "limits": {"cpu": "700m", "memory": "224Mi"}}
# The terminal container's own control group, of version 1 or 2: memory in bytes, CPU in percent.
_LIMITS = """
from pathlib import Path
group = Path('/sys/fs/cgroup')
if (group / 'memory.max').exists():
    memory = (group / 'memory.max').read_text()
    quota, period = (group / 'cpu.max').read_text().split()
else:
    memory = (group / 'memory/memory.limit_in_bytes').read_text()
    quota, period = ((group / f'cpu/cpu.cfs_{w}_us').read_text() for w in ('quota', 'period'))
print(int(memory), int(quota) * 100 // int(period))
"""


def test_other_resources_reach_the_running_container_and_the_account_serves_on(
    world: World,
) -> None:
    account = world.ready_account()
    before = _pod(world, account)
    since = _ready_since(world, account)

    for wanted, limits in ((MORE, [320 << 20, 90]), (LESS, [224 << 20, 70])):
        statuses: list[int] = []
        world.kubectl.patch("mt5account", account.name, {"spec": {"resources": wanted}})

        def has_them(limits: list[int] = limits, statuses: list[int] = statuses) -> bool:
            statuses.append(world.get(f"/accounts/{account.id}/api/account").status)
            return _limits(world, account) == limits and _told(world, account)

        world.until(has_them, f"the container's limits to be {wanted['limits']}")
        assert set(statuses) == {200}

    after = _pod(world, account)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert world.restarts(f"{account.name}-a-0") == 0
    assert world.kubectl.get("pod", f"{account.name}-b-0") is None
    assert _ready_since(world, account) == since
    terminal = after["status"]["containerStatuses"][0]
    assert terminal["resources"] == LESS
    # What the slot's next pod is made of.
    world.until(lambda: _template(world, account) == LESS, "the StatefulSet to know")


def _pod(world: World, account: Account) -> dict[str, Any]:
    found = world.kubectl.get("pod", f"{account.name}-a-0")
    assert found is not None
    return found


def _limits(world: World, account: Account) -> list[int]:
    words = ["python3", "-c", _LIMITS]
    told = world.kubectl.exec(f"{account.name}-a-0", words, container="terminal")
    return [int(word) for word in told.split()]


def _told(world: World, account: Account) -> bool:
    """Tell whether the account's status is of this generation, and says no `Updating` any more."""
    found = world.account(account.name)
    types = {each["type"] for each in found["status"]["conditions"]}
    known = found["status"]["observedGeneration"] == found["metadata"]["generation"]
    return known and "Updating" not in types


def _ready_since(world: World, account: Account) -> str:
    conditions = world.account(account.name)["status"]["conditions"]
    return str(next(each["lastTransitionTime"] for each in conditions if each["type"] == "Ready"))


def _template(world: World, account: Account) -> Any:
    found = world.kubectl.get("statefulset", f"{account.name}-a") or {}
    return found["spec"]["template"]["spec"]["containers"][0]["resources"]
