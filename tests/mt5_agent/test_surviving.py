# SPDX-License-Identifier: Apache-2.0
"""Workers, terminals and sidecars may end at any moment; the account goes on."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from cluster.waiting import patience_s
from mt5_agent import protocol

MARKET_BUY = {"action": 1, "symbol": "EURUSD", "volume": 0.1, "type": 0, "comment": "token"}


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def test_a_killed_worker_is_replaced(agent, sidecar):
    sidecar.login()
    await sidecar.serves()
    before = agent.children()

    agent.kill_child("worker")
    await sidecar.until(lambda: sidecar.state.evidence.worker_restarts == 1)

    await sidecar.serves()
    after = agent.children()
    assert after["worker"] != before["worker"]
    assert after["terminal"] == before["terminal"]


async def test_a_killed_terminal_is_started_again_and_loses_no_trade(agent, sidecar):
    sidecar.login()
    await sidecar.serves()
    sent = protocol.decode_result("order_send", await sidecar.ask("order_send", MARKET_BUY))

    agent.kill_child("terminal")
    await sidecar.until(lambda: sidecar.state.evidence.terminal_restarts == 1)
    await sidecar.serves()

    answer = await sidecar.ask("positions_get", ticket=sent.order)
    assert [p.comment for p in protocol.decode_result("positions_get", answer)] == ["token"]


async def test_a_profile_in_which_no_terminal_starts_is_told_and_ends_no_agent(agent, sidecar):
    sidecar.login()
    await sidecar.serves()
    logs = agent.data_dir / "logs"
    logs.rename(agent.data_dir / "kept")
    logs.touch()

    agent.kill_child("terminal")

    await sidecar.until(lambda: sidecar.state.reason == "TerminalFault")
    assert alive(agent.pid)
    logs.unlink()
    (agent.data_dir / "kept").rename(logs)
    await sidecar.serves()


async def test_a_call_that_hangs_is_unknown_and_the_account_recovers(agent, sidecar):
    sidecar.login(server="Simulator-Hangs")
    await sidecar.serves()
    worker = agent.children()["worker"]

    answer = await sidecar.ask("symbol_info", "HANGS", within_s=0.3)

    assert answer.outcome == "unknown"
    async with asyncio.timeout(patience_s(5)):
        await sidecar.until(lambda: sidecar.state.evidence.worker_restarts == 1)
        await sidecar.serves()
    assert not alive(worker)


async def test_a_hanging_order_is_unknown_and_may_have_happened(agent, sidecar):
    sidecar.login(server="Simulator-Hangs")
    await sidecar.serves()
    order = {**MARKET_BUY, "symbol": "HANGS", "comment": "may-be"}

    answer = await sidecar.ask("order_send", order, within_s=0.3)
    async with asyncio.timeout(patience_s(5)):
        await sidecar.until(lambda: sidecar.state.evidence.worker_restarts == 1)
        await sidecar.serves()

    held = protocol.decode_result("positions_get", await sidecar.ask("positions_get"))
    assert answer.outcome == "unknown"
    assert [p.symbol for p in held if p.comment == "may-be"] == ["HANGS"]
    assert set(agent.descendants()) == {agent.pid, *agent.children().values()}  # and no orphan


async def test_an_order_whose_answer_was_lost_says_so_and_may_have_happened(agent, sidecar):
    sidecar.login(server="Simulator-LosesReplies")
    await sidecar.serves()

    answer = await sidecar.ask("order_send", MARKET_BUY)

    held = protocol.decode_result("positions_get", await sidecar.ask("positions_get"))
    assert (answer.outcome, answer.fault.code) == ("failed", -10002)
    assert "token" in [position.comment for position in held]


async def test_a_history_pull_reaches_the_sidecar_as_columns(agent, sidecar):
    sidecar.login()
    await sidecar.serves()

    answer = await sidecar.ask("copy_rates_from_pos", "EURUSD", 16385, 0, 50)

    bars = protocol.decode_result("copy_rates_from_pos", answer)
    assert {len(column) for column in bars.values()} == {50}


async def test_what_waits_behind_a_hanging_call_was_not_sent(agent, sidecar):
    sidecar.login(server="Simulator-Hangs")
    await sidecar.serves()

    hanging = sidecar.request("order_send", {**MARKET_BUY, "symbol": "HANGS"}, within_s=0.3)
    waiting = sidecar.request("order_send", MARKET_BUY, within_s=0.1)

    assert (await sidecar.answer(waiting)).outcome == "not_sent"
    assert (await sidecar.answer(hanging)).outcome == "unknown"


async def test_a_sidecar_that_comes_back_finds_the_account_connected(agent, sidecar):
    sidecar.login()
    await sidecar.serves()
    before = agent.children()

    sidecar.hang_up()
    await sidecar.joined()
    sidecar.login()

    assert sidecar.state.state == "Connected"
    await sidecar.until(lambda: len(sidecar.snapshots) == 4)
    await sidecar.serves()
    assert agent.children() == before
    assert sidecar.state.evidence.logins == 1
    assert sidecar.hellos[0].epoch == sidecar.hellos[1].epoch


async def test_an_answer_never_reaches_the_sidecar_of_another_connection(agent, sidecar):
    sidecar.login(server="Simulator-Hangs")
    await sidecar.serves()
    lost = sidecar.request("symbol_info", "HANGS", within_s=1)
    await sidecar.ask("version", within_s=0.05)  # the call before it is in the worker's hands

    sidecar.hang_up()
    await sidecar.joined()
    await sidecar.until(lambda: sidecar.state.evidence.worker_restarts == 1)
    await sidecar.serves()

    assert lost not in sidecar.answers


async def test_a_dropped_link_is_told_and_mends(agent, sidecar):
    sidecar.login(server="Simulator-WineBlocked")
    await sidecar.becomes("Connected")

    state = await sidecar.becomes("Disconnected", "BrokerUnreachable")

    assert state.evidence.drops == 1
    await sidecar.becomes("Connected")


async def test_a_sidecar_that_refuses_the_token_is_asked_again(tmp_path, sidecar, agent):
    sidecar.refuses = "token"
    sidecar.hang_up()
    await sidecar.until(lambda: len(sidecar.hellos) >= 3)

    sidecar.refuses = ""

    await sidecar.joined()


async def test_sigterm_ends_all_and_says_goodbye(agent, sidecar):
    sidecar.login()
    await sidecar.serves()
    children = agent.children()

    code = await agent.end()

    await sidecar.until(lambda: sidecar.goodbye is not None)
    assert code == 0
    assert not [pid for pid in children.values() if alive(pid)]
    assert "exit with code 0" in agent.journal()


async def test_children_do_not_outlive_a_killed_supervisor(agent, sidecar, ended):
    sidecar.login()
    await sidecar.serves()
    children = agent.children()

    os.kill(agent.pid, signal.SIGKILL)

    await ended(*children.values())


async def switch_by_hand(agent) -> None:
    """Log the terminal in to account 20002, as a person may at its screen."""
    switch = (
        "import sys, mt5_simulator as mt5; "
        "ok = mt5.initialize(sys.argv[1], login=20002, password='x', server='Simulator-Demo'); "
        "sys.exit(0 if ok else 1)"
    )
    program = str(agent.data_dir / "terminal64.exe")
    other = await asyncio.create_subprocess_exec(sys.executable, "-c", switch, program)
    assert await other.wait() == 0


async def test_an_order_never_goes_to_an_account_that_nobody_has_looked_at_yet(made_agent, sidecar):
    made_agent.environment["MT5_AGENT_POLL_INTERVAL_S"] = "60"
    await made_agent.start()
    await sidecar.joined()
    sidecar.login(10001)
    await sidecar.serves(10001)
    await sidecar.until(lambda: looks(sidecar, "terminal_info") == 2)  # and no more for a minute

    await switch_by_hand(made_agent)
    answer = await sidecar.ask("order_send", MARKET_BUY)

    assert (answer.outcome, "account" in answer.fault.text) == ("not_sent", True)
    now = protocol.decode_result("account_info", await sidecar.ask("account_info"))
    held = protocol.decode_result("positions_get", await sidecar.ask("positions_get"))
    assert now.login == 20002  # it would have been this one's
    assert "token" not in [position.comment for position in held]


async def test_a_terminal_on_another_account_is_never_shown_and_brought_back(agent, sidecar):
    sidecar.login(10001)
    await sidecar.serves(10001)
    logins = sidecar.state.evidence.logins

    await switch_by_hand(agent)

    await sidecar.until(lambda: sidecar.state.evidence.logins > logins)
    await sidecar.serves(10001)
    assert {account.login for account in sidecar.accounts} == {10001}


async def test_a_session_that_breaks_at_once_is_not_made_again_at_once(made_agent, sidecar):
    made_agent.environment["MT5_AGENT_BACKOFF_S"] = "60"
    made_agent.environment["MT5_AGENT_BACKOFF_MAX_S"] = "60"
    await made_agent.start()
    await sidecar.joined()
    sidecar.login()
    await sidecar.serves()

    made_agent.kill_child("worker")
    await sidecar.becomes("Disconnected")
    beats = len(sidecar.states) + 4  # several times what a log-in takes
    await sidecar.until(lambda: len(sidecar.states) >= beats)

    assert sidecar.state.evidence.logins == 1
    sidecar.login(password="another")  # what somebody asks for waits for nothing
    await sidecar.serves()


async def stand_still(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    async with asyncio.timeout(patience_s(20)):
        while Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] != "T":  # noqa: ASYNC110, ASYNC240
            await asyncio.sleep(0.01)


def looks(sidecar, call: str) -> int:
    return sum(len(state.polls.get(call, ())) for state in sidecar.states)


async def test_other_credentials_wait_for_the_end_of_an_order_that_runs(made_agent, sidecar):
    made_agent.environment["MT5_AGENT_POLL_INTERVAL_S"] = "60"  # no look is in the worker's hands
    made_agent.environment["MT5_AGENT_TICK_INTERVAL_S"] = "60"
    await made_agent.start()
    await sidecar.joined()
    sidecar.login()
    await sidecar.serves()
    await sidecar.until(lambda: looks(sidecar, "terminal_info") == 2 and looks(sidecar, "ticks"))
    terminal = made_agent.children()["terminal"]
    await stand_still(terminal)
    order = sidecar.request("order_send", MARKET_BUY)
    waiting = sidecar.request("version", within_s=0.3)
    assert (await sidecar.answer(waiting)).outcome == "not_sent"  # the worker has the order

    sidecar.login(password="another")
    late = await sidecar.ask("version")
    os.kill(terminal, signal.SIGCONT)

    assert (late.outcome, late.fault.text) == ("not_sent", "another log-in was asked for")
    assert (await sidecar.answer(order)).outcome == "done"
    await sidecar.until(lambda: sidecar.state.evidence.logins == 2)
    await sidecar.serves()
