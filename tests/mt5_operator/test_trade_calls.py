# SPDX-License-Identifier: Apache-2.0
"""What sidecars are told, in which order."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from mt5_operator.errors import SidecarUnreachable
from mt5_operator.moving.steps import Fence, TakeOver
from mt5_operator.names import Key
from mt5_operator.reconcile.accounts import moves
from mt5_operator.settings import Settings
from mt5_operator.sidecars.client import Target
from mt5_operator.status.seen import OrdersSeen, PodSeen, SidecarSeen


class Sidecars:
    """What is called, in order."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    async def fence(self, target: Target) -> OrdersSeen:
        self.calls.append(f"fence {target.uid}")
        return OrdersSeen(2, active=False)

    async def hand_over(self, source: Target, target: Target) -> None:
        self.calls.append(f"hand over {source.uid} {target.uid}")

    async def activate(self, target: Target, epoch: int) -> OrdersSeen:
        self.calls.append(f"activate {target.uid} {epoch}")
        return OrdersSeen(epoch, active=True)


def both(*, epoch: int, pods: str = "ab") -> Any:
    """Return the look at two slots; b's sidecar was last activated in `epoch`."""
    seen = SidecarSeen("Connected", orders=OrdersSeen(epoch, active=False))
    there = {slot: PodSeen(slot, ip="::1") if slot in pods else None for slot in "ab"}
    return SimpleNamespace(pods=there, sidecars=dict.fromkeys("ab", seen))


@pytest.mark.parametrize(
    ("epoch", "calls"), [(1, ["activate b 2", "fence b"]), (2, ["fence b"]), (3, ["fence b"])]
)
async def test_a_slot_is_fenced_in_the_epoch_that_it_was_given(
    epoch: int, calls: list[str]
) -> None:
    # An activation that is still on its way would be taken after a fence in an earlier epoch.
    context: Any = SimpleNamespace(sidecars=Sidecars())
    look = both(epoch=epoch)

    await moves._fence(context, look, look.pods["b"], Fence("b", 2))

    assert context.sidecars.calls == calls


async def test_keys_are_taken_before_the_slot_trades() -> None:
    context: Any = SimpleNamespace(sidecars=Sidecars())
    look = both(epoch=0)

    await moves._take_over(context, look, look.pods["b"], TakeOver("b", 2, source="a"))

    assert context.sidecars.calls == ["hand over a b", "activate b 2"]


async def test_a_slot_whose_keys_are_out_of_reach_does_not_trade() -> None:
    context: Any = SimpleNamespace(sidecars=Sidecars())
    look = both(epoch=0, pods="b")

    with pytest.raises(SidecarUnreachable):
        await moves._take_over(context, look, look.pods["b"], TakeOver("b", 2, source="a"))

    assert context.sidecars.calls == []


@pytest.mark.parametrize(
    ("pods", "why"), [("b", "slot b: "), ("a", "the pod is gone")], ids=["no keys", "no pod"]
)
async def test_a_call_that_came_to_nothing_is_repeated_as_soon_as_is_set(
    pods: str, why: str
) -> None:
    context: Any = SimpleNamespace(
        sidecars=Sidecars(),
        watcher=SimpleNamespace(hear=lambda *_: None),
        world=SimpleNamespace(settings=Settings(move_look_s=0.4)),
    )
    account: Any = SimpleNamespace(key=Key("ns", "demo"))
    step = TakeOver("b", 2, source="a")

    taken = await moves._call(context, account, both(epoch=0, pods=pods), step)

    assert not taken.done
    assert taken.why.startswith(why)
    assert taken.again_s == 0.4
