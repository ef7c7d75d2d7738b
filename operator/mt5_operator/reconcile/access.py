# SPDX-License-Identifier: Apache-2.0
"""Who may call the sidecars of a namespace: published there, from one Secret of ours."""

from __future__ import annotations

import structlog

from mt5_operator import metrics, names
from mt5_operator.apikeys import published, read
from mt5_operator.cluster.kinds import CONFIG_MAP, SECRET
from mt5_operator.desired.files import access
from mt5_operator.errors import NotFound
from mt5_operator.names import Key
from mt5_operator.reasons import Reason
from mt5_operator.reconcile.context import Context, micro_text
from mt5_operator.reconcile.pods.workload import ensure
from mt5_operator.spec.parse import Manifest

_log = structlog.get_logger()


async def publish(context: Context, namespace: str) -> None:
    """Bring the access ConfigMap of a namespace up to date; none where no account is.

    Raises:
        ApiError, ApiUnavailable: it is not written; try again.
    """
    world = context.world
    accounts = namespace in world.index.namespaces()
    await context.budgets.ensure(namespace, accounts=accounts)
    if not accounts:
        await _withdraw(context, Key(namespace, names.ACCESS))
        return
    ids = world.index.in_namespace(namespace)
    keys = published(context.keys, namespace=namespace, account_ids=ids)
    settings = world.settings.sidecar_settings
    wanted = access(namespace, keys=keys, jwks=[context.identity.jwk], settings=settings)
    if await ensure(context, CONFIG_MAP, wanted):
        for key in world.index.keys_in(namespace):
            world.queue.add(key)  # their pods should see it now


async def look_at_keys(context: Context) -> None:
    """Read the API key table again; when it changed, have it published everywhere."""
    world = context.world
    key = Key(world.settings.namespace, names.API_KEYS)
    try:
        secret = await world.api.get(SECRET, key)
    except NotFound:
        secret = {}
    keys, problems = read(secret.get("data") or {})
    metrics.INVALID_KEYS.set(len(problems))
    await _report(context, secret, problems)
    if keys != context.keys:
        context.keys[:] = keys
        _log.info("api keys changed", keys=[key.id for key in keys])
        for namespace in world.index.namespaces():
            world.queue.add(Key(namespace, ""))


async def _report(context: Context, secret: Manifest, problems: dict[str, str]) -> None:
    if problems == context.bad_keys:
        return
    context.bad_keys.clear()
    context.bad_keys.update(problems)
    for name, problem in problems.items():
        _log.warning("api key skipped", key=name, problem=problem)
        about = {"apiVersion": "v1", "kind": "Secret", **secret}
        note = f"API key {name!r} is skipped: {problem}"
        now = micro_text(context.world.now())
        await context.events.tell(about, Reason.INVALID_API_KEY.value, note, warning=True, now=now)


async def _withdraw(context: Context, key: Key) -> None:
    entry = context.world.caches[CONFIG_MAP].entry(key)
    if entry is None:
        return
    try:
        await context.world.api.delete(CONFIG_MAP, key, uid=entry.uid)
    except NotFound:
        return
