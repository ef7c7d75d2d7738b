# SPDX-License-Identifier: Apache-2.0
"""The files of the pod that may change while the sidecar runs."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class FileMetrics:
    """Of account.json, the access volume and the settings' files, and of the keys that an issuer
    publishes instead of a file: what could not be read."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.access_unreadable = Gauge(
            "mt5_sidecar_access_unreadable",
            "Entries and files of the access volume that could not be read since the start",
            registry=registry,
        )
        self.issuer_unread = Gauge(
            "mt5_sidecar_issuer_unread",
            "1 while the token issuer's keys could not be read when it was asked last",
            registry=registry,
        )
        self.account_unreadable = Gauge(
            "mt5_sidecar_account_unreadable",
            "1 while account.json cannot be read: trading is off",
            registry=registry,
        )
        self.settings_reloads = Counter(
            "mt5_sidecar_settings_reloads",
            "Changes of the settings' files: applied, refused, or waiting for a new pod",
            ("outcome",),
            registry=registry,
        )
