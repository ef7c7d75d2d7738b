# SPDX-License-Identifier: Apache-2.0
"""What the condition Updating says, and when a person wants a restart."""

from __future__ import annotations

from datetime import datetime

from mt5_operator import names
from mt5_operator.moving.look import Look
from mt5_operator.moving.need import need
from mt5_operator.reasons import Reason
from mt5_operator.spec.parse import Manifest
from mt5_operator.status.seen import Updating


def restart_s(manifest: Manifest) -> float | None:
    """Return when a restart is wanted, in seconds since 1970; None if it is not.

    Raises:
        ValueError: the annotation is no time.
    """
    text = manifest["metadata"].get("annotations", {}).get(names.RESTART_AT, "")
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    return moment.timestamp()


def bad_restart(manifest: Manifest) -> Updating | None:
    """Return what to say of a restart annotation that cannot be read; None if it can."""
    try:
        restart_s(manifest)
    except ValueError:
        text = str(manifest["metadata"]["annotations"][names.RESTART_AT])[:64]
        told = f"the annotation {names.RESTART_AT} is {text!r}: write a time such as"
        return Updating(
            now=False, reason=Reason.INVALID_RESTART_AT, message=f"{told} 2026-11-21T22:00:00Z"
        )
    return None


def updating(look: Look, *, why: str) -> Updating | None:
    """Return what to say of moves; None where the account is as it should be."""
    if look.move:
        told = f"{look.move.reason}: to slot {look.move.to}, {look.move.phase}"
        message = f"{told}: {why}" if why else told
        return Updating(now=True, reason=Reason.MOVING, message=message)
    if look.trader is None or look.suspended:
        return None
    if look.resizes:
        told = "resources change in place; of each node the first pod goes alone"
        return Updating(now=True, reason=Reason.RESIZING, message=told)
    found = need(look, look.trader)
    if not found.reason:
        return None
    told = found.held or why or "the slot that trades must answer first"
    return Updating(now=False, reason=found.shown, message=f"{found.reason} waits: {told}")
