# SPDX-License-Identifier: Apache-2.0
"""Addresses of a cluster, and the bridge device that holds them.

Every cluster has a slot, a number that its addresses are made from; so clusters live side by side
and need no free ports: each has addresses of its own. The kernel keeps the slots: the slot is
taken by who made the bridge, and the bridge's alias tells for which cluster.
"""

from __future__ import annotations

import fcntl
import ipaddress
import json
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cluster.command import run, succeeds
from cluster.errors import Unsupported
from cluster.paths import cache

Network = ipaddress.IPv4Network

_SLOTS: Final = 64  # two /16 each, from 10.128.0.0 up to 10.255.255.255


@dataclass(frozen=True)
class Addresses:
    """What a cluster in `slot` uses."""

    slot: int

    @property
    def bridge(self) -> str:
        """Return the name of the bridge device."""
        return f"mt5br{self.slot}"

    @property
    def host(self) -> str:
        """Return the host's address on the bridge: there are API server and DNS."""
        return str(self.machines[1])

    @property
    def loopback(self) -> str:
        """Return a loopback address that no other cluster uses."""
        return f"127.77.{self.slot}.1"

    @property
    def machines(self) -> Network:
        """Return the network of the host and the real nodes."""
        return Network((self._base, 24))

    @property
    def pods(self) -> Network:
        """Return the network of the pods on real nodes."""
        return Network((self._base + (64 << 8), 18))

    @property
    def fake_pods(self) -> Network:
        """Return the network of the pods on fake nodes; all of it leads to the host itself."""
        return Network((self._base + (128 << 8), 17))

    @property
    def services(self) -> Network:
        """Return the network of the Services' cluster addresses."""
        return Network((self._base + (1 << 16), 16))

    def machine(self, index: int) -> str:
        """Return the address of the real node `index`, counted from 0."""
        return str(self.machines[2 + index])

    def pods_of(self, index: int) -> Network:
        """Return the network of the pods on the real node `index`, counted from 0."""
        return list(self.pods.subnets(new_prefix=24))[index]

    @property
    def whole(self) -> Network:
        """Return everything that this slot may use."""
        return Network((self._base, 15))

    @property
    def _base(self) -> int:
        return int(ipaddress.IPv4Address("10.128.0.0")) + (self.slot << 17)


def slots_by_preference(name: str) -> list[int]:
    """Return all slots, first the one that a cluster of this name gets if it is free."""
    first = zlib.crc32(name.encode()) % _SLOTS
    return [(first + step) % _SLOTS for step in range(_SLOTS)]


def free_slots(slots: Iterable[int], used: Iterable[Network]) -> list[int]:
    """Return those slots whose addresses touch none of the networks `used`."""
    networks = list(used)
    return [
        slot
        for slot in slots
        if not any(Addresses(slot).whole.overlaps(network) for network in networks)
    ]


def claim(name: str, owner: Path) -> Addresses:
    """Make the bridge of the cluster `name` or find it again, and return the addresses.

    `owner` is the cluster's directory, the mark by which the bridge is found again.

    Raises:
        Unsupported: all slots are taken.
    """
    if (held := claimed(owner)) is not None:
        return held
    with _alone():
        for slot in free_slots(slots_by_preference(name), _routed_networks()):
            addresses = Addresses(slot)
            if _make_bridge(addresses.bridge) or not _alias(addresses.bridge):
                run(["ip", "link", "set", addresses.bridge, "alias", str(owner)])
                _bring_up(addresses)
                return addresses
    raise Unsupported("no free addresses in 10.128.0.0/9: end a cluster (python -m cluster down)")


def claimed(owner: Path) -> Addresses | None:
    """Return the addresses that the cluster in `owner` holds now."""
    for slot in range(_SLOTS):
        if _alias(Addresses(slot).bridge) == str(owner):
            _bring_up(Addresses(slot))  # an earlier run may have been killed before it did
            return Addresses(slot)
    return None


def release(owner: Path) -> None:
    """Remove the bridge of the cluster in `owner`, and with it all its addresses and routes."""
    if (held := claimed(owner)) is not None:
        run(["ip", "link", "delete", held.bridge])


@contextmanager
def _alone() -> Iterator[None]:
    # A bridge without an alias is then always one whose maker was killed, and free to take.
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / ".network.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make_bridge(name: str) -> bool:
    return succeeds(["ip", "link", "add", name, "type", "bridge"])


def _alias(bridge: str) -> str | None:
    file = Path(f"/sys/class/net/{bridge}/ifalias")
    return file.read_text().strip() if file.exists() else None


def _bring_up(addresses: Addresses) -> None:
    bridge = addresses.bridge
    run(["ip", "address", "replace", f"{addresses.host}/24", "dev", bridge])
    run(["ip", "link", "set", bridge, "up"])
    # Whoever listens on all addresses of the host answers for every fake pod: a stub can.
    run(["ip", "route", "replace", "local", str(addresses.fake_pods), "dev", bridge])


def _routed_networks() -> list[Network]:
    routes = json.loads(run(["ip", "-json", "-4", "route", "show", "table", "all"]) or "[]")
    destinations = [str(route["dst"]) for route in routes]
    return [Network(text, strict=False) for text in destinations if text[0].isdigit()]
