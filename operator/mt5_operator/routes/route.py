# SPDX-License-Identifier: Apache-2.0
"""One route, and the shards that routes are kept in. Pure."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from mt5_operator import names
from mt5_operator.spec.parse import Manifest

ROUTES_FILE: Final = "routes.json"
# So that 10,000 accounts in trouble fit into four ConfigMaps; the whole message is in the status.
MESSAGE_LENGTH: Final = 200


@dataclass(frozen=True)
class Route:
    """Where an account is; without an address, `reason` and `message` say why."""

    address: str = ""
    slot: str = "a"
    epoch: int = 1
    uid: str = ""
    reason: str = ""
    message: str = ""


def routable(account_id: str) -> bool:
    """Tell whether clients can ask for this id; that of an invalid spec may be anything."""
    return re.fullmatch(names.ACCOUNT_ID, account_id) is not None


def brief(message: str) -> str:
    """Return the beginning of `message` that takes no more than its share of a shard."""
    cut = message[:MESSAGE_LENGTH]
    # Characters that JSON escapes count as what they become.
    while len(json.dumps(cut)) > MESSAGE_LENGTH + len('""'):
        cut = cut[:-1]
    return cut


def text(route: Route) -> str:
    """Return `route` as it is stored; equal routes have equal texts."""
    return json.dumps(asdict(route), separators=(",", ":"), sort_keys=True)


def parse(value: Any) -> Route | None:
    """Return a stored route; None if it is not one that we could have written."""
    try:
        found = json.loads(value) if isinstance(value, str | bytes) else value
        return Route(**found)
    except (TypeError, ValueError):
        return None


def shard_of(account_id: str, shards: int) -> int:
    """Return the number of the ConfigMap that holds an account's route."""
    return zlib.crc32(account_id.encode()) % shards


def shard(
    number: int,
    routes: Mapping[str, Route],
    *,
    shards: int,
    installation: str,
    namespace: str,
    place: int | None = None,
    of: int = 1,
    also: Collection[str] = (),
) -> Manifest:
    """Return the ConfigMap of one shard; `routes` may hold those of all.

    `also`: what it still has to hold although it belongs into another one.
    Where `of` operators share the work, ours is at `place` of the files of all.
    """
    mine = {
        account_id: asdict(route)
        for account_id, route in sorted(routes.items())
        if shard_of(account_id, shards) == number or account_id in also
    }
    number = number if place is None else place
    files = {"shard": number, "shards": shards * of}
    table = {"installation": installation, **files, "routes": mine}
    labels = names.common_labels() | {"app.kubernetes.io/component": "routes"}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": names.route_shard(number), "namespace": namespace, "labels": labels},
        "data": {ROUTES_FILE: json.dumps(table, separators=(",", ":"), sort_keys=True)},
    }


def shards_of(manifest: Manifest) -> int:
    """Return of how many shards this one is by its own words; 0 if it does not say."""
    try:
        return int(_table(manifest).get("shards", 0))
    except (ValueError, TypeError):
        return 0


def installation_of(manifest: Manifest) -> str:
    """Return whose shard this is; empty if it does not say so."""
    return str(_table(manifest).get("installation", ""))


def routes_of(manifest: Manifest) -> dict[str, Route]:
    """Return the routes that a shard holds; what cannot be read is left out."""
    routes = _table(manifest).get("routes", {})
    items = routes.items() if isinstance(routes, dict) else ()
    read = {account_id: parse(value) for account_id, value in items}
    return {account_id: route for account_id, route in read.items() if route is not None}


def _table(manifest: Manifest) -> dict[str, Any]:
    # Whoever may write ConfigMaps may have written anything there.
    try:
        table = json.loads((manifest.get("data") or {}).get(ROUTES_FILE, "{}"))
    except (ValueError, RecursionError):
        return {}
    return table if isinstance(table, dict) else {}
