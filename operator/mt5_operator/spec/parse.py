# SPDX-License-Identifier: Apache-2.0
"""Read an account's object once, into something that cannot be wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from mt5_operator.errors import InvalidSpec, faults
from mt5_operator.names import Key
from mt5_operator.spec.account import AccountSpec
from mt5_operator.spec.broker import BrokerSpec, BrokerStatus

Manifest = dict[str, Any]

_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(frozen=True)
class Account:
    """An `MT5Account` that was read and understood."""

    key: Key
    uid: str
    generation: int
    created: str
    spec: AccountSpec


def account(manifest: Manifest) -> Account:
    """Return the account that `manifest` describes.

    Raises:
        InvalidSpec: the CRD let something pass that the models do not.
    """
    meta = manifest["metadata"]
    try:
        spec = AccountSpec.model_validate(manifest.get("spec", {}))
    except ValidationError as error:
        raise InvalidSpec(_told(error)) from error
    return Account(
        key=Key(meta["namespace"], meta["name"]),
        uid=meta["uid"],
        generation=meta.get("generation", 1),
        created=meta["creationTimestamp"],
        spec=spec,
    )


def broker_spec(manifest: Manifest) -> BrokerSpec:
    """Return the spec of an `MT5Broker`.

    Raises:
        InvalidSpec: the CRD let something pass that the models do not.
    """
    try:
        return BrokerSpec.model_validate(manifest.get("spec", {}))
    except ValidationError as error:
        raise InvalidSpec(_told(error)) from error


def broker_status(manifest: Manifest) -> BrokerStatus:
    """Return what was known of a broker; nothing if that cannot be read."""
    status = {k: v for k, v in manifest.get("status", {}).items() if k != "conditions"}
    try:
        return BrokerStatus.model_validate(status)
    except ValidationError:
        return BrokerStatus()


def account_id(manifest: Manifest) -> str:
    """Return the account id of an object that may be wrong otherwise."""
    spec = manifest.get("spec", {})
    return str(spec.get("accountId") or spec.get("login", ""))


def seconds(moment: str) -> float:
    """Return the seconds since 1970 of a metav1.Time."""
    return datetime.fromisoformat(moment).timestamp()


def unknown_fields(manifest: Manifest) -> tuple[str, ...]:
    """Return the paths that were applied and that the API server dropped, such as `spec.tradng`.

    The server prunes what the schema does not describe before anyone can see it; the record
    that `kubectl apply` and its likes keep of what was applied is the only trace (docs/adr/010).
    """
    text = manifest["metadata"].get("annotations", {}).get(_LAST_APPLIED, "")
    try:
        applied = json.loads(text) if text else {}
    except (ValueError, RecursionError):  # anybody may write this annotation
        return ()
    spec = applied.get("spec", {}) if isinstance(applied, dict) else {}
    return tuple(_unknown(spec, AccountSpec, "spec")) if isinstance(spec, dict) else ()


def _unknown(value: dict[str, Any], model: type[BaseModel], path: str) -> Iterator[str]:
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    for name, child in value.items():
        if name not in fields:
            yield f"{path}.{name}"
        elif isinstance(child, dict) and (inner := _model(fields[name].annotation)):
            yield from _unknown(child, inner, f"{path}.{name}")


def _model(annotation: Any) -> type[BaseModel] | None:
    choices = getattr(annotation, "__args__", (annotation,))
    found = [choice for choice in choices if isinstance(choice, type)]
    return next((choice for choice in found if issubclass(choice, BaseModel)), None)


def _told(error: ValidationError) -> str:
    return "; ".join(f"spec.{fault}" for fault in faults(error))
