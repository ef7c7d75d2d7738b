# SPDX-License-Identifier: Apache-2.0
"""What sidecars tell the operator, asked as the operator asks, with its own key."""

from __future__ import annotations

import base64
import http.client
import json
import threading
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, NamedTuple, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from e2e_world import World

from mt5_operator import names
from mt5_operator.sidecars.identity import Identity


class Door(NamedTuple):
    """A sidecar that answers for the pod `uid`."""

    uid: str
    address: str


class Insider:
    """Asks sidecars what only the operator may ask."""

    def __init__(self, world: World) -> None:
        secret = world.system.get("secret", names.OPERATOR_KEY)
        assert secret is not None
        key = load_pem_private_key(base64.b64decode(secret["data"]["private.pem"]), password=None)
        assert isinstance(key, Ed25519PrivateKey)
        self._identity = Identity(key, "")

    def state(self, door: Door) -> dict[str, Any]:
        """Return the answer of `/internal/state`."""
        request = urllib.request.Request(
            f"http://{door.address}:{names.OPS_PORT}/internal/state",
            headers={"Authorization": f"Bearer {self._identity.token(door.uid)}"},
        )
        with urllib.request.urlopen(request, timeout=5) as reply:  # noqa: S310
            found: dict[str, Any] = json.load(reply)
        return found


class TraderWatch:
    """Looks all the time which slots of an account trade, as their own sidecars say."""

    def __init__(self, insider: Insider, slots: Mapping[str, Door]) -> None:
        self._insider = insider
        self._slots = dict(slots)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.seen: list[tuple[str, ...]] = []
        """Each set of slots that traded at the same time, when it was another one."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join(20)

    def _run(self) -> None:
        while not self._over.wait(0.05):
            first = self._trading()
            # Who traded before and after all were asked did so all the time between.
            surely = first & self._trading()
            trading = tuple(sorted(surely if len(first) > 1 else first))
            if self.seen[-1:] != [trading]:
                self.seen.append(trading)

    def _trading(self) -> set[str]:
        return {slot for slot, door in self._slots.items() if self._trades(door)}

    def _trades(self, door: Door) -> bool:
        # Gone, or not there yet, or ended amid its answer.
        with suppress(OSError, http.client.HTTPException):
            return bool((self._insider.state(door)["orders"] or {}).get("active"))
        return False
