# SPDX-License-Identifier: Apache-2.0
"""Nothing is written when nothing changed: counted by the API server itself."""

from __future__ import annotations

import re
import time
from collections import Counter
from typing import Any

import pytest
import yaml

from cluster.kubectl import Kubectl
from operator_cluster.manifests import account, condition, secret
from operator_cluster.operator_process import MakeOperator, eventually, steady
from operator_cluster.redis_process import RedisServer
from operator_cluster.sidecar_stub import CONNECTED, SidecarStub

pytestmark = pytest.mark.cluster

ACCOUNTS = 200
FEW = 10
_COUNTER = re.compile(r"^apiserver_request_total\{(.*)\} (\S+)$", re.MULTILINE)
_WRITES = ("APPLY", "PATCH", "POST", "PUT", "DELETE")
_OURS = ("mt5accounts", "statefulsets", "configmaps", "pods", "secrets", "events")


@pytest.mark.timeout(900)
def test_a_resync_of_200_accounts_writes_nothing(
    make_operator: MakeOperator, kubectl: Kubectl, redis: RedisServer
) -> None:
    operator = make_operator(
        resync_s=4,
        sidecar_poll_connected_s=60,
        # Two fake nodes for all of them.
        linux_accounts_per_node=ACCOUNTS,
    )
    # The API server's counters know no namespaces: those of earlier tests must be gone for good.
    eventually(lambda: not _ending(kubectl), timeout_s=120, what="earlier namespaces to be gone")
    operator.lead()
    started = time.monotonic()
    manifests = [secret(), *(account(f"a{n}", login=n + 1) for n in range(ACCOUNTS))]
    documents = yaml.safe_dump_all(manifests)
    kubectl("create", "--filename", "-", stdin=documents, timeout_s=200)
    eventually(lambda: _ready(kubectl) == ACCOUNTS, timeout_s=120)
    print(f"\n{ACCOUNTS} accounts ready in {time.monotonic() - started:.1f} s")  # noqa: T201
    eventually(lambda: steady(operator.writes, for_s=2), timeout_s=30)
    print(f"{operator.writes() / ACCOUNTS:.2f} writes an account")  # noqa: T201
    done = operator.metric("mt5_operator_reconciles_total", result="done")
    ours = operator.writes()
    before, stored = _written(kubectl), redis.client.info("commandstats")["cmdstat_exec"]

    eventually(
        lambda: (
            operator.metric("mt5_operator_reconciles_total", result="done") >= done + 2 * ACCOUNTS
        ),
        timeout_s=30,
    )

    assert operator.writes() == ours, operator.writes_by_kind()
    assert _written(kubectl) == before
    assert redis.client.info("commandstats")["cmdstat_exec"] == stored


def test_looks_that_get_no_answer_now_and_then_write_nothing(
    make_operator: MakeOperator, kubectl: Kubectl, sidecars: SidecarStub
) -> None:
    operator = make_operator(
        sidecar_poll_s=0.5,
        sidecar_poll_connected_s=1,
        log_level="DEBUG",
    )
    heard: Counter[str] = Counter()

    def says(uid: str) -> dict[str, Any]:
        heard[uid] += 1
        # Not a broken connection: the client would ask again by itself.
        return {} if heard[uid] % 2 else CONNECTED

    operator.lead()
    manifests = [secret(), *(account(f"a{n}", login=n + 1) for n in range(FEW))]
    kubectl("create", "--filename", "-", stdin=yaml.safe_dump_all(manifests))
    eventually(lambda: _ready(kubectl) == FEW, timeout_s=60)
    eventually(lambda: steady(operator.writes, for_s=3), timeout_s=60)
    ours, log = operator.writes(), operator.log.stat().st_size

    sidecars.says = says
    missed = {"name": "mt5_operator_sidecar_looks_total", "result": "failed"}
    eventually(lambda: operator.metric(**missed) >= 3 * FEW, timeout_s=60)

    told = operator.log.read_text()[log:]
    assert operator.writes() == ours, [x for x in told.splitlines() if "status written" in x]


def _ending(kubectl: Kubectl) -> list[str]:
    found = kubectl("get", "namespaces", "--output=jsonpath={.items[*].status.phase}").split()
    return [phase for phase in found if phase == "Terminating"]


def _ready(kubectl: Kubectl) -> int:
    return sum(condition(a).get("status") == "True" for a in kubectl.list("mt5accounts"))


def _written(kubectl: Kubectl) -> dict[str, float]:
    text = kubectl("get", "--raw", "/metrics")
    return {
        labels: float(value)
        for labels, value in _COUNTER.findall(text)
        if any(f'verb="{verb}"' in labels for verb in _WRITES)
        and any(f'resource="{kind}"' in labels for kind in _OURS)
    }
