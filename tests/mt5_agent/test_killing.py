# SPDX-License-Identifier: Apache-2.0
"""Worker, terminal and sidecar are killed at random moments; the account is healthy at the end.

`make kills` is the long form; `make kills SEED=6` chooses other moments.
"""

import asyncio
import os
import random
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mt5_agent import protocol

KILLS = int(os.environ.get("MT5_BRIDGE_KILLS", "200"))
SEED = int(os.environ.get("MT5_BRIDGE_SEED", "5"))
LONGEST_PAUSE_S = 0.12
PATIENCE_S = 300.0
"""Longest wait for one thing: at 2 % of a core, as at nice 19 beside others, a start takes a
minute. A fault shows as a wait that never ends, however long it is."""
MOST_FILES = 32
"""Open in an agent, however many workers and terminals it has had."""
HEALTHY_SHARE = 0.15  # so many kills wait until the account is connected; the others do not
BUY = {"action": 1, "symbol": "EURUSD", "volume": 0.01, "type": 0}


@dataclass
class Orders:
    """Orders that were sent, each with its token, and what became of them."""

    outcomes: dict[str, protocol.Answer | None] = field(default_factory=dict)

    async def send(self, sidecar) -> None:
        token = f"t{len(self.outcomes)}"
        self.outcomes[token] = None
        number = sidecar.request("order_send", {**BUY, "comment": token}, within_s=1)
        try:
            async with asyncio.timeout(1.5):
                self.outcomes[token] = await sidecar.answer(number)
        except TimeoutError:
            return  # the connection broke: unknown to the sidecar

    def tokens(self, *outcomes: str) -> set[str]:
        return {t for t, a in self.outcomes.items() if a is not None and a.outcome in outcomes}


async def join(agent, sidecar) -> None:
    await sidecar.joined()
    sidecar.login()


async def strike(agent, sidecar, target: str) -> bool:
    """Kill `target`, if it is there."""
    if target == "sidecar":
        sidecar.hang_up()
        await join(agent, sidecar)
        return True
    try:
        agent.kill_child(target)
    except (KeyError, ProcessLookupError, FileNotFoundError):
        return False  # dead already, and not yet started again
    return True


async def positions(sidecar) -> list[protocol.Position]:
    """Ask until the account serves: what was known before the last kill means nothing."""
    async with asyncio.timeout(PATIENCE_S):
        ask = sidecar.ask
        while (answer := await ask("positions_get", within_s=2)).outcome != "done":  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return protocol.decode_result("positions_get", answer)


@pytest.mark.timeout(2 * PATIENCE_S + 5 * KILLS)
async def test_an_account_survives_random_kills_and_no_order_is_misjudged(
    made_agent, sidecar, ended
):
    agent, chance, orders, struck = made_agent, random.Random(SEED), Orders(), 0  # noqa: S311
    agent.environment |= {
        "MT5_AGENT_BACKOFF_S": "0.01",
        "MT5_AGENT_BACKOFF_MAX_S": "0.05",
        "MT5_AGENT_LOGIN_TIMEOUT_S": str(PATIENCE_S),  # of who is slow, not of who is dead
        "MT5_AGENT_SILENCE_S": str(PATIENCE_S),
        "MT5_AGENT_POLL_DEADLINE_S": str(PATIENCE_S),
    }
    sidecar.patience_s = PATIENCE_S
    await agent.start()
    await join(agent, sidecar)
    await sidecar.serves()
    sending: set[asyncio.Task[None]] = set()

    while struck < KILLS:
        if chance.random() < 0.5 and len(sending) < 8:
            task = asyncio.create_task(orders.send(sidecar))
            sending.add(task)
            task.add_done_callback(sending.discard)
        if chance.random() < HEALTHY_SHARE:
            await sidecar.becomes("Connected")
        # Here the pause is the test: the kill comes at any moment of what goes on.
        await asyncio.sleep(chance.random() * LONGEST_PAUSE_S)
        struck += await strike(agent, sidecar, chance.choice(["worker", "terminal", "sidecar"]))
    await asyncio.gather(*sending)

    found = [p.comment for p in await positions(sidecar) if p.comment.startswith("t")]
    assert len(found) == len(set(found))
    assert orders.tokens("done")
    assert orders.tokens("done") <= set(found)
    assert not orders.tokens("not_sent") & set(found)
    await sidecar.serves()
    children = agent.children()
    assert children.keys() == {"worker", "terminal"}
    assert len(list(Path(f"/proc/{agent.pid}/fd").iterdir())) < MOST_FILES  # noqa: ASYNC240
    assert await agent.end() == 0
    await ended(*children.values(), *agent.descendants())
