# SPDX-License-Identifier: Apache-2.0
"""One account's reconcile against an API server that counts, refuses, and knows no clock."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from mt5_operator import names
from mt5_operator.brokers.evidence import Evidence
from mt5_operator.brokers.tally import Sample
from mt5_operator.capacity import Place, waiting
from mt5_operator.cluster import events as cluster_events
from mt5_operator.cluster.cache import Caches
from mt5_operator.cluster.events import event
from mt5_operator.cluster.kinds import (
    ACCOUNT,
    BROKER,
    CONFIG_MAP,
    NODE,
    POD,
    SECRET,
    STATEFUL_SET,
    Kind,
)
from mt5_operator.desired.template import template_id
from mt5_operator.errors import ApiUnavailable, NotFound, Refused
from mt5_operator.moving.fleet import Fleet
from mt5_operator.names import Key
from mt5_operator.reconcile.accounts import account as one
from mt5_operator.reconcile.accounts.line import presume
from mt5_operator.reconcile.accounts.routing import route_for
from mt5_operator.reconcile.context import Context, World, seconds_text
from mt5_operator.reconcile.context.budgets import Budgets
from mt5_operator.reconcile.context.index import Index
from mt5_operator.reconcile.context.podless import Podless
from mt5_operator.reconcile.context.refusals import Refusals
from mt5_operator.reconcile.context.secrets import Secrets, secret_seen
from mt5_operator.reconcile.feed import feed
from mt5_operator.reconcile.pods import refresh
from mt5_operator.reconcile.pods.fresh_starts import may_be_disturbed
from mt5_operator.reconcile.worker import Backoff, once, work
from mt5_operator.routes.shards import Shards
from mt5_operator.routes.table import Table
from mt5_operator.schedule import Schedule
from mt5_operator.settings import Settings
from mt5_operator.sidecars.client import Target
from mt5_operator.spec.account import Platform, SecretKey
from mt5_operator.status.crash import FORGOTTEN_S
from mt5_operator.status.seen import OrdersSeen, PodSeen, Seen, SidecarSeen
from mt5_operator.status.seen import Podless as NoPod
from mt5_operator.status.verdict import link
from mt5_sidecar.terminal.credentials import parse_password
from operator_samples import ConfigMaps, manifest, parsed

KEY = Key("ns", "demo")
UP = SidecarSeen("Connected", credentials="Valid", orders=OrdersSeen(0, active=False))
OUTAGE = SidecarSeen("Disconnected", "BrokerUnreachable", "away", "Valid")
MORE = {"requests": {"cpu": "2"}}
BAD = SidecarSeen("Refused", "BadCredentials", "no", "Invalid")
UNKNOWN = '{"spec": {"tradng": {}}}'
MISSPELT = {"kubectl.kubernetes.io/last-applied-configuration": UNKNOWN}


class Cluster(ConfigMaps):
    """An API server: what was applied in which order, which Secrets were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.applied: list[str] = []
        self.secrets = {"password": base64.b64encode(b"x").decode()}
        self.secret_gets = 0
        self.refuses: set[Kind] = set()
        self.faults: dict[Kind, str] = {}
        self.version = 100
        self.told: dict[str, Any] = {}
        self.account: dict[str, Any] = {}
        self.sets: dict[str, dict[str, Any]] = {}
        self.scaled: dict[str, int] = {}
        self.deleted: list[str] = []

    async def get(self, kind: Kind, key: Key) -> dict[str, Any]:
        if kind is not SECRET:
            return await super().get(kind, key)
        self.secret_gets += 1
        if not self.secrets:
            raise NotFound(404, "NotFound", key.name)
        return {"metadata": {"resourceVersion": "1"}, "data": self.secrets}

    async def apply(self, kind: Kind, manifest: dict[str, Any], **how: str) -> dict[str, Any]:
        what = "shard" if how.get("manager") == names.ROUTES_MANAGER else kind.name
        self.applied.append(f"{what}/{how['part']}" if how.get("part") else what)
        if kind in self.refuses:
            raise Refused(403, "Forbidden", "exceeded quota")
        if kind in self.faults:
            raise ApiUnavailable(self.faults[kind], busy=self.faults[kind].startswith("429"))
        if how.get("part") == "status":
            self.told = {c["type"]: c for c in manifest["status"]["conditions"]}
        if what == "shard":
            await super().apply(kind, manifest)
        self.version += 1
        meta = {**manifest["metadata"], "resourceVersion": str(self.version)}
        if kind is ACCOUNT:
            meta = {**self.account["metadata"], **meta}
            self.account = {**self.account, **manifest, "metadata": meta}
            return self.account
        if kind is STATEFUL_SET:
            self.sets[meta["name"]] = manifest["spec"]
        return {**manifest, "metadata": {"uid": "u", **meta}}

    async def merge(self, kind: Kind, key: Key, patch: dict[str, Any], **_: Any) -> dict[str, Any]:
        if kind is not STATEFUL_SET:
            raise NotFound(404, "NotFound", key.name)
        self.scaled[key.name] = patch["spec"]["replicas"]
        self.version += 1
        meta = {"name": key.name, "namespace": key.namespace, **patch["metadata"]}
        spec = {**self.sets.get(key.name, {}), **patch["spec"]}
        return {"spec": spec, "metadata": {**meta, "resourceVersion": str(self.version)}}

    async def delete(self, kind: Kind, key: Key, **_: Any) -> None:
        self.deleted.append(key.name)


class Sidecars:
    """What the watcher knows."""

    def __init__(self) -> None:
        self.seen: SidecarSeen | None = UP
        # What those of single pods say instead.
        self.of: dict[str, SidecarSeen] = {}

    def watch(self, key: Key, *_: Any, **__: Any) -> SidecarSeen | None:
        return self.of.get(key.name, self.seen)

    def forget(self, _: Key) -> None:
        return

    def hear(self, _: Key, __: Target, orders: OrdersSeen | None) -> None:
        if self.seen and orders:
            self.seen = replace(self.seen, orders=orders)

    async def activate(self, _: Target, epoch: int) -> OrdersSeen:
        return OrdersSeen(epoch, active=True)


class Events:
    """What they are called is kept."""

    def __init__(self) -> None:
        self.told: list[str] = []

    async def tell(self, _: Any, reason: str, *__: Any, **___: Any) -> None:
        self.told.append(reason)


