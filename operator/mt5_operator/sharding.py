# SPDX-License-Identifier: Apache-2.0
"""Which operator serves which namespace, where several share the work (docs/adr/044). Pure.

A namespace belongs to exactly one shard, by a number that every replica computes alike. Accounts
are known to all shards, so that an account id is unique in the installation; they are served, and
everything of theirs is written, by one.
"""

from __future__ import annotations

import zlib

from mt5_operator.settings import Settings


def owns(settings: Settings, namespace: str) -> bool:
    """Tell whether our shard serves a namespace."""
    return shard_of(namespace, settings.shards) == settings.shard


def shard_of(namespace: str, shards: int) -> int:
    """Return the number of the shard that serves a namespace."""
    return zlib.crc32(namespace.encode()) % shards


def suffix(settings: Settings) -> str:
    """Return what tells the names of our shard's objects from those of the others."""
    return f"-{settings.shard}" if settings.shards > 1 else ""
