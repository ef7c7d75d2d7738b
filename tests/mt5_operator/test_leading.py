# SPDX-License-Identifier: Apache-2.0
"""What a leader does beside reconciling."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from mt5_operator.errors import ApiUnavailable
from mt5_operator.reconcile import leading
from mt5_operator.settings import Settings


async def test_route_shards_are_gathered_and_tried_again_after_the_pauses_that_are_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    did: list[float | str] = []

    async def flush() -> None:
        did.append("flush")
        if len(did) < 5:
            raise ApiUnavailable("a restart")
        raise asyncio.CancelledError

    async def slept(seconds: float) -> None:
        did.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", slept)
    changed = asyncio.Event()
    changed.set()
    settings = Settings(route_flush_s=0.5, route_retry_s=7)
    context: Any = SimpleNamespace(
        table=SimpleNamespace(changed=changed, flush=flush),
        world=SimpleNamespace(settings=settings),
    )

    with pytest.raises(asyncio.CancelledError):
        await leading._flush(context)

    assert did == [0.5, "flush", 7, 0.5, "flush"]