class Bench:
    """A leader without processes around it."""

    def __init__(self) -> None:
        self.cluster, self.sidecars, self.seconds = Cluster(), Sidecars(), 1000.0
        api: Any = self.cluster
        anything: Any = None
        settings = Settings(route_flush_s=0, move_gather_s=0, move_pause_s=0)
        self.world = World(settings, api, Caches(), Index(), Schedule())
        shards = Shards(api, namespace="ns", shards=1, installation="i")
        self.table = Table(
            shards,
            None,
            installation="i",
            account_ids=self.world.index.account_ids,
            now=lambda: "now",
        )
        watcher: Any = self.sidecars
        self.events = Events()
        events: Any = self.events
        self.context = Context(
            self.world,
            anything,
            self.table,
            watcher,
            Secrets(
                api,
                settings,
                news=self.world.queue.add,
                clock=lambda: self.seconds,
            ),
            events,
            Refusals(settings, clock=lambda: self.seconds),
            watcher,
            Fleet(
                settings,
                now_s=lambda: self.seconds,
                due=self.world.queue.add,
                shared=self.world.index.shared,
            ),
            Budgets(api, settings, now_s=lambda: self.seconds),
        )

    def feed(self, **changes: Any) -> None:
        """Let the watch tell of the account."""
        found = manifest(**changes.pop("spec", {}))
        self.cluster.version += 1
        found["metadata"] |= {"resourceVersion": str(self.cluster.version), **changes}
        if "status" in self.cluster.account:
            found["status"] = self.cluster.account["status"]
        self.cluster.account = found
        feed(self.world, ACCOUNT, "MODIFIED", found)

    def pod(
        self,
        *,
        ready: bool = True,
        ip: str = "10.0.0.1",
        uid: str = "p",
        slot: str = "a",
        terminal: dict[str, Any] | None = None,
    ) -> None:
        """Let the watch tell of a pod that runs."""
        self.cluster.version += 1
        labels = {names.ACCOUNT_LABEL: "demo", names.ACCOUNT_UID_LABEL: "uid-demo"}
        name = f"demo-{slot}-0"
        meta: dict[str, Any] = {"name": name, "namespace": "ns", "uid": uid, "labels": labels}
        template = template_id(parsed(), Platform.LINUX, self.world.settings)
        meta["annotations"] = {names.TEMPLATE: template}
        condition = {"type": "Ready", "status": str(ready)}
        status = {
            "phase": "Running",
            "podIP": ip,
            "conditions": [condition],
            "initContainerStatuses": [{"started": True}],
            "containerStatuses": [{"name": "terminal"} | (terminal or {})],
        }
        meta |= {
            "resourceVersion": str(self.cluster.version),
            "creationTimestamp": "2026-01-01T00:00:00Z",
        }
        pod = {"metadata": meta, "spec": {"nodeName": "n"}, "status": status}
        feed(self.world, POD, "MODIFIED", pod)

    def unscheduled(self, name: str, template: str, *, refused: bool) -> None:
        """Let the watch tell of a pod that has no node, or that the scheduler refused."""
        self.cluster.version += 1
        meta: dict[str, Any] = {"name": name, "namespace": "ns", "uid": name}
        meta |= {
            "labels": {names.ACCOUNT_LABEL: "demo", names.ACCOUNT_UID_LABEL: "uid-demo"},
            "annotations": {names.TEMPLATE: template},
            "resourceVersion": str(self.cluster.version),
            "creationTimestamp": "2026-01-01T00:00:00Z",
        }
        refusal = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
        told = [refusal | {"message": "0/1 nodes"}] if refused else []
        status = {"phase": "Pending", "conditions": told}
        feed(self.world, POD, "MODIFIED", {"metadata": meta, "spec": {}, "status": status})

    def replicas(self) -> dict[str, int]:
        """Return how many pods each StatefulSet has."""
        found = self.world.caches[STATEFUL_SET].values()
        return {each["metadata"]["name"]: each["spec"]["replicas"] for each in found}

    async def reconcile(self, key: Key = KEY) -> float | None:
        """Reconcile, as a worker does."""
        return await one.reconcile(self.context, key)

    def due(self) -> set[Key]:
        """Return what is due, and take it."""
        found = set()
        while key := self.world.queue.take():
            found.add(key)
            self.world.queue.done(key)
        return found


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def connected(bench: Bench) -> None:
    bench.feed()
    bench.pod()
    assert await bench.reconcile() is None
    route = bench.table.get("10001")
    assert route is not None
    assert route.address == "10.0.0.1:8080"


async def test_a_refused_write_takes_no_connected_account_off_the_air(bench: Bench) -> None:
    await connected(bench)
    bench.cluster.refuses = {STATEFUL_SET}
    bench.feed(spec={"suspend": False, "resources": {"requests": {"cpu": "2"}}}, generation=4)

    await bench.reconcile()

    route = bench.table.get("10001")
    assert route is not None
    assert route.address == "10.0.0.1:8080"
    told = {name: (c["status"], c["reason"]) for name, c in bench.cluster.told.items()}
    assert told["Ready"] == ("False", "WorkloadRefused")
    assert told["Stalled"] == ("True", "WorkloadRefused")
    assert told["Connected"] == ("True", "Connected")
    assert told["RouteReady"] == ("True", "RoutePublished")
    assert "exceeded quota" in bench.cluster.told["Ready"]["message"]


async def test_a_webhook_that_fails_for_one_account_is_told_and_ends_no_healing(
    bench: Bench,
) -> None:
    webhook = "500: Internal error occurred: failed calling webhook policy.example"
    bench.cluster.faults = {STATEFUL_SET: webhook}
    bench.feed()
    backoff = Backoff(bench.world.settings)
    quiet = bench.context.healer._quiet_until

    for _ in range(3):
        await once(bench.context, backoff, KEY)

    assert bench.context.healer._quiet_until == quiet
    told = bench.cluster.told["Ready"]
    assert (told["status"], told["reason"]) == ("False", "WorkloadRefused")
    assert webhook in told["message"]
    assert bench.context.refusals.next_s(KEY)
    bench.cluster.faults.clear()
    bench.seconds += 1
    await once(bench.context, backoff, KEY)
    assert bench.cluster.told["Ready"]["reason"] == "NoCapacity"


async def test_one_write_without_an_answer_is_tried_again_and_not_told(bench: Bench) -> None:
    bench.cluster.faults = {STATEFUL_SET: "429: too many requests"}
    bench.feed()
    backoff = Backoff(bench.world.settings)
    await once(bench.context, backoff, KEY)

    bench.cluster.faults.clear()
    await once(bench.context, backoff, KEY)

    assert bench.cluster.told["Ready"]["reason"] == "NoCapacity"


async def test_an_api_server_with_too_many_requests_is_no_refusal_before_it_lasts(
    bench: Bench,
) -> None:
    bench.cluster.faults = {STATEFUL_SET: "429: too many requests"}
    bench.feed()
    backoff = Backoff(bench.world.settings)
    for _ in range(8):
        bench.seconds += 5
        await once(bench.context, backoff, KEY)
    assert not bench.cluster.told

    bench.seconds += 30
    await once(bench.context, backoff, KEY)

    told = bench.cluster.told["Ready"]
    assert (told["reason"], "429: too many requests" in told["message"]) == (
        "WorkloadRefused",
        True,
    )


def unmarked(bench: Bench) -> None:
    """Let the pod be one of an operator that did not mark pods with their account's uid yet."""
    found = bench.world.caches[POD].get(Key("ns", "demo-a-0"))
    there = bench.world.caches[STATEFUL_SET].get(Key("ns", "demo-a"))
    assert found is not None
    assert there is not None
    bench.cluster.version += 1
    meta = found["metadata"]
    meta["resourceVersion"] = str(bench.cluster.version)
    meta["labels"].pop(names.ACCOUNT_UID_LABEL)
    meta["ownerReferences"] = [{"uid": there["metadata"]["uid"], "controller": True}]
    feed(bench.world, POD, "MODIFIED", found)


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize(
    ("spec", "wanted"),
    [({"login": 20002}, "20002"), ({"login": 20002, "accountId": "10001"}, "10001")],
    ids=["another id", "the same id"],
)
async def test_an_account_that_is_made_anew_gets_no_pod_of_the_one_before(
    bench: Bench, spec: dict[str, Any], wanted: str, *, marked: bool
) -> None:
    bench.sidecars.seen = replace(UP, orders=OrdersSeen(5, active=True))
    await connected(bench)
    await bench.reconcile()
    if not marked:
        unmarked(bench)
        await bench.reconcile()
        assert bench.cluster.told["Ready"]["reason"] == "Connected"
    feed(bench.world, ACCOUNT, "DELETED", bench.cluster.account)
    await bench.reconcile()
    bench.cluster.account, bench.cluster.told = {}, {}
    bench.cluster.applied.clear()

    bench.feed(spec=spec, uid="uid-new")
    await bench.reconcile()

    route = bench.table.get(wanted)
    assert route is not None
    assert (route.address, route.reason) == ("", "NameTaken")
    assert "trader" not in bench.cluster.account["status"]
    assert not {"StatefulSet", "ConfigMap"} & set(bench.cluster.applied)
    assert bench.cluster.told["Ready"]["reason"] == "NameTaken"
    assert bench.cluster.told["Reconciling"]["status"] == "True"
    # The garbage collector's turn: first the StatefulSet, then the pod.
    gone = bench.world.caches[STATEFUL_SET].get(Key("ns", "demo-a"))
    assert gone is not None
    feed(bench.world, STATEFUL_SET, "DELETED", gone)
    await bench.reconcile()
    assert not {"StatefulSet", "ConfigMap"} & set(bench.cluster.applied)
    pod = bench.world.caches[POD].get(Key("ns", "demo-a-0"))
    assert pod is not None
    bench.due()
    feed(bench.world, POD, "DELETED", pod)
    assert KEY in bench.due()
    await bench.reconcile()
    assert {"StatefulSet", "ConfigMap"} <= set(bench.cluster.applied)
    assert bench.cluster.told["Ready"]["reason"] == "NoCapacity"  # this bench has no node


