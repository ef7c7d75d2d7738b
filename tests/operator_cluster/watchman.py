# SPDX-License-Identifier: Apache-2.0
"""Looks on from outside while tests disturb an installation, and tells what must never be."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Any, Final

from redis.exceptions import RedisError

from cluster.errors import CommandFailed
from cluster.kubectl import Kubectl
from mt5_operator.settings import Settings
from operator_cluster.redis_process import RedisServer
from operator_cluster.sidecar_stub import SidecarStub

# For how long a route may lead to a slot that is fenced while the other trades: a handover, and
# the time in which the old slot drains.
ASTRAY_S: Final = Settings().move_handover_s + Settings().move_drain_s


class Watchman(threading.Thread):
    """Looks all the time whether a client could reach an account that is not its own, and whether
    two slots of an account trade."""

    def __init__(self, kubectl: Kubectl, redis: RedisServer, sidecars: SidecarStub) -> None:
        super().__init__(daemon=True)
        self._kubectl, self._redis, self._sidecars = kubectl, redis, sidecars
        self._over = threading.Event()
        self.judged = 0
        # Since when an account's route leads to a slot that is fenced while the other trades.
        self._astray: dict[str, float] = {}
        # Account of each pod that was ever seen, and id of each account, by uid: a name may be of
        # one account today and of another tomorrow.
        self._pods: dict[str, str] = {}
        self._ids: dict[str, str] = {}
        self._epochs: dict[str, int] = {}
        self.looks = 0
        self.harm: list[str] = []

    def run(self) -> None:
        while not self._over.wait(0.2):
            with suppress(CommandFailed, RedisError, OSError):
                self._look()

    def end(self) -> None:
        self._over.set()
        self.join(20)

    def _look(self) -> None:
        asked_at, active = time.monotonic(), set(self._sidecars.active())
        routes = self._redis.routes()
        pods = self._kubectl.list("pod", selector="app.kubernetes.io/name=mt5-account")
        accounts = self._kubectl.list("mt5accounts")
        self._ids |= {item["metadata"]["uid"]: _id(item) for item in accounts}
        self.looks += 1
        serving: dict[str, int] = {}
        for pod in pods:
            name = pod["metadata"]["labels"]["mt5bridge.io/account"]
            its_account = pod["metadata"]["labels"]["mt5bridge.io/account-uid"]
            self._pods[pod["metadata"]["uid"]] = its_account
            ending = "deletionTimestamp" in pod["metadata"]
            serving[name] = serving.get(name, 0) + (not ending)
        self.harm += [f"{count} pods of {name}" for name, count in serving.items() if count > 2]
        self._judge({pod["metadata"]["uid"] for pod in pods}, asked_at)
        trading = {self._pods[uid]: uid for uid in active if uid in self._pods}
        for wanted, route in routes.items():
            owner = self._pods.get(route["uid"])
            if owner in self._ids and self._ids[owner] != wanted:
                self.harm.append(f"the route of {wanted} leads to the pod of {owner}")
            if route["epoch"] < self._epochs.get(wanted, 0):
                self.harm.append(f"the epoch of {wanted} went back to {route['epoch']}")
            self._epochs[wanted] = route["epoch"]
            other = trading.get(owner or "", "")
            if not route["address"] or route["uid"] in active or not other:
                self._astray.pop(wanted, None)
            elif time.monotonic() - self._astray.setdefault(wanted, asked_at) > ASTRAY_S:
                self.harm.append(f"the route of {wanted} leads to a fenced slot of {owner}")

    def _judge(self, there: set[str], asked_at: float) -> None:
        """Look at those who were told to trade before `there` was asked for.

        Whose pod is still there was there, and traded, when another pod of its account was told
        to. Who is gone may have been gone by then: it harms nobody.
        """
        for at, uid, others in self._sidecars.activations[self.judged :]:
            if at >= asked_at:
                return
            self.judged += 1
            name = self._pods.get(uid)
            both = [o for o in others if o in there and self._pods.get(o) == name is not None]
            self.harm += [f"{uid} and {other} of {name} traded" for other in both]


def _id(manifest: dict[str, Any]) -> str:
    return str(manifest["spec"].get("accountId") or manifest["spec"]["login"])
