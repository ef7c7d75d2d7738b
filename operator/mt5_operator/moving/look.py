# SPDX-License-Identifier: Apache-2.0
"""Everything that the next step of an account depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from pydantic import ValidationError

from mt5_operator.spec.account import Disruption
from mt5_operator.spec.status import LastMove, Move, Trader

T = TypeVar("T", Trader, Move, LastMove)


@dataclass(frozen=True)
class Pod:
    """A slot's pod. Times are in seconds since 1970."""

    uid: str
    node: str = ""
    created_s: float = 0
    template: str = ""
    ready: bool = False
    ready_since_s: float = 0
    ending: bool = False
    # Its node takes no pods any more: cordoned, drained, or going away.
    leaving: bool = False


@dataclass(frozen=True)
class Said:
    """What the pod's sidecar said last about trading."""

    epoch: int
    active: bool
    connected: bool


@dataclass(frozen=True)
class Slot:
    """One slot: its StatefulSet and its pod."""

    there: bool = False
    template: str = ""
    replicas: int = 0
    platform: str = ""
    # Of the claim that it makes for its pod; it keeps that for life. 0: none.
    claim_bytes: int = 0
    pod: Pod | None = None
    # None: it did not answer, or was not asked yet.
    said: Said | None = None
    # The pod does not become ready, and its sidecar does not answer: nothing can be taken over.
    stuck: bool = False
    # What keeps the pod from getting ready, in words for people; empty if it is only on its way.
    trouble: str = ""
    # No node took its pod so far, by the scheduler's own word.
    unplaced: bool = False

    @property
    def serves(self) -> bool:
        """Tell whether requests may go there."""
        pod, said = self.pod, self.said
        return bool(pod and pod.ready and not pod.ending and (said is None or said.connected))


@dataclass(frozen=True)
class Limits:
    """How long things may take, in seconds."""

    deadline_s: float = 900
    handover_s: float = 30
    min_ready_s: float = 0
    drain_s: float = 5
    # How often a slot that hands over is asked.
    look_s: float = 1
    backoff_min_s: float = 300
    backoff_max_s: float = 21600


@dataclass(frozen=True)
class Look:
    """One look at an account."""

    now_s: float
    slots: Mapping[str, Slot]
    # The template and platform that the account should have.
    template: str
    platform: str = "Linux"
    trader: Trader | None = None
    move: Move | None = None
    last: LastMove | None = None
    # When a restart was asked for; None if it was not, or is not due yet.
    restart_s: float | None = None
    suspended: bool = False
    # The trader's pod gets the resources of the template as it is, without a move.
    resizes: bool = False
    disruption: Disruption = Disruption.ALWAYS
    # The journal is on a volume: it comes back with the slot's next pod.
    volume: bool = False
    # Of the volume that is asked for.
    claim_bytes: int = 0
    # The spec may not be applied as it stands: nothing is made of it, and nothing renewed.
    frozen: bool = False
    # Routers may not know the newest route.
    route_pending: bool = False
    # Nodes from which nobody knows whether their pods still run.
    lost_nodes: frozenset[str] = frozenset()
    # The uid of a pod that is gone for certain: asked of the API server, and none comes back.
    gone: str = ""
    limits: Limits = Limits()

    def slot(self, name: str) -> Slot:
        """Return a slot; an empty one if nothing is there."""
        return self.slots.get(name, Slot())


def other(slot: str) -> str:
    """Return the name of the other slot."""
    return "b" if slot == "a" else "a"


def fenced(said: Said, trader: Trader) -> bool:
    """Tell whether the trader's sidecar said that it trades no more in its epoch.

    It can never say so and trade in that epoch again: an old answer is as good as a new one.
    """
    return not said.active and said.epoch >= trader.epoch


def trader_of(status: Mapping[str, Any]) -> Trader | None:
    """Return who may trade, as the status has it."""
    return _read(Trader, status.get("trader"))


def move_of(status: Mapping[str, Any]) -> Move | None:
    """Return the move that is under way, as the status has it."""
    return _read(Move, status.get("move"))


def last_of(status: Mapping[str, Any]) -> LastMove | None:
    """Return the last move, as the status has it."""
    return _read(LastMove, status.get("lastMove"))


def _read(kind: type[T], value: Any) -> T | None:
    try:
        return kind.model_validate(value) if value else None
    except ValidationError:
        return None  # edited by hand: found again from what the sidecars say


def text(moment_s: float) -> str:
    """Return a metav1.Time."""
    return datetime.fromtimestamp(int(moment_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