async def test_an_account_made_anew_with_a_wrong_spec_is_not_routed_to_the_pod_before(
    bench: Bench,
) -> None:
    await connected(bench)
    feed(bench.world, ACCOUNT, "DELETED", bench.cluster.account)
    await bench.reconcile()
    bench.cluster.account = {}

    bench.feed(spec={"accountId": "10001", "server": "x" * 64}, uid="uid-new")
    await bench.reconcile()

    route = bench.table.get("10001")
    assert route is not None
    assert route.address == ""


async def test_what_another_owner_has_in_the_other_slot_is_left_alone(bench: Bench) -> None:
    await connected(bench)
    await bench.reconcile()
    theirs = {"name": "demo-b", "namespace": "ns", "uid": "t", "resourceVersion": "3"}
    feed(bench.world, STATEFUL_SET, "ADDED", {"metadata": theirs, "spec": {"replicas": 1}})
    bench.feed(spec={"credentialsSecretRef": {"name": "other"}}, generation=4)

    for _ in range(3):
        await bench.reconcile()

    # A move is tried, and says why it comes to nothing; the account serves on.
    assert bench.cluster.account["status"]["move"]["to"] == "b"
    assert bench.replicas() == {"demo-a": 1, "demo-b": 1}
    theirs_now = bench.world.caches[STATEFUL_SET].get(Key("ns", "demo-b"))
    assert theirs_now is not None
    assert theirs_now["metadata"]["uid"] == "t"
    assert "StatefulSet demo-b" in bench.cluster.told["Updating"]["message"]
    assert bench.cluster.told["Ready"]["reason"] == "Connected"


async def test_a_lost_nodes_account_is_served_while_its_sidecar_answers(bench: Bench) -> None:
    await connected(bench)
    taint = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}
    meta = {"name": "n", "uid": "n", "labels": {"kubernetes.io/os": "linux"}}
    node = {"metadata": {**meta, "resourceVersion": "1"}, "spec": {"taints": [taint]}}
    feed(bench.world, NODE, "ADDED", node)
    bench.pod(ready=False)

    await bench.reconcile()

    route = bench.table.get("10001")
    assert route is not None
    assert route.address == "10.0.0.1:8080"
    told = {name: (c["status"], c["reason"]) for name, c in bench.cluster.told.items()}
    assert (told["Ready"], told["PodReady"]) == (("True", "Connected"), ("False", "NodeLost"))

    bench.sidecars.seen = SidecarSeen(error="no answer")
    await bench.reconcile()

    route = bench.table.get("10001")
    assert route is not None
    assert (route.address, route.reason) == ("", "NodeLost")
    assert "out-of-service" in bench.cluster.told["Ready"]["message"]


async def test_a_refused_write_is_tried_ever_more_seldom_and_a_changed_one_at_once(
    bench: Bench,
) -> None:
    bench.cluster.refuses = {STATEFUL_SET}
    bench.feed()
    pauses = []

    for _ in range(12):
        again_s = await bench.reconcile()
        assert again_s is not None
        tries = bench.cluster.applied.count("StatefulSet")
        await bench.reconcile()  # told by a watch in between
        assert bench.cluster.applied.count("StatefulSet") == tries
        pauses.append(round(again_s, 3))
        bench.seconds += again_s

    assert pauses[:3] == [0.2, 0.4, 0.8]
    assert pauses[-1] == 60
    await bench.reconcile()
    tries = bench.cluster.applied.count("StatefulSet")
    bench.feed(spec={"resources": {"requests": {"cpu": "2"}}}, generation=4)
    await bench.reconcile()
    assert bench.cluster.applied.count("StatefulSet") == tries + 1
    bench.cluster.refuses = set()
    bench.seconds += 1
    await bench.reconcile()
    assert bench.context.refusals.next_s(KEY) is None


async def test_a_broker_outage_asks_for_no_secret_and_sets_no_timer(bench: Bench) -> None:
    await connected(bench)
    asked = bench.cluster.secret_gets
    bench.sidecars.seen = OUTAGE
    bench.pod(ready=False)

    for _ in range(5):
        bench.seconds += 10
        # Only the healing ladder's, which is a matter of minutes.
        assert (await bench.reconcile() or 0) > 500

    assert bench.cluster.secret_gets == asked
    assert bench.cluster.told["Ready"]["reason"] == "BrokerUnreachable"


async def test_a_spec_that_changes_while_a_status_is_written_is_not_overlooked(
    bench: Bench,
) -> None:
    # Its event comes after the answer to our write, and is older than that.
    bench.feed()
    bench.pod()
    while (await bench.reconcile(), bench.due())[1]:
        pass
    stale = bench.world.caches[ACCOUNT].get(KEY)
    assert stale
    bench.sidecars.seen = OUTAGE
    bench.pod(ready=False)
    bench.due()
    bench.cluster.account["metadata"]["generation"] = 4
    bench.cluster.account["spec"] = stale["spec"] | {"symbols": ["GBPUSD"]}

    await bench.reconcile()

    assert bench.due() == {KEY}
    cached = bench.world.caches[ACCOUNT].get(KEY)
    assert cached
    assert cached["spec"]["symbols"] == ["GBPUSD"]
    feed(bench.world, ACCOUNT, "MODIFIED", stale | {"spec": cached["spec"]})
    assert bench.due() == set()


@pytest.mark.parametrize("edit", ["scaled", "emptied", "deleted", "files"])
async def test_what_was_found_right_is_compared_again_when_a_hand_changed_it(
    bench: Bench, edit: str
) -> None:
    await connected(bench)
    await bench.reconcile()
    kind = CONFIG_MAP if edit == "files" else STATEFUL_SET
    name = "demo-account" if edit == "files" else "demo-a"
    written = bench.cluster.applied.count(kind.name)
    await bench.reconcile()
    assert bench.cluster.applied.count(kind.name) == written
    there = bench.world.caches[kind].get(Key("ns", name))
    assert there
    there["metadata"]["resourceVersion"] = str(bench.cluster.version + 1)
    if edit == "scaled":
        there["spec"]["replicas"] = 7
    elif edit == "emptied":
        there["spec"]["template"]["spec"]["containers"][0]["env"] = []
    elif edit == "files":
        there["data"] = {}
    bench.cluster.version += 1
    feed(bench.world, kind, "DELETED" if edit == "deleted" else "MODIFIED", there)

    await bench.reconcile()

    assert bench.cluster.applied.count(kind.name) == written + 1
    assert bench.replicas() == {"demo-a": 1}


async def test_our_own_status_is_no_news(bench: Bench) -> None:
    await connected(bench)
    bench.due()
    bench.sidecars.seen = OUTAGE
    bench.pod(ready=False)
    bench.due()
    written = bench.cluster.applied.count("MT5Account/status")

    await bench.reconcile()

    assert bench.cluster.applied.count("MT5Account/status") == written + 1
    assert bench.due() == set()


@pytest.mark.parametrize("trouble", ["refused", "missing"])
async def test_only_a_secret_in_trouble_is_looked_at_soon(bench: Bench, trouble: str) -> None:
    if trouble == "refused":
        bench.sidecars.seen = BAD
    else:
        bench.cluster.secrets = {}
    bench.feed()
    bench.pod(ready=False)
    await bench.reconcile()
    asked = bench.cluster.secret_gets

    bench.seconds += 3
    again_s = await bench.reconcile()

    assert again_s == bench.world.settings.secret_recheck_s
    assert bench.cluster.secret_gets == asked + 1


async def test_a_resync_of_a_connected_account_reads_no_secret(bench: Bench) -> None:
    await connected(bench)
    asked = bench.cluster.secret_gets

    for _ in range(3):
        bench.seconds += bench.world.settings.resync_s
        await bench.reconcile()

    assert bench.cluster.secret_gets == asked


async def test_a_suspended_account_reads_its_secret_when_it_is_resumed(bench: Bench) -> None:
    bench.feed(spec={"suspend": True})
    await bench.reconcile()
    asked = bench.cluster.secret_gets
    bench.seconds += bench.world.settings.resync_s
    await bench.reconcile()
    assert bench.cluster.secret_gets == asked

    bench.feed(generation=4)
    await bench.reconcile()

    assert bench.cluster.secret_gets == asked + 1


