# SPDX-License-Identifier: Apache-2.0
"""Does the API server know every field of our statuses?

A CRD that is older than the operator, as where `crds.install` is false, lacks some. The API server
refuses a status with one of them as a whole: nothing could be told, and nobody told to trade.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from mt5_operator.cluster.api import Api
from mt5_operator.cluster.kinds import ACCOUNT, BROKER, Kind
from mt5_operator.crd import account_crd, broker_crd
from mt5_operator.errors import NotFound, Refused

Schema = dict[str, Any]
_CRDS: Final = {ACCOUNT: account_crd, BROKER: broker_crd}


async def lacking(api: Api) -> dict[str, list[str]]:
    """Return what the API server's schemas lack of our statuses, by kind: kinds that lack some.

    Raises:
        ApiError, ApiUnavailable: it could not be asked.
    """
    try:
        theirs = await api.schemas(ACCOUNT)
    except (NotFound, Refused):
        return {}  # discovery is closed here, or not yet fresh
    found = {kind.name: _lacks(kind, theirs[kind.name]) for kind in _CRDS if kind.name in theirs}
    return {name: fields for name, fields in found.items() if fields}


def _lacks(kind: Kind, theirs: Schema) -> list[str]:
    (version,) = _CRDS[kind]()["spec"]["versions"]
    ours = version["schema"]["openAPIV3Schema"]["properties"]["status"]
    return list(missing(ours, theirs.get("properties", {}).get("status", {}), "status"))


def missing(ours: Schema, theirs: Schema, path: str) -> Iterator[str]:
    """Yield the paths of fields, and values of enumerations, that only `ours` has."""
    for value in ours.get("enum", []):
        if value not in theirs.get("enum", [value]):
            yield f"{path}: {value}"
    there = theirs.get("properties", {})
    for name, field in ours.get("properties", {}).items():
        if name in there:
            yield from missing(field, there[name], f"{path}.{name}")
        else:
            yield f"{path}.{name}"
    if "items" in ours and "items" in theirs:
        yield from missing(ours["items"], theirs["items"], f"{path}[]")
