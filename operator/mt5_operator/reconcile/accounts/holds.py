# SPDX-License-Identifier: Apache-2.0
"""Keep the ids of deleted accounts for their namespaces, for a while (docs/adr/080).

In a ConfigMap of our own namespace: the next leader must know them, and an administrator may take
an entry out. All shards share it, entry by entry, so that it outlives a change of their number. The
claims' index has what they amount to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import structlog

from mt5_operator import names
from mt5_operator.cluster.kinds import CONFIG_MAP
from mt5_operator.errors import NotFound, Refused
from mt5_operator.names import Key
from mt5_operator.reconcile.context import Context, seconds_text
from mt5_operator.reconcile.context.index import Hold
from mt5_operator.settings import Settings

# An object may have a megabyte; an entry has 160 bytes at most.
MOST: Final = 5000

_log = structlog.get_logger()


async def keep(context: Context, account_id: str, namespace: str) -> None:
    """Keep the id of an account that goes for its namespace.

    Raises:
        ApiError, ApiUnavailable: it is not written; try again.
    """
    settings, index, now = context.world.settings, context.world.index, context.world.now()
    if not settings.id_hold_s:
        return
    if settings.shards > 1:
        await look(context)  # what the others keep counts as well
    until = seconds_text(now + timedelta(seconds=settings.id_hold_s))
    hold = Hold(namespace, until)
    over = [name for name, each in index.kept.items() if each.until <= seconds_text(now)]
    full = len(index.kept) - len(over) >= MOST
    over += [_one_too_many(index.kept)] if full and account_id not in index.kept else []
    change: dict[str, str | None] = dict.fromkeys(over)
    try:
        await _write(context, change | {account_id: f"{hold.namespace} {hold.until}"})
    except Refused as error:
        # A deletion must end.
        _log.warning("an id is not kept", account_id=account_id, error=error.message)
        return
    index.keep_ids({n: h for n, h in index.kept.items() if n not in over} | {account_id: hold})


async def look(context: Context) -> None:
    """Read which ids are kept, for whom, and drop what is over.

    Raises:
        ApiError, ApiUnavailable: they could not be read; try again.
    """
    world = context.world
    found = await _read(context)
    now = seconds_text(world.now())
    world.index.keep_ids({name: hold for name, hold in found.items() if hold.until > now})


def config_map(settings: Settings) -> Key:
    """Return where ids are kept."""
    return Key(settings.namespace, names.KEPT_IDS)


async def _read(context: Context) -> dict[str, Hold]:
    world = context.world
    try:
        manifest = await world.api.get(CONFIG_MAP, config_map(world.settings))
    except NotFound:
        return {}
    words = {name: text.split() for name, text in (manifest.get("data") or {}).items()}
    return {name: Hold(*each) for name, each in words.items() if len(each) == 2}


async def _write(context: Context, change: Mapping[str, str | None]) -> None:
    world = context.world
    key = config_map(world.settings)
    body: dict[str, Any] = {"data": dict(change)}
    try:
        await world.api.merge(CONFIG_MAP, key, body, manager=names.MANAGER)
    except NotFound:
        data = {name: text for name, text in change.items() if text}
        meta = {"name": key.name, "namespace": key.namespace}
        await world.api.create(CONFIG_MAP, {"metadata": meta, "data": data})


def _one_too_many(kept: Mapping[str, Hold]) -> str:
    # Of who has most: nobody drives out those of others by making and deleting accounts.
    most = Counter(hold.namespace for hold in kept.values()).most_common(1)[0][0]
    return min((hold.until, name) for name, hold in kept.items() if hold.namespace == most)[1]