async def test_a_secret_lost_under_a_connected_account_is_told_and_its_return_too(
    bench: Bench,
) -> None:
    await connected(bench)
    bench.due()
    there, bench.cluster.secrets = bench.cluster.secrets, {}
    bench.seconds += bench.world.settings.secret_reread_s
    await bench.context.secrets.reread()
    assert bench.due() == {KEY}

    again_s = await bench.reconcile()

    assert bench.cluster.told["Ready"]["status"] == "True"
    assert bench.cluster.told["CredentialsValid"]["reason"] == "SecretMissing"
    assert again_s == bench.world.settings.secret_recheck_s
    bench.cluster.secrets = there
    bench.seconds += again_s
    await bench.reconcile()
    assert bench.cluster.told["CredentialsValid"]["status"] == "True"


async def test_a_deleted_accounts_secret_is_read_no_more(bench: Bench) -> None:
    await connected(bench)
    asked = bench.cluster.secret_gets
    feed(bench.world, ACCOUNT, "DELETED", bench.cluster.account)
    await bench.reconcile()

    bench.seconds += bench.world.settings.secret_reread_s
    await bench.context.secrets.reread()

    assert bench.cluster.secret_gets == asked


def test_a_new_leaders_line_has_who_waits_whatever_another_account_left_under_its_names(
    bench: Bench,
) -> None:
    bench.feed()
    found = {**bench.cluster.account, "status": {"platform": "Linux", "trader": {"pod": "gone"}}}
    found["metadata"]["resourceVersion"] = "999"
    feed(bench.world, ACCOUNT, "MODIFIED", found)
    meta = {"namespace": "ns", "resourceVersion": "5"}
    its = {"uid": "s", "ownerReferences": [{"uid": "uid-demo", "controller": True}]}
    held = {"metadata": meta | its | {"name": "demo-a"}, "spec": {"replicas": 0}}
    feed(bench.world, STATEFUL_SET, "MODIFIED", held)
    labels = {names.ACCOUNT_LABEL: "demo", names.ACCOUNT_UID_LABEL: "uid-before"}
    created = {"creationTimestamp": "2026-01-01T00:00:00Z"}
    pod_meta = meta | created | {"uid": "p", "name": "demo-b-0", "labels": labels}
    others = {"metadata": pod_meta, "spec": {"nodeName": "n"}, "status": {"phase": "Running"}}
    feed(bench.world, POD, "MODIFIED", others)

    presume(bench.context)

    assert bench.context.admission.accounts(Platform.LINUX) == 1


async def test_a_resync_that_finds_nothing_to_do_lets_others_run(bench: Bench) -> None:
    # Not even one await of thousands of reconciles waits: the Lease must be renewed all the same.
    await connected(bench)
    bench.due()
    turns = 0
    keys = [KEY, *(Key("ns", f"gone-{number}") for number in range(100))]
    for key in keys:
        bench.world.queue.add(key)
    worker = asyncio.create_task(work(bench.context, Backoff(bench.world.settings)))

    while len(bench.world.queue):
        await asyncio.sleep(0)
        turns += 1

    worker.cancel()
    assert turns >= len(keys)


async def test_an_account_that_waits_for_a_node_is_due_when_one_comes(bench: Bench) -> None:
    bench.feed()
    assert await bench.reconcile() is None
    assert bench.cluster.told["Ready"]["reason"] == "NoCapacity"
    bench.due()
    meta = {"name": "n", "uid": "n", "labels": {"kubernetes.io/os": "linux"}}

    feed(bench.world, NODE, "ADDED", {"metadata": {**meta, "resourceVersion": "1"}, "spec": {}})
    assert bench.due() == {KEY}
    feed(bench.world, NODE, "MODIFIED", {"metadata": {**meta, "resourceVersion": "2"}, "spec": {}})
    assert bench.due() == set()


async def test_a_record_of_what_was_applied_that_is_no_record_is_passed_over(bench: Bench) -> None:
    record = {"kubectl.kubernetes.io/last-applied-configuration": "[" * 100_000}
    bench.feed(annotations=record)

    await bench.reconcile()

    assert "StatefulSet" in bench.cluster.applied


async def test_an_account_is_held_before_its_first_route_even_with_an_unknown_field(
    bench: Bench,
) -> None:
    record = {"kubectl.kubernetes.io/last-applied-configuration": UNKNOWN}
    bench.feed(annotations=record)

    await bench.reconcile()

    assert bench.cluster.applied[0] == "MT5Account"
    assert "StatefulSet" not in bench.cluster.applied
    route = bench.table.get("10001")
    assert route is not None
    assert (route.address, route.reason) == ("", "UnknownField")


@pytest.mark.parametrize("how", ["unreadable", "without its id", "deleted"])
@pytest.mark.parametrize("moves", [True, False])
async def test_an_account_that_cannot_move_holds_up_no_other(
    bench: Bench, how: str, *, moves: bool
) -> None:
    settings = Settings(move_gather_s=0 if moves else 2, move_pause_s=0, move_max=1)
    fleet = Fleet(settings, now_s=lambda: bench.seconds, due=bench.world.queue.add)
    bench.context = replace(bench.context, fleet=fleet)
    await connected(bench)
    bench.sidecars.seen = replace(UP, orders=OrdersSeen(1, active=True))
    change = {"resources": {"requests": {"cpu": "2"}}}
    bench.feed(spec=change)
    await bench.reconcile()
    assert not fleet.ask(Key("other", "x"), vip=False, reason="T", serves=True).granted

    if how == "unreadable":
        bench.feed(spec=change | INVALID)
    elif how == "deleted":  # and kept, by somebody else's finalizer
        bench.context.reasons.clear()
        bench.feed(spec=change, deletionTimestamp="now", finalizers=["somebody.else/own"])
    else:
        rival = manifest("rival")
        rival["metadata"] |= {"namespace": "other", "finalizers": [names.FINALIZER]}
        rival["metadata"] |= {"creationTimestamp": "2020-01-01T00:00:00Z"}
        feed(bench.world, ACCOUNT, "ADDED", rival)
        bench.world.index.give_up(KEY)
        bench.feed(spec=change)
    await bench.reconcile()
    bench.seconds += 10

    assert fleet.ask(Key("other", "x"), vip=False, reason="T", serves=True).granted
    if how == "deleted":
        assert KEY in bench.context.reasons, "else a new leader waits for it before it counts"
    else:
        assert bench.cluster.told["Ready"]["reason"] in ("InvalidSpec", "AccountIdConflict")


# Updates that pause.


@pytest.mark.parametrize(
    ("ready", "after_s", "pauses"), [(True, 10, False), (False, 10, True), (False, 301, False)]
)
async def test_who_is_lost_soon_after_its_move_pauses_the_updates_of_others(
    bench: Bench, *, ready: bool, after_s: float, pauses: bool
) -> None:
    await connected(bench)
    moment = bench.world.now()
    bench.world = replace(bench.world, now=lambda: moment)
    bench.context = replace(bench.context, world=bench.world)
    done = (moment - timedelta(seconds=after_s)).strftime("%Y-%m-%dT%H:%M:%SZ")
    last = {"goal": "g", "outcome": "Done", "at": done}
    bench.cluster.account["status"] |= {"lastMove": last}
    bench.feed()
    bench.pod(ready=ready)

    await bench.reconcile()
    await bench.reconcile()

    told = bench.context.fleet.ask(Key("ns", "x"), vip=False, reason="T", serves=True)
    assert told.granted is not pauses
    assert bench.events.told.count("LostAfterMove") == pauses


# A namespace that has its number of accounts.


def older(bench: Bench) -> None:
    """Let there be an older account in the namespace, and a quota of one."""
    settings = Settings(route_flush_s=0, move_gather_s=0, move_pause_s=0, accounts_per_namespace=1)
    bench.world = replace(bench.world, settings=settings)
    bench.context = replace(bench.context, world=bench.world)
    first = manifest("first", login=1)
    first["metadata"]["creationTimestamp"] = "2020-01-01T00:00:00Z"
    feed(bench.world, ACCOUNT, "ADDED", first)


