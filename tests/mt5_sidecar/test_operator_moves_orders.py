# SPDX-License-Identifier: Apache-2.0
"""The operator's own client moves an account's orders between two real sidecars."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sidecar_rig import POD_UID, TRADER, Rig, eventually

from mt5_agent import protocol
from mt5_operator.errors import SidecarUnreachable
from mt5_operator.sidecars.client import HttpSidecars, Target
from mt5_operator.sidecars.identity import Identity
from mt5_operator.status.seen import OrdersSeen

RigWith = Callable[..., Awaitable[Rig]]
WHO = Identity(Ed25519PrivateKey.generate(), "installation")
BUY: dict[str, Any] = {"symbol": "EURUSD", "side": "buy", "type": "market", "volume": "0.10"}


class Local(HttpSidecars):
    """Sidecars of this machine: what is a pod's address elsewhere is a port here."""

    def _base(self, ip: str) -> str:
        return f"http://127.0.0.1:{ip}"


def target(rig: Rig, uid: str = POD_UID) -> Target:
    """Return where a rig's sidecar is."""
    return Target(uid, str(rig.sidecar.ops_port))


def known(rig: Rig) -> Rig:
    """Let a rig's sidecar know the operator."""
    rig.put("access/operator.jwks.json", json.dumps({"keys": [WHO.jwk]}))
    rig.look()
    return rig


async def test_a_move_takes_the_keys_along_and_an_order_is_sent_once(
    rig_with: RigWith, tmp_path: Path
) -> None:
    old = known(await rig_with(order_self_activate=False))
    new = Rig(tmp_path / "b", slot="b", order_self_activate=False)
    await new.start()
    known(new)
    try:
        async with Local(WHO.token, timeout_s=5, answer_max_bytes=100_000) as sidecars:
            assert (await sidecars.state(target(old))).orders == OrdersSeen(0, active=False)
            assert await sidecars.activate(target(old), 1) == OrdersSeen(1, active=True)
            broker = await old.trades()
            first = await old.trade("POST", "/api/order", "k1", json=BUY)

            with pytest.raises(SidecarUnreachable, match="400: this slot trades"):
                await sidecars.hand_over(target(old), target(new))
            assert await sidecars.fence(target(old)) == OrdersSeen(1, active=False)
            await sidecars.hand_over(target(old), target(new))
            await sidecars.hand_over(target(old), target(new))  # a crash may come in between
            assert await sidecars.activate(target(new), 2) == OrdersSeen(2, active=True)
            with pytest.raises(SidecarUnreachable, match="503"):
                await sidecars.activate(target(old), 1)

        await new.connected(new.new_agent())
        new.put_account(enabled=True)
        new.put_keys([TRADER])
        new.look()
        again = await new.trade("POST", "/api/order", "k1", json=BUY)
    finally:
        await new.stop()

    assert first.json["outcome"] == "Done"
    assert (again.json["replayed"], again.json["order"]) == (True, first.json["order"])
    assert len(broker.sent) == 1


async def test_what_the_agent_warns_of_reaches_the_operator(rig_with: RigWith) -> None:
    rig = known(await rig_with())
    agent = rig.new_agent()
    await rig.connected(agent)

    async with Local(WHO.token, timeout_s=5, answer_max_bytes=100_000) as sidecars:
        before = await sidecars.state(target(rig))
        agent.send(
            protocol.State(
                state="Connected",
                login_id=agent.login_id,
                trade_allowed=False,
                trade_message="an investor password only looks",
                selftest="fonts (missing)",
            )
        )
        await eventually(lambda: rig.context.terminal.connection.selftest)
        seen = await sidecars.state(target(rig))

    assert (before.no_trading, before.selftest) == ("", "")
    assert (seen.no_trading, seen.selftest) == (
        "an investor password only looks",
        "fonts (missing)",
    )


async def test_a_journal_that_cannot_be_used_reaches_the_operator_with_the_reason(
    rig_with: RigWith, tmp_path: Path
) -> None:
    file = tmp_path / "journal/orders.sqlite"
    file.parent.mkdir()
    file.write_bytes(b"not a journal at all" * 100)
    rig = known(await rig_with(order_self_activate=False, journal_retry_interval_s=0.01))
    await rig.connected(rig.new_agent())

    async with Local(WHO.token, timeout_s=5, answer_max_bytes=100_000) as sidecars:
        broken = await sidecars.state(target(rig))
        with pytest.raises(SidecarUnreachable, match="file is not a database"):
            await sidecars.activate(target(rig), 1)
        file.unlink()
        await eventually(lambda: rig.context.office.journal_fault is None, timeout_s=3)
        mended = await sidecars.state(target(rig))

    assert (broken.connected, broken.orders) == (True, None)
    assert broken.journal.startswith("journal-unreadable: ")
    assert broken.journal.endswith("file is not a database")
    assert (mended.journal, mended.orders) == ("", OrdersSeen(0, active=False))


async def test_a_call_meant_for_another_pod_changes_nothing(rig_with: RigWith) -> None:
    rig = known(await rig_with(order_self_activate=False))

    async with Local(WHO.token, timeout_s=5, answer_max_bytes=100_000) as sidecars:
        with pytest.raises(SidecarUnreachable, match="401"):
            await sidecars.activate(target(rig, "uid-of-another"), 1)
        assert (await sidecars.state(target(rig))).orders == OrdersSeen(0, active=False)
