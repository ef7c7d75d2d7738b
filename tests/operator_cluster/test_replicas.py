# SPDX-License-Identifier: Apache-2.0
"""Two replicas, one leader; whatever happens to it, somebody goes on."""

from __future__ import annotations

import pytest

from cluster.control_plane import ControlPlane
from cluster.kubectl import Kubectl
from operator_cluster.manifests import account, await_reason, reason, secret
from operator_cluster.operator_process import (
    QUICK_LEASE,
    MakeOperator,
    Operator,
    eventually,
    steady,
)
from operator_cluster.redis_process import RedisServer

pytestmark = pytest.mark.cluster


@pytest.fixture
def operator(make_operator: MakeOperator) -> Operator:
    """Return the first replica, not started yet."""
    return make_operator(**QUICK_LEASE)


@pytest.fixture
def standby(make_operator: MakeOperator) -> Operator:
    """Return a second replica, not started yet."""
    return make_operator(name="operator-1", **QUICK_LEASE)


def test_the_standby_is_ready_writes_nothing_and_takes_over_after_a_clean_stop(
    operator: Operator, standby: Operator, kubectl: Kubectl
) -> None:
    operator.lead()
    standby.start()
    kubectl.apply(secret(), account())
    await_reason(kubectl, "Connected")
    assert standby.writes() == 0
    assert not standby.leads()

    assert operator.stop() == 0

    eventually(standby.leads, timeout_s=3)
    kubectl.apply(account("next", login=2))
    await_reason(kubectl, "Connected", "next")


def test_a_new_leader_leaves_everything_as_it_is(
    operator: Operator, standby: Operator, kubectl: Kubectl, redis: RedisServer
) -> None:
    operator.lead()
    kubectl.apply(secret(), account())
    await_reason(kubectl, "Connected")
    standby.start()
    routes, before = redis.routes(), kubectl.get("mt5account", "demo")

    operator.kill()

    # The Lease lasts 5 s here.
    eventually(standby.leads, timeout_s=12)
    assert steady(standby.writes, for_s=2)
    assert standby.writes() == 0
    assert redis.routes() == routes
    assert kubectl.get("mt5account", "demo") == before


def test_a_leader_that_hung_past_its_lease_ends_itself(
    operator: Operator, standby: Operator, kubectl: Kubectl
) -> None:
    operator.lead()
    standby.start()

    operator.pause()
    eventually(standby.leads, timeout_s=12)
    operator.unpause()

    eventually(lambda: operator.exit_code() not in (None, 0), timeout_s=10)
    assert standby.leads()


def test_the_leader_survives_an_api_server_that_restarts(
    plane: ControlPlane, operator: Operator, kubectl: Kubectl
) -> None:
    operator.lead()
    kubectl.apply(secret(), account())
    await_reason(kubectl, "Connected")

    plane.restart_apiserver(kill=True)

    kubectl.apply(account("next", login=2))

    def serves() -> bool:
        if operator.exit_code() is not None:  # away for longer than its Lease lasts here
            told = operator.last_words()
            assert "the Lease was not renewed in time" in told or "lease lost" in told
            operator.revive()
        return operator.leads() and reason(kubectl, "next") == "Connected"

    eventually(serves, timeout_s=25)
    assert operator.answers("/healthz") == 200