@pytest.mark.parametrize("pod", [True, False])
async def test_a_stateful_set_of_somebodys_making_is_no_way_round_a_quota(
    bench: Bench, *, pod: bool
) -> None:
    older(bench)
    slot_set(bench, "a", replicas=0)
    if pod:
        bench.pod()
    bench.feed()

    await bench.reconcile()
    await bench.reconcile()

    assert bench.cluster.told["Ready"]["reason"] == "QuotaExceeded"
    assert "StatefulSet" not in bench.cluster.applied
    assert bench.table.get("10001") is None, "nor is the id its"
    assert "trader" not in bench.cluster.account["status"]


async def test_a_quota_that_is_lowered_ends_nobody_who_trades(bench: Bench) -> None:
    await connected(bench)
    older(bench)
    bench.feed()

    await bench.reconcile()

    assert bench.cluster.told["Ready"]["reason"] == "Connected"


# A field that is misspelt while the account moves.


def slot_set(bench: Bench, slot: str, *, replicas: int = 1) -> None:
    """Let the watch tell of a slot's StatefulSet."""
    bench.cluster.version += 1
    meta: dict[str, Any] = {"name": f"demo-{slot}", "namespace": "ns", "uid": slot}
    meta |= {"resourceVersion": str(bench.cluster.version)}
    meta["ownerReferences"] = [{"uid": "uid-demo", "controller": True}]
    labels = {"labels": {names.ACCOUNT_LABEL: "demo"}}
    template = {"metadata": {}, "spec": {"os": {"name": "linux"}}}
    spec = {"replicas": replicas, "template": template}
    feed(bench.world, STATEFUL_SET, "MODIFIED", {"metadata": meta | labels, "spec": spec})


async def amid_a_move(bench: Bench, **move: str) -> None:
    """Let an account that trades in slot a be amid a move, and its spec be misspelt."""
    await connected(bench)
    bench.sidecars.seen = replace(UP, orders=OrdersSeen(2, active=True))
    moment = "2026-01-01T00:00:00Z"
    words = {"goal": "g", "template": "t", "reason": "TemplateChanged"}
    move = words | {"since": moment, "started": moment} | move
    trader = {"slot": "a", "epoch": 2, "pod": "p", "node": "n"}
    bench.cluster.account["status"] |= {"trader": trader, "move": move}
    slot_set(bench, "b")
    bench.feed(annotations=MISSPELT)


async def test_a_misspelt_field_keeps_no_drained_slot(bench: Bench) -> None:
    await amid_a_move(bench, to="a", phase="Draining")

    await bench.reconcile()
    slot_set(bench, "b", replicas=0)
    await bench.reconcile()

    assert bench.cluster.scaled == {"demo-b": 0}
    assert bench.cluster.deleted == ["demo-b"]
    assert bench.cluster.told["Ready"]["reason"] == "UnknownField"


async def test_a_move_to_what_is_misspelt_by_now_is_called_off_and_gives_its_place_back(
    bench: Bench,
) -> None:
    await amid_a_move(bench, to="b", phase="Starting")
    bench.context.fleet.recall([bench.cluster.account])

    await bench.reconcile()

    assert "move" not in bench.cluster.account["status"]
    assert bench.cluster.scaled == {"demo-b": 0}
    assert not bench.context.fleet.moving


@pytest.mark.parametrize(("changed", "goes"), [(False, True), (True, False)])
async def test_a_misspelt_field_lets_an_account_leave_its_node_as_it_is(
    bench: Bench, *, changed: bool, goes: bool
) -> None:
    await connected(bench)
    bench.sidecars.seen = replace(UP, orders=OrdersSeen(1, active=True))
    meta = {"name": "n", "uid": "n", "resourceVersion": "1"}
    node = {"metadata": meta, "spec": {"unschedulable": True}}
    feed(bench.world, NODE, "ADDED", node)
    spec = {"resources": {"requests": {"cpu": "2"}}} if changed else {}
    bench.feed(spec=spec, annotations=MISSPELT)
    bench.cluster.applied.clear()

    await bench.reconcile()

    assert ("demo-b" in bench.replicas()) is goes
    assert ("move" in bench.cluster.account["status"]) is goes
    assert "ConfigMap" not in bench.cluster.applied


async def test_who_waits_for_a_corrected_spec_takes_nobodys_turn(bench: Bench) -> None:
    bench.feed(annotations=MISSPELT)

    await bench.reconcile()

    assert bench.context.admission.accounts(Platform.LINUX) == 0


INVALID = {"server": "x" * 64}  # as an operator that is older than its CRD sees a spec


async def test_an_account_with_an_invalid_spec_is_held_and_its_route_says_why(
    bench: Bench,
) -> None:
    bench.feed(spec=INVALID)

    assert await bench.reconcile() is None

    assert bench.cluster.applied == ["MT5Account", "MT5Account/status"]
    route = bench.table.get("10001")
    assert route is not None
    assert (route.address, route.reason) == ("", "InvalidSpec")
    assert route.message == "", "routers tell it to anybody"
    assert bench.cluster.told["Ready"]["reason"] == "InvalidSpec"
    bench.feed()
    bench.pod()
    await bench.reconcile()
    route = bench.table.get("10001")
    assert route is not None
    assert route.address == "10.0.0.1:8080"


async def test_an_invalid_account_that_is_one_too_many_takes_no_id(bench: Bench) -> None:
    limited = bench.world.settings.model_copy(update={"accounts_per_namespace": 1})
    bench.world = replace(bench.world, settings=limited)
    bench.context = replace(bench.context, world=bench.world)
    older = manifest("older", accountId="x")
    older["metadata"] |= {"creationTimestamp": "2025-01-01T00:00:00Z"}
    feed(bench.world, ACCOUNT, "ADDED", older)
    bench.feed(spec=INVALID)

    await bench.reconcile()

    assert bench.cluster.applied == ["MT5Account/status"]
    assert bench.table.get("10001") is None
    assert bench.cluster.told["Ready"]["reason"] == "InvalidSpec"
    rival = manifest("rival")
    rival["metadata"] |= {"namespace": "other", "creationTimestamp": "2026-12-01T00:00:00Z"}
    feed(bench.world, ACCOUNT, "ADDED", rival)
    holder = bench.world.index.holder("10001")
    assert holder is not None
    assert holder.key == Key("other", "rival")


async def test_the_route_of_an_account_that_became_invalid_follows_its_pod(bench: Bench) -> None:
    await connected(bench)
    bench.feed(spec=INVALID, generation=4)

    await bench.reconcile()
    kept = bench.table.get("10001")
    bench.pod(ready=False)
    await bench.reconcile()
    unready = bench.table.get("10001")
    bench.pod(ip="10.0.0.9")
    await bench.reconcile()
    moved = bench.table.get("10001")

    assert kept
    assert unready
    assert moved
    assert (kept.address, unready.address, moved.address) == (
        "10.0.0.1:8080",
        "",
        "10.0.0.9:8080",
    )
    told = {name: (c["status"], c["reason"]) for name, c in bench.cluster.told.items()}
    assert told["Ready"] == ("False", "InvalidSpec")
    assert told["Connected"] == ("True", "Connected")
    assert told["RouteReady"] == ("True", "RoutePublished")


@pytest.mark.parametrize(
    "says",
    [
        SidecarSeen(error="Cannot connect to host 10.244.3.7:8081"),
        SidecarSeen("Refused", "BadCredentials", "Invalid account", "Invalid"),
        SidecarSeen("Disconnected", "MoonPhase", "words of somebody"),
    ],
    ids=["an address", "a Secret", "anything"],
)
async def test_what_routers_tell_to_anybody_is_the_reason_and_no_names(
    bench: Bench, says: SidecarSeen
) -> None:
    bench.sidecars.seen = says
    bench.feed()
    bench.pod(ready=False)

    await bench.reconcile()

    route = bench.table.get("10001")
    assert route is not None
    assert (route.address, route.message) == ("", "")
    assert route.reason == bench.cluster.told["Ready"]["reason"]
    assert bench.cluster.told["Ready"]["message"]


async def test_what_routers_tell_of_waiting_is_in_our_own_words(bench: Bench) -> None:
    bench.feed()
    bench.unscheduled("demo-a-0", "x", refused=True)

    await bench.reconcile()

    route = bench.table.get("10001")
    assert route is not None
    assert "scheduler: 0/1 nodes" in bench.cluster.told["Ready"]["message"]
    assert "add one" in route.message
    assert "scheduler" not in route.message


