# SPDX-License-Identifier: Apache-2.0
"""Tell what an account's state is: in its status, in Events, in the log, in metrics."""

from __future__ import annotations

from typing import Any, Final

import structlog

from mt5_operator import names
from mt5_operator.cluster.kinds import ACCOUNT
from mt5_operator.errors import NotFound
from mt5_operator.names import Key
from mt5_operator.reasons import ON_ITS_WAY, Reason
from mt5_operator.reconcile.brokers import platform
from mt5_operator.reconcile.context import Context, micro_text, seconds_text
from mt5_operator.reconcile.feed import wrote
from mt5_operator.spec.parse import Manifest
from mt5_operator.status import conditions
from mt5_operator.status.seen import Seen

_DECIDED: Final = ("trader", "move", "healing")
# Ready says nothing of it, and clients get refusals.
_WARNED_OF: Final = (Reason.JOURNAL_FAULT,)
_log = structlog.get_logger()


async def tell(context: Context, manifest: Manifest, seen: Seen) -> None:
    """Write the status if it means more than the one that is there."""
    previous = manifest.get("status", {})
    now = context.world.now()
    status = conditions.status(seen, previous=previous, now=seconds_text(now))
    meta = manifest["metadata"]
    key = Key(meta["namespace"], meta["name"])
    context.reasons[key] = ready(status)["reason"]
    if not conditions.differs(status, previous):
        return
    place = {name: meta[name] for name in ("name", "namespace", "uid")}
    if any(status.get(part) != previous.get(part) for part in _DECIDED):
        # Who may trade, and what is tried, is decided on what was looked at, or not at all.
        place["resourceVersion"] = meta["resourceVersion"]
    body = {"metadata": place, "status": status}
    try:
        written = await context.world.api.apply(
            ACCOUNT, body, manager=names.STATUS_MANAGER, part="status"
        )
    except NotFound:
        return  # deleted in the meantime
    wrote(context.world, ACCOUNT, manifest, written, ours="status")
    # Who wonders why a quiet cluster writes reads it here; the values are in the object.
    _log.debug("status written", account=str(key), changed=conditions.differences(status, previous))
    await platform.moved(context, manifest, previous, status)
    await _transition(context, manifest, ready(previous), ready(status))
    await _warn(context, manifest, previous, status)


def ready(status: Manifest) -> dict[str, Any]:
    """Return the Ready condition; one without a reason if there is none."""
    return conditions.condition_of(status, "Ready") or {
        "status": "Unknown",
        "reason": "",
        "message": "",
    }


async def _transition(
    context: Context, manifest: Manifest, before: dict[str, Any], after: dict[str, Any]
) -> None:
    if before["reason"] == after["reason"]:
        return
    meta = manifest["metadata"]
    _log.info(
        "account changed",
        account=f"{meta['namespace']}/{meta['name']}",
        before=before["reason"],
        reason=after["reason"],
        message=after["message"],
    )
    if after["reason"] not in ON_ITS_WAY:
        warning = after["status"] != "True" and after["reason"] != Reason.SUSPENDED
        now = micro_text(context.world.now())
        await context.events.tell(
            manifest, after["reason"], after["message"], warning=warning, now=now
        )


async def _warn(context: Context, manifest: Manifest, before: Manifest, after: Manifest) -> None:
    """Tell of conditions of their own when they come."""
    for reason in _WARNED_OF:
        item = conditions.condition_of(after, reason)
        if item is None or conditions.condition_of(before, reason):
            continue
        meta, message = manifest["metadata"], item["message"]
        account = f"{meta['namespace']}/{meta['name']}"
        _log.warning("account warns", account=account, reason=reason.value, message=message)
        now = micro_text(context.world.now())
        await context.events.tell(manifest, reason.value, message, warning=True, now=now)
