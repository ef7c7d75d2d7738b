# SPDX-License-Identifier: Apache-2.0
"""A journal that cannot be used, as clients see it: a clear refusal, no trade, and reads go on."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from scripted_broker import ScriptedBroker
from sidecar_rig import OWN, TRADER, Answer, Rig, eventually

from mt5_sidecar.api.ops.probes import state_answer

RigWith = Callable[..., Awaitable[Rig]]
# Rows of such a size that it is the insert of a new key that finds no page, not its outcome.
BUY = {"symbol": "EURUSD", "side": "buy", "type": "market", "volume": "0.1", "comment": "c" * 187}


async def buy(rig: Rig, key: str, **more: str) -> Answer:
    return await rig.trade("POST", "/api/order", key, json=BUY | more)


async def told(rig: Rig) -> tuple[str, str]:
    """Return what a client reads of the journal, and what Prometheus reads of orders."""
    lines = (await rig.ops("/metrics")).body.decode().splitlines()
    ready = next(line for line in lines if line.startswith("mt5_sidecar_orders_ready "))
    return (await rig.get("/api/status")).json["journal"], ready.split()[1]


async def limit_pages(rig: Rig, pages: int) -> None:
    """Have SQLite find the disk full beyond so many pages (0: beyond those that there are)."""
    journal = rig.context.office.desk._ledger.journal
    await journal.read(
        lambda store: store._db.execute(f"PRAGMA max_page_count = {pages or 1}").fetchall()
    )


async def test_a_full_disk_is_told_nothing_is_sent_and_the_key_stays_free(
    rig: Rig, broker: ScriptedBroker
) -> None:
    # There before the first: an alert sees it rise.
    untouched = 'mt5_sidecar_order_refusals_total{problem="journal-failed"} 0.0'
    assert untouched in (await rig.ops("/metrics")).body.decode()
    await limit_pages(rig, 0)
    done, refused = 0, None
    for number in range(50):
        answer = await buy(rig, f"k{number}")
        if answer.status != 200:
            refused = answer
            break
        done += 1

    assert refused is not None
    assert (refused.status, refused.problem) == (503, "/problems/journal-failed")
    assert "full" in refused.json["detail"]
    assert refused.headers["Retry-After"]
    assert len(broker.sent) == done
    assert (await rig.get("/api/account")).status == 200
    assert (await rig.trade("GET", f"/api/order/k{done}")).problem == "/problems/key-unknown"
    refusals = (await rig.get("/api/performance/metrics")).json["orders_refused"]
    assert refusals["journal-failed"] == 1

    assert await told(rig) == ("journal-failed", "0.0")
    assert "full" in state_answer(rig.context)["journal"]

    await limit_pages(rig, 1_000_000)
    # Nobody need trade for it to be found well.
    await eventually(lambda: rig.context.office.desk.ready)
    assert await told(rig) == ("", "1.0")
    assert state_answer(rig.context)["journal"] == ""
    again = await buy(rig, f"k{done}")
    assert (again.status, again.json["replayed"]) == (200, False), again.body
    assert len(broker.sent) == done + 1


async def test_a_journal_that_is_damaged_while_it_is_open_stays_so_until_it_is_opened_anew(
    rig: Rig, broker: ScriptedBroker
) -> None:
    assert (await buy(rig, "k1")).status == 200
    journal = rig.context.office.desk._ledger.journal
    await journal.write(lambda store: store._db.execute("UPDATE trade SET body = 'no json'"))

    damaged = await rig.trade("GET", "/api/order/k1")

    assert (damaged.status, damaged.problem) == (503, "/problems/journal-unreadable")
    refused = await buy(rig, "k2")
    assert (refused.status, refused.problem) == (503, "/problems/journal-unreadable")
    assert len(broker.sent) == 1
    await journal.write(lambda store: store.set_facts(more="x"))  # nor does a write mend it
    assert await told(rig) == ("journal-unreadable", "0.0")


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"not a journal at all" * 100, "journal-unreadable"), (b"cut", "journal-unreadable")],
)
async def test_a_damaged_journal_refuses_until_somebody_moves_it_away(
    rig_with: RigWith,
    tmp_path: Path,
    content: bytes,
    problem: str,
) -> None:
    file = tmp_path / "journal/orders.sqlite"
    file.parent.mkdir()
    file.write_bytes(content)
    rig = await rig_with(journal_retry_interval_s=0.01)
    rig.put_account(enabled=True)
    rig.put_keys([OWN, TRADER])
    rig.look()
    agent = rig.new_agent()
    broker = ScriptedBroker(agent)
    await rig.connected(agent)

    refused = await buy(rig, "k1")

    assert (refused.status, refused.problem) == (503, f"/problems/{problem}")
    assert refused.headers["Retry-After"] == "1"
    assert (await rig.get("/api/positions")).status == 200
    assert (await rig.ops("/readyz")).status == 200
    assert "mt5_sidecar_orders_ready 0.0" in (await rig.ops("/metrics")).body.decode()
    assert state_answer(rig.context)["orders"] is None
    assert state_answer(rig.context)["journal"].startswith(f"{problem}: ")
    assert (await rig.get("/api/status")).json["journal"] == problem
    # Never repaired, never replaced.
    assert file.read_bytes() == content
    assert not broker.sent

    file.rename(tmp_path / "kept-for-the-record.sqlite")
    await eventually(lambda: rig.context.office._desk is not None, timeout_s=3)
    await eventually(lambda: rig.context.office.desk.ready)
    assert (await buy(rig, "k1")).status == 200