def test_routers_tell_nobody_what_was_not_begun() -> None:
    untaken = NoPod("demo-a", taken_up=False, refused=False)
    seen = Seen(generation=1, account_id="1", podless=untaken)

    assert "demo-a" in link(seen).message
    assert route_for(seen).message == "Kubernetes has not begun with the pod, and tells nobody why"


def test_routers_tell_nobody_what_our_objects_are_called() -> None:
    starts = PodSeen("u", "demo-a-0", node="n")
    route = route_for(Seen(1, platform=Platform.LINUX, pod=starts, overdue=True))

    assert (route.reason, route.message) == ("PodStarting", "the pod is starting for long")
    drained = PodSeen("u", "demo-a-0", ending=True, ended_by="EvictionByEvictionAPI: of node n7")
    assert route_for(Seen(1, pod=drained)).message == "the pod is being replaced"


async def test_an_id_that_no_client_could_ask_for_gets_no_route(bench: Bench) -> None:
    bench.feed(spec={"accountId": "../10002"})

    await bench.reconcile()

    assert bench.table.get("../10002") is None
    assert bench.cluster.told["Ready"]["reason"] == "InvalidSpec"


async def test_an_invalid_account_leaves_the_route_to_who_has_the_id(bench: Bench) -> None:
    await connected(bench)
    other = manifest("a-later", **INVALID)
    other["metadata"]["resourceVersion"] = "1000"
    feed(bench.world, ACCOUNT, "ADDED", other)

    await bench.reconcile(Key("ns", "a-later"))

    route = bench.table.get("10001")
    assert route is not None
    assert route.address == "10.0.0.1:8080"


async def test_routes_that_nobody_claims_go_when_an_account_is_forgotten(bench: Bench) -> None:
    await connected(bench)
    await bench.table.flush()

    feed(bench.world, ACCOUNT, "DELETED", manifest())  # its finalizer was taken away by hand
    await bench.reconcile()

    assert bench.table.get("10001") is None
    assert bench.cluster.routes() == {}


async def test_of_a_deletion_only_its_own_route_is_looked_at(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await connected(bench)

    def compared(_: Table) -> set[str]:
        raise AssertionError("the whole table")

    monkeypatch.setattr(Table, "nobodys", compared)

    feed(bench.world, ACCOUNT, "DELETED", manifest())
    await bench.reconcile()

    assert bench.table.get("10001") is None


def test_the_winner_of_an_id_gets_its_keys_when_the_other_goes(bench: Bench) -> None:
    older, younger = manifest("older"), manifest("younger")
    younger["metadata"] |= {"namespace": "other", "creationTimestamp": "2026-11-21T11:00:00Z"}
    feed(bench.world, ACCOUNT, "ADDED", older)
    feed(bench.world, ACCOUNT, "ADDED", younger)
    bench.due()

    feed(bench.world, ACCOUNT, "DELETED", older)

    assert {Key("other", ""), Key("other", "younger")} <= bench.due()


def test_the_loser_of_an_id_loses_its_keys_at_once(bench: Bench) -> None:
    older, younger = manifest("older"), manifest("younger")
    younger["metadata"] |= {"namespace": "other", "creationTimestamp": "2026-11-21T11:00:00Z"}
    feed(bench.world, ACCOUNT, "ADDED", younger)
    bench.due()

    feed(bench.world, ACCOUNT, "ADDED", older)

    assert Key("other", "") in bench.due()


def test_the_other_keys_of_a_secret_are_not_named() -> None:
    secret = {"metadata": {"resourceVersion": "1"}, "data": {"root-token": "eA=="}}

    seen = secret_seen(secret, SecretKey(name="s", key="password"))

    assert "root-token" not in seen.problem
    assert "has no key 'password'" in seen.problem


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"", "is empty"),
        (b"\n", "the end of a line"),
        (b"\r\n", "the end of a line"),
        ("secret".encode("utf-16"), "is not UTF-8"),
        (b"secret\n", ""),
        ("gehe\u00efm".encode(), ""),
    ],
)
def test_a_secret_that_sidecars_take_no_password_from_says_why(value: bytes, words: str) -> None:
    data = {"password": base64.b64encode(value).decode()}
    secret = {"metadata": {"resourceVersion": "1"}, "data": data}

    seen = secret_seen(secret, SecretKey(name="s", key="password"))

    assert (words in seen.problem) if words else not seen.problem
    # The operator calls unusable what a sidecar does, and nothing else.
    assert bool(seen.problem) == (parse_password(value) is None)


def refuse_linux(bench: Bench) -> None:
    """Let the watches tell of a broker that needs Windows, and of a Windows node."""
    meta = {"name": "simulator-demo", "uid": "b", "creationTimestamp": "2026-11-21T10:00:00Z"}
    feed(
        bench.world,
        BROKER,
        "ADDED",
        {
            "metadata": meta | {"resourceVersion": "1"},
            "spec": {"servers": ["Simulator-Demo"]},
            "status": {"verdict": "RequiresWindows"},
        },
    )
    labels = {"kubernetes.io/os": "windows"}
    node = {"name": "w", "uid": "w", "resourceVersion": "1", "labels": labels}
    feed(bench.world, NODE, "ADDED", {"metadata": node, "spec": {}})


def evidence(**told: Any) -> SidecarSeen:
    seen = Evidence(platform="Linux", fresh_starts=1, **told)
    trades = OrdersSeen(1, active=True)
    return SidecarSeen(
        "Disconnected", "PlatformRejected", "out", "Valid", orders=trades, evidence=seen
    )


async def wanted_platform(bench: Bench) -> str:
    bench.feed(generation=4)
    await bench.reconcile()
    sets = bench.world.caches[STATEFUL_SET]
    found = sets.get(Key("ns", "demo-b")) or sets.get(Key("ns", "demo-a"))
    assert found is not None
    return str(found["spec"]["template"]["spec"]["os"]["name"])


async def test_a_verdict_moves_who_is_thrown_out(bench: Bench) -> None:
    await connected(bench)
    bench.sidecars.seen = evidence()
    bench.pod(ready=False)
    refuse_linux(bench)
    assert KEY in bench.due()

    assert await wanted_platform(bench) == "windows"


@pytest.mark.parametrize(
    ("move", "uid", "may"),
    [
        (None, "trades", True),
        ({"phase": "Starting"}, "trades", False),
        ({"phase": "Starting"}, "comes-up", True),
        ({"phase": "HandingOver"}, "comes-up", False),
        ({"phase": "Draining"}, "trades", False),
    ],
)
def test_amid_a_move_only_the_pod_that_comes_up_is_started_afresh(
    bench: Bench, move: dict[str, Any] | None, uid: str, *, may: bool
) -> None:
    bench.feed()
    manifest = bench.world.caches[ACCOUNT].get(KEY) or {}
    status = {"trader": {"pod": "trades"}} | ({"move": move} if move else {})

    found = may_be_disturbed(manifest | {"status": status}, {"metadata": {"uid": uid}})

    assert found is may


@pytest.mark.parametrize("told", ["by its sidecar", "by an earlier pod", "not yet", "by nobody"])
async def test_a_verdict_moves_nobody_who_was_well_or_is_not_heard_yet(
    bench: Bench, told: str
) -> None:
    await connected(bench)
    now = bench.world.now()
    bench.sidecars.seen = {
        "by its sidecar": evidence(last_healthy=now),
        "by an earlier pod": evidence(),
        "not yet": None,
        "by nobody": SidecarSeen(error="silence"),
    }[told]
    if told == "by an earlier pod":
        seen = Evidence(platform="Linux", last_healthy=now)
        bench.context.book.note(Sample(KEY, "before", now, seen), bench.world.settings)
    bench.pod(ready=told == "by nobody")
    refuse_linux(bench)

    assert await wanted_platform(bench) == "linux"


