# SPDX-License-Identifier: Apache-2.0
"""What the watches told: raw objects, kept small, never changed by us.

Objects are kept as packed JSON text, which takes a hundredth of the memory of the dicts it decodes
to (docs/adr/064).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, cast

import msgspec

from mt5_operator.cluster.kinds import CONFIG_MAP, NODE, POD, WATCHED, Kind
from mt5_operator.cluster.packing import Packed, Packer
from mt5_operator.names import Key
from mt5_operator.spec.parse import Manifest

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Entry:
    """One object as last seen; `fed_at` is in seconds of the cache's clock."""

    uid: str
    version: int
    fed_at: float
    packed: Packed


class Store:
    """The objects of one kind."""

    def __init__(self, kind: Kind, clock: Callable[[], float] = time.monotonic) -> None:
        self._kind = kind
        self._clock = clock
        self._entries: dict[Key, Entry] = {}
        self._packer = Packer()
        self.changes = 0

    def feed(self, manifest: Manifest) -> bool:
        """Keep `manifest`; False if it is older than what is kept."""
        meta = manifest["metadata"]
        key, version = key_of(manifest), int(meta.get("resourceVersion", 0))
        there = self._entries.get(key)
        if there and there.uid == meta["uid"] and there.version >= version:
            return False
        self.changes += 1
        packed = self._packer.pack(_encode(_small(self._kind, manifest)))
        self._entries[key] = Entry(meta["uid"], version, self._clock(), packed)
        return True

    def drop(self, key: Key, uid: str | None = None) -> None:
        """Forget an object; with `uid`, only if it is still that one."""
        there = self._entries.get(key)
        if there and uid in (None, there.uid):
            del self._entries[key]
            self.changes += 1

    def get(self, key: Key) -> Manifest | None:
        """Return a fresh copy of an object."""
        there = self._entries.get(key)
        return cast("Manifest", _decode(there.packed.text())) if there else None

    def entry(self, key: Key) -> Entry | None:
        """Return what is known of an object without reading it."""
        return self._entries.get(key)

    def keys(self) -> list[Key]:
        """Return the keys of all objects."""
        return list(self._entries)

    def values(self) -> Iterator[Manifest]:
        """Return fresh copies of all objects."""
        return (cast("Manifest", _decode(e.packed.text())) for e in list(self._entries.values()))

    def __len__(self) -> int:
        return len(self._entries)


class Caches:
    """One store for each kind that is watched."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._stores = {kind: Store(kind, clock) for kind in WATCHED}

        self._nodes: tuple[int, list[Manifest]] = (-1, [])

    def nodes(self) -> list[Manifest]:
        """Return all nodes, read once per change; do not change them."""
        store = self._stores[NODE]
        if self._nodes[0] != store.changes:
            self._nodes = (store.changes, list(store.values()))
        return self._nodes[1]

    def __getitem__(self, kind: Kind) -> Store:
        return self._stores[kind]


def key_of(manifest: Manifest) -> Key:
    """Return the key of an object."""
    meta = manifest["metadata"]
    return Key(meta.get("namespace", ""), meta["name"])


def somebody_elses(kind: Kind, before: Manifest, written: Manifest, *, ours: str) -> bool:
    """Tell whether the answer to our own write of the part `ours` holds another change as well.

    Its event is older than the answer, so no store will take it for news.
    """
    return _without(_small(kind, before), ours) != _without(_small(kind, written), ours)


def _container(spec: dict[str, Any]) -> dict[str, Any]:
    return {name: spec[name] for name in ("name", "resources") if name in spec}


def _without(small: dict[str, Any], ours: str) -> dict[str, Any]:
    left_out = ("resourceVersion", ours)
    meta = {name: v for name, v in small["metadata"].items() if name not in left_out}
    return {name: v for name, v in small.items() if name != ours} | {"metadata": meta}


def changed_at(manifest: Manifest) -> str:
    """Return when a cached ConfigMap was last written, RFC 3339 in whole seconds."""
    return str(manifest["metadata"].get("changedAt", ""))


def _last_write(manifest: Manifest) -> str:
    fields = manifest["metadata"].get("managedFields", [])
    return max((str(field.get("time", "")) for field in fields), default="")


def _small(kind: Kind, manifest: Manifest) -> dict[str, Any]:
    meta = {name: v for name, v in manifest["metadata"].items() if name != "managedFields"}
    if kind is NODE:
        return {"metadata": meta, "spec": manifest.get("spec", {})}  # its status changes all day
    if kind is POD:
        spec = manifest.get("spec", {})
        kept = {name: spec[name] for name in ("nodeName", "os") if name in spec}
        for group in ("initContainers", "containers"):
            kept[group] = [_container(each) for each in spec.get(group, [])]
        return {"metadata": meta, "spec": kept, "status": manifest.get("status", {})}
    if kind is CONFIG_MAP:
        meta["changedAt"] = _last_write(manifest)
    named = {"apiVersion": kind.api, "kind": kind.name}
    return {**manifest, **named, "metadata": meta}
