# SPDX-License-Identifier: Apache-2.0
"""The files that a sidecar reads again when they change."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from mt5_operator import names
from mt5_operator.desired.manifest import owned_metadata, sealed
from mt5_operator.spec.parse import Account, Manifest

ACCOUNT_FILE: Final = "account.json"
KEYS_FILE: Final = "keys.json"
JWKS_FILE: Final = "operator.jwks.json"
SETTINGS_FILE: Final = "mt5_bridge.yaml"


def account_files(account: Account) -> Manifest:
    """Return the ConfigMap with what may change without a new pod."""
    return sealed(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": owned_metadata(
                account, names.account_files(account.key.name), names.labels(account.key.name)
            ),
            "data": {ACCOUNT_FILE: _text(_account(account))},
        }
    )


def access(
    namespace: str,
    *,
    keys: Sequence[dict[str, Any]],
    jwks: Sequence[dict[str, str]],
    settings: dict[str, Any] | None = None,
) -> Manifest:
    """Return the ConfigMap with who may call the sidecars of `namespace`, and their settings."""
    # JSON is YAML.
    files = {SETTINGS_FILE: _text(settings)} if settings else {}
    return sealed(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": names.ACCESS,
                "namespace": namespace,
                "labels": names.common_labels(),
            },
            "data": {
                KEYS_FILE: _text({"version": 1, "keys": list(keys)}),
                JWKS_FILE: _text({"keys": list(jwks)}),
                **files,
            },
        }
    )


def _account(account: Account) -> dict[str, Any]:
    trading = account.spec.trading
    limits = {
        "max_volume": trading.max_volume,
        "symbols": trading.symbols,
        "orders_per_minute": trading.orders_per_minute,
    }
    return {
        "version": 1,
        "symbols": account.spec.symbols,
        "trading": {"enabled": trading.enabled, **limits},
    }


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)