async def test_the_same_event_is_told_once_in_a_while_and_what_is_over_is_forgotten() -> None:
    class Api:
        def __init__(self) -> None:
            self.notes: list[str] = []

        async def create(self, _: Kind, body: dict[str, Any]) -> None:
            self.notes.append(body["note"])

    seconds, server = [0.0], Api()
    api: Any = server
    events = cluster_events.Events(api, Settings(event_quiet_s=10), clock=lambda: seconds[0])
    about = {"apiVersion": "v1", "kind": "X", "metadata": {"name": "x", "uid": "u"}}
    told = events._told
    for at, note in [(0, "a"), (5, "b"), (9, "a"), (10, "a"), (14, "b"), (15, "b"), (19, "a")]:
        seconds[0] = at
        await events.tell(about, "R", note, warning=False, now="t")

    assert server.notes == ["a", "b", "a", "b"]
    assert len(events._told) == 2
    assert events._told is told, "made anew for each Event, a start of thousands is quadratic"


def test_events_of_what_has_no_namespace_are_kept_in_default() -> None:
    meta = {"name": "b", "uid": "u"}
    broker = {"apiVersion": "v1", "kind": "MT5Broker", "metadata": meta}

    found = event(broker, "R", "n", warning=False, now="t", instance="i")

    assert found["metadata"]["namespace"] == "default"
    assert "namespace" not in found["regarding"]


def test_an_event_whose_note_is_in_no_latin_letters_is_not_longer_than_the_api_server_takes() -> (
    None
):
    about = {"apiVersion": "v1", "kind": "MT5Account", "metadata": {"name": "a", "uid": "u"}}

    note = event(about, "R", "нет связи " * 200, warning=True, now="t", instance="i")["note"]

    assert 1000 < len(note.encode()) <= 1024
    assert note.startswith("нет связи нет")


# The line of accounts that wait for a node, with two slots.


@pytest.mark.parametrize("refused", [True, False])
async def test_a_slot_that_waits_for_a_node_puts_no_account_that_runs_into_the_line(
    bench: Bench, *, refused: bool
) -> None:
    await connected(bench)
    bench.feed(spec={"resources": {"requests": {"cpu": "2"}}}, generation=4)
    await bench.reconcile()
    assert bench.cluster.account["status"]["move"]["to"] == "b"
    short = waiting(parsed(), Platform.LINUX, "0/1 nodes are available")
    bench.context.admission.wait(replace(short, key=Key("ns", "another")))
    template = bench.cluster.account["status"]["move"]["template"]
    bench.unscheduled("demo-b-0", template, refused=refused)

    await bench.reconcile()

    status = bench.cluster.account["status"]
    assert bench.cluster.told["Ready"]["reason"] == "Connected"
    assert (status["slot"], status["move"]["to"]) == ("a", "b")
    assert bench.replicas() == {"demo-a": 1, "demo-b": 1}
    assert bench.context.admission.accounts(Platform.LINUX) == 2
    why = ": NoCapacity: scheduler: 0/1 nodes" if refused else ""
    told = bench.cluster.told["Updating"]["message"]
    assert told == f"TemplateChanged: to slot b, Starting: the new slot comes up{why}"

    status["move"]["started"] = "2020-01-01T00:00:00Z"
    bench.feed(spec={"resources": {"requests": {"cpu": "2"}}}, generation=4)
    await bench.reconcile()

    last = bench.cluster.account["status"]["lastMove"]
    assert (last["outcome"], last.get("unplaced", False)) == ("Failed", refused)
    assert bench.context.fleet.pauses()[0] == 1
    # With another namespace's failure, it is everybody's unless no node took the pod.
    assert bench.context.fleet.lost(Key("other", "x"), "2026-01-01T00:00:00Z")
    assert bench.context.fleet.pauses() == (2, not refused)


async def test_who_waits_behind_others_has_no_pod_and_gets_it_in_its_turn(bench: Bench) -> None:
    short = waiting(parsed(), Platform.LINUX, "0/1 nodes are available")
    first = Key("ns", "another")
    bench.context.admission.wait(replace(short, key=first, created="2025-01-01T00:00:00Z"))
    bench.feed()
    await bench.reconcile()
    assert bench.cluster.told["Ready"]["reason"] == "NoCapacity"
    assert bench.replicas() == {"demo-a": 0}

    bench.context.admission.leave(first, Platform.LINUX)
    bench.context.admission.decide(window=1)
    await bench.reconcile()

    assert bench.replicas() == {"demo-a": 1}


@pytest.mark.parametrize("disruption", ["Always", "OnUpgrade", "Never"])
async def test_who_never_ran_and_waits_in_line_goes_where_its_broker_is_served(
    bench: Bench, disruption: str
) -> None:
    # Nothing of it runs, so there is nothing that must not be disturbed.
    short = waiting(parsed(), Platform.LINUX, "0/1 nodes are available")
    first = Key("ns", "another")
    bench.context.admission.wait(replace(short, key=first, created="2025-01-01T00:00:00Z"))
    bench.feed(spec={"disruption": disruption})
    await bench.reconcile()
    assert bench.replicas() == {"demo-a": 0}

    refuse_linux(bench)
    await bench.reconcile()

    found = bench.world.caches[STATEFUL_SET].get(Key("ns", "demo-a"))
    assert found is not None
    assert found["spec"]["template"]["spec"]["os"]["name"] == "windows"
    assert bench.replicas() == {"demo-a": 1}  # nobody is before it there


def looked_at(bench: Bench, slot: str = "a") -> None:
    """Let the StatefulSet's controller have looked at it; it makes no pod."""
    found = bench.world.caches[STATEFUL_SET].get(Key("ns", f"demo-{slot}"))
    assert found is not None
    bench.cluster.version += 1
    meta = found["metadata"] | {"generation": 1, "resourceVersion": str(bench.cluster.version)}
    status = {"observedGeneration": 1, "replicas": 0}
    feed(bench.world, STATEFUL_SET, "MODIFIED", {**found, "metadata": meta, "status": status})


async def test_a_journal_that_cannot_be_used_is_told_once_and_the_account_is_served(
    bench: Bench,
) -> None:
    await connected(bench)
    well = bench.sidecars.seen
    assert well is not None
    broken = replace(well, journal="journal-failed: disk is full", orders=None)

    for seen in (broken, broken, well, broken):
        bench.sidecars.seen = seen
        bench.feed()
        await bench.reconcile()

    told = bench.cluster.told
    assert (told["Ready"]["status"], told["JournalFault"]["status"]) == ("True", "True")
    assert "journal-failed: disk is full" in told["JournalFault"]["message"]
    assert bench.events.told == ["Connected", "JournalFault", "JournalFault"]
    # An update has to wait for it, and says so.
    bench.feed(spec={"resources": MORE}, generation=4)
    await bench.reconcile()
    assert "JournalFault" in bench.cluster.told["Updating"]["message"]


async def test_a_move_to_a_slot_whose_journal_cannot_be_used_says_so(bench: Bench) -> None:
    await connected(bench)
    well = bench.sidecars.seen
    assert well is not None
    bench.sidecars.of["demo-a-0"] = well
    bench.feed(spec={"resources": MORE}, generation=4)
    await bench.reconcile()
    bench.sidecars.seen = replace(well, journal="journal-unreadable: cut off", orders=None)
    bench.pod(slot="b", uid="q")

    await bench.reconcile()

    told = bench.cluster.told["Updating"]["message"]
    assert "JournalFault: trades are refused, and reads go on: journal-unreadable: cut off" in told
    assert "JournalFault" not in bench.cluster.told, "the slot that trades is well"


def ended(moment: datetime) -> dict[str, Any]:
    """Return the state of a container that ended then, ten seconds after it began."""
    times = {"startedAt": moment - timedelta(seconds=10), "finishedAt": moment}
    told = {name: seconds_text(at) for name, at in times.items()}
    return {"terminated": {"reason": "Error", "exitCode": 1} | told}


