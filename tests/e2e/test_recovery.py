# SPDX-License-Identifier: Apache-2.0
"""Parts die; accounts stay or come back, and known routes keep working."""

import json

import pytest
from e2e_world import READY_S, World

pytestmark = pytest.mark.e2e

# The kubelet's own period is a minute and more.
LEARNS_S = 20


def test_a_deleted_pod_comes_back_with_its_route(world: World) -> None:
    account = world.ready_account()
    pod = f"{account.name}-a-0"
    before = world.kubectl.get("pod", pod)
    assert before is not None

    world.kubectl.delete("pod", pod)

    world.kubectl.wait_for(
        "pod",
        pod,
        lambda found: found["metadata"]["uid"] != before["metadata"]["uid"],
        timeout_s=60,
    )
    world.wait_ready(account.name)
    world.until(lambda: world.get(f"/accounts/{account.id}/api/account").status == 200, "an answer")
    route = json.loads(world.redis("HGET", "mt5:routes", account.id))
    after = world.kubectl.get("pod", pod)
    assert after is not None
    assert route["uid"] == after["metadata"]["uid"]
    # Its kubelet said that the pod before ended: the new one trades without a wait (docs/adr/077).
    world.until(lambda: _trader(world, account.name) == route["uid"], "the new pod to trade")
    told = [each["reason"] for each in world.kubectl.list("events.events.k8s.io")]
    assert "TraderVanished" not in told


def _trader(world: World, name: str) -> str:
    found = world.kubectl.get("mt5account", name) or {}
    return str(found.get("status", {}).get("trader", {}).get("pod", ""))


@pytest.mark.parametrize("process", ["mt5_agent.worker", "mt5_simulator.terminal"])
def test_a_killed_process_beside_the_terminal_is_replaced(world: World, process: str) -> None:
    account = world.ready_account()
    killed = world.kill_in_pod(f"{account.name}-a-0", "terminal", process)
    assert killed

    world.until(
        lambda: world.processes_in_pod(f"{account.name}-a-0", "terminal", process) - killed,
        f"another {process}",
    )
    world.until(lambda: world.get(f"/accounts/{account.id}/api/account").status == 200, "an answer")
    assert world.restarts(f"{account.name}-a-0") == 0


def test_a_flushed_redis_is_filled_again_and_no_request_fails(world: World) -> None:
    account = world.ready_account()

    world.redis("FLUSHALL")

    assert world.get(f"/accounts/{account.id}/api/account").status == 200
    world.until(lambda: world.redis("HGET", "mt5:routes", account.id), "the route in Redis")
    assert world.redis("GET", "mt5:routes:complete")
    assert world.get(f"/accounts/{account.id}/api/account").status == 200


def test_a_router_started_without_redis_routes_from_the_config_maps(world: World) -> None:
    account = world.ready_account()
    # ConfigMaps are written with a delay (route_flush_s), and a pod's files are of its start.
    world.until(lambda: world.route_in_config_maps(account), "the route in a ConfigMap")
    with world.redis_away():
        world.restart_router()

        answer = world.get(f"/accounts/{account.id}/api/account")

        assert answer.status == 200
    world.until(lambda: world.redis("GET", "mt5:routes:complete"), "Redis filled again")


def test_without_redis_routers_learn_of_a_new_pod_within_seconds(world: World) -> None:
    account = world.ready_account()
    pod = f"{account.name}-a-0"
    with world.redis_away():
        before = world.route_in_config_maps(account)
        world.kubectl.delete("pod", pod)
        world.until(
            lambda: world.route_in_config_maps(account) not in (None, before),
            "the next pod's route in a ConfigMap",
            timeout_s=READY_S,
        )

        world.until(
            lambda: world.get(f"/accounts/{account.id}/api/account").status == 200,
            "an answer of the new pod",
            timeout_s=LEARNS_S,
        )
    world.until(lambda: world.redis("GET", "mt5:routes:complete"), "Redis filled again")


def test_deleting_while_redis_is_away_ends_and_leaves_no_route(world: World) -> None:
    account = world.ready_account()
    with world.redis_away():
        world.kubectl.delete("mt5account", account.name)

    world.until(lambda: world.redis("GET", "mt5:routes:complete"), "Redis filled again")
    world.until(lambda: world.get(f"/accounts/{account.id}/api/account").status == 404, "its 404")
    assert world.redis("HGET", "mt5:routes", account.id) == ""


def test_killed_operators_harm_no_account(world: World) -> None:
    account = world.ready_account()

    world.kill_operators()

    assert world.get(f"/accounts/{account.id}/api/account").status == 200
    later = world.ready_account()
    assert world.get(f"/accounts/{later.id}/api/account").status == 200
    assert world.restarts(f"{account.name}-a-0") == 0


def test_a_statefulset_edited_by_hand_is_put_right(world: World) -> None:
    account = world.ready_account()
    name = f"{account.name}-a"

    world.kubectl.patch("statefulset", name, {"spec": {"replicas": 0}})

    world.kubectl.wait_for(
        "statefulset", name, lambda found: found["spec"]["replicas"] == 1, timeout_s=10
    )
    world.wait_ready(account.name)


def test_suspend_takes_the_pod_and_resume_brings_it_back(world: World) -> None:
    account = world.ready_account()

    world.kubectl.patch("mt5account", account.name, {"spec": {"suspend": True}})

    world.kubectl.wait_until_gone("pod", f"{account.name}-a-0", timeout_s=60)
    answer = world.get(f"/accounts/{account.id}/api/account")
    assert answer.status == 503
    assert json.loads(answer.body)["reason"] == "Suspended"
    world.kubectl.patch("mt5account", account.name, {"spec": {"suspend": False}})
    world.wait_ready(account.name)
