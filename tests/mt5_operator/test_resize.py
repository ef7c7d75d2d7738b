# SPDX-License-Identifier: Apache-2.0
"""Other resources for a pod that runs: in place where that works, and a move where it does not."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from mt5_operator import names
from mt5_operator.cluster.kinds import POD, STATEFUL_SET, Kind
from mt5_operator.desired.stateful_set import pod_spec
from mt5_operator.desired.template import shape_id, template_id
from mt5_operator.errors import NotFound, Refused
from mt5_operator.names import Key
from mt5_operator.reconcile.context.resizes import Resizes
from mt5_operator.reconcile.feed import feed
from mt5_operator.settings import Settings
from mt5_operator.spec.account import Platform
from mt5_operator.spec.parse import account
from mt5_operator.status.seen import OrdersSeen, SidecarSeen
from operator_samples import manifest, parsed

from .test_reconcile import KEY, Bench

MORE = {"resources": {"requests": {"cpu": "2"}}}
AWAY = SidecarSeen("Disconnected", "BrokerUnreachable", "away", orders=OrdersSeen(1, active=True))


class Kubelet(Bench):
    """A pod whose resources the API server changes, and a kubelet that follows when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[dict[str, Any]] = []
        self.refusal: Exception | None = None
        self.there: dict[str, Any] = {}
        api: Any = self.cluster
        api.resize, api.merge = self._resize, self._merge
        self.context.resizes.clock = lambda: self.seconds

    async def running(self) -> None:
        """Let an account be connected, and its pod say what it has."""
        self.feed()
        self.pod()
        found = self.world.caches[POD].get(Key("ns", "demo-a-0"))
        assert found
        spec = pod_spec(parsed(), Platform.LINUX, "a", self.world.settings)
        shape = shape_id(parsed(), Platform.LINUX, self.world.settings)
        found["metadata"]["annotations"][names.SHAPE] = shape
        found["spec"] |= {group: spec[group] for group in ("initContainers", "containers")}
        self.there = copy.deepcopy(found)
        self.follow()
        await self.reconcile()
        assert self.cluster.told["Ready"]["reason"] == "Connected"
        await self.table.flush()

    def follow(self, *conditions: dict[str, Any]) -> None:
        """Let the kubelet do what the spec says, or say why it does not."""
        status = self.there["status"]
        if not conditions:
            for group, told in (
                ("initContainers", "initContainerStatuses"),
                ("containers", "containerStatuses"),
            ):
                status[told] = [
                    {"name": each["name"], "started": True, "resources": each["resources"]}
                    for each in self.there["spec"][group]
                ]
        kept = [c for c in status["conditions"] if not c["type"].startswith("PodResize")]
        status["conditions"] = [*kept, *conditions]
        self._told()

    def wants(self, **spec: Any) -> None:
        """Let the account ask for something else."""
        self.feed(spec=spec, generation=4)

    @property
    def status(self) -> dict[str, Any]:
        """Return the account's status."""
        return dict(self.cluster.account["status"])

    def template(self) -> str:
        """Return what the pod says that it was made of."""
        return str(self.there["metadata"]["annotations"][names.TEMPLATE])

    def _told(self) -> None:
        self.cluster.version += 1
        self.there["metadata"]["resourceVersion"] = str(self.cluster.version)
        feed(self.world, POD, "MODIFIED", copy.deepcopy(self.there))

    async def _resize(self, _: Key, patch: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(patch)
        if self.refusal:
            raise self.refusal
        for group, changes in patch["spec"].items():
            for change in changes:
                found = next(e for e in self.there["spec"][group] if e["name"] == change["name"])
                # A merge: what is not named stays.
                there = found["resources"]
                found["resources"] = {
                    k: there.get(k, {}) | v for k, v in change["resources"].items()
                }
        self.cluster.version += 1
        self.there["metadata"]["resourceVersion"] = str(self.cluster.version)
        return copy.deepcopy(self.there)

    async def _merge(self, kind: Kind, key: Key, patch: dict[str, Any], **_: Any) -> dict[str, Any]:
        if kind is not POD:
            raise NotFound(404, "NotFound", key.name)
        self.there["metadata"]["annotations"] |= patch["metadata"]["annotations"]
        self.cluster.version += 1
        self.there["metadata"]["resourceVersion"] = str(self.cluster.version)
        return copy.deepcopy(self.there)


@pytest.fixture
async def kubelet() -> Kubelet:
    found = Kubelet()
    await found.running()
    return found


async def test_other_resources_come_to_the_pod_that_runs_and_nobody_moves(kubelet: Kubelet) -> None:
    wanted = template_id(account(manifest(**MORE)), Platform.LINUX, kubelet.world.settings)
    kubelet.wants(**MORE)

    await kubelet.reconcile()

    assert [[*patch["spec"]] for patch in kubelet.asked] == [["containers"]]
    assert kubelet.there["spec"]["containers"][0]["resources"]["requests"]["cpu"] == "2"
    assert "move" not in kubelet.status
    assert kubelet.cluster.told["Updating"]["reason"] == "Resizing"
    assert kubelet.template() != wanted  # the kubelet did not say so yet
    assert await kubelet.reconcile() == pytest.approx(60, abs=0.1)

    kubelet.follow()
    await kubelet.reconcile()
    assert kubelet.template() == wanted
    assert KEY in kubelet.due()
    await kubelet.reconcile()

    assert len(kubelet.asked) == 1
    assert "Updating" not in kubelet.cluster.told
    assert "move" not in kubelet.status
    workload = kubelet.world.caches[STATEFUL_SET].get(Key("ns", "demo-a"))
    assert workload
    template = workload["spec"]["template"]
    assert template["metadata"]["annotations"][names.TEMPLATE] == wanted
    assert template["spec"]["containers"][0]["resources"]["requests"]["cpu"] == "2"
    assert kubelet.replicas() == {"demo-a": 1}
    written = len(kubelet.cluster.applied)
    await kubelet.reconcile()
    assert len(kubelet.cluster.applied) == written


@pytest.mark.parametrize(
    "refusal",
    [
        Refused(422, "Invalid", "memory limits cannot be decreased"),
        Refused(403, "Forbidden", "pods/resize"),
        NotFound(404, "NotFound", "the server could not find the requested resource"),
    ],
)
async def test_what_the_api_server_refuses_is_a_move(kubelet: Kubelet, refusal: Exception) -> None:
    kubelet.refusal = refusal
    kubelet.wants(**MORE)

    await kubelet.reconcile()
    await kubelet.reconcile()

    assert len(kubelet.asked) == 1
    assert kubelet.status["move"]["to"] == "b"
    assert kubelet.status["move"]["reason"] == "TemplateChanged"


async def test_a_node_that_can_never_do_it_is_left_at_once(kubelet: Kubelet) -> None:
    kubelet.wants(**MORE)
    await kubelet.reconcile()
    infeasible = {"type": "PodResizePending", "status": "True", "reason": "Infeasible"}
    kubelet.follow(infeasible | {"message": "Node didn't have enough capacity"})

    await kubelet.reconcile()
    await kubelet.reconcile()

    assert kubelet.status["move"]["to"] == "b"


async def test_a_node_without_room_just_now_is_left_when_it_is_late(kubelet: Kubelet) -> None:
    kubelet.wants(**MORE)
    await kubelet.reconcile()
    kubelet.follow({"type": "PodResizePending", "status": "True", "reason": "Deferred"})
    kubelet.seconds += 59
    await kubelet.reconcile()
    assert "move" not in kubelet.status

    kubelet.seconds += 2
    await kubelet.reconcile()
    await kubelet.reconcile()

    assert kubelet.status["move"]["to"] == "b"


async def test_a_node_whose_kubelet_gave_no_answer_is_not_asked_again_for_a_while(
    kubelet: Kubelet,
) -> None:
    # As one does that panics at a resize: it says that it begins, and no more.
    kubelet.wants(**MORE)
    await kubelet.reconcile()
    kubelet.follow({"type": "PodResizeInProgress", "status": "True"})
    kubelet.seconds += 61
    await kubelet.reconcile()

    resizes, again_s = kubelet.context.resizes, kubelet.world.settings.resize_silent_node_s
    assert not resizes.answers("n", again_s=again_s)
    assert resizes.answers("another", again_s=again_s)
    kubelet.seconds += again_s
    assert resizes.answers("n", again_s=again_s)


async def test_on_a_node_that_is_not_asked_an_account_moves_at_once(kubelet: Kubelet) -> None:
    kubelet.context.resizes.unanswered("n")
    kubelet.wants(**MORE)

    await kubelet.reconcile()

    assert kubelet.asked == []
    assert kubelet.status["move"]["to"] == "b"


async def test_what_is_under_way_on_a_node_that_fell_silent_is_waited_for(kubelet: Kubelet) -> None:
    kubelet.wants(**MORE)
    await kubelet.reconcile()
    kubelet.context.resizes.unanswered("n")

    await kubelet.reconcile()
    assert "move" not in kubelet.status

    kubelet.follow()
    await kubelet.reconcile()
    await kubelet.reconcile()
    assert "Updating" not in kubelet.cluster.told


@pytest.mark.parametrize(
    "says",
    [
        {"type": "PodResizePending", "status": "True", "reason": "Deferred"},
        {"type": "PodResizeInProgress", "status": "True", "reason": "Error", "message": "busy"},
    ],
    ids=["no room now", "an error"],
)
async def test_a_kubelet_that_said_why_not_is_asked_again(
    kubelet: Kubelet, says: dict[str, str]
) -> None:
    kubelet.wants(**MORE)
    await kubelet.reconcile()
    kubelet.follow(says)
    kubelet.seconds += 61

    await kubelet.reconcile()
    await kubelet.reconcile()

    assert kubelet.status["move"]["to"] == "b"
    assert kubelet.context.resizes.answers("n", again_s=3600)


async def test_a_resize_that_goes_wrong_in_the_kubelet_is_not_taken_for_done(
    kubelet: Kubelet,
) -> None:
    kubelet.wants(**MORE)
    await kubelet.reconcile()
    before = kubelet.template()
    kubelet.follow()
    kubelet.follow({"type": "PodResizeInProgress", "status": "True", "reason": "Error"})

    await kubelet.reconcile()

    assert kubelet.template() == before


@pytest.mark.parametrize(
    ("spec", "annotations"),
    [
        ({**MORE, "credentialsSecretRef": {"name": "another"}}, {}),
        (MORE, {names.RESTART_AT: "2026-11-21T10:00:00Z"}),
    ],
    ids=["another Secret too", "a restart too"],
)
async def test_what_needs_another_pod_all_the_same_is_a_move(
    kubelet: Kubelet, spec: dict[str, Any], annotations: dict[str, str]
) -> None:
    kubelet.feed(spec=spec, generation=4, annotations=annotations)

    await kubelet.reconcile()

    assert kubelet.asked == []
    assert kubelet.status["move"]["to"] == "b"


async def test_who_waits_for_the_turn_to_restart_is_not_resized_meanwhile(kubelet: Kubelet) -> None:
    for number in range(kubelet.world.settings.move_max):
        another = Key("ns", f"another{number}")
        answer = kubelet.context.fleet.ask(another, vip=False, reason="NodeLeaving", serves=True)
        assert answer.granted
    kubelet.feed(spec=MORE, generation=4, annotations={names.RESTART_AT: "2026-11-21T10:00:00Z"})

    await kubelet.reconcile()

    assert kubelet.asked == []
    assert kubelet.cluster.told["Updating"]["reason"] == "UpdateQueued"


async def test_what_is_not_asked_for_any_more_cannot_be_taken_away(kubelet: Kubelet) -> None:
    kubelet.there["spec"]["containers"][0]["resources"]["limits"]["cpu"] = "9"
    kubelet.follow()
    kubelet.wants(**MORE)

    await kubelet.reconcile()
    await kubelet.reconcile()

    assert kubelet.status["move"]["to"] == "b"


async def test_a_broker_that_is_away_keeps_no_resize_and_costs_no_pod(kubelet: Kubelet) -> None:
    kubelet.sidecars.seen = AWAY
    kubelet.wants(**MORE)

    await kubelet.reconcile()

    assert len(kubelet.asked) == 1
    assert "move" not in kubelet.status


async def test_a_pod_of_an_earlier_version_moves(kubelet: Kubelet) -> None:
    del kubelet.there["metadata"]["annotations"][names.SHAPE]
    kubelet.follow()
    kubelet.wants(**MORE)

    await kubelet.reconcile()

    assert kubelet.asked == []
    assert kubelet.status["move"]["to"] == "b"


def test_a_shape_is_all_but_the_resources() -> None:
    default, more = Settings(), Settings(simulator_requests={"cpu": "3"})
    image = Settings(sidecar_image="other")
    asks = account(manifest(**MORE))

    def of(who: Any, settings: Settings) -> str:
        return shape_id(who, Platform.LINUX, settings)

    assert of(parsed(), default) == of(asks, default) == of(parsed(), more)
    assert of(parsed(), image) != of(parsed(), default)
    assert shape_id(parsed(), Platform.WINDOWS, default) != of(parsed(), default)


def test_another_pod_or_another_template_is_another_try() -> None:
    now = [0.0]
    resizes = Resizes(clock=lambda: now[0])
    assert resizes.begin(KEY, "p", "t") == 0
    now[0] = 50
    assert resizes.begin(KEY, "p", "t") == 50
    assert resizes.begin(KEY, "q", "t") == 0
    resizes.give_up(KEY, "q", "t")
    assert resizes.hopeless(KEY, "q", "t")
    assert not resizes.hopeless(KEY, "q", "u")
    assert resizes.next_s(KEY, deadline_s=60, patience_s=120) is None


OTHER = Key("ns", "other")
THIRD = Key("ns", "third")


def may_ask(resizes: Resizes, key: Key, node: str = "n") -> bool:
    return resizes.may_ask(key, node, trust_s=3600, patience_s=120)


def test_the_first_pod_of_a_node_goes_alone_and_an_answer_lets_the_others_go() -> None:
    now = [0.0]
    resizes = Resizes(clock=lambda: now[0])

    assert may_ask(resizes, KEY)
    assert [may_ask(resizes, each) for each in (OTHER, THIRD, KEY)] == [False, False, True]
    assert may_ask(resizes, Key("ns", "elsewhere"), "another")
    assert resizes.waiting == 2
    assert resizes.answered("n") == {OTHER, THIRD}

    assert all(may_ask(resizes, each) for each in (OTHER, THIRD))
    assert resizes.waiting == 0
    now[0] = 3600  # a kubelet may be another one by now
    assert may_ask(resizes, OTHER)
    assert not may_ask(resizes, THIRD)


@pytest.mark.parametrize(
    "ends",
    [
        lambda resizes: resizes.unanswered("n"),
        lambda resizes: resizes.give_up(KEY, "p", "t"),
        lambda resizes: resizes.over(KEY),
    ],
    ids=["no answer", "given up", "deleted, or wanted no more"],
)
def test_whatever_ends_the_first_one_wakes_who_waits_and_trusts_nobody(
    ends: Callable[[Resizes], set[Key]],
) -> None:
    resizes = Resizes()
    assert may_ask(resizes, KEY)
    resizes.begin(KEY, "p", "t")
    assert not may_ask(resizes, OTHER)

    assert ends(resizes) == {OTHER}

    assert may_ask(resizes, OTHER)
    assert not may_ask(resizes, THIRD)


def test_a_first_one_that_never_ends_is_not_waited_for_for_ever() -> None:
    now = [0.0]
    resizes = Resizes(clock=lambda: now[0])
    assert may_ask(resizes, KEY)
    now[0] = 20
    assert not may_ask(resizes, OTHER)
    assert resizes.next_s(OTHER, deadline_s=60, patience_s=120) == pytest.approx(100, abs=0.1)

    now[0] = 120
    assert may_ask(resizes, OTHER)
    assert not may_ask(resizes, KEY)


def test_silence_takes_the_trust_in_a_kubelet_away() -> None:
    resizes = Resizes()
    resizes.answered("n")
    assert all(may_ask(resizes, each) for each in (KEY, OTHER))

    resizes.unanswered("n")

    assert resizes.silent(again_s=3600) == 1
    assert may_ask(resizes, KEY)
    assert not may_ask(resizes, OTHER)


async def test_an_account_waits_for_its_nodes_first_and_then_gets_its_own(kubelet: Kubelet) -> None:
    resizes = kubelet.context.resizes
    assert may_ask(resizes, OTHER)
    kubelet.wants(**MORE)

    again_s = await kubelet.reconcile()

    assert kubelet.asked == []
    assert "move" not in kubelet.status
    assert kubelet.cluster.told["Updating"]["reason"] == "Resizing"
    assert again_s == pytest.approx(120, abs=0.1)
    assert resizes.answered("n") == {KEY}
    await kubelet.reconcile()
    assert len(kubelet.asked) == 1


async def test_an_account_that_waited_for_a_kubelet_that_says_nothing_moves_unasked(
    kubelet: Kubelet,
) -> None:
    resizes = kubelet.context.resizes
    assert may_ask(resizes, OTHER)
    kubelet.wants(**MORE)
    await kubelet.reconcile()

    assert resizes.unanswered("n") == {KEY}
    await kubelet.reconcile()

    assert kubelet.asked == []
    assert kubelet.status["move"]["to"] == "b"


async def test_a_kubelet_that_did_it_or_says_why_not_wakes_who_waits(kubelet: Kubelet) -> None:
    kubelet.wants(**MORE)
    await kubelet.reconcile()
    assert not may_ask(kubelet.context.resizes, OTHER)
    kubelet.due()

    kubelet.follow({"type": "PodResizePending", "status": "True", "reason": "Deferred"})
    await kubelet.reconcile()

    assert OTHER in kubelet.due()
    assert may_ask(kubelet.context.resizes, OTHER)
    assert may_ask(kubelet.context.resizes, THIRD)