async def test_a_pod_that_crashes_again_and_again_says_so_all_the_while(bench: Bench) -> None:
    runs, end = {"running": {}}, ended(bench.world.now())
    waits = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 20s"}}
    bench.sidecars.seen = SidecarSeen("AgentMissing", "AgentMissing")
    bench.feed()
    told = []

    for restarts, state in enumerate([runs, end, waits, runs, end, waits, runs]):
        terminal = {"state": state, "lastState": end, "restartCount": restarts}
        bench.pod(ready=False, terminal=terminal)
        assert await bench.reconcile() is not None
        told.append(bench.cluster.told["Ready"])

    assert [each["reason"] for each in told] == ["AgentMissing"] + ["PodCrashing"] * 6
    assert "kubectl logs demo-a-0 -c terminal --previous" in told[-1]["message"]
    assert len({each["message"] for each in told[1:]}) == 1, "nothing to write, nothing to tell"
    assert bench.events.told == ["AgentMissing", "PodCrashing"]

    # It has run for long, or serves: it crashes no more.
    long_ago = ended(bench.world.now() - timedelta(seconds=FORGOTTEN_S + 1))
    bench.pod(ready=False, terminal={"state": runs, "lastState": long_ago, "restartCount": 5})
    await bench.reconcile()
    assert bench.cluster.told["Ready"]["reason"] == "AgentMissing"
    bench.sidecars.seen = UP
    bench.pod(terminal={"state": runs, "lastState": end, "restartCount": 5})
    await bench.reconcile()
    assert bench.cluster.told["Ready"]["reason"] == "Connected"


async def test_a_pod_that_a_quota_refuses_is_told_and_stands_in_no_line(bench: Bench) -> None:
    now = [0.0]
    bench.context = replace(bench.context, podless=Podless(lambda: now[0]))
    labels = {"kubernetes.io/os": "linux"}
    meta = {"name": "n", "uid": "n", "labels": labels, "resourceVersion": "1"}
    feed(bench.world, NODE, "ADDED", {"metadata": meta, "spec": {}, "status": {}})
    bench.feed()
    await bench.reconcile()
    looked_at(bench)
    await bench.reconcile()
    assert bench.cluster.told["Ready"]["reason"] == "PodStarting"
    short = waiting(parsed(), Platform.LINUX, "0/1 nodes are available")
    room = bench.context.admission
    room.wait(replace(short, key=Key("other", "x"), created="2027-01-01T00:00:00Z"))
    room.decide(1)

    now[0] = bench.world.settings.stuck_pod_s
    again_s = await bench.reconcile()

    assert again_s is None, "a pod, or its StatefulSet's next change, makes it due"
    told = bench.cluster.told["Ready"]
    assert told["reason"] == bench.cluster.told["Stalled"]["reason"] == "WorkloadRefused"
    assert "kubectl describe statefulset demo-a" in told["message"]
    room.decide(1)
    assert room.wait(replace(short, key=Key("other", "x"))) == Place(1)

    bench.pod()
    await bench.reconcile()
    assert bench.cluster.told["Ready"]["reason"] == "Connected"


async def test_a_move_whose_pod_a_quota_refuses_says_so_and_is_the_accounts_own(
    bench: Bench,
) -> None:
    now = [0.0]
    bench.context = replace(bench.context, podless=Podless(lambda: now[0]))
    await connected(bench)
    change = {"resources": {"requests": {"cpu": "2"}}}
    bench.feed(spec=change, generation=4)
    await bench.reconcile()
    looked_at(bench, "b")
    await bench.reconcile()

    now[0] = bench.world.settings.stuck_pod_s
    await bench.reconcile()

    assert "kubectl describe statefulset demo-b" in bench.cluster.told["Updating"]["message"]
    assert bench.cluster.told["Ready"]["reason"] == "Connected"
    status = bench.cluster.account["status"]
    status["move"]["started"] = "2020-01-01T00:00:00Z"
    bench.feed(spec=change, generation=4)
    await bench.reconcile()
    assert bench.cluster.account["status"]["lastMove"]["unplaced"]


async def test_who_has_no_pod_is_looked_at_when_that_lasts_too_long(bench: Bench) -> None:
    bench.feed()
    await bench.reconcile()
    looked_at(bench)

    again_s = await bench.reconcile()

    assert again_s == pytest.approx(bench.world.settings.stuck_pod_s, abs=1)


async def test_who_is_deleted_and_kept_by_somebody_takes_nobodys_turn(bench: Bench) -> None:
    bench.feed()
    bench.unscheduled("demo-a-0", "x", refused=True)
    await bench.reconcile()
    room = bench.context.admission
    room.decide(1)
    assert room.short(Platform.LINUX, "ns")

    bench.feed(deletionTimestamp="now", finalizers=["somebody.else/own"])
    await bench.reconcile()
    room.decide(1)

    assert not room.short(Platform.LINUX, "ns")


async def test_who_ran_and_lost_its_place_comes_back_with_what_is_wanted_by_then(
    bench: Bench,
) -> None:
    await connected(bench)
    assert bench.cluster.account["status"]["trader"]["slot"] == "a"
    meta = {"name": "demo-a-0", "namespace": "ns", "uid": "p"}
    feed(bench.world, POD, "DELETED", {"metadata": meta})
    short = waiting(parsed(), Platform.LINUX, "0/1 nodes are available")
    first = Key("ns", "another")
    bench.context.admission.wait(replace(short, key=first, created="2025-01-01T00:00:00Z"))
    await bench.reconcile()
    assert bench.replicas() == {"demo-a": 0}

    bench.feed(spec={"resources": {"requests": {"cpu": "2"}}}, generation=4)
    await bench.reconcile()

    found = bench.world.caches[STATEFUL_SET].get(Key("ns", "demo-a"))
    assert found is not None
    pod = found["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"]["requests"]["cpu"] == "2"
    assert bench.replicas() == {"demo-a": 0}


@pytest.mark.parametrize(("template", "goes"), [("the same", False), ("another", True)])
async def test_a_pod_whose_broker_is_away_is_not_replaced_for_another_revision_alone(
    bench: Bench, template: str, *, goes: bool
) -> None:
    # An upgrade of the operator changes what it writes, and with it every revision.
    await connected(bench)
    account = parsed()
    found = bench.world.caches[STATEFUL_SET].get(Key("ns", "demo-a"))
    assert found
    found["metadata"]["resourceVersion"] = "1000"
    found["status"] = {"updateRevision": "newer"}
    feed(bench.world, STATEFUL_SET, "MODIFIED", found)
    made = found["spec"]["template"]["metadata"]["annotations"][names.TEMPLATE]
    away = PodSeen(
        "p",
        node="n",
        revision="older",
        template=made if template == "the same" else "x",
        not_ready_since="2026-01-01T00:00:00Z",
    )

    assert refresh.stuck(bench.context, account, away, None, "a") is goes
    assert not refresh.stuck(bench.context, account, away, OUTAGE, "a"), "its sidecar answers"


async def silent(bench: Bench, *, node_lost: bool) -> bool:
    """Let a pod of an older template fall silent; tell whether it is to be replaced in place."""
    bench.sidecars.seen = replace(UP, orders=OrdersSeen(1, active=True))
    await connected(bench)
    assert bench.cluster.account["status"]["trader"]["pod"] == "p"
    taints = [{"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}]
    meta = {"name": "n", "uid": "n", "resourceVersion": "1"}
    node = {"metadata": meta, "spec": {"taints": taints if node_lost else []}}
    feed(bench.world, NODE, "ADDED", node)
    bench.pod(ready=False)
    bench.sidecars.seen = SidecarSeen(error="no answer")
    bench.feed(spec={"brokerCompatibility": "Linux", "resources": MORE}, generation=4)
    await bench.reconcile()
    found = bench.world.caches[STATEFUL_SET].get(Key("ns", "demo-a"))
    assert found is not None
    terminal = found["spec"]["template"]["spec"]["containers"][0]
    return bool(terminal["resources"]["requests"]["cpu"] == "2")


@pytest.mark.parametrize("node_lost", [True, False])
async def test_a_pod_of_a_node_that_nobody_hears_gets_no_newer_template_in_place(
    bench: Bench, *, node_lost: bool
) -> None:
    # It may run, and trade: once the node is heard again, it must not have been told to end.
    assert await silent(bench, node_lost=node_lost) is not node_lost


async def test_a_budget_of_healing_outlives_every_write_of_a_move(bench: Bench) -> None:
    await connected(bench)
    spent = {"taken": 0, "generation": 0, "profile": 1, "avoid": ["n9"]}
    bench.cluster.account["status"]["healing"] = spent
    bench.feed(spec={"resources": {"requests": {"cpu": "2"}}}, generation=4)

    await bench.reconcile()

    status = bench.cluster.account["status"]
    assert status["move"]["to"] == "b"
    assert {"profile": 1, "avoid": ["n9"]}.items() <= status["healing"].items()
