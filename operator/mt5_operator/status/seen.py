# SPDX-License-Identifier: Apache-2.0
"""Everything that an account's status may depend on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mt5_operator import names
from mt5_operator.brokers.choice import Choice
from mt5_operator.brokers.evidence import Evidence
from mt5_operator.healing import Budget
from mt5_operator.reasons import Reason
from mt5_operator.spec.account import Platform
from mt5_operator.spec.parse import Manifest
from mt5_operator.spec.status import LastMove, Move, Trader
from mt5_operator.status.crash import Crash, crash_seen, ended_by


@dataclass(frozen=True)
class PodSeen:
    """A slot's pod, as far as it matters."""

    uid: str
    name: str = ""
    ip: str = ""
    node: str = ""
    # Linux or Windows: for which it was made.
    platform: str = ""
    created: str = ""
    template: str = ""
    # The template without its resources; empty for a pod of an earlier version.
    shape: str = ""
    ready_since: str = ""
    phase: str = "Pending"
    ready: bool = False
    sidecar_started: bool = False
    unschedulable: str = ""
    waiting: tuple[str, str] = ("", "")
    # A container that ends again and again; until it has run for long, if it is recent.
    crash: Crash | None = None
    ending: bool = False
    # Who ended it, where Kubernetes did: an eviction, say.
    ended_by: str = ""
    # Its node does not answer: what the cluster says of the pod is old, and it cannot be ended.
    lost: bool = False
    revision: str = ""
    not_ready_since: str = ""

    @property
    def answers(self) -> bool:
        """Tell whether its sidecar can be asked."""
        return bool(self.ip) and self.phase == "Running"


@dataclass(frozen=True)
class Podless:
    """A StatefulSet for which Kubernetes makes no pod.

    `taken_up`: its controller looked at it. `refused`: it is more than late.
    """

    stateful_set: str
    taken_up: bool = True
    refused: bool = True


@dataclass(frozen=True)
class OrdersSeen:
    """What a sidecar said of trading: the last epoch it was activated in, and whether it trades."""

    epoch: int
    active: bool


@dataclass(frozen=True)
class SidecarSeen:
    """What a pod's sidecar said, or why it said nothing."""

    state: str = ""
    reason: str = ""
    message: str = ""
    credentials: str = "Unknown"
    error: str = ""
    # Why programs may not trade there; why the image does not trust itself. Empty: nothing known.
    no_trading: str = ""
    selftest: str = ""
    # Why trades are refused for the order journal.
    journal: str = ""
    # None: its journal cannot be used, or it did not answer.
    orders: OrdersSeen | None = None
    # Counters change with every look; they are for the broker's review, and no news by themselves.
    evidence: Evidence | None = field(default=None, compare=False)

    @property
    def connected(self) -> bool:
        """Tell whether the terminal is logged in and synchronised."""
        return self.state == "Connected"


@dataclass(frozen=True)
class RouteSeen:
    """Where the route table stands."""

    published: bool = False
    problem: str = ""


@dataclass(frozen=True)
class Updating:
    """What Updating says: a move is under way (`now`), or why it is not."""

    now: bool
    reason: Reason
    message: str


@dataclass(frozen=True)
class Seen:
    """One look at an account and all that belongs to it."""

    generation: int
    account_id: str = ""
    platform: Platform | None = None
    # Where it should run, and why.
    choice: Choice | None = None
    suspended: bool = False
    slot: str = "a"
    image: str = ""
    invalid: str = ""
    unknown_fields: tuple[str, ...] = ()
    conflict: str = ""
    # The account has its id: of several that claim one, one does.
    id_held: bool = False
    quota: str = ""
    # Objects of another account that have the names of this one's.
    name_taken: str = ""
    secret: str = ""
    secret_problem: str = ""
    secret_version: str = ""
    workload_problem: str = ""
    no_capacity: str = ""
    # The place in line of an account without a node; held: it has no pod until its turn comes.
    place: str = ""
    held: bool = False
    pod: PodSeen | None = None
    # The StatefulSet that should have a pod, where Kubernetes makes none.
    podless: Podless | None = None
    sidecar: SidecarSeen | None = None
    # The pod is not ready for longer than a start takes.
    overdue: bool = False
    route: RouteSeen = RouteSeen()
    trader: Trader | None = None
    move: Move | None = None
    last_move: LastMove | None = None
    updating: Updating | None = None
    # What healing tried, and whether nothing is left to try.
    healing: Budget = Budget()  # noqa: RUF009 - frozen
    exhausted: bool = False


_IMAGE = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}
_CRASH = {
    "CreateContainerConfigError",
    "RunContainerError",
    "CreateContainerError",
}
TROUBLED = _IMAGE | _CRASH


def image_trouble(word: str) -> bool:
    """Tell whether a container waits because of its image."""
    return word in _IMAGE


def pod_seen(pod: Manifest) -> PodSeen:
    """Return what matters of `pod`."""
    meta, status = pod["metadata"], pod.get("status", {})
    conditions = {item["type"]: item for item in status.get("conditions", [])}
    ready = conditions.get("Ready", {})
    containers = status.get("initContainerStatuses", []) + status.get("containerStatuses", [])
    return PodSeen(
        uid=meta["uid"],
        name=meta["name"],
        ip=status.get("podIP", ""),
        node=pod.get("spec", {}).get("nodeName", ""),
        platform=pod.get("spec", {}).get("os", {}).get("name", "").capitalize(),
        created=meta.get("creationTimestamp", ""),
        template=meta.get("annotations", {}).get(names.TEMPLATE, ""),
        shape=meta.get("annotations", {}).get(names.SHAPE, ""),
        ready_since=ready.get("lastTransitionTime", ""),
        phase=status.get("phase", "Pending"),
        ready=ready.get("status") == "True" and "deletionTimestamp" not in meta,
        sidecar_started=any(c.get("started") for c in status.get("initContainerStatuses", [])),
        unschedulable=_unschedulable(conditions.get("PodScheduled", {})),
        waiting=_waiting(containers),
        crash=crash_seen(containers),
        ending="deletionTimestamp" in meta,
        ended_by=_ended_by(status, conditions.get("DisruptionTarget", {})),
        revision=meta.get("labels", {}).get("controller-revision-hash", ""),
        not_ready_since=ready.get("lastTransitionTime", meta.get("creationTimestamp", "")),
    )


def _unschedulable(condition: dict[str, Any]) -> str:
    waits = condition.get("status") == "False" and condition.get("reason") == "Unschedulable"
    return str(condition.get("message", "the scheduler found no node")) if waits else ""


def _ended_by(status: dict[str, Any], disruption: dict[str, Any]) -> str:
    # A node with too little memory or disk; a drain, or a scheduler with a more important pod.
    failed = status if status.get("phase") == "Failed" and status.get("reason") else None
    said = failed or (disruption if disruption.get("status") == "True" else None)
    return f"{said.get('reason')}: {said.get('message', '')}" if said else ""


def _waiting(containers: list[dict[str, Any]]) -> tuple[str, str]:
    for container in containers:
        waiting = container.get("state", {}).get("waiting", {})
        if waiting.get("reason") in TROUBLED:
            how = f"ended by {told}; " if (told := ended_by(container)) else ""
            return waiting["reason"], f"{container['name']}: {how}{waiting.get('message', '')}"
    return "", ""
