# SPDX-License-Identifier: Apache-2.0
"""The operator moves an account's orders from one slot to the other, over HTTP."""

import base64
import io
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sidecar_rig import POD_UID, TRADER, Answer, Rig, eventually

RigWith = Callable[..., Awaitable[Rig]]
OPERATOR = Ed25519PrivateKey.generate()
BUY = {"symbol": "EURUSD", "side": "buy", "type": "market", "volume": "0.10"}


def token() -> str:
    claims = {"iss": "mt5-bridge-operator", "aud": POD_UID, "exp": time.time() + 30}
    return jwt.encode(claims, OPERATOR, "EdDSA", {"kid": "k1"})


async def call(rig: Rig, method: str, path: str, **options: Any) -> Answer:
    url = f"http://127.0.0.1:{rig.sidecar.ops_port}/internal/orders{path}"
    headers = {"Authorization": f"Bearer {token()}"}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, headers=headers, **options) as answer,
    ):
        return Answer(answer.status, answer.headers, await answer.read())


def operated(rig: Rig) -> Rig:
    x = base64.urlsafe_b64encode(OPERATOR.public_key().public_bytes_raw()).decode().rstrip("=")
    keys = [{"kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": x}]
    rig.put("access/operator.jwks.json", json.dumps({"keys": keys}))
    rig.look()
    return rig


async def known_since(rig: Rig, fact: str = "known_since_ms") -> int:
    """Return since when the journal knows every key."""
    journal = rig.context.office.desk.activation._journal
    return int(await journal.read(lambda store: store.fact(fact)))


async def other_slot(folder: Path) -> Rig:
    made = Rig(folder, slot="b", order_self_activate=False)
    await made.start()
    return operated(made)


async def test_orders_move_to_the_other_slot_and_no_key_is_sent_there_again(
    rig_with: RigWith, tmp_path: Path
) -> None:
    old = operated(await rig_with())
    broker = await old.trades()
    await old.trade("POST", "/api/order", "k1", json=BUY)
    new = await other_slot(tmp_path / "b")
    try:
        fenced = await call(old, "POST", "/fence")
        journal = await call(old, "GET", "/journal")
        late = await old.trade("POST", "/api/order", "k2", json=BUY)
        await call(new, "PUT", "/journal", data=journal.body)
        await new.connected(new.new_agent())
        before = await call(new, "GET", "")
        after = await call(new, "POST", "/activate", json={"epoch": 2})
        new.put_account(enabled=True)
        new.put_keys([TRADER])
        new.look()
        again = await new.trade("POST", "/api/order", "k1", json=BUY)
    finally:
        await new.stop()

    assert (fenced.json["active"], late.problem) == (False, "/problems/fenced")
    assert (before.json["active"], after.json["active"], after.json["epoch"]) == (False, True, 2)
    assert (again.status, again.json["replayed"]) == (200, True)
    assert len(broker.sent) == 1


async def test_a_slot_that_trades_gives_and_takes_no_journal(rig: Rig) -> None:
    operated(rig)

    given = await call(rig, "GET", "/journal")
    taken = await call(rig, "PUT", "/journal", data=b"{}")

    assert {given.problem, taken.problem} == {"/problems/invalid-request"}


async def test_a_fenced_epoch_cannot_be_activated_again(rig: Rig) -> None:
    operated(rig)
    await call(rig, "POST", "/fence")

    again = await call(rig, "POST", "/activate", json={"epoch": 1})
    later = await call(rig, "POST", "/activate", json={"epoch": 2})

    assert (again.status, again.problem) == (503, "/problems/fenced")
    assert later.json["active"] is True


@pytest.mark.parametrize("body", [b"", b"{}", b'{"epoch":0}', b'{"epoch":"1"}', b"\xff"])
async def test_an_activation_without_an_epoch_is_refused(rig: Rig, body: bytes) -> None:
    answer = await call(operated(rig), "POST", "/activate", data=body)

    assert (answer.status, answer.problem) == (400, "/problems/invalid-request")


async def test_only_the_operator_moves_orders_and_never_on_the_api_port(rig: Rig) -> None:
    operated(rig)
    for method, path in [("GET", ""), ("POST", "/fence"), ("GET", "/journal"), ("PUT", "/journal")]:
        name = f"/internal/orders{path}"
        stranger = await rig.request(method, name, port=rig.sidecar.ops_port)
        routed = await rig.request(method, name)

        assert (stranger.status, stranger.problem) == (401, "/problems/unauthenticated")
        assert routed.status == 404
    await eventually(lambda: rig.context.office.desk.activation.active)


async def test_a_slot_that_missed_an_epoch_looks_before_it_trades(rig_with: RigWith) -> None:
    rig = operated(await rig_with(order_newborn_s=3600))
    await rig.connected(rig.new_agent())
    gate = rig.context.office.desk._gate
    gate.earlier_known = True
    await call(rig, "POST", "/fence")

    await call(rig, "POST", "/activate", json={"epoch": 2})
    followed = gate.earlier_known
    await call(rig, "POST", "/fence")
    await call(rig, "POST", "/activate", json={"epoch": 4})

    assert (followed, gate.earlier_known) == (True, False)


async def test_keys_of_an_epoch_before_the_last_do_not_make_a_journal_whole(
    rig_with: RigWith, tmp_path: Path
) -> None:
    old = operated(await rig_with())
    await old.trades()
    await call(old, "POST", "/fence")
    journal = await call(old, "GET", "/journal")
    whole: list[bool] = []
    for epoch in (2, 3):
        new = await other_slot(tmp_path / str(epoch))
        try:
            await call(new, "PUT", "/journal", data=journal.body)
            await call(new, "POST", "/activate", json={"epoch": epoch})
            whole.append(await known_since(new) <= await known_since(new, "born_ms"))
        finally:
            await new.stop()

    assert whole == [True, False]


async def test_keys_of_a_slot_that_misses_some_do_not_make_an_old_journal_whole(
    rig_with: RigWith, tmp_path: Path
) -> None:
    old = operated(await rig_with())
    await old.trades()
    await call(old, "POST", "/fence")
    new = await other_slot(tmp_path / "b")
    try:
        await call(new, "POST", "/activate", json={"epoch": 3})  # who traded in 2 is lost
        await call(new, "POST", "/fence")
        journal = await call(new, "GET", "/journal")
        missed_until = await known_since(new)
    finally:
        await new.stop()

    await call(old, "PUT", "/journal", data=journal.body)

    assert await known_since(old) == missed_until


async def test_a_journal_of_another_slot_may_have_as_much_as_is_set(rig_with: RigWith) -> None:
    rig = operated(await rig_with(order_self_activate=False, journal_limit_bytes=2 * 1024 * 1024))
    fits, large = b"x" * 1024 * 1024, b"x" * (2 * 1024 * 1024 + 1)

    answers = [await call(rig, "PUT", "/journal", data=io.BytesIO(body)) for body in (fits, large)]

    assert answers[0].problem != "/problems/body-too-large"
    assert (answers[1].status, answers[1].problem) == (413, "/problems/body-too-large")
